"""When two functions are the same: a cell that is run again defines its functions anew."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

__all__ = ["sameness"]


class _Itself:
    """A thing that is the same as itself alone; kept, so that no other takes its place in memory."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.thing is other.thing

    def __hash__(self) -> int:
        return id(self.thing)


def sameness(thing: Any, _above: frozenset[int] = frozenset()) -> Any:
    """What equals the sameness of another function where code, defaults and what both close over are equal.

    Of partials and methods their parts count, of lists and dicts their content, of other objects their own equality,
    or, without one, that they are the same object. What a function reads from elsewhere is not seen.

    >>> sameness(partial(print, [1])) == sameness(partial(print, [1])) != sameness(partial(print, [True]))
    True
    """
    if id(thing) in _above:  # a function that closes over itself
        return "above"
    above = _above | {id(thing)}

    def of(part: Any) -> Any:
        return sameness(part, above)

    if inspect.isfunction(thing):
        cells = tuple(of(cell.cell_contents) for cell in thing.__closure__ or () if _filled(cell))
        return thing.__code__, of(thing.__defaults__), of(thing.__kwdefaults__), cells
    if isinstance(thing, partial):
        return partial, of(thing.func), of(thing.args), of(thing.keywords)
    if inspect.ismethod(thing):
        return of(thing.__func__), of(thing.__self__)
    if isinstance(thing, Mapping):
        return type(thing), tuple((of(name), of(value)) for name, value in thing.items())
    if isinstance(thing, list | tuple):
        return type(thing), tuple(map(of, thing))
    try:
        hash(thing)
    except TypeError:
        return _Itself(thing)
    return type(thing), thing


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - raises where it is empty
    except ValueError:
        return False
    return True

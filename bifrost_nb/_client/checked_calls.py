"""Calls that differ in what is asked alone are checked once: checking takes three times as long as all else here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .calls import AnyKind, Asked, Call, Timeouts, same_for

__all__ = ["CheckedCalls"]

MOST = 64
"""Kept at most: a loop asks few deployments with few sets of parameters."""
_ASKED = frozenset({"system", "tags", "messages"})


class CheckedCalls:
    """The calls of one client that the next ones may be like."""

    def __init__(self) -> None:
        self._likes: dict[object, Call] = {}

    def call(
        self,
        prepared: Callable[[], Call],
        kind: AnyKind,
        deployment: str,
        prompt: Asked,
        options: Mapping[str, Any],
        *settings: object,
    ) -> Call:
        """What `prepared` gives, or the same from a call of before that had these `options` and `settings`."""
        system, tags = options.get("system"), options.get("tags")
        plain = options.get("messages") is None and (tags is None or isinstance(tags, Mapping))
        if not plain or not _is_text(prompt) or (system is not None and not (kind == "chat" and _is_text(system))):
            return prepared()
        key = _key(kind, deployment, options)
        if key is None:
            return prepared()
        key = (*key, *settings)
        like = self._likes.get(key)
        if like is None:
            call = prepared()
            if len(self._likes) >= MOST:
                self._likes.clear()
            self._likes[key] = _same(call, prompt, system, {})  # a copy, of which nobody else has the run
            return call
        return _same(like, prompt, system, tags or {})


def _same(like: Call, prompt: Any, system: str | None, tags: Mapping[str, Any]) -> Call:
    return same_for(like, prompt, system=system, tags=tags, prompt_id=like.run.prompt_id, repeat=like.run.repeat)


def _is_text(value: Any) -> bool:
    """Whether `value` is a text that is right for any call: not empty, without half a character."""
    if type(value) is not str or not value:
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def _key(kind: AnyKind, deployment: str, options: Mapping[str, Any]) -> tuple[object, ...] | None:
    """What a call is checked for beside its texts; None where that can change later, or compare equal and differ."""
    key: list[object] = [kind, deployment]
    for name, value in options.items():
        if name in _ASKED:
            continue
        kind_of = type(value)
        if kind_of is list and name == "fallbacks":
            if not all(type(each) is str for each in value):
                return None
            value = tuple(value)
        elif kind_of not in (str, int, float, bool, type(None), Timeouts):
            return None
        key += (name, kind_of, value)
    return tuple(key) if type(deployment) is str else None

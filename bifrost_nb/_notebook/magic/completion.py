"""Completion for ``%%bifrost`` and ``%bifrost``: options, deployments, saved prompts, variables after ``{{``.

Also for ``bf.``: to tell a name's type Jedi imports what it stands for, here pandas, matplotlib and the client. That
takes longer than the 0.4 s which IPython gives it, so that all but a few would show as ``<unknown>``.

Nothing here waits for the network: deployments come from the remembered list, which is refreshed in the background.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Collection, Iterable
from functools import cache
from os import PathLike
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from ...errors import BifrostError
from .options import Option, options
from .session import Session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["complete", "install", "remove"]

_CELL = re.compile(r"\A\s*%%(?:bifrost|bifrost_nb)(?=[ \t\n]|\Z)")
_LINE = re.compile(r"(?:^|=[ \t]*)[ \t]*%(?:bifrost|bifrost_nb)[ \t]+(.*)\Z")
_VARIABLE = re.compile(r"(?<!\{)\{\{[ \t]*((?:\w+(?:\.\w*)?)?)\Z")
_OUR_NAME = re.compile(r"(?:^|[^\w.)\]}\"'])(\w+)\.([A-Za-z]\w*)?\Z")

Found = tuple[str, list[tuple[str, str]]]
"""The fragment that is replaced, and (completion, kind) of each that fits."""


def install(shell: InteractiveShell, session: Session) -> None:
    """Add the matcher to the shell's completer."""

    @context_matcher(identifier="bifrost_nb")  # type: ignore[untyped-decorator]
    def matcher(context: Any) -> Any:
        found = complete(session, context.full_text, context.cursor_line, context.cursor_position)
        if found is None:
            return {"completions": []}
        fragment, offered = found
        # IPython asks its other matchers when we offer nothing, and Jedi would read a prompt as Python, for seconds
        # at its first time. So the word itself is offered, which changes nothing.
        offered = offered or [(fragment, "")]
        return {
            "completions": [SimpleCompletion(text=text, type=kind) for text, kind in offered],
            "matched_fragment": fragment,
            "suppress": True,
            "ordered": True,
        }

    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(matcher)


def remove(shell: InteractiveShell) -> None:
    """Take the matcher out again."""
    if shell.Completer is not None:
        shell.Completer.custom_matchers[:] = [
            each for each in shell.Completer.custom_matchers if getattr(each, "matcher_identifier", "") != "bifrost_nb"
        ]


def complete(session: Session, text: str, line: int, column: int) -> Found | None:
    """What fits at a place in a cell; None where it is not ours."""
    lines = text.split("\n")
    before = lines[line][:column] if line < len(lines) else ""
    if _CELL.match(text):
        first = next((number for number, each in enumerate(lines) if each.strip()), 0)
        if line > first:
            return _variables(session, before)
        written = _CELL.sub("", before)
        return _words(session, written, ()) if written != before else None
    found = _LINE.search(before)
    if found is None:
        return _public_names(session, before)
    from .subcommands import COMMANDS

    return _words(session, found[1], COMMANDS)


def _public_names(session: Session, before: str) -> Found | None:
    """The names of this package after its own, ``bf.`` as a rule; None where the text ends otherwise."""
    found = _OUR_NAME.search(before)
    package = sys.modules["bifrost_nb"]
    if found is None or session.shell.user_ns.get(found[1]) is not package:
        return None
    fragment = found[2] or ""
    offered = _starting(fragment, [(name, _kind(name)) for name in sorted(package.__all__, key=str.casefold)])
    return (fragment, offered) if offered else None


def _kind(name: str) -> str:
    """What Jedi calls it; by its name alone, since looking at it would import it."""
    if f"bifrost_nb.{name}" in _modules():
        return "module"
    return "class" if name[0].isupper() else "function"


@cache
def _modules() -> frozenset[str]:
    return frozenset(each.name for each in iter_modules(sys.modules["bifrost_nb"].__path__, "bifrost_nb."))


def _words(session: Session, written: str, commands: Collection[str]) -> Found:
    """Completions of the last word of a magic line."""
    fragment = "" if written[-1:].isspace() else (written.split() or [""])[-1]
    earlier = written[: len(written) - len(fragment)].split()
    declared = options()
    previous = next((each for each in declared if earlier and earlier[-1] in each.names and each.takes_value), None)
    if previous is not None:
        return fragment, _starting(fragment, _values(session, previous))
    if fragment.startswith("-"):
        names = (name for each in declared for name in each.names if name.startswith("--") and name not in earlier)
        return fragment, _starting(fragment, [(name, "option") for name in names])
    if earlier and earlier[0] in commands and earlier[0] != "use":
        return fragment, []
    offered = [(name, "command") for name in commands if not earlier]
    return fragment, _starting(fragment, offered + [(name, "model") for name in _deployments(session)])


def _values(session: Session, option: Option) -> list[tuple[str, str]]:
    """What can follow an option."""
    if "--fallback" in option.names:
        return [(name, "model") for name in _deployments(session)]
    if "--use" in option.names:
        return [(name, "prompt") for name in _prompts()]
    if "--inputs" in option.names:
        return [(name, "variable") for name in _names(session)]
    for flag, fits in _FITS.items():
        if flag in option.names:
            return [(name, "variable") for name in _names(session, fits, classes=flag == "--schema")]
    return [(choice, "value") for choice in option.choices]


def _variables(session: Session, before: str) -> Found:
    found = _VARIABLE.search(before)
    if found is None:
        return "" if before[-1:].isspace() else (before.split() or [""])[-1], []
    name, dot, start = found[1].partition(".")
    if not dot:
        return name, _starting(name, [(each, "variable") for each in _names(session)])
    value = session.shell.user_ns.get(name)
    if hasattr(value, "columns"):
        attributes = [str(each) for each in value.columns if str(each).isidentifier()]
    elif isinstance(value, dict):
        attributes = [each for each in value if isinstance(each, str) and each.isidentifier()]
    else:
        attributes = [each for each in dir(value) if not each.startswith("_")]
    return f"{name}.{start}", _starting(f"{name}.{start}", [(f"{name}.{each}", "variable") for each in attributes])


def _starting(fragment: str, offered: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that begin with the fragment, then those that hold it after a slash (``fast`` finds ``azure/fast``)."""
    listed = list(dict.fromkeys(offered))
    first = [each for each in listed if each[0].startswith(fragment)]
    if not fragment or fragment.startswith("-"):
        return first
    return first + [each for each in listed if each not in first and f"/{fragment}" in each[0]]


def _deployments(session: Session) -> list[str]:
    from ..known_models import remembered

    with contextlib.suppress(BifrostError):  # a wrong setting is told when a cell runs, not while typing
        client = session.client
        return remembered(client.settings.base_url, lambda: client).deployments
    return []


def _prompts() -> list[str]:
    from .saved_prompts import saved_prompts

    with contextlib.suppress(BifrostError):
        return saved_prompts().names()
    return []


def _is_model(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, type) and bool(getattr(value, "model_fields", None)))


def _is_list_of_dicts(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, dict) for each in value)


def _is_picture(value: Any) -> bool:
    """Whether it may be one: nothing is read."""
    named = (
        isinstance(value, str)
        and "\n" not in value
        and value.lower().endswith((".png", ".jpg", ".jpeg", ".webp", ".gif"))
    )
    return (
        named
        or isinstance(value, bytes | PathLike)
        or hasattr(value, "savefig")
        or hasattr(value, "getbands")
        or (hasattr(value, "__array__") and getattr(value, "ndim", 0) in (2, 3) and not hasattr(value, "columns"))
    )


_FITS: dict[str, Callable[[Any], bool]] = {
    "--schema": _is_model,
    "--tools": lambda value: isinstance(value, dict) or _is_list_of_dicts(value),
    "--messages": _is_list_of_dicts,
    "--image": _is_picture,
}
"""Option -> which variables can follow it."""


def _names(session: Session, fits: Callable[[Any], bool] = lambda _: True, classes: bool = False) -> list[str]:
    """The user's own variables: not IPython's, not modules and functions, which no prompt can hold."""
    from inspect import isclass, ismodule, isroutine

    shell = session.shell
    return sorted(
        name
        for name, value in shell.user_ns.items()
        if not name.startswith("_")
        and name not in shell.user_ns_hidden
        and not (ismodule(value) or isroutine(value) or (isclass(value) and not classes))
        and fits(value)
    )

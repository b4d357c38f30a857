r"""``{{placeholders}}`` in prompts: names, attributes and items, nothing else.

``{{name}}``, ``{{row.name}}``, ``{{row["a b"]}}``, ``{{items[0]}}``; blanks inside the braces are allowed. Only exactly
this form is a placeholder. Every other brace, dollar, percent sign and quote is the prompt's own, so JSON, code, LaTeX
and other template languages pass through unchanged.

To write a placeholder that is *not* filled in, double its braces: ``{{{{name}}}}`` becomes ``{{name}}``, as in
`str.format`. The rule applies only to what would be a placeholder, so four braces elsewhere stay four.

A template may come from a stranger. Filling it in reads values and calls nothing: no calls, no expressions, no
attributes with a leading underscore, nothing of modules, classes and functions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from inspect import isclass, isroutine
from types import ModuleType
from typing import Any

from .._safe_text import plain, type_with_article
from .._suggest import similar
from ..errors import TemplateError
from .value_text import Fault, as_text, is_pandas

__all__ = ["ESCAPE", "escape", "render", "variables", "with_names"]

ESCAPE = "To send the braces themselves, double them: {{{{name}}}}."

_NAME = r"[^\W\d]\w*"
_STEP = rf"\.{_NAME}|\[\s*(?:-?\d{{1,9}}|\"[^\"\n{{}}]*\"|'[^'\n{{}}]*')\s*\]"
_PATH = rf"{_NAME}(?:{_STEP})*"
_BLANKS = r"[ \t\xa0\u200b\u202f\ufeff]*"  # those of web pages and word processors too
_PLACEHOLDER = re.compile(
    rf"(?P<escaped>\{{\{{\{{\{{{_BLANKS}{_PATH}{_BLANKS}\}}\}}\}}\}})"
    rf"|\{{\{{{_BLANKS}(?P<path>{_PATH}){_BLANKS}\}}\}}"
)
_STEPS = re.compile(_STEP)
_IN_BRACES = re.compile(r"\{\{[^{}\n]{1,200}\}\}")
_BRACED = re.compile(r"(?<!\{)\{\{([^{}\n]{1,200})\}\}(?!\})")
_MISSING = object()


def variables(template: str) -> list[str]:
    """The names that `template` needs, each once, in order of appearance."""
    paths = (match["path"] for match in _PLACEHOLDER.finditer(_composed(template)))
    return list(dict.fromkeys(re.split(r"[.\[]", path, maxsplit=1)[0] for path in paths if path))


def with_names(template: str) -> tuple[str, list[str]]:
    """`template` with ``[path]`` for each ``{{path}}``, and the paths: for texts that show their values elsewhere."""
    paths: dict[str, None] = {}

    def named(match: re.Match[str]) -> str:
        if match["escaped"]:
            return match["escaped"][2:-2]
        paths[match["path"]] = None
        return f"[{match['path']}]"

    return _PLACEHOLDER.sub(named, _composed(template)), list(paths)


def render(template: str, values: Mapping[str, Any], *, where: str | None = None) -> str:
    """`template` with every placeholder filled in from `values`.

    Text goes in as it is; numbers, dates and all that has a text form of its own by `str`; lists, arrays and mappings
    as JSON; a DataFrame or Series as its table. All of it goes in, however long. None, NaN and NA are no text (nor
    inside a list), nor are functions, generators, locks and all whose only text is their address.

    Raises one TemplateError that names every placeholder without a value, with near matches; `where` (such as
    ``row 3``) says for which inputs.
    """
    faults: dict[str, str] = {}
    template = _composed(template)

    def filled(match: re.Match[str]) -> str:
        if match["escaped"]:
            return match["escaped"][2:-2]
        path = match["path"]
        try:
            return as_text(_value(path, values))
        except Fault as fault:
            faults[path] = f"{{{{{path}}}}} {fault}"
            return ""

    text = _PLACEHOLDER.sub(filled, template)
    for name in _BRACED.findall(_PLACEHOLDER.sub("", template)):
        if name.strip() in values:  # "my column", which would be sent as it stands
            faults[name] = f"{{{{{name}}}}} names an input, and a placeholder has letters, digits and _ only: rename it"
    if faults:
        place = f" ({where})" if where else ""
        unknown = [name for path in faults if (name := re.split(r"[.\[]", path)[0].strip()) not in values]
        first = f"Give {unknown[0]} a value: assign it, or pass it as a column of inputs=. " if unknown else ""
        raise TemplateError(f"{'; '.join(faults.values())}{place}.", hint=f"{first}{ESCAPE}" if unknown else None)
    return text


def _composed(template: str) -> str:
    """`template` with its placeholders in the form in which Python has names: macOS and PDFs write ü as u and dots."""

    def composed(match: re.Match[str]) -> str:
        form = unicodedata.normalize("NFC", match[0])
        return form if _PLACEHOLDER.fullmatch(form) else match[0]

    return template if template.isascii() else _IN_BRACES.sub(composed, template)


def _value(path: str, values: Mapping[str, Any]) -> Any:
    name, *_ = re.split(r"[.\[]", path, maxsplit=1)
    if name.startswith("__"):
        raise Fault("reads a name of Python's own, which templates may not")
    alike = (key for key in values if isinstance(key, str) and unicodedata.normalize("NFC", key) == name)
    found = name if name in values or name.isascii() else next(alike, name)
    if found not in values:
        raise Fault(f"is not defined{_near(name, values)}")
    value, walked = values[found], name
    for step in _STEPS.findall(path[len(name) :]):
        inner = _attribute(value, step[1:]) if step[0] == "." else _item(value, step[1:-1].strip())
        if inner is _MISSING:
            raise Fault(f"has no {step.strip('.')} in {walked}{_near(step.strip('.'), _names(value))}")
        value, walked = inner, walked + step
    return value


def _attribute(value: Any, name: str) -> Any:
    """``value.name``: a mapping's item or an object's attribute, so that a row reads alike in both forms."""
    if name.startswith("_"):
        raise Fault("reads a name with a leading underscore, which templates may not")
    if isinstance(value, ModuleType) or isclass(value) or isroutine(value):
        raise Fault(f"reads from {type_with_article(value)}, which templates may not")
    if isinstance(value, Mapping):
        return value.get(name, _MISSING)
    if is_pandas(value) and name in value:  # a column called "name" comes before pandas' own `name`
        return value[name]
    return _read_or_template_error(lambda: getattr(value, name))


def _item(value: Any, written: str) -> Any:
    key: Any = written[1:-1] if written[0] in "\"'" else int(written)
    if isinstance(value, ModuleType) or isclass(value) or isroutine(value):
        raise Fault(f"reads from {type_with_article(value)}, which templates may not")
    return _read_or_template_error(lambda: value[key])


def _read_or_template_error(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (AttributeError, LookupError, TypeError):
        return _MISSING
    except Exception as error:  # noqa: BLE001 - a property may fail in any way; the placeholder is what to name
        raise Fault(f"cannot be read: {type(error).__name__}: {plain(error, 200)}") from None


def _names(value: Any) -> Collection[str]:
    if isinstance(value, Mapping):
        return [str(key) for key in value]
    columns = getattr(value, "columns", None) if is_pandas(value) else None
    return [str(each) for each in (dir(value) if columns is None else columns) if not str(each).startswith("_")]


_OF_IPYTHON = {"In", "Out", "exit", "get_ipython", "open", "quit"}
"""In every notebook, and nothing that somebody meant to put into a prompt."""


def _near(name: str, known: Collection[str] | Mapping[str, Any]) -> str:
    wanted = name.strip("[]\"' ")
    names = [each for each in known if isinstance(each, str) and not each.startswith("_") and each not in _OF_IPYTHON]
    close = similar(wanted, names, 2)
    # What cannot be seen would look like the very name that was written.
    shown = [each if each.isprintable() and each == each.strip() else ascii(each) for each in close]
    return f" (did you mean {' or '.join(shown)}?)" if shown else ""


def escape(text: str) -> str:
    """`text` as a template that renders to `text`."""
    return _PLACEHOLDER.sub(lambda match: f"{{{{{match[0]}}}}}", text)

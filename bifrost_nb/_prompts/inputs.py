"""Templates x rows of inputs: every prompt of a comparison, or one error that names all that is missing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from inspect import isclass
from typing import Any, NamedTuple

from .._safe_text import quoted, type_with_article
from ..errors import ConfigurationError, TemplateError
from .arrow_values import arrow_rows, arrow_values
from .messages import Message, Template, Turns, filled_in, image_columns, pictures_of, variables_of, with_pictures
from .template import ESCAPE
from .value_text import no_value

__all__ = ["prompts_of", "rows_of"]


class Rendered(NamedTuple):
    """One prompt, filled in: its template's name (None: there is one), what is asked, its row."""

    template: str | None
    asked: str | list[Message]
    values: Mapping[str, Any]
    pictures: Mapping[str, str]
    """The ``data:`` URLs of the row, by column."""


def prompts_of(
    prompt: Template | Mapping[str, Template],
    inputs: Any,
    systems: Sequence[Template] = (),
    images: Any = None,
    also: Set[str] = frozenset(),
) -> list[Rendered]:
    """Every prompt, template by template; a template is a text or a list of messages.

    `inputs` is a frame, a dict of lists or a list of dicts; `systems` are templates that use its columns besides, and
    `images` names columns of pictures, `also` those that are used otherwise.

    Raises ConfigurationError and TemplateError.
    """
    templates = _templates(prompt)
    used: dict[Any, list[str]] = {name: variables_of(template) for name, template in templates.items()}
    used[prompts_of] = [name for system in systems for name in variables_of(system)]
    if inputs is None and (needed := sorted({name for names in used.values() for name in names})):
        shown = ", ".join(f"{{{{{name}}}}}" for name in needed)
        raise TemplateError(f"No value for {shown}.", hint=f"Pass inputs={{{needed[0]!r}: [...]}}. {ESCAPE}")
    rows = rows_of(inputs)
    columns = image_columns(images, rows)
    if len(rows) > 1 and not any(used.values()) and not columns and not also:
        for template in templates.values():  # says so where it names a column that no placeholder can name
            filled_in(template, rows[0], "row 0 of inputs")
        raise ConfigurationError(
            f"inputs has {len(rows)} rows, but the prompt uses none of its columns"
            f" ({', '.join(rows[0]) or 'there are none'}).",
            hint="Write {{name}} where a value belongs, or use repeats= to send the same prompt again.",
        )
    none: Mapping[str, str] = {}
    pictures = [
        pictures_of(row, columns, f"row {number} of inputs") if columns else none for number, row in enumerate(rows)
    ]
    rendered: list[Rendered] = []
    for name, template in templates.items():
        for number, row in enumerate(rows):
            place = f"row {number} of inputs" if name is None else f"template {name!r}, row {number} of inputs"
            asked = with_pictures(filled_in(template, row, place), columns, pictures[number])
            rendered.append(Rendered(name, asked, row, pictures[number]))
    return rendered


def rows_of(inputs: Any) -> list[Mapping[str, Any]]:
    """`inputs` as a list of rows (name to value); one row without values where there are none."""
    if inputs is None:
        return [{}]
    if (found := _other_frame(inputs)) is not None:
        inputs = found
    if _is_pandas(inputs):
        doubled = [str(name) for name, count in Counter(inputs.columns).items() if count > 1]
        if doubled:
            raise ConfigurationError(
                f"inputs has the column {doubled[0]!r} more than once.", hint="Rename one of them."
            )
        rows: list[Any] = _pandas_rows(inputs)
    elif isinstance(inputs, Mapping):
        rows = _from_columns(inputs)
    elif isinstance(inputs, Sequence) and not isinstance(inputs, (str, bytes)):
        rows = list(inputs)
    else:
        raise ConfigurationError(
            f"inputs must be a DataFrame (of any library), a dict of lists or a list of dicts, not"
            f" {type(inputs).__name__}.",
            hint=_way_to_rows(inputs),
        )
    rows = [_without_mark(row) for row in rows]
    for number, row in enumerate(rows):
        if isinstance(row, Mapping):
            _check_names(number, row)
        else:
            hint = "Give the values a name: {'name': [...]}." if isinstance(row, str | int | float) else None
            raise ConfigurationError(f"Row {number} of inputs must map names to values, not {_shown(row)}.", hint=hint)
    if not rows:
        raise ConfigurationError("inputs has no rows: there is nothing to send.")
    return rows


def _check_names(number: int, row: Mapping[Any, Any]) -> None:
    for name in row:
        if not isinstance(name, str):
            hint = "Name the columns: frame.columns = ['text', ...]."
            if name is None:  # of csv.DictReader
                hint = "A line of a CSV that has more fields than its head gets one: quote what holds a comma."
            raise ConfigurationError(
                f"Row {number} of inputs has the name {quoted(name)}, which is no text.", hint=hint
            )


def _way_to_rows(inputs: Any) -> str | None:
    """What to write for something that holds no rows, or not yet."""
    if isinstance(inputs, str) and inputs.isidentifier():
        return "Pass the variable itself, without quotes."
    if isinstance(inputs, str | os.PathLike) or hasattr(inputs, "read"):
        return "Read the file first: pandas.read_csv(...)."
    if isinstance(inputs, Iterator):
        return "Pass list(...): it can be read only once."
    return "Pass {'name': values}, or pandas.DataFrame(...)." if hasattr(inputs, "dtype") else None


def _is_pandas(inputs: Any) -> bool:
    return hasattr(inputs, "iloc") and hasattr(inputs, "columns") and hasattr(inputs, "to_dict")


def _pandas_rows(frame: Any) -> list[dict[str, Any]]:
    """The rows; what is shorter than Python's float with the digits that pandas shows (see `arrow_values`)."""
    kinds = {name: str(dtype).lower() for name, dtype in frame.dtypes.items()}
    short = [name for name, kind in kinds.items() if kind.startswith(("float32", "float16", "float[", "halffloat"))]
    rows: list[dict[str, Any]] = frame.to_dict("records")
    for name in short:
        half = kinds[name].startswith(("float16", "halffloat"))
        for row, value in zip(
            rows, frame[name].to_numpy("float16" if half else "float32", na_value=float("nan")), strict=True
        ):
            if not no_value(row[name]):
                row[name] = float(str(value))
    return rows


_TO_ARROW = ("to_arrow", "to_arrow_table", "arrow")
_TO_PANDAS = ("to_pandas", "toPandas")
"""How frames without the Arrow interface give their rows: ibis, daft, duckdb's older relations; Hugging Face's
datasets (whose selection of rows no other way knows), modin and Spark."""


def _other_frame(inputs: Any) -> Any:
    """The rows of a frame of another library (polars, pyarrow, duckdb, ...), by the Arrow C stream interface.

    Or a pandas frame of what can only make one; None for what is no frame of another library.
    """
    if isinstance(inputs, Mapping | Sequence | str) or isclass(inputs) or _is_pandas(inputs):
        return None
    if (lazy := type(inputs).__name__) == "LazyFrame" or hasattr(inputs, "dask"):
        raise ConfigurationError(
            f"inputs is a {lazy} whose rows are not there yet.", hint="Pass inputs.collect() or inputs.compute()."
        )
    if not hasattr(inputs, "__arrow_c_stream__"):
        if _is_pandas(converted := _converted(inputs, _TO_PANDAS)):
            return converted
        inputs = _converted(inputs, _TO_ARROW)
    if not hasattr(inputs, "__arrow_c_stream__"):
        return None
    try:
        return arrow_rows(inputs)
    except ConfigurationError:
        raise
    except (TypeError, ValueError):  # one column without a name
        hint = "Pass {'name': values}, or a frame with that column."
        raise ConfigurationError(f"inputs is {type_with_article(inputs)}, which has no columns.", hint=hint) from None


def _converted(inputs: Any, methods: Sequence[str]) -> Any:
    return next((way() for name in methods if callable(way := getattr(inputs, name, None))), None)


_MARKS = ("\ufeff", "\xef\xbb\xbf")
"""The byte-order mark that Excel writes at the head of a CSV, and what it looks like where it was read as Latin-1."""


def _without_mark(row: Any) -> Any:
    """A row whose first column's name begins with a byte-order mark; quotes behind it are then part of the name."""
    if not isinstance(row, Mapping):
        return row
    first = next(iter(row), None)
    mark = next((mark for mark in _MARKS if isinstance(first, str) and first.startswith(mark)), None)
    if mark is None or first is None:
        return row
    name = first.removeprefix(mark).strip('"')
    if name in row:
        raise ConfigurationError(f"inputs has the column {name!r} twice, once behind a byte-order mark (\\ufeff).")
    return {name if each == first else each: value for each, value in row.items()}


def _from_columns(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    lengths = {}
    for name, values in columns.items():
        if hasattr(values, "columns") or hasattr(values, "column_names"):  # a dict of frames or of data sets
            raise ConfigurationError(
                f"inputs[{name!r}] is {type_with_article(values)} of its own.", hint=f"Pass inputs=...[{name!r}]."
            )
        if isinstance(values, Set):
            raise ConfigurationError(f"inputs[{name!r}] is a set, which has no order.", hint="Pass sorted(...).")
        if (
            isinstance(values, (str, bytes, Mapping))
            or not hasattr(values, "__len__")
            or not hasattr(values, "__iter__")
        ):
            hint = "Pass list(...)." if isinstance(values, Iterator) else f"Write [{_shown(values)}]."
            raise ConfigurationError(f"inputs[{name!r}] must be a list of values.", hint=hint)
        lengths[name] = len(values)
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise ConfigurationError(f"The lists of inputs differ in length ({shown}).")
    lists = [_listed(values) for values in columns.values()]
    return [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)]


def _listed(values: Any) -> Any:
    """A column of Arrow or polars as the list of its values; anything else as it is."""
    foreign = type(values).__module__.partition(".")[0] in ("pyarrow", "polars")
    return (arrow_values(values) if foreign else None) or values


def _templates(prompt: Any) -> dict[str | None, Template]:
    templates = dict(prompt) if isinstance(prompt, Mapping) else {None: prompt}
    for name, template in templates.items():
        if not isinstance(template, str | Turns):
            hint = None
            if isinstance(template, list):
                texts = name is None and all(isinstance(one, str) for one in template)
                several = "Name several in a dict: {'short': ..., 'long': ...}."
                hint = several if texts else "Pass a conversation as messages=[...]."
            raise ConfigurationError(f"The prompt{_of(name)} must be text, not {type(template).__name__}.", hint=hint)
        if isinstance(template, str) and not template.strip():
            raise ConfigurationError(f"The prompt{_of(name)} is empty.")
        if name is not None and not isinstance(name, str):
            raise ConfigurationError(f"A template's name must be text, not {quoted(name)}.")
    if not templates:
        raise ConfigurationError("There is no prompt to send.")
    return templates


def _of(name: str | None) -> str:
    return "" if name is None else f" of template {name!r}"


def _shown(value: Any) -> str:
    return quoted(dict(value) if isinstance(value, Mapping) else value, 80)

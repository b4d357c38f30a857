"""The fields of typed answers: columns of a frame in each field's own dtype, and where variants differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._client.typed_answers import AnswerSchema

if TYPE_CHECKING:
    import pandas as pd

    from .._runs.run import Run
    from .plan import Trial
    from .planned_prompt import PlannedPrompt

__all__ = ["add_answers", "disagreements", "field_columns"]


def add_answers(frame: pd.DataFrame, schema: AnswerSchema, runs: Sequence[Run]) -> None:
    """Add ``valid``, ``valid_error`` and ``answer_<field>`` to the frame of `runs`."""
    from .._runs.frame import to_array

    frame["valid"] = to_array([run.valid for run in runs], "boolean")
    frame["valid_error"] = to_array([run.valid_error for run in runs], "string")
    for name, values in field_columns(schema, runs, frame.index).items():
        frame[f"answer_{name}"] = values


def field_columns(schema: AnswerSchema, runs: Sequence[Run], index: pd.Index[Any]) -> dict[str, Any]:
    """The column of each field; NA where an answer is not valid or leaves the field out."""
    import pandas as pd

    from .._runs.frame import to_array

    answers = [schema.values(run.parsed) if run.valid else {} for run in runs]
    columns: dict[str, Any] = {}
    for name, dtype in schema.dtypes.items():
        values = [answer.get(name) for answer in answers]
        if dtype == "Int64" and any(map(_is_huge, values)):
            columns[name] = to_array([None if value is None else str(value) for value in values], "string")
        elif dtype == "object":
            columns[name] = pd.Series(values, index, object)  # of an array that is all text pandas 3 makes text
        else:
            columns[name] = to_array(map(_number, values) if dtype == "Float64" else values, dtype)  # type: ignore[arg-type]
    return columns


def _is_huge(value: Any) -> bool:
    """Whether a whole number is larger than a column of numbers, or of any file, can hold; its digits are kept."""
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _number(value: Any) -> Any:
    """A Decimal travels as text."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return None


def disagreements(
    schema: AnswerSchema,
    work: Iterable[tuple[Trial, Run]],
    variants: Sequence[str],
    shown: Callable[[PlannedPrompt, str], Any],
) -> pd.DataFrame:
    """One row per row of inputs and field on which two variants differ; see `Comparison.disagreements`."""
    import pandas as pd

    rows: dict[str, tuple[PlannedPrompt, dict[str, list[Mapping[str, Any]]]]] = {}
    for trial, run in work:
        prompt, answers = rows.setdefault(trial.prompt.input_id, (trial.prompt, {}))
        if run.valid:
            answers.setdefault(trial.variant, []).append(schema.values(run.parsed))
    inputs = list(dict.fromkeys(name for prompt, _ in rows.values() for name in prompt.values))
    found: list[list[Any]] = []
    for input_id, (prompt, answers) in rows.items():
        for field in schema.dtypes:
            given = {name: _most_frequent([one.get(field) for one in each]) for name, each in answers.items()}
            if len({_key(value) for value in given.values()}) > 1:
                of = [shown(prompt, name) for name in inputs]
                found.append([input_id, *of, field, *(given.get(name, pd.NA) for name in variants)])
    columns = ["input_id", *(f"input_{name}" for name in inputs), "field", *variants]
    return pd.DataFrame(found, columns=columns, dtype=object).astype({"input_id": "string", "field": "string"})


def _most_frequent(values: Sequence[Any]) -> Any:
    counted = Counter(map(_key, values)).most_common(1)[0][0]
    return next(value for value in values if _key(value) == counted)


def _key(value: Any) -> str:
    """Equal for equal values: 12 and 12.0 are one number, and objects have no order."""
    if isinstance(value, Mapping):
        return repr(sorted((str(name), _key(one)) for name, one in value.items()))
    if isinstance(value, list):
        return repr([_key(one) for one in value])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return repr(value)
    return repr(int(value)) if float(value).is_integer() else repr(float(value))

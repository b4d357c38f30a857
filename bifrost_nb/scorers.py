"""Scorers: what judges one answer. Pass them to `compare(score=...)` or `comparison.score(name=...)`.

Each function here makes a scorer, a plain callable ``scorer(run, row)`` that returns a `Score`; a function of your own
does as well. `row` is the answer's row of inputs, and where a scorer takes a column, that column holds what is right::

    from bifrost_nb import scorers

    comparison = bf.compare(deployments, prompt, inputs=cases, score=scorers.exact("expected"))
    comparison.score(mentions=scorers.contains("must_mention"), brief=scorers.length(max=400))

A row without a value in that column (None, NaN, NA) is not judged: its score is NA.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from ._compare.bounded_search import found_in
from ._compare.embedding_scorer import Similar
from ._compare.number_text import numbers_in
from ._compare.rubric import Rubric
from ._compare.scoring import Bounded, Score, Scorer, ScorerFunction
from ._numbers import as_python, instant, missing, number as as_number, whole_number
from ._safe_text import plain, quoted
from ._wire.json_text import unfenced
from .errors import ConfigurationError

if TYPE_CHECKING:
    from ._client.client import Client
    from ._runs.run import Run

__all__ = [
    "Score",
    "Scorer",
    "bounded",
    "called",
    "contains",
    "exact",
    "fields",
    "json_valid",
    "length",
    "number",
    "regex",
    "rubric",
    "similar",
]

Row = Mapping[str, Any]


def exact(column: str, *, ignore_case: bool = False) -> Scorer:
    """1 where the answer is the text of `column`, 0 where not.

        comparison.score(scorers.exact("expected"))

    Blanks around both do not count, and with `ignore_case` neither do capitals; a list in the column holds several
    answers that are right.
    """

    def judge(run: Run, row: Row) -> Score:
        accepted = _texts(row, column)
        if not accepted:
            return Score(None)
        given = _folded(run.text, ignore_case)
        if any(given == _folded(text, ignore_case) for text in (*accepted, *_texts(row, column, str))):
            return Score(1)
        return Score(0, f"{_short(run.text)} instead of {' or '.join(map(_short, accepted))}")

    return Scorer("exact", _shown("exact", column, ignore_case=ignore_case), judge, [_name(column)])


def contains(column_or_text: str, *, ignore_case: bool = False) -> Scorer:
    """1 where the answer contains the text of `column_or_text`, 0 where not.

        comparison.score(mentions=scorers.contains("must_mention", ignore_case=True))

    The name of a column of the inputs stands for that column, any other text for itself. A list in the column holds
    several texts that must all be there. With `ignore_case` capitals do not count.
    """
    text = _name(column_or_text)

    def judge(run: Run, row: Row) -> Score:
        wanted = _texts(row, text) if text in row else [text]
        if not wanted:
            return Score(None)
        given = _alike(run.text, ignore_case)
        missing = [one for one in wanted if _alike(one, ignore_case) not in given]
        return Score(0, "does not contain " + " and ".join(map(_short, missing))) if missing else Score(1)

    return Scorer("contains", _shown("contains", text, ignore_case=ignore_case), judge)


def regex(pattern: str | re.Pattern[str]) -> Scorer:
    r"""1 where the `pattern` is found in the answer, 0 where not.

        comparison.score(dated=scorers.regex(r"\d{4}-\d{2}-\d{2}"))

    An answer in which it is searched for longer than a second, as may be with repetitions of repetitions, is not
    judged and has an error. Raises ConfigurationError for what is no pattern.
    """
    try:
        compiled = re.compile(pattern)
        compiled.search("")
    except (re.error, TypeError) as error:  # the latter of a pattern of bytes, too
        raise ConfigurationError(f"regex takes a pattern, and {quoted(pattern)} is none: {error}.") from None

    def judge(run: Run, row: Row) -> Score:
        return Score(1) if found_in(compiled, run.text) else Score(0, f"nothing matches {compiled.pattern}")

    return Scorer("regex", _shown("regex", compiled.pattern), judge)


def number(column: str, *, rel: float = 1e-9, abs: float = 0.0) -> Scorer:
    """1 where the last number of the answer is that of `column`, 0 where not.

        comparison.score(scorers.number("total", rel=0.01))

    Within the share `rel` of the expected one or within `abs` of it, whatever is more. 1,234.50 and 1.234,50 are the
    same number, as are 1'234.5 and 1.2345 × 10^3. A number that is the expected one in a notation or unit that is not
    the likeliest, as 1.234 or 1.234k is where 1234 is expected, is not judged: NA. Raises ConfigurationError for a
    tolerance below 0.
    """
    for name, bound in (("rel", rel), ("abs", abs)):
        found = as_number(bound)
        if found is None or not 0 <= found < math.inf:
            raise ConfigurationError(f"{name} must be a number from 0, not {quoted(bound)}.")

    def judge(run: Run, row: Row) -> Score:
        wanted = _value(row, column)
        if wanted is None:
            return Score(None)
        expected = numbers_in(wanted) if isinstance(wanted, str) else [(float(wanted),)]
        if not expected:
            raise ValueError(f"the column {column!r} holds no number: {_short(wanted)}")
        found = numbers_in(run.text)
        if not found:
            return Score(0, "no number in the answer")
        right = expected[-1][0]
        within = max(abs, rel * math.fabs(right))
        near = [math.isclose(value, right, rel_tol=0.0, abs_tol=within) for value in found[-1]]
        if near[0]:
            return Score(1)
        if any(near):
            return Score(None, f"the answer says {found[-1][0]:g}, or {right:g} in another notation or unit")
        return Score(0, f"{found[-1][0]:g} instead of {right:g}")

    return Scorer("number", _shown("number", column, rel=rel, abs=abs), judge, [_name(column)])


def json_valid(*, fenced: bool = False) -> Scorer:
    """1 where the whole answer is JSON, 0 where not; with `fenced` it may stand inside one block of code.

    For example:

        comparison.score(parses=scorers.json_valid(fenced=True))
    """

    def judge(run: Run, row: Row) -> Score:
        try:
            _json(run.text, fenced)
        except ValueError as error:
            block = not fenced and unfenced(run.text)[:1] != run.text.strip()[:1]
            return Score(0, f"{error} (it is in a block of code)" if block else str(error))
        return Score(1)

    return Scorer("json_valid", _shown("json_valid", fenced=fenced), judge)


def fields(column_or_dict: str | Mapping[str, Any]) -> Scorer:
    """The share of fields of a JSON answer that are right, from 0 to 1.

        comparison.score(right=scorers.fields("expected"))
        comparison.score(right=scorers.fields({"total": "amount", "currency": "EUR"}))

    `column_or_dict`: a column holds for each row the object that is right, as a dict or as JSON. A dict says what each
    field must be: the value of a column of the inputs where it is the name of one, else itself. ``"address.city"`` is a
    field inside a field. 12 and 12.0 are equal, and so are texts but for blanks around them. An answer that is no JSON
    has 0. Raises ConfigurationError for anything else.
    """
    if not isinstance(column_or_dict, str | Mapping) or not column_or_dict:
        raise ConfigurationError(f"fields takes a column or a dict of fields, not {quoted(column_or_dict)}.")

    def judge(run: Run, row: Row) -> Score:
        expected = _expected(column_or_dict, row)
        if expected is None:
            return Score(None)
        try:
            given = _json(run.text, fenced=True)
        except ValueError as error:
            return Score(0, str(error))
        wrong = {name: found for name, value in expected.items() if not _same(found := _at(given, name), value)}
        return Score(1 - len(wrong) / len(expected), _differences(wrong, expected) or None)

    columns = [column_or_dict] if isinstance(column_or_dict, str) else []
    shown = column_or_dict if isinstance(column_or_dict, str) else dict(column_or_dict)
    return Scorer("fields", _shown("fields", shown), judge, columns)


def called(tool: str, **arguments: Any) -> Scorer:
    """1 where the answer calls `tool` with these `arguments`, 0 where not.

        comparison.score(looked_up=scorers.called("weather", city="city"))

    Arguments that are not named may be anything. An argument that is the name of a column of the inputs stands for that
    column's value.
    """

    def judge(run: Run, row: Row) -> Score:
        calls = [one.get("function") or one for one in run.tool_calls]
        mine = [one for one in calls if one.get("name") == tool]
        if not mine:
            others = ", ".join(sorted({str(one.get("name")) for one in calls}))
            return Score(0, f"called {others}, not {tool}" if others else "called no tool")
        wanted = {name: _meant(value, row) for name, value in arguments.items()}
        reasons = []
        for one in mine:
            try:
                given = _json(str(one.get("arguments") or "{}"), fenced=False)
            except ValueError as error:
                reasons.append(f"its arguments are no JSON: {error}")
                continue
            wrong = {name: found for name, value in wanted.items() if not _same(found := _at(given, name), value)}
            if not wrong:
                return Score(1)
            reasons.append(
                "; ".join(f"{name}: {_short(was)} instead of {_short(wanted[name])}" for name, was in wrong.items())
            )
        return Score(0, reasons[-1])

    return Scorer("called", _shown("called", tool, **arguments), judge)


def length(max: int | None = None, *, min: int | None = None, unit: str = "characters") -> Scorer:
    """1 where the answer is not longer than `max` (nor shorter than `min`), 0 where it is.

        comparison.score(brief=scorers.length(max=400), brief_words=scorers.length(60, unit="words"))

    `unit` is ``characters``, ``words`` or ``tokens``, the last as the provider counts them (NA where it does not).
    Raises ConfigurationError without a bound, or for another unit.
    """
    if unit not in ("characters", "words", "tokens"):
        raise ConfigurationError(f"unit must be 'characters', 'words' or 'tokens', not {quoted(unit)}.")
    max = None if max is None else whole_number("max", max, least=0)
    min = None if min is None else whole_number("min", min, least=0)
    if max is None and min is None:
        raise ConfigurationError("length needs max= or min=.")
    if max is not None and min is not None and min > max:
        raise ConfigurationError(f"length takes no answer of at least {min} and at most {max} {unit}.")

    def judge(run: Run, row: Row) -> Score:
        counted = {"characters": len(run.text), "words": len(run.text.split()), "tokens": run.completion_tokens}[unit]
        if counted is None:
            return Score(None, "the provider did not count tokens")
        right = (max is None or counted <= max) and (min is None or counted >= min)
        return Score(int(right), f"{counted:,} {unit}")

    given = {name: bound for name, bound in (("max", max), ("min", min)) if bound is not None}
    return Scorer("length", _shown("length", **given, unit=unit), judge)


def similar(column: str, *, deployment: str, client: Client | None = None) -> Scorer:
    """The cosine of the embeddings of the answer and of `column`: from -1 to 1, higher is nearer.

        comparison.score(near=scorers.similar("expected", deployment="openai/text-embedding-3-small"))

    `deployment` embeds. The calls go through `client`, by default the comparison's, and count as judging: they are in
    the log with the tag ``judge``, and the same pair of texts is not paid for twice.
    """
    return Similar(_name(column), deployment, client)


def rubric(
    question: str,
    *,
    judge: str | Mapping[str, Any],
    scale: int | Mapping[str, float] = 2,
    prompt: bool = True,
    client: Client | None = None,
) -> Scorer:
    """A model grades each answer by a `question`.

        comparison.score(grade=scorers.rubric("Is {{what}} named?", judge="openai/gpt-4o-mini"))

    `question` may have ``{{variables}}`` of the inputs. `scale` 2 grades no (0) or yes (1), another number 1 to that, a
    dict its labels, as in ``{"poor": 0, "fair": 0.5, "good": 1}``. The judge reads the question, the values of its
    variables, the prompt (unless ``prompt=False``) and the answer, all but the question marked as untrusted text, and
    never who wrote it. `judge` is a deployment, or a dict with parameters as in `compare`.

    Its calls go through `client`, by default the comparison's, count in ``max_cost_usd``, are in the log with the tag
    ``judge`` and are found there again. A reply that is not the JSON asked for is no grade: NA, with ``_error`` saying
    why. Raises ConfigurationError for a scale or a judge that is none.
    """
    return Rubric(question, judge, scale, prompt, client)


def bounded(scorer: ScorerFunction, low: float, high: float) -> Scorer:
    """`scorer`, and that it gives numbers from `low` to `high`.

        comparison.score(words=scorers.bounded(lambda run: min(10, len(run.text.split())), 0, 10))

    ``until="decided"`` needs to know: an interval that stays valid however often one looks rests on what a score
    can be. A function of your own is taken to give 0 to 1 unless you say otherwise. Raises ConfigurationError for ends
    that are no two numbers, the lower one first.
    """
    ends = as_number(low), as_number(high)
    if ends[0] is None or ends[1] is None or not -math.inf < ends[0] < ends[1] < math.inf:
        raise ConfigurationError(
            f"bounded takes the least and the most that it gives, not {quoted(low)} and {quoted(high)}."
        )
    if not callable(scorer) or isinstance(scorer, type):
        raise ConfigurationError(f"bounded takes a function of the run, not {quoted(scorer)}.")
    return Bounded(scorer.scorer if isinstance(scorer, Bounded) else scorer, ends[0], ends[1])


def _name(column: Any) -> str:
    if not isinstance(column, str) or not column:
        raise ConfigurationError(f"A scorer takes the name of a column, not {quoted(column)}.")
    return column


def _shown(name: str, *given: Any, **named: Any) -> str:
    default = {"ignore_case": False, "fenced": False, "rel": 1e-9, "abs": 0.0, "unit": "characters"}
    parts = [quoted(one) for one in given]
    parts += [f"{key}={value!r}" for key, value in named.items() if key not in default or value != default[key]]
    return f"{name}({', '.join(parts)})"


def _value(row: Row, column: str) -> Any:
    """A cell of the inputs as a plain object; None where it is missing."""
    if column not in row:
        raise KeyError(f"the inputs have no column {column!r}")
    value = _plain(row[column])
    return None if _missing(value) else value


def _missing(value: Any) -> bool:
    return value is None or missing(value) or (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> Any:
    """A number of numpy as Python's, an array as a list."""
    if not (hasattr(value, "tolist") and hasattr(value, "dtype")):
        return value
    found = as_python(value)  # which keeps a 32-bit 0.1
    return value.tolist() if found is value else found


def _texts(row: Row, column: str, form: Callable[[Any], str] | None = None) -> list[str]:
    value = _value(row, column)
    if value is None:
        return []
    several = value if isinstance(value, list | tuple | set | frozenset) else [value]
    return [(form or _said)(one) for one in several if not _missing(one)]


def _said(value: Any) -> str:
    """The text of a value; ``5`` of 5.0, as a column of whole numbers has it in which one is missing."""
    whole_float = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return str(int(value)) if whole_float else str(value)


def _alike(text: str, ignore_case: bool = False) -> str:
    """The same for texts that look the same: composed characters, line ends; capitals with `ignore_case`."""
    text = normalize("NFC", text.replace("\r\n", "\n"))
    return normalize("NFC", text.casefold()) if ignore_case else text


def _folded(text: str, ignore_case: bool) -> str:
    return _alike(text, ignore_case).strip()


def _short(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}"
    return repr(plain(value if isinstance(value, str) else str(value), 80))


def _differences(wrong: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {_short(found)} instead of {_short(expected[name])}" for name, found in wrong.items())


def _json(text: str, fenced: bool) -> Any:
    """`text` as JSON by the standard, which has no NaN. Raises ValueError that says what is wrong."""

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no JSON")

    try:
        return json.loads(unfenced(text) if fenced else text, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error}") from None
    except RecursionError:
        raise ValueError("no JSON: nested too deeply") from None


def _expected(given: str | Mapping[str, Any], row: Row) -> dict[str, Any] | None:
    if isinstance(given, Mapping):
        return {name: _meant(value, row) for name, value in given.items()}
    value = _value(row, given)
    found = value
    if isinstance(value, str):
        with suppress(ValueError):
            found = _json(value, fenced=False)
    if value is not None and not (isinstance(found, Mapping) and found):
        way = f"for one field of the answer write fields({{'field': {given!r}}})"
        raise ValueError(f"the column {given!r} holds no object with fields: {_short(value)}; {way}")
    value = found
    return None if value is None else dict(value)


def _meant(value: Any, row: Row) -> Any:
    return _value(row, value) if isinstance(value, str) and value in row else value


def _at(given: Any, path: str) -> Any:
    """The field `path` of a JSON value; None where there is none."""
    if isinstance(given, dict) and path in given:
        return given[path]
    for name in path.split("."):
        given = given.get(name) if isinstance(given, dict) else None
    return given


def _same(a: Any, b: Any) -> bool:
    """Whether `a`, of an answer's JSON, is `b`, of the inputs, whose numbers and dates may be of any kind."""
    b = as_python(_plain(b))  # a Decimal, too
    if _missing(b):
        return a is None
    if isinstance(a, str) and hasattr(b, "isoformat"):  # JSON has dates as text
        moment = instant(b.isoformat())
        return a.strip() == b.isoformat() or (moment is not None and instant(a.strip()) == moment)
    if isinstance(a, str) and isinstance(b, str):
        return _folded(a, False) == _folded(b, False)
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=1e-9)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_same(one, other) for one, other in zip(a, b, strict=True))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(value, b[name]) for name, value in a.items())
    return bool(a == b)

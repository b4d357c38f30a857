"""A model decides between two answers: each pair in both orders, names never shown, its own leanings measured."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from .._display.run import answered, seen_text
from .._display.table import Table
from .._numbers import whole, whole_number
from .._prompts.template import variables
from .._safe_text import quoted
from ..errors import ConfigurationError, TemplateError
from .comparison_frame import asked_of_both
from .judge_calls import JudgeCalls, error_of
from .judge_question import UNTRUSTED, Question, fenced, pictures_asked, prompt_data, question_about
from .judge_reply import json_reply, reply_schema
from .same_questions import question_of
from .verdict import cost_text

if TYPE_CHECKING:
    import pandas as pd

    from .._runs.run import Run
    from .planned_prompt import PlannedPrompt

__all__ = ["COLUMNS", "Judgement", "PairAnswer", "judge_pairs"]

COLUMNS = (
    *("model_a", "model_b", "winner", "prompt_id", "run_a", "run_b"),  # as a vote's frame has them
    *("input_id", "repeat", "flip", "first_ab", "first_ba", "longer", "reason", "reason_swapped", "error"),
)
_TYPES = {
    **dict.fromkeys(COLUMNS, "string"),
    **dict.fromkeys(("repeat", "first_ab", "first_ba", "longer"), "Int64"),
    "flip": "boolean",
}
_FIRST = {"first": 1, "second": -1, "tie": 0}


@dataclass(frozen=True, slots=True, eq=False)
class PairAnswer:
    """One answer of a comparison as pairs are made of it."""

    name: str
    """The variant's name; it is shown to nobody who judges."""
    input_id: str
    row: Mapping[str, Any]
    run: Run
    apart: str = ""
    """What the two answers of a pair share beside input and repeat."""
    prompt: PlannedPrompt | None = None
    """What was asked, apart from what is the variant's own: its system message, its earlier turns."""

    @property
    def said(self) -> str:
        """The answer as the judge reads it."""
        return answered(self.run)


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    a: PairAnswer
    b: PairAnswer

    @property
    def same(self) -> bool:
        return seen_text(self.a.said) == seen_text(self.b.said)


class Judgement:
    """What a model, `judge`, decided by `question` about pairs of answers, each asked in both orders.

    `frame` has one row per pair: ``model_a``, ``model_b`` and ``winner`` (``model_a``, ``model_b``, ``tie``; NA: not
    judged, ``error`` says why), ``flip`` (it chose the same side in both orders, so it contradicted itself; such a pair
    is a tie), ``first_ab`` and ``first_ba`` (1: the first answer was preferred, -1: the second, 0: neither; a's answer
    is the first of ``ab``), ``longer`` (1: a's answer has more characters), and the judge's reasons. Two equal answers
    are a tie that nobody was asked about.
    """

    def __init__(self, question: str, judge: str, frame: pd.DataFrame, models: Sequence[str], calls: JudgeCalls,
                 served: Mapping[str, str | None]) -> None:  # fmt: skip
        self.question, self.judge = question, judge
        self.frame = frame
        self._models, self._served = list(models), dict(served)
        self.runs: list[Run] = [run for runs in calls.runs.values() for run in runs]
        """The judge's runs, those out of the log included."""
        self.notes = list(calls.notes)
        """What is to be known of its calls, in words."""

    def __getstate__(self) -> dict[str, Any]:
        """What a file gets: reasons and notes, which quote answers, without what a `redact` hook kept of the calls."""
        from .._report.redacted import words_as_written

        keep = words_as_written(self.runs)
        quoting = ("reason", "reason_swapped", "error")
        kept = self.frame.assign(**{name: self.frame[name].map(keep, na_action="ignore") for name in quoting})
        return {
            **self.__dict__,
            "frame": kept.astype(_TYPES),
            "notes": [note for note in map(keep, self.notes) if note],
        }

    @property
    def flips(self) -> int:
        """Pairs about which the judge contradicted itself when the order was swapped."""
        return int(self.frame["flip"].sum())

    @property
    def cost_usd(self) -> float | None:
        """What the judge's calls cost, in US dollars; None where no cost is known."""
        known = [run.cost_usd for run in self.runs if run.cost_usd is not None]
        return sum(known) if known else None

    @property
    def preferences(self) -> pd.DataFrame:
        """What the judge likes apart from quality: ``position``, ``length`` and ``own family``.

        Columns: ``points`` (share won minus share lost by the first answer, the longer one, the judge's family, times
        100), ``low`` and ``high`` (95 % bootstrap interval over inputs; NA below six), ``n`` pairs, ``meaning``.
        Position cannot come from quality, as each pair was asked in both orders; length is measured among pairs of
        the same two variants; a family's answers may really be better.
        """
        from .judge_bias import preferences

        return preferences(self.frame, self.judge, self._served)

    def ranking(self, confidence: float = 0.95) -> pd.DataFrame:
        """The variants from strongest to weakest: Bradley-Terry strengths with intervals.

            judged.ranking(confidence=0.9)[["model", "strength", "win_chance"]]

        Columns: ``model``, ``votes``, ``wins``, ``losses``, ``ties``; ``strength`` in log-odds against the mean of all,
        from ``low`` to ``high`` with the probability `confidence`; ``win_chance``, from 0 to 1, against one of mean
        strength. Repeats and copies of an input weigh as one vote. What the judge did not say in both orders counts as
        a tie, but not as a sign that the two are equal: the interval has room for what it would be without. Of a single
        variant, or without a judgement, the last four are NA. Raises ConfigurationError for a confidence that is none.
        """
        from .._statistics.ranking import ranking

        asked = self.frame["input_id"].map(question_of, na_action="ignore")
        by_order = self.frame["first_ab"].ne(-self.frame["first_ba"]).fillna(value=False).astype(bool)
        return ranking(self.frame.assign(question=asked, unsettled=by_order), self._models, confidence)

    def __repr__(self) -> str:
        return "\n\n".join([self._said(), *(repr(table) for table in self._tables())])

    def _repr_html_(self) -> str:
        from .._display.html import text

        tables = "".join(table._repr_html_() for table in self._tables())
        return f"<div><div><b>{text(self._said())}</b></div>{tables}</div>"

    def _said(self) -> str:
        frame = self.frame
        judged = int(frame["winner"].notna().sum())
        alone = int((frame["winner"].notna() & frame["first_ab"].isna()).sum())
        parts = [f"{judged:,} of {len(frame):,} pairs judged by {self.judge}"]
        parts += [f"{alone:,} equal answers not asked about"] if alone else []
        parts.append(f"{self.flips:,} contradicted when swapped (ties)")
        parts.append(f"cost {cost_text(self.runs)}")
        errors = frame["error"].dropna()
        parts += [f"{len(errors):,} without a verdict, such as: {errors.iloc[0]}"] if len(errors) else []
        return f"{self.question} · {' · '.join(parts)}"

    def _tables(self) -> list[Table]:
        from .._statistics.ranking import strength_text

        rank = ["model", "won", "lost", "tied", "strength (95% interval)"]
        rows = [
            dict(zip(rank, [row.model, row.wins, row.losses, row.ties, strength_text(row)], strict=True))
            for row in self.ranking().astype("object").itertuples(index=False)
        ]
        like = ["preference", "points (95% interval)", "pairs", "meaning"]
        liked = [
            dict(zip(like, [row.preference, _points(row), row.n, row.meaning], strict=True))
            for row in self.preferences.astype("object").itertuples(index=False)
        ]
        return [Table(rank, rows), Table(like, liked)]


def _points(row: Any) -> str | None:
    if not isinstance(row.points, float):
        return None
    interval = f" ({row.low:+.0f} to {row.high:+.0f})" if isinstance(row.low, float) else ""
    return f"{row.points:+.0f}{interval}"


def judge_pairs(
    question: str,
    judge: Any,
    answers: Sequence[PairAnswer],
    calls: JudgeCalls,
    *,
    limit: int | None = None,
    seed: int = 0,
) -> Judgement:
    """Ask `judge` about every two answers of different variants to the same input and repeat.

    `limit` is the most pairs, drawn by `seed`. Raises ConfigurationError before anything is asked, KeyboardInterrupt.
    """
    who = judge if isinstance(judge, str) else judge.get("deployment") if isinstance(judge, Mapping) else None
    if not isinstance(who, str):
        raise ConfigurationError(f"judge must be a deployment like 'openai/gpt-4o', not {quoted(judge)}.")
    if not isinstance(question, str) or not question.strip():
        raise ConfigurationError("A judge needs a question, like 'Which answer helps the customer more?'.")
    most = None if limit is None else whole(limit) or 0
    if most is not None and most < 1:
        raise ConfigurationError(f"limit must be a number of pairs from 1, not {quoted(limit)}.")
    seed = whole_number("seed", seed, least=None)
    names = list(dict.fromkeys(one.name for one in answers))
    missing = [name for name in variables(question) if answers and name not in answers[0].row]
    if missing:
        raise ConfigurationError(f"The question needs {{{{{missing[0]}}}}}, which the inputs do not have.")
    pairs = _pairs(answers)
    if not pairs:
        raise ConfigurationError("There is nothing to judge: no input was answered by two variants.")
    if most is not None and len(pairs) > most:
        pairs = [pairs[place] for place in sorted(random.Random(seed).sample(range(len(pairs)), most))]
    asked: dict[int, tuple[Question, Question]] = {}
    pictures: dict[str, str] = {}
    faults: dict[int, str] = {}
    for place, pair in enumerate(pairs):
        if not pair.same:
            try:
                asked[place] = (
                    _question(question, pair.a, pair.b, pictures),
                    _question(question, pair.b, pair.a, pictures),
                )
            except TemplateError as error:
                faults[place] = str(error)
    replies: dict[Question, Run] = {}
    questions = [one for both in asked.values() for one in both]
    calls.ask("pairs", judge, questions, reply_schema("better", list(_FIRST)), replies)
    rows = []
    for place, pair in enumerate(pairs):
        ab, ba = (replies.get(one) for one in asked[place]) if place in asked else (None, None)
        rows.append(_row(pair, ab, ba, calls, faults.get(place)))
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(_TYPES)
    served = {one.name: one.run.served or one.run.requested for one in answers}
    return Judgement(question, who, frame, names, calls, served)


def _pairs(answers: Sequence[PairAnswer]) -> list[_Pair]:
    together: dict[tuple[str, str, int | None], list[PairAnswer]] = {}
    for one in answers:
        if one.run.status == "ok" and one.said.strip():
            together.setdefault((one.input_id, one.apart, one.run.repeat), []).append(one)
    return [_Pair(a, b) for some in together.values() for a, b in combinations(some, 2) if a.name != b.name]


def _question(question: str, first: PairAnswer, second: PairAnswer, pictures: dict[str, str]) -> Question:
    data = []
    if first.run.prompt == second.run.prompt:
        data.append(prompt_data(first.run))
    elif first.prompt is not None and second.prompt is not None:
        data += [fenced(name, said) for name, said in asked_of_both(first.prompt, second.prompt).items()]
    data += [fenced("first answer", first.said), fenced("second answer", second.said)]
    system = (
        "You compare two answers, the texts named `first answer` and `second answer`, by the question of the user."
        " Their order says nothing, and a longer answer is not a better one. If neither is better, say tie."
        f" {UNTRUSTED} Reply with one JSON object and nothing else:"
        ' {"reason": "one or two sentences", "better": "first" or "second" or "tie"}.'
    )
    shown = pictures_asked(first.run, pictures)
    return question_about(data, question=question, row=first.row, system=system, pictures=shown)


def _row(pair: _Pair, ab: Run | None, ba: Run | None, calls: JudgeCalls, fault: str | None) -> dict[str, Any]:
    a, b = pair.a.run, pair.b.run
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"model_a": pair.a.name, "model_b": pair.b.name, "prompt_id": a.prompt_id, "input_id": pair.a.input_id}
    row |= {"repeat": a.repeat, "run_a": a.run_id, "run_b": b.run_id, "flip": False}
    row["longer"] = (len(pair.a.said) > len(pair.b.said)) - (len(pair.a.said) < len(pair.b.said))
    if pair.same:
        return {**row, "winner": "tie"}
    if fault is not None:
        return {**row, "flip": None, "error": fault}
    verdicts: list[int] = []
    for run, chosen, reason in ((ab, "first_ab", "reason"), (ba, "first_ba", "reason_swapped")):
        error = error_of(run, calls)
        try:
            if error is None and run is not None:
                better, row[reason] = json_reply(run.text, "better", list(_FIRST))
                row[chosen] = _FIRST[better]
                verdicts.append(_FIRST[better])
        except ValueError as unreadable:
            error = str(unreadable)
        row["error"] = row["error"] or error
    if len(verdicts) < 2:  # one order alone would be the position as much as the answer
        return {**row, "flip": None}
    for_a, against = verdicts[0], -verdicts[1]
    flip = for_a * against < 0
    agreed = "tie" if for_a != against or not for_a else "model_a" if for_a > 0 else "model_b"
    return {**row, "winner": agreed, "flip": flip}

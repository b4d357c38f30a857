"""A scorer that asks a model: each answer is graded by a question.

Which form the question and its data take: `judge_question`; the reply: `judge_reply`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._display.run import answered
from .._keys import guard_entries
from .._numbers import number, whole
from .._prompts.template import with_names
from .._safe_text import plain, quoted
from ..errors import ConfigurationError, TemplateError
from .judge_calls import JudgeCalls, error_of
from .judge_question import UNTRUSTED, Question, fenced, pictures_asked, prompt_data, question_about
from .judge_reply import json_reply, reply_schema
from .scoring import Judged, ModelScorer, Row, Score, judged_of

if TYPE_CHECKING:
    from .._client.client import Client
    from .._runs.run import Run

__all__ = ["Rubric"]


class Rubric(ModelScorer):
    """A model grades each answer by a question; see `bifrost_nb.scorers.rubric`."""

    def __init__(
        self, question: str, judge: Any, scale: int | Mapping[str, float], prompt: bool, client: Client | None
    ) -> None:
        if not isinstance(question, str) or not question.strip():
            raise ConfigurationError("A rubric needs a question, like 'Is every claim supported by {{source}}?'.")
        if not isinstance(judge, str | Mapping):
            raise ConfigurationError(
                f"judge must be a deployment like 'openai/gpt-4o', not {quoted(judge)}.",
                hint="A dict gives it parameters: judge={'deployment': 'openai/gpt-4o', 'temperature': 0}.",
            )
        [judge] = guard_entries([judge])
        self.question, self.judge, self.grades = question, judge, _grades(scale)
        self.prompt, self._client = prompt, client
        _, paths = with_names(question)
        columns = list(dict.fromkeys(re.split(r"[.\[]", path, maxsplit=1)[0] for path in paths))
        who = judge if isinstance(judge, str) else judge.get("deployment")
        shown = f"rubric({question!r}, judge={who!r}" + ("" if scale == 2 else f", scale={scale!r}") + ")"
        super().__init__("rubric", shown, self._alone, columns)
        self.bounds = min(0.0, *self.grades.values()), max(1.0, *self.grades.values())
        if min(self.grades.values()) >= 1:  # a scale of 1 to 5 has no 0
            self.bounds = min(self.grades.values()), self.bounds[1]

    def judge_all(self, name: str, work: Sequence[tuple[Run, Row]], calls: JudgeCalls, into: list[Judged]) -> None:
        """See `ModelScorer.judge_all`."""
        asked: dict[int, Question] = {}
        pictures: dict[str, str] = {}
        for place, (run, row) in enumerate(work):
            try:
                asked[place] = self._asked(run, row, pictures)
            except TemplateError as error:
                into[place] = Judged(None, None, plain(f"not judged: {error}", 300))
        replies: dict[Question, Run] = {}
        interrupted = True
        try:
            schema = reply_schema("grade", list(self.grades))
            calls.ask(name, self.judge, list(asked.values()), schema, replies)
            interrupted = False
        finally:
            for place, question in asked.items():
                if question in replies or not interrupted:
                    into[place] = self._graded(replies.get(question), calls)

    def _asked(self, run: Run, row: Row, pictures: dict[str, str]) -> Question:
        grades = ", ".join(json.dumps(grade) for grade in self.grades)
        order = "" if not all(isinstance(one, int) for one in self.grades) else " (higher is better)"
        system = (
            "You grade one answer, the text named `answer`, by the question of the user."
            f" The grade is one of: {grades}{order}. {UNTRUSTED}"
            ' Reply with one JSON object and nothing else: {"reason": "one or two sentences", "grade": ...}.'
        )
        return question_about(
            [*([prompt_data(run)] if self.prompt else []), fenced("answer", answered(run))],
            question=self.question,
            row=row,
            system=system,
            pictures=pictures_asked(run, pictures) if self.prompt else (),
        )

    def _graded(self, run: Run | None, calls: JudgeCalls) -> Judged:
        error = error_of(run, calls)
        if error is not None or run is None:
            return Judged(None, None, error)
        try:
            grade, reason = json_reply(run.text, "grade", list(self.grades))
        except ValueError as fault:
            return Judged(None, None, str(fault))
        label = grade if isinstance(grade, str) else None
        return judged_of(Score(self.grades[grade], reason=reason, label=label))

    def _alone(self, run: Run, row: Row) -> Score:
        calls = JudgeCalls(self._client)
        found = [Judged(None)]
        self.judge_all("score", [(run, row)], calls, found)
        if found[0].error is not None:
            raise ValueError(found[0].error)
        return Score(found[0].value, found[0].reason)


def _grades(scale: Any) -> dict[Any, float]:
    """Grade -> value: yes and no, 1 to n, or the user's labels."""
    if isinstance(scale, Mapping):
        numbers = all((found := number(value)) is not None and abs(found) < 1e15 for value in scale.values())
        if len(scale) < 2 or not numbers or not all(isinstance(label, str) and label for label in scale):
            raise ConfigurationError(f"A scale of labels maps two or more texts to numbers, not {quoted(scale)}.")
        return {label: float(value) for label, value in scale.items()}
    grades = whole(scale)
    if grades is None or not 2 <= grades <= 100:
        raise ConfigurationError(
            f"scale must be 2 (no, yes), a number of grades up to 100 or a dict of labels, not {quoted(scale)}.",
            hint="scale={'poor': 0, 'good': 1} has labels.",
        )
    if grades == 2:
        return {"no": 0.0, "yes": 1.0}
    return {grade: float(grade) for grade in range(1, grades + 1)}

"""The frame of a comparison: the columns of every frame, what was compared, its inputs, media, answers and scores."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

from .._prompts.pictures import described, shortened
from .._prompts.shown_value import shown_value
from .._safe_text import plain
from .media_costs import add_media
from .typed_columns import add_answers

if TYPE_CHECKING:
    import pandas as pd

    from .._runs.run import Run
    from .._runs.store import RunsInOrder
    from .plan import Plan, Trial
    from .planned_prompt import PlannedPrompt
    from .scoring import Judged

__all__ = ["asked_of_both", "build_frame", "learned_late", "prompts_frame", "shown_input", "shown_question"]


def build_frame(
    plan: Plan, trials: Sequence[Trial], runs: RunsInOrder, scores: Mapping[str, Sequence[Judged]]
) -> pd.DataFrame:
    """A row for each of `runs`, of which `trials` were asked and `scores` are known; see `Comparison.frame`."""
    import pandas as pd

    from .._runs.frame import to_frame

    frame = to_frame(runs.glances())
    if any(trial.turns for trial in trials):
        shown = [None if run.prompt is None else shortened(run.prompt) for run in runs.glances()]
        frame["prompt"] = pd.Series(shown, dtype=frame["prompt"].dtype)
    _add_inputs(frame, plan.prompts, trials)
    add_media(frame, plan.kind, runs, [next(iter(trial.prompt.sounds.values()), None) for trial in trials])
    if plan.schema is not None:
        add_answers(frame, plan.schema, runs)
    for name, values in scores.items():
        frame[name] = pd.array([one.value for one in values], dtype="Float64")
        for part in ("reason", "error"):
            texts = [getattr(one, part) for one in values]
            frame[f"{name}_{part}"] = pd.Series(texts, dtype=frame["prompt"].dtype)
    return frame


def _add_inputs(frame: pd.DataFrame, prompts: Iterable[PlannedPrompt], trials: Sequence[Trial]) -> None:
    import pandas as pd

    dtype = frame["prompt"].dtype
    frame["variant"] = pd.Series([trial.variant for trial in trials], dtype=dtype)
    frame["template"] = pd.Series([trial.prompt.template for trial in trials], dtype=dtype)
    frame["input_id"] = pd.Series([trial.prompt.input_id for trial in trials], dtype=dtype)
    for name in dict.fromkeys(name for prompt in prompts for name in prompt.values):
        column = f"input_{name}"
        while column in frame:
            column += "_"
        values = [shown_input(trial.prompt, name) for trial in trials]
        frame[column] = _column(values)


_EXACT = 2**53
"""Above it a float does not tell whole numbers apart."""


def _column(values: Sequence[Any]) -> pd.Series[Any]:
    """Values in pandas' own dtypes, none of them changed: a whole number is no float because another is missing."""
    import pandas as pd

    as_given = pd.Series(values, dtype=object)
    inferred = as_given.infer_objects()
    if inferred.dtype not in ("float64", "object"):
        return inferred
    there = as_given[as_given.notna()]
    whole = [int(value) for value in there if isinstance(value, Integral) and not isinstance(value, bool)]
    if len(whole) == len(there) > 0 and all(-(2**63) <= value < 2**63 for value in whole):
        return as_given.where(as_given.notna(), None).astype("Int64")
    return as_given if any(abs(value) > _EXACT for value in whole) else inferred


def learned_late(run: Run) -> object:
    """What a frame has of a run that may change after its answer."""
    return run.cost_usd, run.served, run.rating, run.tags.get("note")


def prompts_frame(prompts: Iterable[PlannedPrompt]) -> pd.DataFrame:
    """One row per prompt: ``prompt_id``, ``template``, ``prompt`` and the columns of the inputs."""
    import pandas as pd

    rows = [
        {
            **{name: shown_input(one, name) for name in one.values},
            "prompt_id": one.prompt_id,
            "template": one.template,
            "prompt": one.text,
        }
        for one in prompts
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    table = pd.DataFrame({name: _column([row.get(name) for row in rows]) for name in names})
    first = ["prompt_id", "template", "prompt"]
    return table[[*first, *(name for name in table.columns if name not in first)]]


def shown_input(prompt: PlannedPrompt, name: str) -> Any:
    """A value of the inputs for a table: a path as text, which every file can hold; of a picture that has none what it
    is."""
    value = prompt.values.get(name)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if name in prompt.pictures and (not isinstance(value, str) or value.startswith("data:")):
        return described(prompt.pictures[name])
    if name in prompt.sounds and not isinstance(value, str):
        return prompt.sounds[name].words
    return value


def asked_of_both(one: PlannedPrompt, other: PlannedPrompt) -> dict[str, str]:
    """What two answers have in common whose prompts differ, by its name: of one template the prompt without what is a
    variant's own; of two the inputs, as which prompt was whose would tell the variants apart."""
    if one.text == other.text:
        return {"prompt": one.text}
    return {f"input {name}": shown_value(shown_input(one, name)) for name in one.values}


def shown_question(prompts: Iterable[PlannedPrompt], input_id: str) -> str:
    """The prompt of an input in a line; of two templates the inputs that both were filled in with."""
    found = [one for one in prompts if one.input_id == input_id]
    said = found[0].text if found else ""
    if len({one.text for one in found}) > 1:
        said = ", ".join(f"{name}: {shown_value(shown_input(found[0], name))}" for name in found[0].values)
    return plain(" ".join(said.split()), 120)

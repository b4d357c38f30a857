"""What the run log already holds of a plan: the trials that need not be paid for again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .plan import Plan

if TYPE_CHECKING:
    from .._runs.log.log import RunLog
    from .._runs.run import Run

__all__ = ["notes_on", "recorded"]


def recorded(plan: Plan, log: RunLog) -> dict[str, Run]:
    """The newest completed run of each cell that the log has one for, by the cell's identity.

    A run that failed, was cut off or cancelled is none: its cell is sent again. The runs are named as `plan` names
    them, whatever comparison they were first made for; a note that somebody gave an answer stays with it.
    """
    trials = {trial.trial_id: trial for trial in plan.trials}
    found: dict[str, Run] = {}
    for run in log.read(prompt_id={trial.prompt.prompt_id for trial in plan.trials}, status="ok"):
        trial = trials.get(str(run.tags.get("cell")))
        if trial is not None:
            # Its note stays, and the pass in which it was sent: its times belong to that hour.
            kept: dict[str, Any] = {name: run.tags[name] for name in ("note", "sweep") if name in run.tags}
            given = {name: value for name, value in plan.tags_of(trial).items() if name != "sweep"}
            run.comparison_id, run.tags = plan.comparison_id, {**given, **kept}
            found[trial.trial_id] = run
    return found


def notes_on(done: Mapping[str, Run]) -> list[str]:
    """What is to be said about answers out of the log: they may not be there as they were given."""
    count = sum("response" in run.redacted for run in done.values())
    if not count:
        return []
    return [f"{count} answers come from the log, where a redact hook had changed or left out their text: no scores."]

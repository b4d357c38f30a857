"""What the run log already holds of a plan: the trials that need not be paid for again."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._runs.store import RunStore
from .kept_media import give_back, notes_on_media
from .plan import Plan

if TYPE_CHECKING:
    from .._runs.log.log import RunLog
    from .._runs.run import Run

__all__ = ["COSINE_TAG", "Resumed", "notes_on", "recorded", "resumed"]

COSINE_TAG = "cosine"
"""What the `similar` scorer found: the log has no vectors, so it has this."""
_KEPT = ("note", "sweep", COSINE_TAG)
"""Tags that stay with an answer whatever comparison takes it; its times belong to the pass in which it was sent."""


@dataclass(slots=True)
class Resumed:
    """What need not be sent."""

    done: RunStore = field(default_factory=RunStore)
    interrupted: bool = False
    """The interrupt key was pressed while another process made these calls."""


@contextlib.contextmanager
def resumed(plans: Sequence[Plan], log: RunLog, *, fresh: bool = False) -> Iterator[Resumed]:
    """What the log holds of `plans`; until the block ends no other process sends what it lacks.

    Where another process is sending some of it, its answers are waited for.
    """
    if fresh:
        yield Resumed()
        return
    from .._runs.log.claims import claimed

    size = log.size()
    found = Resumed(_all_recorded(plans, log))
    missing = {trial.trial_id for plan in plans for trial in plan.trials} - found.done.keys()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(claimed(log.path, missing, _tell))
        except KeyboardInterrupt:
            found.interrupted = True
        if missing and log.size() != size:  # somebody may have answered meanwhile
            found.done = _all_recorded(plans, log)
        yield found


def _all_recorded(plans: Sequence[Plan], log: RunLog) -> RunStore:
    found = RunStore()
    for plan in plans:
        _take(plan, log, found)
    return found


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def recorded(plan: Plan, log: RunLog) -> RunStore:
    """The newest completed run of each cell that the log has one for, by the cell's identity.

    A run that failed, was cut off or cancelled is none: its cell is sent again. The runs are named as `plan` names
    them, whatever comparison they were first made for; a note that somebody gave an answer stays with it.
    """
    return _all_recorded([plan], log)


def _take(plan: Plan, log: RunLog, found: RunStore) -> None:
    trials = {trial.trial_id: trial for trial in plan.trials}
    for run in log.read_each(prompt_id={trial.prompt.prompt_id for trial in plan.trials}, status="ok"):
        trial = trials.get(str(run.tags.get("cell")))
        if trial is not None:
            kept: dict[str, Any] = {name: run.tags[name] for name in _KEPT if name in run.tags}
            given = {name: value for name, value in plan.tags_of(trial).items() if name != "sweep"}
            run.comparison_id, run.tags = plan.comparison_id, {**given, **kept}
            give_back(plan, trial, run)
            found[trial.trial_id] = run


def notes_on(plan: Plan, done: Mapping[str, Run]) -> list[str]:
    """What is to be said about answers out of the log: they may not be there as they were given."""
    count = sum("response" in run.redacted for run in done.values())
    gone = notes_on_media(plan, done.values())
    if not count:
        return gone
    return [
        *gone,
        f"{count} answers come from the log, where a redact hook had changed or left out their text: no scores.",
    ]

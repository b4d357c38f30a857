"""What the run log already holds of a plan: the trials that need not be paid for again."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .._runs.store import RunStore
from .kept_media import give_back, notes_on_media
from .plan import Plan
from .progress import tell

if TYPE_CHECKING:
    from .._client.client import Client
    from .._runs.log.log import RunLog
    from .._runs.run import Run

__all__ = ["COSINE_TAG", "Resumed", "notes_on", "recorded", "resumed"]

COSINE_TAG = "cosine"
"""What the `similar` scorer found: the log has no vectors, so it has this."""
_KEPT = ("note", "sweep", COSINE_TAG)
"""Tags that stay with an answer whatever comparison takes it; its times belong to the pass in which it was sent."""


MOST_COSTLESS = 2000
"""So many costs at most are looked for once more, those of the newest answers."""


@dataclass(slots=True)
class Resumed:
    """What need not be sent."""

    done: RunStore = field(default_factory=RunStore)
    costless: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_COSTLESS))
    """The trials of those in `done` whose cost is not known, the newest last."""
    interrupted: bool = False
    """The interrupt key was pressed while another process made these calls."""


@contextlib.contextmanager
def resumed(plans: Sequence[Plan], client: Client, *, fresh: bool = False) -> Iterator[Resumed]:
    """What the client's log holds of `plans`; until the block ends no other process sends what it lacks.

    Where another process is sending some of it, its answers are waited for. Costs that an answer's own process did not
    live to hear are looked for once more.
    """
    if fresh:
        yield Resumed()
        return
    from .._runs.log.claims import claimed

    log = client.log
    size = log.size()
    found = _all_recorded(plans, log, client)
    missing = {trial.trial_id for plan in plans for trial in plan.trials} - found.done.keys()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(claimed(log.path, missing, tell))
        except KeyboardInterrupt:
            found.interrupted = True
        if missing and log.size() != size:  # somebody may have answered meanwhile
            found = replace(_all_recorded(plans, log, client), interrupted=found.interrupted)
        _follow_costs(found, client)
        yield found


def _follow_costs(found: Resumed, client: Client) -> None:
    """A process that was killed had no time for the costs of its last answers, which come seconds later."""
    runs = [run for run in map(found.done.__getitem__, set(found.costless)) if run.cost_usd is None]

    async def follow() -> None:
        client.sender().costs.follow_past(runs, client.log)

    if runs:
        client.run_on_loop(follow())


def _all_recorded(plans: Sequence[Plan], log: RunLog, client: Client | None = None) -> Resumed:
    found = Resumed()
    for plan in plans:
        _take(plan, log, found, client)
    return found


def recorded(plan: Plan, log: RunLog) -> RunStore:
    """The newest completed run of each cell that the log has one for, by the cell's identity.

    A run that failed, was cut off or cancelled is none: its cell is sent again. The runs are named as `plan` names
    them, whatever comparison they were first made for; a note that somebody gave an answer stays with it.
    """
    return _all_recorded([plan], log).done


def _take(plan: Plan, log: RunLog, found: Resumed, client: Client | None) -> None:
    trials = {trial.trial_id: trial for trial in plan.trials}
    for run in log.read_each(prompt_id={trial.prompt.prompt_id for trial in plan.trials}, status="ok"):
        trial = trials.get(str(run.tags.get("cell")))
        if trial is not None:
            kept: dict[str, Any] = {name: run.tags[name] for name in _KEPT if name in run.tags}
            given = {name: value for name, value in plan.tags_of(trial).items() if name != "sweep"}
            run.comparison_id, run.tags = plan.comparison_id, {**given, **kept}
            if client is not None and "prompt" in run.written:
                # Known here, whatever a hook left of it: scorers read it, and a judge's question is found again by it.
                run.prompt = plan.call(client, trial).run.prompt
            give_back(plan, trial, run)
            found.done[trial.trial_id] = run
            if run.cost_usd is None:
                found.costless.append(trial.trial_id)


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

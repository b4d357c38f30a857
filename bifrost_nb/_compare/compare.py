"""`compare`: send every prompt to every deployment, and get the result as a table, numbers and pictures."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, overload

from .._client.portal import portal
from ..errors import ConfigurationError
from .comparison import Comparison
from .interrupted import ComparisonInterrupted
from .plan import Plan, make_plan
from .progress import Bar
from .resume import recorded
from .scoring import Judge, Score, judges_of, scores
from .sweep import Sweep

if TYPE_CHECKING:
    from .._client.client import Client
    from .._client.transport import Sink
    from .._runs.run import Run
    from .cluster import Remote
    from .preflight import Preflight

__all__ = ["ComparisonInterrupted", "compare"]

LOOK_S = 0.1


@overload
def compare(
    deployments: Any, prompt: str | Mapping[str, str], *, dry_run: Literal[True], **arguments: Any
) -> Preflight: ...
@overload
def compare(
    deployments: Any,
    prompt: str | Mapping[str, str],
    *,
    inputs: Any = None,
    repeats: int = 1,
    chat: bool = False,
    system: str | None = None,
    fallbacks: Sequence[str] | None = None,
    concurrency: int = 16,
    stream: bool = True,
    client: Client | None = None,
    seed: int = 0,
    fresh: bool = False,
    dry_run: Literal[False] = False,
    max_cost_usd: float | None = None,
    score: Judge | Mapping[str, Judge] | None = None,
    live: Sink | bool | None = None,
    cluster: Any = None,
    tags: Mapping[str, Any] | None = None,
    requests_per_minute: float | None = None,
    **parameters: Any,
) -> Comparison: ...
def compare(
    deployments: Any,
    prompt: str | Mapping[str, str],
    *,
    inputs: Any = None,
    repeats: int = 1,
    chat: bool = False,
    system: str | None = None,
    fallbacks: Sequence[str] | None = None,
    concurrency: int = 16,
    stream: bool = True,
    client: Client | None = None,
    seed: int = 0,
    fresh: bool = False,
    dry_run: bool = False,
    max_cost_usd: float | None = None,
    score: Judge | Mapping[str, Judge] | None = None,
    live: Sink | bool | None = None,
    cluster: Any = None,
    tags: Mapping[str, Any] | None = None,
    requests_per_minute: float | None = None,
    **parameters: Any,
) -> Comparison | Preflight:
    """Send every prompt to every deployment, `repeats` times, and compare what comes back.

    `deployments`: a list of ``provider/model``, or of dicts ``{"deployment": "provider/model", "name": ..., ...}``
    with parameters, `fallbacks`, `concurrency` or `requests_per_minute` of their own. `prompt`: a template with
    ``{{variables}}``, or a dict of named ones; `inputs`: their values as a DataFrame, a dict of lists or a list of
    dicts. `parameters` (``max_tokens=60``) go to every deployment.

    What the run log already holds of these calls is not sent again: running the same cell twice sends only what is
    missing or failed, and a further deployment, prompt or repeat sends only that. `fresh` sends all anew.

    `concurrency` calls at most are open for each deployment; 429 narrows that, success widens it again. `seed` decides
    the order of sending. `dry_run` sends nothing and says what it would take. `max_cost_usd` stops when so much has
    been observed to be spent, at most one wave of calls too late. `score`: a function of the run (and, if it takes
    two, of the row of inputs) that returns a number, sync or async, or a dict of them. `live` True
    shows in a notebook the answers as they come, or counters where there are many, with Stop; or it is a function that
    is called as ``live(run, pieces)`` on the private loop. `cluster`: a ``dask.distributed.Client`` to spread
    the calls over.

    Raises ConfigurationError or TemplateError before anything is sent, `ComparisonInterrupted` (with ``.comparison``)
    on the interrupt key. A call that fails is a row of the result, not an exception.
    """
    client = _client(client)
    judges = judges_of(score)
    _check_cost(max_cost_usd)
    if live is not None and not isinstance(live, bool) and not callable(live):
        raise ConfigurationError(f"live must be True, False or a function of the run and its pieces, not {live!r}.")
    plan = make_plan(
        client,
        deployments,
        prompt,
        inputs=inputs,
        repeats=repeats,
        kind="chat" if chat else "text",
        stream=stream,
        system=system,
        fallbacks=fallbacks,
        concurrency=concurrency,
        requests_per_minute=requests_per_minute,
        seed=seed,
        tags=tags,
        parameters=parameters,
    )
    done = {} if fresh else recorded(plan, client.log)
    if dry_run:
        from .preflight import preflight

        return preflight(client, plan, done)
    if cluster is not None:
        from .cluster import run_on_cluster

        if live or max_cost_usd is not None:
            raise ConfigurationError("live and max_cost_usd do not reach the workers of a cluster; leave them out.")
        sweep: Sweep | Remote = run_on_cluster(cluster, client, plan, done)
    elif live is True and _in_notebook():
        from .._notebook.widgets.compare_live import run_live

        sweep = run_live(client, plan, done, max_cost_usd)
    else:
        sweep = Sweep(client, plan, done, max_cost_usd=max_cost_usd, sink=None if isinstance(live, bool) else live)
        _run(client, sweep)
    return _judged(client, plan, sweep, judges)


def _run(client: Client, sweep: Sweep) -> None:
    """Run `sweep` on the private loop, showing how far it is. Raises Interrupted.

    The first interrupt cancels every call and waits for their records, a second one leaves at once.
    """
    from .._foreground.wait import Interrupts, drain

    if sweep.progress.reused == sweep.progress.total:
        return
    inbox: SimpleQueue[Any] = SimpleQueue()
    with Interrupts(inbox) as interrupts:
        job = portal().start(sweep.run())
        bar = Bar(sweep.progress)
        try:
            drain([job], inbox, lambda _: bar.update(), interrupts=interrupts, interval=LOOK_S, idle=LOOK_S)
            if not interrupts.count:
                job.result()
        except KeyboardInterrupt:
            raise ComparisonInterrupted(Comparison(sweep.plan, sweep.results, sweep.progress, log=client.log)) from None
        finally:
            job.cancel()
            bar.close()
    if interrupts.count:
        raise ComparisonInterrupted(Comparison(sweep.plan, sweep.results, sweep.progress, log=client.log))


def _judged(client: Client, plan: Plan, sweep: Sweep | Remote, judges: Mapping[str, Judge]) -> Comparison:
    results: Mapping[str, Run] = sweep.results
    work = [(results[trial.trial_id], trial.prompt.values) for trial in plan.trials if trial.trial_id in results]
    found: dict[str, list[Score]] = {}
    try:
        for name, judge in judges.items():
            found[name] = scores(judge, work)
    except KeyboardInterrupt:  # judges can take long; the answers are there
        raise ComparisonInterrupted(Comparison(plan, results, sweep.progress, found, client.log)) from None
    return Comparison(plan, results, sweep.progress, found, client.log)


def _in_notebook() -> bool:
    """Whether somebody looks on, in a front end with widgets; elsewhere the bar or its last line says how far it is."""
    from .._foreground.environment import place

    return place() == "notebook" and importlib.util.find_spec("anywidget") is not None


def _client(given: Any) -> Client:
    from .._client.client import Client

    if given is not None and not isinstance(given, Client):
        raise ConfigurationError(
            f"client must be a bf.Client, not {type(given).__name__}.", hint="Pass client=bf.Client('demo')."
        )
    return Client() if given is None else given


def _check_cost(max_cost_usd: Any) -> None:
    if max_cost_usd is None:
        return
    if isinstance(max_cost_usd, bool) or not isinstance(max_cost_usd, int | float) or not 0 < max_cost_usd < 1e12:
        raise ConfigurationError(f"max_cost_usd must be dollars above 0, not {max_cost_usd!r}.")

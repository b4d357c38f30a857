"""`compare`: send every prompt to every deployment, and get the result as a table, numbers and pictures."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, overload

from .._safe_text import guard_entries, guard_headers
from ..errors import ConfigurationError
from .comparison import Comparison
from .interrupted import ComparisonInterrupted
from .judge import JudgeCalls
from .plan import make_plan
from .resume import recorded
from .scoring import ScorerFunction, check_columns, scorers_of
from .sweep import Sweep
from .waiting import run_sweep

if TYPE_CHECKING:
    from .._client.client import Client
    from .._client.transport import Sink
    from .._runs.run import Run
    from .cluster import Remote
    from .preflight import Preflight

__all__ = ["ComparisonInterrupted", "compare"]


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
    score: ScorerFunction | Mapping[str, ScorerFunction] | None = None,
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
    score: ScorerFunction | Mapping[str, ScorerFunction] | None = None,
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
    been observed to be spent, at most one wave of calls too late; judging counts. `score`: a scorer of
    `bifrost_nb.scorers` or a function of the run (and, if it takes two, of the row of inputs) that returns a number, a
    bool, None or a `Score`, sync or async, or a dict of them. `live` True
    shows in a notebook the answers as they come, or counters where there are many, with Stop; or it is a function that
    is called as ``live(run, pieces)`` on the private loop. `cluster`: a ``dask.distributed.Client`` to spread
    the calls over.

    Raises ConfigurationError or TemplateError before anything is sent, `ComparisonInterrupted` (with ``.comparison``)
    on the interrupt key. A call that fails is a row of the result, not an exception.
    """
    deployments = guard_entries(deployments)
    guard_headers(parameters)
    client = _client(client)
    scorers = scorers_of(score)
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
    check_columns(scorers, list(plan.prompts[0].values))
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
        if run_sweep(client, sweep):
            raise ComparisonInterrupted(Comparison(plan, sweep.results, sweep.progress, client))
    comparison = Comparison(plan, sweep.results, sweep.progress, client)
    if scorers:
        left = None if max_cost_usd is None else max_cost_usd - _spent(sweep.results, done)
        calls = JudgeCalls(client, of=plan.comparison_id, max_cost_usd=left, fresh=fresh)
        comparison.judge_answers(scorers, calls)
    return comparison


def _spent(results: Mapping[str, Run], done: Mapping[str, Run]) -> float:
    """What the answers of this call are known to have cost, without those out of the log."""
    return sum(run.cost_usd or 0.0 for trial_id, run in results.items() if trial_id not in done)


def _in_notebook() -> bool:
    """Whether somebody looks on, in a front end with widgets; elsewhere the bar or its last line says how far it is."""
    from .._foreground.environment import place

    return place() == "notebook" and importlib.util.find_spec("anywidget") is not None


def _client(given: Any) -> Client:
    from .._client.client import Client, default_client

    if given is not None and not isinstance(given, Client):
        raise ConfigurationError(
            f"client must be a bf.Client, not {type(given).__name__}.", hint="Pass client=bf.Client('demo')."
        )
    return default_client() if given is None else given


def _check_cost(max_cost_usd: Any) -> None:
    if max_cost_usd is None:
        return
    if isinstance(max_cost_usd, bool) or not isinstance(max_cost_usd, Real) or not 0 < float(max_cost_usd) < 1e12:
        raise ConfigurationError(f"max_cost_usd must be dollars above 0, not {max_cost_usd!r}.")

"""`compare`: send every prompt to every deployment, and get the result as a table, numbers and pictures."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from .._keys import guard_entries, guard_headers
from .._loading import loading
from .._numbers import flag, number
from .._safe_text import quoted
from ..errors import BifrostError, ConfigurationError
from .api_choice import MEDIA, compared_kind
from .asked_deployments import check_names
from .budget import Budget, budget_of
from .comparison import Comparison
from .interrupted import ComparisonInterrupted
from .judge_calls import JudgeCalls
from .kept_media import checked_folder
from .plan import Plan, make_plan
from .progress import Bar
from .resume import recorded, resumed
from .run_sweep import run_sweep
from .scoring import ScorerFunction, asks_models, check_columns, scorers_of
from .sweep import Sweep
from .until import FIRST_INPUTS, looks_of
from .until_loop import decide

if TYPE_CHECKING:
    from pydantic import BaseModel

    from .._batch.comparison import BatchComparison
    from .._client.calls import Kind
    from .._client.client import Client
    from .._client.transport import Sink
    from .._runs.run import Run
    from .dask_cluster import Remote
    from .dry_run import DryRun

__all__ = ["ComparisonInterrupted", "compare"]


@overload
def compare(
    deployments: Any, prompt: str | Mapping[str, str] | None = None, *, dry_run: Literal[True], **arguments: Any
) -> DryRun: ...
@overload
def compare(
    deployments: Any, prompt: str | Mapping[str, str] | None = None, *, mode: Literal["batch"], **arguments: Any
) -> BatchComparison: ...
@overload
def compare(
    deployments: Any,
    prompt: str | Mapping[str, str] | None = None,
    *,
    messages: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    inputs: Any = None,
    images: str | Sequence[str] | None = None,
    sounds: str | None = None,
    schema: type[BaseModel] | Mapping[str, Any] | None = None,
    repeats: int = 1,
    api: Kind | Literal["image", "speech", "transcription"] | None = None,
    chat: bool = False,
    system: str | None = None,
    fallbacks: Sequence[str] | None = None,
    concurrency: int = 16,
    stream: bool = True,
    client: Client | None = None,
    seed: int = 0,
    fresh: bool = False,
    dry_run: Literal[False] = False,
    mode: Literal["live"] = "live",
    until: Literal["decided"] | None = None,
    metric: str | None = None,
    margin: float | None = None,
    max_cost_usd: float | None = None,
    score: ScorerFunction | Mapping[str, ScorerFunction] | None = None,
    live: Sink | bool | None = None,
    cluster: Any = None,
    tags: Mapping[str, Any] | None = None,
    requests_per_minute: float | None = None,
    folder: str | os.PathLike[str] | None = None,
    **parameters: Any,
) -> Comparison: ...
def compare(
    deployments: Any,
    prompt: str | Mapping[str, str] | None = None,
    *,
    messages: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    inputs: Any = None,
    images: str | Sequence[str] | None = None,
    sounds: str | None = None,
    schema: type[BaseModel] | Mapping[str, Any] | None = None,
    repeats: int = 1,
    api: Kind | Literal["image", "speech", "transcription"] | None = None,
    chat: bool = False,
    system: str | None = None,
    fallbacks: Sequence[str] | None = None,
    concurrency: int = 16,
    stream: bool = True,
    client: Client | None = None,
    seed: int = 0,
    fresh: bool = False,
    dry_run: bool = False,
    mode: Literal["live", "batch"] = "live",
    until: Literal["decided"] | None = None,
    metric: str | None = None,
    margin: float | None = None,
    max_cost_usd: float | None = None,
    score: ScorerFunction | Mapping[str, ScorerFunction] | None = None,
    live: Sink | bool | None = None,
    cluster: Any = None,
    tags: Mapping[str, Any] | None = None,
    requests_per_minute: float | None = None,
    folder: str | os.PathLike[str] | None = None,
    **parameters: Any,
) -> Comparison | DryRun:
    """Send every prompt to every deployment, `repeats` times, and compare what comes back.

    `deployments`: a list of ``provider/model``, or of dicts ``{"deployment": "provider/model", "name": ..., ...}``
    with parameters, `fallbacks`, `concurrency` or `requests_per_minute` of their own, and a ``history``: earlier turns
    of its own in front of the prompt. `prompt`: a template with ``{{variables}}``, or a dict of named ones; `inputs`:
    their values as a DataFrame, a dict of lists or a list of dicts. `parameters` (``max_tokens=60``) go to every
    deployment.

    `messages` comes in place of `prompt`: ``[{"role": "user", "content": "Sum up {{text}}."}, ...]`` with variables in
    every text, or a dict of named lists. `images` names columns of `inputs` that hold pictures (a path, bytes, a PIL
    image, an array, a matplotlib figure): PNG, JPEG, WebP or GIF, sent as ``data:`` URLs behind the text of the last
    user turn. ``tools=`` and ``response_format=`` are parameters, for all or in the dict of one deployment; a text
    is the name of a column of `inputs` that holds those of each row (a list or an object, or JSON; empty: none).

    `schema`, a pydantic model or a JSON schema, is sent as the strict format of the answers (by chat, unless
    ``api="responses"``). The frame then has ``valid``, ``valid_error`` and ``answer_<field>`` for each field, in its
    own dtype; `Comparison.disagreements` lists the fields on which variants differ.

    How a deployment is asked follows from what `bf.models()` says it can do: by text completions where it has them,
    else by chat, and the table says so where that differs. ``api="text"``, ``"chat"`` (or ``chat=True``) or
    ``"responses"`` decides for all, ``{"deployment": ..., "api": "chat"}`` for one.

    ``api="image"`` compares pictures, and ``api="speech"`` what ``voice=`` makes of a text: both stand side by side in
    the grid and in `Comparison.vote`, and the frame has ``pictures`` and ``cost_per_picture_usd``, or ``seconds`` and
    ``cost_per_minute_usd`` (NA where the cost or the length is unknown). `folder` is where they are written, and the
    only place; the same cell finds them again there. Without it this process remembers the newest 256 MB.

    ``api="transcription"`` compares what deployments write down of the sounds in the column of `inputs` that `sounds`
    names (a path, bytes, or a run of ``client.speech``), with ``seconds`` and ``cost_per_minute_usd``; `prompt` is then
    optional, a hint of names and words that may be heard::

        bf.compare(["openai/whisper-1", "openai/gpt-4o-transcribe"], inputs={"clip": ["a.mp3"]}, sounds="clip",
                   api="transcription", language="en")

    What the run log already holds of these calls is not sent again: running the same cell twice sends only what is
    missing or failed, and a further deployment, prompt or repeat sends only that. While another process on the same log
    sends some of these calls, its answers are waited for. `fresh` sends all anew.

    ``until="decided"`` sends the inputs in batches, in an order of `seed`, and ends when `metric` (a score;
    by default the only one) tells the variants apart, or puts them closer together than `margin` (0.02 are two
    points), or `max_cost_usd` is spent. A variant that is worse than another is not sent on. Its intervals stay
    valid however often one looks, so that running the cell again and again makes no false finding likelier; all pairs
    together are wrong in at most 5 of 100 comparisons. `Comparison.decision` has the verdict.

    `concurrency` calls at most are open for each deployment; 429 narrows that, success widens it again. `seed` decides
    the order of sending. `dry_run` makes no call and says what it would take; where the provider of a chat counts
    tokens (see `Client.count_tokens`), prompts go there to be counted. `max_cost_usd` stops when so much is
    spent, costs that are still to come taken for the dearest of their deployment, at most one wave of calls too late;
    answers and those who judge them spend from it. `score`: a scorer of
    `bifrost_nb.scorers` or a function of the run (and, if it takes two, of the row of inputs) that returns a number, a
    bool, None or a `Score`, sync or async, or a dict of them. `live` True
    shows in a notebook the answers as they come, or counters where there are many, with Stop; False shows not even how
    far it is; or it is a function that is called as ``live(run, pieces)`` on the private loop. `cluster`: a
    ``dask.distributed.Client`` to spread the calls over, and the scoring by functions of yours that ask no model.

    ``mode="batch"`` sends jobs of the providers' batch APIs (OpenAI, Azure, Anthropic), at half the list price and
    within 24 hours, and returns at once: `BatchComparison.collect`, or the same cell tomorrow in another kernel,
    fetches the answers, which have no times. What cannot be batched is named before anything is sent.

    Raises ConfigurationError or TemplateError before anything is sent, `ComparisonInterrupted` (with ``.comparison``)
    on the interrupt key. A call that fails is a row of the result, not an exception.

    `system` is a system message for chats, a template as the prompt is; `stream` asks for streams, without which no
    time to the first text is known; `client` sends (None: one of the settings); `tags` go with each run.

        bf.compare(["azure/fast", "azure/large"], "Name a {{what}}.", inputs={"what": ["bird", "tree"]}, max_tokens=20)
    """
    with loading():
        import pandas  # noqa: F401 - this and the next are what planning and the log take

        from .._client.client import chosen_client
        from .._runs.log import reader  # noqa: F401
        from .._wire import requests  # noqa: F401

    deployments = guard_entries(deployments)
    guard_headers(parameters)
    check_names(compare, parameters)
    client = chosen_client(client)
    if not isinstance(mode, str) or mode not in ("live", "batch"):
        raise ConfigurationError(f"mode must be 'live' or 'batch', not {quoted(mode)}.")
    scorers = scorers_of(score)
    _check_cost(max_cost_usd)
    if live is not None and not isinstance(live, bool) and not callable(live):
        raise ConfigurationError(
            f"live must be True, False or a function of the run and its pieces, not {quoted(live)}."
        )
    for name, value in {"chat": chat, "stream": stream, "fresh": fresh, "dry_run": dry_run}.items():
        if flag(value) is None:
            raise ConfigurationError(f"{name} must be True or False, not {quoted(value)}.")
    try:
        plan = make_plan(
            client,
            deployments,
            prompt,
            messages=messages,
            inputs=inputs,
            images=images,
            sounds=sounds,
            schema=schema,
            repeats=repeats,
            kind=compared_kind(api, chat),
            stream=stream and mode != "batch",
            system=system,
            fallbacks=fallbacks,
            concurrency=concurrency,
            requests_per_minute=requests_per_minute,
            seed=seed,
            tags=tags,
            parameters=parameters,
            batch=mode == "batch",
            folder=checked_folder(folder),
        )
    except BifrostError as error:
        raise error.bare() from None  # who asked has nothing from the frames that found it
    check_columns(scorers, list(plan.prompts[0].values))
    looks = looks_of(until, metric, margin, plan, scorers)
    if mode == "batch":
        if live or cluster is not None or looks is not None:
            raise ConfigurationError("live, until and cluster go with single calls; leave them out of mode='batch'.")
        return _by_batch(client, plan, scorers, dry_run=dry_run, fresh=fresh, max_cost_usd=max_cost_usd)
    if looks is not None and (cluster is not None or live is True):
        raise ConfigurationError("until='decided' goes batch by batch, without live=True or a cluster; leave them out.")
    if cluster is not None and plan.kind in MEDIA:
        raise ConfigurationError("Workers of a cluster get no pictures and no sound; leave cluster= out.")
    if cluster is not None and (live or max_cost_usd is not None):
        raise ConfigurationError("live and max_cost_usd do not reach the workers of a cluster; leave them out.")
    if dry_run:
        from .dry_run import estimated

        done = {} if fresh else recorded(plan, client.log)
        first = FIRST_INPUTS if looks else None
        return estimated(client, plan, done, may_end_after=first, judged=asks_models(scorers))
    with resumed([plan], client, fresh=fresh) as found:
        done = found.done
        if found.interrupted:
            raise ComparisonInterrupted(Comparison(plan, done, Sweep(client, plan, done).progress, client))
        if looks is not None:
            sink = None if isinstance(live, bool) else live
            silent = live is False
            return decide(
                client, looks, done, scorers, max_cost_usd=max_cost_usd, sink=sink, fresh=fresh, silent=silent
            )
        budget = budget_of(lambda: client, max_cost_usd)
        sweep = _sent(client, plan, done, cluster=cluster, live=live, budget=budget)
    comparison = Comparison(plan, sweep.results, sweep.progress, client)
    if scorers:
        calls = JudgeCalls(
            client, of=plan.comparison_id, budget=budget, fresh=fresh, silent=live is False, cluster=cluster
        )
        comparison.judge_answers(scorers, calls)
    return comparison


def _by_batch(
    client: Client,
    plan: Plan,
    scorers: Mapping[str, ScorerFunction],
    *,
    dry_run: bool,
    fresh: bool,
    max_cost_usd: float | None,
) -> Comparison | DryRun:
    from .._batch.comparison import compare_by_batch, rates_of
    from .._batch.requests import check_plan

    if dry_run:
        from .dry_run import estimated

        check_plan(client, plan)
        done = {} if fresh else recorded(plan, client.log)
        return estimated(client, plan, done, batch_rates=rates_of(plan), judged=asks_models(scorers))
    return compare_by_batch(client, plan, scorers=scorers, max_cost_usd=max_cost_usd, fresh=fresh)


def _sent(
    client: Client, plan: Plan, done: Mapping[str, Run], *, cluster: Any, live: Any, budget: Budget | None
) -> Sweep | Remote:
    """Send what `done` lacks, here or on a cluster, watched or not. Raises ComparisonInterrupted."""
    if cluster is not None:
        from .dask_cluster import run_on_cluster

        return run_on_cluster(cluster, client, plan, done, silent=live is False)
    if live is True and _shows_widgets():
        from .._notebook.widgets.compare_live import run_live

        return run_live(client, plan, done, budget)
    sweep = Sweep(client, plan, done, budget=budget, sink=None if isinstance(live, bool) else live)
    if run_sweep(client, sweep, Bar(sweep.progress, silent=True) if live is False else None):
        raise ComparisonInterrupted(Comparison(plan, sweep.results, sweep.progress, client))
    return sweep


def _shows_widgets() -> bool:
    """Whether somebody looks on, in a front end that shows ours; elsewhere a bar or a line says how far it is."""
    from .._foreground.environment import front_end

    return front_end() in ("notebook", "marimo") and importlib.util.find_spec("anywidget") is not None


def _check_cost(max_cost_usd: Any) -> None:
    if max_cost_usd is None:
        return
    dollars = number(max_cost_usd)
    if dollars is None or not 0 < dollars < 1e12:
        raise ConfigurationError(f"max_cost_usd must be dollars above 0, not {quoted(max_cost_usd)}.")

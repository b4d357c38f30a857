"""`replay`: send what was asked before to other deployments, and see what would change: answers, time, cost.

The questions are rows of `runs` or `gateway_logs`; they go through the same engine as `compare` (pace, resume,
interrupt), each with its own kind, messages and parameters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from .._client.calls import Call, Kind
from .._keys import HIDDEN, guard_entries, guard_headers
from .._prompts.pictures import is_shortened
from .._safe_text import plain, quoted, type_with_article
from ..errors import ConfigurationError
from .asked_deployments import AskedDeployment, asked_deployments, check_names
from .groups import inputs_told, names, typed
from .identity import address_of, digest_of, identity_of
from .plan import TAGS, Plan, Trial
from .planned_prompt import PlannedPrompt

if TYPE_CHECKING:
    import pandas as pd

    from .._client.client import Client
    from .replay_result import Replayed

__all__ = ["Source", "replay"]

_KINDS: Mapping[str, Kind] = {"text_completion": "text", "chat_completion": "chat"}
_NEEDED = ("request_type", "prompt", "params")
_TOLD = ("request_id", "response", "total_ms")
"""By these a row of a list of the gateway's log is known, which from 1.4.18 on tells no parameters (measured)."""
_NOT_SENT_AGAIN = (
    *("stream", "stream_options", "route", "model", "prompt", "messages", "fallbacks"),
    *("batch_id", "batch_rate"),
)
"""What recorded parameters hold besides: how the answer came, the way to the old deployment, the job of a batch; a
gateway's log also has the fields that rows tell elsewhere."""

_LIMITS = {"max_tokens", "max_completion_tokens"}


class Source(NamedTuple):
    """One question as it was asked. `place` is its row in the frame that was given."""

    place: int
    kind: Kind
    asked: Mapping[str, Any]
    """``prompt`` or ``messages``."""
    parameters: Mapping[str, Any]
    stream: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _ReplayPlan(Plan):
    """A plan whose trials ask each in its own way."""

    sources: Mapping[str, Source]
    """By ``prompt_id``."""

    def for_files(self) -> Plan:
        """Without the old questions, which are whole here."""
        return replace(self, sources={})

    def call(self, client: Client, trial: Trial, like: Call | None = None) -> Call:
        """The old question to the new deployment."""
        source = self.sources[trial.prompt.prompt_id]
        return client.prepare(
            source.kind,
            trial.asked.deployment,
            stream=source.stream,
            fallbacks=list(trial.asked.fallbacks) or None,
            tags=self.tags_of(trial),
            comparison_id=self.comparison_id,
            prompt_id=trial.prompt.prompt_id,
            repeat=trial.repeat,
            **source.asked,
            **{"retries": 0, **_parameters(source, trial.asked)},
        )


def replay(
    rows: Any,
    deployments: Any,
    *,
    fallbacks: Sequence[str] | None = None,
    concurrency: int = 16,
    requests_per_minute: float | None = None,
    client: Client | None = None,
    fresh: bool = False,
    tags: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> Replayed:
    """Send the questions of `rows` to `deployments`, and compare the answers with those that were given.

    `rows`: a frame of `runs` or ``gateway_logs(texts=True)`` (all or some of its rows), a list of `Run`, or whatever
    has such a ``.frame``. `deployments`: as for `compare`. Each question keeps its kind (text or chat), messages and
    parameters; `parameters` given here come in place of recorded ones. The old fallbacks are not asked again.

    Rows that are no completion, have no prompt, or cannot be sent are left out, and the result's `notes` say which and
    why. Rows of a comparison keep their template and their row of inputs, so that the new answers are compared by
    ``variant``, ``template`` or ``deployment`` as the old ones were. What the run log already holds of this replay is
    not sent again, unless `fresh`.

    Raises ConfigurationError before anything is sent, also where no row is left, and `Interrupted` on the interrupt
    key. A call that fails is a row of the result.

    `concurrency` and `requests_per_minute` are per deployment; `tags` go with each run; `client` sends (None: one of
    the settings).

        bf.replay(bf.runs(since="1d", status="ok"), ["azure/large"]).summary()
    """
    from .._client.client import chosen_client
    from .comparison import Comparison
    from .interrupted import ComparisonInterrupted
    from .replay_result import Replayed
    from .resume import resumed
    from .run_sweep import run_sweep
    from .sweep import Sweep

    deployments = guard_entries(deployments)
    guard_headers(parameters)
    check_names(replay, parameters)
    client = chosen_client(client)
    frame = _frame_of(rows)
    shared = {
        "fallbacks": fallbacks,
        "concurrency": concurrency,
        "requests_per_minute": requests_per_minute,
        **parameters,
    }
    if found := sorted(TAGS & (tags or {}).keys()):
        raise ConfigurationError(f"The tag {found[0]!r} is set by the replay itself.", hint="Use another name.")
    asked = asked_deployments(deployments, shared)
    _check_same_question(asked)
    plan, notes = _plan(client, frame, asked, tags or {})
    with resumed([plan], client, fresh=fresh) as before:
        sweep = Sweep(client, plan, before.done)
        sweep.progress.notes.extend(notes)
        interrupted = before.interrupted or run_sweep(client, sweep)
    if interrupted:
        raise ComparisonInterrupted(Comparison(plan, sweep.results, sweep.progress, client))
    places = {prompt_id: source.place for prompt_id, source in plan.sources.items()}
    return Replayed(frame, places, Comparison(plan, sweep.results, sweep.progress, client))


def _check_same_question(asked: Sequence[AskedDeployment]) -> None:
    for who in asked:
        if own := [name for name in ("system", "history") if getattr(who, name)]:
            raise ConfigurationError(
                f"Replay asks {who.name} what was asked before; a {own[0]} would be another question.",
                hint="bf.compare(...) takes it.",
            )


def _frame_of(rows: Any) -> pd.DataFrame:
    """`rows` as a frame with a clean index. Raises ConfigurationError."""
    from .._runs.frame import to_frame
    from .._runs.run import Run
    from .comparison import Comparison

    if isinstance(rows, Run):
        rows = [rows]
    if isinstance(rows, Comparison):
        rows = rows.runs  # its frame is to be read: it has no pictures
    if isinstance(rows, Sequence) and all(isinstance(each, Run) for each in rows):
        rows = to_frame(rows)
    if not hasattr(rows, "columns"):
        rows = getattr(rows, "frame", rows)
    if callable(to_pandas := getattr(rows, "to_pandas", None)):  # of bf.runs("polars") and bf.runs("arrow")
        rows = to_pandas()
    if not hasattr(rows, "columns"):
        raise ConfigurationError(
            f"There is nothing to replay in {type_with_article(rows)}.",
            hint="Pass rows of runs() or gateway_logs(), or a list of Run.",
        )
    if missing := [name for name in _NEEDED if name not in rows.columns]:
        raise ConfigurationError(
            f"The frame has no column {missing[0]!r}.", hint="Pass rows of runs() or gateway_logs() with all columns."
        )
    if not rows.columns.is_unique:
        twice = rows.columns[rows.columns.duplicated()][0]
        raise ConfigurationError(f"The frame has the column {quoted(twice, 60)} twice.", hint="Drop one of them.")
    return _in_types(rows.reset_index(drop=True))


def _in_types(rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with all columns of a run, whose figures are numbers: what is shown beside the new answers, once they are
    paid for. Raises ConfigurationError."""
    import pandas as pd

    from .._runs.columns import COLUMNS

    # A subset of columns is enough to ask; what else was not given is unknown.
    frame = typed(rows.reindex(columns=[column.name for column in COLUMNS]), "frame")
    for column in COLUMNS:
        if column.dtype == "string" and not pd.api.types.is_numeric_dtype(frame[column.name].dtype):
            continue
        try:  # a prompt that is a number is one that a file of text has as such
            frame[column.name] = frame[column.name].astype(column.dtype)
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"The column {column.name!r} of the frame is not of type {column.dtype}.",
                hint="Pass rows of runs() or gateway_logs().",
            ) from None
    return frame


def _plan(
    client: Client, frame: pd.DataFrame, asked: tuple[AskedDeployment, ...], tags: Mapping[str, Any]
) -> tuple[_ReplayPlan, list[str]]:
    """All calls to make, and why rows were left out."""
    left_out: Counter[str] = Counter()
    first: dict[str, int] = {}
    prompts: list[PlannedPrompt] = []
    sources: dict[str, Source] = {}
    seen: Counter[str] = Counter()
    templates, inputs = (_texts(series) for series in (names(frame, "template"), inputs_told(frame)))
    other_attempts = _other_attempts(frame)
    for place, row in enumerate(frame[[*_NEEDED, *_TOLD]].itertuples(index=False)):
        try:
            if place in other_attempts:
                raise ConfigurationError("it is another attempt at a request of these rows, which is asked once.")
            source = _source(place, row)
            for who in asked:
                _prepared(client, source, who)
        except ConfigurationError as error:
            reason = plain(error.message, 200)
            left_out[reason] += 1
            first.setdefault(reason, place)
            continue
        digest = digest_of(["replay", source.kind, source.asked, source.parameters, source.stream], 12)
        seen[digest] += 1
        prompt_id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        prompts.append(
            PlannedPrompt(prompt_id, str(row.prompt), templates[place], {"row": place}, inputs[place] or prompt_id)
        )
        sources[prompt_id] = source
    notes = [_told(count, first[reason], reason) for reason, count in left_out.items()]
    if not prompts:
        raise ConfigurationError(
            f"There is nothing to replay: {notes[0] if notes else 'the frame has no rows.'}",
            hint="Pass rows of completions with their prompts, such as runs(status='ok').",
        )
    return _ReplayPlan(**_cells(client, prompts, asked, sources), tags=dict(tags), sources=sources), notes


def _other_attempts(frame: pd.DataFrame) -> set[int]:
    """Rows of requests that another row tells of: a gateway's log has one for a primary and each of its fallbacks."""
    told = list(enumerate(zip(frame["request_id"], frame["status"], strict=True)))
    kept: dict[str, int] = {}
    for place, (request_id, status) in told:
        if isinstance(request_id, str) and (request_id not in kept or str(status) == "ok"):
            kept[request_id] = place
    return {place for place, (request_id, _) in told if isinstance(request_id, str) and kept[request_id] != place}


def _texts(column: pd.Series[Any]) -> list[str | None]:
    return [value if isinstance(value, str) else None for value in column]


def _cells(
    client: Client, prompts: Sequence[PlannedPrompt], asked: tuple[AskedDeployment, ...], sources: Mapping[str, Source]
) -> dict[str, Any]:
    gateway = address_of(client.settings.base_url)
    trials = tuple(
        Trial(
            digest_of(
                ["replay", gateway, one.prompt_id, identity_of(_prepared(client, sources[one.prompt_id], who))], 16
            ),
            one,
            who,
            0,
        )
        for one in prompts
        for who in asked
    )
    kinds = {source.kind for source in sources.values()}
    return {
        "comparison_id": digest_of(["replay", gateway, [one.prompt_id for one in prompts]], 16),
        "kind": "chat" if kinds == {"chat"} else "text",
        "stream": any(source.stream for source in sources.values()),
        "system": None,
        "asked": asked,
        "prompts": tuple(prompts),
        "repeats": 1,
        "trials": trials,
        "order": trials,
    }


def _told(count: int, place: int, reason: str) -> str:
    rows = f"row {place} was" if count == 1 else f"{count:,} rows (the first is row {place}) were"
    return f"{rows} left out: {reason}"


def _source(place: int, row: Any) -> Source:
    """The question in a row. Raises ConfigurationError where there is none."""
    kind = _KINDS.get(str(row.request_type))
    if kind is None:
        raise ConfigurationError(f"requests of type {plain(row.request_type, 40)} cannot be replayed.")
    if not isinstance(row.prompt, str) or not row.prompt:
        raise ConfigurationError("the prompt is not recorded.")
    if is_shortened(row.prompt):
        raise ConfigurationError("its pictures are not in this frame: replay the comparison itself, or rows of runs().")
    told = isinstance(row.params, str) or isinstance(row.response, str) or isinstance(row.total_ms, float)
    if isinstance(row.request_id, str) and not told:  # however it ended: what it was asked with is not made up
        raise ConfigurationError("the gateway's list leaves its parameters out: take gateway_logs(texts=True).")
    recorded = _decoded(row.params) if isinstance(row.params, str) else {}
    if not isinstance(recorded, dict):
        raise ConfigurationError("its parameters are not a JSON object.")
    parameters = {name: value for name, value in recorded.items() if value is not None and name not in _NOT_SENT_AGAIN}
    return Source(place, kind, _question(kind, row.prompt), parameters, bool(recorded.get("stream", False)))


def _question(kind: Kind, prompt: str) -> dict[str, Any]:
    """A run records one prompt or user turn as its text, several prompts or messages as a JSON list."""
    found = _decoded(prompt) if prompt.startswith("[") else None
    if isinstance(found, list) and found:
        if kind == "chat" and all(isinstance(each, dict) and "role" in each for each in found):
            return {"prompt": None, "messages": found}
        if kind == "text" and all(isinstance(each, str) for each in found):
            return {"prompt": found if len(found) > 1 else found[0]}
    return {"prompt": prompt}


def _prepared(client: Client, source: Source, asked: AskedDeployment) -> Call:
    """The call. Raises ConfigurationError where the question cannot be put to `asked`."""
    fallbacks = list(asked.fallbacks) or None
    options = {**source.asked, **_parameters(source, asked)}
    if any(HIDDEN in str(options.get(name)) for name in ("tools", "extra")):
        raise ConfigurationError("the keys of its tools are not recorded: pass them in tools= or extra=.")
    # A run of Anthropic's SDK is a chat too; its gateway would take these and leave them out.
    if any("input_schema" in tool for tool in _dicts(options.get("tools"))):
        raise ConfigurationError("its tools are written as Anthropic's API takes them: pass them in tools=.")
    parts = (part for turn in _dicts(options.get("messages")) for part in _dicts(turn.get("content")))
    if any(part.get("type") in ("tool_use", "tool_result") or "source" in part for part in parts):
        raise ConfigurationError("its messages have parts that only Anthropic's API takes.")
    return client.prepare(source.kind, asked.deployment, stream=source.stream, fallbacks=fallbacks, **options)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _parameters(source: Source, asked: AskedDeployment) -> dict[str, Any]:
    """The recorded parameters, with those given now in their place, also where the two names say the same."""
    recorded = dict(source.parameters)
    if _LIMITS & asked.parameters.keys():
        recorded = {name: value for name, value in recorded.items() if name not in _LIMITS}
    return {**recorded, **asked.parameters}


def _decoded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None

"""`Run`: one record for the answer, the log line and the table row."""

from __future__ import annotations

import base64
import copy
import uuid
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from .._safe_text import plain
from .pending import wait_for_cost

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Attempt", "CostSource", "Run", "Status", "new_id"]

Status = Literal["ok", "error", "cancelled", "timeout", "truncated"]
CostSource = Literal["response", "log", "prices"]


def new_id() -> str:
    """A random identity; the gateway accepts it as its log id."""
    return str(uuid.uuid4())


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One sending of a call: retries make several. Times in ms since the call began."""

    request_id: str
    """Its ``x-request-id``, the id of the gateway's log row."""
    started_ms: float
    """When it was sent."""
    ended_ms: float | None = None
    """When it was answered or given up."""
    http_status: int | None = None
    """None where no answer came."""
    error: str | None = None
    """The error's class, as in ``TimedOut``, or ``cancelled``; None where it was answered."""
    taken: bool = False
    """It failed after the gateway had taken it, so that it may be billed."""
    wait_ms: float | None = None
    """Backoff before the next attempt; None after the last one."""


@dataclass(slots=True, kw_only=True)
class Run:
    """One completion: what was asked, who answered, how long it took, what it cost. Unknown is None, never 0.

        run = bf.Client("demo").chat("openai/gpt-4o-mini", "Hi")
        run.text, run.total_ms, run.cost_usd, run.cost_source

    The fields down to `gateway_version` are the columns of every frame, under the same names. Milliseconds are of our
    own monotonic clock and count from the moment the call began to be sent (retries included, our queue excluded),
    except `latency_ms`, which is the gateway's (of a stream of gateways up to 1.5.1 it comes later, from the log).

    - asked: `run_id`, `request_id` (the gateway's log row), `comparison_id`, `prompt_id` and `repeat` (from 0) of a
      comparison, `started_at` (UTC), `request_type`, `requested_provider`, `requested_model`, `fallbacks`, `prompt`,
      `params`, `tags`
    - answered: `provider`, `model`, `model_deployment` (the provider's own name of it), `is_fallback`,
      `fallback_index`, `response`, `tool_calls`, `finish_reason`, `gateway_version`
    - ended: `status` (``ok``, ``error``, ``cancelled``, ``timeout``, ``truncated``; None while the call is in flight),
      `http_status`, `error_type`, `error_code`, `error_message`
    - tokens: `prompt_tokens` (of them `cached_tokens`, `cache_write_tokens`), `completion_tokens` (of them
      `reasoning_tokens`), `total_tokens`
    - US dollars: `cost_usd`, of it `input_cost_usd` and `output_cost_usd`; `cost_source` is ``response``, ``log`` (the
      gateway's) or ``prices`` (its list)
    - times: `queue_ms` (in our own queue, before), `ttft_ms`, `total_ms`, `latency_ms`, `gap_p50_ms`, `gap_max_ms`;
      `chunks`, `tokens_per_s`
    - the gateway's cache: `cache_hit`, `cache_hit_type` (``direct``, ``semantic``), `cache_similarity` (0 to 1)
    - people: `rating` (``up``, ``down``, or of a vote ``win``, ``loss``, ``tie``)

    Beyond the columns: `texts`, `reasoning`, `annotations`, `images`, `audio`, `embeddings`, `embedding_shape`,
    `logprobs`, `parsed`, `valid`, `valid_error`; `usage` and `extra_fields` (the gateway's) as received, `raw`,
    `chunk_times_ms`, `attempts`, `notes`, `written`, `base_url`.
    """

    run_id: str = field(default_factory=new_id)
    request_id: str | None = None
    """``x-request-id`` of the last attempt: the id of the gateway's log row."""
    comparison_id: str | None = None
    prompt_id: str | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    request_type: str = "text_completion"
    requested_provider: str | None = None
    requested_model: str | None = None
    fallbacks: list[str] = field(default_factory=list)
    repeat: int | None = None
    provider: str | None = None
    model: str | None = None
    model_deployment: str | None = None
    is_fallback: bool | None = None
    fallback_index: int | None = None
    """1-based position in the fallbacks that answered; 0 when the primary did; None where the gateway does not tell."""
    status: Status | None = None
    finish_reason: str | None = None
    http_status: int | None = None
    error_type: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    """Read from a cache; part of `prompt_tokens`."""
    cache_write_tokens: int | None = None
    """Written to a cache; part of `prompt_tokens`."""
    reasoning_tokens: int | None = None
    """Part of `completion_tokens`."""
    input_cost_usd: float | None = None
    output_cost_usd: float | None = None
    cost_usd: float | None = None
    cost_source: CostSource | None = None
    queue_ms: float | None = None
    ttft_ms: float | None = None
    """Time to the first text; None for a call that was not streamed."""
    total_ms: float | None = None
    latency_ms: float | None = None
    gap_p50_ms: float | None = None
    gap_max_ms: float | None = None
    """Median and longest time between two chunks with text."""
    chunks: int | None = None
    """Chunks that carried text or reasoning. A chunk is not a token."""
    tokens_per_s: float | None = None
    """Tokens per second. Streamed: those of the text that can be seen, from the first text to the last, without
    reasoning and rejected predictions; None where it cannot be told apart. Otherwise: all completion tokens over the
    whole call."""
    cache_hit: bool | None = None
    cache_hit_type: str | None = None
    cache_similarity: float | None = None
    prompt: str | None = None
    """The prompt as text; several prompts, or messages beyond one user turn, as JSON."""
    response: str | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)
    rating: str | None = None
    gateway_version: str | None = None

    # Beyond the columns
    base_url: str | None = None
    """The gateway's address that it was sent to."""
    parsed: Any = field(default=None, repr=False)
    """Of a call with `schema`: the answer as the pydantic model, or as dict; None where it is not valid."""
    valid: bool | None = None
    """Of a call with `schema`: whether the answer fits it. None: none was asked for, or no answer came."""
    valid_error: str | None = None
    """Why it is not valid: what does not fit, or that it was cut off."""
    texts: list[str] = field(default_factory=list)
    """The text of every choice, by index."""
    reasoning: str | None = None
    annotations: list[dict[str, Any]] = field(default_factory=list)
    """What the answer cites."""
    audio: dict[str, Any] | None = field(default=None, repr=False)
    """Spoken audio: ``data`` as base64 (`audio_bytes` has it decoded), of a chat its ``transcript``, of `Client.speech`
    its ``format``. Not written to the log."""
    images: list[bytes] = field(default_factory=list, repr=False)
    """Drawn pictures, each as the file it is. Not written to the log."""
    embeddings: list[list[float]] = field(default_factory=list, repr=False)
    """The vector of each text that was asked for, in order. Not written to the log."""
    embedding_shape: list[int] = field(default_factory=list)
    """How many vectors, and of how many numbers; empty where none were asked for. Written to the log."""
    logprobs: dict[str, Any] | None = None
    """Of the first choice, in the layout received."""
    usage: dict[str, Any] | None = None
    extra_fields: dict[str, Any] | None = None
    raw: dict[str, Any] | None = field(default=None, repr=False)
    """The response as received; for a stream the last chunk. Not written to the log."""
    chunk_times_ms: list[float] = field(default_factory=list, repr=False)
    """Arrival of each chunk that carried text or reasoning."""
    attempts: list[Attempt] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is to be known about an answer that is no error: chunks that are missing, say."""
    written: dict[str, Any] = field(default_factory=dict, repr=False)
    """Where a `redact` hook is in force: what is written to files instead of these fields."""

    @property
    def is_answer_hidden(self) -> bool:
        """Whether the answer is no more what was given: the log has what a `redact` hook made of it."""
        return "response" in self.written and self.written["response"] == self.response

    @property
    def has_begun(self) -> bool:
        """Whether something of an answer came: it is paid for, however it ended."""
        return bool(any(self.texts) or self.reasoning or self.tool_calls)

    @property
    def redacted(self) -> list[str]:
        """The fields that a `redact` hook changed or left out where the run was written."""
        return list(self.written)

    @property
    def text(self) -> str:
        """The first choice's text; empty where nothing arrived."""
        return self.response or ""

    @property
    def audio_bytes(self) -> bytes:
        """The spoken audio as the file it is; empty where there is none, or what came is no base64."""
        data = (self.audio or {}).get("data")
        try:
            return base64.b64decode(data, validate=True) if isinstance(data, str) else b""
        except ValueError:
            return b""

    @property
    def embedding_array(self) -> npt.NDArray[np.float64]:
        """The vectors as the rows of a numpy array."""
        import numpy as np

        return np.array(self.embeddings, dtype=np.float64) if self.embeddings else np.empty((0, 0))

    @property
    def requested(self) -> str | None:
        """Who was asked, as ``provider/model``."""
        return _joined(self.requested_provider, self.requested_model)

    @property
    def served(self) -> str | None:
        """Who answered, as ``provider/model``; None where unknown."""
        return _joined(self.provider, self.model)

    def __getstate__(self) -> Any:
        """What a pickle holds, which is a file that may be handed on: texts as the `redact` hook wants them."""
        from .redact_hook import as_handed_on

        kept = as_handed_on(self)
        held = {one.name: getattr(kept, one.name) for one in fields(self)}
        return None, {**held, "parsed": _without_class(kept.parsed)}

    def __copy__(self) -> Run:
        return replace(self)  # in memory a run stays whole

    def __deepcopy__(self, memo: dict[int, Any]) -> Run:
        return replace(self, **{one.name: copy.deepcopy(getattr(self, one.name), memo) for one in fields(self)})

    def __str__(self) -> str:
        """The answer as it may be printed: without control sequences, which `text` keeps as received.

        Empty where no text came: people put runs into prompts, where words about them would be sent.
        """
        return plain(self.text)

    def __repr__(self) -> str:
        from .._display.run import as_text

        wait_for_cost(self)
        return as_text(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        from .._display.run import metadata, mimebundle

        wait_for_cost(self)
        return mimebundle(self, include), metadata(self)


def _without_class(parsed: Any) -> Any:
    """`parsed` as another process can read it: of a class of a notebook or a function, which is not there, a dict."""
    kind = type(parsed)
    if not hasattr(kind, "model_dump") or (kind.__module__ != "__main__" and "<locals>" not in kind.__qualname__):
        return parsed
    try:
        return parsed.model_dump(mode="json", by_alias=True)
    except Exception:  # noqa: BLE001 - a serializer of the user's class may fail in any way
        return None


def _joined(provider: str | None, model: str | None) -> str | None:
    if model is None:
        return provider
    return f"{provider}/{model}" if provider else model

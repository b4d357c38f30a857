"""Rules that make the embedded gateway misbehave on purpose, for tests: which requests, how often, what happens.

A rule is one flat JSON object. Fields left out do not matter; the first rule that matches an attempt is used::

    gateway.script([
        {"deployment": "azure/fast", "times": 1, "status": 429, "headers": {"retry-after": "1"}},
        {"prompt": "slowly", "first_text_ms": 300, "gap_ms": 50},
        {"path": "/v1/completions", "nth": 3, "drop": {"after_chunks": 2, "how": "rst"}},
    ])

Times are in ms, of the real clock: the gateway's `speed` does not change them.
"""

from __future__ import annotations

import base64
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, TypeAdapter, ValidationError, model_validator

from .dialects import Failure

__all__ = ["Drop", "FaultRule", "Frame", "Script", "in_one_line"]


def in_one_line(error: ValueError) -> str:
    """What is wrong, where: pydantic's own text has several lines and an address."""
    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))) for one in found) + "."


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Drop(_Strict):
    """End the connection early. Without a count: before any byte of the answer."""

    after_chunks: int | None = Field(None, ge=0)
    """After so many chunks (0: after the headers)."""
    after_bytes: int | None = Field(None, ge=0)
    """After so many bytes of the body, in the middle of a chunk if need be."""
    how: Literal["fin", "rst"] = "rst"


class Frame(_Strict):
    """Bytes put on the wire as they are: `text` as UTF-8, or `base64`."""

    text: str | None = None
    base64: str | None = None
    repeat: int = Field(1, ge=1)
    pause_ms: float = Field(0, ge=0)
    """Wait before it."""
    cut: int | list[int] | None = None
    """Write it in pieces: of this size, or of these sizes and then the rest."""
    cut_pause_ms: float = Field(0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _plain_text(cls, value: Any) -> Any:
        return {"text": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_content(self) -> Frame:
        if (self.text is None) == (self.base64 is None):
            raise ValueError("a frame has either text or base64")
        return self

    def pieces(self) -> list[bytes]:
        """The bytes, cut as asked."""
        content = base64.b64decode(self.base64) if self.base64 is not None else (self.text or "").encode()
        content *= self.repeat
        if self.cut is None:
            return [content]
        if isinstance(self.cut, int):
            size = max(1, self.cut)
            return [content[start : start + size] for start in range(0, len(content), size)]
        pieces, start = [], 0
        for size in self.cut:
            pieces.append(content[start : start + size])
            start += size
        return [piece for piece in (*pieces, content[start:]) if piece]


class FaultRule(_Strict):
    """When it applies, then what it does."""

    # When: all that are given must hold
    deployment: str | None = None
    """``provider/model`` of the attempt: a fallback's attempt is matched by its own name."""
    path: str | None = None
    """The request's path, or its beginning when it ends with ``*``. Only a rule with a path applies to other routes
    than inference (``/health``, ``/api/logs/{id}``)."""
    prompt: str | None = None
    """Part of the prompt's text."""
    request_headers: dict[str, str] = Field(default_factory=dict)
    """Exact values, by name."""
    stream: bool | None = None
    nth: int | list[int] | None = None
    """Only the nth attempt that the other conditions hold for, from 1."""
    times: int | None = Field(None, ge=1)
    """How often at most; None: always."""

    # Instead of an answer
    status: int | None = Field(None, ge=200, le=599)
    """An error of the provider with this status; fallbacks are tried. 2xx and 3xx need `body` or `frames`."""
    error: dict[str, Any] = Field(default_factory=dict)
    """type, code, message, param of that error, in the dialect's shape."""
    body: Any = None
    """The whole body: text as it is, ``{"base64": ...}`` as bytes, anything else as JSON."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Added to the answer's headers; ``content-type`` replaces the usual one."""
    refused: bool = False
    """Nobody listens at the provider's address; fallbacks are tried."""
    silent: bool = False
    """Accept the request and never answer."""
    drop: Drop | None = None

    # Another answer
    text: str | list[str] | None = None
    """The answer's text, or its tokens one by one."""
    chunks: int | None = Field(None, ge=1)
    """An answer of so many one-token chunks."""
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    cost: Any = None
    """``usage.cost`` as it is; also the log's cost when it is a number."""
    log_cost: float | None = None
    cache: dict[str, Any] | None = None
    """``extra_fields.cache_debug``, for example ``{"cache_hit": true, "hit_type": "direct"}``."""
    merge: dict[str, Any] = Field(default_factory=dict)
    """Merged into the answer, for a stream into its last chunk; objects deeply, None included."""
    frames: list[Frame] | None = None
    """The whole body of a stream, byte for byte."""
    error_after_chunks: int | None = Field(None, ge=0)
    """A stream breaks with an error frame (see `error`, `status`) after so many chunks. 0, from 1.5 on: an ordinary
    error, and fallbacks are tried, where the provider opens its stream with text (text and most chats)."""
    stall_after_chunks: int | None = Field(None, ge=0)
    """A stream stops after so many chunks, with the connection open."""
    hold_after_chunks: int | None = Field(None, ge=0)
    """A stream waits after so many chunks, or all there are, until the rules are replaced; then it goes on."""
    provider_cut_after_chunks: int | None = Field(None, ge=0)
    """The provider breaks off a stream after so many chunks. The gateway does not notice: it ends the stream in good
    order, with a last chunk that knows neither finish reason nor tokens. Dialect 2.0 notices: an error frame, 502."""
    provider_timeout_ms: float | None = Field(None, ge=0)
    """The provider goes silent, and after so long the gateway gives it up with an error of its own; fallbacks are tried
    (before 1.5 only without streaming)."""
    omit_end: bool = False
    """A stream ends without the chunk that carries finish_reason and usage, and without ``[DONE]``."""

    # When it happens
    delay_ms: float | None = Field(None, ge=0)
    """From the request to the headers (of an error too)."""
    first_text_ms: float | None = Field(None, ge=0)
    """From the request to the first text."""
    gap_ms: float | None = Field(None, ge=0)
    """Between two chunks; 0 sends them as quickly as the connection takes them."""
    heartbeat_ms: float | None = Field(None, ge=0)
    """Idle time after which a heartbeat is sent; 0: none."""
    log: bool = True
    """Whether the gateway's log gets a row."""
    log_delay_ms: float | None = Field(None, ge=0)
    """From the end of the answer to the row."""

    _replaced: bool = PrivateAttr(False)
    _held: int = PrivateAttr(0)
    _used: int = PrivateAttr(0)
    _burst: dict[Any, tuple[int, list[bytes]]] = PrivateAttr(default_factory=dict)

    @property
    def burst(self) -> dict[Any, tuple[int, list[bytes]]]:
        """(number of chunks, blocks of bytes) of streams without gaps: encoded once, so that a benchmark measures
        its client."""
        return self._burst

    @property
    def holds(self) -> bool:
        """Whether streams still wait at `hold_after_chunks`."""
        return not self._replaced

    @property
    def replaces_answer(self) -> bool:
        """Whether status and body, not a simulated answer, are sent."""
        return self.status is not None and self.error_after_chunks is None and self.frames is None

    @property
    def stops(self) -> set[int]:
        """Numbers of chunks after which something scripted happens."""
        drop = self.drop.after_chunks if self.drop is not None else None
        stops = (
            drop,
            self.stall_after_chunks,
            self.hold_after_chunks,
            self.error_after_chunks,
            self.provider_cut_after_chunks,
        )
        return {stop for stop in stops if stop is not None}

    def failure(self) -> Failure:
        """The error that `status`, `error`, `headers` and `body` describe."""
        status = self.status or 500
        return Failure(
            status=status,
            message=str(self.error.get("message") or f"The provider answered with status {status}."),
            type=self.error.get("type"),
            code=self.error.get("code"),
            param=self.error.get("param"),
            headers=self.headers,
            content=self.content() if self.body is not None else None,
        )

    def content(self) -> bytes:
        """`body` as bytes."""
        if isinstance(self.body, str):
            return self.body.encode()
        if isinstance(self.body, dict) and self.body.keys() == {"base64"}:
            return base64.b64decode(self.body["base64"])
        return orjson.dumps(self.body)

    def matches(self, path: str, headers: dict[str, str], deployment: str | None, prompt: str, stream: bool) -> bool:
        """Whether the conditions hold; counts attempts for `nth` and `times`."""
        if self._used == self.times or (deployment is None and self.path is None):
            return False
        if self.path is not None and not (
            path.startswith(self.path[:-1]) if self.path.endswith("*") else path == self.path
        ):
            return False
        if self.deployment not in (None, deployment) or self.stream not in (None, stream):
            return False
        if (self.prompt or "") not in prompt:
            return False
        if any(headers.get(name.lower()) != value for name, value in self.request_headers.items()):
            return False
        self._held += 1
        if self.nth is not None and self._held not in ([self.nth] if isinstance(self.nth, int) else self.nth):
            return False
        self._used += 1
        return True


class Script:
    """The rules in force."""

    def __init__(self) -> None:
        self.rules: list[FaultRule] = []

    def replace(self, rules: list[FaultRule]) -> None:
        """From now on `rules`; streams that the old ones hold go on."""
        for rule in self.rules:
            rule._replaced = True
        self.rules = rules

    @staticmethod
    def parse(rules: Any) -> list[FaultRule]:
        """Rules from JSON values. Raises ValueError (pydantic's) that names what is wrong."""
        return TypeAdapter(list[FaultRule]).validate_python(rules)

    def find(
        self,
        path: str,
        headers: dict[str, str],
        *,
        deployment: str | None = None,
        prompt: str = "",
        stream: bool = False,
    ) -> FaultRule | None:
        """The first rule that applies to this attempt."""
        return next((rule for rule in self.rules if rule.matches(path, headers, deployment, prompt, stream)), None)

"""The files and batch jobs of the providers behind the embedded gateway, as OpenAI, Azure, Anthropic and Gemini keep
them.

A job's answers are worked out when it is made and shown when its time has come: what a simulated deployment answers,
in the provider's own words, without anything of the gateway's.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from .content.answers import SimulatedAnswer
from .deployments import Kind
from .dialects import Failure
from .faults import FaultRule
from .http.delivery import ProviderAttempt
from .http.request import Refused, SimulatedCall, read_call
from .http.responses_writer import ResponseWriter

if TYPE_CHECKING:
    from .state import Simulator

__all__ = ["BATCH_S", "BatchJob", "BatchStore", "StoredFile", "answers_of"]

BATCH_S = 4.0
"""A job takes so long at speed 1; real ones take minutes to 24 hours."""
_MOST = 1_000
"""Files and jobs kept each; the oldest go first."""

_KINDS: dict[str, Kind] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text",
    "/v1/responses": "responses",
    "/v1/messages": "chat",
}

Json = dict[str, Any]


@dataclass(slots=True)
class StoredFile:
    """A file at a provider."""

    id: str
    provider: str
    name: str
    purpose: str
    content: bytes
    created_at: int = field(default_factory=lambda: int(time.time()))

    def told(self) -> Json:
        facts: Json = {"id": self.id, "object": "file", "bytes": len(self.content), "created_at": self.created_at}
        return facts | {"filename": self.name, "purpose": self.purpose, "status": "processed"}


@dataclass(slots=True)
class BatchJob:
    """A batch job at a provider."""

    id: str
    provider: str
    endpoint: str
    input_file_id: str | None
    window: str
    metadata: dict[str, str] | None
    results: list[Json]
    """A line for each request: of the output, or of the errors."""
    seconds: float
    made: float = field(default_factory=time.monotonic)
    seen: float = 0.0
    """When a request last looked at it, as `made` on the monotonic clock: all that is told to it is of that moment."""
    created_at: int = field(default_factory=lambda: int(time.time()))
    cancelled_at: int | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None

    @property
    def progress(self) -> float:
        return 1.0 if self.cancelled_at or not self.seconds else max(0.0, self.seen - self.made) / self.seconds

    @property
    def status(self) -> str:
        if self.cancelled_at is not None:
            return "cancelled"
        return "validating" if self.progress < 0.1 else "in_progress" if self.progress < 1 else "completed"

    @property
    def good(self) -> list[Json]:
        return [line for line in self.results if is_good(line)]


def is_good(line: Json) -> bool:
    """Whether a request was answered."""
    return bool((line.get("response") or {}).get("status_code") == 200) or (
        (line.get("result") or {}).get("type") == "succeeded"
    )


class BatchStore:
    """Files and jobs by id."""

    def __init__(self) -> None:
        self.files: dict[str, StoredFile] = {}
        self.jobs: dict[str, BatchJob] = {}

    def clear(self) -> None:
        self.files.clear()
        self.jobs.clear()

    def put(self, provider: str, name: str, purpose: str, content: bytes) -> StoredFile:
        file = StoredFile(f"file-{uuid.uuid4().hex[:24]}", provider, name, purpose, content)
        self.files[file.id] = file
        if len(self.files) > _MOST:
            del self.files[next(iter(self.files))]
        return file

    def add(self, job: BatchJob) -> None:
        self.jobs[job.id] = job
        if len(self.jobs) > _MOST:
            del self.jobs[next(iter(self.jobs))]

    def finish(self, job: BatchJob) -> None:
        """Look at a job, and write the files of one of OpenAI's form whose time has come."""
        job.seen = time.monotonic()
        if job.progress < 1 or job.output_file_id or job.error_file_id or job.provider in ("anthropic", "gemini"):
            return
        for good in (True, False):
            lines = [line for line in job.results if is_good(line) is good]
            if lines and job.cancelled_at is None:
                content = b"".join(orjson.dumps(line) + b"\n" for line in lines)
                file = self.put(
                    job.provider, f"{job.id}_{'output' if good else 'error'}.jsonl", "batch_output", content
                )
                if good:
                    job.output_file_id = file.id
                else:
                    job.error_file_id = file.id


def answers_of(simulator: Simulator, provider: str, endpoint: str, lines: list[Json], model: str) -> list[Json]:
    """What `provider` answers to each request of a job, in its own form; `model` is the job's."""
    if provider == "gemini":
        return [_gemini(simulator, line, model) for line in lines]
    answer = _anthropic if provider == "anthropic" else _openai
    return [answer(simulator, provider, endpoint, line) for line in lines]


def _attempt(
    simulator: Simulator, provider: str, endpoint: str, body: Json, convert: Callable[[Json], Json] = dict
) -> tuple[SimulatedCall, ProviderAttempt | Failure]:
    models = {item.upstream_model or item.model: name for name, item in simulator.deployments.items()
              if item.provider == provider}  # fmt: skip
    model = str(body.get("model") or "")
    target = models.get(model, f"{provider}/{model}")
    call = read_call(
        _KINDS.get(endpoint, "chat"), "v1", orjson.dumps({**body, "model": target}), {},
        request_id=str(uuid.uuid4()), deployment=target, resolve=lambda name: name, convert=convert,
    )  # fmt: skip
    call.stream = False
    rule = simulator.script.find(endpoint, {}, deployment=target, prompt=call.prompt, stream=False) or FaultRule()
    return call, simulator.attempt(call, simulator.route(call, 0), rule, time.monotonic())


def _openai(simulator: Simulator, provider: str, endpoint: str, line: Json) -> Json:
    told: Json = {"id": f"batch_req_{uuid.uuid4().hex[:24]}", "custom_id": line.get("custom_id")}
    try:
        call, attempt = _attempt(simulator, provider, str(line.get("url") or endpoint), line.get("body") or {})
    except Refused as refused:
        attempt, call = Failure(status=400, type="invalid_request_error", message=refused.message), None
    if isinstance(attempt, Failure) or call is None:
        body: Json = {"error": {"message": attempt.message, "type": attempt.type, "param": attempt.param,
                                "code": attempt.code}} if isinstance(attempt, Failure) else {}  # fmt: skip
        status = attempt.status if isinstance(attempt, Failure) else 500
    else:
        status, body = 200, _openai_body(call, attempt)
    request = f"req_{uuid.uuid4().hex[:24]}"
    return told | {"response": {"status_code": status, "request_id": request, "body": body}, "error": None}


def _openai_body(call: SimulatedCall, attempt: ProviderAttempt) -> Json:
    answer, created = attempt.answer, int(time.time())
    usage: Json = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens}
    usage["total_tokens"] = answer.prompt_tokens + answer.completion_tokens
    usage["prompt_tokens_details"] = {"cached_tokens": 0}
    model = attempt.route.upstream_model
    if call.kind == "responses":
        facts = {"id": f"resp_{uuid.uuid4().hex}", "object": "response", "created_at": created, "model": model}
        counted = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.completion_tokens}
        counted["total_tokens"] = usage["total_tokens"]
        return ResponseWriter(answer, call.body, facts).response(counted)
    text = call.kind == "text"
    choices = [_text_choice(choice) if text else _chat_choice(choice) for choice in answer.choices]
    known = {"id": f"{'cmpl' if text else 'chatcmpl'}-{uuid.uuid4().hex[:24]}", "created": created, "model": model}
    kind = "text_completion" if text else "chat.completion"
    return {"object": kind, **known, "choices": choices, "usage": usage, "system_fingerprint": "fp_simulated"}


def _text_choice(choice: Any) -> Json:
    return {"text": choice.text, "index": choice.index, "logprobs": None, "finish_reason": choice.finish_reason}


def _chat_choice(choice: Any) -> Json:
    message: Json = {"role": "assistant", "content": choice.text or None, "refusal": None}
    if choice.tool_calls:
        message["tool_calls"] = choice.tool_calls
    return {"index": choice.index, "message": message, "logprobs": None, "finish_reason": choice.finish_reason}


_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def _anthropic(simulator: Simulator, provider: str, endpoint: str, line: Json) -> Json:
    from .providers import Anthropic

    told: Json = {"custom_id": line.get("custom_id")}
    body = line.get("params") or line.get("body") or {}
    try:
        _, attempt = _attempt(
            simulator, provider, "/v1/messages", body, lambda asked: Anthropic().request(asked, "") | {"stream": False}
        )
    except Refused:
        return told | {"result": {"type": "errored"}, "error": {"code": "error"}}
    if isinstance(attempt, Failure):
        # Measured: the gateway drops what the provider says of an error.
        return told | {"result": {"type": "errored"}, "error": {"code": "error"}}
    return told | {"result": {"type": "succeeded", "message": _message(attempt.answer, attempt.route.upstream_model)}}


_ENDS = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}


def _gemini(simulator: Simulator, line: Json, model: str) -> Json:
    """What the gateway makes of an answer of Gemini's: measured on 2.0.0-prerelease3 before a simulated one."""
    from .providers import GenAI

    def convert(asked: Json) -> Json:
        if "messages" in asked:  # a chat's form: of it the messages alone are handed on
            return {"model": asked["model"], "messages": asked["messages"], "stream": False}
        chat = GenAI().request(asked, str(asked["model"])) | {"stream": False}
        wanted = (asked.get("generationConfig") or {}).get("responseJsonSchema")
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted}}
        return chat | ({"response_format": form} if wanted else {})

    told: Json = {"custom_id": line.get("custom_id")}
    try:
        body = {**(line.get("body") or {}), "model": model}
        _, attempt = _attempt(simulator, "gemini", "/v1/chat/completions", body, convert)
    except Refused as refused:
        return told | {"error": {"code": "3", "message": refused.message}}
    if isinstance(attempt, Failure):
        return told | {"error": {"code": "3", "message": attempt.message}}
    answer = attempt.answer
    choice, thoughts = answer.choices[0], answer.reasoning_tokens or 0
    usage = {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens - thoughts}
    usage["total_tokens"] = answer.prompt_tokens + answer.completion_tokens
    said: Json = {"finish_reason": _ENDS.get(choice.finish_reason, "STOP"), "usage": usage}
    said |= {"text": choice.text} if choice.text else {}
    return told | {"response": {"status_code": 200, "body": said}}


def _message(answer: SimulatedAnswer, model: str) -> Json:
    choice = answer.choices[0]
    content: list[Json] = [{"type": "text", "text": choice.text}] if choice.text or not choice.tool_calls else []
    for call in choice.tool_calls:
        asked = orjson.loads(call["function"]["arguments"] or b"{}")
        content.append({"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": asked})
    usage = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.completion_tokens}
    usage |= {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {
        "id": f"msg_{uuid.uuid4().hex[:24]}", "type": "message", "role": "assistant", "model": model,
        "content": content, "stop_reason": _STOP.get(choice.finish_reason, choice.finish_reason),
        "stop_sequence": None, "usage": usage,
    }  # fmt: skip

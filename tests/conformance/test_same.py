"""The embedded gateway says what Bifrost's engine says: the same run, and the same fields on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import orjson
import pytest

from bifrost_nb import Client, Run
from tests.engine.engines import ENGINES, missing

from .subjects import EMBEDDED, Subject, embedded, engine
from .test_answers import PROMPT, WEATHER

OVERLOADED = {"type": "server_error", "code": "overloaded", "message": "The server is overloaded"}
RULES: list[dict[str, Any]] = [
    {"deployment": "azure/large", "status": 429, "error": OVERLOADED},
    {"deployment": "local/thinker", "stream": True, "error_after_chunks": 2, "gap_ms": 1, "error": OVERLOADED},
    {"deployment": "local/small", "stream": True, "provider_cut_after_chunks": 2, "gap_ms": 1},
]
PLAIN: dict[str, Any] = {"max_tokens": 20, "temperature": 0}
TOOLS: dict[str, Any] = {"tools": [WEATHER], "tool_choice": "required", "seed": 1}
CALLS: dict[str, tuple[str, str, bool, dict[str, Any]]] = {
    "text": ("text", "azure/gpt-35-turbo-instruct", False, PLAIN),
    "text over v1": ("text", "azure/fast", False, {**PLAIN, "route": "v1"}),
    "text of openai": ("text", "openai/gpt-3.5-turbo-instruct", False, PLAIN),
    "text of a custom provider": ("text", "local/small", False, PLAIN),
    "chat": ("chat", "openai/gpt-4o-mini", False, {**PLAIN, "system": "Be brief."}),
    "chat of azure": ("chat", "azure/gpt-4o", False, PLAIN),
    "chat of anthropic": ("chat", "anthropic/claude-haiku-4-5", False, PLAIN),
    "reasoning": ("chat", "local/thinker", False, {"temperature": 0}),
    "tool call": ("chat", "openai/gpt-4o-mini", False, TOOLS),
    "stream of text": ("text", "azure/fast", True, PLAIN),
    "stream of three": ("text", "openai/gpt-3.5-turbo-instruct", True, {"max_tokens": 8, "n": 3, "seed": 1}),
    "stream of chat": ("chat", "openai/gpt-4o-mini", True, PLAIN),
    "stream of azure": ("chat", "azure/gpt-4o", True, PLAIN),
    "stream of anthropic": ("chat", "anthropic/claude-haiku-4-5", True, PLAIN),
    "stream of a tool call": ("chat", "openai/gpt-4o-mini", True, TOOLS),
    "log-probabilities": ("text", "azure/fast", False, {**PLAIN, "logprobs": 2}),
    "stream of log-probabilities": ("chat", "openai/gpt-4o-mini", True, {**PLAIN, "logprobs": True}),
    "fallback": ("text", "azure/large", False, {**PLAIN, "fallbacks": ["xai/grok", "azure/fast"]}),
    "stream of a fallback": ("text", "azure/large", True, {**PLAIN, "fallbacks": ["openai/gpt-3.5-turbo-instruct"]}),
    "error": ("text", "azure/large", False, {}),
    "error instead of a stream": ("chat", "azure/large", True, {}),
    "error in a stream": ("chat", "local/thinker", True, {}),
    "stream cut short": ("text", "local/small", True, {}),
    "unknown deployment": ("text", "azure/none", False, {}),
    "unknown model": ("chat", "openai/none", False, {}),
    "unknown provider": ("text", "nowhere/small", False, {}),
    "provider without a key": ("text", "xai/grok", False, {}),
    "chat model asked for text": ("text", "openai/gpt-4o-mini", False, {}),
}


class Side(NamedTuple):
    """One of the two, and who asks it."""

    subject: Subject
    client: Client
    http: httpx.Client


class Pair(NamedTuple):
    """An engine and the embedded gateway in its dialect."""

    real: Side
    ours: Side


@pytest.fixture(scope="module", params=[pytest.param(version, marks=pytest.mark.gateway) for version in ENGINES])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both, with the same rules."""
    if reason := missing(request.param):
        pytest.skip(reason)
    with engine(request.param) as real, embedded(EMBEDDED[request.param]) as ours:
        for each in (real, ours):
            each.reset()
            each.script(RULES)
        with (
            httpx.Client(base_url=real.url, timeout=20) as first,
            httpx.Client(base_url=ours.url, timeout=20) as second,
        ):
            yield Pair(
                Side(real, real.client(tmp_path_factory.mktemp("real")), first),
                Side(ours, ours.client(tmp_path_factory.mktemp("ours")), second),
            )


def facts(run: Run) -> dict[str, Any]:
    """All of a run but times, identities and what only a gateway's own program tells."""
    told = {name: getattr(run, name) for name in Run.__dataclass_fields__ if name in _TOLD}
    tools = [call["function"] for call in run.tool_calls]
    return told | {"tool_calls": tools, "text_at": run.ttft_ms is not None}


_TOLD = (
    "request_type", "requested_provider", "requested_model", "fallbacks", "provider", "model", "model_deployment",
    "is_fallback", "fallback_index", "status", "finish_reason", "error_type", "error_code", "prompt_tokens",
    "completion_tokens", "total_tokens", "reasoning_tokens", "chunks", "response", "texts", "reasoning", "logprobs",
    "params",
)  # fmt: skip
# What is left out: `provider` and `model` of a failure stand in headers, which are the gateway program's, not the
# engine's; the wording of the engine's own errors ends in what Go ran into; a failure inside a stream of 1.3 has a
# status in the gateway's nested frame only; `cached_tokens` of anthropic is a 0 that later engines add.


@pytest.mark.parametrize("call", CALLS)
def test_the_same_call_becomes_the_same_run(pair: Pair, call: str) -> None:
    """Asked the same, with the same deployments behind them, both are recorded as the same run, word for word."""
    kind, deployment, stream, options = CALLS[call]

    def record(side: Side) -> tuple[Run, dict[str, Any]]:
        prompt = "What is the weather in Paris?" if options.get("tools") else PROMPT
        prepared = side.client.prepare("text" if kind == "text" else "chat", deployment, prompt, stream, **options)
        run = side.client.start(prepared).result().run
        return run, facts(run)

    (real, expected), (ours, found) = record(pair.real), record(pair.ours)
    if "log-prob" in call and pair.ours.subject.generation == "1.3":
        # The specification of that generation has log-probabilities; its engine loses them.
        assert expected.pop("logprobs") is None
        assert found.pop("logprobs") is not None
    assert found == expected
    if real.status == "ok":
        assert (ours.served, ours.model_deployment) == (real.served, real.model_deployment)
        assert ours.requested_provider in (ours.provider, None) or ours.is_fallback


# -- the wire ---------------------------------------------------------------------------------------------------------

LEFT_OUT = {
    "provider_response_headers",  # each provider's own
    "created",  # on text: the embedded gateway's newest dialect is ahead of every engine
    "upstream_latency",  # likewise: gateway 2.0.0-prerelease3 has it, no engine here does
    "prompt_tokens_details",  # zeros and empty objects that some engines add for anthropic
    "completion_tokens_details",
    "logprobs",  # with them, and null without
    "log_probs",
    "latency",  # a failure's, in the newest only
}


def shape(value: Any) -> Any:
    """Which fields there are, of which type. An empty text is a type of its own; null is a field left out."""
    if isinstance(value, dict):
        told = {name: item for name, item in sorted(value.items()) if item is not None and name not in LEFT_OUT}
        return {name: shape(item) for name, item in told.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    if isinstance(value, float) and value.is_integer():
        return "int"
    return "empty" if value == "" else type(value).__name__


def told(side: Side, call: str) -> tuple[int, list[Any]]:
    """Status and JSON of the answer to a plain HTTP request: one body, or first, middle and last chunk of a stream."""
    kind, deployment, stream, options = CALLS[call]
    body: dict[str, Any] = {name: value for name, value in options.items() if name not in ("route", "system")}
    body |= {"model": deployment, "stream": stream}
    if kind == "chat" and "max_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_tokens")
    body |= {"prompt": PROMPT} if kind == "text" else {"messages": [{"role": "user", "content": PROMPT}]}
    path = "/v1/completions" if kind == "text" else "/v1/chat/completions"
    answer = side.http.post(path, json=body)
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return answer.status_code, [answer.json()]
    payloads = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert payloads.pop() == "[DONE]"
    chunks = [orjson.loads(payload) for payload in payloads]
    return answer.status_code, [chunks[0], chunks[len(chunks) // 2], chunks[-1]]


@pytest.mark.parametrize("call", CALLS)
def test_the_same_fields_are_on_the_wire(pair: Pair, call: str) -> None:
    """Every body and chunk of the embedded gateway has the fields of the engine's, and each the same type."""
    (status, real), (our_status, ours) = told(pair.real, call), told(pair.ours, call)
    assert our_status == status
    if call == "error in a stream" and pair.ours.subject.generation == "1.3":
        ours[-1] = ours[-1]["error"]  # the gateway program of that generation puts the engine's frame into another
        del ours[-1]["status_code"]
    assert [shape(body) for body in ours] == [shape(body) for body in real]

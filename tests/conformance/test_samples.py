"""Captured bodies of Bifrost's engine, sent once more over HTTP: our client makes of each the run it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from bifrost_nb import Client, LocalGateway, RunLog, local_gateway
from tests.thorough import some_of

FOLDER = Path(__file__).parents[1] / "engine" / "samples"
FILES = sorted(path for path in FOLDER.glob("core-*/*") if path.stem != "calls")
CALLS: dict[str, dict[str, Any]] = {
    folder.name: orjson.loads((folder / "calls.json").read_bytes()) for folder in FOLDER.glob("core-*")
}


class Facts(NamedTuple):
    """What is known of a good answer, whatever the engine's version."""

    texts: list[str]
    served: str
    finish_reason: str = "stop"
    total_tokens: int | None = 8
    fallback_index: int = 0


WHOLE, STREAM = " Hello 0", " Hello world"
OK: dict[str, Facts] = {
    "azure_chat": Facts(["Hello 0"], "azure/ok"),
    "azure_chat_stream": Facts([STREAM], "azure/ok"),
    "azure_text": Facts([WHOLE], "azure/ok"),
    "azure_text_n2_logprobs": Facts([WHOLE, " Hello 1"], "azure/ok"),
    "azure_text_stream": Facts([STREAM], "azure/ok"),
    "azure_text_stream_logprobs": Facts([STREAM], "azure/ok"),
    "azure_text_stream_n2": Facts([STREAM, STREAM], "azure/ok"),
    "error_unlisted_deployment": Facts([WHOLE], "azure/nothere"),  # from 1.5 on
    "fallback_after_timeout": Facts([WHOLE], "local/ok", fallback_index=1),
    "fallback_chat": Facts(["Hello from anthropic"], "anthropic/ok", total_tokens=9, fallback_index=1),
    "fallback_first_frame_error": Facts([STREAM], "local/ok", fallback_index=1),  # from 1.5 on
    "fallback_not_capable_then_ok": Facts([""], "anthropic/ok", "", None, 1),
    "fallback_primary_unconfigured": Facts([WHOLE], "local/ok", fallback_index=1),
    "fallback_unconfigured_then_ok": Facts([WHOLE], "local/ok", fallback_index=2),
    "fallback_used": Facts([WHOLE], "local/ok", fallback_index=2),
    "fallback_used_stream": Facts([STREAM], "local/ok", fallback_index=1),
    "raw_response": Facts([WHOLE], "azure/ok"),
    "raw_response_stream": Facts([STREAM], "azure/ok"),
    "stop_list_text": Facts([WHOLE], "openai/ok"),
    "stream_garbage_frame": Facts([STREAM], "azure/garbage"),
    "v1_chat_anthropic": Facts(["Hello from anthropic"], "anthropic/ok", total_tokens=9),
    "v1_chat_logprobs_n2": Facts(["Hello 0", "Hello 1"], "openai/ok"),
    "v1_chat_max_completion_tokens": Facts(["Hello 0"], "openai/ok"),
    "v1_chat_max_tokens_allowed": Facts(["Hello 0", "Hello 1"], "openai/ok"),
    "v1_chat_openai": Facts(["Hello 0"], "openai/ok"),
    "v1_chat_stream_n2": Facts([STREAM, STREAM], "openai/ok"),
    "v1_chat_stream_openai": Facts([STREAM], "openai/ok"),
    "v1_text_all_fields": Facts([WHOLE], "openai/ok"),
    "v1_text_anthropic_unsupported": Facts([""], "anthropic/ok", "", None),
    "v1_text_extra_field": Facts([WHOLE], "openai/ok"),
    "v1_text_extra_field_allowed": Facts([WHOLE], "openai/ok"),
    "v1_text_local": Facts([WHOLE], "local/ok"),
    "v1_text_openai": Facts([WHOLE], "openai/ok"),
    "v1_text_prompt_list": Facts([WHOLE], "openai/ok"),
    "v1_text_stream_local": Facts([STREAM], "local/ok"),
}
BROKEN = {
    "fallback_midway_not_used": "error", "stream_error_midway": "error", "stream_error_midway_chat": "error",
    "stream_error_midway_v1": "error", "stream_cut": "truncated", "stream_ends_without_done": "truncated",
}  # fmt: skip


@pytest.fixture(scope="module")
def stage() -> Iterator[LocalGateway]:
    """A server that says what a script says, for every deployment that was ever asked."""
    names = sorted({asked_for(call) for calls in CALLS.values() for call in calls.values()})
    with local_gateway(speed=100, dialect="1.5", deployments=[{"id": name} for name in names]) as gateway:
        yield gateway


def asked_for(call: dict[str, Any]) -> str:
    """``provider/model`` of a captured call; one that names no provider is asked of openai."""
    request = call["request"]
    model: str = request["body"].get("model") or f"azure/{request['path'].split('/')[4]}"
    return model if "/" in model else f"openai/{model}"


def replay(stage: LocalGateway, path: Path, log: RunLog) -> Any:
    """The outcome of asking as was asked when `path` was captured, and being answered with it, byte for byte."""
    call = CALLS[path.parent.name][path.stem]
    asked, content = call["request"]["body"], path.read_text()
    if path.suffix == ".sse":
        answer: dict[str, Any] = {"frames": [{"text": content, "cut": 700}], "first_text_ms": 0}
    else:
        answer = {"body": content, "headers": {"content-type": "application/json"}}
        if call["status"] >= 400:
            answer["status"] = call["status"]
    stage.script([answer])
    kind = "chat" if call["request"]["path"].endswith("chat/completions") else "text"
    fallbacks = [entry for entry in asked.get("fallbacks", []) if isinstance(entry, str)]
    client = Client(stage.url, log=log, retries=0, timeout=20)
    stream = bool(asked.get("stream"))
    return client.start(client.prepare(kind, asked_for(call), "Hi", stream, fallbacks=fallbacks)).result()


@pytest.mark.parametrize("path", some_of(FILES), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_captured_answer_becomes_its_run(stage: LocalGateway, path: Path, tmp_path: Path) -> None:
    """Text, tokens, finish reason, server, fallback and error of every capture are in the run, and in its log."""
    log = RunLog(tmp_path / "runs.jsonl")
    outcome = replay(stage, path, log)
    run, error, content = outcome.run, outcome.error, path.read_text()
    [logged] = log.read()
    assert (logged.response, logged.status, logged.error_message) == (run.response, run.status, run.error_message)
    status = CALLS[path.parent.name][path.stem]["status"]
    assert run.http_status == status
    if status >= 400:
        body = orjson.loads(content)
        assert (run.status, error.status, error.code) == ("error", status, body["error"].get("code"))
        assert body["error"]["message"].rstrip(".") in str(error) or "HTML" in str(error)
        assert run.response is run.total_tokens is None
        return
    if path.stem in BROKEN or (path.parent.name == "core-1.4.0" and "first" in path.stem):
        expected = BROKEN.get(path.stem, "error")
        assert (run.status, run.total_tokens, run.finish_reason) == (expected, None, None), run.error_message
        assert run.text in (" Hello", STREAM, "")
        return
    facts = OK[path.stem]
    assert (run.status, error) == ("ok", None)
    # 1.4 drops `n` of a chat.
    dropped = path.parent.name == "core-1.4.0" and path.stem in ("v1_chat_logprobs_n2", "v1_chat_stream_n2")
    assert run.texts == (facts.texts[:1] if dropped else facts.texts)
    assert (run.finish_reason or "", run.total_tokens) == (facts.finish_reason, facts.total_tokens)
    assert run.served == facts.served
    assert (run.is_fallback, run.fallback_index) == (facts.fallback_index > 0, facts.fallback_index)
    assert run.latency_ms == 7
    if "logprobs" in path.stem and path.parent.name != "core-1.4.0":
        assert run.logprobs is not None

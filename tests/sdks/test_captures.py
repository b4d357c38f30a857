"""What real gateways answered, served again: the recorder, our client and each SDK read what it tells."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, Run, RunLog
from tests.thorough import thorough

from .drivers import DRIVERS, PROMPT, Driver
from .test_clients import Server
from .test_matrix import _there

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"
VERSIONS = ["1.3.63", "1.4.0", "1.4.18", "1.5.1", "1.5.16", "2.0.0-prerelease3"]
EACH = pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1], *thorough(*VERSIONS[1:-1])])
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"there are no captures of real gateways in {CAPTURES}"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]
INFERENCE = ("/completions", "/responses", "/messages", "enerateContent", "/converse", "/chat", "/embeddings")
LENGTHS = ("content-length", "transfer-encoding", "connection", "date", "server")


def captured(version: str) -> Iterator[tuple[str, dict[str, Any], bytes]]:
    """(name, capture, body) of each call of a model that was answered."""
    for path in sorted((CAPTURES / version).glob("*.json")):
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict) or "request" not in content or not content.get("status"):
            continue
        method, address = content["request"][:2]
        if method != "POST" or not any(part in address for part in INFERENCE):
            continue
        if content.get("text") is None and content.get("json") is None:
            continue  # Amazon's frames were not kept
        body = content["text"].encode() if content.get("text") is not None else json.dumps(content["json"]).encode()
        yield path.stem, content, body


def served(capture: dict[str, Any], body: bytes) -> Any:
    """The answer as the gateway gave it: only where that told the length of a stream before its end, this does."""
    told = not body.startswith((b"data:", b"event:")) or "content-length" in dict(capture["headers"])

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(capture["status"])
        for name, value in capture["headers"]:
            if name.lower() not in LENGTHS:
                handler.send_header(name, value)
        handler.send_header(*(("content-length", str(len(body))) if told else ("connection", "close")))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = handler.close_connection or not told

    return answer


def frames(body: bytes) -> list[Any]:
    """The JSON of each data line, read without any of our code; a whole answer is one."""
    text = body.decode()
    if not text.lstrip().startswith(("data:", "event:", ":")):
        try:
            return [json.loads(text)]
        except ValueError:
            return []
    lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    if cut(body):
        lines.pop()
    return [json.loads(line) for line in lines if line and line != "[DONE]"]


def cut(body: bytes) -> bool:
    """Whether whoever captured a stream kept only its beginning."""
    return body.startswith((b"data:", b"event:")) and not body.endswith(b"\n\n")


def every(value: Any, name: str) -> list[Any]:
    """All values under `name`, however deep, in order."""
    if isinstance(value, list):
        return [found for each in value for found in every(each, name)]
    if not isinstance(value, dict):
        return []
    own = [value[name]] if name in value else []
    return own + [found for key, each in value.items() if key != name for found in every(each, name)]


FINISHES = ("finish_reason", "stop_reason", "finishReason", "stopReason")
PROMPT_COUNTS = ("prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens")


def check(run: Run, capture: dict[str, Any], body: bytes) -> None:
    """What the answer tells anywhere is in the run."""
    told = frames(body)
    broken = [error for error in every(told, "error") if error]
    assert run.http_status == capture["status"] or (broken and run.status == "error")  # an error frame has its own
    if capture["status"] >= 400:
        assert run.status == "error"
        assert run.error_type
        (message, *_) = [text for text in every(told, "message") if isinstance(text, str) and text] or [""]
        assert " ".join(message[:40].split()) in " ".join((run.error_message or "").split())
        return
    if run.request_type == "embedding":
        assert run.prompt_tokens
        return
    if cut(body):
        assert run.status == "truncated"
        assert run.response
        return
    assert run.status in (("error", "truncated") if broken else ("ok", "truncated"))
    if run.status == "ok":
        assert run.response
    if counts := [n for name in PROMPT_COUNTS for n in every(told, name) if n]:
        assert run.prompt_tokens in counts
        assert run.completion_tokens or run.status != "ok"
    if not broken and any(reason for name in FINISHES for reason in every(told, name)):
        assert run.finish_reason in ("stop", "length", "tool_calls", "content_filter")
    headers = {name.lower(): value for name, value in capture["headers"]}
    providers = [each["provider"] for each in every(told, "extra_fields") if each.get("provider")]
    providers += [each["provider"] for each in every(told, "routing_info") if each.get("provider")]
    if named := headers.get("x-bifrost-provider") or (providers or [None])[0]:
        assert run.provider == named


@pytest.fixture(scope="module")
def replaying() -> Iterator[Server]:
    """One server for all captures."""
    server = Server()
    yield server
    server.stop()


@EACH
def test_the_recorder_reads_every_answer(version: str, replaying: Server, log: RunLog) -> None:
    """No captured answer leaves text, tokens, finish reason, provider or error unknown where it tells them."""
    failures = []
    calls = list(captured(version))
    assert len(calls) > 60
    with bf.recording_client(Client(replaying.url, log=log)) as http:
        for _, capture, body in calls:
            replaying.answers[:] = [served(capture, body)]
            question = capture["request"][2]
            content = question.encode() if isinstance(question, str) else json.dumps(question).encode()
            http.post(replaying.url + capture["request"][1], content=content)
    for (name, capture, body), run in zip(calls, log.read(), strict=True):
        try:
            check(run, capture, body)
        except AssertionError as error:
            failures.append(f"{name}: {error}"[:300])
    assert not failures


ROUTES = {"Responses": "/openai/v1/responses", "OpenAI": "/openai/v1/chat", "Anthropic": "/anthropic/v1/messages",
          "GenAI": "/genai/v1beta/models/gemini", "Cohere": "/cohere/v2/chat", "Bedrock": "/bedrock/model/",
          "LangChain": "/langchain/", "LiteLLM": "/litellm/", "PydanticAI": "/pydanticai/"}  # fmt: skip


def of(driver: Driver, version: str) -> list[tuple[dict[str, Any], bytes]]:
    prefix = ROUTES[type(driver).__name__]
    both = (prefix, prefix.replace("/openai/v1", "/openai"))
    return [
        (capture, body)
        for _, capture, body in captured(version)
        if capture["status"] == 200
        and capture["request"][1].startswith(both)
        and not cut(body)
        and not every(frames(body), "error")
    ]


@EACH
@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: type(driver).__name__)
def test_each_sdk_reads_its_answers(version: str, driver: Driver, replaying: Server, log: RunLog) -> None:
    """An SDK behind the recorder reads a real gateway's answers, and the run has the same text and tokens."""
    if not _there(driver):
        pytest.skip(f"{driver.name} is not installed (extra: sdks)")
    found = of(driver, version)
    if not found:
        pytest.skip(f"no answer of {version} to this SDK was captured")
    name: Any = driver.name
    for capture, body in found:
        streamed = not body.lstrip().startswith(b"{")
        replaying.answers[:] = [served(capture, body)]
        client = bf.sdk(name, client=Client(replaying.url, log=log), asynchronous=not driver.blocking, **driver.options)
        if streamed:
            events = list(driver.stream(client)) if driver.blocking else asyncio.run(_events(driver, client))
            assert events or driver.name == "cohere"
        else:
            answer = driver.answer(client) if driver.blocking else asyncio.run(driver.aanswer(client))
        run = list(log.read())[-1]
        check(run, capture, body)
        if driver.name == "cohere":  # the SDK reads nothing of it, and the run says why
            assert "x-bf-send-back-raw-response" in run.notes[0]
        elif not streamed:
            assert (run.prompt_tokens, run.completion_tokens) == driver.counts(answer)
            assert (run.response or "-")[:30] in str(answer).replace("\\n", "\n").replace("\\'", "'")


async def _events(driver: Driver, client: Any) -> list[Any]:
    return [event async for event in driver.astream(client)]


@EACH
def test_the_client_reads_what_the_recorder_reads(version: str, replaying: Server, tmp_path: Path) -> None:
    """Our client and the recorder say the same of each answer on /v1: text, tokens, finish reason, who served."""
    ours, others = RunLog(tmp_path / "ours.jsonl"), RunLog(tmp_path / "others.jsonl")
    client = Client(replaying.url, log=ours, retries=0)
    calls = [
        (capture, body)
        for _, capture, body in captured(version)
        if capture["request"][1] in ("/v1/completions", "/v1/chat/completions")
        and isinstance(capture["request"][2], dict)
        and "/" in str(capture["request"][2].get("model"))
        and not capture["request"][2].get("fallbacks")
    ]
    assert len(calls) > 10
    with bf.recording_client(Client(replaying.url, log=others)) as http:
        for capture, body in calls:
            question = capture["request"][2]
            replaying.answers[:] = [served(capture, body)] * 2
            http.post(replaying.url + capture["request"][1], json=question)
            ask = client.chat if "chat" in capture["request"][1] else client.complete
            stream = client.stream_chat if "chat" in capture["request"][1] else client.stream
            try:
                if question.get("stream"):
                    with stream(question["model"], PROMPT) as pieces:
                        list(pieces)
                else:
                    ask(question["model"], PROMPT)
            except bf.BifrostError:
                pass
    same = ("status", "http_status", "response", "prompt_tokens", "completion_tokens", "finish_reason", "provider",
            "model", "error_type", "reasoning_tokens", "cached_tokens")  # fmt: skip
    for mine, other in zip(ours.read(), others.read(), strict=True):
        assert {name: getattr(mine, name) for name in same} == {name: getattr(other, name) for name in same}


@EACH
def test_a_text_that_comes_twice_counts_once(version: str, replaying: Server, log: RunLog) -> None:
    """Up to 1.4.0 Gemini's stream ends with the whole text again: the run has it once, and says so."""
    (capture, body) = next((capture, body) for name, capture, body in captured(version) if name == "070_genai_stream")
    replaying.answers[:] = [served(capture, body)]
    with bf.recording_client(Client(replaying.url, log=log)) as http:
        http.post(replaying.url + capture["request"][1], json=capture["request"][2])
    (run,) = log.read()
    assert run.response == "The tide is the rise and fall of the sea."
    assert any("once more" in note for note in run.notes) == (version in ("1.3.63", "1.4.0"))


HEARTBEAT = b": heartbeat\n\n"


@pytest.mark.skipif(not _there(next(each for each in DRIVERS if each.name == "genai")), reason="no google-genai")
def test_googles_sdk_behind_heartbeats(replaying: Server, log: RunLog) -> None:
    """Heartbeats of gateway 2.0 on /genai, which break Google's SDK, are left out before it; the run says so."""
    driver = next(each for each in DRIVERS if each.name == "genai")
    (capture, body) = next(pair for pair in of(driver, VERSIONS[-1]) if not pair[1].startswith(b"{"))
    expected = body.decode()
    cut = expected.index("\n\n") + 2
    beating = body[:cut] + HEARTBEAT + HEARTBEAT + body[cut:]
    replaying.answers[:] = [served(capture, beating)]
    with pytest.raises(Exception):  # noqa: B017 - what it raises is the SDK's, and changes
        list(driver.stream(driver.alone(replaying.url, False)))
    replaying.answers[:] = [served(capture, beating)]
    events = list(driver.stream(bf.sdk("genai", client=Client(replaying.url, log=log))))
    (run,) = log.read()
    assert "".join(event.text or "" for event in events) == run.response
    assert run.status == "ok"
    assert run.notes[0].startswith("2 comment lines were (heartbeats) left out")

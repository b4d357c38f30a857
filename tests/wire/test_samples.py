"""Answers captured from Bifrost's own engine, read by the same code that reads everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from bifrost_nb._wire.choices import choice_text, choices_of, finish_reason, logprobs_of, merge_logprobs
from bifrost_nb._wire.deployments import Deployment
from bifrost_nb._wire.gateway_errors import gateway_error, is_error, parse_error
from bifrost_nb._wire.metadata import Served, Tokens, parse_usage, served
from bifrost_nb._wire.sse import DONE, EventDecoder
from bifrost_nb.errors import GatewayError

FOLDER = Path(__file__).parents[1] / "engine" / "samples"
VERSIONS = sorted(path.name for path in FOLDER.glob("core-*"))
FILES = sorted(path for path in FOLDER.glob("core-*/*") if path.stem != "calls")

pytestmark = pytest.mark.skipif(not FILES, reason="no answers were captured")


def calls(version: str) -> dict[str, Any]:
    """What was asked for each capture, and the HTTP status that came back."""
    content: dict[str, Any] = orjson.loads((FOLDER / version / "calls.json").read_bytes())
    return content


def payloads(path: Path) -> list[bytes]:
    """The payloads of a captured stream, read in blocks of 100 bytes."""
    decoder, data = EventDecoder(), path.read_bytes()
    blocks = (data[at : at + 100] for at in range(0, len(data), 100))
    return [payload for block in blocks for payload in decoder.feed(block)] + decoder.end()


def asked(call: dict[str, Any]) -> tuple[Deployment, list[str]]:
    """The deployment and fallbacks of a call."""
    request = call["request"]
    model = request["body"].get("model") or f"azure/{request['path'].split('/')[4]}"
    deployment = Deployment.parse(model) if "/" in model else Deployment("", model)
    return deployment, [entry for entry in request["body"].get("fallbacks", []) if isinstance(entry, str)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_capture_is_read(path: Path) -> None:
    """Answers, chunks and errors of every engine version are read, and each error becomes an exception."""
    status = calls(path.parent.name).get(path.stem, {}).get("status")
    if path.suffix == ".sse":
        frames = [orjson.loads(payload) for payload in payloads(path) if payload != DONE]
        assert frames
    else:
        frames = [orjson.loads(path.read_bytes())]
    for frame in frames:
        failed = is_error(frame)
        assert status is None or failed == (status >= 400) or path.suffix == ".sse"
        if failed:
            error = gateway_error(parse_error(frame, status, {}))
            assert isinstance(error, GatewayError)
            assert "no reason" not in str(error)
            assert error.status == (status if (status or 0) >= 400 else frame.get("status_code"))


@pytest.mark.parametrize("version", VERSIONS)
def test_streams_say_the_same_as_whole_answers(version: str) -> None:
    """The text, the finish reason, the usage and the log probabilities of a captured stream come out."""
    chunks = [orjson.loads(payload) for payload in payloads(FOLDER / version / "azure_text_stream.sse")[:-1]]
    choices = [choice for chunk in chunks for choice in choices_of(chunk)]
    assert "".join(map(choice_text, choices)) == " Hello world"
    assert [reason for choice in choices if (reason := finish_reason(choice))] == ["stop"]
    whole = orjson.loads((FOLDER / version / "azure_text.json").read_bytes())
    assert parse_usage(chunks[-1]["usage"]) == parse_usage(whole["usage"]) == Tokens(3, 5, 8, 1, 2)


@pytest.mark.parametrize("version", [version for version in VERSIONS if version != "core-1.4.0"])
def test_log_probabilities_of_both_kinds(version: str) -> None:
    """Text and chat layouts are found, whole and streamed; engine 1.4.0 loses them on the way and sends none."""
    text = orjson.loads((FOLDER / version / "v1_text_all_fields.json").read_bytes())["choices"][0]
    chat = orjson.loads((FOLDER / version / "v1_chat_logprobs_n2.json").read_bytes())["choices"][1]
    assert (logprobs_of(text) or {})["tokens"] == [" Hello"]
    assert (logprobs_of(chat) or {})["content"][0]["token"] == "Hello"
    merged = None
    for payload in payloads(FOLDER / version / "azure_text_stream_logprobs.sse")[:-1]:
        for choice in choices_of(orjson.loads(payload)):
            merged = merge_logprobs(merged, logprobs_of(choice))
    assert (merged or {})["tokens"] == [" Hel", "lo", " world"]


def who(version: str, name: str) -> Served:
    """Who served a captured call, read from the body alone."""
    path = next(FOLDER.glob(f"{version}/{name}.*"))
    deployment, fallbacks = asked(calls(version)[name])
    body = payloads(path)[0] if path.suffix == ".sse" else path.read_bytes()
    return served(orjson.loads(body), {}, requested=deployment, fallbacks=fallbacks)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("name", "provider", "index"),
    [
        ("azure_text", "azure", 0),
        ("azure_text_stream", "azure", 0),
        ("v1_text_openai", "openai", 0),
        ("azure_chat", "azure", 0),
        ("fallback_used", "local", 2),
        ("fallback_used_stream", "local", 1),
        ("fallback_unconfigured_then_ok", "local", 2),
        ("fallback_not_capable_then_ok", "anthropic", 1),
        ("fallback_midway_not_used", "azure", 0),
        ("fallback_chat", "anthropic", 1),
    ],
)
def test_captured_fallbacks_are_seen(version: str, name: str, provider: str, index: int) -> None:
    """Who answered, and which fallback it was, is right for every engine version without any header."""
    told = who(version, name)
    assert (told.provider, told.is_fallback, told.fallback_index) == (provider, index > 0, index)

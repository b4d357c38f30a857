"""The newest real SDKs against the embedded gateway: an answer, a stream, an error, a client that leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import DIALECTS, Wire
from .sdk_packages import PROMPT, SDKS, AnthropicSdk, CohereSdk, GenAISdk, Sdk
from .sdk_routes import row_of, said

every_dialect_and_sdk = pytest.mark.parametrize(
    ("each", "sdk"),
    [(dialect, name) for dialect in DIALECTS for name in SDKS if (dialect, name) != ("1.3", "cohere")],
    indirect=True,
)
"""1.3 has no route of Cohere's."""


@pytest.fixture
def sdk(request: pytest.FixtureRequest, each: Wire) -> Iterator[Any]:
    client = SDKS[request.param](each.gateway.url)
    yield client
    client.close()


@every_dialect_and_sdk
def test_an_answer_is_read_whole(sdk: Sdk, each: Wire) -> None:
    """The SDK finds text, reason and tokens, and the gateway's log has the same; its virtual key is recognized."""
    answer = sdk.answer(sdk.model, limit=4_000)
    text, reason, prompt, completion = sdk.facts(answer)
    assert len(text) > 40
    assert reason.lower() in ("end_turn", "stop", "complete")
    record = each.gateway.requests()[0]
    row = row_of(each, record)
    assert (prompt, completion) == (row["token_usage"]["prompt_tokens"], row["token_usage"]["completion_tokens"])
    assert (row["status"], said(row)) == ("success", text)
    asked = row.get("input_history") or row["responses_input_history"]
    assert [message["role"] for message in asked] == ["system", "user"]
    assert row.get("virtual_key_name") == ("demo" if sdk.sends_key else None)


@every_dialect_and_sdk
def test_a_limit_is_kept(sdk: Sdk, each: Wire) -> None:
    """The SDK's own name of the limit reaches the deployment; in 1.3 none learns that it was reached, and Anthropic's
    learns it of no other provider."""
    deployment = sdk.model if isinstance(sdk, CohereSdk) else "azure/fast"
    _, reason, _, completion = sdk.facts(sdk.answer(deployment, limit=7))
    assert completion == 7
    told = each.gateway.dialect != "1.3" and not isinstance(sdk, AnthropicSdk)
    assert (reason.lower() == "max_tokens") == told


@every_dialect_and_sdk
def test_a_stream_is_read_to_its_end(sdk: Sdk, each: Wire) -> None:
    """The pieces add up to the log's text, and reason and tokens come with the end."""
    with sdk.stream(sdk.model) as pieces:
        text = "".join(pieces)
        reason, prompt, completion = sdk.streamed()
    assert reason.lower() in ("end_turn", "stop", "complete", "max_tokens")
    record = each.gateway.requests()[0]
    row = row_of(each, record)
    assert (prompt, completion) == (row["token_usage"]["prompt_tokens"], row["token_usage"]["completion_tokens"])
    again = isinstance(sdk, GenAISdk) and each.gateway.dialect in (
        "1.3",
        "1.4",
    )  # these end with the whole text once more
    assert (row["status"], row["stream"], said(row) * (1 + again)) == ("success", True, text)
    assert record["chunks"] > 3


@every_dialect_and_sdk
def test_a_tool_is_called(sdk: Sdk, each: Wire) -> None:
    """The tools of each SDK are understood, and the call has the form that the SDK parses, streamed too."""
    assert sdk.tool() == ("get_weather", {"city": "Paris"})


@every_dialect_and_sdk
def test_an_error_is_the_sdks_own(sdk: Sdk, each: Wire) -> None:
    """Status and the provider's message are in the exception that the SDK raises for errors."""
    each.gateway.script([{"status": 403, "error": {"type": "permission_error", "message": "not for you"}}])
    with pytest.raises(Exception) as raised:
        sdk.answer(sdk.model)
    assert sdk.error(raised.value) == (403, "not for you")


@every_dialect_and_sdk
def test_an_error_breaks_a_stream(sdk: Sdk, each: Wire) -> None:
    """What came before it is read; then each SDK raises, but Cohere's, which hands the error on as an event."""
    each.gateway.script([{"status": 503, "error_after_chunks": 2, "chunks": 5, "error": {"message": "too busy"}}])
    read: list[str] = []
    with sdk.stream(sdk.model) as pieces:
        read += [next(piece for piece in pieces if piece), next(pieces)]
        if isinstance(sdk, CohereSdk):
            next(pieces)
            assert sdk._last.error["message"] == "too busy"
        else:
            with pytest.raises(Exception, match="too busy") as raised:
                next(pieces)
            assert sdk.error(raised.value)[1] == "too busy"
    assert read == [" word0", " word1"]


@every_dialect_and_sdk
def test_a_client_that_leaves_is_noticed(sdk: Sdk, each: Wire) -> None:
    """Closing a stream after its first text closes the connection, and the gateway records when."""
    each.gateway.script([{"first_text_ms": 0, "gap_ms": 10_000, "chunks": 5, "log_delay_ms": 0}])
    with sdk.stream(sdk.model) as pieces:
        assert next(piece for piece in pieces if piece) == " word0"
    record = each.gateway.wait_for(lambda found: found[0]["disconnected_at"])[0]
    assert (record["chunks"], record["ended_at"]) == (1, None)


def test_anthropics_and_googles_counts(wire: Wire) -> None:
    """Counting tokens gives what an answer to the same question is billed for."""
    anthropic, genai = AnthropicSdk(wire.gateway.url), GenAISdk(wire.gateway.url)
    messages = [{"role": "user", "content": PROMPT}]
    counted = anthropic.client.messages.count_tokens(model=anthropic.model, system="Be exact.", messages=messages)
    assert counted.input_tokens == anthropic.facts(anthropic.answer(anthropic.model))[2]
    plain = genai.client.models.count_tokens(model=genai.model, contents=PROMPT)
    with genai.stream(genai.model) as pieces:
        list(pieces)
    assert plain.total_tokens == genai.streamed()[1]
    rows = [row_of(wire, record) for record in wire.gateway.requests()]
    assert [row["object"] for row in rows] == ["count_tokens", "responses", "count_tokens", "responses_stream"]
    assert rows[0]["token_usage"] == {"prompt_tokens": counted.input_tokens, "total_tokens": counted.input_tokens}
    anthropic.close()
    genai.close()

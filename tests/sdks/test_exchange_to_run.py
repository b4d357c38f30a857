"""What passed by becomes a run: every API, whole and streamed, cut anywhere, broken off anywhere, damaged."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from bifrost_nb import Run
from bifrost_nb._client.call_notes import NOT_ENDED, REFUSAL_LOST
from bifrost_nb._runs.cost import Price, add_price_cost
from bifrost_nb._runs.log.codec import decode, encode
from bifrost_nb._runs.redact_hook import hide_keys
from bifrost_nb._sdks.aws_eventstream import FrameDecoder
from bifrost_nb._sdks.exchange import KEPT_BYTES, Exchange
from bifrost_nb._sdks.exchange_to_run import read
from bifrost_nb._sdks.routes import operation

from .wires import SAID, THOUGHT, TOOL, WIRES, Wire, frame, sse

HEADERS = [
    (b"X-Bifrost-Provider", b"azure"),
    (b"x-bifrost-resolved-model", b"large"),
    (b"x-bifrost-fallback-index", b"1"),
]
EACH = pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)


def exchange(wire: Wire, blocks: list[bytes] | None = None, *, headers: Any = (), kind: str | None = None) -> Exchange:
    """A streamed exchange of these blocks, one each millisecond; a whole one without blocks."""
    streamed = blocks is not None
    content = blocks if blocks is not None else [orjson.dumps(wire.whole)]
    made = Exchange(wire.stream_path or wire.path if streamed else wire.path, orjson.dumps(wire.question))
    kind = kind or (wire.stream_type if streamed else "application/json")
    made.head(200, [(b"content-type", kind.encode()), *headers])
    for number, block in enumerate(content, 1):
        made.take(block)
        made.blocks[-1] = (float(number), block)
    made.ended_ms, made.exhausted = len(content) + 1.0, True
    return made


def check(run: Run, wire: Wire) -> None:
    assert run.error_message is None
    assert (run.status, run.http_status) == ("ok", 200)
    assert (run.response, run.reasoning, run.prompt) == (SAID, THOUGHT, "Tides?")
    told = (run.prompt_tokens, run.completion_tokens, run.total_tokens, run.cached_tokens)
    assert told == (20, 12, 32, 8)
    expected = {"reasoning_tokens": 5, "request_type": "chat_completion", **wire.expected}
    assert {name: getattr(run, name) for name in expected} == expected
    (call,) = run.tool_calls
    assert call["id"] == "t1"
    assert call["function"]["name"] == "tide"
    assert json.loads(call["function"]["arguments"]) == json.loads(TOOL["arguments"])


@EACH
def test_a_whole_answer(wire: Wire) -> None:
    """Text, reasoning, tool calls, tokens, model and finish reason of each API land under the same names."""
    run = read(exchange(wire))
    check(run, wire)
    assert run.usage == (wire.whole.get("usage") or wire.whole.get("usageMetadata"))
    assert (run.ttft_ms, run.chunks, run.total_ms) == (None, None, 2.0)


@EACH
def test_a_stream_cut_at_every_byte(wire: Wire) -> None:
    """A stream says the same as the whole answer, wherever the network cuts it in two."""
    for cut in range(len(wire.stream) + 1):
        blocks = [part for part in (wire.stream[:cut], wire.stream[cut:]) if part]
        check(read(exchange(wire, blocks)), wire)


@EACH
@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_stream_in_pieces(wire: Wire, size: int) -> None:
    """The same in many small blocks; first text and gaps are the arrivals of the blocks that completed them."""
    blocks = [wire.stream[start : start + size] for start in range(0, len(wire.stream), size)]
    run = read(exchange(wire, blocks))
    check(run, wire)
    assert run.chunks == len(run.chunk_times_ms) == 3
    assert run.chunk_times_ms[0] < (run.ttft_ms or 0) == run.chunk_times_ms[1]  # reasoning came first
    assert run.total_ms == len(blocks)


@EACH
def test_a_stream_that_breaks_off_at_every_byte(wire: Wire) -> None:
    """A cut stream is truncated, unless it was complete already; the text so far is kept, no usage made up."""
    for cut in range(len(wire.stream)):
        run = read(exchange(wire, [wire.stream[:cut]] if cut else []))
        assert run.status in ("truncated", "ok")
        assert SAID.startswith(run.response or "")
        if run.status == "ok":
            assert run.finish_reason is not None
        else:
            assert run.completion_tokens is None
            assert run.error_type == "StreamInterrupted"


@EACH
def test_a_stream_that_the_sdk_closes(wire: Wire) -> None:
    """Closed before its last word it is cancelled, closed after it is not."""
    early = exchange(wire, [wire.stream[: len(wire.stream) // 2]])
    early.exhausted = False
    run = read(early)
    assert (run.status, run.error_type, run.completion_tokens) == ("cancelled", None, None)
    late = exchange(wire, [wire.stream])
    late.exhausted = False
    check(read(late), wire)


@EACH
def test_headers_tell_who_served(wire: Wire) -> None:
    """What the gateway says in its headers goes before what the provider's body says."""
    for run in (read(exchange(wire, headers=HEADERS)), read(exchange(wire, [wire.stream], headers=HEADERS))):
        assert (run.provider, run.model, run.is_fallback, run.fallback_index) == ("azure", "large", True, 1)


@EACH
def test_compressed_answers(wire: Wire) -> None:
    """A compressed body is read too, its blocks keep their times, and cut off in the middle it is truncated."""
    packed = gzip.compress(wire.stream, mtime=0)
    headers = [(b"content-encoding", b"gzip")]
    blocks = [packed[: len(packed) // 2], packed[len(packed) // 2 :]]
    check(read(exchange(wire, blocks, headers=headers)), wire)
    whole = exchange(wire, headers=headers)
    whole.blocks = [(1.0, gzip.compress(orjson.dumps(wire.whole)))]
    check(read(whole), wire)
    assert read(exchange(wire, blocks[:1], headers=headers)).status in ("truncated", "ok")


ERRORS: dict[str, tuple[bytes, Any, str | None]] = {  # what an API answers: body, header, the type in the frame
    "openai": (
        b'{"error":{"message":"no tides","type":"invalid_request_error","code":"moon"}}',
        (),
        "invalid_request_error",
    ),
    "anthropic": (b'{"type":"error","error":{"type":"overloaded","message":"no tides"}}', (), "overloaded"),
    "genai": (b'{"error":{"code":400,"message":"no tides","status":"INVALID_ARGUMENT"}}', (), "INVALID_ARGUMENT"),
    "bedrock": (
        b'{"message":"no tides"}',
        [(b"x-amzn-ErrorType", b"ThrottlingException:http://x")],
        "ThrottlingException",
    ),
    "cohere": (b'{"message":"no tides"}', (), None),
    "page": (b"<html><title>no tides</title></html>", (), None),
}


@pytest.mark.parametrize(("body", "headers", "kind"), ERRORS.values(), ids=ERRORS)
def test_an_error(body: bytes, headers: Any, kind: str | None) -> None:
    """Each API's way to write an error gives status, message and type; a key in it is hidden."""
    made = exchange(
        WIRES["openai"], [body.replace(b"no tides", b"no tides for sk-bf-secret")], headers=headers, kind="x/y"
    )
    made.status = 429
    run = read(made, ["sk-bf-secret"])
    assert (run.status, run.http_status) == ("error", 429)
    assert "no tides" in (run.error_message or "")
    assert "secret" not in repr(run)
    assert run.error_type == (kind or "RateLimited")


BROKEN = {
    "openai": b'data: {"error":{"message":"no tides","type":"server_error"}}\n\n',
    "responses": b'data: {"type":"response.failed","response":{"error":{"message":"no tides"}}}\n\n',
    "anthropic": b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"no tides"}}\n\n',
    "genai": b'data: {"error":{"code":500,"message":"no tides","status":"INTERNAL"}}\n\n',
    "cohere": b'data: {"type":"message-end","delta":{"finish_reason":"ERROR","error":"no tides"}}\n\n',
    "bedrock": frame("modelStreamErrorException", {"message": "no tides"}, message="exception"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_error_inside_a_stream(name: str) -> None:
    """An error after the first text is an error with the text so far."""
    wire = WIRES[name]
    head = wire.stream[: wire.stream.index(SAID[9:].encode()) if name != "bedrock" else 0]
    head = head[: head.rfind(b"\n\n") + 2] if name != "bedrock" else b"".join(
        [frame("messageStart", {"role": "assistant"}), frame("contentBlockDelta", {"delta": {"text": SAID[:9]}})]
    )  # fmt: skip
    run = read(exchange(wire, [head, BROKEN[name]]))
    assert run.status == "error"
    assert "no tides" in (run.error_message or "")
    assert SAID.startswith(run.response or "")


@EACH
def test_nothing_on_the_wire_raises(wire: Wire) -> None:
    """Whatever comes, also under another API's path, becomes a run that the log can hold."""
    chance = random.Random(7)
    for other in WIRES.values():
        read(exchange(wire, [other.stream], kind=other.stream_type))
        mixed = exchange(wire)
        mixed.blocks = [(1.0, orjson.dumps(other.whole))]
        read(mixed)
    for _ in range(300):
        content = bytearray(wire.stream)
        for _ in range(3):
            content[chance.randrange(len(content))] = chance.randrange(256)
        assert read(exchange(wire, [bytes(content)])).status in ("ok", "error", "truncated")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(value=_JSON, data=st.data())
def test_any_json_is_read(value: Any, data: Any) -> None:
    """Every field of every API may hold any JSON."""
    wire = data.draw(st.sampled_from(list(WIRES.values())))
    name = data.draw(st.sampled_from(sorted(wire.whole)))
    made = exchange(wire)
    made.blocks = [(1.0, json.dumps({**wire.whole, name: value}).encode("utf-8", "replace"))]
    asked = data.draw(st.sampled_from(sorted(wire.question)))
    made.question = json.dumps({**wire.question, asked: value}).encode("utf-8", "replace")
    assert read(made).status in ("ok", "error")


KINDS = [
    "Text/Event-Stream; Charset=UTF-8",
    "text/plain; charset=utf-8",
    "application/octet-stream",
    "application/json",
    "",
]


@EACH
@pytest.mark.parametrize("kind", KINDS)
def test_any_content_type(wire: Wire, kind: str) -> None:
    """An SDK knows by its request what will come, so no spelling of a content type makes an answer unread."""
    streamed = exchange(wire, [wire.stream[:5], wire.stream[5:]], kind=kind or "x/y")
    check(read(streamed), wire)
    check(read(exchange(wire, kind=kind or "x/y")), wire)


@EACH
def test_json_that_a_strict_reader_refuses(wire: Wire) -> None:
    """Half of a character, an infinity or a mark costs neither the answer nor its line in the log."""
    whole = json.dumps({**wire.whole, "odd": [float("-inf"), "\ud83d"]})
    made = exchange(wire)
    made.blocks = [(1.0, b"\xef\xbb\xbf" + whole.encode())]
    run = read(made)
    check(run, wire)
    assert decode(orjson.loads(encode(run)), {}).response == SAID


def test_halves_of_a_character_in_two_chunks() -> None:
    """A character that was cut in two between chunks is whole in the text."""
    parts = ["ok \\ud83d", "\\ude00 end"]
    chunks = [b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % part.encode() for part in parts]
    run = read(exchange(WIRES["openai"], [*chunks, b"data: [DONE]\n\n"]))
    assert (run.status, run.response) == ("ok", "ok 😀 end")


def test_what_an_answer_lacks_is_noted() -> None:
    """As on the client's own runs: no reason for its end, or a refusal that gateways drop from streams (captured)."""
    usage = b'"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}'
    said = b'data: {"choices":[{"index":0,"delta":{"content":"Once"}}],%b}\n\ndata: [DONE]\n\n' % usage
    silent = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],%b}\n\ndata: [DONE]\n\n' % usage
    wire = replace(WIRES["openai"], question=WIRES["openai"].question | {"stream": True})
    assert read(exchange(wire, [said])).notes == [NOT_ENDED]
    assert read(exchange(wire, [silent])).notes == [REFUSAL_LOST]


@EACH
def test_an_echoed_key_is_hidden(wire: Wire) -> None:
    """A key that comes back in a tool call, a model's name or anywhere else of an answer is in nothing of the run."""
    key = 'sk-bf-"quoted"-0123456789'
    echoed = json.dumps(key)[1:-1].encode()
    for blocks in (None, [wire.stream]):
        if blocks and wire is WIRES["bedrock"]:
            continue  # its frames have checksums
        made = exchange(wire, blocks)
        made.blocks = [
            (at, block.replace(b"Brest", echoed).replace(b"-001", echoed).replace(b"2024-07-18", echoed))
            for at, block in made.blocks
        ]
        run = read(made, [key])
        hide_keys(run, [key])  # as the log does, also where it writes nothing
        assert (run.status, run.response) == ("ok", SAID)
        assert "quoted" not in f"{run!r}{run.raw}{run.usage}{run.extra_fields}{run._repr_mimebundle_()}"
        assert "[hidden]" in str(run.tool_calls)


SEARCH = {"id": "s1", "name": "web_search", "input": {}}


@pytest.mark.parametrize("kind", ["server_tool_use", "mcp_tool_use"])
def test_a_tool_of_the_provider_is_no_call(kind: str) -> None:
    """What Anthropic ran itself is no call of the user's tools, and the one that is keeps its arguments."""
    search, delta = {"type": kind, **SEARCH}, {"type": "input_json_delta", "partial_json": '{"query":"tide"}'}
    wire = WIRES["anthropic"]
    before = sse(
        {"type": "content_block_start", "index": 7, "content_block": search},
        {"type": "content_block_delta", "index": 7, "delta": delta},
        {"type": "content_block_stop", "index": 7},
        named=True,
    )
    first = wire.stream.index(b"\n\n") + 2
    check(read(exchange(wire, [wire.stream[:first] + before + wire.stream[first:]])), wire)
    made = exchange(wire)
    made.blocks = [(1.0, orjson.dumps({**wire.whole, "content": [search, *wire.whole["content"]]}))]
    check(read(made), wire)


def test_a_tool_of_bedrock_itself_is_no_call() -> None:
    """Amazon marks what ran on its side by a type."""
    wire, use = WIRES["bedrock"], {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}
    before = frame("contentBlockStart", {"contentBlockIndex": 7, "start": {"toolUse": use}})
    before += frame("contentBlockDelta", {"contentBlockIndex": 7, "delta": {"toolUse": {"input": "{}"}}})
    check(read(exchange(wire, [before + wire.stream])), wire)


@pytest.mark.parametrize("told", [True, False])
def test_arguments_that_come_whole_at_the_start(told: bool) -> None:
    """Anthropic may send a tool's input with its name; pieces that follow stand for it, as in the SDK."""
    block = {"type": "tool_use", "id": "t1", "name": "tide", "input": {"port": "Oslo"}}
    delta = {"type": "input_json_delta", "partial_json": TOOL["arguments"]}
    events = [
        {"type": "content_block_start", "index": 0, "content_block": block},
        *([{"type": "content_block_delta", "index": 0, "delta": delta}] if told else []),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}},
    ]
    run = read(exchange(WIRES["anthropic"], [sse(*events, named=True)]))
    assert [json.loads(call["function"]["arguments"]) for call in run.tool_calls] == [
        {"port": "Brest" if told else "Oslo"}
    ]


def test_calls_of_gemini_one_an_event() -> None:
    """Google sends each call whole, without an id or an index: two events are two calls."""
    calls = [{"functionCall": {"name": "tide", "args": {"port": port}}} for port in ("Brest", "Oslo")]
    events = [{"candidates": [{"content": {"parts": [call]}}]} for call in calls]
    events.append({"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}]})
    run = read(exchange(WIRES["genai"], [sse(*events)]))
    assert [json.loads(call["function"]["arguments"])["port"] for call in run.tool_calls] == ["Brest", "Oslo"]
    assert run.finish_reason == "tool_calls"  # as of a whole answer, though the end comes in an event of its own


def test_token_counts_that_overlap() -> None:
    """A gateway may count thoughts and cache within the totals; the total shows which, and nothing is counted twice."""
    google, amazon = WIRES["genai"], WIRES["bedrock"]
    usage = {"promptTokenCount": 20, "candidatesTokenCount": 12, "thoughtsTokenCount": 5, "totalTokenCount": 32}
    made = exchange(google)
    made.blocks = [(1.0, orjson.dumps({**google.whole, "usageMetadata": usage}))]
    assert read(made).completion_tokens == 12
    counts = {"inputTokens": 20, "outputTokens": 12, "totalTokens": 32, "cacheReadInputTokens": 8}
    made = exchange(amazon)
    made.blocks = [(1.0, orjson.dumps({**amazon.whole, "usage": counts}))]
    run = read(made)
    assert (run.prompt_tokens, run.cached_tokens) == (20, 8)


def test_writes_to_a_cache_are_kept() -> None:
    """Written to a cache they are part of the prompt, stand in `usage` as they came, and have their price."""
    run = read(exchange(WIRES["anthropic"], [WIRES["anthropic"].stream]))
    assert run.usage == {**WIRES["anthropic"].whole["usage"]}
    assert run.prompt_tokens == 9 + 8 + 3
    assert add_price_cost(run, Price(10.0, 0.0, None, 1.0, 100.0))
    assert run.cost_usd == 9 * 10 + 8 * 1 + 3 * 100


def test_embeddings() -> None:
    """Embeddings have a prompt, prompt tokens and no completion, for each API that has them."""
    cases = [
        ("/v1/embeddings", {"model": "openai/e", "input": ["a", "b"]},
         {"data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 4, "total_tokens": 4}},
         "openai", "e", '["a","b"]'),
        ("/cohere/v2/embed", {"model": "e", "texts": ["a"]},
         {"embeddings": {"float": [[0.1]]}, "meta": {"billed_units": {"input_tokens": 4}}}, "cohere", "e", "a"),
    ]  # fmt: skip
    for path, question, answer, provider, model, prompt in cases:
        run = read(exchange(Wire(path, question, answer, b"")))
        assert (run.status, run.request_type, run.prompt) == ("ok", "embedding", prompt)
        assert (run.requested_provider, run.requested_model) == (provider, model)
        assert (run.prompt_tokens, run.completion_tokens) == (4, None)


@pytest.mark.parametrize(
    ("path", "kind", "provider", "model"),
    [
        ("/v1/chat/completions", "chat_completion", None, None),
        ("/litellm/chat/completions", "chat_completion", "openai", None),
        ("/openai/openai/deployments/my%20dep/chat/completions", "chat_completion", "azure", "my dep"),
        ("/openai/openai/deployments/fast/completions", "text_completion", "azure", "fast"),
        ("/langchain/v1/messages", "chat_completion", "anthropic", None),
        ("/genai/v1beta/models/openai%2Fgpt:streamGenerateContent", "chat_completion", "gemini", "openai/gpt"),
        ("/openai/v1/images/generations", "image_generation", "openai", None),
        ("/openai/audio/speech", "speech", "openai", None),
        ("/litellm/v1/audio/transcriptions", "transcription", "openai", None),
        ("/v1/files", "files", None, None),
        ("/openai/openai/deployments/draw/images/generations", "image_generation", "azure", "draw"),
        ("/openai/openai/deployments/say/audio/speech", "speech", "azure", "say"),
        ("/openai/openai/deployments/draw/images/edits", "images_edits", "azure", "draw"),
        ("/genai/v1beta/models/openai%2Fgpt:countTokens", "countTokens", "gemini", "openai/gpt"),
        ("/bedrock/model/openai%2Fgpt/invoke", "invoke", "bedrock", "openai/gpt"),
        ("/bedrock/model/nova/invoke-with-response-stream", "invoke", "bedrock", "nova"),
        ("/anthropic/v1/messages/count_tokens", "messages_count_tokens", None, None),
        ("/", "other", None, None),
    ],
)
def test_paths(path: str, kind: str, provider: str | None, model: str | None) -> None:
    """The path says what a call is; one that is not known is named after it."""
    found = operation(path)
    assert (found.request_type, found.provider, found.model) == (kind, provider, model)


def test_a_resource_name_is_no_deployment() -> None:
    """The slash in a name of AWS does not split provider and model."""
    arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova"
    run = read(exchange(Wire(f"/bedrock/model/{arn.replace('/', '%2F')}/converse", {}, WIRES["bedrock"].whole, b"")))
    assert (run.requested_provider, run.requested_model) == ("bedrock", arn)


def test_a_long_body_is_not_kept() -> None:
    """Of an answer that is no text, size and times are enough: the memory stays small."""
    made = exchange(WIRES["openai"])
    made.take(b"x" * KEPT_BYTES)
    assert made.blocks == []
    assert read(made).status == "ok"


def test_damaged_frames() -> None:
    """A frame whose lengths cannot be is an error of the protocol, not an endless wait."""
    for damaged in (b"\xff" * 32, b"\0" * 32, frame("messageStop", {})[:20] + b"\xff" * 40):
        run = read(exchange(WIRES["bedrock"], [damaged]))
        assert run.status in ("error", "truncated")
    assert FrameDecoder().feed(frame("messageStop", {"a": 1})[:-1]) == []

"""Stream shapes that providers, gateways and proxies write and a textbook does not: the SDK's own sum is the judge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, Run, RunLog
from bifrost_nb._runs.collector import REFUSED_BESIDE
from bifrost_nb._sdks.exchange_to_run import read

from .drivers import MESSAGES
from .test_accumulation import Server, by_genai, by_openai, by_responses, recorded, server as _server
from .test_exchange_to_run import exchange
from .wires import WIRES, Json, sse

server = _server
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

BASE = {"id": "r1", "object": "response", "created_at": 1, "model": "m", "parallel_tool_calls": True, "tools": [],
        "tool_choice": "auto", "output": []}  # fmt: skip
USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12, "input_tokens_details": {"cached_tokens": 0},
         "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
CALL = {"type": "function_call", "id": "f1", "call_id": "c1", "name": "tide", "arguments": '{"port":"Brest"}'}
OTHER = {**CALL, "id": "f2", "call_id": "c2", "arguments": '{"port":"Oslo"}'}
BEGUN = {**CALL, "arguments": ""}


def item(kind: str, place: int, what: Json) -> Json:
    return {"type": f"response.output_item.{kind}", "output_index": place, "item": what}


def arguments(kind: str, place: int, text: str) -> Json:
    key = "delta" if kind == "delta" else "arguments"
    return {"type": f"response.function_call_arguments.{kind}", "output_index": place, "item_id": "f", key: text}


def message(place: int, text: str) -> Json:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": f"m{place}", "role": "assistant", "status": "completed", "content": [part]}


def said(place: int, text: str) -> list[Json]:
    at = {"output_index": place, "item_id": f"m{place}", "content_index": 0}
    return [
        item("added", place, {**message(place, ""), "content": []}),
        {"type": "response.content_part.added", **at, "part": message(place, "")["content"][0]},
        {"type": "response.output_text.delta", **at, "delta": text, "logprobs": []},
    ]


RESPONSES: dict[str, tuple[list[Json], list[Json]]] = {
    "a call at the very end": ([], [CALL]),
    "a call that is only done": ([item("done", 0, CALL)], [CALL]),
    "a call done, and the other at the end": ([item("done", 0, CALL)], [CALL, OTHER]),
    "arguments only when done": ([item("added", 0, BEGUN), arguments("done", 0, CALL["arguments"])], [CALL]),
    "arguments cut short": ([item("added", 0, BEGUN), arguments("delta", 0, '{"port":')], [CALL]),
    "arguments at the start and in pieces": (
        [item("added", 0, CALL), *(arguments("delta", 0, one) for one in ('{"port":', '"Brest"}')),
         item("done", 0, CALL)], [CALL],
    ),
    "two calls by turns": (
        [item("added", 0, BEGUN), item("added", 1, {**OTHER, "arguments": ""}), arguments("delta", 1, '{"port":'),
         arguments("delta", 0, CALL["arguments"]), arguments("delta", 1, '"Oslo"}')], [CALL, OTHER],
    ),
    "a second message without pieces": (said(0, "one "), [message(0, "one "), message(1, "two")]),
    "a text that goes on at the end": (said(0, "one"), [message(0, "one and more")]),
    "a tool of the provider between": (
        [*said(0, "one "), item("done", 1, {"type": "web_search_call", "id": "w", "status": "completed",
                                            "action": {"type": "search", "query": "q"}}), *said(2, "two")],
        [message(0, "one "), message(2, "two")],
    ),
}  # fmt: skip


def responses(name: str) -> bytes:
    events, output = RESPONSES[name]
    start = {"type": "response.created", "response": {**BASE, "status": "in_progress"}}
    end = {"type": "response.completed", "response": {**BASE, "status": "completed", "output": output, "usage": USAGE}}
    return sse(*({**event, "sequence_number": n} for n, event in enumerate([start, *events, end])), named=True)


@pytest.mark.parametrize("name", RESPONSES)
def test_what_a_response_holds_at_its_end_is_recorded(name: str, server: Server, log: RunLog) -> None:
    """Whatever came in pieces, whole, twice or not before the last event: the final response is what is recorded."""
    server.body, server.kind = responses(name), "text/event-stream"
    client = Client(f"http://127.0.0.1:{server.server_port}", log=log)
    told = by_responses(bf.sdk("openai", client=client, max_retries=0))
    assert recorded(log.read()[-1]) == told
    assert told[1] or told[0]
    own = client.respond("openai/m", "Tides?", stream=True)
    assert recorded(own) == told


def chunk(delta: Json, finish: str | None = None, **more: Any) -> Json:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def usage(completion: int) -> Json:
    return {"prompt_tokens": 5, "completion_tokens": completion, "total_tokens": 5 + completion}


DONE = b"data: [DONE]\n\n"
PLAIN = sse(
    chunk({"role": "assistant", "content": "one "}), chunk({"content": "two"}), chunk({}, "stop", usage=usage(7))
)
CHATS = {
    "words behind the end": PLAIN + DONE + sse(chunk({"content": "zzz"})),
    "junk behind the end": PLAIN + DONE + b"data: junk\n\n",
    "an error behind the end": PLAIN + DONE + sse({"error": {"message": "late"}}),
    "usage in every chunk": sse(
        chunk({"content": "one "}, usage=usage(1)), chunk({"content": "two"}, "stop", usage=usage(7))
    )
    + DONE,
    "fields of other kinds": b": hi\n\n:x\nid: 3\nretry: 10\nevent: message\n" + PLAIN + DONE,
    "an event in two lines": PLAIN.replace(b'"created": 1,', b'"created": 1,\ndata: ').replace(
        b'"created":1,', b'"created":1,\ndata: '
    )
    + DONE,
    "carriage returns": (PLAIN + DONE).replace(b"\n", b"\r"),
    "no choices at first": sse({**chunk({}), "choices": [], "prompt_filter_results": []}) + PLAIN + DONE,
}


@pytest.mark.parametrize("name", CHATS)
def test_what_stands_around_the_chunks_of_a_chat(name: str, server: Server, log: RunLog) -> None:
    """Comments, split lines, foreign fields and what follows the end change nothing: the SDK reads none of it."""
    server.body, server.kind = CHATS[name], "text/event-stream"
    client = Client(f"http://127.0.0.1:{server.server_port}", log=log)
    told = by_openai(bf.sdk("openai", client=client, max_retries=0))
    run = log.read()[-1]
    assert (run.status, run.error_message) == ("ok", None)
    assert recorded(run) == told == ("one two", [], 5, 7)
    assert client.chat("openai/m", "Hi", stream=True).response == "one two"


ORDERS = {
    "a text, then a refusal": [("content", "one "), ("content", "two"), ("refusal", "I may "), ("refusal", "not.")],
    "by turns": [("content", "one "), ("refusal", "I may "), ("content", "two"), ("refusal", "not.")],
    "a refusal first": [("refusal", "I may not."), ("content", "one two")],
}


def as_responses(said: list[tuple[str, str]]) -> list[Json]:
    """One message of two parts, as OpenAI streams them."""
    kinds = {"content": ("output_text", "text"), "refusal": ("refusal", "refusal")}
    places = {name: place for place, name in enumerate(dict.fromkeys(name for name, _ in said))}
    parts: list[Json] = [{"type": kinds[name][0], kinds[name][1]: ""} for name in places]
    parts = [{**part, "annotations": []} if "text" in part else part for part in parts]
    at = {"output_index": 0, "item_id": "m0"}
    events = [item("added", 0, {**message(0, ""), "content": []})]
    for place, part in enumerate(parts):
        events.append({"type": "response.content_part.added", **at, "content_index": place, "part": {**part}})
    for name, text in said:
        kind, key = kinds[name]
        parts[places[name]][key] += text
        events.append({"type": f"response.{kind}.delta", **at, "content_index": places[name], "delta": text,
                       "logprobs": []})  # fmt: skip
    whole = {**BASE, "status": "completed", "usage": USAGE, "output": [{**message(0, ""), "content": parts}]}
    return [
        {"type": "response.created", "response": {**BASE, "status": "in_progress"}},
        *events,
        {"type": "response.completed", "response": whole},
    ]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_refusal_beside_a_text_is_none_of_it(api: str, order: str, server: Server, log: RunLog) -> None:
    """An SDK keeps both apart; the text of the run is the content alone, and a note tells of the refusal."""
    said = ORDERS[order]
    client = Client(f"http://127.0.0.1:{server.server_port}", log=log)
    server.kind = "text/event-stream"
    if api == "chat":
        server.body = sse(*(chunk({name: text}) for name, text in said), chunk({}, "stop", usage=usage(7))) + DONE
        with bf.sdk("openai", client=client).chat.completions.stream(model="m", messages=MESSAGES) as stream:  # type: ignore[union-attr]
            told = stream.get_final_completion().choices[0].message.content
    else:
        server.body = sse(
            *(event | {"sequence_number": number} for number, event in enumerate(as_responses(said))), named=True
        )
        with bf.sdk("openai", client=client).responses.stream(model="m", input="Hi") as stream:  # type: ignore[union-attr]
            told = stream.get_final_response().output_text
    run = log.read()[-1]
    assert (run.status, run.response, told) == ("ok", "one two", "one two")
    assert REFUSED_BESIDE in run.notes
    ask = client.chat if api == "chat" else client.respond
    with pytest.warns(RuntimeWarning, match="refusal"):
        own = ask("openai/m", "Hi", stream=True)  # type: ignore[operator]
    assert (own.response, own.notes) == ("one two", run.notes)


@pytest.mark.parametrize("read_as", ["chat", "responses"])
def test_a_whole_answer_with_both(read_as: str, server: Server, log: RunLog) -> None:
    """The same of what is not streamed."""
    both = {"role": "assistant", "content": "one two", "refusal": "I may not."}
    server.kind = "application/json"
    client = Client(f"http://127.0.0.1:{server.server_port}", log=log)
    if read_as == "chat":
        whole = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m"}
        server.body = json.dumps(
            {**whole, "choices": [{"index": 0, "message": both, "finish_reason": "stop"}]}
        ).encode()
        ask = client.chat
    else:
        server.body = json.dumps(as_responses(ORDERS["by turns"])[-1]["response"]).encode()
        ask = client.respond  # type: ignore[assignment]
    with pytest.warns(RuntimeWarning, match="refusal"):
        run = ask("openai/m", "Hi")
    assert run.response == "one two"
    assert REFUSED_BESIDE in run.notes


def tool(arguments: str | None, index: int | None = 0, identity: str | None = "c1", name: str | None = "tide") -> Json:
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"index": index, "id": identity, "type": "function", "function": function}]}


WHOLE = '{"port":"Brest"}'
SAID_AGAIN = {
    "whole, and whole again": [tool(WHOLE), tool(WHOLE)],
    "in pieces, and whole again": [tool('{"port":'), tool('"Brest"}', name=None), tool(WHOLE, name=None)],
    "whole again without id and name": [tool(WHOLE), tool(WHOLE, identity=None, name=None)],
    "three times": [tool(WHOLE), tool(WHOLE), tool(WHOLE)],
    "nothing at first": [tool(None), tool(WHOLE, name=None), tool("", name=None)],
}


@pytest.mark.parametrize("shape", SAID_AGAIN)
def test_arguments_that_are_said_again_are_those_of_one_call(shape: str) -> None:
    """A call whose arguments come whole once more, under its id or without one, is one call that can be read."""
    events = [*map(chunk, SAID_AGAIN[shape]), chunk({}, "tool_calls")]
    (call,) = read(exchange(WIRES["openai"], [sse(*events) + DONE])).tool_calls
    assert json.loads(call["function"]["arguments"]) == {"port": "Brest"}


@pytest.mark.parametrize(
    "texts", [["ha", "ha", "haha"], ["1", "1", "11", "1"], ["a", "b", "ab", "abab"]], ids=["ha", "ones", "twice"]
)
@pytest.mark.parametrize("model", ["m", None])
def test_a_model_may_repeat_itself(texts: list[str], model: str | None, server: Server, log: RunLog) -> None:
    """Google's SDK is given all of it, and so is the log; what an old gateway says again stands at the end, unnamed."""
    events = [{"candidates": [{"content": {"parts": [{"text": text}]}, "index": 0}]} for text in [*texts, "."]]
    end = {"candidates": [{"index": 0, "content": {"parts": []}, "finishReason": "STOP"}],
           "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12}}  # fmt: skip
    server.body = sse(*({**event, **({"modelVersion": model} if model else {})} for event in [*events, end]))
    server.kind = "text/event-stream"
    client = Client(f"http://127.0.0.1:{server.server_port}", log=log)
    assert by_genai(bf.sdk("genai", client=client))[0] == "".join(texts) + "."
    assert log.read()[-1].response == "".join(texts) + "."


def test_bedrock_answers_from_documents_are_text() -> None:
    """What is said with citations stands in a block of its own kind, and is part of the answer."""
    cited = {"citationsContent": {"content": [{"text": "It is blue."}], "citations": [{"title": "Sky"}]}}
    whole = {"output": {"message": {"content": [{"text": "Yes. "}, cited]}}, "stopReason": "end_turn"}
    made = exchange(WIRES["bedrock"])
    made.blocks = [(1.0, json.dumps(whole).encode())]
    assert read(made).response == "Yes. It is blue."


def early(client: Any) -> Iterator[Any]:
    """Ways to leave a stream of OpenAI's SDK."""
    with client.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream:
        yield next(iter(stream))
    with client.chat.completions.stream(model="m", messages=MESSAGES) as events:
        events.until_done()
        yield events.get_final_completion()
    with client.chat.completions.with_streaming_response.create(model="m", messages=MESSAGES, stream=True) as raw:
        yield list(raw.iter_lines())
    raw = client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES, stream=True)
    yield list(raw.parse())


def test_streams_that_are_read_in_other_ways(server: Server, log: RunLog) -> None:
    """Left after the first chunk, read to the end at once, by lines, raw: one run each, with what had come."""
    server.body, server.kind = PLAIN + DONE, "text/event-stream"
    client = Client(f"http://127.0.0.1:{server.server_port}", log=log)
    list(early(bf.sdk("openai", client=client, max_retries=0)))
    runs: list[Run] = log.read()
    assert [run.status for run in runs[1:]] == ["ok"] * 3
    assert runs[0].status in ("ok", "cancelled")
    assert [run.response for run in runs[1:]] == ["one two"] * 3
    assert (runs[0].response or "").startswith("one ")

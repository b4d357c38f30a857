"""The recorder holds what the SDK itself puts together, for generated streams of every shape that providers produce.

An answer is planted (text, reasoning, calls of tools, tokens), written in one API's words in a generated shape, and
served by a real HTTP server to the real SDK. Its own accumulation is the judge; where an SDK mixes up what its provider
means (calls that share an index), the planted answer is.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import bifrost_nb as bf
from bifrost_nb import Client, Run, RunLog
from bifrost_nb._wire.json_text import whole_characters

from ..thorough import thorough
from .drivers import MESSAGES, PROMPT
from .wires import Json, frame

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

KINDS = ["text/event-stream", "Text/Event-Stream; Charset=UTF-8", "text/plain", "application/octet-stream"]


@dataclass
class Answer:
    """What the model said."""

    texts: list[str]
    thoughts: list[str]
    calls: list[tuple[str, str, Json]]
    prompt: int
    completion: int
    shape: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return whole_characters("".join(self.texts))


def halves(text: str) -> list[str]:
    """UTF-16 units, so that a character may be cut in two as some gateways do."""
    units = text.encode("utf-16-le", "surrogatepass")
    return [units[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), 2)]


def pieces(draw: Any, text: str) -> list[str]:
    """`text` cut anywhere, also within a character."""
    units = halves(text)
    cuts = sorted(draw(st.lists(st.integers(0, len(units)), max_size=3)))
    return ["".join(units[a:b]) for a, b in zip([0, *cuts], [*cuts, len(units)], strict=True)]


_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
_ARGUMENTS = st.dictionaries(
    st.text("abc_", min_size=1, max_size=4), _TEXT | st.integers(-9, 9) | st.booleans() | st.none(), max_size=3
)


@st.composite
def answers(draw: Any) -> Answer:
    """An answer and the shape in which it comes."""
    calls = [
        (f"call_{place}", draw(st.sampled_from(["tide", "clock", "weather"])), draw(_ARGUMENTS))
        for place in range(draw(st.integers(0, 3)))
    ]
    text = draw(_TEXT) if not calls or draw(st.booleans()) else ""
    thought = draw(_TEXT) if draw(st.booleans()) else ""
    shape = {
        "calls": draw(st.sampled_from(["pieces", "whole", "one event", "at the end"])),
        "usage": draw(st.sampled_from(["own", "last", "early too"])),
        "searched": draw(st.booleans()),  # the provider's own tool ran before
        "kind": draw(st.sampled_from(KINDS)),
        "newline": draw(st.sampled_from(["\n", "\r\n"])),
        "heartbeats": draw(st.booleans()),
        "odd": draw(st.booleans()),  # an infinity, which no strict reader of JSON takes
        "refusal": not calls and not thought and draw(st.booleans()),
        "nulls": draw(st.booleans()),  # keys without a value, as many gateways write them
    }
    return Answer(pieces(draw, text), [thought] if thought else [], calls, draw(st.integers(1, 99)),
                  draw(st.integers(1, 99)), shape)  # fmt: skip


def arguments_of(draw_from: Answer, call: Json) -> list[str]:
    """The arguments' text, in the pieces of the shape."""
    text = json.dumps(call)
    if draw_from.shape["calls"] in ("whole", "one event"):
        return [text]
    if draw_from.shape["calls"] == "at the end":
        return ["", text]
    middle = len(text) // 2
    return ["", text[:middle], text[middle:]]


# Each API's words


def openai_events(answer: Answer) -> list[Json]:
    def chunk(delta: Json, finish: str | None = None, **more: Any) -> Json:
        logprobs = {"logprobs": {"content": [{"token": "x", "logprob": float("-inf"), "top_logprobs": []}]}}
        odd = logprobs if answer.shape["odd"] and delta.get("content") else {}
        nulls: Json = {"content": None, "tool_calls": None, "refusal": None} if answer.shape["nulls"] else {}
        choice = {"index": 0, "delta": {**nulls, **delta}, "finish_reason": finish, **odd}
        early = {"usage": None} if answer.shape["nulls"] else {}
        chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return {**chunk, **early, **more}

    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"reasoning": thought}) for thought in answer.thoughts]
    events += [chunk({"refusal" if answer.shape["refusal"] else "content": text}) for text in answer.texts if text]
    begun: list[Json] = []
    for place, (identity, name, wanted) in enumerate(answer.calls):
        first, *rest = arguments_of(answer, wanted)
        call = {"index": place, "id": identity, "type": "function", "function": {"name": name, "arguments": first}}
        begun.append(call)
        if answer.shape["calls"] != "one event":
            events.append(chunk({"tool_calls": [call]}))
        events += [chunk({"tool_calls": [{"index": place, "function": {"arguments": piece}}]}) for piece in rest]
    if begun and answer.shape["calls"] == "one event":
        events.append(chunk({"tool_calls": begun}))
    usage = {
        "prompt_tokens": answer.prompt,
        "completion_tokens": answer.completion,
        "total_tokens": answer.prompt + answer.completion,
    }
    last = chunk({}, "tool_calls" if answer.calls else "stop")
    if answer.shape["usage"] == "last":
        return [*events, {**last, "usage": usage}]
    return [*events, last, {**chunk({}), "choices": [], "usage": usage}]


def responses_events(answer: Answer) -> list[Json]:
    events: list[Json] = []
    output: list[Json] = []

    def add(kind: str, **more: Any) -> None:
        events.append({"type": f"response.{kind}", "sequence_number": len(events), **more})

    base = {"id": "r1", "object": "response", "created_at": 1, "model": "m", "parallel_tool_calls": True, "tools": []}
    base |= {"tool_choice": "auto", "output": []}
    add("created", response={**base, "status": "in_progress"})
    if answer.shape["searched"]:
        item = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": ""}}
        add("output_item.added", output_index=len(output), item=item)
        add("output_item.done", output_index=len(output), item=item)
        output.append(item)
    if answer.text:
        at = {"output_index": len(output), "item_id": "m1", "content_index": 0}
        kind = "refusal" if answer.shape["refusal"] else "output_text"
        empty: Json = (
            {"type": kind, "refusal": ""} if kind == "refusal" else {"type": kind, "text": "", "annotations": []}
        )
        item = {"type": "message", "id": "m1", "role": "assistant", "status": "in_progress", "content": []}
        add("output_item.added", output_index=len(output), item=item)
        add("content_part.added", part=empty, **at)
        for text in answer.texts:
            more = {} if kind == "refusal" else {"logprobs": []}
            add(f"{kind}.delta", delta=text, **at, **more)
        full = {**empty, "refusal" if kind == "refusal" else "text": answer.text}
        if kind == "refusal":
            add("refusal.done", refusal=answer.text, **at)
        else:
            add("output_text.done", text=answer.text, logprobs=[], **at)
        add("content_part.done", part=full, **at)
        item = {**item, "status": "completed", "content": [full]}
        add("output_item.done", output_index=len(output), item=item)
        output.append(item)
    for identity, name, wanted in answer.calls:
        text = json.dumps(wanted)
        item = {"type": "function_call", "id": f"fc_{identity}", "call_id": identity, "name": name, "arguments": "",
                "status": "in_progress"}  # fmt: skip
        whole = {**item, "arguments": text, "status": "completed"}
        at = {"output_index": len(output), "item_id": item["id"]}
        add("output_item.added", output_index=len(output),
            item=whole if answer.shape["calls"] == "whole" else item)  # fmt: skip
        if answer.shape["calls"] != "whole":
            for piece in arguments_of(answer, wanted):
                if piece:
                    add("function_call_arguments.delta", delta=piece, **at)
        add("function_call_arguments.done", arguments=text, name=name, **at)
        add("output_item.done", output_index=len(output), item=whole)
        output.append(whole)
    usage = {"input_tokens": answer.prompt, "output_tokens": answer.completion,
             "total_tokens": answer.prompt + answer.completion, "input_tokens_details": {"cached_tokens": 0},
             "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
    add("completed", response={**base, "status": "completed", "output": output, "usage": usage})
    return events


def anthropic_events(answer: Answer) -> list[Json]:
    message = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
               "stop_sequence": None, "usage": {"input_tokens": answer.prompt, "output_tokens": 1}}  # fmt: skip
    events: list[Json] = [{"type": "message_start", "message": message}]
    place = 0

    def block(start: Json, *deltas: Json) -> None:
        nonlocal place
        events.append({"type": "content_block_start", "index": place, "content_block": start})
        events.extend({"type": "content_block_delta", "index": place, "delta": delta} for delta in deltas)
        events.append({"type": "content_block_stop", "index": place})
        place += 1

    for thought in answer.thoughts:
        block({"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": thought})
    if answer.shape["searched"]:
        block({"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
              {"type": "input_json_delta", "partial_json": '{"query":"tide"}'})  # fmt: skip
        block({"type": "web_search_tool_result", "tool_use_id": "s1", "content": []})
    if answer.text:
        block({"type": "text", "text": ""}, *({"type": "text_delta", "text": text} for text in answer.texts))
    for identity, name, wanted in answer.calls:
        start = {"type": "tool_use", "id": identity, "name": name, "input": {}}
        if answer.shape["calls"] == "whole":
            block({**start, "input": wanted})
        else:
            block(start, *({"type": "input_json_delta", "partial_json": one} for one in arguments_of(answer, wanted)))
    reason = "tool_use" if answer.calls else "refusal" if answer.shape["refusal"] else "end_turn"
    usage = {"output_tokens": answer.completion}
    if answer.shape["usage"] == "early too":  # some count the question again at the end
        usage["input_tokens"] = answer.prompt
    events.append({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage})
    return [*events, {"type": "message_stop"}]


def genai_events(answer: Answer) -> list[Json]:
    def chunk(*parts: Json, **more: Any) -> Json:
        return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}],
                "modelVersion": "m"}  # fmt: skip

    events = [chunk({"text": thought, "thought": True}) for thought in answer.thoughts]
    if answer.shape["searched"]:
        events.append(chunk({"executableCode": {"language": "PYTHON", "code": "1+1"}}))
        events.append(chunk({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}))
    events += [chunk({"text": text}) for text in answer.texts if text]
    calls = [
        {"functionCall": {"id": identity, "name": name, "args": wanted}} for identity, name, wanted in answer.calls
    ]
    if answer.shape["calls"] == "one event" and calls:
        events.append(chunk(*calls))
    else:
        events += [chunk(call) for call in calls]
    usage = {"promptTokenCount": answer.prompt, "candidatesTokenCount": answer.completion,
             "totalTokenCount": answer.prompt + answer.completion}  # fmt: skip
    last = chunk(finishReason="STOP")
    if answer.shape["usage"] == "last":
        return [*events, {**last, "usageMetadata": usage}]
    return [*({**event, "usageMetadata": {"promptTokenCount": answer.prompt}} for event in events),
            {**last, "usageMetadata": usage}]  # fmt: skip


def cohere_events(answer: Answer) -> list[Json]:
    def delta(kind: str, index: int, **message: Any) -> Json:
        return {"type": kind, "index": index, "delta": {"message": message}}

    events: list[Json] = [{"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant"}}}]
    for thought in answer.thoughts:
        events.append(delta("content-start", 0, content={"type": "thinking", "thinking": ""}))
        events.append(delta("content-delta", 0, content={"thinking": thought}))
        events.append({"type": "content-end", "index": 0})
    if answer.text:
        events.append(delta("content-start", 1, content={"type": "text", "text": ""}))
        events += [delta("content-delta", 1, content={"text": text}) for text in answer.texts]
        events.append({"type": "content-end", "index": 1})
    for place, (identity, name, wanted) in enumerate(answer.calls):
        first, *rest = arguments_of(answer, wanted)
        call = {"id": identity, "type": "function", "function": {"name": name, "arguments": first}}
        events.append(delta("tool-call-start", place, tool_calls=call))
        events += [delta("tool-call-delta", place, tool_calls={"function": {"arguments": piece}}) for piece in rest]
        events.append({"type": "tool-call-end", "index": place})
    usage = {"tokens": {"input_tokens": answer.prompt, "output_tokens": answer.completion}}
    reason = "TOOL_CALL" if answer.calls else "COMPLETE"
    return [*events, {"type": "message-end", "id": "c1", "delta": {"finish_reason": reason, "usage": usage}}]


def bedrock_frames(answer: Answer) -> bytes:
    frames = [frame("messageStart", {"role": "assistant"})]
    place = 0

    def block(start: Json | None, *deltas: Json) -> None:
        nonlocal place
        if start is not None:
            frames.append(frame("contentBlockStart", {"contentBlockIndex": place, "start": start}))
        frames.extend(frame("contentBlockDelta", {"contentBlockIndex": place, "delta": delta}) for delta in deltas)
        frames.append(frame("contentBlockStop", {"contentBlockIndex": place}))
        place += 1

    for thought in answer.thoughts:
        block(None, {"reasoningContent": {"text": thought}})
    if answer.text:
        block(None, *({"text": text} for text in [answer.text]))
    for identity, name, wanted in answer.calls:
        block({"toolUse": {"toolUseId": identity, "name": name}},
              *({"toolUse": {"input": piece}} for piece in arguments_of(answer, wanted) if piece))  # fmt: skip
    frames.append(frame("messageStop", {"stopReason": "tool_use" if answer.calls else "end_turn"}))
    usage = {"inputTokens": answer.prompt, "outputTokens": answer.completion,
             "totalTokens": answer.prompt + answer.completion}  # fmt: skip
    return b"".join([*frames, frame("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})])


def sse(answer: Answer, events: list[Json], *, named: bool = False, done: bool = False) -> bytes:
    newline, lines = answer.shape["newline"], []
    for event in events:
        beat = f": heartbeat{newline}{newline}" if answer.shape["heartbeats"] else ""
        name = f"event: {event['type']}{newline}" if named else ""
        lines.append(f"{beat}{name}data: {json.dumps(event)}{newline}{newline}")
    return "".join([*lines, f"data: [DONE]{newline}{newline}" if done else ""]).encode()


# What each SDK makes of it: (text, calls, prompt tokens, completion tokens)

Told = tuple[str, list[tuple[str | None, str, Any]], int, int]


def by_openai(client: Any) -> Told:
    with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
        answer = stream.get_final_completion()
    message = answer.choices[0].message
    calls = [(c.id, c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or ()]
    usage = answer.usage
    return message.content or message.refusal or "", calls, usage.prompt_tokens, usage.completion_tokens


def by_responses(client: Any) -> Told:
    with client.responses.stream(model="m", input=PROMPT) as stream:
        answer = stream.get_final_response()
    parts = [part for item in answer.output if item.type == "message" for part in item.content]
    text = answer.output_text or "".join(part.refusal for part in parts if part.type == "refusal")
    calls = [(i.call_id, i.name, json.loads(i.arguments)) for i in answer.output if i.type == "function_call"]
    return text, calls, answer.usage.input_tokens, answer.usage.output_tokens


def by_anthropic(client: Any) -> Told:
    with client.messages.stream(model="m", messages=MESSAGES, max_tokens=9) as stream:
        answer = stream.get_final_message()
    text = "".join(block.text for block in answer.content if block.type == "text")
    calls = [(block.id, block.name, block.input) for block in answer.content if block.type == "tool_use"]
    return text, calls, answer.usage.input_tokens, answer.usage.output_tokens


def by_genai(client: Any) -> Told:
    text, calls, usage = "", [], None
    for chunk in client.models.generate_content_stream(model="m", contents=PROMPT):
        usage = chunk.usage_metadata or usage
        for part in (chunk.candidates[0].content.parts or ()) if chunk.candidates else ():
            if part.text and not part.thought:
                text += part.text
            if part.function_call:
                calls.append((part.function_call.id, part.function_call.name, part.function_call.args))
    assert usage is not None
    return text, calls, usage.prompt_token_count, usage.candidates_token_count


def by_cohere(client: Any) -> Told:
    text, calls, usage = "", [], None
    for event in client.chat_stream(model="m", messages=MESSAGES):
        if event.type == "content-delta":
            text += event.delta.message.content.text or ""
        elif event.type == "tool-call-start":
            call = event.delta.message.tool_calls
            calls.append([call.id, call.function.name, call.function.arguments or ""])
        elif event.type == "tool-call-delta":
            calls[event.index][2] += event.delta.message.tool_calls.function.arguments or ""
        elif event.type == "message-end":
            usage = event.delta.usage.tokens
    assert usage is not None
    done = [(identity, name, json.loads(text)) for identity, name, text in calls]
    return text, done, int(usage.input_tokens), int(usage.output_tokens)


def by_bedrock(client: Any) -> Told:
    text, calls, usage = "", {}, None
    for event in client.converse_stream(modelId="m", messages=[{"role": "user", "content": [{"text": PROMPT}]}])[
        "stream"
    ]:
        if "contentBlockStart" in event:
            use = event["contentBlockStart"]["start"]["toolUse"]
            calls[event["contentBlockStart"]["contentBlockIndex"]] = [use["toolUseId"], use["name"], ""]
        elif "contentBlockDelta" in event:
            delta = event["contentBlockDelta"]["delta"]
            text += delta.get("text", "")
            if "toolUse" in delta:
                calls[event["contentBlockDelta"]["contentBlockIndex"]][2] += delta["toolUse"]["input"]
        elif "metadata" in event:
            usage = event["metadata"]["usage"]
    assert usage is not None
    done = [(identity, name, json.loads(text)) for identity, name, text in calls.values()]
    return text, done, usage["inputTokens"], usage["outputTokens"]


def by_langchain(client: Any) -> Told:
    total: Any = None
    for chunk in client.stream(PROMPT):
        total = chunk if total is None else total + chunk
    calls = [(call["id"], call["name"], call["args"]) for call in total.tool_calls]
    refusal = total.additional_kwargs.get("refusal") or ""
    return total.content or refusal, calls, total.usage_metadata["input_tokens"], total.usage_metadata["output_tokens"]


def by_litellm(client: Any) -> Told:
    import litellm

    asked = client.completion(model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True})
    chunks = list(asked)
    answer = litellm.stream_chunk_builder(chunks, messages=MESSAGES)
    message = answer.choices[0].message
    calls = [(c.id, c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or ()]
    return message.content or "", calls, answer.usage.prompt_tokens, answer.usage.completion_tokens


def by_pydanticai(client: Any) -> Told:
    from pydantic_ai.direct import model_request_stream
    from pydantic_ai.messages import ModelRequest

    async def ask() -> Any:
        async with model_request_stream(client, [ModelRequest.user_text_prompt(PROMPT)]) as stream:
            async for _ in stream:
                pass
            return stream.get()

    answer = asyncio.run(ask())
    text = "".join(part.content for part in answer.parts if part.part_kind == "text")
    calls = [(p.tool_call_id, p.tool_name, p.args_as_dict()) for p in answer.parts if p.part_kind == "tool-call"]
    return text, calls, answer.usage.input_tokens, answer.usage.output_tokens


@dataclass(frozen=True)
class Api:
    sdk: str
    write: Callable[[Answer], bytes]
    read: Callable[[Any], Told]
    kind: str = ""
    options: tuple[tuple[str, Any], ...] = ()
    examples: int = 25 if os.environ.get("BIFROST_NB_THOROUGH") else 10


def chat(answer: Answer) -> bytes:
    return sse(answer, openai_events(answer), done=True)


RETRIES = (("max_retries", 0),)
APIS = {
    "openai": Api("openai", chat, by_openai, options=RETRIES),
    "responses": Api("openai", lambda a: sse(a, responses_events(a), named=True), by_responses, options=RETRIES),
    "anthropic": Api("anthropic", lambda a: sse(a, anthropic_events(a), named=True), by_anthropic, options=RETRIES),
    "genai": Api("genai", lambda a: sse(a, genai_events(a)), by_genai),
    "cohere": Api("cohere", lambda a: sse(a, cohere_events(a), named=True), by_cohere, "text/event-stream"),
    "bedrock": Api("bedrock", bedrock_frames, by_bedrock, "application/vnd.amazon.eventstream"),
    "langchain": Api("langchain", chat, by_langchain, options=(("model", "m"), *RETRIES)),
    "litellm": Api("litellm", chat, by_litellm, examples=8),  # it takes a third of a second for each
    "pydanticai": Api("pydanticai", chat, by_pydanticai, options=(("model", "m"),)),
}


class Server(ThreadingHTTPServer):
    """Answers each POST with `body`, in blocks cut anywhere."""

    daemon_threads = True
    body, kind = b"", KINDS[0]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(200)
        self.send_header("content-type", self.server.kind)
        self.send_header("connection", "close")
        self.end_headers()
        body = self.server.body
        for at in range(0, len(body), max(1, len(body) // 3)):
            self.wfile.write(body[at : at + max(1, len(body) // 3)])
            self.wfile.flush()
        self.close_connection = True

    def do_GET(self) -> None:
        self.send_error(405)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def recorded(run: Run) -> Told:
    calls = [
        (call.get("id"), call["function"]["name"], json.loads(call["function"]["arguments"] or "{}"))
        for call in run.tool_calls
    ]
    return run.response or "", calls, run.prompt_tokens or 0, run.completion_tokens or 0


@pytest.mark.parametrize("name", [*(name for name in APIS if name != "litellm"), *thorough("litellm")])
def test_the_recorder_holds_what_the_sdk_puts_together(name: str, server: Server, log: RunLog) -> None:
    """Text, calls, tokens and status of a generated stream are those that the SDK itself accumulates."""
    api = APIS[name]
    client = Client(f"http://127.0.0.1:{server.server_port}", log=log, timeout=30)
    sdk = bf.sdk(api.sdk, client=client, **dict(api.options))  # type: ignore[arg-type]

    @settings(max_examples=api.examples, suppress_health_check=list(HealthCheck), deadline=None)
    @given(answer=answers())
    def holds(answer: Answer) -> None:
        server.body, server.kind = api.write(answer), api.kind or answer.shape["kind"]
        text, calls, prompt, completion = api.read(sdk)
        if answer.shape["refusal"] and name in ("langchain", "litellm", "pydanticai"):
            text = text or answer.text  # they drop what a model says when it refuses; it is recorded all the same
        run = log.read()[-1]
        assert run.status == "ok", run.error_message
        assert recorded(run) == (whole_characters(text), calls, prompt, completion)
        assert (run.response or "") == answer.text
        if name != "responses":  # which shows summaries only
            assert (run.reasoning or "") == "".join(answer.thoughts)

    holds()


ONE_INDEX = {
    "each whole, one index": [[(0, "c1")], [(0, "c2")]],
    "in one event, one index": [[(0, "c1"), (0, "c2")]],
    "no index": [[(None, "c1"), (None, "c2")]],
    "no index and no id": [[(None, None), (None, None)]],
}


@pytest.mark.parametrize("shape", ONE_INDEX)
def test_calls_that_share_an_index_stay_apart(shape: str, server: Server, log: RunLog) -> None:
    """Providers that send each call whole give all one index, which SDKs join to nonsense: both calls are recorded."""
    arguments = iter(['{"city":"Oslo"}', '{"city":"Rome"}'])
    events = []
    for group in ONE_INDEX[shape]:
        calls = []
        for index, identity in group:
            call: Json = {"type": "function", "function": {"name": "weather", "arguments": next(arguments)}}
            call |= ({} if index is None else {"index": index}) | ({} if identity is None else {"id": identity})
            calls.append(call)
        events.append({"choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": None}]})
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    server.body = (
        b"".join(f"data: {json.dumps({**head, **event})}\n\n".encode() for event in events) + b"data: [DONE]\n\n"
    )
    server.kind = KINDS[0]
    client = Client(f"http://127.0.0.1:{server.server_port}", log=log)
    for _ in bf.sdk("openai", client=client).chat.completions.create(model="m", messages=MESSAGES, stream=True):
        pass
    [run] = log.read()
    assert [json.loads(call["function"]["arguments"])["city"] for call in run.tool_calls] == ["Oslo", "Rome"]

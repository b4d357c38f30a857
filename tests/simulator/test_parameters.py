"""Each request field has the effect it has at a real provider."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bifrost_nb._simulator.content.tokens import count, tokenize

from .conftest import AZURE, Wire, events, joined

LARGE = "azure/large"


def test_max_tokens_ends_an_answer_for_its_length(wire: Wire) -> None:
    """A limit that is reached is the finish reason, and is what usage says."""
    answer = wire.text(LARGE, "Once upon a time", max_tokens=7)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"] == {"prompt_tokens": 4, "completion_tokens": 7, "total_tokens": 11}
    assert count(answer["choices"][0]["text"]) == 7


def test_stop_ends_an_answer_before_the_sequence(wire: Wire) -> None:
    """The text ends before the first stop sequence, wherever it lies in a token."""
    whole = wire.text(LARGE, "Once upon a time", temperature=0)["choices"][0]["text"]
    cut = wire.text(LARGE, "Once upon a time", temperature=0, stop=["qqq", whole[20:24]])["choices"][0]
    assert cut["text"] == whole[: whole.index(whole[20:24])]
    assert cut["finish_reason"] == "stop"


def test_n_gives_several_choices_and_streams_them_side_by_side(wire: Wire) -> None:
    """Choices have their own index and text; a stream mixes them, and finishes the first one only."""
    answer = wire.text(LARGE, "Ideas for a rainy day", n=3)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert len({choice["text"] for choice in answer["choices"]}) > 1
    chunks = wire.stream("/v1/completions", {"model": LARGE, "prompt": "Ideas for a rainy day", "n": 3, "seed": 3})
    order = [chunk["choices"][0]["index"] for chunk in chunks[:-2]]
    assert set(order) == {0, 1, 2}
    assert order != sorted(order)
    whole = wire.text(LARGE, "Ideas for a rainy day", n=3, seed=3)["choices"]
    assert [joined(chunks, index) for index in range(3)] == [choice["text"] for choice in whole]
    finished = [choice for chunk in chunks[:-1] for choice in chunk["choices"] if "finish_reason" in choice]
    assert [choice["index"] for choice in finished] == [0]


def test_a_list_of_prompts_gives_choices_for_each(wire: Wire) -> None:
    """Choice i*n+k is the kth of prompt i."""
    answer = wire.text(LARGE, ["A tagline for tea", "A tagline for coffee"], n=2, temperature=0)
    texts = [choice["text"] for choice in answer["choices"]]
    assert len(texts) == 4
    assert all("tea" in text.lower() for text in texts[:2])
    assert all("coffee" in text.lower() for text in texts[2:])
    assert answer["usage"]["prompt_tokens"] == count("A tagline for tea") + count("A tagline for coffee")


def test_best_of_is_paid_for_and_keeps_the_likeliest(wire: Wire) -> None:
    """All drafts count as completion tokens, the n likeliest are returned."""
    asked = {"seed": 5, "max_tokens": 8, "logprobs": 1}
    answer = wire.text(LARGE, "Why is the sky blue?", best_of=4, n=1, **asked)
    assert len(answer["choices"]) == 1
    assert answer["usage"]["completion_tokens"] == 32
    drafts = wire.text(LARGE, "Why is the sky blue?", n=4, **asked)["choices"]
    likeliest = max(drafts, key=lambda draft: sum(draft["logprobs"]["token_logprobs"]))
    assert answer["choices"][0]["text"] == likeliest["text"]


def test_echo_repeats_the_prompt_and_bills_it_once(wire: Wire) -> None:
    """The echoed prompt is in the text and in the log probabilities, not in the completion tokens."""
    answer = wire.text(LARGE, "Twice told", echo=True, max_tokens=4, logprobs=1)
    choice = answer["choices"][0]
    assert choice["text"].startswith("Twice told")
    assert answer["usage"]["completion_tokens"] == 4
    assert "".join(choice["logprobs"]["tokens"]) == choice["text"]
    assert choice["logprobs"]["text_offset"][0] == 0


def test_suffix_is_led_to(wire: Wire) -> None:
    """A text between prompt and suffix ends by leading to the suffix."""
    answer = wire.text(LARGE, "Once upon a time", suffix="Everybody cheered.")
    assert "everybody" in answer["choices"][0]["text"][-30:]


def test_logprobs_describe_every_token(each: Wire) -> None:
    """Tokens join to the text, offsets point into prompt and text, the chosen token is among the likeliest."""
    prompt = "Explain tides"
    chunks = each.stream("/v1/completions", {"model": LARGE, "prompt": prompt, "logprobs": 2, "max_tokens": 12})
    name = "log_probs" if each.gateway.dialect == "1.3" else "logprobs"
    parts = [chunk["choices"][0][name] for chunk in chunks[:-3]]
    tokens = [token for part in parts for token in part["tokens"]]
    text = joined(chunks)
    assert "".join(tokens) == text
    offsets = [offset for part in parts for offset in part["text_offset"]]
    assert [
        (prompt + text)[offset : offset + len(token)] for offset, token in zip(offsets, tokens, strict=True)
    ] == tokens
    for part in parts:
        for token, value, top in zip(part["tokens"], part["token_logprobs"], part["top_logprobs"], strict=True):
            assert value <= 0
            assert top[token] == value
            assert len(top) == 2


def test_chat_logprobs_have_their_own_layout(wire: Wire) -> None:
    """A chat's log probabilities are a content list with bytes and alternatives."""
    answer = wire.chat("groq/llama-3.3-70b-versatile", "Hi", logprobs=True, top_logprobs=3, max_completion_tokens=16)
    content = answer["choices"][0]["logprobs"]["content"]
    assert "".join(entry["token"] for entry in content) == answer["choices"][0]["message"]["content"]
    assert all(bytes(entry["bytes"]).decode() == entry["token"] for entry in content)
    assert {len(entry["top_logprobs"]) for entry in content} == {3}


def test_seed_and_temperature_decide_whether_a_text_repeats(wire: Wire) -> None:
    """The same seed or temperature 0 gives the same text again; otherwise a repeat differs; a reset starts anew."""

    def texts(**fields: Any) -> list[str]:
        return [wire.text(LARGE, "Explain rainbows", **fields)["choices"][0]["text"] for _ in range(3)]

    assert len(set(texts(seed=1))) == 1
    assert texts(seed=1) != texts(seed=2)
    assert len(set(texts(temperature=0))) == 1
    wire.gateway.reset()
    free = texts()
    assert len(set(free)) == 3
    wire.gateway.reset()
    assert texts() == free


@pytest.mark.parametrize(
    "change", [{"top_p": 0.2}, {"frequency_penalty": 1.5}, {"presence_penalty": 1.5}, {"logit_bias": {"1": 5}}]
)
def test_sampling_fields_change_the_text(wire: Wire, change: dict[str, Any]) -> None:
    """Each sampling field takes part in what is written."""
    same = {"seed": 1, "model": LARGE, "prompt": "Explain rainbows at length"}
    plain = wire.post("/v1/completions", same).json()["choices"][0]["text"]
    assert wire.post("/v1/completions", same | change).json()["choices"][0]["text"] != plain


def test_deployments_write_differently(wire: Wire) -> None:
    """The same prompt and seed reads differently from a terse and from a formal deployment."""
    terse, formal = (
        wire.text(name, "Why is the sky blue?", seed=1)["choices"][0]["text"] for name in ("azure/fast", LARGE)
    )
    assert terse != formal
    assert len(formal) > len(terse)


def test_a_tool_is_called_when_the_prompt_asks_for_it(wire: Wire) -> None:
    """A fitting tool is called with arguments of its schema; streamed arguments join to the same JSON."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": schema}}]
    answer = wire.chat("openai/gpt-4o-mini", "What is the weather in Paris for 3 days?", tools=tools, seed=1)
    choice = answer["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    call = choice["message"]["tool_calls"][0]["function"]
    assert (call["name"], json.loads(call["arguments"])) == ("get_weather", {"city": "Paris", "days": 3})
    body = {"model": "openai/gpt-4o-mini", "tools": tools, "seed": 1}
    body["messages"] = [{"role": "user", "content": "What is the weather in Paris for 3 days?"}]
    chunks = wire.stream("/v1/chat/completions", body)
    deltas = [part["function"] for chunk in chunks[:-2] for part in chunk["choices"][0]["delta"]["tool_calls"]]
    assert deltas[0]["name"] == "get_weather"
    assert "".join(delta["arguments"] for delta in deltas) == call["arguments"]
    assert wire.chat("openai/gpt-4o-mini", "Tell me a joke", tools=tools)["choices"][0]["finish_reason"] == "stop"


def test_a_reasoning_deployment_thinks_before_it_speaks(wire: Wire) -> None:
    """Reasoning comes as its own deltas before the text, and as reasoning tokens in usage."""
    body = {"model": "openrouter/deepseek/deepseek-r1", "messages": [{"role": "user", "content": "Why do cats purr?"}]}
    chunks = wire.stream("/v1/chat/completions", body)
    kinds = ["reasoning" if "reasoning" in chunk["choices"][0]["delta"] else "text" for chunk in chunks[:-2]]
    assert kinds == sorted(kinds)
    assert set(kinds) == {"reasoning", "text"}
    usage = chunks[-2]["usage"]
    thought = "".join(chunk["choices"][0]["delta"].get("reasoning", "") for chunk in chunks[:-2])
    assert usage["completion_tokens_details"]["reasoning_tokens"] == count(thought) > 0
    assert usage["completion_tokens"] == count(thought) + count(joined(chunks))


def test_a_long_prompt_is_cached_by_the_provider(each: Wire) -> None:
    """The second of two equal long prompts has cached tokens under the dialect's names, and costs less."""
    long = "the history of tea and coffee " * 300
    first, second = (each.chat("openai/gpt-4o-mini", long, max_completion_tokens=16) for _ in range(2))
    assert "prompt_tokens_details" not in first["usage"]
    details = second["usage"]["prompt_tokens_details"]
    assert details["cached_tokens"] % 128 == 0
    assert details["cached_tokens"] > 1000
    assert ("cached_read_tokens" in details) == (each.gateway.dialect != "1.3")


def test_the_system_message_is_heard(wire: Wire) -> None:
    """What the system message asks for shows in the answer."""
    messages = [{"role": "system", "content": "Write in capitals."}, {"role": "user", "content": "Explain tides."}]
    answer = wire.chat("openai/gpt-4o-mini", "", messages=messages)
    text = answer["choices"][0]["message"]["content"]
    assert text == text.upper()


def test_a_prompt_longer_than_the_context_is_refused(wire: Wire) -> None:
    """The error says how long the context is."""
    answer = wire.post(AZURE.format("gpt-35-turbo-instruct"), {"prompt": "word " * 5000})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert "4096" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"prompt": "x", "stop": "END"}, "stop must be a list of strings"),
        ({"prompt": [[1, 2]]}, "invalid text completion input"),
        ({"prompt": []}, "prompt is required"),
        ({"prompt": "x", "n": 0}, "'n'"),
        ({"prompt": "x", "n": 2, "best_of": 1}, "best_of"),
        ({"prompt": "x", "best_of": 3, "stream": True}, "cannot be streamed"),
        ({"prompt": "x", "logprobs": 6}, "logprobs"),
        ({"prompt": "x", "logit_bias": {"1": 101}}, "logit_bias"),
        ({"prompt": "x", "max_tokens": 1.5}, "max_tokens must be an integer"),
        ({"prompt": "x", "fallbacks": [{"provider": "a", "model": "b"}]}, "fallbacks must be a list of strings"),
        ({"prompt": "x", "temperature": "hot"}, "temperature must be a number"),
    ],
)
def test_bad_fields_are_refused(each: Wire, body: dict[str, Any], message: str) -> None:
    """A wrong type is refused by the gateway, a value out of bounds by the provider; both say what is wrong."""
    answer = each.post("/v1/completions", {"model": "azure/fast", **body})
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_unknown_fields_are_let_through(wire: Wire) -> None:
    """A field that neither gateway nor provider knows changes nothing."""
    wire.text("azure/fast", "x", some_new_field=1)
    assert wire.gateway.requests()[0]["body"]["some_new_field"] == 1


def test_a_stream_says_the_same_as_the_whole_answer(each: Wire) -> None:
    """Text and usage of a stream equal those of the whole answer under the same seed."""
    for path, body in (
        ("/v1/completions", {"model": LARGE, "prompt": "Explain tides"}),
        ("/v1/chat/completions", {"model": LARGE, "messages": [{"role": "user", "content": "Explain tides"}]}),
    ):
        whole = each.post(path, body | {"seed": 4}).json()
        chunks = each.stream(path, body | {"seed": 4})
        choice = whole["choices"][0]
        assert joined(chunks) == (choice["text"] if "text" in choice else choice["message"]["content"])
        assert chunks[-2]["usage"] == whole["usage"]
        assert [chunk["extra_fields"]["chunk_index"] for chunk in chunks[:-1]] == list(range(len(chunks) - 1))


def test_tokens_are_pieces_of_the_text(wire: Wire) -> None:
    """What usage counts are the pieces of the documented tokeniser, for prompt and answer."""
    prompt = "Überlange Wörter, 12345 Zahlen — und 漢字!\n\n\tEnde_"
    assert "".join(tokenize(prompt)) == prompt
    answer = wire.text(LARGE, prompt)
    assert answer["usage"]["prompt_tokens"] == count(prompt)
    assert answer["usage"]["completion_tokens"] == count(answer["choices"][0]["text"])


def test_a_chunk_can_hold_several_tokens(wire: Wire) -> None:
    """Some deployments send fewer chunks than tokens."""
    body = {"model": "anthropic/claude-haiku-4-5", "messages": [{"role": "user", "content": "Explain tides"}]}
    answer = wire.post("/v1/chat/completions", body | {"stream": True})
    chunks = events(answer.content)
    assert len(chunks) < chunks[-2]["usage"]["completion_tokens"]


TURN = [{"role": "user", "content": "Hi"}]
TOOL = {"toolSpec": {"name": "t", "inputSchema": [1]}}
CONTENTS = [{"parts": [{"text": "Hi"}]}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *(
            ("/v1/embeddings", {"model": "openai/text-embedding-3-small", "input": "Hi", **odd})
            for odd in ({"suffix": 5}, {"temperature": "hot"}, {"max_tokens": "9"}, {"stop": 5}, {"seed": [1]})
        ),
        ("/v1/responses", {"model": "openai/gpt-4o-mini", "input": "Hi", "seed": [1]}),
        ("/v1/chat/completions", {"model": "openai/gpt-4o-mini", "messages": TURN, "previous_response_id": [1]}),
        ("/bedrock/model/amazon.nova-lite-v1:0/converse", {"messages": [], "toolConfig": {"tools": [TOOL]}}),
        ("/bedrock/model/amazon.nova-lite-v1:0/converse", {"messages": [], "toolConfig": {"toolChoice": "auto"}}),
        (
            "/genai/v1beta/models/gemini-2.5-flash:generateContent",
            {"contents": CONTENTS, "tools": [{"functionDeclarations": [{"name": "t"}]}], "toolConfig": [1]},
        ),
    ],
)
def test_a_field_of_a_wrong_type_breaks_nothing(wire: Wire, path: str, body: Any) -> None:
    """It is refused or, where it means nothing, passed over."""
    assert wire.post(path, body).status_code in (200, 400)

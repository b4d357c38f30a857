"""Text, reasoning, tool calls and log probabilities of choices, whole and in pieces."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given

from bifrost_nb._wire.choices import (
    choice_index,
    choice_text,
    choices_of,
    finish_reason,
    logprobs_of,
    merge_logprobs,
    reasoning_text,
    tool_calls_of,
)
from bifrost_nb._wire.tool_calls import ToolCalls

from .spec import anything

TEXTS: list[tuple[dict[str, Any], str]] = [
    ({"text": " word"}, " word"),
    ({"text": ""}, ""),
    ({"text": "a", "delta": {"content": "b", "refusal": "no"}}, "a"),  # the specification lets both stand there
    ({"text": "", "delta": {"content": "b"}}, "b"),
    ({"text": "", "message": {"refusal": "no"}}, "no"),
    ({"message": {"content": "Hi"}}, "Hi"),
    ({"delta": {"content": "H"}}, "H"),
    ({"delta": {"role": "assistant", "content": None}}, ""),
    ({"message": {"content": [{"type": "text", "text": "a"}, {"type": "x"}, {"type": "text", "text": "b"}]}}, "ab"),
    ({"message": {"content": [{"type": "refusal", "refusal": "no"}, 5, {"text": 5}]}}, "no"),
    ({"message": {"content": None, "refusal": "I cannot."}}, "I cannot."),
    ({"delta": {"content": "", "refusal": "I"}}, "I"),
    ({"message": {"content": None, "audio": {"id": "1", "transcript": "Hello"}}}, "Hello"),
    ({"delta": {}, "finish_reason": "stop"}, ""),
    *(({name: value}, "") for name in ("text", "delta", "message") for value in (None, 5, ["x"], {"content": 5})),
]  # fmt: skip


@pytest.mark.parametrize(("choice", "text"), TEXTS)
def test_text_is_found_in_every_shape(choice: dict[str, Any], text: str) -> None:
    """Text completions, chat answers, deltas, blocks, refusals and transcripts; anything else is no text."""
    assert choice_text(choice) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ({"reasoning": "think"}, "think"),
        ({"reasoning_content": "think"}, "think"),
        ({"reasoning": "", "reasoning_details": [{"text": "a"}, {"summary": "b"}, {"data": "x"}, 5]}, "ab"),
        ({"reasoning": 5, "reasoning_details": "x"}, ""),
        ({}, ""),
    ],
)
def test_reasoning_is_found(part: dict[str, Any], text: str) -> None:
    """The plain field, the name some providers use, or the details; once, not twice."""
    assert reasoning_text({"delta": part}) == reasoning_text({"message": part}) == text


def test_choices_of_a_usage_chunk() -> None:
    """A chunk without choices, with null, or with something else has none."""
    bodies: list[dict[str, Any]] = [
        {"choices": []},
        {"choices": None},
        {},
        {"choices": {"0": {}}},
        {"choices": [None, 5]},
    ]
    assert [choices_of(body) for body in bodies] == [[]] * 5
    assert [choice_index(choice, 7) for choice in choices_of({"choices": [{"index": 1}, {}, {"index": "x"}]})] == [
        1,
        7,
        7,
    ]
    assert [finish_reason(c) for c in ({"finish_reason": "stop"}, {"finish_reason": ""}, {"finish_reason": 5}, {})] == [
        "stop", None, None, None,
    ]  # fmt: skip


def test_logprobs_of_both_generations_are_merged() -> None:
    """Lists of consecutive chunks are joined in either layout, and what was received is not changed."""
    first = {"log_probs": {"tokens": ["a"], "token_logprobs": [None], "top_logprobs": None}}
    second = {"logprobs": {"tokens": ["b"], "token_logprobs": [-1.0], "top_logprobs": [{"b": -1.0}]}}
    merged = None
    for choice in (first, {"logprobs": None}, second):
        merged = merge_logprobs(merged, logprobs_of(choice))
    assert merged == {"tokens": ["a", "b"], "token_logprobs": [None, -1.0], "top_logprobs": [{"b": -1.0}]}
    assert first["log_probs"]["tokens"] == ["a"]
    chat = merge_logprobs({"content": [{"token": "a"}]}, {"content": [{"token": "b"}], "refusal": None})
    assert chat == {"content": [{"token": "a"}, {"token": "b"}], "refusal": None}


def joined(*chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    calls = ToolCalls()
    for fragments in chunks:
        calls.add(tool_calls_of({"delta": {"tool_calls": fragments}}))
    return calls.result()


def test_tool_calls_are_put_together() -> None:
    """Two calls whose fragments alternate come out whole, in order, with fields we do not know."""
    assert joined(
        [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}, "sig": 1}],
        [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{"}}],
        [{"index": 0, "function": {"arguments": '{"x":'}}, {"index": 1, "id": "", "function": {"arguments": "}"}}],
        [{"index": 0, "function": {"arguments": "1}"}}],
    ) == [
        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}, "sig": 1},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]  # fmt: skip


def test_calls_of_other_kinds_are_put_together() -> None:
    """A custom tool's text grows as a function's arguments do; what was a ``function_call`` before tools is a call."""
    assert joined(
        [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "SELECT "}}],
        [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}],
        [{"index": 0, "custom": {"input": "1}"}}],
        [{"index": 0, "custom": {"input": "; 2"}}],
        [{"index": 2, "id": "c", "type": "custom", "custom": {"name": "f", "input": ""}}],
    ) == [
        {"index": 0, "id": "a", "type": "custom", "custom": {"name": "f", "input": "SELECT 1}; 2"}},
        {"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        {"index": 2, "id": "c", "type": "custom", "custom": {"name": "f", "input": ""}},
    ]
    whole = {"type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    calls = ToolCalls()
    for part in ({"name": "f", "arguments": ""}, {"arguments": '{"x":'}, {"arguments": "1}"}):
        calls.add(tool_calls_of({"delta": {"content": None, "function_call": part}}))
    assert calls.result() == tool_calls_of({"message": {"function_call": whole["function"]}}) == [whole]
    assert tool_calls_of({"delta": {"function_call": None, "tool_calls": None}}) == []


def test_tool_calls_without_an_index() -> None:
    """A new id starts a call, a fragment without id belongs to the latest one; a repeated name stays one name."""
    assert joined(
        [{"id": "a", "function": {"name": "f", "arguments": "1"}}],
        [{"function": {"name": "f", "arguments": "2"}}],
        [{"id": "b", "function": {"name": "get_", "arguments": ""}}, {"function": {"name": "it"}}],
    ) == [
        {"id": "a", "function": {"name": "f", "arguments": "12"}},
        {"id": "b", "function": {"name": "get_it", "arguments": ""}},
    ]


CALL_A, CALL_B = {"name": "f", "arguments": '{"x":1}'}, {"name": "g", "arguments": "{}"}
APART: dict[str, list[list[dict[str, Any]]]] = {  # two calls, however their provider sends them
    "one index, an event each": [[{"index": 0, "id": "a", "function": CALL_A}],
                                 [{"index": 0, "id": "b", "function": CALL_B}]],
    "one index, one event": [[{"index": 0, "id": "a", "function": CALL_A},
                              {"index": 0, "id": "b", "function": CALL_B}]],
    "no index, blank ids": [[{"id": "", "function": CALL_A}, {"index": None, "id": "", "function": CALL_B}]],
    "one index, no ids": [[{"index": 0, "function": CALL_A}], [{"index": 0, "function": CALL_B}]],
    "one index, in pieces": [
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"x"'}}],
        [{"index": 0, "function": {"arguments": ":1}"}}],
        [{"index": 0, "id": "b", "function": {"name": "g"}}],
        [{"index": 0, "function": {"arguments": "{}"}}],
    ],
    "objects for arguments": [[{"index": 0, "function": {"name": "f", "arguments": {"x": 1}}}],
                              [{"index": 0, "function": {"name": "g", "arguments": {}}}]],
    "index first, then the id": [
        [{"index": 1, "id": "a", "function": {"name": "f"}}],
        [{"id": "a", "function": {"arguments": '{"x":1}'}}, {"id": "b", "function": CALL_B}],
    ],
}  # fmt: skip


@pytest.mark.parametrize("chunks", APART.values(), ids=APART)
def test_parallel_calls_stay_apart(chunks: list[list[dict[str, Any]]]) -> None:
    """Two calls are two, also where their provider gives both one index, or neither an index nor an id."""
    assert [call["function"] for call in joined(*chunks)] == [CALL_A, CALL_B]


def test_one_call_stays_one() -> None:
    """A name or an id that comes again with each piece of the arguments begins no call of its own."""
    pieces = ['{"x":', '{"y":2}', "}"]
    again = [[{"index": 0, "id": "a", "function": {"name": "f", "arguments": piece}}] for piece in pieces]
    other = [[{"index": 0, "id": f"chunk-{n}", "function": {"arguments": piece}}] for n, piece in enumerate(pieces)]
    for chunks in (again, other):
        (call,) = joined(*chunks)
        assert call["function"]["arguments"] == '{"x":{"y":2}}'


def test_calls_of_a_whole_answer_are_apart() -> None:
    """What was not streamed holds each call whole, with arguments or without."""
    calls = ToolCalls()
    calls.add_whole([{"function": {"name": "f"}}, {"function": {"name": "f"}}])
    assert [call["function"]["name"] for call in calls.result()] == ["f", "f"]


def test_whole_tool_calls_stay_as_they_are() -> None:
    """The calls of an answer that was not streamed pass unchanged."""
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert joined(calls) == calls == tool_calls_of({"message": {"tool_calls": calls}})


def test_a_long_call_costs_linear_time() -> None:
    """Two hundred thousand fragments of one call are joined in well under two seconds."""
    calls = ToolCalls()
    start = time.process_time()
    for _ in range(200_000):
        calls.add([{"index": 0, "function": {"arguments": "abcdef"}}])
    assert len(calls.result()[0]["function"]["arguments"]) == 1_200_000
    assert time.process_time() - start < 2


@given(anything())
def test_readers_of_choices_take_any_json(value: Any) -> None:
    """Whatever stands where a choice should be, nothing is raised."""
    calls, merged = ToolCalls(), None
    for choice in [
        *choices_of({"choices": value}),
        *choices_of({"choices": [value, {"delta": value, "logprobs": value}]}),
    ]:
        assert isinstance(choice_text(choice) + reasoning_text(choice), str)
        choice_index(choice)
        finish_reason(choice)
        merged = merge_logprobs(merged, logprobs_of(choice))
        calls.add(tool_calls_of(choice))
    assert isinstance(calls.result(), list)

"""Answers: what a completion, a chat or a stream through each gateway becomes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from bifrost_nb import Client, Run
from bifrost_nb._runs.late_facts import tells_part_of_latency

from .conftest import engines_only
from .subjects import Limit, Subject

PROMPT = "Once upon a time"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def streamed(client: Client, kind: str, deployment: str, prompt: str = PROMPT, **options: object) -> Run:
    """The run of a stream that was read to its end; its pieces are its texts."""
    method = client.stream if kind == "text" else client.stream_chat
    with method(deployment, prompt, **options) as stream:  # type: ignore[arg-type]
        pieces = list(stream.pieces())
    for index, text in enumerate(stream.run.texts):
        assert "".join(piece.text for piece in pieces if piece.choice == index) == text
    return stream.run


def told(run: Run, part: str) -> str:
    """The note that a user sees on the run of what the gateway cannot do."""
    [note] = [note for note in run.notes if part in note]
    return note


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether `true` becomes so within `seconds`: rows of a gateway's log come late."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


def good(run: Run, deployment: str) -> None:
    """The run ended well and says who answered and what was used."""
    assert (run.status, run.http_status) == ("ok", 200)
    assert (run.requested, run.served) == (deployment, deployment)
    assert (run.is_fallback, run.fallback_index) == (False, 0)
    assert run.total_tokens == (run.prompt_tokens or 0) + (run.completion_tokens or 0)
    assert run.latency_ms is not None or tells_part_of_latency(run)
    assert run.total_ms is not None
    assert run.error_type is run.error_message is None


@pytest.mark.feature("Text completion, Azure route")
@pytest.mark.parametrize("deployment", ["azure/gpt-35-turbo-instruct", "azure/big window"])
def test_azure_route(client: Client, subject: Subject, deployment: str) -> None:
    """An azure deployment is asked by its name in the path, blanks included."""
    run = client.complete(deployment, PROMPT, max_tokens=12)
    good(run, deployment)
    assert subject.asked() == [deployment]
    assert (run.prompt_tokens, run.completion_tokens, run.finish_reason) == (4, 12, "length")
    assert run.text
    assert run.model_deployment == deployment.partition("/")[2]


@pytest.mark.feature("Text completion, `/v1`")
@pytest.mark.parametrize("deployment", ["azure/fast", "openai/gpt-3.5-turbo-instruct", "local/small"])
def test_v1_route(client: Client, subject: Subject, deployment: str) -> None:
    """Any provider, a custom one too, answers a text completion over the general route."""
    run = client.complete(deployment, PROMPT, max_tokens=12, route="v1")
    good(run, deployment)
    assert subject.asked() == [deployment]
    assert (run.completion_tokens, run.finish_reason, run.request_type) == (12, "length", "text_completion")


@pytest.mark.feature("Chat")
@pytest.mark.parametrize("deployment", ["azure/fast", "openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"])
def test_chat(client: Client, deployment: str) -> None:
    """A chat with a system message is answered, whatever the provider's own format."""
    run = client.chat(deployment, PROMPT, system="Be brief.", max_tokens=20)
    good(run, deployment)
    assert (run.completion_tokens, run.finish_reason, run.request_type) == (20, "length", "chat_completion")
    assert run.text


@pytest.mark.feature("Chat")
def test_chat_over_the_azure_route(client: Client) -> None:
    """A chat can use the Azure route."""
    good(client.chat("azure/fast", PROMPT, max_tokens=20, route="azure"), "azure/fast")


@pytest.mark.feature("Streaming")
@pytest.mark.parametrize(
    ("kind", "deployment"),
    [
        ("text", "azure/gpt-35-turbo-instruct"),
        ("text", "local/small"),
        ("chat", "azure/fast"),
        ("chat", "openai/gpt-4o-mini"),
        ("chat", "anthropic/claude-haiku-4-5"),
    ],
)
def test_streams(client: Client, kind: str, deployment: str) -> None:
    """A stream brings the same text, tokens and identity as a whole answer, and times."""
    run = streamed(client, kind, deployment, max_tokens=20, temperature=0)
    good(run, deployment)
    assert (run.completion_tokens, run.finish_reason) == (20, "length")
    assert run.chunks == len(run.chunk_times_ms) > 1
    assert run.ttft_ms == run.chunk_times_ms[0]
    whole = client.complete if kind == "text" else client.chat
    assert whole(deployment, PROMPT, max_tokens=20, temperature=0).text == run.text


@pytest.mark.feature("Streaming")
def test_the_first_text_of_a_slow_deployment(client: Client, subject: Subject, limit: Limit) -> None:
    """Text is shown when it arrives: the time to the first text is the provider's, the rest follows at once."""
    subject.script([{"deployment": "local/small", "first_text_ms": 300, "gap_ms": 0}])
    run = streamed(client, "text", "local/small", max_tokens=10)
    assert 295 <= (run.ttft_ms or 0) < 1000
    if subject.version == (1, 4, 0):
        limit(told(run, "held the stream back"), lost=True)
        assert run.tokens_per_s is run.gap_p50_ms is None
        return
    assert run.notes == []
    assert (run.total_ms or 0) - (run.ttft_ms or 0) < 250


@pytest.mark.feature("Several choices and prompts")
@pytest.mark.parametrize("stream", [False, True])
def test_choices(client: Client, stream: bool) -> None:
    """With n=3 each choice keeps its own text."""
    options = {"n": 3, "max_tokens": 12, "seed": 1}
    prompt = "Name a colour and say why it is the best one."
    run = (
        streamed(client, "text", "azure/fast", prompt, **options)
        if stream
        else client.complete("azure/fast", prompt, **options)  # type: ignore[arg-type]
    )
    good(run, "azure/fast")
    assert len(run.texts) == 3
    assert len(set(run.texts)) > 1
    assert run.completion_tokens == 36


@pytest.mark.feature("Several choices and prompts")
def test_prompts(client: Client) -> None:
    """Several prompts in one call have n choices each, in order."""
    run = client.complete("azure/fast", ["One", "Two"], n=2, max_tokens=5, seed=1)
    good(run, "azure/fast")
    assert len(run.texts) == 4
    assert run.completion_tokens == 20


@pytest.mark.feature("Several choices and prompts")
def test_chat_choices(client: Client, subject: Subject, limit: Limit) -> None:
    """Several choices of a chat."""
    run = client.chat("openai/gpt-4o-mini", PROMPT, n=2, max_tokens=16, seed=1)
    if subject.generation == "1.3":
        limit(told(run, "fewer choices"))
        assert len(run.texts) == 1
    else:
        assert len(run.texts) == 2


@pytest.mark.feature("Log-probabilities")
@pytest.mark.parametrize("stream", [False, True])
def test_text_logprobs(client: Client, subject: Subject, limit: Limit, stream: bool) -> None:
    """Log-probabilities of a text completion: one for each token, whichever name the gateway gives them."""
    options = {"max_tokens": 6, "logprobs": 2, "temperature": 0}
    run = (
        streamed(client, "text", "azure/fast", **options)
        if stream
        else client.complete("azure/fast", PROMPT, **options)  # type: ignore[arg-type]
    )
    good(run, "azure/fast")
    if subject.real and subject.generation == "1.3" and (subject.version is None or subject.before(1, 4, 10)):
        limit(told(run, "No log-probabilities came"), lost=True)
        assert run.logprobs is None
        return
    assert run.logprobs is not None
    assert "".join(run.logprobs["tokens"]) == run.text
    assert len(run.logprobs["token_logprobs"]) == len(run.logprobs["top_logprobs"]) == 6
    assert all(value <= 0 for value in run.logprobs["token_logprobs"])


@pytest.mark.feature("Log-probabilities")
@pytest.mark.parametrize("stream", [False, True])
def test_chat_logprobs(client: Client, subject: Subject, stream: bool) -> None:
    """Log-probabilities of a chat have their own layout."""
    options = {"max_tokens": 16, "logprobs": True, "top_logprobs": 2, "temperature": 0}
    run = (
        streamed(client, "chat", "openai/gpt-4o-mini", **options)
        if stream
        else client.chat("openai/gpt-4o-mini", PROMPT, **options)  # type: ignore[arg-type]
    )
    if subject.real and subject.generation == "1.3" and (subject.version is None or subject.before(1, 4, 10)):
        assert run.logprobs is None
        return
    assert run.logprobs is not None
    assert "".join(entry["token"] for entry in run.logprobs["content"]) == run.text


@pytest.mark.feature("Stop sequences, one or several")
@pytest.mark.parametrize("kind", ["text", "chat"])
@pytest.mark.parametrize("stop", [" town", [" nowhere", " town"]], ids=["one", "several"])
def test_stop(client: Client, subject: Subject, kind: str, stop: str | list[str]) -> None:
    """A stop sequence may be given as text or as a list; it ends the answer and is not part of it."""
    subject.script([{"deployment": "azure/fast", "text": "We came to a small town by the river."}])
    ask = client.complete if kind == "text" else client.chat
    run = ask("azure/fast", PROMPT, stop=stop)
    good(run, "azure/fast")
    assert (run.text, run.finish_reason) == ("We came to a small", "stop")


@pytest.mark.feature("Every parameter reaches the provider")
def test_text_parameters(client: Client, subject: Subject) -> None:
    """What is asked of a text completion arrives unchanged."""
    parameters = {
        "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "n": 1, "stop": ["\n", "END"], "seed": 7, "user": "u",
        "echo": True, "best_of": 2, "suffix": " the end", "presence_penalty": 0.1, "frequency_penalty": 0.2,
        "logit_bias": {"50256": -100}, "logprobs": 3,
    }  # fmt: skip
    client.complete("openai/gpt-3.5-turbo-instruct", PROMPT, **parameters)  # type: ignore[arg-type]
    [body] = subject.bodies()
    assert {name: body.get(name) for name in parameters} == parameters
    assert body["prompt"] == PROMPT


@pytest.mark.feature("Every parameter reaches the provider")
def test_chat_parameters(client: Client, subject: Subject) -> None:
    """What is asked of a chat arrives unchanged; `max_tokens` under the name that the gateway knows."""
    parameters = {"temperature": 0.5, "top_p": 0.9, "stop": ["\n"], "seed": 7, "user": "u", "presence_penalty": 0.1}
    client.chat("openai/gpt-4o-mini", PROMPT, max_tokens=20, **parameters)  # type: ignore[arg-type]
    [body] = subject.bodies()
    assert {name: body.get(name) for name in parameters} == parameters
    assert body["max_completion_tokens"] == 20


@pytest.mark.feature("A provider's own parameters (`extra`)")
@pytest.mark.parametrize("kind", ["text", "chat"])
def test_extra(client: Client, subject: Subject, limit: Limit, kind: str) -> None:
    """Parameters that the gateway does not name reach the provider."""
    ask = client.complete if kind == "text" else client.chat
    run = ask("local/small", PROMPT, max_tokens=16, extra={"min_p": 0.1, "guided": {"a": 1}})
    good(run, "local/small")
    [body] = subject.bodies()
    if subject.before(1, 4, 9):
        limit(told(run, "extra="), lost=True)
        assert "min_p" not in body
        return
    assert (body["min_p"], body["guided"]) == (0.1, {"a": 1})


@pytest.mark.feature("Deployment under another name")
@pytest.mark.parametrize("stream", [False, True])
def test_alias(client: Client, subject: Subject, stream: bool) -> None:
    """Where the gateway maps a name to the provider's own, both are known."""
    run = (
        streamed(client, "chat", "azure/gpt-4o", max_tokens=20)
        if stream
        else client.chat("azure/gpt-4o", PROMPT, max_tokens=20)
    )
    good(run, "azure/gpt-4o")
    if subject.version == (1, 5, 1) and not stream:  # the answer has only the alias, the gateway's log has both
        client.wait_costs([run], 20)  # who waits has looks of his own; others share one in ten seconds
        assert within(15, lambda: run.model_deployment != "gpt-4o")
    assert run.model_deployment == "gpt-4o-2024-11-20"


@pytest.mark.feature("Reasoning")
@pytest.mark.parametrize("stream", [False, True])
def test_reasoning(client: Client, stream: bool) -> None:
    """What a model thinks is kept apart from what it answers, and counted."""
    run = streamed(client, "chat", "local/thinker") if stream else client.chat("local/thinker", PROMPT)
    good(run, "local/thinker")
    assert run.reasoning
    assert run.text
    assert run.reasoning not in run.text
    assert 0 < (run.reasoning_tokens or 0) < (run.completion_tokens or 0)


@pytest.mark.feature("Tool calls")
@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls(client: Client, stream: bool) -> None:
    """A tool call is put together from its fragments."""
    options = {"tools": [WEATHER], "tool_choice": "required"}
    ask = "What is the weather in Paris?"
    run = (
        streamed(client, "chat", "openai/gpt-4o-mini", ask, **options)
        if stream
        else client.chat("openai/gpt-4o-mini", ask, **options)  # type: ignore[arg-type]
    )
    good(run, "openai/gpt-4o-mini")
    assert run.finish_reason == "tool_calls"
    [call] = run.tool_calls
    assert call["function"] == {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert call["id"].startswith("call_")


@engines_only
@pytest.mark.feature("The provider's own answer (raw mode)")
def test_raw(client: Client) -> None:
    """With the gateway's raw mode on, the run reads as without, and keeps what the provider sent."""
    raw = {"x-bf-send-back-raw-response": "true"}
    run = client.complete("azure/large", PROMPT, max_tokens=5, headers=raw)
    stream = streamed(client, "text", "azure/large", max_tokens=5, headers=raw)
    for each in (run, stream):
        good(each, "azure/large")
        assert each.completion_tokens == 5
    assert run.extra_fields is not None
    assert run.extra_fields["raw_response"]["choices"][0]["text"] == run.text


@pytest.mark.feature("32 calls at once")
def test_many_at_once(client: Client, subject: Subject) -> None:
    """Calls at the same time keep their own answers, streamed or not."""
    prompts = [f"Tell me about number {number}." for number in range(32)]

    async def stream(prompt: str) -> Run:
        async with client.astream("local/small", prompt, max_tokens=20, temperature=0) as pieces:
            assert "".join([piece async for piece in pieces]) == pieces.run.text
        return pieces.run

    async def everything() -> tuple[list[Run], list[Run]]:
        whole = [client.acomplete("local/small", prompt, max_tokens=20, temperature=0) for prompt in prompts]
        done = await asyncio.gather(*whole, *map(stream, prompts))
        return list(done[:32]), list(done[32:])

    began = time.monotonic()
    runs, streams = asyncio.run(everything())
    assert time.monotonic() - began < 15
    assert [run.text for run in runs] == [run.text for run in streams]
    assert [run.prompt for run in runs] == prompts
    assert len({run.text for run in runs}) > 16
    assert {run.status for run in runs + streams} == {"ok"}
    assert len(subject.asked()) == 64

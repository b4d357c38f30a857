"""What a run says of its gateway's limits: only with clear evidence, or of versions that were measured."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, Run, RunLog, Timeouts, local_gateway
from bifrost_nb._client import call_notes
from bifrost_nb._client.call_notes import TAKEN, is_shared, notes_for
from bifrost_nb._runs.collector import FEWER_CHOICES, HELD_BACK, UNEXPLAINED, Collector
from bifrost_nb._runs.run import Attempt

from ..markup import read

LEFT = [Attempt(request_id="a", started_ms=0.0, taken=True)]


def chunk(text: str, number: int, latency: int, reason: str | None = None, index: int = 0) -> bytes:
    extra = {"chunk_index": number, "latency": latency, "request_type": "text_completion_stream"}
    return json.dumps(
        {"choices": [{"index": index, "text": text, "finish_reason": reason}], "extra_fields": extra}
    ).encode()


def streamed(at_ms: list[float], gap_ms: int, headers: dict[str, str] | None = None) -> Run:
    """A run whose pieces arrived at `at_ms`, and were `gap_ms` apart at the gateway by its own word."""
    collector = Collector(Run())
    collector.headers(200, {"content-type": "text/event-stream", **(headers or {})})
    collector.choices = 1
    for number, at in enumerate(at_ms):
        collector.feed([chunk("a", number, 500 if number == 0 else gap_ms)], at)
    total = 500 + gap_ms * (len(at_ms) - 1)
    collector.feed([chunk("", len(at_ms), total, "stop"), b"[DONE]"], at_ms[-1])
    return collector.finish(at_ms[-1])


def test_a_stream_whose_length_is_told_was_held_back() -> None:
    """A head with the length of a stream was written at its end (measured on 1.4.0): no gaps, no speed."""
    run = streamed([600.0] * 20, 5, {"content-length": "9000"})
    assert HELD_BACK in run.notes
    assert run.gap_p50_ms is run.gap_max_ms is run.tokens_per_s is None
    assert run.ttft_ms == 600.0


def test_a_proxy_that_holds_a_stream_back() -> None:
    """Pieces that were 2 s apart at the gateway and came in one block, after these 2 s: held back in between."""
    assert HELD_BACK in streamed([2_500.0] * 21, 100).notes


@pytest.mark.parametrize(
    ("at_ms", "gap_ms"),
    [
        pytest.param([500.0 + 100 * number for number in range(21)], 100, id="as they happen"),
        pytest.param([50.0 + number / 5 for number in range(21)], 100, id="simulated faster than it says"),
        pytest.param([700.0] * 20, 10, id="a short stream in one block"),
        pytest.param([5_000.0 + number for number in range(21)], 0, id="first text late, the rest at once"),
        pytest.param([900.0], 100, id="one piece"),
    ],
)
def test_no_stream_is_called_held_back_without_evidence(at_ms: list[float], gap_ms: int) -> None:
    """Neither a quick provider, nor a quick simulation, nor this process being busy for a moment looks like it."""
    assert streamed(at_ms, gap_ms).notes == []


@pytest.mark.parametrize("speed", [1.0, 100.0])
def test_the_embedded_gateways_streams_are_not_held_back(speed: float, log: RunLog) -> None:
    """At whatever speed it simulates, no stream of it has a note."""
    with local_gateway(speed=speed) as gateway, Client(gateway.url, log=log).stream("azure/fast", "Hi") as stream:
        list(stream)
    assert stream.run.notes == []


@pytest.mark.parametrize(("came", "noted"), [(1, True), (2, True), (3, False)])
def test_fewer_choices_than_were_asked_for(came: int, noted: bool) -> None:
    """Three were asked for: with less the answer says so, whoever dropped them."""
    collector = Collector(Run())
    collector.choices = 3
    collector.headers(200, {})
    collector.answer({"choices": [{"index": i, "text": "a", "finish_reason": "stop"} for i in range(came)]})
    assert (FEWER_CHOICES in collector.finish(1.0).notes) == noted


def run(version: str | None = None, status: Any = "ok", **facts: Any) -> Run:
    made = Run(gateway_version=version, status=status, request_type="text_completion")
    for name, value in facts.items():
        setattr(made, name, value)
    made.response = made.texts[0] if made.texts else None
    return made


STREAM = {"stream": True}
LATE = "The gateway answered 500: Error reading stream: i/o timeout."
COUNTED = {"finish_reason": "stop", "completion_tokens": 5}
CASES = [
    ("EXTRA_DROPPED", ["1.3.63", "1.4.0"], {"params": {"extra": {"a": 1}}, "texts": ["a"]}),
    (
        "CANCEL_NOT_PASSED_ON",
        ["1.3.63", "1.4.0", "1.4.9", "1.4.10", "1.4.18", "1.5.1"],
        {"status": "cancelled", "params": STREAM, "texts": ["a"]},
    ),
    (
        "CANCEL_NOT_PASSED_ON",
        ["1.3.63", "1.4.0", "1.4.9", "1.4.10", "1.4.18", "1.5.1"],
        {"status": "timeout", "attempts": LEFT, "texts": ["a"]},
    ),
    ("SENT_AT_THE_END", ["1.4.0"], {"status": "cancelled", "params": STREAM}),
    ("FIRST_CHUNK_HANGS", ["1.5.1"], {"status": "timeout", "params": STREAM, "attempts": LEFT}),
    (
        "FIRST_CHUNK_FATAL",
        ["1.3.63", "1.4.0", "1.4.9", "1.4.10"],
        {"status": "error", "params": STREAM, "fallbacks": ["a/b"], "error_message": LATE},
    ),
    (
        "FALLBACK_LOST",
        ["1.5.16"],
        {"status": "error", "params": STREAM, "fallbacks": ["a/b"], "error_message": LATE},
    ),
    ("NO_LOGPROBS", None, {"params": {"logprobs": 2}, "texts": ["a"]}),
    ("NO_REASON", None, {"request_type": "responses", "texts": ["a"]}),
    ("NOT_ENDED", None, {"request_type": "chat_completion", "texts": ["a"]}),
    ("NOT_ENDED", None, {"params": STREAM, "texts": ["a"]}),
    ("REFUSAL_LOST", None, {"request_type": "chat_completion", "params": STREAM, **COUNTED}),
]


@pytest.mark.parametrize(
    "version", ["v1.3.63", "v1.4.0", "v1.4.9", "v1.4.10", "v1.4.18", "v1.5.1", "v1.5.16", "v2.0.0-prerelease3", None]
)
@pytest.mark.parametrize(("name", "versions", "facts"), CASES, ids=lambda value: value if type(value) is str else "")
def test_a_note_of_a_version(name: str, versions: list[str] | None, facts: dict[str, Any], version: str | None) -> None:
    """Each limit is told of the versions that were measured to have it, and of no other."""
    note = getattr(call_notes, name)
    expected = versions is None or (version or "v").removeprefix("v") in versions
    assert (note in notes_for(run(version, **facts))) == expected
    assert is_shared(note)
    assert note not in notes_for(run(version, texts=["a"], finish_reason="stop"))


@pytest.mark.parametrize("asked", [None, False])
def test_log_probabilities_that_nobody_asked_for_are_not_missed(asked: Any) -> None:
    """Only where they were asked for does their absence say something."""
    assert notes_for(run(params={"logprobs": asked}, texts=["a"], finish_reason="stop")) == []


@pytest.mark.parametrize(
    "facts",
    [{"completion_tokens": 1}, {"reasoning_tokens": 4}, {"finish_reason": "length"}, {"tool_calls": [{"id": "a"}]},
     {"reasoning": "Hm."}, {"params": {}}, {"request_type": "text_completion"}],
)  # fmt: skip
def test_an_empty_answer_is_not_called_a_refusal_without_evidence(facts: dict[str, Any]) -> None:
    """Nothing was said, or something else came."""
    chat = run(**{"request_type": "chat_completion", "params": STREAM, **COUNTED, **facts})
    assert call_notes.REFUSAL_LOST not in notes_for(chat)


def test_the_first_call_of_a_client_knows_the_version_when_it_is_cancelled(log: RunLog) -> None:
    """What a cancel means depends on the gateway's version, which is asked for while that call is under way."""
    with local_gateway(dialect="1.3", speed=100) as gateway:
        gateway.script([{"gap_ms": 200}])
        for _ in range(5):  # on a busy machine the first text may be there before the version
            with Client(gateway.url, log=log).stream("azure/fast", "Hi", max_tokens=50) as stream:
                next(iter(stream))
                stream.cancel()
            assert stream.run.status == "cancelled"
            if stream.run.gateway_version is not None:
                break
        assert stream.run.gateway_version is not None
        logged = log.read()[-1]
    assert logged.notes == stream.run.notes == [call_notes.CANCEL_NOT_PASSED_ON]


def test_a_cancel_does_not_wait_for_a_gateway_that_never_says_its_version(log: RunLog, gateway: LocalGateway) -> None:
    """A moment later the run is there, whatever the gateway does."""
    gateway.script([{"first_text_ms": 60_000, "delay_ms": 60_000}])
    client, gone = Client(gateway.url, log=log), threading.Event()
    job = client.start(client.prepare("text", "azure/fast", "Hi", True))
    threading.Timer(0.1, job.cancel).start()
    job.add_done_callback(lambda _: gone.set())
    assert gone.wait(2)
    assert [each.status for each in log.read()] == ["cancelled"]


def test_a_provider_that_nobody_asked_for_is_told(client: Client, gateway: LocalGateway) -> None:
    """It is no fallback, the run says who answered for whom, and a comparison's table says it once."""
    elsewhere = {"extra_fields": {"provider": "openai", "routing_info": {"provider": "openai", "model": "fast"}}}
    gateway.script([{"merge": elsewhere}])
    run = client.complete("azure/fast", "Hi", max_tokens=3)
    assert not run.is_fallback
    assert run.served == "openai/fast"
    assert [note for note in run.notes if UNEXPLAINED in note and "for azure/fast" in note]
    found = bf.compare(["azure/fast"], "Hi {{x}}", inputs={"x": ["1", "2", "3"]}, max_tokens=3, client=client)
    assert repr(found).count(UNEXPLAINED) == 1


@pytest.mark.parametrize(
    ("told", "details", "known"),
    [
        (105, {"reasoning_tokens": 100}, True),
        (5, {"reasoning_tokens": 100}, True),
        (105, {"rejected_prediction_tokens": 100}, True),
        (105, {"reasoning_tokens": 60, "rejected_prediction_tokens": 40, "accepted_prediction_tokens": 2}, True),
        (105, {"reasoning_tokens": 105}, False),
        (105, {"rejected_prediction_tokens": 200}, False),
    ],
    ids=["reasoning", "beside the completion", "prediction", "both", "nothing else", "more than there are"],
)
def test_speed_is_that_of_the_visible_text(
    client: Client, gateway: LocalGateway, told: int, details: dict[str, int], known: bool
) -> None:
    """Tokens that nobody sees are not counted among those that the text took its time for."""
    usage = {"prompt_tokens": 5, "completion_tokens": told, "total_tokens": 110, "completion_tokens_details": details}
    gateway.script([{"text": ["a", " b", " c", " d", " e"], "gap_ms": 40, "first_text_ms": 0, "usage": usage}])
    with client.stream_chat("azure/fast", "Hi") as stream:
        list(stream)
    run = stream.run
    assert run.completion_tokens == 105
    assert (run.tokens_per_s is not None) is known
    assert (run.tokens_per_s or 0) < 60  # five pieces in about 160 ms; with the others it would be many more


@pytest.fixture(scope="module")
def old() -> Iterator[LocalGateway]:
    """A gateway of 1.4.0, which has most of the limits."""
    with local_gateway(dialect="1.4", speed=100) as gateway:
        yield gateway


SHORT = Timeouts(first_byte=0.4)


@pytest.mark.parametrize(
    ("name", "options", "rule"),
    [
        ("EXTRA_DROPPED", {"extra": {"min_p": 0.1}, "stream": False}, {}),
        ("HELD_BACK", {"stream": True}, {}),
        (
            "FEWER_CHOICES",
            {"api": "chat", "n": 2, "stream": False},
            {"body": {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "a"}}]}},
        ),
        ("CANCEL_NOT_PASSED_ON", {"timeout": SHORT, "stream": True}, {"silent": True}),
        ("SENT_AT_THE_END", {"timeout": SHORT, "stream": True}, {"silent": True}),
        ("TAKEN", {"timeout": SHORT, "stream": False}, {"silent": True}),
        ("NO_LOGPROBS", {"logprobs": 2, "stream": False}, {"body": {"choices": [{"index": 0, "text": "a"}]}}),
        ("NO_REASON", {"api": "responses", "stream": False}, {"body": {"output": []}}),
    ],
)
def test_each_kind_of_note_is_on_its_runs_and_once_in_a_comparison(
    old: LocalGateway, log: RunLog, name: str, options: dict[str, Any], rule: dict[str, Any]
) -> None:
    """On every run, which shows it as text and as HTML; in the comparison's table once, however many runs have it."""
    old.reset()
    old.script([rule] if rule else [])
    client = Client(old.url, log=log, retries=0)
    found = bf.compare(["azure/fast"], "Hi {{x}}", inputs={"x": ["1", "2", "3"]}, client=client, **options)
    note = getattr(call_notes, name)
    assert [run.notes.count(note) for run in found.runs] == [1, 1, 1]
    for shown in (repr(found), read(found._repr_html_()).text):
        assert shown.count(note) == 1
    alone = found.runs[0]
    for shown in (repr(alone), read(alone._repr_mimebundle_()[0]["text/html"]).text):
        assert shown.count(note) == 1


def test_a_failed_call_shows_the_notes_of_its_run(client: Client, gateway: LocalGateway) -> None:
    """In the traceback below the message, and with the run; streamed or not, each once."""
    gateway.script([{"silent": True}])
    with pytest.raises(bf.TimedOut) as caught:
        client.complete("azure/fast", "Hi", retries=0, timeout=SHORT)
    with pytest.raises(bf.TimedOut) as streamed, client.stream("azure/fast", "Hi", retries=0, timeout=SHORT) as stream:
        list(stream)
    for error in (caught.value, streamed.value):
        assert "".join(traceback.format_exception_only(error)).count(TAKEN) == 1
        assert error.run is not None
        assert repr(error.run).count(TAKEN) == 1

"""Runs and scores as OpenTelemetry spans and events: what arrives, in which trace, and what never does."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import BifrostError, Client, Comparison, ConfigurationError, LocalGateway, Run, RunLog, scorers

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otel")

from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from bifrost_nb._keys import HIDDEN
from bifrost_nb._prompts.pictures import data_url

from ..compare.test_messages import png
from .receiver import Receiver, values

KEY = "sk-bf-secret-0123456789"
WORDS = "lighthouse"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An OTLP receiver."""
    with Receiver() as one:
        yield one


@pytest.fixture
def comparison(gateway: LocalGateway, log: RunLog) -> Comparison:
    """Two deployments, one of which always fails; a score that is known, and one that is not."""
    client = Client(gateway.url, api_key=KEY, log=log, traceparent=True, retries=0)

    def broken(run: Run, row: dict[str, Any]) -> float:
        raise ValueError(f"about the {WORDS} {KEY}")

    return bf.compare(
        ["azure/fast", "azure/always-fails"],
        f"Name a {WORDS} in {{{{place}}}}. {KEY}",
        inputs={"place": ["Kiel"]},
        score={"long": scorers.length(max=1_000), "broken": broken},
        max_tokens=5,
        temperature=0.5,
        client=client,
    )


def test_what_arrives(comparison: Comparison, receiver: Receiver, gateway: LocalGateway) -> None:
    """One span a run and one event a score, with the conventions' names, our figures and the gateway's address."""
    assert bf.export_spans(comparison, receiver.url) == 2
    ok, failed = sorted(receiver.spans, key=lambda span: span.status.code)
    run = next(run for run in comparison.runs if run.status == "ok")
    assert (ok.name, ok.kind) == ("text_completion fast", 3)  # CLIENT
    found = values(ok)
    expected = {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "azure.ai.openai",
        "gen_ai.request.model": "fast",
        "gen_ai.request.max_tokens": 5,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stream": True,
        "gen_ai.response.model": run.model,
        "gen_ai.response.finish_reasons": [run.finish_reason],
        "gen_ai.usage.input_tokens": run.prompt_tokens,
        "gen_ai.usage.output_tokens": run.completion_tokens,
        "bifrost.run_id": run.run_id,
        "bifrost.request.id": run.request_id,
        "bifrost.comparison_id": comparison.id,
        "bifrost.cost_usd": run.cost_usd,
        "server.address": "127.0.0.1",
        "server.port": int(gateway.url.rpartition(":")[2]),
    }
    assert found | expected == found
    assert run.ttft_ms is not None
    assert run.total_ms is not None
    assert found["gen_ai.response.time_to_first_chunk"] == pytest.approx(run.ttft_ms / 1000)
    assert (ok.end_time_unix_nano - ok.start_time_unix_nano) / 1e6 == pytest.approx(run.total_ms, abs=0.01)
    assert datetime.fromtimestamp(ok.start_time_unix_nano / 1e9, UTC) == pytest.approx(
        run.started_at, abs=timedelta(milliseconds=1)
    )
    assert receiver.resources[0]["service.name"] == "bifrost-nb"
    other = next(run for run in comparison.runs if run.status != "ok")
    assert failed.status.code == 2
    assert values(failed)["error.type"] == other.error_type
    assert "gen_ai.usage.output_tokens" not in values(failed)  # unknown is absent, never 0
    events = {
        values(event)["gen_ai.evaluation.name"]: event for event in receiver.events if event.span_id == ok.span_id
    }
    assert set(events) == {"score_long", "score_broken"}
    known, unknown = events["score_long"], events["score_broken"]
    assert known.event_name == "gen_ai.evaluation.result"
    assert (known.trace_id, known.time_unix_nano) == (ok.trace_id, ok.end_time_unix_nano)
    assert values(known)["gen_ai.evaluation.score.value"] == 1.0
    assert values(unknown)["error.type"] == "ValueError"
    assert "gen_ai.evaluation.score.value" not in values(unknown)


def test_dates_beyond_all_reason_cost_no_batch(receiver: Receiver) -> None:
    """A line of the log may hold any date: what OTLP cannot carry is unknown (0) there and told in an attribute."""
    dates = [datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)]
    good = datetime(2026, 11, 1, tzinfo=UTC)
    runs = [Run(status="ok", started_at=date, total_ms=5.0) for date in (*dates, good)]
    runs += [Run(status="ok", started_at=good, total_ms=took) for took in (1e300, -5.0, float("inf"))]
    assert bf.export_spans(runs, receiver.url) == len(runs)
    spans = {values(span)["bifrost.run_id"]: span for span in receiver.spans}
    for run in runs:
        span = spans[run.run_id]
        assert span.end_time_unix_nano >= span.start_time_unix_nano
        odd = run.started_at != good or run.total_ms == 1e300
        assert (span.start_time_unix_nano == 0) is odd
        assert values(span).get("bifrost.started_at") == (run.started_at.isoformat() if odd else None)


def test_lines_that_tell_next_to_nothing(receiver: Receiver, log: RunLog) -> None:
    """A line without a start or a kind is a span with an unknown time, and keeps no other back."""
    assert log.path is not None
    log.append(Run(status="ok", requested_model="gpt"))
    with log.path.open("a") as file:
        file.write('{"run_id": "foreign"}\n{"run_id": "b", "requested_model": "gpt", "total_ms": 5}\n')
    assert bf.export_spans(log.read(), receiver.url) == 3
    assert [span.name for span in receiver.spans] == ["text_completion gpt", "unknown", "unknown gpt"]
    assert [span.start_time_unix_nano == 0 for span in receiver.spans] == [False, True, True]
    assert receiver.spans[2].end_time_unix_nano == 5_000_000


def test_the_gateway_hears_of_the_same_trace(comparison: Comparison, receiver: Receiver, gateway: LocalGateway) -> None:
    """What was sent as ``traceparent`` names the very spans that are exported; without the option nothing is sent."""
    bf.export_spans(comparison, receiver.url)
    sent = {each["headers"]["traceparent"] for each in gateway.requests() if "traceparent" in each["headers"]}
    spans = {f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01" for span in receiver.spans}
    assert sent == spans
    assert {span.trace_id.hex() for span in receiver.spans} == {run.run_id.replace("-", "") for run in comparison.runs}
    before = len(gateway.requests())
    own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    Client(gateway.url, log=RunLog("off")).complete("azure/fast", "Hi", max_tokens=2)
    Client(gateway.url, log=RunLog("off"), traceparent=True).complete(
        "azure/fast", "Hi", max_tokens=2, headers={"traceparent": own}
    )
    later = [each for each in gateway.requests()[before:] if "completions" in each["path"]]
    assert [each["headers"].get("traceparent") for each in later] == [
        None,
        own,
    ]  # whoever traces already stays in charge


def test_contents_only_where_they_are_asked_for(comparison: Comparison, receiver: Receiver) -> None:
    """By default no prompt, answer, reason or word of an error; keys never, whatever is asked for."""
    bf.export_spans(comparison, receiver.url, headers={"authorization": f"Bearer {KEY}"})
    answer = comparison.runs[0].response or comparison.runs[1].response
    assert answer
    quiet = b"".join(body for _, _, body in receiver.requests)
    for text in (WORDS, answer, KEY):
        assert text.encode() not in quiet
    assert receiver.requests[0][1]["authorization"] == f"Bearer {KEY}"
    receiver.requests.clear()
    receiver.spans.clear()
    bf.export_spans(comparison, receiver.url, content=True)
    found = next(values(span) for span in receiver.spans if span.status.code != 2)
    asked, answered = (json.loads(found[f"gen_ai.{name}.messages"]) for name in ("input", "output"))
    assert asked == [{"role": "user", "parts": [{"type": "text", "content": f"Name a {WORDS} in Kiel. {HIDDEN}"}]}]
    assert answered[0]["parts"] == [{"type": "text", "content": answer}]
    assert KEY.encode() not in b"".join(body for _, _, body in receiver.requests)


def test_messages_tools_and_what_a_hook_leaves_out(gateway: LocalGateway, log: RunLog) -> None:
    """Turns, pictures and calls of tools have the conventions' form; a `redact` hook holds for spans, too."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "image_url", "image_url": {"url": data_url(png())}},
            ],
        },
    ]
    run = Client(gateway.url, log=log).chat("openai/gpt-4o-mini", messages=messages, max_completion_tokens=4)
    run.tool_calls = [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    spans = InMemorySpanExporter()
    assert bf.export_spans(run, exporter=spans, content=True) == 1
    (span,) = spans.get_finished_spans()
    attributes = dict(span.attributes or {})
    system, user = json.loads(str(attributes["gen_ai.input.messages"]))
    assert system == {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]}
    assert user["parts"][1] == {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"}
    assert "iVBOR" not in str(attributes)
    (answer,) = json.loads(str(attributes["gen_ai.output.messages"]))
    assert answer["parts"][-1] == {"type": "tool_call", "id": "c1", "name": "look", "arguments": "{}"}
    assert attributes["gen_ai.operation.name"] == "chat"

    hidden = Client(gateway.url, log=log, redact=lambda text, what: None if what == "prompt" else "gone").chat(
        "openai/gpt-4o-mini", f"Hush about the {WORDS}.", max_tokens=4
    )
    spans.clear()
    bf.export_spans([hidden], exporter=spans, content=True)
    told = str(dict(spans.get_finished_spans()[0].attributes or {}))
    assert WORDS not in told
    assert hidden.text not in told


CALL, GIVEN = {"city": "Kiel"}, [{"text": "rain"}, {"image": {"bytes": "iVBOR"}}]
TURNS: dict[str, list[dict[str, Any]]] = {
    "genai": [
        {"role": "user", "parts": [{"text": "Rain?"}]},
        {"role": "model", "parts": [{"functionCall": {"id": "c", "name": "look", "args": CALL}}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "c", "name": "look", "response": GIVEN}}]},
    ],
    "bedrock": [
        {"role": "user", "content": [{"text": "Rain?"}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c", "name": "look", "input": CALL}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "c", "content": GIVEN}}]},
    ],
    "anthropic": [
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "look", "input": CALL}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": GIVEN}]},
    ],
}
"""One conversation, as the SDKs' APIs write it."""


@pytest.mark.parametrize("api", TURNS)
def test_conversations_of_other_sdks(api: str) -> None:
    """What another SDK asked has its texts, its calls of tools and its parameters, however its API writes them."""
    params = {
        "genai": {"maxOutputTokens": 7, "topP": 0.5, "stopSequences": ["x"]},
        "bedrock": {"maxTokens": 7, "topP": 0.5, "stopSequences": ["x"]},
        "anthropic": {"max_tokens": 7, "top_p": 0.5, "stop_sequences": ["x"]},
    }
    spans = InMemorySpanExporter()
    bf.export_spans(Run(prompt=json.dumps(TURNS[api]), params=params[api]), exporter=spans, content=True)
    told = dict(spans.get_finished_spans()[0].attributes or {})
    user, assistant, tool = json.loads(str(told["gen_ai.input.messages"]))
    assert user == {"role": "user", "parts": [{"type": "text", "content": "Rain?"}]}
    call = {"type": "tool_call", "id": "c", "name": "look", "arguments": CALL}
    assert assistant == {"role": "assistant", "parts": [call]}
    assert tool["parts"] == [
        {"type": "tool_call_response", "id": "c", "response": [{"type": "text", "content": "rain"}, {"type": "image"}]}
    ]
    names = ("max_tokens", "top_p", "stop_sequences")
    assert [told[f"gen_ai.request.{name}"] for name in names] == [7, 0.5, ("x",)]


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("hook", [lambda text, what: text.replace(WORDS, "[place]"), lambda text, what: None])
def test_no_part_of_a_comparison_goes_around_the_hook(
    gateway: LocalGateway, log: RunLog, hook: Any, pickled: bool
) -> None:
    """Answers, parameters, errors, reasons of scores, and the keys of headers: redacted in spans as in files."""
    gateway.script([{"prompt": "fails", "status": 400, "error": {"message": f"no {WORDS}"}}, {"text": f"A {WORDS}"}])
    client = Client(gateway.url, log=log, retries=0, redact=hook)

    def quoting(run: Run) -> scorers.Score:
        return scorers.Score(0.5, reason=f"it says {run.text}, {KEY}")

    comparison = bf.compare(
        [{"deployment": "azure/fast", "headers": {"x-api-key": KEY}, "stop": [f"{WORDS}!"]}],
        f"Name a {WORDS}. {{{{x}}}}",
        inputs={"x": ["works", f"fails at the {WORDS}"]},
        score={"quoting": quoting},
        client=client,
    )
    assert WORDS in str(comparison.frame["score_quoting_reason"].tolist()), "what is kept in memory is whole"
    if pickled:
        packed = pickle.dumps(comparison)
        assert WORDS.encode() not in packed
        assert KEY.encode() not in packed
        comparison = pickle.loads(packed)
    spans, events = InMemorySpanExporter(), InMemoryLogRecordExporter()
    assert bf.export_spans(comparison, exporter=spans, log_exporter=events, content=True) == 2
    told = [dict(span.attributes or {}) | {"status": span.status.description} for span in spans.get_finished_spans()]
    scores = [dict(event.log_record.attributes or {}) for event in events.get_finished_logs()]
    assert [score["gen_ai.evaluation.score.value"] for score in scores if "gen_ai.evaluation.score.value" in score]
    assert WORDS not in str(told) + str(scores)
    assert KEY not in str(told) + str(scores)


def test_of_the_log_and_in_memory(comparison: Comparison, log: RunLog) -> None:
    """Runs of the log make the same spans as the comparison; ratings are events; another trace around is left alone."""
    from opentelemetry.sdk.trace import TracerProvider

    first, second = InMemorySpanExporter(), InMemorySpanExporter()
    events = InMemoryLogRecordExporter()
    bf.export_spans(comparison, exporter=first)
    read = log.read()
    read[0].rating = "good"
    with TracerProvider().get_tracer("theirs").start_as_current_span("theirs"):
        assert bf.export_spans(iter(read), exporter=second, log_exporter=events) == 2
    ids = [{span.context.span_id for span in one.get_finished_spans()} for one in (first, second)]
    assert ids[0] == ids[1]
    assert all(span.parent is None for span in second.get_finished_spans())
    (event,) = events.get_finished_logs()
    assert event.log_record.attributes is not None
    assert event.log_record.attributes["gen_ai.evaluation.score.label"] == "good"
    kinds = {span.status.status_code for span in second.get_finished_spans()}
    assert kinds == {StatusCode.UNSET, StatusCode.ERROR}


def test_many_go_in_batches(receiver: Receiver) -> None:
    """1,200 runs are three requests, and none is lost; a run that was never asked has no figure at all."""
    assert bf.export_spans([Run() for _ in range(1_200)], receiver.url) == 1_200
    assert [path for path, _, _ in receiver.requests] == ["/v1/traces"] * 3
    assert len({span.trace_id for span in receiver.spans}) == 1_200
    numbers = {field.name for field in fields(Run)} & {"total_ms", "cost_usd", "prompt_tokens"}
    assert not [name for name in values(receiver.spans[0]) for number in numbers if number in name]


def test_one_odd_run_keeps_no_other_back(receiver: Receiver) -> None:
    """Half a character, infinities, and messages that are none: spans of all runs arrive."""
    half, odd = "\ud83d", '[{"role":"user","content":{"a":1},"tool_calls":5},{"role":5,"content":[1]}]'
    runs = [
        Run(prompt=half, response=half, model=half, requested_model=half, finish_reason=half, status="ok"),
        Run(status="error", error_type=half, error_message=half, total_ms=float("nan"), raw={"id": half}),
        Run(status="ok", params={"max_tokens": float("inf"), "seed": 2**80}, total_ms=float("inf"), prompt=odd),
        Run(status="ok", prompt_tokens=2**80, rating="good"),
    ]
    assert bf.export_spans(runs, receiver.url, content=True) == len(receiver.spans) == 4
    assert values(receiver.spans[0])["gen_ai.response.model"] == "\ufffd"


def test_what_is_not_taken_is_told(
    comparison: Comparison, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """The error says how many, where, why and what to do, without keys; a backend without logs has the spans."""
    receiver.refuses["/v1/traces"] = 401
    with pytest.raises(BifrostError, match=r"0 of 2 spans to http://127.*401") as refused:
        bf.export_spans(comparison, receiver.url, headers={"x-key": KEY})
    assert KEY not in str(refused.value)
    receiver.refuses = {"/v1/logs": 404}
    with pytest.raises(BifrostError, match=r"0 of \d scores to .*the spans were taken"):
        bf.export_spans(comparison, receiver.url)
    assert len(receiver.spans) == 2
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"endpoint": "localhost:4318"}, "http://localhost:4318"),
        ({"endpoint": "http://user:word@localhost:4318"}, "keys go into headers"),
        ({"endpoint": "http://localhost:4318/v1/traces"}, "without /v1/traces"),
        ({"endpoint": "http://localhost:4318", "exporter": object()}, "not both"),
        ({"log_exporter": object()}, "needs an exporter"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], said: str) -> None:
    """One clear error before anything is made or sent."""
    with pytest.raises(ConfigurationError, match=said) as wrong:
        bf.export_spans([Run()], **arguments)
    assert "user:word" not in str(wrong.value)
    for what in (["run"], None, 5):
        with pytest.raises(ConfigurationError, match="comparison or runs"):
            bf.export_spans(what, "http://localhost:4318")  # type: ignore[arg-type]


def test_the_variables_of_opentelemetry_count(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an endpoint theirs say where to and who we are; a sampler of theirs drops nothing that was asked for."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "evaluation")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    assert bf.export_spans(Run()) == 1
    assert receiver.resources[0]["service.name"] == "evaluation"


def test_without_the_extra() -> None:
    """The package loads without OpenTelemetry, and the error names the extra."""
    code = """
import sys
sys.modules["opentelemetry"] = None
import bifrost_nb as bf
try:
    bf.export_spans(bf.Run(), "http://127.0.0.1:9")
except bf.ConfigurationError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "TZ": "UTC"}
    )
    assert "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http" in done.stdout

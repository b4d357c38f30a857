"""The drop-in routes for other providers' SDKs, event by event, over plain HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Wire
from .sdk_routes import (
    ANTHROPIC,
    BEDROCK,
    COHERE,
    GENAI,
    PROMPT,
    Route,
    aws_messages,
    every_dialect_and_route,
    every_route,
    row_of,
    said,
    stream_events,
    streamed_end,
    streamed_text,
)

REASONS = {  # of the gateway -> of each format
    "anthropic": {"stop": "end_turn", "length": "max_tokens"},
    "genai": {"stop": "STOP", "length": "MAX_TOKENS"},
    "bedrock": {"stop": "end_turn", "length": "max_tokens"},
    "cohere": {"stop": "COMPLETE", "length": "MAX_TOKENS"},
}


@every_dialect_and_route
def test_a_whole_answer_is_told_in_the_sdks_words(each: Wire, route: Route) -> None:
    """Text, reason and usage are where the SDK looks for them, no field of the gateway's own is there, and the log row
    has the same numbers."""
    answer = route.ask(each)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert "extra_fields" not in body
    assert len(route.text(body)) > 40
    assert route.reason(body) == REASONS[route.name]["stop"]
    record = each.gateway.requests()[0]
    assert (record["deployment"], record["served"]) == (route.deployment, route.deployment)
    row = row_of(each, record)
    assert (row["object"], row["stream"], row["status"]) == (route.operation, False, "success")
    assert route.counts(body) == (row["token_usage"]["prompt_tokens"], row["token_usage"]["completion_tokens"])
    assert said(row) == route.text(body)
    assert row["cost"] > 0
    if each.gateway.dialect != "1.3":
        assert answer.headers["x-bifrost-request-type"] == route.operation
        assert answer.headers["x-bifrost-provider"] == route.deployment.partition("/")[0]


@every_dialect_and_route
def test_a_stream_adds_up_to_the_same_answer(each: Wire, route: Route) -> None:
    """Streamed and whole, the same question with temperature 0 has the same text, reason and usage; the log agrees."""
    each.gateway.script([{"text": "The tide follows the moon. Twice a day it comes."}])
    whole = route.ask(each).json()
    answer = route.ask(each, stream=True)
    assert answer.status_code == 200
    found = stream_events(route, answer.content)
    again = route is GENAI and each.gateway.dialect in ("1.3", "1.4")  # measured: it ends with the whole text once more
    if again:
        assert streamed_text(route, [found.pop(-2)]) == route.text(whole)
    assert streamed_text(route, found) == route.text(whole) == "The tide follows the moon. Twice a day it comes."
    assert route.counts(streamed_end(route, found)) == route.counts(whole)
    assert route.reason(streamed_end(route, found)) == route.reason(whole)
    record = each.gateway.requests()[1]
    row = row_of(each, record)
    assert (row["object"], row["stream"], row["status"]) == (f"{route.operation}_stream", True, "success")
    assert route.counts(whole) == (row["token_usage"]["prompt_tokens"], row["token_usage"]["completion_tokens"])
    assert record["chunks"] == len([piece for piece in found if streamed_text(route, [piece])])


@every_route
def test_a_limit_and_stop_sequences_reach_the_deployment(wire: Wire, route: Route) -> None:
    """The limit cuts the answer at that many tokens and the reason says so; stop sequences end the text before them."""
    body = route.body(PROMPT)
    route.limited(body, 7)
    answer = route.ask(wire, **body).json()
    assert route.reason(answer) == REASONS[route.name]["length"]
    assert route.counts(answer)[1] == 7
    wire.gateway.script([{"text": "one two three four"}])
    stops = {
        "anthropic": {"stop_sequences": [" three"]},
        "genai": {"generationConfig": {"stopSequences": [" three"]}},
        "bedrock": {"inferenceConfig": {"stopSequences": [" three"]}},
        "cohere": {"stop_sequences": [" three"]},
    }
    answer = route.ask(wire, **stops[route.name]).json()
    assert route.text(answer) == "one two"
    assert route.reason(answer) == REASONS[route.name]["stop"]


@every_dialect_and_route
def test_bare_names_and_any_providers_models(each: Wire, route: Route) -> None:
    """A bare name finds the model of the route's own provider; ``provider/model`` goes anywhere."""
    assert route.ask(each, route.deployment.partition("/")[2]).status_code == 200
    assert route.ask(each, "azure/fast").status_code == 200
    served = [record["served"] for record in each.gateway.requests()]
    assert served == [route.deployment, "azure/fast"]


def test_a_bare_name_of_another_provider(wires: dict[str, Wire]) -> None:
    """1.3 takes a bare name for the route's own provider's; later generations look it up."""
    for dialect, served in (("1.3", None), ("2.2", "mistral/mistral-small-latest")):
        wires[dialect].gateway.reset()
        answer = ANTHROPIC.ask(wires[dialect], "mistral-small-latest")
        assert answer.status_code == (200 if served else 404)
        assert wires[dialect].gateway.requests()[0]["served"] == served


@pytest.mark.parametrize("route", [ANTHROPIC, GENAI, BEDROCK], ids=lambda route: route.name)
@pytest.mark.parametrize("stream", [False, True])
def test_fallbacks_step_in(wire: Wire, route: Route, stream: bool) -> None:
    """A failing primary is followed by the body's `fallbacks`; headers, log and record name who served."""
    answer = route.ask(wire, "azure/always-fails", stream=stream, fallbacks=["azure/fast"])
    assert answer.status_code == 200
    assert answer.headers["x-bifrost-fallback-index"] == "1"
    assert answer.headers["x-bifrost-routing-info-model"] == "fast"
    record = wire.gateway.requests()[0]
    assert (record["deployment"], record["served"]) == ("azure/always-fails", "azure/fast")
    assert row_of(wire, record)["status"] == "error"


def test_cohere_knows_no_fallbacks(wire: Wire) -> None:
    """The request type of that route has no such field, so the failure of the primary is the answer."""
    answer = COHERE.ask(wire, "azure/always-fails", fallbacks=["azure/fast"])
    assert answer.status_code == 500
    assert wire.gateway.requests()[0]["attempts"] == ["azure/always-fails"]


ERROR = {"status": 429, "error": {"type": "rate_limit_error", "code": "slow_down", "message": "too quick"}}
ERRORS: dict[str, Any] = {
    "anthropic": {"type": "error", "error": {"type": "rate_limit_error", "message": "too quick"}},
    "genai": {"error": {"code": 429, "message": "too quick", "status": "rate_limit_error", "details": None}},
    "bedrock": {"__type": "slow_down", "message": "too quick", "code": "slow_down"},
}


@every_dialect_and_route
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_has_the_shape_of_the_sdk(each: Wire, route: Route, stream: bool) -> None:
    """Status, headers and the provider's message survive; Cohere's route alone has the gateway's own error."""
    each.gateway.script([{**ERROR, "headers": {"retry-after": "3"}}])
    answer = route.ask(each, stream=stream)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert answer.headers["content-type"] == "application/json"
    if route is COHERE:
        assert answer.json()["error"]["message"] == "too quick"
        assert answer.json()["status_code"] == 429
    else:
        assert answer.json() == ERRORS[route.name]
    row = row_of(each, each.gateway.requests()[0])
    assert (row["status"], row["error_details"]["error"]["message"]) == ("error", "too quick")


@every_route
def test_an_error_in_the_middle_ends_the_stream(wire: Wire, route: Route) -> None:
    """After the text so far one error event comes, and neither an end of the message nor an end marker."""
    wire.gateway.script([{**ERROR, "error_after_chunks": 2, "chunks": 5, "gap_ms": 1}])
    content = route.ask(wire, stream=True).content
    *before, last = stream_events(route, content)
    assert streamed_text(route, before) == " word0 word1"
    assert not {name for name, _ in before} & {
        "message_delta",
        "message_stop",
        "messageStop",
        "metadata",
        "message-end",
    }
    assert not any("usageMetadata" in body for _, body in before)
    if route is BEDROCK:
        headers, body = aws_messages(content)[-1]
        assert (headers[":message-type"], headers[":exception-type"]) == ("exception", "internalServerException")
        assert body == {"message": "too quick"}
    elif route is COHERE:
        assert last[1]["error"]["message"] == "too quick"
    elif route is GENAI:  # in a stream the status is not known
        assert last == ("", {"error": {**ERRORS["genai"]["error"], "code": 500}})
    else:
        assert last == ("error", ERRORS["anthropic"])
    assert row_of(wire, wire.gateway.requests()[0])["status"] == "error"


@every_route
def test_a_client_that_leaves_a_stream_is_noticed(wire: Wire, route: Route) -> None:
    """The disconnect is recorded, and the log row is cancelled with the tokens sent so far."""
    wire.gateway.script([{"first_text_ms": 0, "gap_ms": 10_000, "chunks": 5, "log_delay_ms": 0}])
    path, body = route.request(stream=True)
    with wire.http.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200
        wire.gateway.wait_for(lambda found: found[0]["chunks"])
    record = wire.gateway.wait_for(lambda found: found[0]["disconnected_at"])[0]
    assert record["ended_at"] is None
    row = row_of(wire, record)
    assert (row["status"], row["token_usage"]["completion_tokens"]) == ("cancelled", 1)

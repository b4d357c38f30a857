"""On the drop-in routes the embedded gateway says what the converters of Bifrost's engine say, event by event.

Behind both is the same simulated Anthropic, so what differs is the gateways' doing. The engine's front has the three
routes that the engine converts; Cohere's are not converted at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.engine.engines import ENGINES, missing
from tests.simulator.sdk_routes import ANTHROPIC, BEDROCK, GENAI, Route, aws_messages, stream_events

from .subjects import EMBEDDED, Subject, embedded, engine

CLAUDE = "anthropic/claude-haiku-4-5"
TOO_QUICK = {"status": 429, "error": {"type": "rate_limit_error", "message": "too quick"}}
BUSY = {"status": 503, "error": {"type": "overloaded_error", "message": "too busy"}}
RULES: dict[str, list[dict[str, Any]]] = {
    "answer": [{"text": ["One", " two", " three"], "gap_ms": 1}],
    "limit": [],
    "nothing": [{"text": ""}],
    "error": [TOO_QUICK],
    "error in a stream": [{**BUSY, "error_after_chunks": 2, "chunks": 5, "gap_ms": 1}],
    "stream cut short": [{"provider_cut_after_chunks": 2, "chunks": 5, "gap_ms": 1}],
}
CASES = [
    pytest.param(rules, stream, id=f"{rules} {'streamed' if stream else 'whole'}")
    for rules in RULES
    for stream in ((True,) if "stream" in rules else (False, True))
]
LEFT_OUT = {"id", "responseId", "createTime", "latencyMs"}
"""Identities and times."""


@pytest.fixture(scope="module", params=[pytest.param(version, marks=pytest.mark.gateway) for version in ENGINES])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Subject, Subject]]:
    """An engine and the embedded gateway in its dialect."""
    if reason := missing(request.param):
        pytest.skip(reason)
    dialect = EMBEDDED[request.param].replace("1.3", "1.4")  # 1.3.63 hands a provider's own whole answers on here
    with engine(request.param) as real, embedded(dialect) as ours:
        yield real, ours


def told(route: Route, subject: Subject, rules: str, stream: bool) -> tuple[int, Any]:
    """Status and what was said, without identities and times: a body, or the events of a stream."""
    subject.reset()
    subject.script(RULES[rules])
    body = route.body("Explain tides")
    if rules == "limit":
        route.limited(body, 5)
    path, body = route.request(CLAUDE, stream=stream, **body)
    answer = httpx.post(subject.url + path, json=body, timeout=20, verify=False)  # else it reads all certificates
    if answer.headers["content-type"] == "application/json":
        return answer.status_code, _plain(answer.json())
    found = stream_events(route, answer.content)
    if route is ANTHROPIC:
        # The simulated Anthropic sends no pings, and tells all the tokens at the start where the real one tells one.
        found = [event for event in found if event[0] != "ping"]
        found[0][1]["message"]["usage"]["output_tokens"] = 1
    if route is BEDROCK:  # what type an exception has was not found in the gateway's source: not compared
        found = [(headers.get(":event-type", ""), body) for headers, body in aws_messages(answer.content)]
    return answer.status_code, [(name, _plain(body)) for name, body in found]


def _plain(value: Any) -> Any:
    """Without identities and times."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if name not in LEFT_OUT}
    return [_plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("rules", "stream"), CASES)
@pytest.mark.parametrize("route", [ANTHROPIC, GENAI, BEDROCK], ids=lambda route: route.name)
def test_the_same_call_is_told_the_same(pair: tuple[Subject, Subject], route: Route, rules: str, stream: bool) -> None:
    """Status, fields, values and the order of events are those of the engine's own converters."""
    real, ours = (told(route, subject, rules, stream) for subject in pair)
    assert ours == real

"""The state behind every live view: what it says about a call, from the first moment to the last."""

from __future__ import annotations

from bifrost_nb import Client
from bifrost_nb._notebook.live.race import Race, RaceUpdate
from bifrost_nb._runs.pieces import Piece
from bifrost_nb._runs.run import Run
from bifrost_nb._simulator.process import LocalGateway


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def race_of(*runs: Run) -> tuple[Race, Clock]:
    clock = Clock()
    return Race(runs, clock=clock), clock


def asked(**facts: object) -> Run:
    return Run(requested_provider="azure", requested_model="fast", **facts)  # type: ignore[arg-type]


def test_from_waiting_to_done() -> None:
    """Who serves is said before the first text, speed in chunks until tokens are known; the clock stops at the end."""
    run = asked()
    race, clock = race_of(run)
    column = race.columns[0]
    first = column.facts(race.elapsed_s)
    assert (first.asked, first.served, first.state) == ("azure/fast", "waiting for the gateway", "waiting")
    assert (first.speed, first.cost) == ("", "cost pending")

    run.provider, run.model, run.is_fallback, run.fallback_index = "openai", "gpt-4o-mini", True, 1
    clock.now += 0.5
    race.receive([RaceUpdate(0, [])])
    headers = column.facts(race.elapsed_s)
    assert (headers.served, headers.state) == ("fallback 1: served by openai/gpt-4o-mini", "answering")
    assert column.text == ""

    race.receive([RaceUpdate(0, [Piece(0, "word ", "", 600 + 20 * number) for number in range(51)])])
    clock.now += 1
    streaming = column.facts(race.elapsed_s)
    assert (streaming.speed, streaming.time, streaming.cost) == ("50 chunks/s", "1.5 s", "cost pending")

    run.status, run.total_ms, run.tokens_per_s, run.cost_usd = "ok", 1700.0, 87.2, 0.00042
    race.receive([RaceUpdate(0, [])])
    clock.now += 60
    done = column.facts(race.elapsed_s)
    assert (done.state, done.time, done.speed, done.cost) == ("done", "1.7 s", "87 tokens/s", "$0.000420")
    assert race.ended
    assert race.summary == "1 of 1 finished"


def test_unknown_stays_unknown() -> None:
    """An old gateway that does not say who serves, and a cost nobody knows, are said to be unknown."""
    run = asked()
    race, _ = race_of(run)
    race.receive([RaceUpdate(0, [Piece(0, "a", "", 5.0)])])
    assert race.columns[0].facts(1).served == "gateway does not say yet who serves"
    run.status = "ok"
    race.columns[0].cost_settled = True
    facts = race.columns[0].facts(1)
    assert (facts.served, facts.cost) == ("who served is unknown", "cost unknown")


def test_failures_say_what_happened() -> None:
    """A failed column says so in a word and gives the error's text, without control sequences."""
    run = asked(status="error", error_message="The provider \x1b[31mrefused.", error_code="content_filter")
    race, _ = race_of(run)
    facts = race.columns[0].facts(1)
    assert (facts.state, facts.served) == ("failed", "nobody answered")
    assert facts.note == "content_filter: The provider refused."


def test_reasoning_and_choices() -> None:
    """While a model only thinks, the column says how much; of several choices it shows the first and says so."""
    race, _ = race_of(asked())
    race.receive([RaceUpdate(0, [Piece(0, "", "let me think " * 100, 5.0)])])
    assert race.columns[0].facts(1).note == "thinking, 1,300 characters so far"
    race.receive([RaceUpdate(0, [Piece(0, "one", "", 6.0), Piece(1, "two", "", 6.0), Piece(2, "three", "", 6.0)])])
    assert race.columns[0].text == "one"
    assert race.columns[0].facts(1).note == "first of 3 choices"


def test_hostile_text() -> None:
    """Control sequences, overrides of the writing direction and half characters never reach a view."""
    race, _ = race_of(asked())
    pieces = ["\x1b", "[2J", "a\rb\u202ec", "\ud83d", "<script>"]
    race.receive([RaceUpdate(0, [Piece(0, text, "", 1.0) for text in pieces])])
    assert race.columns[0].take() == "[2Jabc\ufffd<script>"
    assert race.columns[0].take() == ""


def test_same_text_as_the_run(client: Client, gateway: LocalGateway) -> None:
    """What the view shows in the end is what the run holds, for a real call."""
    call = client.prepare("text", "azure/fast", "a story", stream=True)
    race = Race([call.run])
    client.start(call, lambda _, pieces: race.receive([RaceUpdate(0, pieces)])).result(20)
    assert race.columns[0].text == call.run.text
    assert race.columns[0].chunks == call.run.chunks
    assert race.ended

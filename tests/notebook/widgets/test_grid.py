"""The grid: what it shows without a browser, and what crosses to one."""

from __future__ import annotations

import json
import pickle
import time
from typing import Any

import pytest

from bifrost_nb import Client, ConfigurationError, RunLog
from bifrost_nb._compare.compare import compare
from bifrost_nb._notebook.widgets.grid import GridView
from bifrost_nb._notebook.widgets.grid_state import PAGE, Grid
from bifrost_nb._runs.run import Run
from bifrost_nb._simulator.process import LocalGateway

from ...markup import read
from ..live.test_pane import Wire, wire  # noqa: F401

HOSTILE = '<img src=x onerror="window.hit=1"><script>hit()</script> [x](javascript:hit())'


def run(prompt: str, text: str | None, **known: Any) -> Run:
    """A finished run; without a text it failed."""
    ended: dict[str, Any] = {"status": "ok", "response": text, "texts": [text]}
    if text is None:
        ended = {"status": "error", "http_status": 500, "error_message": "broken"}
    values = {"prompt_id": prompt, "prompt": f"Prompt {prompt}", "requested_provider": "azure", "requested_model": "a"}
    return Run(**{**values, "total_ms": 100.0, "cost_usd": 0.001, **ended, **known})


def small() -> Grid:
    """Two deployments, three prompts: equal answers, different ones, and one with errors."""
    return Grid(
        [
            *[("a", run("1", "yes")), ("b", run("1", " yes\n"))],
            *[("a", run("2", text)) for text in ("red", "blue", "red")],
            ("b", run("2", "red", total_ms=900.0)),
            *[
                ("a", run("3", None, cost_usd=None)),
                ("a", run("3", "no", cost_usd=5.0)),
                ("b", run("3", "no", cost_usd=None)),
            ],
        ]
    )


def shown(grid: Grid) -> list[str]:
    """The prompt ids of all pages."""
    return [row.prompt_id for row in grid.shown]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("all", ["1", "2", "3"]), ("errors", ["3"]), ("different", ["2"]), ("slowest", ["2"]), ("dearest", ["3"])],
)
def test_filters(name: str, expected: list[str]) -> None:
    """Each filter leaves the prompts it names; white space around an answer makes no difference."""
    grid = small()
    grid.show(filter=name)
    assert shown(grid) == expected


@pytest.mark.parametrize(
    ("name", "first"), [("order", "1"), ("prompt", "1"), ("slowest", "2"), ("dearest", "3"), ("errors", "3")]
)
def test_sorts(name: str, first: str) -> None:
    """Each order puts its prompt first and keeps all."""
    grid = small()
    grid.show(sort=name)
    assert shown(grid)[0] == first
    assert sorted(shown(grid)) == ["1", "2", "3"]


def test_cached_and_unknown_are_not_slow_or_dear() -> None:
    """A cached run is not the slowest, and a prompt whose cost is unknown is not the dearest."""
    grid = Grid([("a", run("1", "x", total_ms=9e9, cache_hit=True, cost_usd=None)), ("a", run("2", "x", cost_usd=0.0))])
    for name in ("slowest", "dearest"):
        grid.show(filter=name)
        assert shown(grid) == ["2"]


def test_repeats_fold_with_counts() -> None:
    """Equal answers are one answer with all its runs; the cell says how many agree, how many failed, time and cost."""
    grid = small()
    cells = {row["row"]: row["cells"] for row in grid.page()["rows"]}
    assert cells[1][0]["text"] == "red"
    assert cells[1][0]["said"] == "2 of 3 alike · median 100 ms · $0.00300 in all"
    assert [len(answer.runs) for answer in grid.rows[1].boxes["a"].answers] == [2, 1]
    said = "1 of 2 alike · 1 failed · median 100 ms · $5.00"
    assert cells[2][0] == {"text": "no", "said": said, "state": "mixed", "badges": [], "html": "", "pictures": []}
    assert "cost unknown" in cells[2][1]["said"]


def test_a_cell_says_what_max_tokens_ended() -> None:
    """An answer that breaks off in the middle is not left to wonder about."""
    ended, whole = run("1", "red and", finish_reason="length"), run("1", "red", finish_reason="stop")
    cells = Grid([("a", ended), ("b", ended), ("b", whole), ("c", whole)]).page()["rows"][0]["cells"]
    assert [cell["said"].partition("token")[0].rpartition("· ")[2] for cell in cells[:2]] == ["", "1 of 2 at the "]
    assert ["token limit" in cell["said"] for cell in cells] == [True, True, False]


def test_wrong_choices_are_named() -> None:
    """An unknown filter or order is one error with the choices; a page too far is the last."""
    grid = small()
    with pytest.raises(ConfigurationError, match="filter must be one of all, errors"):
        grid.show(filter="worst")
    with pytest.raises(ConfigurationError, match="sort must be one of order"):
        grid.show(sort="worst")
    grid.show(page=99)
    assert grid.number == 0
    empty = Grid([])
    empty.show(filter="slowest")
    assert empty.page()["rows"] == []
    assert empty.said() == "no prompt of 0 (slowest tenth)"


def send(view: GridView, content: Any) -> None:
    """What the page sends."""
    view.widget.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def test_ten_thousand_runs_send_one_page(wire: Wire) -> None:  # noqa: F811
    """Opening, sorting and paging 10,000 runs takes little CPU, and each sends twenty rows and no more."""
    text = "word " * 400
    runs = [(name, run(str(n), f"{text} {n} {name}")) for n in range(2500) for name in "abcd"]
    began = time.process_time()
    view = GridView(runs)
    view.widget  # noqa: B018
    for wish in ({"sort": "different"}, *[{"turn": 1}] * 60, {"filter": "slowest"}, {"filter": "all"}):
        send(view, {"show": wish})
    assert time.process_time() - began < 5
    pages = [data["state"]["page"] for kind, data in wire if kind == "comm_msg" and data.get("method") == "update"]
    assert [len(page["rows"]) for page in pages] == [PAGE] * 63
    assert max(len(json.dumps(page)) for page in pages) < 60_000
    assert [page["page"] for page in pages] == [*range(61), 0, 0]
    view.close()


def test_clicks_that_are_quicker_than_the_page(wire: Wire) -> None:  # noqa: F811
    """Each click says what was clicked, so none is lost where the page has not drawn the last one yet."""
    view = GridView([(name, run(str(n), f"{n} {name}")) for n in range(60) for name in "abcd"])
    for wish in ({"tick": [0, False]}, {"tick": [2, False]}, {"turn": 1}, {"turn": 1}, {"turn": 1}):
        send(view, {"show": wish})
    assert (view.state.columns, view.state.number) == ([1, 3], 2), "there are three pages"
    for wish in ({"tick": [1, False]}, {"tick": [3, False]}, {"tick": [2, True]}, {"turn": -1}):
        send(view, {"show": wish})
    assert (view.state.columns, view.state.number) == ([2, 3], 0), "the last column stays"
    view.close()


def test_details_on_request(wire: Wire) -> None:  # noqa: F811
    """Opening an answer sends its full text rendered, its facts and story; nothing of it was sent before."""
    view = GridView([("a", run("1", f"# Title\n{'x' * 5000} {HOSTILE}")), ("b", run("1", "# Title\nother"))])
    view.widget  # noqa: B018
    assert "x" * 500 not in json.dumps(list(wire))
    send(view, {"open": [0, 0]})
    send(view, {"diff": [0, 1, 0]})
    detail, diff = wire.frames[0]["detail"], wire.frames[1]["diff"]
    (answer,) = detail["answers"]
    assert "x" * 5000 in answer["html"]
    assert answer["story"].startswith("Asked azure/a.")
    assert ["total", "100 ms"] in answer["facts"]
    assert "<del" in diff
    assert "<ins" in diff
    read(answer["html"])  # fails on all that is outside the allow-list
    assert "<script" not in diff + answer["html"]
    assert "<img" not in diff + answer["html"]
    view.close()


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"status": "truncated", "response": "As far as it", "texts": ["As far as it"]}, "As far as it"),
        ({"status": "ok", "response": "", "texts": [""], "reasoning": "So many thoughts"}, "So many thoughts"),
        ({"status": "ok", "response": "", "texts": ["", "the other choice"]}, "the other choice"),
        ({"status": "ok", "response": "", "texts": [""]}, "the answer is empty"),
        ({}, "no text arrived"),
    ],
)
def test_what_there_is_of_an_answer_is_opened(known: dict[str, Any], said: str) -> None:
    """Of what broke off, was only thought or has an empty first choice nothing is left out; else words say so."""
    (answer,) = GridView([("a", run("1", None, **known))]).detail(0, 0)["answers"]
    assert said in read(answer["html"]).text


def test_thumbs_and_notes_reach_the_log(client: Client, log: RunLog, wire: Wire) -> None:  # noqa: F811
    """A thumb is the rating of every run that gave the answer; a note is a tag beside the run's own tags."""
    comparison = compare(["azure/fast"], "Hello", repeats=2, client=client, max_tokens=4, tags={"mine": "kept"})
    view = comparison.grid()
    send(view, {"rate": [0, 0, 0], "rating": "up"})
    send(view, {"rate": [0, 0, 0], "note": "good <b>one</b>"})
    rated = view.state.rows[0].boxes["azure/fast"].answers[0].runs
    recorded = {one.run_id: one for one in log.read()}
    for one in rated:
        assert recorded[one.run_id].rating == "up"
        assert recorded[one.run_id].tags["note"] == "good <b>one</b>"
        assert recorded[one.run_id].tags["mine"] == "kept"
    assert wire.frames[-1]["rated"][-1] == "Recorded."
    assert comparison.frame["rating"].eq("up").sum() == len(rated)
    view.close()


def test_strange_messages_do_nothing(wire: Wire) -> None:  # noqa: F811
    """A page may send anything: what is not understood changes nothing, what does not exist is said."""
    view = GridView([("a", run("1", "x"))])
    odd: list[Any] = [
        None,
        3,
        "show",
        [],
        {"open": [0]},
        {"open": [-1, 0]},
        {"open": [True, 0]},
        {"show": {"turn": "1"}},
        {"show": {"turn": 1.0}},
        {"show": {"turn": 7}},
        {"show": {"tick": [0]}},
        {"show": {"tick": [9, True]}},
        {"show": {"tick": [0, 0]}},
    ]
    for content in [*odd, {"rate": [0, 0, 0], "rating": "<b>", "note": 3}]:
        send(view, content)
    assert view.state.rows[0].runs[0].rating is None
    for content in ({"open": [0, 5]}, {"open": [9, 0]}, {"rate": [0, 0, 7], "rating": "up"}, {"show": {"sort": "x"}}):
        before = len(wire.frames)
        send(view, content)
        assert list(wire.frames[before]) == ["problem"]
    view.close()


def test_the_static_twin(client: Client, gateway: LocalGateway) -> None:
    """Outside of a notebook the grid is text and HTML without any widget, with hostile text escaped."""
    view = GridView([("<b>a", run("1", HOSTILE))])
    bundle = view._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert "&lt;script" in bundle["text/html"]
    assert "<script" not in bundle["text/html"]
    assert "<b>a" not in bundle["text/html"]
    assert "1 to 1 of 1 prompts" in bundle["text/plain"]
    for failing in (0, 2):  # it was not said where all rows were there
        html = GridView([("a", run(f"{n}", None if n == failing else "x")) for n in range(3)])._repr_html_()
        assert ("3 of 3 prompts, those with errors and differences first" in html) == (failing == 2)


def test_closing_lets_go(wire: Wire) -> None:  # noqa: F811
    """A closed grid leaves no widget behind."""
    from ipywidgets.widgets import widget

    before = len(widget._instances)
    for _ in range(20):
        view = GridView([("a", run("1", "x"))])
        view.widget  # noqa: B018
        view.close()
    assert len(widget._instances) == before


def test_explain_of_a_comparison(client: Client, gateway: LocalGateway) -> None:
    """A comparison tells a run's story, sendings that were refused with 429 included."""
    gateway.script([{"deployment": "azure/fast", "times": 2, "status": 429, "headers": {"retry-after": "0"}}])
    comparison = compare(["azure/fast", "azure/large"], "Hello", client=client, max_tokens=4)
    assert "It had already been refused twice" in comparison.explain("azure/fast")
    assert "refused" not in comparison.explain("azure/large")
    with pytest.raises(ConfigurationError, match="'azure/none' is not in this comparison"):
        comparison.explain("azure/none")
    with pytest.raises(ConfigurationError, match="no run of prompt"):
        comparison.explain("azure/fast", repeat=4)


def test_a_grid_is_made_anew_from_its_comparison(client: Client) -> None:
    """A file gets the comparison, which a `redact` hook has looked at; the grid says so."""
    found = compare(["azure/fast", "azure/large"], "{{n}}", inputs={"n": ["a", "b"]}, client=client, max_tokens=3)
    with pytest.raises(TypeError, match=r"pickle its comparison and call \.grid\(\) there"):
        pickle.dumps(found.grid())
    again = pickle.loads(pickle.dumps(found)).grid()
    assert again.frame["response"].tolist() == found.grid().frame["response"].tolist()

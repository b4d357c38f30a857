"""The grid for real work: search, inputs, scores, columns, export."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from bifrost_nb import ConfigurationError, to_frame
from bifrost_nb._compare.agreement import agreement
from bifrost_nb._notebook.widgets.grid import GridView
from bifrost_nb._notebook.widgets.grid_rows import contexts
from bifrost_nb._notebook.widgets.grid_state import Grid
from bifrost_nb._report.spreadsheet import LONGEST_CELL, to_csv, to_excel
from bifrost_nb._runs.run import Run

from ..live.test_pane import Wire, wire  # noqa: F401
from .test_grid import HOSTILE, run, shown

TOPICS = ("billing", "travel", "billing")
ANSWERS = {"a": ("yes", "no", "=cmd()"), "b": ("yes", "Paris", "maybe")}
SCORES: dict[str, tuple[float | None, ...]] = {"a": (1.0, 0.0, None), "b": (1.0, 1.0, 0.0)}


def judged() -> tuple[list[tuple[str, Run]], pd.DataFrame]:
    """Three rows of inputs, two variants whose prompts differ, one score with reasons and one failed judgement."""
    pairs = [(name, run(f"{name}{place}", ANSWERS[name][place])) for place in range(3) for name in "ab"]
    places = [int((found.prompt_id or "")[1]) for _, found in pairs]
    for (name, found), place in zip(pairs, places, strict=True):
        found.prompt = f"{name} about {TOPICS[place]}"
    frame = to_frame([found for _, found in pairs]).assign(
        input_id=[f"row-{place}" for place in places],
        input_topic=[TOPICS[place] for place in places],
        score_right=pd.array([SCORES[name][p] for (name, _), p in zip(pairs, places, strict=True)], dtype="Float64"),
        score_right_reason=pd.array([f"because {p}" for p in places], dtype="string"),
        score_right_error=pd.array(
            ["KeyError: 'x'" if SCORES[name][p] is None else None for (name, _), p in zip(pairs, places, strict=True)],
            dtype="string",
        ),
    )
    return pairs, frame


def grid() -> Grid:
    """The same as a grid."""
    pairs, frame = judged()
    return Grid(pairs, known=contexts(frame))


def test_templates_share_a_row_of_inputs() -> None:
    """Prompts of one row of inputs stand beside each other; the row says the inputs, each cell its badge."""
    rows = grid().page()["rows"]
    assert [row["prompt"] for row in rows] == ["topic: billing", "topic: travel", "topic: billing"]
    said = [[badge["text"] for badge in cell["badges"]] for row in rows for cell in row["cells"]]
    assert said == [["✓ right"], ["✓ right"], ["✕ right"], ["✓ right"], ["right ?"], ["✕ right"]]
    assert rows[2]["cells"][0]["badges"][0]["reason"] == "because 2"


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"search": "pARIS"}, ["row-1"]),
        ({"search": "travel"}, ["row-1"]),
        ({"where": ("topic", "billing")}, ["row-0", "row-2"]),
        ({"where": ("topic", "billing"), "search": "maybe"}, ["row-2"]),
        ({"filter": "low:score_right"}, ["row-1", "row-2"]),
        ({"filter": "differs:score_right"}, ["row-1"]),
        ({"filter": "missing:score_right"}, ["row-2"]),
        ({"sort": "lowest:score_right"}, ["row-1", "row-2", "row-0"]),
        ({"sort": "column:0"}, ["row-1", "row-0", "row-2"]),
        ({"sort": "column:1", "descending": True}, ["row-1", "row-0", "row-2"]),
    ],
)
def test_what_is_shown(wish: dict[str, Any], expected: list[str]) -> None:
    """Search, input column, score filters and orders leave the rows they name, in their order."""
    found = grid()
    found.show(**wish)
    assert shown(found) == expected


def test_where_these_two_differ() -> None:
    """With two of three variants chosen, filters, orders and a search are about these two; with all, about all."""
    values = {"a": (1.0, 1.0, 0.0), "b": (1.0, 0.0, 0.0), "c": (0.0, 1.0, 1.0)}
    pairs = [(name, run(str(place), f"{name} on {place}")) for place in range(3) for name in "abc"]
    frame = to_frame([found for _, found in pairs]).assign(
        input_id=[str(place) for place in range(3) for _ in "abc"],
        score_right=pd.array([values[name][place] for place in range(3) for name in "abc"], dtype="Float64"),
    )
    found = Grid(pairs, known=contexts(frame))
    found.show(filter="differs:score_right")
    assert shown(found) == ["0", "1", "2"]
    found.show(columns=[0, 1])
    assert shown(found) == ["1"]
    found.show(filter="low:score_right", sort="lowest:score_right")
    assert shown(found) == ["1", "2"]
    found.show(filter="all", search="c on 1")
    assert shown(found) == []
    found.show(columns=[0, 1, 2])
    assert shown(found) == ["1"]


def test_where_judge_and_people_disagree() -> None:
    """A liked answer that the score fails, and a disliked one that it passes, are found."""
    pairs, frame = judged()
    pairs[2][1].rating, pairs[3][1].rating, pairs[0][1].rating = "up", "win", "down"
    found = Grid(pairs, known=contexts(frame))
    found.show(filter="disagrees:score_right")
    assert shown(found) == ["row-0", "row-1"]


def test_where_judge_and_votes_disagree() -> None:
    """A vote between two answers disagrees with the scores where `agreement` counts it, ties included."""
    scores = [(1, 0), (1, 0), (1, 1), (1, 0), (1, 1), (0, 0)]
    votes = ["win", "loss", "win", "tie", "tie", "loss"]
    pairs = [(name, run(str(place), f"{name} on {place}")) for place in range(len(scores)) for name in "ab"]
    for place, vote in enumerate(votes):
        pairs[2 * place][1].rating = vote
        pairs[2 * place + 1][1].rating = {"win": "loss", "loss": "win"}.get(vote, vote)
    frame = to_frame([found for _, found in pairs]).assign(
        input_id=[str(place) for place in range(len(scores)) for _ in "ab"],
        score_right=pd.array([value for both in scores for value in both], dtype="Float64"),
    )
    found = Grid(pairs, known=contexts(frame))
    found.show(filter="disagrees:score_right")
    assert shown(found) == ["1", "2", "3", "5"]
    assert len(agreement(frame, "score_right", "rating").disagreements) == 4


def test_low_and_liked_on_a_scale_of_five() -> None:
    """Of grades from 1 to 5 the middle is 3: below it is low, and a thumb agrees with a grade on its side."""
    runs = [run(str(place), f"text {place}") for place in range(4)]
    for one, rating in zip(runs, ("up", "down", "up", "down"), strict=True):
        one.rating = rating
    frame = to_frame(runs).assign(input_id=list("0123"), score_grade=pd.array([5.0, 1.0, 2.0, 4.0], dtype="Float64"))
    found = Grid([("a", one) for one in runs], known=contexts(frame))
    assert found.filters["low:score_grade"] == "grade below 3"
    found.show(filter="low:score_grade")
    assert shown(found) == ["1", "2"]
    found.show(filter="disagrees:score_grade")
    assert shown(found) == ["2", "3"]


def test_columns_are_chosen_and_never_all_gone() -> None:
    """Only chosen variants cross to the page; an empty choice changes nothing."""
    found = grid()
    found.show(columns=[1])
    assert [len(row["cells"]) for row in found.page()["rows"]] == [1, 1, 1]
    found.show(columns=[])
    assert found.columns == [1]
    assert {named.prompt_id for named in found.runs()} == {"b0", "b1", "b2"}


def test_rendered_previews_are_safe() -> None:
    """A rendered preview is what `to_html` makes, nothing of the model's own markup."""
    found = Grid([("a", run("1", f"**bold** {HOSTILE}"))])
    found.show(rendered=True)
    html = found.page()["rows"][0]["cells"][0]["html"]
    assert "<strong>bold</strong>" in html
    assert "<img" not in html
    assert "<script" not in html


def test_the_static_copy_tells_most() -> None:
    """The saved copy begins with rows that failed a score or differ."""
    pairs, frame = judged()
    text = GridView(pairs, known=contexts(frame))._repr_html_()
    assert text.index("topic: travel") < text.index("yes")
    assert "because 1" in text


def test_export(tmp_path: Path, wire: Wire) -> None:  # noqa: F811
    """What is shown is exported with inputs and scores, to files and to the page; texts never become formulas."""
    pairs, frame = judged()
    view = GridView(pairs, known=contexts(frame))
    view.state.show(where=("topic", "billing"))
    assert list(view.frame["input_topic"]) == ["billing"] * 4
    sheet = openpyxl.load_workbook(view.export(tmp_path / "x.xlsx")).active
    assert sheet is not None
    header, *rows = sheet.iter_rows()
    names = [cell.value for cell in header]
    answer = rows[2][names.index("response")]
    assert (answer.value, answer.data_type) == ("=cmd()", "s")
    assert rows[0][names.index("score_right")].value == 1.0
    assert rows[2][names.index("score_right")].value is None
    table = pd.read_csv(view.export(tmp_path / "x.csv"))
    assert table["response"][2] == "'=cmd()"
    with pytest.raises(ConfigurationError, match="does not end in"):
        view.export(tmp_path / "x.pdf")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_text_is_a_formula(text: str) -> None:
    """Every beginning that a spreadsheet takes for a formula is made a text, in both kinds of file."""
    frame = pd.DataFrame({"said": [text], "number": [-1.5]})
    assert f"'{text}".encode() in to_csv(frame)
    assert b"-1.5" in to_csv(frame)
    sheet = openpyxl.load_workbook(io.BytesIO(to_excel(frame))).active
    assert sheet is not None
    cells = next(iter(sheet.iter_rows(min_row=2)))
    assert cells[0].data_type == "s"
    assert cells[1].value == -1.5


def test_what_excel_cannot_hold() -> None:
    """Control characters, half characters and overlong texts are replaced or cut instead of failing."""
    said = pd.Series(["a\x00b", "half \ud800", "x" * 40_000], dtype=object)
    frame = pd.DataFrame({"said": said, "when": pd.Timestamp("2026-11-28", tz="UTC")})
    sheet = openpyxl.load_workbook(io.BytesIO(to_excel(frame))).active
    assert sheet is not None
    values = [cell.value for cell in next(iter(sheet.columns))[1:]]
    assert values[:2] == ["a\ufffdb", "half \ufffd"]
    assert len(str(values[2])) == LONGEST_CELL


def test_a_grade_of_1_among_5_is_no_pass() -> None:
    """Of a scorer that gives more than 0 and 1, a 1 and a 0 are shown as numbers; of one that does not, as signs."""
    runs = [run("1", "x"), run("2", "y")]
    frame = pd.DataFrame({
        "run_id": [one.run_id for one in runs],
        "input_id": ["1", "2"],
        "score_grade": pd.array([1.0, 4.0], dtype="Float64"),
        "score_right": pd.array([1.0, 0.0], dtype="Float64"),
    })  # fmt: skip
    shown = GridView([("a", one) for one in runs], known=contexts(frame)).state.page()["rows"]
    said = [[(one["state"], one["text"]) for one in row["cells"][0]["badges"]] for row in shown]
    assert said == [
        [("value", "grade 1.00"), ("pass", "\u2713 right")],
        [("value", "grade 4.00"), ("fail", "\u2715 right")],
    ]

"""Charts of scores, read through their artists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from bifrost_nb import ConfigurationError, charts
from bifrost_nb._compare.agreement import agreement
from tests.compare.frames import calls, frame


@pytest.fixture
def runs() -> pd.DataFrame:
    """Three deployments: cheap and right in half, mid and right in 8 of 10, dear and no better than mid."""
    rows: list[dict[str, Any]] = []
    for name, price in (("x/cheap", 1.0), ("x/mid", 2.0), ("x/dear", 4.0)):
        rows += calls(name, np.full(20, 100.0), cost_usd=price)
    table = frame(rows)
    right = [n % 2 for n in range(20)] + [int(n % 10 < 8) for n in range(20)] * 2
    return table.assign(score=pd.array(right, dtype="Float64"), score_reason=None, score_error=None)


def test_scores_are_means_with_an_interval_and_n(runs: pd.DataFrame) -> None:
    """One marker a variant at the mean, one line from low to high round it, and a note with both and n."""
    ax = charts.scores(runs)
    marks = [line.get_xdata()[0] for line in ax.lines if line.get_marker() not in ("None", None)]
    assert marks == pytest.approx([0.5, 0.8, 0.8])
    for mark, lines in zip(marks, ax.collections, strict=True):
        (low, _), (high, _) = lines.get_segments()[0]
        assert 0 <= low < mark < high <= 1
    assert ax.texts[0].get_text().startswith("0.50 (")
    assert "20 inputs" in ax.texts[0].get_text()
    assert 2 < ax.figure.get_figheight() < 3.5  # a line for each of three
    assert "score" in ax.get_xlabel()


def test_repeats_are_no_more_inputs(runs: pd.DataFrame) -> None:
    """Five repeats of each input that score the same leave mean, interval and n as they are; few inputs have none."""
    once, five = charts.scores(runs), charts.scores(pd.concat([runs] * 5, ignore_index=True))
    assert [text.get_text() for text in once.texts] == [text.get_text() for text in five.texts]
    few = charts.scores(runs.groupby("requested_model").head(5))
    assert not few.collections
    assert few.texts[0].get_text() == "0.40, 5 inputs"
    lengths = charts.scores(runs.assign(score=pd.array([200] * 60, dtype="Float64")))
    assert not lengths.collections, "all alike, on a scale that is not known"


def test_a_score_is_chosen_by_its_name(runs: pd.DataFrame) -> None:
    """`score=` takes the column or the name it was given; another name is refused with those there are."""
    table = runs.assign(score_grade=runs["score"] * 5)
    assert charts.scores(table, "grade").get_xlabel() == charts.scores(table, "score_grade").get_xlabel()
    assert charts.scores(table, "grade").get_xlim()[1] > 4
    with pytest.raises(ConfigurationError, match="no score 'grad'") as caught:
        charts.scores(table, "grad")
    assert "score_grade" in str(caught.value)


def test_nothing_judged_is_an_empty_chart(runs: pd.DataFrame) -> None:
    """Without scores, or with NA alone, there is a titled empty chart."""
    for table in (runs.drop(columns=["score"]), runs.assign(score=pd.array([pd.NA] * 60, dtype="Float64"))):
        ax = charts.scores(table)
        assert ax.texts[0].get_text() == "no scores"
        assert ax._repr_png_().startswith(b"\x89PNG")


def test_the_frontier_of_cost_and_score(runs: pd.DataFrame) -> None:
    """More score and less cost is better: cheap and mid are on the line, dear is not; axes say mean and unit."""
    ax = charts.tradeoff(runs, "cost_usd", "score")
    frontier = next(line for line in ax.lines if line.get_label() == "efficient frontier")
    points = list(zip(frontier.get_xdata(), frontier.get_ydata(), strict=True))
    assert points == [
        (1000, ax.get_ylim()[0]), (1000, 0.5), (2000, pytest.approx(0.8)), (ax.get_xlim()[1], pytest.approx(0.8)),
    ]  # fmt: skip
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("mean cost of 1,000 runs (USD)", "mean score")
    turned = charts.tradeoff(runs, "score", "cost_usd")
    frontier = next(line for line in turned.lines if line.get_label() == "efficient frontier")
    assert len(frontier.get_xdata()) == 4
    with pytest.raises(ConfigurationError, match="no column"):
        charts.tradeoff(runs, "cost_usd", "score_x")


def test_agreement_shows_every_count() -> None:
    """Each count of the confusion stands in its field; the title has share and kappa with its interval."""
    table = pd.DataFrame(
        {"prompt_id": [str(n) for n in range(20)], "score": [1.0, 0.0] * 10, "rating": (["up"] * 11 + ["down"] * 9)}
    )
    found = agreement(table, "score", "rating")
    ax = charts.agreement(found, ax=Figure().subplots())
    assert [int(text.get_text()) for text in ax.texts] == found.confusion.to_numpy().ravel().tolist()
    assert f"kappa {found.kappa:.2f}" in ax.get_title()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("rating", "score")
    nothing = agreement(table.assign(rating=None), "score", "rating")
    assert charts.agreement(nothing)._repr_png_().startswith(b"\x89PNG")


def test_agreement_of_something_else_is_refused(runs: pd.DataFrame) -> None:
    """One error says what to pass, whatever was given: a frame, a number, nothing."""
    for other in (runs, 0.7, None):
        with pytest.raises(ConfigurationError, match=r"what comparison\.agreement\(\.\.\.\) returned") as caught:
            charts.agreement(other)
        assert type(other).__name__ in str(caught.value)


@pytest.mark.parametrize("hostile", ["$x^2$", "_hidden", "a" * 300, "\x1b[2J\u202e"])
def test_hostile_names_do_no_harm(runs: pd.DataFrame, hostile: str) -> None:
    """A variant's name is a label and no formula."""
    for chart in (charts.scores(runs.assign(deployment=hostile)), charts.tradeoff(runs.assign(deployment=hostile))):
        assert chart._repr_png_().startswith(b"\x89PNG")

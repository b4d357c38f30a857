"""Charts are read through their artists: the numbers drawn are the frame's, and nothing depends on colour alone."""

from __future__ import annotations

import base64
import html
import io
import subprocess
import sys
import warnings
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Annotation, Text
from PIL import Image

import bifrost_nb as bf
from bifrost_nb import ConfigurationError, charts
from bifrost_nb.charts import style
from bifrost_nb.charts.anatomy import PARTS
from bifrost_nb.charts.direct_labels import DIRECT
from bifrost_nb.charts.runs import _OUTCOMES
from bifrost_nb.charts.scores import FRONTIER
from tests.colours import contrast, reversed_colour
from tests.compare.frames import calls, frame, times
from tests.thorough import some_of, thorough

CHARTS = ["latency", "ttft", "tokens", "cost", "errors", "tradeoff", "over_time", "timeline", "anatomy"]


@pytest.fixture
def runs() -> pd.DataFrame:
    """Two deployments with 90 runs each: 20 of `azure/a` by a fallback, 10 errors and 5 cache hits of `azure/b`."""
    rows: list[dict[str, Any]] = []
    for number, (name, cost) in enumerate((("azure/a", 0.002), ("azure/b", 0.01))):
        for place, one in enumerate(calls(name, times(1, 90, of=number, factor=1 + number), cost_usd=cost)):
            began = pd.Timestamp("2026-11-22T10:00Z") + pd.Timedelta(milliseconds=100 * place)
            one.update(started_at=began, queue_ms=50.0, ttft_ms=one["total_ms"] / 4, tokens_per_s=40.0)
            rows.append(one)
    for one in rows[:20]:
        one.update(provider="openai", model="x", is_fallback=True, total_ms=9000.0)
    for one in rows[100:110]:
        one.update(status="error", total_ms=1.0, cost_usd=None)
    for one in rows[110:115]:
        one.update(cache_hit=True, total_ms=1.0, cost_usd=0.0)
    return frame(rows)


@pytest.mark.parametrize("name", CHARTS)
def test_draws_into_the_axes_given_and_returns_it(name: str, runs: pd.DataFrame) -> None:
    """With `ax` the chart is drawn there; both axes have a label where there is something to measure."""
    ax = Figure().subplots()
    assert getattr(charts, name)(runs, ax=ax) is ax
    assert ax.get_title()
    assert ax.get_xlabel()


@pytest.mark.parametrize("name", some_of(CHARTS))
@pytest.mark.parametrize("rows", [0, *thorough(1)])
def test_an_empty_frame_draws_an_empty_titled_chart(name: str, rows: int, runs: pd.DataFrame) -> None:
    """No run, or a single failed one, still gives a chart with its title and units."""
    few = runs[runs["status"] == "error"].iloc[:rows]
    ax = getattr(charts, name)(few)
    assert ax.get_title()
    assert ax.get_xlabel()
    assert ax._repr_png_().startswith(b"\x89PNG")


def merged(data: pd.DataFrame) -> pd.DataFrame:
    """Categories, times without a zone, and each run twice."""
    names = ["status", "provider", "model", "requested_provider", "requested_model"]
    told = data.astype(dict.fromkeys(names, "category")).assign(started_at=data["started_at"].dt.tz_localize(None))
    return pd.concat([told, told])


@pytest.mark.parametrize("name", some_of(name for name in [*CHARTS, "scores"] if name not in ("ttft", "tokens")))
def test_a_frame_is_drawn_alike_however_it_is_kept(name: str, runs: pd.DataFrame) -> None:
    """As files, merges and `pd.concat` leave it; a run that stands twice is one."""
    runs["score"] = pd.array(np.arange(len(runs)) % 2, dtype="Float64")
    runs["run_id"] = [f"r{number}" for number in range(len(runs))]
    figures = runs.select_dtypes("Float64").columns
    runs[figures] = runs[figures].round(6)  # of sixteen digits, pandas 2 reads the last one otherwise

    def drawn(data: pd.DataFrame) -> list[Any]:
        ax = getattr(charts, name)(data)
        lines = [line.get_xydata().tolist() for line in ax.lines]
        return [lines, [bar.get_width() for bar in ax.patches], [text.get_text() for text in ax.texts]]

    expected = drawn(runs)
    for kept in (runs.astype(object), pd.read_csv(io.StringIO(runs.to_csv())), merged(runs)):
        assert drawn(kept) == expected


@pytest.mark.parametrize("name", [*CHARTS, "scores"])
def test_what_is_no_frame_of_runs_is_one_clear_error(name: str, runs: pd.DataFrame) -> None:
    """A list, and a frame that was cut to some columns; one without times or waits is drawn with what there is."""
    with pytest.raises(ConfigurationError, match="must be a pandas DataFrame of runs, not list"):
        getattr(charts, name)([1, 2])
    with pytest.raises(ConfigurationError, match="no column 'status', so it is no frame of runs"):
        getattr(charts, name)(runs[["total_ms"]])
    runs["score"] = 1.0
    assert getattr(charts, name)(runs.drop(columns=["started_at", "queue_ms", "latency_ms", "cache_hit"])).get_title()


@pytest.mark.parametrize("name", [*CHARTS, "scores"])
def test_what_is_no_axes_is_one_clear_error(name: str, runs: pd.DataFrame) -> None:
    """Both of what `plt.subplots()` returns, a figure."""
    for odd in ((Figure(), Figure().add_subplot()), Figure()):
        with pytest.raises(ConfigurationError, match=f"into an Axes of matplotlib, not into {type(odd).__name__}"):
            getattr(charts, name)(runs.assign(score=1.0), ax=odd)


def test_odd_names_are_one_clear_error(runs: pd.DataFrame) -> None:
    """Several columns where one is drawn, no frame of a histogram, names that are none; a lone name is one name."""
    with pytest.raises(ConfigurationError, match=r"no column \['cost_usd'\]"):
        charts.tradeoff(runs, x=["cost_usd"])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"no score \['score'\]"):
        charts.scores(runs, ["score"])  # type: ignore[arg-type]
    for odd, what in (([1], "not list"), (runs, "this frame has other columns"), (pd.DataFrame(), "this frame has")):
        with pytest.raises(ConfigurationError, match=f"gateway_chart draws what .* returned; {what}"):
            bf.gateway_chart(odd)  # type: ignore[arg-type]
    for odd in (5, [5], [runs]):
        with pytest.raises(ConfigurationError, match=r"styles takes names, not (int|DataFrame)"):
            charts.styles(odd)  # type: ignore[arg-type]
    assert list(charts.styles("azure/fast")) == ["azure/fast"]


@pytest.mark.parametrize("x", ["prompt", "ratio"])
def test_a_tradeoff_of_no_numbers_is_refused(x: str, runs: pd.DataFrame) -> None:
    """Text, and an infinite figure, have no place on an axis."""
    with pytest.raises(ConfigurationError, match=f"Not all values of '{x}' are finite numbers"):
        charts.tradeoff(runs.assign(prompt="words", ratio=np.inf), x=x)


def test_units_are_on_the_axes(runs: pd.DataFrame) -> None:
    """Every measured axis names its unit."""
    assert "(ms)" in charts.latency(runs).get_xlabel()
    assert "(ms)" in charts.ttft(runs).get_xlabel()
    assert "per second" in charts.tokens(runs).get_xlabel()
    assert "(USD)" in charts.cost(runs).get_xlabel()
    tradeoff = charts.tradeoff(runs)
    assert "(USD)" in tradeoff.get_xlabel()
    assert "(ms)" in tradeoff.get_ylabel()
    assert "(ms)" in charts.over_time(runs).get_ylabel()
    assert "seconds" in charts.timeline(runs).get_xlabel()


def test_distribution_marks_p50_and_p95_of_the_clean_runs(runs: pd.DataFrame) -> None:
    """The markers sit at NumPy's quantiles of answered, uncached runs; a fallback's runs are a line of their own."""
    ax = charts.latency(runs)
    labels = [text.get_text() for text in ax.texts if text.get_gid() == DIRECT]
    assert [label.partition("\n")[0] for label in labels] == ["azure/a → openai/x", "azure/a", "azure/b"]
    clean = runs.iloc[[*range(90, 100), *range(115, 180)]]["total_ms"].to_numpy("float64")
    marked = [line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2 and line.get_marker() != "None"]
    np.testing.assert_allclose(marked[2], np.quantile(clean, [0.5, 0.95]))
    assert "n = 75" in labels[2]


def test_cost_says_total_and_unknown(runs: pd.DataFrame) -> None:
    """A bar is the mean of known costs for 1,000 runs, its note says it, the total and how many are unknown."""
    runs.loc[40:49, "cost_usd"] = pd.NA
    ax = charts.cost(runs)
    assert [round(bar.get_width(), 6) for bar in ax.patches] == [2, 2, 10]
    notes = [note.get_text() for note in ax.texts]
    assert notes[1] == r" \$2.00, in all \$0.120, 10 runs unknown"
    runs.loc[41:49, "cost_usd"] = 0.002
    assert charts.cost(runs).texts[1].get_text().endswith(", 1 run unknown")


@pytest.mark.parametrize("name", ["fast", "eu-west-production-gpt-4o-mini-2024-07-18-customer-support"])
def test_notes_of_costs_end_inside(name: str) -> None:
    """What stands behind a bar ends before the axis does, however little room names leave."""
    rows = [*calls(f"azure/{name}", times(1, 20)), *calls(f"openai/{name}", times(2, 20))]
    for one in rows:
        one.update(cost_usd=0.000305 if one["provider"] == "azure" else 0.0000116)
    rows[0]["cost_usd"] = None
    ax = charts.cost(frame(rows))
    ax.figure.draw_without_rendering()
    right = ax.get_window_extent().x1
    assert all(Text.get_window_extent(note).x1 <= right for note in ax.texts)


def test_unknown_cost_is_said_and_not_drawn_as_free(runs: pd.DataFrame) -> None:
    """Without any known cost there is a note instead of a figure, and no point in the trade-off."""
    runs["cost_usd"] = pd.array([pd.NA] * len(runs), dtype="Float64")
    assert {note.get_text() for note in charts.cost(runs).texts} == {" cost unknown"}
    assert not charts.tradeoff(runs).lines


def test_errors_add_up_to_all_runs(runs: pd.DataFrame) -> None:
    """The parts of a deployment's bar sum to all of its runs, each outcome with its count."""
    ax = charts.errors(runs)
    assert sum(bar.get_width() for bar in ax.patches) == pytest.approx(2.0)
    labels = {text.get_text() for text in ax.get_legend().get_texts()}
    assert labels == {"answered (145)", "by a fallback (20)", "from a cache (5)", "error (10)"}


def test_frontier_holds_what_no_other_beats() -> None:
    """The efficient frontier joins exactly the deployments that nothing beats in both cost and time, edge to edge."""
    rows: list[dict[str, Any]] = []
    for name, price, time in (("x/cheap", 1, 900), ("x/mid", 2, 500), ("x/bad", 3, 600), ("x/fast", 4, 100)):
        rows += calls(name, np.full(3, float(time)), cost_usd=float(price))
    ax = charts.tradeoff(frame(rows))
    frontier = next(line for line in ax.lines if line.get_label() == "efficient frontier")
    points = list(zip(frontier.get_xdata(), frontier.get_ydata(), strict=True))
    assert points == [(1000, ax.get_ylim()[1]), (1000, 900), (2000, 500), (4000, 100), (ax.get_xlim()[1], 100)]


def test_markers_of_near_points_are_whole() -> None:
    """Costs that differ by a hundredth have room to the right of them, as times have above: the edge cut them."""
    rows = calls("x/a", np.full(3, 600.0), cost_usd=1.00) + calls("x/b", np.full(3, 606.0), cost_usd=1.01)
    ax = charts.tradeoff(frame(rows))
    assert ax.get_xlim()[1] >= 1.1 * 1010
    assert ax.get_ylim()[1] >= 1.1 * 606


@pytest.mark.parametrize("name", ["cost", "tradeoff"])
def test_numbers_of_small_costs_stand_apart(name: str, runs: pd.DataFrame) -> None:
    """Costs of millionths of a dollar have long numbers; side by side in one figure none runs into the next."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    ax = figure.subplots(2, 2)[0, 0]
    getattr(charts, name)(runs.assign(cost_usd=runs["cost_usd"] / 50), ax=ax)
    figure.draw_without_rendering()
    boxes = sorted((label.get_window_extent() for label in ax.get_xticklabels()), key=lambda box: box.x0)
    assert len(boxes) >= 2
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_timeline_has_three_phases_a_run(runs: pd.DataFrame) -> None:
    """Queue, wait for the first text and generation of each run lie end to end on its line."""
    queue, first, rest = (lines.get_segments() for lines in charts.timeline(runs).collections)
    assert len(queue) == len(first) == len(rest) == len(runs)
    for before, after in ((queue, first), (first, rest)):
        np.testing.assert_allclose([one[1] for one in before], [one[0] for one in after])
    assert queue[0][1][0] - queue[0][0][0] == pytest.approx(0.05)


def test_readable_in_black_and_white(runs: pd.DataFrame) -> None:
    """Series differ by dash, marker and hatch, not only by colour, in the first chart of a process."""
    style._given.clear()  # what tests before drew has taken styles
    lines = [line for line in charts.latency(runs).lines if len(line.get_xdata()) > 2 or line.get_label()[0] != "_"]
    dashes = {str(line.get_linestyle()) + str(getattr(line, "_unscaled_dash_pattern", "")) for line in lines}
    assert len(dashes) == 3
    assert len({bar.get_hatch() for bar in charts.cost(runs).patches}) == 3
    markers = [line.get_marker() for line in charts.tradeoff(runs).lines if isinstance(line, Line2D)]
    assert len(set(markers)) == len(markers)


@pytest.mark.parametrize("chart", ["latency", "over_time"])
@pytest.mark.parametrize("places", [(0, 1), (1, 0), (3, 0), (4, 0)])
def test_curves_that_coincide_are_both_seen(chart: str, places: tuple[int, int], runs: pd.DataFrame) -> None:
    """Through the gaps of the upper curve the lower one shows, whichever of the two is drawn first."""
    one = runs[runs["status"] == "ok"].iloc[:60]
    names = [f"azure/place-{place}" for place in places]
    style._given.clear()
    style._given.update(zip(names, places, strict=True))
    same = pd.concat([one.assign(deployment=name, run_id=one["run_id"] + name) for name in names], ignore_index=True)
    ax = getattr(charts, chart)(same.assign(is_fallback=False, cache_hit=False))
    for line in ax.lines:
        if line.get_linestyle() == "None":
            line.remove()  # markers hide nothing of a line, but would be counted
    for text in [*ax.texts]:
        text.remove()
    pixels = np.asarray(Image.open(io.BytesIO(ax._repr_png_())).convert("RGB")).astype(int)
    seen = [
        (np.abs(pixels - np.round(np.multiply(to_rgb(charts.styles([name])[name].colour), 255))).max(axis=2) < 20).sum()
        for name in names
    ]
    assert min(seen) > 0.1 * max(seen), seen


def test_a_deployment_keeps_its_style() -> None:
    """The same name has the same style alone, in company and in another process."""
    alone = charts.styles(["azure/a"])["azure/a"]
    assert charts.styles(["azure/a", "azure/b", "openai/x"])["azure/a"] == alone
    told = set()  # in processes of their own: here another name may have been first
    for names in (["azure/a"], ["azure/a", "azure/b"]):
        code = f"from bifrost_nb import charts; print(charts.styles({names})['azure/a'].colour)"
        told.add(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert len(told) == 1


def test_no_two_deployments_of_a_notebook_share_a_style() -> None:
    """Names that one chart after the other brings are told apart, without colours too, and keep their first style."""
    code = """
import bifrost_nb as bf
from bifrost_nb import ConfigurationError, charts
seen = {}
for number in range(40):
    for name, style in charts.styles(f"azure/model-{at}" for at in range(number, number + 3)).items():
        assert seen.setdefault(name, style) == style
assert len(set(seen.values())) == len(seen) == 42
assert len({(style.dash, style.marker) for style in seen.values()}) == 42
assert len({style.colour for style in list(seen.values())[:8]}) == 8
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert len({style._style(place) for place in range(512)}) == 512


def test_names_of_one_chart_have_colours_of_their_own() -> None:
    """Up to eight of them, however many names the charts before brought."""
    style._given.clear()
    charts.styles([f"azure/earlier-{number}" for number in range(11)])
    for names in (
        [f"azure/later-{number}" for number in range(8)],
        ["azure/earlier-3", "x/new", "x/newer", "x/newest"],
    ):
        assert len({each.colour for each in charts.styles(names).values()}) == len(names)


def test_every_colour_is_seen_on_light_and_on_dark() -> None:
    """Lines and bars have a contrast of 3 to their ground, words in their colours one of 4.5; reversed, too."""
    colours = {one.colour for one in style._STYLES} | {one for one, _ in [*_OUTCOMES.values(), *PARTS.values()]}
    drawn = [(one, 3.0) for one in colours] + [(style.as_ink(one), 4.5) for one in (*colours, FRONTIER, "#666666")]
    for colour, least in [*drawn, ("#000000", 4.5)]:
        assert contrast(colour, "#ffffff") >= least, colour
        assert contrast(reversed_colour(colour), reversed_colour("#ffffff")) >= least, colour


@pytest.mark.parametrize("name", some_of(CHARTS))
def test_a_picture_has_words_and_a_ground_of_its_own(name: str, runs: pd.DataFrame) -> None:
    """Each word has a contrast of 4.5 to the ground, which a dark page reverses; there is alternative text."""
    ax = getattr(charts, name)(runs)
    bundle, metadata = ax._repr_mimebundle_()
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).convert("RGBA"))
    assert pixels[0, 0].tolist() == [255] * 4
    words = {one.get_text(): contrast(to_rgb(one.get_color()), "#ffffff") for one in ax.figure.findobj(Text)}
    assert min(words.values()) >= 4.5, words
    told = metadata["image/png"]["alt"]
    assert told.startswith(f"Chart: {ax.get_title()} (")
    assert bundle["text/plain"] == told
    assert bundle["text/html"].startswith(f'<img alt="{html.escape(told)}"')
    assert "filter:invert" in bundle["text/html"]


def test_a_dark_figure_is_not_reversed(runs: pd.DataFrame) -> None:
    """Who has matplotlib draw on a dark ground gets that on every page."""
    ax = charts.latency(runs)
    ax.figure.set_facecolor("#111111")
    assert "filter" not in ax._repr_mimebundle_()[0]["text/html"]


def test_p50_and_p95_lie_on_their_curve(runs: pd.DataFrame) -> None:
    """At each marker's value the curve is at the marker's share."""
    lines = charts.latency(runs).lines
    curves = [line for line in lines if line.get_label()[0] != "_"]
    markers = [line for line in lines if line.get_marker() != "None"]
    for curve, marker in list(zip(curves, markers, strict=True))[1:]:  # the first is upright: all of its runs are equal
        assert np.interp(marker.get_xdata(), curve.get_xdata(), curve.get_ydata()) == pytest.approx([0.5, 0.95])


@pytest.mark.parametrize("name", ["tokens", "tradeoff", "over_time"])
def test_names_stand_beside_what_they_name(name: str) -> None:
    """Each series is named once in its own colour; no name stands on a line, a point or another name."""
    rows: list[dict[str, Any]] = []
    for place, who in enumerate(("azure/fast", "azure/large", "openai/small")):
        rows += calls(who, times(place, 60, factor=2.5**place), cost_usd=0.001 * 4**place)
    table = frame(rows).assign(tokens_per_s=[40.0 + 20 * (n // 60) + n % 7 for n in range(180)])
    table["tokens_per_s"] = table["tokens_per_s"].astype("Float64")
    began = pd.Timestamp("2026-11-22T10:00Z") + pd.to_timedelta(1_000 * (np.arange(180) % 60), unit="ms")
    ax = getattr(charts, name)(table.assign(started_at=began))
    assert ax.get_legend() is None
    ax.figure.draw_without_rendering()
    named = [text for text in ax.texts if text.get_gid() == DIRECT and text.get_text() != "efficient frontier"]
    assert sorted(text.get_text().partition("\n")[0] for text in named) == ["azure/fast", "azure/large", "openai/small"]
    for text in named:
        assert text.get_color() == style.as_ink(
            charts.styles([text.get_text().partition("\n")[0]])[text.get_text().partition("\n")[0]].colour
        )
    boxes = [Text.get_window_extent(text) for text in named]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    for line in (one for one in ax.lines if one.get_gid() is None and one.get_label() != "efficient frontier"):
        if str(line.get_transform()) != str(ax.transData):
            continue  # the rules at 50 and 95 %
        points = line.get_transform().transform(line.get_xydata())
        assert not any(box.contains(*point) for box in boxes for point in points)


def test_a_name_touches_no_curve_of_another() -> None:
    """A name that ends at another's curve reads as if it went on there."""
    rows: list[dict[str, Any]] = []
    for place, (who, middle) in enumerate((("azure/fast", 140), ("openai/gpt-3.5-turbo-instruct", 335), ("x/y", 430))):
        rows += calls(who, np.sort(np.random.default_rng([11, place]).normal(middle, middle / 8, 24)))
    ax = charts.latency(frame(rows))
    assert ax.figure is not None
    ax.figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in ax.texts if text.get_gid() == DIRECT]
    assert len(boxes) == 3
    points = np.concatenate([densely(line) for _, line in named_lines(ax)])
    for box in boxes:
        beside = (points[:, 0] > box.x0 - 3) & (points[:, 0] < box.x1 + 3)
        assert not (beside & (points[:, 1] > box.y0) & (points[:, 1] < box.y1)).any()


def test_names_of_steep_lines_side_by_side() -> None:
    """Of four, two all but one on the other: a list in a free corner of the plot names them, nothing under it."""
    rows: list[dict[str, Any]] = []
    for place, who in enumerate(("azure/gpt-35-turbo-instruct", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5")):
        speeds = 40.0 + 25 * place + np.arange(200) % 9
        rows += [
            one | {"tokens_per_s": speed} for one, speed in zip(calls(who, times(place, 200)), speeds, strict=True)
        ]
    for one in rows[:20]:
        one.update(provider="openai", model="x", is_fallback=True)
    ax = charts.tokens(frame(rows))
    assert ax.figure is not None
    ax.figure.draw_without_rendering()
    legend = ax.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 4
    box, plot = legend.get_window_extent(), ax.get_window_extent()
    assert plot.x0 <= box.x0 < box.x1 <= plot.x1
    assert plot.y0 <= box.y0 < box.y1 <= plot.y1
    for _, points in named_lines(ax):
        assert not any(box.contains(*point) for point in densely(points))


def test_a_line_of_ones_own_keeps_its_name() -> None:
    """Steep lines on axes that hold another one already: a legend names each by its own name."""
    rows = [
        one | {"tokens_per_s": 40.0 + 25 * place + number % 9}
        for place, who in enumerate(
            ("azure/gpt-35-turbo-instruct", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5")
        )
        for number, one in enumerate(calls(who, times(place, 200)))
    ]
    for one in rows[:20]:
        one.update(provider="openai", model="x", is_fallback=True)
    ax = Figure().add_subplot()
    (own,) = ax.plot([40, 50], [0.2, 0.9], label="my own")
    charts.tokens(frame(rows), ax=ax)
    legend = ax.get_legend()
    assert legend is not None
    assert len(legend.get_texts()) == 5
    assert legend.get_texts()[0].get_text() == "my own"
    assert legend.legend_handles[0].get_color() == own.get_color()  # type: ignore[union-attr]


@pytest.mark.parametrize("seed", some_of(range(8), 3))
def test_no_leader_crosses_a_line(seed: int) -> None:
    """A leader over the line of another deployment would look like a line itself."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for place, who in enumerate(("azure/fast", "azure/large", "openai/gpt-3.5-turbo-instruct")):
        rows += calls(who, 90 + 130 * place + rng.gamma(2, 30 + 20 * place, 18))
    ax = charts.latency(frame(rows))
    assert ax.figure is not None
    ax.figure.draw_without_rendering()
    for text in ax.texts:
        if isinstance(text, Annotation) and text.arrow_patch is not None:
            way = text.arrow_patch.get_transform().transform_path(text.arrow_patch.get_path())
            others = [
                points for label, points in named_lines(ax) if not label.startswith(text.get_text().split("\n")[0])
            ]
            assert not any(way.intersects_path(Path(points), filled=False) for points in others)


def named_lines(ax: Any) -> list[tuple[str, Any]]:
    """The curves of a distribution: label and points in pixels."""
    lines = [line for line in ax.lines if line.get_label()[0] != "_"]
    return [(str(line.get_label()), ax.transData.transform(line.get_xydata())) for line in lines]


def densely(points: Any) -> Any:
    """Points along a line, a pixel apart or less."""
    return np.concatenate([np.linspace(a, b, 1 + int(np.abs(b - a).max())) for a, b in pairwise(points)])


@pytest.mark.parametrize("count", [8, 12])
@pytest.mark.parametrize("seed", some_of([1, 2, 3], 3))
def test_names_of_many_close_points(count: int, seed: int) -> None:
    """A dozen variants, a third of them side by side: each is named beside its point, and no two names touch."""
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(count):
        cost, ms = rng.gamma(2, 1), 500 + rng.gamma(2, 300)
        if place % 3 == 0:
            cost, ms = 1 + 0.05 * place, 900.0 + 10 * place
        one = calls(f"azure/some-model-{place}", np.full(6, ms))
        rows += [each | {"cost_usd": cost / 1000} for each in one]
    ax = charts.tradeoff(frame(rows))
    assert ax.get_legend() is None
    ax.figure.draw_without_rendering()
    named = [text for text in ax.texts if text.get_gid() == DIRECT]
    assert len(named) == count + 1
    assert {text.anncoords for text in named if isinstance(text, Annotation)} == {
        "offset points"
    }  # no list at the edge
    boxes = [Text.get_window_extent(text) for text in named]
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    markers = [line.get_transform().transform(line.get_xydata())[0] for line in ax.lines if len(line.get_xdata()) == 1]
    assert len(markers) == count
    assert not any(box.contains(*point) for box in boxes for point in markers)


def test_times_of_day_are_whole() -> None:
    """Each tick says hours and minutes, and seconds where they count; the date stands once beside them."""
    for span_s, sign in ((4, "10:00:04"), (30, "10:00:10"), (600, "10:05"), (20_000, "11:00"), (250_000, "23 Nov")):
        began = pd.Timestamp("2026-11-22T10:00:03Z") + pd.to_timedelta(np.linspace(0, span_s, 40), unit="s")
        ax = charts.over_time(
            frame(calls("azure/a", times(1, 40))).assign(started_at=began.astype("datetime64[us, UTC]"))
        )
        ax.figure.draw_without_rendering()
        ticks = [label.get_text() for label in ax.get_xticklabels()]
        assert any(tick.startswith(sign) for tick in ticks), ticks
        assert "2026" in ax.xaxis.get_offset_text().get_text()


def test_a_timeline_of_thousands_counts_what_is_under_way() -> None:
    """Runs that begin each 10 ms and take 100 ms are 10 at once, 2 of them in the first fifth; words say so."""
    began = pd.Timestamp("2026-11-22T10:00Z") + pd.to_timedelta(10 * np.arange(3000), unit="ms")
    table = frame(calls("azure/a", np.full(3000, 100.0))).assign(
        started_at=began, queue_ms=pd.array([0.0] * 3000, "Float64"), ttft_ms=pd.array([20.0] * 3000, "Float64")
    )
    ax = charts.timeline(table)
    assert len(ax.collections) == 3
    assert "3,000 runs of azure/a, at most 10 at once" in ax._repr_mimebundle_()[0]["text/plain"]
    heights = [np.ptp(band.get_paths()[0].vertices[:, 1]) for band in ax.collections]
    assert heights[:2] == pytest.approx([0.85 * 8 / 10, 0.85])  # the second stands on the first


def test_eight_deployments_have_eight_styles() -> None:
    """Up to eight series of a chart never share a style, whatever their names; more of them share, and still draw."""
    for seed in range(20):
        names = [f"azure/{seed}-{number}" for number in range(8)]
        assert len(set(charts.styles(names).values())) == 8
    assert len(charts.styles([str(number) for number in range(30)])) == 30


@pytest.mark.parametrize("name", some_of(CHARTS))
@pytest.mark.parametrize(
    "names", [["x/$\\frac{1}$", "_x/y", "x/\x1b[31m\n\u202e", "x/<b>{}%s"], *thorough(["x/$a_{"], ids=["1"])]
)
def test_hostile_names_are_text(name: str, names: list[str], runs: pd.DataFrame) -> None:
    """A deployment's name can neither break a chart nor become a formula, alone or among others."""
    data = runs.assign(deployment=np.resize(names, len(runs)))
    assert getattr(charts, name)(data)._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["latency", "cost", "over_time"])
def test_signs_that_the_font_lacks_are_told_once(name: str, runs: pd.DataFrame) -> None:
    """Names in Chinese or with emojis make one warning with the way out; the words of the chart keep them."""
    style._told.clear()
    data = runs.assign(deployment=np.resize([f"{name}/模型一", f"{name}/🦊🦊"], len(runs)))  # matplotlib keeps layouts
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        words = getattr(charts, name)(data)._repr_mimebundle_()[0]["text/plain"]
    assert len(caught) == 1, [str(one.message) for one in caught]
    said = str(caught[0].message)
    assert caught[0].filename == "bifrost_nb.charts"
    assert all(sign in said for sign in ("模", "型", "🦊", "font.family"))
    assert name == "cost" or "模型一" in words


def test_no_pyplot_and_nothing_of_ours() -> None:
    """Charts load neither pyplot nor more of this package than errors and what loads, and change no style setting."""
    code = (
        "import sys, matplotlib; before = matplotlib.rcParams.copy()\n"
        "from bifrost_nb import charts\n"
        "ours = {name for name in sys.modules if name.startswith('bifrost_nb')}\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert ours == {'bifrost_nb', 'bifrost_nb._loading', 'bifrost_nb.charts', 'bifrost_nb.errors',"
        " *(f'bifrost_nb.charts.{one}' for one in"
        " ('anatomy', 'direct_labels', 'label_grid', 'runs', 'scores', 'style'))}, ours\n"
        "assert matplotlib.rcParams.copy() == before\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


LONG = [
    f"azure/gpt-35-turbo-instruct-{place}-with-a-name-of-{number:,}-signs" for number, place in enumerate("abcdefghij")
]


@pytest.mark.parametrize("name", some_of(CHARTS))
def test_many_long_names_are_whole_and_cover_nothing(name: str) -> None:
    """Ten deployments with long names: no text leaves the figure, overlaps another of its kind, or covers the data."""
    rows = [row for number, name in enumerate(LONG) for row in calls(name, 100.0 * np.arange(1, 6) * (number + 1))]
    runs = frame(rows).assign(cost_usd=0.001, ttft_ms=50.0, tokens_per_s=10.0, queue_ms=1.0)
    runs["started_at"] = pd.date_range("2026-11-20", periods=len(runs), freq="s", tz="UTC").astype(
        "datetime64[us, UTC]"
    )
    for columns in ("cost_usd", "ttft_ms", "tokens_per_s", "queue_ms"):
        runs[columns] = runs[columns].astype("Float64")
    ax = getattr(charts, name)(runs)
    figure = ax.figure
    figure.draw_without_rendering()
    plot, canvas = ax.get_window_extent(), figure.bbox
    assert plot.width > canvas.width / 3
    assert plot.height > canvas.height / 3
    legend = ax.get_legend()
    across, up = sorted(ax.get_xlim()), sorted(ax.get_ylim())  # ticks outside these are not drawn
    beside = [label for label in ax.get_yticklabels() if up[0] <= label.get_position()[1] <= up[1]]
    under = [label for label in ax.get_xticklabels() if across[0] <= label.get_position()[0] <= across[1]]
    texts = [*beside, *under, ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
    texts += legend.get_texts() if legend else []
    for text in [text for text in texts if text.get_text()]:
        box = text.get_window_extent()
        assert canvas.x0 <= box.x0, text
        assert box.x1 <= canvas.x1, text
        assert canvas.y0 <= box.y0, text
        assert box.y1 <= canvas.y1, text
    rows_of_names = sorted((label.get_window_extent() for label in beside), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(rows_of_names))
    assert legend is None or legend.get_window_extent().y1 < plot.y0
    assert {text.get_text().replace("\n", "").partition(":")[0] for text in texts} >= set(LONG)

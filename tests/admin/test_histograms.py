"""The gateway's histograms as tidy time series, and their charts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from matplotlib.dates import num2date
from matplotlib.figure import Figure

from bifrost_nb import Client, ConfigurationError, NotFound
from bifrost_nb._admin.api import gateway_histogram, gateway_logs, gateway_stats
from bifrost_nb._simulator.process import LocalGateway, local_gateway
from bifrost_nb.charts.gateway import gateway_chart

from .conftest import logged
from .servers import Table, served

ClientOf = Callable[..., Client]

COLUMNS = {
    "requests": ["bucket_start", "bucket_s", "status", "requests"],
    "tokens": ["bucket_start", "bucket_s", "token_type", "tokens"],
    "cost": ["bucket_start", "bucket_s", "model", "cost_usd"],
    "models": ["bucket_start", "bucket_s", "model", "status", "requests"],
    "latency": ["bucket_start", "bucket_s", "statistic", "latency_ms"],
    "throughput": ["bucket_start", "bucket_s", "tokens_per_s"],
}
DTYPES = {
    "requests": "Int64",
    "tokens": "Int64",
    "cost_usd": "Float64",
    "latency_ms": "Float64",
    "tokens_per_s": "Float64",
}


def used(client: Client) -> None:
    client.complete("azure/fast", "Hi", max_tokens=4)
    client.complete("azure/large", "Hi", max_tokens=9)
    client.complete("azure/always-fails", "Hi", fallbacks=["azure/fast"], max_tokens=4, retries=0)
    logged(client, 4)


@pytest.mark.parametrize("kind", COLUMNS)
def test_each_series_is_tidy(client_of: ClientOf, gateway: LocalGateway, kind: Any) -> None:
    """One row per bucket and series, buckets without gaps, the figure last with its unit in its name."""
    client = client_of(gateway.url)
    used(client)
    frame = gateway_histogram(kind, since="10m", client=client)
    assert list(frame.columns) == COLUMNS[kind]
    assert str(frame.dtypes["bucket_start"]) == "datetime64[us, UTC]"
    assert str(frame.dtypes[COLUMNS[kind][-1]]) == DTYPES[COLUMNS[kind][-1]]
    assert not frame.duplicated(COLUMNS[kind][:-1]).any()
    starts = frame["bucket_start"].drop_duplicates()
    assert set(starts.diff().dropna()) == {pd.Timedelta(seconds=60)}
    assert set(frame["bucket_s"]) == {60}
    assert 10 <= len(starts) <= 12


def test_the_series_add_up_to_the_log(client_of: ClientOf, gateway: LocalGateway) -> None:
    """Requests, tokens and costs over all buckets are those of the log's rows."""
    client = client_of(gateway.url)
    used(client)
    log = gateway_logs(client=client)

    def series(kind: Any) -> pd.DataFrame:
        return gateway_histogram(kind, since="10m", client=client)

    assert series("requests").groupby("status")["requests"].sum().to_dict() == {"ok": 3, "error": 1, "cancelled": 0}
    tokens = series("tokens").groupby("token_type")["tokens"].sum()
    assert tokens["prompt"] == log["prompt_tokens"].sum()
    assert tokens["completion"] == log["completion_tokens"].sum()
    costs = series("cost").groupby("model")["cost_usd"].sum()
    assert costs["large"] == pytest.approx(log.loc[log["model"] == "large", "cost_usd"].sum())
    models = series("models").groupby(["model", "status"])["requests"].sum()
    assert models["fast", "ok"] == 2
    assert models["always-fails", "error"] == 1
    latency = series("latency").dropna().groupby("statistic")["latency_ms"].max()
    assert latency["mean"] <= latency["p90"] <= latency["p95"] <= latency["p99"]
    assert latency["p99"] == pytest.approx(log["latency_ms"].max())


def test_providers_are_told_apart(client_of: ClientOf, gateway: LocalGateway) -> None:
    """Each provider's tokens, cost, latency and throughput; where it had no request, NA is no 0."""
    client = client_of(gateway.url)
    used(client)
    client.chat("openai/gpt-4o-mini", "Hi", max_tokens=4)
    logged(client, 5)
    log = gateway_logs(client=client)
    for kind, figure in (("tokens", "tokens"), ("cost", "cost_usd")):
        frame = gateway_histogram(kind, by="provider", since="1h", client=client)  # type: ignore[arg-type]
        told = frame.groupby("provider")[figure].sum()
        wanted = log.groupby("provider")["total_tokens" if kind == "tokens" else "cost_usd"].sum()
        assert told.to_dict() == pytest.approx(wanted.to_dict())
    latency = gateway_histogram("latency", by="provider", since="1h", client=client)
    assert list(latency.columns) == ["bucket_start", "bucket_s", "provider", "statistic", "latency_ms"]
    assert set(latency.dropna()["provider"]) == {"azure", "openai"}
    assert latency["latency_ms"].isna().any()
    speed = gateway_histogram("throughput", by="provider", since="1h", client=client)
    one = log[(log["provider"] == "openai")].iloc[0]
    told = speed.dropna().set_index("provider").loc["openai", "tokens_per_s"]
    assert told == pytest.approx(1000 * one["completion_tokens"] / one["latency_ms"])
    assert {line.get_label() for line in gateway_chart(speed).lines} == {"azure", "openai"}
    assert [line.get_label() for line in gateway_chart(gateway_histogram("throughput", client=client)).lines] == ["all"]
    with pytest.raises(ConfigurationError, match="no requests by 'provider'"):
        gateway_histogram("requests", by="provider", client=client)


def test_a_bucket_without_requests_has_no_latency(client_of: ClientOf, gateway: LocalGateway) -> None:
    """The gateway writes 0 ms where nothing was measured; here that is NA, while 0 requests are 0."""
    client = client_of(gateway.url)
    used(client)
    latency = gateway_histogram("latency", since="1h", client=client)
    assert latency["latency_ms"].isna().sum() >= 4 * 58
    assert (latency["latency_ms"].dropna() > 0).all()
    assert gateway_histogram("requests", since="1h", client=client)["requests"].notna().all()


def test_filters_count(client_of: ClientOf, gateway: LocalGateway) -> None:
    """A model's own series holds only its requests."""
    client = client_of(gateway.url)
    used(client)
    frame = gateway_histogram("models", since="10m", model="large", client=client)
    assert set(frame["model"]) == {"large"}
    assert frame["requests"].sum() == 1


def test_old_gateways_have_fewer_series(client_of: ClientOf) -> None:
    """1.4.18 counts no cancelled requests, so there are none of them in the frame; 1.4.0 has no series at all."""
    with local_gateway(dialect="1.4.18", speed=20) as gateway:
        client = client_of(gateway.url)
        client.complete("azure/fast", "Hi", max_tokens=2)
        logged(client, 1)
        assert set(gateway_histogram("requests", since="10m", client=client)["status"]) == {"ok", "error"}
    with local_gateway(dialect="1.4") as gateway, pytest.raises(NotFound, match="older"):
        gateway_histogram("requests", client=client_of(gateway.url))


def test_a_wrong_kind_is_told(client_of: ClientOf) -> None:
    """A misspelled kind names its neighbour and sends nothing."""
    with pytest.raises(ConfigurationError, match="Did you mean 'latency'"):
        gateway_histogram("latencies", client=client_of("http://127.0.0.1:9"))  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [{}, {"buckets": None}, {"buckets": [None, 5]}], ids=str)
@pytest.mark.parametrize("kind", COLUMNS)
def test_nothing_keeps_columns_and_title(client_of: ClientOf, kind: Any, answer: Any) -> None:
    """Without buckets the frame has its columns and dtypes, and the chart its title, labels and a word."""
    path = "/api/logs/histogram" + ("" if kind == "requests" else f"/{kind}")
    with served(Table({path: answer})) as url:
        frame = gateway_histogram(kind, client=client_of(url))
    assert list(frame.columns) == COLUMNS[kind]
    assert frame.empty
    ax = gateway_chart(frame)
    assert ax.get_title()
    assert ax.get_ylabel()
    assert [text.get_text() for text in ax.texts] == ["no requests"]


# -- charts -------------------------------------------------------------------------------------------------------


def buckets(rows: list[tuple[Any, ...]], columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(
        bucket_start=pd.to_datetime(frame["bucket_start"], unit="s", utc=True),
        bucket_s=frame["bucket_s"].astype("Int64"),
    )


def test_bars_stand_on_each_other(client_of: ClientOf) -> None:
    """Each series is a stack of bars from the bucket's start, as high as its figures, hatched as well as coloured."""
    rows = [(0, 60, "ok", 3), (0, 60, "error", 1), (60, 60, "ok", 2), (60, 60, "error", 0), (120, 60, "ok", 0)]
    ax = gateway_chart(buckets(rows, COLUMNS["requests"]))
    bars = {container.get_label(): list(container) for container in ax.containers}
    assert [bar.get_height() for bar in bars["ok"]] == [3, 2, 0]
    assert [(bar.get_y(), bar.get_height()) for bar in bars["error"]] == [(3, 1), (2, 0), (0, 0)]
    assert [bar.get_linewidth() for bar in bars["error"]] == [1, 0, 0]
    assert num2date(bars["ok"][1].get_x()).timestamp() == 60
    assert len({bar[0].get_hatch() for bar in bars.values()}) == 2
    assert ax.get_ylabel() == "requests"
    assert [num2date(edge).timestamp() for edge in ax.get_xlim()] == [0, 180]


def test_latency_is_lines_in_the_middle_of_buckets() -> None:
    """A gap stays a gap, and each statistic has its own dash and marker."""
    rows = [(0, 60, "mean", 5.0), (0, 60, "p99", 9.0), (60, 60, "mean", None), (60, 60, "p99", None)]
    ax = gateway_chart(buckets(rows, COLUMNS["latency"]))
    lines = {str(line.get_label()): line for line in ax.lines}
    assert list(lines) == ["mean", "p99"]
    first, second = lines["mean"].get_ydata()
    assert first == 5.0
    assert pd.isna(second)
    assert num2date(ax.convert_xunits(lines["mean"].get_xdata()[0])).timestamp() == 30
    assert lines["mean"].get_marker() != lines["p99"].get_marker()
    assert ax.get_ylabel() == "latency (ms)"


def test_a_model_has_one_colour_in_every_chart() -> None:
    """Its requests, answered or failed, have the colour of its cost and differ by hatch; another has another."""
    cost = gateway_chart(buckets([(0, 60, "small", 1.0), (0, 60, "large", 2.0)], COLUMNS["cost"]))
    counts = [(0, 60, model, status, 3) for model in ("small", "large") for status in ("ok", "error", "cancelled")]
    models = gateway_chart(buckets(counts, COLUMNS["models"]))
    bars = {str(one.get_label()): one[0] for chart in (cost, models) for one in chart.containers}
    for model in ("small", "large"):
        own = [bars[f"{model} {status}"] for status in ("ok", "error", "cancelled")]
        assert {bar.get_facecolor() for bar in own} == {bars[model].get_facecolor()}
        assert len({bar.get_hatch() for bar in own}) == 3
    assert bars["small"].get_facecolor() != bars["large"].get_facecolor()


def test_many_models_are_summed_up() -> None:
    """Beyond eight series the smallest are one, nothing is lost, and series of zeros are not in the legend."""
    rows = [(0, 60, f"model-{number}", float(number)) for number in range(30)]
    ax = gateway_chart(buckets(rows, COLUMNS["cost"]))
    heights = {container.get_label(): container[0].get_height() for container in ax.containers}
    assert len(heights) == 8
    assert heights["model-29"] == 29
    assert sum(heights.values()) == sum(range(30))
    assert heights["all others"] == sum(range(23))
    assert "model-0" not in heights


def test_names_are_text(client_of: ClientOf) -> None:
    """A model called like a formula or with an underscore in front stands in the legend as it is called."""
    rows = [(0, 60, "$x^2$", 1.0), (0, 60, "_hidden", 2.0)]
    ax = gateway_chart(buckets(rows, COLUMNS["cost"]))
    legend = ax.get_legend()
    assert legend is not None
    said = [text.get_text().replace("\u200b", "") for text in legend.get_texts()]
    assert said == [r"\$x^2\$", "_hidden"]


def test_the_chart_takes_axes_and_shows_itself() -> None:
    """`ax` is drawn into and returned; without it the figure is nobody's and a notebook shows it, without pyplot."""
    frame = buckets([(0, 60, "ok", 3)], COLUMNS["requests"])
    own = Figure().subplots()
    assert gateway_chart(frame, own) is own
    assert gateway_chart(frame)._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    code = "import sys, bifrost_nb.charts.gateway; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_frame_is_refused() -> None:
    """A frame of runs, or with other columns, is no time series of the gateway."""
    for frame in (pd.DataFrame(), pd.DataFrame({"a": [1]}), pd.DataFrame(columns=[*COLUMNS["cost"], "more"])):
        with pytest.raises(ConfigurationError, match="gateway_histogram"):
            gateway_chart(frame)


@pytest.mark.parametrize(
    ("knows_aliases", "model", "requests"),
    [(True, "mine", 2), (True, "theirs", 3), (True, "other", 1), (False, "theirs", 3), (False, "mine", 0)],
)
def test_sums_find_a_model_by_either_name(client_of: ClientOf, knows_aliases: bool, model: str, requests: int) -> None:
    """The filters as 1.5.1 has them: `models` the provider's names, `aliases` the gateway's, both together "and"."""
    rows = [("theirs", "mine"), ("theirs", "mine"), ("theirs", None), ("other", None)]

    def found(request: Any) -> int:
        models, aliases = (request.query_params.get(name) for name in ("models", "aliases"))
        return sum(
            name in (models or name).split(",") and (not (knows_aliases and aliases) or alias in aliases.split(","))
            for name, alias in rows
        )

    def series(request: Any) -> Any:
        bucket = {"timestamp": "2026-11-27T23:00:00Z", "count": found(request), "success": found(request), "error": 0}
        return {"buckets": [bucket], "bucket_size_seconds": 3600}

    answers = {
        "/api/logs/stats": lambda request: {"total_requests": found(request)},
        "/api/logs/histogram": series,
        "/api/logs": {"logs": []},
    }
    with served(Table(answers)) as url:
        client = client_of(url)
        assert gateway_stats(model=model, client=client)["requests"][0] == requests
        assert gateway_histogram("requests", model=model, client=client)["requests"].sum() == requests
        if knows_aliases:
            with pytest.raises(ConfigurationError, match="adds up only one"):
                gateway_stats(model=["mine", "other"], client=client)

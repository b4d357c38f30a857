"""A comparison's report: one file that loads nothing, keeps hostile answers inert, and gives the frame back."""

from __future__ import annotations

import json
import re
import stat
import time
import warnings
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bifrost_nb import Client, ConfigurationError, LocalGateway, LogError, RunLog, load_report, scorers
from bifrost_nb._compare.compare import compare
from bifrost_nb._compare.comparison import Comparison
from bifrost_nb._compare.verdict import amount
from bifrost_nb._prompts.pictures import data_url
from tests.compare.test_messages import png

from ..data.hostile import HOSTILE

CASES = {"thing": ["tea", "rain", "wool"], "expected": ["leaf", "water", "sheep"]}


@pytest.fixture
def comparison(client: Client, gateway: LocalGateway) -> Comparison:
    """Two deployments, three inputs, one score; one call fails."""
    gateway.script([{"deployment": "azure/large", "prompt": "wool", "status": 500}])
    return compare(
        ["azure/fast", "azure/large"],
        "What is {{thing}}?",
        inputs=CASES,
        client=client,
        max_tokens=10,
        score=scorers.contains("expected"),
    )


def test_it_gives_the_frame_back(comparison: Comparison, tmp_path: Path) -> None:
    """Columns of every frame keep their types and values, scores and inputs come too; only the owner reads the file."""
    path = comparison.report(tmp_path / "report.html")
    frame, found = comparison.frame, load_report(path)
    ours = list(frame.columns[: list(frame.columns).index("gateway_version") + 1])
    pd.testing.assert_frame_equal(found[ours], frame[ours])
    pd.testing.assert_series_equal(found["score"], frame["score"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_columns_without_a_value_come_back(client: Client, tmp_path: Path) -> None:
    """A score that nothing got, an input that nobody gave: what is NA throughout is a column all the same."""
    found = compare(
        ["azure/fast"],
        "Say {{n}}.",
        inputs={"n": [1, 2], "nobody": [None, None], "gap": [float("nan")] * 2},
        client=client,
        score=lambda run, row: None,
        max_tokens=2,
    )
    back = load_report(found.report(tmp_path / "report.html"))
    assert list(back.columns) == list(found.frame.columns)
    without = ["template", "input_nobody", "input_gap", "score", "score_reason"]
    assert back[without].isna().all(axis=None)
    assert back[without].dtypes.tolist() == found.frame[without].dtypes.tolist()


@pytest.mark.parametrize("file", ["report.html", "x.csv", "x.xlsx", "grid.csv"])
def test_inputs_that_are_no_text_are_written_as_the_prompt_has_them(client: Client, tmp_path: Path, file: str) -> None:
    """A dict and a list as JSON, not as Python writes them; a hook is asked about them as they are written."""
    inputs = {"it": [{"to": None, "of": ["é", True]}, {}], "list": [["a", float("nan")], [1]], "number": [1.5, 2]}
    grid = file == "grid.csv"  # which has no client: what a hook changes is left out there
    client.redact = None if grid else lambda text, what: text.replace('"to": null', "[out]")
    compared = compare(["azure/fast"], "Say {{it}}.", inputs=inputs, client=client, max_tokens=2)
    if file == "report.html":
        found = load_report(compared.report(tmp_path / file))
    elif file == "x.xlsx":
        found = pd.read_excel(compared.to_excel(tmp_path / file))
    else:
        found = pd.read_csv(compared.grid().export(tmp_path / file) if grid else compared.to_csv(tmp_path / file))
    assert found["input_it"].tolist() == [
        '{"to": null, "of": ["é", true]}' if grid else '{[out], "of": ["é", true]}',
        "{}",
    ]
    assert found["input_list"].tolist() == ["['a', nan]", "[1]"]
    assert found["input_number"].tolist() == [1.5, 2]


@pytest.mark.parametrize("file", ["report", "to_csv"])
def test_no_key_stays_in_inputs_that_are_no_text(client: Client, tmp_path: Path, file: str) -> None:
    """Also deep in a list or a dict, in a tuple, in a set."""
    key = "sk-bf-3fdc1f0e-7a7e-4a55-a3a4-7f0f6f1b8f11"
    own = Client(client.base_url, virtual_key=key, log=client.log)
    odd = [[{"a": (key,)}], {f"x {key}": 1}, {key}]
    compared = compare(["azure/fast"], "Say {{n}}.", inputs={"n": [1, 2, 3], "odd": odd}, client=own, max_tokens=2)
    written = getattr(compared, file)(tmp_path / ("x.html" if file == "report" else "x.csv")).read_text()
    assert key not in written
    assert written.count("[hidden]") >= 3


def test_it_loads_nothing(comparison: Comparison, tmp_path: Path) -> None:
    """No address but our own data, one script that the policy names by its hash, verdicts and provenance in words."""
    text = comparison.report(tmp_path / "report.html").read_text()
    shell = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL)
    assert not re.search(r"""(src|href)=["'](?!data:)""", shell)
    assert "default-src 'none'" in shell
    assert shell.count("<script") == 1
    for words in ("how sure?", "azure/fast against azure/large: ", "monotonic clock", "gateway version"):
        assert words in shell


def test_it_says_who_leads(comparison: Comparison, client: Client, tmp_path: Path) -> None:
    """For each figure a line names who leads and who cannot be told from it; below, the pairs' own sentences."""
    page = unescape(re.sub("<[^>]+>", "\n", comparison.report(tmp_path / "report.html").read_text()))
    for metric in ("score", "total_ms", "cost_usd"):
        best = comparison.best(metric, seed=0)
        assert best.verdict in page
        for one in best.differences.to_dict("records"):
            named = one["a"] in one["verdict"] and one["b"] in one["verdict"]
            assert (one["verdict"] if named else f"{one['a']} against {one['b']}: {one['verdict']}") in page
    assert "Time to the whole answer (total_ms)" in page
    alone = compare(["azure/fast"], "Hi", client=client, max_tokens=2)
    assert "against" not in alone.report(tmp_path / "alone.html").read_text().partition("Summary</h2>")[0]


def test_what_all_pairs_share_is_said_once(client: Client, tmp_path: Path) -> None:
    """That two inputs are too few holds for each pair of each figure; a pair's line has its figures alone."""
    names = ["azure/fast", "azure/large", "openai/gpt-4o-mini"]
    found = compare(names, "Hi {{n}}", inputs={"n": [1, 2]}, client=client, max_tokens=2)
    page = unescape(re.sub("<[^>]+>", "\n", found.report(tmp_path / "report.html").read_text()))
    assert page.count("Cannot tell with n = 2 inputs") == len(["total_ms", "cost_usd"])
    for one in found.best("cost_usd", seed=0).differences.to_dict("records"):
        [figures] = re.findall(r" \((mean difference .+)\)\.$", one["verdict"])
        assert f"\n{one['a']} against {one['b']}: {figures}.\n" in page


def test_many_variants_are_set_beside_the_leader(client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """Of more than four each has a row with its distance from the leader; each score has a chart."""
    gateway.script([{"deployment": "azure/fast", "text": "No idea."}, {"text": "A leaf."}])
    deployments = [{"deployment": "azure/fast", "name": f"fast {place}"} for place in range(3)]
    deployments += [{"deployment": "azure/large", "name": f"large {place}"} for place in range(3)]
    found = compare(
        deployments, "{{n}}", inputs={"n": [f"number {n}" for n in range(20)]}, client=client, max_tokens=5,
        score={"leaf": scorers.contains("leaf"), "short": scorers.length(max=3)},
    )  # fmt: skip
    text = found.report(tmp_path / "many.html").read_text()
    assert text.count('class="verdicts"') == 0
    best = found.best("score_leaf", seed=0)
    leader = best.names[0]
    assert leader.startswith("large")
    lines = re.findall("<tr.*?</tr>", text.partition("<table")[2].partition("</table>")[0], re.DOTALL)
    cells = [[unescape(re.sub("<[^>]+>", "", one)) for one in re.findall("<t[hd].*?</t[hd]>", line)] for line in lines]
    rows = pd.DataFrame(cells[1:], columns=cells[0]).set_index("variant")
    assert rows.index[0] == leader
    assert rows.loc[leader, "verdict"] == "shares the best figure"  # all three are right every time
    assert sorted(rows.index) == sorted(str(asked["name"]) for asked in deployments)
    means = found.frame.groupby("variant")["score_leaf"].mean()
    assert {name: float(each) for name, each in rows["mean"].items()} == pytest.approx(means.to_dict())
    for one in best.differences.to_dict("records"):
        if leader not in (one["a"], one["b"]):
            continue
        sign, other = (1, one["a"]) if one["b"] == leader else (-1, one["b"])
        row = rows.loc[other]
        assert float(row["difference"]) == pytest.approx(sign * one["estimate"], abs=0.01)
        low, _, high = str(row["95% interval"]).partition(" to ")
        ends = sorted([sign * one["low"], sign * one["high"]])
        assert [float(low), float(high)] == pytest.approx(ends, abs=0.01)
        assert int(row["worse on"]) == (one["worse"] if sign == 1 else one["better"])
        assert row["verdict"] == ("worse" if other.startswith("fast") else "cannot tell")
    assert text.count("<figure>") == 4  # two scores, times, costs


def test_prompts_and_deployments_are_told_apart(client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """Where they were crossed it says which deployment leads over all prompts, and which prompt; each prompt is shown,
    and money is told for 1,000 runs in words and tables."""
    gateway.script([{"deployment": "azure/large", "text": "A leaf."}, {"text": "No idea."}])
    found = compare(
        ["azure/fast", "azure/large"],
        {"short": "Name {{n}}.", "long": "Think, then name {{n}}.", "kind": "Please name {{n}}."},
        inputs={"n": [f"thing {n}" for n in range(20)]}, client=client, max_tokens=9, score=scorers.contains("leaf"),
    )  # fmt: skip
    client.wait_costs(found.runs)
    text = found.report(tmp_path / "crossed.html").read_text()
    assert '"max_tokens": 9' in unescape(text)
    page = " ".join(unescape(re.sub("<[^>]+>", "", text)).split())
    for metric in ("score", "cost_usd"):
        for by, over in (("deployment", "prompts"), ("template", "deployments")):
            assert f"Over all {over}: {found.best(metric, by=by, seed=0).verdict}" in page
    assert "azure/fast is worse by 100 points" in page
    assert re.search(r"1\.00 \(0\.8\d to 1\.00\), n = 20", page), "scores have an interval"
    assert found.difference("azure/fast", "azure/large", "cost_usd", by="deployment", seed=0).verdict in page
    for place, first in enumerate(("Name thing 0.", "Think, then name thing 0.", "Please name thing 0.")):
        assert f"<h4>{('short', 'long', 'kind')[place]}</h4><pre>{first}</pre>" in text
    costs = text.partition("(cost_usd)</h3>")[2].partition("</table>")[0]
    mean = 1000 * float(found.frame[found.frame["variant"] == "azure/large · kind"]["cost_usd"].mean())
    assert amount(mean, "cost_usd") in unescape(re.sub("<[^>]+>", "", costs))


def test_it_says_where_its_numbers_come_from(client: Client, tmp_path: Path) -> None:
    """Gateway version, dates, prices, seeds and packages stand in it; what is unknown is called so."""
    found = compare(
        ["azure/fast", "azure/large"], "What is {{thing}}?", inputs=CASES, client=client, max_tokens=10, seed=7
    )
    client.wait_costs(found.runs)
    facts = _facts(found.report(tmp_path / "report.html"))
    assert facts["gateway version"] == found.runs[0].gateway_version
    assert f"{min(run.started_at for run in found.runs):%Y-%m-%d %H:%M}" in facts["sent"]
    assert facts["written"].startswith(f"{datetime.now(UTC):%Y-%m-%d}")
    assert f"pandas {pd.__version__}" in facts["packages"]
    assert facts["seeds"] == "order of sending 7; answers none sent; intervals 0"
    fast, large = (
        [run for run in found.runs if run.requested_model == model and run.cost_usd] for model in ("fast", "large")
    )
    blended = sum(run.cost_usd or 0 for run in large) / sum(run.total_tokens or 0 for run in large) * 1e6
    told = re.search(r"azure/large \$([\d.]+) in and out together", facts["prices"])
    assert told is not None
    assert float(told[1]) == pytest.approx(blended, rel=0.01)
    for run in fast:  # as a gateway tells it that knows both parts
        run.input_cost_usd = 0.15e-6 * (run.prompt_tokens or 0)
        run.output_cost_usd = 0.6e-6 * (run.completion_tokens or 0)
    told = re.search(r"azure/fast \$([\d.]+) in, \$([\d.]+) out", _facts(found.report(tmp_path / "r.html"))["prices"])
    assert told is not None
    assert [float(each) for each in told.groups()] == pytest.approx([0.15, 0.6], rel=0.01)
    sampled = compare(["azure/always-fails"], "Hi", client=client, retries=0)
    facts = _facts(sampled.report(tmp_path / "failed.html"))
    assert (facts["prices"], facts["cost"]) == ("unknown", "unknown")


def _facts(path: Path) -> dict[str, str]:
    section = path.read_text().partition("Where the numbers come from</h2>")[2].partition("</table>")[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", section, re.DOTALL)
    cells = [[unescape(re.sub("<[^>]+>", "", one)) for one in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]
    return {row[0]: row[1] for row in cells}


def test_no_text_of_a_csv_is_a_formula(client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """What a spreadsheet would run has a sign in front, in answers and inputs; figures stay figures."""
    gateway.script([{"text": '=HYPERLINK("http://evil")'}])
    found = compare(["azure/fast"], "{{ask}}", inputs={"ask": ["+1", " @x", "fine"]}, client=client)
    path = found.to_csv(tmp_path / "runs.csv")
    read = pd.read_csv(path)
    assert read["response"].str.startswith("'=").all()
    assert read["input_ask"].tolist() == ["'+1", "' @x", "fine"]
    assert read["total_ms"].tolist() == pytest.approx(found.frame["total_ms"].tolist())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ConfigurationError, match="xlsx"):
        found.to_csv(tmp_path / "runs.xlsx")


def test_every_choice_is_handed_on(client: Client, tmp_path: Path) -> None:
    """Of several choices the frame has the first; each file has all, and the grid says that there are more."""
    found = compare(["openai/gpt-4o-mini"], "What is {{thing}}?", inputs=CASES, client=client, chat=True, n=3)
    every = [run.texts for run in found.runs]
    assert [len(each) for each in every] == [3] * 3
    files = [found.to_csv(tmp_path / "runs.csv"), found.grid().export(tmp_path / "grid.csv")]
    frames = [*map(pd.read_csv, files), pd.read_excel(found.to_excel(tmp_path / "runs.xlsx"))]
    for frame in (*frames, load_report(found.report(tmp_path / "report.html"))):
        assert list(map(json.loads, frame["choices"])) == every
    assert "choices" not in found.frame
    grid = found.grid()
    assert "first of 3 choices" in repr(grid)
    assert [all(text in grid.detail(row, 0)["answers"][0]["html"] for text in each) for row, each in enumerate(every)]
    grid.state.show(search=every[1][2])
    assert [row.place for row in grid.state.shown] == [1]


def test_choices_are_redacted_too(gateway: LocalGateway, tmp_path: Path) -> None:
    """What a hook leaves of the first choice it leaves of the others."""
    gateway.script([{"text": "secretly a leaf"}])
    client = Client(gateway.url, log=RunLog(tmp_path / "runs.jsonl"), redact=lambda text, _: text.replace("leaf", "-"))
    found = compare(["openai/gpt-4o-mini"], "What?", client=client, chat=True, n=2)
    for path in (found.report(tmp_path / "report.html"), found.to_csv(tmp_path / "runs.csv")):
        assert "secretly a -" in path.read_text()
        assert "leaf" not in path.read_text()


@pytest.mark.parametrize(("what", "gone"), [("prompt", "What is tea?"), ("response", "secretly")])
def test_redaction_is_respected(gateway: LocalGateway, tmp_path: Path, what: str, gone: str) -> None:
    """What the client does not write to files is in no report either: prompts with their inputs, or answers."""
    gateway.script([{"text": "secretly a leaf"}])
    client = Client(
        gateway.url, log=RunLog(tmp_path / "runs.jsonl"), redact=lambda text, kind: None if kind == what else text
    )
    found = compare(["azure/fast"], "What is {{thing}}?", inputs=CASES, client=client, max_tokens=10)
    text = found.report(tmp_path / "report.html").read_text()
    assert gone not in text
    assert ("wool" in text) is (what == "response")


def test_wrong_names_and_files(comparison: Comparison, tmp_path: Path) -> None:
    """Another suffix, a folder that is not there, a page that is no report: one clear error each."""
    with pytest.raises(ConfigurationError, match=r"report\.pdf is no HTML file"):
        comparison.report(tmp_path / "report.pdf")
    with pytest.raises(LogError, match="cannot be written"):
        comparison.report(tmp_path / "nowhere" / "report.html")
    page = tmp_path / "page.html"
    for content in ("<html></html>", '<script type="application/json" id="bifrost-data">{"columns": 3}</script>'):
        page.write_text(content)
        with pytest.raises(LogError, match="holds no report"):
            load_report(page)
    page.write_text('<script type="application/json" id="bifrost-data">{"columns": [], "format": 9}</script>')
    with pytest.raises(LogError, match="format 9"):
        load_report(page)
    with pytest.raises(LogError, match="cannot be read"):
        load_report(tmp_path / "none.html")
    (saved := tmp_path / "frame.parquet").write_bytes(b"PAR1\x80")
    with pytest.raises(LogError, match=r"holds no report.*pd\.read_parquet"):  # it was told of utf-8
        load_report(saved)


@pytest.mark.parametrize(
    "block",
    [
        '"rows": 1e999, "columns": []', '"rows": 10000000000, "columns": []', '"rows": -1, "columns": []',
        '"rows": 1, "columns": [{"name": "prompt_tokens", "values": [1%s]}]' % ("0" * 30),
        '"rows": 1, "columns": [{"name": "score", "values": [1%s]}], "scores": ["score"]' % ("0" * 400),
        '"rows": 1, "columns": [{"name": "prompt", "values": {"x": 1}}]', '"rows": 1, "columns": [{"name": ["a"]}]',
        '"rows": 1, "columns": [{"name": "started_at", "values": [5]}]', '"rows": 0, "columns": [5]',
        '"rows": 0, "columns": [{"name": null, "values": []}]', '"rows": 0, "columns": [{"name": 7, "values": []}]',
        '"rows": 1, "columns": [{"name": "x", "values": [1]}, {"name": "x", "values": [2]}]',
    ],
)  # fmt: skip
def test_a_hostile_report_is_damaged(tmp_path: Path, block: str) -> None:
    """Rows without end, numbers beyond 64 bits, lists that are none: one clear error, and no memory taken."""
    (tmp_path / "page.html").write_text(
        f'<script type="application/json" id="bifrost-data">{{"format": 1, {block}}}</script>'
    )
    with pytest.raises(LogError, match=r"is damaged|holds no report"):
        load_report(tmp_path / "page.html")


def test_a_file_that_begins_again_and_again(tmp_path: Path) -> None:
    """Openings without an end, and thousands of columns, are read in one go: each took minutes."""
    opening, page = '<script type="application/json" id="bifrost-data">', tmp_path / "page.html"
    page.write_text(opening * 50_000)
    began = time.process_time()
    with pytest.raises(LogError, match="holds no report"):
        load_report(page)
    columns = [{"name": f"c{n}", "dtype": "object", "values": [n]} for n in range(5_000)]
    page.write_text(f"{opening}{json.dumps({'format': 1, 'rows': 1, 'columns': columns})}</script>")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_report(page)["c4999"].tolist() == [4999]
    assert time.process_time() - began < 10


def test_excel(comparison: Comparison, tmp_path: Path) -> None:
    """`to_excel` has a row for each run, with numbers as numbers."""
    found = pd.read_excel(comparison.to_excel(tmp_path / "runs.xlsx"))
    assert list(found["total_ms"].round(6)) == list(comparison.frame["total_ms"].astype(float).round(6))
    with pytest.raises(ConfigurationError, match="does not end in"):
        comparison.to_excel(tmp_path / "runs.xls")


def test_hostile_texts_stay_in_their_block(client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """No answer ends the block of data, and the frame that comes back holds them as they were."""
    answers = [text.replace("\ud800", "\ufffd") for text in HOSTILE[::8]]
    gateway.script([{"prompt": f"number {place:03}", "text": [text]} for place, text in enumerate(answers)])
    found = compare(
        ["azure/fast"],
        "{{n}}",
        inputs={"n": [f"number {place:03}" for place in range(len(answers))]},
        client=client,
        stream=False,
    )
    path = found.report(tmp_path / "report.html", title="<script>alert(1)</script>")
    text = path.read_text()
    assert text.count("<script") == 2
    block = re.search(r'id="bifrost-data">(.*?)</script>', text, re.DOTALL)
    assert block is not None
    assert not set("<>&") & set(block[1])
    json.loads(block[1])
    pd.testing.assert_series_equal(load_report(path)["response"], found.frame["response"])


def test_pictures_and_calls(client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """Each picture of the questions is in it once, as data; of redacted questions none is."""
    rows = {"photo": [png(), png("blue")], "n": ["a", "b"]}
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
    asked: dict[str, object] = {"inputs": rows, "images": "photo", "tools": [tool], "tool_choice": "required"}
    found = compare(["openai/gpt-4o-mini", "azure/gpt-4o"], "What is {{n}}?", client=client, **asked)  # type: ignore[arg-type]
    block = _block_of(found.report(tmp_path / "report.html"))
    assert block["pictures"] == [data_url(png()), data_url(png("blue"))]
    assert block["asked"] == [[0], [0], [1], [1]]
    assert block["drawn"] == [[]] * 4
    [called] = [column["values"] for column in block["columns"] if column["name"] == "tool_calls"]
    assert all("look_up" in one for one in called)
    assert len(load_report(tmp_path / "report.html")) == 4
    silent = Client(client.base_url, log=client.log, redact=lambda text, what: None)
    found = compare(["openai/gpt-4o-mini"], "What is {{n}}?", client=silent, fresh=True, **asked)  # type: ignore[arg-type]
    assert "pictures" not in _block_of(found.report(tmp_path / "silent.html"))
    assert "data:image/png;base64" not in re.sub("<figure>.*?</figure>", "", (tmp_path / "silent.html").read_text())


def test_hostile_pictures_stay_out(client: Client, tmp_path: Path) -> None:
    """SVG, addresses, bombs and what is not what it says are no pictures of a report."""
    urls = ["https://example.com/a.png;base64,", "data:image/svg+xml;base64,PHN2Zz4=", "data:image/png;base64,PHN2Zz4="]
    parts = [{"type": "image_url", "image_url": {"url": one}} for one in urls]
    found = compare(["azure/gpt-4o"], messages=[{"role": "user", "content": parts[:1]}], client=client)
    found.runs[0].prompt = json.dumps([{"role": "user", "content": parts}])  # as somebody's log may have it
    assert "pictures" not in _block_of(found.report(tmp_path / "report.html"))


def _block_of(path: Path) -> dict[str, Any]:
    block: dict[str, Any] = json.loads(path.read_text().split('id="bifrost-data">')[1].split("</script>")[0])
    return block

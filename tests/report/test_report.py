"""A comparison's report: one file that loads nothing, keeps hostile answers inert, and gives the frame back."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pandas as pd
import pytest

from bifrost_nb import Client, ConfigurationError, LocalGateway, LogError, RunLog, load_report, scorers
from bifrost_nb._compare.compare import compare
from bifrost_nb._compare.comparison import Comparison

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


def test_it_loads_nothing(comparison: Comparison, tmp_path: Path) -> None:
    """No address but our own data, one script that the policy names by its hash, verdicts and provenance in words."""
    text = comparison.report(tmp_path / "report.html").read_text()
    shell = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL)
    assert not re.search(r"""(src|href)=["'](?!data:)""", shell)
    assert "default-src 'none'" in shell
    assert shell.count("<script") == 1
    for words in ("Verdicts", "azure/fast against azure/large, total_ms", "monotonic clock", "gateway version"):
        assert words in shell


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

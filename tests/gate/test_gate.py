"""Gates: planted truths pass, fail or stay undecided at the rates that the confidence names; files; the command."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt

from bifrost_nb import Client, ConfigurationError, Gate, LocalGateway, LogError, compare, gate, scorers
from bifrost_nb._gate.gate_files import as_junit, as_markdown
from bifrost_nb._gate.gate_rules import RuleCheck

from ..compare.frames import calls, frame, times
from ..data.hostile import HOSTILE
from ..thorough import thorough

A, B = "azure/a", "azure/b"


def scored(a: Any, b: Any, metric: str = "score", repeats: int = 1) -> pd.DataFrame:
    """Two variants with `metric` for each of their runs."""
    table = frame(calls(A, np.ones(len(a)), repeats=repeats) + calls(B, np.ones(len(b)), repeats=repeats))
    table[metric] = pd.array(np.concatenate([a, b]).astype(float), dtype="Float64")
    return table


def right(rng: np.random.Generator, inputs: int, *shares: float) -> list[np.ndarray]:
    """0/1 scores with these true shares, inputs being as hard for one as for the other in seven of ten."""
    hard = rng.random(inputs)
    return [(np.where(rng.random(inputs) < 0.7, hard, rng.random(inputs)) < share).astype(float) for share in shares]


def outcomes(trials: int, make: Any, **rules: Any) -> Counter[str]:
    return Counter(
        gate(make(np.random.default_rng([9, seed])), A, seed=seed, **rules).outcome for seed in range(trials)
    )


@pytest.mark.parametrize(
    ("make", "rules"),
    [
        (lambda rng: scored(*right(rng, 100, 0.8, 0.9)), {"score": "not worse by 0.1"}),
        *thorough(
            (lambda rng: scored(rng.lognormal(6, 0.5, 100), np.ones(100), "total_ms"), {"p95_ms": math.exp(6.8224)}),
            (lambda rng: scored(
                (cost := rng.gamma(2, 0.001, 60)) * 1.1, cost * rng.lognormal(-0.02, 0.2, 60), "cost_usd"),
             {"cost_usd_per_1000": "not worse by 10%"}),
            (lambda rng: scored(rng.lognormal(6, 0.5, 100), np.ones(100), "total_ms"), {"p50_ms": math.exp(6)}),
            (lambda rng: scored(*right(rng, 100, 0.9, 0.9)), {"score": 0.9}),
        ),
    ],
    ids=["score", "p95 limit", "cost", "p50 limit", "score limit"],
)  # fmt: skip
def test_on_the_edge_of_a_rule_few_pass_and_few_fail(make: Any, rules: Any) -> None:
    """Where the truth lies on the limit itself each wrong side is said in 5 of 100 (at most 7 of 40: p < 0.001)."""
    found = outcomes(40, make, baseline=B, **rules)
    assert found["passed"] <= 7
    assert found["failed"] <= 7


def test_what_costs_the_same_is_not_better() -> None:
    """Calls that end at the same token limit cost the same: the interval has no width and touches 0, and is no lead."""
    same = np.full(40, 0.001)
    table = scored(same, same, "cost_usd")
    assert gate(table, A, baseline=B, cost_usd_per_1000="better").outcome == "undecided"
    assert gate(table, A, baseline=B, cost_usd_per_1000="not worse by 10%").outcome == "passed"
    assert gate(scored(0.9 * same, same, "cost_usd"), A, baseline=B, cost_usd_per_1000="better").outcome == "passed"


def test_answers_that_are_all_best_do_not_show_that_none_is_poor() -> None:
    """One grade in twenty is a 1, the rest 5s, and the rule asks for their very mean: twenty 5s passed it."""
    grades = lambda rng: scored(rng.choice([1.0, 5.0], 20, p=[0.05, 0.95]), np.ones(20))  # noqa: E731
    assert outcomes(20, grades, score="at least 4.8")["passed"] <= 3  # 7 of 20 have none
    lengths = gate(scored(np.full(20, 200.0), np.ones(20)), A, score="at least 200")
    assert lengths.outcome == "undecided", "nothing says what else it can be"
    assert gate(scored(np.full(60, 5.0), np.ones(60)), A, score="at least 4.5").outcome == "passed"


def test_a_limit_leaves_room_for_poor_answers_not_seen() -> None:
    """Twenty grades from 0.9 to 1 are no proof that none in twenty is 0, and such a mean is 0.9025: 34 of 100 passed.

    Of two repeats of grades the mean may be 4.5: grades go down to 1 all the same, which ten inputs may not show.
    """
    spread = np.random.default_rng(0).uniform(0.9, 1, 100)
    assert gate(scored(spread[:20], np.ones(20)), A, score="at least 0.9025").outcome == "undecided"
    assert gate(scored(spread, np.ones(100)), A, score="at least 0.9025").outcome == "passed"
    twice = gate(scored(np.tile([4.0, 5.0], 10), np.ones(20), repeats=2), A, score="at least 4.2")
    assert (twice.checks[0].n, twice.outcome) == (10, "undecided")


def test_what_is_as_good_passes_and_what_is_worse_fails() -> None:
    """Of 200 inputs, equals pass a margin of ten points nearly always; what is 25 points worse fails as surely."""
    same = outcomes(20, lambda rng: scored(*right(rng, 200, 0.8, 0.8)), baseline=B, score="not worse by 0.1")
    assert same["passed"] >= 17
    assert same["failed"] == 0
    worse = outcomes(20, lambda rng: scored(*right(rng, 200, 0.6, 0.85)), baseline=B, score="not worse by 0.1")
    assert worse["failed"] >= 17
    assert worse["passed"] == 0


def test_few_inputs_are_undecided_and_say_how_many_would_tell() -> None:
    """Twenty inputs answered alike rule nothing out; the sentence names a number of inputs and counts them."""
    found = gate(scored(np.ones(20), np.ones(20)), A, baseline=B, score="not worse by 0.02")
    assert found.outcome == "undecided"
    assert found.exit_status == 2
    assert not found
    assert "neither shown nor ruled out (95% confidence, n = 20 inputs). About" in str(found)
    assert gate(scored(np.ones(400), np.ones(400)), A, baseline=B, score="not worse by 0.02")


@pytest.mark.parametrize(("right", "asked", "limit", "told"), [(10, 10, 0.9, 29), (9, 10, 0.8, 50), (1, 1, 0.5, 5)])
def test_so_many_inputs_as_it_says_would_tell(right: int, asked: int, limit: float, told: int) -> None:
    """Of a share: where all are right the gate passes with that number, and with one less it does not."""
    values = np.append(np.ones(right), np.zeros(asked - right))
    assert f" About {told} inputs would tell" in str(gate(scored(values, values), A, score=limit))
    if right == asked:
        outcomes = [gate(scored(np.ones(n), np.ones(n)), A, score=limit).outcome for n in (told - 1, told)]
        assert outcomes == ["undecided", "passed"]


def test_scores_that_are_unknown_are_counted() -> None:
    """A judge that failed on half of the answers leaves the half that is known, and the sentence says so."""
    table = scored(np.ones(60), np.ones(60))
    table.loc[:29, "score"] = pd.NA
    for found in (gate(table, A, score=0.8), gate(table, A, baseline=B, score="not worse by 0.1")):
        assert "without 30 of unknown score" in str(found)


@pytest.mark.thorough
def test_more_rules_do_not_make_failures_likelier() -> None:
    """Five rules on their edges fail together at most as often as one (7 of 40), and pass hardly ever."""
    figures = {"total_ms": "p50_ms", "ttft_ms": "ttft_p50_ms"}

    def make(rng: np.random.Generator) -> pd.DataFrame:
        table = scored(right(rng, 60, 0.9)[0], np.ones(60))
        for metric in figures:
            table[metric] = pd.array(rng.lognormal(6, 0.5, 120), dtype="Float64")
        return table

    found = outcomes(40, make, score=0.9, **dict.fromkeys(figures.values(), math.exp(6)))
    assert found["failed"] <= 7
    assert found["passed"] <= 3


def test_answers_that_never_came_count() -> None:
    """A candidate that is right wherever it answers, and fails on a third, is not as good as one that answers all."""
    table = scored(np.ones(150), np.ones(150))
    table.loc[:49, "status"] = "error"
    table.loc[:49, ["score", "provider", "model"]] = pd.NA
    found = gate(table, A, baseline=B, score="not worse by 0.1", error_rate=0.05)
    assert found.frame["outcome"].tolist() == ["failed", "failed"]
    assert "50 answers that never came counted as 0" in found.checks[0].sentence
    assert "33.3%" in found.checks[1].sentence
    back = gate(table, B, baseline=A, score="not worse by 0.1", error_rate="not worse by 0.01")
    assert back, back  # of a baseline they are left out: nobody is better because the other failed
    assert "by 0 (" in back.checks[0].sentence


def test_what_never_came_is_late() -> None:
    """Of 100 calls 14 ended at the time limit: their p95 is beyond any limit, and what pairs leave out is said."""
    table = scored(np.r_[np.full(86, 500.0), np.full(14, 30_000.0)], np.full(100, 500.0), "total_ms")
    table["cost_usd"] = pd.array([0.001] * 200, dtype="Float64")
    table.loc[86:99, ["status", "cost_usd"]] = ["error", pd.NA]
    found = gate(table, A, baseline=B, p95_ms=800, p50_ms="not worse by 10%", cost_usd_per_1000="not worse by 10%")
    late, median, cost = found.checks
    assert (late.outcome, late.estimate) == ("failed", math.inf)
    assert "with 14 answers that never came counted as later than all" in late.sentence
    assert all("without 14 answers that never came" in check.sentence for check in (median, cost))
    assert gate(table, A, p50_ms=800).outcome == "passed", "half were in time, whatever became of the others"


def test_money_of_few_inputs_is_said_to_be_of_few() -> None:
    """Ten inputs may hold none of a kind that is one in four; a verdict on their cost says so, as a difference does."""
    few, more = (gate(scored(np.full(n, 0.001), np.ones(n), "cost_usd"), A, cost_usd_per_1000=2) for n in (10, 40))
    assert "a kind that is 1 input in 4 may be missing among 10." in str(few)
    assert "may be missing" not in str(more)


def test_paired_grades_of_few_inputs_are_said_to_be_of_few() -> None:
    """Among twenty inputs a kind that is one in eight may be missing; 0 and 1 have an interval that knows it."""
    rng = np.random.default_rng(3)
    few, more = (scored(*rng.uniform(0.9, 1, (2, n))) for n in (20, 60))
    said = str(gate(few, A, baseline=B, score="not worse by 0.1"))
    assert "A mean depends on the poorest answers, and a kind that is 1 input in 8 may be missing among 20." in said
    assert "may be missing" not in str(gate(more, A, baseline=B, score="not worse by 0.1"))
    assert "may be missing" not in str(gate(scored(np.ones(20), np.zeros(20)), A, baseline=B, score="better"))


def test_quantiles_have_exact_ends() -> None:
    """The upper end of the 95th percentile exists from 59 inputs on, and repeats do not stand in for inputs."""
    few = gate(scored(np.arange(58), np.ones(58), "total_ms"), A, p95_ms=1000).checks[0]
    assert (few.outcome, few.high) == ("undecided", math.inf)
    enough = gate(scored(np.arange(59), np.ones(59), "total_ms"), A, p95_ms=1000).checks[0]
    assert (enough.outcome, enough.high) == ("passed", 58.0)
    repeated = scored(np.arange(300), np.ones(300), "total_ms", repeats=10)
    assert gate(repeated, A, p95_ms=1000).outcome == "undecided"


def test_a_margin_as_a_share_is_of_the_baseline() -> None:
    """5 % dearer is within 10 %, 30 % dearer is not, in every figure that has a unit."""
    base = np.random.default_rng(0).gamma(20, 0.0001, 80)
    for factor, outcome in ((1.05, "passed"), (1.3, "failed")):
        table = scored(base * factor, base, "cost_usd")
        found = gate(table, A, baseline=B, cost_usd_per_1000="not worse by 10%")
        assert found.outcome == outcome
        assert f"({factor - 1:+.1%})" in found.checks[0].sentence
        mean = 1000 * float(base.mean())
        table = scored(base * factor, base, "cost_usd")
        assert gate(table, A, baseline=B, cost_usd_per_1000=f"not worse by {0.1 * mean:.6f}").outcome == outcome
    slow = frame(calls(A, times(1, 120, of=1, factor=1.02)) + calls(B, times(1, 120, of=2)))
    assert gate(slow, A, baseline=B, p50_ms="not worse by 20%", p95_ms="not worse by 60%")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({}, "needs rules"),
        ({"scor": 0.9}, "'score'"),
        ({"p99_ms": "not worse by 10%"}, "held to a limit only"),
        ({"score": "not worse by 2%"}, "0.02 for two points"),
        ({"score": "quite good"}, "is no rule"),
        ({"error_rate": 5}, "a share from 0 to 1, not 5. Write 0.05"),  # it passed "at most 500%"
        ({"error_rate": "at most 5"}, "a share from 0 to 1"),
        ({"score": True}, "is no rule"),
        ({"score": 0.9, "candidate": "azure/c"}, "no variant"),
        ({"score": "better", "baseline": "azure/bb"}, "no variant"),
        ({"score": "better", "baseline": A}, "the candidate and the baseline"),
        ({"score": 0.9, "confidence": 1}, "confidence must be"),
    ],
)
def test_wrong_rules_are_one_clear_error(rules: dict[str, Any], words: str) -> None:
    """An unknown figure, variant or wording says what to write instead."""
    candidate = rules.pop("candidate", A)
    with pytest.raises(ConfigurationError, match=words):
        gate(scored(np.ones(20), np.ones(20)), candidate, **rules)


def test_which_is_the_candidate() -> None:
    """It may be left out where one variant is left; a relative rule with two variants knows its baseline."""
    table = scored(np.ones(400), np.ones(400))
    assert gate(table, baseline=B, score="not worse by 0.02").candidate == A
    assert gate(table, B, score="not worse by 0.02").baseline == A
    with pytest.raises(ConfigurationError, match="Which variant"):
        gate(table, score=0.9)


def test_a_fallback_is_not_the_candidate() -> None:
    """Answers of a fallback stop a verdict unless they are asked for."""
    table = frame(calls(A, np.ones(100)) + calls(B, np.ones(100)))
    table.loc[:30, ["provider", "is_fallback"]] = ["openai", True]
    found = gate(table, A, p50_ms=100, baseline=B)
    assert (found.outcome, "was served by" in str(found)) == ("undecided", True)
    relative = gate(table, A, p50_ms="not worse", baseline=B)
    assert "(69 of 100), openai/a (31 of 100); pass mixed='drop' or mixed='keep'." in str(relative)
    assert gate(table, A, p50_ms=100, mixed="keep")
    assert gate(table, A, p50_ms=100, mixed="drop").checks[0].n == 69


def test_a_name_that_reads_like_a_mixture_has_no_way_out() -> None:
    """``mixed=`` is named where it helps: not where a name has the words of that reason."""
    odd = "azure/was served by"
    found = gate(frame(calls(odd, np.ones(100))), odd, ttft_p50_ms=100)
    assert f"cannot tell: no run of {odd} has a known ttft_ms." in str(found)


def test_an_alias_that_was_pointed_elsewhere_is_not_one_candidate() -> None:
    """Held to a limit it is looked at as against a baseline: half of its runs are of another model."""
    table = frame(calls(A, np.ones(100)))
    moved = ["m-1"] * 50 + ["m-2"] * 50
    table = table.assign(model_deployment=moved, tags=[f'{{"sweep":"{model}"}}' for model in moved])
    found = gate(table, A, p50_ms=100)
    assert (found.outcome, f"{A} stood for m-1 (50 of 100), m-2 (50 of 100) in" in str(found)) == ("undecided", True)
    assert gate(table, A, p50_ms=100, mixed="keep")


@pytest.fixture
def comparison(client: Client, gateway: LocalGateway) -> Any:
    """Two deployments on 60 inputs, right as the script says."""
    gateway.script([{"prompt": "number", "text": ["a leaf"]}])
    cases = {"n": [f"number {place}" for place in range(60)], "expected": ["leaf"] * 60}
    return compare(
        ["azure/fast", "azure/large"], "{{n}}", inputs=cases, client=client, score=scorers.contains("expected")
    )


def test_a_baseline_in_a_file(comparison: Any, client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """A report or Parquet file is as good a baseline as a variant, for scores and money; times need the same hour."""
    report, parquet = comparison.report(tmp_path / "main.html"), tmp_path / "main.parquet"
    comparison.frame.to_parquet(parquet)
    gateway.script([{"prompt": "number", "text": ["a stone"]}])
    cases = {"n": [f"number {place}" for place in range(60)], "expected": ["leaf"] * 60}
    worse = compare(
        ["azure/fast"], "{{n}}", inputs=cases, client=client, score=scorers.contains("expected"), fresh=True
    )
    for path in (report, parquet, str(report), pd.read_parquet(parquet)):
        found = worse.gate(baseline=path, score="not worse by 0.05")
        assert found.outcome == "failed", found
        assert comparison.gate("azure/fast", baseline=path, score="not worse by 0.1"), path
    assert found.baseline == "azure/fast (baseline)"
    other = worse.gate(baseline=report, baseline_variant="azure/large", p50_ms="not worse by 10%")
    assert other.outcome == "undecided"
    assert "another sweep" in str(other)
    with pytest.raises(ConfigurationError, match=r"main\.html has no variant"):
        worse.gate(baseline=report, baseline_variant="azure/larg", score="better")
    with pytest.raises(LogError, match="cannot be read"):
        worse.gate(baseline=tmp_path / "none.parquet", score="better")
    (tmp_path / "odd.parquet").write_text("no parquet")
    with pytest.raises(LogError, match="cannot be read as Parquet"):
        worse.gate(baseline=tmp_path / "odd.parquet", score="better")


def test_other_parameters_of_the_baseline_are_said(tmp_path: Path) -> None:
    """Against an earlier comparison with another temperature it may be that and no regression: said on all pages."""

    def asked(sweep: str, **params: Any) -> pd.DataFrame:
        told = {"params": json.dumps({"stream": True, **params}), "tags": json.dumps({"sweep": sweep})}
        return frame(calls(A, np.ones(40), **told)).assign(score=1.0)

    asked("monday", temperature=0.1).to_parquet(tmp_path / "main.parquet")
    rules: dict[str, Any] = {"baseline": tmp_path / "main.parquet", "score": "not worse by 0.1", "p50_ms": 100}
    found = gate(asked("tuesday", temperature=0.9, max_tokens=9), A, **rules)
    said = f"They were asked apart and with other parameters: {A} with max_tokens 9, temperature 0.9, {A} (main.parqu"
    assert found
    for page in (str(found), found._repr_html_(), as_junit({"g": found}, "page"), as_markdown({"g": found})):
        assert said in page.replace("&#95;", "_")
    assert str(found).endswith("with max_tokens not set, temperature 0.1.")
    for other in (asked("tuesday", temperature=0.1), asked("monday", temperature=0.9)):
        assert gate(other, A, **rules).notes == ()
    assert gate(asked("tuesday", temperature=0.9).drop(columns="params"), A, **rules).notes == (), "none are known"
    assert gate(asked("tuesday", temperature=0.9), A, p50_ms=100).notes == ()


def test_a_hostile_baseline_is_one_clear_error(client: Client, tmp_path: Path) -> None:
    """What a Parquet file says of its columns, and what stands in them, is told; none of it is a traceback."""
    ours = compare(["azure/fast"], "{{n}}", inputs={"n": [1, 2]}, client=client, score=lambda run: 1.0)
    table = pa.Table.from_pandas(ours.frame)
    told = json.loads(table.schema.metadata[b"pandas"])

    def meta(**changes: Any) -> Any:
        return table.replace_schema_metadata({b"pandas": json.dumps({**told, **changes}).encode()})

    def column(name: str, values: Any) -> Any:
        return table.set_column(table.column_names.index(name), name, pa.array(values))

    times = [{**one, "numpy_type": "datetime64[xx]"} for one in told["columns"]]
    odd = {
        "no columns": table.replace_schema_metadata({b"pandas": b"{}"}), "a list": table.replace_schema_metadata(
            {b"pandas": b"[]"}), "no JSON": table.replace_schema_metadata({b"pandas": b"{"}),
        "null": meta(columns=None), "an index": meta(index_columns=["nope"]), "a unit": meta(columns=times),
        "structs": column("status", [{"a": 1}] * 2), "lists": column("tags", [[1]] * 2),
        "infinite": column("score", [float("inf"), 1.0]), "text": column("total_ms", ["x", "y"]),
        "words": column("score", ["good", "bad"]),
    }  # fmt: skip
    for name, one in odd.items():
        pq.write_table(one, tmp_path / f"{name}.parquet")
        with pytest.raises((LogError, ConfigurationError)):
            ours.gate("azure/fast", baseline=tmp_path / f"{name}.parquet", score="not worse by 0.02")


def hostile_gate(text: str) -> Gate:
    check = RuleCheck(name="score", rule="better", outcome="failed", sentence=text, estimate=0, low=0, high=0, n=1)
    return Gate(candidate=text, baseline=text, confidence=0.95, checks=(check,))


@pytest.mark.parametrize("text", [*HOSTILE[::6], "a | b", "@team see https://x.test [a](b) `c` **d**", "line\n\n# two"])
def test_hostile_names_stay_names(text: str) -> None:
    """Whatever a variant is called, XML stays well-formed, and Markdown one table without links, images or tags."""
    found = {"gate": hostile_gate(text)}
    root = ElementTree.fromstring(as_junit(found, "x.py").partition("?>")[2])
    assert root.find("testsuite/testcase/failure") is not None
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(as_markdown(found))
    inner = [child.type for token in tokens for child in token.children or ()]
    assert not {"link_open", "image", "html_inline", "code_inline"} & set(inner)
    assert sum(token.type == "tr_open" for token in tokens) == 2
    assert "html_block" not in {token.type for token in tokens}
    assert "@" not in as_markdown(found)
    assert "<script" not in hostile_gate(text)._repr_html_()


SCRIPT = """
import sys
from pathlib import Path
import bifrost_nb as bf
from bifrost_nb import scorers
from words import EXPECTED

assert __name__ == "__main__"
gateway = bf.local_gateway(speed=20)
gateway.script([{"deployment": "azure/fast", "text": ["a stone"]}, {"text": ["a leaf"]}])
comparison = bf.compare(
    ["azure/fast", "azure/large"], "{{n}}", inputs={"n": [f"number {n}" for n in range(60)], "expected": EXPECTED},
    client=bf.Client(gateway.url, log=bf.RunLog("off")), score=scorers.contains("expected"),
)
gateway.stop()
"""
FEW = """
import bifrost_nb as bf
frame = bf.load_report("evals/main.html").groupby("variant").head(8)
found = bf.gate(frame, "azure/large", score=0.99)
"""
NOTEBOOK = """{"cells": [
 {"cell_type": "markdown", "metadata": {}, "source": ["# A page"]},
 {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": null, "source": [
  "%load_ext bifrost_nb\\n", "import asyncio, pandas as pd\\n", "import bifrost_nb as bf\\n",
  "await asyncio.sleep(0)\\n", "frame = bf.load_report('main.html')"]},
 {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": null, "source": [
  "found = bf.gate(frame, 'azure/large', baseline='azure/fast', score='better')"]}],
 "metadata": {}, "nbformat": 4, "nbformat_minor": 5}"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's own repository with a script, a notebook and a report under version control."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "evals").mkdir()
    (folder / "evals" / "words.py").write_text("EXPECTED = ['leaf'] * 60\n")
    (folder / "evals" / "taglines.py").write_text(SCRIPT)
    (folder / "evals" / "page.ipynb").write_text(NOTEBOOK)
    return folder


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bifrost_nb.cli", "gate", *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def test_the_command_in_a_repository(repository: Path) -> None:
    """Rules for a script's comparison: exit status 1, JUnit, Markdown, a report; a notebook's is 0, of few rows 2."""
    files = ("--junit", "gate.xml", "--markdown", "gate.md", "--report", "evals/main.html")
    rules = ("--rule", "score=not worse by 0.02", "--rule", "error_rate=0.2", "--baseline", "azure/large")
    failed = command(repository, "evals/taglines.py", *rules, *files)
    assert failed.returncode == 1, failed.stderr
    assert "✗ score: azure/fast differs from azure/large by -1" in failed.stdout
    assert "✓ error_rate" in failed.stdout
    suite = ElementTree.parse(repository / "gate.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    assert (repository / "gate.md").read_text().startswith("### Gate failed: azure/fast against azure/large")
    page = command(repository, "evals/page.ipynb")
    assert page.returncode == 0, page.stderr
    assert "Passed: azure/large against azure/fast" in page.stdout
    (repository / "few.py").write_text(FEW)
    few = command(repository, "few.py", "--junit", "few.xml")
    assert few.returncode == 2, few.stderr
    assert "? score" in few.stdout
    assert ElementTree.parse(repository / "few.xml").getroot().get("errors") == "1"


def test_what_cannot_be_run_is_neither_failed_nor_undecided(repository: Path) -> None:
    """A wrong command line, a script that raises, a file without a gate: exit status 3 and one sentence."""
    (repository / "broken.py").write_text("1 / 0\n")
    (repository / "empty.py").write_text("import sys\nsys.exit(0)\n")
    (repository / "broken.ipynb").write_text(NOTEBOOK.replace("main.html", "none.html"))
    for arguments, words in (
        (("broken.py",), "raised ZeroDivisionError"),
        (("broken.ipynb",), "Cell 1 of broken.ipynb raised LogError"),
        (("empty.py",), "leaves no gate"),
        (("empty.py", "--rule", "score"), "is no rule"),
        (("empty.py", "--rule", "score=0.9"), "leaves no comparison"),
        (("nowhere.py",), "cannot be read"),
        (("empty.py", "--wrong"), "usage"),
    ):
        done = command(repository, *arguments)
        assert (done.returncode, words in done.stderr) == (3, True), done.stderr

"""What is handed on as a file holds no key and nothing that the client's hook leaves out, whatever the file is."""

from __future__ import annotations

import copy
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pydantic
import pytest

from bifrost_nb import Client, Comparison, LocalGateway, RunLog, compare, export_spans, load_report, scorers
from tests.thorough import thorough

KEY = "planted-key-of-no-known-shape-0123"
HEADERS = {"x-api-key": KEY, "x-team": "blue"}


def _report(found: Comparison, folder: Path) -> str:
    return found.report(folder / "x.html").read_text()


def _excel(found: Comparison, folder: Path) -> str:
    with zipfile.ZipFile(found.to_excel(folder / "x.xlsx")) as book:
        return "".join(book.read(name).decode() for name in book.namelist())


def _grid(found: Comparison, folder: Path) -> str:
    return found.grid().export(folder / "x.csv").read_text()


def _pickle(found: Comparison, folder: Path) -> str:
    return pickle.dumps(found).decode("latin-1")


def _spans(found: Comparison, folder: Path) -> str:
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans, scores = InMemorySpanExporter(), InMemoryLogRecordExporter()
    export_spans(found, content=True, exporter=spans, log_exporter=scores)
    told = [*(one.to_json() for one in spans.get_finished_spans())]
    return "".join([*told, *(str(one.log_record.attributes) for one in scores.get_finished_logs())])


FILES: dict[str, Callable[[Comparison, Path], str]] = {
    "report": _report,
    "excel": _excel,
    "grid": _grid,
    "pickle": _pickle,
    "spans": _spans,
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    ("entries", "more"),
    [
        ([{"deployment": "azure/fast", "headers": HEADERS}], {}),
        *thorough(
            (["azure/fast"], {"headers": HEADERS}),
            ([{"deployment": "azure/fast", "headers": list(HEADERS.items())}], {"system": "Be brief."}),
        ),
    ],
    ids=["entry", "call", "pairs"],
)
def test_headers_are_in_no_file(
    gateway: LocalGateway, tmp_path: Path, file: str, entries: Any, more: dict[str, Any]
) -> None:
    """A key passed as a header of a call or of a variant, also where the gateway repeats it in an answer."""
    gateway.script([{"text": f"You said {KEY}."}])
    client = Client(gateway.url, log=RunLog("off"))
    found = compare(entries, "Hi {{n}}", inputs={"n": [1, 2]}, client=client, **more)
    sent = [one for one in gateway.requests() if one["method"] == "POST"]  # costs are looked up as well
    assert sent[-1]["headers"]["x-api-key"] == KEY
    for one in (found, pickle.loads(pickle.dumps(found))):
        text = FILES[file](one, tmp_path)
        assert "You said [hidden]." in text
        assert KEY not in text


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("pickled", [False, True])
def test_what_is_not_logged_is_in_no_file(gateway: LocalGateway, tmp_path: Path, file: str, pickled: bool) -> None:
    """Prompt, inputs, system text, parameters and tools of a client that redacts prompts; answers stay."""
    private = "private-words"
    gateway.script([{"text": "an answer"}])
    client = Client(
        gateway.url, log=RunLog(tmp_path / "x.jsonl"), redact=lambda text, what: None if what == "prompt" else text
    )
    found = compare(
        [{"deployment": "openai/gpt-4o-mini", "system": f"be {private}", "stop": [f"{private}."]}],
        f"{private} {{{{n}}}}",
        inputs={"n": ["1", f"{private} 2"]},
        client=client,
        user=private,
        max_tokens=10,
    )
    if pickled:
        found = pickle.loads(pickle.dumps(found))
    text = FILES[file](found, tmp_path)
    assert private not in text
    assert "an answer" in text


class Review(pydantic.BaseModel):
    """A typed answer."""

    stars: int
    good: bool
    share: float
    word: str


def test_typed_columns_come_back(gateway: LocalGateway, tmp_path: Path) -> None:
    """`valid` and typed answers have their types again, also where some are unknown."""
    gateway.script(
        [
            {"prompt": "first", "text": '{"stars": 3, "good": true, "share": 0.5, "word": "a"}'},
            {"prompt": "second", "text": "no JSON"},
        ]
    )
    found = compare(
        ["openai/gpt-4o-mini"],
        "{{n}}",
        inputs={"n": ["first", "second"]},
        client=Client(gateway.url, log=RunLog("off")),
        schema=Review,
    )
    back = load_report(found.report(tmp_path / "x.html"))
    assert list(found.frame["valid"]) == [True, False]
    for name in ("valid", "answer_stars", "answer_good", "answer_share", "answer_word"):
        pd.testing.assert_series_equal(back[name], found.frame[name])


@pytest.mark.parametrize("hook", [lambda text, what: text.replace("anna@x.org", "<mail>"), lambda text, what: None])
@pytest.mark.parametrize("pickled", [True, *thorough(False)])
def test_no_note_quotes_what_is_not_logged(gateway: LocalGateway, tmp_path: Path, hook: Any, pickled: bool) -> None:
    """A gateway's error that quotes the prompt, a scorer's that quotes the answer: as in the log, so in every file."""
    gateway.script(
        [
            {"prompt": "fails", "status": 400, "error": {"message": "cannot read anna@x.org"}},
            {"text": "Dear anna@x.org"},
        ]
    )
    client = Client(gateway.url, log=RunLog(tmp_path / "x.jsonl"), redact=hook, retries=0)

    def score(run: Any) -> float:
        raise ValueError(run.text)

    found = compare(["azure/fast"], "Hi {{n}}", inputs={"n": [1, "fails"]}, client=client, score=score)
    assert "Dear anna@x.org" in repr(found), "what is displayed is whole"
    assert "cannot read anna@x.org" in repr(found)
    found = pickle.loads(pickle.dumps(found)) if pickled else found
    for file, text in ((file, write(found, tmp_path)) for file, write in FILES.items()):
        assert "anna@" not in text, file


def test_reasons_of_scores_are_redacted_in_every_file(gateway: LocalGateway, tmp_path: Path) -> None:
    """A reason that quotes the answer: the client's hook and the log's, one after the other; shown it is whole."""
    gateway.script([{"text": "Dear anna@x.org and ben@x.org, yours Carl"}])
    log = RunLog(tmp_path / "x.jsonl", redact=lambda text, what: text.replace("ben@", "<b>@"))
    client = Client(gateway.url, log=log, redact=lambda text, what: text.replace("anna@", "<a>@"))
    found = compare(
        ["azure/fast"],
        "Hi {{n}}",
        inputs={"n": ["anna@x.org", "ben@x.org"]},
        client=client,
        score=lambda run: scorers.Score(1.0, reason=f"it says {run.text}"),
    )
    assert "anna@" in found.frame["score_reason"][0]
    for one in (found, pickle.loads(pickle.dumps(found))):
        for file, write in FILES.items():
            text = write(one, tmp_path)
            assert "anna@" not in text, file
            assert "ben@" not in text, file
            assert one is not found or "yours Carl" in text, file


def test_a_hook_that_fails_costs_no_file(gateway: LocalGateway, tmp_path: Path) -> None:
    """What it fails on is left out, of inputs and reasons, too."""

    def hook(text: str, what: str) -> str:
        raise ValueError(text)

    gateway.script([{"text": "secret answer"}])
    client = Client(gateway.url, log=RunLog("off"), redact=hook)
    found = compare(
        ["azure/fast"], "Hi {{n}}", inputs={"n": ["secret input"]}, client=client, score=lambda run: len(run.text)
    )
    for file, write in FILES.items():
        assert "secret" not in write(found, tmp_path), file


def test_a_pickled_comparison_is_redacted_and_still_one(gateway: LocalGateway, tmp_path: Path) -> None:
    """Figures, identities, pairs and typed answers of what may be kept come back; nothing private does."""
    gateway.script([{"text": '{"stars": 3, "good": true, "share": 0.5, "word": "anna"}', "cost": 0.5}])
    client = Client(
        gateway.url, log=RunLog(tmp_path / "x.jsonl"), redact=lambda text, what: text.replace("anna", "<a>")
    )
    history = [{"role": "user", "content": "I am anna"}, {"role": "assistant", "content": "Hi anna"}]
    found = compare(
        [
            "openai/gpt-4o-mini",
            {"deployment": "openai/gpt-4o-mini", "name": "told", "history": history, "user": "anna"},
        ],
        {"one": "Rate {{n}} for anna", "two": "Judge {{n}}"},
        inputs={"n": ["first", "anna"]},
        client=client,
        system="You are anna",
        schema=Review,
    )
    packed = pickle.dumps(found)
    assert b"anna" not in packed
    back = pickle.loads(packed)
    assert back.variants == found.variants
    assert [run.parsed["word"] for run in back.runs] == ["<a>"] * 8
    for name in ("run_id", "prompt_id", "input_id", "variant", "total_ms", "cost_usd", "valid", "answer_stars"):
        assert back.frame[name].tolist() == found.frame[name].tolist(), name
    assert set(back.frame["input_n"]) == {"first", "<a>"}
    pair = found.variants[:2]
    assert back.difference(*pair, "cost_usd") == found.difference(*pair, "cost_usd")
    whole = copy.deepcopy(found)
    for one in (found, whole):
        assert all(run.parsed.word == "anna" for run in one.runs), "what is in memory stays whole"
    pd.testing.assert_frame_equal(whole.frame, found.frame)
    assert whole.runs[0] is not found.runs[0]
    assert whole.client is client
    assert b"anna" not in pickle.dumps(whole)

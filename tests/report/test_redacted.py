"""What is handed on as a file holds no key and nothing that the client's hook leaves out, whatever the file is."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pydantic
import pytest

from bifrost_nb import Client, Comparison, LocalGateway, RunLog, compare, load_report

KEY = "planted-key-of-no-known-shape-0123"
HEADERS = {"x-api-key": KEY, "x-team": "blue"}


def _report(found: Comparison, folder: Path) -> str:
    return found.report(folder / "x.html").read_text()


def _excel(found: Comparison, folder: Path) -> str:
    with zipfile.ZipFile(found.to_excel(folder / "x.xlsx")) as book:
        return "".join(book.read(name).decode() for name in book.namelist())


def _grid(found: Comparison, folder: Path) -> str:
    return found.grid().export(folder / "x.csv").read_text()


FILES: dict[str, Callable[[Comparison, Path], str]] = {"report": _report, "excel": _excel, "grid": _grid}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    ("entries", "more"),
    [
        ([{"deployment": "azure/fast", "headers": HEADERS}], {}),
        (["azure/fast"], {"headers": HEADERS}),
        ([{"deployment": "azure/fast", "headers": list(HEADERS.items())}], {"system": "Be brief."}),
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
@pytest.mark.parametrize("pickled", [False, True])
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

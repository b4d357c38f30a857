"""A saved notebook is evidence: its file alone gives the runs back as a frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bifrost_nb._display.evidence import from_notebook
from bifrost_nb._display.run import metadata, metadata_many, mimebundle_many, without_texts
from bifrost_nb._runs.columns import NAMES
from bifrost_nb._runs.frame import to_frame
from bifrost_nb._runs.run import Run
from bifrost_nb.errors import LogError
from tests.data.hostile import HOSTILE

from .test_run import answered


def notebook(path: Path, *metadatas: Any, text: Any = "") -> Path:
    data = {"text/plain": text}
    outputs = [{"output_type": "display_data", "data": data, "metadata": each} for each in metadatas]
    cells = [{"cell_type": "markdown", "source": ""}, {"cell_type": "code", "source": "", "outputs": outputs}]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    return path


def test_the_frame_is_rebuilt(tmp_path: Path) -> None:
    """Single answers and comparisons give the same frame as the runs themselves, each run once."""
    one = answered(params={"temperature": 0}, tags={"a": 1}, fallbacks=["a/b"], prompt="p", is_fallback=False, repeat=0)
    two, three = answered(requested_model="two"), Run(requested_provider="x", status="error", error_message="no")
    path = notebook(tmp_path / "n.ipynb", metadata(one), {}, metadata_many([two, three]), metadata(one))
    pd.testing.assert_frame_equal(from_notebook(path), to_frame([one, two, three]))


@pytest.mark.parametrize("lines", [False, True])
def test_long_answers_are_kept_once(tmp_path: Path, lines: bool) -> None:
    """A long answer is in the output's text alone, which may be kept as lines, and the frame has it all the same."""
    longer = [answered(response=f"{name}: " + "a tide, 'twice'\n" * 50) for name in ("one", "two")]
    runs = [*longer, answered(response="short"), answered(response=longer[0].text), answered(response="\x1b[2Jx" * 90)]
    text = mimebundle_many(runs)["text/plain"]
    facts = without_texts(metadata_many(runs), runs, text)
    assert json.dumps(facts).count("twice") == 0
    assert ["response_at" in row for row in facts["bifrost_nb"]["runs"]] == [True, True, False, True, False]
    path = notebook(tmp_path / "n.ipynb", facts, text=text.splitlines(keepends=True) if lines else text)
    pd.testing.assert_frame_equal(from_notebook(path), to_frame(runs))


@pytest.mark.parametrize("at", [None, 5, [], [1], [0, 4, 4], [-1, 2], [0, True], ["0", "4"], [3, 4], [1 << 70, 1]])
def test_a_wrong_place_of_an_answer(tmp_path: Path, at: Any) -> None:
    """A place that is none, or where the text does not reach, leaves the answer unknown."""
    row = {"run_id": "x", "response_at": at}
    assert from_notebook(notebook(tmp_path / "n.ipynb", {"bifrost_nb": row}, text="four"))["response"].isna().all()


def test_a_notebook_without_runs_gives_an_empty_frame(tmp_path: Path) -> None:
    """No runs: the same columns, no rows."""
    frame = from_notebook(notebook(tmp_path / "n.ipynb"))
    assert list(frame.columns) == list(NAMES)
    assert len(frame) == 0


@pytest.mark.parametrize(
    "metadatas",
    [
        [{"bifrost_nb": value}]
        for value in (None, 5, "x", [], {}, {"runs": 5}, {"runs": [5]}, {"run_id": 5}, {"runs": {"run_id": "x"}})
    ],
)
def test_foreign_metadata_is_left_out(tmp_path: Path, metadatas: list[Any]) -> None:
    """What has our name and not our form is no run."""
    assert len(from_notebook(notebook(tmp_path / "n.ipynb", *metadatas))) == 0


def test_values_of_a_wrong_type_are_missing(tmp_path: Path) -> None:
    """A file may come from anywhere: what does not fit its column is NA."""
    row = {
        "run_id": "x",
        "total_ms": "fast",
        "prompt_tokens": 1.5,
        "started_at": "never",
        "params": "{",
        "is_fallback": 1,
    }
    frame = from_notebook(notebook(tmp_path / "n.ipynb", {"bifrost_nb": row}))
    assert frame.loc[0, list(row)[1:]].isna().all()


def test_hostile_texts_survive(tmp_path: Path) -> None:
    """Any answer passes through the file as it is; a half character, which no file can hold, is replaced."""
    runs = [answered(response=text or None) for text in HOSTILE]
    frame = from_notebook(notebook(tmp_path / "n.ipynb", metadata_many(runs)))
    assert list(frame["response"].fillna("")) == [text.replace("\ud800", "\ufffd") for text in HOSTILE]


@pytest.mark.parametrize("content", ["", "no json", "[]", "5", '{"cells": 5}', '{"worksheets": []}'])
def test_what_is_no_notebook_is_an_error(tmp_path: Path, content: str) -> None:
    """A file that is no notebook gives one error that names it."""
    path = tmp_path / "n.ipynb"
    path.write_text(content)
    with pytest.raises(LogError, match=r"n\.ipynb"):
        from_notebook(path)
    with pytest.raises(LogError, match=r"missing\.ipynb"):
        from_notebook(tmp_path / "missing.ipynb")

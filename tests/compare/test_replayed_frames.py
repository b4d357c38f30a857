"""Frames to replay as files, merges and other libraries leave them: asked alike, or refused before a call is paid."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, LocalGateway
from bifrost_nb._compare.compare import compare

A, B = "azure/fast", "azure/large"


@pytest.fixture
def rows(client: Client) -> pd.DataFrame:
    """Four answers, of prompts that are numbers in a file."""
    asked: dict[str, Any] = {"inputs": {"n": [1, 2, 3, 4]}, "max_tokens": 2, "stream": False}
    compare([A], "{{n}}", client=client, **asked)
    return client.log.frame()


def sent(gateway: LocalGateway) -> int:
    return sum(one["path"].endswith("completions") for one in gateway.requests())


def read(rows: pd.DataFrame, kind: str) -> Any:
    if kind == "csv":
        return pd.read_csv(io.StringIO(rows.to_csv()))
    if kind == "no zone":  # a spreadsheet's times, and pd.read_json's
        return rows.assign(started_at=rows["started_at"].dt.tz_localize(None))
    if kind == "objects":
        return rows.astype(object)
    import polars

    return polars.from_pandas(rows) if kind == "polars" else polars.from_pandas(rows).to_arrow()


def test_a_frame_is_replayed_however_it_is_kept(client: Client, gateway: LocalGateway, rows: pd.DataFrame) -> None:
    """Of a file or of another library: the same questions, so nothing is asked again, beside the same old answers."""
    expected = bf.replay(rows, [B], client=client).frame
    before = sent(gateway)
    for kind in ("csv", "no zone", "objects", "polars", "arrow"):
        found = bf.replay(read(rows, kind), [B], client=client).frame
        pd.testing.assert_frame_equal(found, expected)
    assert sent(gateway) == before


def test_a_turn_that_says_more_than_its_text_is_asked_again_whole(client: Client, gateway: LocalGateway) -> None:
    """Who speaks is part of the question, also of a single turn and of one that another SDK sent."""
    turn: Any = {"role": "user", "content": "Who am I?", "name": "Zoe"}
    client.chat("openai/gpt-4o-mini", messages=[turn], max_tokens=2)
    bf.sdk("openai", client=client).chat.completions.create(model="openai/gpt-4o-mini", messages=[turn], max_tokens=2)
    bf.replay(client.log.frame(), ["azure/gpt-4o"], client=client)
    asked = [one["body"]["messages"] for one in gateway.requests() if one["path"].endswith("/chat/completions")]
    assert asked == [[turn]] * 4


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (lambda rows: rows.assign(total_ms="long"), "The column 'total_ms' of the frame is not of type Float64."),
        (lambda rows: rows.assign(started_at="yesterday"), "The column 'started_at' of the frame has 'yesterday'."),
        (lambda rows: pd.concat([rows, rows[["prompt"]]], axis=1), "The frame has the column 'prompt' twice."),
    ],
    ids=["words for a time", "no date", "a column twice"],
)
def test_what_cannot_be_shown_is_refused_before_it_is_paid(
    client: Client, gateway: LocalGateway, rows: pd.DataFrame, spoiled: Any, message: str
) -> None:
    """Its error came with the table, when the new answers had been paid for."""
    before = sent(gateway)
    with pytest.raises(ConfigurationError) as caught:
        bf.replay(spoiled(rows), [B], client=client)
    assert message in str(caught.value)
    assert sent(gateway) == before

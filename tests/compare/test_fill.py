"""`bf.fill`: the user's own frame back, with typed columns."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, LocalGateway, RunLog, TemplateError, local_gateway

A = "openai/gpt-4o-mini"


class Review(BaseModel):
    stars: int
    complaint: bool


FRAME = pd.DataFrame({"text": ["fine", "broken", "fine", "odd"], "n": [1.0, None, 3.0, 4.0]}, index=[7, 7, "x", 9])
ANSWERS = [
    {"prompt": "fine", "text": ['{"stars": 5, "complaint": false}']},
    {"prompt": "broken", "text": ['{"stars": 1, "complaint": true}']},
    {"prompt": "odd", "text": ["I would rather not."]},
]


def fill(client: Client, frame: pd.DataFrame = FRAME, **more: Any) -> pd.DataFrame:
    asked = {"schema": Review, "deployment": A, "client": client, **more}
    return bf.fill(frame, "Judge: {{text}}", **asked)


def count(gateway: LocalGateway) -> int:
    return sum(one["path"].endswith("completions") for one in gateway.requests())


def test_the_frame_comes_back_with_typed_columns(
    client: Client, gateway: LocalGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Index, columns and values stay; each field is a column of its dtype; a row without an answer says why."""
    gateway.script(ANSWERS)
    before = FRAME.copy()
    found = fill(client)
    pd.testing.assert_frame_equal(FRAME, before)
    pd.testing.assert_frame_equal(found[["text", "n"]], FRAME, check_flags=False)
    assert {name: str(found[name].dtype) for name in ("stars", "complaint", "fill_error")} == {
        "stars": "Int64",
        "complaint": "boolean",
        "fill_error": "string",
    }
    assert found["stars"].fillna(0).tolist() == [5, 1, 5, 0]
    assert found["fill_error"].isna().tolist() == [True, True, True, False]
    assert "no JSON" in found["fill_error"].iloc[3]
    bodies = [one["body"] for one in gateway.requests() if one["path"].endswith("completions")]
    assert {body["response_format"]["json_schema"]["name"] for body in bodies} == {"Review"}
    said = capsys.readouterr().err
    assert "3 of 4 rows filled, $0.0" in said
    assert found.attrs["cost_usd"] > 0


def test_the_cost_is_waited_for(log: RunLog, capsys: pytest.CaptureFixture[str]) -> None:
    """Gateways from 1.4.18 on write their log seconds after the last call, and what it cost stands there."""
    with local_gateway(dialect="1.5", speed=1.5) as gateway:
        found = fill(Client(gateway.url, log=log))
    assert found.attrs["cost_usd"] > 0
    assert "cost unknown" not in capsys.readouterr().err


def test_it_goes_on_where_it_was(client: Client, gateway: LocalGateway) -> None:
    """A failed row is sent again, what was answered is not; more rows send only themselves."""
    gateway.script([{"prompt": "broken", "status": 400}, *ANSWERS])
    first = fill(client)
    assert first["stars"].isna().tolist() == [False, True, False, True]
    assert first["fill_error"].iloc[1]
    gateway.script(ANSWERS)
    sent = count(gateway)
    assert fill(client)["stars"].isna().tolist() == [False, False, False, True]
    assert count(gateway) == sent + 1
    more = pd.concat([FRAME, pd.DataFrame({"text": ["fine and well"]})])
    assert fill(client, more)["stars"].iloc[4] == 5
    assert count(gateway) == sent + 2


def test_what_is_wrong_is_told_before_anything_is_sent(client: Client, gateway: LocalGateway) -> None:
    """A column that is there already, another library's frame, a placeholder without a column, a wrong schema."""
    with pytest.raises(ConfigurationError, match="'stars' already"):
        fill(client, FRAME.assign(stars=1))
    with pytest.raises(ConfigurationError, match=r"pandas DataFrame, not a dict\. Pass pd\.DataFrame"):
        fill(client, {"text": ["x"]})  # type: ignore[arg-type]
    with pytest.raises(TemplateError, match="text"):
        fill(client, FRAME[["n"]])
    with pytest.raises(ConfigurationError, match="schema must be"):
        fill(client, schema=3)
    assert count(gateway) == 0
    gateway.script(ANSWERS)
    assert fill(client, FRAME.assign(stars=1), prefix="answer_")["answer_stars"].iloc[0] == 5

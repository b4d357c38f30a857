"""What a schema becomes for OpenAI's strict mode, and which schemas are asked for without it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from bifrost_nb._wire.answer_schema import AnswerSchema
from bifrost_nb._wire.strict_schema import strict_of


class Car(BaseModel):
    kind: Literal["car"]
    doors: int


class Bike(BaseModel):
    kind: Literal["bike"]
    brand: str = "none"


class Trip(BaseModel):
    model_config = ConfigDict(extra="allow")
    by: Annotated[Car | Bike, Field(discriminator="kind")]
    page: HttpUrl
    stops: set[str]
    nothing: None = None


class Counts(BaseModel):
    words: dict[str, int]


class Pair(BaseModel):
    both: tuple[int, str]


class Anything(BaseModel):
    value: Any


def form(given: Any) -> dict[str, Any]:
    found: dict[str, Any] = AnswerSchema.of(given).parameters("chat")["response_format"]["json_schema"]
    return found


def names_in(value: Any) -> set[str]:
    """Each keyword and name in a schema."""
    if isinstance(value, dict):
        return {name for key, one in value.items() for name in (key, *names_in(one))}
    return {name for one in value for name in names_in(one)} if isinstance(value, list) else set()


def test_what_only_narrows_is_left_out() -> None:
    """OpenAI answered 400 to ``oneOf``, ``uniqueItems``, most formats, and objects that take other properties."""
    sent = form(Trip)
    assert sent["strict"] is True
    assert not names_in(sent) & {"oneOf", "discriminator", "uniqueItems", "format", "default"}
    assert sent["schema"]["additionalProperties"] is False
    assert sent["schema"]["required"] == ["by", "page", "stops", "nothing"]
    assert [one["$ref"] for one in sent["schema"]["properties"]["by"]["anyOf"]] == ["#/$defs/Car", "#/$defs/Bike"]
    answer = '{"by": {"kind": "bike", "brand": "x"}, "page": "no address", "stops": ["a", "a"], "nothing": null}'
    assert "page: " in str(AnswerSchema.of(Trip).read(answer)[1])  # it is checked as it was given


LOOSE = {
    "a dict": Counts.model_json_schema(),
    "a tuple": Pair.model_json_schema(),
    "any value": Anything.model_json_schema(),
    "an object that names nothing": {"type": "object", "properties": {"a": {"type": "object"}}},
    "a list of anything": {"type": "object", "properties": {"a": {"type": "array"}}},
    "true": {"type": "object", "properties": {"a": True}},
    "a condition": {"type": "object", "properties": {"a": {"type": "string"}}, "if": {}, "then": {}},
    "two parts": {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}, {"minLength": 2}]}}},
}


@pytest.mark.parametrize("case", LOOSE)
def test_what_strict_mode_has_no_word_for_is_asked_for_without_it(case: str) -> None:
    """The schema is sent as it was given: closed, a dict would always be empty, and the rest was a 400."""
    sent = form(LOOSE[case])
    assert (sent["strict"], sent["schema"]) == (False, LOOSE[case])


def test_a_written_schema_stays_as_it_is() -> None:
    """What was sent once is read and sent again alike, as copied cells and replays do."""
    for given in (Trip, Car, Counts):
        sent = form(given)
        assert form(sent["schema"]) == sent
    referring = {"type": "object", "properties": {"a": {"allOf": [{"$ref": "#/$defs/A"}], "description": "x"}},
                 "$defs": {"A": {"type": "string", "format": "date"}}}  # fmt: skip
    once = strict_of(referring)
    assert once is not None
    assert once["properties"]["a"] == {"description": "x", "anyOf": [{"$ref": "#/$defs/A"}]}
    assert once["$defs"]["A"]["format"] == "date"
    assert strict_of(once) == once


class Price(BaseModel):
    """As pydantic 2.12 and 2.13 write the schema of a Decimal; it checks by its own code."""

    pattern: Annotated[Decimal, Field(json_schema_extra={"pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"})]


def test_a_model_may_have_patterns_that_look_ahead() -> None:
    """Such a pattern of a model is not sent, which providers refuse, and is no reason to refuse the model."""
    sent = form(Price)
    assert "^(?!" not in str(sent)
    assert list(sent["schema"]["properties"]) == ["pattern"]
    assert AnswerSchema.of(Price).read('{"pattern": "1.10"}') == (Price(pattern=Decimal("1.10")), None)

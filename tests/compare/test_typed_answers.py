"""`schema=`: what is sent, how answers are read, and columns in each field's own dtype."""

from __future__ import annotations

import json
import pickle
import time
import warnings
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import orjson
import pandas as pd
import pytest
from pydantic import BaseModel, Field, field_validator
from starlette.responses import Response

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, LocalGateway, compare, scorers
from bifrost_nb._compare.judge_reply import json_reply
from bifrost_nb._wire.answer_schema import LONGEST_ANSWER, AnswerSchema
from tests.admin.servers import Table, served
from tests.thorough import thorough

A, B = "openai/gpt-4o-mini", "azure/gpt-4o"


class Line(BaseModel):
    item: str
    count: int


class Invoice(BaseModel):
    total: Decimal
    number: int
    paid: bool = False
    currency: Literal["EUR", "USD"]
    due: datetime | None = None
    lines: list[Line] = Field(default_factory=list)
    first: Line | None = None


GOOD = {
    "total": 12.5, "number": 7, "paid": True, "currency": "EUR", "due": "2026-01-31T12:00:00+01:00",
    "lines": [{"item": "lamp", "count": 2}], "first": None,
}  # fmt: skip


def sent(gateway: LocalGateway) -> list[dict[str, Any]]:
    return [one["body"] for one in gateway.requests() if one["path"].endswith(("completions", "/responses"))]


def script(gateway: LocalGateway, *answers: tuple[str, Any]) -> None:
    """(words of the prompt or a deployment, answer) in order."""
    gateway.script(
        [
            {
                "deployment" if "/" in key else "prompt": key,
                "text": [text if isinstance(text, str) else json.dumps(text)],
            }
            for key, text in answers
        ]
    )


def test_a_chat_sends_the_strict_schema_and_reads_the_answer(client: Client, gateway: LocalGateway) -> None:
    """response_format is OpenAI's json_schema with strict rules, and run.parsed is the model."""
    script(gateway, ("Read", GOOD))
    run = client.chat(A, "Read it.", schema=Invoice)
    form = sent(gateway)[0]["response_format"]
    assert (form["type"], form["json_schema"]["name"], form["json_schema"]["strict"]) == (
        "json_schema",
        "Invoice",
        True,
    )
    schema = form["json_schema"]["schema"]
    objects = [schema, schema["$defs"]["Line"]]
    assert all(one["additionalProperties"] is False for one in objects)
    assert all(one["required"] == list(one["properties"]) for one in objects)
    assert '"default"' not in json.dumps(schema)
    assert isinstance(run.parsed, Invoice)
    assert (run.valid, run.valid_error, run.parsed.total, run.parsed.lines[0].count) == (True, None, Decimal("12.5"), 2)


def test_a_dict_is_a_schema_too(client: Client, gateway: LocalGateway) -> None:
    """A JSON schema gives a dict; the embedded gateway answers by the schema itself."""
    schema = {
        "type": "object",
        "title": "A form!",
        "properties": {"city": {"type": "string"}, "n": {"type": "integer"}},
    }
    run = client.chat(A, "How many live in Oslo?", schema=schema)
    assert sent(gateway)[0]["response_format"]["json_schema"]["name"] == "A_form_"
    assert run.valid
    assert run.parsed == json.loads(run.text)
    assert isinstance(run.parsed["n"], int)


def test_the_responses_api_has_the_format_in_its_text(client: Client, gateway: LocalGateway) -> None:
    """client.respond sends text.format."""
    run = client.respond(A, "Read it.", schema=Invoice)
    form = sent(gateway)[0]["text"]["format"]
    assert (form["type"], form["name"], form["strict"]) == ("json_schema", "Invoice", True)
    assert run.valid is not None


async def _asked(client: Client) -> bf.Run:
    return await client.achat(A, "Read it.", schema=Invoice)


def test_async_reads_it_too(client: Client, gateway: LocalGateway) -> None:
    """achat takes the same."""
    import asyncio

    script(gateway, ("Read", GOOD))
    assert asyncio.run(_asked(client)).parsed == Invoice.model_validate(GOOD)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ({**GOOD, "number": "many"}, "number: Input should be a valid integer"),
        ({**GOOD, "lines": [{"item": "x"}]}, r"lines\.0\.count: Field required"),
        ("It is 12.", "no JSON: it is words, so the model may have refused"),
        ("12", "Input should be"),
        ("[" * 100_000, "no JSON"),
        ('{"total": NaN}', "no JSON"),
    ],
)
def test_what_does_not_fit_says_why(text: Any, said: str, client: Client, gateway: LocalGateway) -> None:
    """An answer that does not fit is no error of the call: valid is False, valid_error names the place."""
    script(gateway, ("Read", text))
    run = client.chat(A, "Read it.", schema=Invoice)
    assert (run.status, run.valid, run.parsed) == ("ok", False, None)
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(run.valid_error)


@pytest.mark.parametrize(
    ("content", "refusal", "reason", "said"),
    [(None, "I cannot do that.", "stop", "The model refused to answer."),
     ('{"total": 1', None, "content_filter", "The model refused, or a filter stopped its answer (content_filter)."),
     ('{"total": 1', "I cannot do that.", "stop", "The model refused to answer.")],
)  # fmt: skip
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_refusal_is_told_as_one(
    api: str, content: str | None, refusal: str | None, reason: str, said: str, tmp_path: Path
) -> None:
    """Strict schemas are refused in a field, or by parts, of their own: that the words are no JSON says nothing."""
    words = [{"type": "output_text", "text": content}] if content else []
    words += [{"type": "refusal", "refusal": refusal}] if refusal else []
    ended = {"status": "completed"}
    if reason == "content_filter":
        ended = {"status": "incomplete", "incomplete_details": {"reason": reason}}
    message = {"role": "assistant", "content": content, "refusal": refusal}
    table = {
        "/v1/chat/completions": {"choices": [{"index": 0, "message": message, "finish_reason": reason}]},
        "/v1/responses": {**ended, "output": [{"type": "message", "content": words}]},
    }
    with served(Table(table)) as url, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is a text and a refusal
        client = Client(url, log=bf.RunLog(tmp_path / "runs.jsonl"))
        run = (client.chat if api == "chat" else client.respond)(A, "Read it.", schema=Invoice)
    assert (run.valid, run.valid_error) == (False, said)


def test_a_refusal_that_is_lost_is_thought_of(tmp_path: Path) -> None:
    """Gateways drop it from the stream of a chat: what is left is an empty answer that was counted."""
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    last["usage"] = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}
    events = Response(b"data: %b\n\ndata: [DONE]\n\n" % orjson.dumps(last), media_type="text/event-stream")
    with served(Table({"/v1/chat/completions": events})) as url:
        client = Client(url, log=bf.RunLog(tmp_path / "runs.jsonl"))
        (run,) = compare([A], "Read it.", schema=Invoice, client=client).runs
    assert (run.valid_error or "").startswith("The answer has no text: the model may have refused.")


def test_truncated_json_says_so(client: Client, gateway: LocalGateway) -> None:
    """An answer that max_tokens cut off is told as that, not as broken JSON."""
    run = client.chat(A, "Read it.", schema=Invoice, max_tokens=16)
    assert run.valid is False
    assert run.valid_error == "The answer was cut off after 16 tokens, so its JSON is not complete: raise max_tokens."


WRAPPED = (
    "```json\n{}\n```", "```json\r\n{}\r\n```",
    "```JSON\n{}\n```", "```{}```", "```json {}\n```", "~~~\n{}\n~~~", "\ufeff{}", "\xa0{}\n\n",
    "<think>\nIs it {{}}?\n</think>\n\n{}", "It is.\n</think>\n```json\n{}\n```",
)  # fmt: skip


@pytest.mark.parametrize("form", WRAPPED)
def test_a_block_of_code_counts(form: str) -> None:
    """Models write their JSON into a block of code, behind a byte-order mark or their thoughts; it is read."""
    found = AnswerSchema.of(Invoice).read(form.format(json.dumps(GOOD)))
    assert found == (Invoice.model_validate(GOOD), None)


@pytest.mark.parametrize("blank", [" ", "\n", "</think>", "`"])
def test_an_answer_of_blanks_ends_at_once(blank: str) -> None:
    """A model that writes blanks until its limit, in a block that never ends, held the kernel for minutes."""
    text, run = "```json\n" + blank * 200_000, bf.Run(status="ok")
    run.response = text
    began = time.perf_counter()
    assert AnswerSchema.of(Invoice).read(text)[0] is None
    with pytest.raises(ValueError, match="is not the JSON asked for"):
        json_reply(text, "grade", [1, 2])
    assert [scorers.json_valid(fenced=fenced)(run, {}).value for fenced in (True, False)] == [0, 0]
    assert time.perf_counter() - began < 5  # 0.1 s


def test_whole_numbers_of_any_size_stay_whole(client: Client, gateway: LocalGateway) -> None:
    """An identifier of 23 digits keeps them: it became a float, and was missing in the frame."""
    number = 12345678901234567890123
    script(gateway, ("Read 1", {"number": number}), ("Read 2", {"number": 7}))
    schema = {"type": "object", "properties": {"number": {"type": "integer"}}}
    result = bf.compare([A], "Read {{n}}", inputs={"n": [1, 2]}, schema=schema, client=client)
    assert AnswerSchema.of(schema).read(json.dumps({"number": number})) == ({"number": number}, None)
    assert list(result.frame["answer_number"]) == [str(number), "7"]


def test_a_moment_that_is_none_is_not_valid(client: Client, gateway: LocalGateway) -> None:
    """A field of format date-time is a column of moments: what cannot be one is told, no NaT of a valid answer."""
    moment = {"type": "string", "format": "date-time"}
    schema = {"type": "object", "properties": {"due": {"anyOf": [moment, {"type": "null"}]}, "at": moment}}
    given = ["2026-01-31T09:00:00Z", "2026-01-31T09:00:00+02:00", "2026-01-31 09:00", "tomorrow at nine"]
    script(gateway, *((f"Read {n}", {"due": None, "at": text}) for n, text in enumerate(given)))
    frame = bf.compare([A], "Read {{n}}", inputs={"n": range(4)}, schema=schema, client=client).frame
    assert list(frame["valid"]) == [True, True, True, False]
    assert "'tomorrow at nine' is no date-time" in frame["valid_error"].iloc[3]
    assert list(frame["answer_at"].isna()) == [False, False, False, True]
    assert str(frame["answer_at"].iloc[1]) == "2026-01-31 07:00:00+00:00"


class Node(BaseModel):
    child: Node | None = None

    @field_validator("child")
    @classmethod
    def _fails(cls, value: Any) -> Any:
        if value is None:
            raise KeyError("what a user's class may do")
        return value


def test_hostile_answers_end_in_one_sentence() -> None:
    """Deep nesting, 100 MB and a validator that fails are told in short, with either kind of schema."""
    recursive = {
        "type": "object",
        "properties": {"child": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["child"],
    }
    deep = '{"child":' * 900 + "null" + "}" * 900
    for schema in (AnswerSchema.of(recursive), AnswerSchema.of(Node)):
        for text in (deep, '{"child":' * 200_000, '{"child": "' + "x" * 100_000_000 + '"}', '{"child": null}'):
            parsed, said = schema.read(text)
            assert said is None or len(said) < 900
            assert said is not None or parsed is not None
    assert "more than the" in str(AnswerSchema.of(Node).read("x" * (LONGEST_ANSWER + 1))[1])
    assert "KeyError" in str(AnswerSchema.of(Node).read('{"child": null}')[1])


class Leaving(BaseModel):
    city: str

    @field_validator("city")
    @classmethod
    def _leaves(cls, value: Any) -> Any:
        raise SystemExit("not a city")


def test_a_validator_that_exits_costs_no_answer() -> None:
    """`sys.exit` in a validator makes the answer invalid, as its other failures do: the answer is paid for."""
    parsed, said = AnswerSchema.of(Leaving).read('{"city": "Oslo"}')
    assert (parsed, said) == (None, "A validator of Leaving failed: SystemExit: not a city")


def _field(rule: dict[str, Any], **definitions: Any) -> dict[str, Any]:
    """A schema of one field, ``a``."""
    return {"type": "object", "properties": {"a": rule}, "$defs": definitions}


class Failing(BaseModel):
    """Of which no schema can be made."""

    @classmethod
    def model_json_schema(cls, *arguments: Any, **options: Any) -> Any:
        raise RuntimeError("boom" * 10_000)


RUNAWAY = "^(a+)+$"
"""In Python's engine it takes as many steps as there are ways to cut the text up."""


@pytest.mark.parametrize(
    ("rule", "answer", "said"),
    [
        ({"type": "string", "pattern": RUNAWAY}, "a" * 60 + "b", "does not match"),
        ({"type": "string", "pattern": RUNAWAY}, "a" * 60, None),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "pattern": RUNAWAY}, "a" * 60 + "b", "does not match"),
        ({"type": "object", "propertyNames": {"pattern": RUNAWAY}}, {"a" * 60 + "b": 1}, "does not match"),
        ({"type": "array", "uniqueItems": True}, [{"x": n} for n in range(20_000)], None),
        ({"type": "array", "uniqueItems": True}, [{"x": [1, True]}, {"x": [1.0, True]}], "non-unique"),
        ({"type": "array", "uniqueItems": True}, [1, True, "1", [1], None, False, 0], None),
        ({"type": "array", "items": {"type": "string"}}, [1] * 500_000, "is not of type"),
        ({"type": "array", "items": {"type": "integer"}}, [1] * 500_000, "too long to be checked"),
        *thorough(
            ({"type": "array", "items": {"enum": list(range(100_000))}}, [99_999] * 100_000, "too long to be checked"),
            ({"$ref": "#/$defs/n0"}, "x", "too long to be checked"),
        ),
        ({"$ref": "#/$defs/itself"}, "x", "nested too deeply"),
    ],
)
def test_no_schema_keeps_the_reader_busy(rule: dict[str, Any], answer: Any, said: str | None) -> None:
    """Patterns, comparisons of all with all and references that branch out end in seconds, right or told."""
    branching = {f"n{level}": {"allOf": [{"$ref": f"#/$defs/n{level + 1}"}] * 2} for level in range(60)}
    branching |= {"n60": {"type": "string"}, "itself": {"anyOf": [{"$ref": "#/$defs/itself"}] * 300}}
    schema, began = AnswerSchema.of(_field(rule, **branching)), time.process_time()
    assert list(schema.dtypes) == ["a"]
    parsed, told = schema.read(json.dumps({"a": answer}))
    assert (parsed, told) == ({"a": answer}, None) if said is None else said in str(told)
    assert time.process_time() - began < 60


def _deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (Invoice.model_validate(GOOD), "pydantic model"),
        (int, "pydantic model"),
        ({"type": "array", "items": {}}, "must describe an object"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, r"wrong at properties\.a\.type"),
        ({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}}, "nothing is fetched"),
        ({"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}, "nothing is fetched"),
        (_deep(5_000), "nested too deeply"),
        ({"type": "object", "description": "x" * 2_000_000}, "more than 1,000,000"),
        ({"type": "object", "x": object()}, "no JSON"),
        (_field({"$ref": "#/$defs/none"}), r"'#/\$defs/none', which it does not hold"),
        (_field({"$ref": "#nowhere"}), "which it does not hold"),
        (_field({"$ref": "#/$defs/b"}, a={"$ref": "#/$defs/b"}, b={"$ref": "#/$defs/a"}), "goes in a circle"),
        (_field({"$dynamicRef": "http://127.0.0.1:9/x"}), "nothing is fetched"),
        (_field({"type": "string", "pattern": "^(?=a)b"}), "look-around"),
        (_field({"type": "string", "pattern": "(a{1000}){1000}"}), "exceeds size limit"),
        (_field({"type": "string", "pattern": "a{1,99999999999}"}), "pattern that is none"),
        (_field({"type": "object", "patternProperties": {"^(a+)+$": {}}}), "names every property"),
        (Failing, "Failing has no JSON schema: boom"),
        (BaseModel, "BaseModel has no JSON schema"),
    ],
)
def test_a_wrong_schema_is_told_before(schema: Any, said: str, client: Client, gateway: LocalGateway) -> None:
    """Each is one ConfigurationError, and nothing is sent or fetched."""
    for ask in (lambda: client.chat(A, "x", schema=schema), lambda: bf.compare([A], "x", schema=schema, client=client)):
        with pytest.raises(ConfigurationError, match=said):
            ask()
    with pytest.raises(ConfigurationError, match="pass one of them"):
        client.chat(A, "x", schema=Invoice, response_format={"type": "json_object"})
    with pytest.raises(ConfigurationError, match="takes no schema"):
        bf.compare(["azure/fast"], "x", schema=Invoice, api="text", client=client)
    assert sent(gateway) == []


@pytest.mark.parametrize("name", ["schema", "inputs", "images", "sounds", "repeats", "score"])
def test_what_a_comparison_has_one_of(client: Client, gateway: LocalGateway, name: str) -> None:
    """Columns and pairs rest on it, so no deployment has its own; a format of its own it may have."""
    with pytest.raises(ConfigurationError, match=f"{name} goes for all deployments") as caught:
        bf.compare([{"deployment": A, name: Invoice}, B], "x", client=client)
    assert f"compare(..., {name}=...)" in str(caught.value)
    assert sent(gateway) == []


@pytest.mark.parametrize("name", ["prompt", "input", "messages", "kind", "self", "stream"])
@pytest.mark.parametrize("api", [None, "chat", "responses", "speech"])
def test_what_a_comparison_fills_in(client: Client, gateway: LocalGateway, name: str, api: Any) -> None:
    """A deployment has no question of its own, nor what a call is put together by: one error, not Python's."""
    who = {"deployment": "openai/gpt-4o-mini-tts" if api == "speech" else A, name: "own"}
    with pytest.raises(ConfigurationError, match=f"{name} cannot be a parameter of a comparison's calls"):
        bf.compare([who], "x", client=client, api=api)
    assert sent(gateway) == []


def compared(client: Client, gateway: LocalGateway, **more: Any) -> bf.Comparison:
    script(
        gateway,
        ("Invoice 3", "I cannot."),
        (B, {**GOOD, "number": 8, "paid": False}),
        ("Invoice", GOOD),
    )
    return bf.compare([A, B], "Invoice {{n}}", inputs={"n": [1, 2, 3]}, schema=Invoice, client=client, **more)


def test_a_frame_has_each_field_in_its_own_dtype(client: Client, gateway: LocalGateway) -> None:
    """valid is boolean, numbers, times and texts are typed, lists are objects; NA where the answer is not valid."""
    found = compared(client, gateway)
    frame = found.frame
    assert frame["valid"].tolist() == [True, True, True, True, False, False]
    assert frame["valid_error"].isna().tolist() == [True] * 4 + [False] * 2
    answers = {name: str(dtype) for name, dtype in frame.dtypes.items() if str(name).startswith(("answer_", "valid"))}
    assert answers == {
        "valid": "boolean", "valid_error": "string", "answer_total": "Float64", "answer_number": "Int64",
        "answer_paid": "boolean", "answer_currency": "string", "answer_due": "datetime64[us, UTC]",
        "answer_lines": "object", "answer_first": "object",
    }  # fmt: skip
    assert frame["answer_total"].tolist()[:2] == [12.5, 12.5]
    assert frame["answer_number"].isna().tolist() == [False] * 4 + [True] * 2
    assert frame["answer_due"].iloc[0] == pd.Timestamp("2026-01-31T11:00:00Z")
    assert frame["answer_lines"].iloc[0] == GOOD["lines"]
    summary = found.summary().set_index("deployment")
    assert summary["valid_mean"].round(3).tolist() == [0.667, 0.667]
    assert summary.loc[A, "valid_low"] < 0.667 < summary.loc[A, "valid_high"]


class Square(BaseModel):
    kind: Literal["square"]
    side: float = Field(gt=0, lt=1)


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: int = Field(ge=50)


class Drawing(BaseModel):
    mark: UUID
    lasts: timedelta
    at: tuple[int, str]
    grade: int = Field(ge=1, le=3)
    short: str = Field(max_length=3)
    colours: list[Literal["red", "blue"]] = Field(min_length=2)
    first: Square | Circle = Field(discriminator="kind")
    inside: list[Drawing] = Field(default_factory=list)
    below: Drawing | None = None


def test_the_embedded_gateway_answers_what_a_schema_asks_for(client: Client) -> None:
    """Fixed words, limits, tuples, formats, kinds told apart by a word, models inside themselves: a valid answer."""
    run = client.chat(A, "Draw it.", schema=Drawing)
    assert (run.valid, run.valid_error) == (True, None)


def test_a_field_of_several_kinds_has_one_dtype_whatever_came(client: Client, gateway: LocalGateway) -> None:
    """A column of numbers and texts stays that where all answers are texts, in `bf.fill` too."""

    class Either(BaseModel):
        size: int | str

    script(gateway, ("Read", {"size": "large"}))
    found = compare([A], "Read it.", schema=Either, client=client)
    rows = pd.DataFrame({"n": [1]}, index=[7])
    filled = bf.fill(rows, "Read {{n}}.", deployment=A, schema=Either, client=client)
    columns = (found.frame["answer_size"], filled["size"])
    assert [(column.dtype, column.tolist()) for column in columns] == [(object, ["large"])] * 2


def test_it_comes_out_of_the_log_again(client: Client, gateway: LocalGateway) -> None:
    """The second run of the cell sends nothing and has the same typed frame; so has a copy in another process."""
    first = compared(client, gateway)
    assert first.wait_for_costs(10) == 0
    again = bf.compare([A, B], "Invoice {{n}}", inputs={"n": [1, 2, 3]}, schema=Invoice, client=client)
    assert len(sent(gateway)) == 6
    pd.testing.assert_frame_equal(first.frame, again.frame)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(first)).frame, first.frame)


def test_another_schema_is_another_question(client: Client, gateway: LocalGateway) -> None:
    """The schema is part of the identity."""
    compared(client, gateway)
    schema = {"type": "object", "properties": {"number": {"type": "integer"}}}
    bf.compare([A, B], "Invoice {{n}}", inputs={"n": [1, 2, 3]}, schema=schema, client=client)
    assert len(sent(gateway)) == 12


def test_disagreements_are_the_fields_that_differ(client: Client, gateway: LocalGateway) -> None:
    """Rows without two valid answers, and fields on which all agree, are left out."""
    found = compared(client, gateway).disagreements()
    assert found.columns.tolist() == ["input_id", "input_n", "field", A, B]
    assert found[["input_n", "field", A, B]].to_numpy().tolist() == [
        [1, "number", 7, 8],
        [1, "paid", True, False],
        [2, "number", 7, 8],
        [2, "paid", True, False],
    ]
    with pytest.raises(ConfigurationError, match="no schema"):
        bf.compare([A], "x", client=client).disagreements()

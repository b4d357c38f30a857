"""Both ends of the wire against the gateway's published specification."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from bifrost_nb._wire.choices import choice_text, choices_of, finish_reason, logprobs_of, reasoning_text, tool_calls_of
from bifrost_nb._wire.gateway_errors import is_error, parse_error
from bifrost_nb._wire.metadata import parse_cache, parse_cost, parse_usage, served
from bifrost_nb._wire.requests import Deployment, TextCompletionRequest, body, build_text, endpoint
from tests import lazy

from . import spec

pytestmark = pytest.mark.skipif(spec.spec_path() is None, reason="the specification file is not beside the repository")

AZURE = Deployment("azure", "fast")
LARGE = settings(max_examples=25, suppress_health_check=list(HealthCheck))  # schemas of 600 lines
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=10)


def requests() -> st.SearchStrategy[dict[str, Any]]:
    """Parameters that we accept, in any combination."""
    unit, penalty = st.floats(0, 1), st.floats(-2, 2)
    several = st.lists(TEXTS, min_size=1, max_size=3)
    count, integer = st.integers(1, 2**62), st.integers(-(2**63), 2**63 - 1)
    sampling = {
        "temperature": st.floats(0, 2),
        "top_p": unit,
        "frequency_penalty": penalty,
        "presence_penalty": penalty,
    }
    shape = {"max_tokens": count, "n": st.integers(1, 5), "best_of": st.integers(5, 9), "stop": TEXTS | several}
    flags = {"stream": st.booleans(), "echo": st.booleans(), "logprobs": st.integers(0, 99), "seed": integer}
    optional: dict[str, st.SearchStrategy[Any]] = {
        **sampling, **shape, **flags, "suffix": TEXTS, "user": TEXTS,
        "logit_bias": st.dictionaries(st.integers().map(str), st.floats(-100, 100)),
        "fallbacks": st.lists(st.sampled_from(["openai/gpt", "azure/large"]), max_size=3),
    }  # fmt: skip
    return st.fixed_dictionaries({"prompt": TEXTS | several}, optional=optional)


def test_the_request_has_exactly_the_specified_fields() -> None:
    """No field of the specification is missing, none is invented; `extra` is the only door beside them."""
    assert TextCompletionRequest.model_fields.keys() - {"extra"} == spec.request_schema()["properties"].keys()


def test_the_bounds_are_the_specified_ones() -> None:
    """Each bound of the specification is ours."""
    ours = TextCompletionRequest.model_json_schema()["properties"]
    for name, field in spec.request_schema()["properties"].items():
        mine = ours[name]["anyOf"][0] if "anyOf" in ours[name] else ours[name]
        for bound in ("minimum", "maximum"):
            if bound in field:
                assert mine[bound] == field[bound], name


def test_the_address_has_the_specified_form() -> None:
    """Path, path parameter and query are the specification's."""
    address = endpoint("text", AZURE, "azure", "2024-10-21")
    assert address.path == spec.ROUTE.replace("{deployment-id}", "fast")
    assert {row["name"] for row in spec.parameters() if row["in"] == "query"} == address.query.keys()


@settings(max_examples=50)
@given(requests())
def test_each_request_we_can_send_validates(parameters: dict[str, Any]) -> None:
    """Whatever a caller sets, the JSON that is sent satisfies the specification, on both routes."""
    request = build_text(AZURE, **parameters)
    for route in ("azure", "v1"):
        content = orjson.loads(orjson.dumps(body(request, AZURE, endpoint("text", AZURE, route))))
        lazy.jsonschema.validate(content, spec.request_schema())
        assert content.keys() <= spec.request_schema()["properties"].keys()


def reads(content: dict[str, Any]) -> None:
    """All readers of plain dicts take `content` without an error and tell the truth about its plain parts."""
    for choice in choices_of(content):
        text = choice_text(choice)
        if choice.get("text"):
            assert text == choice["text"]
        assert all(isinstance(value, str) for value in (text, reasoning_text(choice), finish_reason(choice) or ""))
        assert logprobs_of(choice) is None or isinstance(logprobs_of(choice), dict)
        assert isinstance(tool_calls_of(choice), list)
    usage = content.get("usage")
    tokens = parse_usage(usage)
    if isinstance(usage, dict) and isinstance(total := usage.get("total_tokens"), int) and 0 < total < 2**63:
        parts = 0 if tokens.prompt is None or tokens.completion is None else tokens.prompt + tokens.completion
        assert tokens.total == max(total, parts)  # parts that stand beside the whole are folded in
    parse_cost(content, {})
    parse_cache(content.get("extra_fields"))
    served(content, {}, requested=AZURE, fallbacks=["openai/gpt"])


@LARGE
@given(st.data())
def test_generated_answers_are_read(data: st.DataObject) -> None:
    """Whatever answer the specification allows is read."""
    content = data.draw(spec.values(spec.response_schema()))
    reads(content)


@LARGE
@given(st.data())
def test_generated_chunks_are_read(data: st.DataObject) -> None:
    """Whatever chunk the specification allows is read."""
    content = data.draw(spec.values(spec.chunk_schema()))
    reads(content)


@LARGE
@given(st.data(), st.sampled_from([400, 500]))
def test_generated_errors_are_read(data: st.DataObject, status: int) -> None:
    """Whatever error the specification allows gives its status, code and message."""
    content = data.draw(spec.values(spec.error_schema(status)))
    info = parse_error(orjson.dumps(content), status, {})
    assert info == parse_error(content, status, {})
    assert info.status == status
    assert info.message
    if isinstance(content.get("error"), dict) and content["error"]:
        assert is_error(content)

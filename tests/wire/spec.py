"""The schemas of the gateway's published text-completion specification, for tests that hold us to it.

The specification is not part of this repository; a test that needs it takes the schema through `required` and is
skipped with a reason where the file is absent.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

ROUTE = "/openai/openai/deployments/{deployment-id}/completions"
_FILE = Path(__file__).parents[2].parent / "shared" / "spec" / "azure-text-completion.openapi.yaml"

Schema = dict[str, Any]


def spec_path() -> Path | None:
    """The specification file, or None where it is not there."""
    return _FILE if _FILE.is_file() else None


def required() -> Path:
    """The specification file; skips the calling test where it is not there."""
    path = spec_path()
    if path is None:
        pytest.skip("the specification file is not beside the repository")
    return path


def request_schema() -> Schema:
    """The JSON body of a request."""
    schema: Schema = _operation()["requestBody"]["content"]["application/json"]["schema"]
    return schema


def parameters() -> list[Schema]:
    """The path and query parameters of the route."""
    rows: list[Schema] = _operation()["parameters"]
    return rows


def response_schema() -> Schema:
    """A whole answer (200, not streamed)."""
    return _answer("200", "application/json")


def chunk_schema() -> Schema:
    """One chunk of a stream (the JSON of one ``data:`` line)."""
    return _answer("200", "text/event-stream")


def error_schema(status: int = 400) -> Schema:
    """The body of an error; 400 and 500 are described."""
    return _answer(str(status), "application/json")


def _answer(status: str, media: str) -> Schema:
    schema: Schema = _operation()["responses"][status]["content"][media]["schema"]
    return schema


def _operation() -> Schema:
    operation: Schema = _document(required())["paths"][ROUTE]["post"]
    return operation


@functools.lru_cache(maxsize=1)
def _document(path: Path) -> Schema:
    document: Schema = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """Any JSON that `schema` allows, unknown fields included, for the keywords that the specification uses.

    hypothesis-jsonschema 0.23 does this for every schema, but not with the Hypothesis of today: it reaches into
    internals that changed.
    """
    unknown = schema.keys() - {*_KEYWORDS, "description", "example", "format"}
    assert not unknown, f"the specification uses keywords that no value is made for: {unknown}"
    if "oneOf" in schema:
        return st.one_of([values(one) for one in schema["oneOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "array":
        return st.lists(values(schema["items"]), max_size=3)
    if schema["type"] != "object":
        return _SCALARS[schema["type"]]
    named: Schema = schema.get("properties", {})
    required = set(schema.get("required", ()))
    fields = {name: values(inner) for name, inner in named.items()}
    known = st.fixed_dictionaries(
        {name: field for name, field in fields.items() if name in required},
        optional={name: field for name, field in fields.items() if name not in required},
    )
    other = values(schema["additionalProperties"]) if "additionalProperties" in schema else _JSON
    more = st.dictionaries(_TEXT.filter(lambda name: name not in named), other, max_size=2)
    return st.builds(lambda first, second: {**second, **first}, known, more)


_KEYWORDS = frozenset({"type", "properties", "required", "items", "oneOf", "enum", "additionalProperties"})
_TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": _TEXT,
    "integer": st.integers(-(2**63), 2**64 - 1),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1),
    "boolean": st.booleans(),
}
_JSON = st.recursive(
    st.none() | st.one_of(list(_SCALARS.values())),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)


def anything() -> st.SearchStrategy[Any]:
    """Any JSON, with the field names of answers more often than not."""
    words = (
        "provider model routing_info is_fallback model_requested cost total_cost input_cost prompt_tokens total_tokens"
        " cache_debug cache_hit index text delta message content tool_calls function logprobs error type code"
        " status_code extra_fields"
    )
    names = st.sampled_from(words.split())
    return st.recursive(
        st.none() | st.one_of(list(_SCALARS.values())),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | _TEXT, inner, max_size=3),
        max_leaves=12,
    )

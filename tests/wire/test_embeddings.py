"""Embeddings: what is accepted and sent, and the vectors of an answer."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bifrost_nb._client.calls import EmbeddingParameters
from bifrost_nb._wire.embeddings import vectors_of
from bifrost_nb._wire.requests import Deployment, EmbeddingRequest, body, build_embedding, endpoint
from bifrost_nb.errors import ConfigurationError, ProtocolError

SMALL = Deployment("openai", "text-embedding-3-small")


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def answer(*vectors: Any, order: list[int] | None = None) -> dict[str, Any]:
    places = order or list(range(len(vectors)))
    return {"data": [{"index": place, "embedding": vector} for place, vector in zip(places, vectors, strict=True)]}


def test_every_parameter_is_sent_as_given() -> None:
    """A request that sets every field carries every field, and nothing else; on both routes."""
    parameters: dict[str, Any] = {"dimensions": 8, "encoding_format": "base64", "user": "u"}
    assert parameters.keys() | {"input"} == EmbeddingRequest.model_fields.keys() - {"model", "fallbacks", "extra"}
    assert set(EmbeddingParameters.__annotations__) >= parameters.keys()
    request = build_embedding(SMALL, ["a", "b"], fallbacks=["azure/e"], extra={"task_type": "x"}, **parameters)
    whole = {"model": str(SMALL), "input": ["a", "b"], "fallbacks": ["azure/e"], **parameters}
    address = endpoint("embedding", SMALL)
    assert address.path == "/v1/embeddings"
    assert body(request, SMALL, address) == {**whole, "task_type": "x"}
    azure = Deployment("azure", "e")
    address = endpoint("embedding", azure, "azure")
    assert address.path == "/openai/openai/deployments/e/embeddings"
    assert body(build_embedding(azure, "a"), azure, address) == {"model": "azure/e", "input": "a"}


@pytest.mark.parametrize(
    ("given", "parameters", "said"),
    [
        ("", {}, "input is empty"),
        ([], {}, "input is an empty list"),
        (["a", ""], {}, "input[1] is empty"),
        (["a", 1], {}, "input[1] must be text, not int"),
        (7, {}, "input must be text or a list of texts, not int"),
        ("a", {"dimension": 8}, "'dimension' is not a parameter: did you mean 'dimensions'?"),
        ("a", {"dimensions": 0}, "dimensions must be an integer of at least 1"),
        ("a", {"encoding_format": "hex"}, "encoding_format must be one of 'float', 'base64', not 'hex'"),
        ("a", {"stream": True}, "'stream' is not a parameter"),
        ("a", {"extra": {"dimensions": 3}}, "extra holds 'dimensions'"),
    ],
)
def test_a_mistake_is_named(given: Any, parameters: dict[str, Any], said: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigurationError) as caught:
        build_embedding(SMALL, given, **parameters)
    assert said in caught.value.message


def test_vectors_come_in_the_order_of_the_texts() -> None:
    """By their index, which need not be the order of the answer; numbers or base64."""
    assert vectors_of(answer([0.5, 1], [2.0, 3.0], order=[1, 0]), 2) == [[2.0, 3.0], [0.5, 1]]
    assert vectors_of(answer(packed(0.5, -2.0)), 1) == [[0.5, -2.0]]
    assert vectors_of({"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]}, 2) == [[1.0], [2.0]]


def test_of_several_vectors_for_a_text_the_first_counts() -> None:
    """A provider may send further encodings of the same text."""
    assert vectors_of(answer([0.5], [7], [1.5], [9], order=[0, 0, 1, 1]), 2) == [[0.5], [1.5]]


@pytest.mark.parametrize(
    ("received", "said"),
    [
        (answer([1.0]), "1 readable embeddings for 2 inputs; the first without is input[1]"),
        (answer([1.0], [2.0], [3.0]), "3 readable embeddings for 2 inputs"),
        (answer([1.0], [2.0], order=[0, 5]), "the first without is input[1]"),
        (answer([1.0], [1.0, "x"]), "the first without is input[1]"),
        (answer([1.0], "no base64!"), "the first without is input[1]"),
        (answer([1.0], base64.b64encode(b"12345").decode()), "the first without is input[1]"),
        (answer([], [2.0]), "the first without is input[0]"),
        ({}, "0 readable embeddings"),
        ({"data": {"0": [1.0]}}, "0 readable embeddings"),
    ],
)
def test_a_missing_vector_is_an_error(received: dict[str, Any], said: str) -> None:
    """A vector must never stand for another text than its own."""
    with pytest.raises(ProtocolError) as caught:
        vectors_of(received, 2)
    assert said in caught.value.message


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["data", "index", "embedding", "x"]), inner, max_size=3)
        ),
    ),
    st.integers(1, 3),
)
def test_any_json_is_read_or_refused(data: Any, inputs: int) -> None:
    """As many vectors as inputs, or a ProtocolError; never another exception."""
    try:
        found = vectors_of({"data": data}, inputs)
    except ProtocolError:
        return
    assert len(found) == inputs

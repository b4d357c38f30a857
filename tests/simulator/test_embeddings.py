"""Embeddings: the same text gives the same vector, similar texts near ones; on every route that has them."""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import pytest

from bifrost_nb._simulator.content.embeddings import vector
from bifrost_nb._simulator.content.tokens import count
from bifrost_nb._simulator.process import local_gateway

from .conftest import Wire

SMALL = "openai/text-embedding-3-small"
TEXTS = ["A cat sat on the mat.", "The cat sat on a mat.", "Stock prices fell sharply today."]
ROUTES = (
    "/v1/embeddings", "/openai/v1/embeddings", "/openai/embeddings",
    "/openai/openai/deployments/embeddings/embeddings", "/litellm/v1/embeddings", "/langchain/embeddings",
    "/pydanticai/v1/embeddings",
)  # fmt: skip


def vectors(wire: Wire, given: Any, model: str = SMALL, **fields: Any) -> list[Any]:
    answer = wire.post("/v1/embeddings", {"model": model, "input": given, **fields})
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert [item["index"] for item in data] == list(range(len(data)))
    return [item["embedding"] for item in data]


def cosine(first: list[float], second: list[float]) -> float:
    """Of two vectors of length 1."""
    return sum(one * other for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("path", ROUTES)
def test_every_route_answers(wire: Wire, path: str) -> None:
    """The native route, the integrations and the path of an Azure deployment all have them."""
    answer = wire.post(path, {"model": SMALL, "input": TEXTS})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["object"], len(body["data"])) == ("list", 3)
    assert body["extra_fields"]["request_type"] == "embedding"
    assert len(body["data"][0]["embedding"]) == (3_072 if "deployments" in path else 1_536)
    assert body["usage"] == {"prompt_tokens": sum(map(count, TEXTS)), "total_tokens": sum(map(count, TEXTS))}


def test_similar_texts_are_near_and_others_are_not(wire: Wire) -> None:
    """Vectors have length 1; shared words bring them together, whatever the number of dimensions."""
    for dimensions in (1_536, 256, 64):
        cat, other_cat, stocks = vectors(wire, TEXTS, dimensions=dimensions)
        assert math.isclose(cosine(cat, cat), 1, rel_tol=1e-5)
        assert cosine(cat, other_cat) > 0.7 > 0.4 > cosine(cat, stocks)


def test_the_same_text_has_the_same_vector_in_every_process(each: Wire) -> None:
    """Only text, deployment, dimensions and seed decide; another deployment or seed has a space of its own."""
    (first,) = vectors(each, TEXTS[0], dimensions=64)
    assert vectors(each, [TEXTS[1], TEXTS[0]], dimensions=64)[1] == first
    assert first == pytest.approx(vector(TEXTS[0], 64, f"0 {SMALL}"))
    assert abs(cosine(first, vectors(each, TEXTS[0], "cohere/embed-v4.0", dimensions=64)[0])) < 0.5
    with local_gateway(seed=1, speed=50) as gateway:
        other = Wire(gateway)
        assert abs(cosine(first, vectors(other, TEXTS[0], dimensions=64)[0])) < 0.5
        other.http.close()


@pytest.mark.parametrize("text", ["x", "?!", "日本語", "🎈", "a\nb", "word " * 500])
def test_any_text_has_a_vector(text: str) -> None:
    """No text is without features."""
    assert math.isclose(sum(value * value for value in vector(text, 32)), 1, rel_tol=1e-5)


def test_base64_holds_the_same_numbers(wire: Wire) -> None:
    """Little-endian numbers of 32 bits."""
    numbers = vectors(wire, TEXTS[:2], dimensions=16)
    packed = vectors(wire, TEXTS[:2], dimensions=16, encoding_format="base64")
    assert [list(struct.unpack("<16f", base64.b64decode(text))) for text in packed] == numbers


def test_token_numbers_are_taken(wire: Wire) -> None:
    """OpenAI-style providers take them, and frameworks send them."""
    assert len(vectors(wire, [1, 2, 3])) == 1
    assert len(vectors(wire, [[1, 2], [3]])) == 2


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"input": None}, 400, "input is required"),
        ({"input": []}, 400, "input is required"),
        ({"input": {"a": 1}}, 400, "invalid embedding input"),
        ({"input": ["a", 1]}, 400, "invalid embedding input"),
        ({"input": [1, 1.5]}, 400, "invalid embedding input"),
        ({"input": [[1, 2], [1.5]]}, 400, "invalid embedding input"),
        ({"input": [["a"]]}, 400, "invalid embedding input"),
        ({"input": [[True]]}, 400, "invalid embedding input"),
        ({"input": [[1], []]}, 400, "invalid embedding input"),
        ({"input": ["a", [1]]}, 400, "invalid embedding input"),
        ({"input": ["a", ""]}, 400, "must not be empty"),
        ({"input": "a", "dimensions": 9_999}, 400, "not between 1 and 1536"),
        ({"input": "a", "dimensions": "8"}, 400, "must be an integer"),
        ({"input": "a", "encoding_format": "hex"}, 400, "'hex' is not one of"),
        ({"input": ["a"] * 2_049}, 400, "at most 2048"),
        ({"input": "word " * 9_000}, 400, "maximum context length"),
        ({"input": "a", "model": "openai/gpt-4o-mini"}, 403, "not allowed to generate embeddings"),
        ({"input": "a", "model": "azure/fast"}, 400, "The embeddings operation does not work"),
        ({"input": "a", "model": "anthropic/claude-haiku-4-5"}, 400, "embedding is not supported by anthropic"),
        ({"input": "a", "model": "openai/nobody"}, 404, "does not exist"),
    ],
)
def test_what_a_provider_refuses_is_refused(wire: Wire, fields: dict[str, Any], status: int, said: str) -> None:
    """Wrong types by the gateway, wrong values and models by the provider."""
    answer = wire.post("/v1/embeddings", {"model": SMALL, **fields})
    assert (answer.status_code, said in answer.json()["error"]["message"]) == (status, True), answer.text


def test_an_embedding_model_does_not_chat(wire: Wire) -> None:
    """Asked for text it is an error, on each route for text."""
    chat = {"model": SMALL, "messages": [{"role": "user", "content": "Hi"}]}
    assert wire.post("/v1/chat/completions", chat).status_code == 404
    assert wire.post("/v1/completions", {"model": SMALL, "prompt": "Hi"}).status_code == 404
    assert wire.post("/v1/responses", {"model": SMALL, "input": "Hi"}).status_code == 404


def test_fallbacks_scripts_and_the_log_work_as_everywhere(wire: Wire) -> None:
    """A planted error is followed by the fallback; each attempt has a row, the good one with its cost."""
    wire.gateway.script([{"deployment": SMALL, "prompt": "needle", "status": 500}])
    identity = "00000000-0000-4000-8000-000000000002"
    body = {"model": SMALL, "input": ["a needle", "hay"], "fallbacks": ["azure/embeddings"]}
    assert wire.post("/v1/embeddings", body, **{"x-request-id": identity}).status_code == 200
    assert wire.gateway.requests()[0]["served"] == "azure/embeddings"
    assert wire.row(identity)["status"] == "error"
    child = wire.row(identity, parent=True)
    assert (child["object"], child["alias"], child["status"]) == ("embedding", "embeddings", "success")
    assert child["model"] == "text-embedding-3-large"
    assert child["cost"] == pytest.approx((count("a needle") + count("hay")) * 0.13e-6)
    assert "output_message" not in child


def test_the_models_say_what_they_are_for(wire: Wire) -> None:
    """The list of models tells embedding models from others, with prices."""
    models = {item["id"]: item for item in wire.http.get("/v1/models", params={"page_size": 1000}).json()["data"]}
    found = {name for name, item in models.items() if item["supported_methods"] == ["embedding"]}
    assert found == {SMALL, "azure/embeddings", "cohere/embed-v4.0"}
    assert float(models[SMALL]["pricing"]["prompt"]) == pytest.approx(2e-8)

"""Who served, what it used, what it cost, across gateway versions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from bifrost_nb._wire.deployments import Deployment
from bifrost_nb._wire.metadata import Cache, Cost, Served, Tokens, parse_cache, parse_cost, parse_usage, served

from .spec import anything

AZURE = Deployment("azure", "fast")
FALLBACKS = ["openai/gpt", "azure/large", "local/llama"]
NONE = Served(None, None, None, None, None, None, None, None)


def extra(**fields: Any) -> dict[str, Any]:
    """An answer with these extra fields."""
    return {"model": "upstream-name", "extra_fields": fields}


SERVED: dict[str, tuple[dict[str, Any], dict[str, str], dict[str, Any]]] = {
    "1.3 primary": (
        extra(provider="azure", model_requested="fast", model_deployment="gpt-35"), {},
        {"provider": "azure", "model": "fast", "deployment": "gpt-35", "requested_model": "fast",
         "is_fallback": False, "fallback_index": 0, "gateway_version_hint": "1.3"},
    ),
    "1.3 fallback of another provider": (
        extra(provider="openai", model_requested="gpt"), {},
        {"provider": "openai", "model": "gpt", "is_fallback": True, "fallback_index": 1},
    ),
    "1.3 fallback of the same provider": (
        extra(provider="azure", model_requested="large", model_deployment="large"), {},
        {"model": "large", "is_fallback": True, "fallback_index": 2},
    ),
    "1.3 same provider, names that say nothing": (
        extra(provider="azure", model_deployment="other"), {},
        {"provider": "azure", "is_fallback": None, "fallback_index": None},
    ),
    "1.3 fallback that the gateway added": (
        extra(provider="mistral", model_requested="m"), {},
        {"provider": "mistral", "is_fallback": True, "fallback_index": None},
    ),
    "1.3 chunk without a model, as of anthropic": (
        {"model": "", "extra_fields": {"provider": "azure", "model_requested": "fast"}}, {},
        {"provider": "azure", "model": "fast", "deployment": None, "is_fallback": False},
    ),
    "1.5 primary": (
        extra(provider="azure", original_model_requested="fast", resolved_model_used="gpt-35"),
        {"x-bifrost-provider": "azure", "x-bifrost-resolved-model": "gpt-35"},
        {"provider": "azure", "model": "gpt-35", "requested_model": "fast", "is_fallback": False, "fallback_index": 0,
         "gateway_version_hint": "1.5"},
    ),
    "1.5 fallback": (
        extra(provider="openai", original_model_requested="fast", resolved_model_used="gpt"),
        {"X-Bifrost-Provider": "openai", "X-Bifrost-Fallback-Index": "1"},
        {"provider": "openai", "model": "gpt", "requested_model": "fast", "is_fallback": True, "fallback_index": 1},
    ),
    "1.5 fallback of the same provider, without headers": (
        extra(provider="azure", original_model_requested="fast", resolved_model_used="large"), {},
        {"model": "large", "is_fallback": True, "fallback_index": 2},
    ),
    "1.6 primary, is_fallback left out": (
        extra(provider="azure", resolved_model_used="fast", routing_info={"provider": "azure", "model": "fast"}), {},
        {"provider": "azure", "model": "fast", "is_fallback": False, "fallback_index": 0, "requested_provider": "azure",
         "gateway_version_hint": "1.6"},
    ),
    "1.6 fallback": (
        extra(provider="local", routing_info={"provider": "local", "model": "llama", "is_fallback": True,
              "primary_provider": "azure", "primary_model": "fast"}), {},
        {"provider": "local", "model": "llama", "requested_provider": "azure", "requested_model": "fast",
         "is_fallback": True, "fallback_index": 3},
    ),
    "1.5 fallback in a stream, which does not say so": (
        extra(request_type="text_completion_stream", provider="local", original_model_requested="llama",
              resolved_model_used="llama", routing_info={"provider": "local", "model": "llama"}),
        {"x-bifrost-provider": "local"},
        {"provider": "local", "model": "llama", "is_fallback": True, "fallback_index": 3},
    ),
    "1.5 primary in a stream": (
        extra(request_type="text_completion_stream", routing_info={"provider": "azure", "model": "fast"}), {},
        {"is_fallback": False, "fallback_index": 0},
    ),
    "1.5 primary that a rule of the gateway chose": (
        extra(request_type="text_completion_stream", routing_info={"provider": "mistral", "model": "m"}),
        {"x-bifrost-provider": "mistral"},
        {"provider": "mistral", "is_fallback": False, "fallback_index": 0},
    ),
    "2.x alias": (
        extra(upstream_latency=3, routing_info={"provider": "azure", "model": "fast", "is_fallback": False,
              "resolved_key_alias": {"model_id": "gpt-35-0125"}}), {},
        {"model": "fast", "deployment": "gpt-35-0125", "gateway_version_hint": "2.0"},
    ),
    "only headers, as with raw answers": (
        {"model": "gpt-35-0125"},
        {"x-bifrost-routing-info-provider": "openai", "x-bifrost-routing-info-model": "gpt",
         "x-bifrost-routing-info-is-fallback": "true", "x-bifrost-fallback-index": "1",
         "x-bifrost-routing-info-primary-provider": "azure", "x-bifrost-routing-info-primary-model": "fast",
         "x-bifrost-routing-info-alias-model-id": "gpt-0125"},
        {"provider": "openai", "model": "gpt", "deployment": "gpt-0125", "requested_provider": "azure",
         "requested_model": "fast", "is_fallback": True, "fallback_index": 1},
    ),
    "nothing": ({}, {}, NONE._asdict()),
    "wrong types": (
        {"model": 5, "extra_fields": {"provider": ["azure"], "routing_info": "x", "resolved_model_used": {}}},
        {"x-bifrost-fallback-index": "first"}, {**NONE._asdict(), "gateway_version_hint": "1.6"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SERVED)
def test_who_served_is_read_from_every_version(case: str) -> None:
    """Each generation of the gateway says it in its own place; what it does not say stays unknown."""
    body, headers, expected = SERVED[case]
    result = served(body, headers, requested=AZURE, fallbacks=FALLBACKS)._asdict()
    assert {name: result[name] for name in expected} == expected


def test_without_the_question_an_old_gateway_does_not_tell() -> None:
    """Gateway 1.3 does not say whether a fallback answered: with nothing to compare, it is unknown."""
    told = served(extra(provider="openai", model_requested="gpt"), {})
    assert (told.provider, told.is_fallback, told.fallback_index) == ("openai", None, None)
    chunk = extra(request_type="text_completion_stream", routing_info={"provider": "openai", "model": "gpt"})
    assert served(chunk, {}).is_fallback is None
    assert served(chunk, {"x-bifrost-provider": "openai"}).is_fallback is False


def test_names_from_outside_are_made_safe() -> None:
    """A provider name cannot move the cursor or fill the screen."""
    told = served(extra(provider="\x1b[2Jaz\u202eure", resolved_model_used="m" * 5000, model=" "), {})
    assert told.provider == "azure"
    assert told.model is not None
    assert len(told.model) == 200


NO_COST: list[Any] = [None, True, "0.5", -1, {}, [], {"total_cost": "x"}, 10**400]
COSTS: list[tuple[dict[str, Any], dict[str, str], Cost | None]] = [
    ({"usage": {"cost": 0.5}}, {}, Cost(None, None, 0.5)),
    ({"usage": {"cost": 0}}, {}, Cost(None, None, 0.0)),
    ({"usage": {"cost": {"input_tokens_cost": 1, "output_tokens_cost": 2, "request_cost": 0.5, "total_cost": 3.5}}}, {},
     Cost(1.0, 2.0, 3.5)),
    ({"usage": {"cost": {"input_tokens_cost": 1, "output_tokens_cost": 2, "request_cost": 0.5}}}, {},
     Cost(1.0, 2.0, 3.5)),
    ({"usage": {"cost": {"input_cost": 1, "input_cost_details": {"text": 1}, "output_cost": 2, "additional_cost": 0.25,
                         "total_cost": 3.25}}}, {}, Cost(1.0, 2.0, 3.25)),
    ({"usage": {"cost": {"input_cost": 1, "output_cost": 2, "additional_cost": 0.25}}}, {}, Cost(1.0, 2.0, 3.25)),
    ({"usage": {"cost": {"input_cost": 1}}}, {}, Cost(1.0, None, None)),
    ({"usage": {}, "extra_fields": {"cost": 0.25}}, {}, Cost(None, None, 0.25)),
    # OpenRouter with one's own key
    ({"usage": {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.5}}}, {},
     Cost(None, None, 0.5)),
    ({"usage": {"cost": 0.25, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.5}}}, {},
     Cost(None, None, 0.75)),
    ({"usage": {"cost": 0, "is_byok": True}}, {}, None),
    ({"usage": {"cost": 0.25, "is_byok": False}}, {}, Cost(None, None, 0.25)),
    ({"extra_fields": {"cost": {"total_cost": 0.25}}}, {"x-bifrost-cost-usd": "9"}, Cost(None, None, 0.25)),
    ({}, {"X-Bifrost-Cost-Usd": "0.0012"}, Cost(None, None, 0.0012)),
    *(({"usage": {"cost": value}}, {}, None) for value in NO_COST),
    *(({}, {"x-bifrost-cost-usd": text}, None) for text in ("", "free", "nan", "inf", "-1")),
    ({"usage": [], "extra_fields": "x"}, {}, None),
]  # fmt: skip


@pytest.mark.parametrize(("body", "headers", "expected"), COSTS)
def test_cost_is_read_in_every_shape(body: dict[str, Any], headers: dict[str, str], expected: Cost | None) -> None:
    """A number, the flat and the nested object, the gateway's own field and header; nonsense is unknown, not 0."""
    assert parse_cost(body, headers) == expected


NO_USAGE: list[Any] = [None, [], "x", 5, {"prompt_tokens_details": []}]
USAGES: list[tuple[Any, Tokens]] = [
    ({"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}, Tokens(3, 5, 8, None, None)),
    ({"prompt_tokens": 3, "total_tokens": 3}, Tokens(3, 0, 3, None, None)),
    ({"completion_tokens": 3, "total_tokens": 3}, Tokens(0, 3, 3, None, None)),
    ({"prompt_tokens": 3, "completion_tokens": 5}, Tokens(3, 5, 8, None, None)),
    ({"total_tokens": 8}, Tokens(None, None, 8, None, None)),
    ({"total_tokens": 0}, Tokens(None, None, None, None, None)),
    # no call has neither prompt nor answer: who writes zeros has not counted
    ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, Tokens(None, None, None, None, None)),
    ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0},
      "completion_tokens_details": {"reasoning_tokens": 0}}, Tokens(None, None, None, None, None)),
    # LiteLLM, DeepSeek and Moonshot, where an answer is handed on as it came
    ({"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "cache_read_input_tokens": 7},
     Tokens(9, 1, 10, 7, None)),
    ({"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "cache_creation_input_tokens": 6},
     Tokens(9, 1, 10, None, None, 6)),
    ({"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10,
      "prompt_tokens_details": {"cached_tokens": 2, "cache_creation_tokens": 6}}, Tokens(9, 1, 10, 2, None, 6)),
    ({"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "prompt_cache_hit_tokens": 7},
     Tokens(9, 1, 10, 7, None)),
    ({"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "cached_tokens": 7}, Tokens(9, 1, 10, 7, None)),
    ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}, "completion_tokens": 5, "total_tokens": 8,
      "completion_tokens_details": {"reasoning_tokens": 4}}, Tokens(3, 5, 8, 2, 4)),
    # Gemini up to gateway 1.4.0 (captured), xAI: reasoning beside the completion
    ({"prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens": 11, "total_tokens": 23,
      "completion_tokens_details": {"reasoning_tokens": 5}}, Tokens(7, 16, 23, 3, 5)),
    ({"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 340,
      "completion_tokens_details": {"reasoning_tokens": 319}}, Tokens(12, 328, 340, None, 319)),
    ({"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21,
      "completion_tokens_details": {"reasoning_tokens": 319}}, Tokens(12, 328, 340, None, 319)),
    # Bedrock: what the cache had beside the prompt; read, written, both, and together with reasoning
    ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115,
      "prompt_tokens_details": {"cached_tokens": 100}}, Tokens(110, 5, 115, 100, None)),
    ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 55,
      "prompt_tokens_details": {"cached_tokens": 0, "cached_write_tokens": 40}}, Tokens(50, 5, 55, 0, None, 40)),
    ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 155,
      "prompt_tokens_details": {"cached_read_tokens": 100, "cache_write_tokens": 40}},
     Tokens(150, 5, 155, 100, None, 40)),
    ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 122,
      "prompt_tokens_details": {"cached_tokens": 100}, "completion_tokens_details": {"reasoning_tokens": 7}},
     Tokens(110, 12, 122, 100, 7)),
    # 2.0 writes both names of what was written
    ({"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55,
      "prompt_tokens_details": {"cached_write_tokens": 40, "cache_write_tokens": 0}},
     Tokens(50, 5, 55, None, None, 40)),
    ({"prompt_tokens_details": {"cached_read_tokens": 2}}, Tokens(None, None, None, 2, None)),
    ({"input_tokens": 3, "output_tokens": 5, "total_tokens": 8, "input_tokens_details": {"cached_tokens": 0}},
     Tokens(3, 5, 8, 0, None)),
    ({"prompt_tokens": 3.0, "completion_tokens": 2.5, "total_tokens": -1}, Tokens(3, None, None, None, None)),
    ({"prompt_tokens": True, "completion_tokens": "5", "total_tokens": None}, Tokens(None, None, None, None, None)),
    *((value, Tokens(None, None, None, None, None)) for value in NO_USAGE),
]  # fmt: skip


@pytest.mark.parametrize(("usage", "expected"), USAGES)
def test_tokens_are_read_and_worked_out(usage: Any, expected: Tokens) -> None:
    """A count that the gateway left out follows from the other two; unknown stays unknown."""
    assert parse_usage(usage) == expected


@given(*[st.integers(0, 300)] * 5, st.booleans(), st.booleans())
def test_parts_are_never_greater_than_their_whole(
    prompt: int, completion: int, cached: int, write: int, reasoning: int, apart: bool, counted: bool
) -> None:
    """Wherever a provider counts its parts, the columns hold them inside; a total that agrees is never changed."""
    beside = (cached + write + reasoning) * apart
    total = prompt + completion + beside
    usage: dict[str, Any] = {
        "prompt_tokens": prompt, "completion_tokens": completion, **({"total_tokens": total} if counted else {}),
        "prompt_tokens_details": {"cached_tokens": cached, "cached_write_tokens": write},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }  # fmt: skip
    found = parse_usage(usage)
    if not any((prompt, completion, cached, write, reasoning)):
        assert not any(found)
        return
    assert None not in found
    assert max(found.cached or 0, found.cache_write or 0) <= (found.prompt or 0)
    assert (found.reasoning or 0) <= (found.completion or 0) <= (found.total or 0)
    if counted and apart:
        assert found.total == total


def test_the_cache_is_read() -> None:
    """Hit, kind and similarity; all unknown where the cache did not run."""
    debug = {"cache_hit": True, "hit_type": "semantic", "similarity": 0.93}
    assert parse_cache({"cache_debug": debug}) == Cache(True, "semantic", 0.93)
    assert parse_cache({"cache_debug": {"cache_hit": False}}) == Cache(False, None, None)
    unknown = {"cache_hit": "yes", "similarity": "high"}
    nothings: list[Any] = [None, {}, [], {"cache_debug": None}, {"cache_debug": unknown}]
    for nothing in nothings:
        assert parse_cache(nothing) == Cache(None, None, None)


@given(st.dictionaries(st.sampled_from(["usage", "extra_fields", "model", "choices", "x"]), anything(), max_size=4))
def test_readers_take_any_json(body: dict[str, Any]) -> None:
    """Whatever a server answers, reading it raises nothing."""
    parse_cost(body, {})
    parse_usage(body.get("usage"))
    parse_cache(body.get("extra_fields"))
    served(body, {}, requested=AZURE, fallbacks=FALLBACKS)

"""A run in which every field differs, and what each column of its row must hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from bifrost_nb._runs.run import Attempt, Run

STARTED = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)

EXPECTED: dict[str, Any] = {
    "run_id": "run-1",
    "request_id": "request-2",
    "comparison_id": "comparison-3",
    "prompt_id": "prompt-4",
    "started_at": STARTED,
    "request_type": "chat_completion",
    "requested_provider": "azure",
    "requested_model": "gpt-6",
    "fallbacks": '["openai/gpt-7","mistral/large-8"]',
    "repeat": 9,
    "provider": "openai",
    "model": "gpt-10",
    "model_deployment": "deployment-11",
    "is_fallback": True,
    "fallback_index": 12,
    "status": "truncated",
    "finish_reason": "length",
    "http_status": 213,
    "error_type": "type-14",
    "error_code": "code-15",
    "error_message": "message 16: größer\n\u2028\U0001f600",
    "prompt_tokens": 17,
    "completion_tokens": 18,
    "total_tokens": 19,
    "cached_tokens": 20,
    "cache_write_tokens": 21,
    "reasoning_tokens": 2**53 + 1,
    "input_cost_usd": 0.22,
    "output_cost_usd": 0.1 + 0.2,
    "cost_usd": 1e-9,
    "cost_source": "prices",
    "queue_ms": 26.5,
    "ttft_ms": 27.25,
    "total_ms": 28.125,
    "latency_ms": 29.0,
    "gap_p50_ms": 30.5,
    "gap_max_ms": 31.5,
    "chunks": 32,
    "tokens_per_s": 33.3,
    "cache_hit": False,
    "cache_hit_type": "semantic",
    "cache_similarity": 0.36,
    "prompt": 'Say "37"\t\\ twice',
    "response": "=38, =38",
    "tool_calls": '[{"function":{"arguments":"{}","name":"f"},"id":"call-44"}]',
    "params": '{"max_tokens":39,"stop":["\\n"]}',
    "tags": '{"a":40,"b":[1,2]}',
    "rating": "good",
    "gateway_version": "2.2.42",
}


def full_run() -> Run:
    """The run that EXPECTED describes, started in another time zone."""
    values = EXPECTED | {
        "started_at": STARTED.astimezone(timezone(timedelta(hours=5, minutes=30))),
        "fallbacks": ["openai/gpt-7", "mistral/large-8"],
        "params": {"stop": ["\n"], "max_tokens": 39},
        "tags": {"b": [1, 2], "a": 40},
        "tool_calls": [{"id": "call-44", "function": {"name": "f", "arguments": "{}"}}],
    }
    return Run(
        **values,
        base_url="http://gateway-47:8080",
        texts=["=38, =38", "second choice"],
        reasoning="because 43",
        annotations=[{"type": "url_citation", "url_citation": {"url": "https://example.org"}}],
        logprobs={"tokens": ["a"], "token_logprobs": [-0.45]},
        usage={"prompt_tokens": 17, "details": {"audio": 46}},
        extra_fields={"latency": 29, "cache_debug": {"hit": False}},
        raw={"not": "written"},
        chunk_times_ms=[27.25, 28.0],
        attempts=[
            Attempt(request_id="request-1", started_ms=0.5, ended_ms=3.5, http_status=503, error="busy", wait_ms=20.0),
            Attempt(request_id="request-2", started_ms=23.5),
        ],
    )

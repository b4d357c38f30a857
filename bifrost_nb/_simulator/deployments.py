"""The simulated deployments: who there is, how quick, how dear, how reliable.

Names, prices and speeds look like the real thing and are made up. Times are in ms, prices in US dollars per million
tokens, both of `speed` 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["DEFAULT_DEPLOYMENTS", "Kind", "SimulatedDeployment", "deployments_by_id"]

Kind = Literal["text", "chat", "responses", "embedding", "image", "speech", "transcription"]
"""What is asked for; a deployment that chats answers ``responses`` too, as the gateway converts between the two."""


class SimulatedDeployment(BaseModel):
    """One deployment behind the embedded gateway."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9_-]+/.+$")
    """``provider/model``, split at the first slash."""
    kinds: tuple[Kind, ...] = ("text", "chat")
    """Which routes it answers; the others get an error, as from a real provider."""
    dimensions: int = Field(1_536, ge=8, le=4_096)
    """Numbers in each of its embedding vectors; a request may ask for fewer."""
    upstream_model: str | None = None
    """What the provider itself calls it, where a gateway key maps the name to another one."""
    ttft_ms: float = Field(180, ge=0)
    """Median time to the first token."""
    spread: float = Field(0.25, ge=0)
    """Sigma of the log-normal law that times follow."""
    tokens_per_s: float = Field(120, gt=0)
    chunk_tokens: int = Field(1, ge=1)
    """Tokens per streamed chunk: a chunk is not a token."""
    input_usd: float | None = Field(0.5, ge=0)
    """Per million prompt tokens; None: the gateway knows no price."""
    output_usd: float | None = Field(1.5, ge=0)
    cached_input_usd: float | None = Field(None, ge=0)
    """Per million prompt tokens read from the provider's prompt cache; None: it has no such cache."""
    picture_usd: float | None = Field(None, ge=0)
    """Per picture, beside the tokens of its prompt."""
    character_usd: float | None = Field(None, ge=0)
    """Per character that is spoken."""
    second_usd: float | None = Field(None, ge=0)
    """Per second of sound that is written down."""
    context_tokens: int = Field(16_384, gt=0)
    max_output_tokens: int = Field(4_096, gt=0)
    error_rate: float = Field(0, ge=0, le=1)
    """Share of requests that fail with status 500."""
    requests_per_s: float | None = Field(None, gt=0)
    """Beyond so many requests in a second: 429 with ``Retry-After``."""
    reports_cost: Literal["object", "number"] | None = None
    """How the provider itself reports the cost in its answer; None: it does not, as most."""
    reasoning: bool = False
    images: bool = False
    """Whether the list of models says that its chat takes images."""
    style: Literal["plain", "terse", "chatty", "formal", "playful"] = "plain"
    verbosity: float = Field(1, gt=0)
    """Factor on the length of its answers."""

    @cached_property
    def provider(self) -> str:
        """The part before the first slash."""
        return self.id.partition("/")[0]

    @cached_property
    def model(self) -> str:
        """The part after the first slash."""
        return self.id.partition("/")[2]

    def answers(self, kind: Kind) -> bool:
        """Whether it serves this kind of request."""
        return kind in self.kinds or (kind == "responses" and "chat" in self.kinds)

    def cost(self, prompt: int, completion: int, cached: int = 0) -> tuple[float, float] | None:
        """US dollars for (prompt, completion) tokens; None where there is no price."""
        if self.input_usd is None or self.output_usd is None:
            return None
        cached_usd = self.input_usd if self.cached_input_usd is None else self.cached_input_usd
        return ((prompt - cached) * self.input_usd + cached * cached_usd) / 1e6, completion * self.output_usd / 1e6


def _deployment(id: str, kinds: str, **facts: Any) -> SimulatedDeployment:
    return SimulatedDeployment(id=id, kinds=tuple(kinds.split()), **facts)


DEFAULT_DEPLOYMENTS: tuple[SimulatedDeployment, ...] = (
    _deployment(
        "azure/gpt-35-turbo-instruct", "text", ttft_ms=170, tokens_per_s=110, input_usd=1.5, output_usd=2.0,
        context_tokens=4_096, style="plain",
    ),
    _deployment(
        "azure/fast", "text chat", ttft_ms=90, tokens_per_s=240, chunk_tokens=2, input_usd=0.15, output_usd=0.6,
        style="terse", verbosity=0.7,
    ),
    _deployment(
        "azure/large", "text chat", ttft_ms=320, tokens_per_s=80, input_usd=5.0, output_usd=15.0,
        context_tokens=128_000, style="formal", verbosity=1.4,
    ),
    _deployment("azure/flaky", "text chat", ttft_ms=150, tokens_per_s=140, error_rate=0.15, spread=0.5),
    _deployment("azure/always-fails", "text chat", ttft_ms=120, tokens_per_s=140, error_rate=1.0),
    _deployment("azure/rate-limited", "text chat", ttft_ms=110, tokens_per_s=180, requests_per_s=5),
    _deployment(
        "azure/gpt-4o", "chat", upstream_model="gpt-4o-2024-11-20", ttft_ms=230, tokens_per_s=110, input_usd=2.5,
        output_usd=10.0, cached_input_usd=1.25, context_tokens=128_000, max_output_tokens=16_384, style="formal",
        images=True,
    ),
    _deployment(
        "openai/gpt-3.5-turbo-instruct", "text", ttft_ms=200, tokens_per_s=100, input_usd=1.5, output_usd=2.0,
        context_tokens=4_096, style="chatty", verbosity=1.1,
    ),
    _deployment(
        "openai/gpt-4o-mini", "chat", ttft_ms=210, tokens_per_s=130, input_usd=0.15, output_usd=0.6,
        cached_input_usd=0.075, context_tokens=128_000, max_output_tokens=16_384, style="chatty",
        images=True,
    ),
    _deployment(
        "anthropic/claude-haiku-4-5", "chat", ttft_ms=260, tokens_per_s=150, chunk_tokens=4, input_usd=1.0,
        output_usd=5.0, context_tokens=200_000, max_output_tokens=64_000, style="plain", verbosity=1.2,
    ),
    _deployment(
        "anthropic/claude-sonnet-4-5", "chat", ttft_ms=380, tokens_per_s=80, chunk_tokens=4, input_usd=3.0,
        output_usd=15.0, context_tokens=200_000, max_output_tokens=64_000, style="formal", verbosity=1.3,
    ),
    _deployment(
        "mistral/mistral-small-latest", "chat", ttft_ms=140, tokens_per_s=160, input_usd=0.1, output_usd=0.3,
        context_tokens=32_000, style="terse",
    ),
    _deployment(
        "groq/llama-3.3-70b-versatile", "chat", ttft_ms=60, tokens_per_s=400, chunk_tokens=4, spread=0.15,
        input_usd=0.59, output_usd=0.79, context_tokens=128_000, max_output_tokens=32_768, style="playful",
    ),
    _deployment(
        "cohere/command-r", "chat", ttft_ms=190, tokens_per_s=90, input_usd=0.15, output_usd=0.6,
        context_tokens=128_000, style="formal", verbosity=0.9,
    ),
    _deployment(
        "gemini/gemini-2.5-flash", "chat", ttft_ms=240, tokens_per_s=190, chunk_tokens=6, input_usd=0.3, output_usd=2.5,
        cached_input_usd=0.03, context_tokens=1_048_576, max_output_tokens=65_536, reasoning=True, style="plain",
    ),
    _deployment(
        "bedrock/amazon.nova-lite-v1:0", "chat", ttft_ms=210, tokens_per_s=140, chunk_tokens=2, input_usd=0.06,
        output_usd=0.24, cached_input_usd=0.015, context_tokens=300_000, max_output_tokens=5_120, style="terse",
    ),
    _deployment(
        "perplexity/sonar", "chat", ttft_ms=350, tokens_per_s=120, chunk_tokens=3, input_usd=1.0, output_usd=1.0,
        context_tokens=127_072, reports_cost="object", style="plain",
    ),
    _deployment(
        "openrouter/deepseek/deepseek-r1", "chat", ttft_ms=220, tokens_per_s=140, input_usd=0.4, output_usd=1.75,
        context_tokens=163_840, max_output_tokens=32_768, reports_cost="number", reasoning=True, style="plain",
    ),
    _deployment(
        "ollama/llama3.2", "text chat", ttft_ms=130, tokens_per_s=60, input_usd=None, output_usd=None,
        context_tokens=8_192, style="playful", verbosity=0.8,
    ),
    _deployment(
        "openai/text-embedding-3-small", "embedding", ttft_ms=60, input_usd=0.02, output_usd=0, context_tokens=8_192,
    ),
    _deployment(
        "azure/embeddings", "embedding", upstream_model="text-embedding-3-large", ttft_ms=90, dimensions=3_072,
        input_usd=0.13, output_usd=0, context_tokens=8_192,
    ),
    _deployment(
        "cohere/embed-v4.0", "embedding", ttft_ms=70, input_usd=0.12, output_usd=0, context_tokens=128_000,
    ),
    _deployment(
        "openai/gpt-image-1", "image", ttft_ms=900, input_usd=5.0, output_usd=0, picture_usd=0.04,
        context_tokens=32_000,
    ),
    _deployment(
        "openai/gpt-4o-mini-tts", "speech", ttft_ms=300, input_usd=None, output_usd=None, character_usd=0.000015,
    ),
    _deployment(
        "openai/whisper-1", "transcription", ttft_ms=400, input_usd=None, output_usd=None, second_usd=0.0001,
    ),
)  # fmt: skip


def deployments_by_id(extra: Iterable[Mapping[str, Any]] = ()) -> dict[str, SimulatedDeployment]:
    """The default deployments and `extra` ones, by id; an extra one of the same id replaces the default."""
    table = {deployment.id: deployment for deployment in DEFAULT_DEPLOYMENTS}
    for facts in extra:
        deployment = SimulatedDeployment.model_validate(facts)
        table[deployment.id] = deployment
    return table

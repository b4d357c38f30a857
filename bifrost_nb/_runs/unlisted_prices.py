"""What a price list by the token does not tell: prices of parts of an answer, and of ways to be served.

``/v1/models`` has one price for what is read and one for what is written. Sound costs ten times as much as text, a
search is paid by the piece, and OpenAI's flex tier is half as dear as its default; the gateway's log counts all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .run import Run

__all__ = ["LONG_PROMPT", "asks_for_unlisted", "has_unlisted"]

LONG_PROMPT = 128_000
"""Of prompts with more tokens each token costs more with some models, up to twice as much: the gateway's own table has
prices from 128, 200, 256 and 272 thousand on (read in its source), and ``/v1/models`` tells none of them (captures). It
has some from 32 thousand on, too; those are rare, and nearly all prompts of that length have the listed price."""

_PLAIN_TIERS = {"", "auto", "default", "standard", "standard_only", "on_demand", "batch"}
"""Of OpenAI, Anthropic and Groq; the last has its rate in the price."""
_READ = ("prompt_tokens_details", "input_tokens_details")
_WRITTEN = ("completion_tokens_details", "output_tokens_details")
_OWN_TOOLS = (None, "function", "custom")
"""Tools that the caller runs."""
_HOSTED = ("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call")
"""Tools of OpenAI's that are paid for by the call or the session."""


def has_unlisted(run: Run) -> bool:
    """Whether part of `run` has another price than its list of models tells."""
    usage = _object(run.usage)
    if run.request_type != "embedding" and _read_at_once(run) > LONG_PROMPT:
        return True
    return any(map(_counts, _apart(usage))) or _tier(run, usage) not in _PLAIN_TIERS or any(_hosted(run.raw))


def asks_for_unlisted(parameters: Mapping[str, Any]) -> bool:
    """Whether a call with `parameters` may cost what a list of models does not tell: tools that run at the provider,
    which also reads what they find, sound, another tier."""
    asked = {**_object(parameters.get("extra")), **parameters}
    tools, tier, kinds = asked.get("tools"), asked.get("service_tier"), asked.get("modalities")
    listed = tools if isinstance(tools, list | tuple) else ()
    return (
        any(_object(each).get("type") not in _OWN_TOOLS for each in listed)
        or asked.get("web_search_options") is not None
        or (isinstance(tier, str) and tier.lower() not in _PLAIN_TIERS)
        or (isinstance(kinds, list | tuple) and "audio" in kinds)
    )


def _read_at_once(run: Run) -> int:
    cached = (run.cached_tokens or 0) + (run.cache_write_tokens or 0)
    prompt = run.prompt_tokens or 0
    return prompt if cached <= prompt else prompt + cached  # some providers count them beside it


def _apart(usage: Mapping[str, Any]) -> Iterator[Any]:
    """The counts of what has a price of its own, by the names of the gateway and of raw answers."""
    for name in _READ:
        details = _object(usage.get(name))
        yield details.get("audio_tokens")
        for writes in ("cached_write_token_details", "cache_creation_token_details"):  # for an hour: not for 5 minutes
            yield _object(details.get(writes)).get("cached_write_tokens_1h")
            yield _object(details.get(writes)).get("ephemeral_1h_input_tokens")
    for name in _WRITTEN:
        yield from map(_object(usage.get(name)).get, ("audio_tokens", "image_tokens", "num_search_queries"))
    yield usage.get("num_search_queries")  # Perplexity
    yield from _object(usage.get("server_tool_use")).values()  # Anthropic, as the next
    yield _object(usage.get("cache_creation")).get("ephemeral_1h_input_tokens")
    for name, kinds in (("promptTokensDetails", ("AUDIO",)), ("candidatesTokensDetails", ("AUDIO", "IMAGE"))):  # Google
        listed = usage.get(name)
        for each in listed if isinstance(listed, list) else ():
            if _object(each).get("modality") in kinds:
                yield each.get("tokenCount")


def _tier(run: Run, usage: Mapping[str, Any]) -> str:
    """How it was served, in lower case: as the answer says, else as was asked for."""
    raw = _object(run.raw)
    if usage.get("speed") == "fast":  # Anthropic's faster serving
        return "fast"
    told = (raw, _object(raw.get("response")), usage, run.params)
    names = (place.get("service_tier") for place in told)
    return next((name.lower() for name in names if isinstance(name, str) and name), "")


def _hosted(raw: object) -> Iterator[bool]:
    body = _object(raw)
    output = body.get("output") or _object(body.get("response")).get("output")
    for item in output if isinstance(output, list) else ():
        yield _object(item).get("type") in _HOSTED


def _counts(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

"""Who served, what it used, what it cost: read from the plain dicts and headers of any gateway from 1.3 to 2.x.

Unknown is None, never 0. Names come from outside: control sequences are removed and their length is limited.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from .._safe_text import plain
from .deployments import Deployment

__all__ = [
    "Cache",
    "Cost",
    "LowerNames",
    "Served",
    "Tokens",
    "header",
    "merged_usage",
    "name_of",
    "number_of",
    "parse_cache",
    "parse_cost",
    "parse_usage",
    "rejected_tokens",
    "served",
]

_NAME_LIMIT = 200
_MOST_COUNTS = 100
"""More than any usage has names."""
_NOTHING: Mapping[str, Any] = {}


class LowerNames(dict[str, str]):
    """Headers whose names are known to be in lower case: asking for one that is not there needs no search."""

    @classmethod
    def of(cls, raw: Iterable[tuple[bytes, bytes]]) -> LowerNames:
        """Those of an answer as it came; of one that is there twice, the last."""
        given = [(_lower(name), value) for name, value in raw]
        try:
            return cls([(name, value.decode()) for name, value in given])
        except UnicodeDecodeError:
            return cls([(name, _decoded(value)) for name, value in given])


@lru_cache(maxsize=1024)  # a gateway sends the same names with every answer
def _lower(name: bytes) -> str:
    return _decoded(name).lower()


def _decoded(text: bytes) -> str:
    """UTF-8, as gateway 2.0 writes the names of models; else the Latin-1 that HTTP has of old."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


class Served(NamedTuple):
    """Who answered, and who was asked, as far as the gateway tells."""

    provider: str | None
    model: str | None
    """The gateway's name for what ran, which can be asked for again; the provider's own where only that is told."""
    deployment: str | None
    """The provider's own name for what ran, where it differs or is told."""
    requested_provider: str | None
    requested_model: str | None
    is_fallback: bool | None
    fallback_index: int | None
    """0 when the primary answered, else the 1-based position in the fallbacks."""
    gateway_version_hint: str | None
    """The earliest gateway version whose answers look like this: 1.3, 1.5, 1.6 or 2.0."""


class Cost(NamedTuple):
    """US dollars."""

    input_usd: float | None
    output_usd: float | None
    total_usd: float | None


class Tokens(NamedTuple):
    """Token counts; `cached` and `cache_write` are parts of `prompt`, `reasoning` is one of `completion`."""

    prompt: int | None
    completion: int | None
    total: int | None
    cached: int | None
    reasoning: int | None
    cache_write: int | None = None


class Cache(NamedTuple):
    """What the gateway's own cache did; all None where it did not look. `similarity` 0 to 1."""

    hit: bool | None
    type: str | None
    similarity: float | None


def served(
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    requested: Deployment | None = None,
    fallbacks: Sequence[str] = (),
) -> Served:
    """Who answered. Of a stream, `body` is any chunk.

    Whether a fallback answered is said by headers (gateway 1.5 and later) and by whole answers (1.5 and later), but
    not by the chunks of a stream (measured with Bifrost's engine 1.4.0 to 1.7.0; they also name the fallback's own
    model as the one requested). Where it is not said, who answered is compared with what was asked (`requested` and
    its `fallbacks`); without these, or where the names do not decide, `is_fallback` is None.
    """
    extra = _object(body.get("extra_fields"))
    routing = _object(extra.get("routing_info"))
    alias = _object(routing.get("resolved_key_alias"))

    def told(name: str) -> str | None:
        value = header(headers, f"x-bifrost-{name}")
        return None if value is None else name_of(value)

    provider = _first(routing, "provider") or _first(extra, "provider")
    provider = provider or told("routing-info-provider") or told("provider")
    ran = _first(routing, "model") or _first(extra, "resolved_model_used", "model_deployment")
    ran = ran or told("routing-info-model") or told("resolved-model") or _first(body, "model")
    # Up to 1.4 `model_requested` is the gateway's name for what answered, a fallback's own too; in the chunks of 1.5
    # before `routing_info` it is `original_model_requested`, beside the provider's own name (measured on both).
    named = _first(extra, "model_requested")
    if named is None and not routing and _is_chunk(body):
        named = _first(extra, "original_model_requested")
    model = named or ran
    deployment = _first(alias, "model_id") or _first(extra, "resolved_model_used", "model_deployment")
    deployment = deployment or told("routing-info-alias-model-id") or told("resolved-model")
    asked = _first(routing, "primary_model") or told("routing-info-primary-model")
    asked = asked or _first(extra, "original_model_requested", "model_requested") or told("original-model")
    asked_provider = _first(routing, "primary_provider") or told("routing-info-primary-provider")
    is_fallback, index = _told_fallback(routing, headers)
    if body.get("error") and _first(routing, "provider") and not isinstance(routing.get("is_fallback"), bool):
        is_fallback, index = False, None  # all failed, and the header only says how many were asked (2.0, measured)
    names = ({ran, deployment}, {named})  # what ran decides before what was asked
    if is_fallback is None and _first(routing, "provider") and not _is_chunk(body):
        is_fallback = False  # whole answers leave it out only when it is not so
    elif is_fallback is None:
        silence = False if header(headers, "x-bifrost-provider") else None
        is_fallback = _compared(provider, names, requested, fallbacks, silence)
    if is_fallback is False:
        index, asked_provider = 0, asked_provider or provider
    elif is_fallback and index is None:
        index = _position(provider, names, fallbacks)
    return Served(provider, model, deployment, asked_provider, asked, is_fallback, index, _version(extra, headers))


def parse_cost(body: Mapping[str, Any], headers: Mapping[str, str]) -> Cost | None:
    """What the answer itself says it cost; None where it does not.

    ``usage.cost`` (a number, the flat shape of 1.3, the nested one of 2.x), ``extra_fields.cost``, or the header
    ``x-bifrost-cost-usd``.
    """
    usage = _object(body.get("usage"))
    if usage.get("is_byok") is True:  # OpenRouter by one's own key: `cost` is its fee alone, mostly 0
        upstream = number_of(_object(usage.get("cost_details")).get("upstream_inference_cost"))
        fee = _cost(usage.get("cost"))
        return None if upstream is None else Cost(None, None, upstream + ((fee and fee.total_usd) or 0.0))
    for holder in ("usage", "extra_fields"):
        if cost := _cost(_object(body.get(holder)).get("cost")):
            return cost
    try:
        told = number_of(float(header(headers, "x-bifrost-cost-usd") or "nan"))
    except ValueError:
        return None
    return None if told is None else Cost(None, None, told)


def parse_usage(usage: object) -> Tokens:
    """Token counts from a usage object; names of the Responses API (``input_tokens``, ...) are read too.

    The gateway leaves out a count of 0 but always writes the total, so a missing one of the three is worked out from
    the other two. Where all are 0 the provider told nothing: no call has neither prompt nor answer. See `Tokens` for
    what is a part of what.
    """
    counts = _object(usage)
    prompt = _count(counts, "prompt_tokens", "input_tokens")
    completion = _count(counts, "completion_tokens", "output_tokens")
    total = _count(counts, "total_tokens")
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    elif total is not None and prompt is not None and completion is None and total >= prompt:
        completion = total - prompt
    elif total is not None and completion is not None and prompt is None and total >= completion:
        prompt = total - completion
    of_prompt = _object(counts.get("prompt_tokens_details") or counts.get("input_tokens_details"))
    of_completion = _of_completion(counts)
    # From 1.5 on `cached_tokens` of the Responses API counts what was written to the cache too (core 1.7's source).
    cached = _count(of_prompt, "cached_read_tokens", "cached_tokens")
    if cached is None and "prompt_tokens" in counts:  # as LiteLLM, DeepSeek and Moonshot write it, in raw answers
        cached = _count(counts, "cache_read_input_tokens", "prompt_cache_hit_tokens", "cached_tokens")
    # 2.0 writes the first two, one of them 0; the third and the one beside the prompt are LiteLLM's.
    names = ("cached_write_tokens", "cache_write_tokens", "cache_creation_tokens")
    written = [_count(of_prompt, name) for name in names]
    if "prompt_tokens" in counts:
        written.append(_count(counts, "cache_creation_input_tokens"))
    write = max((count for count in written if count is not None), default=None)
    found = Tokens(prompt, completion, total, cached, _count(of_completion, "reasoning_tokens"), write)
    return _folded(found) if any(found) else Tokens(None, None, None, None, None)


def merged_usage(known: Mapping[str, Any] | None, newer: Mapping[str, Any]) -> dict[str, Any]:
    """The usage of a stream so far and that of its next chunk: the newer counts, where they count something.

    Most streams tell it once, or a running sum. Some go on with an empty one, zeros, or the cost alone; so the details.
    """
    merged = _counting(known or {}, newer)
    details = [name for name, value in newer.items() if isinstance(value, Mapping) and (known or {}).get(name)]
    return merged | {name: _counting(_object((known or {})[name]), newer[name]) for name in details}


def _counting(known: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    known = known if len(known) <= _MOST_COUNTS else {}  # else names that are new in each chunk would take ever longer
    return {**known, **{name: value for name, value in newer.items() if value or not known.get(name)}}


def rejected_tokens(usage: object) -> int:
    """How many completion tokens are of a ``prediction`` that the answer did not take: billed, and never seen."""
    return _count(_of_completion(_object(usage)), "rejected_prediction_tokens") or 0


def _of_completion(counts: Mapping[str, Any]) -> Mapping[str, Any]:
    return _object(counts.get("completion_tokens_details") or counts.get("output_tokens_details"))


def _folded(tokens: Tokens) -> Tokens:
    """The counts with every part inside its whole.

    Providers differ in whether a part is counted beside its whole, and only the total shows it: reasoning beside the
    completion (Gemini up to gateway 1.4.0, measured; xAI), what a cache had beside the prompt (Bedrock). A part that
    is greater than its whole stands beside it whatever the total says.
    """
    prompt, completion, total, cached, reasoning, write = tokens
    if prompt is None or completion is None or total is None:
        return tokens
    beside = total - prompt - completion
    read, wrote, thought = cached or 0, write or 0, reasoning or 0
    if beside == 0 and read <= prompt >= wrote and thought <= completion:  # nearly always
        return tokens
    alone = [(0, 0, thought), (read, wrote, 0), (read, 0, 0), (0, wrote, 0)]
    ways = [*alone, (read, wrote, thought), (read, 0, thought), (0, wrote, thought)]
    fitting = next((way for way in ways if 0 < beside == sum(way)), None)
    if fitting is None:
        fitting = (read if read > prompt else 0, wrote if wrote > prompt else 0, thought if thought > completion else 0)
    prompt, completion = prompt + fitting[0] + fitting[1], completion + fitting[2]
    return Tokens(prompt, completion, max(total, prompt + completion), cached, reasoning, write)


def parse_cache(extra_fields: object) -> Cache:
    """What the gateway's cache did, from ``extra_fields.cache_debug``."""
    debug = _object(_object(extra_fields).get("cache_debug"))
    hit = debug.get("cache_hit")
    return Cache(hit if isinstance(hit, bool) else None, _first(debug, "hit_type"), number_of(debug.get("similarity")))


def header(headers: Mapping[str, str], name: str) -> str | None:
    """A header whatever its case; None where absent."""
    value = headers.get(name)
    if value is None and type(headers) is not LowerNames:
        value = next((value for key, value in headers.items() if key.lower() == name), None)
    return value


def name_of(value: object) -> str | None:
    """A name from outside, made safe to show; None where it is not text or empty."""
    return _safe_name(value) if isinstance(value, str) else None


@lru_cache(maxsize=1024)  # a gateway has few names, and says them in every answer
def _safe_name(value: str) -> str | None:
    return plain(value, _NAME_LIMIT).strip() or None


def _told_fallback(routing: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[bool | None, int | None]:
    """(is_fallback, fallback_index) as the gateway says itself, from 1.5 on."""
    place = header(headers, "x-bifrost-fallback-index") or ""
    index = int(place) if place.isascii() and place.isdecimal() and len(place) < 10 else 0
    told = routing.get("is_fallback")
    if not isinstance(told, bool):
        word = header(headers, "x-bifrost-routing-info-is-fallback")
        told = {"true": True, "false": False}.get((word or "").lower())
    if index > 0:
        return told is not False, index if told is not False else None
    return told, None


def _is_chunk(body: Mapping[str, Any]) -> bool:
    kind = _object(body.get("extra_fields")).get("request_type")
    return str(kind).endswith("_stream") or body.get("object") == "chat.completion.chunk"


_Names = tuple[set[str | None], ...]


def _compared(
    provider: str | None, names: _Names, requested: Deployment | None, fallbacks: Sequence[str], silence: bool | None
) -> bool | None:
    """Whether another than the primary answered, by the names; `silence` where they do not decide."""
    if provider is None or requested is None:
        return silence
    if provider != requested.provider:
        return True if silence is None or _position(provider, names, fallbacks) is not None else silence
    listed = {entry.partition("/")[2] for entry in fallbacks if entry.partition("/")[0] == provider}
    for alternatives in names:
        if requested.model in alternatives:
            return False
        if listed & alternatives:
            return True
    return silence


def _position(provider: str | None, names: _Names, fallbacks: Sequence[str]) -> int | None:
    """The 1-based position of the one fallback that fits: by its full name, else as the only one of its provider."""
    listed = [(position, *entry.partition("/")[::2]) for position, entry in enumerate(fallbacks, 1)]
    of_provider = [(position, model) for position, its_provider, model in listed if its_provider == provider]
    for alternatives in names:
        fitting = [position for position, model in of_provider if model in alternatives]
        if len(fitting) == 1:
            return fitting[0]
    return of_provider[0][0] if len(of_provider) == 1 else None


def _version(extra: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    if "upstream_latency" in extra or header(headers, "x-bifrost-upstream-latency-ms"):
        return "2.0"
    if "routing_info" in extra or header(headers, "x-bifrost-routing-info-provider"):
        return "1.6"
    if "original_model_requested" in extra or "resolved_model_used" in extra or header(headers, "x-bifrost-provider"):
        return "1.5"
    return "1.3" if "model_requested" in extra or "model_deployment" in extra else None


def _cost(value: object) -> Cost | None:
    if not isinstance(value, Mapping):
        total = number_of(value)
        return None if total is None else Cost(None, None, total)
    given = _amount_of(value, "input_tokens_cost", "input_cost")
    made = _amount_of(value, "output_tokens_cost", "output_cost")
    total = _amount_of(value, "total_cost")
    if total is None and given is not None and made is not None:
        total = given + made + (_amount_of(value, "request_cost") or 0) + (_amount_of(value, "additional_cost") or 0)
    return None if given is None and made is None and total is None else Cost(given, made, total)


def _amount_of(value: Mapping[str, Any], *names: str) -> float | None:
    return next((found for name in names if (found := number_of(value.get(name))) is not None), None)


def number_of(value: object) -> float | None:
    """A number that is not negative; None for everything else."""
    if type(value) is float:  # nearly always
        return value if 0 <= value < math.inf else None
    if type(value) is int and 0 <= value < 2**63:
        return float(value)
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _count(counts: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        given = counts.get(name)
        if given is None:
            continue
        if type(given) is int and 0 <= given < 2**63:  # nearly always, and told at once
            return given
        number = number_of(given)
        if number is not None and number.is_integer() and number < 2**63:
            return int(counts[name])
    return None


def _object(value: object) -> Mapping[str, Any]:
    if type(value) is dict:  # as JSON gives it: asking for the abstract kind takes ten times as long
        return value
    if value is None:
        return _NOTHING
    return value if isinstance(value, Mapping) else _NOTHING


def _first(values: Mapping[str, Any], *names: str) -> str | None:
    for name in names:  # a generator would take longer than the reading
        if (value := values.get(name)) is not None and (found := name_of(value)):
            return found
    return None

"""What goes into a batch: one request per trial, in the provider's own words, known again by the trial's identity.

A batch's requests reach the provider as they are: the gateway reads no fallbacks, aliases or headers in them. OpenAI
and Azure take a file of JSON lines, one model and one route in each; Anthropic a list in its Messages API's form.
Limits and rates are those that the providers publish (read, not measured): OpenAI 50,000 requests and 200 MB in a file,
Azure 100,000 and 200 MB, Anthropic 100,000 and 256 MB, Gemini 20 MB in one request; half of the list price at all.
A job here has at most 10,000: its answers come in one body, of which 256 MiB are taken, and so may have 26 kB each.

Gemini takes a list in the form of its generateContent: of a chat's form the gateway hands on the messages and drops the
parameters (measured on 2.0.0-prerelease3 before a simulated Gemini).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from .._compare.asked_deployments import AskedDeployment
from .._compare.plan import Plan, Trial
from .._numbers import version_numbers
from .._safe_text import plain
from ..errors import ConfigurationError
from .gemini import as_contents

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["PROVIDERS", "Rules", "check_plan", "chunks", "item_of", "rate_of"]


class Rules(NamedTuple):
    """What a provider allows in one batch, and its share of the list price."""

    requests: int
    bytes: int
    rate: float
    by_file: bool


PROVIDERS: Mapping[str, Rules] = {
    "openai": Rules(10_000, 90_000_000, 0.5, by_file=True),
    "azure": Rules(10_000, 90_000_000, 0.5, by_file=True),
    "anthropic": Rules(10_000, 90_000_000, 0.5, by_file=False),
    "gemini": Rules(10_000, 19_000_000, 0.5, by_file=False),
}
"""A gateway takes no larger request than 100 MiB unless it is told to, nor a file in one (measured on 1.4.18 and
2.0.0-prerelease3: 101 MB went through, 120 MB did not)."""

NOT_BATCHED: Mapping[str, str] = {
    "bedrock": ", for which gateways want an S3 bucket and an IAM role of yours and refuse a job without them",
}
"""Measured on 1.3.63 to 2.0.0-prerelease3 with Bedrock keys."""

SINCE: Mapping[str, tuple[tuple[int, int, int], str]] = {
    "gemini": ((2, 0, 0), "older ones make Gemini's jobs and find no results of them"),
}
"""The first gateway whose batches of a provider are collected. Measured on 1.3.63 to 2.0.0-prerelease3 before a
simulated Gemini that puts its answers into ``response.inlinedResponses`` (whether Google does was not checked; gateways
up to 1.5.16 look for ``dest``)."""

ENDPOINTS = {"chat": "/v1/chat/completions", "text": "/v1/completions", "responses": "/v1/responses"}

_MESSAGES = {
    "model",
    "messages",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "tools",
    "user",
}
"""What a chat has that Anthropic's batch has too; `tool_choice`, formats and log probabilities are not translated."""


_OF_A_CALL = ("retries", "timeout", "route")
"""How one call is sent; no request of a batch holds it, and nothing here could keep to it."""


def rate_of(provider: str) -> float:
    """The share of the list price that a batch costs."""
    return PROVIDERS[provider].rate


def check_plan(client: Client, plan: Plan) -> None:
    """Raises ConfigurationError that names every variant that cannot be batched, and why."""
    wrong = _too_new(client, plan.asked)
    for trial in plan.trials:  # rows differ in turns, pictures and tools
        asked = trial.asked
        if trial.repeat or asked.name in wrong:
            continue
        try:
            item_of(client, plan, trial, asked.deployment.partition("/")[2])
        except ConfigurationError as error:
            wrong[asked.name] = error.message
    if wrong:
        raise ConfigurationError(
            "Nothing was sent, as not all of it can be batched: "
            + "; ".join(f"{name}: {why.rstrip('.')}" for name, why in wrong.items())
            + ".",
            hint="Leave these out, or compare without mode='batch'.",
        )


def _too_new(client: Client, asked: Sequence[AskedDeployment]) -> dict[str, str]:
    """Of each variant whose provider this gateway is too old for, why."""
    named = {one.name: SINCE.get(one.deployment.partition("/")[0]) for one in asked}
    if not any(named.values()):
        return {}
    told = client.run_on_loop(client.sender().version())
    this = f"this is {plain(told, 40)}" if told else "this one does not tell its version"
    return {
        name: f"a gateway from {'.'.join(map(str, known[0]))} on is needed, {known[1]}; {this}"
        for name, known in named.items()
        if known is not None and version_numbers(told) < known[0]
    }


def item_of(client: Client, plan: Plan, trial: Trial, model: str) -> dict[str, Any]:
    """One request of a batch, for the provider's `model`. Raises ConfigurationError where it cannot be batched."""
    asked, provider = trial.asked, trial.asked.deployment.partition("/")[0]
    rules = PROVIDERS.get(provider)
    if rules is None:
        why = NOT_BATCHED.get(provider, "")
        raise ConfigurationError(f"only {', '.join(PROVIDERS)} are batched, not {provider}{why}")
    _check_deployment(asked)
    body = dict(plan.call(client, trial).body)
    body.update(body.pop("extra_params", {}))
    body["model"] = model
    if provider == "gemini":
        return {"custom_id": trial.trial_id, "body": as_contents(body, asked.kind)}
    if rules.by_file:
        return {"custom_id": trial.trial_id, "method": "POST", "url": ENDPOINTS[asked.kind], "body": body}
    return {"custom_id": trial.trial_id, "params": _as_messages(body, asked.kind)}


def _check_deployment(asked: AskedDeployment) -> None:
    if asked.fallbacks:
        raise ConfigurationError("a batch has no fallbacks")
    if asked.parameters.get("headers"):
        raise ConfigurationError("the requests of a batch have no headers")
    if asked.requests_per_minute is not None:
        raise ConfigurationError("a batch has no requests_per_minute, as the provider sets its pace")
    if found := next((name for name in _OF_A_CALL if asked.parameters.get(name)), None):
        raise ConfigurationError(f"a batch has no {found}, which goes with single calls")
    if asked.kind not in ENDPOINTS:
        raise ConfigurationError(f"{asked.kind} is not batched")


def _as_messages(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """A chat's request in the form of Anthropic's Messages API."""
    if kind != "chat":
        raise ConfigurationError("Anthropic's batches hold chats only: api='chat'")
    if other := sorted(body.keys() - _MESSAGES):
        raise ConfigurationError(f"{other[0]} is not taken in a batch of Anthropic's")
    longest = body.get("max_completion_tokens") or body.get("max_tokens")
    if longest is None:
        raise ConfigurationError("Anthropic wants max_tokens=")
    messages = body["messages"]
    system = "\n\n".join(_text(turn) for turn in messages if turn["role"] in ("system", "developer"))
    params: dict[str, Any] = {
        "model": body["model"],
        "max_tokens": longest,
        "messages": [_turn(turn) for turn in messages if turn["role"] not in ("system", "developer")],
    }
    if system:
        params["system"] = system
    params |= {name: body[name] for name in ("temperature", "top_p") if name in body}
    if "stop" in body:
        params["stop_sequences"] = body["stop"]
    if "tools" in body:
        params["tools"] = [_tool(tool.get("function", {})) for tool in body["tools"]]
    return params | ({"metadata": {"user_id": body["user"]}} if "user" in body else {})


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: function[name] for name in ("name", "description") if name in function}
    return told | {"input_schema": function.get("parameters") or {"type": "object"}}


def _text(turn: Mapping[str, Any]) -> str:
    content = turn.get("content") or ""
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)


def _turn(turn: Mapping[str, Any]) -> dict[str, Any]:
    content = turn.get("content")
    if turn["role"] not in ("user", "assistant") or turn.get("tool_calls") or content is None:
        raise ConfigurationError("turns that call tools or answer them are not batched at Anthropic")
    parts = content if isinstance(content, str) else [_part(part) for part in content]
    return {"role": turn["role"], "content": parts}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]}
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else image
    kind, marked, data = str(url).removeprefix("data:").partition(";base64,")
    if part["type"] != "image_url" or not marked:
        raise ConfigurationError(f"a part of type {part['type']!r} is not batched at Anthropic")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def chunks(rules: Rules, items: Sequence[dict[str, Any]]) -> Iterator[list[tuple[dict[str, Any], bytes]]]:
    """`items` with their JSON, as many together as one batch may hold."""
    found: list[tuple[dict[str, Any], bytes]] = []
    size = 0
    for item in items:
        line = orjson.dumps(item, option=orjson.OPT_NON_STR_KEYS)
        if found and (len(found) == rules.requests or size + len(line) + 1 > rules.bytes):
            yield found
            found, size = [], 0
        found.append((item, line))
        size += len(line) + 1
    if found:
        yield found

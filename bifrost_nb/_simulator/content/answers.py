"""What a simulated deployment says: the choices of one call, token by token, with log probabilities and tool calls."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from typing import Any

import orjson

from ..deployments import SimulatedDeployment
from ..faults import FaultRule
from ..http.request import SimulatedCall
from .embeddings import vector
from .prose import Brief, think, write
from .tokens import count, count_messages, message_text, tokenize
from .tools import chosen_tool, fill_arguments

__all__ = ["SimulatedAnswer", "SimulatedChoice", "compose", "seeded"]

_OTHERS = (" the", " a", " and", " of", " to", " in", " is", " that", " it", " for", ",", ".", " so", " not", " one")


def seeded(*parts: Any) -> Random:
    """A random generator that depends on `parts` alone."""
    return Random(int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest()))


@dataclass(slots=True, kw_only=True)
class SimulatedChoice:
    """One choice. `tokens` with the echoed prompt, if asked for, counted by `echoed`."""

    index: int
    prompt: str
    tokens: list[str]
    finish_reason: str
    echoed: int = 0
    reasoning: list[str] = field(default_factory=list)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    probabilities: list[tuple[float, dict[str, float]]] | None = None
    """Per token: its log probability, and those of the likeliest tokens."""

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    @property
    def likelihood(self) -> float:
        """Mean log probability, by which `best_of` chooses."""
        values = [value for value, _ in self.probabilities or [(0.0, {})]]
        return sum(values) / max(1, len(values))

    def text_logprobs(self, start: int, end: int) -> dict[str, Any]:
        """The layout of text completions, for tokens `start` to `end`."""
        offset = (0 if self.echoed else len(self.prompt)) + sum(map(len, self.tokens[:start]))
        offsets = []
        for token in self.tokens[start:end]:
            offsets.append(offset)
            offset += len(token)
        chosen = (self.probabilities or [])[start:end]
        return {
            "tokens": self.tokens[start:end],
            "token_logprobs": [value for value, _ in chosen],
            "top_logprobs": [top for _, top in chosen],
            "text_offset": offsets,
        }

    def chat_logprobs(self, start: int, end: int) -> dict[str, Any]:
        """The layout of chat completions."""

        def entry(token: str, value: float) -> dict[str, Any]:
            return {"token": token, "logprob": value, "bytes": list(token.encode())}

        chosen = zip(self.tokens[start:end], (self.probabilities or [])[start:end], strict=True)
        return {
            "content": [
                entry(token, value) | {"top_logprobs": [entry(*item) for item in top.items()]}
                for token, (value, top) in chosen
            ]
        }


@dataclass(slots=True, kw_only=True)
class SimulatedAnswer:
    """All choices of one call, and what they cost in tokens."""

    choices: list[SimulatedChoice]
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int | None
    wants_logprobs: bool
    media: list[bytes] = field(default_factory=list)
    """Drawn pictures, or one spoken text. Its only choice is empty."""
    seconds: int | None = None
    """Of the sound that was written down."""
    units_usd: float | None = None
    """What pictures, characters or seconds cost, beside the tokens."""
    vectors: list[list[float]] = field(default_factory=list)
    """Of an embedding: one for each prompt. Its only choice is empty."""

    @property
    def slowest(self) -> int:
        """Tokens of the longest choice: choices are generated side by side."""
        return max(len(choice.tokens) - choice.echoed + len(choice.reasoning) for choice in self.choices)


def compose(
    call: SimulatedCall, deployment: SimulatedDeployment, rule: FaultRule | None, seed: int, occurrence: int
) -> SimulatedAnswer:
    """The answer to `call`. `occurrence` counts equal requests, so that a repeat without a seed differs."""
    if call.kind == "embedding":
        return _embed(call, deployment, seed)
    wants = _wanted_logprobs(call)
    n, kept = call.get("n", 1), call.get("n", 1)
    if call.kind == "text":
        n = max(n, call.get("best_of", 1))
    choices: list[SimulatedChoice] = []
    written = reasoning = 0
    for place, prompt in enumerate(call.prompts or [""]):
        drafts = [
            _choice(call, deployment, rule, prompt, wants, _rng(call, deployment, seed, occurrence, place, k))
            for k in range(n)
        ]
        written += sum(len(draft.tokens) - draft.echoed + len(draft.reasoning) for draft in drafts)
        written += sum(count(call_["function"]["arguments"]) for draft in drafts for call_ in draft.tool_calls)
        reasoning += sum(len(draft.reasoning) for draft in drafts)
        if n > kept:
            drafts = sorted(drafts, key=lambda draft: -draft.likelihood)[:kept]
        choices += drafts
    for index, choice in enumerate(choices):
        choice.index = index
    return SimulatedAnswer(
        choices=choices,
        prompt_tokens=prompt_tokens(call),
        completion_tokens=written,
        reasoning_tokens=reasoning if deployment.reasoning and call.kind == "chat" else None,
        wants_logprobs=wants is not None,
    )


def _embed(call: SimulatedCall, deployment: SimulatedDeployment, seed: int) -> SimulatedAnswer:
    dimensions, space = call.get("dimensions", deployment.dimensions), f"{seed} {deployment.id}"
    return SimulatedAnswer(
        choices=[SimulatedChoice(index=0, prompt="", tokens=[], finish_reason="")],
        prompt_tokens=prompt_tokens(call),
        completion_tokens=0,
        reasoning_tokens=None,
        wants_logprobs=False,
        vectors=[vector(text, dimensions, space) for text in call.prompts],
    )


def prompt_tokens(call: SimulatedCall) -> int:
    """Tokens of everything that was asked."""
    if call.kind == "chat":
        return count_messages(call.messages) + sum(count(orjson.dumps(tool).decode()) for tool in call.get("tools", []))
    suffix = call.get("suffix", "") if call.kind == "text" else ""
    return sum(map(count, call.prompts)) + count(suffix)


def _wanted_logprobs(call: SimulatedCall) -> int | None:
    """How many likeliest tokens to tell; None: no log probabilities at all."""
    if call.kind == "text":
        return call.body.get("logprobs")
    return call.get("top_logprobs", 0) if call.body.get("logprobs") else None


def _rng(
    call: SimulatedCall, deployment: SimulatedDeployment, seed: int, occurrence: int, place: int, draft: int
) -> Random:
    asked = call.prompts[place] if call.kind == "text" else [message_text(message) for message in call.messages]
    knobs = [call.body.get(name) for name in ("top_p", "frequency_penalty", "presence_penalty", "logit_bias", "suffix")]
    temperature, asked_seed = call.get("temperature", 1), call.body.get("seed")
    if temperature == 0:
        return seeded(seed, deployment.id, asked, knobs, draft, asked_seed)
    return seeded(
        seed, deployment.id, asked, knobs, draft, temperature, occurrence if asked_seed is None else asked_seed
    )


def _choice(
    call: SimulatedCall,
    deployment: SimulatedDeployment,
    rule: FaultRule | None,
    prompt: str,
    wants: int | None,
    rng: Random,
) -> SimulatedChoice:
    choice = SimulatedChoice(index=0, prompt=prompt, tokens=[], finish_reason="stop")
    brief = _brief(call, deployment, prompt)
    scripted = rule is not None and (rule.text is not None or rule.chunks is not None)
    if not scripted and (tool := chosen_tool(call, brief.prompt)):
        arguments = fill_arguments(tool.get("parameters") or {}, brief.prompt, rng)
        function = {"name": tool.get("name", ""), "arguments": orjson.dumps(arguments).decode()}
        choice.tool_calls = [
            {"index": 0, "type": "function", "id": f"call_{uuid.uuid4().hex[:24]}", "function": function}
        ]
        choice.finish_reason = "tool_calls"
        return choice
    limit = call.max_tokens if call.max_tokens is not None else deployment.max_output_tokens
    if deployment.reasoning and call.kind == "chat" and not scripted:
        choice.reasoning = tokenize(think(brief, rng))[:limit]
        limit -= len(choice.reasoning)
    if rule is not None and scripted:
        tokens = _scripted(rule)
    else:
        form = _form(call)
        filled = None if form is None else orjson.dumps(fill_arguments(form, brief.prompt, rng)).decode()
        tokens = tokenize(write(brief, rng) if filled is None else filled)
    if len(tokens) > limit:
        tokens, choice.finish_reason = tokens[:limit], "length"
    choice.tokens, stopped = _until_stop(tokens, call.get("stop", []))
    if stopped:
        choice.finish_reason = "stop"
    if rule is not None and rule.finish_reason is not None:
        choice.finish_reason = rule.finish_reason
    if call.get("echo", False):
        echo = tokenize(prompt)
        choice.tokens, choice.echoed = echo + choice.tokens, len(echo)
    if wants is not None or call.get("best_of", 1) > 1:
        choice.probabilities = list(_probabilities(choice.tokens, wants or 0, rng))
    return choice


def _form(call: SimulatedCall) -> Any:
    """The JSON schema that the answer must fit; None where none was asked for."""
    form = call.body.get("response_format")
    if not isinstance(form, dict) or form.get("type") != "json_schema" or not isinstance(form.get("json_schema"), dict):
        return None
    return form["json_schema"].get("schema")


def _scripted(rule: FaultRule) -> list[str]:
    if rule.chunks is not None:
        return [f" word{place}" for place in range(rule.chunks)]
    return list(rule.text) if isinstance(rule.text, list) else tokenize(rule.text or "")


def _brief(call: SimulatedCall, deployment: SimulatedDeployment, prompt: str) -> Brief:
    temperature, top_p = call.get("temperature", 1), call.get("top_p", 1)
    breadth = max(0.1, top_p * min(1, 0.3 + 0.7 * temperature))
    system = ""
    if call.kind == "chat":
        system = " ".join(message_text(item) for item in call.messages if item["role"] in ("system", "developer"))
        asked = [item for item in call.messages if item["role"] not in ("system", "developer")]
        prompt = message_text(asked[-1]) if asked else system
        if asked and asked[-1]["role"] == "tool":
            prompt = f"Explain the result {prompt}"
        form = call.body.get("response_format")
        if isinstance(form, dict) and str(form.get("type", "")).startswith("json"):
            prompt += "\nAnswer in JSON."
    return Brief(
        prompt=prompt,
        style=deployment.style,
        verbosity=deployment.verbosity,
        breadth=breadth,
        system=system,
        suffix=call.get("suffix", ""),
        chat=call.kind == "chat",
    )


def _until_stop(tokens: list[str], stops: list[str]) -> tuple[list[str], bool]:
    """The tokens before the first stop sequence, which may begin inside a token."""
    text = "".join(tokens)
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    if not places:
        return tokens, False
    kept, length = [], min(places)
    for token in tokens:
        if length <= 0:
            break
        kept.append(token[:length])
        length -= len(token)
    return kept, True


def _probabilities(tokens: list[str], top: int, rng: Random) -> Iterator[tuple[float, dict[str, float]]]:
    for token in tokens:
        share = 1 - rng.random() ** 3 * 0.9
        likeliest = {token: math.log(share)} if top else {}
        rest = 1 - share
        for other in rng.sample(_OTHERS, min(len(_OTHERS), max(0, top))):
            if len(likeliest) < top and other not in likeliest:
                rest *= rng.uniform(0.3, 0.7)
                likeliest[other] = math.log(max(rest, 1e-9))
        yield math.log(share), dict(sorted(likeliest.items(), key=lambda item: -item[1]))

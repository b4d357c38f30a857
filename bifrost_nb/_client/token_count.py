"""How many tokens a prompt has, as the provider counts them.

Gateways from 1.4.10 on count by ``/v1/responses/input_tokens`` with ``input``, those before by ``/v1/count_tokens``
with ``messages``; what a generation lacks is answered by 405 (measured with 1.3.63, 1.4.0, 1.4.9, 1.4.10, 1.4.18,
1.5.1, 1.5.16 and 2.0.0-prerelease3). Counting costs nothing at the providers, and makes a row ``count_tokens`` in the
gateway's log.

Up to 1.5.16 a gateway leaves the system message out of what Gemini counts (measured of each of these but 1.4.9; 2.0.0
sends it), so such a count is not that of the call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._numbers import version_numbers
from .._wire.deployments import Deployment
from ..errors import ConfigurationError, GatewayError
from .portal import portal
from .resources import ask_json

if TYPE_CHECKING:
    from .client import Client

__all__ = ["as_items", "checked", "count_tokens"]

Message = Mapping[str, Any]

NEWER, OLDER = "/v1/responses/input_tokens", "/v1/count_tokens"
COUNTS_GEMINIS_SYSTEM = (2, 0, 0)
_ABOVE = ("system", "developer")


def checked(prompt: Any, system: Any) -> list[Message]:
    """The turns to count. Raises ConfigurationError."""
    if system is not None and not isinstance(system, str):
        raise ConfigurationError(f"system must be text, not {type(system).__name__}.")
    turns: Any = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    good = isinstance(turns, Sequence) and turns and all(isinstance(one, Mapping) and "role" in one for one in turns)
    if not good or prompt == "":
        raise ConfigurationError(
            "There is nothing to count.", hint="Pass a text, or messages like [{'role': 'user', 'content': 'Hi'}]."
        )
    return [*([] if system is None else [{"role": "system", "content": system}]), *turns]


async def count_tokens(client: Client, deployment: str, turns: Sequence[Message]) -> int | None:
    """The provider's count of a chat's prompt; None where it, or the gateway, does not count. On the private loop.

    Raises GatewayError and its relatives for any other refusal, ConnectionFailed and its relatives.
    """
    above = any(turn["role"] in _ABOVE for turn in turns)
    if Deployment.parse(deployment).provider == "gemini" and above:
        version = await client.sender().known_version()
        if version_numbers(version) < COUNTS_GEMINIS_SYSTEM:
            return None
    items = as_items(turns)
    older = ("count_tokens", client.base_url)
    answer: dict[str, Any] | None = None
    if older not in portal().shared:
        if items is None:
            return None
        answer, missing = await _asked(client, NEWER, {"model": deployment, "input": items})
        if missing:
            portal().shared[older] = True
    if older in portal().shared:
        answer, missing = await _asked(client, OLDER, {"model": deployment, "messages": list(turns)})
        if missing:  # another version answers at this address now
            portal().shared.pop(older, None)
            if items is not None:
                answer, _ = await _asked(client, NEWER, {"model": deployment, "input": items})
    # Measured: an answer of Gemini's without details has its number only in the total, and what the gateway cannot read
    # becomes 0, which no prompt has.
    counts = [(answer or {}).get(name) for name in ("input_tokens", "total_tokens")]
    return next((one for one in counts if isinstance(one, int) and not isinstance(one, bool) and one > 0), None)


async def _asked(client: Client, path: str, body: Mapping[str, Any]) -> tuple[dict[str, Any] | None, bool]:
    """The answer, and whether there is no such route; None where it does not count."""
    try:
        return await ask_json(client, "POST", path, content=body), False
    except GatewayError as error:
        if error.status == 405:
            return None, True
        if error.code == "unsupported_operation":
            return None, False
        raise


def as_items(turns: Sequence[Message]) -> list[Message] | None:
    """A chat's turns as items of the Responses API, whose parts have other names; None where one has no such form."""
    items: list[Message] = []
    for turn in turns:
        content = turn.get("content")
        if (
            turn["role"] not in ("user", "assistant", "system", "developer")
            or turn.get("tool_calls")
            or content is None
        ):
            return None
        words = "output_text" if turn["role"] == "assistant" else "input_text"
        whole = content if isinstance(content, str) else [_part(part, words) for part in content]
        items.append({"role": turn["role"], "content": whole})
    return items


def _part(part: Message, words: str) -> Message:
    if part["type"] == "text":
        return {**part, "type": words}
    if part["type"] == "image_url":
        image = part.get("image_url")
        return {"type": "input_image", "image_url": image["url"] if isinstance(image, Mapping) else image}
    return part

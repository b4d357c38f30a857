"""The prompt repository: what is kept, and what a version does to a chat that names it.

As gateways 1.5.1, 1.5.16 and 2.0.0-prerelease3 answered: names need not differ, messages are kept as they came,
a committed version keeps the names of its variables and not their values, an unknown id or version in the headers
changes nothing, and a text completion gets no message although its log row names the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .http.request import SimulatedCall

__all__ = ["PromptRepository"]


class PromptRepository:
    """What is kept, by id."""

    def __init__(self) -> None:
        self.folders: dict[str, dict[str, Any]] = {}
        self.prompts: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, list[dict[str, Any]]] = {}

    def selected(self, headers: Mapping[str, str]) -> dict[str, Any] | None:
        """The version that a request names; the latest where it names only the prompt."""
        number = headers.get("x-bf-prompt-version", "").strip()
        versions = self.versions.get(headers.get("x-bf-prompt-id", "").strip(), [])
        if not number:
            return versions[-1] if versions else None
        return next((one for one in versions if str(one["version_number"]) == number), None)

    def apply(self, call: SimulatedCall) -> None:
        """Put the version's messages in front of a chat's, and its parameters where the request sets none."""
        version = self.selected(call.headers)
        if version is None or call.kind not in ("chat", "responses"):
            return
        call.messages = [*(_message(one["message"]) for one in version["messages"]), *call.messages]
        call.body = {**version["model_params"], **call.body}

    def facts(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """What the log row says about the prompt."""
        version = self.selected(headers)
        if version is None:
            return {}
        prompt = self.prompts[version["prompt_id"]]
        return {
            "selected_prompt_id": prompt["id"],
            "selected_prompt_name": prompt["name"],
            "selected_prompt_version": str(version["version_number"]),
        }

    def clear(self) -> None:
        """Forget everything."""
        for kept in (self.folders, self.prompts, self.versions):
            kept.clear()

    def told(self, prompt: Mapping[str, Any]) -> dict[str, Any]:
        """A prompt as it is answered: with its folder and its latest version."""
        folder, versions = self.folders.get(prompt.get("folder_id", "")), self.versions.get(prompt["id"])
        latest = {"latest_version": versions[-1]} if versions else {}
        return {**prompt, **({"folder": folder} if folder else {}), **latest}


def _message(stored: Mapping[str, Any]) -> dict[str, Any]:
    return dict(stored.get("payload") or stored)

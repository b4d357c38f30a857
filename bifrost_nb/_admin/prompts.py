"""The gateway's prompt repository: folders of prompts, whose versions are committed and then stay as they are.

Routes ``/api/prompt-repo/...`` of gateways from 1.4.18 on (measured on 1.4.18, 1.5.1, 1.5.16 and 2.0.0-prerelease3;
1.3 and 1.4.0 have none). A prompt is sent by the gateway where a chat names it in its headers, from 1.5.1 on; 1.4.18
ignores these headers, every version an unknown id or version, and a text completion gets no prompt although its log
row names one (all measured). So nothing here trusts that a prompt was used: `Prompt.used_by` looks it up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .._client.client import Client, chosen_client
from .._client.portal import portal
from .._numbers import whole_number
from .._runs.columns import Column
from .._runs.frame import frame_of
from .._runs.run import Run
from .._safe_text import plain, quoted, type_with_article
from .._suggest import did_you_mean
from ..errors import ConfigurationError, NotFound
from .access import Access
from .fields import objects

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["Prompt", "find", "prompt", "prompts", "table"]

ROOT = "/api/prompt-repo"
NO_ROUTE = "The prompt repository came with gateway 1.4.18."
ROW_AFTER_S = (0.0, 0.5, 1.5, 3.0, 3.0)
"""Pauses between looks for a row of the log, which comes up to 5 s after the answer (measured)."""

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One version of a prompt of the gateway's repository.

    ::

        tagline = bf.prompt("marketing/tagline")              # the latest version; version=3 for another one
        comparison = bf.compare(deployments, {"now": tagline.text, "new": new}, inputs=products,
                                score=bf.scorers.length(60))
        tagline = tagline.commit(new, message=str(comparison.difference("now", "new", "score")))
        run = client.chat("openai/gpt-4o-mini", "Hello", headers=tagline.headers)
        tagline.used_by(run)                                  # True: the gateway's log names this version

    `version` counts from 1. A prompt that is not there yet (``create=True``) has no `id`, and no `version` until the
    first `commit`.
    """

    name: str
    """``folder/name``, or the name alone for a prompt outside all folders."""
    id: str | None = None
    version: int | None = None
    messages: tuple[Message, ...] = ()
    """``{"role": ..., "content": ...}`` each; variables are ``{{name}}``, which the gateway does not fill in."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What the version sets, such as ``temperature``."""
    deployment: str | None = None
    """``provider/model``, where the version names them."""
    message: str | None = None
    """What was said about the version when it was committed."""
    created_at: datetime | None = None
    """When it was committed, in UTC."""
    _access: Access | None = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> str:
        """The content of the only message. Raises ConfigurationError where there are several; use `messages`."""
        if len(self.messages) != 1 or not isinstance(self.messages[0].get("content"), str):
            raise ConfigurationError(
                f"{self.name} has {len(self.messages)} messages, not one text.", hint="Use prompt.messages."
            )
        return str(self.messages[0]["content"])

    @property
    def headers(self) -> dict[str, str]:
        """Headers by which the gateway puts this version in front of a chat's messages; pass them as ``headers=``.

        Gateways from 1.5.1 on do it, for chats and the Responses API. An unknown id is ignored without a word, and so
        is everything by 1.4.18: ask `used_by` afterwards. Raises ConfigurationError where nothing is committed yet.
        """
        if self.id is None or self.version is None:
            raise ConfigurationError(f"{self.name} has no version yet; commit one first.")
        return {"x-bf-prompt-id": self.id, "x-bf-prompt-version": str(self.version)}

    def commit(
        self,
        messages: str | Sequence[Message],
        *,
        message: object = "",
        deployment: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Prompt:
        """Add a version and return it; `messages` is a list of them, or the text of one (role ``user``).

            bf.prompt("marketing/tagline", create=True).commit("Advertise {{product}}.", message="shorter")

        `message` says why: text, or something whose text says it, such as a `Difference`. What is not given of
        `deployment` and `parameters` stays as it is in this version. Creates prompt and folder where they are missing.

        Raises ConfigurationError before anything is sent, AuthenticationFailed, NotFound, ConnectionFailed.
        """
        said = _messages(messages)
        deployment = self.deployment if deployment is None else deployment
        if not isinstance(deployment, str | None):
            raise ConfigurationError(f"deployment must be text, not {type(deployment).__name__}.")
        settings = self.parameters if parameters is None else parameters
        if not isinstance(settings, Mapping):
            raise ConfigurationError(f"parameters must be a dict, not {type(settings).__name__}.")
        provider, slash, model = (deployment or "/").partition("/")
        if not slash:
            raise ConfigurationError(f"deployment must be provider/model, not {quoted(deployment)}.")
        variables = {name: "" for each in said for name in _variables(each)}
        content = {
            "commit_message": plain(message),
            # The form in which the gateway's own pages write a message, so that they show it.
            "messages": [{"originalType": "completion_request", "payload": each} for each in said],
            "model_params": _json(dict(settings), "parameters"),
            "provider": provider,
            "model": model,
            **({"variables": variables} if variables else {}),
        }
        return portal().call(self._commit(content))

    def used_by(self, run: Run) -> bool | None:
        """Whether the gateway sent this version with `run`, by its log; None where it has no row of it.

            latest = bf.prompt("marketing/tagline")
            latest.used_by(client.chat("openai/gpt-4o-mini", "Hello", headers=latest.headers))

        Waits up to 8 s for the row. A text completion is never sent with a prompt, whatever its row says. Raises
        ConfigurationError where nothing is committed yet, AuthenticationFailed, ConnectionFailed.
        """
        if not isinstance(run, Run):
            raise ConfigurationError(f"used_by takes a run, not {type(run).__name__}.")
        return portal().call(self._used_by(run))

    async def _commit(self, content: Mapping[str, Any]) -> Prompt:
        access = self._reached()
        known = self if self.id is not None else replace(self, id=await _create(access, self.name))
        path = f"{ROOT}/prompts/{quote(str(known.id), safe='')}/versions"
        answer = await access.post(path, content, missing=NO_ROUTE)
        return _of_version(known.name, _object(answer.get("version")), access, known.id)

    async def _used_by(self, run: Run) -> bool | None:
        access, wanted = self._reached(), self.headers
        if run.request_type == "text_completion" or run.request_id is None:
            return False if run.request_type == "text_completion" else None
        for pause in ROW_AFTER_S:
            await asyncio.sleep(pause)
            try:
                row = await access.get_object(f"/api/logs/{quote(run.request_id, safe='')}")
            except NotFound:
                continue
            told = str(row.get("selected_prompt_id")), str(row.get("selected_prompt_version"))
            return told == (wanted["x-bf-prompt-id"], wanted["x-bf-prompt-version"])
        return None

    def _reached(self) -> Access:
        if self._access is None:
            raise ConfigurationError(f"{self.name} was not read from a gateway; get it by bf.prompt({self.name!r}).")
        return self._access

    def __reduce__(self) -> Any:
        kept = (self.name, self.id, self.version, self.messages, self.parameters, self.deployment, self.message)
        return Prompt, (*kept, self.created_at)  # without the way to the gateway, which has keys


def prompts(client: Client | None = None) -> pd.DataFrame:
    """The prompts of the gateway's repository, a row each: name, latest version, what it says.

    ``name`` (``folder/name``), ``id``, ``version`` (NA: nothing committed yet), ``message``, ``deployment``,
    ``messages`` (how many), ``text`` (all contents, one after the other), ``updated_at``.

    ::

        bf.prompts()

    Raises NotFound (gateways before 1.4.18 have no repository), AuthenticationFailed, ConnectionFailed.

    `client` says which gateway is asked (None: the one of the settings).
    """
    return table(_access(client))


def table(access: Access) -> pd.DataFrame:
    """The frame of `prompts`."""
    found = [(_of_row(row, access), _time(access, row.get("updated_at"))) for row in portal().call(_rows(access))]
    return frame_of(_COLUMNS, found).sort_values("name", kind="stable", ignore_index=True)


def prompt(name: str, *, version: int | None = None, create: bool = False, client: Client | None = None) -> Prompt:
    """The prompt ``folder/name`` (or its id) of the gateway's repository: its latest version, or `version`.

    ::

        bf.prompt("marketing/tagline").messages
        bf.prompt("marketing/tagline", version=2)
        bf.prompt("marketing/new", create=True).commit("Write a tagline for {{product}}.", message="first")

    `create` gives a prompt without a version where there is none; nothing is written before `Prompt.commit`.
    Raises NotFound (with the nearest name), ConfigurationError (two prompts of that name), AuthenticationFailed.

    `client` says which gateway keeps it (None: the one of the settings).
    """
    return find(_access(client), name, version=version, create=create)


def find(access: Access, name: str, *, version: int | None, create: bool) -> Prompt:
    """`prompt` of the gateway behind `access`."""
    if not isinstance(name, str) or not all(part.strip() for part in name.split("/")) or plain(name) != name:
        shown = repr(name) if isinstance(name, str) else type_with_article(name)
        raise ConfigurationError(f"A prompt is named folder/name, not {plain(shown, 80)}.")
    number = None if version is None else whole_number("version", version)
    return portal().call(_find(access, name, number, create))


async def _find(access: Access, name: str, version: int | None, create: bool) -> Prompt:
    every = [_of_row(row, access) for row in await _rows(access)]
    found = [one for one in every if name in (one.name, one.id)]
    if len(found) > 1:
        ids = ", ".join(str(one.id) for one in found)
        raise ConfigurationError(f"The gateway has {len(found)} prompts called {name!r}: give an id ({ids}).")
    if not found:
        if create:
            return Prompt(name, _access=access)
        raise NotFound(f"The gateway has no prompt {name!r}.{did_you_mean(name, [one.name for one in every])}")
    if version in (None, found[0].version):
        return found[0]
    answer = await access.get_object(f"{ROOT}/prompts/{quote(str(found[0].id), safe='')}/versions", missing=NO_ROUTE)
    versions = objects(answer.get("versions"))
    for row in versions:
        if row.get("version_number") == version:
            return _of_version(found[0].name, row, access, found[0].id)
    numbers = ", ".join(sorted((str(row.get("version_number")) for row in versions), key=len)) or "none"
    raise NotFound(f"{found[0].name} has no version {version}; there is {numbers}.")


async def _create(access: Access, name: str) -> str:
    """A new prompt's id; its folder is made where it is missing."""
    folder, _, alone = name.rpartition("/")
    content: dict[str, Any] = {"name": alone}
    if folder:
        answer = await access.get_object(f"{ROOT}/folders", missing=NO_ROUTE)
        known = {str(row.get("name")): row.get("id") for row in objects(answer.get("folders"))}
        if folder not in known:
            made = await access.post(f"{ROOT}/folders", {"name": folder}, missing=NO_ROUTE)
            known[folder] = _object(made.get("folder")).get("id")
        content["folder_id"] = known[folder]
    made = await access.post(f"{ROOT}/prompts", content, missing=NO_ROUTE)
    return str(_object(made.get("prompt")).get("id"))


async def _rows(access: Access) -> list[Mapping[str, Any]]:
    answer = await access.get_object(f"{ROOT}/prompts", missing=NO_ROUTE)
    return objects(answer.get("prompts"))


def _access(client: Client | None) -> Access:
    client = chosen_client(client)
    client.settings.admin_headers()  # half a pair of user and password is told now
    return Access(client, client.settings)


def _of_row(row: Mapping[str, Any], access: Access) -> Prompt:
    """A row of the list, with its latest version."""
    folder = access.safe(_object(row.get("folder")).get("name"), 200)
    alone = access.safe(row.get("name"), 200) or "unnamed"
    name = f"{folder}/{alone}" if folder else alone
    id = access.safe(row.get("id"), 100)
    latest = row.get("latest_version")
    return _of_version(name, latest, access, id) if isinstance(latest, dict) else Prompt(name, id, _access=access)


def _time(access: Access, value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(access.safe(value, 40) or "").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _of_version(name: str, row: Mapping[str, Any], access: Access, id: str | None) -> Prompt:
    provider, model = access.safe(row.get("provider"), 100), access.safe(row.get("model"), 200)
    said = (_said(each.get("message")) for each in objects(row.get("messages")))
    number = row.get("version_number")
    return Prompt(
        name,
        id,
        number if type(number) is int and 0 < number < 2**63 else None,
        tuple(access.without_keys(each) for each in said if each is not None),
        access.without_keys(_object(row.get("model_params"))),
        f"{provider}/{model}" if provider and model else None,
        access.safe(row.get("commit_message")),
        _time(access, row.get("created_at")),
        _access=access,
    )


def _said(stored: Any) -> Message | None:
    """The chat message in a stored one: as it is, in an envelope, or as an answer of a model in one."""
    found = _object(stored)
    if "payload" in found:
        payload = _object(found["payload"])
        if found.get("originalType") == "completion_result":
            choices = objects(payload.get("choices"))
            payload = _object(choices[0].get("message")) if choices else {}
        found = payload
    return found if isinstance(found.get("role"), str) else None


def _messages(given: Any) -> list[dict[str, Any]]:
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, Sequence) or not given:
        raise ConfigurationError("messages must be a text or a list of {'role': ..., 'content': ...}.")
    for each in given:
        if not isinstance(each, Mapping) or not isinstance(each.get("role"), str) or not each.get("content"):
            raise ConfigurationError(f"messages must be {{'role': ..., 'content': ...}} each, not {quoted(each)}.")
    return [_json(dict(each), f"messages[{place}]") for place, each in enumerate(given)]


def _json(value: dict[str, Any], where: str) -> dict[str, Any]:
    """`value` as JSON can carry it. Raises ConfigurationError, where the transport would send null for NaN."""
    from .._wire.fields import json_value

    try:
        return dict(json_value(value, where))
    except ValueError as error:
        raise ConfigurationError(f"{error}.") from None


def _variables(message: Mapping[str, Any]) -> list[str]:
    from .._prompts.template import variables

    content = message["content"]
    return variables(content) if isinstance(content, str) else []


def _contents(one: Prompt) -> str | None:
    """All that a version says; None where none is committed."""
    return plain("\n\n".join(str(each.get("content")) for each in one.messages)) if one.version else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


_COLUMNS: tuple[Column[tuple[Prompt, datetime | None]], ...] = (
    Column("name", "string", lambda row: row[0].name),
    Column("id", "string", lambda row: row[0].id),
    Column("version", "Int64", lambda row: row[0].version),
    Column("message", "string", lambda row: row[0].message),
    Column("deployment", "string", lambda row: row[0].deployment),
    Column("messages", "Int64", lambda row: len(row[0].messages) if row[0].version else None),
    Column("text", "string", lambda row: _contents(row[0])),
    Column("updated_at", "datetime64[us, UTC]", lambda row: row[1]),
)

"""``/v1/files`` and ``/v1/batches``: send a job, look after it, fetch its results.

As measured on gateways 1.3.63 to 2.0.0-prerelease3: making a job goes by the model's provider, everything else by
``?provider=``. A job of OpenAI's form has its answers in an output file and its failures in an error file. Both are
read as the provider wrote them: of ``/v1/batches/ID/results`` the gateway leaves out each line that does not have the
types it knows, as one with a byte-order mark, ``"status_code": "200"`` or ``"error": {"code": 0}``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from .._client.resources import ask, ask_json
from .._safe_text import plain
from .._wire.gateway_errors import may_have_arrived
from .._wire.json_text import loads, whole
from ..errors import BifrostError, ConnectionFailed, GatewayError, NotFound, ProtocolError
from .ledger import SentJob
from .requests import ENDPOINTS, PROVIDERS

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["ENDED", "create", "find", "look", "results", "upload", "was_refused"]

SECONDS = 300.0
ENDED = frozenset({"completed", "ended", "failed", "expired", "cancelled", "canceled"})
LISTED, PAGES = 100, 20
SKEW_S = 3600.0
"""How far this machine's clock may be before the provider's. What else is found so is told apart by what it holds."""

Item = tuple[dict[str, Any], bytes]


async def upload(client: Client, job: SentJob, items: Sequence[Item]) -> str | None:
    """The id of the file that holds the requests; None where the provider takes them without one. Costs nothing."""
    if not PROVIDERS[job.provider].by_file:
        return None
    content = b"".join(line + b"\n" for _, line in items)
    answer = await ask_json(
        client, "POST", "/v1/files", params={"provider": job.provider}, form={"purpose": "batch"},
        files={"file": (f"{job.job}.jsonl", content, "application/jsonl")}, seconds=SECONDS,
    )  # fmt: skip
    return _id_of(answer, "/v1/files")


async def create(client: Client, job: SentJob, file_id: str | None, items: Sequence[Item]) -> str:
    """Send the job; its id. From here on it may cost something."""
    body: dict[str, Any] = {"model": job.deployment, "endpoint": ENDPOINTS[job.kind]}
    if file_id is None:
        body |= {"requests": [item for item, _ in items]}
    else:
        body |= {"input_file_id": file_id, "completion_window": "24h", "metadata": {"bifrost_nb": job.job}}
    return _id_of(await ask_json(client, "POST", "/v1/batches", content=body, seconds=SECONDS), "/v1/batches")


async def look(client: Client, job: SentJob) -> dict[str, Any]:
    """What the gateway says of a job."""
    return await ask_json(client, "GET", _path(job), params={"provider": job.provider})


async def find(client: Client, job: SentJob) -> tuple[list[dict[str, Any]], bool]:
    """The jobs at the provider that may be `job`, whose id never arrived, and whether all of its jobs were looked at.

    A list has the jobs of one of the gateway's keys after those of another; a cursor leads on, for Anthropic and Gemini
    only to the same page again (measured on 1.3.63 to 2.0.0-prerelease3 with two keys).
    """
    found, cursors, params = list[dict[str, Any]](), set[str](), {"provider": job.provider, "limit": LISTED}
    for _ in range(PAGES):
        answer = await ask_json(client, "GET", "/v1/batches", params=params)
        listed, cursor = answer.get("data"), answer.get("next_cursor")
        found += [one for one in listed if _may_be(one, job)] if isinstance(listed, list) else []
        if not answer.get("has_more") or (found and PROVIDERS[job.provider].by_file):
            return found, True
        if not isinstance(cursor, str) or cursor in cursors:
            break
        cursors.add(cursor)
        params = {**params, "after": cursor}
    return list({str(one.get("id")): one for one in found}.values()), False


def _may_be(one: Any, job: SentJob) -> bool:
    """Whether a job of a list may be `job`: by its mark; without marks, by time and size.

    Anthropic keeps no mark, so there each job of the same size that was made since counts; at Gemini each that was made
    since, whose list has no sizes.
    """
    if not isinstance(one, dict) or not isinstance(one.get("id"), str):
        return False
    if PROVIDERS[job.provider].by_file:
        return bool(_object(one.get("metadata")).get("bifrost_nb") == job.job)
    sizes = (len(job.cells), 0, None) if job.provider == "gemini" else (len(job.cells),)
    total = _object(one.get("request_counts")).get("total")
    return total in sizes and _since(one.get("created_at"), job.at - SKEW_S)


def _path(job: SentJob) -> str:
    """Of Gemini's ids, ``batches/NAME``, the gateway takes the name, too; the slash would be another path."""
    return f"/v1/batches/{quote((job.batch_id or '').removeprefix('batches/'), safe='')}"


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _since(made_at: Any, start: float) -> bool:
    """Whether a job may have been made since `start`: also where its time cannot be read, so that nothing is lost."""
    return not isinstance(made_at, int | float) or not made_at < start


async def results(client: Client, job: SentJob) -> list[dict[str, Any]]:
    """A line for each request of a job that has ended; one for which there is none was not answered."""
    if PROVIDERS[job.provider].by_file:
        found = await _file(client, job, "output_file_id")
        try:
            return found + await _file(client, job, "error_file_id")
        except NotFound:  # deleted: the answers are there nevertheless
            return found
    answer = await ask_json(client, "GET", f"{_path(job)}/results", params={"provider": job.provider}, seconds=SECONDS)
    lines = answer.get("results")
    if not isinstance(lines, list | None):
        raise ProtocolError(f"The results of the job {plain(job.batch_id, 80)} are no list.")
    # Of a job without results Gemini's have a line of words about that.
    return [line for line in lines or () if isinstance(line, dict) and line.get("custom_id") != "info"]


async def _file(client: Client, job: SentJob, name: str) -> list[dict[str, Any]]:
    """The lines of a job's file that can be read; none where it has no such file."""
    held = job.facts.get(name)
    if not isinstance(held, str) or not held:
        return []
    path = f"/v1/files/{quote(held, safe='')}/content"
    reply = await ask(client, "GET", path, params={"provider": job.provider}, seconds=SECONDS)
    found = []
    for line in reply.body.split(b"\n"):
        try:
            told = whole(loads(line))
        except orjson.JSONDecodeError:
            continue
        found += [told] if isinstance(told, dict) else []
    return found


def _id_of(answer: dict[str, Any], path: str) -> str:
    found = answer.get("id")
    if not isinstance(found, str) or not found:
        raise ProtocolError(f"POST {path} answered without an id: {plain(str(answer), 200)}")
    return found


def was_refused(error: BifrostError) -> bool:
    """Whether a job that could not be sent certainly was not made."""
    if isinstance(error, GatewayError):
        return not may_have_arrived(error)
    return isinstance(error, ConnectionFailed) and not getattr(error, "taken", False)

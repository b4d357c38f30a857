"""``/v1/files`` and ``/v1/batches``: send a job, look after it, fetch its results.

As measured on gateways 1.3.63 to 2.0.0-prerelease3: making a job goes by the model's provider, everything else by
``?provider=``; results are refused (500) before a job of OpenAI's form has an output file, and hold only the requests
that were answered: those that failed are in its error file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from .._client.resources import ask, ask_json
from .._safe_text import plain
from ..errors import BifrostError, ConnectionFailed, GatewayError, ProtocolError
from .ledger import SentJob
from .requests import ENDPOINTS, PROVIDERS

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["ENDED", "create", "find", "look", "results", "upload", "was_refused"]

SECONDS = 300.0
ENDED = frozenset({"completed", "ended", "failed", "expired", "cancelled", "canceled"})
LISTED = 100

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


async def find(client: Client, job: SentJob) -> list[dict[str, Any]]:
    """The jobs at the provider that may be `job`, whose id never arrived: by its mark; without marks, by time and size.

    Anthropic keeps no mark, so there each job of the same size that was made since counts; at Gemini each that was made
    since, whose list has no sizes.
    """
    params = {"provider": job.provider, "limit": LISTED}
    answer = await ask_json(client, "GET", "/v1/batches", params=params)
    listed = answer.get("data")
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if PROVIDERS[job.provider].by_file:
        return [one for one in found if _object(one.get("metadata")).get("bifrost_nb") == job.job]
    sizes = (len(job.cells), 0, None) if job.provider == "gemini" else (len(job.cells),)
    counts = [(one, _object(one.get("request_counts")).get("total")) for one in found]
    return [one for one, total in counts if total in sizes and _since(one.get("created_at"), job.at - 60)]


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
    provider = {"provider": job.provider}
    found: list[dict[str, Any]] = []
    if not PROVIDERS[job.provider].by_file or job.facts.get("output_file_id"):
        answer = await ask_json(client, "GET", f"{_path(job)}/results", params=provider, seconds=SECONDS)
        lines = answer.get("results")
        if not isinstance(lines, list | None):
            raise ProtocolError(f"The results of the job {plain(job.batch_id, 80)} are no list.")
        found += [line for line in lines or () if isinstance(line, dict)]
        if job.provider == "gemini":  # a job without results has a line of words about that
            found = [line for line in found if line.get("custom_id") != "info"]
    errors = job.facts.get("error_file_id")
    if isinstance(errors, str) and errors:
        path = f"/v1/files/{quote(errors, safe='')}/content"
        reply = await ask(client, "GET", path, params=provider, seconds=SECONDS)
        found += _lines(reply.body)
    return found


def _lines(body: bytes) -> list[dict[str, Any]]:
    found = []
    for line in body.splitlines():
        try:
            told = orjson.loads(line)
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
        return error.status is not None and 400 <= error.status < 500
    return isinstance(error, ConnectionFailed) and not getattr(error, "taken", False)

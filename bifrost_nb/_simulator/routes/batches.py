"""``/v1/files`` and ``/v1/batches``, and the same for OpenAI's SDK below ``/openai``.

Measured on gateways 1.3.63, 1.4.0, 1.4.18, 1.5.1, 1.5.16 and 2.0.0-prerelease3 before simulated OpenAI and Anthropic,
with Azure on 1.4.0 and 1.5.16: bodies, what is required, errors, that everything but making a job needs
``?provider=``, and that the results of OpenAI's form lack the requests that failed (they are in the error file). Left
out is the ``raw_response`` that some errors repeat. Gemini's are those of 2.0.0-prerelease3 (measured before a
simulated Gemini); that older generations have none here, and nobody Bedrock's, is ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ..batches import BATCH_S, BatchJob, StoredFile, answers_of
from ..faults import FaultRule
from ..http.connection import Dropped, ServerConnection
from ..http.form import parts_of
from ..http.framing import json_response
from ..records import LogRow
from ..state import Simulator

__all__ = ["batch_routes"]

Json = dict[str, Any]

_WITH_FILES = ("openai", "azure")
_INLINE = ("anthropic", "gemini")
_IDS = {"anthropic": "msgbatch_", "gemini": "batches/"}
_MOST_REQUESTS = 50_000


class _Stop(Exception):
    """An answer that ends the request."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def batch_routes(simulator: Simulator, prefixes: tuple[str, ...]) -> list[Route]:
    """The native routes, and below each of `prefixes` those of OpenAI's SDK, where OpenAI is who is meant."""
    found = []
    for prefix in ("/v1", *(f"{prefix}{version}" for prefix in prefixes for version in ("/v1", ""))):
        routes = _Routes(simulator, integration=prefix != "/v1")
        for path, method, handler in (
            ("/files", "POST", routes.upload),
            ("/files", "GET", routes.files),
            ("/files/{id}", "GET", routes.file),
            ("/files/{id}", "DELETE", routes.delete),
            ("/files/{id}/content", "GET", routes.content),
            ("/batches", "POST", routes.create),
            ("/batches", "GET", routes.batches),
            ("/batches/{id}", "GET", routes.batch),
            ("/batches/{id}/cancel", "POST", routes.cancel),
            ("/batches/{id}/results", "GET", routes.results),
        ):
            found.append(Route(f"{prefix}{path}", _Endpoint(simulator, handler), methods=[method]))
    return found


@dataclass(slots=True)
class _Endpoint:
    """One route: its request recorded, faults by script, refusals as answers."""

    simulator: Simulator
    handler: Callable[[Request, bytes], Awaitable[Response]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        link, request = ServerConnection(scope, receive, send), Request(scope, receive)
        record = link.record
        self.simulator.recorder.add(record)
        content = await request.body()
        try:
            record.body = orjson.loads(content)
        except orjson.JSONDecodeError:
            record.body = content.decode(errors="replace")
        rule = self.simulator.script.find(record.path, record.headers) or FaultRule()
        try:
            if rule.replaces_answer:
                failure = rule.failure()
                raise _Stop(json_response(self.simulator.dialect.error(failure, None), failure.status))
            response = await self.handler(request, content)
        except _Stop as stop:
            response = stop.response
        await asyncio.sleep(max(0.0, record.received_at + (rule.delay_ms or 0) / 1e3 - time.monotonic()))
        record.status, record.ended_at = response.status_code, time.monotonic()
        if rule.drop is not None:  # the answer is lost on the way: what was asked for is done
            with contextlib.suppress(Dropped):
                await link.drop("fin")
        await response(scope, receive, send)


class _Routes:
    def __init__(self, simulator: Simulator, *, integration: bool) -> None:
        self.simulator, self.store, self.integration = simulator, simulator.batches, integration

    # -- files ------------------------------------------------------------------------------------------------------

    async def upload(self, request: Request, content: bytes) -> Response:
        parts = parts_of(request.headers.get("content-type", ""), content)
        if parts is None:
            message = "request Content-Type has bad boundary or is not multipart/form-data"
            raise self._refused(f"Failed to parse multipart form: {message}")
        named = request.query_params.get("provider") or request.headers.get("x-model-provider")
        provider = named or _text(parts, "provider") or ("openai" if self.integration else "")
        if not provider:
            raise self._refused("provider query parameter or x-model-provider header is required")
        purpose = _text(parts, "purpose")
        if not purpose:
            raise self._refused("purpose is required")
        self._supported(provider, "file_upload", files=True)
        name, data = parts.get("file", ("", b""))
        file = self.store.put(provider, name or "file.jsonl", purpose, data)
        return self._good("file_upload", provider, file.told() | {"storage_backend": "api"}, key=True)

    async def files(self, request: Request, content: bytes) -> Response:
        provider = request.query_params.get("provider") or request.headers.get("x-model-provider")
        if self.simulator.dialect.old and not self.integration:
            provider = request.query_params.get("x-model-provider") or request.headers.get("x-model-provider")
            named = "x-model-provider query parameter"
        else:
            named = "provider query parameter"
        provider = provider or ("openai" if self.integration else "")
        if not provider:
            raise self._refused(f"{named} or x-model-provider header is required")
        listed = [file.told() for file in self.store.files.values() if file.provider == provider]
        return self._good("file_list", provider, {"object": "list", "data": listed})

    async def file(self, request: Request, content: bytes) -> Response:
        file = self._file(request, "file_retrieve")
        return self._good("file_retrieve", file.provider, file.told() | {"storage_backend": "api"})

    async def content(self, request: Request, content: bytes) -> Response:
        file = self._file(request, "file_content")
        self._log("file_content", file.provider, "")
        return Response(file.content, 200, media_type="application/octet-stream")

    async def delete(self, request: Request, content: bytes) -> Response:
        file = self._file(request, "file_delete")
        del self.store.files[file.id]
        return self._good("file_delete", file.provider, {"id": file.id, "object": "file", "deleted": True})

    def _file(self, request: Request, operation: str) -> StoredFile:
        provider, wanted = self._provider(request), request.path_params["id"]
        for job in self.store.jobs.values():
            self.store.finish(job)
        file = self.store.files.get(wanted)
        if file is None or file.provider != provider:
            raise self._missing(f"No such File object: {wanted}", operation, provider, param="id")
        return file

    # -- jobs -------------------------------------------------------------------------------------------------------

    async def create(self, request: Request, content: bytes) -> Response:
        try:
            asked = orjson.loads(content)
        except orjson.JSONDecodeError:
            asked = None
        if not isinstance(asked, dict):
            raise self._refused("Invalid request format: the body is no JSON object")
        provider, model = self._asked_of(request, str(asked.get("model") or ""))
        inline, file_id = asked.get("requests") or [], asked.get("input_file_id")
        if not inline and not file_id:
            between = "" if self.simulator.dialect.old else ", input_blob,"
            raise self._refused(f"either input_file_id{between} or requests is required".replace(", or", ", or"))
        self._supported(provider, "batch_create", model=model)
        if provider in _WITH_FILES and not file_id:
            data = b"".join(orjson.dumps(line) + b"\n" for line in inline)
            file_id = self.store.put(provider, "batch_requests.jsonl", "batch", data).id
        lines = inline if provider in _INLINE else self._lines(provider, file_id)
        endpoint = str(asked.get("endpoint") or "")
        if provider in _WITH_FILES and not endpoint:
            raise self._refused("endpoint is required for OpenAI batch API", status=500)
        job = BatchJob(
            f"{_IDS.get(provider, 'batch_')}{uuid.uuid4().hex[:24]}",
            provider, endpoint, file_id,
            str(asked.get("completion_window") or "24h"), asked.get("metadata"),
            answers_of(self.simulator, provider, endpoint, lines[:_MOST_REQUESTS], model),
            BATCH_S / self.simulator.speed,
        )  # fmt: skip
        self.store.add(job)
        return self._good("batch_create", provider, self._told(job), model=model, key=True)

    def _lines(self, provider: str, file_id: Any) -> list[Json]:
        file = self.store.files.get(str(file_id))
        if file is None or file.provider != provider:
            raise self._missing(f"No such File object: {file_id}", "batch_create", provider, param="input_file_id")
        try:
            return [orjson.loads(line) for line in file.content.splitlines() if line.strip()]
        except orjson.JSONDecodeError:
            raise self._refused("The file holds a line that is no JSON") from None

    async def batches(self, request: Request, content: bytes) -> Response:
        provider = self._provider(request)
        jobs = [job for job in reversed(self.store.jobs.values()) if job.provider == provider]
        limit = int(request.query_params.get("limit") or 20)
        extra = {} if provider == "gemini" else self._extra("batch_retrieve", provider)
        listed = [self._told(job) | {"extra_fields": extra} for job in jobs[:limit]]
        if provider == "gemini":  # its list tells no counts
            listed = [one | {"request_counts": {"total": 0, "completed": 0, "failed": 0}} for one in listed]
        facts: Json = {"object": "list", "data": listed}
        if listed:
            facts |= {"first_id": listed[0]["id"], "last_id": listed[-1]["id"]}
        return self._good("batch_list", provider, facts | ({"has_more": True} if len(jobs) > limit else {}))

    async def batch(self, request: Request, content: bytes) -> Response:
        job = self._job(request, "batch_retrieve")
        return self._good("batch_retrieve", job.provider, self._told(job, whole=True))

    async def cancel(self, request: Request, content: bytes) -> Response:
        job = self._job(request, "batch_cancel")
        if job.progress < 1:
            job.cancelled_at = int(time.time())
        told = self._told(job)
        facts = {name: told[name] for name in ("id", "object", "status", "request_counts")}
        return self._good("batch_cancel", job.provider, facts | {"cancelling_at": job.cancelled_at})

    async def results(self, request: Request, content: bytes) -> Response:
        job = self._job(request, "batch_results")
        if job.provider == "gemini" and job.progress < 1:
            message = f"batch {job.id.removeprefix('batches/')} is still processing (state: BATCH_STATE_PENDING), "
            message += "results not yet available"
            raise _Stop(self._error(500, {"message": message}, "batch_results", job.provider, of_engine=True))
        if job.provider not in _INLINE and not job.output_file_id:
            message = "batch results not available: output_file_id is empty (batch may not be completed)"
            raise _Stop(self._error(500, {"message": message}, "batch_results", job.provider, of_engine=True))
        lines = job.results if job.provider in _INLINE else job.good
        lines = lines if job.progress >= 1 else []
        shown = [{name: line[name] for name in ("custom_id", "response", "result", "error") if line.get(name)}
                 for line in lines]  # fmt: skip
        return self._good("batch_results", job.provider, {"batch_id": job.id, "results": shown})

    def _job(self, request: Request, operation: str) -> BatchJob:
        provider, wanted = self._provider(request), request.path_params["id"]
        job = self.store.jobs.get(wanted) or self.store.jobs.get(f"batches/{wanted}")
        if job is None or job.provider != provider:
            raise self._missing(f"No batch found with id '{wanted}'.", operation, provider)
        self.store.finish(job)
        return job

    def _told(self, job: BatchJob, *, whole: bool = False) -> Json:
        over = job.progress >= 1
        good = len(job.good) if over and not job.cancelled_at else 0
        counts = {"total": len(job.results), "completed": good, "failed": len(job.results) - good if over else 0}
        facts: Json = {"id": job.id, "object": "batch"}
        if job.provider == "anthropic":
            state = "ended" if over else "in_progress"
            counts |= {"succeeded": good} if over else {"pending": len(job.results)}
            facts |= {"status": state, "request_counts": counts, "processing_status": state}
        elif job.provider == "gemini":
            state = "completed" if over else "in_progress"
            counts |= {"completed": len(job.results), "succeeded": good} if over else {}
            counts |= {"pending": len(job.results)} if whole and not over else {}
            facts |= {"status": state, "request_counts": counts, "operation_name": job.id}
            return facts | {"created_at": job.created_at} | ({"done": over} if whole else {"endpoint": job.endpoint})
        else:
            facts |= {"endpoint": job.endpoint, "input_file_id": job.input_file_id, "completion_window": job.window}
            facts |= {"status": job.status, "request_counts": counts}
            facts |= {"metadata": job.metadata} if job.metadata else {}
        facts |= {"created_at": job.created_at, "expires_at": job.created_at + 86_400}
        if whole and over:
            facts |= (
                {"completed_at": int(time.time())} if job.cancelled_at is None else {"cancelled_at": job.cancelled_at}
            )
        names = {"output_file_id": job.output_file_id, "error_file_id": job.error_file_id} if whole else {}
        return facts | {name: value for name, value in names.items() if value}

    # -- what is the same for all -----------------------------------------------------------------------------------

    def _provider(self, request: Request) -> str:
        found = request.query_params.get("provider") or ("openai" if self.integration else "")
        if self.integration:
            found = request.headers.get("x-model-provider") or found
        if not found:
            raise self._refused("provider query parameter is required")
        return str(found)

    def _asked_of(self, request: Request, model: str) -> tuple[str, str]:
        """Who is to run a job: by the model's name; from 1.5.16 on also by ``?provider=``."""
        provider, _, name = model.partition("/")
        if model and name:
            return provider, name
        if self.integration:
            return request.headers.get("x-model-provider") or request.query_params.get("provider") or "openai", model
        if self.simulator.dialect.old:
            raise self._refused("model should be in provider/model format or provider must be specified")
        found = request.query_params.get("provider") or request.headers.get("x-model-provider")
        if not found:
            raise self._refused(
                "provider query parameter or x-model-provider header is required when model is not specified"
            )
        return str(found), model

    def _supported(self, provider: str, operation: str, *, model: str = "", files: bool = False) -> None:
        if provider not in self.simulator.providers:
            words = "not found" if self.simulator.dialect.old else "is required"
            raise _Stop(
                self._error(400, {"message": f"provider {words} for batch create request"}, None, None, of_engine=None)
            )
        inline = provider == "anthropic" or (provider == "gemini" and self.simulator.dialect.second)
        if provider in _WITH_FILES or (inline and not files):
            return
        old = "no config found for batch APIs. Please enable 'Use for Batch APIs' on at least one key for provider: "
        new = "no config found for batch apis; enable 'Use for Batch APIs' on at least one key for provider: "
        message = (old if self.simulator.dialect.old else new) + provider
        raise _Stop(self._error(400, {"error": message, "message": message}, operation, provider, of_engine=None))

    def _good(self, operation: str, provider: str, facts: Json, *, model: str = "", key: bool = False) -> Response:
        self._log(operation, provider, model)
        extra = self._extra(operation, provider, model=model, key=key)
        if self.integration and self.simulator.dialect.name == "1.3" and operation in ("file_upload", "file_delete"):
            return json_response(facts)
        return json_response(facts | {"extra_fields": extra})

    def _extra(self, operation: str, provider: str, *, model: str = "", key: bool = False) -> Json:
        extra: Json = {"request_type": operation}
        if not self.simulator.dialect.before(1, 5, 16):
            info = {"provider": provider, "model": model, "key": f"{provider}-demo-key" if key else ""}
            extra["routing_info"] = {name: value for name, value in info.items() if value}
        extra["provider"] = provider
        if model and not self.simulator.dialect.old:
            extra |= {"original_model_requested": model, "resolved_model_used": model}
        return extra | {"latency": 1, "chunk_index": 0}

    def _log(self, operation: str, provider: str, model: str) -> None:
        row = {"id": str(uuid.uuid4()), "object": operation, "provider": provider, "model": model, "latency": 1.0}
        row |= {"status": "success", "stream": False, "number_of_retries": 0, "fallback_index": 0}
        now = time.monotonic()
        interval = self.simulator.dialect.log_interval_s / self.simulator.speed
        written = self.simulator.logs.next_batch(now, interval) if interval else now
        self.simulator.logs.add(LogRow(written_at=written, timestamp=time.time(), facts=row))

    def _refused(self, message: str, status: int = 400) -> _Stop:
        return _Stop(self._error(status, {"message": message}, None, None, of_engine=False))

    def _missing(self, message: str, operation: str, provider: str, **more: str) -> _Stop:
        error = {"type": "invalid_request_error", "message": message, **more}
        return _Stop(self._error(404, error, operation, provider, of_engine=False))

    def _error(
        self,
        status: int,
        error: Mapping[str, str],
        operation: str | None,
        provider: str | None,
        *,
        of_engine: bool | None,
    ) -> Response:
        """`of_engine`: an error of the gateway's own; None: found by it, and no status in the body."""
        body: Json = {"is_bifrost_error": bool(of_engine)}
        if of_engine is False:
            body["status_code"] = status
        extra: Json = {} if operation is None else {"provider": provider, "request_type": operation}
        if self.simulator.dialect.old:
            extra = {"provider": "", "model_requested": "", "request_type": ""} | extra
        else:
            extra = {"routing_info": {"provider": provider} if provider else {}} | extra
        return json_response(body | {"error": dict(error), "extra_fields": extra}, status)


def _text(parts: Mapping[str, tuple[str, bytes]], name: str) -> str:
    return parts.get(name, ("", b""))[1].decode("utf-8", "replace").strip()

"""Files and batches of the embedded gateway: what real gateways said, and what OpenAI's own library makes of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bifrost_nb import LocalGateway, local_gateway
from tests import lazy

OLD_EXTRA = {"provider": "", "model_requested": "", "request_type": ""}
LINE = {
    "custom_id": "a", "method": "POST", "url": "/v1/chat/completions",
    "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say a"}], "seed": 1},
}  # fmt: skip
BAD = {**LINE, "custom_id": "b", "body": {**LINE["body"], "temperature": 9}}  # type: ignore[dict-item]


@pytest.fixture(scope="module", params=["1.3", "1.4", "1.5", "2.0"])
def gateway(request: pytest.FixtureRequest) -> Iterator[LocalGateway]:
    with local_gateway(dialect=request.param, speed=10) as gateway:  # a job of 0.4 s, so that one can be asked early
        yield gateway


@pytest.fixture
def http(gateway: LocalGateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url) as client:
        yield client


def content(*lines: Any) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def upload(http: httpx.Client, data: bytes, path: str = "/v1/files?provider=openai") -> Any:
    return http.post(path, files={"file": ("in.jsonl", data, "application/jsonl")}, data={"purpose": "batch"}).json()


def ended(read: Any) -> Any:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if (found := read()) is not None:
            return found
        time.sleep(0.02)
    raise AssertionError("the job never ended")


def done(http: httpx.Client, job: str, provider: str) -> Any:
    def read() -> Any:
        told = http.get(f"/v1/batches/{job}", params={"provider": provider}).json()
        return told if told["status"] in ("completed", "ended") else None

    return ended(read)


def test_refusals_are_worded_as_measured(http: httpx.Client, gateway: LocalGateway) -> None:
    """What gateways 1.3.63, 1.4.0, 1.5.16 and 2.0.0-prerelease3 said to the same requests."""
    old = gateway.dialect in ("1.3", "1.4")
    form = {"files": {"file": ("in.jsonl", b"{}", "application/jsonl")}}
    between = " or " if old else ", input_blob, or "
    cases: list[tuple[httpx.Response, int, str]] = [
        (http.post("/v1/files", data={"purpose": "batch"}, **form), 400,
         "provider query parameter or x-model-provider header is required"),
        (http.post("/v1/files?provider=openai", **form), 400, "purpose is required"),
        (http.post("/v1/files?provider=openai", json={}), 400,
         "Failed to parse multipart form: request Content-Type has bad boundary or is not multipart/form-data"),
        (http.get("/v1/files/file-1"), 400, "provider query parameter is required"),
        (http.get("/v1/files/file-999?provider=openai"), 404, "No such File object: file-999"),
        (http.get("/v1/batches"), 400, "provider query parameter is required"),
        (http.get("/v1/batches/batch_none?provider=openai"), 404, "No batch found with id 'batch_none'."),
        (http.post("/v1/batches", json={"model": "openai/gpt-4o-mini"}), 400,
         f"either input_file_id{between}requests is required"),
        (http.post("/v1/batches/b/cancel", json={"provider": "openai"}), 400, "provider query parameter is required"),
    ]  # fmt: skip
    for answer, status, message in cases:
        assert (answer.status_code, answer.json()["error"]["message"]) == (status, message)
    refused = cases[0][0].json()
    assert refused["extra_fields"] == (OLD_EXTRA if old else {"routing_info": {}})
    assert (refused["is_bifrost_error"], refused["status_code"]) == (False, 400)
    by_provider = http.post("/v1/batches?provider=openai", json={"input_file_id": upload(http, content(LINE))["id"]})
    assert by_provider.status_code == (400 if old else 500)  # 500: the engine misses the endpoint
    cohere = http.post("/v1/batches", json={"model": "cohere/command-r", "requests": [LINE]})
    assert "'Use for Batch APIs' on at least one key for provider: cohere" in cohere.json()["error"]["message"]


def test_a_job_of_openais_form(http: httpx.Client, gateway: LocalGateway) -> None:
    """Results hold what was answered, the error file the rest; results before the end are a 500; the file is kept."""
    file = upload(http, content(LINE, BAD))
    known = {"object": "file", "bytes": len(content(LINE, BAD)), "filename": "in.jsonl", "purpose": "batch"}
    assert known.items() <= file.items()
    assert http.get(f"/v1/files/{file['id']}/content?provider=openai").content == content(LINE, BAD)
    asked = {"model": "openai/gpt-4o-mini", "input_file_id": file["id"], "endpoint": "/v1/chat/completions",
             "metadata": {"mark": "x"}}  # fmt: skip
    made = http.post("/v1/batches", json=asked).json()
    assert {"object": "batch", "status": "validating", "metadata": {"mark": "x"}}.items() <= made.items()
    early = http.get(f"/v1/batches/{made['id']}/results?provider=openai")
    assert (early.status_code, early.json()["is_bifrost_error"]) == (500, True)
    told = done(http, made["id"], "openai")
    assert told["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    [good] = http.get(f"/v1/batches/{made['id']}/results?provider=openai").json()["results"]
    assert (good["custom_id"], good["response"]["status_code"]) == ("a", 200)
    assert "extra_fields" not in good["response"]["body"]
    [bad] = http.get(f"/v1/files/{told['error_file_id']}/content?provider=openai").text.splitlines()
    assert (json.loads(bad)["custom_id"], json.loads(bad)["response"]["status_code"]) == ("b", 400)
    listed = http.get("/v1/batches?provider=openai&limit=100").json()["data"]
    assert [one["metadata"] for one in listed if one["id"] == made["id"]] == [{"mark": "x"}]
    assert http.get(f"/v1/batches/{made['id']}?provider=azure").status_code == 404


def test_a_job_of_anthropics_form(http: httpx.Client) -> None:
    """`params` or `body`, no file; results before the end are empty; a failure has lost its words."""
    params = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    requests = [{"custom_id": "a", "params": params}, {"custom_id": "b", "body": {**params, "temperature": 9}}]
    made = http.post("/v1/batches", json={"model": "anthropic/claude-haiku-4-5", "requests": requests}).json()
    assert {"status": "in_progress", "processing_status": "in_progress"}.items() <= made.items()
    assert made["request_counts"]["pending"] == 2
    told = done(http, made["id"], "anthropic")
    assert told["request_counts"] == {"total": 2, "completed": 1, "failed": 1, "succeeded": 1}
    good, bad = http.get(f"/v1/batches/{made['id']}/results?provider=anthropic").json()["results"]
    assert good["result"]["type"] == "succeeded"
    assert good["result"]["message"]["content"][0]["type"] == "text"
    assert bad == {"custom_id": "b", "result": {"type": "errored"}, "error": {"code": "error"}}


def test_openais_own_library_runs_a_batch(gateway: LocalGateway) -> None:
    """Upload, job, poll, download, list, cancel, delete: and the answer that a single call gives."""
    sdk = lazy.openai.OpenAI(base_url=f"{gateway.url}/openai/v1", api_key="unused")
    file = sdk.files.create(file=("in.jsonl", content(LINE)), purpose="batch")
    assert sdk.files.retrieve(file.id).bytes == len(content(LINE))
    job = sdk.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h",
                             metadata={"mark": "y"})  # fmt: skip
    told = ended(lambda: found if (found := sdk.batches.retrieve(job.id)).status == "completed" else None)
    [line] = sdk.files.content(told.output_file_id).text.splitlines()
    answer = json.loads(line)["response"]["body"]
    single = sdk.chat.completions.create(**LINE["body"])  # type: ignore[call-overload]
    assert answer["choices"][0]["message"]["content"] == single.choices[0].message.content
    assert answer["usage"]["total_tokens"] == single.usage.total_tokens
    assert job.id in {one.id for one in sdk.batches.list(limit=5).data}
    assert file.id in {one.id for one in sdk.files.list().data}
    other = sdk.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert sdk.batches.cancel(other.id).status in ("cancelling", "cancelled")
    assert sdk.files.delete(file.id).deleted
    with pytest.raises(lazy.openai.NotFoundError):
        sdk.files.retrieve(file.id)


def test_the_gateways_log_names_the_jobs(http: httpx.Client) -> None:
    """A row for each request, without tokens and cost: a batch is in no statistics of money."""
    upload(http, content(LINE))

    def read() -> Any:
        rows = http.get("/api/logs?limit=100").json()["logs"]
        return next((row for row in rows if row.get("object") == "file_upload"), None)

    row = ended(read)
    assert (row["provider"], row["status"], row.get("cost")) == ("openai", "success", None)

"""Whether a real gateway's own spans join those of `bf.export_spans`, by ``traceparent`` and by the request's id."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, Run, RunLog
from tests.engine.configs import gateway_config, key_variable
from tests.tracking.receiver import Receiver, values

from .programs import PROGRAMS, UNSET, Program, numbers, served_lists

pytestmark = [pytest.mark.real_gateway, pytest.mark.skipif(not PROGRAMS, reason=UNSET)]

ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


@pytest.fixture
def upstream() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A provider that gives one answer, and the headers that it got."""
    got: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            got.append({name.lower(): value for name, value in self.headers.items()})
            body = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", got
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.mark.parametrize("path", PROGRAMS or [""])
def test_the_gateways_spans_are_children_of_ours(
    path: str, tmp_path: Path, upstream: tuple[str, list[dict[str, str]]]
) -> None:
    """With ``traceparent=True``, of an SDK's call too, below our span; without, found by the request's id if told."""
    address, got = upstream
    with served_lists({"/prices.json": {}, "/empty.json": {}}) as lists, Receiver() as receiver:
        program = Program(path, tmp_path, lists)
        if numbers(program.version) < (1, 4, 0):
            pytest.skip("1.3 has no spans of requests")
        config = gateway_config(program.version, {"openai": address}, f"{lists}/prices.json")
        profile = {
            "service_name": "bifrost",
            "collector_url": f"{receiver.url}/v1/traces",
            "trace_type": "genai_extension",
            "protocol": "http",
        }
        config["plugins"] = [{"name": "otel", "enabled": True, "config": profile}]
        with program.running(config, {key_variable("openai"): "sk-of-a-test"}) as url:
            joined = _asked(Client(url, traceparent=True, log=RunLog("off"), retries=0))
            roots = [_root(receiver, joined)]  # before the next is asked: spans may come in any order
            alone = _asked(Client(url, log=RunLog("off"), retries=0))
            roots.append(_root(receiver, alone))
            log = RunLog(tmp_path / "sdk.jsonl")
            with bf.sdk("openai", client=Client(url, traceparent=True, log=log)) as openai:
                openai.chat.completions.create(model="openai/gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}])
            (of_sdk,) = log.read()
            other = _root(receiver, of_sdk, "/openai/")
        bf.export_spans([joined, alone, of_sdk], receiver.url)
        theirs = next(span for span in receiver.spans if values(span).get("bifrost.run_id") == of_sdk.run_id)
        assert (other.trace_id, other.parent_span_id) == (theirs.trace_id, theirs.span_id)
        ours = {values(span).get("bifrost.run_id"): span for span in receiver.spans}
        assert (roots[0].trace_id, roots[0].parent_span_id) == (
            ours[joined.run_id].trace_id,
            ours[joined.run_id].span_id,
        )
        assert roots[1].parent_span_id == b""
        assert all("traceparent" not in headers for headers in got)


def _asked(client: Client) -> Run:
    return client.chat("openai/gpt-4o-mini", "Hi", max_completion_tokens=4)


def _root(receiver: Receiver, run: Run, route: str = "/v1/chat/completions") -> Any:
    """The gateway's span of the whole request of `run`: the next that nobody has taken yet."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for span in list(receiver.spans):
            if span.name.startswith(route):
                told = values(span).get("gen_ai.request_id")
                assert told in (None, run.request_id)  # 1.4 does not tell it
                receiver.spans.remove(span)
                return span
        time.sleep(0.1)
    raise AssertionError("the gateway sent no span of the request")

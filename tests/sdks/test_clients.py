"""The recording clients of both HTTP libraries: bytes, errors, keys, retries and what becomes of them in the log."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import io
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, Run, RunLog
from bifrost_nb._runs.pending import wait_for_costs
from bifrost_nb._sdks.recorder import NO_KEY
from bifrost_nb._simulator.process import LocalGateway, local_gateway

from .wires import OPENAI

PATH = "/openai/chat/completions"
QUESTION = json.dumps(OPENAI.question).encode()
Send = Callable[..., Any]


class Server:
    """A loopback server: `answers` says what the next requests get, `requests` what came."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.released = threading.Event()
        self.version: Callable[[BaseHTTPRequestHandler], None] = reply(b"{}", 404)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                if self.path == "/api/version":
                    return outer.version(self)
                if self.path.startswith(("/api/", "/v1/models")):  # the search for version and costs
                    return reply(b"{}", 404)(self)
                outer.requests.append((self.command, self.path, headers, body))
                answer = outer.answers.pop(0) if outer.answers else reply(json.dumps(OPENAI.whole).encode())
                return answer(self)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()

    def stop(self) -> None:
        self.released.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


def reply(body: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        given = {"content-type": "application/json", "content-length": str(len(body))}
        for name, value in {**given, **{name.replace("_", "-"): value for name, value in headers.items()}}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def event_stream(body: bytes, length: int | None = None) -> Callable[[BaseHTTPRequestHandler], None]:
    return reply(body, content_type="text/event-stream", content_length=str(len(body) if length is None else length))


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def ours(server: Server, log: RunLog) -> Client:
    return Client(server.url, log=log, virtual_key="sk-bf-clients", api_key="sk-direct")


class Way:
    """One library, blocking or awaited, with the same calls for both."""

    def __init__(self, library: str, asynchronous: bool) -> None:
        self.library, self.asynchronous = library, asynchronous
        self.module = import_module(library)

    def make(self, ours: Client | None, **options: Any) -> Any:
        if ours is None:
            return (self.module.AsyncClient if self.asynchronous else self.module.Client)(**options)
        maker = bf.recording_async_client if self.asynchronous else bf.recording_client
        return maker(ours, library=self.library, **options)  # type: ignore[arg-type]

    def run(self, ours: Client | None, work: Send, **options: Any) -> Any:
        """`work(send)` with a client, where ``send(method, url, ...)`` gives (status, headers, body, request)."""
        if self.asynchronous:
            return asyncio.run(self._arun(ours, work, options))
        with self.make(ours, **options) as http:

            def send(method: str, url: str, most: int | None = None, **given: Any) -> Any:
                with http.stream(method, url, **given) as response:
                    blocks = []
                    for block in response.iter_raw():
                        blocks.append(block)
                        if len(blocks) == most:
                            break
                    return response.status_code, response.headers, b"".join(blocks), response.request

            return work(send)

    async def _arun(self, ours: Client | None, work: Send, options: dict[str, Any]) -> Any:
        loop = asyncio.get_running_loop()
        async with self.make(ours, **options) as http:

            async def asend(method: str, url: str, most: int | None = None, **given: Any) -> Any:
                async with http.stream(method, url, **given) as response:
                    blocks = []
                    async for block in response.aiter_raw():
                        blocks.append(block)
                        if len(blocks) == most:
                            break
                    return response.status_code, response.headers, b"".join(blocks), response.request

            asked: asyncio.Queue[Any] = asyncio.Queue()

            async def serve() -> None:  # all calls in one task, as an SDK's retries are
                while True:
                    arguments, given, future = await asked.get()
                    try:
                        future.set_result(await asend(*arguments, **given))
                    except Exception as error:
                        future.set_exception(error)

            def send(*arguments: Any, **given: Any) -> Any:
                future: Future[Any] = Future()
                loop.call_soon_threadsafe(asked.put_nowait, (arguments, given, future))
                return future.result(30)

            task = asyncio.create_task(serve())
            try:
                return await asyncio.to_thread(work, send)
            finally:
                task.cancel()


def _ways() -> list[Any]:
    ways = []
    for library in ("httpx", "httpx2"):
        for asynchronous in (False, True):
            try:
                way = Way(library, asynchronous)
            except ModuleNotFoundError:
                skip = pytest.mark.skip(reason=f"{library} is not installed (extra: sdks)")
                ways.append(pytest.param(None, id=f"{library}-{asynchronous}", marks=skip))
                continue
            ways.append(pytest.param(way, id=f"{library}-{'awaited' if asynchronous else 'blocking'}"))
    return ways


WAYS = pytest.mark.parametrize("way", _ways())


def only(log: RunLog) -> Run:
    (run,) = log.read()
    return run


@WAYS
@pytest.mark.parametrize("packed", [False, True])
def test_the_same_bytes(way: Way, server: Server, ours: Client, log: RunLog, packed: bool) -> None:
    """Status, headers, raw body and the request object are those of a client without the recorder."""
    headers = {"content_encoding": "gzip"} if packed else {}
    body = gzip.compress(OPENAI.stream) if packed else OPENAI.stream

    def work(send: Send) -> Any:
        server.answers.append(reply(body, content_type="text/event-stream", x_thing="a", **headers))
        status, got, content, request = send("POST", server.url + PATH, content=QUESTION)
        told = {name: value for name, value in got.items() if name != "date"}
        return status, told, content, dict(request.headers)

    assert way.run(ours, work) == way.run(None, work)
    run = only(log)
    assert (run.status, run.prompt, run.finish_reason) == ("ok", "Tides?", "tool_calls")
    (_, _, sent, got), (_, _, plain, same) = server.requests
    assert got == same == QUESTION
    added = {"x-request-id": run.request_id, "x-bf-vk": "sk-bf-clients"}
    assert sent == {**plain, **added}


@WAYS
def test_other_hosts_get_nothing(way: Way, server: Server, elsewhere: Server, ours: Client, log: RunLog) -> None:
    """A request to another address is not recorded, nor is one to the gateway's host on another port; no key leaves."""
    way.run(ours, lambda send: send("POST", elsewhere.url + PATH, content=QUESTION))
    ((_, _, headers, _),) = elsewhere.requests
    assert not {"x-bf-vk", "x-request-id"} & headers.keys()
    assert log.read() == []


@WAYS
def test_a_redirect_carries_no_key_away(way: Way, server: Server, elsewhere: Server, ours: Client, log: RunLog) -> None:
    """Following a redirect of the gateway to another host takes none of our headers along."""
    server.answers.append(reply(b"", 307, location=elsewhere.url + PATH))
    found = way.run(ours, lambda send: send("POST", server.url + PATH, content=QUESTION), follow_redirects=True)
    assert found[0] == 200
    ((_, _, headers, _),) = elsewhere.requests
    assert not {"x-bf-vk", "x-request-id"} & headers.keys()
    run = only(log)
    assert (run.status, run.http_status, run.error_type) == ("error", 307, "ProtocolError")


@WAYS
def test_lists_need_the_key_too(way: Way, server: Server, ours: Client, log: RunLog) -> None:
    """Only what asks a model is a run; other requests to the gateway get the key and no more."""
    way.run(ours, lambda send: send("GET", server.url + "/openai/v1/models"))
    ((_, _, headers, _),) = server.requests
    assert headers["x-bf-vk"] == "sk-bf-clients"
    assert log.read() == []


@WAYS
def test_headers_of_the_sdk_stay(way: Way, server: Server, ours: Client, log: RunLog) -> None:
    """A request id or a key that the SDK sets itself is left alone; a stand-in for a key is never sent."""
    own = {"x-request-id": "mine", "x-bf-vk": "sk-bf-own", "x-api-key": "sk-own"}
    way.run(ours, lambda send: send("POST", server.url + PATH, content=QUESTION, headers=own))
    assert own.items() <= server.requests[0][2].items()
    assert only(log).request_id == "mine"
    stand_in = {"authorization": f"Bearer {NO_KEY}", "x-api-key": NO_KEY, "x-goog-api-key": NO_KEY}
    request = way.run(ours, lambda send: send("POST", server.url + PATH, content=QUESTION, headers=stand_in))[3]
    assert not stand_in.keys() & server.requests[1][2].keys()
    assert stand_in.items() <= dict(request.headers).items()  # the SDK's own object is as it made it


def test_a_cancelled_call_is_not_retried(server: Server, ours: Client, log: RunLog) -> None:
    """Who asks the same again after a limit of their own makes a new call: SDKs retry failures alone."""
    silent = lambda handler: server.released.wait(30)  # noqa: E731
    server.answers = [silent, reply(b"{}", 503)]

    async def ask() -> None:
        async with bf.recording_async_client(ours) as http:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await http.post(server.url + PATH, content=QUESTION)
            for _ in range(2):
                await http.post(server.url + PATH, content=QUESTION)

    asyncio.run(ask())
    runs = log.read()
    assert [(run.status, run.tags["attempt"]) for run in runs] == [("cancelled", 1), ("error", 1), ("ok", 2)]
    assert runs[0].tags["sdk_call"] != runs[1].tags["sdk_call"] == runs[2].tags["sdk_call"]


def test_another_task_or_thread_is_another_call(server: Server, ours: Client, log: RunLog) -> None:
    """The next task or thread, which often takes the place of the last in memory, is no retry of what that asked."""
    server.answers = [reply(b"{}", 503)] * 8

    async def ask() -> None:
        async with bf.recording_async_client(ours) as http:
            for _ in range(4):
                await asyncio.create_task(http.post(server.url + PATH, content=QUESTION))

    asyncio.run(ask())
    with bf.recording_client(ours) as http:
        for _ in range(4):
            thread = threading.Thread(target=http.post, args=(server.url + PATH,), kwargs={"content": QUESTION})
            thread.start()
            thread.join()
            del thread
    assert [run.tags["attempt"] for run in log.read()] == [1] * 8


@WAYS
def test_a_key_of_the_sdk_that_comes_back(way: Way, server: Server, ours: Client, log: RunLog) -> None:
    """A key that only the SDK was given is in no line of the log, whatever repeats it; a stand-in in no error."""
    keys = {"api-key": "my-azure-key-1", "authorization": "Bearer a-word-and-7", "x-bf-vk": "team-key-77"}
    answer = json.dumps({**OPENAI.whole, "model": "a-word-and-7", "id": "team-key-77 unused-word"})
    said = json.dumps({"error": {"message": f"{' '.join(keys.values())} unused-word", "type": "my-azure-key-1"}})
    server.answers = [reply(said.encode(), 401), reply(answer.encode())]
    for _ in range(2):
        way.run(
            ours,
            lambda send: send("POST", server.url + PATH, content=QUESTION, headers={**keys, "x-key": "unused-word"}),
        )
    failed, answered = log.read()
    assert log.path is not None
    written = log.path.read_text()
    assert [key for key in keys.values() if key.rpartition(" ")[2] in written] == []
    assert "unused-word" not in str(failed.error_message)
    assert (answered.status, answered.model) == ("ok", "[hidden]")


@WAYS
def test_time_limits_of_the_sdk(way: Way, server: Server, ours: Client, log: RunLog) -> None:
    """A time limit raises the library's own error; the run is `timeout`, with the text so far where there was some."""
    silent = lambda handler: server.released.wait(30)  # noqa: E731
    server.answers.append(silent)
    limits = way.module.Timeout(5, read=0.2)
    with pytest.raises(way.module.ReadTimeout):
        way.run(ours, lambda send: send("POST", server.url + PATH, content=QUESTION), timeout=limits)
    cut = OPENAI.stream.index(b'data: {"choices": [{"index": 0, "delta": {"tool_calls"')

    def stalls(handler: BaseHTTPRequestHandler) -> None:
        event_stream(OPENAI.stream[:cut], len(OPENAI.stream))(handler)
        server.released.wait(30)

    server.answers.append(stalls)
    with pytest.raises(way.module.ReadTimeout):
        way.run(ours, lambda send: send("POST", server.url + PATH, content=QUESTION), timeout=limits)
    first, second = log.read()
    assert (first.status, first.http_status, first.error_type) == ("timeout", None, "TimedOut")
    assert (second.status, second.http_status, second.response) == ("timeout", 200, "Ebbe und Flut, größer 🌊")
    assert (second.total_ms or 0) >= 200 > (second.ttft_ms or 0)


@WAYS
def test_a_broken_connection(way: Way, server: Server, ours: Client, log: RunLog) -> None:
    """What breaks raises the library's own error: before an answer the run is `error`, in the middle `truncated`."""

    def breaks(handler: BaseHTTPRequestHandler) -> None:
        event_stream(OPENAI.stream[:400], len(OPENAI.stream))(handler)
        handler.close_connection = True

    server.answers.append(breaks)
    with pytest.raises(way.module.RemoteProtocolError):
        way.run(ours, lambda send: send("POST", server.url + PATH, content=QUESTION))
    nobody = Server()
    nobody.stop()
    away = Client(nobody.url, log=log)
    with pytest.raises(way.module.ConnectError):
        way.run(away, lambda send: send("POST", nobody.url + PATH, content=QUESTION))
    broken, refused = log.read()
    assert (broken.status, broken.http_status, broken.error_type) == ("truncated", 200, "StreamInterrupted")
    assert (refused.status, refused.http_status, refused.error_type) == ("error", None, "ConnectionFailed")


@WAYS
def test_a_stream_that_is_left(way: Way, server: Server, ours: Client, log: RunLog) -> None:
    """Leaving a stream before its last word is `cancelled`; the end is on our clock."""

    def waits(handler: BaseHTTPRequestHandler) -> None:
        event_stream(OPENAI.stream[:400], len(OPENAI.stream))(handler)
        handler.wfile.flush()
        server.released.wait(30)

    server.answers.append(waits)
    way.run(ours, lambda send: send("POST", server.url + PATH, most=1, content=QUESTION))
    run = only(log)
    assert (run.status, run.http_status, run.completion_tokens) == ("cancelled", 200, None)
    assert run.total_ms is not None


@WAYS
def test_retries_are_linked(way: Way, server: Server, ours: Client, log: RunLog) -> None:
    """The same request after a failure is its next attempt; another one, or what the SDK calls a first, is not."""

    def work(send: Send) -> None:
        server.answers += [reply(b"{}", 500), reply(b"{}", 429)]
        for _ in range(4):
            send("POST", server.url + PATH, content=QUESTION)
        server.answers.append(reply(b"{}", 503))
        send("POST", server.url + PATH, content=QUESTION)
        send("POST", server.url + PATH, content=QUESTION.replace(b"Tides", b"Moons"))
        send("POST", server.url + PATH, content=QUESTION, headers={"x-stainless-retry-count": "0"})

    way.run(ours, work)
    runs = log.read()
    assert [run.tags["attempt"] for run in runs] == [1, 2, 3, 1, 1, 1, 1]
    calls = [run.tags["sdk_call"] for run in runs]
    assert calls[0] == calls[1] == calls[2] == runs[0].request_id
    assert len(set(calls)) == 5


def test_a_stream_nobody_closes(server: Server, ours: Client, log: RunLog) -> None:
    """A stream that is dropped is recorded when it is collected; nobody saw when it ended."""
    import httpx

    server.answers.append(event_stream(OPENAI.stream[:400], len(OPENAI.stream)))
    http = bf.recording_client(ours)
    response = http.send(http.build_request("POST", server.url + PATH, content=QUESTION), stream=True)
    assert isinstance(response, httpx.Response)
    next(response.iter_raw(1))
    assert log.read() == []
    del response
    gc.collect()
    assert (only(log).status, only(log).total_ms) == ("cancelled", None)
    http.close()


def test_a_cancelled_task(server: Server, ours: Client, log: RunLog) -> None:
    """A task that is cancelled while it waits for an answer leaves a cancelled run."""
    server.answers.append(lambda handler: bool(server.released.wait(30)))  # type: ignore[arg-type, return-value]

    async def work() -> None:
        async with bf.recording_async_client(ours) as http:
            task = asyncio.create_task(http.post(server.url + PATH, content=QUESTION))
            while not server.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(work())
    assert (only(log).status, only(log).http_status, only(log).error_type) == ("cancelled", None, None)


def test_many_at_once(gateway: LocalGateway, log: RunLog) -> None:
    """Calls of many threads and tasks at once are one run each, with their own answer."""
    ours = Client(gateway.url, log=log)
    body = {"model": "azure/fast", "messages": [{"role": "user", "content": "Hi"}], "stream": True}

    def ask(http: Any, number: int) -> str:
        return http.post(gateway.url + PATH, json={**body, "seed": number}).text

    with bf.recording_client(ours) as http, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: ask(http, number), range(40)))

    async def work() -> list[str]:
        async with bf.recording_async_client(ours) as http:
            asked = [http.post(gateway.url + PATH, json={**body, "seed": number}) for number in range(40, 80)]
            return [response.text for response in await asyncio.gather(*asked)]

    answers += asyncio.run(work())
    runs = {run.params["seed"]: run for run in log.read()}
    assert len(runs) == len(log.read()) == 80
    for number, answer in enumerate(answers):
        pieces = [json.loads(line[6:]) for line in answer.split("\n") if line.startswith("data: {")]
        text = "".join(piece["choices"][0]["delta"].get("content") or "" for piece in pieces if piece["choices"])
        assert runs[number].response == text
        assert runs[number].status == "ok"


@pytest.mark.parametrize(("version", "latency"), [("v1.4.18", None), ("v1.5.16", 150.0), (None, 150.0)])
def test_a_version_told_late_says_what_a_latency_was(
    version: str | None, latency: float | None, server: Server, ours: Client, log: RunLog
) -> None:
    """Up to 1.5.1 that of a stream is a part of it, which is in no line of the log, also where no row corrects it."""

    def told(handler: BaseHTTPRequestHandler) -> None:
        server.released.wait(30)
        (reply(b"{}", 404) if version is None else reply(json.dumps(version).encode()))(handler)

    last = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}], "usage": {"total_tokens": 2}}
    last["extra_fields"] = {"latency": 150, "provider": "openai"}
    server.version = told
    server.answers = [event_stream(b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(last).encode())]
    with bf.recording_client(ours) as http:
        http.post(server.url + PATH, json={"model": "openai/m", "messages": [], "stream": True}).raise_for_status()
    assert only(log).latency_ms is None
    server.released.set()
    while [(run.gateway_version, run.latency_ms) for run in log.read()] != [(version, latency)]:
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="flock is not on Windows")
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_client_outlives_its_event_loop(gateway: LocalGateway, log: RunLog, library: Any) -> None:
    """One `asyncio.run` after the other, and loops of several threads at once: each opens connections of its own."""
    pytest.importorskip(library)
    http = bf.recording_async_client(Client(gateway.url, log=log), library=library)
    body = {"model": "azure/fast", "messages": [{"role": "user", "content": "Hi"}]}
    met = threading.Barrier(3, timeout=30)

    async def ask(calls: int) -> list[int]:
        await asyncio.to_thread(met.wait)
        return [(await http.post(gateway.url + PATH, json=body)).status_code for _ in range(calls)]

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda calls: asyncio.run(ask(calls)), [3] * 3)) == [[200] * 3] * 3

    async def last() -> int:
        answer = await http.post(gateway.url + PATH, json=body)
        await http.aclose()
        return int(answer.status_code)

    assert asyncio.run(last()) == 200
    assert http.is_closed
    assert [run.status for run in log.read()] == ["ok"] * 10


def test_a_held_log_stops_no_event_loop(gateway: LocalGateway, log: RunLog) -> None:
    """While another process holds the log, the async SDK's other tasks go on; the call is recorded when it returns."""
    import fcntl

    ours, late = Client(gateway.url, log=log), []
    body = {"model": "azure/fast", "messages": [{"role": "user", "content": "Hi"}]}
    log.append(Run(run_id="first"))
    assert log.path is not None
    handle = log.path.open("rb")  # held until a timer lets go

    async def tick() -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(0.01)
            late.append(loop.time() - began)

    async def work() -> int:
        async with bf.recording_async_client(ours) as http:
            ticking = asyncio.create_task(tick())
            fcntl.flock(handle, fcntl.LOCK_EX)
            threading.Timer(0.8, handle.close).start()
            await http.post(gateway.url + PATH, json=body)
            ticking.cancel()
            return len(log.read())

    assert asyncio.run(work()) == 2
    assert max(late) < 0.4


def test_costs_come_in_one_page(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many calls get their costs from one page of the gateway's log, and whoever waits for costs waits for these."""
    monkeypatch.setenv("BIFROST_RUN_LOG", str(tmp_path / "runs.jsonl"))
    body = {"model": "azure/fast", "messages": [{"role": "user", "content": "Hi"}]}
    with local_gateway(speed=50) as gateway:
        with bf.recording_client(Client(gateway.url)) as http:
            for number in range(30):
                http.post(gateway.url + PATH, json={**body, "seed": number}).raise_for_status()
        wait_for_costs(seconds=60)  # as `bf.runs` itself does, but for no longer than a user would wait
        frame = bf.runs()
        looks = [request["path"] for request in gateway.requests() if request["path"].startswith("/api/logs")]
    assert len(frame) == 30
    assert set(frame["cost_source"]) == {"log"}
    assert set(frame["gateway_version"]) == {"v2.2.5"}
    assert "/api/logs" in looks
    assert len(looks) < 30  # one by one it would be at least one for each


def test_a_log_that_cannot_be_written(server: Server, tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Where our own part fails the SDK's call does not; what failed is told through `logging`."""
    ours = Client(server.url, log=RunLog(tmp_path / "file" / "runs.jsonl"))
    (tmp_path / "file").write_text("no folder")
    with caplog.at_level(logging.ERROR), bf.recording_client(ours) as http:
        answer = http.post(server.url + PATH, content=QUESTION)
    assert answer.json() == OPENAI.whole
    assert "could not be recorded" in caplog.text


def test_what_is_redacted(server: Server, log: RunLog) -> None:
    """The client's hook is asked before anything is written, and a key inside a prompt is hidden."""
    told = {**OPENAI.question, "messages": [{"role": "user", "content": "sk-bf-clients is a key"}]}
    for redact in (None, lambda _, what: None if what == "prompt" else "an answer"):
        ours = Client(server.url, log=log, virtual_key="sk-bf-clients", redact=redact)
        with bf.recording_client(ours) as http:
            http.post(server.url + PATH, content=json.dumps(told).encode())
    hidden, redacted = log.read()
    assert "[hidden] is a key" in str(hidden.prompt)
    assert (redacted.prompt, redacted.text) == (None, "an answer")
    assert "sk-bf-clients" not in log.path.read_text()


def test_a_gateway_below_a_path(server: Server, log: RunLog) -> None:
    """A gateway below a path has its own requests recorded, not those of its neighbours."""
    ours = Client(f"{server.url}/team/bifrost", log=log, virtual_key="sk-bf-clients")
    with bf.recording_client(ours) as http:
        http.post(f"{server.url}/team/bifrost{PATH}", content=QUESTION)
        http.post(f"{server.url}/team/other{PATH}", content=QUESTION)
    assert only(log).requested == "openai/gpt-4o-mini"
    assert ["x-bf-vk" in headers for method, _, headers, _ in server.requests if method == "POST"] == [True, False]


def test_a_body_read_while_it_is_sent(server: Server, ours: Client, log: RunLog) -> None:
    """A request whose body is a generator goes out as it is; its run knows no prompt."""
    with bf.recording_client(ours) as http:
        http.post(server.url + PATH, content=(part for part in (QUESTION[:9], QUESTION[9:])), headers={"x-a": "b"})
    assert only(log).prompt is None
    assert only(log).completion_tokens == 12


def test_wrong_arguments(ours: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong library, or one that is not installed, is one line; a client that is none of theirs is named."""
    from bifrost_nb._sdks.httpx_clients import record
    from bifrost_nb._sdks.recorder import Recorder

    with pytest.raises(ConfigurationError, match="'httpx' or 'httpx2', not 'requests'"):
        bf.recording_client(ours, library="requests")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="no client of httpx"):
        record(object, Recorder(ours))
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(ConfigurationError, match="pip install httpx2"):
        bf.recording_client(ours, library="httpx2")


INVOKED: dict[str, Any] = {
    "read": lambda body: body.read(),
    "pieces": lambda body: b"".join(body.iter_chunks(4)),
    "exactly": lambda body: body.read(4) + body.read(16),
    "lines": lambda body: b"".join(body.iter_lines()),
    "iterated": lambda body: b"".join(body),
    "into": lambda body: io.BufferedReader(body).read(),
    "left": lambda body: body.read(4) and body.close(),
    "dropped": lambda body: None,
}


@pytest.mark.parametrize("way", INVOKED)
def test_a_body_that_is_read_by_the_person(way: str, server: Server, ours: Client, log: RunLog) -> None:
    """`invoke_model` of boto3 gives the body unread: however it is read the call is ok; left, it is cancelled."""
    pytest.importorskip("boto3", reason="needs the extra sdks")
    server.answers = [reply(said := b'{"completion": "Hi"}')]
    bedrock = bf.sdk("bedrock", client=ours)
    body = bedrock.invoke_model(modelId="nova/pro", body=b"{}")["body"]
    assert INVOKED[way](body) in (said, None)
    del body
    gc.collect()
    bedrock.close()
    run = only(log)
    assert run.status == ("cancelled" if way in ("left", "dropped") else "ok")
    assert (run.request_type, run.requested, run.http_status) == ("invoke", "nova/pro", 200)

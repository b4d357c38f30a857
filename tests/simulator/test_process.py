"""The gateway's process starts quickly, serves this machine only, and never outlives who started it."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from bifrost_nb._simulator import process as local
from bifrost_nb._simulator.process import demo_url, local_gateway
from bifrost_nb._simulator.serve import serve
from bifrost_nb.errors import BifrostError, ConfigurationError

from .conftest import Wire


def lives(pid: int) -> bool:
    """Whether a process is there and not only a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def start(program: str) -> tuple[subprocess.Popen[str], list[Any]]:
    """Run a Python program; the JSON of the first line it prints."""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


PARENT = """
import json, sys, time
from bifrost_nb._simulator.process import local_gateway
gateway = local_gateway()
print(json.dumps([gateway.pid, gateway.url]), flush=True)
time.sleep(60)
"""


def test_it_serves_until_stopped_and_leaves_nothing() -> None:
    """A context manager: the address answers inside, the process is gone after, twice stopping is fine."""
    with local_gateway() as gateway:
        assert httpx.get(f"{gateway.url}/health").json()["status"] == "ok"
        assert urlsplit(gateway.url).hostname == "127.0.0.1"
        assert "running" in repr(gateway)
        assert gateway.url in repr(gateway)
    assert not lives(gateway.pid)
    gateway.stop()
    assert "stopped" in repr(gateway)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{gateway.url}/health")


def test_a_forgotten_gateway_is_stopped_without_a_warning() -> None:
    """Dropping the last reference ends the process; no resource is left open."""
    gateway = local_gateway()
    pid = gateway.pid
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del gateway
        gc.collect()
    assert not lives(pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent(how: signal.Signals) -> None:
    """A parent that is killed takes the gateway with it."""
    process, (pid, url) = start(PARENT)
    try:
        assert httpx.get(f"{url}/health").status_code == 200
        process.send_signal(how)
        wait_until(lambda: not lives(pid))
    finally:
        end(process)


def test_it_ends_with_its_parent_though_a_fork_lives_on() -> None:
    """A forked process that inherited the pipe does not keep the gateway alive."""
    fork = "import os\nif os.fork() == 0:\n    import time; time.sleep(5); os._exit(0)\n"
    program = PARENT.replace("print(", fork + "print(", 1)
    process, (pid, _) = start(program)
    try:
        process.kill()
        wait_until(lambda: not lives(pid), seconds=4)
    finally:
        end(process)


def test_a_parent_that_ends_normally_takes_it_along() -> None:
    """Leaving the interpreter is enough."""
    process, (pid, _) = start(PARENT.replace("time.sleep(60)", ""))
    try:
        assert process.wait(60) == 0
        wait_until(lambda: not lives(pid))
    finally:
        end(process)


def test_an_interrupt_of_the_terminal_does_not_reach_it() -> None:
    """The interrupt key signals the parent's process group; the gateway has its own session."""
    with local_gateway() as gateway:
        assert os.getsid(gateway.pid) != os.getsid(0)


def test_it_loads_only_what_it_needs() -> None:
    """The child loads neither the notebook side nor an HTTP client, so that it starts quickly."""
    program = "import json, sys, bifrost_nb._simulator.serve; print(json.dumps(list(sys.modules)))"
    process, loaded = start(program)
    end(process)
    unwanted = {"pandas", "numpy", "matplotlib", "IPython", "ipywidgets", "httpx", "aiohttp", "scipy", "pyarrow"}
    assert not unwanted & set(loaded)


def test_a_file_in_the_working_folder_is_not_taken_for_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook's folder may hold a random.py: the gateway does not import it."""
    (tmp_path / "random.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "uvicorn.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    with local_gateway() as gateway:
        assert httpx.get(f"{gateway.url}/health").status_code == 200


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"dialect": "9.9"}, "1.3, 1.4, 1.4.18, 1.5.1, 1.5, 2.0, 2.2"),
        ({"speed": 0}, "speed"),
        ({"port": 70_000}, "70000"),
        ({"port": "x"}, "port"),
        ({"seed": 1.5}, "seed"),
        ({"deployments": [{"id": "no-slash"}]}, "id"),
        ({"deployments": [{"id": "azure/x", "latency": 3}]}, "latency"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(arguments: dict[str, Any], named: str) -> None:
    """One clear error, and no process is left."""
    with pytest.raises(ConfigurationError, match=named):
        local_gateway(**arguments)


def test_a_port_in_use_is_a_clear_error(wire: Wire) -> None:
    """The error says which port and what to do."""
    port = urlsplit(wire.gateway.url).port
    with pytest.raises(ConfigurationError, match=f"Port {port} cannot be used.*Choose another"):
        local_gateway(port=port)


def test_a_gateway_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's own error reaches the caller."""
    (tmp_path / "uvicorn.py").write_text("raise ImportError('uvicorn is broken here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(BifrostError, match="uvicorn is broken here"):
        local_gateway()


def test_deployments_of_ones_own_are_served() -> None:
    """Added deployments answer with their own price and speed; the defaults stay. A port may be a whole float."""
    port: Any = 0.0
    mine = {"id": "mistral/mine", "kinds": ["text"], "input_usd": 100, "output_usd": 100, "ttft_ms": 0}
    with local_gateway(deployments=[mine], speed=100, port=port) as gateway:
        models = {item["id"]: item for item in httpx.get(f"{gateway.url}/v1/models").json()["data"]}
        assert models["mistral/mine"]["pricing"]["prompt"] == "0.0001"
        assert "azure/fast" in models
        body = {"model": "mistral/mine", "prompt": "x"}
        assert httpx.post(f"{gateway.url}/v1/completions", json=body).status_code == 200


@pytest.mark.parametrize("name", ["example.com", "127.0.0.1.evil.example", "localhost:1", "127.0.0.1", ""])
def test_a_foreign_host_is_refused(wire: Wire, name: str) -> None:
    """Only the machine's own names with the right port are answered, so that no web page can reach in."""
    answer = wire.http.get("/v1/models", headers={"host": name})
    assert answer.status_code == 403
    assert "azure" not in answer.text


def test_its_own_names_are_answered_and_foreign_pages_are_not(wire: Wire) -> None:
    """localhost and [::1] with its port are fine; a request that a page of another origin sent is not."""
    port = urlsplit(wire.gateway.url).port
    for name in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST"):
        assert wire.http.get("/health", headers={"host": f"{name}:{port}"}).status_code == 200
    assert wire.http.get("/health", headers={"origin": "https://evil.example"}).status_code == 403
    assert wire.http.get("/health", headers={"origin": f"http://localhost:{port}"}).status_code == 200


def test_it_listens_on_this_machine_only() -> None:
    """Another address is refused before anything listens."""
    with pytest.raises(ConfigurationError, match=r"this machine only, not on '0\.0\.0\.0'"):
        serve("0.0.0.0", 0)


def test_the_recorded_requests_need_the_token(wire: Wire) -> None:
    """Records can hold keys: only who started the gateway may read them or script it."""
    for method, path in (("GET", "requests"), ("POST", "script"), ("POST", "reset")):
        assert wire.http.request(method, f"/_embedded/{path}", json=[]).status_code == 403


def test_the_demo_gateway_is_shared_and_comes_back() -> None:
    """One process per Python process; a new one when it died."""
    first = demo_url()
    assert demo_url() == first
    assert local._demo is not None
    os.kill(local._demo.pid, signal.SIGKILL)
    wait_until(lambda: not local._demo.running)
    second = demo_url()
    assert second != first
    assert httpx.get(f"{second}/health").status_code == 200
    local._demo.stop()


def test_a_forked_process_gets_a_demo_gateway_of_its_own() -> None:
    """After a fork the parent's gateway still runs and the child has its own, which ends with it."""
    program = """
import json, os
from bifrost_nb._simulator import process as local
ours = local.demo_url()
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, json.dumps([local.demo_url(), local._demo.pid]).encode())
    local._demo.stop()
    os._exit(0)
theirs = json.loads(os.read(read, 1000))
os.wait()
print(json.dumps([ours, local._demo.running, *theirs]), flush=True)
"""
    process, (ours, running, theirs, pid) = start(program)
    try:
        assert ours != theirs
        assert running
        wait_until(lambda: not lives(pid))
        assert process.wait(60) == 0
    finally:
        end(process)


def test_in_the_foreground_it_tells_its_address_and_ends_on_interrupt() -> None:
    """`serve` prints where and what it serves, keeps no records, and an interrupt ends it in good order."""
    program = "from bifrost_nb._simulator.serve import serve; serve(port=0, echo=lambda line: print(line, flush=True))"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        url = process.stdout.readline().split()[-1]
        wait_until(lambda: _answers(url))
        records = httpx.get(f"{url}/_embedded/requests")  # no route: such a path leads to the gateway's pages
        assert records.headers["content-type"].startswith("text/html")
        process.send_signal(signal.SIGINT)
        out, errors = process.stdout.read(), process.stderr.read()
        process.wait(60)
    assert "azure/fast" in out
    assert process.returncode == 0
    assert errors == ""


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.ConnectError):
        return httpx.get(f"{url}/health").status_code == 200
    return False

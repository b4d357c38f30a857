"""The way to a gateway: this machine is asked directly, a proxy is named, certificates are read when needed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog
from bifrost_nb._client.transport.network_route import proxy_for, proxy_of, route_to
from tests.thorough import thorough

from ..sdks.drivers import DRIVERS
from .server import PEM, FaultServer, Wire, head

PROXY_NAMES = [name for each in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (each, each.upper())]
CHAT = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
).encode()


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither proxies nor certificates of the machine that runs the tests."""
    for name in (*PROXY_NAMES, "SSL_CERT_FILE", "SSL_CERT_DIR", "OPENAI_PROXY"):
        monkeypatch.delenv(name, raising=False)


def whole(wire: Wire) -> None:
    wire.send(head(kind="application/json") + CHAT)


def refusing(wire: Wire) -> None:
    wire.send(head("403 Forbidden", "text/html") + b"<html><title>Access denied by policy</title></html>")


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("driver", DRIVERS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("name", ["http_proxy", *thorough("ALL_PROXY")])
def test_no_sdk_asks_a_proxy_for_this_machine(
    driver: Any, name: str, shared_gateway: LocalGateway, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each SDK's client reaches the embedded gateway whatever the environment names, a kind it cannot use included."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/at/all.pem")
    with FaultServer(refusing) as proxy:
        monkeypatch.setenv(name, proxy.url if name == "http_proxy" else "socks5h://127.0.0.1:9")
        monkeypatch.setenv("OPENAI_PROXY", proxy.url)
        client = Client(shared_gateway.url, log=log, virtual_key="sk-bf-mine")
        made = bf.sdk(driver.name, client=client, **driver.options)
        if driver.blocking:
            driver.answer(made)
            assert [run.status for run in log.read()] == ["ok"]
        assert proxy.seen == 0


@pytest.mark.parametrize(
    "spelling",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.1",
        "[::1]",
        "a.localhost",
        "0.0.0.0",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "[::1%25lo]",
        "[::]",
        "127.255.255.254",
        "ip6-localhost",
        "localhost.localdomain",
    ],
)
@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_this_machine_is_asked_directly(spelling: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every spelling of its address, and by whichever variable a proxy is named."""
    monkeypatch.setenv(name, "http://proxy.example:3128")
    assert proxy_for(f"http://{spelling}:8080") is None
    assert proxy_for("http://gateway.example:8080") == "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("exceptions", "host", "direct"),
    [
        ("gateway.example", "gateway.example", True),
        (".example", "gateway.example", True),
        ("*.example", "gateway.example", True),
        ("other, *", "gateway.example", True),
        ("gateway.example:8080", "gateway.example", True),
        ("gateway.example:9", "gateway.example", False),
        ("http://gateway.example", "gateway.example", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("2001:db8::1", "[2001:db8::1]", True),
        ("[2001:db8::1]", "[2001:db8::1]", True),
        ("ample", "gateway.example", False),
        ("", "gateway.example", False),
    ],
)
def test_exceptions_are_read_as_people_write_them(
    exceptions: str, host: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``NO_PROXY`` with ends of names, stars, ports, schemes, networks and IPv6."""
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert (proxy_for(f"http://{host}:8080") is None) is direct


@pytest.mark.parametrize("ask", ["call", "stream", "admin"])
def test_what_a_proxy_says_names_the_proxy(
    ask: str, faulty: Callable[..., FaultServer], log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of refusal from between is told as such, with the proxy's address and without its password."""
    proxy = faulty(refusing)
    monkeypatch.setenv("HTTP_PROXY", f"http://me:planted-password@127.0.0.1:{proxy.port}")
    client = Client("http://gateway.invalid", log=log, retries=0)
    with pytest.raises(bf.BifrostError) as caught:
        if ask == "call":
            client.complete("azure/fast", "Hi")
        elif ask == "stream":
            with client.stream("azure/fast", "Hi") as running:
                list(running)
        else:
            bf.Admin(client).models()
    assert f"127.0.0.1:{proxy.port}" in str(caught.value)
    assert "NO_PROXY" in str(caught.value)
    assert "planted" not in str(caught.value)


def test_a_proxy_that_is_not_there_is_named(log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens where the proxy should be: the error is about that, not about the gateway."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(bf.ConnectionFailed, match=r"proxy 127\.0\.0\.1:9"):
        Client("http://gateway.invalid", log=log, retries=0).complete("azure/fast", "Hi")


@pytest.mark.parametrize("proxy", ["http://", "http://[::1", "http://host:port"])
def test_a_proxy_that_is_no_address_is_refused(proxy: str, log: RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """One error before anything is sent, for a call and a comparison alike."""
    monkeypatch.setenv("HTTP_PROXY", proxy)
    client = Client("http://gateway.invalid", log=log)
    for ask in (lambda: client.complete("azure/a", "Hi"), lambda: bf.compare(["azure/a"], "Hi", client=client)):
        with pytest.raises(bf.ConfigurationError, match="HTTP_PROXY"):
            ask()
    assert log.read() == []


def asked_by(what: str, client: Client, log: RunLog) -> None:
    if what == "client":
        client.chat("openai/m", "Hi", retries=0)
    elif what == "admin":
        bf.Admin(client).models()
    elif what == "compare":
        bf.compare(["openai/m"], "Hi", client=client, chat=True, stream=False)
    else:
        made = bf.sdk("openai", client=client, max_retries=0)
        made.chat.completions.create(model="openai/m", messages=[{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize("what", ["client", "admin", "compare", "sdk"])
@pytest.mark.parametrize("how", ["ca_file", "BIFROST_CA_FILE", "SSL_CERT_FILE"])
def test_stale_certificates_are_told_before_anything_is_sent(
    what: str, how: str, faulty: Callable[..., FaultServer], log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is gone is one clear error at the first call of any kind, which names file and setting."""
    server = faulty(whole, tls=True)
    if how != "ca_file":
        monkeypatch.setenv(how, "/nowhere/at/all.pem")
    client = Client(server.url, log=log, ca_file="/nowhere/at/all.pem" if how == "ca_file" else None)
    with pytest.raises(bf.ConfigurationError, match=r"/nowhere/at/all\.pem.*No such file") as caught:
        asked_by(what, client, log)
    assert ("SSL_CERT_FILE" if how == "SSL_CERT_FILE" else "ca_file") in str(caught.value)
    assert server.seen == 0


def test_certificates_are_believed_when_they_are_named(
    faulty: Callable[..., FaultServer], log: RunLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By argument or environment, set between two calls, and read again when the file is renewed."""
    server = faulty(whole, tls=True)
    with pytest.raises(bf.ConnectionFailed, match="ca_file"):
        asked_by("client", Client(server.url, log=log), log)
    asked_by("client", Client(server.url, log=log, ca_file=PEM), log)
    asked_by("sdk", Client(server.url, log=log, ca_file=str(PEM)), log)
    client = Client(server.url, log=log)
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    asked_by("client", client, log)
    renewed = tmp_path / "ca.pem"
    renewed.write_text("not yet\n")
    client = Client(server.url, log=log, ca_file=renewed)
    with pytest.raises(bf.ConfigurationError, match="no certificate"):
        asked_by("client", client, log)
    shutil.copy(PEM, renewed)
    asked_by("client", client, log)
    assert [run.status for run in log.read()] == ["error", "ok", "ok", "ok", "ok"]


def test_no_certificate_is_read_where_nothing_is_encrypted(gateway: LocalGateway, monkeypatch: Any) -> None:
    """A stale file of the environment stops neither the embedded gateway nor a launched one on this machine."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/at/all.pem")
    assert route_to(gateway.url).tls is None
    assert Client(gateway.url).complete("azure/fast", "Hi").status == "ok"


def test_what_may_be_shown_of_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Host and port, never user and password."""
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.example:3128")
    assert proxy_of("https://gateway.example") == "proxy.example:3128"

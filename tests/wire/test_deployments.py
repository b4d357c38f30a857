"""Names of deployments on their way into an address."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import given, strategies as st

from bifrost_nb._client.portal import portal
from bifrost_nb._client.transport.fetch import fetch
from bifrost_nb._client.transport.pool import address
from bifrost_nb._wire.requests import Deployment, body, build_text, endpoint
from bifrost_nb.errors import ConfigurationError

PREFIX = "/openai/openai/deployments/"
PLAIN = ["fast", "gpt-35-turbo-instruct", "...", "a..b", "~tilde", "GPT_4.1"]
ESCAPED = [
    "50%", "a%2Fb", "%2e%2e", "with space", "#1", "what?", "a?b=c&d", "a/b", "../x", ".", "..",
    "a:b", "a;b", "a@b", "a+b", "a\\b", "größe", "模型", "😀", "a'b\"c", "<b>", "e\u0301", "a=b,c!$*()",
]  # fmt: skip


@pytest.mark.parametrize("text", ["azure/fast", "openrouter/meta-llama/llama-3", "a/b c", "x/größe", "a/b,c", "a/b,/c"])
def test_provider_and_model_are_told_apart_at_the_first_slash(text: str) -> None:
    """The model keeps its own slashes, and the text comes back whole."""
    deployment = Deployment.parse(text)
    assert str(deployment) == text
    assert deployment.provider == text.split("/")[0]
    assert Deployment.parse(deployment) is deployment


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "fast", "azure/", "/fast", " azure/fast", "azure/fast\n"),
        *("azure/a\x00b", "azure/\x1b[31m", "azure/\x85", "azure/\ud800"),
        *("openai/a,openai/b", "openai/a, azure/größe", "openai/a,b/c/d"),
        *(None, 5, b"azure/fast", ["azure/fast"]),
    ],
)
def test_what_names_no_deployment_is_refused(text: Any) -> None:
    """The error says what was given, harmlessly, and how to write it."""
    with pytest.raises(ConfigurationError) as caught:
        Deployment.parse(text)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_a_bare_name_brings_the_full_form() -> None:
    """Who forgets the provider reads the name with one."""
    with pytest.raises(ConfigurationError, match="like 'azure/fast'"):
        Deployment.parse("fast")


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("Why is the sky blue?", "comes before the prompt"),  # the two arguments of a call, the wrong way round
        ("azure/fast,", "Leave the comma out"),
        ("azure/fast, ", "Leave the comma out"),
    ],
)
def test_a_slip_is_told_as_what_it_is(text: str, way: str) -> None:
    """It was proposed as a deployment's name, or asked for as one and not found."""
    with pytest.raises(ConfigurationError, match=way):
        Deployment.parse(text)


def test_routes() -> None:
    """Azure text completions use the Azure route, all else /v1, and the caller may choose."""
    azure, openai = Deployment("azure", "fast"), Deployment("openai", "gpt")
    assert endpoint("text", azure) == (f"{PREFIX}fast/completions", {}, "azure")
    assert endpoint("text", azure, None, "2024-10-21").query == {"api-version": "2024-10-21"}
    assert endpoint("text", azure, "v1", "2024-10-21") == ("/v1/completions", {}, "v1")
    assert endpoint("text", openai) == ("/v1/completions", {}, "v1")
    assert endpoint("chat", azure) == ("/v1/chat/completions", {}, "v1")
    assert endpoint("chat", azure, "azure").path == f"{PREFIX}fast/chat/completions"


@pytest.mark.parametrize(
    ("deployment", "route", "api_version"),
    [
        (Deployment("azure", "a/b"), "azure", None),
        (Deployment("azure", "../x"), "azure", None),
        (Deployment("azure", "."), "azure", None),
        (Deployment("azure", ".."), "azure", None),
        (Deployment("openai", "gpt"), "azure", None),
        (Deployment("azure", "fast"), "v2", None),
        (Deployment("azure", "fast"), "azure", "2024&x=1"),
        (Deployment("azure", "fast"), "azure", ""),
        (Deployment("azure", "fast"), "azure", 2024),
    ],
)
def test_what_an_address_cannot_carry_is_refused(deployment: Deployment, route: Any, api_version: Any) -> None:
    """A name that would lead elsewhere, a route for another provider and a strange version end before sending."""
    with pytest.raises(ConfigurationError):
        endpoint("text", deployment, route, api_version)


@pytest.mark.parametrize("name", ESCAPED)
def test_a_name_that_would_be_escaped_goes_over_v1(name: str) -> None:
    """No gateway decodes a path segment: by itself the name travels in the body; on the Azure route it is refused."""
    deployment = Deployment("azure", name)
    address = endpoint("text", deployment)
    assert address == ("/v1/completions", {}, "v1")
    assert body(build_text(deployment, "Hi"), deployment, address)["model"] == f"azure/{name}"
    for kind in ("text", "chat", "embedding"):
        with pytest.raises(ConfigurationError, match="escaped") as caught:
            endpoint(kind, deployment, "azure")
        assert "/v1" in str(caught.value.hint)


def arrives(name: str) -> None:
    path = endpoint("text", Deployment("azure", name)).path
    assert path in (f"{PREFIX}{name}/completions", "/v1/completions")
    for base in ("http://localhost:8080", "http://localhost:8080/under"):
        # Another library reads the same address in it, and what is sent is what was built.
        assert httpx.URL(base + path).raw_path.decode() == httpx.URL(base).raw_path.decode().rstrip("/") + path
        assert address(base + path).raw_path_qs == httpx.URL(base + path).raw_path.decode()


def test_every_plain_name_crosses_the_real_transport() -> None:
    """What a server reads on its socket, sent by the transport that the client uses, is the path we built."""
    lines: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines.append(head.split(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def send(paths: list[str]) -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            for path in paths:
                await fetch(f"http://127.0.0.1:{port}", path, {}, {"api-version": "2024-10-21"}, method="POST")

    paths = [endpoint("text", Deployment("azure", name)).path for name in PLAIN]
    assert all(path.startswith(PREFIX) for path in paths)
    portal().call(send(paths))
    assert [line.split(" ")[1] for line in lines] == [f"{path}?api-version=2024-10-21" for path in paths]


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/"), min_size=1, max_size=20))
def test_any_name_reaches_the_server_or_is_refused(name: str) -> None:
    """No name of printable characters leads to another address."""
    try:
        Deployment.parse(f"azure/{name}")
    except ConfigurationError:
        assert name != name.strip()
    else:
        arrives(name)

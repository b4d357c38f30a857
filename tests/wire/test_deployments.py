"""Names of deployments on their way into an address."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import aiohttp
import httpx
import pytest
import yarl
from httpx_aiohttp import AiohttpTransport
from hypothesis import given, strategies as st

from bifrost_nb._wire.requests import Deployment, endpoint
from bifrost_nb.errors import ConfigurationError

PREFIX = "/openai/openai/deployments/"
NAMES = [
    "fast", "gpt-35-turbo-instruct", "50%", "a%2Fb", "%2e%2e", "with space", "...", "a..b", "#1", "what?", "a?b=c&d",
    "a:b", "a;b", "a@b", "a+b", "a\\b", "größe", "模型", "😀", "a'b\"c", "<b>", "~tilde", "e\u0301", "a=b,c!$*()",
]  # fmt: skip


@pytest.mark.parametrize("text", ["azure/fast", "openrouter/meta-llama/llama-3", "a/b c", "x/größe"])
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
        (Deployment("azure", "a/b"), None, None),
        (Deployment("azure", "../x"), None, None),
        (Deployment("azure", "."), None, None),
        (Deployment("azure", ".."), None, None),
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


def test_a_slash_is_no_hindrance_on_v1() -> None:
    """There the name travels in the body."""
    assert endpoint("text", Deployment("azure", "a/b"), "v1").path == "/v1/completions"


def arrives(name: str) -> None:
    path = endpoint("text", Deployment("azure", name)).path
    assert path.isascii()
    segment = path.removeprefix(PREFIX).removesuffix("/completions")
    assert "/" not in segment
    assert unquote(segment) == name
    for base in ("http://localhost:8080", "http://localhost:8080/under"):
        address = httpx.URL(base + path)
        assert address.raw_path.decode() == httpx.URL(base).raw_path.decode().rstrip("/") + path
        # The transport hands httpx's address to yarl, which may write a character in another way, but not another one.
        again = yarl.URL(str(address)).raw_path_qs
        assert again.count("/") == address.raw_path.decode().count("/")
        assert unquote(again).endswith(f"{PREFIX}{name}/completions")
        assert yarl.URL(str(address)).query_string == ""


@pytest.mark.parametrize("name", NAMES)
def test_every_name_reaches_the_server_as_it_is(name: str) -> None:
    """Percent-encoding survives the URL layers of httpx and of its transport."""
    arrives(name)


def test_every_name_crosses_the_real_transport() -> None:
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
            async with httpx.AsyncClient(transport=AiohttpTransport(client=aiohttp.ClientSession)) as client:
                for path in paths:
                    await client.post(f"http://127.0.0.1:{port}{path}", params={"api-version": "2024-10-21"})

    paths = [endpoint("text", Deployment("azure", name)).path for name in NAMES]
    asyncio.run(send(paths))
    targets = [line.split(" ")[1] for line in lines]
    assert [unquote(target) for target in targets] == [f"{unquote(path)}?api-version=2024-10-21" for path in paths]
    assert all(target.count("/") == 5 and target.count("?") == 1 for target in targets)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/"), min_size=1, max_size=20))
def test_any_name_reaches_the_server_or_is_refused(name: str) -> None:
    """No name of printable characters leads to another address."""
    try:
        deployment = Deployment.parse(f"azure/{name}")
        endpoint("text", deployment)
    except ConfigurationError:
        assert name != name.strip() or name in (".", "..")
    else:
        arrives(name)

"""`sdk`: the client of another SDK, pointed at the gateway, with its key and the recorder in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

from .._client.client import Client
from .._client.transport import ca_variable
from .._safe_text import quoted
from .._suggest import did_you_mean
from ..errors import ConfigurationError
from .boto3_client import record_boto3
from .environment_headers import event_hooks
from .httpx_clients import closed_with, record, to_the_gateway
from .recorder import NO_KEY, Recorder
from .routes import PREFIXES

__all__ = ["SdkName", "sdk"]

SdkName = Literal["openai", "anthropic", "genai", "cohere", "bedrock", "langchain", "litellm", "pydanticai"]


def sdk(
    name: SdkName,
    *,
    asynchronous: bool = False,
    client: Client | None = None,
    tags: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """The client of an SDK that goes through the gateway, each of its calls a run in the log.

    ``"openai"``, ``"anthropic"``, ``"genai"``, ``"cohere"`` and ``"bedrock"`` give that SDK's own client (its async one
    where `asynchronous`), ``"langchain"`` a ``ChatOpenAI`` and ``"pydanticai"`` an ``OpenAIChatModel`` (both want
    ``model="provider/model"`` and serve blocking and async code alike), ``"litellm"`` the functions of litellm that
    complete and embed. `client` says which gateway, keys and log (None: the default, see `Client`); `tags` go with each
    run, beside ``sdk``, the name; `options` go to the SDK's own constructor.

    Raises ConfigurationError for an unknown name, a package that is not installed, or a missing ``model``.

        openai = bf.sdk("openai")
        openai.chat.completions.create(model="azure/fast", messages=[{"role": "user", "content": "Hi"}])
    """
    chosen = _SDKS.get(name)
    if chosen is None:
        hint = did_you_mean(name, _SDKS)
        raise ConfigurationError(f"There is no SDK {quoted(name)}; known are {', '.join(_SDKS)}.{hint}")
    for module in chosen.modules:
        _installed(module, chosen.package)
    recorder = Recorder(client, tags)
    recorder.tags = {"sdk": name, **recorder.tags}
    return chosen.build(_Place(recorder, recorder.base_url + PREFIXES[name], asynchronous, dict(options)), options)


def _installed(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise  # the SDK is there, and something of its own is missing
        raise ConfigurationError(f"{package} is not installed.", hint=f"Run `pip install {package}`.") from None


class _Place(NamedTuple):
    """Where an SDK's client is to go, and how."""

    recorder: Recorder
    url: str
    asynchronous: bool
    given: Mapping[str, Any]
    """The person's options for the SDK."""

    @property
    def key(self) -> str:
        return self.recorder.client.settings.api_key or NO_KEY

    def http(self, kind: Any, **options: Any) -> Any:
        """A recorded client of `kind`, a class of httpx or httpx2, that takes nothing of the environment along."""
        hooks = event_hooks(self.key, self.given, asynchronous=hasattr(kind, "aclose"))
        made = record(partial(kind, **to_the_gateway(self.recorder), **hooks, **options), self.recorder)
        if not hasattr(kind, "aclose"):  # with the SDK's client, which nobody closes; theirs do so, too
            closed_with(made)
        return made


Options = dict[str, Any]


def _openai_client(place: _Place, asynchronous: bool, options: Options) -> Any:
    import openai

    kind: Any = openai.AsyncOpenAI if asynchronous else openai.OpenAI
    http: Any = openai.DefaultAsyncHttpxClient if asynchronous else openai.DefaultHttpxClient
    return kind(**{"base_url": place.url, "api_key": place.key, "http_client": place.http(http), **options})


def _openai(place: _Place, options: Options) -> Any:
    return _openai_client(place, place.asynchronous, options)


def _anthropic(place: _Place, options: Options) -> Any:
    import anthropic

    kind: Any = anthropic.AsyncAnthropic if place.asynchronous else anthropic.Anthropic
    http: Any = anthropic.DefaultAsyncHttpxClient if place.asynchronous else anthropic.DefaultHttpxClient
    return kind(**{"base_url": place.url, "api_key": place.key, "http_client": place.http(http), **options})


def _genai(place: _Place, options: Options) -> Any:
    from google import genai

    library = "httpx2" if find_spec("httpx2") else "httpx"  # as the SDK itself chooses
    given = options.pop("http_options", {})
    http = {
        "base_url": place.url,
        "api_version": "v1beta",  # the gateway's route; the SDK's own default changes
        # No redirect is followed, as this SDK would: its header with the key would go along to whatever host is named.
        "httpx_client": place.http(import_module(library).Client, follow_redirects=False),
        "httpx_async_client": place.http(import_module(library).AsyncClient, follow_redirects=False),
        # Its live connections read SSL_CERT_FILE when the client is made, also where nothing is encrypted.
        "async_client_args": {"ssl": to_the_gateway(place.recorder)["verify"]},
        **(given if isinstance(given, dict) else given.model_dump(exclude_unset=True)),
    }
    client = genai.Client(**{"api_key": place.key, "vertexai": False, "http_options": http, **options})
    return client.aio if place.asynchronous else client


def _cohere(place: _Place, options: Options) -> Any:
    import cohere
    import httpx

    kind: Any = cohere.AsyncClientV2 if place.asynchronous else cohere.ClientV2
    http: Any = httpx.AsyncClient if place.asynchronous else httpx.Client
    # Without this header the gateway answers in its own form, of which the SDK reads nothing (measured from 1.4.18 on).
    raw = {"x-bf-send-back-raw-response": "true"}
    http_client = place.http(http, timeout=300, follow_redirects=True, headers=raw)  # else as its own client
    return kind(**{"base_url": place.url, "api_key": place.key, "httpx_client": http_client, **options})


def _bedrock(place: _Place, options: Options) -> Any:
    if place.asynchronous:
        raise ConfigurationError("boto3 has no async client.", hint="Leave asynchronous out.")
    import boto3
    import botocore
    from botocore.config import Config

    route, scheme = place.recorder.route, place.url.partition("://")[0]
    config = Config(  # the gateway has AWS's keys; none are needed here
        signature_version=botocore.UNSIGNED, proxies={scheme: route.proxy} if route.proxy else {}
    )
    config = config.merge(options.pop("config", Config()))
    trusted = place.recorder.client.credentials.ca_file or ca_variable()[0]
    values = {"endpoint_url": place.url, "region_name": "us-east-1", "config": config, "verify": trusted, **options}
    return record_boto3(boto3.client("bedrock-runtime", **values), place.recorder)


def _langchain(place: _Place, options: Options) -> Any:
    import openai
    from langchain_openai import ChatOpenAI

    _want_model("langchain", options)
    values = {
        "base_url": place.url,
        "api_key": place.key,
        "http_client": place.http(openai.DefaultHttpxClient),
        "http_async_client": place.http(openai.DefaultAsyncHttpxClient),
        "openai_proxy": None,  # OPENAI_PROXY is not for the gateway, and langchain takes no client beside it
        **options,
    }
    return ChatOpenAI(**values)


def _pydanticai(place: _Place, options: Options) -> Any:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    _want_model("pydanticai", options)
    provider = OpenAIProvider(openai_client=_openai_client(place, True, {}))
    return OpenAIChatModel(options.pop("model"), provider=provider, **options)


def _want_model(name: str, options: Options) -> None:
    if not options.get("model"):
        raise ConfigurationError(
            f"sdk({name!r}) wants a model.", hint=f"Write bf.sdk({name!r}, model='openai/gpt-4o-mini')."
        )


class _LiteLLM:
    """litellm, whose calls below go through the gateway; everything else is litellm's own."""

    _BLOCKING = ("completion", "text_completion", "embedding")
    _AWAITED = ("acompletion", "atext_completion", "aembedding")

    def __init__(self, place: _Place, options: Options) -> None:
        import litellm

        self._module = litellm
        shared = {"custom_llm_provider": "openai", "api_base": place.url, "api_key": place.key, **options}
        for names, asynchronous in ((self._BLOCKING, False), (self._AWAITED, True)):
            client = _openai_client(place, asynchronous, {})
            for name in names:
                setattr(self, name, partial(getattr(litellm, name), client=client, **shared))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _Sdk(NamedTuple):
    package: str
    """What to install."""
    modules: tuple[str, ...]
    build: Callable[[_Place, Options], Any]


_SDKS: dict[str, _Sdk] = {
    "openai": _Sdk("openai", ("openai",), _openai),
    "anthropic": _Sdk("anthropic", ("anthropic",), _anthropic),
    "genai": _Sdk("google-genai", ("google.genai",), _genai),
    "cohere": _Sdk("cohere", ("cohere",), _cohere),
    "bedrock": _Sdk("boto3", ("boto3",), _bedrock),
    "langchain": _Sdk("langchain-openai", ("langchain_openai",), _langchain),
    "litellm": _Sdk("litellm", ("litellm", "openai"), _LiteLLM),
    "pydanticai": _Sdk("'pydantic-ai-slim[openai]'", ("pydantic_ai", "openai"), _pydanticai),
}

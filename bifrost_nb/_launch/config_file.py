"""The ``config.json`` of a real gateway: written for the providers given, keys by reference to the environment only.

Field names follow the gateway's published ``config.schema.json``; what differs before 1.5 is in one place each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from .._keys import without_keys
from .._safe_text import quoted
from .._suggest import did_you_mean
from ..errors import ConfigurationError

__all__ = ["Providers", "check_config", "gateway_config"]

Providers = Iterable[str] | Mapping[str, str | Mapping[str, Any] | None]

BUILT_IN = frozenset({
    "anthropic", "azure", "cerebras", "cohere", "elevenlabs", "fireworks", "gemini", "groq", "huggingface", "mistral",
    "nebius", "ollama", "openai", "openrouter", "parasail", "perplexity", "replicate", "sgl", "vllm", "xai",
})  # fmt: skip
"""Providers that the gateway knows by name and that one key (or none) opens; others are custom, OpenAI-style."""
OPTIONS = ("key", "base_url", "endpoint", "deployments", "api_version", "models", "timeout_s", "max_retries")
_REQUESTS = (
    "text_completion", "text_completion_stream", "chat_completion", "chat_completion_stream", "responses",
    "responses_stream", "embedding", "list_models",
)  # fmt: skip
"""What a custom provider may be asked: the gateway refuses all that is not listed."""
_REFERENCE = re.compile(r"env\.([A-Za-z_][A-Za-z0-9_]*)")
_SECRET = re.compile(
    r"(?i)^(?:.*(?:(?:api|access|secret|private|encryption)[_-]?key|secret|password|passphrase|token|credentials?)"
    r"|(?:proxy-)?authorization)$"
)
_NOT_SECRET = re.compile(r"(?i)(?:max|limit|usage|reset|duration|tokens|_id|_name|_url|enabled|count|_file)")


def gateway_config(
    providers: Providers, *, folder: PurePath, version: str | None = None, prices: bool = False, url: str = ""
) -> dict[str, Any]:
    """The config for `providers`, a gateway that keeps its databases in `folder`.

    `providers` names them (the key is then the variable ``OPENAI_API_KEY`` and the like), or maps names to
    ``"env.VARIABLE"`` or to options: ``key``, ``base_url`` (without ``/v1``), ``endpoint`` and ``deployments`` (Azure),
    ``models``, ``timeout_s``, ``max_retries``. With `prices` the price list is ``prices.json`` in `folder`,
    named by its file address or, where one is given, below `url`.

    Raises ConfigurationError; its message never quotes a value that may be a key.
    """
    old = _before_1_5(version)
    given = providers if isinstance(providers, Mapping) else dict.fromkeys(_names(providers))
    if not given:
        raise ConfigurationError("providers is empty: a gateway without providers answers nothing.")
    pricing: dict[str, Any] = {}
    if prices:
        base = url or f"file://{folder}"
        pricing["pricing_url"] = f"{base}/prices.json"
        if not old:  # both lists are otherwise fetched at the start, and 2.1 does not start without them
            pricing["model_parameters_url"] = f"{base}/parameters.json"
    stores = {
        name: {"enabled": True, "type": "sqlite", "config": {"path": str(folder / file)}}
        for name, file in (("config_store", "config.db"), ("logs_store", "logs.db"))
    }
    return {
        "$schema": "https://www.getbifrost.ai/schema",
        "client": {"enable_logging": True, "drop_excess_requests": False},
        "providers": {name: _provider(name, options, old) for name, options in given.items()},
        **stores,
        **({"framework": {"pricing": pricing}} if pricing else {}),
    }


def check_config(config: Mapping[str, Any]) -> list[str]:
    """The environment variables that a config names. Raises ConfigurationError where a key stands in it literally."""
    variables: dict[str, None] = {}
    for path, name, text in _texts(config, ()):
        if reference := _REFERENCE.fullmatch(text):
            variables[reference[1]] = None
        elif text and (_holds_secret(path, name) or without_keys(text) != text):
            raise ConfigurationError(
                f"The config holds a key itself, at {'.'.join((*path, name))}; it would stand in a file.",
                hint="Put it into an environment variable and write env.VARIABLE instead.",
            )
    return list(variables)


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """(path, name, text) of each text in nested objects and lists."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for name, each in items:
        if isinstance(each, str):
            yield path, str(name), each
        else:
            yield from _texts(each, (*path, str(name)))


def _holds_secret(path: tuple[str, ...], name: str) -> bool:
    if name == "value":
        return any(part in ("keys", "virtual_keys") for part in path)
    return bool(_SECRET.match(name)) and not _NOT_SECRET.search(name)


def _before_1_5(version: str | None) -> bool:
    numbers = re.findall(r"\d+", version or "")[:2]
    return len(numbers) == 2 and (int(numbers[0]), int(numbers[1])) < (1, 5)


def _names(providers: Any) -> list[str]:
    if isinstance(providers, str) or not isinstance(providers, Iterable):
        raise ConfigurationError("providers takes a list of names, or a dict of names and options.")
    return list(providers)


def _provider(name: Any, given: Any, old: bool) -> dict[str, Any]:
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise ConfigurationError(f"A provider's name is lower-case letters, digits and dashes, not {quoted(name)}.")
    options = dict(given) if isinstance(given, Mapping) else {"key": given}
    for option in options:
        if option not in OPTIONS:
            raise ConfigurationError(
                f"providers[{name!r}] has no option {option!r}.{did_you_mean(str(option), OPTIONS)}",
                hint=f"It takes {', '.join(OPTIONS)}; for all else pass a whole config.",
            )
    custom = name not in BUILT_IN
    if custom and not options.get("base_url"):
        raise ConfigurationError(
            f"{name!r} is no provider that launch_gateway knows by name, so it needs a base_url.",
            hint=f"Known are {', '.join(sorted(BUILT_IN))}.{did_you_mean(name, BUILT_IN)}",
        )
    network = {
        "base_url": options.get("base_url") if name != "azure" else None,
        "default_request_timeout_in_seconds": options.get("timeout_s"),
        "max_retries": options.get("max_retries"),
    }
    keyless = options.get("key") is None and (custom or name in ("ollama", "sgl", "vllm"))
    provider: dict[str, Any] = {"keys": [_key(name, options, old, keyless)]}
    if network := {option: value for option, value in network.items() if value is not None}:
        provider["network_config"] = network
    if custom:
        provider["custom_provider_config"] = {
            "base_provider_type": "openai",
            "is_key_less": keyless,
            "allowed_requests": dict.fromkeys(_REQUESTS, True),
        }
    return provider


def _key(name: str, options: Mapping[str, Any], old: bool, keyless: bool) -> dict[str, Any]:
    reference = options.get("key") or f"env.{name.upper().replace('-', '_')}_API_KEY"
    if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
        raise ConfigurationError(
            f"The key of {name!r} must be a reference to the environment, like 'env.{name.upper()}_API_KEY'.",
            hint="A key itself would stand in a file; what was given is not shown here.",
        )
    # An empty list means every model before 1.5, and none since.
    models = list(options.get("models") or ([] if old else ["*"]))
    key: dict[str, Any] = {"name": f"{name}-1", "value": "" if keyless else reference, "models": models, "weight": 1}
    deployments = options.get("deployments") or {}
    mapped = dict(deployments) if isinstance(deployments, Mapping) else {each: each for each in deployments}
    if name == "azure":
        if not options.get("endpoint"):
            raise ConfigurationError(
                "azure needs an endpoint.", hint="providers={'azure': {'endpoint': 'https://NAME.openai.azure.com'}}"
            )
        key["azure_key_config"] = {"endpoint": options["endpoint"]}
        if options.get("api_version"):
            key["azure_key_config"]["api_version"] = options["api_version"]
        if mapped and old:
            key["azure_key_config"]["deployments"] = mapped
    if mapped and not (old and name == "azure"):
        key["aliases"] = mapped
    return key

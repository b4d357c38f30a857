"""What the management API tells about models, providers and virtual keys, as columns: name, dtype, small function.

Field names follow the gateway's ``docs/openapi/schemas/management`` from 1.3 to 2.x. Nothing here reads the value of a
key, whole or masked. In one file, as the tables share the small functions that read a field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from .._runs.columns import Column
from .._runs.frame import to_array
from .fields import Row, as_json, objects, read, read_flag, read_number, read_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MODELS", "PROVIDERS", "STATS", "VIRTUAL_KEYS", "frame"]


def frame(columns: Iterable[Column[Row]], rows: Iterable[Row], hide: Callable[[str], str]) -> pd.DataFrame:
    """One row per entry of `rows`; texts without control sequences and keys, NA for what does not fit its column."""
    import pandas as pd

    found = list(rows)
    return pd.DataFrame({column.name: _column(column, found, hide) for column in columns})


def _column(column: Column[Row], rows: list[Row], hide: Callable[[str], str]) -> Any:
    values = [column.value(row) for row in rows]
    shown = {text: hide(text) for text in {value for value in values if isinstance(value, str)}}  # few are their own
    return to_array([shown[value] if isinstance(value, str) else value for value in values], column.dtype)


def _million(*path: str) -> Callable[[Row], float | None]:
    """A price per token as price per million tokens, without the noise that the product of floats brings."""
    number = read_number(*path)
    return lambda row: None if (price := number(row)) is None else float(f"{price * 1e6:.12g}")


def _joined(*path: str) -> Callable[[Row], str | None]:
    """A list of names as one text."""
    get = read(*path)
    return lambda row: _names(found) if isinstance(found := get(row), list) else None


def _names(values: Iterable[Any]) -> str | None:
    return ", ".join(dict.fromkeys(value for value in values if isinstance(value, str) and value)) or None


# -- models -------------------------------------------------------------------------------------------------------

_METHODS = frozenset(
    ("text_completion", "chat_completion", "responses", "embedding", "image_generation", "speech", "transcription")
)


def _answers(method: str) -> Callable[[Row], bool | None]:
    """Whether the model takes such requests; None where its list of methods names none that we know."""

    def value(row: Row) -> bool | None:
        told = row.get("supported_methods")
        names = {str(name).removesuffix("_stream") for name in told} if isinstance(told, list) else set()
        return method in names if names & _METHODS else None

    return value


def _split(part: int) -> Callable[[Row], str | None]:
    def value(row: Row) -> str | None:
        provider, slash, model = str(row.get("id")).partition("/")
        return (provider, model)[part] if slash else (None, provider)[part]

    return value


def _upstream_model(row: Row) -> str | None:
    """Up to 1.4.18 under ``deployment``, from 1.5.1 on under ``alias`` (captured)."""
    return read_text("deployment")(row) or read_text("alias")(row)


MODELS: tuple[Column[Row], ...] = (
    Column("id", "string", read_text("id")),
    Column("provider", "string", _split(0)),
    Column("model", "string", _split(1)),
    Column("upstream_model", "string", _upstream_model),
    Column("text", "boolean", _answers("text_completion")),
    Column("chat", "boolean", _answers("chat_completion")),
    Column("embedding", "boolean", _answers("embedding")),
    Column("context_tokens", "Int64", read_number("context_length")),
    Column("max_input_tokens", "Int64", read_number("max_input_tokens")),
    Column("max_output_tokens", "Int64", read_number("max_output_tokens")),
    Column("input_usd_per_million_tokens", "Float64", _million("pricing", "prompt")),
    Column("output_usd_per_million_tokens", "Float64", _million("pricing", "completion")),
    Column("cached_usd_per_million_tokens", "Float64", _million("pricing", "input_cache_read")),
    Column("request_usd", "Float64", read_number("pricing", "request")),
    Column("input_modalities", "string", _joined("architecture", "input_modalities")),
    Column("output_modalities", "string", _joined("architecture", "output_modalities")),
)

# -- providers ----------------------------------------------------------------------------------------------------


def _keys(row: Row) -> list[Row] | None:
    """The provider's keys (gateway up to 1.4: inline; later asked for); None where nobody told."""
    return objects(row["keys"]) if isinstance(row.get("keys"), list) else None


def _of_keys(read: Callable[[Row], Any]) -> Callable[[Row], str | None]:
    """What `read` finds in the keys (a name or a list of names), as one text."""

    def value(row: Row) -> str | None:
        found: list[Any] = []
        for key in _keys(row) or ():
            told = read(key)
            found += told if isinstance(told, list) else [told]
        return _names(found)

    return value


def _aliases(key: Row) -> list[str]:
    """``name → upstream name`` of each deployment that the key maps (up to 1.4 in its Azure part)."""
    mapped = key.get("aliases") or read("azure_key_config", "deployments")(key)
    return [f"{name} → {_alias(target)}" for name, target in mapped.items()] if isinstance(mapped, Mapping) else []


def _alias(target: Any) -> str:
    return str(target.get("model_id") if isinstance(target, Mapping) else target)


def _address(row: Row) -> str | None:
    """Where the provider is reached, without user name, password and query."""
    url = read_text("network_config", "base_url")(row)
    if url is None:
        addresses = (read_text("azure_key_config", "endpoint")(key) for key in _keys(row) or ())
        url = next((address for address in addresses if address), None)
    if url is None:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


PROVIDERS: tuple[Column[Row], ...] = (
    Column("provider", "string", read_text("name")),
    Column("status", "string", lambda row: read_text("provider_status")(row) or read_text("status")(row)),
    Column(
        "speaks",
        "string",
        lambda row: read_text("custom_provider_config", "base_provider_type")(row) or row.get("name"),
    ),
    Column("custom", "boolean", lambda row: bool(row.get("custom_provider_config"))),
    Column("base_url", "string", _address),
    Column("keys", "Int64", lambda row: None if (keys := _keys(row)) is None else len(keys)),
    Column("key_names", "string", _of_keys(read("name"))),
    Column("models", "string", _of_keys(read("models"))),
    Column("aliases", "string", _of_keys(_aliases)),
    Column("timeout_s", "Float64", read_number("network_config", "default_request_timeout_in_seconds")),
    Column("max_retries", "Int64", read_number("network_config", "max_retries")),
    Column("concurrency", "Int64", read_number("concurrency_and_buffer_size", "concurrency")),
    Column("buffer_size", "Int64", read_number("concurrency_and_buffer_size", "buffer_size")),
    Column("raw_response", "boolean", read_flag("send_back_raw_response")),
    Column("description", "string", read_text("description")),
)

# -- virtual keys -------------------------------------------------------------------------------------------------


def _budgets(row: Row) -> list[Row]:
    """The key's own budgets: a list, or up to 1.4 a single one."""
    single = row.get("budget")
    return objects(row.get("budgets")) or ([single] if isinstance(single, Mapping) else [])


def _tightest(name: str) -> Callable[[Row], Any]:
    """A field of the budget of which the least is left: that one ends first."""

    def left(budget: Row) -> float:
        limit, used = read_number("max_limit")(budget), read_number("current_usage")(budget)
        return math.inf if limit is None else limit - (used or 0.0)

    def value(row: Row) -> Any:
        budgets = _budgets(row)
        return min(budgets, key=left).get(name) if budgets else None

    return value


def _all_budgets(row: Row) -> str | None:
    """Every budget as JSON, those of the key's providers with their provider."""

    def facts(budgets: Iterable[Row], provider: Any = None) -> Iterator[dict[str, Any]]:
        for budget in budgets:
            told = {
                "provider": provider,
                "limit_usd": read_number("max_limit")(budget),
                "used_usd": read_number("current_usage")(budget),
                "reset": read_text("reset_duration")(budget),
                "last_reset": read_text("last_reset")(budget),
            }
            yield {name: fact for name, fact in told.items() if fact is not None}

    found = list(facts(_budgets(row)))
    for config in objects(row.get("provider_configs")):
        found += facts(_budgets(config), config.get("provider"))
    return as_json(found) if found else None


def _of_configs(name: str) -> Callable[[Row], str | None]:
    def value(row: Row) -> str | None:
        found: list[Any] = []
        for config in objects(row.get("provider_configs")):
            told = config.get(name)
            found += told if isinstance(told, list) else [told]
        return _names(found)

    return value


VIRTUAL_KEYS: tuple[Column[Row], ...] = (
    Column("id", "string", read_text("id")),
    Column("name", "string", lambda row: read_text("name")(row) or read_text("virtual_key_name")(row)),
    Column("description", "string", read_text("description")),
    Column("is_active", "boolean", read_flag("is_active")),
    Column("expires_at", "datetime64[us, UTC]", read_text("expires_at")),
    Column("providers", "string", _of_configs("provider")),
    Column("models", "string", _of_configs("allowed_models")),
    Column("team_id", "string", read_text("team_id")),
    Column("customer_id", "string", read_text("customer_id")),
    Column("budget_usd", "Float64", lambda row: read_number("max_limit")({"max_limit": _tightest("max_limit")(row)})),
    Column("used_usd", "Float64", lambda row: read_number("used")({"used": _tightest("current_usage")(row)})),
    Column("budget_reset", "string", _tightest("reset_duration")),
    Column("budget_last_reset", "datetime64[us, UTC]", _tightest("last_reset")),
    Column("budgets", "string", _all_budgets),
    Column("token_limit", "Int64", read_number("rate_limit", "token_max_limit")),
    Column("used_tokens", "Int64", read_number("rate_limit", "token_current_usage")),
    Column("token_reset", "string", read_text("rate_limit", "token_reset_duration")),
    Column("request_limit", "Int64", read_number("rate_limit", "request_max_limit")),
    Column("used_requests", "Int64", read_number("rate_limit", "request_current_usage")),
    Column("request_reset", "string", read_text("rate_limit", "request_reset_duration")),
    Column("created_at", "datetime64[us, UTC]", read_text("created_at")),
    Column("updated_at", "datetime64[us, UTC]", read_text("updated_at")),
)
"""`budget_usd` and its neighbours are those of the budget of which the least is left; `budgets` has all, as JSON."""

# -- statistics ---------------------------------------------------------------------------------------------------


def _share(name: str) -> Callable[[Row], float | None]:
    """A percentage as a share from 0 to 1; unknown where there was no request to have a share of."""
    number, total = read_number(name), read_number("total_requests")
    return lambda row: None if (percent := number(row)) is None or not total(row) else percent / 100


def _of_some(*path: str) -> Callable[[Row], float | None]:
    """A mean; unknown where it would be one of nothing."""
    number, total = read_number(*path), read_number("total_requests")
    return lambda row: number(row) if total(row) else None


STATS: tuple[Column[Row], ...] = (
    Column("requests", "Int64", read_number("total_requests")),
    Column("list_models_rows", "Int64", read_number("list_models_rows")),
    Column("failed", "Int64", read_number("failed")),
    Column("cancelled", "Int64", read_number("cancelled")),
    Column("success_share", "Float64", _share("success_rate")),
    Column("user_success_share", "Float64", _share("user_facing_success_rate")),
    Column("latency_ms_mean", "Float64", _of_some("average_latency")),
    Column("prompt_tokens", "Int64", read_number("prompt_tokens")),
    Column("completion_tokens", "Int64", read_number("completion_tokens")),
    Column("total_tokens", "Int64", read_number("total_tokens")),
    Column("cost_usd_total", "Float64", read_number("total_cost")),
    Column("direct_cache_hits", "Int64", read_number("direct_cache_hits")),
    Column("semantic_cache_hits", "Int64", read_number("semantic_cache_hits")),
    Column("dropped_requests", "Int64", read_number("dropped_requests")),
)
"""`success_share` counts attempts, `user_success_share` requests: a fallback that answers saves the request."""

"""Who may spend how much, and which requests go elsewhere: budgets, rate limits and routing rules as frames.

Asked of real processes: budgets and rate limits are there from 1.4.0 on (up to 1.4 only where the gateway's governance
is switched on), routing rules from 1.4.18 on. Who owns a budget stands in the budget itself in 1.5.1 only; all versions
tell it with the virtual keys, so those are read for it. Whose the budgets and limits of single models are is told with
the configurations of models, whose form was read in the gateway's source and not measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._client.client import Client
from .._runs.columns import Column
from ..errors import NotFound
from .access import Access
from .fields import Row, as_json, objects, read_flag, read_json, read_number, read_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BUDGETS",
    "RATE_LIMITS",
    "ROUTING_RULES",
    "budget_rows",
    "budgets",
    "rate_limit_rows",
    "rate_limits",
    "routing_rules",
]

_OFF = "Governance is switched off in this gateway (up to 1.4: client.enable_governance), or it is older than 1.4."


def _left(row: Row) -> float | None:
    limit, used = read_number("max_limit")(row), read_number("current_usage")(row)
    return None if limit is None or used is None else limit - used


def _condition(row: Row) -> str | None:
    """The CEL expression; an empty one is known: it holds for every request."""
    found = row.get("cel_expression")
    return (found or "true") if isinstance(found, str) else None


def _targets(row: Row) -> str | None:
    """Where matching requests go, as JSON."""
    told = row.get("targets")
    if not isinstance(told, list):
        return None
    names = ("provider", "model", "weight")
    return as_json([{name: one[name] for name in names if name in one} for one in objects(told)])


_OWNER: tuple[Column[Row], ...] = (
    Column("virtual_key_id", "string", lambda row: read_text("virtual_key_id")(row) or read_text("owner", "id")(row)),
    Column("virtual_key", "string", read_text("owner", "name")),
    Column("provider", "string", read_text("owner", "provider")),
    Column("model", "string", read_text("owner", "model")),
)
BUDGETS: tuple[Column[Row], ...] = (
    Column("id", "string", read_text("id")),
    *_OWNER,
    Column("team_id", "string", read_text("team_id")),
    Column("customer_id", "string", read_text("customer_id")),
    Column("budget_usd", "Float64", read_number("max_limit")),
    Column("used_usd", "Float64", read_number("current_usage")),
    Column("left_usd", "Float64", _left),
    Column("reset", "string", read_text("reset_duration")),
    Column("last_reset", "datetime64[us, UTC]", read_text("last_reset")),
)
RATE_LIMITS: tuple[Column[Row], ...] = (
    Column("id", "string", read_text("id")),
    *_OWNER,
    Column("token_limit", "Int64", read_number("token_max_limit")),
    Column("used_tokens", "Int64", read_number("token_current_usage")),
    Column("token_reset", "string", read_text("token_reset_duration")),
    Column("token_last_reset", "datetime64[us, UTC]", read_text("token_last_reset")),
    Column("request_limit", "Int64", read_number("request_max_limit")),
    Column("used_requests", "Int64", read_number("request_current_usage")),
    Column("request_reset", "string", read_text("request_reset_duration")),
    Column("request_last_reset", "datetime64[us, UTC]", read_text("request_last_reset")),
)
ROUTING_RULES: tuple[Column[Row], ...] = (
    Column("id", "string", read_text("id")),
    Column("name", "string", read_text("name")),
    Column("description", "string", read_text("description")),
    Column("enabled", "boolean", read_flag("enabled")),
    Column("priority", "Int64", read_number("priority")),
    Column("scope", "string", read_text("scope")),
    Column("scope_id", "string", read_text("scope_id")),
    Column("condition", "string", _condition),
    Column("targets", "string", _targets),
    Column("fallbacks", "string", read_json("fallbacks")),
    Column("chain", "boolean", read_flag("chain_rule")),
    Column("created_at", "datetime64[us, UTC]", read_text("created_at")),
    Column("updated_at", "datetime64[us, UTC]", read_text("updated_at")),
)


def routing_rules(client: Client | None = None) -> pd.DataFrame:
    """The gateway's routing rules, one row each, in the order in which it looks at them: which requests go elsewhere.

    `condition` is a CEL expression (``true``: every request), `scope` and `scope_id` say for whom it holds (``global``,
    or the id of a team, a customer or a virtual key), a lower `priority` comes first within a scope. `targets` is a
    JSON list of provider, model and weight (no model: the one that was asked for), `fallbacks` a JSON list. `chain`:
    the rules are gone through again after this one.

    `client` says which gateway is asked (None: the one of the settings). Raises AuthenticationFailed,
    ConnectionFailed, NotFound (1.4.0 and older have no such rules).

        bf.routing_rules(bf.Client("demo"))[["name", "condition", "targets"]]
    """
    from .api import Admin

    return Admin(client).routing_rules()


def budgets(client: Client | None = None) -> pd.DataFrame:
    """The gateway's budgets in US dollars, one row each: the limit, what is used up and left, when it starts anew.

    `virtual_key`, `provider` and `model` say whose it is: a key's, a key's at one provider, a model's (``*``: each
    model's there); `team_id` and `customer_id` those of others. NA where the gateway does not tell. `reset` is the
    length of its period (``1d``, ``1M``). The gateway adds up late: `used_usd` was still 0 six seconds after calls that
    had a cost (1.4.0, 1.5.16, 2.0.0-prerelease3).

    `client` says which gateway is asked (None: the one of the settings). Raises AuthenticationFailed,
    ConnectionFailed, NotFound (governance is switched off, or 1.3).

        bf.budgets(bf.Client("demo"))[["virtual_key", "budget_usd", "left_usd"]]
    """
    from .api import Admin

    return Admin(client).budgets()


def rate_limits(client: Client | None = None) -> pd.DataFrame:
    """The gateway's rate limits, one row each: tokens and requests that are allowed and used in their periods.

    `virtual_key`, `provider` and `model` say whose it is, as in `bifrost_nb.budgets`. NA where there is no such limit.

    `client` says which gateway is asked (None: the one of the settings). Raises AuthenticationFailed,
    ConnectionFailed, NotFound (governance is switched off, or 1.3).

        bf.rate_limits(bf.Client("demo"))[["virtual_key", "request_limit", "used_requests"]]
    """
    from .api import Admin

    return Admin(client).rate_limits()


# -- what they ask for ----------------------------------------------------------------------------------------------


async def budget_rows(access: Access, keys: list[Row]) -> list[Row]:
    """The budgets, each with its owner among `keys`."""
    answer = await access.get_object("/api/governance/budgets", missing=_OFF)
    return await _owned(access, answer.get("budgets"), keys, _budgets)


async def rate_limit_rows(access: Access, keys: list[Row]) -> list[Row]:
    """The rate limits, each with its owner among `keys`."""
    answer = await access.get_object("/api/governance/rate-limits", missing=_OFF)
    return await _owned(access, answer.get("rate_limits"), keys, lambda holder: objects([holder.get("rate_limit")]))


def _budgets(holder: Row) -> list[Row]:
    return [*objects(holder.get("budgets")), *objects([holder.get("budget")])]


def _in_keys(keys: list[Row], parts: Callable[[Row], list[Row]]) -> dict[str, Row]:
    """Each part as its virtual key, and the providers in it, have it: with what is used by now, by its id."""
    holders = [holder for key in keys for holder in (key, *objects(key.get("provider_configs")))]
    return {str(part.get("id")): part for holder in holders for part in parts(holder)}


def _owners(keys: list[Row], parts: Callable[[Row], list[Row]]) -> dict[str, Row]:
    """The owner of each part of a virtual key, by the part's id."""
    owners: dict[str, Row] = {}
    for key in keys:
        owner = {name: key.get(name) for name in ("id", "name")}
        for config in objects(key.get("provider_configs")):
            for part in parts(config):
                owners[str(part.get("id"))] = owner | {"provider": config.get("provider")}
        owners |= {str(part.get("id")): owner for part in parts(key)}
    return owners


async def _owned(access: Access, rows: Any, keys: list[Row], parts: Callable[[Row], list[Row]]) -> list[Row]:
    """`rows`, each with its owner: a virtual key, a model, or None."""
    now = _in_keys(keys, parts)
    found, owners = [{**row, **now.get(str(row.get("id")), {})} for row in objects(rows)], _owners(keys, parts)
    if any(str(row.get("id")) not in owners and not (row.get("team_id") or row.get("customer_id")) for row in found):
        owners = await _models(access, parts) | owners
    return [
        {**row, "owner": owners.get(str(row.get("id"))) or owners.get(str(row.get("model_config_id")))} for row in found
    ]


async def _models(access: Access, parts: Callable[[Row], list[Row]]) -> dict[str, Row]:
    """The model and provider of each part of the configuration of a model, by its id and by the configuration's."""
    try:
        answer = await access.get_object("/api/governance/model-configs", missing="There are none before 1.5.")
    except NotFound:
        return {}
    owners: dict[str, Row] = {}
    for one in objects(answer.get("model_configs")):
        owner = {"model": one.get("model_name"), "provider": one.get("provider")}
        if one.get("scope") == "virtual_key":
            owner |= {"id": one.get("scope_id"), "name": one.get("scope_name")}
        owners |= {str(part.get("id")): owner for part in [one, *parts(one)]}
    return owners

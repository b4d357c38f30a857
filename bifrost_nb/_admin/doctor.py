"""What answers at the gateway's address, which version it is, whether keys work, whether log and prices are on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .._client.client import Client, chosen_client
from .._client.model_list import ROUNDED
from .._client.portal import portal
from .._client.transport import Reply, fetch
from .._numbers import version_numbers
from .._wire.gateway_errors import parse_error
from ..errors import AuthenticationFailed, BifrostError, GatewayError, NotFound, ProtocolError
from .access import Access
from .configuration import configuration
from .fields import objects, read_number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Check", "Doctor", "doctor"]

SECONDS = 5.0
CHECKS_KEYS_SINCE = (1, 4, 18)
"""Older gateways list their models for any virtual key (1.4.0, measured)."""
LIST_LASTS_S = 30.0
"""A list of deployments this new tells the doctor enough: each makes the gateway ask all its providers."""
State = Literal["ok", "warning", "problem"]
_SIGNS = {"ok": "✓", "warning": "!", "problem": "✗"}


class Check(NamedTuple):
    """One thing looked at: `check` names it, `result` is what was found, `advice` what to do about it (None: nothing).

    `state` is ``ok``, ``warning`` or ``problem``.
    """

    check: str
    state: State
    result: str
    advice: str | None = None


class Doctor(tuple[Check, ...]):
    """The checks in the order in which one depends on the other; shows itself as text and HTML.

    For example:

        found = bf.doctor(bf.Client("demo"))
        found.healthy
        found.frame
    """

    __slots__ = ()

    @property
    def healthy(self) -> bool:
        """Whether completions can be sent: no check found a problem."""
        return all(check.state != "problem" for check in self)

    @property
    def frame(self) -> pd.DataFrame:
        """The checks as a DataFrame: check, state, result, advice."""
        import pandas as pd

        return pd.DataFrame(list(self), columns=list(Check._fields), dtype="string")

    def __repr__(self) -> str:
        width = max((len(check.check) for check in self), default=0)
        lines = []
        for check in self:
            lines.append(f"{_SIGNS[check.state]} {check.check:<{width}}  {check.result}")
            if check.advice:
                lines.append(f"  {'':<{width}}  → {check.advice}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from .._display.html import table

        columns = 4 if any(check.advice for check in self) else 3  # where all is well there is no advice
        return table((_cells(check)[:columns] for check in self), label="Checks", widths=("", "9em"))


def _cells(check: Check) -> tuple[str, ...]:
    return _SIGNS[check.state], check.check, check.result, check.advice or ""


def doctor(client: Client | None = None) -> Doctor:
    """Look at the gateway of `client` (None: the one made last, else of the settings). Sends about twelve small
    requests.

    Costs nothing: the one completion names no model, so it is refused before a provider is asked. It goes with the
    headers and credentials of every completion, so it meets an admin protection that also locks those. Never raises
    for what the gateway does; ConfigurationError for settings that cannot be used.

        bf.doctor(bf.Client("demo"))
    """
    client = chosen_client(client)
    return Doctor(portal().call(_examined(client, Access(client, client.settings))))


async def _examined(client: Client, access: Access) -> list[Check]:
    origin = client.settings.origins["base_url"]
    address = Check("address", "ok", f"{client.settings.base_url} (from {origin})")
    answers = await _answers(access)
    if answers.state == "problem":
        return [address, answers]
    completions, listed, key, *others = await asyncio.gather(
        _completions(client, access),
        _deployments(access),
        _virtual_key(client, access),
        _management(client, access),
        _log(access),
        _configuration(access, version_numbers(answers.result)),
    )
    if completions.state == "problem":  # before the gateway looks at any other key
        listed = [check for check in listed if check.check != "keys"]
        key = [check for check in key if check.state != "problem"]
    elif any(check.state == "problem" for check in key):
        # One problem, told once; and a list open to everybody says nothing of a key that is refused elsewhere.
        listed = [check for check in listed if check.check != "keys"]
    elif refused := [check for check in listed if check.check == "keys"]:
        if client.settings.virtual_key is not None:  # it is the key, whatever the message says
            key = [Check("virtual key", "problem", f"refused: {refused[0].result}", "Check BIFROST_VIRTUAL_KEY.")]
            listed = [check for check in listed if check.check != "keys"]
    else:
        listed = [_keys(client, answers.result, told=any("active" in each.result for each in key)), *listed]
    checks = [check for checks in ([completions], listed, key, *others) for check in checks]
    return [address, answers, *checks]


async def _completions(client: Client, access: Access) -> Check:
    """Whether a completion gets past the gateway's door; asked as the client asks, with a request that names no model.

    Measured, 1.4.0 to 2.0.0-prerelease3: the answer is 400 before any provider, log row or virtual key; only the
    protection of 1.4.18 and 1.5.1 comes first, with a 401 that has no type.
    """
    keys = client.credentials
    reply = refused = await _empty_completion(access, {**keys.own, **keys.inference})
    opens = keys.admin.get("authorization", "").startswith("Basic ") and "authorization" not in keys.inference
    if _locked(reply) and opens:  # as the client does, which sends them only where they are asked for
        reply = await _empty_completion(access, {**keys.own, **keys.inference, **keys.admin})
    if isinstance(reply, BifrostError):
        return Check("completions", "warning", reply.message, reply.hint)
    if reply.status not in (401, 403):
        by = "opened by the administrator's user and password" if _locked(refused) else "not locked"
        return Check("completions", "ok", by)
    info = parse_error(reply.body, reply.status, reply.headers, secrets=keys.secrets)
    if not _locked(reply):
        return Check("completions", "problem", access.safe(info.message) or "refused", _NEEDS_KEY)
    if opens:
        said = "locked by the admin protection, which refuses this user and password"
        return Check("completions", "problem", said, "Check BIFROST_ADMIN_USER and BIFROST_ADMIN_PASSWORD.")
    said = "locked: this gateway's admin protection also guards completions; no key of its own opens it"
    if keys.admin.get("authorization", "").startswith("Basic "):
        return Check(
            "completions", "problem", said, "The API key takes the header that it needs: unset BIFROST_API_KEY."
        )
    return Check("completions", "problem", said, _OPENS)


_HEADERS_MISSING = "missing_required_headers"
_NAMES_UNKNOWN = "Without the list, deployment names must be known."
_NEEDS_KEY = "Set BIFROST_VIRTUAL_KEY, or BIFROST_API_KEY where the gateway wants that."
_OPENS = (
    "Set BIFROST_ADMIN_USER and BIFROST_ADMIN_PASSWORD (a virtual key or a session token is not enough), or have "
    "disable_auth_on_inference switched on in the gateway."
)


async def _empty_completion(access: Access, headers: Mapping[str, str]) -> Reply | BifrostError:
    body = {"model": "", "prompt": ""}
    try:
        return await fetch(
            access.base_url,
            "/v1/completions",
            headers,
            method="POST",
            content=body,
            seconds=SECONDS,
            ca_file=access.ca_file,
        )
    except BifrostError as error:
        return error


def _locked(reply: Reply | BifrostError) -> bool:
    """Whether the admin protection says no: unlike a refusal of keys, it has no type."""
    if isinstance(reply, BifrostError) or reply.status != 401:
        return False
    return not parse_error(reply.body, reply.status, reply.headers, secrets=()).type


def _keys(client: Client, gateway: str, *, told: bool) -> Check:
    """What is known of the keys once models were listed with them, and nothing refused them."""
    if client.settings.virtual_key is not None:
        if told or version_numbers(gateway) >= CHECKS_KEYS_SINCE:
            return Check("keys", "ok", "virtual key accepted")
        advice = "This version lists its models for any key; whether it knows this one only a completion shows."
        return Check("keys", "warning", "virtual key not refused, but not checked either", advice)
    if client.settings.api_key:
        return Check("keys", "ok", "API key sent along; not refused when listing")
    return Check("keys", "ok", "none configured, none needed to list")


async def _answers(access: Access) -> Check:
    """Whether a Bifrost answers, and which; a web server, another API or nothing is told apart."""
    try:
        version = await _ask(access, "/api/version")
    except GatewayError as error:
        version = error
    except BifrostError as error:
        if not isinstance(error, ProtocolError):
            return Check(
                "gateway", "problem", error.message, "Start it, or correct base_url; Client('demo') needs none."
            )
        version = error
    health, told_components = await _health(access)
    if isinstance(version, str):
        told = f"Bifrost {access.safe(version, 40)}" + ("" if health == "ok" else f", but /health says {health}")
        advice = None if health == "ok" else "Look at the gateway's own log."
        return Check("gateway", "ok" if health == "ok" else "warning", told, advice)
    if told_components or await _asks_for_login(access):
        return Check("gateway", "ok", "Bifrost of unknown version (an old one, or it does not tell everybody)")
    return Check(
        "gateway",
        "problem",
        f"Something answers at {access.base_url}, but it is no Bifrost gateway (/health says {health}).",
        "base_url is the gateway's own address, like http://localhost:8080, without a path.",
    )


async def _health(access: Access) -> tuple[str, bool]:
    """What ``/health`` says, and whether it tells components, as only Bifrost does."""
    try:
        answer = await _ask(access, "/health")
    except GatewayError as error:
        return str(error.status), False
    except BifrostError:
        return "nothing that can be read", False
    if not isinstance(answer, dict) or not isinstance(answer.get("status"), str):
        return "something else", False
    return access.safe(answer["status"], 40) or "nothing", isinstance(answer.get("components"), dict)


async def _asks_for_login(access: Access) -> bool:
    try:
        answer = await _ask(access, "/api/session/is-auth-enabled")
    except BifrostError:
        return False
    return isinstance(answer, dict) and "is_auth_enabled" in answer


async def _deployments(access: Access) -> list[Check]:
    try:
        rows = await access.models(max_age_s=LIST_LASTS_S, seconds=SECONDS)
    except AuthenticationFailed as error:
        return [Check("keys", "problem", error.message, _NEEDS_KEY)]
    except GatewayError as error:
        if error.type == _HEADERS_MISSING:  # asked of completions too
            return [Check("headers", "problem", error.message, error.hint)]
        return [Check("deployments", "warning", error.message, _NAMES_UNKNOWN)]
    except BifrostError as error:
        return [Check("deployments", "warning", error.message, _NAMES_UNKNOWN)]
    if not rows:
        advice = "Configure a provider in the gateway, or a virtual key that may use one."
        return [Check("deployments", "problem", "none", advice)]
    priced = sum(bool(row.get("pricing")) for row in rows)
    unpriced = None if priced else "The gateway has no price list; costs are known only where the provider tells them."
    if any(row.get(ROUNDED) for row in rows):
        unpriced = "This version rounds prices to six decimals, so none is used; costs come from the gateway's log."
    return [
        Check("deployments", "ok", f"{len(rows):,}"),
        Check("prices", "ok" if priced else "warning", f"for {priced:,} of {len(rows):,} deployments", unpriced),
    ]


async def _virtual_key(client: Client, access: Access) -> list[Check]:
    if client.settings.virtual_key is None:
        return []
    try:
        row = await access.get_object("/api/governance/virtual-keys/quota", seconds=SECONDS)
    except AuthenticationFailed:
        return [Check("virtual key", "problem", "the gateway does not know it", "Check BIFROST_VIRTUAL_KEY.")]
    except BifrostError:
        return [Check("virtual key", "ok", "configured (this gateway does not tell what is left)")]
    if row.get("is_active") is False:
        return [Check("virtual key", "problem", "switched off or expired", "Its owner can renew it in the gateway.")]
    from .._display.describe import usd
    from .tables import VIRTUAL_KEYS

    told: dict[str, Any] = {field.name: field.value(row) for field in VIRTUAL_KEYS}
    used_up = _limits_used_up(row)
    state: State = "problem" if used_up else "ok"
    for config in objects(row.get("provider_configs")):
        found = _limits_used_up(config, f" for {access.safe(config.get('provider'), 60) or '?'}")
        used_up += found
        state = "warning" if found and state == "ok" else state
    result, advice = ["active"], ["The limit is used up until it is reset."] if used_up else []
    if told["budget_usd"] is not None:
        left = told["budget_usd"] - (told["used_usd"] or 0.0)
        result.append(f"{usd(max(0.0, left))} left of {usd(told['budget_usd'])}")
        if left <= 0:
            state, advice = "problem", ["The budget is used up until it is reset.", *advice]
    return [Check("virtual key", state, ", ".join([*result, *used_up]), " ".join(advice) or None)]


def _limits_used_up(holder: Mapping[str, Any], of: str = "") -> list[str]:
    """The rate limits of a virtual key, or of its part for one provider, that leave nothing.

    What is used up the gateway writes down up to ten seconds late (1.5.16, 2.0.0-prerelease3).
    """
    told = []
    for kind in ("token", "request"):
        most = read_number("rate_limit", f"{kind}_max_limit")(holder)
        used = read_number("rate_limit", f"{kind}_current_usage")(holder)
        if most is not None and used is not None and used >= most:
            told.append(f"no {kind}s left{of} ({used:,.0f} of {most:,.0f} used)")
    return told


async def _management(client: Client, access: Access) -> list[Check]:
    configured = bool(client.settings.admin_headers())
    try:
        answer = await access.get_object("/api/providers", seconds=SECONDS)
    except AuthenticationFailed as error:
        said = "refuses these credentials" if configured else "asks for credentials"
        return [Check("management API", "warning", said, error.hint)]
    except BifrostError as error:
        return [Check("management API", "warning", error.message, error.hint)]
    rows = objects(answer.get("providers"))
    failing = [access.safe(row.get("name"), 60) or "?" for row in rows if row.get("provider_status") == "error"]
    checks = [Check("management API", "ok", "open" if not configured else "open with these credentials")]
    if failing:
        advice = "bf.providers() tells more; the gateway's log says why."
        checks.append(Check("providers", "warning", f"in error: {', '.join(failing)}", advice))
    else:
        checks.append(Check("providers", "ok", f"{len(rows):,}"))
    return checks


async def _log(access: Access) -> list[Check]:
    try:
        answer = await access.get_object("/api/logs", {"limit": 50}, seconds=SECONDS)
    except AuthenticationFailed as error:
        return [Check("gateway log", "warning", "not readable: costs that come later are not filled in", error.hint)]
    except NotFound:
        advice = "Switch on logs_store and client.enable_logging in the gateway, or live with costs by price list."
        return [Check("gateway log", "warning", "off", advice)]
    except BifrostError as error:
        return [Check("gateway log", "warning", error.message, error.hint)]
    rows = objects(answer.get("logs"))
    done = [row for row in rows if row.get("status") == "success"]
    if not done:
        return [Check("gateway log", "ok", "on; no answered request in it yet")]
    costs = sum(isinstance(row.get("cost"), int | float) and row["cost"] > 0 for row in done)
    result = f"on; {costs} of the last {len(done)} answered requests have a cost"
    unpriced = None if costs else "The gateway knows no prices, so its log has no costs."
    return [Check("gateway log", "ok" if costs else "warning", result, unpriced)]


async def _configuration(access: Access, version: tuple[int, ...]) -> list[Check]:
    """What the gateway does with what is sent: facts to know, a warning only for a plugin that does not run."""
    told = await configuration(access, SECONDS, version)
    return [Check(name, "warning" if advice else "ok", result, advice) for name, result, advice in told]


async def _ask(access: Access, path: str) -> Any:
    return await access.get(path, seconds=SECONDS)

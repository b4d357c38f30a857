"""The gateway's own data as DataFrames: models and prices, providers, virtual keys, its log and its statistics.

Each function asks the gateway of `client` (None: the default one, see `Client`). Where the management API asks
for credentials they are ``BIFROST_ADMIN_USER`` and ``BIFROST_ADMIN_PASSWORD``, or ``BIFROST_SESSION_TOKEN``, or
arguments of an `Admin`. No frame holds a key, whole or masked.

In one file, as half of it documents a function for each route, and the rest does the same for an `Admin`. What they
show is fetched in `row_fetch`.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from .. import _settings as settings
from .._client.client import Client, chosen_client
from .._client.portal import portal
from . import tables
from .access import Access
from .histograms import By, Kind, kind_of, read_series
from .log_query import PAGE, LogQuery, read_log
from .row_fetch import NO_LOG, model_rows, provider_rows, rule_rows, stats_row, virtual_key_rows, with_keys

if TYPE_CHECKING:
    import pandas as pd

    from .._runs.run import Run
    from .prompts import Prompt
    from .reconcile import Reconciliation

__all__ = [
    "Admin",
    "gateway_histogram",
    "gateway_logs",
    "gateway_stats",
    "models",
    "providers",
    "reconcile",
    "virtual_keys",
]

T = TypeVar("T")
When = str | datetime | timedelta | None
Names = str | Iterable[str] | None


class Admin:
    """A gateway's management API, with an administrator's credentials.

    `client` None: the default one, see `Client`. What is not passed comes from the settings; a user and a password
    given here count before a session token of the environment. Raises ConfigurationError for a user without a password.

    `admin_user`, `admin_password` and `session_token` are those of the gateway's dashboard.

        admin = bf.Admin(admin_user="admin", admin_password=password)
        admin.virtual_keys()
    """

    def __init__(
        self,
        client: Client | None = None,
        *,
        admin_user: str | None = None,
        admin_password: str | None = None,
        session_token: str | None = None,
    ) -> None:
        own = settings.masked(
            {"admin_user": admin_user, "admin_password": admin_password, "session_token": session_token}
        )
        admin_user, admin_password, session_token = own.values()  # so that no traceback shows them
        self.client = chosen_client(client)
        known = {
            name: value if value is not None else getattr(self.client.settings, name) for name, value in own.items()
        }
        resolved = settings.resolve(**known)
        if session_token is None and (admin_user is not None or admin_password is not None):
            resolved = replace(resolved, session_token=None)
        self._credentials = resolved
        resolved.admin_headers()  # half a pair is told now, not at the first request

    def __repr__(self) -> str:
        if not hasattr(self, "_credentials"):  # a traceback shows it that could not be made
            return "<Admin, not made>"
        names = ("admin_user", "admin_password", "session_token")
        given = [name for name in names if getattr(self._credentials, name)]
        return f"Admin({self.client!r}{''.join(f', {name}=configured' for name in given)})"

    def __reduce__(self) -> Any:
        raise TypeError("An Admin holds credentials and is not pickled; make a new one where it is needed.")

    def models(self) -> pd.DataFrame:
        """See `bifrost_nb.models`.

        For example:

            admin.models()
        """
        access = self._access()
        rows = self._run(model_rows(access))
        return tables.frame(tables.MODELS, rows, access.hide)

    def providers(self) -> pd.DataFrame:
        """See `bifrost_nb.providers`.

        For example:

            admin.providers()
        """
        access = self._access()
        rows = self._run(provider_rows(access))
        return tables.frame(tables.PROVIDERS, rows, access.hide)

    def virtual_keys(self) -> pd.DataFrame:
        """See `bifrost_nb.virtual_keys`.

        For example:

            admin.virtual_keys()
        """
        access = self._access()
        rows = self._run(virtual_key_rows(access, own=self.client.settings.virtual_key is not None))
        return tables.frame(tables.VIRTUAL_KEYS, rows, access.hide)

    def budgets(self) -> pd.DataFrame:
        """See `bifrost_nb.budgets`.

        For example:

            admin.budgets()
        """
        from .governance import BUDGETS, budget_rows

        access = self._access()
        return tables.frame(BUDGETS, self._run(with_keys(access, budget_rows)), access.hide)

    def rate_limits(self) -> pd.DataFrame:
        """See `bifrost_nb.rate_limits`.

        For example:

            admin.rate_limits()
        """
        from .governance import RATE_LIMITS, rate_limit_rows

        access = self._access()
        return tables.frame(RATE_LIMITS, self._run(with_keys(access, rate_limit_rows)), access.hide)

    def routing_rules(self) -> pd.DataFrame:
        """See `bifrost_nb.routing_rules`.

        For example:

            admin.routing_rules()
        """
        from .governance import ROUTING_RULES

        access = self._access()
        return tables.frame(ROUTING_RULES, self._run(rule_rows(access)), access.hide)

    def mcp_tools(self) -> pd.DataFrame:
        """See `bifrost_nb.mcp_tools`.

        For example:

            admin.mcp_tools()
        """
        from .mcp import MCP_TOOLS, tool_rows

        access = self._access()
        return tables.frame(MCP_TOOLS, self._run(tool_rows(access)), access.hide)

    def mcp_logs(
        self,
        *,
        since: When = None,
        until: When = None,
        server: Names = None,
        tool: Names = None,
        status: Names = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """See `bifrost_nb.mcp_logs`.

        For example:

            admin.mcp_logs(since="24h", status="error")
        """
        from .mcp import MCP_LOGS, ToolQuery, tool_log_rows

        query = ToolQuery.of(since=since, until=until, server=server, tool=tool, status=status, limit=limit)
        access = self._access()
        return tables.frame(MCP_LOGS, self._run(tool_log_rows(access, query)), access.hide)

    def prompts(self) -> pd.DataFrame:
        """See `bifrost_nb.prompts`.

        For example:

            admin.prompts()
        """
        from .prompts import table

        return table(self._access())

    def prompt(self, name: str, *, version: int | None = None, create: bool = False) -> Prompt:
        """See `bifrost_nb.prompt`; what it commits is sent with these credentials.

        For example:

            admin.prompt("marketing/tagline", version=1).text
        """
        from .prompts import find

        return find(self._access(), name, version=version, create=create)

    def logs(
        self,
        *,
        since: When = None,
        until: When = None,
        provider: Names = None,
        model: Names = None,
        status: Names = None,
        request_type: Names = None,
        min_cost_usd: float | None = None,
        max_cost_usd: float | None = None,
        min_latency_ms: float | None = None,
        max_latency_ms: float | None = None,
        min_tokens: int | None = None,
        max_tokens: int | None = None,
        finish_reason: Names = None,
        session_id: str | None = None,
        virtual_key_id: Names = None,
        tags: Mapping[str, str] | None = None,
        text: str | None = None,
        limit: int | None = None,
        texts: bool = False,
        list_models: bool = False,
    ) -> pd.DataFrame:
        """See `bifrost_nb.gateway_logs`.

        For example:

            admin.logs(since="1h", status="error")
        """
        from .._runs.frame import to_frame

        query = LogQuery.of(
            since=since,
            until=until,
            provider=provider,
            model=model,
            status=status,
            request_type=request_type,
            min_cost_usd=min_cost_usd,
            max_cost_usd=max_cost_usd,
            min_latency_ms=min_latency_ms,
            max_latency_ms=max_latency_ms,
            min_tokens=min_tokens,
            max_tokens=max_tokens,
            finish_reason=finish_reason,
            session_id=session_id,
            virtual_key_id=virtual_key_id,
            tags=tags,
            text=text,
            limit=limit,
            list_models=list_models,
        )
        return to_frame(self._run(read_log(self._access(), query, missing=NO_LOG, texts=texts)))

    def stats(
        self,
        *,
        since: When = None,
        until: When = None,
        provider: Names = None,
        model: Names = None,
        status: Names = None,
    ) -> pd.DataFrame:
        """See `bifrost_nb.gateway_stats`.

        For example:

            admin.stats(since="24h", provider="azure")
        """
        query = LogQuery.of(since=since, until=until, provider=provider, model=model, status=status)
        access = self._access()
        row = self._run(stats_row(access, query))
        return tables.frame(tables.STATS, [row], access.hide)

    def histogram(
        self,
        kind: Kind,
        *,
        by: By | None = None,
        since: When = "24h",
        until: When = None,
        provider: Names = None,
        model: Names = None,
        status: Names = None,
    ) -> pd.DataFrame:
        """See `bifrost_nb.gateway_histogram`.

        For example:

            bf.gateway_chart(admin.histogram("tokens", since="24h"))
        """
        series = kind_of(kind, by)
        query = LogQuery.of(since=since, until=until, provider=provider, model=model, status=status)
        return self._run(read_series(self._access(), series, query, NO_LOG))

    def reconcile(self, *, since: When = "24h", until: When = None, fill: bool = False) -> Reconciliation:
        """See `bifrost_nb.reconcile`.

        For example:

            admin.reconcile(since="1h").summary()
        """
        from .reconcile import reconciled, sent_elsewhere
        from .reconcile_rows import MARGIN, all_rows, settled

        asked = LogQuery.of(since=since, until=until)
        log, access, url = self.client.log, self._access(), self.client.base_url
        first = None if asked.since is None else asked.since - MARGIN
        last = None if asked.until is None else asked.until + MARGIN
        wider = replace(asked, list_models=True)

        async def rows_since(since: datetime | None, ahead: timedelta) -> list[Run]:
            begin = first if since is None else since
            between = replace(wider, since=begin and begin + ahead, until=last and last + ahead)
            return await read_log(access, between, missing=NO_LOG)

        async def newest() -> list[Run]:
            return await read_log(access, LogQuery(limit=PAGE), missing=NO_LOG, details=False)

        runs = settled(lambda: log.read(since=first, until=last))
        ours = [run for run in runs if asked.spans(run.started_at) and not sent_elsewhere(run, url)]
        rows, ahead = self._run(all_rows(rows_since, newest, ours))
        return reconciled(runs, rows, asked.spans, url, log if fill else None, ahead)

    def _access(self) -> Access:
        return Access(self.client, self._credentials)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return portal().call(work)


def models(client: Client | None = None) -> pd.DataFrame:
    """The deployments that the gateway offers, one row each.

    `id` is what a call names (``provider/model``), `upstream_model` what the provider calls it. `text` and `chat` say
    which calls it takes. Prices are US dollars per million tokens (`request_usd`: per request). NA where the gateway
    does not tell.

    `client` says which gateway is asked (None: the one of the settings). Raises AuthenticationFailed,
    ConnectionFailed, NotFound.

        bf.models(bf.Client("demo")).query("chat")[["id", "input_usd_per_million_tokens"]]
    """
    return Admin(client).models()


def providers(client: Client | None = None) -> pd.DataFrame:
    """The gateway's providers, one row each: state, address, keys by name, models, limits.

    `speaks` is the API that a custom provider is called by. NA where the gateway does not tell.

    `client` says which gateway is asked (None: the one of the settings). Raises AuthenticationFailed,
    ConnectionFailed, NotFound.

        bf.providers(bf.Client("demo"))[["provider", "status"]]
    """
    return Admin(client).providers()


def virtual_keys(client: Client | None = None) -> pd.DataFrame:
    """The gateway's virtual keys, one row each: what they may use, budgets in US dollars, limits and what is used up.

    Of several budgets the columns tell the one of which the least is left, `budgets` has all as JSON. Who may not see
    the list but has a virtual key gets the row of that key (gateway 1.6 and later).

    `client` says which gateway is asked (None: the one of the settings). Raises AuthenticationFailed,
    ConnectionFailed, NotFound.

        bf.virtual_keys()[["name", "budget_usd", "used_usd"]]
    """
    return Admin(client).virtual_keys()


def gateway_logs(
    *,
    since: When = None,
    until: When = None,
    provider: Names = None,
    model: Names = None,
    status: Names = None,
    request_type: Names = None,
    min_cost_usd: float | None = None,
    max_cost_usd: float | None = None,
    min_latency_ms: float | None = None,
    max_latency_ms: float | None = None,
    min_tokens: int | None = None,
    max_tokens: int | None = None,
    finish_reason: Names = None,
    session_id: str | None = None,
    virtual_key_id: Names = None,
    tags: Mapping[str, str] | None = None,
    text: str | None = None,
    limit: int | None = None,
    texts: bool = False,
    list_models: bool = False,
    client: Client | None = None,
) -> pd.DataFrame:
    """The gateway's own log, everybody's requests, in the columns of every frame; oldest first.

    `since` and `until` are ages (``"24h"``), datetimes or ISO texts; `provider`, `model` and `status` (``ok``,
    ``error``, ``cancelled``) take one or several, and so does `request_type` (``chat_completion``, ``embedding``, ...);
    of `min_cost_usd`, `max_cost_usd`, `min_latency_ms`, `max_latency_ms`, `min_tokens` and `max_tokens` (of prompt and
    answer together) a row whose figure is unknown keeps none. All hold on every version: what a gateway does not filter
    by is left out here. By `virtual_key_id` (the ``id`` of `bf.virtual_keys`), `text` (in prompt or answer),
    `finish_reason`, `session_id` (``baggage: session-id=...``) and `tags` (``{"team": "search"}``, the headers
    ``x-bf-dim-team``) only the gateway can filter, by the last three from 1.5.1 on; on an older one they are an error,
    as it would send every row. `limit` keeps the newest. Each attempt at a provider is a row:
    `run_id` is the row's own id, `request_id` that of the request (our ``x-request-id``), which a fallback shares with
    its primary. `latency_ms` is the gateway's; what only a client can measure is NA.

    Newer gateways leave the answer and all but the last message out of the list; `texts` asks for each row's own.
    Listing the models writes a row per provider, too, which is no call of anybody: `list_models` keeps those rows.
    Raises ConfigurationError, AuthenticationFailed, NotFound (no log there), ConnectionFailed.

        bf.gateway_logs(since="1h", status="error", limit=100)
    """
    return Admin(client).logs(
        since=since,
        until=until,
        provider=provider,
        model=model,
        status=status,
        request_type=request_type,
        min_cost_usd=min_cost_usd,
        max_cost_usd=max_cost_usd,
        min_latency_ms=min_latency_ms,
        max_latency_ms=max_latency_ms,
        min_tokens=min_tokens,
        max_tokens=max_tokens,
        finish_reason=finish_reason,
        session_id=session_id,
        virtual_key_id=virtual_key_id,
        tags=tags,
        text=text,
        limit=limit,
        texts=texts,
        list_models=list_models,
    )


def gateway_stats(
    *,
    since: When = None,
    until: When = None,
    provider: Names = None,
    model: Names = None,
    status: Names = None,
    client: Client | None = None,
) -> pd.DataFrame:
    """What the gateway's log adds up to, as one row: requests, shares from 0 to 1, tokens, US dollars.

    `success_share` counts attempts, `user_success_share` requests: a fallback that answers saves the request. The
    gateway counts rows of listed models as requests, which no call made: `list_models_rows` says how many of `requests`
    those are. `failed` and `cancelled` leave them out and are told apart on all versions, though up to 1.5.16 the
    gateway writes a cancelled call as an error; NA where more than 10,000 did not succeed.

    `model` is the gateway's or the provider's name of it, as in `gateway_logs`. Raises ConfigurationError where several
    names are some of the one and some of the other kind, which the gateway cannot add up.

    `since` and `until` are ages (``"24h"``), datetimes or ISO texts; `provider` and `status` (``ok``, ``error``,
    ``cancelled``) take one or several. `client` says which gateway is asked (None: the one of the settings). Raises
    AuthenticationFailed, ConnectionFailed, NotFound.

        bf.gateway_stats(since="24h", provider="azure")
    """
    return Admin(client).stats(since=since, until=until, provider=provider, model=model, status=status)


def gateway_histogram(
    kind: Kind,
    *,
    by: By | None = None,
    since: When = "24h",
    until: When = None,
    provider: Names = None,
    model: Names = None,
    status: Names = None,
    client: Client | None = None,
) -> pd.DataFrame:
    """A time series of the gateway's log, one row per bucket of time and series; `gateway_chart` draws it.

    `kind` is ``requests`` (by status), ``tokens`` (prompt and completion), ``cost`` (by model), ``latency`` (mean and
    percentiles), ``models`` (requests by model and status) or ``throughput`` (completion tokens per second of the
    gateway's time; 2.0 and later). ``by="provider"`` tells tokens, cost, latency and throughput of each provider.
    `bucket_start` is UTC, `bucket_s` the width in seconds, which the gateway chooses; the last column is the figure,
    with its unit in its name.

    `since` and `until` are ages (``"24h"``), datetimes or ISO texts; `provider` and `status` (``ok``, ``error``,
    ``cancelled``) take one or several. `client` says which gateway is asked (None: the one of the settings). Raises
    AuthenticationFailed, ConnectionFailed, NotFound.

        bf.gateway_histogram("latency", since="24h", model="gpt-4o-mini")
    """
    return Admin(client).histogram(kind, by=by, since=since, until=until, provider=provider, model=model, status=status)


def reconcile(
    *, since: When = "24h", until: When = None, client: Client | None = None, fill: bool = False
) -> Reconciliation:
    """Compare our run log with the gateway's log, run by run, by request id.

    Tells runs seen only on one side, figures that differ, and client minus gateway time; see `Reconciliation`. `fill`
    writes costs that only the gateway knows into our run log. Runs sent to another gateway's address are left out and
    counted. Of calls just made it waits, seconds at most, for the gateway's rows, which come late, and for the costs
    that are looked up. Where the gateway's clock differs, it shows by the rows of our own runs, and the time asked for
    is taken by that clock; where none of them is found, `summary` says what may be the reason.

    Raises ConfigurationError, AuthenticationFailed, NotFound (the gateway keeps no log), ConnectionFailed, LogError.

    `since` and `until` are ages (``"24h"``), datetimes or ISO texts.

        bf.reconcile(since="1h").summary()
    """
    return Admin(client).reconcile(since=since, until=until, fill=fill)

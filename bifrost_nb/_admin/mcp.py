"""Tools that the gateway has of MCP servers: those that a key may use, and the log of their calls.

Asked of real processes: ``POST /mcp`` answers from 1.4.0 on (1.3.63: 405), ``/api/mcp-logs`` from 1.4.18 on. A key that
names no tools has all of them up to 1.4.18 and none from 1.5.1 on. What a tool itself calls an error is logged as
``success``; only 2.0 keeps the tool's own flag, and 1.5.16 logs no calls of unknown tools. Costs and cancelled calls
were read in the source, not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .._client.client import Client
from .._runs.columns import Column
from ..errors import GatewayError, NotFound, ProtocolError
from .access import Access
from .fields import Row, objects, read, read_json, read_number, read_text
from .log_query import PAGE, check_length, checked_statuses, is_last, listed, names_of, rfc3339, span, whole_limit
from .log_rows import STATUSES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MCP_LOGS", "MCP_TOOLS", "ToolQuery", "mcp_logs", "mcp_tools", "tool_log_rows", "tool_rows"]

MOST_PAGES = 200
_NO_TOOLS = "Gateways from 1.4.0 on tell their tools; 1.3 does not."
_NO_LOG = "The gateway keeps no log (its logs_store is switched off), or is older than its tool log (1.4.18 has one)."
_STATUSES = {**STATUSES, "processing": "processing"}
When = str | datetime | timedelta | None
Names = str | Iterable[str] | None


def _part(place: int) -> Callable[[Row], str | None]:
    """Server or tool of ``server-tool``: servers have no dash. 1.4.0 joins by ``_``, which both may have: None."""

    def value(row: Row) -> str | None:
        server, dash, tool = str(row.get("name")).partition("-")
        return (server, tool)[place] if dash and server and tool else None

    return value


def _tool_error(row: Row) -> bool | None:
    """What the tool itself said of its result; None where the gateway keeps only the content."""
    found = read("result", "is_error")(row)
    return found if isinstance(found, bool) else None


MCP_TOOLS: tuple[Column[Row], ...] = (
    Column("name", "string", read_text("name")),
    Column("server", "string", _part(0)),
    Column("tool", "string", _part(1)),
    Column("description", "string", read_text("description")),
    Column("parameters", "string", read_json("inputSchema")),
)
MCP_LOGS: tuple[Column[Row], ...] = (
    Column("id", "string", read_text("id")),
    Column("request_id", "string", read_text("request_id")),
    Column("llm_request_id", "string", read_text("llm_request_id")),
    Column("started_at", "datetime64[us, UTC]", read_text("timestamp")),
    Column("server", "string", read_text("server_label")),
    Column("tool", "string", read_text("tool_name")),
    Column("virtual_key", "string", read_text("virtual_key_name")),
    Column("virtual_key_id", "string", read_text("virtual_key_id")),
    Column("status", "string", lambda row: _STATUSES.get(str(row.get("status")))),
    Column("tool_error", "boolean", _tool_error),
    Column("error_message", "string", read_text("error_details", "error", "message")),
    Column("latency_ms", "Float64", read_number("latency")),
    Column("cost_usd", "Float64", read_number("cost")),
    Column("arguments", "string", read_json("arguments")),
    Column("result", "string", read_json("result")),
)


def mcp_tools(client: Client | None = None) -> pd.DataFrame:
    """The tools of MCP servers that the gateway offers to the client's key, one row each; calls none of them.

    `name` is what a model or ``/v1/mcp/tool/execute`` calls, `server` and `tool` are its parts (NA on 1.4.0, where they
    cannot be told apart), `parameters` the JSON schema of its arguments. Without a virtual key: the tools of everybody.

    `client` says which gateway and whose key (None: the one of the settings). Raises AuthenticationFailed (a key that
    the gateway does not know), ConnectionFailed, NotFound (1.3 has no tools).

        bf.mcp_tools(bf.Client("demo"))[["name", "description"]]
    """
    from .api import Admin

    return Admin(client).mcp_tools()


def mcp_logs(
    *,
    since: When = None,
    until: When = None,
    server: Names = None,
    tool: Names = None,
    status: Names = None,
    limit: int | None = None,
    client: Client | None = None,
) -> pd.DataFrame:
    """The gateway's log of tool calls, everybody's, one row each, oldest first.

    `since` and `until` are ages (``"24h"``), datetimes or ISO texts; `server`, `tool` and `status` (``ok``, ``error``,
    ``cancelled``, ``processing``) take one or several; `limit` keeps the newest. `status` is the gateway's: a tool that
    answered with an error of its own is ``ok`` there; `tool_error` is True where the gateway kept that (2.0 does, 1.4
    and 1.5 do not). `arguments` and `result` are what was logged, as JSON or text; `latency_ms` is the gateway's.
    The gateway writes its rows up to a few seconds late.

    `client` says which gateway is asked (None: the one of the settings). Raises ConfigurationError,
    AuthenticationFailed, NotFound (no tool log there: 1.4.0 and older have none), ConnectionFailed.

        bf.mcp_logs(since="1h", status="error", client=bf.Client("demo"))
    """
    from .api import Admin

    return Admin(client).mcp_logs(since=since, until=until, server=server, tool=tool, status=status, limit=limit)


# -- what they ask for ----------------------------------------------------------------------------------------------


async def tool_rows(access: Access) -> list[Row]:
    """The tools of all pages (MCP: a list goes on at its ``nextCursor``)."""
    found: dict[str, Row] = {}
    cursor: str | None = None
    for number in range(MOST_PAGES):
        params = {} if cursor is None else {"cursor": cursor}
        asked = {"jsonrpc": "2.0", "id": number + 1, "method": "tools/list", "params": params}
        try:
            answer = await access.post("/mcp", asked, missing=_NO_TOOLS)
        except GatewayError as error:
            if error.status != 405:  # how 1.3.63 says that it has no such route
                raise
            raise NotFound("POST /mcp: this version of the gateway has no such route.", hint=_NO_TOOLS) from None
        result = answer.get("result")
        if not isinstance(result, dict):
            told = access.safe(read("error", "message")(answer), 200) or "an answer without tools"
            raise ProtocolError(f"POST /mcp did not list the tools: {told}.")
        new = {row["name"]: row for row in objects(result.get("tools")) if isinstance(row.get("name"), str)}
        more = result.get("nextCursor")
        if not new.keys() - found.keys() or not isinstance(more, str) or not more or more == cursor:
            return list((found | new).values())
        found, cursor = found | new, more
    return list(found.values())


@dataclass(frozen=True, slots=True)
class ToolQuery:
    """Checked filters of the tool log."""

    since: datetime | None
    until: datetime | None
    servers: tuple[str, ...] | None
    tools: tuple[str, ...] | None
    statuses: tuple[str, ...] | None
    """In our words."""
    limit: int | None

    @classmethod
    def of(cls, *, since: Any, until: Any, server: Any, tool: Any, status: Any, limit: Any) -> ToolQuery:
        """Raises ConfigurationError, naming the filter and what it takes."""
        start, end = span(since, until)
        statuses = names_of("status", status)
        checked_statuses(statuses, _STATUSES.values())
        return cls(start, end, names_of("server", server), names_of("tool", tool), statuses, whole_limit(limit))

    def params(self) -> dict[str, str]:
        """The query parameters, as the gateway names them."""
        words = {ours: theirs for theirs, ours in _STATUSES.items()}
        told = {
            "start_time": None if self.since is None else rfc3339(self.since),
            "end_time": None if self.until is None else rfc3339(self.until),
            "server_labels": listed(self.servers),
            "tool_names": listed(self.tools),
            "status": listed(self.statuses, words),
        }
        return {name: value for name, value in told.items() if value is not None}


async def tool_log_rows(access: Access, query: ToolQuery) -> list[Row]:
    """The rows that `query` asks for, oldest first; read newest first, so that rows written meanwhile hide none."""
    found: dict[str, Row] = {}
    offset = pages = 0
    while query.limit is None or len(found) < query.limit:
        params = query.params() | {"limit": PAGE, "offset": offset, "sort_by": "timestamp", "order": "desc"}
        answer = await access.get_object("/api/mcp-logs", params, missing=_NO_LOG)
        page = objects(answer.get("logs"))
        new = {row["id"]: row for row in page if isinstance(row.get("id"), str) and row["id"] not in found}
        found |= new
        pages, offset = pages + 1, offset + len(page)
        check_length(len(found), pages)
        if len(page) < PAGE or is_last(answer, page, offset, new=bool(new)):
            break
    return list(found.values())[: query.limit][::-1]

"""Tools as the gateway has them of MCP servers: one built-in server of two tools, who may use them, and their log.

Names, answers and log rows follow processes 1.4.0, 1.5.16 and 2.0.0-prerelease3 before an MCP server of these tools.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from .dialects import Dialect

__all__ = ["ToolBox", "ToolResult"]

SERVER = "calculator"
_NUMBERS = {"a": {"type": "number"}, "b": {"type": "number"}}
_SCHEMA = {"type": "object", "properties": _NUMBERS, "required": ["a", "b"]}
TOOLS = {"add": "Adds two numbers.", "divide": "Divides a by b."}
_MOST = 10_000


class ToolResult(NamedTuple):
    """What a tool answered: its text, and whether it calls that an error."""

    text: str
    is_error: bool = False


class ToolBox:
    """The tools of one generation of the gateway, and what was called."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.rows: list[dict[str, Any]] = []
        """Newest last; ``written_at`` (monotonic) is no part of the answer."""

    def names(self, key: Mapping[str, Any] | None) -> dict[str, str]:
        """Tool by the name under which it is called, of those that `key` may use.

        Measured: a key that names none may use all before 1.5, none from then on. The planted key "demo" names them.
        """
        joined = "_" if self.dialect.old else "-"
        if key is not None and key["name"] != "demo" and not self.dialect.old:
            return {}
        return {f"{SERVER}{joined}{tool}": tool for tool in TOOLS}

    def listed(self, key: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        """The tools as MCP lists them."""
        return [
            {"annotations": {}, "description": TOOLS[tool], "inputSchema": _SCHEMA, "name": name}
            for name, tool in self.names(key).items()
        ]

    def call(
        self, name: str, arguments: Mapping[str, Any], key: Mapping[str, Any] | None, call_id: str, delay_s: float
    ) -> ToolResult | None:
        """Call a tool and log it, `delay_s` late; None where there is none of that name for `key`."""
        began, tool = time.monotonic(), self.names(key).get(name)
        result = None if tool is None else _result(tool, arguments)
        if result is None and self.dialect.name == "1.5":  # measured: 1.5.16 logs no unknown tools, 2.0 does
            return None
        row: dict[str, Any] = {"id": str(uuid.uuid4()), "timestamp": time.time(), "tool_name": tool or name}
        row |= {"request_id": row["id"], "written_at": began + delay_s}
        row |= {"virtual_key_id": key and key["id"], "virtual_key_name": key and key["name"]}
        row |= {"arguments": orjson.dumps(arguments).decode(), "status": "error" if result is None else "success"}
        if result is None:
            message = f"tool '{name}' is not available or not permitted"
            row["error_details"] = {"is_bifrost_error": False, "error": {"message": message}}
        else:
            row |= {"server_label": SERVER, "latency": (time.monotonic() - began) * 1e3}
            row["result"] = self._logged(result, call_id)
        self.rows = [*self.rows[1 - _MOST :], row]
        return result

    def _logged(self, result: ToolResult, call_id: str) -> Any:
        """Measured: JSON is logged as what it says, anything else as the message; only 2.0 keeps the tool's flag."""
        if not result.is_error:
            return orjson.loads(result.text)
        flag = {"is_error": True} if self.dialect.second else {}
        return {"content": result.text, **flag, "role": "tool", "tool_call_id": call_id}

    def written(self) -> list[dict[str, Any]]:
        """The rows that are written by now, newest last."""
        now = time.monotonic()
        return [row for row in self.rows if row["written_at"] <= now]


def _result(tool: str, arguments: Mapping[str, Any]) -> ToolResult:
    a, b = arguments.get("a"), arguments.get("b")
    if isinstance(a, bool) or isinstance(b, bool) or not isinstance(a, int | float) or not isinstance(b, int | float):
        return ToolResult("a and b must be numbers", is_error=True)
    if tool == "divide":
        return ToolResult("division by zero", is_error=True) if b == 0 else ToolResult(f"{a / b:g}")
    return ToolResult(f"{a + b:g}")

"""A front end without a browser: runs cells, clicks on live panes, interrupts, and keeps every message with its time.

Times are `time.monotonic()`, which all processes of one machine share.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from tempfile import TemporaryDirectory
from typing import Any, Literal

from jupyter_client.manager import KernelManager

from ..panes import frames, text

ROOT = Path(__file__).parents[2]
_HELD = """import os, time
while not os.path.exists({gate!r}): time.sleep(0.01)
time.sleep(0.2)  # what was sent before the gate was opened has arrived by now"""
Route = Literal["main", "subshell"]
Message = dict[str, Any]


@dataclass
class Cell:
    """One cell sent to the kernel and all that came back for it."""

    front: FrontEnd
    id: str
    messages: list[Message] = field(default_factory=list)
    reply: Message | None = None
    idle_at: float | None = None

    def wait(self, seconds: float = 60) -> Cell:
        """Until the kernel has replied and is idle again."""
        self.front.until(lambda: self.reply is not None and self.idle_at is not None, seconds, f"cell {self.id} to end")
        return self

    @property
    def status(self) -> str:
        """``ok``, ``error`` or ``aborted``."""
        assert self.reply is not None
        return str(self.reply["content"]["status"])

    def of(self, *kinds: str) -> list[Message]:
        """The messages of these types that were sent for this cell."""
        return [message for message in self.messages if message["msg_type"] in kinds]

    @property
    def printed(self) -> str:
        """What it wrote to the standard output."""
        return "".join(message["content"]["text"] for message in self.of("stream"))

    @property
    def displays(self) -> list[dict[str, Any]]:
        """The contents of its displays in order, each as last updated, as a front end saves them.

        An earlier cell's display may be updated meanwhile, by a background job; front ends change it where it is.
        """
        kept: dict[str, dict[str, Any]] = {}
        for number, message in enumerate(self.of("display_data", "update_display_data", "execute_result")):
            content = message["content"]
            name = content.get("transient", {}).get("display_id") or str(number)
            if message["msg_type"] != "update_display_data" or name in kept:
                kept[name] = content
        return list(kept.values())

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The data of its displays, by media type."""
        return [content["data"] for content in self.displays]

    @property
    def error(self) -> dict[str, Any]:
        """The content of its error message."""
        (message,) = self.of("error")
        return dict(message["content"])

    def pane(self) -> Pane:
        """The live pane that it shows, once it is there."""
        self.front.until(lambda: bool(_panes(self.front, self.messages)), 60, "a live pane")
        return _panes(self.front, self.messages)[-1]


@dataclass
class Pane:
    """The live pane as its JavaScript would see it."""

    front: FrontEnd
    comm_id: str

    @property
    def frames(self) -> list[dict[str, Any]]:
        """The custom messages received so far."""
        messages = [message for message in self.front.messages if message["msg_type"] == "comm_msg"]
        ours = [message for message in messages if message["content"]["comm_id"] == self.comm_id]
        customs = [message for message in ours if message["content"]["data"].get("method") == "custom"]
        return frames((message["content"]["data"]["content"], message["buffers"]) for message in customs)

    def text(self, column: int = 0) -> str:
        """What the column would show."""
        return text(self.frames, column)

    def wait_for_text(self, length: int = 1, column: int = 0) -> None:
        """Until the column shows so many characters."""
        self.front.until(lambda: len(self.text(column)) >= length, 60, "text in the live pane")

    def send(self, content: dict[str, Any], route: Route = "main") -> float:
        """What a click sends; the time at which it was sent."""
        return self.front.send_comm(self.comm_id, {"method": "custom", "content": content}, route)


class FrontEnd:
    """A kernel of `python` and everything that one front end does with it."""

    def __init__(self, python: Path, environment: dict[str, str]) -> None:
        self.manager = KernelManager()
        assert self.manager.kernel_spec is not None
        self.manager.kernel_spec.argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        # The checkout under test comes before whatever that environment has installed.
        self.manager.start_kernel(env={**os.environ, "PYTHONPATH": str(ROOT), **environment})
        self.client = self.manager.blocking_client()
        self.messages: list[Message] = []
        self.cells: dict[str, Cell] = {}
        self._subshell: str | None = None
        self._routes: list[Route] | None = None
        try:
            self.client.start_channels()
            self.client.wait_for_ready(timeout=60)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the kernel and close what was opened to it."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    def run(self, code: str, **options: Any) -> Cell:
        """Send a cell without waiting; cells sent one after the other are what Run All does."""
        cell = Cell(self, self.client.execute(code, **options))
        self.cells[cell.id] = cell
        return cell

    def run_cell(self, cell_id: str, code: str, deleted: Sequence[str] = ()) -> Cell:
        """Send a cell with its id and those of deleted cells, as JupyterLab does."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True}
        metadata = {"cellId": cell_id, "deletedCells": list(deleted), "recordTiming": False}
        message = self.client.session.msg("execute_request", {**content, "stop_on_error": True}, metadata=metadata)
        self.client.shell_channel.send(message)
        cell = Cell(self, message["header"]["msg_id"])
        self.cells[cell.id] = cell
        return cell

    def run_all(self, *sources: str) -> list[Cell]:
        """What Run All does: all cells are in the kernel's queue before the first one begins."""
        with TemporaryDirectory() as folder:
            gate = Path(folder, "open")
            held = self.run(_HELD.format(gate=str(gate)))
            cells = [self.run(source) for source in sources]
            gate.touch()
            held.wait()
        return cells

    def value(self, expression: str) -> str:
        """The expression's repr in the kernel."""
        cell = Cell(self, self.client.execute("", user_expressions={"x": expression}))
        self.cells[cell.id] = cell
        result = cell.wait().reply["content"]["user_expressions"]["x"]  # type: ignore[index]
        assert result["status"] == "ok", result
        return str(result["data"]["text/plain"])

    def panes(self) -> list[Pane]:
        """Every live pane opened so far, by whichever cell or callback."""
        return _panes(self, self.messages)

    def interrupt(self) -> float:
        """Press ■; the time at which it was pressed."""
        at = time.monotonic()
        self.manager.interrupt_kernel()
        return at

    @property
    def routes(self) -> list[Route]:
        """The ways that a widget message can take: the second is that of JupyterLab >= 4.4 with ipykernel >= 7."""
        if self._routes is None:
            subshells = "kernel subshells" in self.value("str(get_ipython().kernel.kernel_info)")
            self._routes = ["main", "subshell"] if subshells else ["main"]
        return self._routes

    def send_comm(self, comm_id: str, data: dict[str, Any], route: Route = "main") -> float:
        """A widget message, over the main shell or over a subshell."""
        message = self.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        if route == "subshell":
            message["header"]["subshell_id"] = self._a_subshell()
        at = time.monotonic()
        self.client.shell_channel.send(message)
        return at

    def _a_subshell(self) -> str:
        if self._subshell is None:
            self.client.control_channel.send(self.client.session.msg("create_subshell_request", {}))
            self._subshell = self.client.get_control_msg(timeout=60)["content"]["subshell_id"]
        return self._subshell

    def until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Receive until `condition` holds."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds} s for {what}; last messages: {self._last()}")
            self._receive(0.02)

    def _receive(self, seconds: float) -> None:
        try:
            message = self.client.get_iopub_msg(timeout=seconds)
            message["at"] = time.monotonic()
            self.messages.append(message)
            if (cell := self._cell_of(message)) is not None:
                cell.messages.append(message)
                if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                    cell.idle_at = message["at"]
        except Empty:
            pass
        while self.client.shell_channel.msg_ready():
            message = self.client.get_shell_msg(timeout=1)
            if (cell := self._cell_of(message)) is not None:
                cell.reply = message

    def _cell_of(self, message: Message) -> Cell | None:
        return self.cells.get(message["parent_header"].get("msg_id", ""))

    def _last(self) -> list[tuple[str, str]]:
        return [(message["msg_type"], str(message["content"])[:200]) for message in self.messages[-5:]]


def _panes(front: FrontEnd, messages: list[Message]) -> list[Pane]:
    opened = [message["content"] for message in messages if message["msg_type"] == "comm_open"]
    named = ((content["comm_id"], content["data"].get("state", {}).get("_anywidget_id", "")) for content in opened)
    return [Pane(front, comm_id) for comm_id, name in named if name.endswith("LivePane")]

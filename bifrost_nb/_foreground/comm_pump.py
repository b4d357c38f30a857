"""Let widget messages through while a cell blocks the thread that would otherwise handle them.

A synchronous cell keeps the kernel's shell busy, so a click on a button waits until the cell has ended: the button
could never cancel that very cell. `Pump.tick` takes what has arrived meanwhile, handles widget messages (``comm_*``)
at once and hands every other message back untouched and in order, exactly as the kernel's own reader would have; so
Run All keeps its order.

ipykernel offers no public way to do this and reads its messages in a different place in each version. Everything
private is therefore looked up in one function, `_reader`, and where it is not found (a terminal, a plain thread,
another kernel) `tick` does nothing: then the interrupt key is the one way to stop. ``tests/kernels`` runs against
each version that differs.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from .environment import kernel

__all__ = ["Pump", "reachable"]

_WIDGET_MESSAGES = frozenset({"comm_msg", "comm_close", "comm_open"})


def reachable(widget: Any) -> Any:
    """`widget`, whose messages all go the same way: to the subshell that they name, to the main shell where it is gone.

    ipykernel 7.4 sends a comm's messages to the shell that has spoken on it last. So the first click on a widget of a
    cell waited for the main shell and each later one went to the subshell that JupyterLab names, so of three quick
    clicks the third could be taken before the second, or beside it on another thread. And JupyterLab ends its subshell
    for widgets with the last one that it opened and goes on naming it in messages of others, which are dropped: of a
    vote in a notebook's second comparison the first click came, no other (measured with JupyterLab 4.6). Nothing is
    changed for a kernel that chooses no subshell for a comm.
    """
    subshells = getattr(
        getattr(getattr(kernel(), "shell_channel_thread", None), "manager", None), "list_subshell", None
    )
    if subshells is None or not hasattr(widget.comm, "_reply_subshell_for"):
        return widget

    def named(data: Any, default: str | None) -> str | None:
        return default if default in subshells() else None

    widget.comm._reply_subshell_for = named
    return widget


class Pump:
    """``with Pump() as pump: while working: ...; pump.tick()``. Only for the thread that enters it."""

    def __init__(self) -> None:
        self._kernel: Any = None
        self._stream: Any = None

    def __enter__(self) -> Pump:
        found = _reader()
        if found is not None:
            self._kernel, self._stream = found
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            stream = self._stream
            # zmq's descriptor signals edges: without this a message that came late would wait for the next one.
            stream.io_loop.add_callback(lambda: stream.closed() or stream._handle_events(stream.socket, 0))

    @property
    def works(self) -> bool:
        """Whether clicks can arrive during the cell."""
        return self._stream is not None

    def tick(self) -> None:
        """Handle the widget messages that have arrived; never waits."""
        if self._stream is None:
            return
        import zmq

        while True:
            try:
                message = self._stream.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.ZMQError:  # nothing there (or the kernel is going down)
                return
            if _kind(self._kernel, message) in _WIDGET_MESSAGES:
                self._handle(message)
            else:
                self._stream._run_callback(self._stream._recv_callback, message)

    def _handle(self, message: list[Any]) -> None:
        """What the kernel's dispatcher does with a widget message, the cell's identity restored afterwards."""
        running = self._kernel
        identities, frames = running.session.feed_identities(list(message), copy=False)
        try:
            content = running.session.deserialize(frames, content=True, copy=False)
        except ValueError as error:  # a wrong signature: the kernel refuses such a message too
            running.log.error("Invalid message: %s", error)
            return
        if threading.current_thread() is threading.main_thread():
            # ipykernel 7.4 sends a comm's next messages to the subshell named in the one being answered: of a
            # widget that is not `reachable` (a user's slider), those already waiting here would be overtaken.
            content["header"].pop("subshell_id", None)
        cell_identity, cell = running._parent_ident["shell"], running.get_parent("shell")
        try:
            running.set_parent(identities, content, channel="shell")
            running._publish_status("busy", "shell")
            running.shell_handlers[content["header"]["msg_type"]](self._stream, identities, content)
            sys.stdout.flush()
            running._publish_status("idle", "shell")
        finally:
            running.set_parent(cell_identity, cell, channel="shell")


def _reader() -> tuple[Any, Any] | None:
    """The kernel and the ZMQStream from which this thread takes shell messages; None where there is none."""
    running = kernel()
    if running is None:
        return None
    try:
        import zmq.eventloop.zmqstream

        pair = getattr(threading.current_thread(), "shell_channel_to_subshell", None)
        if pair is not None:  # a subshell of ipykernel >= 7: widget callbacks of JupyterLab run there
            stream = pair.to_stream
        elif threading.current_thread() is not threading.main_thread():
            return None
        elif (shell_thread := getattr(running, "shell_channel_thread", None)) is not None:  # ipykernel >= 7
            stream = shell_thread.manager._shell_channel_to_main.to_stream
        else:  # ipykernel 6
            stream = running.shell_stream
        needed = [stream._run_callback, stream._recv_callback, stream._handle_events, stream.io_loop.add_callback]
        needed += [running.session.feed_identities, running.shell_handlers, running._publish_status, running.set_parent]
        usable = isinstance(stream, zmq.eventloop.zmqstream.ZMQStream) and running._parent_ident["shell"] is not None
    except (AttributeError, ImportError, KeyError, LookupError, TypeError):  # another kernel, another version
        return None
    return (running, stream) if usable and all(part is not None for part in needed) else None


def _kind(running: Any, message: list[Any]) -> str | None:
    """The message type, from the raw header: deserialising registers the signature, and a second time is a replay."""
    try:
        _, frames = running.session.feed_identities(list(message), copy=False)
        header = frames[1]  # signature, header, parent header, metadata, content
        kind = running.session.unpack(bytes(getattr(header, "buffer", header))).get("msg_type")
    except (AttributeError, IndexError, TypeError, ValueError):
        return None
    return kind if isinstance(kind, str) else None

"""A TCP server that does to each completion what a test says, byte for byte, and counts what it was asked.

Unlike the embedded gateway it knows no HTTP of its own: what is wrong on the wire is put there by the test. All else
(version, log rows) is answered by 405, so that nobody waits for a cost.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["PEM", "FaultServer", "Wire", "chunk", "done", "event", "head", "http_chunk"]

Act = Callable[["Wire"], None]
PEM = Path(__file__).with_name("self_signed.pem")
REFUSAL = b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def head(status: str = "200 OK", kind: str | None = "text/event-stream", *lines: str) -> bytes:
    """Status line and headers; the body ends with the connection unless `lines` say otherwise."""
    kinds = [] if kind is None else [f"content-type: {kind}"]
    return "\r\n".join([f"HTTP/1.1 {status}", *kinds, "connection: close", *lines, "", ""]).encode()


def event(payload: str) -> bytes:
    return f"data: {payload}\n\n".encode()


def chunk(text: str, index: int | None = None, finish: str | None = None) -> bytes:
    """One event with a piece of text, as a gateway of 1.4 writes it."""
    number = "" if index is None else f',"chunk_index":{index}'
    reason = "null" if finish is None else f'"{finish}"'
    return event(
        f'{{"choices":[{{"index":0,"text":"{text}","finish_reason":{reason}}}],'
        f'"extra_fields":{{"provider":"azure","model_requested":"fast"{number}}}}}'
    )


def done(index: int | None = None) -> bytes:
    return chunk("", index, "stop") + event("[DONE]")


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Wire:
    """The server's end of one connection, after the request was read."""

    def __init__(self, connection: socket.socket, closing: threading.Event) -> None:
        self.connection, self._closing = connection, closing

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the client has enough
            self.connection.sendall(data)

    def drip(self, data: bytes, gap_s: float) -> None:
        """Byte by byte, until the client leaves."""
        for at in range(len(data)):
            try:
                self.connection.sendall(data[at : at + 1])
            except OSError:
                return
            if gap_s and self.wait(gap_s):
                return

    def flood(self, data: bytes, most: int) -> int:
        """`data` again and again, until the client leaves or `most` bytes were taken; how many were."""
        sent = 0
        with contextlib.suppress(OSError):
            while sent < most and not self._closing.is_set():
                self.connection.sendall(data)
                sent += len(data)
        return sent

    def wait(self, seconds: float = 60.0) -> bool:
        """Silence, until the client leaves (True) or so many seconds have passed."""
        self.connection.settimeout(seconds)
        try:
            while self.connection.recv(4096):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            with contextlib.suppress(OSError):
                self.connection.settimeout(10)
        return True

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class FaultServer:
    """Serves on a free loopback port while its ``with`` block runs; `asked` counts completions."""

    def __init__(self, act: Act, *, tls: bool = False, at_once: bool = False) -> None:
        self.act, self.asked, self.seen = act, 0, 0
        self._at_once = at_once  # act on the connection without reading a request
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(PEM)
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join(10)
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.seen += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        try:
            connection.settimeout(10)
            if self._at_once:
                self.asked += 1
                self.act(Wire(connection, self._closing))
                return
            if self._context is not None:
                self._open.discard(connection)
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.add(connection)
            request = self._request(connection)
            if request.startswith(b"POST"):
                self.asked += 1
                self.act(Wire(connection, self._closing))
            elif request:
                connection.sendall(REFUSAL)
        except OSError:
            pass  # the client left, as it may
        finally:
            self._open.discard(connection)
            connection.close()

    @staticmethod
    def _request(connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := connection.recv(65_536)):
                return b""
            data += more
        headers, _, body = data.partition(b"\r\n\r\n")
        lengths = [line for line in headers.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        missing = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
        while missing > 0 and (more := connection.recv(65_536)):
            missing -= len(more)
        return headers

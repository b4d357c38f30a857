"""The price list at an address of this machine: 1.4.18 and 1.5.1 take no file address (measured).

Which list a gateway gets (the caller's, an empty one, its own) is decided by `launch._with_prices` and `_in_its_form`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["ListServer"]


class ListServer:
    """Serves JSON documents, by path, on loopback until `close`."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = contents.get(self.path.partition("?")[0])
                self.send_response(404 if content is None else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                """A notebook's output is no place for it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

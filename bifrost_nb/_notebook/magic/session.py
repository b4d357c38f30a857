"""What the magic remembers between cells: defaults, the chats, the last result, background jobs."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ..._display.table import Text
from .chats import Cells, Chat, Chats
from .config import Bifrost
from .options import Options

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..._client.client import Client
    from ..live.background import BackgroundJob

__all__ = ["Session"]


class Session:
    """One loaded extension in one shell."""

    def __init__(self, shell: InteractiveShell, config: Bifrost) -> None:
        self.shell = shell
        self.config = config
        self.started_at = datetime.now(UTC)
        self.defaults = Options()
        """What ``%bifrost use`` set."""
        self.chats = Chats()
        """What ``--history`` continues."""
        self.cells = Cells()
        self._outdated: dict[str, Any] = {}
        """Chat -> the display that says which of its turns are out of date."""
        self.last: Any = None
        """The last result: a Run, Runs or a Comparison."""
        self.jobs: dict[str, BackgroundJob] = {}

    @property
    def client(self) -> Client:
        """What is used without ``client=``, as everywhere: see `bifrost_nb.Client`. Raises ConfigurationError."""
        from ..._client.client import default_client

        return default_client()

    @property
    def notebook(self) -> str | None:
        """The notebook's file name where the server or the editor tells it; None elsewhere."""
        path = self.shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
        name = PurePath(path).name if isinstance(path, str) else ""
        return name if name.endswith(".ipynb") else None

    def keep(self, result: Any, name: str | None) -> None:
        """Make `result` the last one: ``_bifrost``, the variable `name`, and ``_``, ``_N`` and ``Out[N]``.

        The magic itself returns nothing, because the answer is on screen already and a returned value would be shown
        a second time; IPython's own history is filled in here instead.
        """
        self.last = result
        self.shell.user_ns["_bifrost"] = result
        if name is not None:
            self.shell.user_ns[name] = result
        hook: Any = self.shell.displayhook
        hook.update_user_ns(result)
        hook.fill_exec_result(result)
        self._release_culled()

    def _release_culled(self) -> None:
        """Let go of results that IPython has dropped from ``Out``: it holds each for ever under a hidden ``_N``.

        (`InteractiveShell.push` enters it there, `DisplayHook.cull_cache` forgets it; so in 8.18 to 9.18.)
        """
        hidden: dict[str, Any] = self.shell.user_ns_hidden
        for name in hidden.keys() - self.shell.user_ns.keys():
            if name[1:].isdecimal():
                del hidden[name]

    def tell_outdated(self, chat: Chat, quiet: bool) -> None:
        """Say below the cell which turns must be asked again; where they have been, what was said goes away."""
        from IPython.display import display

        said, shown = chat.outdated(), self._outdated.pop(chat.name, None)
        if shown is not None:
            shown.update(Text(said or ""))
            if said:
                self._outdated[chat.name] = shown
        elif said and not quiet:
            handle: Any = display(Text(said), display_id=True)  # type: ignore[no-untyped-call]
            if handle is not None:
                self._outdated[chat.name] = handle

    def close(self) -> None:
        """Cancel what still runs; it is recorded as cancelled."""
        for job in self.jobs.values():
            job.cancel()

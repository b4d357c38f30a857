"""Where the running code shows itself."""

from __future__ import annotations

import sys
from typing import Any, Literal

__all__ = ["Place", "kernel", "place"]

Place = Literal["terminal", "notebook", "unattended"]


def place() -> Place:
    """``notebook`` in front of a person, ``unattended`` under nbconvert, papermill and the like, else ``terminal``.

    A front end says with each cell whether it could ask its user for input (``allow_stdin`` of the Jupyter messaging
    protocol). nbclient, on which the unattended tools stand, says no: so nobody watches, and nobody can click.
    """
    running = kernel()
    if running is None:
        return "terminal"
    cell: dict[str, Any] = running.get_parent() or {}
    return "notebook" if cell.get("content", {}).get("allow_stdin", True) else "unattended"


def kernel() -> Any:
    """The kernel in which this code runs, or None. Loads nothing: where there is one, IPython has been imported."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython.get_ipython(), "kernel", None) if ipython is not None else None

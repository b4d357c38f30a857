"""Which front end runs this code."""

from __future__ import annotations

import os
import sys
from typing import Any, Literal

__all__ = ["FrontEnd", "front_end", "kernel", "takes_clicks"]

FrontEnd = Literal["terminal", "notebook", "unattended", "page", "marimo"]


def front_end() -> FrontEnd:
    """``notebook`` in front of a person, ``unattended`` under nbconvert, papermill and the like, else ``terminal``.

    A front end says with each cell whether it could ask its user for input (``allow_stdin`` of the Jupyter messaging
    protocol). nbclient, on which the unattended tools stand, says no: so nobody watches, and nobody can click. ``page``
    is Voila's: nobody watches the cells, but their outputs are clicked on afterwards. It stands on nbclient, too, and
    tells its kernels who it is as CGI does.
    """
    running = kernel()
    if running is None:
        return "marimo" if _in_marimo() else "terminal"
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila/"):
        return "page"
    cell: dict[str, Any] = running.get_parent() or {}
    return "notebook" if cell.get("content", {}).get("allow_stdin", True) else "unattended"


def kernel() -> Any:
    """The kernel in which this code runs, or None. Loads nothing: where there is one, IPython has been imported."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython.get_ipython(), "kernel", None) if ipython is not None else None


def takes_clicks() -> bool:
    """Whether a widget that is shown now can be used once its cell has ended."""
    return front_end() in ("notebook", "page", "marimo")


def _in_marimo() -> bool:
    """Whether a cell of marimo runs in this thread."""
    marimo = sys.modules.get("marimo")
    return marimo is not None and bool(marimo.running_in_notebook())

"""An IPython shell for one test."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


@contextmanager
def fresh_shell() -> Iterator[InteractiveShell]:
    """A shell without history, with the extension loaded.

    IPython keeps each shell until the process ends: with all that cells had assigned, hundreds of them would hold
    millions of objects, through which every garbage collection and the end of the process look.
    """
    main = sys.modules["__main__"]  # in its place comes the shell's, emptied at the end; Dask needs it
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.run_cell("%load_ext bifrost_nb")
    try:
        yield shell
    finally:
        shell.run_cell("%unload_ext bifrost_nb")
        InteractiveShell.clear_instance()
        atexit.unregister(shell.atexit_operations)
        shell.user_ns.clear()
        sys.modules["__main__"] = main

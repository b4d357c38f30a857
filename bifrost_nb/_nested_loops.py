"""`allow_nested_loops`: the one job of nest-asyncio here, for people whose own cells call ``asyncio.run``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib import metadata

from .errors import ConfigurationError

__all__ = ["allow_nested_loops"]


def allow_nested_loops() -> str:
    """Let your own code call ``asyncio.run`` inside a notebook cell. Returns the name of the package applied.

    Nothing of this package needs it. It prefers ``nest_asyncio2``; ``nest_asyncio`` is refused on ipykernel 7 and
    newer, where cells that are queued while a nested loop runs are lost. Raises ConfigurationError with the reason.

        bf.allow_nested_loops()
    """
    name = "nest_asyncio2" if importlib.util.find_spec("nest_asyncio2") else "nest_asyncio"
    if name == "nest_asyncio" and "ipykernel" in sys.modules:
        kernel = metadata.version("ipykernel")
        if int(kernel.partition(".")[0]) >= 7:
            raise ConfigurationError(
                f"nest_asyncio makes ipykernel {kernel} lose the cells that wait while a nested loop runs.",
                hint="Run `pip install nest-asyncio2` and call this again, or use `await` in the cell.",
            )
    try:
        importlib.import_module(name).apply()
    except ValueError as error:  # uvloop and others that cannot be patched
        raise ConfigurationError(
            f"{name} cannot patch this event loop: {error}.", hint="Use `await` instead."
        ) from None
    return name

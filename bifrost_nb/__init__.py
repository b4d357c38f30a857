"""Compare language-model deployments behind the Bifrost AI gateway from a notebook: stream, record, measure.

``import bifrost_nb as bf`` loads nothing heavy and sends nothing; each name below is imported when it is first used.
"""

from typing import Any

import lazy_loader

from ._loading import loading

__version__ = "0.2.0"
_attribute, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    with loading():
        return _attribute(name)


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext bifrost_nb``: register ``%%bifrost`` and ``%bifrost``. Sends nothing, prints nothing."""
    from ._notebook.magic.magic import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext bifrost_nb``: remove all that loading registered."""
    from ._notebook.magic.magic import unload

    unload(shell)

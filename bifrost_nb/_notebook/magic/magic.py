"""``%%bifrost`` and ``%bifrost``: what IPython calls. The work is in `run_cell` and `subcommands`."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, magics_class, needs_local_scope, no_var_expand

from ... import _settings as settings
from ..._display.table import Text
from ...errors import BifrostError
from .config import Bifrost, configured
from .line_words import split
from .options import HELP, help_text, parse
from .run_cell import ask, shorten
from .session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["BifrostMagics", "load", "unload"]

NAMES = ("bifrost", "bifrost_nb")
"""The second name is ours alone, for a shell in which something else is called ``%%bifrost``."""

_DOC = """Ask deployments behind a Bifrost gateway, and see the answer as it comes.

The cell's text is the prompt. {{{{name}}}} stands for a variable, {{{{row.name}}}} and {{{{row["a b"]}}}} for what is
in it; all other braces, dollars and quotes are sent as they are, and {{{{{{{{name}}}}}}}} sends the braces.
The result is in _ and _bifrost, and in NAME with -o NAME, also after a failure or an interrupt.
%bifrost help lists the sub-commands of the line form.

{options}"""


@magics_class
class BifrostMagics(Magics):
    """The magics of one shell. Never `output_can_be_silenced`: IPython would read a prompt as Python and fail."""

    def __init__(self, shell: InteractiveShell, config: Bifrost) -> None:
        super().__init__(shell)
        self.session = Session(shell, config)

    @needs_local_scope
    @no_var_expand
    def bifrost(self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> Any:
        try:
            if cell is not None:
                words = split(line)
                if words in HELP:
                    return Text(help_text())
                options = parse(words, self.session.defaults)
                ask(self.session, options, _typed(self.shell, cell), _callers_names() or local_ns, quiet=False)
                return None  # it is on screen and in `_`: see Session.keep
            from .subcommands import run

            return run(self.session, line, local_ns)
        except BifrostError as error:
            if self.session.config.short_errors:
                shorten(error)
            raise


BifrostMagics.bifrost.__doc__ = _DOC.format(options=help_text())


def _callers_names() -> Mapping[str, Any] | None:
    """The local names where ``run_cell_magic`` was called: for cell magics IPython passes the notebook's instead."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "run_cell_magic":
        frame = frame.f_back  # type: ignore[assignment]
    return frame.f_back.f_locals if frame is not None and frame.f_back is not None else None


def _typed(shell: Any, cell: str) -> str:
    """The cell as it was typed: IPython ends a cell that has no line end at its end with one.

    The kernel's request says whether it was there; without a kernel a single one at the end is taken for IPython's.
    """
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    sent = (parent or {}).get("content", {}).get("code")
    if cell.endswith("\n\n") or (isinstance(sent, str) and sent.endswith(cell)):
        return cell
    return cell.removesuffix("\n")


def load(shell: InteractiveShell) -> None:
    """Register the magics, the completion and the ``%config`` layer in `shell`. A second call changes nothing."""
    if _loaded(shell) is not None:
        return
    config = configured(shell)
    magics = BifrostMagics(shell, config)
    names = [name for name in NAMES if name not in _registered(shell, "cell")]
    if "bifrost" not in names:
        warnings.warn("%%bifrost belongs to another extension here; use %%bifrost_nb.", stacklevel=2)
    function: Any = magics.bifrost
    for name in names:
        shell.register_magic_function(function, "line_cell", name)
    shell.magics_manager.registry["BifrostMagics"] = magics
    shell.configurables.append(config)  # type: ignore[arg-type]  # what %config lists; typed too narrowly
    settings.use_notebook_config(config.values)
    from .completion import install

    install(shell, magics.session)


def unload(shell: InteractiveShell) -> None:
    """Remove all that `load` registered, and cancel background jobs. Without `load` before, nothing happens."""
    magics = _loaded(shell)
    if magics is None:
        return
    from .completion import remove

    remove(shell)
    magics.session.close()
    for kind in ("line", "cell"):
        for name in NAMES:
            if getattr(_registered(shell, kind).get(name), "__self__", None) is magics:
                del _registered(shell, kind)[name]
    del shell.magics_manager.registry["BifrostMagics"]
    shell.configurables[:] = [each for each in shell.configurables if each not in (magics, magics.session.config)]
    settings.use_notebook_config(dict)


def _registered(shell: InteractiveShell, kind: str) -> dict[str, Any]:
    table: dict[str, Any] = shell.magics_manager.magics[kind]
    return table


def _loaded(shell: InteractiveShell) -> Any:
    return shell.magics_manager.registry.get("BifrostMagics")

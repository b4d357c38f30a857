"""Run a notebook or a script in this process and take the variables that it leaves."""

from __future__ import annotations

import contextlib
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._files import read_file, user_path
from .._safe_text import plain
from ..errors import ConfigurationError

__all__ = ["run_file"]


def run_file(path: Path) -> dict[str, Any]:
    """The variables of a notebook (run in its folder, as Jupyter does) or a script (run in this one, as Python does).

    What it prints is printed, charts are drawn and not shown. Raises ConfigurationError for a file that cannot be read,
    that is neither, or in which something was raised; that traceback is printed.
    """
    if path.suffix.lower() not in (".ipynb", ".py"):
        raise ConfigurationError(f"{path.name} is neither a notebook (.ipynb) nor a script (.py).")
    try:
        text = read_file(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    os.environ.setdefault("MPLBACKEND", "Agg")
    return _notebook(path, text) if path.suffix.lower() == ".ipynb" else _script(path, text)


def _script(path: Path, text: str) -> dict[str, Any]:
    module = types.ModuleType("__main__")
    module.__file__ = str(path)
    with _as_program(path, module):
        try:
            exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 - to run it is what was asked
        except SystemExit as error:
            if error.code not in (None, 0):
                raise ConfigurationError(f"{path.name} ended with exit status {plain(error.code, 60)}.") from None
        except Exception as error:  # noqa: BLE001 - whatever a script raises
            sys.excepthook(type(error), error, error.__traceback__.tb_next if error.__traceback__ else None)
            raise ConfigurationError(f"{path.name} raised {type(error).__name__}: {plain(error, 200)}") from None
        return dict(module.__dict__)


@contextlib.contextmanager
def _as_program(path: Path, module: types.ModuleType) -> Iterator[None]:
    """For the script, the surroundings of ``python script.py``."""
    main, arguments, places = sys.modules["__main__"], sys.argv, list(sys.path)
    sys.modules["__main__"], sys.argv = module, [str(path)]
    sys.path.insert(0, str(path.resolve().parent))
    try:
        yield
    finally:
        sys.modules["__main__"], sys.argv, sys.path[:] = main, arguments, places


def _notebook(path: Path, text: str) -> dict[str, Any]:
    from IPython.core.interactiveshell import InteractiveShell

    cells = _code_cells(path, text)
    shell: Any = InteractiveShell.instance()
    if not sys.stdout.isatty():
        shell.colors = "nocolor"
    folder, home = Path.cwd(), str(path.resolve().parent)
    for name in ("BIFROST_RUN_LOG", "BIFROST_CA_FILE"):  # paths of the folder where the command was given
        given = os.environ.get(name, "").strip()
        if given and given.lower() != "off":
            os.environ[name] = str(user_path(given, name).absolute())
    os.chdir(home)
    sys.path.insert(0, home)
    try:
        for number, source in enumerate(cells, 1):
            result = shell.run_cell(source, store_history=True)
            error = result.error_before_exec or result.error_in_exec
            if error is not None:  # IPython has printed its traceback
                raise ConfigurationError(
                    f"Cell {number} of {path.name} raised {type(error).__name__}: {plain(error, 200)}"
                )
        return dict(shell.user_ns)
    finally:
        os.chdir(folder)
        sys.path.remove(home)


def _code_cells(path: Path, text: str) -> list[str]:
    import orjson

    try:
        cells = [cell for cell in orjson.loads(text)["cells"] if cell["cell_type"] == "code"]
        return ["".join(cell["source"]) for cell in cells]
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError(f"{path.name} is no notebook of format 4.") from None

"""The JavaScript and style sheets of the widgets, as they go to the page."""

from __future__ import annotations

import re
from importlib.resources import files

__all__ = ["page"]

_LEFT_OUT = re.compile(r"^\s*//.*\n|^[ \t]+", re.MULTILINE)


def page(*names: str) -> str:
    """These files, one after the other, as text: anywidget keeps every widget alive that was made from a file.

    Lines of comment and indentation are left out, since each widget sends all of it once.
    """
    here = files("bifrost_nb") / "_notebook" / "static"
    return _LEFT_OUT.sub("", "\n".join(here.joinpath(name).read_text(encoding="utf-8") for name in names))

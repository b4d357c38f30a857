"""The JavaScript and style sheets of the widgets, as they go to the page."""

from __future__ import annotations

import functools
import os
import re
import sys
from importlib.resources import files

__all__ = ["page"]

_LEFT_OUT = re.compile(r"^\s*//.*\n|^[ \t]+", re.MULTILINE)


def page(*names: str) -> str:
    """These files, one after the other, as text: anywidget keeps every widget alive that was made from a file.

    Lines of comment and indentation are left out, since each widget sends all of it once. Before the first of them the
    front end's own condition for widgets is told, where it has one.
    """
    _tell_condition()
    here = files("bifrost_nb") / "_notebook" / "static"
    return _LEFT_OUT.sub("", "\n".join(here.joinpath(name).read_text(encoding="utf-8") for name in names))


@functools.cache
def _tell_condition() -> None:
    """Colab shows widgets of other packages only where the user lets it; what it says itself names no way out."""
    if os.environ.get("COLAB_RELEASE_TAG"):
        sys.stderr.write(
            "Colab shows this widget after: from google.colab import output; output.enable_custom_widget_manager()\n"
        )

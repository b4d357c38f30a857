"""A progress bar of widgets, of which a line of text stays.

ipywidgets keeps every widget for ever, and no saved notebook can show one.
"""

from __future__ import annotations

from typing import Any

__all__ = ["WidgetBar"]


class WidgetBar:
    """A `tqdm` bar on the page; `options` are tqdm's. Raises ImportError where there are no ipywidgets."""

    def __init__(self, **options: Any) -> None:
        from IPython.display import display
        from tqdm.notebook import tqdm_notebook

        self.bar = tqdm_notebook(**options, display=False)
        self._handle = display(self.bar.container, display_id=True)  # type: ignore[no-untyped-call]

    def close(self, line: str) -> None:
        """Put `line` in its place and let go of the widgets with what belongs to them."""
        self.bar.close()
        if self._handle is not None:  # where no shell runs nothing was displayed
            self._handle.update({"text/plain": line}, raw=True)
        container = self.bar.container
        for widget in (*container.children, container):
            parts = widget.layout, getattr(widget, "style", None)
            for each in (widget, *parts):
                if each is not None:
                    each.close()

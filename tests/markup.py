"""Reads our HTML as a browser would and notes all that is outside the allow-list."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from bifrost_nb._display.html import REVERSED_IN_DARK
from bifrost_nb._display.markdown import ATTRIBUTES, ELEMENTS

__all__ = ["Reader", "read"]

_STYLE = set(
    re.findall(
        r"\S+",
        "background background-color border border-left border-top border-collapse border-radius color font-family"
        " font-size font-style font-weight line-height margin overflow-wrap overflow-x padding table-layout text-align"
        " text-decoration vertical-align"
        " white-space width min-width word-break border-bottom box-sizing display flex flex-wrap gap max-width",
    )
)
_VOID = {"br", "hr"}


class Reader(HTMLParser):
    """Reads markup as a browser would, keeps what it holds, and fails on all that is outside the allow-list."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.links: list[str] = []
        self.nodes: list[tuple[str, str]] = []
        self.seen: list[str] = []
        self.errors: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ELEMENTS | {"details", "summary"}:
            self.errors.append(f"element {tag}")
        for name, value in attrs:
            if name not in ATTRIBUTES | {"scope", "aria-label"}:  # those of our own tables
                self.errors.append(f"attribute {name} on {tag}")
            if name == "style":
                self._check_style(value or "")
            if name == "href":
                self.links.append(value or "")
        if tag == "a" and dict(attrs).get("rel") != "noopener noreferrer nofollow":
            self.errors.append("link without rel")
        if tag not in _VOID:
            self.open.append(tag)

    def _check_style(self, style: str) -> None:
        for declaration in filter(None, (part.strip() for part in style.replace(REVERSED_IN_DARK, "").split(";"))):
            name, _, value = declaration.partition(":")
            if name.strip() not in _STYLE or "url" in value or "var(" in value or "expression" in value:
                self.errors.append(f"style {declaration}")

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.errors.append(f"unbalanced </{tag}>")

    def handle_data(self, data: str) -> None:
        self.nodes.append((" ".join(self.open), data))

    def handle_comment(self, data: str) -> None:
        self.errors.append(f"comment {data}")

    def handle_decl(self, decl: str) -> None:
        self.errors.append(f"declaration {decl}")

    unknown_decl = handle_pi = handle_decl

    @property
    def text(self) -> str:
        return "".join(data for _, data in self.nodes)

    @property
    def formulas(self) -> list[str]:
        """Text nodes in which MathJax could pair delimiters: outside of code, with two of them or one command."""
        shown = [data for place, data in self.nodes if "pre" not in place.split() and "code" not in place.split()]
        return [data for data in shown if data.count("$") > 1 or "\\" in data.rstrip("\\") or data.count("\\") > 1]


def read(html: str) -> Reader:
    """Read `html` to its end."""
    reader = Reader()
    reader.feed(html)
    reader.close()
    if reader.open:
        reader.errors.append(f"not closed: {reader.open}")
    return reader

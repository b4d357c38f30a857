"""Gates as files for continuous integration: JUnit XML, and Markdown for a pull request.

JUnit has no schema of its own; these are the elements of ``testsuites > testsuite > testcase`` with ``failure`` and
``error`` that Jenkins, GitLab and GitHub's test reporters read. An undecided rule is an ``error`` of type
``undecided``: shown as skipped it would look like passed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from xml.etree import ElementTree

from .._files import check_file
from .._safe_text import plain
from ..errors import LogError
from .gate import Gate

__all__ = ["as_junit", "as_markdown", "write_text"]

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MARKUP = re.compile(r"[\\`*{}\[\]#|~@]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""What Markdown, GitHub's mentions and its links from bare addresses are made of."""


def as_junit(gates: Mapping[str, Gate], source: str) -> str:
    """`gates` by name as JUnit XML: a suite for each, a case for each rule."""
    checks = [check for gate in gates.values() for check in gate.checks]
    root = ElementTree.Element("testsuites", _counts([check.outcome for check in checks]))
    for name, gate in gates.items():
        counts = _counts([check.outcome for check in gate.checks])
        suite = ElementTree.SubElement(root, "testsuite", {"name": _xml(f"{name}: {gate.candidate}"), **counts})
        for check in gate.checks:
            title = _xml(f"{check.name}: {check.rule}")
            case = ElementTree.SubElement(suite, "testcase", {"classname": _xml(source), "name": title})
            if check.outcome != "passed":
                kind = "failure" if check.outcome == "failed" else "error"
                said = {"type": check.outcome, "message": _xml(check.sentence)}
                ElementTree.SubElement(case, kind, said).text = _xml(check.sentence)
            else:
                ElementTree.SubElement(case, "system-out").text = _xml(check.sentence)
        if gate.notes:
            ElementTree.SubElement(suite, "system-out").text = _xml("".join(f"{note}.\n" for note in gate.notes))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def as_markdown(gates: Mapping[str, Gate]) -> str:
    """`gates` as Markdown with a table for each; no name in it is markup, mentions anybody or links anywhere."""
    parts = []
    for gate in gates.values():
        against = "" if gate.baseline is None else f" against {_markdown(gate.baseline)}"
        parts += [f"### Gate {gate.outcome}: {_markdown(gate.candidate)}{against}", ""]
        parts += ["| outcome | rule | what was found |", "|---|---|---|"]
        for check in gate.checks:
            rule = f"{check.name}: {check.rule}"
            parts.append(f"| **{check.outcome}** | {_markdown(rule)} | {_markdown(check.sentence)} |")
        parts.append("")
        parts += [line for note in gate.notes for line in (f"{_markdown(note)}.", "")]
    return "\n".join(parts)


def write_text(path: Path, text: str) -> None:
    """Write a file of a gate. Raises LogError."""
    try:
        check_file(path)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LogError(f"{path} cannot be written: {error.strerror or error}.") from None


def _counts(outcomes: list[str]) -> dict[str, str]:
    return {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("failed")),
        "errors": str(outcomes.count("undecided")),
    }


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", plain(text))


def _markdown(text: str) -> str:
    line = " ".join(plain(text).encode("utf-8", "replace").decode().split())
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", escape(line, quote=False).replace("&#", "&amp;#"))

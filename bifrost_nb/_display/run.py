"""How a `Run` shows itself: as text, as HTML for a notebook, side by side with others, and as metadata of a display.

One table of facts (`facts.py`) feeds all of them. The HTML uses inline literal styles and no fixed background under
inherited text, so that it holds in light and dark themes, in exports and in a notebook re-opened elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from itertools import islice
from textwrap import indent
from typing import TYPE_CHECKING, Any, Literal
from unicodedata import normalize

from .._keys import without_keys
from .._runs.columns import COLUMNS
from .._runs.log.codec import column_value
from .._runs.redact_hook import as_written
from .._runs.run import Run
from .._safe_text import plain
from .describe import asked_name, describe, error_text, line, notes_text, parts

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FORMS",
    "Runs",
    "answer_html",
    "answered",
    "as_html",
    "as_markdown",
    "as_text",
    "asked_pictures",
    "asked_pictures_text",
    "beside_first",
    "called",
    "metadata",
    "metadata_many",
    "mimebundle",
    "mimebundle_many",
    "nothing_said",
    "said",
    "said_html",
    "seen_text",
    "without_texts",
]

_ANSWER = "overflow-x:auto;overflow-wrap:break-word"
"""A long word is broken as in the live view, though not those of a table, which scrolls."""
MOST_EVIDENCE = 500
"""Runs of one output that the notebook file keeps; the run log has all."""
FORMS = ("md", "text", "json", "code")
"""How an answer may be read: as Markdown, as it is, as JSON, as program code."""

MOST_NAMED = 5
"""Pictures of a question that are named in words."""
LONGEST_ARGUMENTS = 20_000
"""Characters of a tool call's arguments that are read as JSON; longer ones are shown as they came, and cut."""
MOST_CALLS = 100
"""Calls of tools that are told one by one."""
PANE_SIDE = 512
"""Pixels of a drawn picture's longer side in a live pane."""
SHORT = 200
"""Answers of so many characters are in the metadata themselves."""

_LINKED = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{2,40}://|data:(?=\S)")
"""What JupyterLab begins a link at in plain text."""
_SMALL = "font-size:90%;line-height:1.5"
_CARD = "flex:1 1 16em;min-width:0;max-width:100%;box-sizing:border-box;border-radius:6px"
_COLUMN, _GAP, _MOST_ROOM = 250, 8, 12
"""Pixels of a column with its gap (that of pane.js), of the gap, and the most columns beside each other."""


class Runs(list[Run]):
    """Several runs that belong together; a list that shows itself side by side. `frame` has one row per run."""

    @property
    def frame(self) -> pd.DataFrame:
        """The runs as a DataFrame with the columns of every frame."""
        from .._runs.frame import to_frame

        return to_frame(self)

    def __repr__(self) -> str:
        return _many_as_text(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        return mimebundle_many(self), metadata_many(self)


def as_text(run: Run) -> str:
    """The answer, then one line of facts, and more where something went wrong."""
    parts = (asked_pictures_text(run), _answer_text(run), line(run), error_text(run), notes_text(run))
    return _sendable("\n".join(part for part in parts if part))


def as_markdown(run: Run) -> str:
    """The answer as received, then the facts: for reports. It is text from outside; a notebook shows `as_html`."""
    told = (f"*{_as_words(line(run))}*", _as_words(error_text(run)), _as_words(notes_text(run)))
    return _sendable("\n\n".join(part for part in (*_answer_markdown(run), *told) if part))


def as_html(run: Run, form: str = "md") -> str:
    """The answer rendered, then what went wrong, then the facts. `form` is one of `FORMS`."""
    from .html import RULE, text

    told = " · ".join(text(part) for part in parts(run))
    return (
        f'{_asked_pictures([run])}<div style="{_ANSWER}">{answer_html(run, form)}</div>{_trouble_html(run)}'
        f'<div style="border-top:1px solid {RULE};margin:0.5em 0;padding:4px 0;{_SMALL}">{told}</div>'
    )


def answer_html(run: Run, form: str = "md", *, media: Literal["whole", "small", "words"] = "whole") -> str:
    """All that `run` says (reasoning, choices, calls), rendered; words where it says nothing. `form` as in `FORMS`.

    `media`: pictures and sound as they came; pictures drawn again for a page that gets all of it in one message; or
    words for both, where they are shown beside it.
    """
    from .html import text
    from .markdown import preformatted
    from .media import media_html, media_text

    shown = _reader(form)
    words = media == "words" and (run.images or run.audio_bytes)
    parts: list[str] = [
        f"<p><em>{text(media_text(run))}</em></p>"
        if words
        else media_html(run, PANE_SIDE if media == "small" else None)
    ]
    if run.reasoning:
        parts.append(f"<details><summary>Reasoning</summary>{preformatted(run.reasoning)}</details>")
    if len(run.texts) > 1:
        label = '<p style="font-weight:600">Choice {}</p>'
        parts += [label.format(number) + shown(each) for number, each in enumerate(run.texts, 1)]
    elif run.text:
        parts.append(shown(run.text))
    if calls := called(run):
        parts.append(preformatted(calls))
    return "".join(parts) or f"<p><em>{text(nothing_said(run))}</em></p>"


def mimebundle(run: Run, include: Collection[str] | None = None, form: str = "md") -> dict[str, str]:
    """`run` for a notebook output: static types only, so that the saved file needs no kernel and no widget.

    Markdown is given only where `include` asks for it: a front end that prefers it to HTML would run the HTML in it.
    An answer too long to be rendered has no HTML, which would only be the same text again.
    """
    bundle = {"text/plain": as_text(run)}
    if not _text_says_all(run, form, bundle["text/plain"]):
        bundle["text/html"] = as_html(run, form)
    if include and "text/markdown" in include:
        bundle["text/markdown"] = as_markdown(run)
    return bundle


def mimebundle_many(runs: Iterable[Run], form: str = "md") -> dict[str, str]:
    """Runs side by side: a column each with the answer, and the facts in rows below, for comparison."""
    listed = list(runs)
    return {"text/plain": _many_as_text(listed), "text/html": _many_as_html(listed, form)}


def metadata(run: Run) -> dict[str, Any]:
    """What a saved notebook keeps of `run` beside its picture: every known column, as JSON values, without keys.

    A `redact` hook counts here as it does for the log; what the picture itself shows is what somebody wanted to see.
    """
    from .._prompts.pictures import shortened

    known: dict[str, Any] = {}
    written = as_written(run)
    for column in COLUMNS:
        value = column_value(column, written)
        if value is not None:
            foreign = column.name in ("response", "error_message", "params")  # names and prompts are never changed
            known[column.name] = without_keys(value) if foreign else _json_value(value)
    if isinstance(known.get("prompt"), str):
        known["prompt"] = shortened(known["prompt"])  # as in every frame: pictures by their digest
    return {"bifrost_nb": {"schema": 1, **known}}


def metadata_many(runs: Iterable[Run]) -> dict[str, Any]:
    """`metadata` of several runs that one output shows, at most `MOST_EVIDENCE` of them."""
    kept = islice(runs, MOST_EVIDENCE)
    return {"bifrost_nb": {"schema": 1, "runs": [metadata(run)["bifrost_nb"] for run in kept]}}


def without_texts(describe: dict[str, Any], runs: Iterable[Run], plain_text: str) -> dict[str, Any]:
    """Metadata of `runs` that says where the output's ``text/plain`` has a long answer, instead of repeating it.

    ``response_at`` is [first character, number of characters]; `evidence.from_notebook` puts the answer back.
    """
    kept = describe["bifrost_nb"]
    end = 0
    for row, run in zip(kept.get("runs", [kept]), runs, strict=False):  # of many only the first are kept
        answer = _sendable(plain(run.text))
        if len(answer) <= SHORT or without_keys(answer) != row.get("response"):
            continue
        if (start := plain_text.find(answer, end)) >= 0:
            end = start + len(answer)
            del row["response"]
            row["response_at"] = [start, len(answer)]
    return describe


def _text_says_all(run: Run, form: str, shown: str) -> bool:
    """Whether the HTML would be one long answer as it is, and the text is as safe to show.

    An answer that is longer still is cut in HTML. In plain text JupyterLab links ``javascript://`` and the like.
    """
    from .markdown import LONGEST_MARKDOWN, LONGEST_SHOWN

    alone = len(run.texts) <= 1 and not run.audio and not run.reasoning and not run.tool_calls
    if not alone or form not in ("md", "text") or not LONGEST_MARKDOWN < len(run.text) <= LONGEST_SHOWN:
        return False
    return {found.lower() for found in _LINKED.findall(shown)} <= {"http://", "https://"}


def _trouble_html(run: Run) -> str:
    from .html import note

    return "".join(note(said) for said in (error_text(run), notes_text(run)) if said)


def _answer_markdown(run: Run) -> list[str]:
    if len(run.texts) > 1:
        said = [part for number, each in enumerate(run.texts, 1) for part in (f"**Choice {number}**", plain(each))]
    else:
        said = [plain(run.text)]
    said += [indent(called(run), "    ")]  # code, which no fence in it can end
    return said if any(said) else [f"*{_as_words(nothing_said(run))}*"]


def beside_first(run: Run) -> str:
    """What an answer holds beside its first choice's text: other choices, calls, media; words where it holds nothing.

    For a view that has written that text already, as it came.
    """
    from .media import media_text

    others = (f"\n[{number}] {plain(each)}" for number, each in enumerate(run.texts[1:], 2))
    said = "\n".join(part for part in (*others, called(run), media_text(run)) if part)
    return said or ("" if run.text else f"({nothing_said(run)})")


def _answer_text(run: Run) -> str:
    if len(run.texts) > 1:
        said = "\n\n".join(f"[{number}] {plain(each)}" for number, each in enumerate(run.texts, 1))
    else:
        said = plain(run.text)
    return "\n".join(part for part in (said, called(run)) if part) or f"({nothing_said(run)})"


def asked_pictures_text(run: Run) -> str:
    """The pictures that were sent, in one line of words; empty without any."""
    from .._prompts.messages import pictures_sent
    from .._prompts.pictures import described

    if ";base64," not in (run.prompt or ""):
        return ""
    sent = [described(url) for url in pictures_sent(run.prompt or "")]
    more = f" and {len(sent) - MOST_NAMED:,} more" if len(sent) > MOST_NAMED else ""
    return f"asked with {', '.join(sent[:MOST_NAMED])}{more}" if sent else ""


def asked_pictures(run: Run) -> list[str]:
    """The ``data:`` URLs of the pictures that were sent, as many as a page shows."""
    from .._prompts.messages import pictures_sent
    from .._prompts.pictures import showable

    return showable(pictures_sent(run.prompt or "")) if ";base64," in (run.prompt or "") else []


def _asked_pictures(runs: Sequence[Run]) -> str:
    """The pictures that were sent, once for runs that answer the same."""
    from .html import pictures_html

    urls = asked_pictures(runs[0]) if len({run.prompt for run in runs}) == 1 else []
    return f"<div>{pictures_html(urls)}</div>" if urls else ""


def nothing_said(run: Run) -> str:
    """Words in the place of a text: what came instead, or that nothing came."""
    from .media import media_text

    if said := media_text(run):
        return said
    if len(run.embedding_shape) == 2:
        count, numbers = run.embedding_shape
        return f"{count:,} vector{'s' if count != 1 else ''} of {numbers:,} numbers"
    return {None: "no text yet", "ok": "the answer is empty"}.get(run.status, "no text arrived")


def said(run: Run) -> str:
    """All that a run answered, to be compared: its text, then the tools it calls, an argument a line, sorted.

    Of pictures and sound, that there is one, and which.
    """
    from .media import media_said

    return "\n".join(part for part in (seen_text(run.text), *map(_call_text, run.tool_calls), *media_said(run)) if part)


def answered(run: Run) -> str:
    """All that a run answered, as it came: its text; where it calls tools, what `said` says."""
    return said(run) if run.tool_calls else run.text


def seen_text(text: str) -> str:
    """`text` so that two that look the same are the same: composed characters, one kind of line end, no outer space."""
    return normalize("NFC", text.strip().replace("\r\n", "\n"))


def said_html(run: Run) -> str:
    """`said`, rendered: nothing that is only known about the answer, as its reasoning is."""
    from .markdown import preformatted, to_html

    calls = "\n".join(filter(None, map(_call_text, run.tool_calls)))
    return (to_html(run.text) if run.text else "") + (preformatted(calls) if calls else "")


def _call_text(call: Any) -> str:
    import orjson

    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):  # it comes from outside
        return ""
    name, arguments = plain(function.get("name") or "?", 200), str(function.get("arguments") or "")
    try:
        given = orjson.loads(arguments) if len(arguments) <= LONGEST_ARGUMENTS else None
        if isinstance(given, dict):
            lines = (
                f"  {plain(key, 200)}: {orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()}"
                for key, value in sorted(given.items())
            )
            return plain("\n".join([f"{name}(", *lines, ")"]))
    except (orjson.JSONDecodeError, TypeError):  # no JSON, or nested too deeply
        pass
    return f"{name}({plain(arguments, LONGEST_ARGUMENTS)})"


def called(run: Run) -> str:
    """The tools that the model wants called, one line each: name and arguments."""
    called = (call.get("function") for call in run.tool_calls if isinstance(call, dict))
    named = [call for call in called if isinstance(call, dict)]  # it comes from outside
    lines = [plain(f"{call.get('name', '?')}({call.get('arguments', '')})", 4_000) for call in named[:MOST_CALLS]]
    if len(named) > MOST_CALLS:
        lines.append(f"and {len(named) - MOST_CALLS:,} more calls: run.tool_calls has all")
    return "\n".join(lines)


def _reader(form: str) -> Callable[[str], str]:
    from . import markdown as render

    if form == "json":
        return lambda content: render.code(_indented(content), "json")
    if form == "code":
        return lambda content: render.code(*_fenced(content))
    return render.preformatted if form == "text" else render.to_html


def _indented(content: str) -> str:
    """JSON with one value per line; anything else as it is.

    Python's own reader, since it keeps whole numbers of any length, as ids are.
    """
    import json

    source, _ = _fenced(content)
    try:
        return json.dumps(json.loads(source), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):  # no JSON, or nested too deeply
        return content


def _fenced(content: str) -> tuple[str, str]:
    """What stands between the fences, and its language, where the answer is one fenced block; else all of it."""
    lines = content.strip().split("\n")
    fenced = len(lines) > 1 and lines[0].startswith("```") and lines[-1].strip() == "```"
    if not fenced or any(line.startswith("```") for line in lines[1:-1]):
        return content, "python"
    return "\n".join(lines[1:-1]), lines[0][3:].strip() or "python"


def _many_as_text(runs: Sequence[Run]) -> str:
    if not runs:
        return "(no runs)"
    return "\n\n".join(f"── {_sendable(plain(asked_name(run), 200))} ──\n{as_text(run)}" for run in runs)


def _many_as_html(runs: Sequence[Run], form: str) -> str:
    """A card for each run, as the live race has them: who, the facts, the answer, which scrolls where it is wide."""
    from .html import RULE, text

    if not runs:
        return "<p>No runs.</p>"
    cards, even = [], _even_rows(len(runs))
    for run in runs:
        facts = (f"<div>{name}: {text(said)}</div>" for name, said in describe(run).items())
        head = f"<strong>{text(plain(asked_name(run), 200))}</strong>"
        cards.append(
            f'<div style="{_CARD};{even};border:1px solid {RULE}" role="group">'
            f'<div style="padding:6px 10px;border-bottom:1px solid {RULE};overflow-wrap:anywhere">{head}'
            f'<div style="display:flex;flex-wrap:wrap;gap:0 14px;{_SMALL}">{"".join(facts)}</div></div>'
            f'<div style="padding:2px 10px;{_ANSWER}">{answer_html(run, form)}{_trouble_html(run)}</div></div>'
        )
    head = _asked_pictures(runs)
    return f'{head}<div style="display:flex;flex-wrap:wrap;gap:{_GAP}px;margin:4px 0">{"".join(cards)}</div>'


def _even_rows(count: int) -> str:
    """CSS for each of `count` cards, in rows of equal length as the live race had them: 5 are 3 + 2, not 4 + 1.

    Its width is that of the fewest columns which the page is not too wide for: of the others the second part of their
    ``min`` is negative. A notebook that is not trusted keeps ``flex`` alone, which fills each row as it can.
    """
    until: dict[int, int] = {}  # columns -> the room for columns from which there are more
    for room in range(1, min(count, _MOST_ROOM) + 1):
        until[math.ceil(count / math.ceil(count / room))] = room + 1
    shares = {columns: f"(100% - {_GAP * (columns - 1)}px) / {columns} - 0.1px" for columns in until}
    *fewer, most = until
    widths = [f"min({shares[columns]}, ({_COLUMN * until[columns] - _GAP}px - 100%) * 9999)" for columns in fewer]
    width = f"max({', '.join([*widths, shares[most]])})"
    return f"min-width:{width};max-width:{width}"


def _as_words(said: str) -> str:
    """`said` for Markdown: names and errors from outside are words there, no formulas, links or HTML."""
    return re.sub(r"([\\`*_\[\]<>$~|])", r"\\\1", said)


def _sendable(text: str) -> str:
    """`text` without half characters, which no message to a front end can carry."""
    return text.encode("utf-8", "replace").decode()


def _json_value(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value

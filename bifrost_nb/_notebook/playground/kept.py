"""What a saved notebook keeps of a playground: its rounds and versions as static text and HTML, its runs as metadata.

The form is a widget, which a notebook that is opened again, nbviewer and GitHub do not show. So the rounds are an
output of their own beside it, replaced after each. Inline literal styles only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..._client.typed_answers import AnswerSchema
from ..._display.html import RULE, pictures_html, text as escape
from ..._display.run import as_text, metadata_many
from ..._prompts.messages import transcript
from ..._prompts.pictures import showable
from ..._safe_text import plain
from .hidden_keys import without_own_keys

if TYPE_CHECKING:
    from .checks import EarlierTurn
    from .form import Form
    from .playground import Entry
    from .versions import Versions

__all__ = ["kept_bundle"]

MOST_CHARACTERS = 3_000_000
"""Of HTML that one output keeps: the newest rounds whole, of older ones the line."""
MOST_PICTURES = 1_000_000
"""Bytes of the pictures of one round that are kept with it."""
_BOX = f"border:1px solid {RULE};border-radius:6px;margin:4px 0;padding:0 10px"
_HEAD = "cursor:pointer;padding:5px 0;overflow-wrap:anywhere"
_TEXT = "white-space:pre-wrap;overflow-wrap:anywhere;margin:2px 0 8px"
_QUIET = "opacity:.75"
_NOTHING = "No rounds yet. Each will stand here, with its answers."


def kept_bundle(
    entries: Sequence[Entry], versions: Versions, shown: int | None
) -> tuple[dict[str, str], dict[str, Any]]:
    """A display of the rounds, and its metadata: a row for each run. `shown` is the number of the open round."""
    if not entries and not versions:
        return {"text/plain": _NOTHING, "text/html": f'<div style="{_QUIET}">{_NOTHING}</div>'}, {}
    newest = list(reversed(entries))
    html = "".join(chain(_rounds(newest, versions, shown), _versions(versions)))
    texts = [_as_text(entry, versions) for entry in newest]
    texts += [f"Prompt {name}:\n{plain(version.text)}" for name, version in versions.items()]
    runs = (run for entry in newest for run in entry.comparison.runs)
    bundle = {"text/plain": "\n\n".join(texts), "text/html": f'<div class="bifrost-rounds">{html}</div>'}
    return bundle, metadata_many(runs)


def _rounds(entries: Sequence[Entry], versions: Versions, shown: int | None) -> Iterator[str]:
    left = MOST_CHARACTERS
    for entry in entries:
        head = f'<summary style="{_HEAD}">{escape(_title(entry, versions))}</summary>'
        body = f"{_asked(entry)}{entry.html}"
        left -= len(body)
        if left < 0 and entry is not entries[0]:
            body = f'<div style="{_QUIET}">Too long to be kept here; the run log has its answers.</div>'
        opened = " open" if entry.number == shown else ""
        yield f'<details{opened} style="{_BOX}">{head}{body}</details>'


def _title(entry: Entry, versions: Versions) -> str:
    if entry.form.templates:
        return f"{entry.line} · prompts {', '.join(entry.form.prompts)}"
    name = versions.of(entry.form)
    return f"{entry.line} · prompt {name}" if name else entry.line


def _asked(entry: Entry) -> str:
    """What was filled in: the text, and the settings that all columns or one of them had."""
    form = entry.form
    rows = entry.form.rows(entry.inputs) if entry.inputs is not None else 0
    said = [_settings(form.parameters)]
    said += [f"{name}: {_settings(form.settings[name])}" for name in form.deployments if name in form.settings]
    said += [f"fallbacks {', '.join(form.fallbacks)}"] if form.fallbacks else []
    said += [f"{rows:,} rows"] if rows else [f"{name}: {form.values.get(name, '')}" for name in form.variables]
    facts = "".join(f"<div>{escape(plain(each, 1_000))}</div>" for each in said if each)
    own = [(name, form.chats[name]) for name in form.deployments if name in form.chats]
    before = [form.turns, *(turns for _, turns in own)]
    urls = list(dict.fromkeys([*(url for turns in before for turn in turns for url in turn.pictures), *form.pictures]))
    urls = [url for url in urls if url not in entry.html]  # the answers have them beside themselves: not twice
    pictures = pictures_html(showable(urls, MOST_PICTURES))
    return (
        f'<details style="margin:0 0 6px"><summary style="cursor:pointer;{_QUIET}">What was asked</summary>'
        f'<div style="{_TEXT}">{escape(plain(_prompts(form), 20_000))}</div>{pictures}{_chats(own)}'
        f'<div style="{_QUIET}">{facts}</div>{_schema(form.answer_schema)}</details>'
    )


def _settings(own: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in without_own_keys(own).items())


def _prompts(form: Form) -> str:
    """What was asked; of several prompts beside each other each behind its name."""
    if not form.templates:
        return form.text
    return "\n\n".join(f"{name}: {replace(form, prompt=text).text}" for name, text in form.prompts.items())


def _schema(schema: Any) -> str:
    """What answers had to look like."""
    if schema is None:
        return ""
    found = AnswerSchema.of(schema)
    text = json.dumps(found.schema, indent=2, ensure_ascii=False)
    return (
        f'<div style="{_QUIET}">Answers are read as {escape(plain(found.name, 200))}</div>'
        f'<div style="{_TEXT}">{escape(plain(text, 20_000))}</div>'
    )


def _chats(own: Sequence[tuple[str, Sequence[EarlierTurn]]]) -> str:
    """What was said before in conversations of the columns' own."""
    return "".join(
        f'<div style="{_QUIET}">Before, with {escape(plain(name, 200))}</div>'
        f'<div style="{_TEXT}">{escape(plain(transcript([turn.message for turn in turns]), 20_000))}</div>'
        for name, turns in own
    )


def _versions(versions: Versions) -> Iterator[str]:
    """Each prompt that was kept, as what changed from the one before."""
    if not versions:
        return
    names = list(versions)
    yield f'<details style="{_BOX}"><summary style="{_HEAD}">Kept prompts: {escape(", ".join(names))}</summary>'
    for before, name in zip([None, *names], names, strict=False):
        version = versions[name]
        if before is None:
            title, shown = name, f'<div style="{_TEXT}">{escape(version.text)}</div>'
        else:
            title, shown = "", versions.diff(before, name)._repr_html_()
        head = f"<div><b>{escape(title)}</b></div>" if title else ""
        yield f'<div style="padding-bottom:6px">{head}{shown}</div>'
    yield "</details>"


def _as_text(entry: Entry, versions: Versions) -> str:
    answers = (f"── {plain(name, 200)} ──\n{as_text(run)}" for name, run in entry.answers)
    return "\n".join([_title(entry, versions), *answers])

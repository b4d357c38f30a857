"""Prompts of several turns: templates in every text of ``messages=``, and pictures of columns in the last user turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._client.calls import AnyKind, asked_of, prepare
from .._client.token_count import as_items
from .._safe_text import plain, quoted
from ..errors import ConfigurationError, TemplateError
from .pictures import MOST_BYTES, check_address, data_url, described
from .template import render, variables
from .value_text import Fault

__all__ = [
    "Message",
    "Template",
    "Turns",
    "asked_as",
    "check_pictures",
    "checked_templates",
    "checked_turns",
    "earlier_turns",
    "filled_in",
    "image_columns",
    "pictures_of",
    "pictures_sent",
    "readable",
    "transcript",
    "user_turn",
    "variables_of",
    "with_history",
    "with_pictures",
]

Message = dict[str, Any]


class Turns(list[Message]):
    """Messages that were checked."""


Template = str | Turns


def checked_templates(messages: Any) -> Mapping[str, Template] | Template:
    """`messages` as they may be sent: one list, or a dict of named ones. Raises ConfigurationError."""
    if isinstance(messages, Mapping) and "role" not in messages:
        return {name: checked_turns(one) for name, one in messages.items()}
    return checked_turns(messages)


def checked_turns(messages: Any) -> Turns:
    """One conversation as it may be sent. Raises ConfigurationError."""
    turns = earlier_turns(messages)
    if not any(turn["role"] not in ("system", "developer") for turn in turns):
        raise ConfigurationError("messages has no turn of a user.", hint="Add {'role': 'user', 'content': ...}.")
    return turns


def earlier_turns(messages: Any) -> Turns:
    """The turns before one of a user, which may be a system message alone. Raises ConfigurationError."""
    call = prepare("chat", "provider/model", None, messages=messages)  # the checks of a call, which is not sent
    turns = Turns(call.body["messages"])
    check_pictures(turns)
    return turns


def check_pictures(messages: Any, name: str = "messages") -> None:
    """Raises ConfigurationError for a picture in hand-written `messages` that no provider can read.

    Whatever else is wrong with them is not looked at.
    """
    for place, turn in enumerate(messages if isinstance(messages, list | tuple) else ()):
        content = turn.get("content") if isinstance(turn, Mapping) else None
        for part in content if isinstance(content, list | tuple) else ():
            image = part.get("image_url") if isinstance(part, Mapping) else None
            url = image.get("url") if isinstance(image, Mapping) else image
            if not isinstance(url, str):
                continue
            try:
                check_address(url)
            except Fault as fault:
                raise ConfigurationError(f"The picture in {name}[{place}] {fault}.") from None


def variables_of(template: Template) -> list[str]:
    """The names that a template needs, in whatever turn."""
    if isinstance(template, str):
        return variables(template)
    return list(dict.fromkeys(name for turn in template for text in _texts(turn) for name in variables(text)))


def _texts(turn: Mapping[str, Any]) -> list[str]:
    content = turn.get("content")
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or () if isinstance(part.get("text"), str)]


def filled_in(template: Template, values: Mapping[str, Any], where: str) -> str | list[Message]:
    """`template` with its variables. Raises TemplateError."""
    if isinstance(template, str):
        text = render(template, values, where=where)
        if not text.strip():
            raise TemplateError(f"The prompt is empty ({where}).")
        return text
    return [_turn(turn, values, f"messages[{place}], {where}") for place, turn in enumerate(template)]


def _turn(turn: Mapping[str, Any], values: Mapping[str, Any], where: str) -> Message:
    content = turn.get("content")
    if isinstance(content, str):
        return {**turn, "content": render(content, values, where=where)}
    if not content:
        return dict(turn)
    parts = [
        {**part, "text": render(part["text"], values, where=where)} if isinstance(part.get("text"), str) else part
        for part in content
    ]
    return {**turn, "content": parts}


def image_columns(images: Any, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names in ``images=``. Raises ConfigurationError."""
    if images is None:
        return []
    names = [images] if isinstance(images, str) else images
    if not isinstance(names, Sequence) or not names or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(
            f"images must be the name of a column of inputs, or a list of names, not {quoted(images, 80)}.",
            hint="Put the pictures into inputs: inputs={'photo': [...]}, images='photo'.",
        )
    for name in names:
        if name not in rows[0]:
            raise ConfigurationError(
                f"inputs has no column {plain(name, 60)!r} for images.",
                hint=f"It has {plain(', '.join(rows[0]), 200) or 'none'}.",
            )
    return list(dict.fromkeys(names))


def with_pictures(asked: str | list[Message], columns: Sequence[str], urls: Mapping[str, str]) -> str | list[Message]:
    """`asked` with the pictures of `columns` behind the last user turn's text."""
    if not columns:
        return asked
    if isinstance(asked, str):
        return [user_turn(asked, [urls[name] for name in columns])]
    turns = list(asked)
    place = max((place for place, turn in enumerate(turns) if turn["role"] == "user"), default=None)
    if place is None:
        raise ConfigurationError(
            "images go into the last user turn, and messages has none.", hint="Add {'role': 'user', ...}."
        )
    content = turns[place]["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    turns[place] = {**turns[place], "content": [*parts, *_parts(urls[name] for name in columns)]}
    return turns


def with_history(history: Sequence[Message] | None, asked: str | Sequence[Message]) -> list[Message] | None:
    """`asked` behind what was said before, and both behind a system message; None without any history."""
    if not history:
        return None
    turns = [user_turn(asked)] if isinstance(asked, str) else list(asked)
    first = next((place for place, turn in enumerate(turns) if turn["role"] not in ("system", "developer")), len(turns))
    return [*turns[:first], *history, *turns[first:]]


def user_turn(text: str, urls: Sequence[str] = ()) -> Message:
    """A user's turn: its text, and the pictures with these ``data:`` URLs behind it."""
    return {"role": "user", "content": [{"type": "text", "text": text}, *_parts(urls)] if urls else text}


def _parts(urls: Iterable[str]) -> list[Message]:
    return [{"type": "image_url", "image_url": {"url": url}} for url in urls]


def pictures_of(row: Mapping[str, Any], columns: Sequence[str], where: str) -> dict[str, str]:
    """The ``data:`` URL of each picture of a row. Raises ConfigurationError."""
    urls = {}
    for name in columns:
        try:
            urls[name] = data_url(row.get(name))
        except Fault as fault:
            raise ConfigurationError(f"The picture {name!r} {fault} ({where}).") from None
    if (size := sum(map(len, urls.values())) * 3 // 4) > MOST_BYTES:  # one line of the run log holds them all
        raise ConfigurationError(
            f"The pictures of one question have {size / 1e6:,.0f} MB together, more than the {MOST_BYTES / 1e6:,.0f} MB"
            f" that are sent ({where}).",
            hint="Make them smaller.",
        )
    return urls


def transcript(asked: str | Sequence[Mapping[str, Any]]) -> str:
    """What was asked, to be read: the text, or each turn behind its role."""
    if isinstance(asked, str):
        return asked
    if len(asked) == 1 and asked[0]["role"] == "user":
        return _said(asked[0])
    return "\n\n".join(f"{turn['role']}: {_said(turn)}" for turn in asked)


def readable(prompt: str) -> str:
    """A run's prompt to be read: of messages each turn behind its role, and words for its pictures."""
    turns = _recorded(prompt)
    return transcript(turns) if turns else prompt


def pictures_sent(prompt: str) -> list[str]:
    """The addresses of the pictures in a run's prompt, of whatever kind: see `pictures.showable`."""
    found = []
    for turn in _recorded(prompt):
        content = turn.get("content")
        for part in content if isinstance(content, list) else ():
            image = part.get("image_url") if isinstance(part, Mapping) else None
            url = image.get("url") if isinstance(image, Mapping) else image
            if isinstance(url, str):
                found.append(url)
    return found


def _recorded(prompt: str) -> list[Message]:
    """The messages that a prompt records, where they have the shape that `transcript` reads."""
    return [turn for turn in asked_of(prompt) if isinstance(turn, dict) and _is_turn(turn)]


def _is_turn(turn: Message) -> bool:
    content = turn.get("content")
    parts = content if isinstance(content, list) else []
    return isinstance(turn.get("role"), str) and all(isinstance(one, dict) and "type" in one for one in parts)


def _said(turn: Mapping[str, Any]) -> str:
    content = turn.get("content")
    if isinstance(content, str):
        return content
    said = []
    for part in content or ():
        if isinstance(part.get("text"), str):
            said.append(part["text"])
        elif part["type"] == "image_url":
            image = part.get("image_url")
            said.append(described(image.get("url") if isinstance(image, Mapping) else image))
        else:
            said.append(f"[{plain(part['type'], 40)}]")
    for call in turn.get("tool_calls") or ():
        function = call.get("function", {}) if isinstance(call, Mapping) else {}
        said.append(f"[call: {function.get('name')}({function.get('arguments')})]")
    return "\n".join(said)


def asked_as(kind: AnyKind, text: str, messages: Sequence[Message] | None) -> dict[str, Any]:
    """The arguments of `Client.prepare` that ask this by one of the APIs. Raises ConfigurationError."""
    if messages is None:
        return {"prompt": text}
    if kind == "chat":
        return {"prompt": None, "messages": messages}
    if kind == "responses":
        items = as_items(messages)
        if items is None:
            raise ConfigurationError(
                "Turns that call tools or answer them are written for a chat.", hint="Compare them with api='chat'."
            )
        return {"prompt": items}
    raise ConfigurationError(
        "A text completion takes no messages and no images.", hint="Leave api= out, or pass api='chat'."
    )

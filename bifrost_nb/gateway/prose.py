"""Plausible English on whatever the prompt is about, from a small grammar: no model, no network, no lorem ipsum.

The prompt decides the form (tagline, list, table, code, JSON, poem, story, one word, explanation) and supplies the
words that are woven into the sentences of `phrases.py`. The same random generator gives the same text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from . import phrases

__all__ = ["Brief", "fill_arguments", "think", "write"]

_STOP = frozenset(phrases.STOP_WORDS.split())
_LEADS = (
    r"\bwhy (?:is|are) (?:the |an? )?(.+?)(?: so)? \w+\s*\?",
    r"\b(?:what|who) (?:is|are|was|were) (?:the |an? )?([^?.!\n]{2,60})",
    r"\b(?:for|about|on|of|regarding|called|named) (?:an? |the |our |my |your |this )?([^?.!,:;\n]{2,60})",
    r"\b(?:explain|describe|summari[sz]e|compare|between) (?:an? |the )?([^?.!,:;\n]{2,60})",
)
_FORMS: tuple[tuple[str, str], ...] = (
    ("json", r"\bjson\b"),
    ("table", r"\btables?\b"),
    ("code", r"\b(?:code|function|python|script|program|snippet|sql|regex|implement)\b"),
    ("tagline", r"\b(?:tagline|slogan|headline|motto|catchphrase)s?\b"),
    ("poem", r"\b(?:poem|haiku|verse|limerick)\b"),
    ("word", r"\b(?:one word|yes or no|true or false|positive or negative|single word)\b"),
    ("list", r"\b(?:list|steps|ideas|bullets?|bullet points|ways|reasons|tips|pros and cons|checklist)\b"),
    ("article", r"\b(?:markdown|essay|article|report|blog post|headings?)\b"),
    ("story", r"\b(?:once upon|story|tale|chapter)\b"),
    ("explain", r"\?|\b(?:explain|describe|why|what|how|summari[sz]e|tell me|compare)\b"),
)
_NUMBER_WORDS = {name: value for value, name in enumerate(phrases.NUMBERS.split(), 2)}


@dataclass(slots=True)
class Brief:
    """What to write. `breadth` in (0, 1] is how much of the vocabulary may be used (temperature, top_p)."""

    prompt: str
    style: str = "plain"
    verbosity: float = 1.0
    breadth: float = 1.0
    system: str = ""
    suffix: str = ""
    chat: bool = False


class _Writer:
    def __init__(self, brief: Brief, rng: Random) -> None:
        self.brief = brief
        self.rng = rng
        self.topic, self.words = _subject(brief.prompt)
        self._decks: dict[int, list[str]] = {}

    def fill(self, pattern: str) -> str:
        first, second = self.rng.choice(self.words), self.rng.choice(self.words)
        if second == first and len(self.words) > 1:
            second = self.words[(self.words.index(first) + 1) % len(self.words)]
        topic = self.topic[:1].upper() + self.topic[1:]
        filled = pattern.replace("{topic}", self.topic).replace("{Topic}", topic)
        return filled.replace("{a}", first).replace("{b}", second)

    def draw(self, bank: Sequence[str]) -> str:
        """A pattern of `bank`, filled; none comes twice before all came once."""
        deck = self._decks.get(id(bank))
        if not deck:
            deck = list(bank[: max(2, round(len(bank) * self.brief.breadth))])
            self.rng.shuffle(deck)
            self._decks[id(bank)] = deck
        return self.fill(deck.pop())

    def length(self, natural: float) -> int:
        wanted = self.brief.verbosity * natural * self.rng.uniform(0.8, 1.2)
        if re.search(r"\b(?:brief|briefly|short|concise|one sentence)\b", self.brief.prompt + self.brief.system, re.I):
            wanted /= 3
        return max(1, round(wanted))

    def sentences(self, bank: Sequence[str], natural: float) -> str:
        words = _number(r"(\d{2,5}) words?", self.brief.prompt)
        parts = [self.draw(bank) for _ in range(1 if words else self.length(natural))]
        while words and sum(part.count(" ") + 1 for part in parts) < min(words, 20_000):
            parts.append(self.draw(bank))
        return " ".join(parts)


def _number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text, re.I)
    return int(found[1]) if found else None


def _subject(prompt: str) -> tuple[str, list[str]]:
    """(what the prompt is about, its content words)."""
    prompt = prompt[-2_000:]
    words = list(dict.fromkeys(re.findall(r"[^\W\d_][\w'-]{2,}", prompt)))
    content = [word for word in words if word.lower() not in _STOP][-12:] or ["this"]
    quoted = re.search(r"[\"“«]([^\"”»\n]{2,60})[\"”»]", prompt)
    if quoted:
        return quoted[1].strip(), content
    for lead in _LEADS:
        for phrase in reversed(re.findall(lead, prompt, re.I)):
            topic = " ".join(phrase.split()[:4]).strip(" .,:;'\"")
            while topic and topic.split()[-1].lower() in _STOP:
                topic = topic.rpartition(" ")[0]
            if topic and any(word.lower() not in _STOP for word in topic.split()):
                return topic, content
    return " ".join(content[:2]), content


def _form(prompt: str) -> str:
    for form, pattern in _FORMS:
        if re.search(pattern, prompt, re.I):
            return form
    return "continue"


def write(brief: Brief, rng: Random) -> str:
    """The text that answers or continues `brief.prompt`; never empty."""
    writer = _Writer(brief, rng)
    form = "article" if brief.chat and _form(brief.prompt) == "continue" else _form(brief.prompt)
    text = _WRITERS[form](writer)
    if brief.system and form in ("explain", "article"):
        words = [word for word in re.findall(r"[^\W\d_]{4,}", brief.system) if word.lower() not in _STOP]
        text = (
            f"{text} {writer.fill(f'As for being {rng.choice(words).lower()}: {{topic}} allows it.')}"
            if words
            else text
        )
        if re.search(r"\b(?:upper ?case|capitals)\b", brief.system, re.I):
            text = text.upper()
    if brief.suffix:
        bridge = re.search(r"\w+", brief.suffix)
        text = f"{text.rstrip('.')}, and that leads on to {bridge[0].lower() if bridge else 'the rest'}:"
    if not brief.chat and form in ("continue", "story") and not brief.prompt.endswith((" ", "\n")):
        text = f"{'' if brief.prompt.endswith(('.', '!', '?', ':')) else ','} {text}"
    return text


def think(brief: Brief, rng: Random) -> str:
    """The reasoning before an answer."""
    writer = _Writer(brief, rng)
    return " ".join(writer.draw(phrases.THOUGHTS) for _ in range(writer.length(4) + 1))


def _opening(writer: _Writer) -> str:
    opener = writer.draw(phrases.OPENERS[writer.brief.style])
    return f"{opener} " if opener and writer.brief.breadth > 0.2 else ""


def _explain(writer: _Writer) -> str:
    text = _opening(writer) + writer.sentences(phrases.EXPLANATIONS, 4)
    if re.search(r"\b(?:formula|equation|latex)\b", writer.brief.prompt, re.I):
        text += "\n\nAs a formula, with $k$ the share of the change that stays:\n\n$$x_{t+1} = x_t + k\\,(1 - x_t)$$\n"
    return f"{text} {writer.draw(phrases.CLOSINGS)}" if writer.brief.verbosity >= 1 else text


def _tagline(writer: _Writer) -> str:
    wanted = _count(writer.brief.prompt, 1)
    if wanted == 1:
        return writer.draw(phrases.TAGLINES)
    return "\n".join(f"{place}. {writer.draw(phrases.TAGLINES)}" for place in range(1, wanted + 1))


def _count(prompt: str, otherwise: int) -> int:
    """How many items the prompt asks for."""
    names = "|".join(_NUMBER_WORDS)
    found = re.search(rf"\b(\d{{1,2}}|{names})\b(?!\s*(?:words|%))", prompt, re.I)
    if not found:
        return otherwise
    return min(30, int(found[1]) if found[1].isdigit() else _NUMBER_WORDS[found[1].lower()]) or otherwise


def _list(writer: _Writer) -> str:
    wanted = _count(writer.brief.prompt, writer.length(5) + 1)
    items = [writer.draw(phrases.ITEMS) for _ in range(wanted)]
    numbered = re.search(r"\b(?:steps|numbered|top|rank)", writer.brief.prompt, re.I)
    marks = [f"{place}." if numbered else "-" for place in range(1, wanted + 1)]
    lines = "\n".join(f"{mark} {item}." for mark, item in zip(marks, items, strict=True))
    return f"{writer.fill('Here is a list for {topic}:')}\n\n{lines}\n"


def _table(writer: _Writer) -> str:
    rows = (writer.words * 4)[: max(3, min(_count(writer.brief.prompt, 4), 8))]
    grades = ("low", "medium", "high", "very high")
    lines = [f"| {row} | {writer.rng.randint(2, 98)} % | {writer.rng.choice(grades)} |" for row in rows]
    head = writer.fill("Here is {topic} at a glance:")
    return "\n".join(
        [head, "", "| Aspect | Share | Effort |", "|---|---:|---|", *lines, "", writer.draw(phrases.CLOSINGS)]
    )


def _code(writer: _Writer) -> str:
    name = "_".join(re.findall(r"[a-z]+", writer.topic.lower())[:3]) or "solve"
    limit = writer.rng.choice((3, 5, 8, 10))
    return "\n".join(
        (
            writer.fill("This small function covers {topic}:"),
            "",
            "```python",
            f"def {name}(values: list[float], limit: int = {limit}) -> list[float]:",
            f'    """The {limit} largest values, without repeats."""',
            "    seen: set[float] = set()",
            "    result = []",
            "    for value in sorted(values, reverse=True):",
            "        if value not in seen and len(result) < limit:",
            "            seen.add(value)",
            "            result.append(value)",
            "    return result",
            "```",
            "",
            writer.draw(phrases.EXPLANATIONS),
        )
    )


def _json(writer: _Writer) -> str:
    points = [writer.draw(phrases.ITEMS) for _ in range(_count(writer.brief.prompt, 3))]
    return json.dumps({"topic": writer.topic, "points": points, "score": writer.rng.randint(1, 10)}, indent=2)


def _poem(writer: _Writer) -> str:
    stanzas = 1 if "haiku" in writer.brief.prompt.lower() else 1 + round(2 * writer.brief.breadth)
    start = writer.rng.randrange(3) * 3
    lines = [writer.fill(phrases.POEM[(start + place) % len(phrases.POEM)]) for place in range(3 * stanzas)]
    return "\n\n".join("  \n".join(lines[place : place + 3]) for place in range(0, len(lines), 3))


def _word(writer: _Writer) -> str:
    for pair in (("yes", "no"), ("true", "false"), ("positive", "negative")):
        if re.search(rf"\b{pair[0]}\b.*\b{pair[1]}\b", writer.brief.prompt, re.I):
            return writer.rng.choice(pair).capitalize()
    return writer.rng.choice(writer.words).capitalize()


def _story(writer: _Writer) -> str:
    opening = writer.fill(phrases.CONTINUATIONS[0])
    return f"{opening} {writer.sentences(phrases.CONTINUATIONS[1:], 4)}"


def _continue(writer: _Writer) -> str:
    return writer.sentences(phrases.EXPLANATIONS, 3)


def _article(writer: _Writer) -> str:
    if writer.brief.style == "terse":
        return _explain(writer)
    parts = [_opening(writer) + writer.sentences(phrases.EXPLANATIONS, 2)]
    if re.search(r"\b(?:markdown|essay|article|report|headings?)\b", writer.brief.prompt, re.I):
        parts.insert(0, writer.fill("## {Topic}"))
        parts += [
            f"### {heading}\n\n{writer.sentences(phrases.EXPLANATIONS, 3)}"
            for heading in ("Why it matters", "In practice")
        ]
    parts.append("\n".join(f"- **{word}**: {writer.draw(phrases.ITEMS).lower()}" for word in writer.words[:3]))
    return "\n\n".join([*parts, writer.draw(phrases.CLOSINGS)])


_WRITERS: dict[str, Callable[[_Writer], str]] = {
    "json": _json,
    "table": _table,
    "code": _code,
    "tagline": _tagline,
    "poem": _poem,
    "word": _word,
    "list": _list,
    "article": _article,
    "story": _story,
    "explain": _explain,
    "continue": _continue,
}


def fill_arguments(schema: Any, prompt: str, rng: Random) -> dict[str, Any]:
    """Arguments for a tool call: each property of a JSON schema gets a value of its type, texts from the prompt."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    topic, words = _subject(prompt)
    names = re.findall(r"\b(?:in|at|for|from|to) ([A-Z][\w-]+(?: [A-Z][\w-]+)*)", prompt)
    values: dict[str, Any] = {}
    for name, rule in (properties or {}).items():
        rule = rule if isinstance(rule, dict) else {}
        kind = rule.get("type")
        if rule.get("enum"):
            values[name] = rng.choice(rule["enum"])
        elif kind in ("integer", "number"):
            values[name] = _number(r"(\d+)", prompt) or rng.randint(1, 10)
        elif kind == "boolean":
            values[name] = True
        elif kind == "array":
            values[name] = words[:2]
        elif kind == "object":
            values[name] = fill_arguments(rule, prompt, rng)
        else:
            values[name] = names[0] if names else topic
    return values

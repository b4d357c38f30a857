"""Plausible English on whatever the prompt is about, from a small grammar: no model, no network, no lorem ipsum.

The prompt decides the form (tagline, list, table, code, JSON, poem, story, summary, one word, explanation ...) and
supplies the words that are woven into the sentences of `phrases.py`. The same random generator gives the same text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from . import phrases

__all__ = ["Brief", "subject", "think", "write"]

_STOP = frozenset(phrases.STOP_WORDS.split())
_LEADS = (
    r"\bwhy (?:is|are) (.+?)(?: so)? \w+\s*\?",
    r"\b(?:what|who) (?:is|are|was|were) ([^?.!\n]{2,60})",
    r"\b(?:for|about|on|of|regarding|called|named) (?:an? |our |my |your |this )?([^?.!,:;\n]{2,60})",
    r"\b(?:explain|describe|compare|between) (?:an? )?([^?.!,:;\n]{2,60})",
)
_FORMS: tuple[tuple[str, str], ...] = (
    ("json", r"\bjson\b"),
    ("table", r"\btables?\b"),
    ("code", r"\b(?:code|function|python|script|program|snippet|sql|regex|implement)\b"),
    ("tagline", r"\b(?:tagline|slogan|headline|motto|catchphrase)s?\b"),
    ("poem", r"\b(?:poem|haiku|verse|limerick)\b"),
    ("word", r"\b(?:one word|yes or no|true or false|positive or negative|single word|sentiment)\b"),
    ("summary", r"\b(?:summari[sz]e|summary|in short|tl;dr)\b"),
    ("list", r"\b(?:list|steps|ideas|bullets?|bullet points|ways|reasons|tips|pros and cons|checklist)\b"),
    ("article", r"\b(?:markdown|essay|article|report|blog post|headings?)\b"),
    ("story", r"\b(?:once upon|story|tale|chapter)\b|^it was a\b"),
    ("sum", r"^\D{0,20}\d{1,9}\s*[-+*x×]\s*\d{1,9}\D{0,3}$"),
    ("greeting", r"^\W*(?:hi|hello|hey|good (?:morning|evening|day))\b.{0,20}$"),
    ("explain", r"\?|\b(?:explain|describe|why|what|how|tell me|compare)\b"),
)
_GLOOMY = r"\b(?:bad|worst|terrible|awful|hate|slow|broken|poor|never again|disappoint\w*|refund|rude)\b"
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
        self.topic, self.words = subject(brief.prompt)
        self._decks: dict[int, list[str]] = {}

    def fill(self, pattern: str) -> str:
        first = self.rng.choice(self.words)
        second = self.rng.choice([word for word in self.words if word != first] or phrases.COMPANIONS)
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


def subject(prompt: str) -> tuple[str, list[str]]:
    """(what the prompt is about, its content words)."""
    prompt = prompt[-2_000:]
    words = list(dict.fromkeys(re.findall(r"[^\W\d_][\w'-]{2,}", prompt)))
    content = [word for word in words if word.lower() not in _STOP][-12:] or ["the question"]
    quoted = re.search(r"[\"“«]([^\"”»\n]{2,60})[\"”»]", prompt)
    if quoted:
        return quoted[1].strip(), content
    for lead in _LEADS:
        for phrase in reversed(re.findall(lead, prompt, re.I)):
            if topic := _noun(phrase):
                return topic, content
    return " ".join(content[:2]), content


def _noun(phrase: str) -> str:
    """At most four words of `phrase`, from the first to the last that mean something; an article may stay in front."""
    words = [word.strip(".,:;'\"()") for word in phrase.split()]
    telling = [place for place, word in enumerate(words) if word and word.lower() not in _STOP]
    if not telling:
        return ""
    start = telling[0]
    end = max(place for place in telling if place < start + 4) + 1
    article = words[start - 1].lower() if start and words[start - 1].lower() in ("the", "a", "an") else ""
    return " ".join([*([article] if article else []), *words[start:end]])


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
        text = f"{',' if form == 'story' and brief.prompt[-1:].isalnum() else ''} {text}"
    return text


def think(brief: Brief, rng: Random) -> str:
    """The reasoning before an answer."""
    writer = _Writer(brief, rng)
    return " ".join(writer.draw(phrases.THOUGHTS) for _ in range(writer.length(4) + 1))


def _opening(writer: _Writer) -> str:
    opener = writer.draw(phrases.OPENERS[writer.brief.style])
    return f"{opener} " if opener and writer.brief.breadth > 0.2 else ""


def _explain(writer: _Writer) -> str:
    text = _opening(writer)
    why = re.search(r"\bwhy (is|are) (.+) (\w+)\s*\?", writer.brief.prompt, re.I)
    if why:
        text += f"{why[2][:1].upper()}{why[2][1:]} {why[1].lower()} {why[3]} because several small effects add up. "
    else:
        text += writer.draw(phrases.STARTS) + " "
    text += writer.sentences(phrases.EXPLANATIONS, 3)
    if re.search(r"\b(?:formula|equation|latex)\b", writer.brief.prompt, re.I):
        text += "\n\nAs a formula, with $k$ the share of the change that stays:\n\n$$x_{t+1} = x_t + k\\,(1 - x_t)$$\n"
    return f"{text} {writer.draw(phrases.CLOSINGS)}" if writer.brief.verbosity >= 1 else text


def _sum(writer: _Writer) -> str:
    left, sign, right = re.findall(r"(\d{1,9})\s*([-+*x×])\s*(\d{1,9})", writer.brief.prompt)[0]
    value = {"+": int(left) + int(right), "-": int(left) - int(right)}.get(sign, int(left) * int(right))
    return f"{left} {sign} {right} = {value}"


def _summary(writer: _Writer) -> str:
    text = writer.brief.prompt.partition(":")[2] or writer.brief.prompt.partition("\n")[2] or writer.brief.prompt
    sentences = [sentence.strip(" .!?\n") for sentence in re.split(r"(?<=[.!?])\s+", text) if len(sentence.split()) > 2]
    told = sentences[:1] + sorted(sentences[1:], key=len)[-1:]
    short = "; ".join(" ".join(sentence.split()[:14]) for sentence in told) or writer.topic
    return f"In short: {short}."


def _greeting(writer: _Writer) -> str:
    return writer.draw(phrases.GREETINGS)


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
    rows = [*writer.words, *phrases.COMPANIONS][: max(3, min(_count(writer.brief.prompt, 4), 8))]
    grades = ("low", "medium", "high", "very high")
    lines = [f"| {row} | {writer.rng.randint(2, 98)} % | {writer.rng.choice(grades)} |" for row in rows]
    head = writer.fill("Here is {topic} at a glance:")
    return "\n".join(
        [head, "", "| Aspect | Share | Effort |", "|---|---:|---|", *lines, "", writer.draw(phrases.CLOSINGS)]
    )


def _code(writer: _Writer) -> str:
    purpose = re.search(r"\b(?:to|that|which) ((?:[a-z]+\s?){1,3})", writer.brief.prompt, re.I)
    name = "_".join(re.findall(r"[a-z]+", (purpose[1] if purpose else writer.topic).lower())[:3]) or "solve"
    wanted = [r"sort|top|largest|best", r"count|group|frequen|words", r"mean|average|smooth|window"]
    fitting = [place for place, pattern in enumerate(wanted) if re.search(pattern, writer.brief.prompt, re.I)]
    signature, body = phrases.CODE[fitting[0] if fitting else writer.rng.randrange(len(phrases.CODE))]
    limit = writer.rng.choice((3, 5, 7, 10))
    lines = (f"def {name}({signature.format(limit=limit)}:", body.format(limit=limit))
    head = writer.fill("This small function covers {topic}:")
    return "\n".join((head, "", "```python", *lines, "```", "", writer.draw(phrases.EXPLANATIONS)))


def _json(writer: _Writer) -> str:
    points = [writer.draw(phrases.ITEMS) for _ in range(_count(writer.brief.prompt, 3))]
    return json.dumps({"topic": writer.topic, "points": points, "score": writer.rng.randint(1, 10)}, indent=2)


def _poem(writer: _Writer) -> str:
    stanzas = 1 if "haiku" in writer.brief.prompt.lower() else 1 + round(2 * writer.brief.breadth)
    start = writer.rng.randrange(3) * 3
    lines = [writer.fill(phrases.POEM[(start + place) % len(phrases.POEM)]) for place in range(3 * stanzas)]
    return "\n\n".join("  \n".join(lines[place : place + 3]) for place in range(0, len(lines), 3))


def _word(writer: _Writer) -> str:
    if re.search(r"sentiment|positive or negative", writer.brief.prompt, re.I):
        return "Negative" if re.search(_GLOOMY, writer.brief.prompt, re.I) else "Positive"
    for pair in (("yes", "no"), ("true", "false")):
        if re.search(rf"\b{pair[0]}\b.*\b{pair[1]}\b", writer.brief.prompt, re.I):
            return writer.rng.choice(pair).capitalize()
    return writer.rng.choice(writer.words).capitalize()


def _story(writer: _Writer) -> str:
    opening = writer.fill(phrases.CONTINUATIONS[0])
    return f"{opening} {writer.sentences(phrases.CONTINUATIONS[1:], 4)}"


def _continue(writer: _Writer) -> str:
    begun = writer.brief.prompt.rstrip()[-1:].isalnum()
    first = writer.draw(phrases.HALVES if begun else phrases.STARTS)
    return f"{first} {writer.sentences(phrases.EXPLANATIONS, 2)}"


def _article(writer: _Writer) -> str:
    if writer.brief.style == "terse":
        return _explain(writer)
    parts = [f"{_opening(writer)}{writer.draw(phrases.STARTS)} {writer.sentences(phrases.EXPLANATIONS, 1)}"]
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
    "sum": _sum,
    "summary": _summary,
    "greeting": _greeting,
    "list": _list,
    "article": _article,
    "story": _story,
    "explain": _explain,
    "continue": _continue,
}

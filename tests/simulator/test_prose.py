"""The simulated texts are English about the prompt's subject, in the form it asks for, the same under one seed."""

from __future__ import annotations

import ast
import json
import re
from random import Random

import pytest
from hypothesis import given, strategies as st

from bifrost_nb._simulator.content.prose import Brief, write
from bifrost_nb._simulator.content.tokens import count, tokenize

STYLES = ("plain", "terse", "chatty", "formal", "playful")


def text(prompt: str, seed: int = 1, **facts: object) -> str:
    return write(Brief(prompt, **facts), Random(seed))  # type: ignore[arg-type]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("Write a tagline for Solar Lamp.", "Solar Lamp"),
        ("Explain how photosynthesis works.", "photosynthesis"),
        ("Give me 5 ideas for a picnic", "picnic"),
        ("Why is the sky blue?", "sky"),
        ('Describe "Nordlicht Coffee" in two sentences', "Nordlicht Coffee"),
    ],
)
def test_a_text_is_about_its_prompt(prompt: str, named: str, style: str) -> None:
    """Words of the prompt are woven in, whatever the style and seed."""
    for seed in range(10):
        assert named.lower() in text(prompt, seed, style=style, chat=True).lower()


def test_the_form_follows_the_prompt() -> None:
    """Lists, tables, code, JSON, headings, formulas and one-word answers come where they are asked for."""
    for seed in range(10):
        assert len(re.findall(r"(?m)^- ", text("Give me 4 ideas for breakfast", seed))) == 4
        assert len(re.findall(r"(?m)^\d\. ", text("List the 3 steps to bake bread", seed))) == 3
        rows = [line for line in text("Compare tea and coffee in a table", seed).split("\n") if line.startswith("|")]
        assert {line.count("|") for line in rows} == {4}
        assert len(rows) >= 5
        ast.parse(re.findall(r"```python\n(.*?)```", text("Write Python code to sort invoices", seed), re.S)[0])
        assert json.loads(text("Return JSON about cats", seed))["topic"] == "cats"
        assert text("Write a markdown report on bicycle lanes", seed).startswith("## Bicycle lanes")
        assert "$$" in text("Explain interest with a formula", seed)
        assert text("Is water wet? yes or no", seed) in ("Yes", "No")
        assert text("Sentiment, positive or negative: it is broken", seed) == "Negative"
        assert text("What is 17 x 3?", seed) == "17 x 3 = 51"


def test_a_length_asked_for_is_kept() -> None:
    """So many words, give or take a sentence; brief is shorter."""
    assert 500 <= len(text("Explain tides in 500 words").split()) <= 560
    assert len(text("Explain tides briefly", 2)) < len(text("Explain tides", 2))


def test_the_same_seed_writes_the_same() -> None:
    """A text depends on brief and generator alone."""
    assert len({text("Explain tides", 5) for _ in range(3)}) == 1
    assert len({text("Explain tides", seed) for seed in range(20)}) > 15


@given(st.text(max_size=200), st.sampled_from(STYLES), st.booleans())
def test_any_prompt_gets_an_answer(prompt: str, style: str, chat: bool) -> None:
    """No prompt makes it fail or fall silent."""
    assert text(prompt, style=style, chat=chat).strip()


@given(st.text(max_size=300))
def test_tokens_join_to_the_text(content: str) -> None:
    """The tokeniser loses nothing, for any text."""
    assert "".join(tokenize(content)) == content
    assert all(tokenize(content))


def test_prose_has_about_four_tokens_for_three_words() -> None:
    """The count is close to that of real tokenisers."""
    sample = text("Explain tides in 500 words")
    assert 1.1 < count(sample) / len(sample.split()) < 1.5

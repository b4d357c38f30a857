"""Model text becomes HTML that can run nothing, load nothing and still reads well."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings, strategies as st

from bifrost_nb._display.html import REVERSED_IN_DARK
from bifrost_nb._display.markdown import code, preformatted, to_html
from tests.colours import contrast, reversed_colour
from tests.data.hostile import HOSTILE, LARGE
from tests.markup import read
from tests.thorough import thorough


@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_stays_text(answer: str) -> None:
    """Whatever the text holds, the markup holds only allowed elements, attributes, styles and addresses."""
    reader = read(to_html(answer))
    assert reader.errors == []
    assert [link for link in reader.links if not link.startswith(("http://", "https://", "mailto:"))] == []
    forbidden = ("\\href", "\\require", "\\def", "\\class", "\\style", "\\cssId", "\\unicode", "\\newcommand", "\\rule")
    assert [formula for formula in reader.formulas if any(command in formula for command in forbidden)] == []
    assert not any(ord(character) < 32 and character not in "\n\t" for character in reader.text)
    reader.text.encode()  # no half characters: they would stop the message to the browser


def test_the_corpus_is_large() -> None:
    """At least two hundred different hostile answers are tried."""
    assert len(set(HOSTILE)) >= 200


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([*HOSTILE, "$", "\\", "\n", "\n\n", "> ", "- ", "`", "```", "|", "*", "[", "]("]), max_size=8
    )
)
def test_hostile_pieces_joined_stay_text(pieces: list[str]) -> None:
    """Markup split over several hostile pieces is as harmless as each alone."""
    assert read(to_html("".join(pieces))).errors == []


@pytest.mark.parametrize("name", [*sorted(LARGE)[::3], *thorough(*sorted(LARGE)[1::3], *sorted(LARGE)[2::3])])
def test_large_hostile_text_is_quick_and_bounded(name: str) -> None:
    """Text made to be slow is rendered in seconds, and its page stays below four megabytes."""
    began = time.process_time()
    html = to_html(LARGE[name])
    assert time.process_time() - began < 10  # the worst takes 2 s here; a quadratic parser takes minutes
    assert len(html) < 4_000_000
    assert read(html).errors == []


@pytest.mark.parametrize("name", ["quotes", "deep lists", "a megabyte of letters"])
def test_text_that_cannot_be_rendered_is_shown_as_it_is(name: str) -> None:
    """Too deep or too long for Markdown: the text is still there, preformatted."""
    html = to_html(LARGE[name])
    assert read(html).text.startswith(LARGE[name][:10_000])
    assert html.startswith("<pre")


def test_what_is_cut_is_named() -> None:
    """Beyond the limit the page says how many characters are missing."""
    assert "… and 600,000 more characters" in read(to_html("a" * 1_000_000)).text


@pytest.mark.parametrize(
    "answer",
    [
        "It costs $0.004 … $0.01 a call.",
        "Between $5 and $10.",
        "Either $5 (or 5$) or 6$.",
        "US$5 or CA$6",
        "$1,000-$2,000",
        "pay $5/$10",
        "**$5** and **$6**",
        "`$x` and $HOME and $PATH",
        "$5k and $6M",
        "$5 or\n$6 $",
        "A price of $ 5 or $ 6",
        "\\$5 and \\$6",
        "$5 for one, 6$ for two",
    ],
)
def test_prices_are_not_formulas(answer: str) -> None:
    """No text node holds two dollars, so no typesetter takes what is between two prices for a formula."""
    assert read(to_html(answer)).formulas == []


@pytest.mark.parametrize(
    ("answer", "formula"),
    [
        ("so $x^2$ is", "$x^2$"),
        ("so $2 + 2 = 4$ is", "$2 + 2 = 4$"),
        ("$\\frac{a}{b} \\, c_1 * d_2 * e$", "$\\frac{a}{b} \\, c_1 * d_2 * e$"),
        ("$a < b$ and", "$a < b$"),
        ("so \\(a_1 \\\\ b\\) is", "\\(a_1 \\\\ b\\)"),
        ("in $$x$$ line", "$$x$$"),
        ("\\[\n- x\n+ y\n\\]", "\\[\n- x\n+ y\n\\]"),
        ("$$\na\n= b\n$$", "$$\na\n= b\n$$"),
        ("> $$\n> x\n> $$", "$$\nx\n$$"),
        ("- item\n\n  $$\n  x\n  $$", "$$\nx\n$$"),
        ("$10^{-3}$", "$10^{-3}$"),
        ("| a |\n|-|\n| $x$ |", "$x$"),
    ],
)
def test_formulas_reach_the_typesetter_whole(answer: str, formula: str) -> None:
    """A formula is one text node with its delimiters, untouched by Markdown."""
    assert formula in [data.strip() for _, data in read(to_html(answer)).nodes]


def test_coloured_code_can_be_read_on_light_and_on_dark() -> None:
    """Each colour has a contrast of 4.5 to its ground as it is, and where a dark page reverses both."""
    html = code("# a\nx: int = f'{1}' + len(None)  # b\n@c\nclass D(E):\n    pass\n", "python")
    assert REVERSED_IN_DARK in html
    colours = {*re.findall(r"[;\" ]color: ?(#[0-9A-Fa-f]{6})", html)}
    assert len(colours) >= 5
    for colour in colours - {"#bbbbbb"}:  # of spaces
        assert contrast(colour, "#f6f8fa") >= 4.5, colour
        assert contrast(reversed_colour(colour), reversed_colour("#f6f8fa")) >= 4.5, colour


def test_markdown_reads_well() -> None:
    """Headings, emphasis, lists, tables, code and links become what they mean."""
    html = to_html(
        "# Title\n\n**bold** *it* ~~gone~~ `code`\n\n3. c\n\n| a | b |\n|:-:|--:|\n| 1 | 2 |\n\n"
        "[site](https://ok.example/?a=1&b=2)\n\n```python\ndef f(): pass\n```\n"
    )
    reader = read(html)
    assert reader.errors == []
    assert {"strong", "em", "s", "code", "ol", "table", "th", "td", "a", "pre", "span"} <= set(reader.seen)
    assert reader.links == ["https://ok.example/?a=1&b=2"]
    assert 'start="3"' in html
    assert "text-align:center" in html
    assert "<h1" not in html  # the notebook's table of contents is the user's


def test_an_image_is_named_and_not_loaded() -> None:
    """An image shows its alternative text and its address."""
    reader = read(to_html("![a *cat*](https://attacker.invalid/cat.png)"))
    assert "[image: a cat https://attacker.invalid/cat.png]" in reader.text
    assert "img" not in reader.seen


@pytest.mark.parametrize("content", ["<b> & \"q\" 'a'\n  x\n", "\\x $y$", "x = {'a': 1}"])
def test_code_and_preformatted_text_are_exact(content: str) -> None:
    """Code blocks show each character that was there, coloured or not."""
    assert read(preformatted(content)).text == content
    assert read(code(content, "python")).text == content
    assert read(code(content, "no such language")).text == content


def test_twenty_thousand_characters_take_less_than_two_seconds() -> None:
    """A long answer with tables, code and formulas is drawn at once when it ends."""
    table = "| a | b |\n|-|-|\n| 1 | $y$ |"
    piece = f"## Part\n\nText with $x^2$ and `code`.\n\n{table}\n\n```python\nx = 1\n```\n\n- a\n- b\n\n"
    began = time.process_time()
    to_html(piece * (20_000 // len(piece)))
    assert time.process_time() - began < 2

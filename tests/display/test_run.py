"""A run shows itself: all that is known, nothing that is not, nothing that could act."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from markdown_it import MarkdownIt

from bifrost_nb._display.describe import describe, duration, usd
from bifrost_nb._display.markdown import LONGEST_MARKDOWN, LONGEST_SHOWN
from bifrost_nb._display.run import FORMS, Runs, as_html, as_markdown, as_text, metadata, mimebundle, mimebundle_many
from bifrost_nb._prompts.template import render
from bifrost_nb._runs.columns import NAMES
from bifrost_nb._runs.run import Run
from tests.data.hostile import HOSTILE
from tests.markup import read
from tests.thorough import some_of

KEY = "sk-proj-aB3dE5gH7jK9mN1pQ3sT5vW7"


def answered(**changes: Any) -> Run:
    known: dict[str, Any] = {
        "requested_provider": "azure",
        "requested_model": "fast",
        "provider": "azure",
        "model": "fast",
        "status": "ok",
        "finish_reason": "stop",
        "http_status": 200,
        "response": "Hello **you**",
        "texts": ["Hello **you**"],
        "prompt_tokens": 12,
        "completion_tokens": 1040,
        "cost_usd": 0.000124,
        "cost_source": "response",
        "ttft_ms": 210.4,
        "total_ms": 1234.5,
        "chunks": 9,
        "tokens_per_s": 41.2,
    }
    return Run(**{**known, **changes})


def test_text_is_the_answer_and_one_line_of_facts() -> None:
    """The text form is the answer, then who served, times, tokens and cost in one line."""
    assert repr(answered()) == (
        "Hello **you**\n"
        "served by azure/fast · first text 210 ms · total 1.23 s · tokens 12 in, 1,040 out · 41 tokens/s · $0.000124"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"provider": "openai", "model": "x", "is_fallback": True}, "served by openai/x (fallback for azure/fast)"),
        (
            {"provider": "openai", "model": "x", "is_fallback": True, "fallback_index": 2},
            "served by openai/x (fallback 2 for azure/fast)",
        ),
        ({"provider": None, "model": None, "status": None}, "azure/fast was asked"),
        ({"cost_usd": None, "cost_source": None}, "cost unknown"),
        ({"cost_source": "log"}, "$0.000124 (gateway log)"),
        ({"cost_source": "prices"}, "$0.000124 (from prices)"),
        ({"cost_usd": 0.0}, "$0.00"),
        ({"prompt_tokens": None, "completion_tokens": None}, "tokens – (not reported)"),
        ({"prompt_tokens": None}, "tokens – in, 1,040 out"),
        ({"cached_tokens": 7, "reasoning_tokens": 90}, "7 cached, 90 reasoning"),
        ({"finish_reason": "length"}, "ok (token limit)"),
        ({"cache_hit": True, "cache_hit_type": "semantic"}, "from the gateway's cache (semantic)"),
        ({"status": "cancelled"}, "cancelled"),
        (
            {"status": "error", "http_status": 429, "error_message": "slow", "error_type": "rate"},
            "failed (429)\nrate: slow",
        ),
        ({"response": None, "texts": []}, "(the answer is empty)"),
        ({"response": None, "texts": [], "status": "timeout"}, "(no text arrived)"),
        ({"texts": ["one", "two"]}, "[1] one\n\n[2] two"),
        ({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}], "response": None, "texts": []}, "f({})"),
        ({"tool_calls": [{"function": "odd"}], "response": None, "texts": []}, "(the answer is empty)"),
    ],
)
def test_each_fact_is_said(changes: dict[str, Any], said: str) -> None:
    """Fallbacks, sources of cost, limits, failures and what is unknown are said, in text and in HTML alike."""
    run = answered(**changes)
    assert said in as_text(run)
    shown = " ".join(read(as_html(run)).text.split())
    for part in said.replace("[1] ", "").replace("[2] ", "").split("\n"):
        assert " ".join(part.strip("()").split()) in shown


def test_nothing_known_shows_no_zero() -> None:
    """A run of which nothing is known shows dashes with reasons, in every form, and never a 0."""
    run = Run()
    assert not set("0123456789") & set(as_text(run) + "".join(describe(run).values()))
    assert "0" not in read(as_html(run)).text
    assert "0" not in read(mimebundle_many([run])["text/html"]).text


def test_a_call_without_streaming_says_why_there_is_no_first_text() -> None:
    """The time to the first text is missing for a reason."""
    assert describe(answered(ttft_ms=None, chunks=None))["first text"] == "– (not streamed)"
    assert describe(answered(ttft_ms=None, status="error"))["first text"] == "– (no text came)"


@pytest.mark.parametrize("hostile", some_of(HOSTILE, 4), ids=range(len(HOSTILE)))
def test_hostile_text_in_every_field_stays_text(hostile: str) -> None:
    """Names, errors, reasons, tools and answers from outside are escaped wherever they are shown."""
    run = answered(
        response=hostile, texts=[hostile, hostile], reasoning=hostile, provider=hostile, model=hostile, status="error",
        requested_model=hostile, finish_reason=hostile, error_message=hostile, error_type=hostile, cache_hit=True,
        cache_hit_type=hostile, is_fallback=True, tool_calls=[{"function": {"name": hostile, "arguments": hostile}}],
    )  # fmt: skip
    for html in (*(as_html(run, form) for form in FORMS), mimebundle_many([run, run])["text/html"]):
        assert read(html).errors == []
    for text in (as_text(run), as_markdown(run), mimebundle_many([run])["text/plain"]):
        assert not any(ord(character) < 32 and character not in "\n\t" for character in text)
        text.encode()  # a half character would stop the message to the front end
    json.dumps(metadata(run), ensure_ascii=False).encode()


def test_dollars_of_costs_are_no_formula() -> None:
    """Two costs in one table leave no text node with two dollars for a typesetter."""
    assert read(mimebundle_many([answered(), answered()])["text/html"]).formulas == []


def test_types_are_static() -> None:
    """An output holds text and HTML, which need no kernel, no widget and no network; Markdown only on request."""
    assert set(mimebundle(answered())) == {"text/plain", "text/html"}
    assert set(mimebundle(answered(), include={"text/markdown"})) == {"text/plain", "text/html", "text/markdown"}
    assert set(mimebundle_many([answered()])) == {"text/plain", "text/html"}


def test_a_long_answer_is_there_once() -> None:
    """An answer too long to be rendered is text alone, with its facts; all that the text does not say has HTML."""
    long = "A **word** and a <b>tag</b>.\n" * 3_000
    assert LONGEST_MARKDOWN < len(long) < LONGEST_SHOWN
    alone = {"response": long, "texts": [long]}
    for form in ("md", "text"):
        bundle = mimebundle(answered(**alone, total_ms=1234.0), form=form)
        assert set(bundle) == {"text/plain"}
        assert bundle["text/plain"].startswith(long)
        assert "azure/fast" in bundle["text/plain"].removeprefix(long)
    both = {"text/plain", "text/html"}
    assert set(mimebundle(answered(**alone), form="json")) == both
    assert set(mimebundle(answered(**alone, reasoning="Hm."))) == both
    assert set(mimebundle(answered(**alone, tool_calls=[{"function": {"name": "f"}}]))) == both
    assert set(mimebundle(answered(response=long, texts=[long, "other"]))) == both
    assert set(mimebundle(answered(response=long * 6, texts=[long * 6]))) == both
    for end, kept in {
        "https://a.b": False,
        "data: x": False,
        "data:text/html,x": True,
        "java\x00script://a": True,
    }.items():
        linked = long + end
        assert ("text/html" in mimebundle(answered(response=linked, texts=[linked]))) == kept, end


def test_html_holds_on_any_background() -> None:
    """No fixed background stands under text whose colour comes from the theme."""
    for html in (as_html(answered()), mimebundle_many([answered()])["text/html"]):
        assert "background" not in html
        assert "var(" not in html


def test_each_paragraph_has_the_direction_of_its_script() -> None:
    """Paragraphs, items, headings, cells and text as it is read in their own direction; a table scrolls in its card."""
    html = mimebundle_many([answered(response=t, texts=[t]) for t in ("# שלום\n\nשלום\n\n- פריט", "|א|\n|-|\n|ב|")])[
        "text/html"
    ]
    for start in (
        '<p dir="auto"',
        '<li dir="auto"',
        '<th dir="auto"',
        '<td dir="auto"',
        '<div role="heading" aria-level="1" dir="auto"',
    ):
        assert start in html
    assert '<pre dir="auto"' in as_html(answered(), "text")
    assert html.count("overflow-x:auto") == 3


def test_side_by_side_shows_each_and_its_facts() -> None:
    """A comparison has one card per run, as the race has, each with its answer, its facts and its failure."""
    failed = answered(
        requested_model="slow", status="error", error_message="it broke", http_status=500, response=None, texts=[]
    )
    reader = read(mimebundle_many([answered(), failed])["text/html"])
    assert mimebundle_many([answered(), failed])["text/html"].count('role="group"') == 2
    for text in (
        *(f"{name}: {said}" for name, said in describe(failed).items()),
        "azure/fast",
        "azure/slow",
        "Hello",
        "it broke",
        "failed (500)",
        "$0.000124",
    ):
        assert text in reader.text
    assert repr(Runs([answered(), failed])).count("──") == 4
    assert mimebundle_many([])["text/plain"] == "(no runs)"


def test_a_tag_of_ones_own_is_no_name() -> None:
    """Cards are headed by the variants of a comparison; elsewhere a tag of that name says nothing of who was asked."""
    tagged = answered(tags={"variant": "v2"})
    assert "── azure/fast ──" in repr(Runs([tagged]))
    tagged.comparison_id = "c"
    assert "── v2 ──" in repr(Runs([tagged]))


def test_who_refused_served_nothing() -> None:
    """An error that names its provider says who was asked, in a line, a card and text; what was cut off was served."""
    refused = answered(status="error", error_message="Too many requests.", http_status=429, response=None, texts=[])
    cut = answered(status="truncated", error_message="It broke off.")
    for run, verb, other in ((refused, "asked", "served by"), (cut, "served by", "asked")):
        assert verb in describe(run)
        shown = [as_text(run), as_html(run), read(mimebundle_many([run])["text/html"]).text]
        assert all(f"{verb} {run.served}" in text or f"{verb}: {run.served}" in text for text in shown), shown
        assert not any(f"{other} {run.served}" in text or f"{other}: {run.served}" in text for text in shown)


@pytest.mark.parametrize(
    ("form", "answer", "shown"),
    [
        ("text", "**a**", "**a**"),
        ("json", '{"a":[1,2]}', '{\n  "a": [\n    1,\n    2\n  ]\n}'),
        ("json", '```json\n{"a":1}\n```', '{\n  "a": 1\n}'),
        ("json", "no json", "no json"),
        ("json", '{"id":123456789012345678901234567890}', '"id": 123456789012345678901234567890'),
        ("json", "[" * 400 + "]" * 400, "[\n"),
        ("json", "[" * 5_000 + "]" * 5_000, "[" * 5_000),
        ("code", "```python\nx = 1\n```", "x = 1"),
        ("code", "x = 1", "x = 1"),
        ("md", "**a**", "a"),
    ],
)
def test_forms_read_the_answer_differently(form: str, answer: str, shown: str) -> None:
    """An answer can be read as Markdown, as it is, as indented JSON and as code without its fence."""
    reader = read(as_html(answered(response=answer, texts=[answer]), form))
    assert reader.errors == []
    assert shown in reader.text


def test_metadata_keeps_the_evidence_without_keys() -> None:
    """Every known column is in the display's metadata as JSON; a key in a parameter or an error is not."""
    run = answered(prompt=f"use {KEY}", params={"temperature": 0, "extra": {"token": KEY}}, error_message=KEY)
    kept = json.loads(json.dumps(metadata(run)))["bifrost_nb"]
    assert kept.pop("prompt") == f"use {KEY}", "what may be sent again is never changed"
    assert KEY not in json.dumps(kept)
    assert set(kept) - {"schema"} <= set(NAMES)
    assert kept["run_id"] == run.run_id
    assert kept["requested_model"] == "fast"
    assert json.loads(kept["params"])["temperature"] == 0
    assert kept["completion_tokens"] == 1040
    assert "rating" not in kept


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "$0.00"),
        (1.5, "$1.50"),
        (1234.5, "$1,234.50"),
        (0.0123456, "$0.0123"),
        (1e-7, "$0.000000100"),
        (-0.5, "-$0.500"),
        (-5, "-$5.00"),
        (0.9996, "$1.00"),
        (0.09996, "$0.100"),
    ],
)
def test_money_is_written_as_people_write_it(value: float, said: str) -> None:
    """No exponent, three significant digits below a dollar."""
    assert usd(value) == said


def test_a_sum_is_one_figure_in_any_order() -> None:
    """The last bit of a sum, which hangs on its order, decides no digit that is shown."""
    assert {usd(value) for value in (0.006374999999999999, 0.006375, 0.0063750000000000005)} == {usd(0.006375)}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *((0.4, "0.4 ms"), (310.4, "310 ms"), (999.6, "1 s"), (1_234, "1.23 s"), (12_400, "12.4 s")),
        *((59_970, "1:00 min"), (125_000, "2:05 min"), (-1_234, "-1.23 s"), (0, "0 ms")),
    ],
)
def test_times_are_written_as_people_write_them(value: float, said: str) -> None:
    """Milliseconds, seconds, minutes; three digits, whatever side of a unit they round to."""
    assert duration(value) == said


def test_names_and_errors_are_words_in_markdown() -> None:
    """No formula, emphasis, code, link or HTML begins in what a gateway calls itself; money is no formula either."""
    hostile = "$x^2$ *b* `c` [d](javascript:e) <b>f</b>"
    run = answered(provider="p", model=hostile, error_message=hostile, status="error", cost_usd=0.5)
    facts = as_markdown(run).split("\n\n", 1)[1]
    assert r"\$x^2\$ \*b\* \`c\` \[d\](javascript:e) \<b\>f\</b\>" in facts
    html = MarkdownIt().render(facts)
    assert {"<b>", "<code>", "<a ", "<em>b</em>"}.isdisjoint(html.split("served by")[-1].replace("</em>", ""))
    assert not re.search(r"(?<!\\)\$", facts)


def test_markdown_says_all_of_an_answer() -> None:
    """Every choice, the calls as code that none of them can end, and words where there is nothing."""
    called = [{"function": {"name": "f", "arguments": "```\n# not a heading"}}]
    html = MarkdownIt().render(as_markdown(answered(texts=["one", "two"], tool_calls=called)))
    assert all(said in html for said in ("<strong>Choice 2</strong>", "<p>two</p>", "<pre><code>f(```\n# not a"))
    assert as_markdown(answered(response="", texts=[""])).startswith("*the answer is empty*")


def test_a_run_in_a_prompt_is_its_text() -> None:
    """Nothing that is said about an answer gets into a prompt in its place, where it has no text."""
    assert render("{{run}}.", {"run": answered(response="yes", texts=["yes"])}) == "yes."
    vectors = {"embeddings": [[0.0]], "embedding_shape": (1, 1)}
    for nothing in (answered(response=None, texts=[]), answered(response=None, texts=[], **vectors)):
        assert render("{{run}}.", {"run": nothing}) == f"{nothing}." == "."


@pytest.mark.parametrize("sequence", ["\x1b[31m", "\x1b]0;title\x07", "\x9b2J", "\u202e", "\r\x08"])
def test_printing_a_run_moves_no_cursor(sequence: str) -> None:
    """`print(run)` shows no control sequence, wherever one stands; `run.text` is what came."""
    run = answered(response=f"a{sequence}b", texts=[f"a{sequence}b"], model=sequence, error_message=sequence)
    run.notes, run.tool_calls = [sequence], [{"function": {"name": sequence, "arguments": sequence}}]
    for shown in (str(run), repr(run), repr(Runs([run, run])), as_markdown(run), f"{run}"):
        assert sequence not in shown
    assert run.text == f"a{sequence}b"

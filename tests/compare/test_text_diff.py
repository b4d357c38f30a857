"""Word diffs: marked where texts are alike, folded where they are not, always with the question."""

from __future__ import annotations

import re
import time

from bifrost_nb import Client, LocalGateway
from bifrost_nb._compare.compare import compare
from bifrost_nb._compare.text_diff import text_diff

A, B = "azure/gpt-35-turbo-instruct", "openai/gpt-3.5-turbo-instruct"
LONG = (
    "The invoice was paid on the third of May, and the customer was told so by letter. Nothing is owed any more, and"
    " the account can be closed at the end of the month unless the customer asks for a further statement of it."
)
OTHER = (
    "Please write to support <b>today</b>: we need proof of identity before any refund. Send a passport copy, your"
    " order number, two recent bank records, plus one signed form; then wait until our team replies with its decision."
)


def test_alike_texts_are_marked_by_words() -> None:
    """A changed word among many is marked, and the rest stands once."""
    found = text_diff(LONG, LONG.replace("third", "fourth"), title="a → b: Paid?")
    assert not found.unlike
    assert "[-third-]{+fourth+}" in str(found)
    assert found._repr_html_().count("<del") == 1
    assert "details" not in found._repr_html_()
    assert repr(found).startswith("a → b: Paid?\n")


def test_unlike_texts_are_folded() -> None:
    """Two long texts with little in common: each whole and folded behind its beginning, and how little is said."""
    found = text_diff(LONG, OTHER, title="a → b: Paid?")
    assert found.unlike
    assert found.similarity < 0.3
    assert list(found.parts()) == [("removed", LONG), ("added", OTHER)]
    assert str(found) == f"[-{LONG}-]\n{{+{OTHER}+}}"
    html = found._repr_html_()
    assert html.count("<details>") == 2
    assert "<b>today" not in html
    assert re.search(r"Unlike: \d+% of the words are common to both", html)
    assert "a → b: Paid?" in html
    assert repr(found).splitlines()[1].startswith("Unlike: ")


def test_short_and_empty_texts_are_never_folded() -> None:
    """A word against another is read at a glance; against nothing everything was added."""
    assert str(text_diff("yes", "no")) == "[-yes-]{+no+}"
    assert not text_diff(LONG, "No.").similarity > 0.2
    assert list(text_diff("", OTHER).parts()) == [("added", OTHER)]


def test_blanks_are_nothing_in_common() -> None:
    """Texts without a common word are not alike because both have blanks."""
    assert text_diff("one two three", "four five six").similarity == 0
    assert text_diff("one two", "one  two").similarity == 1


def test_what_repeats_itself_is_no_bomb() -> None:
    """One line thousands of times: its equal ends stand once, the middle is replaced, and it takes no minutes."""
    a, b = ("begin\n" + f"f(\n  a: {n}\n)\n" * 20_000 + "end\n" for n in (1, 2))
    began = time.process_time()
    found = text_diff(a, b)
    assert "".join(text for kind, text in found.parts() if kind != "added") == a
    assert "".join(text for kind, text in found.parts() if kind != "removed") == b
    assert found.unlike
    alike = text_diff(a, a.replace("end", "over"))
    assert [kind for kind, _ in alike.parts()] == ["same", "removed", "added"]
    assert alike.similarity > 0.99
    assert time.process_time() - began < 10


def test_a_diff_names_its_prompt(client: Client, gateway: LocalGateway) -> None:
    """The prompt of both; of two templates the row of inputs, since their prompts differ."""
    gateway.script([{"deployment": A, "text": ["old"]}, {"deployment": B, "text": ["new"]}])
    one = compare([A, B], "Name a {{thing}}.", inputs={"thing": ["bird"]}, client=client, stream=False)
    assert one.diff(A, B).title == f"{A} → {B}: Name a bird."
    prompts = {"short": "A {{thing}}.", "long": "Name a {{thing}}, please."}
    two = compare([A, B], prompts, inputs={"thing": ["bird", "tree"]}, client=client, stream=False)
    last = two.prompts["prompt_id"].iloc[-1]
    across = two.diff(f"{A} · short", f"{B} · long", last)
    assert across.title == f"{A} · short → {B} · long: thing: tree"
    assert two.diff(f"{A} · short", f"{B} · short", last).title.endswith(": A tree.")

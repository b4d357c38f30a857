"""A report in Chromium: hostile answers stay inert, filters work, ten thousand answers open, print is whole."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bifrost_nb import Client, LocalGateway, RunLog, scorers
from bifrost_nb._compare.compare import compare
from bifrost_nb._report.report import write_report
from bifrost_nb._runs.store import RunsInOrder
from tests.compare.test_messages import png

from .watched import WATCH, corpus

SUSPECTS = """[...document.querySelectorAll('#answers *')]
    .filter(node => window.suspect(node) && !node.matches('input, select, button')).length"""


@pytest.fixture
def opened(chromium: Any, tmp_path: Path) -> Any:
    """Opens a report offline, with whatever it asks for or complains of noted."""
    context = chromium.new_context(offline=True, viewport={"width": 1280, "height": 900})

    def open_(path: Path) -> tuple[Any, list[str]]:
        page, noted = context.new_page(), []
        page.on("request", lambda request: noted.append(request.url) if not request.url.startswith("file:") else None)
        page.on("console", lambda message: noted.append(message.text))
        page.on("pageerror", lambda error: noted.append(str(error)))
        page.add_init_script(WATCH)
        page.goto(path.as_uri())
        return page, noted

    yield open_
    context.close()


def test_hostile_answers_stay_inert(opened: Any, client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """Every answer of the corpus is shown as text: nothing runs, loads or is asked for."""
    answers = [text.replace("\ud800", "\ufffd") for text in corpus("http://127.0.0.1:9")]
    gateway.script([{"prompt": f"number {place:03}", "text": [text]} for place, text in enumerate(answers)])
    inputs = {"n": [f"number {place:03}" for place in range(len(answers))]}
    found = compare(["azure/fast"], "{{n}}", inputs=inputs, client=client, stream=False)
    page, noted = opened(found.report(tmp_path / "report.html"))
    while (more := page.get_by_role("button", name="Show more")).is_visible():
        more.click()
    shown = page.locator("#answers .text")
    assert shown.count() == sum(bool(run.text) for run in found.runs)
    assert page.evaluate("window.bifrostHacked") is None
    assert page.evaluate(SUSPECTS) == 0
    assert noted == []


def test_answers_are_shown_where_a_score_judged_none(opened: Any, client: Client, tmp_path: Path) -> None:
    """A column of scores without a single one is in the file all the same."""
    asked: dict[str, Any] = {"inputs": {"n": [1, 2], "nobody": [None, None]}, "score": lambda run, row: None}
    page, noted = opened(compare(["azure/fast"], "Say {{n}}", client=client, **asked).report(tmp_path / "x.html"))
    assert page.locator(".group").count() == 2
    assert noted == []


def test_pictures_and_calls_are_shown(
    opened: Any, client: Client, gateway: LocalGateway, tmp_path: Path, pictures: Path
) -> None:
    """A question's picture stands above its answers, a call of a tool as name and arguments, markup in them as text."""
    arguments = '{"city": "<img src=x onerror=alert(1)>", "days": 2}'
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
    asked: dict[str, Any] = {"inputs": {"photo": [png(), png("blue")]}, "images": "photo", "tools": [tool]}
    found = compare(["openai/gpt-4o-mini", "azure/gpt-4o"], "What?", client=client, tool_choice="required", **asked)
    for run in found.runs:
        run.tool_calls[0]["function"]["arguments"] = arguments  # as a hostile model would write them
    page, noted = opened(found.report(tmp_path / "report.html"))
    shown = page.locator(".group img.picture")
    assert [image.evaluate("e => e.naturalWidth > 0") for image in shown.all()] == [True, True]
    assert page.locator(".group h3").first.inner_text().startswith("What?\n[picture: ")
    calls = page.locator(".calls")
    assert calls.count() == 4
    assert calls.first.inner_text() == 'look_up(\n  city: "<img src=x onerror=alert(1)>"\n  days: 2\n)'
    page.screenshot(path=str(pictures / "report-pictures.png"), full_page=True)
    assert [one for one in noted if not one.startswith("data:image/png")] == []


def test_every_choice_is_shown_and_found(opened: Any, client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """Of several choices each stands below its number as text, and the search looks through all."""
    found = compare(["openai/gpt-4o-mini"], "On {{x}}", inputs={"x": ["a", "b"]}, client=client, chat=True, n=3)
    hostile = "<img src=x onerror=alert(1)>"
    found.runs[1].texts[2] = hostile  # as a hostile model would write it
    page, noted = opened(found.report(tmp_path / "report.html"))
    assert page.locator(".answer .text").all_inner_texts() == [text for run in found.runs for text in run.texts]
    assert page.get_by_text(re.compile(r"^Choice \d$")).all_inner_texts() == ["Choice 1", "Choice 2", "Choice 3"] * 2
    page.get_by_label("Search").fill(hostile)
    assert page.locator(".group").count() == 1
    assert noted == []


def test_odd_words_and_empty_answers(opened: Any, client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """Prompts that are names of JavaScript's own are headings like others; an empty answer says that it is one."""
    words = ["constructor", "toString", "__proto__"]
    gateway.script([{"prompt": "constructor", "text": [""]}, {"text": ["a word"]}])
    page, noted = opened(
        compare(["azure/fast"], "{{word}}", inputs={"word": words}, client=client).report(tmp_path / "report.html")
    )
    assert page.locator("#answers h3").all_inner_texts() == words
    assert "(the answer is empty)" in page.locator(".answer").first.inner_text()
    assert page.locator(".answer .text").all_inner_texts() == ["a word"] * 2
    assert noted == []


def test_a_colleague_finds_the_answer(opened: Any, gateway: LocalGateway, tmp_path: Path, pictures: Path) -> None:
    """Verdict, filter by score, search and sort; readable in light, dark and at 700 px; prints whole."""
    gateway.script(
        [
            {"deployment": "azure/fast", "prompt": "tea", "text": "No idea."},
            {"prompt": "tea", "text": "A leaf."},
            {"text": "Water, falling."},
        ]
    )
    client = Client(gateway.url, log=RunLog(tmp_path / "runs.jsonl"))
    found = compare(
        ["azure/fast", "azure/large"],
        "What is {{thing}}?",
        inputs={"thing": ["tea", "rain"] * 6, "expected": ["leaf", "Water"] * 6},
        client=client,
        max_tokens=20,
        score=scorers.contains("expected"),
    )
    page, noted = opened(found.report(tmp_path / "report.html", title="Fast or large?"))
    assert page.locator("h3").first.inner_text() == "Score"
    assert page.locator("h3 + p").first.inner_text().startswith("azure/large leads in score")
    assert "azure/fast against azure/large: " in page.locator(".verdicts").first.inner_text()
    count, groups = page.locator(".count"), page.locator(".group")
    assert count.inner_text() == "12 rows"
    page.get_by_label("Show").select_option("lowscore")
    assert groups.count() == 6
    assert count.inner_text() == "6 rows, 12 in all"
    assert "\u2715" in groups.first.inner_text()
    page.get_by_label("Search").fill("falling")
    assert groups.count() == 0
    page.get_by_label("Show").select_option("all")
    assert groups.count() == 6
    page.get_by_label("Search").fill("")
    assert {one.inner_text() for one in page.locator(".reason").all()} == set(found.frame["score_reason"].dropna())
    frame = found.frame.assign(thing=found.frame["input_thing"])
    for words, column, turned in (("slowest first", "total_ms", -1), ("lowest score first", "score", 1)):
        page.get_by_label("Sort").select_option(label=words)
        worst = frame.groupby("input_id")[column].agg("max" if turned < 0 else "min")
        shown = [one.inner_text().split()[-1].rstrip("?") for one in page.locator(".group h3").all()]
        things = frame.drop_duplicates("input_id").set_index("input_id")["thing"]
        assert shown == things.loc[(turned * worst).sort_values(kind="stable").index].tolist(), words
    page.get_by_label("Sort").select_option(label="in order")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.screenshot(path=pictures / f"report-{theme}.png", full_page=True)
    page.set_viewport_size({"width": 700, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= 700")
    assert page.locator(".scroll div").evaluate_all("all => all.every(one => one.scrollWidth <= one.clientWidth)")
    page.screenshot(path=pictures / "report-700.png", full_page=True)
    assert noted == []


@pytest.mark.thorough
def test_twenty_variants_with_long_names(
    opened: Any, client: Client, gateway: LocalGateway, tmp_path: Path, pictures: Path
) -> None:
    """Its first lines stay short, its tables and charts on the page, wide or narrow, light or dark."""
    gateway.script([{"deployment": "azure/large", "text": "A leaf."}, {"text": "No idea."}])
    long = "eu-west-production-gpt-4o-mini-2024-07-18-customer-support"
    names = [f"{'azure' if place % 2 else 'openai'}/{long}-{place:02}" for place in range(20)]
    names[-1] = "azure/" + "withoutanybreak" * 8
    asked = [
        {"deployment": "azure/large" if place < 6 else "azure/fast", "name": name} for place, name in enumerate(names)
    ]
    inputs = {"n": [f"number {place}" for place in range(20)]}
    found = compare(asked, "{{n}}", inputs=inputs, client=client, stream=False, score=scorers.contains("leaf"))
    page, noted = opened(found.report(tmp_path / "report.html"))
    first = page.locator("h3 + p").first
    assert "have the same figure in score, and none leads" in first.inner_text()
    assert "and 11 more: each is worse than" in first.inner_text()
    for width in (1280, 700):
        page.set_viewport_size({"width": width, "height": 3000})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert first.bounding_box()["height"] < 260
        answers = page.locator(".columns").first
        assert answers.evaluate("e => e.scrollWidth <= e.clientWidth"), "all answers to a question are in sight"
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=pictures / f"report-many-{width}-{scheme}.png")
    assert noted == []


CUT = """() => [...document.querySelectorAll('body, body *')].filter(node => {
    const style = getComputedStyle(node);
    const hidden = style.overflowX !== 'visible' || style.overflowY !== 'visible';
    return hidden && (node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1);
}).map(node => node.className || node.tagName)"""


def test_a_long_prompt_fills_no_screens(opened: Any, client: Client, tmp_path: Path) -> None:
    """What was asked scrolls in its box, as answers do; on paper it is whole."""
    found = compare(["azure/fast"], "long word " * 390, inputs=None, client=client)
    page, _ = opened(found.report(tmp_path / "report.html"))
    sizes = "(node => [node.clientHeight, node.scrollHeight])(document.querySelector('pre'))"
    page.set_viewport_size({"width": 700, "height": 900})
    shown, whole = page.evaluate(sizes)
    assert shown < 500 < whole
    page.emulate_media(media="print")
    shown, whole = page.evaluate(sizes)
    assert shown == whole


def test_printed_it_is_whole(
    opened: Any, client: Client, gateway: LocalGateway, tmp_path: Path, pictures: Path
) -> None:
    """On paper each answer is there, beyond the page of the screen; dark on white, without controls, nothing cut."""
    pypdf = pytest.importorskip("pypdf", reason="needs the extra test")
    names = ["azure/fast", "azure/large", "openai/gpt-3.5-turbo-instruct", "azure/gpt-35-turbo-instruct"]
    words = {name: f"answer{place}of" for place, name in enumerate(names)}
    gateway.script(
        [
            {"prompt": f"row {row:02}", "deployment": name, "text": [f"{word}{row:02} " + "long words " * 40]}
            for row in range(30)
            for name, word in words.items()
        ]
    )
    inputs = {"n": [f"row {row:02}" for row in range(30)]}
    found = compare(names, "{{n}}", inputs=inputs, client=client, stream=False, score=scorers.length(max=10_000))
    page, noted = opened(found.report(tmp_path / "report.html"))
    page.emulate_media(color_scheme="dark")
    assert page.locator(".group").count() == 25
    page.pdf(path=pictures / "report.pdf", format="A4")
    paper = [" ".join(one.extract_text().split()) for one in pypdf.PdfReader(pictures / "report.pdf").pages]
    text = " ".join(paper)
    for row in range(30):
        for word in words.values():
            assert f"{word}{row:02}" in text
        *_, asked = [place for place, one in enumerate(paper) if re.search(rf"\brow {row:02}\b", one)]
        assert f"answer0of{row:02}" in paper[asked], "no question stands alone at the end of a page"
    assert "and none leads" in text
    assert "Where the numbers come from" in text
    assert "Show more" not in text
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 703, "height": 1000})  # A4 without its margins
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(31, 35, 40)"
    assert page.evaluate("document.documentElement.scrollWidth <= 703")
    assert page.evaluate(CUT) == []
    assert noted == []


@pytest.mark.thorough
def test_ten_thousand_answers_open(opened: Any, client: Client, tmp_path: Path) -> None:
    """Only what is looked at is drawn, so 10,000 answers to 500 questions or to 2,500 are there as soon as ten.

    How soon, on a machine that does nothing else, is in tests/benchmarks/RESULTS.md (under 3 s); this one is busy.
    """
    inputs = {"n": list(range(20))}
    found = compare(["azure/fast"], "Say {{n}}.", inputs=inputs, client=client, max_tokens=30, stream=False)
    found._cells = [
        replace(trial, prompt=replace(trial.prompt, input_id=f"{trial.prompt.input_id}-{turn // 4}"))
        for turn in range(500)
        for trial in found._cells
    ]
    found.runs = RunsInOrder(found._kept, [trial.trial_id for trial in found._cells])
    assert len(found.frame) == 10_000
    page, noted = opened(write_report(found, tmp_path / "report.html"))
    assert page.locator(".group").count() == 25
    assert "25 of 2,500 rows shown" in page.locator(".count").inner_text()
    assert page.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart") < 15_000
    assert noted == []

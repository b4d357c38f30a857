"""The playground in JupyterLab and Notebook 7: filled in, run, stopped, restored and copied by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from bifrost_nb import from_notebook
from bifrost_nb._simulator.process import LocalGateway
from tests.compare.test_messages import png
from tests.thorough import thorough

from .lab import Notebook
from .test_hostile import HOSTILE, canary  # noqa: F401 - a fixture
from .test_live import contrast

SETUP = "from bifrost_nb._notebook.playground.playground import playground\nplay = playground({arguments})\nplay"


class Page:
    """One playground on the page."""

    def __init__(self, notebook: Notebook, arguments: str = "client=client") -> None:
        self.notebook = notebook
        self.cell = notebook.run(SETUP.format(arguments=arguments))
        self.root = self.cell.output.locator(".bifrost-pg-root")
        self.root.wait_for()

    def label(self, name: str) -> Any:
        """The control of that label."""
        return self.root.get_by_label(name, exact=True)

    def button(self, name: str) -> Any:
        """The button of that name; Run also says how many calls."""
        return self.root.locator(".bifrost-pg-run") if name == "Run" else self.root.get_by_role("button", name=name)

    @property
    def results(self) -> Any:
        """The rendered answers: the open one of the rounds, which the notebook keeps."""
        return self.cell.output.locator(".bifrost-rounds > details[open]")

    def ready(self) -> None:
        """Until what was filled in has been checked and can be run."""
        self.notebook.until(self.button("Run").is_enabled, 30, f"Run: {self.root.inner_text()[-300:]}")

    def run(self) -> None:
        """Run to the end."""
        self.ready()
        before = self.rounds
        self.button("Run").click()
        self.notebook.until(lambda: self.rounds > before, 30, "the round to end")

    @property
    def rounds(self) -> int:
        """How many earlier rounds are offered."""
        return int(self.label("Earlier rounds").locator("option[value]:not([value=''])").count())


def python(notebook: Notebook, expression: str) -> str:
    """What Python prints for `expression`."""
    cell = notebook.run(f"print({expression})")
    return str(cell.outputs[-1]["text"]).rstrip("\n")


def test_a_flow_by_hand(either: Notebook, gateway: LocalGateway) -> None:
    """Search and choose deployments, type a prompt with a variable, run, read, restore, copy; Python sees all of it."""
    gateway.script([{"prompt": "green", "text": ["A ", "**green** ", "answer."], "hold_after_chunks": 2}])
    page = Page(either)
    assert not page.button("Run").is_enabled()
    options = page.root.locator(".bifrost-pg-option")
    either.until(lambda: options.count() > 5, 30, "the deployments")
    search = page.label("Search, or provider/model and Enter")
    search.fill("fast")
    either.until(lambda: options.all_inner_texts() == ["azure/fast"], 30, "one deployment")
    page.label("azure/fast").check()
    search.fill("azure large")
    search.press("Enter")
    assert page.root.locator(".bifrost-pg-chipname").all_inner_texts() == ["azure/fast", "azure/large"]
    page.label("Prompt; {{name}} makes a variable").fill("Say {{colour}}.")
    value = page.label("{{colour}}")
    value.wait_for()
    assert "Fill in {{colour}}" in page.root.locator(".bifrost-pg-line").inner_text()
    value.fill("green")
    page.label("Max tokens").fill("40")
    page.label("Temperature").fill("0.5")
    page.ready()
    assert page.button("Run").inner_text() == "Run · 2 calls"
    page.button("Run").click()
    names = page.cell.pane.locator(".bifrost-name")
    either.until(lambda: names.all_inner_texts() == ["azure/fast", "azure/large"], 30, "the race")
    texts = page.cell.pane.locator(".bifrost-text")
    either.until(lambda: texts.all_text_contents() == ["A **green** "] * 2, 30, "text")
    answer = {"text": ["A ", "**green** ", "answer."]}
    gateway.script([{"prompt": "green", **answer}])
    either.until(lambda: page.results.locator("strong", has_text="green").count() == 2, 30, "rendered answers")
    either.until(lambda: page.cell.pane.count() == 0, 30, "the race gone")
    line = page.root.locator(".bifrost-pg-line")
    either.until(lambda: "2 runs: 2 done" in line.inner_text(), 30, "the count")
    assert python(either, "play.frame['response'].tolist()") == str(["A **green** answer."] * 2)
    assert python(either, "play.request['max_tokens'], play.request['temperature']") == "40 0.5"
    page.label("Prompt; {{name}} makes a variable").fill("Something else.")
    page.run()
    assert python(either, "play.frame['prompt'].unique().tolist()") == "['Something else.']"
    page.label("Earlier rounds").select_option(index=1)
    page.button("Restore").click()
    prompt = page.label("Prompt; {{name}} makes a variable")
    either.until(lambda: prompt.input_value() == "Say {{colour}}.", 30, "the old prompt")
    assert page.label("{{colour}}").input_value() == "green"
    either.until(lambda: page.results.locator("strong", has_text="green").count() == 2, 30, "the old answers")
    chooser = page.label("Earlier rounds")
    assert chooser.input_value() == "1"
    either.run("play.restore(2);")
    either.until(lambda: chooser.input_value() == "2", 30, "the chooser to name the restored round")
    either.run("play.restore(1);")
    either.until(lambda: chooser.input_value() == "1", 30, "the chooser to name the restored round")
    page.button("Copy as code").click()
    code = page.label("Code")
    code.wait_for()
    assert "bf.compare(" in code.input_value()
    assert "[{'colour': 'green'}]" in code.input_value()


def test_a_click_counts_though_the_form_changes_under_it(lab: Notebook) -> None:
    """What Python tells between press and release, as after the last key, moves nothing until the click has come."""
    page = Page(lab, "['azure/fast'], 'Say {{colour}} {{shade}}.', values={'colour': 'a', 'shade': 'b'}, client=client")
    page.ready()
    fields = page.root.locator(".bifrost-pg-variables textarea")
    assert fields.count() == 2
    page.label("Prompt; {{name}} makes a variable").fill("Something else.")
    page.button("Run").click(delay=500)
    lab.until(lambda: page.rounds == 1, 30, "the round to end")
    assert fields.count() == 0


def test_by_keyboard(lab: Notebook, gateway: LocalGateway) -> None:
    """Every control is reached by Tab and has a name; keys act on it and not on the notebook; Ctrl+Enter runs."""
    gateway.script([{"prompt": "slowly", "chunks": 10_000, "first_text_ms": 50, "gap_ms": 20}])
    page = Page(lab, "'azure/fast', 'slowly {{a}}', values={'a': 'x'}, client=client")
    cells = lab.page.locator(".jp-Notebook .jp-Cell").count()
    lab.until(lambda: page.root.locator(".bifrost-pg-option").count() > 5, 30, "the deployments")
    page.button("Settings of azure/fast").focus()
    lab.page.keyboard.press("Tab")  # from now on the focus is moved by keys, and shown
    lab.page.keyboard.press("Shift+Tab")
    names, boxes = [], 0
    for _ in range(60):
        name, kind, outline = lab.page.evaluate(
            """() => { const e = document.activeElement;
                const label = e.getAttribute('aria-label') || (e.labels && e.labels[0] && e.labels[0].textContent)
                    || e.textContent;
                return [label, e.type || e.tagName, getComputedStyle(e).outlineStyle]; }"""
        )
        names.append(name)
        assert name, kind
        assert outline == "solid", name
        boxes += kind == "checkbox"
        if name == "Keep prompt":
            break
        lab.page.keyboard.press("Tab")
    twin = "Ask azure/fast twice, with other settings"
    assert names[:3] == ["Settings of azure/fast", twin, "Remove azure/fast"]
    assert names[3] == "Search, or provider/model and Enter"
    assert boxes > 5
    expected = [
        "Settings of azure/fast",
        "Fallbacks, in order",
        "Add a turn",
        "Attach pictures",
        "Keep prompt",
        "Prompt; {{name}} makes a variable",
        "{{a}}",
        "Temperature",
        "Max tokens",
    ]
    expected += ["Top p", "Stop, one per line", "Seed", "Choices (n)", "Repeats", "Run", "Copy as", "Copy as code"]
    assert [name for name in expected if name not in names] == []
    page.label("azure/large").focus()
    for key in ("Space", "a", "b", "ArrowDown", "Escape"):
        lab.page.keyboard.press(key)
    assert page.label("azure/large").is_checked()
    page.label("Text completion").focus()
    lab.page.keyboard.press("ArrowDown")
    assert page.label("Chat").is_checked()
    assert page.label("System").is_visible()
    lab.page.keyboard.press("ArrowUp")
    page.label("Prompt; {{name}} makes a variable").focus()
    page.ready()
    lab.page.keyboard.press("Control+Enter")
    states = page.cell.pane.locator(".bifrost-state")
    lab.until(lambda: states.all_inner_texts() == ["answering"] * 2, 30, "two columns")
    assert lab.kernel == "idle"
    page.cell.pane.get_by_role("button", name="Stop azure/large", exact=True).press("Enter")
    lab.until(lambda: states.all_inner_texts() == ["answering", "stopped"], 30, "one column to stop")
    page.root.get_by_role("button", name="Stop", exact=True).press("Enter")
    lab.until(lambda: page.cell.pane.count() == 0, 30, "the end")
    assert python(lab, "play.frame['status'].tolist()") == "['cancelled', 'cancelled']"
    assert lab.page.locator(".jp-Notebook .jp-Cell").count() == cells + 1


def test_cells_run_beside_it(lab: Notebook, gateway: LocalGateway) -> None:
    """While a round is under way the kernel is free, and Python sees how far it is."""
    gateway.script([{"prompt": "slowly", "chunks": 10_000, "first_text_ms": 50, "gap_ms": 20}])
    page = Page(lab, "['azure/fast'], 'slowly', client=client")
    page.ready()
    page.button("Run").click()
    text = page.cell.pane.locator(".bifrost-text")
    lab.until(lambda: text.count() and len(text.inner_text()) > 20, 30, "text")
    assert python(lab, "play.running") == "True"
    seen = len(text.inner_text())
    lab.until(lambda: len(text.inner_text()) > seen, 30, "more text")
    assert not page.button("Run").is_enabled()
    lab.run("play.stop()")
    lab.until(page.results.count, 30, "the results")
    assert python(lab, "play.running") == "False"


def test_python_changes_the_form(lab: Notebook, gateway: LocalGateway) -> None:
    """What Python fills in is on the page; typing goes on from there, and a bound frame names its variables."""
    page = Page(lab, "client=client")
    lab.run(
        "import pandas as pd\nplay.update(deployments=['azure/fast'], prompt='{{a}} {{b}} {{toString}}', chat=True,"
        " stop=['\\n'], inputs=pd.DataFrame({'a': [1, 2]}), values={'b': 'typed'}, repeats=2);"
    )
    prompt = page.label("Prompt; {{name}} makes a variable")
    lab.until(lambda: prompt.input_value() == "{{a}} {{b}} {{toString}}", 30, "the prompt")
    assert page.label("Chat").is_checked()
    assert page.label("Stop, one per line").input_value() == "\\n"
    assert page.label("{{b}}").input_value() == "typed"
    assert page.label("{{toString}}").input_value() == ""  # and not what JavaScript calls so
    page.label("{{toString}}").fill("text")
    assert "from the bound rows" in page.root.inner_text()
    page.ready()
    assert page.button("Run").inner_text() == "Run · 4 calls"
    prompt.press("End")
    prompt.type("!")
    lab.until(lambda: python(lab, "play.form.prompt") == "{{a}} {{b}} {{toString}}!", 30, "the typed prompt")
    assert prompt.input_value() == "{{a}} {{b}} {{toString}}!"


@pytest.fixture
def hostile(canary: tuple[str, list[str]]) -> tuple[str, list[str]]:  # noqa: F811 - a fixture
    """Hostile markup, and who asked the server that it names."""
    address, asked = canary
    return HOSTILE.format(canary=address), asked


@pytest.mark.parametrize("size", [7, *thorough(10_000)])
def test_markup_everywhere(lab: Notebook, gateway: LocalGateway, hostile: tuple[str, list[str]], size: int) -> None:
    """Markup in answers, prompts, variables, names and history is text in every part of the playground."""
    text, asked = hostile
    gateway.script([{"text": [text[start : start + size] for start in range(0, len(text), size)], "gap_ms": 2}])
    lab.page.evaluate("window.__ran = 0")
    lab.run(f"markup = {text!r}")
    page = Page(lab, "['azure/fast', 'azure/<img src=x onerror=\"window.__ran=9\">'], markup, client=client")
    page.run()
    lab.until(lambda: page.results.count() and "the end" in page.results.inner_text(), 30, "the answers")
    page.button("Copy as code").click()
    page.label("Code").wait_for()
    lab.run("play")
    active = "script, img, iframe, style, link, object, embed, video, form, base, meta, [onerror], [onload]"
    shown = page.cell.output.locator(".bifrost-playground-box, .bifrost-rounds")
    assert shown.locator(active).count() == 0
    assert shown.locator("a[href^=javascript]").count() == 0
    assert "<script>window.__ran = 1</script>" in page.results.inner_text()
    lab.page.wait_for_timeout(200)
    assert lab.page.evaluate("window.__ran") == 0
    assert asked == []


STORY = "The tide turns twice a day, and **nobody** sees it.\n\n* first the sound\n* then the salt\n\nSo be it. "


@pytest.mark.parametrize("theme", ["Light", *thorough("Dark")])
def test_pictures(lab: Notebook, gateway: LocalGateway, pictures: Path, theme: Literal["Light", "Dark"]) -> None:
    """Pictures of both themes for people to look at; in both, text and ground differ enough to read."""
    words = [word + " " for word in (STORY * 6).split(" ")]
    gateway.script(
        [{"prompt": "tide", "text": words, "first_text_ms": 300, "gap_ms": 20, "hold_after_chunks": len(words)}]
    )
    lab.theme(theme)
    page = Page(
        lab,
        "['azure/fast', 'azure/large', 'openai/gpt-3.5-turbo-instruct'], 'A story about the {{thing}}.',"
        " values={'thing': 'tide'}, temperature=0.7, client=client",
    )
    page.ready()
    lab.picture(pictures / f"playground-form-{theme.lower()}.png", page.cell)
    for part in (
        ".bifrost-pg-legend",
        ".bifrost-pg-label",
        ".bifrost-pg-run",
        ".bifrost-pg-option",
        ".bifrost-pg-chip",
    ):
        assert contrast(page.root.locator(part).first) >= 4.5, (theme, part)
    page.button("Run").click()
    texts = page.cell.pane.locator(".bifrost-text")
    lab.until(lambda: texts.count() == 3 and len(texts.first.inner_text()) > 200, 30, "text")
    lab.picture(pictures / f"playground-live-{theme.lower()}.png", page.cell)
    gateway.script([])
    lab.until(lambda: page.rounds, 30, "the results")
    page.button("Copy as code").click()
    page.label("Code").wait_for()
    height = page.cell.output.evaluate("e => e.scrollHeight")
    lab.page.set_viewport_size({"width": 1280, "height": min(int(height) + 250, 2500)})
    lab.picture(pictures / f"playground-results-{theme.lower()}.png", page.cell)
    lab.page.set_viewport_size({"width": 480, "height": 1400})
    lab.picture(pictures / f"playground-narrow-{theme.lower()}.png", page.cell)
    lab.page.set_viewport_size({"width": 1280, "height": 900})
    lab.theme("Light")


@pytest.mark.parametrize("theme", ["Light", *thorough("Dark")])
def test_scores(lab: Notebook, gateway: LocalGateway, pictures: Path, theme: Literal["Light", "Dark"]) -> None:
    """Scorers that Python gave are chosen on the page; badges and means come with the answers, in both themes."""
    gateway.script(
        [
            {"deployment": "azure/fast", "prompt": "Peru", "text": ["It is Lima."]},
            {"text": ["It is Paris, which everybody knows."]},
        ]
    )
    lab.theme(theme)
    lab.run(
        "import bifrost_nb as bf\n"
        "rows = [{'country': 'France', 'capital': 'Paris'}, {'country': 'Peru', 'capital': 'Lima'}]\n"
        "scores = {'capital': bf.scorers.contains('capital'), 'short': bf.scorers.length(max=20)}"
    )
    arguments = "['azure/fast', 'azure/large'], 'Capital of {{country}}?', inputs=rows, score=scores, client=client"
    page = Page(lab, arguments)
    boxes = page.root.get_by_role("group", name="Scores", exact=True).get_by_role("checkbox")
    assert boxes.count() == 2
    page.run()
    lab.until(lambda: page.results.count() and "✓ short" in page.results.inner_text(), 30, "the badges")
    assert page.results.inner_text().count("✓ capital") == 3
    assert page.results.inner_text().count("✕ capital") == 1
    height = page.cell.output.evaluate("e => e.scrollHeight")
    lab.page.set_viewport_size({"width": 1280, "height": min(int(height) + 250, 2500)})
    lab.picture(pictures / f"playground-scores-{theme.lower()}.png", page.cell)
    lab.page.set_viewport_size({"width": 1280, "height": 900})
    assert contrast(page.root.locator(".bifrost-pg-kind").last) >= 4.5
    boxes.nth(1).uncheck()
    lab.until(lambda: python(lab, "play.form.scores") == "('score_capital',)", 30, "the choice")
    page.run()
    lab.until(lambda: page.results.count() and "#2" in page.results.inner_text(), 30, "the second round")
    assert "short" not in page.results.inner_text()
    assert "✓ capital" in page.results.inner_text()
    lab.theme("Light")


CHATS = "'openai/gpt-4o-mini'"


@pytest.mark.parametrize("theme", ["Light", *thorough("Dark")])
def test_prompts_beside_each_other(
    lab: Notebook, gateway: LocalGateway, pictures: Path, theme: Literal["Light", "Dark"]
) -> None:
    """A kept prompt is ticked, another one typed: both race, and the scores stand side by side, row by row."""
    answers = [{"prompt": "Briefly", "text": ["leaf"]}, {"text": ["I would say water."]}]
    gateway.script([{**one, "first_text_ms": 1500} for one in answers])
    lab.theme(theme)
    lab.run("import bifrost_nb as bf")
    rows = "inputs={'thing': ['tea', 'rain'], 'of': ['leaf', 'water']}, score=bf.scorers.contains('of')"
    page = Page(lab, f"'azure/fast', 'Briefly: {{{{thing}}}}?', {rows}, max_tokens=20, client=client")
    page.label("Name to keep the prompt by").fill("short")
    page.label("Name to keep the prompt by").press("Enter")
    box = page.root.get_by_role("group", name="Prompts asked side by side").get_by_label("short", exact=True)
    box.check()
    page.label("Prompt; {{name}} makes a variable").fill("Please, {{thing}}?")
    run = page.button("Run")
    lab.until(lambda: run.inner_text() == "Run · 4 calls", 30, "the count of calls")
    assert box.is_checked()
    page.ready()
    run.click()
    names = page.cell.pane.locator(".bifrost-name")
    lab.until(lambda: names.all_inner_texts() == ["azure/fast · short", "azure/fast · now"], 30, "the race")
    lab.until(lambda: page.rounds == 1, 30, "the round to end")
    for width in (1280, 700):
        lab.page.set_viewport_size({"width": width, "height": 900})
        lab.picture(pictures / f"playground-beside-{theme}-{width}.png", page.cell)
        box.evaluate("box => box.scrollIntoView()")
        lab.page.screenshot(path=pictures / f"playground-beside-{theme}-{width}-answers.png")
        assert lab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    lab.page.set_viewport_size({"width": 1280, "height": 900})
    assert page.results.get_by_text("✓ score").count() == page.results.get_by_text("✕ score").count() == 2
    box.focus()
    lab.page.keyboard.press("Space")
    lab.until(lambda: run.inner_text() == "Run · 2 calls", 30, "one prompt alone")


def test_a_second_click_takes_no_other_picture_away(lab: Notebook, tmp_path: Path) -> None:
    """The places of the pictures are about to change: until they are drawn again, their buttons do nothing."""
    files = [tmp_path / f"{name}.png" for name in ("red", "green", "blue")]
    for file, colour in zip(files, ("#ff0000", "#00ff00", "#0000ff"), strict=True):
        file.write_bytes(png(colour))
    page = Page(lab, f"{CHATS}, 'What is this?', client=client")
    page.root.locator("input[type=file]").set_input_files(files)
    images, buttons = (page.root.locator(f".bifrost-pg-attached {part}") for part in ("img", ".bifrost-pg-remove"))
    lab.until(lambda: images.count() == 3, 30, "three pictures")
    sources = "all => all.map(image => image.getAttribute('src'))"  # at one moment: they may go between two questions
    kept = images.evaluate_all(sources)[1:]
    buttons.evaluate_all("all => { all[0].click(); all[1].click(); }")
    lab.until(lambda: images.count() < 3, 30, "a picture less")
    lab.run("1")  # whatever else was sent has arrived
    assert images.evaluate_all(sources) == kept
    buttons.first.click()
    lab.until(lambda: images.evaluate_all(sources) == kept[1:], 30, "one picture")


HEIGHTS = """chips => chips.map(chip => {
  const middles = [...chip.querySelectorAll("button")].filter(one => !one.closest(".bifrost-pg-own"))
    .map(one => one.getBoundingClientRect()).map(box => (box.top + box.bottom) / 2);
  return Math.max(...middles) - Math.min(...middles);
})"""
"""Of each chosen deployment, how far apart its buttons stand."""


@pytest.mark.parametrize("theme", ["Light", *thorough("Dark")])
def test_a_conversation_by_hand(
    lab: Notebook, gateway: LocalGateway, pictures: Path, tmp_path: Path, theme: Literal["Light", "Dark"]
) -> None:
    """A column asked twice with other settings, a picture, a kept prompt, a second turn, changes in words; all is kept.

    The saved file alone shows the rounds to whoever opens it: no kernel, no widget.
    """
    answers = [{"prompt": "And", "text": "It is **dry**."}, {"text": ["A *red* ", "square."]}]
    gateway.script([answers[0], {**answers[1], "hold_after_chunks": 1}])
    (tmp_path / "red.png").write_bytes(png())
    lab.theme(theme)
    page = Page(lab, f"{CHATS}, 'What is this?', max_tokens=20, client=client")
    page.button("Ask openai/gpt-4o-mini twice, with other settings").click()
    own = page.root.get_by_role("group", name="Settings of openai/gpt-4o-mini (2)", exact=True)
    own.get_by_label("Temperature").fill("0.3")
    assert all(height < 10 for height in page.root.locator(".bifrost-pg-chip").evaluate_all(HEIGHTS)), (
        "one on each line"
    )
    page.root.locator("input[type=file]").set_input_files(tmp_path / "red.png")
    page.root.locator(".bifrost-pg-attached img").wait_for()
    page.label("Name to keep the prompt by").fill("first")
    page.label("Name to keep the prompt by").press("Enter")
    lab.until(lambda: page.label("Kept prompt").locator("option").count() == 1, 30, "the kept prompt")
    page.ready()
    page.button("Run").click()
    page.cell.pane.locator(".bifrost-pictures img").wait_for()
    names = page.cell.pane.locator(".bifrost-name")
    lab.until(lambda: names.all_inner_texts() == [CHATS[1:-1], f"{CHATS[1:-1]} (2)"], 30, "the race")
    gateway.script(answers)
    lab.until(lambda: page.rounds == 1, 30, "the round to end")
    bodies = [one["body"] for one in gateway.requests() if one["method"] == "POST"]
    assert {body.get("temperature") for body in bodies} == {None, 0.3}
    assert all(body["messages"][0]["content"][1]["type"] == "image_url" for body in bodies)
    page.label("Continue with the answer of").select_option("openai/gpt-4o-mini (2)")
    page.button("Continue").click()
    lab.until(lambda: page.root.locator(".bifrost-pg-turn").count() == 2, 30, "the turns")
    assert page.label("Turn 2").input_value() == "A *red* square."
    assert page.root.locator(".bifrost-pg-turn img").count() == 1
    page.label("Turn 2").fill("A red square, edited.")
    page.label("Prompt; {{name}} makes a variable").fill("And in winter?")
    page.run()
    turns = [one["body"] for one in gateway.requests() if one["method"] == "POST"][-1]["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[0]["content"][1]["type"] == "image_url"
    assert (turns[1]["content"], turns[2]["content"]) == ("A red square, edited.", "And in winter?")
    page.label("Continue with the answer of").select_option("each with its own")
    page.button("Continue").click()
    chats = page.root.get_by_role("group", name="Each column's own conversation", exact=True)
    lab.until(lambda: chats.locator("details").count() == 2, 30, "a conversation for each column")
    chats.locator("summary").first.click()
    assert "It is **dry**." in chats.inner_text()
    page.label("Prompt; {{name}} makes a variable").fill("And in spring?")
    page.run()
    asked = [one["body"]["messages"] for one in gateway.requests() if one["method"] == "POST"][-2:]
    assert [len(turns) for turns in asked] == [5, 5]
    assert contrast(chats.locator("summary").first) >= 4.5, theme
    page.button("Forget these conversations").click()
    lab.until(lambda: chats.count() == 0 or not chats.is_visible(), 30, "one conversation again")
    page.label("Earlier rounds").select_option(index=1)
    page.button("Restore").click()
    lab.until(lambda: page.root.locator(".bifrost-pg-turnlist .bifrost-pg-turn").count() == 2, 30, "the second round")
    page.button("Show changes").click()
    page.root.locator(".bifrost-pg-difftext ins").first.wait_for()
    assert "first → what is filled in" in page.root.locator(".bifrost-pg-diff").inner_text()
    for part in (".bifrost-pg-difftext ins", ".bifrost-pg-own-open", ".bifrost-pg-turn textarea"):
        assert contrast(page.root.locator(part).first) >= 4.5, (theme, part)
    for width in (1280, 700):
        lab.page.set_viewport_size({"width": width, "height": 900})
        height = page.cell.output.evaluate("e => e.scrollHeight")
        lab.page.set_viewport_size({"width": width, "height": min(int(height) + 250, 2500)})
        lab.picture(pictures / f"playground-chat-{width}-{theme.lower()}.png", page.cell)
        assert page.root.evaluate("e => e.scrollWidth <= e.clientWidth"), width
    lab.page.set_viewport_size({"width": 1280, "height": 900})
    page.label("Earlier rounds").select_option(index=2)
    page.button("Restore").click()
    lab.until(lambda: page.root.locator(".bifrost-pg-turn").count() == 0, 30, "the first round")
    output = lab.saved().cells[page.cell.index].outputs[-1]
    html = output.data["text/html"]
    for words in ("What is this?", "And in winter?", "<em>red</em>", "temperature 0.3", "Kept prompts: first"):
        assert words in html
    kept = [row["run_id"] for row in output.metadata["bifrost_nb"]["runs"]]
    rows = from_notebook(lab.path).set_index("run_id").loc[kept]
    assert rows["response"].tolist() == ["It is **dry**."] * 4 + ["A *red* square."] * 2
    if theme == "Light":
        reader = lab.page.context.new_page()
        reader.set_content(f"<body>{html}</body>")
        assert reader.locator("details").first.inner_text()
        assert reader.locator("img").count() >= 1
        reader.close()
    lab.theme("Light")


@pytest.mark.parametrize("theme", ["Light", *thorough("Dark")])
def test_a_schema_by_hand(
    lab: Notebook, gateway: LocalGateway, pictures: Path, theme: Literal["Light", "Dark"]
) -> None:
    """A schema is typed on the page: a mistake is said beside it, who fits it beside the answers, both in the file."""
    gateway.script(
        [
            {"deployment": "openai/gpt-4o-mini", "text": ['{"city": "Oslo", "quantity": 3}']},
            {"text": ['{"city": "Oslo", "quantity": "three"}']},
        ]
    )
    lab.theme(theme)
    page = Page(lab, "['openai/gpt-4o-mini', 'azure/gpt-4o'], 'Read: three to Oslo', client=client")
    schema = page.label("Answer schema, as JSON; empty takes any answer")
    written = (
        '{"title": "Order", "type": "object", "properties": {"city": {"type": "string"}, "quantity": "integer"},\n'
        ' "required": ["city", "quantity"]}'
    )
    schema.fill(written)
    said = page.root.locator(".bifrost-pg-schema .bifrost-pg-quiet")
    lab.until(lambda: "wrong at properties.quantity" in said.inner_text(), 30, "the mistake")
    assert schema.get_attribute("aria-invalid") == "true"
    assert not page.button("Run").is_enabled()
    assert contrast(said) >= 4.5
    lab.picture(pictures / f"playground-schema-wrong-{theme.lower()}.png", page.cell)
    schema.fill(written.replace('"integer"', '{"type": "integer"}'))
    lab.until(lambda: said.inner_text() == "Answers are read as Order: city, quantity", 30, "the fields")
    assert schema.get_attribute("aria-invalid") == "false"
    page.run()
    lab.until(lambda: "1 of 1 valid" in page.results.inner_text(), 30, "who fits")
    assert "0 of 1 valid" in page.results.inner_text()
    assert "quantity: 'three' is not of type 'integer'" in page.results.inner_text()
    for width in (1280, 700):
        lab.page.set_viewport_size({"width": width, "height": 900})
        height = page.cell.output.evaluate("e => e.scrollHeight")
        lab.page.set_viewport_size({"width": width, "height": min(int(height) + 250, 2500)})
        lab.picture(pictures / f"playground-schema-{width}-{theme.lower()}.png", page.cell)
        assert page.root.evaluate("e => e.scrollWidth <= e.clientWidth"), width
    lab.page.set_viewport_size({"width": 1280, "height": 900})
    schema.fill("")
    lab.until(lambda: not said.is_visible(), 30, "nothing to be said")
    page.run()
    page.label("Earlier rounds").select_option(index=1)
    page.button("Restore").click()
    lab.until(lambda: '"integer"' in schema.input_value(), 30, "the schema of the first round")
    html = lab.saved().cells[page.cell.index].outputs[-1].data["text/html"]
    for words in ("Answers are read as Order", "1 of 1 valid", "0 of 1 valid"):
        assert words in html
    lab.theme("Light")


def test_ctrl_enter_right_after_the_last_key(lab: Notebook) -> None:
    """Typed and sent in one go: it runs, though the kernel has not yet said that the form is complete."""
    page = Page(lab, "['azure/fast'], 'Say {{colour}}.', client=client")
    line = page.root.locator(".bifrost-pg-line")
    lab.until(lambda: "Fill in {{colour}}" in line.inner_text(), 30, "what is missing")
    page.label("{{colour}}").focus()
    lab.page.evaluate(
        """() => { const field = document.activeElement; field.value = "green";
        field.dispatchEvent(new Event("input", { bubbles: true }));
        field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true })); }"""
    )
    lab.until(lambda: "1 run: 1 done" in line.inner_text(), 30, "the answer")

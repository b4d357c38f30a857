"""Placeholders are filled in; everything else in a prompt is the prompt's own."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from bifrost_nb._prompts.template import escape, render, variables
from bifrost_nb._runs.run import Run
from bifrost_nb.errors import TemplateError


@dataclass
class Product:
    name: str
    price: float = 3.5

    @property
    def title(self) -> str:
        return self.name.title()

    @property
    def broken(self) -> str:
        raise RuntimeError("no database")

    def method(self) -> str:
        raise AssertionError("a template called something")

    def __call__(self) -> str:
        raise AssertionError("a template called something")


VALUES: dict[str, Any] = {
    "name": "tea pot",
    "row": {"name": "cup", "a b": "blank", "nested": {"deep": [1, {"x": "found"}]}},
    "items": ["zero", "one"],
    "product": Product("kettle"),
    "frame": pd.DataFrame({"name": ["a", "b"], "cost": [1, 2]}),
    "series": pd.Series({"name": "from a row", "a b": 2}),
    "answer": Run(response="the answer", texts=["the answer"], status="ok"),
    "größe": "umlaut",
    "os": os,
    "function": len,
    "none": None,
    "na": pd.NA,
    "nan": math.nan,
    "secret_": "x",
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{name}}", "tea pot"),
        ("{{ name }}", "tea pot"),
        ("{{\tname\t}}", "tea pot"),
        ("{{\xa0name\u202f}}", "tea pot"),
        ("{{\u200bname\ufeff}} {{{{\xa0name}}}}", "tea pot {{\xa0name}}"),
        ("a {{name}} b {{name}}", "a tea pot b tea pot"),
        ("{{row.name}}", "cup"),
        ('{{row["name"]}}', "cup"),
        ("{{row['a b']}}", "blank"),
        ('{{ row[ "a b" ] }}', "blank"),
        ("{{row.nested.deep[1].x}}", "found"),
        ("{{items[0]}}", "zero"),
        ("{{items[-1]}}", "one"),
        ("{{product.name}}", "kettle"),
        ("{{product.title}}", "Kettle"),
        ("{{product.price}}", "3.5"),
        ("{{series.name}}", "from a row"),
        ("{{series['a b']}}", "2"),
        ("{{answer.text}}", "the answer"),
        ("{{größe}}", "umlaut"),
        ('{"a": {{items[1]}}}', '{"a": one}'),
        ("{{{name}}}", "{tea pot}"),
    ],
)
def test_placeholders_are_filled_in(template: str, text: str) -> None:
    """Names, attributes and items, to any depth, with blanks inside the braces."""
    assert render(template, VALUES) == text


UNTOUCHED = [
    "",
    "plain",
    "it's an apostrophe",
    'an "open quote',
    "an (open [bracket {",
    '{"json": {"a": [1, {}]}}',
    "{'dict': {1: {2: 3}}}",
    "{}",
    "{name}",
    "{0} {1!r} {x:>10}",
    "{{}}",
    "{{ }}",
    "{{",
    "}}",
    "{{{{",
    "{{{{}}}}",
    "{{ name",
    "name }}",
    "{{name}",
    "{name}}",
    "{{na me}}",
    "{{1name}}",
    "{{name()}}",
    "{{name + 1}}",
    "{{name|upper}}",
    "{{name.}}",
    "{{.name}}",
    "{{name[}}",
    "{{name[]}}",
    "{{name[x]}}",
    "{{name[0:1]}}",
    "{{*name}}",
    "{{#if x}}{{/if}}",
    "{{> partial}}",
    "{{! comment }}",
    "{{\nname\n}}",
    "{% for x in y %}{% endfor %}",
    "{# comment #}",
    "\\frac{a}{b} \\text{{,}} x^{2}",
    "$x $name ${name} $$",
    "100 % %s %(name)s %d",
    "a << b >> c",
    "f'{x!r:{width}}'",
    "@{name} #{name} <%= name %>",
    "trailing blank lines\n\n\n",
    "\n\n  leading",
    "tabs\tand\r\nline ends\r",
    "\\{{ not",
    "end with {",
    "`{{` and `}}`",
    "emoji 🫖 and \u2028",
]


@pytest.mark.parametrize("template", UNTOUCHED)
def test_everything_else_passes_through(template: str) -> None:
    """JSON, code, LaTeX, other template languages and lone braces are sent as written."""
    assert render(template, VALUES) == template
    assert variables(template) == []


@given(st.text(alphabet="{}[]()$%\\'\" \nna.0|_é"))
def test_text_without_a_placeholder_never_changes(template: str) -> None:
    """Whatever is not exactly a placeholder comes out as it went in, and rendering never fails otherwise."""
    try:
        text = render(template, {})
    except TemplateError:
        assert variables(template)
    else:
        assert text == template or "{{{{" in template


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{{{name}}}}", "{{name}}"),
        ("{{{{ row.name }}}}", "{{ row.name }}"),
        ("{{{{undefined}}}}", "{{undefined}}"),
        ("{{{{{{name}}}}}}", "{{{{name}}}}"),
        ("{{{{name}}}} is {{name}}", "{{name}} is tea pot"),
        ("{{{{name}}", "{{tea pot"),
        ("{{name}}}}", "tea pot}}"),
    ],
)
def test_doubled_braces_are_the_escape(template: str, text: str) -> None:
    """Doubling a placeholder's braces sends it as it is, one pair of braces less."""
    assert render(template, VALUES) == text


def test_values_are_not_templates() -> None:
    """Braces inside a value are sent as they are: no value can reach another one."""
    assert render("{{a}}", {"a": "{{b}} {{{{b}}}}", "b": "secret"}) == "{{b}} {{{{b}}}}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is ", "as it is "),
        (3, "3"),
        (2.5, "2.5"),
        (True, "True"),
        (0, "0"),
        (Decimal("1.10"), "1.10"),
        (np.int64(4), "4"),
        (np.float32(0.5), "0.5"),
        (date(2026, 1, 2), "2026-01-02"),
        (pd.Timestamp("2026-01-02 03:04"), "2026-01-02 03:04:00"),
        (b"bytes", "bytes"),
        (["a", 1, None, "ü"], '["a", 1, null, "ü"]'),
        ({"a": {"b": 1.5}}, '{"a": {"b": 1.5}}'),
        ((1, 2), "[1, 2]"),
        ({"b", "a"}, '["a", "b"]'),
        ([date(2026, 1, 2)], '["2026-01-02"]'),
        (Product("x"), "Product(name='x', price=3.5)"),
        (Run(response="hi", texts=["hi"], status="ok"), "hi"),
    ],
)
def test_values_become_text_by_a_clear_rule(value: Any, text: str) -> None:
    """Text as it is, numbers and dates by str, lists and mappings as JSON, other objects by their own text."""
    assert render("{{value}}", {"value": value}) == text


def test_a_frame_goes_in_whole() -> None:
    """A DataFrame is not cut at sixty rows, as its str would be."""
    frame = pd.DataFrame({"number": range(200)})
    assert render("{{frame}}", {"frame": frame}).count("\n") == 200
    assert "..." not in render("{{frame.number}}", {"frame": frame})


@pytest.mark.parametrize("value", [None, math.nan, pd.NA, pd.NaT, np.float32("nan"), Decimal("nan")])
def test_a_missing_value_is_an_error_that_names_the_row(value: Any) -> None:
    """None and NaN are never sent as words; the error says for which row and what to do, which is not about braces."""
    way = "None, which is no text: give it a value" if value is None else "NA, which is no text: fill or drop it"
    with pytest.raises(TemplateError) as caught:
        render("{{value}}", {"value": value}, where="row 3")
    assert str(caught.value) == f"{{{{value}}}} is {way} first (row 3)."


@pytest.mark.parametrize("name", ["my column", "my-column", "1st", "first.name?"])
def test_an_input_that_no_placeholder_can_name_is_told(name: str) -> None:
    """Such braces were sent as they stand, for every row; other braces still are, and four of them."""
    for written in (f"About {{{{{name}}}}}.", f"About {{{{ {name} }}}}."):
        with pytest.raises(TemplateError, match="names an input, and a placeholder has letters, digits and _ only"):
            render(written, {name: "x"})
        assert render(written, {"other": "x"}) == written
    assert render(f"{{{{{{{{{name}}}}}}}}}", {name: "x"}) == f"{{{{{{{{{name}}}}}}}}}"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_the_same_however_its_accents_are_written(form: Any) -> None:
    """macOS and PDFs write them as signs of their own, with which a placeholder was sent as it stood."""
    written = unicodedata.normalize("NFD", "Größe: {{größe}}, {{ maß.länge }}, {{nö-tig}}")
    values = {unicodedata.normalize(form, name): value for name, value in (("größe", 7), ("maß", {"länge": 3}))}
    assert variables(written) == ["größe", "maß"]
    assert render(written, values) == unicodedata.normalize("NFD", "Größe: 7, 3, {{nö-tig}}")
    assert render("{{größe}}", {**values, "größe": 8}) == "8"
    with pytest.raises(TemplateError, match=r"\{\{größe\}\} is not defined"):
        render(written, {"grosse": 7, "maß": values[unicodedata.normalize(form, "maß")]})


def test_all_undefined_names_are_reported_together() -> None:
    """One error names every placeholder without a value, each once, with near matches and the escape."""
    with pytest.raises(TemplateError) as caught:
        render("{{nmae}} {{other}} {{row.nam}} {{nmae}} {{row['a  b']}} {{items[9]}} {{product.titel}}", VALUES)
    message = str(caught.value)
    assert message.count("{{nmae}} is not defined (did you mean name or na?)") == 1
    assert "{{other}} is not defined" in message
    assert message.index("Give nmae a value: assign it") < message.index("To send the braces themselves")
    assert "{{row.nam}} has no nam in row (did you mean name" in message
    assert "did you mean a b?" in message
    for hidden, shown in (("word ", "'word '"), ("word\xa0", r"'word\xa0'"), ("\u200bword", r"'\u200bword'")):
        with pytest.raises(TemplateError) as caught:
            render("{{word}}", {hidden: 1})
        assert f"did you mean {shown}?" in str(caught.value)  # else the very name that was written is proposed
    assert "{{items[9]}} has no [9] in items" in message
    assert "{{product.titel}} has no titel in product (did you mean title?)" in message
    assert "{{{{name}}}}" in message


@pytest.mark.parametrize(
    "template",
    [
        "{{product.__class__}}",
        "{{product.__init__.__globals__}}",
        "{{product._private}}",
        "{{row.__class__}}",
        "{{__builtins__}}",
        "{{__name__}}",
        "{{os.environ}}",
        "{{os.path}}",
        "{{os['environ']}}",
        "{{os}}",
        "{{function}}",
        "{{function.__self__}}",
        "{{product.method}}",
        "{{product.method.__globals__}}",
        "{{items.append}}",
        "{{product.broken}}",
        "{{name.format}}",
        "{{none}}",
        "{{none.x}}",
        "{{na}}",
        "{{nan}}",
        "{{plain}}",
    ],
)
def test_hostile_templates_reach_nothing(template: str) -> None:
    """A stranger's template reads no internals, no modules, calls nothing, and fails as a TemplateError."""
    with pytest.raises(TemplateError):
        render(template, {**VALUES, "plain": object(), "__name__": "x", "__builtins__": __builtins__})


def test_no_name_of_ipython_is_proposed() -> None:
    """A notebook has `Out` and `In`, which nobody meant by `produkt`; the user's own names are proposed."""
    with pytest.raises(TemplateError) as caught:
        render("{{produkt}}", {"Out": {}, "In": []})
    assert "did you mean" not in str(caught.value)
    with pytest.raises(TemplateError, match=r"did you mean product\?"):
        render("{{produkt}}", {"Out": {}, "product": "tea"})


def test_variables_are_listed_once_in_order() -> None:
    """The names a template needs, without those that are escaped."""
    assert variables("{{b}} {{a.x}} {{b['c d']}} {{{{d}}}} {{e[0]}}") == ["b", "a", "e"]


def test_templates_need_no_pandas() -> None:
    """Filling in a prompt loads no table library."""
    source = "import sys; from bifrost_nb._prompts import template; template.render('{{a}}', {'a': 1})"
    check = "; sys.exit('pandas' in sys.modules)"
    subprocess.run([sys.executable, "-c", source + check], check=True)


@given(st.text(alphabet="{}[]. \nna0"))
def test_an_escaped_text_renders_to_itself(text: str) -> None:
    """Any text can be sent through a template unchanged: `escape` doubles the braces of placeholders."""
    assert render(escape(text), {}) == text

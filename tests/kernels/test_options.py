"""Every option of the magic, each in real kernels: what the gateway received, what Python then holds."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bifrost_nb.gateway.local import LocalGateway

from .frontend import FrontEnd
from .test_magic import TEXT, loaded

__all__ = ["loaded"]

CHAT = "openai/gpt-4o-mini"
TWO = f"{TEXT} --max-tokens 2"
BY_CODE = "get_ipython().run_cell_magic"
AWKWARD = 'it\'s {"a": [1, {}]} $x $$ % << \\frac{a}{b} ("open\n\nlast'

# name: cell, what the last request's body holds, a Python expression that is then true
ROWS: dict[str, tuple[str, dict[str, Any], str]] = {
    "max tokens": (f"%%bifrost {TEXT} --max-tokens 3 -o a\nhi", {"max_tokens": 3, "stream": True}, "a.status == 'ok'"),
    "sampling": (
        f"%%bifrost {TWO} -t 0.5 --top-p 0.9 --seed 7 -o a\nhi",
        {"temperature": 0.5, "top_p": 0.9, "seed": 7},
        "a.params['seed'] == 7",
    ),
    "choices": (f"%%bifrost {TEXT} -n 2 --max-tokens 2 -o a\nhi", {"n": 2}, "len(a.texts) == 2"),
    "stop": (f"%%bifrost {TWO} --stop END --stop '\\n'\nhi", {"stop": ["END", "\n"]}, "True"),
    "quoted value": (f"%%bifrost {TWO} -p user='a = {{b}} c'\nhi", {"user": "a = {b} c"}, "True"),
    "typed value": (f"%%bifrost {TWO} -p echo=true -p logprobs=2\nhi", {"echo": True, "logprobs": 2}, "True"),
    "fallback": (
        f"%%bifrost azure/always-fails --fallback {TEXT} --max-tokens 2 -o a\nhi",
        {"fallbacks": [TEXT]},
        f"a.is_fallback and a.served == {TEXT!r}",
    ),
    "chat": (
        f"%%bifrost {CHAT} --chat --system 'Be brief.' --max-tokens 20 -o a\nhi",
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]},
        "a.request_type == 'chat_completion'",
    ),
    "variables": (
        f"what = {{'name': ['sea']}}\n{BY_CODE}('bifrost', '{TWO}', 'The {{{{what.name[0]}}}}')",
        {"prompt": "The sea"},
        "True",
    ),
    "awkward text": (f"%%bifrost {TWO}\n{AWKWARD}", {"prompt": AWKWARD}, "True"),
    "second name": (f"%%bifrost_nb {TEXT} --max-tokens 2 -o a\nhi", {"prompt": "hi"}, "a.status == 'ok'"),
    "line form": (f'%bifrost {TEXT} --max-tokens 2 -o a "hi there"', {"prompt": "hi there"}, "a.status == 'ok'"),
    "several": (f"%%bifrost {TEXT} azure/fast --max-tokens 2 -o a\nhi", {"max_tokens": 2}, "len(a) == 2"),
    "repeat": (f"%%bifrost {TWO} --repeat 2 -p user=UNIQUE -o a\nhi", {"prompt": "hi"}, "len(a.frame) == 2"),
    "inputs": (
        f"rows = {{'x': ['one', 'two']}}\n{BY_CODE}('bifrost', '{TWO} -i rows -p user=UNIQUE -o a', 'Say {{{{x}}}}')",
        {"max_tokens": 2},
        "len(a.frame) == 2 and set(a.frame['prompt']) == {'Say one', 'Say two'}",
    ),
    "tags": (f"%%bifrost {TEXT} --tag team=a --max-tokens 2 -o a\nhi", {"prompt": "hi"}, "a.tags['team'] == 'a'"),
    "saved": (f"%%bifrost {TEXT} --save row --max-tokens 2\nkept {{{{{{{{z}}}}}}}}", {"prompt": "kept {{z}}"}, "True"),
    "quiet": (f"%%bifrost {TEXT} --quiet --max-tokens 2 -o a\nhi", {"prompt": "hi"}, "a.status == 'ok'"),
    "no raise": ("%%bifrost azure/always-fails --no-raise -o a\nhi", {"prompt": "hi"}, "a.status == 'error'"),
    "timeout": (f"%%bifrost {TEXT} --timeout 20 --max-tokens 2 -o a\nhi", {"prompt": "hi"}, "a.status == 'ok'"),
    "cache": (f"%%bifrost {TEXT} --cache on --max-tokens 2 -o a\nhi", {"prompt": "hi"}, "a.status == 'ok'"),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_an_option_in_a_real_kernel(loaded: FrontEnd, gateway: LocalGateway, row: str) -> None:
    """The option reaches the gateway as the field it names, and the result can be used from Python."""
    source, expected, then = ROWS[row]
    # Another kernel's comparison is in the log that all share: what it asked is not sent again.
    cell = loaded.run(source.replace("UNIQUE", f"u{time.monotonic_ns()}")).wait()
    assert cell.status == "ok", cell.error
    bodies = [record["body"] for record in gateway.requests() if record["method"] == "POST"]
    assert {name: bodies[-1].get(name) for name in expected} == expected
    assert loaded.value(f"bool({then})") == "True"


def test_dry_run_sends_nothing(loaded: FrontEnd, gateway: LocalGateway) -> None:
    """--dry-run says what would be sent and what it may cost."""
    cell = loaded.run(f"%%bifrost {TEXT} --dry-run --max-tokens 2\nhi").wait()
    assert cell.status == "ok"
    assert cell.shown
    assert not [record for record in gateway.requests() if record["method"] == "POST"]

"""What looks like a key and what does not; where a known key is taken out, and that nothing else changes."""

from __future__ import annotations

import json
import random
import string
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, Run, RunLog
from bifrost_nb._display.run import metadata
from bifrost_nb._keys import Secret, guarded, hide, hide_in, without_keys
from bifrost_nb._notebook.code_export import FORMS, copy

INNOCENT = [
    "from sklearn.linear_model import LogisticRegression",
    "Basic understanding first, then basic mathematics and basic_auth_middleware2",
    "tok.decode(ids, skip_special_tokens=True)",
    "https://skyscanner.com/pkg-config-0.29.2-release/rk-ecosystem-overview",
    "hf_hub_download_all, hf-inference-endpoint/skywork-reasoner-13b, hf_transfer_enabled_by_default",
    "sk-learn-something-new-every-day-2024, pk-fire-and-pk-thunder-2, xai-grok-code-fast-1-2025-08-25",
    "nvapi-compatible-endpoints-v2-2024, pplx-70b-online-2024-02-preview",
    "a bearer of good news, the bearer_token_provider_2 and bearer authentication/authorization",
    "ASIANDEVELOPMENTBANKS, AKIAPOLAAU, AIzawl, AIzaleaAndOtherFlowersOfTheSpringGarden",
    "the task-force-of-2024-and-risk-assessment-2025-of-the-bank",
    "gsk_glaxosmithkline_2024_annual, ghost_in_the_shell_1995_remastered",
    "sk-SK-slovak-Slovakia-locale-2",
    "part pk-12345678901234567890, rk-00000000000000001",
    "a basic CH3CH2OCH2CH3NaClH2SO4 mixture, Basic 8675309jenny12345678, basic Fe2O3Al2Si2O5OH4",
    "Bearer $BIFROST_API_KEY, Bearer YOUR_API_KEY_HERE_PLEASE, sk-your-api-key-goes-here-1234",
    "us.anthropic.claude-3-5-sonnet-20241022-v2:0, task-1234567890abcdefabcdef, disk-0123456789abcdef",
]


def keys(seed: int) -> list[str]:
    """A key of each provider's shape, drawn by chance."""
    draw = random.Random(seed)
    letters = string.ascii_letters + string.digits

    def some(count: int, signs: str = letters) -> str:
        return "".join(draw.choices(signs, k=count))

    hexa = some(32, "0123456789abcdef")
    uuid = f"{hexa[:8]}-{hexa[8:12]}-{hexa[12:16]}-{hexa[16:20]}-{hexa[20:]}"
    return [
        f"sk-proj-{some(48)}", f"sk-ant-api03-{some(60)}-{some(20)}", f"sk-bf-{uuid}", f"sk-or-v1-{hexa}{hexa}",
        f"gsk_{some(52)}", f"hf_{some(34)}", f"xai-{some(80)}", f"pplx-{some(48)}", f"nvapi-{some(60)}",
        f"AIza{some(35)}", f"AKIA{some(16, string.ascii_uppercase + '234567')}", f"ghp_{some(36)}",
    ]  # fmt: skip


@pytest.mark.parametrize("text", INNOCENT)
def test_ordinary_words_stay(text: str) -> None:
    """Code, names of models and packages, prose: nothing is hidden."""
    assert without_keys(text) == text


def test_keys_of_every_provider_are_hidden() -> None:
    """At least 99 in 100 of each shape, whatever was drawn; what stands around them stays."""
    missed = [key for seed in range(200) for key in keys(seed) if without_keys(f"key {key}, ok") != "key [hidden], ok"]
    assert len(missed) <= 0.01 * 200 * len(keys(0)), missed[:5]
    assert (
        without_keys("authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0") == "authorization: Bearer [hidden]"
    )
    assert without_keys("authorization: Basic dXNlcjpwYXNzd29yZA==") == "authorization: Basic [hidden]"
    assert (
        without_keys("Incorrect API key provided: sk-proj-abc***********wxyz.")
        == "Incorrect API key provided: [hidden]."
    )


def test_a_known_key_is_hidden_in_values_only() -> None:
    """Nested, as a name, inside JSON text with its quotes escaped; numbers and what holds none are the same objects."""
    secret = 'a"quoted\\key'
    found = hide_in({"x": [secret, {secret: 1}], "n": (1.5, 2), "j": json.dumps({"k": secret})}, [secret])
    assert found == {"x": ["[hidden]", {"[hidden]": 1}], "n": (1.5, 2), "j": '{"k": "[hidden]"}'}
    same: Any = {"a": [1.0] * 3, "b": ["text"]}
    assert hide_in(same, [secret]) is same
    assert hide("short is not taken out", ["short"]) == "short is not taken out"


WORDS = [
    "response",
    "requested_model",
    '"status":"ok"',
    "completion",
    "comparison_id",
    "2026-11-",
    'extra": {',
    "null,null",
]


@pytest.mark.parametrize("key", WORDS)
def test_a_key_that_reads_like_the_log_loses_no_run(log: RunLog, key: str) -> None:
    """The line is encoded after keys were taken out, so its own words, ids and times stay."""
    run = Run(status="ok", response=f"the {key} of it", prompt=f"about {key}", requested_model="m", prompt_id="p-1")
    run.tags = {"team": key}
    log.append(run, secrets=[key])
    [logged] = log.read()
    assert (logged.run_id, logged.status, logged.started_at, logged.prompt_id) == (
        run.run_id,
        "ok",
        run.started_at,
        "p-1",
    )
    assert (logged.request_type, logged.response, logged.prompt) == (
        "text_completion", "the [hidden] of it", "about [hidden]",
    )  # fmt: skip
    assert logged.tags == {"team": "[hidden]"}
    assert (run.prompt, run.tags) == (f"about {key}", {"team": key}), "what was asked may be sent again"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("where", ["model", "tool_calls", "extra_fields", "usage", "finish_reason", "error"])
def test_an_echoed_key_shows_nowhere(gateway: LocalGateway, log: RunLog, where: str, stream: bool) -> None:
    """Wherever a gateway repeats it: not in repr, raw parts, display, metadata, frame or log."""
    key = "mykey-0123456789abcdef"
    call = {"id": key, "type": "function", "function": {"name": "f", "arguments": json.dumps({"k": key})}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    told: dict[str, Any] = {
        "model": {"merge": {"model": f"m-{key}"}},
        "tool_calls": {"status": 200, "body": {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}},
        "extra_fields": {"merge": {"extra_fields": {"raw_response": {"headers": {key: [key]}}}}},
        "usage": {"merge": {"usage": {key: key}}},
        "finish_reason": {"finish_reason": key},
        "error": {"status": 400, "error": {"message": key, "type": key, "code": key, "param": key}},
    }
    gateway.script([told[where]])
    client = Client(gateway.url, virtual_key=key, log=log, retries=0)
    call_made = client.prepare("chat", "openai/gpt-4o-mini", "Hi", stream)
    outcome = client.start(call_made).result()
    run, error = outcome.run, outcome.error
    assert (error is None) == (where != "error")
    assert key not in f"{error!r} {error} {vars(error) if error else None}"
    assert log.path is not None
    shown = [repr(run), str(run), repr(run.raw), run._repr_mimebundle_(), metadata(run), bf.to_frame([run]).to_csv()]
    for text in (*shown, log.path.read_text()):
        assert key not in str(text)


PROMPT = 'Explain sklearn.linear_model,\nbasic mathematics and "sk-SK-locale"'


@pytest.mark.parametrize("form", FORMS)
def test_copied_code_and_metadata_keep_names_and_prompts(gateway: LocalGateway, log: RunLog, form: str) -> None:
    """They are sent again: even a prompt with something like a key in it stays as it was typed."""
    looks_like_one = keys(1)[0]
    client = Client(gateway.url, log=log, virtual_key="sk-bf-demo-123456")
    run = Run(requested_provider="hf-inference", requested_model="skywork-13b", prompt=PROMPT + looks_like_one)
    code = str(copy(client, run, form))
    assert looks_like_one in code
    assert "skywork-13b" in code
    assert "sk-bf-demo-123456" not in code
    kept = metadata(run)["bifrost_nb"]
    assert (kept["prompt"], kept["requested_model"]) == (run.prompt, "skywork-13b")


@pytest.mark.parametrize(
    "name", ["x-key", "api_key", "Ocp-Apim-Subscription-Key", "x-functions-key", "X-JWT-Assertion", "x-hub-signature"]
)
def test_names_of_headers_that_hold_keys(name: str) -> None:
    """Those of other gateways and clouds, too; and whatever its name, a value that can only be a key."""
    assert isinstance(guarded({name: "planted-words"})[name], Secret)
    assert isinstance(guarded({"x-plain": keys(1)[0]})["x-plain"], Secret)


@pytest.mark.parametrize("name", ["x-bf-cache-key", "Idempotency-Key", "x-keyword", "x-monkey", "x-bf-session-id"])
def test_names_of_headers_that_hold_none(name: str) -> None:
    """A name for a cache is no secret: hidden, it would take words out of answers."""
    assert not isinstance(guarded({name: "planted-words"})[name], Secret)


def test_headers_are_taken_in_every_form_that_httpx_takes(gateway: LocalGateway, log: RunLog) -> None:
    """Pairs and bytes are sent like a dict of texts; those named like keys are hidden in each form."""
    forms: list[Any] = [
        {"x-api-key": "planted-1", "x-plain": "seen"},
        [("x-api-key", "planted-1"), ("x-plain", "seen")],
        {b"X-API-KEY": b"planted-1", b"x-plain": b"seen"},
        (("x-api-key", b"planted-1"), (b"x-plain", "seen")),
    ]
    for headers in forms:
        client = Client(gateway.url, log=log, headers=headers)
        run = client.complete("azure/fast", "Hi", max_tokens=2, headers=headers)
        assert "planted-1" not in f"{vars(client)} {run!r} {guarded(headers)}"
    sent = [one["headers"] for one in gateway.requests() if one["method"] == "POST"]
    assert [(one["x-api-key"], one["x-plain"]) for one in sent] == [("planted-1", "seen")] * len(forms)

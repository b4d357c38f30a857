"""`redact` hooks: what they drop or change reaches no file; the caller has the whole run and none is lost."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog
from bifrost_nb._compare.compare import compare
from bifrost_nb._display.run import metadata, metadata_many, mimebundle
from tests import lazy

QUESTION = "Write to anna@example.org about the merger."
ANSWER = "Dear anna@example.org, the merger is off."
MAIL = re.compile(r"[\w.]+@\w+\.org")


def no_mail(text: str, what: str) -> str:
    return MAIL.sub("<mail>", text)


def nothing(text: str, what: str) -> None:
    return None


def no_prompt(text: str, what: str) -> str | None:
    return None if what == "prompt" else text


def breaks(text: str, what: str) -> str:
    raise ValueError(f"cannot handle {text}")


def leaves(text: str, what: str) -> str:
    raise SystemExit(text)


def no_text(text: str, what: str) -> Any:
    return 5


@pytest.fixture
def answering(gateway: LocalGateway) -> LocalGateway:
    """Every answer quotes the question, in its text, its raw parts and its tool call."""
    gateway.script(
        [{"text": ANSWER, "cost": 0.25, "merge": {"extra_fields": {"raw_request": QUESTION, "raw_response": ANSWER}}}]
    )
    return gateway


def written(log: RunLog) -> str:
    assert log.path is not None
    return log.path.read_text()


def saved(run: Any) -> str:
    """What a notebook keeps beside the picture."""
    made = lazy.nbformat.v4
    cell = made.new_code_cell(outputs=[made.new_output("display_data", metadata=metadata(run))])
    return lazy.nbformat.writes(made.new_notebook(cells=[cell]))


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("hook", "prompt", "response"),
    [
        (no_mail, "Write to <mail> about the merger.", "Dear <mail>, the merger is off."),
        (nothing, None, None),
        (no_prompt, None, ANSWER),
    ],
)
def test_what_the_hook_drops_or_changes_is_not_written(
    answering: LocalGateway, log: RunLog, hook: Any, prompt: str | None, response: str | None, stream: bool
) -> None:
    """Log line, later facts and notebook metadata hold what the hook left; the run in memory is whole."""
    client = Client(answering.url, log=log, redact=hook)
    options: dict[str, Any] = {"max_tokens": 50, "suffix": QUESTION, "tags": {"team": "a"}}
    if stream:
        with client.stream("azure/fast", QUESTION, **options) as running:
            text = "".join(running)
        run = running.run
    else:
        run = client.complete("azure/fast", QUESTION, **options)
        text = run.text
    client.wait_costs([run])
    log.update(run.run_id, rating="good")
    assert (run.prompt, run.text, text) == (QUESTION, ANSWER, ANSWER)
    [logged] = log.read()
    assert (logged.prompt, logged.response) == (prompt, response)
    assert (logged.run_id, logged.status, logged.cost_usd, logged.rating) == (run.run_id, "ok", 0.25, "good")
    assert (logged.completion_tokens, logged.total_ms) == (run.completion_tokens, run.total_ms)
    assert (logged.tags, logged.params["max_tokens"]) == ({"team": "a"}, 50)
    assert {"prompt", "params", "extra_fields"} <= set(logged.redacted)
    for file in (written(log), saved(run), saved(logged)):
        assert "anna@example.org about" not in file
        assert ("Dear anna" in file) == (hook is no_prompt)
    assert run.notes == []


@pytest.mark.parametrize("hook", [breaks, leaves, no_text])
def test_a_hook_that_fails_neither_loses_the_run_nor_leaks(
    answering: LocalGateway, log: RunLog, tmp_path: Path, hook: Any
) -> None:
    """An exception, an exit, a wrong return: the run is recorded without its texts, and that is said without them."""
    client = Client(answering.url, log=log, redact=hook)
    with pytest.warns(RuntimeWarning, match="redact hook failed") as caught:
        run = client.complete("azure/fast", QUESTION, suffix=QUESTION)
    assert run.text == ANSWER
    [logged] = log.read()
    assert (logged.status, logged.prompt, logged.response, logged.texts) == ("ok", None, None, [])
    assert logged.completion_tokens == run.completion_tokens
    assert "redact hook failed" in logged.notes[0]
    for text in (written(log), saved(run), *(str(one.message) for one in caught)):
        assert "merger" not in text


def test_errors_that_quote_are_redacted_too(gateway: LocalGateway, log: RunLog) -> None:
    """A gateway's message may quote the prompt; our own words about a connection stay."""
    gateway.script([{"status": 400, "error": {"message": f"cannot read {QUESTION}"}}])
    with pytest.raises(bf.GatewayError, match="anna"):
        Client(gateway.url, log=log, redact=no_mail).complete("azure/fast", QUESTION)
    with pytest.raises(bf.GatewayError):
        Client(gateway.url, log=log, redact=no_prompt).complete("azure/fast", QUESTION)
    with pytest.raises(bf.ConnectionFailed):
        Client("http://127.0.0.1:9", log=log, redact=no_prompt, retries=0).complete("azure/fast", QUESTION)
    mail, dropped, ours = log.read()
    assert "cannot read Write to <mail> about" in (mail.error_message or "")
    assert (dropped.error_message, dropped.http_status, dropped.status) == (None, 400, "error")
    assert "No gateway answered" in (ours.error_message or "")
    assert "anna" not in written(log)


def test_chat_tools_and_pieces_of_the_answer(gateway: LocalGateway, log: RunLog) -> None:
    """Messages, tool calls, log-probabilities and several choices are texts as well."""
    call = {"id": "c1", "type": "function", "function": {"name": "mail", "arguments": '{"to":"anna@example.org"}'}}
    message = {"role": "assistant", "content": ANSWER, "tool_calls": [call], "annotations": [{"quote": ANSWER}]}
    tokens = {"content": [{"token": "anna", "logprob": -1.0}, {"token": "@example.org", "logprob": -1.0}]}
    choices = [{"index": 0, "message": message, "logprobs": tokens, "finish_reason": "stop"}]
    choices.append({"index": 1, "message": {"content": ANSWER, "reasoning": ANSWER}, "finish_reason": "stop"})
    gateway.script([{"status": 200, "body": {"choices": choices}}])
    client = Client(gateway.url, log=log, redact=no_mail)
    tool = {"type": "function", "function": {"name": "mail", "description": QUESTION}}
    run = client.chat("openai/gpt-4o-mini", QUESTION, system=QUESTION, tools=[tool], reasoning_effort="low")
    assert run.logprobs is not None
    [logged] = log.read()
    assert "anna" not in written(log)
    assert "example" not in written(log)
    assert logged.tool_calls[0]["function"]["arguments"] == '{"to":"<mail>"}'
    assert logged.texts == ["Dear <mail>, the merger is off."] * 2
    assert (logged.logprobs, logged.params["reasoning_effort"]) == (None, "low")


def test_a_hook_of_the_log_counts_for_everybody(answering: LocalGateway, tmp_path: Path) -> None:
    """Whoever appends, after the client's own hook; a log that is switched off keeps the notebook clean as well."""
    log = RunLog(tmp_path / "runs.jsonl", redact=no_prompt)
    Client(answering.url, log=log, redact=no_mail).complete("azure/fast", QUESTION)
    log.append(bf.Run(prompt=QUESTION, response=ANSWER))
    first, second = log.read()
    assert (first.prompt, first.response) == (None, "Dear <mail>, the merger is off.")
    assert (second.prompt, second.response) == (None, ANSWER)
    run = Client(answering.url, log=RunLog(None), redact=nothing).complete("azure/fast", QUESTION)
    assert "merger" not in saved(run)
    assert "merger is off" in mimebundle(run)["text/plain"], "what is displayed is what somebody wanted to see"


@pytest.mark.parametrize(
    ("value", "prompt", "response"),
    [("prompt", None, ANSWER), ("response", QUESTION, None), (" response, prompt ", None, None)],
)
def test_the_setting(
    answering: LocalGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, prompt: Any, response: Any
) -> None:
    """BIFROST_REDACT drops by kind: for each client, and for the default log whoever writes to it."""
    monkeypatch.setenv("BIFROST_REDACT", value)
    monkeypatch.setenv("BIFROST_RUN_LOG", str(tmp_path / "default.jsonl"))
    Client(answering.url).complete("azure/fast", QUESTION)
    bf.run_log().append(bf.Run(prompt=QUESTION, response=ANSWER))
    Client(answering.url, log=RunLog(tmp_path / "own.jsonl")).complete("azure/fast", QUESTION)
    runs = [*bf.run_log().read(), *RunLog(tmp_path / "own.jsonl").read()]
    assert [(run.prompt, run.response) for run in runs] == [(prompt, response)] * 3
    monkeypatch.setenv("BIFROST_REDACT", "answers")
    with pytest.raises(bf.ConfigurationError, match="redact must be prompt, response"):
        Client(answering.url)


def test_what_is_no_function_is_refused(tmp_path: Path) -> None:
    """Told when it is passed, not when the first run is lost."""
    with pytest.raises(bf.ConfigurationError, match="function"):
        Client("demo", redact="prompt")  # type: ignore[arg-type]
    with pytest.raises(bf.ConfigurationError, match="function"):
        RunLog(tmp_path / "x.jsonl", redact=True)  # type: ignore[arg-type]


def sent(gateway: LocalGateway) -> int:
    return sum(one["path"].endswith("completions") for one in gateway.requests())


@pytest.mark.parametrize("hook", [no_mail, nothing, no_prompt])
def test_a_comparison_resumes_from_a_redacted_log(answering: LocalGateway, log: RunLog, hook: Any) -> None:
    """Identities are hashes and stay: nothing is paid for twice; redacted answers say so and are not scored."""
    client = Client(answering.url, log=log, redact=hook)
    asked: dict[str, Any] = {
        "deployments": ["azure/fast", "azure/large"],
        "prompt": "Write to {{who}} about the merger.",
        "inputs": {"who": ["anna@example.org", "ben@example.org"]},
        "client": client,
        "score": lambda run: len(run.text),
    }
    first = compare(**asked)
    assert first.frame["score"].eq(len(ANSWER)).all()
    assert first.frame["response"].eq(ANSWER).all()
    assert (sent(answering), first.notes) == (4, [])
    assert "anna@example.org" not in str(metadata_many(first.runs)) or hook is no_prompt
    again = compare(**asked)
    assert (sent(answering), again.progress.reused, again.missing) == (4, 4, 0)
    frame = again.frame
    assert frame["cost_usd"].eq(0.25).all()
    assert frame["total_ms"].tolist() == first.frame["total_ms"].tolist()
    if hook is no_prompt:
        assert frame["response"].eq(ANSWER).all()
        assert frame["score"].eq(len(ANSWER)).all()
        assert again.notes == []
    else:
        assert frame["score"].isna().all()
        assert frame["score_error"].str.contains("redact hook").all()
        assert "4 answers come from the log, where a redact hook" in again.notes[0]
    assert (len(again.answers()) == 0) == (hook is nothing)
    assert len(again.summary()) == 2
    asked["inputs"] = {"who": ["anna@example.org", "ben@example.org", "carl@example.org"]}
    more = compare(**asked)
    assert (sent(answering), more.missing) == (6, 0)


def test_a_failing_hook_in_a_comparison_is_one_note(answering: LocalGateway, log: RunLog) -> None:
    """Every answer is there, every run recorded, and it is said once for each deployment."""
    client = Client(answering.url, log=log, redact=breaks)
    result = compare(["azure/fast"], "About {{n}}", inputs={"n": list(range(5))}, client=client)
    assert result.frame["response"].eq(ANSWER).all()
    assert ["redact hook failed (ValueError)" in note for note in result.notes] == [True]
    assert len(log.read()) == 5
    assert "About" not in written(log)


def test_the_frame_of_a_saved_notebook_is_redacted(answering: LocalGateway, log: RunLog, tmp_path: Path) -> None:
    """`from_notebook` gives what may be kept, identities and figures whole."""
    run = Client(answering.url, log=log, redact=nothing).complete("azure/fast", QUESTION)
    (tmp_path / "x.ipynb").write_text(saved(run))
    frame = bf.from_notebook(tmp_path / "x.ipynb")
    assert frame["run_id"].tolist() == [run.run_id]
    assert frame[["prompt", "response"]].isna().all(axis=None)
    assert frame["total_ms"].tolist() == [run.total_ms]


@pytest.mark.parametrize("hook", [no_mail, nothing, no_prompt])
def test_a_pickle_is_a_file(answering: LocalGateway, log: RunLog, hook: Any) -> None:
    """A run's pickle holds what the log may; its copies in this process are whole."""
    client = Client(answering.url, log=log, redact=hook)
    run = client.chat("openai/gpt-4o-mini", QUESTION, system=QUESTION)
    packed = pickle.dumps(run)
    assert QUESTION.encode() not in packed
    assert (ANSWER.encode() in packed) == (hook is no_prompt)
    back = pickle.loads(packed)
    [logged] = log.read()
    assert (back.prompt, back.response, back.params, back.redacted) == (
        logged.prompt,
        logged.response,
        logged.params,
        run.redacted,
    )
    assert (back.run_id, back.total_ms, back.cost_usd, back.raw) == (run.run_id, run.total_ms, run.cost_usd, None)
    for whole in (copy.copy(run), copy.deepcopy(run)):
        assert whole == run
        assert (whole.prompt, whole.text) == (run.prompt, ANSWER)
    plain = Client(answering.url, log=log).chat("openai/gpt-4o-mini", QUESTION)
    assert pickle.loads(pickle.dumps(plain)) == plain


@pytest.mark.parametrize("hook", [no_mail, nothing, no_prompt])
def test_pickled_errors_and_notes_quote_nobody(gateway: LocalGateway, log: RunLog, hook: Any) -> None:
    """The gateway's words about a prompt, in an error of a call and in why a deployment was given up."""
    gateway.script([{"status": 404, "error": {"message": f"no model for {QUESTION}"}}])
    client = Client(gateway.url, log=log, redact=hook)
    with pytest.raises(bf.NotFound, match="anna") as caught:
        client.complete("azure/fast", QUESTION)
    packed = pickle.dumps(caught.value)
    assert b"anna@" not in packed
    back = pickle.loads(packed)
    assert (type(back), back.status, back.run.run_id) == (bf.NotFound, 404, caught.value.run.run_id)
    assert str(back)
    found = compare(["azure/fast"], "Hi {{n}}", inputs={"n": list(range(40))}, client=client)
    assert any("was given up: " in note for note in found.notes)
    assert "anna@" not in str(found.notes)
    assert b"anna@" not in pickle.dumps(found)


@pytest.mark.parametrize("hook", [no_mail, no_prompt])
@pytest.mark.parametrize("templates", ["Write to {{who}}.", {"short": "To {{who}}.", "long": "Write to {{who}}."}])
def test_a_vote_in_a_file_shows_no_more_than_the_log(
    gateway: LocalGateway, log: RunLog, hook: Any, templates: Any
) -> None:
    """Pairs of one prompt, and of two templates, whose inputs are shown in place of the prompts."""
    client = Client(gateway.url, log=log, redact=hook)
    inputs = {"who": ["anna@example.org", "ben@example.org"], "unused": ["carl@example.org", "-"]}
    vote = compare(["azure/fast", "azure/large"], templates, inputs=inputs, client=client).vote()
    assert any("anna@" in ballot.prompt for ballot in vote.state.ballots)
    packed = pickle.dumps(vote)
    assert MAIL.search(packed.decode("latin-1")) is None
    back = pickle.loads(packed)
    shown = [ballot.prompt for ballot in back.state.ballots]
    assert any("<mail>" in prompt for prompt in shown) == (hook is no_mail)
    assert [ballot.prompt for ballot in pickle.loads(pickle.dumps(back)).state.ballots] == shown

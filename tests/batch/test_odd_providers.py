"""Batches of providers that answer oddly, as gateways tell it: nothing paid for is lost, nothing is paid twice.

What the gateway says here was measured on real ones, 1.3.63 to 2.0.0-prerelease3, before providers that did so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response

from bifrost_nb import Client, RunLog
from bifrost_nb._batch.comparison import BatchComparison
from bifrost_nb._batch.ledger import Ledger, SentJob
from bifrost_nb._batch.requests import PROVIDERS, chunks
from bifrost_nb._client.transport import MAX_ANSWER_BYTES
from tests.admin.servers import Table, json as json_answer, served

from .test_compare_by_batch import ONE_JOB, A, C, ask, sent

GEMINI = "gemini/gemini-2.5-flash"
ROUTES = {**ONE_JOB, "/api/version": "v2.0.0"}
BODY = {
    "choices": [{"message": {"role": "assistant", "content": "Crow."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}
MESSAGE = {"content": [{"type": "text", "text": "Crow."}], "stop_reason": "end_turn"}
BROKEN = "failed to execute HTTP request to provider API: unexpected EOF"
NETWORK = "network error occurred while connecting to provider API (DNS lookup, connection refused, etc.): "
REFUSED = "The gateway did not reach the provider; its address is set there."


@pytest.fixture
def table(log: RunLog) -> Iterator[tuple[Table, Client]]:
    """A gateway with one job, which says whatever it is told to say."""
    answers = Table(dict(ONE_JOB))
    with served(answers) as url:
        yield answers, Client(url, log=log)


def ended(completed: int = 2, failed: int = 0, **facts: Any) -> dict[str, Any]:
    counts = {"total": 2, "completed": completed, "failed": failed}
    return {"status": "completed", "output_file_id": "out", "request_counts": counts, **facts}


def answer(cell: str, **changed: Any) -> dict[str, Any]:
    return {"custom_id": cell, "response": {"status_code": 200, "body": BODY}, "error": None, **changed}


def failure(cell: str, status: int = 400, message: str = "no") -> dict[str, Any]:
    return answer(cell, response={"status_code": status, "body": {"error": {"message": message}}})


def lines(*told: Any, end: bytes = b"\n") -> bytes:
    return b"".join((one if isinstance(one, bytes) else orjson.dumps(one)) + end for one in told)


def tells(table: Table, facts: dict[str, Any], *, results: Any = (), **files: bytes) -> None:
    """The job is told with `facts`, its results with `results`, and each of `files` has this content."""
    table.answers = {**ROUTES, "/v1/batches/job": {"id": "job", **facts}} | {
        f"/v1/files/{name}/content": Response(content) for name, content in files.items()
    }
    table.answers |= {"/v1/batches/job/results": {"results": list(results)}}


def loses(table: Table, listed: Callable[[Request], Any], status: int = 500, message: str = "lost") -> None:
    """Who sends a job hears of a failure, and who lists them gets `listed`."""
    failed = {"error": {"message": message}, "extra_fields": {"provider": "openai"}}

    def batches(request: Request) -> Any:
        return json_answer(failed, status) if request.method == "POST" else listed(request)

    table.answers = {**ONE_JOB, "/v1/batches": batches}


def cells(batch: BatchComparison) -> list[str]:
    return [trial.trial_id for trial in batch.plan.trials]


def job_of(client: Client, batch: BatchComparison) -> SentJob:
    """The one job of a batch, as the ledger has it."""
    [job] = Ledger(client.log).jobs_of(client.base_url, cells(batch))
    return job


def age(client: Client, batch: BatchComparison) -> None:
    """Let a job have been sent so long ago that a list without it says that it was never made."""
    job = job_of(client, batch)
    job.at -= 200
    Ledger(client.log).sending(job)


def test_a_job_is_no_larger_than_what_goes_out_and_comes_back_at_once() -> None:
    """The answers of a job come in one body: of more than that takes, all would be paid for and none be had. Of what is
    sent in one, a file too, gateways take 100 MiB."""
    for rules in PROVIDERS.values():
        assert rules.bytes + 1_000_000 < 100 * 2**20
        sizes = [len(items) for items in chunks(rules, [{"custom_id": "a"}] * 10_001)]
        assert max(sizes) * 26_000 < MAX_ANSWER_BYTES
        assert sum(sizes) == 10_001


def test_of_several_jobs_of_a_variant_what_was_not_sent_is_counted(table: tuple[Table, Client]) -> None:
    """Gemini takes 20 MB at once: of two requests of 10 MB the second is refused, and the first is under way."""
    answers, client = table
    made = list[int]()

    def batches(request: Request) -> Any:
        made.append(1)
        return {"id": "job"} if len(made) == 1 else json_answer({"error": {"message": "Too many jobs"}}, 429)

    answers.answers = {**ROUTES, "/v1/batches": batches}
    batch = ask(client, [GEMINI], inputs={"x": [letter * 10_000_000 for letter in "ab"]})
    assert (len(made), batch.pending) == (2, 1)
    assert batch.notes == [
        f"{GEMINI}: 1 of 2 requests not sent: The gateway answered 429: Too many jobs. Run the cell again to send it."
    ]


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("No such File object: file", "run the cell again, or mark one key alone for batches there."),
        (
            "no config found for batch apis; enable 'Use for Batch APIs' on at least one key for provider: openai",
            "Mark one of this provider's keys for batches in the gateway, and run the cell again.",
        ),
    ],
)
def test_a_refusal_because_of_the_gateways_keys_says_what_to_do(
    table: tuple[Table, Client], message: str, hint: str
) -> None:
    """With several keys the gateway uploads a file with one and makes the job with another; with none, neither."""
    answers, client = table
    loses(answers, lambda _: {"data": []}, 400, message)
    [note] = ask(client, [A]).notes
    assert note.endswith(hint)


@pytest.mark.parametrize(
    ("status", "message"),
    [(400, BROKEN), (400, f"{NETWORK}read tcp: read: connection reset by peer"), (408, "late"), (499, "left")],
)
@pytest.mark.parametrize("deployment", [A, C])
def test_a_job_whose_answer_broke_off_is_in_doubt(
    table: tuple[Table, Client], deployment: str, status: int, message: str
) -> None:
    """1.3.63 to 1.5.1 tell a broken connection as 400: the job may have been made, so it is not sent again."""
    answers, client = table
    loses(answers, lambda _: {"data": []}, status, message)
    assert [ask(client, [deployment]).pending for _ in range(2)] == [2, 2]
    assert sent(answers) == 1


def test_a_job_that_never_reached_its_provider_is_sent_again(table: tuple[Table, Client]) -> None:
    """Of the same words those of a connection that was refused: nothing was made, which is said at once."""
    answers, client = table
    loses(answers, lambda _: {"data": []}, 400, f"{NETWORK}dial tcp 127.0.0.1:1: connect: connection refused")
    first, _ = ask(client, [C]), ask(client, [C])
    [note] = first.notes
    assert note.startswith(f"{C} was not sent: ")
    assert note.endswith(REFUSED)
    assert sent(answers) == 2


def test_of_a_job_that_the_gateway_sent_several_times_one_is_collected(table: tuple[Table, Client]) -> None:
    """A request whose connection broke 1.4.18 sends twice, 2.0.0-prerelease3 four times: the others are named."""
    answers, client = table
    loses(answers, lambda _: {"data": []})
    batch = ask(client, [A])
    mark = {"bifrost_nb": job_of(client, batch).job}
    loses(answers, lambda _: {"data": [{"id": f"job{n}", "metadata": mark, "created_at": 9 - n} for n in range(3)]})
    answers.answers |= {
        "/v1/batches/job2": ended(),
        "/v1/files/out/content": Response(lines(*map(answer, cells(batch)))),
    }
    assert batch.collect().frame["response"].tolist() == ["Crow."] * 2
    [note] = batch.notes
    assert "sent this job 3 times to openai" in note
    assert note.endswith("cancel the others there: job1, job0.")
    assert sent(answers) == 1


def test_a_job_that_was_made_several_times_at_once_is_told_in_a_note_that_stays(table: tuple[Table, Client]) -> None:
    """Found as soon as it was sent, the others are named after the next look, too."""
    answers, client = table

    def listed(_: Request) -> Any:
        told = [orjson.loads(line) for line in Ledger(client.log).path.read_bytes().splitlines()]
        return {"data": [{"id": name, "metadata": {"bifrost_nb": told[-1]["job"]}} for name in ("job", "more")]}

    loses(answers, listed)
    batch = ask(client, [A])
    for _ in range(2):
        [note] = batch.notes
        assert note.endswith("cancel the others there: more.")
        batch.collect()
    assert batch.batches["batch_id"].tolist() == ["job"]


def test_of_several_jobs_without_a_mark_the_one_that_holds_the_requests_is_collected(
    table: tuple[Table, Client],
) -> None:
    """Anthropic keeps no mark: its jobs of one size, by whichever clock, show when they have ended whose requests they
    hold; until then none is taken for ours."""
    answers, client = table
    loses(answers, lambda _: {"data": []})
    batch = ask(client, [C])
    facts = {"status": "in_progress", "request_counts": {"total": 2}, "created_at": time.time() - 600}
    for names, told in ((["job"], "1 job"), (["theirs", "job"], "2 jobs")):
        loses(answers, lambda _, names=names: {"data": [{"id": name, **facts} for name in names]})  # type: ignore[misc]
        assert (batch.collect().pending, batch.batches["batch_id"].isna().all()) == (2, True)
        assert batch.notes[0].startswith(f"{C}: {told} at anthropic may be this one, which shows when ended;")
    facts["status"] = "ended"
    told = [{"custom_id": cell, "result": {"type": "succeeded", "message": MESSAGE}} for cell in cells(batch)]
    answers.answers |= {
        "/v1/batches/theirs/results": {"results": [{"custom_id": "other", "result": {"type": "expired"}}]},
        "/v1/batches/job/results": {"results": told},
        **{f"/v1/batches/{name}": {"id": name, **facts} for name in ("theirs", "job")},
    }
    assert batch.collect().frame["response"].tolist() == ["Crow."] * 2
    assert sent(answers) == 1


def test_a_job_is_found_again_by_another_spelling_of_the_gateways_address(table: tuple[Table, Client]) -> None:
    """As its answers are: ``localhost`` and ``127.0.0.1`` are one gateway, and what is under way there is not sent."""
    answers, client = table
    ask(client, [A])
    elsewhere = Client(client.base_url.replace("127.0.0.1", "localhost") + "/", log=client.log)
    assert (ask(elsewhere, [A]).pending, sent(answers)) == (2, 1)


def test_an_own_job_of_the_same_size_is_not_taken_for_the_lost_one(table: tuple[Table, Client]) -> None:
    """Where the second of two was lost, the first is the only one of its size; the ledger knows whose it is."""
    answers, client = table
    made = list[int]()

    def batches(request: Request) -> Any:
        if request.method != "POST":
            return {"data": [{"id": "job", "request_counts": {"total": 2}, "created_at": time.time()}]}
        made.append(1)
        return {"id": "job"} if len(made) == 1 else json_answer({"error": {"message": "overloaded"}}, 529)

    answers.answers = {**ONE_JOB, "/v1/batches": batches}
    both = ask(client, [C, {"deployment": C, "name": "warm", "temperature": 1}])
    assert both.batches["batch_id"].fillna("").tolist() == ["job", ""]


def test_a_lost_job_is_looked_for_under_all_keys_of_the_gateway(table: tuple[Table, Client]) -> None:
    """A list has the jobs of one key after those of another: the first page is not all that there is."""
    answers, client = table
    loses(answers, lambda _: {"data": []})
    batch = ask(client, [A])
    age(client, batch)
    ours = {"id": "job", "metadata": {"bifrost_nb": job_of(client, batch).job}}

    def listed(request: Request) -> Any:
        if request.query_params.get("after") == "key-1":
            return {"data": [ours]}
        return {"data": [{"id": "b", "metadata": {}}], "has_more": True, "next_cursor": "key-1"}

    loses(answers, listed)
    assert ask(client, [A]).batches["batch_id"].tolist() == ["job"]
    assert sent(answers) == 1


def test_a_list_that_cannot_be_read_to_its_end_does_not_say_that_a_job_was_never_made(
    table: tuple[Table, Client],
) -> None:
    """For Anthropic and Gemini the cursor leads to the same page again, as with several keys of the gateway's."""
    answers, client = table
    loses(answers, lambda _: {"data": [], "has_more": True, "next_cursor": "same"})
    age(client, ask(client, [C]))
    again = ask(client, [C])
    assert (again.pending, sent(answers)) == (2, 1)
    assert "lists only some of anthropic's jobs" in again.batches["problem"][0]


def test_lines_that_a_gateway_leaves_out_of_its_results_are_answers(table: tuple[Table, Client]) -> None:
    """A byte-order mark, Windows' line ends, a status as text or none, an error that is none, half of a character."""
    answers, client = table
    batch = ask(client, [A], inputs={"x": ["bird", "tree", "fish", "dog"]})
    first, second, third, fourth = cells(batch)
    half = orjson.dumps(answer(fourth)).replace(b"Crow.", b"Crow\\ud83d")
    told = [
        answer(first, error={"code": 0, "message": None}),
        answer(second, response={"status_code": "200", "body": BODY}),
        b"",
        b"no JSON",
        answer(third, response={"body": BODY}),
        half,
    ]
    tells(answers, ended(4), out=b"\xef\xbb\xbf" + lines(*told, end=b"\r\n"))
    assert batch.collect().frame["response"].tolist() == ["Crow."] * 3 + ["Crow\ufffd"]
    assert ask(client, [A], inputs={"x": ["bird", "tree", "fish", "dog"]}).pending == 0
    assert sent(answers) == 1


def test_an_answer_goes_before_a_failure_of_the_same_request(table: tuple[Table, Client]) -> None:
    """In whichever order they come, beside lines of requests that nobody made."""
    answers, client = table
    batch = ask(client, [A])
    first, second = cells(batch)
    tells(answers, ended(), out=lines(failure(second), answer(second), answer("x"), answer(first), failure(first, 500)))
    assert batch.collect().frame["response"].tolist() == ["Crow."] * 2


def test_answers_that_are_not_in_the_files_yet_are_waited_for(table: tuple[Table, Client]) -> None:
    """A job has ended, one request was answered and one failed, and there is an error file alone, as yet."""
    answers, client = table
    batch = ask(client, [A])
    first, second = cells(batch)
    told = ended(1, 1, output_file_id=None, error_file_id="err")
    tells(answers, told, err=lines(failure(second)))
    assert batch.collect().pending == 1
    assert batch.notes == [f"{A}: openai has answers to 1 request, but gave none of them; collect again."]
    assert ask(client, [A]).pending == 1
    tells(answers, told | {"output_file_id": "out"}, err=lines(failure(second)), out=lines(answer(first)))
    assert batch.collect().frame["status"].tolist() == ["ok", "error"]
    assert (batch.pending, sent(answers), len(client.log.frame())) == (0, 1, 2)


def test_a_problem_that_is_over_is_told_no_more(table: tuple[Table, Client]) -> None:
    """Also by the comparison of a later cell, which found it when it was made."""
    answers, client = table
    batch = ask(client, [A])
    tells(answers, ended(output_file_id=None))
    again = ask(client, [A])
    assert len(again.notes) == 1
    assert len(again.collect().notes) == 1
    tells(answers, ended(), out=lines(*map(answer, cells(batch))))
    assert (again.collect().notes, again.pending) == ([], 0)


def test_a_line_that_stays_cut_off_is_a_failed_run(table: tuple[Table, Client]) -> None:
    """What is whole is there at once; the rest is waited for a while after the job ended, then sent again alone."""
    answers, client = table
    batch = ask(client, [A])
    first, second = cells(batch)
    content = lines(answer(first)) + lines(answer(second))[:40]
    tells(answers, ended(completed_at=time.time() - 5), out=content)
    assert (batch.collect().pending, batch.frame["response"].tolist()) == (1, ["Crow."])
    tells(answers, ended(completed_at=time.time() - 500), out=content)
    assert batch.collect().frame["status"].tolist() == ["ok", "error"]
    assert batch.frame["error_message"][1] == (
        "The batch ended without an answer to this request. Run the cell again to send it."
    )
    assert (ask(client, [A]).pending, sent(answers)) == (1, 2)


def test_answers_are_kept_where_the_error_file_is_gone(table: tuple[Table, Client]) -> None:
    """A 404 of it hides no answer."""
    answers, client = table
    batch = ask(client, [A])
    tells(answers, ended(1, 1, error_file_id="err"), out=lines(answer(cells(batch)[0])))
    assert batch.collect().frame["status"].tolist() == ["ok", "error"]


def test_a_job_of_geminis_that_failed_is_over(table: tuple[Table, Client]) -> None:
    """Among the completed the gateway counts those of Gemini's that failed, and has no answer to wait for. Of a prompt
    that was blocked it tells the usage alone: that is no good answer, as in a single call."""
    answers, client = table
    answers.answers = ROUTES
    batch = ask(client, [GEMINI])
    tells(answers, ended(2, 2, status="failed"), results=[{"custom_id": "info", "response": {"status_code": 200}}])
    assert batch.collect().frame["status"].tolist() == ["error", "error"]
    bodies: list[dict[str, Any]] = [{"text": "Crow.", "finish_reason": "STOP"}, {"usage": {"prompt_tokens": 9}}]
    for body, status in zip(bodies, ["ok", "error"], strict=True):
        line = answer(cells(batch)[0], response={"status_code": 200, "body": body})
        tells(answers, ended(2, 1, status="cancelled"), results=[line])
        assert ask(client, [GEMINI], fresh=True).collect().frame["status"].tolist() == [status, "error"]


def test_each_failure_is_a_sentence_that_says_what_to_do(table: tuple[Table, Client]) -> None:
    """Of a batch: no fallback is proposed, no address doubted, no dictionary shown, and no key."""
    answers, client = table
    batch = ask(client, [A], inputs={"x": list("abcde")})
    key = "sk-J7xQ2mR9tV4kW8zB1nC6"
    expired = {"code": "batch_expired", "message": f"It was not executed in time, by {key}."}
    first, second, third, fourth, _ = cells(batch)
    errors = lines(
        {"custom_id": first, "response": None, "error": expired},
        failure(second, 429, "Slow \x1b[31mdown"),
        answer(third, response={"status_code": 502, "body": "<html><h1>Bad gateway</h1></html>"}),
    )
    out = lines(answer(fourth, response={"status_code": 200, "body": {"id": "x"}}))
    tells(answers, ended(0, 4, status="expired", error_file_id="err"), out=out, err=errors)
    frame = batch.collect().frame
    again = "Run the cell again to send it."
    assert frame["error_message"].tolist() == [
        f"The batch gave no answer to this request: It was not executed in time, by [hidden]. {again}",
        f"The gateway answered 429: Slow down. {again}",
        f"The gateway answered 502: a web page instead of JSON: 'Bad gateway'. {again}",
        f"The gateway answered with an object that holds no answer: it has no choices. {again}",
        f"The batch expired without an answer to this request. {again}",
    ]
    assert frame["error_code"].tolist()[0] == "batch_expired"
    assert frame["cost_usd"].isna().all()


def test_a_job_with_answers_under_other_names_is_neither_taken_nor_sent_again(table: tuple[Table, Client]) -> None:
    """Of Gemini's answers that come without their names the gateway makes up names: whose they are is not guessed."""
    answers, client = table
    answers.answers = ROUTES
    batch = ask(client, [GEMINI])
    tells(answers, ended(), results=[answer("request-0"), answer("request-1")])
    assert (batch.collect().pending, ask(client, [GEMINI]).pending) == (2, 2)
    assert "holds other requests" in batch.notes[0]
    assert sent(answers) == 1

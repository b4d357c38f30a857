"""Wrong values in public functions, as a first user types them: one clear error names them, and nothing is sent."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bifrost_nb as bf
from bifrost_nb import Client, Comparison, ConfigurationError, LocalGateway, RunLog

ODD: dict[str, Any] = {
    "text": "x", "bytes": b"x", "number": 7, "not a number": float("nan"), "list": [1], "dict": {1: 2}, "NA": pd.NA,
    "array": np.arange(3), "frame": pd.DataFrame({"a": [1]}), "object": object(),
}  # fmt: skip


@pytest.fixture(scope="module")
def compared(shared_gateway: LocalGateway, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Two deployments, nothing scored."""
    client = Client(shared_gateway.url, log=RunLog(tmp_path_factory.mktemp("log") / "runs.jsonl"))
    return bf.compare(["azure/fast", "azure/large"], "{{n}}", inputs={"n": [1, 2]}, client=client, max_tokens=2)


CLIENTS: dict[str, Callable[[Any], Any]] = {
    "models": bf.models,
    "gateway_logs": lambda given: bf.gateway_logs(client=given),
    "doctor": bf.doctor,
    "prompts": bf.prompts,
    "Admin": bf.Admin,
    "compare": lambda given: bf.compare(["azure/fast"], "Hi", client=given),
    "load_curve": lambda given: bf.load_curve("azure/fast", "Hi", rates=[1], client=given),
    "replay": lambda given: bf.replay([], ["azure/fast"], client=given),
    "playground": lambda given: bf.playground(client=given),
    "recording_client": lambda given: bf.recording_client(given),
}


def posts(gateway: LocalGateway) -> list[Any]:
    """What the gateway was asked to complete; looks at its log for the costs of earlier calls may still come."""
    return [each for each in gateway.requests() if each["method"] == "POST"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_that_is_none(name: str, odd: str) -> None:
    """Most functions take one and ended in an AttributeError; a frame is one for nobody."""
    with pytest.raises(ConfigurationError, match=r"client must be a bf\.Client, not "):
        CLIENTS[name](ODD[odd])


@pytest.mark.parametrize("odd", [name for name in ODD if name not in ("text",)])
def test_options_of_a_call(compared: Comparison, shared_gateway: LocalGateway, odd: str) -> None:
    """What cannot be a list of fallbacks, a route, a certificate file or runs is told by its name."""
    client, value, before = compared.client, ODD[odd], len(posts(shared_gateway))
    assert client is not None
    with pytest.raises(ConfigurationError, match="fallbacks"):
        client.complete("azure/fast", "Hi", fallbacks=value)
    with pytest.raises(ConfigurationError, match="route must be"):
        client.complete("azure/fast", "Hi", route=value)
    with pytest.raises(ConfigurationError, match="wait_costs takes runs"):
        client.wait_costs(value)
    with pytest.raises(ConfigurationError, match="ca_file"):
        Client(client.base_url, ca_file=value)
    with pytest.raises(ConfigurationError, match="api_version is no parameter of a call"):
        client.complete("azure/fast", "Hi", api_version=value)  # type: ignore[call-arg]
    assert len(posts(shared_gateway)) == before


def test_what_a_comparison_is_made_of(compared: Comparison, shared_gateway: LocalGateway) -> None:
    """A truth value that is none (``stream="no"`` streamed), an API of another type, and more calls than memory."""
    before = len(posts(shared_gateway))

    def ask(**more: Any) -> Any:
        return bf.compare(["azure/fast"], "Hi", client=compared.client, **more)

    for odd in ODD.values():
        for name in ("chat", "stream", "fresh", "dry_run"):
            with pytest.raises(ConfigurationError, match=f"{name} must be True or False, not"):
                ask(**{name: odd})
        with pytest.raises(ConfigurationError, match="api must be"):
            ask(api=odd)
    for name in ("array", "frame", "NA", "number", "dict"):
        with pytest.raises(ConfigurationError, match="fallbacks must be a list"):
            ask(fallbacks=ODD[name])
    for many in (10**8, 10**400):
        with pytest.raises(ConfigurationError, match="calls; a comparison sends 10,000,000 at most"):
            ask(repeats=many)
        with pytest.raises(ConfigurationError, match="concurrency is 100,000 at most"):
            ask(concurrency=many)
    assert ask(stream=np.bool_(False), max_tokens=2).runs[0].status == "ok"
    assert len(posts(shared_gateway)) == before + 1


FRAMES: dict[str, Callable[[Any], Any]] = {
    "summary": bf.summary,
    "difference": lambda frame: bf.difference(frame, "azure/fast", "azure/large"),
    "gate": lambda frame: bf.gate(frame, "azure/fast", p95_ms=100),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_is_none_of_runs(compared: Comparison, name: str) -> None:
    """Another type, a column twice, no columns of a run: named, where pandas' own errors named buffers and axes."""
    frame = compared.frame
    for odd, value in ODD.items():
        said = "has no column 'status'" if odd == "frame" else "must be a pandas DataFrame of runs, not"
        with pytest.raises(ConfigurationError, match=said):
            FRAMES[name](value)
    with pytest.raises(ConfigurationError, match="has the column 'status' twice"):
        FRAMES[name](pd.concat([frame, frame[["status"]]], axis="columns"))
    with pytest.raises(ConfigurationError, match="has no column 'tags'"):
        FRAMES[name](frame.drop(columns="tags"))


def test_a_score_where_nothing_was_scored(compared: Comparison) -> None:
    """It says so, and how to score, instead of listing fifty columns; where something was, the scores."""
    asks: list[Callable[[Comparison], Any]] = [
        lambda found: found.best(),
        lambda found: found.best("score_right"),
        lambda found: found.difference("azure/fast", "azure/large", "score"),
        lambda found: found.differences("score"),
    ]
    for ask in asks:
        with pytest.raises(ConfigurationError, match=r"Nothing was scored here.* call comparison\.score\("):
            ask(compared)
    scored = bf.compare(
        ["azure/fast", "azure/large"], "{{n}}", inputs={"n": [1, 2]}, client=compared.client, max_tokens=2,
        score={"right": lambda run, row: 1.0},
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"'score' is not a metric of this frame.* Scores are score_right"):
        scored.best()
    for odd in ODD.values():
        with pytest.raises(ConfigurationError, match=r"metric"):
            compared.best(odd)
        with pytest.raises(ConfigurationError, match=r"metric"):
            compared.difference("azure/fast", "azure/large", odd)


NAMES: dict[str, tuple[Callable[[Comparison, Any], Any], str]] = {
    "explain": (lambda found, odd: found.explain(odd), "is not in this comparison"),
    "answers": (lambda found, odd: found.answers(odd), "is no prompt of this comparison"),
    "diff": (lambda found, odd: found.diff("azure/fast", "azure/large", odd), "is no prompt of this comparison"),
    "difference": (lambda found, odd: found.difference(odd, "azure/large", "total_ms"), "variant"),
    "summary": (lambda found, odd: found.summary(by=odd), "by must be"),
    "search": (lambda found, odd: found.grid().state.show(search=odd), "search must be text"),
    "filter": (lambda found, odd: found.grid().state.show(filter=odd), "filter must be one of"),
    "mode": (lambda found, odd: bf.compare(["azure/fast"], "Hi", client=found.client, mode=odd), "mode must be"),
    "until": (lambda found, odd: bf.compare(["azure/fast"], "Hi", client=found.client, until=odd), "until must be"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_no_text(compared: Comparison, shared_gateway: LocalGateway, name: str) -> None:
    """A whole column where one of its names is meant is told in a sentence, not by an error of pandas."""
    ask, said = NAMES[name]
    before = len(posts(shared_gateway))
    for odd in (pd.Series(["azure/fast", "x"]), *(value for key, value in ODD.items() if key != "text")):
        with pytest.raises(ConfigurationError, match=said):
            ask(compared, odd)
    assert len(posts(shared_gateway)) == before


def test_an_unknown_option_names_the_function_that_was_called(compared: Comparison) -> None:
    """`best` and `differences` hand their options on; the error is theirs, with the nearest name."""
    with pytest.raises(ConfigurationError, match=r"best\(\) has no option 'margn'\. Did you mean 'margin'"):
        compared.best("total_ms", margn=0.1)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match=r"best\(\) has no option 'max_p95'\. Did you mean 'max_p95_ms'"):
        compared.best("total_ms", max_p95=100)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match=r"differences\(\) has no option 'x'\. It takes by, "):
        compared.differences("total_ms", x=1)  # type: ignore[call-arg]
    for limit in ("cheap", -1, float("nan"), pd.NA):
        with pytest.raises(ConfigurationError, match="max_cost_usd_per_1000 must be a number above 0"):
            compared.best("total_ms", max_cost_usd_per_1000=limit)


def test_an_sdk_that_is_meant() -> None:
    """A typo in its name gets the nearest one, as everywhere."""
    with pytest.raises(ConfigurationError, match=r"There is no SDK 'opnai'.* Did you mean 'openai'\?"):
        bf.sdk("opnai")  # type: ignore[call-overload]


class Unshowable:
    """Whose text is an error."""

    def __repr__(self) -> str:
        raise RuntimeError("boom")


class Endless:
    """Whose text fills a page."""

    def __repr__(self) -> str:
        return "x" * 1_000_000


UNSHOWN: dict[str, Callable[[Comparison, Any], Any]] = {
    "repeats": lambda one, odd: bf.compare(["azure/fast"], "x", client=one.client, repeats=odd),
    "until": lambda one, odd: bf.compare(["azure/fast"], "x", client=one.client, until=odd),
    "name of a variant": lambda one, odd: bf.compare([{"deployment": "a/b", "name": odd}], "x", client=one.client),
    "name of a score": lambda one, odd: bf.compare(["azure/fast"], "x", client=one.client, score={odd: len}),
    "template": lambda one, odd: bf.compare(["azure/fast"], {odd: "x"}, client=one.client),
    "timeout": lambda one, odd: Client("demo", timeout=odd),
    "summary": lambda one, odd: one.summary(by=odd),
    "vote": lambda one, odd: one.vote(limit=odd),
    "since": lambda one, odd: bf.runs(since=odd),
    "limit": lambda one, odd: bf.runs(limit=odd),
    "histogram": lambda one, odd: bf.gateway_histogram(odd, client=one.client),
    "provider": lambda one, odd: bf.gateway_logs(provider=odd, client=one.client),
    "rates": lambda one, odd: bf.load_curve("azure/fast", "x", rates=[odd], client=one.client),
    "slo": lambda one, odd: bf.load_curve("azure/fast", "x", rates=[1], slo=odd, client=one.client),
    "sdk": lambda one, odd: bf.sdk(odd),
    "version": lambda one, odd: bf.launch_gateway(version=odd),
    "port": lambda one, odd: bf.launch_gateway(port=odd, binary="/bin/true"),
    "scorer": lambda one, odd: bf.scorers.exact(odd),
    "bounds": lambda one, odd: bf.scorers.bounded(len, odd, 1),
}


@pytest.mark.parametrize("odd", [Unshowable(), Endless(), 10**5000], ids=["fails", "long", "too many digits"])
@pytest.mark.parametrize("name", UNSHOWN)
def test_what_cannot_be_shown_is_named_all_the_same(compared: Comparison, name: str, odd: Any) -> None:
    """An object whose own text fails, fills a page or is refused by Python: the message names the argument, briefly."""
    try:
        UNSHOWN[name](compared, odd)
    except ConfigurationError as raised:
        shown = str(raised)
    else:
        shown = ""
    assert (len(shown) < 1000) == bool(shown) or (name in ("limit", "vote") and odd == 10**5000)


@pytest.mark.parametrize("text", ["azure/\ud800", "\ud800/x", "a\ud800"])
def test_half_a_character_can_be_shown(compared: Comparison, text: str) -> None:
    """An error with one in it could not be printed, nor reach a notebook's front end."""
    assert compared.client is not None
    with pytest.raises(ConfigurationError) as raised:
        compared.client.complete(text, "Hi")
    str(raised.value).encode()


def test_texts_that_become_formulas_whatever_holds_them(tmp_path: Path) -> None:
    """A path, an object with a text of its own and a column's name are read by a spreadsheet as texts are."""
    from bifrost_nb._report.spreadsheet import to_csv, to_excel

    class Named:
        def __str__(self) -> str:
            return '=HYPERLINK("http://x")'

    values = [Path("=cmd"), Named(), "=1", -1, -2.5, float("-inf"), np.float64(-3), pd.Timedelta(-1, "D"), 10**400]
    frame = pd.DataFrame({"=name": pd.Series(values, dtype=object)})
    head, *cells = to_csv(frame).decode("utf-8-sig").splitlines()
    assert head == "'=name"
    assert [cell.strip('"')[:2] for cell in cells] == ["'=", "'=", "'=", "-1", "-2", "-i", "-3", "-1", "10"]
    again = pd.read_excel(io.BytesIO(to_excel(frame)), dtype=object)["=name"].tolist()
    assert (again[2], again[3], again[5]) == ("=1", -1, "-inf")


@pytest.mark.parametrize(
    "option", [{"retries": 0}, {"timeout": 20.0}, {"headers": {"x-a": "b"}}, {"extra": {"a": 1}}, {"route": "v1"}]
)
def test_what_only_a_call_takes_is_no_mistake(option: dict[str, Any], client: Client) -> None:
    """Options of a call that are no fields of its body are passed on, however like an argument of compare they are."""
    found = bf.compare(["azure/fast"], "Hi", client=client, max_tokens=3, **option)
    assert found.frame["status"].tolist() == ["ok"]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("input", "inputs"), ("repeat", "repeats"), ("dryrun", "dry_run"), ("scores", "score"), ("image", "images"),
     ("fallback", "fallbacks"), ("prompts", "prompt"), ("max_cost", "max_cost_usd"), ("Messages", "messages"),
     ("max_token", "max_tokens"), ("temprature", "temperature")],
)  # fmt: skip
def test_a_name_that_is_nearly_an_argument(wrong: str, right: str, client: Client, gateway: LocalGateway) -> None:
    """It is told what was meant, of the function's arguments and of a call's, before anything is sent."""
    before = len(gateway.requests())
    with pytest.raises(ConfigurationError) as told:
        bf.compare(["azure/fast"], "Say {{n}}", client=client, **{"inputs": {"n": [1]}, wrong: 1})  # type: ignore[call-overload]
    assert f"did you mean {right!r}?" in str(told.value).lower().replace(right.lower(), right)
    assert not [one for one in gateway.requests(before) if one["method"] == "POST"]


@pytest.mark.parametrize(
    ("call", "right"),
    [
        (lambda client: bf.replay(client.log.frame(), ["azure/fast"], client=client, concurency=2), "concurrency"),
        (lambda client: bf.load_curve("azure/fast", "Hi", rates=[1], second=1, client=client), "seconds"),
        (lambda client: bf.playground(["azure/fast"], "Hi", input={"n": [1]}, client=client), "inputs"),
        (lambda client: bf.fill(pd.DataFrame({"n": [1]}), "{{n}}", schema={}, deployment="azure/fast", prefx="a",
                                client=client), "prefix"),
        (lambda client: client.complete("azure/fast", "Hi", fallback=["azure/large"]), "fallbacks"),
        (lambda client: client.chat("azure/fast", "Hi", fallback=["azure/large"]), "fallbacks"),
    ],
    ids=["replay", "load_curve", "playground", "fill", "complete", "chat"],
)  # fmt: skip
def test_so_it_is_in_the_other_functions(call: Any, right: str, client: Client) -> None:
    """Each knows its own arguments."""
    with pytest.raises(ConfigurationError, match=rf"(?i)did you mean '{right}'\?"):
        call(client)


def test_no_parameter_is_taken_for_an_argument(client: Client) -> None:
    """What a call takes is not refused because an argument is called nearly so."""
    from bifrost_nb._compare.asked_deployments import check_names
    from bifrost_nb._wire.media_request import ImageRequest, SpeechRequest, TranscriptionRequest
    from bifrost_nb._wire.requests import ChatCompletionRequest, TextCompletionRequest
    from bifrost_nb._wire.responses_request import ResponsesRequest

    models = [ChatCompletionRequest, TextCompletionRequest, ResponsesRequest]
    fields = {
        name for model in [*models, ImageRequest, SpeechRequest, TranscriptionRequest] for name in model.model_fields
    }
    for function in (bf.compare, bf.replay, bf.load_curve, bf.playground, bf.fill):
        check_names(function, fields - {"input"})  # which a comparison fills in
    assert bf.compare(["azure/fast"], "Hi", max_tokens=2, stop=["x"], user="u", seed=1, client=client).frame.shape[0]

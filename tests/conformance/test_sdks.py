"""Other SDKs beside real gateways: each is told the same by a program as by the embedded gateway of its version.

The same call of the same SDK goes to both. In the providers' place behind the program stands the embedded gateway, so
words, pictures, sound and jobs are made by the same code, and what differs is the gateways' doing.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, Run, RunLog, local_gateway
from bifrost_nb._runs.collector import HELD_BACK
from tests import lazy
from tests.engine.configs import gateway_config, key_variable
from tests.sdks.drivers import (
    Anthropic,
    Bedrock,
    Cohere,
    Driver,
    GenAI,
    LangChain,
    LiteLLM,
    OpenAI,
    PydanticAI,
    Responses,
    plain,
)
from tests.simulator.captures import GENERATIONS

from .programs import PROGRAMS, UNSET, Program, numbers, served_lists

pytestmark = [
    pytest.mark.real_gateway,
    pytest.mark.skipif(not PROGRAMS, reason=UNSET),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::DeprecationWarning", "ignore::UserWarning"),
]
SAID = ["The", " moon", " draws", " the", " water", "."]
PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "gemini": "genai/v1beta", "cohere": "cohere"}
"""And where the embedded gateway speaks as they do."""
OURS = {"key", "provider_url", "model_version"}
"""Names of what is each gateway's own: the key that it chose, its address; and what Gemini says of itself in each
piece, which the gateway in its place does in the last one."""
READ_SINCE = (1, 5, 1)
"""Older versions hand many a provider's answer or chunk on as it came, which says nothing of the gateway; there the
runs are compared."""
COHERE_SINCE = (1, 4, 18)
"""Older versions have no route for Cohere's SDK."""
DRAW, SPEAK, HEAR = "openai/gpt-image-1", "openai/gpt-4o-mini-tts", "openai/whisper-1"


@dataclass
class Pair:
    """A program with the embedded gateway as its providers, and the embedded gateway of the same version."""

    version: tuple[int, int, int]
    real: Client
    ours: Client
    gateways: tuple[LocalGateway, LocalGateway]
    """Those whose providers answer: the one behind the program, and the other."""

    @property
    def clients(self) -> tuple[Client, Client]:
        return self.real, self.ours

    def script(self, *rules: dict[str, Any]) -> None:
        for gateway in self.gateways:
            gateway.reset()
            gateway.script(rules)


@pytest.fixture(scope="module", params=PROGRAMS or [""])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("program")
    with served_lists({"/prices.json": {}, "/empty.json": {}}) as lists, local_gateway(speed=50) as behind:
        program = Program(request.param, folder, lists)
        if program.version not in GENERATIONS:
            pytest.skip(f"no dialect of the embedded gateway stands for {program.version}")
        urls = {provider: f"{behind.url}/{path}" for provider, path in PROVIDERS.items()}
        config = gateway_config(program.version, urls, f"{lists}/prices.json", raw_override=True)
        for provider in config["providers"].values():
            provider.pop("custom_provider_config", None)
            provider["keys"][0]["use_for_batch_api"] = True
        # Else the embedded gateway would speak as a gateway does, not as Cohere.
        config["providers"]["cohere"]["network_config"]["extra_headers"] = {"x-bf-send-back-raw-response": "true"}
        keys = {key_variable(provider): f"provider-key-{provider}" for provider in PROVIDERS}
        with (
            program.running(config, keys) as url,
            local_gateway(dialect=GENERATIONS[program.version], speed=50) as ours,
        ):
            both = [
                Client(each, log=RunLog(folder / f"{n}.jsonl"), retries=0) for n, each in enumerate((url, ours.url))
            ]
            yield Pair(numbers(program.version), both[0], both[1], (behind, ours))


def bare(value: Any) -> Any:
    """Without what is each gateway's own, and without details of token counts that count nothing."""
    if isinstance(value, dict):
        found = {
            name: bare(item) for name, item in value.items() if name not in OURS and name[-3:] not in ("_id", "_at")
        }
        return {name: item for name, item in found.items() if "details" not in name or _counted(item)}
    return [bare(item) for item in value] if isinstance(value, list) else value


def _counted(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_counted, value.values()))
    return any(map(_counted, value)) if isinstance(value, list) else isinstance(value, int) and value > 0


def differing(real: Any, ours: Any, path: str = "") -> list[str]:
    """Where they differ, a line each."""
    if type(real) is type(ours) and isinstance(real, dict):
        return [
            line
            for name in sorted({*real, *ours})
            for line in differing(real.get(name), ours.get(name), f"{path}.{name}")
        ]
    if isinstance(real, list) and isinstance(ours, list) and len(real) == len(ours):
        return [
            line
            for n, (one, other) in enumerate(zip(real, ours, strict=True))
            for line in differing(one, other, f"{path}[{n}]")
        ]
    return [] if real == ours else [f"{path}: {str(real)[:200]!r}, not {str(ours)[:200]!r}"]


def answered(client: Client, driver: Driver, stream: bool) -> Any:
    """What the SDK hands to its user, without what differs from call to call; the name of what it raises."""
    try:
        return _answered(client, driver, stream)
    except Exception as error:  # of eight libraries
        return type(error).__name__


def _answered(client: Client, driver: Driver, stream: bool) -> Any:
    sdk: Any = bf.sdk(driver.name, client=client, asynchronous=not driver.blocking, **driver.options)  # type: ignore[call-overload]
    if driver.blocking:
        with ExitStack() as held:
            if hasattr(sdk, "close"):
                held.callback(sdk.close)
            return bare([plain(each) for each in driver.stream(sdk)] if stream else plain(driver.answer(sdk)))

    async def ask() -> Any:  # of Pydantic AI, whose model holds OpenAI's client
        async with sdk.client:
            return [plain(each) async for each in driver.astream(sdk)] if stream else plain(await driver.aanswer(sdk))

    return bare(asyncio.run(ask()))


class OfClaude(Bedrock):
    """Amazon's address is fixed, so nothing of ours can stand there: another provider is asked over its route."""

    model = "anthropic/claude-haiku-4-5"


class Claude(Anthropic):
    """By its whole name: the providers here list all models, so a bare one may be taken for another's."""

    model = Anthropic.deployment


class Gemini(GenAI):
    """By its whole name."""

    model = GenAI.deployment


class Command(Cohere):
    """By its whole name."""

    model = Cohere.deployment


def noted(run: Run) -> list[str]:
    """Its notes, but for one: a machine busy with other things looks as if it held streams back."""
    return [note for note in run.notes if note != HELD_BACK]


ASKED = [OpenAI(), Responses(), Claude(), Gemini(), Command(), OfClaude(), LangChain(), LiteLLM(), PydanticAI()]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("driver", ASKED, ids=lambda driver: type(driver).__name__)
def test_an_sdk_is_told_the_same(running: Pair, driver: Driver, stream: bool) -> None:
    """Each object and each event, field by field; and its run is the same. What has no route is an error of both."""
    running.script({"text": SAID, "gap_ms": 1})
    real, ours = (answered(client, driver, stream) for client in running.clients)
    if running.version >= READ_SINCE:
        assert differing(real, ours) == []
    runs = [list(client.log.read())[-1] for client in running.clients]
    facts = [
        (run.status, run.response, run.prompt_tokens, run.completion_tokens, run.finish_reason, *noted(run))
        for run in runs
    ]
    assert facts[0] == facts[1]
    missing = driver.name == "cohere" and running.version < COHERE_SINCE
    assert facts[0][:2] == (("error", None) if missing else ("ok", "".join(SAID)))
    assert isinstance(real, str) == isinstance(ours, str) == missing


WORDS = [f" word {number}" for number in range(30)]


def genai_told(client: Client, model: str, limit: int, verb: str) -> tuple[int, list[str], list[str]]:
    """Status, texts in order, and the reasons of the end."""
    asked = {"contents": [{"parts": [{"text": "Hi"}], "role": "user"}], "generationConfig": {"maxOutputTokens": limit}}
    answer = httpx.post(f"{client.base_url}/genai/v1beta/models/{model}:{verb}", json=asked, timeout=30)
    lines = answer.text.splitlines()
    bodies = [json.loads(line[5:]) for line in lines if line.startswith("data:")] or [answer.json()]
    candidates = [one for body in bodies for one in body.get("candidates", [])]
    texts = [part["text"] for one in candidates for part in one.get("content", {}).get("parts", []) if part.get("text")]
    return answer.status_code, texts, [one["finishReason"] for one in candidates if one.get("finishReason")]


@pytest.mark.parametrize("limit", [40, 20], ids=["to its end", "cut"])  # OpenAI is asked for no less than 16
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"])
def test_what_genai_says(running: Pair, model: str, limit: int) -> None:
    """Texts and reason of each provider's answer on /genai: what a stream says again at its end, what it leaves out.

    1.5.1 hands the body on as it came, so there only Gemini understands it.
    """
    if running.version == (1, 5, 1) and not model.startswith("gemini"):
        running.script()
        assert all(genai_told(client, model, limit, "generateContent")[0] >= 400 for client in running.clients)
        return
    running.script({"text": WORDS, "gap_ms": 1})
    for verb in ("generateContent", "streamGenerateContent?alt=sse"):
        real, ours = (genai_told(client, model, limit, verb) for client in running.clients)
        assert real == ours, verb
    again = running.version < (1, 4, 18) and not model.startswith("anthropic")
    assert real[1] == [*WORDS[:limit], *(["".join(WORDS[:limit])] if again else [])]
    assert (real[2] == []) == (limit == 20 and model.startswith("openai"))


def openais(client: Client) -> Any:
    return bf.sdk("openai", client=client, max_retries=0)


def heard_and_seen(client: Client, pictures: bool) -> list[Any]:
    """Sound, its text and a picture, by OpenAI's SDK and by our own methods."""
    sdk = openais(client)
    asked: Any = {"voice": "alloy", "response_format": "wav"}
    spoken = client.speech(SPEAK, "Good morning.", **asked)
    told = [
        sdk.audio.speech.create(model=SPEAK, input="Good morning.", **asked).read(),
        spoken.audio_bytes,
        sdk.audio.transcriptions.create(model=HEAR, file=("a.wav", spoken.audio_bytes)).text,
        client.transcribe(HEAR, spoken).text,
    ]
    if pictures:
        told.append(bare(plain(sdk.images.generate(model=DRAW, prompt="A cat", size="64x64"))))
        told.append(client.image(DRAW, "A cat", size="64x64").images)
    return told


def test_pictures_and_sound(running: Pair) -> None:
    """The same sound, words and picture; where a version has no route for pictures, the error says so."""
    running.script()
    real, ours = (heard_and_seen(client, running.version >= (1, 4, 0)) for client in running.clients)
    assert differing(real, ours) == []
    assert real[0] == real[1]
    assert real[2] == real[3] == "Good morning."
    if running.version < (1, 4, 0):
        for client in running.clients:
            with pytest.raises(bf.GatewayError, match="have no route for pictures"):
                client.image(DRAW, "A cat")


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"])
def test_tokens_are_counted(running: Pair, model: str) -> None:
    """Each provider's count comes through: what an answer to the same question is charged for, or unknown."""
    running.script()
    for system in (None, "Be brief."):
        counts = [client.count_tokens(model, "How long is it?", system=system) for client in running.clients]
        charged = running.ours.chat(model, "How long is it?", system=system, max_tokens=16).prompt_tokens
        left_out = model.startswith("gemini/") and system and running.version < (2, 0, 0)
        assert counts == [None if left_out else charged] * 2


LINE = {
    "custom_id": "a", "method": "POST", "url": "/v1/chat/completions",
    "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say a"}], "seed": 1},
}  # fmt: skip
CONTENT = json.dumps(LINE).encode() + b"\n"


def worked_off(client: Client) -> list[Any]:
    """All that OpenAI's SDK is told of a file, and of a job made of it."""
    sdk = openais(client)
    file = sdk.files.create(file=("in.jsonl", CONTENT), purpose="batch")
    told = [file, sdk.files.retrieve(file.id), sdk.files.content(file.id).text]
    job = sdk.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    end = time.monotonic() + 30
    while (done := sdk.batches.retrieve(job.id)).status != "completed":
        assert time.monotonic() < end
        time.sleep(0.05)
    lines = sdk.files.content(done.output_file_id).text.splitlines()
    told += [job, done, [json.loads(line) for line in lines], sdk.batches.list(limit=1).data[0].id == job.id]
    told.append(sdk.files.delete(file.id).deleted)
    with pytest.raises(lazy.openai.NotFoundError):
        sdk.files.retrieve(file.id)
    return [bare(plain(each)) for each in told]


def test_files_and_batches(running: Pair) -> None:
    """A file is kept, read, listed and deleted, a job is worked off: each answer is the same."""
    running.script()
    real, ours = map(worked_off, running.clients)
    if running.version < READ_SINCE:
        for told in (real, ours):
            for one in told:
                if isinstance(one, dict):
                    one.pop("extra_fields", None)
    assert differing(real, ours) == []
    assert real[2].encode() == CONTENT


def test_a_batch_whose_connection_broke_is_sent_once(running: Pair) -> None:
    """The provider makes the job, and its answer is lost on the way to the gateway, which sends it again or gives up
    with a 400 or a 502: the mark leads to one of the jobs, and the same cell sends no other."""
    running.script()
    behind, _ = running.gateways
    behind.script([{"path": "/openai/v1/batches", "times": 5, "drop": {"after_bytes": 0}}])
    asked: Any = {"prompt": "Name a bird.", "chat": True, "mode": "batch", "client": running.real}

    def made() -> int:
        return sum(one["method"] == "POST" and one["path"].endswith("/batches") for one in behind.requests())

    assert bf.compare(["openai/gpt-4o-mini"], **asked).pending == 1
    behind.script([])
    sent = made()
    assert bf.compare(["openai/gpt-4o-mini"], **asked).collect(wait=30).frame["status"].tolist() == ["ok"]
    assert (sent >= 1, made()) == (True, sent)

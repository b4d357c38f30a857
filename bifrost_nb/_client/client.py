"""`Client`: completions through a Bifrost gateway, each one recorded as a `Run`.

Every call runs on the private loop (`bifrost_nb._client.portal`), so that the blocking and the async forms are the same
code, and each finished run is in the run log before the caller gets it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from .. import _settings as settings
from .._keys import guard_headers, guarded
from .._runs.log.log import RunLog, run_log
from .._runs.pending import wait_for_costs
from .._runs.redact_hook import Redact, dropping
from .._runs.run import Run
from .._safe_text import plain
from ..errors import ConfigurationError
from .calls import (
    AnyKind,
    Asked,
    Call,
    ChatParameters,
    EmbeddingParameters,
    Outcome,
    ResponsesParameters,
    TextParameters,
    Timeouts,
    prepare,
)
from .checked_calls import CheckedCalls
from .credentials import Credentials
from .dispatch import Sender
from .judge_tag import note_call
from .media import (
    ImageParameters,
    SpeechParameters,
    TranscriptionParameters,
    drawing,
    finished_media,
    prepared_media,
    speaking,
    transcription,
)
from .model_list import known_list
from .portal import Job, portal
from .streams import AsyncStream, Stream, finished
from .token_count import checked as counted, count_tokens
from .transport import Sink, route_to
from .typed_answers import read_answer, with_schema

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Client", "default_client", "default_kept", "forget_clients", "unremembered"]

T = TypeVar("T")

_last: Client | None = None
_current: Client | None = None
"""What `default_client` made, as long as neither the client made last nor a setting is another."""
_NOTHING: Mapping[str, Any] = {}
_OWN = ("api_version", "default_timeouts", "default_retries")
"""What a client adds to each call itself."""


def default_client() -> Client:
    """What is used without ``client=``: the client made last, else one of the settings.

    The settings are read each time: where one that was not passed to the client made last is another now, the answer
    is a new client with the same arguments. Raises ConfigurationError for settings that cannot be used.
    """
    global _current
    last = _last  # another thread may make one meanwhile
    given = _NOTHING if last is None else last._given
    found = _resolved(given)
    for client in (last, _current):
        if client is not None and client._given is given and client.settings == found:
            return client
    _current = made = unremembered(given, like=last)
    return made


def chosen_client(given: object) -> Client:
    """The client that was passed as ``client=``; None: the default one. Raises ConfigurationError."""
    if given is None:
        return default_client()
    if not isinstance(given, Client):
        raise ConfigurationError(
            f"client must be a bf.Client, not {type(given).__name__}.", hint="Pass client=bf.Client('demo')."
        )
    return given


def unremembered(given: Mapping[str, Any], like: Client | None = None) -> Client:
    """A client of these arguments that is nobody's default, of the class of `like`. Raises as `Client` does."""
    kind = Client if like is None else type(like)
    made = kind.__new__(kind)
    vars(made).update({} if like is None else vars(like))
    made._set_up(given)
    return made


@contextlib.contextmanager
def default_kept() -> Iterator[None]:
    """Clients made inside are nobody's default afterwards."""
    before = _last
    try:
        yield
    finally:
        _remember(before)


def forget_clients() -> None:
    """From now on the default is one of the settings."""
    _remember(None)


def _remember(client: Client | None) -> None:
    global _last
    _last = client


class Client:
    """A client of one gateway.

    The client made last is the one that `bf.compare`, `bf.models`, ``%%bifrost`` and all else use that is given no
    ``client=``; where none was made, one of the settings. So after ``bf.Client("demo")`` nothing goes anywhere else.
    What was not passed to it is read from the settings, each time anew; ``%config Bifrost.base_url``, run after it,
    takes its place.

    `base_url` is the gateway's address, or ``"demo"`` for the embedded one (no key, no network). What is not passed
    comes from the settings (environment ``BIFROST_BASE_URL``, ``BIFROST_VIRTUAL_KEY``, ...). `timeout` is seconds
    for a whole call or `Timeouts`; `retries` repeats a call after connection failures, 408, 429 and 5xx, never
    after its first text. Keys are never displayed.

    `redact` decides what of each run's texts is written to files: ``redact(text, what)`` with `what` ``"prompt"`` or
    ``"response"`` returns the text to write, or None to write none. It is called on the private loop, so it must be
    quick. Files are the log, reports, workbooks, exports, spans, MLflow's runs, what a notebook keeps beside its
    pictures, and pickles of runs, comparisons and errors (without raw answers, pictures, sound and vectors then, at
    which no hook can look). Not covered are objects of this process, so that the run you get, its frame, copied code
    and what a cell shows are whole; files that you name for pictures and sound; and tags, names and a `schema`, which
    say what a row is. Without it, ``BIFROST_REDACT`` counts.

    `ca_file` is the PEM file (or folder) of the authorities whose certificates an ``https`` gateway may show, as a
    company's own is; without it (or ``BIFROST_CA_FILE``) ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` count, else certifi's
    list. It is read when something is first sent, and again when the file changes. Gateways on this machine are asked
    directly, others through the proxy that ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` name.

    `virtual_key`, `api_key` and `headers` go with each request; `api_version` is Azure's; `log` is the
    `RunLog` it writes to (None: the one in force).

    `traceparent` sends that W3C header with each call (those of `bf.sdk`, too), so that the gateway's own spans become
    children of those of `bifrost_nb.export_spans`. It is not the default, because it takes the place of the gateway's
    own grouping of traces. Measured: 1.4.0, 1.4.18, 1.5.1, 1.5.16 and 2.0.0-prerelease3 take it, and pass it to no
    provider.

        client = bf.Client("demo")
        run = client.chat("openai/gpt-4o-mini", "Why is the sky blue?", max_tokens=40)
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        virtual_key: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        api_version: str | None = None,
        timeout: float | Timeouts | None = None,
        retries: int = 2,
        log: RunLog | None = None,
        redact: Redact | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        traceparent: bool = False,
    ) -> None:
        base_url, virtual_key, api_key, headers = _guarded(base_url, virtual_key, api_key, headers)
        self._set_up(
            {
                "base_url": base_url,
                "virtual_key": virtual_key,
                "api_key": api_key,
                "headers": headers,
                "api_version": api_version,
                "timeout": timeout,
                "retries": retries,
                "log": log,
                "redact": redact,
                "ca_file": str(ca_file) if isinstance(ca_file, os.PathLike) else ca_file,
                "traceparent": traceparent,
            }
        )
        _remember(self)

    def _set_up(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self.settings = _resolved(given)
        """What was passed and, for all else, what the settings said when it was made."""
        timeout, redact = given.get("timeout"), given.get("redact")
        self.timeouts = Timeouts.of(timeout if isinstance(timeout, Timeouts) else self.settings.timeout)
        """The time limits of each call that is given none."""
        self.retries: int = given.get("retries", 2)
        self.traceparent: bool = given.get("traceparent", False)
        self.credentials = Credentials.of(self.settings, _checked_headers(given.get("headers") or {}))
        """The headers of this client's requests by purpose, and the keys that must show nowhere."""
        self._log: RunLog | None = given.get("log")
        if self._log is not None and not isinstance(self._log, RunLog):  # it would show once an answer is paid for
            raise ConfigurationError(
                f"log must be a bf.RunLog, not {type(self._log).__name__}.", hint="Pass log=bf.RunLog('runs.jsonl')."
            )
        if redact is not None and not callable(redact):
            raise ConfigurationError(f"redact must be a function of (text, what), not {type(redact).__name__}.")
        dropped = self.settings.redact
        self.redact: Redact | None = redact or (dropping(dropped.split(",")) if dropped else None)
        """What decides which texts of a run are written; None: all are."""
        self._sender: Sender | None = None
        self._checked = CheckedCalls()

    @property
    def base_url(self) -> str:
        """The gateway's address; for ``"demo"`` the embedded gateway's, which this starts."""
        if self.settings.base_url != "demo":
            return self.settings.base_url
        from .._simulator.process import demo_url

        return demo_url()

    @property
    def log(self) -> RunLog:
        """Where runs are recorded: what was passed, else the log of the settings when the client was first used."""
        if self._log is None:
            self._log = run_log()  # reading the settings takes a hundred times as long as writing a line
        return self._log

    def __repr__(self) -> str:
        if not hasattr(self, "settings"):  # a traceback shows it that could not be made
            return "<Client, not made>"
        keys = {name: "configured" for name in ("virtual_key", "api_key") if getattr(self.settings, name)}
        return f"Client({self.settings.base_url!r}{''.join(f', {name}={shown}' for name, shown in keys.items())})"

    def __reduce__(self) -> Any:
        raise TypeError("A Client holds keys and is not pickled; make a new one where it is needed.")

    # Blocking

    def complete(self, deployment: str, prompt: str | Sequence[str], **options: Unpack[TextParameters]) -> Run:
        """A text completion of `prompt` by `deployment` (``provider/model``); the finished `Run`.

        Several prompts in a list are one call, the answers in `run.texts`. `options` are the API's parameters
        (``max_tokens``, ``temperature``, ``stop``, ``seed``, ...) and what every call takes: ``fallbacks`` (deployments
        that are asked in order when this one fails), ``extra`` (what a provider takes beyond the API), ``timeout``
        (seconds, or `Timeouts`), ``retries``, ``headers`` and ``tags`` (kept with the run, not sent).

            client.complete("azure/fast", "Once upon a time", max_tokens=40, fallbacks=["azure/large"])

        Raises ConfigurationError before anything is sent, else BifrostError, whose `.run` is what was recorded.
        """
        guard_headers(options)
        return self._wait(self.prepare("text", deployment, prompt, **options))

    def chat(
        self,
        deployment: str,
        prompt: str | None = None,
        *,
        system: str | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        schema: type[BaseModel] | Mapping[str, Any] | None = None,
        **options: Unpack[ChatParameters],
    ) -> Run:
        """A chat completion by `deployment` of one `prompt` (with an optional `system` message) or of `messages`.

        `schema`, a pydantic model or a JSON schema, is sent as the format of the answer (strict: every field is
        required); then ``run.parsed`` is the object, ``run.valid`` says whether the answer fits, ``run.valid_error``
        why not. An answer inside one block of code counts.

            client.chat("openai/gpt-4o-mini", "Why is the sky blue?", system="Be brief.", max_tokens=40).text

        `options` and errors as for `complete`.
        """
        guard_headers(options)
        typed = with_schema(schema, "chat", cast("dict[str, Any]", options))
        run = self._wait(self._written("chat", deployment, prompt, system=system, messages=messages, **options))
        return read_answer(run, typed)

    def respond(
        self,
        deployment: str,
        input: str | Sequence[Mapping[str, Any]],
        *,
        schema: type[BaseModel] | Mapping[str, Any] | None = None,
        **options: Unpack[ResponsesParameters],
    ) -> Run:
        """A call of the Responses API; `input` is text, or a list of messages and results of tools.

        `schema` as for `chat`; `deployment`, `options` and errors as for `complete`.

            client.respond("openai/gpt-4o-mini", "Why is the sky blue?", max_output_tokens=40)
        """
        guard_headers(options)
        typed = with_schema(schema, "responses", cast("dict[str, Any]", options))
        return read_answer(self._wait(self._written("responses", deployment, input, **options)), typed)

    def embed(self, deployment: str, input: str | Sequence[str], **options: Unpack[EmbeddingParameters]) -> Run:
        """The embedding of each text of `input`: `run.embeddings`, in order; they are not written to the log.

        `run.embedding_array` has them as the rows of an array. `deployment`, `options` and errors as for `complete`.

            client.embed("openai/text-embedding-3-small", ["a cat", "a dog"], dimensions=256).embedding_array
        """
        guard_headers(options)
        return self._wait(self.prepare("embedding", deployment, input, **options))

    def image(
        self,
        deployment: str,
        prompt: str,
        *,
        path: str | os.PathLike[str] | None = None,
        **options: Unpack[ImageParameters],
    ) -> Run:
        """Pictures by `deployment` of what `prompt` says: `run.images`, each as the file it is, shown in the notebook.

        `path` is where the picture is written, and the only place; with ``n=`` above 1 ``cat.png`` becomes
        ``cat-1.png``, ``cat-2.png``. The log keeps no pictures. What the provider made of the prompt is in
        `run.annotations`. The cost is the one of the gateway's log, which knows prices by the picture; else unknown.
        Gateways before 1.4 have no such route.

            client.image("openai/gpt-image-1", "A cat on a mat", size="1024x1024", path="cat.png")

        Raises ConfigurationError before anything is sent, BifrostError as `chat` does, and where a picture that came
        could not be written (it is in the error's `.run`).
        """
        guard_headers(options)
        call, paths = drawing(self, deployment, prompt, path, options)
        return finished_media(self.run_on_loop(self.send(call)), paths)

    def speech(
        self,
        deployment: str,
        text: str,
        *,
        voice: str,
        path: str | os.PathLike[str] | None = None,
        **options: Unpack[SpeechParameters],
    ) -> Run:
        """`text`, spoken by the `voice` of a `deployment`: `run.audio_bytes` is the sound, which the notebook plays.

        `path` is where it is written, and the only place; one that ends in ``.mp3``, ``.opus``, ``.aac``, ``.flac``,
        ``.wav`` or ``.pcm`` asks for that format. The log keeps no sound. The cost is the one of the gateway's log,
        which knows prices by the character; else unknown.

            client.speech("openai/gpt-4o-mini-tts", "Good morning.", voice="alloy", path="morning.mp3")

        Raises as `image` does.
        """
        guard_headers(options)
        call, paths = speaking(self, deployment, text, voice, path, options)
        return finished_media(self.run_on_loop(self.send(call)), paths)

    def transcribe(
        self, deployment: str, file: str | os.PathLike[str] | bytes | Run, **options: Unpack[TranscriptionParameters]
    ) -> Run:
        """What the sound in `file` (a path, its bytes, or a run of `speech`) says, by `deployment`: `run.text`.

        Its length is in `run.usage` where the provider tells it (``seconds``). The cost is the one of the gateway's
        log, which knows prices by the second; else unknown.

            client.transcribe("openai/whisper-1", "morning.mp3", language="en").text

        Raises as `image` does.
        """
        guard_headers(options)
        return finished_media(self.run_on_loop(self.send(transcription(self, deployment, file, options))))

    async def aimage(
        self,
        deployment: str,
        prompt: str,
        *,
        path: str | os.PathLike[str] | None = None,
        **options: Unpack[ImageParameters],
    ) -> Run:
        """`image` for async code.

        For example:

            run = await client.aimage("openai/gpt-image-1", "A cat on a mat")
        """
        guard_headers(options)
        call, paths = drawing(self, deployment, prompt, path, options)
        return finished_media(await portal().awaitable(self.send(call)), paths)

    async def aspeech(
        self,
        deployment: str,
        text: str,
        *,
        voice: str,
        path: str | os.PathLike[str] | None = None,
        **options: Unpack[SpeechParameters],
    ) -> Run:
        """`speech` for async code.

        For example:

            run = await client.aspeech("openai/gpt-4o-mini-tts", "Good morning.", voice="alloy")
        """
        guard_headers(options)
        call, paths = speaking(self, deployment, text, voice, path, options)
        return finished_media(await portal().awaitable(self.send(call)), paths)

    async def atranscribe(
        self, deployment: str, file: str | os.PathLike[str] | bytes | Run, **options: Unpack[TranscriptionParameters]
    ) -> Run:
        """`transcribe` for async code.

        For example:

            run = await client.atranscribe("openai/whisper-1", "morning.mp3")
        """
        guard_headers(options)
        call = transcription(self, deployment, file, options)
        return finished_media(await portal().awaitable(self.send(call)))

    def count_tokens(
        self, deployment: str, prompt: str | Sequence[Mapping[str, Any]], *, system: str | None = None
    ) -> int | None:
        """The tokens of a chat's prompt (a text, or messages) as the provider counts them.

        None where it does not count: OpenAI, Anthropic, Gemini, Vertex and Cohere do, Azure and most others do not, and
        a text completion's prompt is counted nowhere, nor before gateway 2.0 a system message by Gemini. Costs nothing,
        and makes a row of the gateway's log, no run.

            client.count_tokens("openai/gpt-4o-mini", "How long is this?", system="Be brief.")

        Raises ConfigurationError before anything is sent, NotFound for an unknown deployment, and as `chat` does.
        """
        return self.run_on_loop(count_tokens(self, deployment, counted(prompt, system)))

    async def acount_tokens(
        self, deployment: str, prompt: str | Sequence[Mapping[str, Any]], *, system: str | None = None
    ) -> int | None:
        """`count_tokens` for async code.

        For example:

            tokens = await client.acount_tokens("openai/gpt-4o-mini", "How long is this?")
        """
        work = count_tokens(self, deployment, counted(prompt, system))
        return await portal().awaitable(work)

    def stream(self, deployment: str, prompt: str | Sequence[str], **options: Unpack[TextParameters]) -> Stream:
        """A text completion of `prompt` by `deployment` that arrives piece by piece.

            with client.stream("azure/fast", "Once upon a time", max_tokens=40) as stream:
                for piece in stream:
                    print(piece, end="")
            stream.run

        `options` as for `complete`. Raises ConfigurationError here; all other errors where the text is read.
        """
        guard_headers(options)
        return Stream(self, self.prepare("text", deployment, prompt, stream=True, **options))

    def stream_chat(
        self,
        deployment: str,
        prompt: str | None = None,
        *,
        system: str | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        **options: Unpack[ChatParameters],
    ) -> Stream:
        """A chat completion that arrives piece by piece; `deployment`, `prompt`, `system` and `messages` as for `chat`.

            with client.stream_chat("openai/gpt-4o-mini", "Why is the sky blue?") as stream:
                print("".join(stream))

        `options` and errors as for `stream`.
        """
        guard_headers(options)
        return Stream(
            self,
            self._written("chat", deployment, prompt, True, system=system, messages=messages, **options),
        )

    def stream_respond(
        self, deployment: str, input: str | Sequence[Mapping[str, Any]], **options: Unpack[ResponsesParameters]
    ) -> Stream:
        """A call of the Responses API whose text arrives piece by piece; `deployment` and `input` as for `respond`.

            with client.stream_respond("openai/gpt-4o-mini", "Why is the sky blue?") as stream:
                print("".join(stream))

        `options` and errors as for `stream`.
        """
        guard_headers(options)
        return Stream(self, self._written("responses", deployment, input, stream=True, **options))

    # Async, on any event loop

    async def acomplete(self, deployment: str, prompt: str | Sequence[str], **options: Unpack[TextParameters]) -> Run:
        """`complete` for async code.

        For example:

            run = await client.acomplete("azure/fast", "Once upon a time")
        """
        guard_headers(options)
        return await self._awaited(self.prepare("text", deployment, prompt, **options))

    async def achat(
        self,
        deployment: str,
        prompt: str | None = None,
        *,
        system: str | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        schema: type[BaseModel] | Mapping[str, Any] | None = None,
        **options: Unpack[ChatParameters],
    ) -> Run:
        """`chat` for async code.

        For example:

            run = await client.achat("openai/gpt-4o-mini", "Why is the sky blue?")
        """
        guard_headers(options)
        typed = with_schema(schema, "chat", cast("dict[str, Any]", options))
        call = self._written("chat", deployment, prompt, system=system, messages=messages, **options)
        return read_answer(await self._awaited(call), typed)

    async def arespond(
        self,
        deployment: str,
        input: str | Sequence[Mapping[str, Any]],
        *,
        schema: type[BaseModel] | Mapping[str, Any] | None = None,
        **options: Unpack[ResponsesParameters],
    ) -> Run:
        """`respond` for async code.

        For example:

            run = await client.arespond("openai/gpt-4o-mini", "Why is the sky blue?")
        """
        guard_headers(options)
        typed = with_schema(schema, "responses", cast("dict[str, Any]", options))
        return read_answer(await self._awaited(self._written("responses", deployment, input, **options)), typed)

    async def aembed(self, deployment: str, input: str | Sequence[str], **options: Unpack[EmbeddingParameters]) -> Run:
        """`embed` for async code.

        For example:

            run = await client.aembed("openai/text-embedding-3-small", ["a cat", "a dog"])
        """
        guard_headers(options)
        return await self._awaited(self.prepare("embedding", deployment, input, **options))

    def astream(self, deployment: str, prompt: str | Sequence[str], **options: Unpack[TextParameters]) -> AsyncStream:
        """`stream` for async code.

        For example:

            async with client.astream("azure/fast", "Once upon a time") as stream:
                async for piece in stream:
                    print(piece, end="")
        """
        guard_headers(options)
        return AsyncStream(self, self.prepare("text", deployment, prompt, stream=True, **options))

    def astream_chat(
        self,
        deployment: str,
        prompt: str | None = None,
        *,
        system: str | None = None,
        messages: Sequence[Mapping[str, Any]] | None = None,
        **options: Unpack[ChatParameters],
    ) -> AsyncStream:
        """`stream_chat` for async code.

        For example:

            async with client.astream_chat("openai/gpt-4o-mini", "Why is the sky blue?") as stream:
                print([piece async for piece in stream])
        """
        guard_headers(options)
        return AsyncStream(
            self,
            self._written("chat", deployment, prompt, True, system=system, messages=messages, **options),
        )

    def astream_respond(
        self, deployment: str, input: str | Sequence[Mapping[str, Any]], **options: Unpack[ResponsesParameters]
    ) -> AsyncStream:
        """`stream_respond` for async code.

        For example:

            async with client.astream_respond("openai/gpt-4o-mini", "Why is the sky blue?") as stream:
                print([piece async for piece in stream])
        """
        guard_headers(options)
        return AsyncStream(self, self._written("responses", deployment, input, stream=True, **options))

    # The layer that the magic, comparisons and widgets stand on

    def _written(self, kind: AnyKind, deployment: str, prompt: Asked, stream: bool = False, **options: Any) -> Call:
        """`prepare` of what a person wrote, with its pictures looked at; a comparison looks at each of its own once."""
        told, name = (prompt, "input") if kind == "responses" else (options.get("messages"), "messages")
        _look_at_pictures(told, name)
        return self.prepare(kind, deployment, prompt, stream, **options)

    def prepare(
        self,
        kind: AnyKind,
        deployment: str,
        prompt: Asked = None,
        stream: bool = False,
        **options: Any,
    ) -> Call:
        """Check a call without sending it. Raises ConfigurationError."""
        guard_headers(options)
        if own := [name for name in _OWN if name in options]:
            raise ConfigurationError(f"{own[0]} is no parameter of a call.", hint="Set it with bf.Client(...).")
        if kind == "image" or kind == "speech" or kind == "transcription":
            return prepared_media(self, kind, deployment, prompt, options)
        given = options.pop("headers", None)
        of_client = self.settings.api_version, self.timeouts, self.retries

        def prepared() -> Call:
            version, timeouts, retries = of_client
            return prepare(
                kind,
                deployment,
                prompt,
                stream=stream,
                api_version=version,
                default_timeouts=timeouts,
                default_retries=retries,
                headers=self.checked_headers(given),
                **options,
            )

        alike = not given and kind in ("text", "chat")
        call = (
            self._checked.call(prepared, kind, deployment, prompt, options, stream, *of_client) if alike else prepared()
        )
        self.made_ready(call)
        return call

    def checked_headers(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        """The headers of one call: the client's own and these. Raises ConfigurationError."""
        return _checked_headers({**self.credentials.own, **(headers or {})})

    def made_ready(self, call: Call) -> None:
        """What is done with each checked call before it is sent."""
        note_call(call.run)
        # Starts the embedded gateway here rather than on the private loop, which it would hold up.
        route_to(self.base_url, self.credentials.ca_file)

    def start(self, call: Call, sink: Sink | None = None) -> Job[Outcome]:
        """Send a prepared call; the job's result is always an `Outcome`, also after `cancel`."""
        return portal().start(self._started(call, sink))

    async def send(self, call: Call, sink: Sink | None = None) -> Outcome:
        """`start` for code that already runs on the private loop. Being cancelled raises CancelledError."""
        return await self.sender().send(call, sink)

    def record(self, run: Run) -> None:
        """Write a finished run to the log, as `redact` wants it and without keys. Raises LogError."""
        self.log.append(run, redact=self.redact, secrets=self.credentials.secrets)

    # What management, comparisons, clusters and recorders stand on

    def sender(self) -> Sender:
        """What sends on this process's private loop (a fork has a loop of its own). Call it there."""
        base_url = self.base_url  # the embedded gateway has another after it had to be started again
        if self._sender is None or self._sender.portal is not portal() or self._sender.base_url != base_url:
            self._sender = Sender(
                base_url, self.credentials, lambda: self.log, self.redact, traceparent=self.traceparent
            )
        return self._sender

    def run_on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the private loop and wait for its result; an interrupt cancels it and is raised again."""
        return portal().call(work)

    async def models(self) -> Sequence[Mapping[str, Any]]:
        """What ``/v1/models`` lists, asked for once in ten minutes. On the private loop.

        Raises ConnectionFailed and its relatives, ProtocolError.
        """
        return await self.sender().costs.models()

    def known_models(self) -> Sequence[Mapping[str, Any]]:
        """What `models` gave in the last ten minutes, to this client or one like it; empty: nothing. Asks nobody."""
        return known_list(self.base_url, self.credentials.listing)

    def wait_costs(self, runs: Iterable[Run], seconds: float = 5.0) -> None:
        """Wait until the costs of `runs` that come from the gateway's log are filled in, at most `seconds`.

            run = client.chat("openai/gpt-4o-mini", "Hi")
            client.wait_costs([run], seconds=10)

        Raises ConfigurationError for what are no runs.
        """
        waiting = list(runs) if isinstance(runs, Iterable) else [runs]
        if wrong := [type(each).__name__ for each in waiting if not isinstance(each, Run)]:
            raise ConfigurationError(f"wait_costs takes runs, not {wrong[0]}.", hint="Pass [run].")
        wait_for_costs(waiting, seconds)

    def version(self) -> str | None:
        """The gateway's version; None where it does not say (before 1.4, or no gateway).

        For example:

            client.version()
        """

        async def ask() -> str | None:
            return await self.sender().version()

        return self.run_on_loop(ask())

    def _wait(self, call: Call) -> Run:
        return finished(self.run_on_loop(self.send(call)))

    async def _awaited(self, call: Call) -> Run:
        return finished(await portal().awaitable(self.send(call)))

    async def _started(self, call: Call, sink: Sink | None) -> Outcome:
        try:
            return await self.send(call, sink)
        except asyncio.CancelledError:
            return Outcome(call.run)


def _look_at_pictures(messages: Any, name: str) -> None:
    """Raises ConfigurationError where a picture in `messages`, the argument `name`, cannot be read."""
    if isinstance(messages, list | tuple) and any(
        isinstance(turn, Mapping) and isinstance(turn.get("content"), list | tuple) for turn in messages
    ):
        from .._prompts.messages import check_pictures

        check_pictures(messages, name)


def _resolved(given: Mapping[str, Any]) -> settings.Settings:
    """The settings of a client that was given these arguments."""
    passed: dict[str, Any] = {name: value for name, value in given.items() if name in settings.DEFAULTS}
    if isinstance(passed.get("timeout"), Timeouts):
        del passed["timeout"]
    passed.pop("redact", None)  # of a client a function, of the settings words
    return settings.resolve(**passed)


_OF_THE_CONNECTION = (
    *("connection", "content-encoding", "content-length", "expect", "keep-alive", "te", "trailer"),
    *("transfer-encoding", "upgrade"),
)
"""Headers that say where a request ends and how it is read: with a wrong one, half of it is sent."""


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    if headers == {"": None}:
        raise ConfigurationError("headers must be a dict of names and texts, or pairs of them.")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ConfigurationError(f"headers must map names to text; {name!r} does not.")
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[\r\n\0\ud800-\udfff]", value):
            raise ConfigurationError(f"The header {plain(name, 40)!r} holds characters that HTTP does not allow.")
        if name.lower() in _OF_THE_CONNECTION:
            raise ConfigurationError(
                f"The header {name} belongs to the connection and is set by the client.", hint="Leave it out."
            )
        if name.lower() == "x-request-id":
            raise ConfigurationError(
                "x-request-id is set by the client, so that a run can be found in the gateway's log.",
                hint="Read it from run.request_id; keep an id of your own in tags={...}.",
            )
    return guarded({name.lower(): value for name, value in headers.items()})


def _guarded(
    base_url: str | None, virtual_key: str | None, api_key: str | None, headers: Mapping[str, str] | None
) -> tuple[Any, Any, Any, Any]:
    """The same, so that no traceback shows a key among the variables of our frames."""
    found = settings.masked({"base_url": base_url, "virtual_key": virtual_key, "api_key": api_key})
    return *found.values(), None if headers is None else guarded(headers)

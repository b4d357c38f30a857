"""Pictures and sound: `Client.image`, `Client.speech` and `Client.transcribe`, checked before anything is sent."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

from .._files import check_file, read_file, user_path, write_private
from .._keys import guard_headers
from .._runs.run import Run
from .._safe_text import plain, quoted
from .._wire.deployments import MediaKind
from .._wire.media import sound_kind
from ..errors import BifrostError, ConfigurationError, GatewayError
from .calls import REQUEST_TYPES, Call, Outcome, Timeouts, check_shapes, checked_retries
from .streams import finished

if TYPE_CHECKING:
    from .._wire.base import BaseRequest
    from .client import Client

__all__ = [
    "ImageParameters",
    "Sound",
    "SpeechParameters",
    "TranscriptionParameters",
    "drawing",
    "finished_media",
    "prepared_media",
    "sound_of",
    "speaking",
    "transcription",
]

MOST_BYTES = 100 * 2**20
"""The largest sound that is sent: the gateway takes no larger request unless told otherwise."""
_FORMATS = {".mp3": "mp3", ".opus": "opus", ".aac": "aac", ".flac": "flac", ".wav": "wav", ".pcm": "pcm"}
_NO_ROUTE = "Gateways before 1.4 have no route for pictures (measured on 1.3.63)."


class MediaOptions(TypedDict, total=False):
    """What these calls take beside their parameters; as for completions."""

    fallbacks: Sequence[str] | None
    timeout: float | Timeouts | None
    retries: int | None
    headers: Mapping[str, str] | None
    tags: Mapping[str, Any] | None


class ImageParameters(MediaOptions, total=False):
    """Parameters of a picture."""

    n: int | None
    size: str | None
    """Like ``"1024x1024"``; which ones there are, the model's provider says."""
    quality: str | None
    style: str | None
    background: str | None
    moderation: str | None
    output_format: Literal["png", "jpeg", "webp"] | None
    output_compression: int | None
    response_format: Literal["b64_json", "url"] | None
    seed: int | None
    user: str | None
    extra: Mapping[str, Any] | None


class SpeechParameters(MediaOptions, total=False):
    """Parameters of a spoken text."""

    instructions: str | None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None
    speed: float | None
    extra: Mapping[str, Any] | None


class TranscriptionParameters(MediaOptions, total=False):
    """Parameters of writing down what a sound says."""

    language: str | None
    """Like ``"en"``."""
    prompt: str | None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] | None
    temperature: float | None


class Sound(NamedTuple):
    """A checked sound: the name that its provider tells its format by, and its bytes."""

    name: str
    content: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()[:16]

    @property
    def words(self) -> str:
        """What stands for it where a text is wanted."""
        size = max(1, len(self.content) // 1000)
        return f"[sound: {plain(self.name, 200)}, {size:,} kB, sha256={self.digest}]"


Drawing = tuple[Call, list[Path]]
"""A call, and where what comes is to be written."""


def drawing(client: Client, deployment: str, prompt: str, path: Any, parameters: Mapping[str, Any]) -> Drawing:
    """The call for pictures. With several, ``cat.png`` becomes ``cat-1.png``, ``cat-2.png`` and so on."""
    from .._wire.media_request import ImageRequest

    call = _prepared(client, "image", ImageRequest, deployment, {"prompt": prompt}, parameters)
    count, target = call.body.get("n") or 1, _target(path)
    if target is None or count == 1:
        return call, _writable([] if target is None else [target])
    return call, _writable([target.with_stem(f"{target.stem}-{number}") for number in range(1, count + 1)])


def speaking(
    client: Client, deployment: str, text: str, voice: str, path: Any, parameters: Mapping[str, Any]
) -> Drawing:
    """The call for speech. A path that ends in a format asks for that."""
    from .._wire.media_request import SpeechRequest

    target, given = _target(path), dict(parameters)
    wanted = None if target is None else _FORMATS.get(target.suffix.lower())
    asked = given.get("response_format")
    if wanted is not None and asked is not None and asked != wanted:
        raise ConfigurationError(f"path ends in {wanted} and response_format is {quoted(asked, 40)}.")
    if wanted is not None:
        given["response_format"] = wanted
    call = _prepared(client, "speech", SpeechRequest, deployment, {"input": text, "voice": voice}, given)
    return call, _writable([] if target is None else [target])


def transcription(client: Client, deployment: str, file: Any, parameters: Mapping[str, Any]) -> Call:
    """The call for the text of a sound: a path, its bytes, or a run that holds one."""
    sound = file if isinstance(file, Sound) else sound_of(file)
    from .._wire.media_request import TranscriptionRequest

    if "extra" in parameters:
        raise ConfigurationError("transcribe takes no extra=: the gateway reads only known fields of the form.")
    call = _prepared(client, "transcription", TranscriptionRequest, deployment, {}, parameters)
    call.file = (sound.name, sound.content)
    call.run.prompt = sound.words
    return call


def prepared_media(client: Client, kind: MediaKind, deployment: str, prompt: Any, options: dict[str, Any]) -> Call:
    """The call of a comparison for pictures, speech, or the text of a sound, whose ``hint`` is what the API calls
    its prompt. Raises ConfigurationError."""
    if kind == "image":
        return drawing(client, deployment, prompt, None, options)[0]
    if kind == "transcription":
        hint = options.pop("hint", None)
        return transcription(client, deployment, prompt, options | ({} if hint is None else {"prompt": hint}))
    voice = options.pop("voice", None)
    if voice is None:
        raise ConfigurationError("Speech takes a voice.", hint="Pass voice='alloy', or one for each deployment.")
    return speaking(client, deployment, prompt, voice, None, options)[0]


def finished_media(outcome: Outcome, paths: Sequence[Path] = ()) -> Run:
    """The run of an outcome that is good, written to `paths`; raises its error otherwise."""
    error, run = outcome.error, outcome.run
    if isinstance(error, GatewayError) and error.status == 405 and run.request_type == "image_generation":
        error.hint = _NO_ROUTE
    return _saved(finished(outcome), paths)


def _saved(run: Run, paths: Sequence[Path]) -> Run:
    """Write what came to `paths`. What was paid for stays in the error's run where that fails."""
    contents = run.images or [run.audio_bytes]
    for path, content in zip(paths, contents, strict=False):
        if not content:
            continue
        try:
            write_private(path, content)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise BifrostError(
                f"The answer came and could not be written to {plain(path, 200)}: {reason}.",
                hint="It is in the error's .run: .run.images or .run.audio_bytes.",
                run=run,
            ) from None
    if len(run.images) < len(paths) and run.request_type == "image_generation":
        run.notes.append(f"{len(run.images)} of {len(paths)} pictures came as data; the others were not written.")
    return run


def _prepared(
    client: Client,
    kind: MediaKind,
    model: type[BaseRequest],
    deployment: str,
    content: dict[str, Any],
    parameters: Mapping[str, Any],
) -> Call:
    from .._wire import requests as wire
    from .._wire.base import build

    options = dict(parameters)
    guard_headers(options)
    fallbacks, extra, tags = options.pop("fallbacks", None), options.pop("extra", None), options.pop("tags", None)
    timeout, retries = options.pop("timeout", None), options.pop("retries", None)
    names = {name: options.pop(name, None) for name in ("comparison_id", "prompt_id", "repeat")}
    headers = client.checked_headers(options.pop("headers", None))
    check_shapes(fallbacks, tags)
    target = wire.Deployment.parse(deployment)
    request: Any = build(model, target, content, fallbacks, extra, options)
    address = wire.endpoint(kind, target, "v1")
    run = Run(
        request_type=REQUEST_TYPES[kind],
        requested_provider=target.provider,
        requested_model=target.model,
        fallbacks=list(request.fallbacks or ()),
        prompt=content.get("prompt") or content.get("input"),
        params={
            **{name: value for name, value in options.items() if value is not None},
            **({"voice": content["voice"]} if "voice" in content else {}),
            **({"extra": dict(extra)} if extra else {}),
        },
        tags=dict(tags or {}),
        **names,
    )
    call = Call(
        kind=kind,
        stream=False,
        path=address.path,
        query=address.query,
        body=wire.body(request, target, address),
        headers={"accept": "*/*", **wire.headers(request, address), **headers},
        timeouts=Timeouts.of(timeout, client.timeouts),
        retries=checked_retries(client.retries if retries is None else retries),
        run=run,
    )
    client.made_ready(call)
    return call


def _target(path: Any) -> Path | None:
    if path is None:
        return None
    return user_path(path)


def _writable(paths: list[Path]) -> list[Path]:
    """The paths, where a file can be written there. Raises ConfigurationError."""
    for path in paths:
        problem: str | None = None
        try:
            check_file(path)
            if path.is_dir():
                problem = "it is a folder"
            elif not path.parent.is_dir():
                problem = "its folder does not exist"
            elif not os.access(path.parent, os.W_OK):
                problem = "its folder may not be written to"
        except (OSError, ValueError) as error:
            problem = getattr(error, "strerror", None) or str(error)
        if problem:
            raise ConfigurationError(f"path {plain(str(path), 200)!r} cannot be written: {plain(problem, 100)}.")
    return paths


def sound_of(file: Any) -> Sound:
    """The sound of a path, its bytes, or a run that holds one. Raises ConfigurationError."""
    name = "audio"
    if isinstance(file, Run):
        content = file.audio_bytes
        if not content:
            raise ConfigurationError("That run holds no sound.", hint="Pass one of client.speech.")
    elif isinstance(file, bytes | bytearray | memoryview):
        content = bytes(file)
    elif isinstance(file, str | os.PathLike) and os.fspath(file):
        name, content = _of_file(file)
    else:
        raise ConfigurationError(f"file must be a path, bytes or a run, not {type(file).__name__}.")
    if not content:
        raise ConfigurationError("The sound is empty.")
    if len(content) > MOST_BYTES:
        raise ConfigurationError(_too_large(len(content)))
    if "." not in name:  # providers tell the format by the name
        kind = sound_kind(content) or "bin"
        name = f"{name}.{ {'mpeg': 'mp3', 'mp4': 'm4a'}.get(kind, kind) }"
    return Sound(name, content)


def _of_file(file: Any) -> tuple[str, bytes]:
    shown = plain(os.fsdecode(file), 200)
    try:
        path = Path(os.fsdecode(file)).expanduser()
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ConfigurationError(_too_large(size))
        return plain(path.name, 200), read_file(path)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or plain(error, 100)
        raise ConfigurationError(f"The sound cannot be read from {shown!r}: {reason}.") from None


def _too_large(size: int) -> str:
    return f"The sound has {size / 1e6:,.0f} MB, more than the {MOST_BYTES / 1e6:,.0f} MB that are sent."

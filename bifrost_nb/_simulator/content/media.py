"""Pictures and sounds without a model: drawn discs, tones for words, and the text of what was spoken here.

What a picture shows has nothing to do with its prompt. MP3 is silence of the right length, since encoding needs a
library; WAV and PCM have a tone for each word. A sound that was made here is written down as the text it was made of;
of any other nothing can be heard, and the transcript says so. Prices and lengths are made up.
"""

from __future__ import annotations

import io
import math
import re
import wave
from array import array
from base64 import b64decode
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING, Any

from ..deployments import Kind, SimulatedDeployment
from ..dialects import Failure
from ..faults import FaultRule
from ..http.request import REQUEST_TYPES, SimulatedCall
from .tokens import count

if TYPE_CHECKING:
    from .answers import SimulatedAnswer

__all__ = ["MEDIA", "log_facts", "make", "media_usd", "refused_media"]

MEDIA: frozenset[Kind] = frozenset(("image", "speech", "transcription"))
_PROVIDERS = ("openai", "azure")
"""Who draws, speaks and listens here. Measured: Anthropic does not; that nobody else does is ours."""
_FORMATS = ("mp3", "wav", "pcm")
_RATE = 24_000
"""Samples a second, of 16 bits, as OpenAI's ``pcm`` has."""
_WORD_S = 0.35
_MP3_FRAME = bytes.fromhex("fffb10c0") + bytes(100)
"""A silent frame of 26 ms: 44.1 kHz, mono, 32 kbit/s."""
_MP3_FRAME_S = 1152 / 44_100
_PICTURE_TOKENS = 1_056
_MOST_CHARACTERS, _MOST_PICTURES, _LONGEST_SIDE = 4_096, 10, 2_048
_UNHEARD = "The embedded gateway writes down only what it has spoken itself."


def refused_media(call: SimulatedCall, deployment: SimulatedDeployment) -> Failure | None:
    """Why the deployment does not take the call. The words of the provider's own refusals are ours."""
    if deployment.provider not in _PROVIDERS:
        message = f"{REQUEST_TYPES[call.kind]} is not supported by {deployment.provider} provider"
        return Failure(status=400, code="unsupported_operation", message=message, of_engine=True)
    problem: tuple[str, str] | None = None
    if not deployment.answers(call.kind):
        problem = "model", f"The model '{deployment.model}' does not support this request."
    elif call.kind == "image":
        if not 1 <= call.get("n", 1) <= _MOST_PICTURES:
            problem = "n", f"'n' must be between 1 and {_MOST_PICTURES}."
        elif _size(call) is None:
            problem = "size", f"Invalid value: '{call.get('size', '')[:40]}'."
    elif call.kind == "speech":
        if len(call.prompt) > _MOST_CHARACTERS:
            problem = "input", f"String too long. Expected a string with maximum length {_MOST_CHARACTERS}."
        elif call.get("response_format", "mp3") not in _FORMATS:
            problem = "response_format", f"The embedded gateway speaks {', '.join(_FORMATS)} only."
        elif not 0.25 <= call.get("speed", 1) <= 4:
            problem = "speed", "'speed' must be between 0.25 and 4."
    elif not call.body["file"]["file"]:
        problem = "file", "Audio file is too short. Minimum audio length is 0.1 seconds."
    if problem is None:
        return None
    return Failure(status=400, type="invalid_request_error", param=problem[0], message=problem[1])


def make(
    call: SimulatedCall, deployment: SimulatedDeployment, rule: FaultRule, random: Random, spoken: dict[bytes, str]
) -> SimulatedAnswer:
    """The answer; what is spoken is remembered in `spoken`."""
    from .answers import SimulatedAnswer, SimulatedChoice  # which this module's caller imports, too

    choice = SimulatedChoice(index=0, prompt="", tokens=[], finish_reason="")
    answer = SimulatedAnswer(
        choices=[choice], prompt_tokens=0, completion_tokens=0, reasoning_tokens=None, wants_logprobs=False
    )
    if call.kind == "image":
        answer.media = [_picture(call, random) for _ in range(call.get("n", 1))]
        answer.prompt_tokens, answer.completion_tokens = count(call.prompt), _PICTURE_TOKENS * len(answer.media)
        if deployment.picture_usd is not None:
            words_usd = answer.prompt_tokens * (deployment.input_usd or 0) / 1e6
            answer.units_usd = words_usd + len(answer.media) * deployment.picture_usd
    elif call.kind == "speech":
        sound = _speak(call)
        answer.media = [sound]
        if len(spoken) < 1_000:
            spoken[blake2b(sound).digest()] = call.prompt
        if deployment.character_usd is not None:
            answer.units_usd = len(call.prompt) * deployment.character_usd
    else:
        sound = b64decode(call.body["file"]["file"])
        said = spoken.get(blake2b(sound).digest())
        text = "".join(rule.text) if rule.text is not None else said
        choice.tokens = [_UNHEARD if text is None else text]
        answer.seconds = _seconds(sound, ours=said is not None)
        if deployment.second_usd is not None:
            answer.units_usd = answer.seconds * deployment.second_usd
    return answer


def media_usd(answer: SimulatedAnswer) -> tuple[float, float] | None:
    """US dollars for (what was asked, what was made)."""
    return None if answer.units_usd is None else (0.0, answer.units_usd)


def log_facts(call: SimulatedCall) -> dict[str, Any]:
    """What the gateway's log has instead of messages (measured on 1.5.16 and 2.0.0-prerelease3)."""
    if call.kind == "transcription":
        return {"input_history": None, "transcription_input": call.body["file"]}
    name, field = ("speech_input", "input") if call.kind == "speech" else ("image_generation_input", "prompt")
    return {"input_history": None, name: {field: call.prompt}}


def _size(call: SimulatedCall) -> tuple[int, int] | None:
    asked = call.get("size", "auto")
    if asked == "auto":
        return 256, 256
    found = re.fullmatch(r"([1-9]\d{1,3})x([1-9]\d{1,3})", asked)
    if found is None or max(int(found[1]), int(found[2])) > _LONGEST_SIDE:
        return None
    return int(found[1]), int(found[2])


def _picture(call: SimulatedCall, random: Random) -> bytes:
    from PIL import Image, ImageDraw

    def colour() -> tuple[int, int, int]:
        return random.randrange(256), random.randrange(256), random.randrange(256)

    width, height = _size(call) or (256, 256)
    picture = Image.new("RGB", (width, height), colour())
    draw = ImageDraw.Draw(picture)
    for _ in range(7):
        x, y, r = (
            random.randrange(width),
            random.randrange(height),
            random.randrange(1, max(2, min(width, height) // 3)),
        )
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour())
    made = io.BytesIO()
    wanted = call.get("output_format", "png")
    picture.save(made, format={"jpeg": "JPEG", "webp": "WEBP"}.get(wanted, "PNG"))
    return made.getvalue()


def _speak(call: SimulatedCall) -> bytes:
    words = call.prompt.split() or [call.prompt]
    word_s: float = _WORD_S / call.get("speed", 1)
    wanted = call.get("response_format", "mp3")
    if wanted == "mp3":
        title = blake2b(call.prompt.encode(errors="replace"), digest_size=16).hexdigest().encode()
        frame = b"TIT2" + (len(title) + 1).to_bytes(4) + b"\0\0\0" + title  # so that each text has a file of its own
        return (
            b"ID3\3\0\0\0\0\0"
            + bytes([len(frame)])
            + frame
            + _MP3_FRAME * math.ceil(len(words) * word_s / _MP3_FRAME_S)
        )
    samples = b"".join(_tone(word, word_s) for word in words)
    if wanted == "pcm":
        return samples
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(samples)
    return made.getvalue()


def _tone(word: str, seconds: float) -> bytes:
    """A tone whose pitch depends on the word, and a pause."""
    pitch = 160 + int.from_bytes(blake2b(word.encode(errors="replace"), digest_size=2).digest()) % 400
    length = _RATE // pitch
    samples = (round(6_000 * math.sin(2 * math.pi * place / length)) for place in range(length))
    period = array("h", samples).tobytes()
    sounding = period * round(seconds * 0.8 * pitch)
    return sounding + bytes(max(0, 2 * round(seconds * _RATE) - len(sounding)))


def _seconds(sound: bytes, *, ours: bool) -> int:
    """At least 1, in whole seconds as OpenAI counts; of what is not WAV a guess by its size."""
    try:
        with wave.open(io.BytesIO(sound)) as file:
            seconds: int = math.ceil(file.getnframes() / file.getframerate())
            return max(1, seconds)
    except (wave.Error, EOFError, ZeroDivisionError):
        return max(1, math.ceil(len(sound) / (4_000 if ours else 16_000)))

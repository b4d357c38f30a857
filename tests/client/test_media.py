"""Pictures and sound through the client: what is sent, what comes, what it shows and where it is written."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.responses import Response

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, LocalGateway, RunLog, local_gateway
from tests import lazy

from ..admin.servers import Table, served

DRAW, SPEAK, HEAR = "openai/gpt-image-1", "openai/gpt-4o-mini-tts", "openai/whisper-1"


def posts(gateway: LocalGateway) -> list[dict[str, Any]]:
    return [record for record in gateway.requests() if record["method"] == "POST"]


def html(run: bf.Run) -> str:
    return run._repr_mimebundle_()[0]["text/html"]


@pytest.fixture(scope="module", params=["1.4", "1.5", "2.0"])  # `client` below is of 2.2
def every_gateway(request: pytest.FixtureRequest) -> Iterator[LocalGateway]:
    with local_gateway(dialect=request.param, speed=50) as gateway:
        yield gateway


def test_a_text_is_spoken_and_written_down_again(every_gateway: LocalGateway, log: RunLog) -> None:
    """In each generation: the sound, its text, the costs of the gateway's log by character and by second."""
    client = Client(every_gateway.url, log=log)
    spoken = client.speech(SPEAK, "Good morning.", voice="alloy", speed=1.5, response_format="wav", tags={"a": 1})
    with wave.open(io.BytesIO(spoken.audio_bytes)) as sound:
        assert sound.getnframes() / sound.getframerate() == pytest.approx(2 * 0.35 / 1.5, abs=0.01)
    heard = client.transcribe(HEAR, spoken, language="en")
    assert (heard.text, heard.usage) == ("Good morning.", {"type": "duration", "seconds": 1})
    client.wait_costs([spoken, heard])
    assert spoken.cost_usd == pytest.approx(13 * 15e-6)
    assert heard.cost_usd == pytest.approx(1e-4)
    assert (spoken.cost_source, heard.cost_source) == ("log", "log")
    assert [run.request_type for run in (spoken, heard)] == ["speech", "transcription"]
    assert [run.served for run in (spoken, heard)] in ([SPEAK, HEAR], [None, HEAR])
    assert (spoken.prompt, spoken.params["voice"], spoken.response) == ("Good morning.", "alloy", None)
    assert (spoken.tokens_per_s, spoken.prompt_tokens, heard.prompt_tokens) == (None, None, None)


def test_pictures_are_drawn(every_gateway: LocalGateway, log: RunLog, tmp_path: Path) -> None:
    """Of the size asked for, written where it was said and nowhere else; tokens and cost, and no speed."""
    client, folder = Client(every_gateway.url, log=log), tmp_path / "pictures"
    folder.mkdir()
    run = client.image(DRAW, "A cat", n=2, size="64x32", output_format="webp", path=folder / "cat.webp")
    assert [Image.open(io.BytesIO(each)).size for each in run.images] == [(64, 32)] * 2
    assert sorted(path.name for path in folder.iterdir()) == ["cat-1.webp", "cat-2.webp"]
    assert (folder / "cat-2.webp").read_bytes() == run.images[1]
    client.wait_costs([run])
    assert run.cost_usd == pytest.approx(2 * 0.04 + (run.prompt_tokens or 0) * 5e-6)
    assert run.completion_tokens == 2_112
    assert (run.tokens_per_s, run.response, run.request_type) == (None, None, "image_generation")
    [logged] = log.read()
    assert (logged.images, "does not keep" in repr(logged)) == ([], True)


def test_the_oldest_gateways_have_no_route_for_pictures(log: RunLog) -> None:
    """The error says so."""
    with local_gateway(dialect="1.3") as gateway, pytest.raises(bf.GatewayError, match=r"before 1\.4 have no route"):
        Client(gateway.url, log=log).image(DRAW, "A cat")


def test_the_sdk_gets_the_same(every_gateway: LocalGateway, log: RunLog) -> None:
    """OpenAI's own SDK on the gateway's /openai, its file sent as a form, its sound read as bytes."""
    sdk = lazy.openai.OpenAI(base_url=f"{every_gateway.url}/openai", api_key="none", max_retries=0)
    client = Client(every_gateway.url, log=log)
    sound = sdk.audio.speech.create(model=SPEAK, input="Hello there.", voice="alloy").read()
    assert sound == client.speech(SPEAK, "Hello there.", voice="alloy").audio_bytes
    told = sdk.audio.transcriptions.create(model=HEAR, file=("hello.mp3", sound))
    assert told.text == client.transcribe(HEAR, sound).text == "Hello there."
    drawn = sdk.images.generate(model=DRAW, prompt="A cat", size="auto")
    assert Image.open(io.BytesIO(base64.b64decode((drawn.data or [])[0].b64_json or ""))).format == "PNG"
    assert drawn.usage is not None
    assert drawn.usage.output_tokens == client.image(DRAW, "A cat").completion_tokens
    # Measured: an error of the engine's own is a 500 on the routes of SDKs up to 1.5.1.
    refused = lazy.openai.InternalServerError if every_gateway.dialect == "1.4" else lazy.openai.BadRequestError
    with pytest.raises(refused, match="speech is not supported by anthropic"):
        sdk.audio.speech.create(model="anthropic/claude-haiku-4-5", input="Hi", voice="alloy")


def test_what_is_sent(client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """A path's ending asks for the format; a form has its file under the name that it has on the disk, no path."""
    client.speech(SPEAK, "Hi", voice="alloy", instructions="Calm.", path=tmp_path / "hi.wav")
    client.transcribe(HEAR, tmp_path / "hi.wav", prompt="Names: Ada", temperature=0)
    spoken, heard = posts(gateway)
    params = {"instructions": "Calm.", "response_format": "wav"}
    assert spoken["body"] == {"model": SPEAK, "input": "Hi", "voice": "alloy", **params}
    assert 'name="prompt"\r\n\r\nNames: Ada' in heard["body"]
    assert 'filename="hi.wav"' in heard["body"]
    assert str(tmp_path) not in heard["body"]
    assert heard["headers"]["content-type"].startswith("multipart/form-data; boundary=")
    assert asyncio.run(client.atranscribe(HEAR, tmp_path / "hi.wav")).text == "Hi"
    assert asyncio.run(client.aspeech(SPEAK, "Hi", voice="alloy")).audio_bytes[:3] == b"ID3"
    assert len(asyncio.run(client.aimage(DRAW, "A cat", size="16x16")).images) == 1


def test_the_fallbacks_of_a_transcription(every_gateway: LocalGateway, log: RunLog) -> None:
    """As measured: gateways up to 1.5.1 ask none, later ones the first; the run of a failure says so."""
    client = Client(every_gateway.url, log=log, retries=0)
    sound = client.speech(SPEAK, "Hi", voice="alloy", response_format="wav")
    old, broken = every_gateway.dialect < "1.5", {"status": 503, "error": {"message": "down"}}
    every_gateway.script([{**broken, "times": 1}])
    if old:
        with pytest.raises(bf.GatewayError) as caught:
            client.transcribe(HEAR, sound, fallbacks=["azure/whisper", HEAR])
        assert any("ask no fallback" in note for note in caught.value.run.notes)  # type: ignore[union-attr]
    else:
        heard = client.transcribe(HEAR, sound, fallbacks=[HEAR, "azure/no-such"])
        assert (heard.text, heard.is_fallback) == ("Hi", True)
        every_gateway.script([broken])
        with pytest.raises(bf.GatewayError) as caught:
            client.transcribe(HEAR, sound, fallbacks=[HEAR, "azure/no-such"])
        assert any("only the first" in note for note in caught.value.run.notes)  # type: ignore[union-attr]
    every_gateway.script([])


def test_what_fails_is_sent_again(client: Client, gateway: LocalGateway) -> None:
    """A form is whole in the second attempt, too."""
    gateway.script([{"status": 503, "error": {"message": "busy"}, "times": 1}])
    sound = client.speech(SPEAK, "Again.", voice="alloy")
    gateway.script([{"status": 503, "error": {"message": "busy"}, "times": 1}])
    assert client.transcribe(HEAR, sound).text == "Again."


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda c, d: c.image(DRAW, ""), "prompt"),
        (lambda c, d: c.image(DRAW, "A cat", n=0), "n must"),
        (lambda c, d: c.image(DRAW, "A cat", sizes="1x1"), "sizes"),
        (lambda c, d: c.image("gpt-image-1", "A cat"), "provider and model"),
        (lambda c, d: c.image(DRAW, "A cat", path=d), "it is a folder"),
        (lambda c, d: c.image(DRAW, "A cat", path=d / "no" / "cat.png"), "folder does not exist"),
        (lambda c, d: c.image(DRAW, "A cat", path=d / "pipe"), "pipe"),
        (lambda c, d: c.image(DRAW, "A cat", path="a\0b"), "path of a file or folder"),
        (lambda c, d: c.speech(SPEAK, "Hi", voice=""), "voice"),
        (lambda c, d: c.speech(SPEAK, "Hi", voice="alloy", speed=9), "speed must"),
        (lambda c, d: c.speech(SPEAK, "Hi", voice="alloy", path=d / "a.wav", response_format="mp3"), "ends in wav"),
        (lambda c, d: c.transcribe(HEAR, d / "none.mp3"), "cannot be read"),
        (lambda c, d: c.transcribe(HEAR, d / "pipe"), "cannot be read"),
        (lambda c, d: c.transcribe(HEAR, d), "cannot be read"),
        (lambda c, d: c.transcribe(HEAR, d / "huge.mp3"), "MB"),
        (lambda c, d: c.transcribe(HEAR, b""), "empty"),
        (lambda c, d: c.transcribe(HEAR, 5), "path, bytes or a run"),
        (lambda c, d: c.transcribe(HEAR, bf.Run()), "holds no sound"),
        (lambda c, d: c.transcribe(HEAR, b"x", extra={"a": 1}), "no extra"),
    ],
)
def test_what_is_wrong_is_told_before_it_is_sent(
    client: Client, gateway: LocalGateway, tmp_path: Path, ask: Any, said: str
) -> None:
    """Names, values, paths that cannot be written, files that are none or too large."""
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge.mp3").open("wb") as file:
        file.truncate(101 * 2**20)
    with pytest.raises(ConfigurationError, match=said):
        ask(client, tmp_path)
    assert not posts(gateway)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["huge.mp3", "pipe"]


def test_pictures_and_sound_show_themselves(client: Client, gateway: LocalGateway) -> None:
    """Pictures as data, sound as a player with its bytes; the plain text has words."""
    drawn, spoken = client.image(DRAW, 'A "cat" <b>', size="16x16"), client.speech(SPEAK, "Hi", voice="alloy")
    assert f'src="data:image/png;base64,{base64.b64encode(drawn.images[0]).decode()}"' in html(drawn)
    assert "drawn for: A &quot;cat&quot; &lt;b&gt;" in html(drawn)
    assert f'src="data:audio/mpeg;base64,{base64.b64encode(spoken.audio_bytes).decode()}"' in html(spoken)
    assert ("a picture, 1 kB" in repr(drawn), "sound (mpeg)" in repr(spoken)) == (True, True)
    assert "empty" not in html(drawn) + html(spoken)


HOSTILE = {
    "svg": {"data": [{"b64_json": base64.b64encode(b"<svg onload='alert(1)'/>").decode()}]},
    "address": {"data": [{"url": "https://example.com/<script>alert(1)</script>.png"}]},
    "prompt": {"data": [{"b64_json": "iVBORw0KGgo=", "revised_prompt": "<img src=x onerror=alert(1)>"}]},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_do_not_run(client: Client, gateway: LocalGateway, name: str) -> None:
    """Neither what is no picture, nor an address, nor a text beside it becomes part of the page."""
    gateway.script([{"body": HOSTILE[name]}])
    run = client.image(DRAW, "A cat")
    shown = html(run)
    assert "<img" not in shown
    assert "<script" not in shown
    assert "<svg" not in shown
    assert ("not fetched" if name == "address" else "not shown") in shown


def test_an_answer_of_many_pictures_is_told_short(client: Client, gateway: LocalGateway) -> None:
    """A hundred thousand, each with a text of its own: some are named, the others counted, all are in the run."""
    one = {"b64_json": "iVBORw0KGgo=", "revised_prompt": "A cat " * 100}
    gateway.script([{"body": {"data": [one] * 100_000}}])
    run = client.image(DRAW, "A cat")
    assert len(run.images) == 100_000
    assert "and 99,980 more pictures" in repr(run)
    assert len(repr(run)) < 20_000
    assert len(html(run)) < 50_000


@pytest.mark.parametrize("body", [{}, {"data": []}, {"data": [{"b64_json": "?"}]}, {"data": "x"}])
def test_an_answer_without_a_picture_is_an_error(client: Client, gateway: LocalGateway, body: Any) -> None:
    """Its run is recorded."""
    gateway.script([{"body": body}])
    with pytest.raises(bf.ProtocolError, match="no picture") as caught:
        client.image(DRAW, "A cat")
    assert caught.value.run is not None


def test_what_was_paid_for_is_not_lost(client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """A folder that goes while the picture is drawn: the error holds it."""
    target = tmp_path / "gone"
    target.mkdir()
    gateway.script([{"delay_ms": 300}])

    async def draw() -> bf.Run:
        work = asyncio.ensure_future(client.aimage(DRAW, "A cat", path=target / "cat.png"))
        while not posts(gateway):
            await asyncio.sleep(0.01)
        target.rmdir()
        return await work

    with pytest.raises(bf.BifrostError, match="could not be written") as caught:
        asyncio.run(draw())
    assert caught.value.run is not None
    assert len(caught.value.run.images) == 1


@pytest.mark.parametrize("body", [b'{"error":{"message":"no such voice"}}', b"{\x00\x01\xff", b'{"note":"no error"}'])
def test_what_fails_with_a_good_status_is_no_sound(log: RunLog, tmp_path: Path, body: bytes) -> None:
    """The gateway hands a provider's JSON on as sound (captured of 1.4.18 to 2.0.0-prerelease3); raw samples may begin
    as it does."""
    answer = Response(body, media_type="audio/mpeg")
    with served(Table({"/v1/audio/speech": answer})) as url:
        client = Client(url, log=log, retries=0)
        if b"such" not in body:
            assert client.speech(SPEAK, "Hi", voice="alloy").audio_bytes == body
            return
        with pytest.raises(bf.GatewayError, match="no such voice"):
            client.speech(SPEAK, "Hi", voice="alloy", path=tmp_path / "hi.mp3")
    assert not (tmp_path / "hi.mp3").exists()

"""`compare` with pictures and speech: side by side, priced, written where it was said, and paid for once."""

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import bifrost_nb as bf
from bifrost_nb import Client, ConfigurationError, LocalGateway
from bifrost_nb._compare import kept_media
from bifrost_nb._display.run import answer_html
from bifrost_nb._wire.media import sound_seconds

DRAW, SPEAK, HEAR = "openai/gpt-image-1", "openai/gpt-4o-mini-tts", "openai/whisper-1"
PAIR = [DRAW, {"deployment": DRAW, "name": "small", "size": "32x32"}]
URL = re.compile(r"data:image/webp;base64,([A-Za-z0-9+/=]+)")


def posts(gateway: LocalGateway) -> list[dict[str, Any]]:
    return [record["body"] for record in gateway.requests() if record["method"] == "POST"]


def drawn(client: Client, **options: Any) -> bf.Comparison:
    return bf.compare(
        PAIR, "A {{what}}.", inputs={"what": ["cat"]}, api="image", size="64x48", client=client, **options
    )


def test_pictures_are_compared(client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """What is sent, written and priced; the same cell sends nothing again and has the pictures of the folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    first = drawn(client, folder=folder, tags={"a": 1})
    bodies = posts(gateway)
    wanted = [{"model": DRAW, "prompt": "A cat.", "size": size} for size in ("32x32", "64x48")]
    assert sorted(bodies, key=lambda body: body["size"]) == wanted
    first.wait_for_costs()
    frame = first.frame
    assert frame["pictures"].tolist() == [1, 1]
    assert frame["cost_per_picture_usd"].tolist() == pytest.approx(frame["cost_usd"].tolist())
    assert frame["cost_usd"].notna().all()
    names = sorted(path.name for path in folder.iterdir())
    assert [name.rpartition("-")[0][:-17] for name in names] == ["openai-gpt-image-1", "small"]
    kept_media._remembered.clear()  # another kernel
    again = drawn(client, folder=folder)
    assert [run.images for run in again.runs] == [run.images for run in first.runs]
    assert (len(posts(gateway)), again.frame["pictures"].tolist()) == (2, [1, 1])


def test_pictures_stand_side_by_side(client: Client, gateway: LocalGateway) -> None:
    """In the grid, its saved copy, an opened answer and the vote: drawn again, smaller, and not who drew them."""
    comparison = drawn(client)
    grid = comparison.grid()
    cells = grid.state.page()["rows"][0]["cells"]
    assert [Image.open(_bytes(cell["pictures"][0])).size for cell in cells] == [(64, 48), (32, 32)]
    assert len(URL.findall(grid._repr_html_())) == 2
    assert "sha256" not in grid._repr_html_()
    assert "<img" not in answer_html(comparison.runs[0], media="words")  # the grid has them beside it
    answer = grid.detail(0, 0)["answers"][0]
    assert (len(answer["drawn"]), "<img" in answer["html"]) == (1, False)
    vote = comparison.vote()
    ballot = vote.widget.ballot
    assert sorted(Image.open(_bytes(one)).size for (one,) in ballot["drawn"]) == [(32, 32), (64, 48)]
    assert "small" not in str(ballot)
    vote.state.choose("1")
    assert vote.frame["winner"].tolist() == ["model_a"]


def _bytes(url: str) -> io.BytesIO:
    found = URL.fullmatch(url)
    assert found is not None
    return io.BytesIO(base64.b64decode(found[1]))


def test_without_a_folder_they_are_remembered(client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """In one kernel; in the next they are said to be gone, and nothing is drawn and paid for again unasked."""
    first = drawn(client)
    assert [run.images for run in drawn(client).runs] == [run.images for run in first.runs]
    kept_media._remembered.clear()
    gone = drawn(client)
    assert [run.images for run in gone.runs] == [[], []]
    assert "2 answers were paid for before" in repr(gone)
    assert gone.frame["cost_per_picture_usd"].isna().all()
    assert len(posts(gateway)) == 2
    assert all(run.images for run in drawn(client, fresh=True).runs)
    assert [path.name for path in tmp_path.iterdir()] == ["runs.jsonl"]


def test_speech_is_compared(client: Client, gateway: LocalGateway) -> None:
    """Voices side by side: players in grid and vote, and the price of a minute."""
    two = [
        {"deployment": SPEAK, "name": voice, "voice": voice, "speed": speed} for voice, speed in [("a", 1), ("b", 2)]
    ]
    comparison = bf.compare(two, "Hello there.", api="speech", client=client)
    assert {body["voice"]: body["input"] for body in posts(gateway)} == {"a": "Hello there.", "b": "Hello there."}
    comparison.wait_for_costs()
    frame = comparison.frame.set_index("variant")
    assert frame["seconds"].tolist() == pytest.approx([0.7, 0.35], abs=0.03)  # whole frames of 26 ms
    assert frame["cost_per_minute_usd"].tolist() == pytest.approx((60 * frame["cost_usd"] / frame["seconds"]).tolist())
    assert '<audio controls preload="metadata" src="data:audio/mpeg;base64,' in comparison.grid()._repr_html_()
    assert all(one[0].startswith("data:audio/mpeg;base64,") for one in comparison.vote().widget.ballot["drawn"])


def test_a_folder_that_goes_costs_no_picture(client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """What came stays in the runs, which say that it could not be written."""
    target = tmp_path / "gone"
    target.mkdir()
    found = drawn(client, folder=target, live=lambda run, pieces: target.exists() and _away(target))
    assert all(run.images for run in found.runs)
    assert any("could not be written" in note for run in found.runs for note in run.notes)


def test_transcriptions_are_compared(client: Client, gateway: LocalGateway, tmp_path: Path) -> None:
    """Sounds of any kind in a column: the form that is sent, words that differ, the price of a minute, paid once."""
    spoken = client.speech(SPEAK, "Good morning Ada Lovelace.", voice="alloy", response_format="wav")
    (tmp_path / "tea.mp3").write_bytes(client.speech(SPEAK, "Tea and milk.", voice="alloy").audio_bytes)
    two = [HEAR, {"deployment": HEAR, "name": "hinted", "prompt": "Names: Ada", "temperature": 0}]
    inputs = {"clip": [spoken, tmp_path / "tea.mp3"], "word": ["morning", "milk"]}
    gateway.script([{"deployment": HEAR, "times": 1, "text": "Noise."}])
    asked: dict[str, Any] = {"inputs": inputs, "sounds": "clip", "api": "transcription", "language": "en"}
    first = bf.compare(two, client=client, score=bf.scorers.contains("word"), concurrency=1, **asked)
    bodies = [body for body in posts(gateway) if isinstance(body, str)]
    assert len(bodies) == 4
    assert all('name="language"\r\n\r\nen' in body for body in bodies)
    hinted = ["Names: Ada" in body and 'name="temperature"' in body for body in bodies]
    assert sorted(hinted) == [False, False, True, True]
    names = re.findall(r'filename="([^"]+)"', "".join(bodies))
    assert sorted(names) == ["audio.wav"] * 2 + ["tea.mp3"] * 2
    first.wait_for_costs()
    frame = first.frame
    assert frame["request_type"].tolist() == ["transcription"] * 4
    right = ["Good morning Ada Lovelace."] * 2 + ["Tea and milk."] * 2
    assert [said != good for said, good in zip(frame["response"], right, strict=True)].count(True) == 1
    assert frame["response"].tolist().count("Noise.") == 1
    assert frame["seconds"].tolist() == pytest.approx([4 * 0.35] * 2 + [3 * 0.35] * 2, abs=0.03)
    assert frame["cost_per_minute_usd"].tolist() == pytest.approx((60 * frame["cost_usd"] / frame["seconds"]).tolist())
    assert sorted(frame["score"]) == [0, 1, 1, 1]
    assert frame["input_clip"][0].startswith("[sound: audio.wav, ")
    assert frame["input_clip"][2] == str(tmp_path / "tea.mp3")
    again = bf.compare(two, client=client, **asked)
    assert (again.progress.reused, len([body for body in posts(gateway) if isinstance(body, str)])) == (4, 4)
    assert again.frame["seconds"].tolist() == frame["seconds"].tolist()
    _heard_beside_what_is_written(first)


def _heard_beside_what_is_written(comparison: bf.Comparison) -> None:
    """Each sound has a player beside what was written down of it: in the grid, its saved copy and the blind vote."""
    grid = comparison.grid()
    assert len(re.findall(r'<audio controls preload="metadata" src="data:audio/(?:wav|mpeg);', grid._repr_html_())) == 2
    assert grid.detail(0, 0)["pictures"][0].startswith("data:audio/")
    shown = grid.state.page()["rows"]
    assert [row["pictures"][0].partition("/")[0] for row in shown] == ["data:audio"] * 2
    assert shown[0]["prompt"].startswith("[sound: audio.wav, ")
    assert "sha256" not in str([row["prompt"] for row in shown])
    at = next(place for place, row in enumerate(grid.state.rows) if row.distinct() > 1)
    assert "<del" in grid.diff(at, 0, 1)
    ballot = comparison.vote().widget.ballot
    assert ballot["pictures"][0].startswith("data:audio/")
    assert "hinted" not in str(ballot)


def test_a_live_pane_shows_what_was_drawn(client: Client, gateway: LocalGateway) -> None:
    """A drawn picture stands in its column while others go on, smaller than it came; else there are words."""
    run = client.image(DRAW, "A <b>cat", size="1024x512")
    shown = answer_html(run, media="small")
    [url] = URL.findall(shown)
    assert Image.open(io.BytesIO(base64.b64decode(url))).size == (512, 256)
    assert len(shown) < len(run.images[0])
    gateway.script([{"body": HOSTILE["svg"]}])
    shown = answer_html(client.image(DRAW, "A cat"), media="small")
    assert "<img" not in shown
    assert "not shown" in shown


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "name of a column"),
        ({"sounds": "no"}, "no column 'no'"),
        ({"sounds": ["clip"]}, "name of a column"),
        ({"inputs": None, "sounds": "clip"}, "no column 'clip'"),
        (
            {"inputs": {"clip": ["/no/such.mp3"]}, "sounds": "clip"},
            "'clip' in row 0 of inputs: The sound cannot be read",
        ),
        ({"inputs": {"clip": ["../../etc/\0passwd"]}, "sounds": "clip"}, "cannot be read"),
        ({"inputs": {"clip": [b"ok", b""]}, "sounds": "clip"}, "row 1 of inputs: The sound is empty"),
        ({"inputs": {"clip": [None]}, "sounds": "clip"}, "path, bytes or a run"),
        ({"inputs": {"clip": [bytes(101 * 2**20)]}, "sounds": "clip"}, "MB, more than"),
        ({"sounds": "clip", "system": "Be brief."}, "no system="),
        ({"sounds": "clip", "mode": "batch"}, "no mode='batch'"),
        ({"sounds": "clip", "folder": "."}, "folder is for"),
        ({"sounds": "clip", "voice": "alloy"}, "voice"),
        ({"sounds": "clip", "prompt": "Names: {{who}}"}, "who"),
        ({"sounds": "clip", "api": "chat", "prompt": "Hi"}, "written down"),
    ],
)
def test_what_goes_with_no_sound(client: Client, gateway: LocalGateway, options: dict[str, Any], said: str) -> None:
    """Each is told in one short error before anything is sent."""
    asked = {"inputs": {"clip": [b"ID3"]}, "api": "transcription", "client": client, **options}
    with pytest.raises((ConfigurationError, bf.TemplateError), match=said) as caught:
        bf.compare([HEAR], **asked)
    assert len(str(caught.value)) < 500
    assert not posts(gateway)


def test_the_estimate_of_sounds_is_unknown(client: Client, gateway: LocalGateway) -> None:
    """What a sound costs is not worked out from the words that stand for it."""
    found = bf.compare(
        [HEAR], inputs={"clip": [b"ID3"]}, sounds="clip", api="transcription", client=client, dry_run=True
    )
    assert found.cost_range_usd is None
    assert found.frame["prompt_tokens"].isna().all()
    assert not posts(gateway)


def _away(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


HOSTILE = {
    "svg": {"data": [{"b64_json": base64.b64encode(b"<svg onload='alert(1)'/>").decode()}]},
    "bomb": {"data": [{"b64_json": ""}]},
    "address": {"data": [{"url": "https://example.com/<script>alert(1)</script>.png"}]},
}


def _bomb() -> str:
    """A PNG of 400 MB of pixels in a few hundred kB."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = (20_000).to_bytes(4) + (20_000).to_bytes(4) + b"\x08\x00\x00\x00\x00"
    body = zlib.compress(bytes(1_000_000))
    made = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return base64.b64encode(made).decode()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pictures_are_not_shown(client: Client, gateway: LocalGateway, name: str) -> None:
    """No SVG, no bomb, nothing of an address: words stand there."""
    body = HOSTILE[name] if name != "bomb" else {"data": [{"b64_json": _bomb()}]}
    gateway.script([{"body": body}])
    grid = drawn(client).grid()
    shown = grid._repr_html_() + str(grid.detail(0, 0)["answers"][0]["html"])
    assert not any(word in shown for word in ("<img", "<svg", "<script", "data:image"))
    assert grid.detail(0, 0)["answers"][0]["drawn"] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folder": "/nowhere/at/all"}, "no folder that can be written"),
        ({"folder": 5}, "path of a file or folder"),
        ({"system": "Be brief."}, "no system="),
        ({"images": "what"}, "no images="),
        ({"schema": {"type": "object"}}, "no schema="),
        ({"mode": "batch"}, "no mode='batch'"),
        ({"chat": True}, "contradict"),
        ({"n": 0}, "n must"),
        ({"sizes": "1x1"}, "sizes"),
    ],
)
def test_what_goes_with_no_picture(client: Client, gateway: LocalGateway, options: dict[str, Any], said: str) -> None:
    """Each is told before anything is sent."""
    with pytest.raises(ConfigurationError, match=said):
        drawn(client, **options)
    with pytest.raises(ConfigurationError, match="takes a voice"):
        bf.compare([SPEAK], "Hi", api="speech", client=client)
    with pytest.raises(ConfigurationError, match="goes for all"):
        bf.compare([DRAW, {"deployment": DRAW, "name": "b", "api": "chat"}], "Hi", api="image")
    with pytest.raises(ConfigurationError, match="folder is for pictures"):
        bf.compare([DRAW], "Hi", folder=os.curdir, client=client)
    assert not posts(gateway)


def test_the_length_of_sounds(client: Client, gateway: LocalGateway) -> None:
    """Of WAV and MP3, as long as the words are; of what is cut off or none, unknown or what is there."""
    wav, mp3 = (
        client.speech(SPEAK, "One two three four.", voice="alloy", response_format=kind).audio_bytes
        for kind in ("wav", "mp3")
    )
    assert sound_seconds(wav) == pytest.approx(1.4)
    assert sound_seconds(mp3) == pytest.approx(1.4, abs=0.03)
    assert [sound_seconds(each) for each in (b"", b"RIFF\0\0\0\0WAVE", b"ID3" + bytes(20), b"\xff\xfb", b"OggS")] == [
        None
    ] * 5

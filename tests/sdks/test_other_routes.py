"""OpenAI's client of `bf.sdk` on the routes that are no completion: what it gets, and what the log knows of it."""

from __future__ import annotations

import base64
import io
import json
import time
from typing import Any

from PIL import Image

import bifrost_nb as bf
from bifrost_nb import Client, LocalGateway, RunLog

DRAW, SPEAK, HEAR, CHAT = "openai/gpt-image-1", "openai/gpt-4o-mini-tts", "openai/whisper-1", "openai/gpt-4o-mini"
KEY = "sk-bf-demo-0123456789abcdef"
LINE = {
    "custom_id": "a", "method": "POST", "url": "/v1/chat/completions",
    "body": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say a"}], "seed": 1},
}  # fmt: skip


def test_pictures_sound_and_counts(gateway: LocalGateway, log: RunLog) -> None:
    """The same as by our own client; each call is a run of the same kind, with whom it asked and what it cost."""
    client = Client(gateway.url, virtual_key=KEY, log=log)
    asked: dict[str, Any] = {"model": SPEAK, "input": "Hello there.", "voice": "alloy"}
    with bf.sdk("openai", client=client) as sdk:
        sound = sdk.audio.speech.create(**asked).read()
        text = sdk.audio.transcriptions.create(model=HEAR, file=("hello.mp3", sound)).text
        [picture] = sdk.images.generate(model=DRAW, prompt="A cat", size="64x64").data or []
        count = sdk.responses.input_tokens.count(model=CHAT, input="How long?").input_tokens
    theirs = log.read()
    ours = [client.speech(SPEAK, "Hello there.", voice="alloy"), client.transcribe(HEAR, sound)]
    ours.append(client.image(DRAW, "A cat", size="64x64"))
    sizes = [Image.open(io.BytesIO(one)).size for one in (base64.b64decode(picture.b64_json or ""), *ours[2].images)]
    assert (sound, text) == (ours[0].audio_bytes, ours[1].text)
    assert sizes == [(64, 64)] * 2
    assert count == client.count_tokens(CHAT, "How long?")
    assert [run.request_type for run in theirs[:3]] == [run.request_type for run in ours]
    assert [run.requested_model for run in theirs[:3]] == ["gpt-4o-mini-tts", None, "gpt-image-1"]  # a form is not read
    assert {run.status for run in theirs} == {"ok"}
    assert {one["headers"].get("x-bf-vk") for one in gateway.requests() if one["method"] == "POST"} == {KEY}


def test_files_and_batches(client: Client, gateway: LocalGateway) -> None:
    """Upload, job, result: the answer is that of a single call, and no result of a batch stands in the log as a run."""
    with bf.sdk("openai", client=client) as sdk:
        file = sdk.files.create(file=("in.jsonl", json.dumps(LINE).encode() + b"\n"), purpose="batch")
        job = sdk.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        end = time.monotonic() + 30
        while (told := sdk.batches.retrieve(job.id)).status != "completed":
            assert time.monotonic() < end
            time.sleep(0.05)
        [line] = sdk.files.content(told.output_file_id or "").text.splitlines()
    said = json.loads(line)["response"]["body"]["choices"][0]["message"]["content"]
    assert said == client.chat(CHAT, "Say a", seed=1).text
    assert [run.request_type for run in client.log.read()] == ["files", "batches", "chat_completion"]

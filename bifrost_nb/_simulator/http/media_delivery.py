"""Sending pictures as JSON, sound as it is, and what a sound says.

Measured on gateways 1.3.63, 1.4.0, 1.4.18, 1.5.16 and 2.0.0-prerelease3 before a simulated OpenAI; that sound is
called ``audio/mpeg`` in whatever format was asked for was measured and read.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from ..faults import FaultRule
from .delivery import Delivery

__all__ = ["MediaDelivery"]


class MediaDelivery(Delivery):
    """The sending of one attempt's pictures, sound or transcript."""

    async def _whole(self, rule: FaultRule) -> None:
        if self.call.kind == "speech" and rule.body is None:
            await self._sound(rule)
        else:
            await Delivery._whole(self, rule)

    async def _sound(self, rule: FaultRule) -> None:
        attempt, content = self.attempt, self.attempt.answer.media[0]
        planned = attempt.first_s if rule.delay_ms is None else rule.delay_ms / 1e3
        await self.link.until(attempt.began + planned)
        await self._silence(rule)
        ending = self.call.get("response_format", "mp3") if self.dialect.second else "mp3"
        headers = {
            "content-type": "audio/mpeg",
            "content-disposition": f"attachment; filename=speech.{ending}",
            "content-length": str(len(content)),
        }
        await self.link.start(rule.status or 200, self._headers(headers, rule))
        await self.link.write(content, last=True)

    def _headers(self, headers: Mapping[str, str], rule: FaultRule) -> dict[str, str]:
        if self.call.kind != "speech" or self.dialect.second:
            return super()._headers(headers, rule)
        return {**headers, **{name.lower(): value for name, value in rule.headers.items()}}

    def _body(self) -> dict[str, Any]:
        attempt, answer = self.attempt, self.attempt.answer
        extra = self._extra(attempt.tell_latency(), 0)
        if self.call.kind == "transcription":
            return self._transcript(extra)
        data = [{"b64_json": b64encode(each).decode("ascii"), "index": n} for n, each in enumerate(answer.media)]
        body: dict[str, Any] = {
            "created": int(time.time()),
            "model": self.dialect.model_name(attempt.route),
            "data": data,
        }
        body |= {name: self.call.body[name] for name in ("size", "quality") if self.call.body.get(name)}
        usage = {
            "input_tokens": answer.prompt_tokens,
            "input_tokens_details": {"text_tokens": answer.prompt_tokens},
            "total_tokens": answer.prompt_tokens + answer.completion_tokens,
            "output_tokens": answer.completion_tokens,
        }
        return body | {"usage": usage, "extra_fields": extra}

    def _transcript(self, extra: Any) -> dict[str, Any]:
        text, wanted = self.attempt.answer.choices[0].text, self.call.get("response_format", "json")
        body: dict[str, Any] = {"text": text}
        if wanted in ("srt", "vtt"):
            comma = "," if wanted == "srt" else "."
            span = f"00:00:00{comma}000 --> {_clock(self.attempt.answer.seconds or 0)}{comma}000"
            body = {"text": f"1\n{span}\n{text}\n" if wanted == "srt" else f"WEBVTT\n\n{span}\n{text}\n"}
        elif wanted != "text":  # measured: what comes as plain text tells no length
            body["usage"] = {"type": "duration", "seconds": self.attempt.answer.seconds}
        if self.dialect.name == "1.3" and self.attempt.route.integration:
            return body
        return body | {"extra_fields": extra}


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"

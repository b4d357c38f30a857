"""What a choice of an answer or of a chunk says, read from plain dicts: these run once per chunk.

All take any JSON: a value of another type than expected counts as absent.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

__all__ = [
    "BROKEN_OFF",
    "annotations_of",
    "audio_of",
    "choice_error",
    "choice_index",
    "choice_text",
    "choices_of",
    "content_text",
    "documented",
    "finish_reason",
    "logprobs_of",
    "merge_audio",
    "merge_logprobs",
    "reasoning_text",
    "refusal_text",
    "tool_calls_of",
    "usage_beside",
]

JsonDict = dict[str, Any]

_REASONS = {
    # 1.4.18 and 1.5.1 hand Anthropic's on in the Responses API (captured); Google's and Cohere's come with raw answers
    **dict.fromkeys(("end_turn", "stop_sequence", "complete", "eos_token", "eos"), "stop"),
    **dict.fromkeys(("max_tokens", "max_output_tokens", "model_context_window_exceeded", "model_length"), "length"),
    "error_limit": "length",
    **dict.fromkeys(("tool_use", "tool_call"), "tool_calls"),
    **dict.fromkeys(("refusal", "safety", "sensitive", "error_toxic", "guardrail_intervened"), "content_filter"),
    **dict.fromkeys(("recitation", "blocklist", "prohibited_content", "spii", "image_safety"), "content_filter"),
    "stop": "stop",
}
BROKEN_OFF = frozenset({"error", "failed", "insufficient_system_resource", "network_error"})
"""Why a choice ended that the provider could not finish, as Mistral, OpenRouter, Cohere, DeepSeek and z.AI say it; the
second is the status of a response (without an error, which says more)."""


def choices_of(body: Mapping[str, Any]) -> list[JsonDict]:
    """The choices of an answer or chunk; a usage chunk has none."""
    choices = body.get("choices")
    if type(choices) is not list:
        return []
    return [choice for choice in choices if type(choice) is dict]


def choice_index(choice: JsonDict, otherwise: int = 0) -> int:
    """The position of the choice among all of the answer."""
    index = choice.get("index")
    return index if type(index) is int and index >= 0 else otherwise


def choice_text(choice: JsonDict) -> str:
    """The text of a whole choice or of a delta; empty where there is none.

    That is its content, as an SDK's message has it; without one the refusal, else the transcript of spoken audio.
    """
    if text := content_text(choice) or refusal_text(choice):
        return text
    transcript = (audio_of(choice) or {}).get("transcript")
    return transcript if type(transcript) is str else ""


def refusal_text(choice: JsonDict) -> str:
    """What a chat's choice or delta says in order to refuse; empty where there is nothing."""
    part = _part(choice)
    refusal = None if part is None else part.get("refusal")
    return refusal if type(refusal) is str else ""


def content_text(choice: JsonDict) -> str:
    """`text` of a text completion; of a chat its content (text, or the text of its blocks). Empty: there is none.

    The specification lets a choice hold both, and an empty `text` says nothing against the content beside it.
    """
    text = choice.get("text")
    if type(text) is str and text:
        return text
    part = _part(choice)
    if part is None:
        return ""
    content = part.get("content")
    if type(content) is str and content:
        return content
    if type(content) is list:
        return "".join(map(_block_text, content))
    return ""


def reasoning_text(choice: JsonDict) -> str:
    """What the model says of its thinking; empty where there is none."""
    part = _part(choice)
    if part is None:
        return ""
    for name in ("reasoning", "reasoning_content"):
        text = part.get(name)
        if type(text) is str and text:
            return text
    details = part.get("reasoning_details")
    if type(details) is not list:
        content = part.get("content")
        return "".join(map(_thought, content)) if type(content) is list else ""
    texts = (detail.get("text") or detail.get("summary") for detail in details if type(detail) is dict)
    return "".join(text for text in texts if type(text) is str)


def finish_reason(choice: JsonDict) -> str | None:
    """Why the choice ended; None while it has not."""
    reason = choice.get("finish_reason")
    return reason if type(reason) is str and reason else None


def choice_error(choice: JsonDict) -> JsonDict | None:
    """The error that OpenRouter and its like write into the choice that it ended; None where there is none."""
    error = choice.get("error")
    return error if type(error) is dict and error else None


def usage_beside(body: Mapping[str, Any]) -> JsonDict | None:
    """The usage of an answer or last chunk that stands elsewhere: in a choice (Moonshot), in ``x_groq`` (Groq)."""
    for holder in (body.get("x_groq"), *choices_of(body)):
        if type(holder) is dict and type(usage := holder.get("usage")) is dict:
            return usage
    return None


def documented(reason: str) -> str:
    """A finish reason by the name that the gateway documents, where a provider's own came through."""
    return _REASONS.get(reason.lower(), reason)


def tool_calls_of(choice: JsonDict) -> list[JsonDict]:
    """The tool calls of a whole choice, or the fragments of a delta (see `ToolCalls`).

    A ``function_call``, as OpenAI's API was before it had tools and some servers still answer, is one of them.
    """
    part = _part(choice)
    calls = None if part is None else part.get("tool_calls")
    found = [call for call in calls if type(call) is dict] if type(calls) is list else []
    if not found and part is not None and type(old := part.get("function_call")) is dict:
        return [{"type": "function", "function": old}]
    return found


def logprobs_of(choice: JsonDict) -> JsonDict | None:
    """The log probabilities; gateways up to 1.4 write the key ``log_probs``, later ones ``logprobs``."""
    for name in ("logprobs", "log_probs"):
        value = choice.get(name)
        if type(value) is dict:
            return value
    return None


def merge_logprobs(into: JsonDict | None, new: JsonDict | None) -> JsonDict | None:
    """The log probabilities of a stream so far and those of the next chunk, as one; changes `into`.

    Each list (``content``, ``tokens``, ``top_logprobs``, ...) grows; any other value is replaced by the newer.
    """
    if new is None:
        return into
    result = {} if into is None else into
    for name, value in new.items():
        known = result.get(name)
        if type(value) is not list:
            if value is not None or known is None:
                result[name] = value
        elif type(known) is list:
            known.extend(value)
        else:
            result[name] = list(value)
    return result


def annotations_of(choice: JsonDict) -> list[JsonDict]:
    """What the answer cites (``url_citation`` and others)."""
    part = _part(choice)
    found = None if part is None else part.get("annotations")
    return [each for each in found if type(each) is dict] if type(found) is list else []


def audio_of(choice: JsonDict) -> JsonDict | None:
    """Spoken audio, or the next piece of it: ``id``, ``data`` (base64), ``expires_at``, ``transcript``."""
    part = _part(choice)
    audio = None if part is None else part.get("audio")
    return audio if type(audio) is dict else None


def merge_audio(into: JsonDict | None, new: JsonDict | None) -> JsonDict | None:
    """The audio of a stream so far and its next piece, as one; changes `into`.

    Transcripts are joined. Each piece of `data` is base64 of its own, so the bytes are joined and encoded again; what
    cannot be decoded is left as it came.
    """
    if new is None:
        return into
    result = {} if into is None else into
    for name, value in new.items():
        known = result.get(name)
        if type(known) is str and type(value) is str and name in ("data", "transcript"):
            result[name] = known + value if name == "transcript" else _joined_base64(known, value)
        elif value is not None or known is None:
            result[name] = value
    return result


def _joined_base64(first: str, second: str) -> str:
    try:
        return b64encode(b64decode(first, validate=True) + b64decode(second, validate=True)).decode()
    except ValueError:
        return first + second


def _part(choice: JsonDict) -> JsonDict | None:
    """The delta of a chunk, or the message of an answer."""
    part = choice.get("delta")
    if type(part) is dict:
        return part
    part = choice.get("message")
    return part if type(part) is dict else None


def _block_text(block: object) -> str:
    if type(block) is not dict:
        return ""
    for name in ("text", "refusal"):
        text = block.get(name)
        if type(text) is str:
            return text
    return ""


def _thought(block: object) -> str:
    """What a block of content says of the thinking, as Mistral writes it."""
    thinking = block.get("thinking") if type(block) is dict else None
    return "".join(map(_block_text, thinking)) if type(thinking) is list else thinking if type(thinking) is str else ""

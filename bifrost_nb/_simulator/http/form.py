"""Forms with files (``multipart/form-data``), taken apart."""

from __future__ import annotations

import email
import email.policy
from base64 import b64encode

import orjson

from .request import Refused

__all__ = ["form_as_json", "parts_of"]


def parts_of(kind: str, content: bytes) -> dict[str, tuple[str, bytes]] | None:
    """The fields of a form by name: (file name, content), of several the first; None where it is none."""
    if not kind.startswith("multipart/form-data") or "boundary=" not in kind:
        return None
    head = b"content-type: " + kind.encode("latin-1", "replace") + b"\r\n\r\n"
    message = email.message_from_bytes(head + content, policy=email.policy.HTTP)
    found: dict[str, tuple[str, bytes]] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str):
            payload = part.get_payload(decode=True)
            found.setdefault(name, (part.get_filename() or "", payload if isinstance(payload, bytes) else b""))
    return found


def form_as_json(kind: str, content: bytes, *, reads_fallback: bool) -> bytes:
    """A transcription's form as the JSON that other routes get, its file in base64. Raises Refused (measured)."""
    parts = parts_of(kind, content)
    if parts is None:
        message = "request Content-Type has bad boundary or is not multipart/form-data"
        raise Refused(f"failed to parse multipart form: {message}")
    if not parts.get("model", ("", b""))[1]:
        raise Refused("model is required")
    if "file" not in parts:
        raise Refused("file is required")
    name, sound = parts.pop("file")
    fields: dict[str, object] = {field: text.decode("utf-8", "replace") for field, (_, text) in parts.items()}
    # Measured: 1.5.16 and 2.0.0-prerelease3 read the first field and take it for one name, 1.3.63 to 1.5.1 none.
    named = fields.pop("fallbacks", None)
    fallbacks = [named] if named is not None and reads_fallback else []
    try:
        fields |= {"temperature": float(str(fields["temperature"]))} if fields.get("temperature") else {}
    except ValueError:
        raise Refused("invalid temperature value") from None  # the words are ours
    file = {"filename": name, "file": b64encode(sound).decode("ascii")}
    return orjson.dumps(fields | {"file": file, "fallbacks": fallbacks})

"""Text from outside, made safe to show: no terminal control sequences, no keys.

Model output, gateway errors and log contents are hostile input. HTML escaping is the renderer's work
(`bifrost_nb.render`); this module serves every other place: messages, terminals, the log.
"""

from __future__ import annotations

import re

__all__ = ["HIDDEN", "plain", "redact"]

HIDDEN = "[hidden]"

# C0 and C1 controls except tab and newline, DEL, and the bidirectional overrides that can reorder a line on screen.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
# The key shapes of the providers behind the gateway, of Bifrost's virtual keys, and bearer headers.
_KEYS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|pplx|nvapi|hf|AIza|AKIA|ASIA)[-_]?[A-Za-z0-9][A-Za-z0-9_\-*.]{11,}"
    r"|(?i:(?<=bearer )|(?<=basic ))[A-Za-z0-9_\-.=+/~]{8,}"
)


def plain(text: object, limit: int | None = None) -> str:
    """`text` without control sequences; cut after `limit` characters with an ellipsis."""
    result = _CONTROL.sub("", str(text))
    return result if limit is None or len(result) <= limit else result[: limit - 1] + "…"


def redact(text: object, *secrets: str | None) -> str:
    """`text` with each given secret, and all that looks like a provider key, replaced by ``[hidden]``."""
    result = str(text)
    for secret in secrets:
        if secret and len(secret) >= 4:
            result = result.replace(secret, HIDDEN)
    return _KEYS.sub(HIDDEN, result)

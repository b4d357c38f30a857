"""Single requests to routes of the gateway that are no completions: counting tokens, files, batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._safe_text import plain
from .._wire.gateway_errors import gateway_error, parse_error
from .._wire.json_text import whole
from ..errors import GatewayError, ProtocolError
from .transport import Reply, fetch, of_proxy_perhaps

if TYPE_CHECKING:
    from .client import Client

__all__ = ["ask", "ask_json"]

SECONDS = 60.0


async def ask(
    client: Client,
    method: str,
    path: str,
    *,
    params: Mapping[str, Any] | None = None,
    content: Any = None,
    form: Mapping[str, Any] | None = None,
    files: Mapping[str, Any] | None = None,
    seconds: float = SECONDS,
) -> Reply:
    """A good answer, of any kind. `content` is sent as JSON, `form` and `files` as a form. On the private loop.

    Raises GatewayError and its relatives for an error, ConnectionFailed and its relatives.
    """
    keys = client.credentials
    sent: dict[str, Any] = {"method": method, "content": content, "form": form, "files": files, "seconds": seconds}
    headers = {**keys.own, **keys.inference}
    reply = await fetch(client.base_url, path, headers, params, ca_file=keys.ca_file, **sent)
    may_open = keys.admin.get("authorization", "").startswith("Basic ") and "authorization" not in keys.inference
    if reply.status == 401 and may_open and not _error(client, reply).type:
        # 1.4.18 and 1.5.1 can lock these routes too; then Basic opens, and the refusal has no type (see `dispatch`).
        reply = await fetch(client.base_url, path, {**headers, **keys.admin}, params, ca_file=keys.ca_file, **sent)
    if reply.status >= 400:
        raise of_proxy_perhaps(_error(client, reply), client.base_url, reply.body)
    return reply


async def ask_json(client: Client, method: str, path: str, **sent: Any) -> dict[str, Any]:
    """`ask` for a route that answers with a JSON object. Raises ProtocolError where it does not."""
    reply = await ask(client, method, path, **sent)
    answer = whole(reply.json())
    if isinstance(answer, dict):
        return answer
    kind = plain(reply.headers.get("content-type") or "no content type", 60)
    error = ProtocolError(
        f"{method} {path} answered {reply.status} with something that is no JSON object ({kind}).",
        hint="Is base_url the address of a Bifrost gateway?",
    )
    raise of_proxy_perhaps(error, client.base_url, reply.body)


def _error(client: Client, reply: Reply) -> GatewayError:
    secrets = [secret for secret in client.credentials.secrets if secret]
    return gateway_error(parse_error(reply.body, reply.status, reply.headers, secrets=secrets))

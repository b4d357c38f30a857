"""Access to a gateway's management API: who asks, which errors come back, reading page by page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any

from .._client.model_list import MODELS_LAST_S, model_list
from .._client.transport import Reply, fetch, of_proxy_perhaps
from .._keys import Secret, hide_in, secrets_in, without_keys
from .._safe_text import plain
from .._settings import Settings
from .._wire.gateway_errors import gateway_error, parse_error
from .._wire.json_text import whole
from ..errors import GatewayError, NotFound, ProtocolError

if TYPE_CHECKING:
    from .._client.client import Client

__all__ = ["Access"]

IN_ALL_VERSIONS = "/api/providers"
"""Where this is missing, no gateway answers."""
SECONDS = 30.0
"""A page of 1,000 log rows may take a while."""

_LOG_IN = (
    "The gateway protects its management API: set BIFROST_ADMIN_USER and BIFROST_ADMIN_PASSWORD, or "
    "BIFROST_SESSION_TOKEN, or pass them to bf.Admin(...). A virtual key does not open it. "
    "(The first administrator of a gateway from 2.0 on is created with its setup token, BIFROST_SETUP_TOKEN.)"
)
_WRONG = "The gateway does not know this user and password or session token; check BIFROST_ADMIN_* and sign in again."


class Access:
    """Reads the management API with the client's address and headers and the administrator's credentials."""

    def __init__(self, client: Client, credentials: Settings) -> None:
        self.base_url = client.base_url
        self.ca_file = client.credentials.ca_file
        self._credentials = credentials
        keys = client.credentials
        self._client = {**keys.own, **keys.inference}
        self._admin = credentials.admin_headers()
        own = (credentials.admin_password, credentials.session_token, *secrets_in(self._admin))
        self._secrets = (*keys.secrets, *own)
        self._signed_in = False

    def safe(self, value: object, limit: int | None = None) -> str | None:
        """Text from the gateway without control sequences and keys; None where it is not text, or empty."""
        if not isinstance(value, str):
            return None
        return plain(without_keys(plain(value), *self._secrets), limit).strip() or None

    def hide(self, text: str) -> str:
        """`text` without control sequences and keys, blanks kept."""
        return without_keys(plain(text), *self._secrets)

    def without_keys(self, value: Any) -> Any:
        """JSON from the gateway without our keys in it, else as it is: it may be sent again."""
        return hide_in(value, [key for key in self._secrets if key])

    async def get(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        missing: str | None = None,
        seconds: float = SECONDS,
    ) -> Any:
        """The JSON at `path`. `missing` is the hint of a 404: which gateways have this route.

        Raises AuthenticationFailed, NotFound and other GatewayErrors, ConnectionFailed, TimedOut, ProtocolError.
        """
        return self._answer("GET", path, await self._replied(path, params, seconds), missing)

    async def delete(self, path: str, *, missing: str | None = None) -> Any:
        """Delete what is at `path`. Only the user's own entries of the cache are deleted. Raises as `get`."""
        return self._answer("DELETE", path, await self._replied(path, None, SECONDS, method="DELETE"), missing)

    async def post(self, path: str, content: Mapping[str, Any], *, missing: str | None = None) -> dict[str, Any]:
        """Send `content`; the object that comes back. Only the prompt repository is written to. Raises as `get`."""
        reply = await self._replied(path, None, SECONDS, method="POST", content=content)
        answer = self._answer("POST", path, reply, missing)
        if not isinstance(answer, dict):
            raise ProtocolError(f"POST {path} answered with JSON that is not an object.")
        return answer

    async def _replied(self, path: str, params: Mapping[str, Any] | None, seconds: float, **sent: Any) -> Reply:
        """The reply, after signing in where the gateway asks for that."""
        reply = await self._fetch(path, params, seconds, **sent)
        if reply.status in (401, 403) and await self._sign_in():
            reply = await self._fetch(path, params, seconds, **sent)
        return reply

    def _answer(self, method: str, path: str, reply: Reply, missing: str | None) -> Any:
        """The JSON of a reply that is no error."""
        if reply.status >= 400:
            raise self._error(f"{method} {path}", reply, missing)
        answer = whole(reply.json())
        if (
            answer is None
            and path.startswith("/api/")
            and path != IN_ALL_VERSIONS
            and "html" in (reply.headers.get("content-type") or "")
        ):
            # A gateway answers every path that it does not know with its own pages (measured, 1.3.63 to 2.0.0-pre3).
            raise NotFound(
                f"{method} {path}: this version of the gateway has no such route.",
                hint=missing or "The gateway is older than this route.",
            )
        if answer is None or reply.status >= 300:
            kind = plain(reply.headers.get("content-type") or "no content type", 60)
            error = ProtocolError(
                f"{method} {path} answered {reply.status} with something that is not JSON ({kind}).",
                hint=missing or "Is base_url the address of a Bifrost gateway?",
            )
            raise of_proxy_perhaps(error, self.base_url, reply.body)
        return answer

    async def get_object(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        missing: str | None = None,
        seconds: float = SECONDS,
    ) -> dict[str, Any]:
        """`get` for a route that answers with an object."""
        answer = await self.get(path, params, missing=missing, seconds=seconds)
        if not isinstance(answer, dict):
            raise ProtocolError(f"GET {path} answered with JSON that is not an object.")
        return answer

    async def models(
        self, *, max_age_s: float = MODELS_LAST_S, seconds: float = SECONDS
    ) -> Sequence[Mapping[str, Any]]:
        """What ``/v1/models`` lists; asked for once in `max_age_s`, as the gateway asks all providers each time.

        Raises as `get` does.
        """

        async def ask(path: str, params: Mapping[str, Any]) -> Any:
            return await self.get_object(path, params, seconds=seconds)

        return await model_list(self.base_url, {**self._admin, **self._client}, ask, max_age_s)

    async def _fetch(self, path: str, params: Mapping[str, Any] | None, seconds: float, **sent: Any) -> Reply:
        # Behind /api only the administrator counts; the inference routes know nothing of him but may sit behind him.
        auth = {**self._client, **self._admin} if path.startswith("/api/") else {**self._admin, **self._client}
        headers = {"accept": "application/json", **auth}
        return await fetch(self.base_url, path, headers, params, seconds=seconds, ca_file=self.ca_file, **sent)

    async def _sign_in(self) -> bool:
        """Trade user and password for a session token, once, where the gateway does not take them as they are."""
        user, password = self._credentials.admin_user, self._credentials.admin_password
        if self._signed_in or not user or not password or not self._admin["authorization"].startswith("Basic "):
            return False
        self._signed_in = True
        content = {"username": user, "password": password}
        reply = await fetch(
            self.base_url,
            "/api/session/login",
            {},
            method="POST",
            content=content,
            seconds=SECONDS,
            ca_file=self.ca_file,
        )
        token = _token(reply) if reply.status < 300 else None
        if token is None:
            return False
        self._admin = {"authorization": Secret(f"Bearer {token}")}
        self._secrets = (*self._secrets, token)
        return True

    def _error(self, asked: str, reply: Reply, missing: str | None) -> GatewayError:
        secrets = [secret for secret in self._secrets if secret]
        error = gateway_error(parse_error(reply.body, reply.status, reply.headers, secrets=secrets))
        error.args = (f"{asked}: {error.message}",)
        if reply.status in (401, 403) and " /api/" in asked:
            error.hint = _WRONG if self._admin else _LOG_IN
        elif reply.status in (404, 405):
            error.hint = missing or "The gateway is older than this route."
        return of_proxy_perhaps(error, self.base_url, reply.body)


def _token(reply: Reply) -> str | None:
    """The session token of a login: in the body, from gateway 2.x on only in the cookie."""
    answer = reply.json()
    token = answer.get("token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token:
        try:
            cookie = SimpleCookie(reply.headers.get("set-cookie") or "").get("token")
        except CookieError:
            cookie = None
        token = cookie.value if cookie is not None else ""
    return Secret(token) if re.fullmatch(r"[!-~]+", token) else None

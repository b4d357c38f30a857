"""The keys of one client, which requests each goes with, and whose certificates it believes.

What stands on a client (management API, price look-ups, clusters, recorders of SDKs) asks `Client.credentials` for
headers and for the texts to hide, and never reaches into the client itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .._keys import Secret, secrets_in
from .._settings import Settings
from ..errors import ConfigurationError

__all__ = ["Credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Headers by purpose; those that are keys are `Secret`, so no repr shows them and none is pickled."""

    own: Mapping[str, str]
    """What the person passed as ``headers=``: goes with every request."""
    inference: Mapping[str, str]
    """Virtual key and API key: who asks for completions."""
    admin: Mapping[str, str]
    """What opens a protected management API; empty where nothing, or half a pair, is configured."""
    secrets: tuple[str, ...]
    """Every key among these as text that must show nowhere."""
    ca_file: str | None = None
    """The certificates to check the gateway's by; None: those of the environment, see `transport.network_route`."""

    @classmethod
    def of(cls, settings: Settings, own: Mapping[str, str]) -> Credentials:
        """The credentials of these settings and of a client's own headers."""
        inference: dict[str, str] = {}
        if settings.virtual_key:
            inference["x-bf-vk"] = settings.virtual_key
        if settings.api_key:
            inference["authorization"] = Secret(f"Bearer {settings.api_key}")
        try:
            admin = settings.admin_headers()
        except ConfigurationError:  # half a pair is told where the management API is asked, and stops no completion
            admin = {}
        keys = tuple(key for key in (settings.virtual_key, settings.api_key) if key)
        return cls(own, inference, admin, (*keys, *secrets_in(own)), settings.ca_file)

    @property
    def management(self) -> dict[str, str]:
        """The headers of a request to ``/api``: there the administrator counts, where one is configured."""
        return {**self.own, **self.inference, **self.admin}

    @property
    def listing(self) -> dict[str, str]:
        """The headers of ``GET /v1/models``, which shows what a virtual key may use; it may sit behind the log-in."""
        return {**self.admin, **self.own, **self.inference}

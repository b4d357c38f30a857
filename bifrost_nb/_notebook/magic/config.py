"""``%config Bifrost.*``: the settings of this notebook, checked when they are set."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from traitlets import Bool, Float, TraitError, Unicode, validate
from traitlets.config import Config, Configurable

from ... import _settings as settings
from ...errors import ConfigurationError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["Bifrost", "configured"]

SETTINGS = ("base_url", "api_version", "run_log", "timeout")


class Bifrost(Configurable):
    """What ``%config Bifrost.NAME = value`` can set; ``%config Bifrost`` lists it by this class's name.

    Keys are not among them, because a cell is saved with the notebook: they come from BIFROST_VIRTUAL_KEY and
    BIFROST_API_KEY.
    """

    base_url = Unicode(None, allow_none=True, help="Address of the gateway, or 'demo' for the embedded one.").tag(
        config=True
    )
    api_version = Unicode(None, allow_none=True, help="api-version of the Azure route.").tag(config=True)
    run_log = Unicode(None, allow_none=True, help="File that runs are recorded in, or 'off'.").tag(config=True)
    timeout = Float(None, allow_none=True, help="Seconds that a whole call may take.").tag(config=True)
    short_errors = Bool(True, help="Errors without frames of this package; False shows all of them.").tag(config=True)

    @validate(*SETTINGS)
    def _check(self, proposal: Any) -> Any:
        name = proposal["trait"].name
        try:
            settings.resolve(**{name: proposal["value"]})
        except ConfigurationError as error:
            raise TraitError(str(error).replace("(from argument)", "(from %config)")) from None
        return proposal["value"]

    def update_config(self, config: Config) -> None:
        """What ``%config`` says of the address takes the place of the clients made before, also where it is the same.

        Other settings count for what was not passed to the client made last.
        """
        from ..._client.client import forget_clients

        super().update_config(config)
        if "base_url" in config.get("Bifrost", {}):
            forget_clients()

    def values(self) -> dict[str, Any]:
        """The ``%config`` layer of the settings: what is set here, by name."""
        return {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}


def configured(shell: InteractiveShell) -> Bifrost:
    """The configuration of `shell`; values that are not valid are named, dropped and do not break loading.

    A value that ``%config`` refuses stays in the shell's configuration, where every later load would meet it again.
    """
    try:
        return Bifrost(parent=shell)
    except TraitError:
        section = shell.config["Bifrost"]
        for name in list(section):
            try:
                Bifrost(config=Config({"Bifrost": {name: section[name]}}))
            except TraitError as error:
                warnings.warn(f"Bifrost.{name} is ignored: {error}", stacklevel=2)
                del section[name]
        return Bifrost(parent=shell)

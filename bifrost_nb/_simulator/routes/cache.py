"""``DELETE /api/cache/clear-by-key/{key}``: the words of the published source; without the plugin real ones refuse."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..http.framing import json_response
from ..state import Simulator

__all__ = ["cache_routes"]


def cache_routes(simulator: Simulator) -> list[Route]:
    """The route; gateways up to 1.5.1 have none (measured: 405)."""

    async def clear(request: Request) -> Response:
        simulator.clear_cache(request.path_params["key"])
        return json_response({"message": "Cache cleared successfully"})

    path = "/api/cache/clear-by-key/{key}"
    return [] if simulator.dialect.before(1, 5, 16) else [Route(path, clear, methods=["DELETE"])]

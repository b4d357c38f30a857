"""The routes of the prompt repository, in the shapes that gateways from 1.4.18 on answered with."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..http.framing import json_response
from ..prompt_repository import PromptRepository

__all__ = ["repository_routes"]

ROOT = "/api/prompt-repo"


def repository_routes(repository: PromptRepository) -> list[Route]:
    """The routes that `bf.prompts`, `bf.prompt` and `Prompt.commit` use, and the single ones beside them."""
    handlers = _Handlers(repository)
    return [
        Route(f"{ROOT}/folders", handlers.folders, methods=["GET"]),
        Route(f"{ROOT}/folders", handlers.make_folder, methods=["POST"]),
        Route(f"{ROOT}/prompts", handlers.prompts, methods=["GET"]),
        Route(f"{ROOT}/prompts", handlers.make_prompt, methods=["POST"]),
        Route(f"{ROOT}/prompts/{{id}}", handlers.prompt, methods=["GET"]),
        Route(f"{ROOT}/prompts/{{id}}/versions", handlers.versions, methods=["GET"]),
        Route(f"{ROOT}/prompts/{{id}}/versions", handlers.commit, methods=["POST"]),
        Route(f"{ROOT}/versions/{{id}}", handlers.version, methods=["GET"]),
    ]


class _Handlers:
    def __init__(self, repository: PromptRepository) -> None:
        self.repository = repository

    async def folders(self, request: Request) -> Response:
        return json_response({"folders": list(self.repository.folders.values())})

    async def make_folder(self, request: Request) -> Response:
        content = await _content(request)
        if content is None or not content.get("name"):
            return _refused(400, "invalid request body" if content is None else "name is required")
        folder = {"id": str(uuid.uuid4()), "name": content["name"], **_told(content, "description"), **_now()}
        self.repository.folders[folder["id"]] = folder
        return json_response({"folder": folder})

    async def prompts(self, request: Request) -> Response:
        """The newest first; of one folder where the query names it."""
        folder = request.query_params.get("folder_id")
        found = [one for one in self.repository.prompts.values() if folder in (None, one.get("folder_id"))]
        return json_response({"prompts": [self.repository.told(one) for one in reversed(found)]})

    async def make_prompt(self, request: Request) -> Response:
        content = await _content(request)
        if content is None or not content.get("name"):
            return _refused(400, "invalid request body" if content is None else "name is required")
        if content.get("folder_id") not in (None, *self.repository.folders):
            return _refused(400, "folder not found")
        prompt = {"id": str(uuid.uuid4()), "name": content["name"], **_told(content, "folder_id"), **_now()}
        self.repository.prompts[prompt["id"]] = prompt
        return json_response({"prompt": prompt})

    async def prompt(self, request: Request) -> Response:
        found = self.repository.prompts.get(request.path_params["id"])
        if found is None:
            return _refused(404, "prompt not found")
        return json_response({"prompt": self.repository.told(found)})

    async def versions(self, request: Request) -> Response:
        """The newest first."""
        return json_response({"versions": self.repository.versions.get(request.path_params["id"], [])[::-1]})

    async def version(self, request: Request) -> Response:
        for versions in self.repository.versions.values():
            for one in versions:
                if str(one["id"]) == request.path_params["id"]:
                    return json_response({"version": {**one, "prompt": self.repository.prompts[one["prompt_id"]]}})
        return _refused(404, "version not found")

    async def commit(self, request: Request) -> Response:
        id, content = request.path_params["id"], await _content(request)
        if content is None:
            return _refused(400, "invalid request body")
        if id not in self.repository.prompts:
            return _refused(404, "prompt not found")
        number = sum(map(len, self.repository.versions.values())) + 1
        versions = self.repository.versions.setdefault(id, [])
        for one in versions:
            one["is_latest"] = False
        version = {
            "id": number,
            "prompt_id": id,
            "version_number": len(versions) + 1,
            "commit_message": content.get("commit_message", ""),
            "model_params": content.get("model_params") or {},
            "provider": content.get("provider", ""),
            "model": content.get("model", ""),
            **({"variables": dict.fromkeys(content["variables"], "")} if content.get("variables") else {}),
            "is_latest": True,
            "created_at": _now()["created_at"],
            "messages": [
                {"id": place + 1, "prompt_id": id, "version_id": number, "order_index": place, "message": message}
                for place, message in enumerate(content.get("messages") or [])
            ],
        }
        versions.append(version)
        return json_response({"version": version})


def _told(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: content[name]} if content.get(name) is not None else {}


def _now() -> dict[str, str]:
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"created_at": at, "updated_at": at}


async def _content(request: Request) -> dict[str, Any] | None:
    try:
        content = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _refused(status: int, message: str) -> Response:
    error = {"is_bifrost_error": False, "status_code": status, "error": {"message": message}, "extra_fields": {}}
    return json_response(error, status)

"""The user's own files: where they belong on each system, and making them for their owner only."""

from __future__ import annotations

from pathlib import Path

__all__ = ["cache_path", "data_path"]

_APP = "bifrost-nb"


def data_path(name: str) -> Path:
    """A file that is kept: the run log, saved prompts, the cache key, the trusted project files."""
    import platformdirs

    return platformdirs.user_data_path(_APP, appauthor=False) / name


def cache_path(name: str) -> Path:
    """A file that can be made again."""
    import platformdirs

    return platformdirs.user_cache_path(_APP, appauthor=False) / name

"""Frames with planted truths, in the package's columns and dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bifrost_nb._runs.columns import COLUMNS


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """`rows` in all columns and their dtypes; a column not given is NA."""
    return pd.DataFrame(
        {column.name: pd.array([row.get(column.name) for row in rows], dtype=column.dtype) for column in COLUMNS}
    )


def calls(deployment: str, times: np.ndarray, *, repeats: int = 1, **facts: Any) -> list[dict[str, Any]]:
    """One answered run per entry of `times` (ms), numbered as prompts x repeats."""
    provider, model = deployment.split("/", 1)
    return [
        {
            "prompt_id": f"p{index // repeats}",
            "repeat": index % repeats,
            "requested_provider": provider,
            "requested_model": model,
            "provider": provider,
            "model": model,
            "is_fallback": False,
            "status": "ok",
            "total_ms": float(time),
            **facts,
        }
        for index, time in enumerate(times)
    ]


def times(
    seed: int, prompts: int, repeats: int = 1, *, of: int = 0, factor: float = 1.0, noise: float = 0.25
) -> np.ndarray:
    """Times in ms of deployment number `of`: a prompt is as long for all deployments, each call has its own noise."""
    length = np.random.default_rng(seed).lognormal(6, 0.5, prompts).repeat(repeats)
    return factor * length * np.random.default_rng([seed, of]).lognormal(0, noise, prompts * repeats)

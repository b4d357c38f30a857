"""A comparison as one HTML file: verdicts, scores, charts, what was asked, every answer, and where numbers come from.

The file loads nothing from anywhere: a Content-Security-Policy allows our own script by its hash, pictures as ``data:``
and nothing else. Answers stand in a block of JSON, which no browser runs, and reach the page as plain text. The same
block gives the frame back (`load_report`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from html import escape
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._compare.verdict import amount
from .._display.html import table
from .._display.run import nothing_said
from .._files import user_path, write_private
from .._prompts.messages import pictures_sent, readable
from .._prompts.pictures import as_url, showable
from .._prompts.shown_value import shown_value
from .._runs.columns import COLUMNS
from .._runs.redact_hook import as_written
from .._safe_text import plain
from ..errors import BifrostError, ConfigurationError, LogError
from .redacted import comparison_frame, note_as_written, parameters_as_written
from .verdict_section import INTERVAL_SEED, scores_of, verdict_section

if TYPE_CHECKING:
    import pandas as pd

    from .._compare.comparison import Comparison
    from .._runs.run import Run

__all__ = ["FORMAT", "write_report"]

FORMAT = 1
"""Version of the JSON block; a reader refuses a later one."""
PICTURE_BYTES = 20 * 2**20
"""Of all pictures in one report; later ones are left out."""
FIRST_PROMPTS = 2
"""Of one template so many prompts are shown, and of many templates one each, of so many:"""
MOST_TEMPLATES = 12
MOST_SCORE_CHARTS = 6
"""Each score has a chart; the figures of all are in the summary."""
_PACKAGES = ("bifrost-nb", "pandas", "numpy", "scipy", "httpx", "pydantic")
_DTYPES = {column.name: column.dtype for column in COLUMNS}


def write_report(comparison: Comparison, path: str | os.PathLike[str], title: str | None = None) -> Path:
    """Write `comparison` to `path`, readable by its owner only. Raises ConfigurationError, LogError."""
    target = user_path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ConfigurationError(f"{target.name} is no HTML file.", hint="Name it report.html.")
    frame = comparison_frame(comparison)
    script = _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    heading = plain(title or f"Comparison {comparison.id}", 200)
    document = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{escape(heading)}</title><style>{_asset('report.css')}</style></head><body>"
        f"<h1>{escape(heading)}</h1>{''.join(_sections(comparison, frame))}"
        '<h2>Answers</h2><div id="answers"><noscript>Searching the answers needs JavaScript.</noscript></div>'
        f"{_provenance(comparison)}"
        f'<script type="application/json" id="bifrost-data">{_json(_block(comparison, frame))}</script>'
        f"<script>{script}</script></body></html>\n"
    )
    try:
        write_private(target, document.encode("utf-8", "replace"))
    except OSError as error:
        raise LogError(
            f"{target} cannot be written: {error.strerror or error}.", hint="Write to another place."
        ) from None
    return target


def _sections(comparison: Comparison, frame: pd.DataFrame) -> Iterator[str]:
    from .._compare.comparison_view import as_html

    plan = comparison.plan
    yield from verdict_section(comparison)
    yield f'<h2>Summary</h2><div class="scroll">{as_html(comparison, note_as_written(comparison))}</div>'
    yield from _charts(comparison)
    yield "<h2>What was asked</h2>"
    yield from _prompts(comparison, frame)
    rows = [
        {
            "name": plain(asked.name),
            "deployment": plain(asked.deployment),
            "parameters": plain(json.dumps(parameters, default=str), 500) if parameters else "",
            "fallbacks": plain(", ".join(asked.fallbacks)),
        }
        for asked, parameters in zip(plan.asked, parameters_as_written(comparison), strict=True)
    ]
    told = [name for name in rows[0] if name == "name" or any(row[name] not in ("", row["name"]) for row in rows)]
    yield table([[row[name] for name in told] for row in rows], told, label="What was asked")


def _prompts(comparison: Comparison, frame: pd.DataFrame) -> Iterator[str]:
    """How many there were, and the first of each template, or the first few of one."""
    own = frame[["template", "prompt"]].dropna(subset=["prompt"]).astype("string")
    names = own["template"].dropna().unique().tolist()
    if own.empty:
        return
    plan = comparison.plan
    count = f"{len(plan.prompts):,} prompt{'s' if len(plan.prompts) > 1 else ''}"
    often = {1: "once", 2: "twice"}.get(plan.repeats, f"{plan.repeats:,} times")
    which = "; the first of each template" if len(names) > 1 else ""
    which = which or ("; the first" if len(plan.prompts) > FIRST_PROMPTS else "")
    yield f"<p>{count}, each sent {often} to each variant{which}:</p>"
    if len(names) > 1:
        firsts = own.drop_duplicates("template")[:MOST_TEMPLATES]
        shown = [(str(name), str(text)) for name, text in firsts.itertuples(index=False, name=None)]
    else:
        shown = [("", str(text)) for text in own["prompt"].drop_duplicates()[:FIRST_PROMPTS]]
    for name, text in shown:
        yield f"<h4>{escape(plain(name, 200))}</h4>" if name else ""
        yield f"<pre>{escape(plain(readable(text), 4_000))}</pre>"
    if len(names) > len(shown) > 1:
        yield f"<p>and those of {len(names) - len(shown):,} more templates</p>"


def _charts(comparison: Comparison) -> Iterator[str]:
    plot = comparison.plot
    scores = scores_of(comparison.frame)[:MOST_SCORE_CHARTS]
    charts: list[Callable[[], Any]] = [partial(plot.scores, score) for score in scores]
    for draw in (*charts, plot.latency, plot.cost):
        try:
            axes = draw()
        except BifrostError:  # nothing to draw: no scores, no known cost
            continue
        axes.figure.set_dpi(150)
        yield f"<figure>{axes._repr_mimebundle_()[0]['text/html']}</figure>"


def _provenance(comparison: Comparison) -> str:
    runs, plan = comparison.runs, comparison.plan
    started = [run.started_at for run in runs if run.started_at is not None]
    costs = [run.cost_usd for run in runs if run.cost_usd is not None]
    known = f"{amount(sum(costs), 'cost_usd')} for {len(costs):,} of {len(runs):,} runs whose cost is known"
    facts = {
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "sent": f"{min(started):%Y-%m-%d %H:%M} to {max(started):%Y-%m-%d %H:%M UTC}" if started else "unknown",
        "comparison": plan.comparison_id,
        "gateway version": _listed(run.gateway_version for run in runs),
        "cost": known if costs else "unknown",
        "costs come from": _listed(run.cost_source for run in runs),
        "prices": _prices(runs),
        "seeds": _seeds(comparison),
        "times": "the client's own monotonic clock; answers out of a cache are left out of them",
        "packages": ", ".join([f"Python {platform.python_version()}", *_versions()]),
    }
    rows = ([name, plain(text)] for name, text in facts.items())
    return f"<h2>Where the numbers come from</h2>{table(rows, label='Where the numbers come from', titles=True)}"


def _prices(runs: Sequence[Run]) -> str:
    """What a million tokens cost by those who answered: costs of the runs by their tokens, in and out where told."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        if run.served and run.cost_usd is not None:
            found.setdefault(run.served, []).append(run)
    said = []
    for served, known in sorted(found.items()):
        sides = [("input_cost_usd", "prompt_tokens", "in"), ("output_cost_usd", "completion_tokens", "out")]
        if any(run.input_cost_usd is None or run.output_cost_usd is None for run in known):
            sides = [("cost_usd", "total_tokens", "in and out together")]
        each = []
        for cost, tokens, word in sides:
            counts = [getattr(run, tokens) for run in known]
            if None not in counts and sum(counts):
                price = sum(getattr(run, cost) for run in known) / sum(counts) * 1e6
                each.append(f"{amount(price, 'cost_usd')} {word}")
        if each:
            said.append(f"{served} {', '.join(each)}")
    return f"a million tokens, as charged: {'; '.join(said)}" if said else "unknown"


def _seeds(comparison: Comparison) -> str:
    """Those that make order, answers and intervals the same again."""
    plan = comparison.plan
    given = {asked.name: asked.parameters["seed"] for asked in plan.asked if "seed" in asked.parameters}
    sampling = ", ".join(f"{name} {seed}" for name, seed in given.items())
    return "; ".join(
        [
            f"order of sending {plan.seed}" if plan.seed is not None else "order of sending not shuffled",
            f"answers {sampling}" if sampling else "answers none sent",
            f"intervals {INTERVAL_SEED}",
        ]
    )


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(sorted({str(value) for value in values if value})) or "unknown"


def _versions() -> Iterator[str]:
    for name in _PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


def _block(comparison: Comparison, frame: pd.DataFrame) -> dict[str, Any]:
    columns = [
        {"name": str(name), "dtype": str(frame[name].dtype), "values": [_plain_value(value) for value in frame[name]]}
        for name in frame.columns
    ]
    return {
        "format": FORMAT,
        "rows": len(frame),
        # One of every frame that has no value comes back without being written; of others only the file knows.
        "columns": [one for one in columns if one["name"] not in _DTYPES or any(v is not None for v in one["values"])],
        "scores": scores_of(frame),
        "variants": list(dict.fromkeys(map(str, frame["variant"]))),
        **_pictures(comparison),
        "nothing": {
            place: nothing_said(run)
            for place, run in enumerate(comparison.runs)
            if run.status == "ok" and not run.text and not run.tool_calls
        },
        "read": {text: said for text in map(str, frame["prompt"].dropna()) if (said := readable(text)) != text},
        "inputs": [
            str(n) for n in frame.columns if str(n).startswith("input_") and n not in _DTYPES and n != "input_id"
        ],
    }


def _pictures(comparison: Comparison) -> dict[str, Any]:
    """The pictures of questions and answers, each once, and for each row which it has; those that files may hold.

    Where a `redact` hook is in force, drawn pictures stay out: it decides over texts and cannot look at them.
    """
    runs = [as_written(run) for run in comparison.runs]
    hidden = (comparison.client is not None and comparison.client.redact is not None) or any(
        run.written for run in runs
    )
    asked = [pictures_sent(run.prompt or "") if ";base64," in (run.prompt or "") else [] for run in runs]
    drawn = [[] if hidden else [url for each in run.images if (url := as_url(each))] for run in runs]
    urls = dict.fromkeys(url for urls in (*asked, *drawn) for url in urls)
    places = {url: place for place, url in enumerate(showable(urls, PICTURE_BYTES))}
    if not places:
        return {}
    told = {
        name: [[places[url] for url in urls if url in places] for urls in rows]
        for name, rows in {"asked": asked, "drawn": drawn}.items()
    }
    return {"pictures": list(places), **told}


def _plain_value(value: Any) -> Any:
    """A cell as JSON can hold it."""
    import numpy as np
    import pandas as pd

    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, bool | int | float | str) else shown_value(value)


def _json(block: dict[str, Any]) -> str:
    """JSON that ends no script element and begins no comment, whatever a model wrote."""
    text = json.dumps(block, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return (files("bifrost_nb") / "_report" / "static" / name).read_text(encoding="utf-8")

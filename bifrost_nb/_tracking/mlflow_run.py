"""A comparison as a run of MLflow: parameters, metrics, tables and the report (extra ``mlflow``)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .._compare.comparison import Comparison
from .._keys import HIDDEN, hide
from .._report.redacted import comparison_frame, parameters_as_written, secrets_of
from .._report.report import write_report
from .._runs.log.codec import valid
from .._safe_text import plain
from .._wire.json_text import whole_characters
from ..errors import BifrostError, ConfigurationError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["export_mlflow"]

LONGEST_NAME = 250
LONGEST_PARAMETER = 500
"""What the oldest server of MLflow 2 takes; later ones take 6,000."""
AT_ONCE = 900
"""Metrics in one request: MLflow takes 1,000 entities."""


def export_mlflow(
    comparison: Comparison,
    *,
    experiment: str | None = None,
    tracking_uri: str | None = None,
    run_name: str | None = None,
    tags: Mapping[str, str] | None = None,
    report: bool = True,
) -> str:
    """Log `comparison` as one run of MLflow; the id of that run.

    Metrics are the summary's, each as ``<variant>/<column>`` (``azure/fast/score_mean``, ``azure/fast/total_ms_p50``),
    unknown ones absent. Artifacts are ``summary.json`` and ``answers.json``, which MLflow shows as tables, and
    ``report.html`` unless `report` is False. They hold prompts and answers, redacted as in files; keys never.

    `experiment` is a name (made where there is none; None: MLflow's own default or ``MLFLOW_EXPERIMENT_NAME``),
    `tracking_uri` where to (None: what MLflow is set to), `run_name` and `tags` as in MLflow. Inside ``with
    mlflow.start_run()`` it is a child of that run. Each call logs another run.

        comparison = bf.compare(["azure/fast", "azure/large"], "Hi", client=bf.Client("demo"))
        bf.export_mlflow(comparison, experiment="taglines", tracking_uri="http://localhost:5000")

    Raises ConfigurationError without the extra or for something else than a comparison; BifrostError where MLflow does
    not take it, after which the run is there as failed.
    """
    if not isinstance(comparison, Comparison):
        raise ConfigurationError(f"export_mlflow takes a comparison, not {type(comparison).__name__}.")
    _check(tags, {"experiment": experiment, "tracking_uri": tracking_uri, "run_name": run_name})
    try:
        import mlflow
        from mlflow.exceptions import MlflowException
    except ModuleNotFoundError:
        raise ConfigurationError("MLflow is not installed.", hint="Run `pip install mlflow-skinny`.") from None
    secrets = secrets_of(comparison)
    try:
        store = mlflow.MlflowClient(tracking_uri=tracking_uri)
        parent = mlflow.active_run() if tracking_uri is None else None
        if experiment is None and parent is not None:
            number = parent.info.experiment_id
        else:
            number = _experiment(store, experiment)
        marks = {**dict(tags or {}), "bifrost.comparison_id": comparison.id}
        if parent is not None:
            marks["mlflow.parentRunId"] = parent.info.run_id
        # A name of a tag takes no brackets.
        marks = {hide(name, secrets).replace(HIDDEN, "hidden"): hide(value, secrets) for name, value in marks.items()}
        name = plain(hide(run_name or f"bifrost-nb {comparison.id}", secrets), LONGEST_NAME)
        run_id = str(store.create_run(number, run_name=name, tags=marks).info.run_id)
    except MlflowException as error:
        raise _refused(error, tracking_uri, secrets) from None
    try:
        _log(store, run_id, comparison, report, secrets)
    except BaseException as error:
        with contextlib.suppress(Exception):  # a server that is gone: why it failed is told, not this
            store.set_terminated(run_id, "FAILED")
        if isinstance(error, MlflowException | OSError):
            raise _refused(error, tracking_uri, secrets) from None
        raise
    try:
        store.set_terminated(run_id)
    except MlflowException as error:
        raise _refused(error, tracking_uri, secrets) from None
    return run_id


def _check(tags: Any, texts: Mapping[str, Any]) -> None:
    """Raises ConfigurationError for what is no text, or none that can be stored."""
    if tags is not None and not isinstance(tags, Mapping):
        raise ConfigurationError(f"tags must be a dict, not {type(tags).__name__}.")
    wrong = [name for name, value in (tags or {}).items() if not (isinstance(name, str) and isinstance(value, str))]
    if wrong:
        raise ConfigurationError(f"tags must map names to text; {wrong[0]!r} does not.")
    for name, value in (*texts.items(), *((f"the tag {name!r}", value) for name, value in (tags or {}).items())):
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{name} must be text, not {type(value).__name__}.")
        if value is not None and ("\0" in value or whole_characters(value) != value):
            raise ConfigurationError(f"{plain(name, 80)} holds a character that cannot be stored.")


def _experiment(store: Any, name: str | None) -> str:
    name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME")
    if name is None:
        return os.environ.get("MLFLOW_EXPERIMENT_ID") or "0"  # "0" is MLflow's own default
    found = store.get_experiment_by_name(name)
    return str(store.create_experiment(name) if found is None else found.experiment_id)


def _log(store: Any, run_id: str, comparison: Comparison, report: bool, secrets: Any) -> None:
    from mlflow.entities import Metric, Param

    began = min((int(run.started_at.timestamp() * 1000) for run in comparison.runs if run.started_at), default=0)
    metrics = [Metric(name, value, began, 0) for name, value in _metrics(comparison.summary(by="variant")).items()]
    parameters = [Param(name, value) for name, value in _parameters(comparison, secrets).items()]
    store.log_batch(run_id, params=parameters[:100])
    for start in range(0, len(metrics), AT_ONCE):
        store.log_batch(run_id, metrics=metrics[start : start + AT_ONCE])
    store.log_table(run_id, _as_table(comparison.summary(by="variant")), "summary.json")
    store.log_table(run_id, _as_table(comparison_frame(comparison)), "answers.json")
    if report:
        with tempfile.TemporaryDirectory() as folder:
            store.log_artifact(run_id, str(write_report(comparison, Path(folder) / "report.html")))


def _metrics(summary: pd.DataFrame) -> dict[str, float]:
    """Name -> figure. A variant that several served has the one who served in the name, too."""
    import pandas as pd

    several = summary["variant"].value_counts()
    found: dict[str, float] = {}
    for row in summary.to_dict("records"):
        variant = str(row.pop("variant"))
        served = row.pop("served")
        if several[variant] > 1:
            variant = f"{variant}/{'nobody' if pd.isna(served) else f'by {served}'}"
        for column, value in row.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and pd.notna(value):
                found[_name(f"{variant}/{column}", found)] = float(value)
    return found


def _name(wanted: str, taken: Mapping[str, Any]) -> str:
    """`wanted` as MLflow allows it, other than those `taken`: it becomes a path of the store."""
    parts = [re.sub(r"[^\w.\- ]", "_", part).strip() for part in wanted.split("/")]
    parts = ["_" if part in ("", ".", "..") else part for part in parts]
    name = base = "/".join(parts)[-LONGEST_NAME + 8 :].lstrip("/")
    number = 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name


def _parameters(comparison: Comparison, secrets: Any) -> dict[str, str]:
    plan = comparison.plan
    found: dict[str, Any] = {
        "comparison_id": comparison.id,
        "variants": ", ".join(asked.name for asked in plan.asked),
        "deployments": ", ".join(dict.fromkeys(asked.deployment for asked in plan.asked)),
        "prompts": len(plan.prompts),
        "repeats": plan.repeats,
        "runs": len(comparison.runs),
        "gateway_version": ", ".join(sorted({run.gateway_version for run in comparison.runs if run.gateway_version})),
    }
    written = parameters_as_written(comparison)
    for name in sorted({key for parameters in written for key in parameters} - {"messages"}):
        given = (json.dumps(parameters.get(name), default=str) for parameters in written)
        found[f"parameters/{name}"] = ", ".join(dict.fromkeys(given))  # those of all variants
    named: dict[str, str] = {}
    for name, value in found.items():
        if value not in ("", None):
            named[_name(name, named)] = plain(hide(str(value), secrets), LONGEST_PARAMETER)
    return named


def _as_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns that JSON can hold; dates, and whatever else it has no form for, as text."""
    import pandas as pd

    found = frame.copy()
    for name in found.columns:
        if pd.api.types.is_datetime64_any_dtype(found[name]):
            found[name] = [None if pd.isna(value) else value.isoformat() for value in found[name]]
    found.columns = [str(name) for name in found.columns]
    found = found.astype(object).where(found.notna(), None)
    for name in [name for name in found.columns if name.startswith("input_")]:  # of any type
        found[name] = pd.Series([valid(value) for value in found[name]], index=found.index, dtype=object)
    return found


def _refused(error: BaseException, address: str | None, secrets: Any) -> BifrostError:
    """Its own words, without keys and without the user and password of an address."""
    parts = urlsplit(address or "")
    keys = (*secrets, *((parts.netloc.rpartition("@")[0], parts.password) if "@" in parts.netloc else ()))
    said = plain(hide(re.sub(r"://[^/@\s]+@", "://", str(error)), tuple(key for key in keys if key)), 400)
    return BifrostError(f"MLflow did not take the comparison: {said}", hint="Check tracking_uri and experiment.")

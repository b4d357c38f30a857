"""Frames and parameters as files may hold them: redacted as the run log is, without keys and headers.

What a person keeps in memory is whole. A file is handed on, so whatever kind it has (report, workbook, CSV of the
grid), the client's `redact` hook and its keys count for it as they do for the log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._keys import hide, hide_in, secrets_in, tool_keys
from .._prompts.pictures import shortened
from .._prompts.shown_value import shown_value
from .._runs.columns import COLUMNS
from .._runs.log.codec import json_text
from .._runs.redact_hook import Redact, as_written, dropping, guarded, redacted_params, redacted_value

if TYPE_CHECKING:
    import pandas as pd

    from .._compare.asked_deployments import AskedDeployment
    from .._compare.comparison import Comparison
    from .._compare.plan import Plan, Trial
    from .._compare.planned_prompt import PlannedPrompt
    from .._compare.scoring import Judged
    from .._runs.run import Run

__all__ = [
    "comparison_frame",
    "frame_as_written",
    "hook_of",
    "note_as_written",
    "parameters_as_written",
    "plan_as_written",
    "scores_as_written",
    "secrets_of",
    "texts_as_written",
    "words_as_written",
]

_OURS = {column.name for column in COLUMNS}
_TEXTS = ("prompt", "response", "tool_calls", "params", "error_message", "tags")


def comparison_frame(comparison: Comparison) -> pd.DataFrame:
    """The frame of `comparison` as a file may hold it."""
    frame = comparison.frame
    if "variant" not in frame.columns:
        frame["variant"] = [trial.asked.name for trial in comparison.trials]
    return frame_as_written(frame, comparison.runs, hook_of(comparison), secrets_of(comparison))


def frame_as_written(
    frame: pd.DataFrame, runs: Iterable[Run], hook: Redact | None = None, secrets: Collection[str] = ()
) -> pd.DataFrame:
    """`frame`, a row for each of `runs`, as a file may hold it; changed in place.

    Where a run has several choices (``n``), of which ``response`` is the first, ``choices`` has all as a JSON list.
    Without a `hook` (a comparison that was unpickled, a grid) what it once did to the runs says what to leave out.
    """
    import pandas as pd

    from .._runs.frame import to_frame

    runs = list(runs)
    if any(run.written for run in runs):
        written = to_frame(as_written(run) for run in runs)
        written["prompt"] = written["prompt"].map(shortened, na_action="ignore")
        for name in _TEXTS:
            if name in frame.columns:
                frame[name] = written[name].to_numpy()
    if any(len(run.texts) > 1 for run in runs):
        texts = [as_written(run).texts for run in runs]
        choices = [json_text(each) if len(each) > 1 else None for each in texts]
        frame["choices"] = pd.Series(choices, index=frame.index, dtype=frame["response"].dtype)
    hook = hook or _as_before(runs)
    for name in frame.columns:
        what = _what(str(name))
        if what is not None and hook is not None:
            frame[name] = [_asked(hook, value, what) for value in frame[name]]
    if secrets:
        for name in frame.select_dtypes(include=["object", "string"]).columns:
            frame[name] = [_without(secrets, value) for value in frame[name]]
    return frame


def texts_as_written(frame: pd.DataFrame, hook: Redact | None) -> pd.DataFrame:
    """A copy of `frame`, whose rows have no runs here, as a file may hold it; unchanged without a `hook`.

    Prompt and response are as the hook wants them; texts in parts, which it would have to be asked about one by one,
    are left out.
    """
    if hook is None:
        return frame
    kept = frame.assign(
        **{name: None for name in _TEXTS if name in frame and name not in ("prompt", "response", "tags")}
    )
    for name in ("prompt", "response"):
        if name in kept:
            kept[name] = [_text(value, hook, name) if isinstance(value, str) else None for value in kept[name]]
    return kept.astype({name: dtype for name, dtype in frame.dtypes.items() if name in _TEXTS})


def parameters_as_written(comparison: Comparison) -> list[dict[str, Any]]:
    """What each variant is asked with, as a file may hold it: without headers, which are how a client signs in."""
    hook, secrets = hook_of(comparison), secrets_of(comparison)
    found = []
    for asked in comparison.plan.asked:
        params = {name: value for name, value in asked.parameters.items() if name != "headers"}
        found.append(hide_in(params if hook is None else redacted_params(params, hook), secrets))
    return found


def note_as_written(comparison: Comparison) -> Callable[[str], str]:
    """What of a note on the scores, which quotes their reasons, a file may hold."""
    hook, secrets = hook_of(comparison), secrets_of(comparison)

    def keep(note: str) -> str:
        found = note if hook is None else hook(note, "response")
        return "Some answers have no score; why is left out." if found is None else str(hide_in(found, secrets))

    return keep


def words_as_written(runs: Iterable[Run]) -> Callable[[str], str | None]:
    """What of words that quote `runs` a file may hold, by what a hook once did to those runs."""
    hook = _as_before(runs)
    return lambda text: text if hook is None else hook(text, "response")


def plan_as_written(plan: Plan, hook: Redact) -> Plan:
    """`plan` as a pickle may hold it. Identities and names stay, so that its runs and their pairs are found again."""
    prompts = {id(one): _prompt(one, hook) for one in plan.prompts}
    asked = {id(one): _asked_as_written(one, hook) for one in plan.asked}

    def changed(trial: Trial) -> Trial:
        own = redacted_value(trial.history, hook, "prompt")
        prompt = prompts.get(id(trial.prompt)) or _prompt(trial.prompt, hook)
        return replace(
            trial, prompt=prompt, asked=asked[id(trial.asked)], system=_text(trial.system, hook), history=own
        )

    trials = {trial.trial_id: changed(trial) for trial in plan.trials}
    return replace(
        plan,
        system=_text(plan.system, hook),
        asked=tuple(asked.values()),
        prompts=tuple(prompts.values()),
        trials=tuple(trials.values()),
        order=tuple(trials[trial.trial_id] for trial in plan.order),
    )


def scores_as_written(comparison: Comparison, scores: Mapping[str, list[Judged]]) -> dict[str, list[Judged]]:
    """`scores` with reasons and errors, which quote answers, as a file may hold them."""
    from .._compare.scoring import Judged

    hook, secrets = hook_of(comparison), secrets_of(comparison)

    def kept(text: str | None) -> Any:
        return hide_in(text if hook is None else _text(text, hook, "response"), secrets)

    return {
        name: [Judged(one.value, kept(one.reason), kept(one.error)) for one in judged]
        for name, judged in scores.items()
    }


def _prompt(prompt: PlannedPrompt, hook: Redact) -> PlannedPrompt:
    return replace(
        prompt,
        text=_text(prompt.text, hook) or "",
        values={name: _asked(hook, value, "prompt") for name, value in prompt.values.items()},
        messages=redacted_value(prompt.messages, hook, "prompt"),
        pictures={},  # at which, as at sounds, a hook cannot look
        sounds={},
        hint=_text(prompt.hint, hook),
    )


def _asked_as_written(asked: AskedDeployment, hook: Redact) -> AskedDeployment:
    headers = {name: value for name, value in asked.parameters.items() if name == "headers"}
    return replace(
        asked,
        parameters={**redacted_params(asked.parameters, hook), **headers},
        system=_text(asked.system, hook),
        history=redacted_value(asked.history, hook, "prompt"),
    )


def _text(text: str | None, hook: Redact, what: Any = "prompt") -> str | None:
    return None if text is None else hook(text, what)


def hook_of(comparison: Comparison) -> Redact | None:
    """What decides for the files of `comparison`: its client's hook, then its log's; of one that was unpickled, what
    they once did to its runs."""
    client = comparison.client
    return (None if client is None else guarded(client.redact, client.log.redact)) or _as_before(comparison.runs)


def secrets_of(comparison: Comparison) -> tuple[str, ...]:
    """The keys of the client and of each variant's own headers and tools."""
    client = comparison.client
    own = [key for asked in comparison.plan.asked for key in secrets_in(asked.parameters.get("headers") or {})]
    own += [key for asked in comparison.plan.asked for key in tool_keys(asked.parameters)]
    return (*(() if client is None else client.credentials.secrets), *own)


def _as_before(runs: Iterable[Run]) -> Redact | None:
    """A hook that leaves out the kinds of text that one changed when `runs` were written; None: it changed none."""
    changed = {name for run in runs for name in run.written}
    whats = [
        *(["prompt"] if changed & {"prompt", "params"} else []),
        *(["response"] if changed & {"response", "texts", "reasoning", "tool_calls"} else []),
    ]
    return dropping(whats) if whats else None


def _what(name: str) -> Any:
    """Which kind of text a column beside those of every frame holds, for the redact hook."""
    if name in _OURS or name == "input_id":
        return None
    if name.startswith("input_"):
        return "prompt"
    return "response" if name.endswith(("_reason", "_error")) or name.startswith("answer_") else None


def _asked(hook: Redact, value: Any, what: Any) -> Any:
    import pandas as pd

    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    text = shown_value(value)
    found = hook(text, what)
    return value if found == text else found


def _without(secrets: Collection[str], value: Any) -> Any:
    """`value`; its text without `secrets` where these are in it, also where it is no text but a list of some."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = shown_value(value)
    found = hide(text, secrets)
    return value if found == text else found

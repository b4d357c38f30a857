"""What a comparison would take, before it is sent: calls, tokens, dollars, minutes, prompts that are too long.

Prompts of chats are counted by the provider where it does that (`bifrost_nb._client.token_count`); else the tokens are
an estimate, and named so: one per four bytes of UTF-8, of tools and formats too. An answer has between one token and
``max_tokens``. Prices and context lengths are the gateway's own, from ``/v1/models``, which has none by the picture or
the second.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from .._client.calls import REQUEST_TYPES
from .._client.model_list import prices_in
from .._client.token_count import checked, count_tokens
from .._prompts.messages import transcript
from .._runs.cost import Price
from .._runs.unlisted_prices import LONG_PROMPT, asks_for_unlisted
from .._safe_text import plain
from ..errors import BifrostError
from .api_choice import MEDIA
from .asked_deployments import AskedDeployment
from .plan import Plan, Trial
from .progress import terminal_width
from .row_parameters import columns_of, for_row, shared_by_rows
from .summary import measured
from .verdict import amount

if TYPE_CHECKING:
    import pandas as pd

    from .._client.client import Client

__all__ = ["DryRun", "counted_tokens", "estimated", "tokens_of"]

BYTES_PER_TOKEN = 4
MOST_COUNTED = 500
COUNTED_AT_ONCE = 16
LEAST_LIMIT = 16
"""The gateway raises the limit of a chat's answer to so many tokens."""
RECENT = 200
"""The expected time comes from so many of a deployment's newest runs in the log."""


class DryRun:
    """The estimate of one plan. `frame` has one row per deployment; unknown is NA.

    Columns: ``deployment``, ``cells``, ``recorded`` (taken from the log), ``to_send``, ``prompt_tokens`` (of all calls
    to send), ``counted`` (boolean: these are the provider's count, not an estimate), ``max_completion_tokens``,
    ``cost_low_usd``, ``cost_high_usd``, ``minutes``, ``too_long``
    (prompts that do not fit the context length together with the answer of ``max_tokens``, or one token, behind them).
    """

    def __init__(
        self, plan: Plan, frame: pd.DataFrame, may_end_after: int | None = None, *, judged: bool = False
    ) -> None:
        self.plan, self.frame = plan, frame
        self.judged = judged
        """Whether models are to judge the answers: what that costs is not known before, and not in the figures."""
        self.may_end_after = may_end_after
        """With ``until="decided"`` the inputs after which it is first looked; the figures are the most it can take."""

    @property
    def cost_range_usd(self) -> tuple[float, float] | None:
        """Least and most that all calls together may cost; None where a price or a bound is unknown."""
        low, high = self.frame["cost_low_usd"], self.frame["cost_high_usd"]
        return None if low.isna().any() or high.isna().any() else (float(low.sum()), float(high.sum()))

    @property
    def minutes(self) -> float | None:
        """How long it will take: deployments run side by side, so the slowest counts. None where unknown."""
        minutes = self.frame["minutes"]
        return None if minutes.isna().any() else float(minutes.max())

    def __repr__(self) -> str:
        return f"{self._sentence()}\n\n{plain(self._shown().to_string(index=False, line_width=terminal_width()))}"

    def _repr_html_(self) -> str:
        from .._display.html import table, text

        shown = self._shown()
        rows = table(shown.itertuples(index=False), list(shown.columns), label="What would be sent")
        return f"<div><div>{text(self._sentence())}</div>{rows}</div>"

    def _shown(self) -> pd.DataFrame:
        """The frame in words: dollars, minutes, and a dash for what is unknown; no column that says nothing of any."""
        frame = self.frame
        nothing = ["minutes"] if frame["minutes"].isna().all() else []  # the sentence says that the time is unknown
        nothing += ["too_long"] if frame["too_long"].eq(0).fillna(value=False).all() else []
        shown = frame[_FIRST].join(frame.drop(columns=[*_FIRST, *nothing]))  # money in sight on a narrow page
        shown = shown.astype(object).where(shown.notna(), None)
        for name in shown.columns:
            if name.endswith("_usd"):
                shown[name] = [amount(value, name) for value in shown[name]]
            elif name == "counted":
                shown[name] = [
                    "–" if value is None else "by the provider" if value else "estimate" for value in shown[name]
                ]
            elif name == "minutes":
                shown[name] = ["–" if value is None else _minutes_text(value) for value in shown[name]]
            elif name != "deployment":
                shown[name] = ["–" if value is None else f"{value:,}" for value in shown[name]]
        return shown.map(plain)

    def _sentence(self) -> str:
        send, trials = int(self.frame["to_send"].sum()), len(self.plan.trials)
        cost, minutes = self.cost_range_usd, self.minutes
        counted = bool(self.frame["counted"].fillna(False).any())
        begin = "No call was made; the provider only counted tokens." if counted else "Nothing was sent."
        most = "" if self.may_end_after is None else "At most "
        said = [f"{begin} {most}{send:,} of {trials:,} calls are to be made"]
        said.append("cost unknown" if cost is None else " to ".join(amount(one, "cost_usd") for one in cost))
        if minutes is None:
            said.append("time unknown")
        else:
            said.append(f"about {minutes:.1f} minutes" if minutes >= 1 else f"about {math.ceil(60 * minutes)} s")
        if long := int(self.frame["too_long"].fillna(0).sum()):
            said.append(f"{long:,} {'prompt is' if long == 1 else 'prompts are'} too long for their deployment")
        ends = "" if self.may_end_after is None else f" It may be decided from {self.may_end_after} inputs on."
        guessed = self.frame.loc[~self.frame["counted"].fillna(True).astype(bool), "deployment"]
        which = f" Prompt tokens of {', '.join(guessed)} are an estimate." if len(guessed) else ""
        judging = " What the models that judge cost comes on top." if self.judged else ""
        return ", ".join(said) + f".{ends}{which}{judging}"


def _minutes_text(minutes: float) -> str:
    return f"{minutes:.1f}" if minutes >= 0.05 or not minutes else "< 0.1"


def estimated(
    client: Client,
    plan: Plan,
    done: Mapping[str, Any],
    *,
    may_end_after: int | None = None,
    batch_rates: Mapping[str, float] | None = None,
    count: bool = True,
    judged: bool = False,
) -> DryRun:
    """The estimate of `plan`, where `done` holds what need not be sent; see `DryRun.may_end_after`.

    `batch_rates` is the share of the list price that a batch costs, by the variant's name: how long one takes is not
    known. Without `count` no provider is asked for the tokens. `judged`: see `DryRun.judged`.
    """
    import pandas as pd

    models = _models(client)
    times = _times(client, plan)
    counts = counted_tokens(client, plan, done) if count else {}
    rows = [
        _row(asked, plan, done, models.get(asked.deployment), times.get(asked.deployment), counts.get(asked.name))
        for asked in plan.asked
    ]
    frame = pd.DataFrame(rows)
    if batch_rates is not None:
        rates = frame["deployment"].map(dict(batch_rates))
        frame[["cost_low_usd", "cost_high_usd"]] = frame[["cost_low_usd", "cost_high_usd"]].mul(rates, axis=0)
        frame["minutes"] = None
    whole = ["cells", "recorded", "to_send", "prompt_tokens", "max_completion_tokens", "too_long"]
    amounts = ["cost_low_usd", "cost_high_usd", "minutes"]
    dtypes = dict.fromkeys(whole, "Int64") | dict.fromkeys(amounts, "Float64")
    return DryRun(
        plan, frame.astype({"deployment": "string", "counted": "boolean", **dtypes}), may_end_after, judged=judged
    )


def tokens_of(text: str) -> int:
    """The estimated number of tokens of `text`: one per four bytes, at least one."""
    return max(1, math.ceil(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN))


def _row(
    asked: AskedDeployment,
    plan: Plan,
    done: Mapping[str, Any],
    model: Mapping[str, Any] | None,
    seconds: float | None,
    counts: Mapping[str, int] | None,
) -> dict[str, Any]:
    trials = [trial for trial in plan.trials if trial.asked is asked]
    send = [trial for trial in trials if trial.trial_id not in done]
    # What a picture or a sound costs in tokens is each provider's own rule.
    pictures = any(trial.prompt.pictures or trial.prompt.sounds for trial in send)
    known = counts is not None or not (pictures or _reads_what_is_kept(asked))
    texts = {one.trial_id: _asked_tokens(one) if counts is None else counts[one.trial_id] for one in send}
    beside = _read_tokens(send) if counts is None else {}
    tokens = {trial_id: count + beside.get(trial_id, 0) for trial_id, count in texts.items()}
    prompt_tokens = sum(tokens.values()) if known else None
    answers = max(asked.parameters.get(name) or 1 for name in ("n", "best_of")) * len(send)
    longest = None if asked.kind in MEDIA else _longest(asked, model)
    price = prices_in([model or {}]).get(asked.deployment, Price(None, None))
    low = high = None
    unlisted = any(asks_for_unlisted(each) for each in _asked_with(send))
    priced = not unlisted and max(tokens.values(), default=0) <= LONG_PROMPT
    if priced and price.prompt is not None and price.completion is not None and prompt_tokens is not None:
        calls = len(send) * (price.request or 0.0)
        low = None if asked.kind in MEDIA else calls + sum(texts.values()) * price.prompt + answers * price.completion
        most = calls + prompt_tokens * price.prompt
        high = None if longest is None else most + answers * longest * price.completion
    return {
        "deployment": asked.name,
        "cells": len(trials),
        "recorded": len(trials) - len(send),
        "to_send": len(send),
        "prompt_tokens": prompt_tokens,
        "counted": counts is not None if send and known else None,
        "max_completion_tokens": None if longest is None else answers * longest,
        "cost_low_usd": low,
        "cost_high_usd": high,
        "minutes": _minutes(asked, len(send), seconds),
        "too_long": _too_long(send, tokens, _told_limit(asked) or 1, _positive(model, "context_length")),
    }


_FIRST = ["deployment", "cells", "recorded", "to_send", "cost_low_usd", "cost_high_usd"]
"""Columns of the table for people, before the others."""
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""Of an answer's length, by the APIs' names for it."""
_READ = {"tools", "response_format", "text"}
"""Parameters that the model gets to read."""
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def _reads_what_is_kept(asked: AskedDeployment) -> bool:
    """Whether turns that only the provider or the gateway knows stand in front of the prompt."""
    headers = asked.parameters.get("headers") or {}
    named = any(str(name).lower() == "x-bf-prompt-id" for name in headers)
    return named or any(asked.parameters.get(name) for name in ("previous_response_id", "conversation"))


def _longest(asked: AskedDeployment, model: Mapping[str, Any] | None) -> int | None:
    """The most tokens of an answer."""
    told = _told_limit(asked)
    return _positive(model, "max_output_tokens") if told is None else told


def _told_limit(asked: AskedDeployment) -> int | None:
    """The most tokens of an answer that were asked for."""
    told = next(filter(None, map(asked.parameters.get, _LIMITS)), None)
    if told is None:
        return None
    return max(int(told), LEAST_LIMIT) if asked.kind in ("chat", "responses") else int(told)


def _too_long(trials: Iterable[Trial], tokens: Mapping[str, int], answer: int, context: int | None) -> int | None:
    """How many prompts leave no room for `answer` tokens. Where nobody limits the answer, the model's own limit is what
    it may take of the room that is left, not what it needs."""
    if context is None:
        return None
    return len({trial.prompt.prompt_id for trial in trials if tokens[trial.trial_id] + answer > context})


def _asked_tokens(trial: Trial) -> int:
    """Of the prompt, the system message and what was said before, filled in."""
    before = [trial.system, transcript(trial.history) if trial.history else None]
    return tokens_of(trial.prompt.text) + sum(tokens_of(each) for each in before if each)


def _read_tokens(trials: Sequence[Trial]) -> dict[str, int]:
    """Of tools and the form of the answer, which a model reads beside the texts; providers count them each its way."""

    def of(parameters: Mapping[str, Any]) -> int:
        read = (parameters[name] for name in _READ if parameters.get(name))
        return sum(tokens_of(orjson.dumps(each, option=_OPTIONS, default=str).decode()) for each in read)

    if not trials or not _READ & trials[0].asked.parameters.keys():
        return {}
    parameters = trials[0].asked.parameters
    of_all, by_row = of(shared_by_rows(parameters)), columns_of(parameters)
    return {one.trial_id: of_all + (of(for_row(by_row, one.prompt.values)) if by_row else 0) for one in trials}


def _asked_with(trials: Sequence[Trial]) -> Iterator[Mapping[str, Any]]:
    """The parameters of `trials`; those of each where rows have tools of their own."""
    for one in trials if trials and columns_of(trials[0].asked.parameters) else trials[:1]:
        yield for_row(one.asked.parameters, one.prompt.values)


def counted_tokens(client: Client, plan: Plan, done: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """The prompt tokens of each trial that is not done, by the variant's name, where its provider counts them all.

    One prompt is tried first: who refuses it is asked no more. A deployment with more than `MOST_COUNTED` different
    prompts is estimated.
    """

    async def every() -> dict[str, dict[str, int]]:
        limit = asyncio.Semaphore(COUNTED_AT_ONCE)
        found = await asyncio.gather(*(_counts(client, plan, asked, done, limit) for asked in plan.asked))
        return {asked.name: each for asked, each in zip(plan.asked, found, strict=True) if each is not None}

    return client.run_on_loop(every())


async def _counts(
    client: Client, plan: Plan, asked: AskedDeployment, done: Mapping[str, Any], limit: asyncio.Semaphore
) -> dict[str, int] | None:
    send = [trial for trial in plan.trials if trial.asked is asked and trial.trial_id not in done]
    same: dict[tuple[str, str | None, str], list[Trial]] = {}
    for trial in send:
        before = transcript(trial.history or ())
        same.setdefault((trial.prompt.prompt_id.partition("-")[0], trial.system, before), []).append(trial)
    # Tools, formats and prompts of the gateway's repository are tokens that only the call itself knows.
    adds = {"tools", "response_format", "text", "previous_response_id", "conversation", "headers", "extra"}
    if (
        not send
        or asked.kind not in ("chat", "responses")
        or adds & asked.parameters.keys()
        or len(same) > MOST_COUNTED
    ):
        return None

    async def one(trials: list[Trial]) -> int | None:
        turns = checked(trials[0].turns or trials[0].prompt.text, trials[0].system)
        async with limit:
            try:
                return await count_tokens(client, asked.deployment, turns)
            except BifrostError:  # what is wrong shows when it is sent; an estimate does without
                return None

    groups = list(same.values())
    first = await one(groups[0])
    counts = [first] if first is None else [first, *await asyncio.gather(*map(one, groups[1:]))]
    if None in counts:
        return None
    return {trial.trial_id: count or 0 for trials, count in zip(groups, counts, strict=True) for trial in trials}


def _minutes(asked: AskedDeployment, calls: int, seconds: float | None) -> float | None:
    paced = 0.0 if asked.requests_per_minute is None else calls / asked.requests_per_minute
    if calls == 0:
        return 0.0
    return None if seconds is None else max(paced, math.ceil(calls / asked.concurrency) * seconds / 60)


def _times(client: Client, plan: Plan) -> dict[str, float]:
    """Median seconds of each deployment's newest runs of this kind that it answered itself; a cache's take no time."""
    names = list({asked.deployment for asked in plan.asked})
    frame = client.log.frame(deployment=names, status="ok", limit=RECENT * len(names))
    kinds = {REQUEST_TYPES[one.kind] for one in plan.asked}
    own = measured(frame) & ~frame["is_fallback"].fillna(value=False)
    frame = frame[own & frame["request_type"].isin(kinds) & frame["total_ms"].notna()]
    asked = frame["requested_provider"] + "/" + frame["requested_model"]
    return {str(name): float(ms) / 1000 for name, ms in frame["total_ms"].groupby(asked).median().items()}


def _models(client: Client) -> dict[str, Mapping[str, Any]]:
    """The gateway's models by id; empty where it does not answer, so that a plan can be looked at without it."""

    async def listed() -> dict[str, Mapping[str, Any]]:
        return {str(one["id"]): one for one in await client.models()}

    try:
        return client.run_on_loop(listed())
    except BifrostError:
        return {}


def _number(value: Any) -> float | None:
    """The list writes some numbers as text."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < math.inf else None


def _positive(model: Mapping[str, Any] | None, name: str) -> int | None:
    number = _number((model or {}).get(name))
    return int(number) if number else None

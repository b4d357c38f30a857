"""`load_curve`: how many calls a second a deployment answers well enough."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from .._client.portal import portal
from .._compare.api_choice import decided_kind, kind_of, parameters_for, system_for
from .._compare.progress import Bar
from .._compare.verdict import amount
from .._display.describe import duration, usd
from .._display.table import Table
from .._keys import guard_headers
from .._numbers import fewest_for, number, whole_number
from .._prompts.inputs import prompts_of
from .._prompts.template import render
from .._runs.columns import Column
from .._runs.frame import frame_of, to_frame
from .._runs.pending import PATIENCE_S, UNATTENDED_PATIENCE_S, is_pending, wait_for_costs
from .._safe_text import plain, quoted
from .._statistics.intervals import share_interval
from ..errors import ConfigurationError
from .arrivals import Arrivals, Step
from .service_level import LIMITS, holds, is_good
from .too_few import too_few

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from .._client.calls import Call, Kind
    from .._client.client import Client

__all__ = ["LoadCurve", "load_curve"]

MOST_CALLS = 1_000_000
"""Of one load curve: the schedule and every run are kept."""
REASONS = 3
"""So many reasons of failed calls are told for each rate."""
LATE_MS = 5.0
"""A schedule whose p99 is later than this says more of this machine than of the deployment."""
SHOWN = {
    "rate_per_s": "calls a second",
    "holds": "holds",  # what is asked for: in sight where the table is wider than the page
    "sent": "sent",
    "failed": "failed",
    "good_share": "good",
    "goodput_per_s": "good a second",
    "ttft_ms_p50": "first text p50",
    "ttft_ms_p95": "first text p95",
    "total_ms_p50": "total p50",
    "total_ms_p95": "total p95",
    "late_ms_p99": "sent late, p99",
    "cost_usd": "cost",
}


def load_curve(
    deployment: str,
    prompt: str,
    *,
    rates: Sequence[float],
    seconds: float = 30.0,
    slo: Mapping[str, float] | None = None,
    target: float = 0.95,
    inputs: Any = None,
    api: Kind | None = None,
    chat: bool = False,
    system: str | None = None,
    client: Client | None = None,
    seed: int = 0,
    max_cost_usd: float | None = None,
    max_open: int = 1000,
    **parameters: Any,
) -> LoadCurve:
    """Send `prompt` at each of `rates` (calls a second) for `seconds`, and see which rates `deployment` holds.

    ::

        curve = bf.load_curve("azure/fast", "Write about {{topic}}.", inputs=topics, rates=[1, 2, 5, 10],
                              slo={"ttft_ms": 800, "total_ms": 4000}, max_cost_usd=1.0, max_tokens=60)
        curve.rate                                         # the highest rate that holds, calls a second
        curve.frame                                        # a row for each rate
        curve.plot()                                       # good answers a second against the rate

    Calls arrive as those of independent users do (Poisson, from `seed`), whether others have been answered or not, and
    none is sent twice. A call is *good* when it was answered within the service level `slo`: ``ttft_ms``, ``total_ms``,
    ``gap_max_ms`` at most, ``tokens_per_s`` at least; without `slo` when it was answered; what a fallback answered is
    not good, as `deployment` did not. A rate *holds* when the share of good calls is at least `target`; a note says
    where the calls are too few to tell. Where a figure of `slo` is unknown of so many answers that they decide it, or
    money did not suffice for all calls, it is NA whether the rate holds. Rows of `inputs` are used in turn. Answers of
    a cache are counted and left out: `deployment` was then asked less often than the rate says, so that such a rate
    never holds; give inputs that differ where a cache is on.

    It ends early, keeping what was sent: when half of the last 20 calls failed, when `max_open` calls are open, when
    `max_cost_usd` may be reached, and after a rate with less than half of `target`.

    Raises ConfigurationError and TemplateError before anything is sent, `Interrupted` (``.runs``) on the interrupt key.

    How `deployment` is asked follows from what `bf.models()` says it can do, as in `compare`; ``api="text"``,
    ``"chat"`` (or ``chat=True``) or ``"responses"`` decides otherwise. `system` is a template of a system message;
    `client` sends (None: one of the settings); `parameters` (``max_tokens=60``) go with each call.
    """
    from .._client.client import chosen_client
    from .._compare.asked_deployments import check_names

    check_names(load_curve, parameters)
    guard_headers(parameters)
    client = chosen_client(client)
    rates = _rates(rates)
    seconds, target = _positive("seconds", seconds), _positive("target", target)
    if target > 1:
        raise ConfigurationError(f"target is a share between 0 and 1, like 0.95, not {quoted(target)}.")
    limits = _limits(slo)
    max_open = whole_number("max_open", max_open)
    if max_cost_usd is not None:
        max_cost_usd = _positive("max_cost_usd", max_cost_usd)
    if "stream" in parameters or "retries" in parameters:
        raise ConfigurationError("load_curve always streams and sends each call once; leave stream and retries out.")
    if (planned := sum(rate * seconds for rate in rates)) > MOST_CALLS:
        raise ConfigurationError(f"That makes {planned:,.0f} calls; load_curve sends {MOST_CALLS:,} at most.")
    seed = whole_number("seed", seed, least=0)
    own_tags = parameters.get("tags") or {}
    if not isinstance(own_tags, Mapping):
        raise ConfigurationError(f"tags must be a dict, not {type(own_tags).__name__}.")
    rendered = prompts_of(prompt, inputs, [] if system is None else [system])

    kind = kind_of(client, deployment, decided_kind(api, chat), system)
    shared = {**parameters_for(kind, parameters), "retries": 0}
    systems = [
        system_for(kind, None if system is None else render(system, one.values, where="the system message"))
        for one in rendered
    ]

    def make(number: int) -> Call:
        row = number % len(rendered)
        options = {**shared, **systems[row], "tags": {"load_curve": number, **own_tags}}
        return client.prepare(kind, deployment, str(rendered[row].asked), stream=True, **options)

    make(0)  # what is wrong with it is said before anything is sent
    arrivals = Arrivals(
        client,
        rates,
        seconds,
        make,
        seed=seed,
        max_open=max_open,
        max_cost_usd=max_cost_usd,
        good=lambda run: is_good(run, limits),
        target=target,
    )
    _send(arrivals)
    return LoadCurve(deployment, arrivals.steps, seconds, limits, target)


def _send(arrivals: Arrivals) -> None:
    """Wait in the cell's thread, with a bar; an interrupt is raised after what is open has been recorded."""
    from .._foreground.undisturbed import undisturbed
    from .._foreground.wait import Interrupted, Interrupts, drain

    inbox: SimpleQueue[Any] = SimpleQueue()
    with undisturbed(), Interrupts(inbox) as interrupts:
        job = portal().start(arrivals.run())
        bar = Bar(arrivals.progress)
        try:
            stopped = drain([job], inbox, lambda _: bar.update(), interrupts=interrupts, interval=0.2, idle=0.2)
        finally:
            job.cancel()
            bar.close()
    if stopped:
        runs = [one.run for step in arrivals.steps for one in step.arrivals]
        raise Interrupted(f"{len(runs):,} calls had been sent; they are in the run log.", runs)
    job.result()


class LoadCurve:
    """What came back of `deployment` at each rate. Shows itself as a table.

    For example:

        curve = bf.load_curve("azure/fast", "Hi", rates=[1, 2], seconds=10)
        curve.rate
        curve.frame
    """

    def __init__(
        self, deployment: str, steps: Sequence[Step], seconds: float, slo: Mapping[str, float], target: float
    ) -> None:
        self.deployment = deployment
        self.seconds = seconds
        """For how long calls were sent at each rate."""
        self.slo = dict(slo)
        """The service level: the limit of each figure; empty where an answer alone counts."""
        self.target = target
        """The share of calls that must be good for a rate to hold."""
        self._steps = list(steps)
        self._waited = False

    @property
    def runs(self) -> pd.DataFrame:
        """Every run, with the usual columns and ``rate_per_s`` and ``late_ms`` (sent so much after its time)."""
        import pandas as pd

        self._wait_a_moment()
        sent = [(step.rate, one) for step in self._steps for one in step.arrivals]
        frame = to_frame([one.run for _, one in sent])
        frame["rate_per_s"] = pd.array([rate for rate, _ in sent], dtype="Float64")
        frame["late_ms"] = pd.array([one.late_ms for _, one in sent], dtype="Float64")
        return frame

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each rate that was tried.

        ``rate_per_s``, ``planned``, ``sent``, ``failed``, ``cached`` (left out of what follows), ``fallback``
        (answered by another deployment, so not good), ``good``, ``unknown`` (answered, but a figure of the service
        level is not known: left out of the share);
        ``good_share`` with its 95 % interval ``good_low`` and ``good_high`` (Wilson; calls of one burst are not
        independent, so it is a little narrow); ``goodput_per_s``; p50, p95 and p99 of ``ttft_ms`` and ``total_ms``
        over answered calls; ``late_ms_p50`` and ``late_ms_p99``, by which the schedule itself was late; ``cost_usd``
        (NA where one is not known); ``holds``; ``stopped`` (why not all was sent, NA where it was).

        Costs that come later are in it the next time it is read.
        """
        self._wait_a_moment()
        return frame_of(_COLUMNS, self._rows())

    @property
    def rate(self) -> float | None:
        """The highest rate up to which all hold, calls a second; None: not even the lowest one does, or is known to."""
        held: float | None = None
        for row in self._rows():
            if not row["holds"]:
                break
            held = row["rate_per_s"]
        return held

    @property
    def notes(self) -> list[str]:
        """What should be known of these figures: where it stopped, why calls failed, whether this machine was the
        limit."""
        notes = [f"At {step.rate:g} calls a second: {step.stopped}." for step in self._steps if step.stopped]
        for step in self._steps:
            notes += _failures(step)
        if awaited := sum(is_pending(one.run) for step in self._steps for one in step.arrivals):
            notes.append(
                f"{awaited:,} {'cost is' if awaited == 1 else 'costs are'} still awaited from the gateway's log; show "
                "it again in a few seconds."
            )
        for row in self._rows():
            if row["late_ms_p99"] is not None and row["late_ms_p99"] > LATE_MS:
                notes.append(
                    f"At {row['rate_per_s']:g} calls a second this machine sent late: p99"
                    f" {duration(row['late_ms_p99'])}."
                )
            if row["cached"]:
                notes.append(
                    f"At {row['rate_per_s']:g} calls a second a cache answered {row['cached']:,} of {row['sent']:,}, so"
                    f" {self.deployment} was not asked at that rate: it does not hold. Give inputs that differ."
                )
            if row["unknown"]:
                notes.append(
                    f"At {row['rate_per_s']:g} calls a second it is unknown of {row['unknown']:,} answers whether they"
                    f" were good: they have no {' or '.join(self._lacking(row['rate_per_s']))}."
                )
            if row["fallback"]:
                notes.append(
                    f"At {row['rate_per_s']:g} calls a second a fallback answered {row['fallback']:,}, which counts as"
                    " not good."
                )
        return notes + too_few(self._rows(), self.target)

    def _lacking(self, rate: float) -> list[str]:
        runs = [one.run for step in self._steps if step.rate == rate for one in step.arrivals]
        return [name for name in self.slo if any(run.status == "ok" and getattr(run, name) is None for run in runs)]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Good answers a second against the rate; on the diagonal everything is good. Returns the Axes.

            curve.plot().figure.savefig("load.svg")

        It draws into `ax`, without one into a figure of its own.
        """
        from ..charts.load import load

        return load(self.frame, self.deployment, ax)

    def _wait_a_moment(self) -> None:
        """Once, for costs that are there at once, as a comparison does."""
        from .._foreground.environment import front_end

        if not self._waited:
            self._waited = True
            patience = UNATTENDED_PATIENCE_S if front_end() in ("unattended", "page") else PATIENCE_S
            wait_for_costs([one.run for step in self._steps for one in step.arrivals], patience)

    def __repr__(self) -> str:
        return "\n".join([repr(self._table()), *self.notes])

    def _repr_html_(self) -> str:
        from .._display.html import text

        table = self._table()._repr_html_()  # first: it waits for costs
        return table + "".join(f"<p>{text(note)}</p>" for note in self.notes)

    def _table(self) -> Table:
        self._wait_a_moment()
        limits = ", ".join(
            f"{name} {'≥' if LIMITS[name] else '≤'} {amount(value, name)}" for name, value in self.slo.items()
        )
        wanted = f"at least {self.target:.0%} of the calls answered" + (f" with {limits}" if limits else "")
        every = self._rows()
        none = "it is unknown whether a rate holds" if every and every[0]["holds"] is None else "no rate holds"
        held = none if self.rate is None else f"holds {self.rate:g} calls a second"
        rows = [{title: _shown(name, row) for name, title in SHOWN.items()} for row in every]
        return Table(
            list(SHOWN.values()), rows, title=f"{self.deployment}{':' if held == none else ''} {held}: {wanted}"
        )

    def _rows(self) -> list[dict[str, Any]]:
        return [self._row(step) for step in self._steps]

    def _row(self, step: Step) -> dict[str, Any]:
        import numpy as np

        fresh = [one.run for one in step.arrivals if not one.run.cache_hit]
        answered = [run for run in fresh if run.status == "ok"]
        goods = [is_good(run, self.slo) for run in fresh]
        good, sent = goods.count(True), len(step.arrivals)
        known = len(goods) - goods.count(None)
        low, high = share_interval(good, known) if known else (None, None)
        share = good / known if known else None
        late = [one.late_ms for one in step.arrivals]
        costs = [run.cost_usd for run in fresh]
        row: dict[str, Any] = {
            "rate_per_s": step.rate,
            "planned": step.planned,
            "sent": sent,
            "failed": len(fresh) - len(answered),
            "cached": sent - len(fresh),
            "fallback": sum(run.is_fallback is True for run in answered),
            "good": good,
            "unknown": goods.count(None),
            "good_share": share,
            "good_low": low,
            "good_high": high,
            "goodput_per_s": None if known < len(goods) or share is None else good / sent * step.rate,
        }
        for metric in ("ttft_ms", "total_ms"):
            values = [value for run in answered if (value := getattr(run, metric)) is not None]
            for part in (50, 95, 99):
                row[f"{metric}_p{part}"] = float(np.percentile(values, part)) if values else None
        row["late_ms_p50"] = float(np.percentile(late, 50)) if late else None
        row["late_ms_p99"] = float(np.percentile(late, 99)) if late else None
        row["cost_usd"] = None if None in costs or not costs else sum(cost for cost in costs if cost is not None)
        row["holds"] = holds(step, goods, self.target)
        row["stopped"] = step.stopped
        return row


def _failures(step: Step) -> list[str]:
    """Why calls failed, grouped by reason; the most frequent first."""
    from .._display.describe import error_text

    reasons = Counter(error_text(one.run) for one in step.arrivals if one.run.status not in ("ok", "cancelled", None))
    return [
        f"At {step.rate:g} calls a second {count:,} failed: {plain(reason, 400)}"
        for reason, count in reasons.most_common(REASONS)
    ]


def _shown(name: str, row: Mapping[str, Any]) -> str | None:
    value = row[name]
    if value is None:
        return None
    if name.endswith("_p95") and row["sent"] - row["failed"] - row["cached"] < fewest_for(0.95):
        return f"n < {fewest_for(0.95)}"
    if name == "holds":
        return "yes" if value else "no"
    if name == "good_share":
        return f"{value:.1%}"
    if name == "cost_usd":
        return usd(value)
    return duration(value) if "_ms" in name else f"{value:,.4g}"


def _rates(rates: Any) -> list[float]:
    if isinstance(rates, str | bytes) or not hasattr(rates, "__iter__"):
        raise ConfigurationError(f"rates must be calls a second, like [1, 2, 5], not {quoted(rates)}.")
    found = [_positive("rates", rate) for rate in rates]
    if not found or sorted(set(found)) != found:
        raise ConfigurationError(
            f"rates must rise, like [1, 2, 5], not {quoted(found)}: it ends at the first that breaks."
        )
    return found


def _positive(name: str, value: Any) -> float:
    found = number(value)
    if found is None or not 0 < found < math.inf:
        raise ConfigurationError(f"{name} must be above 0, not {quoted(value)}.")
    return found


def _limits(slo: Any) -> dict[str, float]:
    if slo is None:
        return {}
    if not isinstance(slo, Mapping):
        raise ConfigurationError(f"slo must be a dict like {{'ttft_ms': 800}}, not {quoted(slo)}.")
    if unknown := [name for name in slo if name not in LIMITS]:
        raise ConfigurationError(f"slo has no {unknown[0]!r}; it takes {', '.join(LIMITS)}.")
    return {name: _positive(f"slo[{name!r}]", limit) for name, limit in slo.items()}


_WHOLE = ("planned", "sent", "failed", "cached", "fallback", "good", "unknown")
_FIGURES = (
    *("good_share", "good_low", "good_high", "goodput_per_s"),
    *(f"{metric}_p{part}" for metric in ("ttft_ms", "total_ms") for part in (50, 95, 99)),
    *("late_ms_p50", "late_ms_p99", "cost_usd"),
)
_COLUMNS: tuple[Column[Any], ...] = (
    Column("rate_per_s", "Float64", itemgetter("rate_per_s")),
    *(Column(name, "Int64", itemgetter(name)) for name in _WHOLE),
    *(Column(name, "Float64", itemgetter(name)) for name in _FIGURES),
    Column("holds", "boolean", itemgetter("holds")),
    Column("stopped", "string", itemgetter("stopped")),
)

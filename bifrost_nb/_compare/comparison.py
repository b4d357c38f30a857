"""`Comparison`: the runs of a plan, as a table, as numbers, as pictures."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from .._client.typed_answers import read_answer
from .._numbers import number
from .._runs.run import Run
from .._runs.store import RunsInOrder, RunStore
from .._safe_text import quoted
from .._wire.gateway_errors import error_class
from ..errors import ConfigurationError, RateLimited
from .comparison_frame import build_frame, learned_late, prompts_frame, shown_input, shown_question
from .groups import check_by, chosen, names_of_both, sides
from .plan import Plan, Trial
from .plots import Plots
from .sound_prompts import sounds_sent
from .sweep import Progress

if TYPE_CHECKING:
    import os

    import pandas as pd

    from .._client.client import Client
    from .._gate.gate import Gate
    from .._notebook.widgets.grid import GridView
    from .._notebook.widgets.vote import Vote
    from .agreement import Agreement
    from .difference import Difference, DifferenceOptions, Mixed
    from .groups import By
    from .judge_calls import JudgeCalls
    from .judge_pairs import Judgement, PairAnswer
    from .multiple_comparisons import Best
    from .scoring import Judged, ScorerFunction
    from .text_diff import TextDiff
    from .until import Decision

__all__ = ["Comparison", "Plots"]


class Comparison:
    """What `compare` returns.

    `runs` holds one `Run` per cell that was sent, in the order of the table: prompt by prompt, deployment by
    deployment, repeat by repeat; for a cell that was sent more than once the last. The same question answered in one
    go or in several gives an equal object.

        comparison = bf.compare(["azure/fast", "azure/large"], "Name a {{what}}.", inputs={"what": ["bird", "tree"]})
        comparison.frame
        comparison.summary()
    """

    def __init__(
        self,
        plan: Plan,
        results: Mapping[str, Run],
        progress: Progress,
        client: Client | None = None,
    ) -> None:
        self.plan = plan
        """What was to be sent: the trials, in the order of the table."""
        self.progress = progress
        """How many were done, failed, cached, taken from the log, cancelled."""
        self.notes: list[str] = progress.notes
        """Why it is not complete, in words; empty where it is."""
        self._cells: list[Trial] = [trial for trial in plan.trials if trial.trial_id in results]
        self._kept = results if isinstance(results, RunStore) else RunStore(results)
        self.runs: RunsInOrder = RunsInOrder(self._kept, [trial.trial_id for trial in self._cells])
        if plan.schema is not None:
            for run in self.runs:
                read_answer(run, plan.schema)
        self._scores: dict[str, list[Judged]] = {}
        self._judge_runs: dict[str, list[Run]] = {}
        self.judge_notes: list[str] = []
        """What is to be known about calls that judged."""
        self.decision: Decision | None = None
        """With ``until="decided"`` what was decided after how many inputs, and why sending ended; else None."""
        self._waited = False
        self._client = client
        self._log = None if client is None else client.log
        self._frame: tuple[object, pd.DataFrame] | None = None
        self.plot = Plots(self, self._named)
        """Its charts: ``comparison.plot.latency()``, ``.cost()``, ``.scores()``, ..."""

    @property
    def id(self) -> str:
        """The ``comparison_id`` of the runs."""
        return self.plan.comparison_id

    @property
    def missing(self) -> int:
        """How many trials have no run: it was interrupted, out of budget, or a deployment was given up."""
        return len(self.plan.trials) - len(self.runs)

    @property
    def deployments(self) -> list[str]:
        """The names of the deployments compared, in order."""
        return [asked.name for asked in self.plan.asked]

    @property
    def variants(self) -> list[str]:
        """The names of what is compared, in order: ``deployment``, or ``deployment · template`` with several."""
        return list(dict.fromkeys(trial.variant for trial in self.plan.trials))

    @property
    def templates(self) -> list[str]:
        """The names of the templates, in order; none where the prompt is a single text."""
        return list(dict.fromkeys(one.template for one in self.plan.prompts if one.template is not None))

    @property
    def frame(self) -> pd.DataFrame:
        """One row per run: the columns of every frame, what was compared, the row of inputs, three for each score.

        ``variant``, ``template`` (NA: there is one), ``input_id``, then each column of the inputs as ``input_<name>``
        (``input_<name>_`` where that is a column already), so that "right by topic" is one groupby.
        ``score_<name>`` (a number; NA: not judged), ``score_<name>_reason`` and ``score_<name>_error`` (why there is
        none); of a single ``score=`` they are ``score``, ``score_reason`` and ``score_error``.

        With ``api="image"`` there are ``pictures`` and ``cost_per_picture_usd``, with ``api="speech"`` or
        ``"transcription"`` ``seconds`` and ``cost_per_minute_usd``.

        With a `schema` there are ``valid`` (boolean; NA: no answer came), ``valid_error`` and ``answer_<field>``.

        ``prompt`` is the text; several turns are JSON, with ``data:image/png;sha256=...`` in place of each picture
        (`runs` and the run log have them whole), and a column of pictures says what they are. Paths are text. Objects
        of other classes stay what they are: `to_csv`, `to_excel` and `bf.export_dataset` write them, ``to_parquet`` of
        pandas refuses some.

        Costs, ratings and notes that come later are in it the next time it is read.
        """
        self._wait_a_moment()
        return self.frame_now()

    def frame_now(self) -> pd.DataFrame:
        """`frame` without the short wait for costs."""
        later = self._kept.state(learned_late)
        if self._frame is None or self._frame[0] != later:
            frame = build_frame(self.plan, self._cells, self.runs, self._scores)
            self._frame = later, frame
            self._kept.rest()
        return self._frame[1].copy()

    @property
    def costs_awaited(self) -> int:
        """How many runs, a judge's among them, may still get a cost: the gateway's log is 2 to 5 s behind."""
        from .._runs.pending import is_pending

        return sum(map(is_pending, self._maybe_awaited()))

    def wait_for_costs(self, seconds: float = 15.0) -> int:
        """Wait until the costs that come from the gateway's log are in `frame`, at most `seconds`.

        Returns how many are still awaited; 0 also where the gateway keeps no log, since then nobody looks for them. An
        interrupt ends the wait and is raised; the answers and the costs so far are kept. For scripts that end soon,
        before the last line:

            comparison.wait_for_costs()

        Raises ConfigurationError for what is no time from 0 on.
        """
        from .._runs.pending import wait_for_costs

        patience = number(seconds)
        if patience is None or not 0 <= patience < 1e6:
            raise ConfigurationError(f"wait_for_costs takes seconds from 0 on, not {quoted(seconds)}.")
        return wait_for_costs(self._maybe_awaited(), patience)

    def _maybe_awaited(self) -> list[Run]:
        """Runs whose cost may still come, for which whoever looks for it holds them."""
        return [*self.runs.awake(), *self._judging()]

    def _wait_a_moment(self) -> None:
        """Once, for costs that are there at once, as those of a gateway up to 1.4.0 and of the embedded one are.

        Where nobody watches (nbconvert, papermill) nobody looks again either, so the gateway's log gets its time.
        """
        from .._foreground.environment import front_end
        from .._runs.pending import PATIENCE_S, UNATTENDED_PATIENCE_S, wait_for_costs

        if not self._waited:
            self._waited = True
            patience = UNATTENDED_PATIENCE_S if front_end() in ("unattended", "page") else PATIENCE_S
            wait_for_costs(self._maybe_awaited(), patience)

    @property
    def prompts(self) -> pd.DataFrame:
        """One row per prompt: ``prompt_id``, ``template``, ``prompt`` and the columns of the inputs."""
        return prompts_frame(self.plan.prompts)

    def summary(self, by: By | None = None) -> pd.DataFrame:
        """One row per (variant, deployment that served), or `by` ``deployment`` or ``template``; see `bf.summary`.

        For example:

            comparison.summary(by="deployment")[["runs", "total_ms_p95", "cost_usd_mean"]]
        """
        from .summary import summary

        return summary(self.frame, by)

    def difference(self, a: str, b: str, metric: str = "total_ms", **options: Unpack[DifferenceOptions]) -> Difference:
        """Whether `a` and `b` differ in `metric`, paired by prompt and repeat.

            comparison.difference("azure/fast", "azure/large", "cost_usd").verdict

        `metric` is a column of `frame`: a score, a time, tokens, ``cost_usd``. See `bf.difference` for the `options`,
        the verdict and the errors.
        """
        from .difference import difference

        return difference(self.frame, a, b, metric, **self._at_any_look(metric, options))

    def _at_any_look(self, metric: str, options: DifferenceOptions) -> DifferenceOptions:
        """Where sending ended because of this metric, only an interval that holds at any look is true of it."""
        if self.decision is None or self.decision.metric != metric or "order" in options:
            return options
        return {**options, "order": self.decision.order, "bounds": self.decision.bounds}

    def differences(
        self, metric: str = "total_ms", baseline: str | None = None, **options: Unpack[DifferenceOptions]
    ) -> pd.DataFrame:
        """A row for each pair of variants (with `baseline`: each other variant against it), corrected for their number.

            comparison.differences("score", baseline="azure/large")

        Columns: ``a``, ``b``, ``outcome``, ``winner``, ``metric``, ``statistic``, ``estimate``, ``low``, ``high``,
        ``n``, ``better``, ``worse``, ``same``, ``p_value``, ``p_adjusted`` (Holm), ``verdict``. A winner is named only
        where the corrected p-value allows it, and two are ``equal`` only where an interval that is corrected is inside
        the margin; the intervals that are told are each pair's own. Takes the options of `difference`.
        """
        from .multiple_comparisons import differences

        return differences(self.frame, metric, baseline, **self._at_any_look(metric, options))

    def best(
        self,
        metric: str = "score",
        *,
        max_cost_usd_per_1000: float | None = None,
        max_p50_ms: float | None = None,
        max_p95_ms: float | None = None,
        **options: Unpack[DifferenceOptions],
    ) -> Best:
        """Who is best in `metric` within limits of cost and time, and who cannot be told from the best.

            comparison.best("score", max_cost_usd_per_1000=5, max_p95_ms=1500).names

        `max_cost_usd_per_1000` is US dollars: the mean cost of a run times 1,000. `max_p50_ms` and `max_p95_ms` limit
        the median and the 95th percentile of ``total_ms``. A variant whose cost or time is unknown does not pass a
        limit. Takes the `options` of `difference`. Raises ConfigurationError for an unknown metric or a limit that is
        no number above 0.
        """
        from .multiple_comparisons import best

        limits = {
            "cost_usd_per_1000": max_cost_usd_per_1000,
            "p50_ms": max_p50_ms,
            "p95_ms": max_p95_ms,
        }
        given = {name: limit for name, limit in limits.items() if limit is not None}
        for name, limit in given.items():
            if not (number(limit) or 0) > 0:
                raise ConfigurationError(f"max_{name} must be a number above 0, not {quoted(limit)}.")
        return best(self.frame, metric, given, **self._at_any_look(metric, options))

    def score(
        self,
        scorer: ScorerFunction | Mapping[str, ScorerFunction] | None = None,
        /,
        *,
        max_cost_usd: float | None = None,
        fresh: bool = False,
        **named: ScorerFunction,
    ) -> Self:
        """Judge the answers that are here; sends no answer again, and returns this comparison.

            comparison.score(mentions=bf.scorers.contains("bird"), brief=bf.scorers.length(400))

        This adds the columns ``score_mentions``, ``score_mentions_reason`` and ``score_mentions_error``, and so for
        ``brief``; `scorer`, one function without a name, adds ``score``. What a judge has graded before is taken from
        the log unless `fresh`. `max_cost_usd` stops judging by models there.

        Raises ConfigurationError before anything is asked, `ComparisonInterrupted` on the interrupt key: the scores
        that were there by then are kept.
        """
        from .judge_calls import JudgeCalls
        from .scoring import check_columns, scorers_of

        if scorer is None:  # score=..., as compare takes it
            scorer = named.pop("score", None)
        given = scorers_of(scorer) | scorers_of(named)
        if not given:
            raise ConfigurationError("There is no scorer.", hint="Pass one: score(right=bf.scorers.exact('expected')).")
        check_columns(given, list(self.plan.prompts[0].values))
        self.judge_answers(given, JudgeCalls(self._client, of=self.id, max_cost_usd=max_cost_usd, fresh=fresh))
        return self

    def judge_answers(
        self, scorers: Mapping[str, ScorerFunction], calls: JudgeCalls, before: Comparison | None = None
    ) -> None:
        """`score` with checked scorers, by column; what was judged in `before` stands. Raises ComparisonInterrupted."""
        from .interrupted import ComparisonInterrupted
        from .scoring import scores

        known = {} if before is None else before.judged()
        old = set() if before is None else {run.run_id for run in before.runs}
        work = [
            (run, trial.prompt.values)
            for trial, run in zip(self._cells, self.runs, strict=True)
            if run.run_id not in old
        ]
        try:
            for name, scorer in scorers.items():
                scores(name, scorer, work, calls)
        except KeyboardInterrupt:  # judges can take long; the answers are there
            raise ComparisonInterrupted(self, judging=True) from None
        finally:
            for name in dict.fromkeys([*known, *calls.found]):
                self._scores[name] = self._merged(known.get(name, {}), calls.found.get(name), work)
            for name in scorers:
                earlier = [] if before is None else before.judge_runs(name)
                self._add_judge_runs(name, [*earlier, *calls.runs.get(name, [])])
                self._waited = False
            notes = [*([] if before is None else before.judge_notes), *calls.notes]
            self.judge_notes += [note for note in dict.fromkeys(notes) if note not in self.judge_notes]
            self._frame = None

    def judged(self) -> dict[str, dict[str, Judged]]:
        """Each score's judgements by the id of the answer's run."""
        ids = [run.run_id for run in self.runs]
        return {name: dict(zip(ids, values, strict=True)) for name, values in self._scores.items()}

    def _add_judge_runs(self, name: str, runs: Iterable[Run]) -> None:
        """Each once: a judgement that another judge, or the same one anew, comes in place of was paid for, too."""
        known = {run.run_id: run for run in (*self._judge_runs.get(name, ()), *runs)}
        self._judge_runs[name] = list(known.values())

    def judge_runs(self, name: str) -> list[Run]:
        """The runs of models that judged for one score, those out of the log included."""
        return self._judge_runs.get(name, [])

    def _merged(
        self, known: Mapping[str, Judged], found: list[Judged] | None, work: list[tuple[Run, Any]]
    ) -> list[Judged]:
        """A judgement for each run; of one that was not judged yet, that."""
        from .scoring import INTERRUPTED, Judged

        fresh = dict(zip((run.run_id for run, _ in work), found or (), strict=found is not None))
        missing = Judged(None, None, INTERRUPTED)
        return [fresh.get(run.run_id) or known.get(run.run_id) or missing for run in self.runs]

    def judge(
        self,
        question: str,
        *,
        judge: str | Mapping[str, Any],
        limit: int | None = None,
        seed: int = 0,
        max_cost_usd: float | None = None,
        fresh: bool = False,
        by: By | None = None,
        names: Sequence[str] | None = None,
    ) -> Judgement:
        """A model decides between the answers, two at a time, each pair in both orders.

            judged = comparison.judge("Which answer is the better name?", judge="openai/gpt-4o-mini", limit=3)
            judged.ranking()

        `judge` is a deployment, or a dict with parameters as in `compare`; it reads `question` and is never told who
        wrote what. The result has ``.frame``, ``.ranking()``, ``.flips`` (pairs about which it contradicted itself,
        counted as ties), ``.preferences`` and ``.cost_usd``. `limit` is the most pairs (two calls each), drawn by
        `seed`; `max_cost_usd` stops there. What was judged before is taken from the log unless `fresh`.
        ``by="template"`` sets templates against each other, each pair of one deployment; ``by="deployment"``
        deployments, each pair of one template. `names` are those that meet, all without.

        Raises ConfigurationError before anything is asked, `ComparisonInterrupted` on the interrupt key: run it again,
        and only the rest is asked.
        """
        from .interrupted import ComparisonInterrupted
        from .judge_calls import JudgeCalls
        from .judge_pairs import judge_pairs

        answers = self._pair_answers(by, names)
        calls = JudgeCalls(self._client, of=self.id, max_cost_usd=max_cost_usd, fresh=fresh)
        try:
            return judge_pairs(question, judge, answers, calls, limit=limit, seed=seed)
        except KeyboardInterrupt:
            raise ComparisonInterrupted(self, judging=True) from None
        finally:
            self._add_judge_runs(question, calls.runs.get("pairs", []))
            self._waited = False

    def agreement(
        self,
        first: str | Judgement,
        second: str | Vote | pd.DataFrame = "rating",
        *,
        threshold: float | None = None,
        weights: Literal["linear", "quadratic"] | None = None,
        seed: int = 0,
    ) -> Agreement:
        """How far two judges agree: two columns of `frame`, or a judgement and a vote.

            comparison.agreement("score_brief", "score_mentions").kappa

        `first` and `second` are columns: scores, thumbs (``up`` is 1, ``down`` 0), texts; a score that is no small set
        of values needs a `threshold`. Where the ratings are votes (``win``, ``loss``, ``tie``), the score counts as
        choosing the higher of the two answers. Or `first` is a judgement of `judge` and `second` a `vote` or its frame:
        pair by pair.

        The result has ``.n``, ``.share``, ``.kappa`` with ``.low`` and ``.high`` (bootstrap over inputs, from `seed`),
        ``.confusion`` and ``.disagreements`` (a frame to read), and shows itself. `weights` make kappa count how far
        apart two numbers are. Raises ConfigurationError.
        """
        from .agreement import agreement, pair_agreement

        if isinstance(first, str) and isinstance(second, str):
            return agreement(self.frame, first, second, threshold=threshold, weights=weights, seed=seed)
        if isinstance(first, str) or isinstance(second, str):
            raise ConfigurationError(
                "A judgement's pairs are compared with a vote, a column with a column.",
                hint="comparison.agreement(judgement, vote), or comparison.agreement('score_grade', 'rating').",
            )
        votes: Any = getattr(second, "frame", second)
        return pair_agreement(first.frame, votes, {run.run_id: run for run in self.runs}, seed=seed)

    def disagreements(self) -> pd.DataFrame:
        """The fields on which variants differ: mistakes can be found there without knowing what is right.

            comparison.disagreements()[["input_id", "field", "azure/fast", "azure/large"]]

        One row per row of inputs and field of the `schema`: ``input_id``, the columns of the inputs as
        ``input_<name>``, ``field``, and a column for each variant with its value (of several repeats the most
        frequent; NA: no valid answer). Rows where fewer than two variants gave a valid answer are left out. Numbers
        are compared as numbers. Raises ConfigurationError where the comparison has no schema.
        """
        from .typed_columns import disagreements

        if self.plan.schema is None:
            raise ConfigurationError(
                "This comparison has no schema, so its answers have no fields.", hint="Pass compare(..., schema=...)."
            )
        work = [(trial, run) for trial, run in zip(self._cells, self.runs, strict=True)]
        return disagreements(self.plan.schema, work, self.variants, shown_input)

    def _pair_answers(self, by: By | None = None, names: Sequence[str] | None = None) -> list[PairAnswer]:
        from .judge_pairs import PairAnswer

        return [
            PairAnswer(name, trial.prompt.input_id, trial.prompt.values, run, other, trial.prompt)
            for (name, other), trial, run, wanted in zip(
                self._sides(by), self._cells, self.runs, self._meant(by, names), strict=True
            )
            if wanted
        ]

    @property
    def judging_cost_usd(self) -> float | None:
        """What the models that judged these answers cost, in US dollars; None where no such cost is known."""
        costs = [run.cost_usd for run in self._judging() if run.cost_usd is not None]
        return sum(costs) if costs else None

    @property
    def judging_cost(self) -> str | None:
        """The same in words, with how many costs are awaited or unknown; None where no model judged."""
        from .verdict import cost_text

        runs = self._judging()
        return cost_text(runs) if runs else None

    def _judging(self) -> list[Run]:
        return [run for runs in self._judge_runs.values() for run in runs]

    @property
    def score_notes(self) -> list[str]:
        """What is to be known about the scores: which failed and why, and what judging cost."""
        from .scoring import notes_on_scores

        return [*notes_on_scores(self._scores), *self.judge_notes]

    def answers(
        self, prompt_id: str | None = None, *, by: By = "variant", names: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Every distinct answer with how often it was given, to the prompt of `prompt_id` or to all.

            comparison.answers(by="deployment").query("count > 1")

        Columns: ``prompt_id``, ``variant`` (or ``template``, ``deployment``: what `by` says), ``response``, ``count``,
        ``share``. An ``input_id`` stands for the prompts that the templates made of it. `names` are the variants
        (templates, deployments) meant, all without. A tool call is its name and an argument a line, as in `diff`.
        Raises ConfigurationError for an unknown id or name.
        """
        from .._display.run import answered
        from .text_diff import folded

        frame = self.frame
        frame["response"] = frame["response"].where(
            frame["tool_calls"].isna(), [answered(run) if run.tool_calls else None for run in self.runs]
        )
        frame = frame.loc[self._meant(by, names)]  # of no runs too, where [] would choose no columns
        return folded(frame if prompt_id is None else frame[frame["input_id"] == self._known(prompt_id)], by)

    def diff(self, a: str, b: str, prompt_id: str | None = None, *, by: By | None = None) -> TextDiff:
        """How the answer of `b` differs from that of `a`, word by word, to one prompt (by default the first).

            comparison.diff("azure/fast", "azure/large", comparison.prompts["prompt_id"][2])

        `a` and `b` are variants, or two templates or deployments (`by` decides where a name could be both). `prompt_id`
        is one of `prompts`, or an ``input_id``. Of several answers the most frequent counts. A tool call is its name
        and an argument a line. Two long answers with little in common are not marked word by word: each stands alone,
        folded. Raises ConfigurationError where one gave no answer.
        """
        from .._display.run import answered
        from .text_diff import text_diff

        prompt = self._known(self.plan.prompts[0].prompt_id if prompt_id is None else prompt_id)
        if by is not None:
            check_by(by, self.templates)
        names = names_of_both(self._cells, a, b, by)
        of_both = [cell.prompt for cell, name in zip(self._cells, names, strict=True) if name in (a, b)]
        texts = []
        for name in (a, b):
            runs = (
                run
                for cell, run, own in zip(self._cells, self.runs, names, strict=True)
                if own == name and cell.prompt.input_id == prompt
            )
            given = Counter(answered(run) for run in runs if run.status == "ok")
            if not given:
                raise ConfigurationError(f"{name} gave no answer to prompt {prompt}.")
            texts.append(given.most_common(1)[0][0])
        return text_diff(texts[0], texts[1], title=f"{a} → {b}: {shown_question(of_both, prompt)}")

    def explain(self, deployment: str, prompt_id: str | None = None, repeat: int = 0) -> str:
        """What happened to one run, in sentences: who was asked and refused, who served, where time and money went.

            print(comparison.explain("azure/fast"))

        `deployment` is a variant, `prompt_id` one of `prompts` (by default the first), `repeat` counts from 0. Sendings
        that were answered by 429 and sent again are looked up in the run log. Raises ConfigurationError where there is
        no such run.
        """
        from .._display.explain import explain

        prompt = self._known(self.plan.prompts[0].prompt_id if prompt_id is None else prompt_id)
        self._check_names(deployment)
        for trial, run in zip(self._cells, self.runs, strict=True):
            if (trial.variant, trial.prompt.input_id, trial.repeat) == (deployment, prompt, repeat):
                return explain(run, self._refused_before(trial, run))
        raise ConfigurationError(f"{deployment} has no run of prompt {prompt} with repeat={repeat}.")

    def grid(self, *, by: By = "variant", names: Sequence[str] | None = None) -> GridView:
        """Look through the answers: prompts down, variants across, with filter, order and every answer in full.

        ``by="template"`` or ``by="deployment"`` has a column for each of those, and `names` says for which. Thumbs and
        notes given there are written to the run log (``rating``, and the tag ``note``).

            comparison.grid(names=["azure/fast"])
        """
        from .._notebook.widgets.grid import GridView
        from .._notebook.widgets.grid_rows import contexts

        wanted = self._meant(by, names)
        beside = zip(self._sides(by), self.runs, wanted, strict=True)
        named = [(name, run) for (name, _), run, shown in beside if shown]
        return GridView(named, self._log, contexts(self.frame.loc[wanted], self._sounds_sent()))

    def vote(
        self, seed: int = 0, limit: int | None = None, *, by: By | None = None, names: Sequence[str] | None = None
    ) -> Vote:
        """Judge the answers blind, two at a time, without names, times or costs; afterwards a ranking and who was who.

        `seed` decides the order and the sides, `limit` the most pairs. Ratings (``win``, ``loss``, ``tie``) are written
        to the run log. ``by="template"`` sets templates against each other, each pair of one deployment, and
        ``by="deployment"`` deployments, each pair of one template; else every two variants meet, of `names` where
        given. Of two templates the inputs are shown and not the prompts, which would tell who is who. Of several
        choices (``n``) the first is voted on, as it is the one that is scored. Raises ConfigurationError where no
        prompt has two different answers.

            vote = comparison.vote(limit=20)
            vote.ranking()  # when it is over
        """
        from .._notebook.widgets.vote import Vote
        from .._report.redacted import hook_of

        wanted = self._meant(by, names)
        beside = self._sides(by)
        return Vote(
            [(name, run) for (name, _), run, shown in zip(beside, self.runs, wanted, strict=True) if shown],
            seed=seed,
            limit=limit,
            log=self._log,
            prompts={run.run_id: trial.prompt for trial, run in zip(self._cells, self.runs, strict=True)},
            apart={run.run_id: other for (_, other), run in zip(beside, self.runs, strict=True)},
            sounds=self._sounds_sent(),
            redact=hook_of(self),
        )

    def _sounds_sent(self) -> dict[str, list[str]]:
        return sounds_sent(self._cells, self.runs) if self.plan.kind == "transcription" else {}

    def _sides(self, by: By | None) -> list[tuple[str, str]]:
        check_by(by or "variant", self.templates)
        return sides(self._cells, by or "variant")

    def _meant(self, by: By | None, names: Sequence[str] | None) -> list[bool]:
        return chosen([name for name, _ in self._sides(by)], names, by or "variant")

    def named_runs(self) -> Iterator[tuple[str, Run]]:
        """(variant's name, run) in the order of the table."""
        return ((trial.variant, run) for trial, run in zip(self._cells, self.runs, strict=True))

    def report(self, path: str | os.PathLike[str], title: str | None = None) -> Path:
        """Write one self-contained HTML file that anybody can open, without Python or network; returns its path.

            comparison.report("report.html", title="Names of birds")

        It holds verdicts, summary, charts, what was asked, every answer with scores and reasons (search, filter, sort),
        and where the numbers come from. Texts are as the client's `redact` wants them. `bf.load_report` gives the frame
        back. `path` ends in ``.html``; without a `title` it has the comparison's `id`. Raises ConfigurationError for
        another suffix, LogError where the file cannot be written.
        """
        from .._report.report import write_report

        return write_report(self, path, title)

    def gate(
        self,
        candidate: str | None = None,
        *,
        baseline: str | os.PathLike[str] | pd.DataFrame | None = None,
        baseline_variant: str | None = None,
        confidence: float = 0.95,
        mixed: Mixed = "refuse",
        seed: int = 0,
        **rules: str | float | None,
    ) -> Gate:
        """Whether `candidate` holds `rules`: passed, failed, or undecided where the data does not say.

            comparison.gate("azure/fast", baseline="azure/large", score="not worse by 0.02", p95_ms=1500)
            comparison.gate("azure/fast", baseline="main.html", right="not worse by 0.02", error_rate="at most 1%")

        A rule is named after a score (``score``, ``score_right`` or ``right``, ``valid``) or one of ``p50_ms``,
        ``p95_ms``, ``p99_ms``, ``ttft_p50_ms``, ``ttft_p95_ms`` (milliseconds), ``cost_usd_per_1000`` (US dollars) and
        ``error_rate`` (0 to 1). It is a limit (a number: scores at least, all else at most; or ``"at least 0.9"``,
        ``"at most 1500"``) or set against the baseline: ``"not worse by 0.02"`` in the figure's unit, ``"not worse by
        10%"`` as a share of the baseline's, or ``"better"``. Each rule holds where an interval over inputs is on the
        right side with `confidence` (one-sided), does not hold where it is on the wrong side.

        `baseline` is a variant of this comparison, a report (``.html``) or Parquet file of an earlier one, or a frame;
        of those the runs of `baseline_variant`, by default the variant with the candidate's name or the only one.
        `mixed` and `seed` are as in `bf.difference`.
        `candidate` may be left out where one variant is left. Times measured at another hour are not compared, so a
        rule of times against a file is undecided. An answer that never came counts as the worst score, and as later
        than any limit of a time.

        Raises ConfigurationError for an unknown figure, variant or rule, LogError for a file that cannot be read.
        """
        from .._gate.gate import gate

        return gate(
            self.frame,
            candidate,
            baseline=baseline,
            baseline_variant=baseline_variant,
            confidence=confidence,
            mixed=mixed,
            seed=seed,
            missing=self.missing,
            **rules,
        )

    def to_excel(self, path: str | os.PathLike[str]) -> Path:
        """Write `frame` to an ``.xlsx`` file with typed cells, in which no text is a formula; returns its `path`.

            comparison.to_excel("runs.xlsx")

        Texts are as the client's `redact` wants them. Raises ConfigurationError for another suffix, LogError where the
        file cannot be written.
        """
        from .._report.redacted import comparison_frame
        from .._report.spreadsheet import write

        return write(comparison_frame(self), path, (".xlsx",))

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write `frame` to a ``.csv`` file in which no text is a formula for a spreadsheet; returns its `path`.

            comparison.to_csv("runs.csv")

        A text that a spreadsheet would run gets a ``'`` in front, which ``frame.to_csv`` does not do. The rest is as
        with `to_excel`.
        """
        from .._report.redacted import comparison_frame
        from .._report.spreadsheet import write

        return write(comparison_frame(self), path, (".csv",))

    @property
    def client(self) -> Client | None:
        """The client that sent it; None for one that was unpickled."""
        return self._client

    @property
    def trials(self) -> list[Trial]:
        """The trials behind `runs`, in the same order."""
        return self._cells

    def _refused_before(self, trial: Trial, run: Run) -> list[Run]:
        if self._log is None or self._log.off:
            return []
        earlier = self._log.read(comparison_id=self.id, status="error")
        return [
            one
            for one in earlier
            if one.tags.get("cell") == trial.trial_id and one.started_at < run.started_at and _is_rate_limit(one)
        ]

    def _check_names(self, *names: str) -> None:
        for name in names:
            if not isinstance(name, str) or name not in self.variants:
                raise ConfigurationError(
                    f"{quoted(name)} is not in this comparison.", hint=f"It has {', '.join(self.variants)}."
                )

    def _known(self, given: str) -> str:
        """The input of a prompt's or an input's id."""
        for prompt in self.plan.prompts:
            if isinstance(given, str) and given in (prompt.prompt_id, prompt.input_id):
                return prompt.input_id
        raise ConfigurationError(
            f"{quoted(given)} is no prompt of this comparison.", hint="comparison.prompts lists them."
        )

    def _named(self, by: By = "variant", wanted: Sequence[str] | None = None) -> pd.DataFrame:
        """The frame with the column ``deployment``, by which charts name their series: what `by` says."""
        from .groups import names

        frame = self.frame.loc[self._meant(by, wanted)]
        return frame.assign(deployment=names(frame, by))

    def __getstate__(self) -> dict[str, Any]:
        """What a file or another process gets: no client, no key, texts as `redact` wants them; the log by its path."""
        from .._report.redacted import hook_of, note_as_written, plan_as_written, scores_as_written
        from .plan import without_keys

        state = {**self.__dict__, "plan": without_keys(self.plan.for_files()), "_client": None, "_frame": None}
        if (hook := hook_of(self)) is not None:
            state["plan"] = plan_as_written(state["plan"], hook)
        state["_scores"] = scores_as_written(self, self._scores)
        state["judge_notes"] = list(map(note_as_written(self), self.judge_notes))
        sent = {trial.trial_id for trial in self._cells}
        state["_cells"] = [trial for trial in state["plan"].trials if trial.trial_id in sent]
        state["_log"] = None if self._log is None else self._log.path
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        from .._runs.log.log import RunLog

        self.__dict__.update(state)
        if state["_log"] is not None:
            self._log = RunLog(state["_log"])
        for run in self.runs if self.plan.schema is not None else ():
            if run.parsed is None and run.redacted:
                read_answer(run, self.plan.schema)

    def __deepcopy__(self, memo: dict[int, Any]) -> Comparison:
        """A copy in this process is whole, whatever a pickle may hold, and has the same client and log."""
        made = memo[id(self)] = object.__new__(type(self))
        shared = ("_client", "_log", "_scorers")
        own = {name: value for name, value in vars(self).items() if name not in shared}
        vars(made).update({name: value for name, value in vars(self).items() if name in shared})
        vars(made).update(copy.deepcopy({**own, "_frame": None}, memo))
        return made

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        from .comparison_view import as_text
        from .progress import terminal_width

        return as_text(self, terminal_width())

    def _repr_html_(self) -> str:
        from .comparison_view import as_html

        return as_html(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        """Only the evidence that the notebook file keeps; the two methods above give text and HTML."""
        from .._display.run import metadata_many

        self._wait_a_moment()  # this is asked for first, and what it says should agree with the table
        return {}, metadata_many(self.runs)


def _is_rate_limit(run: Run) -> bool:
    status = run.http_status if (run.http_status or 0) >= 400 else None  # that of a stream's head says nothing
    return error_class(status, run.error_type, run.error_code, run.error_message or "") is RateLimited

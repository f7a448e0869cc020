"""From lead to money, as a section: its tables, findings, numbers, figures, and what the report says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from attribution.amounts import format_amount, percent
from attribution.arguments import check_arguments
from attribution.data.loading import Finding, Sources, count_finding
from attribution.decisions.funnel.arrivals import Arrivals, read_arrivals
from attribution.decisions.funnel.breaks import break_table
from attribution.decisions.funnel.channels import funnel_credit, funnel_touches
from attribution.decisions.funnel.credit import StageCredit, credit_stage
from attribution.decisions.funnel.funnel_declared import FUNNEL_TABLES
from attribution.decisions.funnel.funnel_options import FunnelOptions
from attribution.decisions.funnel.open_cases import pipeline_table, won_of
from attribution.decisions.funnel.progress import Progress, follow
from attribution.decisions.funnel.stage_rates import conversion_rates
from attribution.decisions.funnel.stages import funnel_table, learn_chances
from attribution.errors import InputError
from attribution.schema.experiment import Experiment
from attribution.schema.tables import NO_CHANNELS, UNATTRIBUTED
from attribution.sections import FigureSpec, Language, ReportPart, RunContext, Section

_OF_CHANNELS = (("cost_per", "cost_per_arrival"), ("full_cost_per", "full_cost_per_arrival"), ("win_rate", "win_rate"))


class FunnelSection(Section):
    """Stages with dates, credit to any of them, and what is worth improving."""

    name = "funnel"
    options = FunnelOptions
    declared = FUNNEL_TABLES

    def is_wanted(self, experiment: Experiment) -> bool:
        """Where there are options, or stages to which they are missing."""
        return super().is_wanted(experiment) or "stages" in experiment.tables

    def check(self, context: RunContext) -> None:
        """Refuse options without stages, and stages without options."""
        experiment = context.experiment
        if (experiment.options(self.name, FunnelOptions) is None) != ("stages" not in experiment.tables):
            raise InputError("the table stages and the funnel options need each other", hint="use both or neither")

    def check_journeys(self, context: RunContext) -> None:
        """Refuse costs that are not known, and stages that cannot be used."""
        terms = context.terms
        if (self._options(context).cost_basis or terms.options.cost_basis) == "loaded" and not terms.costs.is_ledger:
            raise InputError(
                "funnel.cost_basis is 'loaded', but no cost has a type",
                hint="add a column cost_type to the costs table: media, labour, tools, …",
            )
        self._follow(context)

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """All tables of a funnel; the models are fitted anew on the journeys up to each stage.

        Raises
        ------
        InputError
            If the stages cannot be used, or costs are asked for that are not known.
        """
        options, terms = self._options(context), context.terms
        arrivals, progress = self._follow(context)
        chances, experiment = learn_chances(progress, options), context.experiment
        every = (
            credit_stage(progress, stage, context.sources, context.candidates, experiment)
            for stage in range(len(progress.stages))
        )
        credited = [stage for stage in every if stage is not None]
        context.memory["funnel credited"] = credited
        pipeline = pipeline_table(progress, credited, chances)
        last_channel = {stage.stage: stage.last_channel for stage in credited}
        funnel = funnel_table(progress, chances, options)
        return {
            "funnel": funnel,
            "funnel_credit": funnel_credit(
                progress, credited, terms, options, returns=context.returns, funnel=funnel, pipeline=pipeline
            ),
            "funnel_touches": funnel_touches(progress, won_of(credited, options)),
            "conversion_rates": conversion_rates(progress, credited, options.level),
            "pipeline": pipeline,
            "funnel_breaks": break_table(progress, last_channel, arrivals.end, options),
        }

    def findings(self, context: RunContext, tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
        """What was found in the stages, and the models that one of them has too few arrivals for."""
        arrivals, progress = self._follow(context)
        before = progress.table[progress.table["stage"] < self._options(context).won_at]
        undecided = int(((before["next_stage"] < 0) & (before["outcome"] == 0)).sum())
        message = "arrivals before the win that are open when the data end (not lost, so rates can still rise)"
        is_open = Finding("open_cases", "stages", "pass", undecided, len(before), None, message)
        findings = [*arrivals.findings, *progress.findings, is_open]
        if tables:
            credited = context.memory["funnel credited"]
            findings += [
                *(finding for stage in credited for finding in stage.findings),
                _untouched_finding(progress, credited),
            ]
        return findings

    def settings(self, experiment: Experiment) -> Mapping[str, object]:
        """What is not as it is without a word."""
        options = experiment.options(self.name, FunnelOptions)
        changed = {} if options is None else options.model_dump(exclude_defaults=True)
        return {f"{self.name}.{key}": value for key, value in changed.items()}

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """See `funnel_metrics`."""
        return funnel_metrics(tables, model)

    def figures(self, tables: Mapping[str, pd.DataFrame]) -> Sequence[FigureSpec]:
        """Where credit goes stage by stage, and at which rates cases move on."""
        if "funnel_credit" not in tables:
            return ()
        funnel, credit = tables["funnel"], tables["funnel_credit"]
        allocated = credit[(credit["grain"] == "channel") & (credit["estimand"] == "allocated")]
        figures = []
        if (allocated["credit"] > 0).any():
            figures.append(FigureSpec("funnel_by_stage", {"funnel": funnel, "funnel_credit": credit}))
        if allocated["rate_to_next"].notna().any():
            figures.append(FigureSpec("funnel_rates", {"funnel_credit": credit}))
        return figures

    def part(self, tables: Mapping[str, pd.DataFrame], language: Language) -> ReportPart | None:
        """Sentences at the top."""
        return ReportPart(headlines=tuple(funnel_sentences(tables)))

    def _options(self, context: RunContext) -> FunnelOptions:
        options = context.experiment.options(self.name, FunnelOptions)
        assert options is not None
        return options

    def _follow(self, context: RunContext) -> tuple[Arrivals, Progress]:
        """Read once, for tables and findings."""
        if "funnel followed" not in context.memory:
            options = self._options(context)
            arrivals = _read(context.sources, options)
            context.memory["funnel followed"] = arrivals, follow(arrivals, options)
        arrivals, progress = context.memory["funnel followed"]
        return arrivals, progress


@check_arguments
def follow_stages(sources: Sources, options: FunnelOptions) -> pd.DataFrame:
    """The ``funnel`` table alone: how many arrive in each stage, move on, are won, and where they are held back.

    Parameters
    ----------
    sources : with a table ``stages``
    options : the stages in order, and what counts as won and lost

    Raises
    ------
    InputError
        If there is no such table, it names unknown stages, or the data have no times.

    Examples
    --------
    Two leads, one of whom is won after three days; the other is not lost, but open.

    >>> from attribution.data.loading import load_sources
    >>> sources = load_sources(
    ...     pd.DataFrame({"customer_id": ["a", "b"], "touched_at": ["2024-01-01"] * 2, "channel": "mail"}),
    ...     pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-05"]}),
    ...     stages=pd.DataFrame({"customer_id": ["a", "b", "a"], "stage": ["lead", "lead", "won"],
    ...                          "stage_time": ["2024-01-02", "2024-01-02", "2024-01-05"]}),
    ... )
    >>> funnel = follow_stages(sources, FunnelOptions(stages=("lead", "won")))
    >>> funnel[["stage", "arrivals", "moved_on", "open", "median_days_to_next"]].values.tolist()
    [['lead', 2, 1, 1, 3.0], ['won', 1, 0, 0, nan]]
    """
    progress = follow(_read(sources, options), options)
    return funnel_table(progress, learn_chances(progress, options), options)


def funnel_metrics(tables: Mapping[str, pd.DataFrame], model: str | None = None) -> dict[str, float]:
    """What tracking shows of a funnel: of all, or of one model; nothing where there is none."""
    if "funnel" not in tables:
        return {}
    if model is None:
        funnel, pipeline = tables["funnel"].set_index("stage"), tables["pipeline"]
        columns = ("arrivals", "rate_to_next", "win_rate", "median_days_to_next")
        metrics = {
            f"funnel_{what}/{stage}": float(funnel.at[stage, what]) for what in columns for stage in funnel.index
        }
        first = pipeline[pipeline["model"] == pipeline["model"].iloc[0]] if len(pipeline) else pipeline
        metrics["pipeline_open"] = float(first["open"].sum())
        metrics["pipeline_expected_value"] = float(first["expected_value"].sum(min_count=1)) if len(first) else np.nan
        gains = funnel["wins_per_point"].dropna()
        return metrics | {f"wins_per_point/{stage}": float(gain) for stage, gain in gains.items()}
    rows = tables["funnel_credit"]
    rows = rows[(rows["model"] == model) & (rows["grain"] == "channel") & ~rows["channel"].isin(NO_CHANNELS)]
    return {
        f"{what}_{row['stage']}/{row['channel']}": float(row[column])
        for what, column in _OF_CHANNELS
        for row in rows.to_dict("records")
    }


def funnel_sentences(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Where one point more is worth most, what is still open, and where it broke; nothing without a funnel.

    Examples
    --------
    >>> funnel = pd.DataFrame({"stage": ["lead", "offer", "won"], "wins_per_point": [2.0, 6.28, None],
    ...     "value_per_point": [20.0, 62.8, None], "rate_to_next": [0.6, 0.5, None],
    ...     "is_bottleneck": [False, True, False]})
    >>> funnel_sentences({"funnel": funnel})
    ['Raising the offer → won rate from 50 % to 51 % would add about 6.28 wins (≈ 62.8 in value).']
    """
    sentences = []
    funnel = tables.get("funnel")
    if funnel is not None:
        following = funnel.assign(next_stage=funnel["stage"].shift(-1))
        for row in following[following["is_bottleneck"].astype(bool)].to_dict("records")[:1]:
            value = row["value_per_point"]
            money = "" if value != value else f" (≈ {format_amount(value)} in value)"
            sentences.append(
                f"Raising the {row['stage']} → {row['next_stage']} rate from {percent(row['rate_to_next'])} to "
                f"{percent(row['rate_to_next'] + 0.01)} would add about {format_amount(row['wins_per_point'])} "
                f"wins{money}."
            )
    pipeline = tables.get("pipeline")
    if pipeline is not None and len(pipeline):
        one = pipeline[pipeline["model"] == pipeline["model"].iloc[0]]
        value = one["expected_value"].sum(min_count=1)
        money = "" if value != value else f" worth {value:,.0f}"
        sentences.append(
            f"{one['open'].sum():,.0f} cases are open. {one['expected_wins'].sum():,.1f} wins{money} are expected "
            "from them; "
            "they are not part of any ROI."
        )
    breaks = tables.get("funnel_breaks")
    if breaks is not None:
        for row in breaks[breaks["is_break"].astype(bool)].to_dict("records")[:3]:
            who = "" if row["channel"] is None or row["channel"] != row["channel"] else f" of {row['channel']}"
            than = "before" if row["compared_with"] == "history" else "in other channels"
            sentences.append(
                f"More arrivals{who} in {row['stage']} stop there than {than}: {percent(row['drop'])} against "
                f"{percent(row['reference_drop'])} (at least {percent(row['excess_low'])} more)."
            )
    return sentences


def _untouched_finding(progress: Progress, credited: Sequence[StageCredit]) -> Finding:
    """Arrivals of customers who have no touchpoint: ids that do not match look like this."""
    counts: dict[str, int] = {}
    total = 0
    for each in credited:
        for handed in list(each.allocated.values())[:1]:
            counts[progress.stages[each.stage]] = int((handed["channel"] == UNATTRIBUTED).sum())
            total += handed["arrival"].nunique()
    message = (
        "arrivals without a touchpoint in their window (credited to (unattributed)); check that stages and touchpoints "
        "have the same customer ids"
    )
    example = max(counts, key=counts.__getitem__, default=None)
    count = sum(counts.values())
    return count_finding("stage_without_touchpoint", "stages", count, message, total=total, example=example)


def _read(sources: Sources, options: FunnelOptions) -> Arrivals:
    if not sources.has("stages"):
        raise InputError("a funnel needs a table 'stages'", hint="add the table stages")
    return read_arrivals(sources, options)

"""From lead to money: stages with dates, credit to any of them, and what is worth improving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from attribution.arguments import check_arguments
from attribution.data.loading import Finding, Sources, count_finding
from attribution.decisions.funnel.arrivals import Arrivals, read_arrivals
from attribution.decisions.funnel.bottlenecks import bottleneck_table
from attribution.decisions.funnel.breaks import break_table
from attribution.decisions.funnel.channels import funnel_campaigns, funnel_credit, funnel_touches
from attribution.decisions.funnel.credit import StageCredit, credit_stage
from attribution.decisions.funnel.open_cases import funnel_returns, pipeline_table, won_of
from attribution.decisions.funnel.presence import conversion_rates
from attribution.decisions.funnel.progress import Progress, follow
from attribution.decisions.funnel.stages import funnel_table, learn_chances
from attribution.errors import InputError
from attribution.models import AttributionModel
from attribution.returns import Terms
from attribution.schema.experiment import Experiment, FunnelOptions
from attribution.schema.tables import NO_CHANNELS, UNATTRIBUTED

__all__ = ["follow_stages", "funnel_findings", "funnel_metrics", "funnel_tables"]


@check_arguments
def follow_stages(sources: Sources, options: FunnelOptions) -> pd.DataFrame:
    """The ``funnel`` table alone: how many arrive in each stage, move on, are won, and how long it takes.

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


def funnel_findings(sources: Sources, options: FunnelOptions | None) -> list[Finding]:
    """What was found in the table of stages, as rows of the quality table; nothing where there is no funnel."""
    if options is None:
        return []
    arrivals = _read(sources, options)
    progress = follow(arrivals, options)
    before = progress.table[progress.table["stage"] < options.won_at]
    undecided = int(((before["next_stage"] < 0) & (before["outcome"] == 0)).sum())
    message = "arrivals before the win that are open when the data end: not lost, so that rates can still rise"
    is_open = Finding("open_cases", "stages", "pass", undecided, len(before), None, message)
    return [*arrivals.findings, *progress.findings, is_open]


def funnel_tables(
    experiment: Experiment, sources: Sources, models: Sequence[AttributionModel], terms: Terms
) -> tuple[dict[str, pd.DataFrame], list[Finding]]:
    """All tables of a funnel, and the models that a stage has too few arrivals for; nothing where none is asked for.

    Parameters
    ----------
    experiment : its part ``[funnel]``, period and options of journeys
    sources : the input tables
    models : those of the run; they are fitted anew on the journeys up to each stage
    terms : what channels cost

    Raises
    ------
    InputError
        If the stages cannot be used, or costs are asked for that are not known.
    """
    options = experiment.funnel
    if options is None:
        return {}, []
    cost_basis = options.cost_basis or terms.options.cost_basis
    if cost_basis == "loaded" and not terms.costs.is_ledger:
        raise InputError("funnel.cost_basis = 'loaded', and no cost says of what type it is")
    arrivals = _read(sources, options)
    progress = follow(arrivals, options)
    chances = learn_chances(progress, options)
    every = (credit_stage(progress, stage, sources, models, experiment) for stage in range(len(progress.stages)))
    credited = [stage for stage in every if stage is not None]
    won = won_of(credited, options)
    pipeline = pipeline_table(progress, credited, chances)
    last_channel = {stage.stage: stage.last_channel for stage in credited}
    campaigns = funnel_campaigns(progress, credited, options.level)
    funnel = funnel_table(progress, chances, options)
    tables = {
        "funnel": funnel,
        "funnel_credit": funnel_credit(progress, credited, terms, options, funnel=funnel),
        **({} if campaigns is None else {"funnel_campaigns": campaigns}),
        "funnel_touches": funnel_touches(progress, won),
        "conversion_rates": conversion_rates(progress, credited, options.level),
        "pipeline": pipeline,
        "funnel_returns": funnel_returns(progress, credited, pipeline, terms, options),
        "bottlenecks": bottleneck_table(progress, credited),
        "funnel_breaks": break_table(progress, last_channel, arrivals.end, options),
    }
    return tables, [*(finding for stage in credited for finding in stage.findings), _bare(progress, credited)]


def _bare(progress: Progress, credited: Sequence[StageCredit]) -> Finding:
    """Arrivals of customers who have no touchpoint: ids that do not match look like this."""
    counts: dict[str, int] = {}
    total = 0
    for each in credited:
        for handed in list(each.handed_out.values())[:1]:
            counts[progress.stages[each.stage]] = int((handed["channel"] == UNATTRIBUTED).sum())
            total += handed["arrival"].nunique()
    message = "arrivals without a touchpoint in their window: credited to (unattributed)"
    example = max(counts, key=counts.__getitem__, default=None)
    count = sum(counts.values())
    return count_finding("stage_without_touchpoint", "stages", count, message, total=total, example=example)


def _read(sources: Sources, options: FunnelOptions) -> Arrivals:
    if not sources.has("stages"):
        raise InputError("a funnel needs a table 'stages'", hint="give [tables.stages]")
    return read_arrivals(sources, options)


_OF_CHANNELS = (("cost_per", "cost_per_arrival"), ("full_cost_per", "full_cost_per_arrival"), ("win_rate", "win_rate"))


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
        whole = tables["bottlenecks"][tables["bottlenecks"]["model"].isna()].set_index("stage")
        return metrics | {f"wins_per_point/{stage}": float(gain) for stage, gain in whole["wins_per_point"].items()}
    rows = tables["funnel_credit"]
    rows = rows[(rows["model"] == model) & ~rows["channel"].isin(NO_CHANNELS)]
    return {
        f"{what}_{row['stage']}/{row['channel']}": float(row[column])
        for what, column in _OF_CHANNELS
        for row in rows.to_dict("records")
    }

"""Why ROI is as it is, as a section: slices, spend that does not pay, what costs do, and what to look at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from attribution.data.loading import repeated_costs
from attribution.decisions.diagnosis.diagnosis_declared import DIAGNOSIS_TABLES
from attribution.decisions.diagnosis.gaps import diagnose_roi
from attribution.decisions.diagnosis.slices import channel_slices, check_dimensions, check_slices, further_slices
from attribution.decisions.diagnosis.tasks import tasks_table
from attribution.decisions.diagnosis.waste import WASTED, judge_spend
from attribution.decisions.diagnosis.wording import ORDER
from attribution.returns import borne_costs, whole_channels
from attribution.returns.ranking import compared_rows
from attribution.sections import FigureSpec, Language, ReportPart, RunContext, Section
from attribution.uncertainty.model_checks import reliable
from attribution.uncertainty.sensitivity.rules import DOES_NOT_PAY

_FIRST = 8
"""Tasks that stand in the open; the others are folded away."""

_MOST = 100
"""Rows of any table here; campaigns may be thousands, and all of them are in the tables of the run."""

_TASK = ["rank", "about", "kind", "slice", "size", "size_low", "size_high", "models", "evidence", "check"]
_WASTED = ["channel", "model", "basis", "spend", "roi", "roi_low", "roi_high", "loss", "models_wasted", "models"]
_BORNE = ["model", "channel", "cost_type", "amount", "share", "roi", "roi_change", "roi_without"]


class DiagnosisSection(Section):
    """Tasks by the money in them, and what they rest on."""

    name = "diagnosis"
    declared = DIAGNOSIS_TABLES

    def check(self, context: RunContext) -> None:
        """Refuse dimensions to slice by that touchpoints have not."""
        experiment = context.experiment
        if experiment.output.slices:
            check_dimensions(context.sources, experiment.output.slices, grain=experiment.grain)

    def check_journeys(self, context: RunContext) -> None:
        """Refuse dimensions of too many values."""
        for name in context.experiment.output.slices:
            check_slices(context.journeys.dimensions, name)

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """As far as there is something to fill them; ``tasks`` always."""
        experiment, sources, journeys, terms = context.experiment, context.sources, context.journeys, context.terms
        tables, segments = context.tables, context.segments
        returns = compared_rows(tables["returns"])
        result: dict[str, pd.DataFrame] = {}
        whole = whole_channels(journeys)
        profile, credit = tables["journey_profile"], tables["credit"]
        slices = [channel_slices(returns, profile, credit, whole=whole, dimension=experiment.grain)]
        dimensions, column = experiment.output.slices, experiment.journeys.segment
        if dimensions or segments is not None:
            segmentation = None if segments is None or column is None else (column, segments)
            more = further_slices(
                sources, journeys, context.models, terms, dimensions=dimensions, segments=segmentation
            )
            # Without a model that divides conversions there are none.
            slices += [more] if len(more) else []
        if returns["roi"].notna().any() or len(slices) > 1:
            # Without a cost a channel's gap is one of credit, which other tables tell.
            start = 0 if returns["roi"].notna().any() else 1
            result |= diagnose_roi(pd.concat(slices[start:], ignore_index=True))
        repeated = repeated_costs(sources)[1] if sources.has("costs") else None
        result["tasks"] = tasks_table(
            {**tables, **result}, repeated_costs=repeated, currency=experiment.returns.currency
        )
        return result

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """See `diagnosis_metrics`."""
        return diagnosis_metrics(tables, model)

    def figures(self, tables: Mapping[str, pd.DataFrame]) -> Sequence[FigureSpec]:
        """How ROI falls with every type of cost."""
        table = tables.get("cost_sensitivity")
        if table is None or borne_costs(table)["cost_type"].nunique() < 2:
            return ()
        return (FigureSpec("cost_waterfall", {"sensitivity": table}),)

    def part(self, tables: Mapping[str, pd.DataFrame], language: Language) -> ReportPart | None:
        """What to look at first."""
        shown = diagnosis_grids(tables)
        if shown is None:
            return None
        contents = (("diagnosis", "What to look at first"),)
        return ReportPart(contents, template="diagnosis.html.j2", values=shown, is_first=True)


def diagnosis_metrics(tables: Mapping[str, pd.DataFrame], label: str | None = None) -> dict[str, float]:
    """Metrics of a run, or of the model with a ``label``, by name.

    Parameters
    ----------
    tables : of a run
    label : of a model; the run as a whole unless given

    Returns
    -------
    Of a run ``tasks_loss``, ``tasks_shortfall``, ``tasks_gain`` and ``tasks_unknown``; of a model ``wasted_spend``
    where there are intervals, and for every slice of a dimension with costs ``money_against_rest/slice``.

    Examples
    --------
    >>> diagnosis_metrics({})
    {}
    """
    if label is None:
        tasks = tables.get("tasks")
        return {} if tasks is None else {f"tasks_{about}": float((tasks["about"] == about).sum()) for about in ORDER}
    metrics: dict[str, float] = {}
    judged = _judge_channels(tables)
    if judged is not None:
        wasted = judged.loc[judged["model"] == label, "wasted"]
        if wasted.notna().any():
            metrics["wasted_spend"] = float(wasted.sum())
    if "roi_slices" in tables:
        rows = tables["roi_slices"]
        rows = rows[(rows["model"] == label) & rows["roi_gap"].notna()]
        metrics |= {f"money_against_rest/{row.slice}": float(row.money) for row in rows.itertuples(index=False)}
    return metrics


def diagnosis_grids(tables: Mapping[str, pd.DataFrame]) -> dict[str, object] | None:
    """What the report shows of a diagnosis, by the names that its template knows; None where there is none.

    Wide tables, unlike those of a run, because they are read and never computed with.
    """
    if "tasks" not in tables:
        return None
    tasks = tables["tasks"]
    agreed = [
        f"{agreeing} of {total}" if pd.notna(total) else None
        for agreeing, total in zip(tasks["models_agreeing"], tasks["models"], strict=True)
    ]
    shown = tasks.assign(
        models=pd.Series(agreed, index=tasks.index, dtype=object),
        kind=tasks["kind"].str.replace("_", " "),
    )[_TASK]
    judged = _wasted_by_verdict(tables)
    slices = tables.get("roi_slices")
    gaps = None if slices is None else _gap_grid(tables["roi_parts"])
    borne = borne_costs(tables["cost_sensitivity"])[_BORNE] if "cost_sensitivity" in tables else pd.DataFrame()
    return {
        "first": shown.head(_FIRST),
        "others": shown.iloc[_FIRST:_MOST] if len(shown) > _FIRST else None,
        "wasted": None if judged is None else _largest(judged.loc[judged["status"] == WASTED, _WASTED], "loss"),
        "wasted_says": _say_wasted(judged, by_verdict="verdicts" in tables),
        "slices": None if slices is None else _largest(slices[slices["money"].notna()], "money"),
        "gaps": None if gaps is None else _largest(gaps, "money"),
        "sensitivity": None if borne.empty else _largest(borne, "amount"),
    }


def _judge_channels(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """Every channel with an ROI, and whether its spend pays; None where no channel has one.

    Models that fail a check have no say.
    """
    judged = judge_spend(reliable(tables["returns"], tables)) if "returns" in tables else pd.DataFrame()
    return None if judged.empty else judged


def _wasted_by_verdict(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """As `_judge_channels`; where channels have verdicts, those that do not pay alone."""
    judged = _judge_channels(tables)
    if judged is None or "verdicts" not in tables:
        return judged
    verdicts = tables["verdicts"]
    failing = verdicts.loc[verdicts["verdict"] == DOES_NOT_PAY, "channel"]
    return judged[judged["channel"].isin(failing)]


def _say_wasted(judged: pd.DataFrame | None, *, by_verdict: bool) -> str:
    """How much spend is wasted under every model, and under any; or why nobody can tell."""
    if judged is None:
        return "No channel has an ROI, so no spend can be called wasted."
    if by_verdict:
        spend = judged.groupby("channel")["spend"].max().sum()
        return f"Spend on channels that do not pay, by their verdict: {spend:,.0f}."
    with_interval = judged[judged["wasted"].notna()]
    if with_interval.empty:
        return "Without intervals, no spend can be called wasted. Set resampling in the experiment to get them."
    is_wasted = with_interval["wasted"] > 0
    by_channel = is_wasted.groupby(with_interval["channel"])
    spend = with_interval.groupby("channel")["spend"].max()
    every, some = (spend[of].sum() for of in (by_channel.all(), by_channel.any()))
    return (
        f"Spend on channels whose whole ROI interval is below break-even: {every:,.0f} under every model, "
        f"{some:,.0f} under at least one."
    )


def _largest(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """The rows with the most money, in their order."""
    if len(table) <= _MOST:
        return table
    return table.loc[table[by].abs().nlargest(_MOST).index.sort_values()]


def _gap_grid(gaps: pd.DataFrame) -> pd.DataFrame:
    """Money by part, a column each."""
    rows = gaps[gaps["money"].notna() & (gaps["part"] != "reach")]
    rows = rows.assign(model=rows["model"].fillna("(all)"))
    key = ["dimension", "model", "slice"]
    order = pd.MultiIndex.from_frame(rows[key].drop_duplicates())
    grid = rows.pivot(index=key, columns="part", values="money").reindex(order)
    grid = grid.reindex(columns=["rate", "value", "cost"])
    return grid.assign(money=grid.sum(axis=1)).reset_index().rename_axis(columns=None)

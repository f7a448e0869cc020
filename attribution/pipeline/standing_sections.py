"""The sections that every run has, of chapters that lie below the layer of sections: data, journeys, models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import pyarrow as pa

from attribution.data.loading import Finding, check_channels_known, check_sources, quality_findings, spelling_findings
from attribution.errors import InputError
from attribution.journeys.from_events import ONLY_CONVERTERS
from attribution.models.credit import journey_credit
from attribution.models.model_tables import model_findings, model_tables, with_allocated, without_interactions
from attribution.pipeline.option_names import option_name_findings
from attribution.returns import booked_costs, main_basis
from attribution.schema.tables import (
    ASSIGNMENT,
    CHANNEL_DAYS,
    CHANNEL_LINT,
    CONVERSION,
    CREDIT_BY_POSITION,
    HELD_OUT,
    INTERACTIONS,
    JOURNEY_CREDIT,
    JOURNEY_PROFILE,
    NO_CHANNELS,
    NULL,
    PUBLISHED_CREDIT,
    QUALITY,
    SEGMENT_CREDIT,
    TRANSITIONS,
    TRUTH,
    UNATTRIBUTED,
)
from attribution.sections import FigureSpec, Language, ReportPart, RunContext, Section
from attribution.uncertainty.chance_level import chance_sentence
from attribution.uncertainty.intervals import fill_removal_effects


class DataSection(Section):
    """What the run was computed from. ``quality`` is filled by the pipeline, with what all sections find."""

    name = "data"
    declared = (QUALITY, CHANNEL_LINT, CHANNEL_DAYS, TRUTH)

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """Flaws of raw marketing columns, touchpoints by channel and day, and the truth of a simulated world."""
        tables, sources = {}, context.sources
        if sources.channel_lint is not None:
            tables["channel_lint"] = sources.channel_lint.to_pandas()
        if sources.channel_days is not None:
            tables["channel_days"] = _channel_days(sources.channel_days)
        if sources.has("truth"):
            tables["truth"] = sources.engine.query("select * from truth order by channel").to_pandas()
        return tables

    def findings(self, context: RunContext, tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
        """Table by table, and then in the journeys that were made of them."""
        experiment, sources = context.experiment, context.sources
        channels, table = context.journeys.dimensions.channels, "paths" if sources.has("paths") else "touchpoints"
        return [
            *check_sources(sources),
            *sources.findings,
            *quality_findings(
                sources,
                period=experiment.period,
                lookback_days=experiment.journeys.lookback_days,
                merges=experiment.journeys.dedupe in ("consecutive", "gap"),
            ),
            *context.findings,
            *check_channels_known(sources, context.journeys.channels),
            *spelling_findings(table, channels),
            *option_name_findings(context),
        ]

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """How many warnings there are."""
        return {} if model is not None else {"quality_warnings": float((tables["quality"]["status"] == "warn").sum())}

    def part(self, tables: Mapping[str, pd.DataFrame], language: Language) -> ReportPart | None:
        """Counts, and the checks."""
        values = {"facts": data_facts(tables), "quality": tables.get("quality")}
        headlines = tuple(loud_findings(tables))
        return ReportPart((("data", "Data"),), headlines=headlines, template="data.html.j2", values=values)


def _channel_days(counts: pa.Table) -> pd.DataFrame:
    table = counts.to_pandas()
    table = table.assign(
        day=table["day"].astype("datetime64[us]"),
        share=table["touchpoints"] / table.groupby("day")["touchpoints"].transform("sum"),
    )
    columns = list(CHANNEL_DAYS.column_names)
    return table.sort_values(["day", "channel"], ignore_index=True)[columns]


class JourneysSection(Section):
    """Which steps journeys take, how long they are and how long they last."""

    name = "journey_profile"
    declared = (TRANSITIONS, JOURNEY_PROFILE)

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """The steps of the graph, and the profile."""
        return {"transitions": context.graph.to_frame(), "journey_profile": context.profile}

    def figures(self, tables: Mapping[str, pd.DataFrame]) -> Sequence[FigureSpec]:
        """Steps between channels, lengths and time lags."""
        figures = []
        transitions, profile = tables.get("transitions"), tables.get("journey_profile")
        if transitions is not None and not transitions["to_state"].isin([CONVERSION, NULL]).all():
            figures.append(FigureSpec("transition_heatmap", {"transitions": transitions}))
            if profile is not None:
                published = tables.get("published_credit", pd.DataFrame(columns=list(PUBLISHED_CREDIT.column_names)))
                graph_tables = {"transitions": transitions, "published_credit": published, "journey_profile": profile}
                figures.append(FigureSpec("journey_graph", graph_tables))
        for measure, draw in (("path_length", "path_length"), ("time_lag_days", "time_lag")):
            if profile is not None and (profile["measure"] == measure).any():
                figures.append(FigureSpec(draw, {"journey_profile": profile}))
        return figures


class ModelsSection(Section):
    """What only some models have: published totals, pairs of channels, credit by position, touchpoint or segment."""

    name = "model_tables"
    declared = (
        PUBLISHED_CREDIT,
        HELD_OUT,
        ASSIGNMENT,
        CREDIT_BY_POSITION,
        INTERACTIONS,
        JOURNEY_CREDIT,
        SEGMENT_CREDIT,
    )

    def check(self, context: RunContext) -> None:
        """Refuse credit per journey where there are no customers, and models that need times where there are none."""
        sources = context.sources
        if context.experiment.output.journey_credit and sources.has("paths"):
            raise InputError("output.journey_credit needs customers, but aggregated paths have none")
        for model in context.models:
            if model.needs_times and sources.integer_times is not False:
                raise InputError(
                    f"model {model.label!r} needs timestamps, but these data have only an order",
                    hint="leave the model out, or use touchpoints with timestamps",
                )

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """Those that the models have, and those that were asked for."""
        output = context.experiment.output
        tables = model_tables(context.models, interactions=output.interactions)
        if context.draws is not None and "published_credit" in tables:
            tables["published_credit"] = fill_removal_effects(tables["published_credit"], context.draws)
        if output.journey_credit:
            tables["journey_credit"] = journey_credit(context.journeys, context.candidates)
            published = with_allocated(tables.get("published_credit"), tables["journey_credit"], context.candidates)
            tables |= {} if published is None else {"published_credit": published}
        if context.segment_credit is not None:
            tables["segment_credit"] = context.segment_credit
        return tables

    def findings(self, context: RunContext, tables: Mapping[str, pd.DataFrame]) -> list[Finding]:
        """What fitted models say of themselves."""
        if context.credit.empty:  # only data are checked
            return []
        findings = model_findings(context.models)
        return findings + (without_interactions(context.models) if context.experiment.output.interactions else [])

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """How well a model predicts held-out customers, at the order that it has."""
        if model is None or "held_out" not in tables:
            return {}
        table = tables["held_out"]
        rows = table[(table["model"] == model) & table["chosen"].fillna(True)]
        return {f"held_out_{what}": float(rows[what].iloc[0]) for what in ("log_loss", "auc") if len(rows)}


def loud_findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Sentences on what bends every number of a run, for the terminal and the top of the report."""
    quality = tables.get("quality")
    if quality is None:
        return []
    messages = quality.loc[quality["check"] == ONLY_CONVERTERS, "message"]
    return [f"{sentence}." for sentence in messages]


def data_facts(tables: Mapping[str, pd.DataFrame]) -> dict[str, object]:
    """What the run was computed from, counted from its own tables."""
    totals: dict[str, object] = {}
    credit = tables.get("credit")
    if credit is not None and not credit.empty:
        # Every allocated model divides the same conversions, so that one of them tells the totals.
        allocated = credit[credit["estimand"] == "allocated"]
        one = allocated[allocated["model"] == allocated["model"].iloc[:1].squeeze()]
        if not one.empty:
            unattributed = one.loc[one["channel"] == UNATTRIBUTED, "conversions"].sum()
            totals |= {"conversions": one["conversions"].sum(), "value": one["value"].sum()}
            totals |= {"conversions without a touchpoint": unattributed}
            sentence = chance_sentence(tables)
            totals |= {} if sentence is None else {"credit by chance": sentence}
        totals |= {"channels": credit.loc[~credit["channel"].isin(NO_CHANNELS), "channel"].nunique()}
        totals |= {"models": credit["model"].nunique()}
    profile = tables.get("journey_profile")
    if profile is not None:
        lengths = profile[profile["measure"] == "path_length"].groupby("outcome")["count"].sum()
        totals |= {f"journeys, {outcome}": count for outcome, count in lengths.items()}
    returns = tables.get("returns")
    if returns is not None and not returns.empty:
        rows = main_basis(returns)
        cost_basis = str(rows["cost_basis"].iloc[0])
        is_part = cost_basis == "media" and "loaded" in set(returns["cost_basis"])
        name = "media spend" if is_part else "spend"
        with_spend = rows.loc[rows["spend"].notna(), "channel"].nunique()
        totals |= {name: booked_costs(tables, cost_basis), "channels with spend": with_spend}
    return totals

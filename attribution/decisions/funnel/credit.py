"""Arrivals in a stage as conversions: journeys up to that moment, credited by every model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from attribution.data.loading import Finding, Sources, count_finding
from attribution.data.loading.events import conversion_ids
from attribution.data.loading.loaded_tables import LoadedTable
from attribution.decisions.funnel.funnel_options import FunnelOptions
from attribution.decisions.funnel.progress import Progress, belonging
from attribution.errors import InputError
from attribution.journeys import JourneyChunk, Journeys, Summary, build_journeys, observe
from attribution.kernels.credit.rescaling import rescale
from attribution.kernels.statistics.sums import sum_by_key, sum_by_pair, to_float
from attribution.models import AttributionModel
from attribution.models.credit import Credit, allocate
from attribution.models.machinery import get_machinery
from attribution.returns import whole_channels
from attribution.schema.experiment import Experiment
from attribution.schema.tables import BASELINE, UNATTRIBUTED

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]

NEVER = np.iinfo(np.int64).max
"""When a stage was reached that never was."""


@dataclass(frozen=True)
class StageCredit:
    """Arrivals in one stage, credited.

    Attributes
    ----------
    stage : position of the stage
    journeys : up to the arrivals
    models : fitted on them; those that cannot be are left out
    credit : the ``credit`` table, by the channels that money is spent on; value null where no amount is known
    allocated : per model label, ``arrival`` (row of `Progress.table`), ``channel``, ``campaign``, ``was_in`` (the
        stage that the customer was in when touched, −1 before the first) and ``credit``; adds up to 1 per arrival.
        Models that cannot allocate arrivals one by one are absent
    touched : ``was_in``, ``channel``, ``touchpoints`` before the arrivals
    last_channel : channel of the last touchpoint before each arrival, by row of `Progress.table`
    findings : models that were left out
    """

    stage: int
    journeys: Journeys
    models: tuple[AttributionModel, ...]
    credit: pd.DataFrame
    allocated: dict[str, pd.DataFrame]
    touched: pd.DataFrame
    last_channel: pd.Series
    findings: tuple[Finding, ...]


def credit_stage(
    progress: Progress, stage: int, sources: Sources, models: Sequence[AttributionModel], experiment: Experiment
) -> StageCredit | None:
    """Fit models anew on the journeys up to the arrivals in one stage; None where there is no arrival.

    Parameters
    ----------
    progress : all arrivals
    stage : position of the stage
    sources : the input tables
    models : those of the run, whose settings are taken over
    experiment : options of journeys, and the period that arrivals must lie in
    """
    arrivals = progress.of(stage)
    if arrivals.empty:
        return None
    own = _sources_of(sources, arrivals, stage)
    options = _options(experiment)
    if arrivals["customer"].is_unique:
        # Who has arrived cannot arrive again: touchpoints after that are no journeys that failed to.
        options["conversions"] = "first_only"
    journeys = build_journeys(own, period=experiment.period, **options)
    fitted, findings = _fit(journeys, models, progress.stages[stage])
    rows = np.array([int(name) for name in conversion_ids(own)], dtype=np.int64)
    credit = Credit.of(fitted).table if fitted else pd.DataFrame(columns=["model", "estimand", "channel"])
    whole = whole_channels(journeys)
    if whole and fitted:
        keys = ["model", "estimand", "channel"]
        merged = credit.assign(channel=credit["channel"].replace(whole)).groupby(keys, sort=False)
        credit = merged[["conversions", "value", "share"]].sum(min_count=1).reset_index()
    if fitted and arrivals["amount"].isna().all():
        credit = credit.assign(value=np.nan)
    givers, refused = _who_can_hand_out(journeys, fitted, progress.stages[stage])
    findings += refused
    reader = _Reader(tuple(givers), _first_times(progress, rows), _campaigns(journeys))
    summary = journeys.read(reader)[0]
    allocated = {
        model.label: _rows(summary, f"{position}", journeys, reader, rows).pipe(_reconcile_with_totals, model, journeys)
        for position, model in enumerate(givers)
    }
    touched = _rows(summary, "touched", journeys, reader, rows).rename(columns={"credit": "touchpoints"})
    touched = touched.groupby(["was_in", "channel"], as_index=False)["touchpoints"].sum()
    last = _rows(summary, "last", journeys, reader, rows)
    last_channel = last.set_index("arrival")["channel"] if len(last) else pd.Series([], dtype=object)
    return StageCredit(stage, journeys, tuple(fitted), credit, allocated, touched, last_channel, tuple(findings))


def _sources_of(sources: Sources, arrivals: pd.DataFrame, stage: int) -> Sources:
    """The input tables with arrivals in the place of conversions."""
    name = f"arrivals_{stage}"
    table = pa.table(
        {
            "customer_id": pa.Array.from_pandas(arrivals["customer_id"]),
            "converted_at": arrivals["at"].to_numpy(),
            "value": arrivals["amount"].fillna(0.0).to_numpy(),
            "conversion_id": pa.array([str(row) for row in arrivals.index], pa.string()),
        }
    )
    sources.engine.register_arrow(name, table)
    sources.engine.define(name, f"select * from raw_{name}")
    loaded = LoadedTable("conversions", tuple(table.column_names), len(arrivals))
    return replace(sources, tables={**sources.tables, "conversions": loaded}, conversions_view=name)


def _options(experiment: Experiment) -> dict[str, Any]:
    further = ("conversion_kinds", "customers")
    settings = {name: value for name, value in experiment.journeys.of_building.items() if name not in further}
    funnel = experiment.options("funnel", FunnelOptions)
    if funnel is not None and funnel.lookback_days is not None:
        settings["lookback_days"] = funnel.lookback_days
    return settings


def _fit(
    journeys: Journeys, models: Sequence[AttributionModel], stage: str
) -> tuple[list[AttributionModel], list[Finding]]:
    """Copies of the models, fitted in one pass; what cannot be learned from so few arrivals is said."""
    anew = [type(model)(**model.get_params()) for model in models]
    for model in anew:
        get_machinery(model).prepare(journeys)
    observed, *own = journeys.read(observe, *(model.summarise for model in anew))
    fitted, findings = [], []
    for model, contributions in zip(anew, own, strict=True):
        try:
            machinery = get_machinery(model)
            machinery.finish_fit(contributions + machinery.summarise_untouched(journeys), observed)
        except InputError as error:
            message = f"{model.label} is not computed for this stage; use the other models there: {error}"
            findings.append(count_finding("stage_left_out", "stages", 1, message, example=stage))
        else:
            fitted.append(model)
    return fitted, findings


def _who_can_hand_out(
    journeys: Journeys, models: Sequence[AttributionModel], stage: str
) -> tuple[list[AttributionModel], list[Finding]]:
    """Models that can give each arrival to its touchpoints; some only know totals, such as those below zero."""
    one = next((chunk.allocated.subset(slice(0, 1)) for chunk in journeys if len(chunk.allocated)), None)
    able, findings = [], []
    for model in models:
        try:
            if one is not None:
                allocate(model, one)
        except InputError as error:
            message = f"{model.label} has credit but no rates; read those of the other models: {error}"
            findings.append(count_finding("stage_without_rates", "stages", 1, message, example=stage))
        else:
            able.append(model)
    return able, findings


def _first_times(progress: Progress, rows: Longs) -> Longs:
    """(stages, conversions + 1) when the case of each conversion was in each stage first; `NEVER` where it was not."""
    table = progress.table
    reached = np.full((len(progress.stages), len(rows) + 1), NEVER)
    pairs = belonging(table.loc[rows], table)
    positions = pd.Series(np.arange(len(rows)), index=rows)
    conversion = positions[pairs["row_of"]].to_numpy()
    np.minimum.at(reached, (pairs["stage"].to_numpy(), conversion), pairs["at"].to_numpy())
    return reached


def _campaigns(journeys: Journeys) -> tuple[str | None, ...]:
    dimensions = journeys.dimensions
    if "campaign" not in dimensions.names:
        return (None,)
    return (None, *dimensions.values[dimensions.names.index("campaign")])


@dataclass(frozen=True)
class _Reader:
    """Adds up what models allocate, by conversion and by channel, campaign and stage at the touchpoint."""

    models: tuple[AttributionModel, ...]
    reached: Longs
    campaigns: tuple[str | None, ...]

    def __call__(self, chunk: JourneyChunk) -> Summary:
        tables = {}
        untouched = chunk.subset((chunk.lengths == 0) & chunk.converting)
        allocated = chunk.allocated
        conversion = np.repeat(allocated.conversion, allocated.lengths)
        codes = self._codes(allocated, conversion)
        for position, model in enumerate(self.models):
            shares = allocate(model, chunk).shares
            # Without a touchpoint there is no channel: code −1 for all of them.
            rows, keys = np.append(conversion, untouched.conversion), np.append(codes, np.full(len(untouched), -1))
            credit = np.append(shares, np.ones(len(untouched)))
            tables[f"{position}"] = sum_by_pair(rows, keys + 1, credit)
        tables["touched"] = sum_by_key(np.column_stack([np.zeros_like(codes), codes + 1]), np.ones(len(codes)))
        tables["last"] = sum_by_pair(allocated.conversion, codes[allocated.stop - 1] + 1, np.ones(len(allocated)))
        return Summary(tables)

    def _codes(self, allocated: JourneyChunk, conversion: Longs) -> Longs:
        campaign = np.zeros(len(allocated.channel), np.int64)
        if len(self.campaigns) > 1:
            campaign = allocated.dimensions.digit(allocated.code.astype(np.int64), "campaign")
        assert allocated.touched_at is not None
        was_in = np.zeros(len(conversion), np.int64)
        for stage, at in enumerate(self.reached):
            # A touchpoint at the instant of an arrival led to it: the customer was not in that stage yet.
            was_in[at[conversion] < allocated.touched_at] = stage + 1
        channel = allocated.channel.astype(np.int64)
        return np.asarray((channel * len(self.campaigns) + campaign) * (len(self.reached) + 1) + was_in)

    def decode(self, codes: Longs) -> tuple[Longs, Longs, Longs]:
        """Channel, campaign and stage of codes ≥ 0."""
        rest, was_in = np.divmod(codes, len(self.reached) + 1)
        channel, campaign = np.divmod(rest, len(self.campaigns))
        return channel, campaign, was_in - 1


def _rows(summary: Summary, name: str, journeys: Journeys, reader: _Reader, rows: Longs) -> pd.DataFrame:
    """One table of the reader, decoded."""
    columns = ["arrival", "channel", "campaign", "was_in", "credit"]
    if name not in summary.tables:
        return pd.DataFrame({column: [] for column in columns})
    keyed = summary.tables[name]
    is_untouched = keyed.keys[:, 1] == 0
    channel, campaign, was_in = reader.decode(np.maximum(keyed.keys[:, 1] - 1, 0))
    whole = whole_channels(journeys)
    names = np.array([whole.get(channel, channel) for channel in journeys.channels] or [UNATTRIBUTED], dtype=object)
    return pd.DataFrame(
        {
            "arrival": rows[keyed.keys[:, 0]],
            "channel": np.where(is_untouched, UNATTRIBUTED, names[np.where(is_untouched, 0, channel)]),
            "campaign": np.array(reader.campaigns, dtype=object)[np.where(is_untouched, 0, campaign)],
            "was_in": np.where(is_untouched, -1, was_in),
            "credit": to_float(keyed.sums),
        }
    )


def _reconcile_with_totals(allocated: pd.DataFrame, model: AttributionModel, journeys: Journeys) -> pd.DataFrame:
    """With a baseline, which has the rest, parts add up to what is published; less than nothing counts as nothing.

    Arrivals whose touchpoints have no part are the baseline's.
    """
    is_touched = allocated["channel"] != UNATTRIBUTED
    if model.estimand == "allocated" or not is_touched.any():
        return allocated
    own = allocated[is_touched]
    left = 1.0 - own["credit"].groupby(own["arrival"]).sum().clip(upper=1.0)
    rest = pd.DataFrame({"arrival": left.index, "channel": BASELINE, "campaign": None, "was_in": -1, "credit": left})
    divided = pd.concat([own, rest], ignore_index=True)
    whole = whole_channels(journeys)
    published = pd.Series(model.credit_.conversions[:-1], [whole.get(name, name) for name in journeys.channels])
    published = published.groupby(level=0).sum().clip(lower=0.0)
    arrival = left.index.get_indexer(divided["arrival"])
    column = np.append(published.index.get_indexer(own["channel"]), np.full(len(rest), len(published)))
    multiples = rescale(arrival, column, divided["credit"].to_numpy(), published.to_numpy())
    parts = divided["credit"].to_numpy() * multiples[column]
    totals = np.bincount(arrival, parts, len(left))
    parts[len(own) :][totals == 0] = 1.0
    credit = parts / np.where(totals == 0, 1.0, totals)[arrival]
    return pd.concat([allocated[~is_touched], divided.assign(credit=credit)], ignore_index=True)

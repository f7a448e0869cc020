"""Whether models say the same of every part of the time, and how well they predict customers they have not seen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from attribution.data.loading import Sources
from attribution.errors import InputError
from attribution.journeys import Journeys, journeys_of
from attribution.kernels.statistics.agreement import kendall_tau
from attribution.models import AttributionModel, fit_models
from attribution.models.machinery import get_machinery
from attribution.models.order import held_out_table
from attribution.schema.experiment import Experiment, Period
from attribution.schema.experiment.settings import Settings
from attribution.schema.tables import HELD_OUT
from attribution.schema.tables.definition import Column, Table, null
from attribution.sections import RunContext, Section

_MODEL = Column("model", "text", "label of the model")

STABILITY = Table(
    "stability",
    "model × pair of neighbouring parts of the period",
    (
        _MODEL,
        Column("part", "integer", "number of the earlier part, from 1"),
        Column("ends_at", "time", "last microsecond of the earlier part"),
        Column("conversions_before", "number", "conversions in the earlier part"),
        Column("conversions_after", "number", "conversions in the later part"),
        null("kendall_tau", "number", "Kendall tau-b of credited conversions in both parts; null where all tie"),
        Column(
            "share_moved",
            "number",
            "share of credit that moves to other channels, or the baseline, in the later part, 0 … 1",
        ),
    ),
    question="How far does credit move between one part of the period and the next?",
)


class StabilityOptions(Settings):
    """Whether models give the same credit in every part of the period.

    Parameters
    ----------
    parts : int ≥ 2
        Number of parts of equal length that the period is cut into.
    """

    parts: Annotated[int, Field(ge=2, le=52, strict=True)] = 2


class Part(NamedTuple):
    """One part of the time: its last microsecond, its conversions, and what each model credits to each channel.

    ``baseline`` is what a model leaves to none; None for a model that leaves nothing.
    """

    ends_at: int
    conversions: float
    credit: dict[str, pd.Series]
    baseline: dict[str, float | None]


def share_moved(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Share of credit that is with other channels: half the sum of all changes of share; NaN where there is none.

    Examples
    --------
    >>> share_moved(np.array([3.0, 1.0]), np.array([1.0, 1.0]))
    0.25
    """
    if not (before.sum() > 0 and after.sum() > 0):
        return float("nan")
    return float(np.abs(before / before.sum() - after / after.sum()).sum() / 2)


def _part(experiment: Experiment, sources: Sources, models: Sequence[AttributionModel], first: int, last: int) -> Part:
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    start, end = (epoch + dt.timedelta(microseconds=at) for at in (first, last))
    journeys = journeys_of(experiment.model_copy(update={"period": Period(start=start, end=end)}), sources)
    copies = [type(model)(**deepcopy(model.get_params())) for model in models]
    observed = fit_models(copies, journeys)[0]
    credit = {copy.label: pd.Series(copy.credit_.conversions[:-1], list(copy.channels_)) for copy in copies}
    baselines = {copy.label: copy.credit_.baseline for copy in copies}
    baseline = {label: None if of is None else of[0] for label, of in baselines.items()}
    return Part(last, observed.number("conversions"), credit, baseline)


def _row(label: str, number: int, before: Part, after: Part) -> dict[str, object]:
    both = pd.concat([before.credit[label], after.credit[label]], axis=1).fillna(0.0)
    x, y = (np.ascontiguousarray(both[side], dtype=float) for side in both)
    return {
        "model": label,
        "part": number,
        "ends_at": pd.Timestamp(before.ends_at, unit="us", tz="UTC"),
        "conversions_before": before.conversions,
        "conversions_after": after.conversions,
        "kendall_tau": kendall_tau(x, y) if before.conversions and after.conversions else float("nan"),
        "share_moved": share_moved(_divided(x, before.baseline[label]), _divided(y, after.baseline[label])),
    }


def _divided(credit: NDArray[np.float64], baseline: float | None) -> NDArray[np.float64]:
    """Credit and the baseline after it, where less than nothing counts as nothing; credit alone without a baseline."""
    return credit if baseline is None else np.maximum(np.append(credit, baseline), 0.0)


def _held_out_scores(journeys: Journeys, models: Sequence[AttributionModel]) -> pd.DataFrame | None:
    """Scores of the models that predict something and have not been scored by choosing an order, chains first."""
    predicting = [(model.label, of) for model in models if (of := get_machinery(model).held_out()) is not None]
    if not predicting:
        return None
    predicting.sort(key=lambda pair: pair[1].order is None)
    readers = {of.unit: of.read for _, of in predicting}
    summaries = dict(zip(readers, journeys.read(*readers.values()), strict=True))
    rows = [(label, of.order, of.unit, *of.score(summaries[of.unit])) for label, of in predicting]
    table = pd.DataFrame(rows, columns=["model", "order", "per", "log_loss", "auc"])
    return held_out_table([table])


class StabilitySection(Section):
    """Every model fitted anew on parts of the time, and held against customers that it has not seen."""

    name = "stability"
    options = StabilityOptions
    declared = (STABILITY, HELD_OUT)

    def check_journeys(self, context: RunContext) -> None:
        """Refuse journeys without times."""
        if context.journeys.span is None or not context.journeys.has_times:
            raise InputError(
                "stability needs timestamps, but these data have only an order",
                hint="use touchpoints with timestamps, or leave stability out of the experiment",
            )

    def tables(self, context: RunContext) -> Mapping[str, pd.DataFrame]:
        """``stability`` and, where a model predicts something, ``held_out``, after chains that chose their order.

        Parts are equally long; touchpoints before a part are its history.

        Raises
        ------
        InputError
            If the data have no times, see `check_journeys`.
        """
        experiment, journeys, models = context.experiment, context.journeys, context.candidates
        options = experiment.options(self.name, StabilityOptions) or StabilityOptions()
        self.check_journeys(context)
        first, last = (
            at if bound is None else bound for bound, at in zip(experiment.period.bounds(), journeys.span, strict=True)
        )
        cuts = np.linspace(first, last + 1, options.parts + 1).astype(np.int64)
        parts = [_part(experiment, context.sources, models, int(a), int(b) - 1) for a, b in pairwise(cuts)]
        rows = [
            _row(model.label, number, *pair) for model in models for number, pair in enumerate(pairwise(parts), start=1)
        ]
        tables = {"stability": pd.DataFrame(rows, columns=list(STABILITY.column_names))}
        both = [context.tables.get("held_out"), _held_out_scores(journeys, models)]
        scored = [table for table in both if table is not None]
        return tables | {"held_out": held_out_table(scored)} if scored else tables

    def metrics(self, tables: Mapping[str, pd.DataFrame], model: str | None = None) -> Mapping[str, float]:
        """How far the credit of a model moves between parts of the time."""
        if model is None or "stability" not in tables:
            return {}
        rows = tables["stability"][tables["stability"]["model"] == model]
        return {
            "stability_lowest_kendall_tau": float(rows["kendall_tau"].min()),
            "stability_largest_share_moved": float(rows["share_moved"].max()),
        }

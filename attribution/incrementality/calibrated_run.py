"""How a run gains what channels caused by credit and tests together: from its models to rows beside theirs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.incrementality.assumptions import CalibrationOptions
from attribution.incrementality.calibration import LAST_TOUCH, Calibration, calibrate
from attribution.incrementality.participants import assemble_participants, participants_reader
from attribution.journeys import Journeys
from attribution.models import AdditiveHazard, AttributionModel, LastTouch, fit_models
from attribution.models.credit import ChannelTotals, credit_rows
from attribution.models.machinery import Draws, attributable
from attribution.models.resampling import Resamples, Sample
from attribution.returns import Terms, Worth, returns_table
from attribution.schema.tables import BASELINE, CAUSED, NO_CHANNELS, UNATTRIBUTED
from attribution.sections import RunContext

Floats = NDArray[np.float64]

CALIBRATION = "calibration"
"""Of the section, of its options, and of what it keeps in the memory of a run."""

CALIBRATED = "calibrated"
"""Label of what is known by credit and tests together, in tables of models."""

CORRECTED = "additive_hazard_corrected"
EXPERTS = (LAST_TOUCH, CAUSED, CORRECTED)
"""What a run calibrates: of a hazard what it says as it is, and, with two unpaid channels, what these correct."""

_BASES = {"margin": "value"}
"""What a measure of worth goes along with, unless with conversions."""

_ENDS = ("low", "high")


@dataclass(frozen=True)
class CalibratedRun:
    """What a run knows of what its channels caused, by credit and tests together.

    Attributes
    ----------
    calibration : of the channels that money is spent on
    credit : its rows of the ``credit`` table, baseline included, with intervals
    """

    calibration: Calibration
    credit: pd.DataFrame


def calibrate_run(
    context: RunContext,
    credit: pd.DataFrame,
    *,
    worth: Worth | None = None,
    resamples: Resamples | None = None,
    readings: pd.DataFrame | None = None,
) -> CalibratedRun | None:
    """Calibrate what the models of a run say by its lift tests; None without either and unasked.

    Parameters
    ----------
    context : with fitted models; one that says what channels caused is an expert, beside last touch
    credit, worth : of these models
    resamples : of the models, for the most that a channel can have caused
    readings : the table ``lift_readings``; those that are evidence, of channels that money is spent on, calibrate
    """
    options = context.experiment.options(CALIBRATION, CalibrationOptions)
    evidence = None if readings is None else readings[readings["calibrates"].astype(bool)]
    if options is None and (evidence is None or evidence.empty):
        return None
    last_touch, participants = _read(context.models, context.journeys)
    terms = context.terms
    paid = {name for name, amount in terms.costs.direct.items() if amount}
    experts = expert_credits(last_touch, context.models, paid, resamples).join(participants, on="channel")
    channels = list(dict.fromkeys(experts["channel"]))
    if evidence is not None:
        evidence = evidence[evidence["channel"].isin(channels)]
    credited = experts["conversions"].to_numpy()[: len(channels)]
    spend = terms.costs.spend(terms.options.cost_basis, channels, credited)
    experts["spend"] = experts["channel"].map(dict(zip(channels, spend, strict=True)))
    margin = 1.0 if terms.options.basis == "revenue" else terms.options.margin or 1.0
    if terms.options.basis != "revenue" and worth is not None and "margin" in worth.table:
        margin = float(np.clip(_ratios(worth, credit)["margin"], 1e-9, 1.0))
    calibration = calibrate(experts, evidence, options, margin=margin)
    return CalibratedRun(calibration, _credit(calibration, last_touch))


def expert_credits(
    last_touch: LastTouch,
    models: Sequence[AttributionModel],
    paid: Collection[str],
    resamples: Resamples | None = None,
) -> pd.DataFrame:
    """Credit of the channels that money is spent on, as each expert says; last touch first.

    Parameters
    ----------
    last_touch, models : fitted
    paid : channels that money is spent on; a hazard knows for itself which are
    resamples : of the models, for ``conversions_high``
    """
    hazard = next((model for model in models if isinstance(model, AdditiveHazard)), None)
    credited = pd.Series(last_touch.credit_.conversions[:-1], index=list(last_touch.channels_))
    if hazard is None:
        is_paid = credited.index.isin(list(paid))
        return _rows(LAST_TOUCH, credited[is_paid] if is_paid.any() else credited)
    # As many unpaid channels are needed to correct what it says.
    table = hazard.assignment_.set_index("channel")
    parts = [_rows(LAST_TOUCH, credited.loc[table.index]), _rows(CAUSED, table["plain"])]
    if resamples is not None:
        every = (getattr(resamples, kind)[hazard.label] for kind in ("draws", "estimates", "jackknife"))
        high = resamples.interval(*(sample.channels.conversions for sample in every))[1]
        by_channel = pd.Series(high, index=credited.index)
        parts[1]["conversions_high"] = by_channel.loc[table.index].where(table["is_known"]).to_numpy()
    if len(hazard.setting_.design.unpaid) >= 2:
        parts.append(_rows(CORRECTED, table["corrected"].fillna(table["published"])))
    return pd.concat(parts, ignore_index=True)


def extend_resamples(resamples: Resamples, calibrated: CalibratedRun) -> Resamples:
    """With joint draws of what channels caused, as many as models have: so that all that is drawn knows of them."""
    rows = calibrated.credit.set_index("channel")[["conversions", "value"]]
    means = rows.loc[list(resamples.channels)].to_numpy().T[:, None]
    effects = calibrated.calibration.draw(resamples.options.draws)
    draws = effects.reindex(columns=list(resamples.channels), fill_value=0.0).to_numpy()
    average = np.divide(means[1], means[0], out=np.zeros_like(means[0]), where=means[0] > 0)

    def sample(conversions: Floats) -> Sample:
        unattributed, baseline = rows.loc[[UNATTRIBUTED, BASELINE], "conversions"]
        rest = baseline + means[0].sum() - conversions.sum(axis=1)
        further = {UNATTRIBUTED: np.full(len(conversions), unattributed), BASELINE: rest}
        return Sample(Draws(conversions, conversions * average), further)

    left_out = means[0].repeat(len(resamples.left_out), axis=0)
    return replace(
        resamples,
        labels=(*resamples.labels, CALIBRATED),
        estimates={**resamples.estimates, CALIBRATED: sample(means[0])},
        draws={**resamples.draws, CALIBRATED: sample(draws)},
        jackknife={**resamples.jackknife, CALIBRATED: sample(left_out)},
    )


def extend_worth(worth: Worth, credit: pd.DataFrame, calibrated: CalibratedRun, resamples: Resamples | None) -> Worth:
    """With what conversions that channels caused are worth beside their value: as much as all conversions are.

    Parameters
    ----------
    worth, credit : of the models
    calibrated : what is to be added
    resamples : with its draws, where there are any
    """
    ratios = _ratios(worth, credit)
    own = {name: calibrated.credit[_BASES.get(name, "conversions")] * ratio for name, ratio in ratios.items()}
    rows = calibrated.credit[["model", "channel"]].assign(**own)
    parts = {}
    for kind in ("estimates", "draws", "jackknife") if resamples is not None else ():
        sample = getattr(resamples, kind)[CALIBRATED].channels
        measures = {name: getattr(sample, _BASES.get(name, "conversions")) * ratio for name, ratio in ratios.items()}
        parts[kind] = {**getattr(worth, kind), CALIBRATED: measures}
    return replace(worth, table=pd.concat([worth.table, rows], ignore_index=True), **parts)


def fill_calibrated_returns(returns: pd.DataFrame, with_worth: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """``returns`` with the intervals of what was calibrated: what it would be, had a channel caused as much.

    Parameters
    ----------
    returns : with its rows
    with_worth : ``credit`` with every measure of worth, its rows among it
    terms : of the run
    """
    is_own = with_worth["model"] == CALIBRATED
    filled = returns.copy()
    rows = (filled["model"] == CALIBRATED) & ~filled["channel"].isin(NO_CHANNELS) & filled["is_known"].astype(bool)
    for end in _ENDS:
        own = with_worth[is_own].copy()
        share = (own[f"conversions_{end}"] / own["conversions"].where(own["conversions"] > 0)).fillna(1.0)
        for name in ("conversions", "value", *sorted(terms.measures)):
            own[name] *= share
        ends = returns_table(pd.concat([with_worth[~is_own], own]), terms)
        for name in ("conversions", "value", "roi"):
            filled.loc[rows, f"{name}_{end}"] = ends.loc[rows, name]
    return filled


def _ratios(worth: Worth, credit: pd.DataFrame) -> dict[str, float]:
    """What a conversion is worth in each measure, or a unit of value where that goes along with it."""
    label = credit["model"].iloc[0]
    whole, there = (table[table["model"] == label].sum(numeric_only=True) for table in (worth.table, credit))
    bases = {name: there[_BASES.get(name, "conversions")] for name in worth.table if name not in ("model", "channel")}
    return {name: float(whole[name] / base) if base else 0.0 for name, base in bases.items()}


def _read(models: Sequence[AttributionModel], journeys: Journeys) -> tuple[LastTouch, pd.DataFrame]:
    """Last touch, fitted unless it is among the models, and the conversions that channels took part in."""
    reader = participants_reader(journeys)
    last_touch = next((model for model in models if type(model) is LastTouch), None)
    if last_touch is None:
        last_touch = LastTouch()
        _, counted = fit_models([last_touch], journeys, reader)
    else:
        (counted,) = journeys.read(reader)
    return last_touch, assemble_participants(counted, journeys)


def _rows(model: str, credited: pd.Series) -> pd.DataFrame:
    columns = {"model": model, "channel": list(credited.index), "conversions": credited.to_numpy(dtype=float)}
    return pd.DataFrame(columns | {"conversions_high": np.nan})


def _credit(calibration: Calibration, observed: AttributionModel) -> pd.DataFrame:
    """Rows of the ``credit`` table; a channel that no money is spent on has nothing, and is not known."""
    channels = observed.channels_
    table = calibration.incremental.set_index("channel").reindex(list(channels))
    credited = [table[column].fillna(0.0).to_numpy() for column in ("mean", "value")]
    unattributed = [observed.observed_.number(f"unattributed_{what}") for what in ("conversions", "value")]
    baseline = (
        float(attributable(observed, "conversions") - credited[0].sum()),
        float(attributable(observed, "value") - credited[1].sum()),
    )
    conversions, value = (np.append(of, rest) for of, rest in zip(credited, unattributed, strict=True))
    is_known = table["mean"].notna().to_numpy()
    whole = ChannelTotals(channels, conversions, value, baseline, is_known=is_known)
    rows = credit_rows(CALIBRATED, "incremental", whole)
    for end in _ENDS:
        rows[f"conversions_{end}"] = rows["channel"].map(table[end])
        rows[f"value_{end}"] = rows["channel"].map(table[f"value_{end}"])
    return rows

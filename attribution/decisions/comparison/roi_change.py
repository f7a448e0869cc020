"""Why ROI moved between two runs: spend, volume, rate, value, cost, or another model.

On the terms that a run ranks channels by, what a channel returns on each unit of cost is

    return ÷ cost = (volume · rate · value) ÷ (spend · cost),

with *volume* the journeys that touched the channel, *rate* the conversions credited to it per such journey, *value*
the return per credited conversion, *spend* its media spend, and *cost* all its costs per unit of media spend (1 where
channels are ranked by media cost). A journey counts on the day of its conversion, and one without a conversion on the
day of its last touchpoint: conversions and spend are of these days, too. Each factor gets its Shapley value within
return and within cost, and both get theirs in the ratio (Owen's value), so that parts add up exactly, whatever the
order, and turn their sign when the runs change places. Where the model changes too, ROI is split along both orders,
model first and model last, as far as the runs have both models, and the mean counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.arguments import check_arguments
from attribution.decisions.kpis import Run
from attribution.errors import InputError
from attribution.journeys.profile import LAST_TOUCHED, journeys_by_channel
from attribution.kernels.statistics.decompositions import prices_of_change, ratio_known, split_product
from attribution.schema.tables import NO_CHANNELS, TOTAL
from attribution.schema.tables.roi_parts import EARLIER_RUN, ROI_PARTS

Floats = NDArray[np.float64]

MARKET_PARTS = ("spend", "volume", "rate", "value", "cost")
PARTS = (*MARKET_PARTS, "model")

_RETURN_PARTS = ("volume", "rate", "value")
_COST_PARTS = ("spend", "cost")


@dataclass(frozen=True)
class Side:
    """What one model says of channels in one run; every array is (channels,), 0 for channels without spend there."""

    media: Floats
    journeys: Floats
    conversions: Floats
    returns: Floats
    costs: Floats


class Split(NamedTuple):
    """Parts of the change of each channel's own ROI, and of the ROI of all, by name; arrays are (channels,)."""

    own: dict[str, Floats]
    total: dict[str, Floats]


@check_arguments
def split_roi_change(before: Run, after: Run, *, model: str, model_before: str | None = None) -> pd.DataFrame:
    """Split the change of ROI between two runs: the ``roi_parts`` table of one model.

    Parameters
    ----------
    before, after : the runs; they must rank channels on the same terms
    model : label of a model of the later run
    model_before : label of the model of the earlier run; the same unless given

    Returns
    -------
    One row per channel with spend in either run and part, then those of (total). ``roi_gap`` adds up to the change
    of the channel's own ROI, null where it had no spend in one of the runs; ``total_change`` adds up, over channels
    and parts, to the change of the ROI of all channels with spend.

    Raises
    ------
    InputError
        If a run lacks the model, terms differ, or no run has both models, so that a change of model cannot be told
        from one of the market.

    References
    ----------
    See `attribution.kernels.statistics.decompositions`.

    Examples
    --------
    A conversion by mail is worth 15 in place of 10, at the same spend.

    >>> import pandas as pd
    >>> import attribution as at
    >>> def run(value):
    ...     return at.run_of(at.run_experiment(at.Experiment(
    ...         name="shop",
    ...         tables={"paths": pd.DataFrame({"path": ["mail", "search"], "conversions": [10, 20], "value": value}),
    ...                 "costs": pd.DataFrame({"channel": ["mail", "search"], "amount": [50.0, 50.0]})},
    ...         models=[{"model": "Linear"}],
    ...     )))
    >>> before, after = run([100.0, 200.0]), run([150.0, 200.0])
    >>> changes = at.split_roi_change(before, after, model="linear").query("slice == 'mail'")
    >>> changes[["part", "roi_gap"]].round(9).values.tolist()[:4]
    [['spend', 0.0], ['volume', 0.0], ['rate', 0.0], ['value', 1.0]]
    """
    was = model_before or model
    check_terms(before, after)
    before.check_model(was)
    after.check_model(model)
    channels = channels_with_spend(before, was, after, model)
    start, end = side_of(before, was, channels), side_of(after, model, channels)
    split = _mean(_paths(before, was, after, model, channels))
    factors = {part: _factor(part, start, end) for part in MARKET_PARTS}
    tables = []
    for position, channel in enumerate(channels):
        parts = {
            "reference": [*(factors[part][0][position] for part in MARKET_PARTS), np.nan],
            "here": [*(factors[part][1][position] for part in MARKET_PARTS), np.nan],
            "roi_gap": [split.own[part][position] for part in PARTS],
            "total_change": [split.total[part][position] for part in PARTS],
        }
        tables.append(pd.DataFrame({"slice": channel, "part": PARTS, **parts}))
    whole = [float(split.total[part].sum()) if channels else np.nan for part in PARTS]
    tables.append(
        pd.DataFrame(
            {"slice": TOTAL, "part": PARTS, "reference": np.nan, "here": np.nan, "roi_gap": whole}
            | {"total_change": whole}
        )
    )
    against = {"compared_with": EARLIER_RUN, "dimension": after.experiment.grain, "model": model, "model_before": was}
    # What it is in money is known of slices of one run alone.
    table = pd.concat(tables, ignore_index=True).assign(**against, money=np.nan, profit_gap=np.nan)
    return table[list(ROI_PARTS.column_names)]


def check_terms(before: Run, after: Run) -> None:
    """Raise `InputError` if two runs do not rank channels on the same terms."""
    if before.terms != after.terms:
        raise InputError(
            "the runs rank channels by different returns or costs, so their ROI cannot be compared",
            given=f"{' on '.join(before.terms)} cost in {before.name!r}, {' on '.join(after.terms)} in {after.name!r}",
            hint="run one of them again with another returns.basis or returns.cost_basis",
        )


def channels_with_spend(before: Run, was: str, after: Run, model: str) -> list[str]:
    """Channels with an ROI in either run, by name."""
    paid: set[str] = set()
    for run, label in ((before, was), (after, model)):
        rows = run.returns(label)
        paid |= set(rows.index[rows["roi"].notna()])
    return sorted(paid - set(NO_CHANNELS))


def side_of(run: Run, model: str, channels: list[str]) -> Side:
    """What one model says of ``channels`` in one run."""
    rows = run.returns(model)
    rows = rows[rows["roi"].notna()].reindex(channels)
    costs = rows["spend"].to_numpy(float)
    media = run.returns(model, cost_basis="media")["spend"].reindex(channels).to_numpy(float)
    # A channel with labour but no media has no media spend to take a ratio to: all it costs counts as spend.
    media = np.where(np.isfinite(media) & (media > 0), media, costs)
    journeys = _journeys(run).reindex(channels).to_numpy(float)
    counted = [rows["conversions"].to_numpy(float), rows["value"].to_numpy(float), costs]
    paid = np.isfinite(costs)
    conversions, returns, costs = (np.where(paid, of, 0.0) for of in counted)
    return Side(np.where(paid, media, 0.0), np.where(paid, np.nan_to_num(journeys), 0.0), conversions, returns, costs)


def counts_by_last_touch(run: Run) -> bool:
    """Whether a run counts failed journeys when they were last touched; without a period both days are in it.

    A run of a period that an earlier version wrote only knows when journeys close, a lookback window later.
    """
    measures = run.tables["journey_profile"]["measure"]
    period = run.experiment.period
    return (period.start is None and period.end is None) or bool((measures == LAST_TOUCHED).any())


def _journeys(run: Run) -> pd.Series:
    """Journeys that touched each channel, by the day of the conversion or of the last touchpoint; empty if unknown."""
    if "journey_profile" not in run.tables or not counts_by_last_touch(run):
        return pd.Series(dtype=float)
    return journeys_by_channel(run.tables["journey_profile"])


def _paths(before: Run, was: str, after: Run, model: str, channels: list[str]) -> list[list[tuple[str, Side, Side]]]:
    """Ways from the earlier run under its model to the later under its own, in steps of market and of model."""
    start, end = side_of(before, was, channels), side_of(after, model, channels)
    if was == model:
        return [[("market", start, end)]]
    paths = []
    if model in before.models:
        between = side_of(before, model, channels)
        paths.append([("model", start, between), ("market", between, end)])
    if was in after.models:
        between = side_of(after, was, channels)
        paths.append([("market", start, between), ("model", between, end)])
    if not paths:
        raise InputError(
            "no run has both models, so the effect of the model cannot be separated from other changes",
            given=f"{was} in {before.name!r}, {model} in {after.name!r}",
            hint="run one of them again with both models",
        )
    return paths


def _mean(paths: list[list[tuple[str, Side, Side]]]) -> Split:
    size = len(paths[0][0][1].costs)
    own, total = ({part: np.zeros(size) for part in PARTS} for _ in range(2))
    for path in paths:
        for step, start, end in path:
            split = split_market(start, end)
            for into, parts in ((own, split.own), (total, split.total)):
                for part, change in parts.items():
                    into["model" if step == "model" else part] += change / len(paths)
    for parts in (own, total):
        # Where the other parts are not known, neither is that of the model.
        parts["model"] = np.where(np.isnan(parts["spend"]), np.nan, parts["model"])
    return Split(own, total)


def split_market(start: Side, end: Side) -> Split:
    """Parts of the change from one side to another, model aside."""
    of_return = split_product(*_factors(_RETURN_PARTS, start, end))
    of_cost = split_product(*_factors(_COST_PARTS, start, end))
    changes = dict(zip((*_RETURN_PARTS, *_COST_PARTS), (*of_return, *of_cost), strict=True))
    returns, costs = np.stack([start.returns, end.returns]), np.stack([start.costs, end.costs])
    of_own = prices_of_change(returns, costs)
    of_total = prices_of_change(returns.sum(axis=1), costs.sum(axis=1))
    split = Split({}, {})
    for part, change in changes.items():
        kind = 1 if part in _COST_PARTS else 0
        split.own[part], split.total[part] = of_own[kind] * change, of_total[kind] * change
    return split


def _factors(parts: tuple[str, ...], start: Side, end: Side) -> tuple[Floats, Floats]:
    """(factors, channels) before and after."""
    before, after = zip(*(_factor(part, start, end) for part in parts), strict=True)
    return np.stack(before), np.stack(after)


def _factor(part: str, start: Side, end: Side) -> tuple[Floats, Floats]:
    """One factor in both runs, so that the factors of return, and those of cost, multiply to what they are of."""
    media, costs = (np.stack([getattr(side, name) for side in (start, end)]) for name in ("media", "costs"))
    if part == "spend":
        factor = media
    elif part == "cost":
        factor = ratio_known(costs, media)
    else:
        returns, conversions, journeys = (
            np.stack([getattr(side, name) for side in (start, end)]) for name in ("returns", "conversions", "journeys")
        )
        # Where a later factor is not 0, an earlier one must not be: 1 in both runs leaves it out.
        conversions = _say_omitted(conversions, returns)
        journeys = _say_omitted(journeys, conversions)
        factor = {
            "volume": journeys,
            "rate": ratio_known(conversions, journeys),
            "value": ratio_known(returns, conversions),
        }[part]
    return factor[0], factor[1]


def _say_omitted(count: Floats, of: Floats) -> Floats:
    return np.where(((count == 0) & (of != 0)).any(axis=0), 1.0, count)

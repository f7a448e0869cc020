"""From credit to money: spend per channel, ROAS, ROI and CPA under every model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from attribution.credit import Credit
from attribution.errors import InputError
from attribution.experiment import Period
from attribution.journeys import DAY
from attribution.kernels.sums import exact_sums, to_float
from attribution.sources import Sources
from attribution.tables import NO_CHANNELS, RETURNS


def compute_returns(
    credit: Credit,
    sources: Sources,
    *,
    spend_from: str | None = None,
    period: Period | None = None,
    copies: bool = True,
) -> pd.DataFrame:
    """The ``returns`` table: what each channel earned on its spend, under every model.

    Parameters
    ----------
    credit : channel totals of every model
    sources : where spend is found: the costs table, or the cost of touchpoints
    spend_from : ``costs`` or ``touchpoints``, needed where both know the spend of one channel
    period : costs are pro-rated to it by days
    copies : whether a touchpoint that repeats another in every column costs again

    Returns
    -------
    One row per model and channel. Channels with spend and no touchpoint have a row with credit 0; ratios and
    rank are null where there is no spend.

    Raises
    ------
    InputError
        If two sources of cost cover the same channel.
    """
    spend = spend_by_channel(sources, spend_from=spend_from, period=period, copies=copies)
    table = _with_idle_channels(credit.table, spend)
    table["spend"] = table["channel"].map(spend).astype(float)
    paid = table["spend"].where(table["spend"] > 0)
    ratios = {
        "roas": table["value"] / paid,
        "roi": (table["value"] - table["spend"]) / paid,
        "cpa": paid / table["conversions"].where(table["conversions"] > 0),
    }
    for name, ratio in ratios.items():
        # A spend of next to nothing would make it infinite.
        table[name] = ratio.where(np.isfinite(ratio))
    table["rank"] = table.groupby("model", sort=False)["roi"].rank(ascending=False, method="average")
    table[["roi_low", "roi_high", "rank_low", "rank_high"]] = np.nan
    return table.assign(basis="revenue", cost_basis="media")[list(RETURNS.column_names)]


def spend_by_channel(
    sources: Sources, *, spend_from: str | None = None, period: Period | None = None, copies: bool = True
) -> dict[str, float]:
    """Spend per channel in the unit of the input, summed exactly; channels without a known cost are absent."""
    bounds = (period or Period()).bounds()
    known = {
        "costs": _from_costs(sources, bounds) if sources.has("costs") else {},
        "touchpoints": _from_touchpoints(sources, bounds, copies) if sources.has("touchpoints", "cost") else {},
    }
    if spend_from is not None:
        if not (sources.has("costs") if spend_from == "costs" else sources.has("touchpoints", "cost")):
            raise InputError(f"returns.spend_from names {spend_from!r}, which carry no cost")
        return known[spend_from]
    both = sorted(set(known["costs"]) & set(known["touchpoints"]))
    if both:
        raise InputError(
            f"{len(both)} channels have costs both in the costs table and on their touchpoints",
            given=both[:5],
            hint='say which counts: [returns] spend_from = "costs" (or "touchpoints")',
        )
    return known["costs"] | known["touchpoints"]


def _from_costs(sources: Sources, bounds: tuple[int | None, int | None]) -> dict[str, float]:
    table = sources.engine.query("select * from costs")
    amount = table["amount"].to_numpy().astype(np.float64)
    days = {"day": ("day", "day"), "period_start": ("period_start", "period_end")}
    for present, (start, end) in days.items():
        if present in table.column_names and bounds != (None, None):
            amount = amount * _share_inside(table[start].to_pandas(), table[end].to_pandas(), bounds)
    return _sum(table["channel"], amount)


def _share_inside(start: pd.Series, end: pd.Series, bounds: tuple[int | None, int | None]) -> NDArray[np.float64]:
    """Share of each cost's days that lies in the period; 1 for lump sums without days."""
    low = pd.to_datetime(start).to_numpy().astype("datetime64[us]").astype(np.int64)
    high = pd.to_datetime(end).to_numpy().astype("datetime64[us]").astype(np.int64) + DAY
    first = low if bounds[0] is None else np.maximum(low, bounds[0])
    last = high if bounds[1] is None else np.minimum(high, bounds[1] + 1)
    share = np.maximum(last - first, 0) / (high - low)
    return np.where(pd.isna(start) | pd.isna(end), 1.0, share)


def _from_touchpoints(sources: Sources, bounds: tuple[int | None, int | None], copies: bool) -> dict[str, float]:
    conditions = ["trim(channel) <> ''", "cost is not null"]
    if bounds[0] is not None:
        conditions.append(f"touched_at >= {bounds[0]}")
    if bounds[1] is not None:
        conditions.append(f"touched_at <= {bounds[1]}")
    rows = "touchpoints" if copies else "(select distinct * from touchpoints)"
    table = sources.engine.query(f"select channel, cost from {rows} where {' and '.join(conditions)}")
    return _sum(table["channel"], table["cost"].to_numpy().astype(np.float64))


def _sum(channels: pa.ChunkedArray, amounts: NDArray[np.float64]) -> dict[str, float]:
    encoded = channels.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    totals = to_float(exact_sums(np.asarray(encoded.indices), amounts, len(names)))
    if not np.isfinite(totals).all():
        raise InputError("the sum of all spend is larger than any float", hint="use a larger unit of money")
    return {name: float(total) for name, total in sorted(zip(names, totals, strict=True))}


def _with_idle_channels(credit: pd.DataFrame, spend: dict[str, float]) -> pd.DataFrame:
    """Credit with a row of zeros for every channel that has spend and no touchpoint, in order of channels."""
    models = credit[["model", "estimand"]].drop_duplicates()
    idle = pd.DataFrame({"channel": sorted(set(spend) - set(credit["channel"])), "conversions": 0.0, "value": 0.0})
    table = pd.concat([credit, models.merge(idle, how="cross")], ignore_index=True) if len(idle) else credit.copy()
    place = table["model"].map({model: place for place, model in enumerate(models["model"])})
    last = table["channel"].isin(NO_CHANNELS)
    order = np.lexsort([table["channel"].to_numpy(str), last.to_numpy(), place.to_numpy()])
    return table.iloc[order].reset_index(drop=True)

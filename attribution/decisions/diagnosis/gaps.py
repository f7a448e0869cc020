"""Which slice of the business explains a gap in ROI, and by which part: reach, rate, value or cost.

What a slice returns and costs is

    return = reach · rate · value,    costs = reach · cost,

with *reach* its touchpoints (of a segment of customers its journeys), *rate* the conversions credited to it per
touchpoint, *value* the return per credited conversion and *cost* its costs per touchpoint. It is held against the
rest of its dimension: all other slices together. Reach is in return and in cost alike, so no ROI depends on it and its
part of a gap in ROI is 0; what it does is to make a gap large or small in money, which is why the gap in profit, to
the average other slice, has a part for it.

Most gaps of rate are chance: of labels that mean nothing half have more than the rest. So each slice is also held
against the conversions that it would get by chance, with the number of standard deviations that lie between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.arguments import check_arguments
from attribution.decisions.diagnosis.diagnosis_declared import ROI_SLICES
from attribution.errors import InputError
from attribution.kernels.statistics.beyond_chance import label_z
from attribution.kernels.statistics.decompositions import prices_of_change, ratio_known, split_product
from attribution.schema.tables.roi_parts import REST, ROI_PARTS

Floats = NDArray[np.float64]

PARTS = ("reach", "rate", "value", "cost")
NEEDED = ("dimension", "model", "slice", "reach", "conversions", "value", "spend")

_KEY = ["dimension", "model"]

_NEXT_TO_NOTHING = 1e-12
"""Share of all spend up to which a slice counts as one without."""

_LEAST = 1e-100
"""Spend up to which there is none at all: what is divided by it would be beyond any float."""


@check_arguments
def diagnose_roi(slices: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Which slice explains the gap in ROI, and whether by reach, rate, value or cost.

    Parameters
    ----------
    slices : one row per ``dimension``, ``model`` (null where none has a say) and ``slice``, with its ``reach``
        (touchpoints, or journeys where each is of one slice alone), credited ``conversions``, credited ``value`` (any
        return) and ``spend`` (null or 0: no cost known); optional is ``expected``, the conversions that it would be
        credited with by chance (null: not known). Slices of one dimension and model are held against each other; where
        any has spend, those that have

    Returns
    -------
    ``roi_slices`` and ``roi_parts`` by name. Parts add up exactly: to ``roi_gap``, to ``money`` (spend × roi_gap) and
    to ``profit_gap``. A dimension without costs has no ROI and no cost part: these are null, and money is what the
    slice's reach brings beyond what as much reach of the rest does.

    Raises
    ------
    InputError
        If a column is missing, a slice is there twice, or reach or spend are negative.

    References
    ----------
    Parts are Owen's values, see `attribution.kernels.statistics.decompositions`.

    Examples
    --------
    Both channels turn one touchpoint in ten into a conversion worth 50; a touchpoint costs 2 here and 4 there.

    >>> found = diagnose_roi(pd.DataFrame({
    ...     "dimension": "channel", "model": "linear", "slice": ["mail", "search"], "reach": [100, 100],
    ...     "conversions": [10, 10], "value": [500.0, 500.0], "spend": [200.0, 400.0]}))
    >>> found["roi_slices"][["slice", "roi", "roi_rest", "money", "mostly"]].values.tolist()
    [['mail', 1.5, 0.25, 250.0, 'cost'], ['search', 0.25, 1.5, -500.0, 'cost']]
    >>> found["roi_parts"].query("slice == 'search'")[["part", "roi_gap"]].values.tolist()
    [['reach', 0.0], ['rate', 0.0], ['value', 0.0], ['cost', -1.25]]
    """
    _check(slices)
    if "expected" not in slices:
        slices = slices.assign(expected=np.nan)
    whole, parts = [], []
    for _, group in slices.groupby(_KEY, sort=False, dropna=False):
        rows, of_parts = _of_dimension(group.reset_index(drop=True))
        whole.append(rows)
        parts.append(of_parts)
    empty: list[pd.DataFrame] = [pd.DataFrame(columns=list(ROI_SLICES.column_names))]
    nothing: list[pd.DataFrame] = [pd.DataFrame(columns=list(ROI_PARTS.column_names))]
    explained = pd.concat(parts or nothing, ignore_index=True)
    explained = explained.assign(compared_with=REST, model_before=None, total_change=np.nan)
    return {
        "roi_slices": pd.concat(whole or empty, ignore_index=True)[list(ROI_SLICES.column_names)],
        "roi_parts": explained[list(ROI_PARTS.column_names)],
    }


@dataclass(frozen=True)
class Gap:
    """Slices (n,) and the rest of each: counts are (2, n), the rest first; ``costs`` None where there are none."""

    reach: Floats
    conversions: Floats
    returns: Floats
    costs: Floats | None
    rest_size: int

    @classmethod
    def of(cls, table: pd.DataFrame, *, has_costs: bool) -> Gap:
        """Every row of ``table`` against all others."""

        def pair(name: str) -> Floats:
            here = table[name].to_numpy(float)
            # Total − own would leave rounding where the others have nothing: what the total rounds off is kept.
            total = math.fsum(here)
            off = math.fsum([*here, -total])
            return np.stack([[math.fsum((total, off, -own)) for own in here], here])

        counts = {name: pair(name) for name in ("reach", "conversions", "value")}
        costs = pair("spend") if has_costs else None
        return cls(counts["reach"], counts["conversions"], counts["value"], costs, len(table) - 1)

    def factors(self) -> dict[str, Floats]:
        """(2, n) each factor of the rest and of the slice; reach of the rest is that of its average slice.

        Where a factor cannot be told, the one before it is left out of both, so that they still multiply to returns.
        """
        reach, conversions = self.reach, self.conversions
        if self.costs is None:
            # Only what was touched can convert; where the counts say otherwise, reach is left out.
            reach = _stand_in(reach, np.abs(conversions) + np.abs(self.returns), np.ones(reach.shape))
        else:
            # Spend without a touchpoint: what one cost cannot be told, what a unit of spend brought can.
            reach = _stand_in(reach, self.costs, self.costs)
        conversions = _stand_in(conversions, self.returns, reach)
        scale = np.array([[max(self.rest_size, 1)], [1]])
        factors = {
            "reach": reach / scale,
            "rate": ratio_known(conversions, reach),
            "value": ratio_known(self.returns, conversions),
        }
        return factors if self.costs is None else factors | {"cost": ratio_known(self.costs, reach)}

    def shown(self) -> dict[str, Floats]:
        """(2, n) the factors as they are read: null where there is nothing to divide by."""
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = {
                "rate": np.where(self.reach != 0, self.conversions / self.reach, np.nan),
                "value": np.where(self.conversions != 0, self.returns / self.conversions, np.nan),
                "cost": np.full(self.reach.shape, np.nan)
                if self.costs is None
                else np.where(self.reach != 0, self.costs / self.reach, np.nan),
            }
        return {"reach": self.reach / np.array([[max(self.rest_size, 1)], [1]]), **rates}


def _stand_in(count: Floats, needed: Floats, other: Floats) -> Floats:
    """``count``, or ``other`` for both sides where it is 0 on a side that has what is ``needed``."""
    return np.where(((count == 0) & (needed != 0)).any(axis=0), other, count)


def roi_parts(gap: Gap) -> dict[str, Floats]:
    """(n,) parts of the gap in ROI by name: Owen's values of return and cost per journey."""
    assert gap.costs is not None
    factors = gap.factors()
    names = ("rate", "value")
    before, after = (np.stack([factors[name][side] for name in names]) for side in (0, 1))
    of_return, of_cost = prices_of_change(factors["rate"] * factors["value"], factors["cost"])
    parts = dict(zip(names, of_return * split_product(before, after), strict=True))
    cost = of_cost * (factors["cost"][1] - factors["cost"][0])
    return {"reach": np.zeros(len(cost)), **parts, "cost": cost}


def profit_parts(gap: Gap) -> dict[str, Floats]:
    """(n,) parts of the gap in return less cost to the average other slice; no cost where none is known."""
    factors = gap.factors()
    names = ("reach", "rate", "value")
    before, after = (np.stack([factors[name][side] for name in names]) for side in (0, 1))
    parts = dict(zip(names, split_product(before, after), strict=True))
    if gap.costs is None:
        return {**parts, "cost": np.full(len(parts["rate"]), np.nan)}
    before, after = (np.stack([factors["reach"][side], factors["cost"][side]]) for side in (0, 1))
    reach, cost = split_product(before, after)
    return {**parts, "reach": parts["reach"] - reach, "cost": -cost}


def return_parts(gap: Gap) -> dict[str, Floats]:
    """(n,) parts of what the slice's reach returns beyond what as much reach of the rest does."""
    factors = gap.factors()
    names = ("rate", "value")
    before, after = (np.stack([factors[name][side] for name in names]) for side in (0, 1))
    parts = dict(zip(names, factors["reach"][1] * split_product(before, after), strict=True))
    nothing = np.zeros(len(parts["rate"]))
    return {"reach": nothing, **parts, "cost": nothing * np.nan}


def _of_dimension(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of both tables for the slices of one dimension under one model."""
    spent = table["spend"].fillna(0.0)
    paid = (spent > max(_NEXT_TO_NOTHING * math.fsum(spent), _LEAST)).to_numpy()
    has_costs = bool(paid.any())
    compared = table[paid] if has_costs else table
    parts = {
        part: dict.fromkeys(("reference", "here", "roi_gap", "money", "profit_gap"), _nulls(table)) for part in PARTS
    }
    rows = table.assign(**dict.fromkeys(("roi_rest", "roi_gap", "total_gap", "money", "share", "profit_gap"), np.nan))
    spend = table["spend"].where(paid)
    rows["roi"] = (table["value"] - spend) / spend
    rows["mostly"] = None
    conversions = table["conversions"].to_numpy(float)
    rows["beyond_chance"] = label_z(conversions, table["expected"].to_numpy(float), conversions.sum())
    if len(compared) > 1:
        gap = Gap.of(compared, has_costs=has_costs)
        gaps = _gaps(gap, gap.shown())
        at = compared.index
        for part, columns in gaps.items():
            parts[part] = {name: _fill_positions(table, at, of) for name, of in columns.items()}
        money = np.nansum([gaps[part]["money"] for part in PARTS], axis=0)
        rows.loc[at, "money"] = money
        rows.loc[at, "profit_gap"] = np.nansum([gaps[part]["profit_gap"] for part in PARTS], axis=0)
        if has_costs:
            assert gap.costs is not None
            rest = gap.returns[0] / gap.costs[0] - 1
            rows.loc[at, "roi_rest"] = rest
            rows.loc[at, "roi_gap"] = rows.loc[at, "roi"] - rest
            rows.loc[at, "total_gap"] = (gap.costs[1] / gap.costs.sum(axis=0)) * rows.loc[at, "roi_gap"]
        short = np.maximum(-money, 0.0)
        rows.loc[at, "share"] = short / short.sum() if short.sum() > 0 else 0.0
        rows.loc[at, "mostly"] = _mostly(gaps, money)
    long = [
        table[[*_KEY, "slice"]].assign(part=part, place=np.arange(len(table)), **parts[part]).assign(order=order)
        for order, part in enumerate(PARTS)
    ]
    return rows, pd.concat(long).sort_values(["place", "order"], kind="stable")


def _gaps(gap: Gap, shown: dict[str, Floats]) -> dict[str, dict[str, Floats]]:
    """Per part: the factor here and of the rest, and what it adds to each gap."""
    profit = profit_parts(gap)
    if gap.costs is None:
        money = return_parts(gap)
        roi = {part: money[part] * np.nan for part in PARTS}
    else:
        roi = roi_parts(gap)
        money = {part: gap.costs[1] * roi[part] for part in PARTS}
    return {
        part: {
            "reference": shown[part][0],
            "here": shown[part][1],
            "roi_gap": roi[part],
            "money": money[part],
            "profit_gap": profit[part],
        }
        for part in PARTS
    }


def _mostly(gaps: dict[str, dict[str, Floats]], money: Floats) -> list[str | None]:
    """The part that pulls most in the direction of all of them; None where there is no gap."""
    names = PARTS[1:]
    pull = np.nan_to_num(np.stack([gaps[part]["money"] for part in names])) * np.sign(money)
    widest = pull.argmax(axis=0)
    return [names[position] if pull[position, at] > 0 else None for at, position in enumerate(widest)]


def _nulls(table: pd.DataFrame) -> Floats:
    return np.full(len(table), np.nan)


def _fill_positions(table: pd.DataFrame, at: pd.Index, of: Floats) -> Floats:
    placed = _nulls(table)
    placed[at] = of
    return placed


def _check(slices: pd.DataFrame) -> None:
    missing = [name for name in NEEDED if name not in slices]
    if missing:
        raise InputError(f"diagnose_roi: column {missing[0]!r} is missing", given=list(slices.columns), allowed=NEEDED)
    twice = slices.duplicated([*_KEY, "slice"])
    if twice.any():
        first = slices.loc[twice.idxmax(), [*_KEY, "slice"]].tolist()
        raise InputError("diagnose_roi: a slice appears twice", given=" / ".join(map(str, first)))
    for name in ("reach", "spend"):
        if (slices[name] < 0).any():
            raise InputError(f"diagnose_roi: {name} must not be below 0", given=float(slices[name].min()))
    counted = slices[["reach", "conversions", "value"]].to_numpy(float)
    if not np.isfinite(counted).all() or np.isinf(slices["spend"].to_numpy(float)).any():
        raise InputError(
            "diagnose_roi: reach, conversions and value must be finite numbers",
            allowed="finite numbers; spend may also be null",
        )

"""What a target can be about, and how a run answers for any set of channels.

Conversions, value and new customers add up over everything in scope. Ratios are of channels with spend: a conversion
that no money was spent on says nothing of what money brings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.amounts import percent
from attribution.decisions.kpis.runs import Run
from attribution.decisions.kpis.stages import stage_ends, stage_rows, stage_sums
from attribution.errors import InputError, did_you_mean
from attribution.kernels.statistics.intervals import divide_draws, percentile
from attribution.returns import booked_costs, is_known
from attribution.schema.tables import NO_CHANNELS

Floats = NDArray[np.float64]
Amounts = Mapping[str, Floats]
Direction = Literal["at_least", "at_most"]

ALL = "(all)"
COUNTED = "counted"
_SHORT = ("cac", "cpa", "ltv", "mer", "roas", "roi")
_OF_ALL = ("conversions", "value", "new_customers")
_COUNTED_SUMS = {*_OF_ALL, "lifetime"}
"""Of all channels and of no channel together these are what was observed, whatever the model."""


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes
    ----------
    direction : whether a target is the least or the most it should be, unless the target says
    needs : the sums that it is made of
    of : the metric of these sums
    adds_up : whether it grows with the days that a run covers
    is_ratio : whether it is a share that a unit of % may be used for
    is_money : whether it is money, or money for each of something
    of_stage : whether it is of a stage of the funnel
    of_all : whether it is of the whole business and of no channel
    """

    direction: Direction
    needs: tuple[str, ...]
    of: Callable[..., Floats]
    adds_up: bool = False
    is_ratio: bool = False
    is_money: bool = False
    of_stage: bool = False
    of_all: bool = False


class Answer(NamedTuple):
    """A metric in one run: NaN and None where it is not known; ``why`` says why.

    ``high`` is infinite where so many draws have nothing to divide by that there is no upper end; ``empty`` is the
    share of such draws.
    """

    value: float
    low: float = np.nan
    high: float = np.nan
    draws: Floats | None = None
    why: str = ""
    empty: float = np.nan


def _itself(amount: Floats) -> Floats:
    return amount


METRICS: Mapping[str, Metric] = {
    "conversions": Metric("at_least", ("conversions",), _itself, adds_up=True),
    "value": Metric("at_least", ("value",), _itself, adds_up=True, is_money=True),
    "new_customers": Metric("at_least", ("new_customers",), _itself, adds_up=True),
    "spend": Metric("at_most", ("booked",), _itself, adds_up=True, is_money=True),
    "average_value": Metric("at_least", ("value", "conversions"), divide_draws, is_money=True),
    "roas": Metric("at_least", ("paid_value", "spend"), divide_draws, is_ratio=True),
    "roi": Metric(
        "at_least", ("paid_return", "spend"), lambda earned, spend: divide_draws(earned - spend, spend), is_ratio=True
    ),
    "cpa": Metric("at_most", ("spend", "paid_conversions"), divide_draws, is_money=True),
    "cac": Metric("at_most", ("spend", "paid_new_customers"), divide_draws, is_money=True),
    "ltv_to_cac": Metric("at_least", ("paid_lifetime", "spend"), divide_draws, is_ratio=True),
    "margin_per_new_customer": Metric("at_least", ("lifetime", "new_customers"), divide_draws, is_money=True),
    "mer": Metric("at_least", ("value", "booked"), divide_draws, is_ratio=True, of_all=True),
    "arrivals": Metric("at_least", ("arrivals",), _itself, adds_up=True, of_stage=True),
    "arrival_share": Metric("at_least", ("arrivals", "all_arrivals"), divide_draws, is_ratio=True, of_stage=True),
    "cost_per_arrival": Metric("at_most", ("spend", "paid_arrivals"), divide_draws, is_money=True, of_stage=True),
    "full_cost_per_arrival": Metric(
        "at_most", ("full_spend", "paid_arrivals"), divide_draws, is_money=True, of_stage=True
    ),
    "rate_to_next": Metric("at_least", ("moved_on", "arrivals"), divide_draws, is_ratio=True, of_stage=True),
    "win_rate": Metric("at_least", ("won", "arrivals"), divide_draws, is_ratio=True, of_stage=True),
}
"""Metrics by name."""


def check_metric(name: str, origin: str) -> None:
    """Raise `InputError` if there is no such metric."""
    if name not in METRICS:
        hint = did_you_mean(name, METRICS)
        raise InputError(f"{origin}: unknown metric {name!r}", allowed=list(METRICS), hint=hint)


def measure(
    run: Run,
    metric: str,
    channels: Sequence[str] | None = None,
    *,
    model: str | None = None,
    basis: str | None = None,
    cost_basis: str | None = None,
    stage: str | None = None,
) -> Answer:
    """A metric of some channels in one run, with its interval where the run has draws for it.

    Spend is every cost that was booked for the channels; of all, shared costs are in it, whatever the model. MER is the
    value of everything, whoever it is credited to, ÷ all spend.

    Parameters
    ----------
    run : the run
    metric : see `METRICS`
    channels : all, and conversions of no channel too, unless given
    model : label of the model that gives credit; the first of the run unless given
    basis, cost_basis : on which terms; those that the run ranks channels by unless given
    stage : of the funnel, for metrics of one; their costs are those of ``[funnel]``

    Raises
    ------
    InputError
        If the run has no such model, channel, stage or terms.
    """
    check_metric(metric, "measure")
    label, definition = model or run.models[0], METRICS[metric]
    if definition.of_all and channels is not None:
        raise InputError(
            f"{metric} is defined only for the whole business",
            given=", ".join(channels),
            hint="leave out channel and role",
        )
    if definition.of_stage:
        return _of_stage(run, metric, label, stage, channels)
    rows = run.returns(label, basis, cost_basis)
    revenue = run.returns(label, "revenue", cost_basis) if _knows_revenue(run, cost_basis) else rows
    names = [name for name in rows.index if name not in NO_CHANNELS]
    _check_channels(run, channels, names)
    chosen = list(rows.index) if channels is None else list(channels)
    unknown = _without_effect(rows.loc[chosen], definition, of_all=channels is None)
    if unknown:
        why = f"{label} cannot tell the effect of {', '.join(unknown)}: only a test of spend would"
        return Answer(np.nan, why=why)
    sums = _sums(rows.loc[chosen], revenue.loc[chosen], _economics(run, label, cost_basis))
    booked = booked_costs(run.tables, cost_basis or run.terms[1]) if channels is None else sums.pop("booked", np.nan)
    if booked == booked:
        sums["booked"] = booked
    missing = [name for name in definition.needs if name not in sums]
    if missing:
        return Answer(np.nan, why=_say_missing(run, missing))
    value = _value_of(definition, sums)
    if np.isnan(value):
        return Answer(value, why="what it is divided by is 0 in this run")
    is_counted = channels is None and set(definition.needs) <= _COUNTED_SUMS
    if definition.needs == ("booked",) or definition.of_all or is_counted:
        has_more = set(run.tables["returns"]["cost_basis"]) - set(rows["cost_basis"])
        alone = "; media cost only" if "booked" in definition.needs and has_more == {"loaded"} else ""
        return Answer(value, why=f"{COUNTED}, not estimated, so there is no interval{alone}")
    on_main = (basis or run.terms[0], cost_basis or run.terms[1]) == run.terms
    if on_main or not {"spend", "paid_return"} & set(definition.needs):
        draws = _metric_draws(run, definition, label, rows, chosen)
    else:
        draws = "draws exist only for the return and cost that channels are ranked by"
    if not isinstance(draws, str):
        return _drawn_answer(definition, value, draws, run.level)
    ends = _published_interval(metric, rows.loc[chosen], revenue.loc[chosen]) if len(chosen) == 1 else None
    if ends is None:
        return Answer(value, why=f"no interval: {draws}")
    return Answer(value, *ends, why="the interval has no upper end" if np.isinf(ends[1]) else "")


def _without_effect(rows: pd.DataFrame, definition: Metric, *, of_all: bool) -> list[str]:
    """Channels whose effect the model cannot tell, where a metric is about effects; of all channels, those with spend.

    What was spent, and what all rows add up to, is known whatever the model.
    """
    if definition.needs == ("booked",) or definition.of_all or (of_all and set(definition.needs) <= _COUNTED_SUMS):
        return []
    return list(rows.index[~is_known(rows) & ((rows["spend"] > 0) | (not of_all))])


def _value_of(definition: Metric, sums: Mapping[str, float]) -> float:
    """A metric of sums; NaN where it is divided by nothing."""
    value = float(definition.of(*(np.array([sums[name]]) for name in definition.needs))[0])
    return value if np.isfinite(value) else np.nan


def _drawn_answer(definition: Metric, value: float, draws: Floats, level: float) -> Answer:
    """A value with the interval of its draws, and what to know of those that have nothing to divide by."""
    low, high = (float(end) for end in percentile(draws[:, None], level)[:, 0])
    empty = float((~np.isfinite(draws)).mean())
    if empty == 0:
        return Answer(value, low, high, draws, empty=empty)
    why = f"{percent(empty)} of draws have no {_DIVISORS[definition.needs[-1]]}"
    if not np.isfinite(low) or np.isnan(high):
        return Answer(value, why=f"no interval: {why}", empty=empty)
    return Answer(value, low, high, draws, why + (": the interval has no upper end" if np.isinf(high) else ""), empty)


_DIVISORS = {
    "conversions": "credited conversion",
    "paid_conversions": "credited conversion",
    "new_customers": "credited new customer",
    "paid_new_customers": "credited new customer",
    "spend": "spend",
}
"""What a metric is divided by, in a word."""


def spell_metric(metric: str) -> str:
    """A metric as it is written in a sentence.

    Examples
    --------
    >>> spell_metric("ltv_to_cac"), spell_metric("average_value")
    ('LTV to CAC', 'average value')
    """
    return " ".join(word.upper() if word in _SHORT else word for word in metric.split("_"))


def _say_missing(run: Run, missing: Sequence[str]) -> str:
    """The settings that a metric needs to be known."""
    needs = []
    if {"booked", "spend", "paid_value", "paid_return", "paid_conversions"} & set(missing):
        needs.append("costs of these channels (`[tables.costs]`)")
    of_customers = {name for name in missing if "new_customers" in name or "lifetime" in name}
    if of_customers and "unit_economics" not in run.tables:
        needs.append("`[output] unit_economics = true`")
    if any("lifetime" in name for name in of_customers):
        needs.append("`[returns] margin` with `ltv` or `lifetime`")
    return f"it needs {' and '.join(needs)}"


def _check_channels(run: Run, channels: Sequence[str] | None, names: Sequence[str]) -> None:
    unknown = [name for name in channels or () if name not in names]
    if unknown:
        hint = did_you_mean(unknown[0], names)
        raise InputError(f"run {run.name!r} has no channel {unknown[0]!r}", allowed=names, hint=hint)


def _of_stage(run: Run, metric: str, model: str, stage: str | None, channels: Sequence[str] | None) -> Answer:
    run.check_model(model)
    rows, definition = stage_rows(run, model, stage, metric), METRICS[metric]
    _check_channels(run, channels, [name for name in rows.credit.index if name not in NO_CHANNELS])
    sums = stage_sums(rows.credit, channels)
    missing = [name for name in definition.needs if name not in sums]
    if missing:
        return Answer(np.nan, why=_WHY.get(missing[0], f"the run has no arrivals in {stage} for this channel"))
    value = _value_of(definition, sums)
    if np.isnan(value):
        return Answer(value, why=f"there is nothing to divide by in {stage} in this run")
    low, high = stage_ends(rows, metric, channels)
    return Answer(value, low, high, why="" if low == low else "no interval: only rates of a single channel have one")


_WHY = {
    "spend": "the run has no spend: it needs costs of these channels",
    "full_spend": "the run has no cost per case: it needs funnel.costs",
}


def _knows_revenue(run: Run, cost_basis: str | None) -> bool:
    table = run.tables["returns"]
    effective_basis = cost_basis or run.terms[1]
    return bool(((table["basis"] == "revenue") & (table["cost_basis"] == effective_basis)).any())


def _economics(run: Run, model: str, cost_basis: str | None) -> pd.DataFrame | None:
    table = run.tables.get("unit_economics")
    if table is None:
        return None
    available = set(table["cost_basis"])
    preferred = cost_basis or run.terms[1]
    chosen = preferred if preferred in available else "media"
    return table[(table["model"] == model) & (table["cost_basis"] == chosen)].set_index("channel")


def _sums(rows: pd.DataFrame, revenue: pd.DataFrame, economics: pd.DataFrame | None) -> dict[str, float]:
    """Every sum that is known, over the given rows; those of ``paid_…`` over channels with an ROI."""
    paid = rows["roi"].notna()
    sums = {
        "conversions": float(rows["conversions"].sum()),
        "value": float(revenue["value"].sum()),
    }
    if rows["spend"].notna().any():
        sums["booked"] = float(rows["spend"].sum())
    if paid.any():
        sums |= {
            "spend": float(rows.loc[paid, "spend"].sum()),
            "paid_conversions": float(rows.loc[paid, "conversions"].sum()),
            "paid_value": float(revenue.loc[paid, "value"].sum()),
            "paid_return": float(rows.loc[paid, "value"].sum()),
        }
    if economics is not None:
        new = economics["new_customers"].reindex(rows.index).fillna(0.0)
        sums |= {"new_customers": float(new.sum()), "paid_new_customers": float(new[paid].sum())}
        lifetime = economics["lifetime_margin"].reindex(rows.index) * new
        if lifetime.notna().any():
            sums |= {"lifetime": float(lifetime.sum()), "paid_lifetime": float(lifetime[paid].sum())}
    return sums


def _metric_draws(
    run: Run, definition: Metric, model: str, rows: pd.DataFrame, channels: Sequence[str]
) -> Floats | str:
    """(draws,) of a metric, or why there are none."""
    draws = run.draws(model)
    if not draws:
        return "the run kept no draws; set output.draws = true"
    sums = _drawn_sums(draws, rows, [name for name in channels if name not in NO_CHANNELS])
    if any(name not in sums for name in definition.needs):
        return "there are no draws of the value of new customers"
    return definition.of(*(sums[name] for name in definition.needs))


def _published_interval(metric: str, row: pd.DataFrame, revenue: pd.DataFrame) -> tuple[float, float] | None:
    """Ends of the interval of one channel, as the table ``returns`` has them; ``revenue`` is its row on revenue."""
    of = {"roas": "value", "cpa": "conversions"}.get(metric, metric)
    if f"{of}_low" not in row:
        return None
    rows = revenue if of == "value" else row
    low, high = float(rows[f"{of}_low"].iloc[0]), float(rows[f"{of}_high"].iloc[0])
    if np.isnan([low, high]).any():
        return None
    spend = float(row["spend"].iloc[0])
    if metric == "cpa":
        # Where the lower end is no conversion, the cost of one has no upper end.
        return (spend / high, spend / low if low > 0 else np.inf) if high > 0 else None
    return (low / spend, high / spend) if metric == "roas" else (low, high)


def _drawn_sums(draws: Mapping[str, pd.DataFrame], rows: pd.DataFrame, channels: Sequence[str]) -> dict[str, Floats]:
    """(draws,) sums over channels, as `_sums` has them of the estimate."""
    held = [name for name in channels if name in draws["conversions"].columns]
    paid = [name for name in held if pd.notna(rows["roi"].get(name))]
    every = {name: of[held].to_numpy().sum(axis=1) for name, of in draws.items() if name in _OF_ALL}
    of_paid = {name: draws[name][paid].to_numpy().sum(axis=1) for name in (*_OF_ALL, "return", "spend")}
    return every | {name if name == "spend" else f"paid_{name}": of for name, of in of_paid.items()}

"""What lift tests measured: one row per test and measure, in the days of the test and in the period of the log."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from attribution.arguments import check_arguments
from attribution.errors import InputError
from attribution.incrementality.lift_checks import FEW_CONVERSIONS
from attribution.incrementality.lift_declared import LIFT_READINGS
from attribution.incrementality.lift_tests import REPORTED, DeclaredTest, read_lift_tests
from attribution.kernels.incremental.lift_effects import (
    Estimate,
    Interval,
    cost_per_effect,
    differ_by_chance,
    difference_in_regions,
    difference_of_means,
    difference_of_rates,
    effect_of_lift,
    error_of_interval,
    interval,
    lift_of_rates,
    normal_error,
    ratio_mismatch,
    return_on_spend,
    scale_to_period,
)

LEVEL = 0.9
"""Coverage of the intervals of readings."""

DRIFT = 0.3
"""How much an effect may change from one period to another, as a share of it."""

SEGMENTS_DIFFER = 0.05
"""Probability below which segments are said to differ."""

_TEXTS = [column for column in LIFT_READINGS.columns if column.type == "text"]
_NUMBERS = [column for column in LIFT_READINGS.columns if column.type in ("number", "count")]
_NO_CALIBRATION = {
    "on_off": "days on and off were not assigned by chance, so this never calibrates credit",
    "ab": "compares two variants, so it does not say what a channel caused",
}


@dataclass(frozen=True)
class LogPeriod:
    """What the log says of the period that effects are brought to.

    Attributes
    ----------
    first, last : its days, inclusive; None where the log has only an order
    exposed : by channel, customers touched in it; empty where the log has converting customers alone
    spend : by channel
    mean_value : of a conversion; NaN without values
    drift : how much an effect may change from one period to another, as a share of it
    """

    first: dt.date | None
    last: dt.date | None
    exposed: Mapping[str, float] = field(default_factory=dict)
    spend: Mapping[str, float] = field(default_factory=dict)
    mean_value: float = np.nan
    drift: float = DRIFT

    @property
    def days(self) -> float:
        """How long it is; NaN where that is not known."""
        return np.nan if self.first is None or self.last is None else float((self.last - self.first).days + 1)

    def holds(self, test: DeclaredTest) -> bool:
        """Whether the test lies in it."""
        if test.first_day is None or test.outcome_until is None:
            return True
        if self.first is None or self.last is None:
            return False
        return self.first <= test.first_day and test.outcome_until <= self.last


class Measured(NamedTuple):
    """One measure of a test: its estimate, and what stands beside it in the table."""

    estimate: Estimate
    columns: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()


class Scaling(NamedTuple):
    """What brings an effect to the log's period: a factor, what it is made of, and what it costs in certainty."""

    factor: float
    by: str
    spend_ratio: float = 1.0
    drift: float = 0.0


@check_arguments
def measure_lift(tests: Any, *, level: float = LEVEL) -> pd.DataFrame:
    """What lift tests and A/B tests measured, in their own days.

    Parameters
    ----------
    tests : a DataFrame, Arrow table, path of a CSV, Parquet, JSON, Excel or TOML file, or a `TableSpec` for column
        maps; columns: see `attribution.schema.tables.LIFT_TESTS`
    level : coverage of the intervals

    Returns
    -------
    DataFrame
        The table ``lift_readings``, without what tests are in the period of a log: that is what a run tells.

    Raises
    ------
    InputError
        If the tests cannot be read, or cannot be trusted: exposed against unexposed customers, arms that are not of the
        planned sizes, too few conversions, …

    Examples
    --------
    >>> import attribution as at
    >>> tests = pd.DataFrame({"test": "spring", "channel": "mail", "design": "holdout", "arm": ["test", "control"],
    ...                       "first_day": "2024-03-01", "last_day": "2024-03-14", "customers": [80_000, 20_000],
    ...                       "conversions": [2_800, 640]})
    >>> at.measure_lift(tests)[["effect", "low", "high"]].round(1).values.tolist()
    [[300.0, 69.1, 530.9]]
    """
    if tests is None:
        raise InputError("measure_lift: tests are needed", allowed="a DataFrame, a path or a TableSpec")
    if not 0 < level < 1:
        raise InputError("measure_lift: level must lie between 0 and 1", given=level)
    return readings_table(read_lift_tests(tests), level=level)


def readings_table(
    tests: Sequence[DeclaredTest],
    log: LogPeriod | None = None,
    *,
    level: float = LEVEL,
    further: Sequence[Mapping[str, Any]] = (),
) -> pd.DataFrame:
    """The table ``lift_readings``.

    Parameters
    ----------
    tests : as they were declared
    log : the period that effects are brought to; without it the columns of the period are null
    level : coverage of the intervals
    further : rows of readings that rest on no test
    """
    rows = [*(row for test in tests for row in _rows_of(test, log, level)), *further]
    table = pd.DataFrame(rows, columns=list(LIFT_READINGS.column_names))
    texts = {c.name: table[c.name].astype(object).where(table[c.name].notna(), None) for c in _TEXTS}
    return table.assign(**texts).astype({**{c.name: "float64" for c in _NUMBERS}, "calibrates": bool})


def scaling_of(test: DeclaredTest, log: LogPeriod) -> Scaling | None:
    """How a test of a channel is brought to the log's period; None where nothing says how."""
    if test.first_day is None or test.days is None:
        return Scaling(1.0, "none")
    channel = str(test.channel)
    drift = 0.0 if log.holds(test) and not test.is_of_part else log.drift
    reach = _reach(test)
    spend = _times(log.spend.get(channel), _spend(test))
    exposures = _times(log.exposed.get(channel), reach)
    if np.isfinite(test.scale):
        return Scaling(test.scale, "given", spend / test.scale if np.isfinite(spend) else 1.0, drift)
    if np.isfinite(exposures):
        return Scaling(exposures, "exposures", spend / exposures if np.isfinite(spend) else 1.0, drift)
    if np.isfinite(spend):
        ratio = spend * test.days / log.days
        return Scaling(spend, "spend", ratio if np.isfinite(ratio) else 1.0, drift)
    if log.holds(test):
        return Scaling(log.days / test.days, "days", 1.0, drift)
    return None


def _times(now: float | None, then: float) -> float:
    """How many times as much; NaN where one is not known."""
    return now / then if now is not None and now > 0 and then > 0 else np.nan


def _reach(test: DeclaredTest, segment: str | None = None) -> float:
    """Customers exposed, had everybody been reachable; NaN where the test does not count them."""
    if test.design in REPORTED or test.design == "geo":
        return np.nan
    arms = test.arms(segment)
    return float(arms["exposed"][0] * arms["customers"].sum() / arms["customers"][0])


def _spend(test: DeclaredTest, segment: str | None = None) -> float:
    """Spend that had the effect: the test arm's, for all customers that the effect is of; NaN where not given."""
    if test.design in REPORTED:
        return float(test.rows["spend"].iloc[0])
    arms = test.arms(segment)
    return float(arms["spend"][0] * arms["customers"].sum() / arms["customers"][0])


# ---------------------------------------------------------------- one test


def _rows_of(test: DeclaredTest, log: LogPeriod | None, level: float) -> list[dict[str, Any]]:
    scaling = None if log is None or test.design == "ab" else scaling_of(test, log)
    rows = []
    for segment in (None, *(test.segments if len(test.segments) > 1 else ())):
        conversions = _measure(test, segment, level)
        # Least squares leave rounding where all is alike.
        if conversions.estimate.standard_error <= 1e-9 * conversions.columns.get("customers", 0.0):
            raise InputError(
                f"lift test {test.name!r} shows no variation, so nothing says how sure its effect is",
                given="the same rate everywhere" if test.design == "geo" else "arms in which all customers converted",
                hint="check its counts, or leave it out",
            )
        spend = _spend(test, segment)
        measures = {"conversions": conversions, "value": _measure_value(test, segment, conversions, log)}
        for measure, measured in measures.items():
            if measured is not None:
                row = _row(test, segment, measure, measured, level) | ratios(measure, measured.estimate, spend, level)
                if scaling is not None and segment is None:
                    row |= in_period(measured.estimate, scaling, level)
                rows.append(row)
    return rows


def _row(test: DeclaredTest, segment: str | None, measure: str, measured: Measured, level: float) -> dict[str, Any]:
    estimate = measured.estimate
    ends = interval(estimate, level)
    own = [f"of customers of segment {name} alone" for name in test.segments if len(test.segments) == 1]
    notes = [*own, *measured.notes, *([_NO_CALIBRATION[test.design]] if test.design in _NO_CALIBRATION else [])]
    return {
        "test": test.name,
        "channel": test.channel,
        "campaign": test.campaign,
        "what": test.what,
        "segment": segment,
        "design": test.design,
        "estimand": "incremental",
        "measure": measure,
        "first_day": None if test.first_day is None else str(test.first_day),
        "last_day": None if test.outcome_until is None else str(test.outcome_until),
        **measured.columns,
        "effect": estimate.effect,
        "standard_error": estimate.standard_error,
        "low": ends.low,
        "high": ends.high,
        "level": level,
        "effect_per_day": np.nan if test.days is None else estimate.effect / test.days,
        "scope": None if test.design == "ab" else "part" if test.is_of_part else "whole",
        "sample_ratio_p": sample_ratio(test),
        "calibrates": test.design not in _NO_CALIBRATION and segment is None,
        "note": "; ".join(notes) or None,
    }


def sample_ratio(test: DeclaredTest) -> float:
    """Probability that chance alone departs so far from the planned sizes of arms; NaN where none were planned."""
    if not np.isfinite(test.planned_share):
        return np.nan
    return ratio_mismatch(test.arms()["customers"], [1 - test.planned_share, test.planned_share])


def _segments_note(test: DeclaredTest) -> str:
    """Whether the lift differs between segments by more than chance."""
    parts = [[test.arms(name)[column] for column in test.count_columns] for name in test.segments]
    customers, conversions = (np.array(column) for column in zip(*parts, strict=True))
    if not (conversions > 0).all():
        return "a segment has an arm without conversions, so segments are not compared"
    rates = conversions / customers
    errors = np.sqrt(((1 - rates) / conversions).sum(axis=1))
    p = differ_by_chance(np.log(rates[:, 0] / rates[:, 1]), errors)
    shown = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
    if p < SEGMENTS_DIFFER:
        return f"the lift differs between segments by more than chance ({shown})"
    return f"the lift differs between segments no more than by chance ({shown}): act on that of all together"


def _measure(test: DeclaredTest, segment: str | None, level: float) -> Measured:
    """Conversions caused."""
    if test.design in REPORTED:
        return reported_estimate(test.rows.iloc[0], level)
    if test.design == "geo":
        return _geo(test)
    arms = test.arms(segment)
    customers, conversions = (arms[name] for name in test.count_columns)
    population = _reach(test, segment) if test.compares_exposed else float(customers.sum())
    estimate = difference_of_rates(conversions, customers, population)
    notes = []
    by = _contamination(test, arms)
    if by != 1:
        estimate = Estimate(estimate.effect * by, estimate.standard_error * by)
        notes.append(f"control was exposed, too: the difference is multiplied with {by:.3g}")
    if test.compares_exposed:
        notes.append("conversions of customers who are or would be exposed")
    if segment is None and len(test.segments) > 1:
        notes.append(_segments_note(test))
    if not np.isfinite(test.planned_share) and not test.compares_exposed:
        notes.append("sizes of the arms are not checked: planned_share is not given")
    if test.design == "psa":
        notes.append("right only if ads of control run at the same placements")
    rates = conversions / customers
    lift = lift_of_rates(conversions, customers, level)
    if conversions.sum() < FEW_CONVERSIONS:
        estimate, lift = Estimate(estimate.effect, np.nan), Interval(np.nan, np.nan, np.nan)
        notes.append("too few conversions in this segment to read")
    columns = {
        "customers": population,
        "rate_test": rates[0],
        "rate_control": rates[1],
        "lift": lift.middle,
        "lift_low": lift.low,
        "lift_high": lift.high,
    }
    return Measured(estimate, columns, tuple(notes))


def reported_estimate(row: pd.Series, level: float) -> Measured:
    """Conversions caused, as somebody else has measured them."""
    own_level = LEVEL if pd.isna(row["level"]) else float(row["level"])
    if pd.notna(row["lift"]):
        lift = Interval(*(float(row[name]) for name in ("lift", "lift_low", "lift_high")))
        estimate = effect_of_lift(float(row["conversions"]), lift, own_level)
        # The interval is given for its own level.
        same = {"lift": lift.middle} | ({"lift_low": lift.low, "lift_high": lift.high} if own_level == level else {})
        return Measured(estimate, same)
    error = row["standard_error"]
    if pd.isna(error):
        error = error_of_interval(float(row["low"]), float(row["high"]), own_level)
    return Measured(Estimate(float(row["effect"]), float(error)))


def _geo(test: DeclaredTest) -> Measured:
    rates = (
        test.rows.assign(rate=test.rows["conversions"] / test.rows["customers"])
        .pivot(index="region", columns="phase", values="rate")
        .sort_index()
    )
    arms = test.rows.drop_duplicates("region").set_index("region")["arm"].reindex(rates.index)
    population = float(test.arms()["customers"].sum())
    estimate = difference_in_regions(rates["before"], rates["during"], arms == "test", population)
    note = f"{len(rates)} regions are the units, t with {estimate.degrees:g} degrees of freedom"
    return Measured(estimate, {"customers": population}, (note,))


def _measure_value(
    test: DeclaredTest, segment: str | None, conversions: Measured, log: LogPeriod | None
) -> Measured | None:
    """Value caused: by the values of customers, else conversions × mean value; None where no value is known."""
    if test.design not in REPORTED:
        arms = test.arms(segment)
        customers, counts = (arms[name] for name in test.count_columns)
        if np.isfinite(arms["value_sd"]).all():
            estimate = difference_of_means(arms["value"], arms["value_sd"], customers, conversions.columns["customers"])
            by = _contamination(test, arms)
            return Measured(Estimate(estimate.effect * by, estimate.standard_error * by), _population(conversions))
        mean = float(arms["value"].sum() / counts.sum())
    else:
        mean = float(test.rows["value"].iloc[0] / test.rows["conversions"].iloc[0])
    note = "value is conversions × their mean value: its interval leaves out how much values vary"
    if not np.isfinite(mean) and log is not None and test.design != "ab":
        mean, note = log.mean_value, f"{note}; the mean is that of the log, as the test has no values"
    if not np.isfinite(mean):
        return None
    effect, error, degrees = conversions.estimate
    return Measured(Estimate(effect * mean, error * abs(mean), degrees), _population(conversions), (note,))


def _population(conversions: Measured) -> dict[str, float]:
    return {"customers": conversions.columns.get("customers", np.nan)}


def _contamination(test: DeclaredTest, arms: Mapping[str, Any]) -> float:
    """What a difference is multiplied with where control was treated, too: it shows in the rest of it alone."""
    shares = arms["exposed"] / arms["customers"]
    return 1.0 if test.compares_exposed or not shares[1] > 0 else float(shares[0] / (shares[0] - shares[1]))


def ratios(measure: str, estimate: Estimate, spend: float, level: float) -> dict[str, float]:
    """Cost per conversion caused, or value caused per unit of spend; none without spend."""
    if not spend > 0 or np.isnan(estimate.standard_error):
        return {}
    name, compute = (
        ("cost_per_incremental", cost_per_effect) if measure == "conversions" else ("iroas", return_on_spend)
    )
    ratio = compute(spend, interval(estimate, level))
    return {"spend": spend, name: ratio.middle, f"{name}_low": ratio.low, f"{name}_high": ratio.high}


def in_period(estimate: Estimate, scaling: Scaling, level: float) -> dict[str, Any]:
    """The effect in the period of the log, as columns."""
    # Calibration takes errors for normal ones: few regions make wide intervals, and so must their error.
    normal = Estimate(estimate.effect, normal_error(estimate, level))
    scaled = scale_to_period(normal, scaling.factor, drift=scaling.drift, spend_ratio=scaling.spend_ratio)
    ends = interval(scaled, level)
    return {
        "scale": scaling.factor,
        "scaled_by": scaling.by,
        "period_effect": scaled.effect,
        "period_standard_error": scaled.standard_error,
        "period_low": ends.low,
        "period_high": ends.high,
    }

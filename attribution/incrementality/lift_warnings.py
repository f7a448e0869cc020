"""What to know of lift tests before they are believed: as rows of the table ``quality``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from attribution.amounts import format_amount, percent
from attribution.data.loading import Finding, count_finding
from attribution.incrementality.lift_readings import LogPeriod, scaling_of
from attribution.incrementality.lift_tests import DeclaredTest
from attribution.kernels.incremental.lift_effects import shares_mismatch

_PLACEMENT = 0.01
"""Arms of a PSA test whose shares of exposed customers differ so surely have other placements."""

_OTHER_SPEND = 1.5
"""How many times the spend of a test today's may be, or the reverse, without a warning."""

_CONTRADICTION = 2.576
"""Standard errors between two tests of one channel: chance alone goes as far in 1 of 100 pairs."""


def lift_findings(
    tests: Sequence[DeclaredTest],
    readings: pd.DataFrame,
    log: LogPeriod | None = None,
    lookback_days: float | None = None,
) -> list[Finding]:
    """Warnings on tests, one row per kind; those that need a log are left out without one.

    Parameters
    ----------
    tests, readings : the tests, and what they measured
    log : the period that readings were brought to
    lookback_days : of the journeys
    """
    findings = [
        _finding(
            "lift_contamination",
            tests,
            [test for test in tests if _has_exposed_control(test)],
            "tests whose control was exposed, too: their effect is what the rest of the difference says; leave "
            "control without the channel next time",
        ),
        _finding(
            "lift_placement",
            tests,
            [test for test in tests if test.design == "psa" and _exposed_mismatch(test) < _PLACEMENT],
            "PSA tests whose control was exposed at another rate, probably at cheaper placements: the arms may be "
            "other customers; use ghost ads, or compare all customers (design = 'holdout')",
        ),
    ]
    if lookback_days is not None:
        short = [test for test in tests if _outcome_days(test) < lookback_days]
        message = (
            f"tests that count conversions for less than the lookback window of {lookback_days:g} days: part of the "
            "effect came later; set outcome_until to a later day, and count until then"
        )
        findings.append(_finding("lift_window", tests, short, message))
    if log is not None:
        findings += [_other_spend(tests, log), _contradictions(readings)]
    return findings


def _finding(check: str, tests: Sequence[DeclaredTest], cases: Sequence[DeclaredTest], message: str) -> Finding:
    names = ", ".join(test.name for test in cases[:3])
    return count_finding(check, "lift_tests", len(cases), message, total=len(tests), example=names)


def _has_exposed_control(test: DeclaredTest) -> bool:
    return test.design in ("holdout", "ab") and bool(test.arms()["exposed"][1] > 0)


def _exposed_mismatch(test: DeclaredTest) -> float:
    arms = test.arms()
    return shares_mismatch(arms["exposed"], arms["customers"])


def _outcome_days(test: DeclaredTest) -> float:
    if test.first_day is None or test.outcome_until is None or test.design == "ab":
        return np.inf
    return (test.outcome_until - test.first_day).days + 1


def _other_spend(tests: Sequence[DeclaredTest], log: LogPeriod) -> Finding:
    cases = []
    for test in tests:
        scaling = None if test.design == "ab" else scaling_of(test, log)
        if scaling is not None and abs(np.log(scaling.spend_ratio)) > np.log(_OTHER_SPEND):
            cases.append(test)
    message = (
        "tests at another spend than today's: more spend brings less per unit, so their effects are less sure in the "
        "period of the log; add a test at today's spend"
    )
    return _finding("lift_spend", tests, cases, message)


def _contradictions(readings: pd.DataFrame) -> Finding:
    """Pairs of tests of one channel that cannot both be right."""
    rows = readings[readings["calibrates"] & (readings["measure"] == "conversions")]
    rows = rows[rows["period_standard_error"].notna()]
    pairs = [pair for _, part in rows.groupby("channel") for pair in combinations(part.itertuples(index=False), 2)]
    cases = [
        (one, other)
        for one, other in pairs
        if abs(one.period_effect - other.period_effect)
        > _CONTRADICTION * np.hypot(one.period_standard_error, other.period_standard_error)
    ]
    example = "; ".join(
        f"{one.channel}: {one.test} says {format_amount(one.period_effect)}, {other.test} "
        f"{format_amount(other.period_effect)}"
        for one, other in cases[:1]
    )
    message = (
        f"pairs of tests of one channel that contradict each other, as chance does in {percent(0.01)} of pairs: find "
        "out in what they differ, and leave out the one that is not like today"
    )
    return count_finding("lift_contradiction", "lift_tests", len(cases), message, total=len(pairs), example=example)

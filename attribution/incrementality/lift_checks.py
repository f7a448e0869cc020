"""Tests that cannot be trusted, and rows that contradict their design: refused with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from attribution.amounts import percent
from attribution.errors import InputError, did_you_mean
from attribution.kernels.incremental.lift_effects import difference_of_rates, ratio_mismatch, shares_mismatch
from attribution.schema.tables import LIFT_TESTS

UNLIKELY = 0.001
"""A test whose arms differ so much in size is refused: chance alone hardly ever does that."""

FEW_CONVERSIONS = 10
"""Both arms together; with fewer there is nothing to read."""

FEW_REGIONS = 4
"""Per arm, of a geo test."""

ONE_VALUE = (
    *("channel", "campaign", "what", "design", "first_day", "last_day", "outcome_until", "planned_share", "scale"),
)
"""Columns that are the same in all rows of a test."""

_OF_ARMS = ("arm", "segment", "customers", "exposed", "conversions", "value", "value_sd", "spend", "planned_share")
_OF_GEO = ("arm", "region", "phase", "customers", "conversions", "value", "spend")
_OF_REPORTS = (
    *("effect", "standard_error", "low", "high", "lift", "lift_low", "lift_high", "level"),
    *("conversions", "value", "spend"),
)
USED: Mapping[str, tuple[str, ...]] = {
    "holdout": _OF_ARMS,
    "ghost_ads": (*_OF_ARMS, "conversions_of_exposed"),
    "psa": (*_OF_ARMS, "conversions_of_exposed"),
    "geo": _OF_GEO,
    "reported": _OF_REPORTS,
    "on_off": _OF_REPORTS,
    "ab": (*_OF_ARMS, "what"),
}
"""By design, the columns that it reads, beside those of every test."""

_EVERY = ("test", "channel", "campaign", "design", "first_day", "last_day", "outcome_until", "scale")
NEEDED: Mapping[str, tuple[str, ...]] = {
    "holdout": ("customers", "conversions"),
    "ghost_ads": ("customers", "exposed", "conversions_of_exposed"),
    "psa": ("customers", "exposed", "conversions_of_exposed"),
    "geo": ("region", "phase", "customers", "conversions"),
    "ab": ("customers", "conversions"),
}
"""By design with arms, the columns that it needs in every row."""

_WHOLE = ("customers", "exposed", "conversions_of_exposed")
_AT_MOST = (("conversions", "customers"), ("exposed", "customers"), ("conversions_of_exposed", "exposed"))


def check_rows(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    """What all rows of a test say alike, by `ONE_VALUE`; None where they say nothing.

    Parameters
    ----------
    name : of the test
    rows : all of the test, with every column of ``lift_tests``

    Raises
    ------
    InputError
        If they contradict each other or their design, or the test cannot be trusted.
    """
    one = {column: _one_value(name, column, rows) for column in ONE_VALUE}
    design = one["design"]
    if design not in USED:
        raise _refusal(
            name,
            "has no design" if design is None else "has an unknown design",
            given=design,
            allowed=USED,
            hint=None if design is None else did_you_mean(design, USED),
        )
    has_arms = design in NEEDED
    if has_arms:
        _check_exposed_against_unexposed(name, rows)
        _check_units(name, design, rows)
    _check_columns(name, design, rows)
    _check_days(name, one, needed=has_arms)
    if one["channel"] is None and design != "ab":
        raise _refusal(name, "has no channel", allowed="the channel that was tested, as the log calls it")
    if one["scale"] is not None and one["scale"] <= 0:
        raise _refusal(name, "scale must be above 0", given=one["scale"])
    if has_arms:
        _check_arms(name, design, rows, one["planned_share"])
    else:
        _check_report(name, design, rows)
    return one


def _refusal(name: str, problem: str, **details: Any) -> InputError:
    return InputError(f"lift test {name!r} {problem}", **details)


def _one_value(name: str, column: str, rows: pd.DataFrame) -> Any:
    # The rows of the time before a geo test may have days of their own.
    own = rows[rows["phase"] != "before"] if column in ("first_day", "last_day", "outcome_until") else rows
    values = list(dict.fromkeys(own[column].dropna()))
    if len(values) > 1:
        raise _refusal(
            name,
            f"has several values of {column}",
            given=", ".join(map(str, values[:3])),
            allowed="one for all rows of a test",
            hint="give different tests different names",
        )
    return values[0] if values else None


def _check_columns(name: str, design: str, rows: pd.DataFrame) -> None:
    """Refuse what the design would not read, and rows without what it needs."""
    used = (*_EVERY, *USED[design])
    unread = [column for column in LIFT_TESTS.column_names if column not in used and rows[column].notna().any()]
    if unread:
        raise _refusal(name, f"has a column {unread[0]!r}, which design {design!r} does not read", allowed=USED[design])
    for column in NEEDED.get(design, ()):
        if rows[column].isna().any():
            raise _refusal(
                name,
                f"lacks {column} in {int(rows[column].isna().sum())} of {len(rows)} rows",
                allowed=f"design {design!r} needs {', '.join(NEEDED[design])} in every row",
            )
    for column in _WHOLE:
        broken = rows[column].dropna()
        broken = broken[broken % 1 != 0]
        if len(broken):
            raise _refusal(name, f"{column} must be a whole number", given=broken.iloc[0])
    for column in ("customers", "spend", "exposed", "conversions", "conversions_of_exposed", "value_sd"):
        least = rows[column].min()
        if least < 0 or (column == "customers" and least == 0):
            allowed = "numbers above 0" if column == "customers" else "numbers ≥ 0"
            raise _refusal(name, f"has a wrong number of {column}", given=f"{least:g}", allowed=allowed)


def _check_days(name: str, one: Mapping[str, Any], *, needed: bool) -> None:
    first, last, until = one["first_day"], one["last_day"], one["outcome_until"]
    if (first is None) != (last is None) or (needed and first is None) or (first is None and until is not None):
        raise _refusal(name, "needs first_day and last_day", given=f"{first} and {last}")
    if first is None:
        return
    if first > last:
        raise _refusal(name, "ends before it begins", given=f"{first} to {last}")
    if until is not None and until < last:
        raise _refusal(
            name,
            "counts no conversions of its last days",
            given=f"outcome_until = {until}, last_day = {last}",
            allowed="outcome_until on or after last_day",
        )


def _check_exposed_against_unexposed(name: str, rows: pd.DataFrame) -> None:
    """Refuse arms that are made of who was exposed, by their names."""
    arms = rows["arm"].fillna("").str.contains("expos")
    if not arms.any():
        return
    is_control = rows["arm"].fillna("").str.contains("un|not|non|control")
    raise _refusal(
        name,
        "compares customers who were exposed with customers who were not. Exposure is not given by chance: it goes to "
        f"those who are online more and closer to buying.{_would_show(rows, ~is_control, is_control)}",
        given=", ".join(dict.fromkeys(rows["arm"].dropna())),
        allowed="arms test and control, to which customers were assigned by chance, whether exposed or not",
    )


def _would_show(rows: pd.DataFrame, is_test: pd.Series, is_control: pd.Series) -> str:
    """What a comparison that means nothing would have shown, as a sentence; empty where that cannot be computed."""
    sums = [rows.loc[part, ["customers", "conversions"]].sum() for part in (is_test, is_control)]
    customers, conversions = (np.array([each[column] for each in sums]) for column in ("customers", "conversions"))
    if not ((customers > 0) & (conversions <= customers)).all() or not conversions.any():
        return ""
    effect, error, _ = difference_of_rates(conversions, customers, float(customers[0]))
    return f" It would have shown {effect:,.0f} conversions caused (standard error {error:,.0f}), which mean nothing"


def _check_units(name: str, design: str, rows: pd.DataFrame) -> None:
    """Refuse customers as units where regions were assigned."""
    is_during = rows["phase"].isna() | (rows["phase"] == "during")
    shown = _would_show(rows, is_during & (rows["arm"] == "test"), is_during & (rows["arm"] == "control"))
    why = (
        "Regions were assigned, not customers, and regions differ by more than the luck of their customers, so "
        f"counting customers makes the result look far too sure.{shown}"
    )
    if design == "geo" and rows["region"].isna().any():
        raise _refusal(
            name,
            f"is a geo test without regions. {why}",
            allowed="a row for each region and phase (before, during)",
        )
    if design != "geo" and rows["region"].notna().any():
        raise _refusal(
            name,
            f"has regions, but design {design!r} counts customers. {why}",
            allowed="design = 'geo', with a row for each region and phase (before, during)",
        )


def _check_arms(name: str, design: str, rows: pd.DataFrame, planned: float | None) -> None:
    _check_words(name, "arm", rows, ("test", "control"))
    if design == "geo":
        _check_words(name, "phase", rows, ("before", "during"))
    keys = ["arm", *(("region", "phase") if design == "geo" else ("segment",))]
    twice = rows[rows.duplicated(keys)]
    if len(twice):
        raise _refusal(
            name, "has two rows of the same arm", given=", ".join(f"{key} = {twice.iloc[0][key]}" for key in keys)
        )
    if rows["segment"].notna().any() and rows["segment"].isna().any():
        raise _refusal(
            name, "has a segment in some rows alone", allowed="a segment in every row, or in none; they are added up"
        )
    for segment, part in rows.groupby("segment", dropna=False):
        missing = {"test", "control"} - set(part["arm"])
        if missing:
            where = "" if pd.isna(segment) else f" in segment {segment!r}"
            raise _refusal(name, f"has one arm only{where}", given=f"no {missing.pop()}", allowed="test and control")
    for part, whole in _AT_MOST:
        over = rows[rows[part] > rows[whole]]
        if len(over):
            raise _refusal(
                name,
                f"has more {part} than {whole}",
                given=f"{over.iloc[0][part]:,.0f} of {over.iloc[0][whole]:,.0f}",
                hint="count each customer once: whether they converted, not how often"
                if part == "conversions"
                else None,
            )
    if rows.loc[rows["arm"] == "control", "spend"].gt(0).any():
        raise _refusal(name, "has spend in control", allowed="spend of the test arm alone")
    for column in ("value", "value_sd", "exposed"):
        if rows[column].notna().any() and rows[column].isna().any():
            raise _refusal(name, f"has {column} in some rows alone", allowed="in every row, or in none")
    if rows["value_sd"].notna().any() and rows["value"].isna().any():
        raise _refusal(name, "has value_sd without value", allowed="both, or neither")
    counted = "conversions_of_exposed" if "conversions_of_exposed" in USED[design] else "conversions"
    _check_enough(name, rows.loc[rows["phase"] != "before", counted].sum())
    if design == "geo":
        _check_regions(name, rows)
    else:
        _check_sizes(name, design, rows, planned)


def _check_words(name: str, column: str, rows: pd.DataFrame, allowed: Iterable[str]) -> None:
    wrong = [word for word in rows[column].unique() if word not in allowed]
    if wrong:
        word = wrong[0]
        hint = None if word is None else did_you_mean(str(word), allowed)
        raise _refusal(name, f"has a row with an unknown {column}", given=word or "none", allowed=allowed, hint=hint)


def _check_enough(name: str, conversions: float) -> None:
    if conversions < FEW_CONVERSIONS:
        raise _refusal(
            name,
            "has too few conversions to read",
            given=f"{conversions:,.0f} in both arms together",
            allowed=f"{FEW_CONVERSIONS} or more",
            hint="let it run longer, or on more customers",
        )


def _check_regions(name: str, rows: pd.DataFrame) -> None:
    arms = rows.groupby("region")["arm"].nunique()
    if (arms > 1).any():
        raise _refusal(name, "has a region in both arms", given=arms.idxmax())
    phases = rows.groupby("region")["phase"].nunique()
    if (phases < 2).any():
        raise _refusal(
            name, "has a region without both phases", given=phases.idxmin(), allowed="before and during of each region"
        )
    sizes = rows.groupby("arm")["region"].nunique()
    if sizes.min() < FEW_REGIONS:
        raise _refusal(
            name,
            "has too few regions",
            given=f"{sizes.get('test', 0)} in test, {sizes.get('control', 0)} in control",
            allowed=f"{FEW_REGIONS} or more per arm",
        )


def _check_sizes(name: str, design: str, rows: pd.DataFrame, planned: float | None) -> None:
    """Refuse arms that cannot have been filled by chance."""
    sums = rows.groupby("arm")[["customers", "exposed", "conversions"]].sum(min_count=1).loc[["test", "control"]]
    customers, exposed = (sums[column].to_numpy(dtype=np.float64) for column in ("customers", "exposed"))
    if planned is not None:
        if not 0 < planned < 1:
            raise _refusal(name, "planned_share must lie between 0 and 1", given=planned)
        if ratio_mismatch(customers, [1 - planned, planned]) < UNLIKELY:
            raise _refusal(
                name,
                "has arms of other sizes than planned, by more than chance: who was left out or counted twice makes "
                "the arms differ before treatment",
                given=f"{percent(customers[1] / customers.sum())} in control, planned {percent(planned)}",
                hint="find out where customers were lost, and count all who were assigned",
            )
    if design in ("ghost_ads", "psa"):
        if not exposed.all():
            raise _refusal(name, "has an arm without exposed customers", allowed="exposed, and who would have been")
        if shares_mismatch(exposed, customers) < UNLIKELY:
            raise _refusal(
                name,
                "exposes its arms unequally, by more than chance: those who would have been exposed are not those who "
                "were",
                given=f"{percent(exposed[0] / customers[0])} of test, {percent(exposed[1] / customers[1])} of control",
                hint="compare all customers instead (design = 'holdout')",
            )
    elif exposed[0] == customers[0] and exposed[1] == 0 and planned is None:
        is_test = rows["arm"] == "test"
        raise _refusal(
            name,
            "looks like a comparison of exposed with unexposed customers: all of test are exposed and none of control. "
            f"Exposure is not given by chance.{_would_show(rows, is_test, ~is_test)}",
            hint="if customers were assigned by chance, set planned_share, the share meant for control; if they were "
            "not, this is no test",
        )
    elif exposed[1] / customers[1] >= exposed[0] / customers[0]:
        raise _refusal(
            name,
            "exposes control as much as test, so there is nothing to compare",
            given=f"{percent(exposed[0] / customers[0])} of test, {percent(exposed[1] / customers[1])} of control",
        )


def _check_report(name: str, design: str, rows: pd.DataFrame) -> None:
    """One row with one way to say effect and error."""
    if len(rows) > 1:
        raise _refusal(name, f"has {len(rows)} rows", allowed=f"one row for design {design!r}")
    row = rows.iloc[0]
    has = {column for column in _OF_REPORTS if pd.notna(row[column])}
    ways = {"effect": [{"standard_error"}, {"low", "high"}], "lift": [{"lift_low", "lift_high", "conversions"}]}
    written = sorted(has - {"level", "value", "spend", "conversions"})
    matches = [
        way
        for first, rests in ways.items()
        for way in ({first, *rest} for rest in rests)
        if set(written) == way - {"conversions"}
    ]
    if not matches or not matches[0] <= has:
        raise _refusal(
            name,
            "needs an effect and its error",
            given=", ".join(written) or "neither",
            allowed="effect and standard_error; effect, low and high; or lift, lift_low, lift_high and conversions of "
            "the test arm",
        )
    if pd.notna(row["level"]) and not ("high" in written or "lift_high" in written):
        raise _refusal(name, "has a level without an interval", hint="leave it out")
    if pd.notna(row["level"]) and not 0 < row["level"] < 1:
        raise _refusal(name, "level must lie between 0 and 1", given=row["level"])
    if row["standard_error"] <= 0:
        raise _refusal(name, "standard_error must be above 0", given=f"{row['standard_error']:g}")
    for low, middle, high in (("low", "effect", "high"), ("lift_low", "lift", "lift_high")):
        if row[low] >= row[high] or not (pd.isna(row[low]) or row[low] <= row[middle] <= row[high]):
            raise _refusal(
                name,
                f"{low}, {middle} and {high} must rise",
                given=f"{row[low]:g}, {row[middle]:g}, {row[high]:g}",
            )
    if row["lift_low"] <= -1:
        raise _refusal(name, "lift_low must be above -1", given=f"{row['lift_low']:g}")

"""Values: nulls that jump, currencies, and conversions that outweigh all others."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attribution.amounts import percent
from attribution.data.channels import MACRO
from attribution.data.loading.currencies import Currencies
from attribution.data.loading.findings import Finding, Status, listed
from attribution.data.loading.load import Sources
from attribution.data.quality.timeline import Counts, Timeline

# ---------------------------------------------------------------- jumps of the share of nulls

_LEAST_JUMP = 0.05
"""A smaller change of the share does not move a result, however significant it is in a large log."""

_OVER_SPREAD = 2.0
"""The change must be so many times the width that holds the middle 80 % of the other days: no weekly rhythm,
trend or noise is a jump."""

_CHANCE = 1e-6
"""How likely a jump may be by chance anywhere in a column whose share never changes."""

_MOST_SLICES = 500
"""Longer logs are looked at in slices of several days, of equally many rows."""

_MOSTLY = 0.5
"""With more of the latest rows without a customer than with one, most journeys at the end of the log are lost."""

_ALL_OR_NOTHING = "customer_id"


class Jump(NamedTuple):
    """Bins ``first`` to ``last`` have the share ``inside`` of nulls, the others ``outside``."""

    first: int
    last: int
    inside: float
    outside: float


def find_jump(rows: Counts, nulls: Counts, *, least: float = _LEAST_JUMP) -> Jump | None:
    """The stretch of bins whose share of nulls differs most clearly from that of all others, if any does.

    The scan statistic of Kulldorff (1997), binomial, in one dimension: over all stretches, the largest log
    likelihood ratio of two shares against one.

    Parameters
    ----------
    rows : (bins,) rows per bin, > 0
    nulls : (bins,) of which null
    least : the least difference of the two shares

    References
    ----------
    M. Kulldorff (1997): A spatial scan statistic. Communications in Statistics – Theory and Methods 26(6).

    Examples
    --------
    >>> import numpy as np
    >>> find_jump(np.full(10, 1000), np.array([0, 0, 0, 0, 0, 0, 400, 390, 410, 400]))
    Jump(first=6, last=9, inside=0.4, outside=0.0)
    """
    bins, total, known_null = len(rows), float(rows.sum()), float(nulls.sum())
    if bins < 2 or known_null in (0.0, total):
        return None
    ends = np.concatenate([[0], np.cumsum(rows)]).astype(np.float64)
    null_ends = np.concatenate([[0], np.cumsum(nulls)]).astype(np.float64)
    low, high = np.triu_indices(bins + 1, 1)
    whole = (low == 0) & (high == bins)
    low, high = low[~whole], high[~whole]
    n, k = ends[high] - ends[low], null_ends[high] - null_ends[low]
    ratio = _log_likelihood(n, k) + _log_likelihood(total - n, known_null - k)
    ratio -= _log_likelihood(np.array(total), np.array(known_null))
    # A stretch at one end and its complement tell the same; the nearer to the end of the log, the fresher.
    best = len(ratio) - 1 - int(np.argmax(ratio[::-1]))
    inside, outside = k[best] / n[best], (known_null - k[best]) / (total - n[best])
    change = abs(inside - outside)
    # Chernoff: the chance that one stretch has a ratio above r is below exp(-r).
    if change < least or ratio[best] < np.log(len(ratio) / _CHANCE):
        return None
    is_outside = np.ones(bins, dtype=bool)
    is_outside[low[best] : high[best]] = False
    shares = nulls[is_outside] / rows[is_outside]
    spread = float(np.quantile(shares, 0.9) - np.quantile(shares, 0.1))
    if change < _OVER_SPREAD * spread:
        return None
    return Jump(int(low[best]), int(high[best]) - 1, float(inside), float(outside))


def check_null_jumps(timeline: Timeline) -> list[Finding]:
    """Whether the share of nulls jumps, for every column that may be null."""
    days = slices(timeline.by_day())
    return [_check_column(days, name, nulls) for name, nulls in days.nulls.items()]


def _check_column(days: Timeline, column: str, nulls: Counts) -> Finding:
    check, table = f"null_jump_{column}", days.table
    jump = find_jump(days.rows, nulls)
    share = percent(nulls.sum() / days.rows.sum())
    if jump is None:
        message = f"{column} is null in {share} of rows, evenly over time"
        return Finding(check, table, "pass", 0, days.total, None, message)
    first, last = jump.first, jump.last
    lasts = last == len(days.start) - 1
    lost = column == _ALL_OR_NOTHING and lasts and jump.inside > _MOSTLY
    stretch = f"from {days.label(first)} on" if lasts else f"from {days.label(first)} to {days.label(last)}"
    message = (
        f"{column} is null in {percent(jump.inside)} of rows {stretch}, but in {percent(jump.outside)} of the "
        "others; check the export of these days"
    )
    odd = slice(first, last + 1)
    concerned = nulls[odd].sum() if jump.inside > jump.outside else nulls.sum() - nulls[odd].sum()
    status: Status = "fail" if lost else "warn"
    return Finding(check, table, status, int(concerned), days.total, days.label(first), message)


def slices(days: Timeline) -> Timeline:
    """The same in at most so many bins that every stretch of them can be looked at."""
    if len(days.start) <= _MOST_SLICES:
        return days
    before = np.cumsum(days.rows) - days.rows
    return days.merge(before * _MOST_SLICES // days.total)


def _log_likelihood(n: NDArray[np.float64], k: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of k nulls in n rows at their own share."""
    return _x_log_x(k) + _x_log_x(n - k) - _x_log_x(n)


def _x_log_x(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x * np.log(np.maximum(x, 1.0))


# ---------------------------------------------------------------- currencies, outliers and zeros

_FAR = 100.0
"""Times the 99th percentile: of a million log-normal values with σ = 1.5, the largest is about 40 times it."""

_OUTWEIGHS = 0.10
"""With so much of all value on one conversion, every ranking by value tells of that one."""

_LEAST_CONVERSIONS = 100
"""With fewer, one may well carry so much."""

_ZEROS = 0.2
"""With more conversions worth nothing than this, values and numbers of conversions tell different tales."""


def check_currencies(sources: Sources) -> list[Finding]:
    """Which tables with money say what currency it is in; several are converted, or were refused as they were read."""
    return [
        _currency_finding(table, sources.currencies[table])
        for table in sources.tables
        if table in sources.currencies and sources.currencies[table].column is not None
    ]


def _currency_finding(table: str, currencies: Currencies) -> Finding:
    total = sum(currencies.rows.values())
    message = f"{currencies.column!r} has one currency"
    if len(currencies.names) > 1:
        message = f"{currencies.column!r} has several currencies, which the exchange rates convert"
    return Finding("currencies", table, "pass", 0, total, None, message)


def check_values(sources: Sources) -> list[Finding]:
    """Conversions that outweigh all others, and conversions worth nothing."""
    row = sources.engine.query(
        "select count(value) as n, coalesce(sum(value), 0) as total, coalesce(max(value), 0) as largest, "
        "coalesce(sum(case when value = 0 then 1 else 0 end), 0)::bigint as zeros, "
        "coalesce(percentile_cont(0.99) within group (order by value), 0) as high from conversions"
    ).to_pylist()[0]
    return [_check_outliers(sources, row), _check_zeros(row)]


def _check_outliers(sources: Sources, row: dict[str, Any]) -> Finding:
    check, table = "value_outliers", "conversions"
    n, largest, high = row["n"], row["largest"], row["high"]
    share = largest / row["total"] if row["total"] > 0 else 0.0
    is_far = 0 < high < largest / _FAR
    if not is_far and (n < _LEAST_CONVERSIONS or share <= _OUTWEIGHS):
        message = f"the largest value, {largest:,.2f}, is {percent(share)} of all value"
        return Finding(check, table, "pass", 0, n, None, message)
    test = f"value > {high * _FAR!r}" if is_far else f"value >= {largest!r}"
    rows = sources.engine.query(
        f"select count(*) as n, min(customer_id)::varchar as customer from conversions where {test}"
    ).to_pylist()[0]
    message = (
        f"values up to {largest:,.2f}, while 99 % are at most {high:,.2f}; the largest is {percent(share)} of all "
        f"value, and one belongs to customer {rows['customer']!r}: correct it, or leave it out with where"
    )
    return Finding(check, table, "warn", rows["n"], n, f"{largest:,.2f}", message)


def _check_zeros(row: dict[str, Any]) -> Finding:
    check, table, n, zeros = "zero_values", "conversions", row["n"], row["zeros"]
    share = zeros / max(n, 1)
    message = f"{percent(share)} of conversions are worth 0"
    if share <= _ZEROS:
        return Finding(check, table, "pass", 0, n, None, message)
    return Finding(
        check,
        table,
        "warn",
        zeros,
        n,
        None,
        f"{message}, so they do not count where channels are ranked by value; check the value column",
    )


# ---------------------------------------------------------------- placeholders that were never filled


def check_macros(sources: Sources) -> list[Finding]:
    """Channels and campaigns that are placeholders of an ad platform; those of raw tags are the lint's to find."""
    tables = ["costs"] if sources.marketing is not None else ["touchpoints", "costs"]
    return [_check_macros(sources, table) for table in tables if sources.has(table)]


def _check_macros(sources: Sources, table: str) -> Finding:
    check, total = "unfilled_macro", sources.tables[table].rows
    macros: list[tuple[int, str]] = []
    for column in (name for name in ("channel", "campaign") if sources.has(table, name)):
        signs = " or ".join(f"{column} like '%{sign}%'" for sign in ("{", "[", "<", "__", "$$", "%%"))
        rows = sources.engine.query(
            f"select {column} as name, count(*) as n from {table} where {signs} group by 1", table=table
        ).to_pylist()
        macros += [(row["n"], row["name"]) for row in rows if re.search(MACRO, row["name"])]
    macros.sort(key=lambda macro: (-macro[0], macro[1]))
    if not macros:
        return Finding(check, table, "pass", 0, total, None, "no channel or campaign is a placeholder")
    message = (
        f"channels or campaigns that are placeholders which were never filled, such as "
        f"{listed([repr(name) for _, name in macros])}: mend the tracking template, or name these rows in a query"
    )
    return Finding(check, table, "warn", min(sum(n for n, _ in macros), total), total, macros[0][1], message)

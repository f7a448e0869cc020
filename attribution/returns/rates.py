"""What costs in other currencies are worth, on the days on which they were paid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Sources
from attribution.errors import InputError, did_you_mean
from attribution.journeys import DAY
from attribution.returns.days import Bounds, Days
from attribution.schema.experiment import ReturnsOptions

Floats = NDArray[np.float64]

_ALWAYS = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Course:
    """Rate of one currency: ``rate`` (steps,) holds from ``since`` (steps,), µs since 1970, until the next."""

    since: NDArray[np.int64]
    rate: Floats

    @property
    def is_constant(self) -> bool:
        """Whether one rate holds always."""
        return len(self.since) == 1 and bool(self.since[0] == _ALWAYS)

    def means(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> Floats:
        """(rows,) mean rate between two instants each, weighted by time; NaN where it begins before the first rate."""
        begin = np.searchsorted(self.since, first, side="right") - 1
        end = np.searchsorted(self.since, np.maximum(last - 1, first), side="right") - 1
        # Days since the first dated rate: exact integers of µs would lose digits as floats.
        origin = self.since[self.since > _ALWAYS].min(initial=np.int64(2**62))
        edges = np.where(self.since == _ALWAYS, 0, self.since - origin) / DAY
        area = np.append(0.0, np.cumsum(self.rate[:-1] * np.diff(edges)))
        at = [(instant - origin) / DAY for instant in (first, np.maximum(last, first))]
        below = [area[step] + self.rate[step] * (x - edges[step]) for step, x in zip((begin, end), at, strict=True)]
        length = np.where(at[1] > at[0], at[1] - at[0], 1.0)
        mean = np.where(begin == end, self.rate[begin], (below[1] - below[0]) / length)
        return np.where(begin < 0, np.nan, mean)


def read_rates(sources: Sources, options: ReturnsOptions) -> dict[str, Course]:
    """The rate of every currency that the options or the table ``rates`` tell, by its name in capitals.

    Raises
    ------
    InputError
        If both tell one currency, or the table's rates are in a currency that is not said.
    """
    courses = {
        name.strip().upper(): Course(np.array([_ALWAYS]), np.array([float(rate)]))
        for name, rate in options.rates.items()
    }
    if sources.has("rates"):
        if options.currency is None:
            raise InputError(
                "table 'rates' says what currencies are worth, and not in which one",
                hint='[returns] currency = "EUR", the one that values are in',
            )
        for name, course in _dated(sources).items():
            if name in courses:
                raise InputError(f"the rate of {name} is told by returns.rates and by the table 'rates'")
            courses[name] = course
    if options.currency is not None:
        courses[options.currency.strip().upper()] = Course(np.array([_ALWAYS]), np.array([1.0]))
    return courses


def currency_rates(currency: pd.Series, days: Days, courses: Mapping[str, Course], bounds: Bounds) -> Floats:
    """(rows,) what one unit of each row's currency is worth; over a period, the mean of its days inside the analysis.

    Parameters
    ----------
    currency : of each row; null means that of the values
    days : on which it was paid
    courses : as `read_rates` gives them
    bounds : of the analysis period

    Raises
    ------
    InputError
        If the rate of a currency is not known, or not on some day.
    """
    names = words(currency).str.upper()
    present = sorted(names.dropna().unique())
    if not courses:
        if len(present) < 2:
            # One currency, which must be that of the values: nothing else is known.
            return np.ones(len(names))
        raise InputError(
            "table 'costs': amounts are in several currencies",
            given=present[:5],
            hint='[returns] currency = "EUR" and rates = { USD = 0.92 } say what they are worth',
        )
    unknown = [name for name in present if name not in courses]
    if unknown:
        raise InputError(
            f"table 'costs': no rate is known for currency {unknown[0]!r}",
            allowed=sorted(courses),
            hint=did_you_mean(unknown[0], courses) or f"[returns] rates = {{ {unknown[0]} = … }}, or the table rates",
        )
    rates = np.ones(len(names))
    for name in present:
        of = (names == name).to_numpy(bool, na_value=False)
        course = courses[name]
        rates[of] = course.rate[0] if course.is_constant else _on_days(name, course, days, of, bounds)
    return rates


def words(column: pd.Series) -> pd.Series:
    """Texts without blanks around them, null where nothing is left."""
    texts = column.astype("string").str.strip()
    return texts.mask(texts == "")


def _dated(sources: Sources) -> dict[str, Course]:
    columns = "currency, rate, " + ("day" if sources.has("rates", "day") else "null::date as day")
    table = sources.engine.query(f"select {columns} from rates").to_pandas()
    day = pd.to_datetime(table["day"]).to_numpy().astype("datetime64[us]")
    table["since"] = np.where(np.isnat(day), _ALWAYS, day.astype(np.int64))
    table = table.assign(name=words(table["currency"]).str.upper()).sort_values(["name", "since"])
    return {
        str(name): Course(part["since"].to_numpy(np.int64), part["rate"].to_numpy(np.float64))
        for name, part in table.groupby("name")
    }


def _on_days(name: str, course: Course, days: Days, of: NDArray[np.bool_], bounds: Bounds) -> Floats:
    dated = ~np.isnat(days.first[of])
    if not dated.all():
        raise InputError(
            f"table 'costs': {int((~dated).sum())} costs in {name} have no day, and its rate changes from day to day",
            hint="give them a day, or one rate for all: [returns] rates",
        )
    first, last = (at[of] for at in days.inside(bounds))
    outside = last <= first
    # Outside of the period there is nothing to convert.
    rates = np.where(outside, 0.0, course.means(first, last))
    if np.isnan(rates).any():
        earliest = first[np.isnan(rates)].min()
        raise InputError(
            f"table 'costs': the rate of {name} is not known on the first days of {int(np.isnan(rates).sum())} costs",
            given=str(np.datetime64(int(earliest), "us").astype("datetime64[D]")),
            allowed=f"days from {np.datetime64(int(course.since[0]), 'us').astype('datetime64[D]')} on",
        )
    return rates

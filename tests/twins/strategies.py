"""Small random inputs in which the awkward cases are common.

Times fall on few instants, so that ties, gaps of exactly one lookback window and several conversions at one
instant happen all the time. Money comes in quarter units, so that sums of floats are exact.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from .journeys import Conv, History, Touch
from .models import PathRow

CHANNELS = ("direct", "display", "search", "social")
CUSTOMERS = ("10", "9", "anna", "zoë")
QUARTERS = st.integers(0, 20).map(lambda quarters: quarters / 4)


def lookbacks(unit: int = 1) -> SearchStrategy[int | None]:
    """Lookback windows of 1 to 6 units, or none."""
    return st.none() | st.integers(1, 6).map(lambda units: units * unit)


def periods(unit: int = 1) -> SearchStrategy[tuple[int, int] | None]:
    """A first and a last instant, among those of the events and a little beyond, or no period."""
    instants = st.integers(0, 16).map(lambda units: units * unit)
    return st.none() | st.tuples(instants, instants).map(lambda pair: (min(pair), max(pair)))


def times(unit: int = 1) -> SearchStrategy[int]:
    """Ten instants a unit apart; now and then 1 before or after, just inside or outside a window."""
    shift = st.sampled_from((0, 0, 0, 0, 0, -1, 1))
    return st.builds(lambda units, by: units * unit + by, st.integers(1, 10), shift)


@st.composite
def histories(draw: DrawFn, unit: int = 1) -> dict[str, History]:
    """Touchpoints and conversions of few customers, in any order; some customers have none of either.

    Conversion ids are given to all conversions, distinct and in no order, or to none.
    """
    touches = st.lists(
        st.builds(
            Touch,
            at=times(unit),
            channel=st.sampled_from(CHANNELS),
            campaign=st.sampled_from((None, "brand", "sale")),
            kind=st.sampled_from((None, "click", "impression", "open", "email")),
            cost=QUARTERS,
        ),
        max_size=8,
    )
    conversions = st.lists(st.builds(Conv, at=times(unit), value=QUARTERS), max_size=4)
    customers = draw(st.lists(st.sampled_from(CUSTOMERS), unique=True, max_size=len(CUSTOMERS)))
    drawn = {customer: (draw(touches), draw(conversions)) for customer in customers}
    if draw(st.booleans()):
        return drawn
    names = iter(draw(st.permutations([f"order-{number}" for number in range(4 * len(CUSTOMERS))])))
    return {
        customer: (mine, [Conv(conversion.at, next(names), conversion.value) for conversion in converted])
        for customer, (mine, converted) in drawn.items()
    }


@st.composite
def path_tables(draw: DrawFn, *, with_ages: bool = False) -> list[PathRow]:
    """Paths over up to four channels, some of them empty or there twice, with counts that are often 0.

    Counts come in quarters or tenths. A path without conversions has no value.
    """
    amounts = draw(st.sampled_from((QUARTERS, st.integers(0, 30).map(lambda tenths: tenths / 10))))
    counts = st.just(0.0) | amounts
    rows = []
    for path in draw(st.lists(st.lists(st.sampled_from(CHANNELS), max_size=5).map(tuple), max_size=8)):
        conversions = draw(counts)
        value = draw(counts) if conversions else 0.0
        ages = None
        if with_ages:
            size = len(path)
            ages = tuple(sorted(draw(st.lists(QUARTERS, min_size=size, max_size=size)), reverse=True))
        rows.append(PathRow(path, conversions, value, draw(counts), ages))
    return rows


@st.composite
def score_pairs(draw: DrawFn) -> tuple[dict[str, float], dict[str, float]]:
    """Two scores for each of up to seven channels, from few values, so that ties are common."""
    channels = draw(st.lists(st.sampled_from("abcdefg"), unique=True, max_size=7))
    scores = st.integers(-2, 3).map(float)
    return {channel: draw(scores) for channel in channels}, {channel: draw(scores) for channel in channels}

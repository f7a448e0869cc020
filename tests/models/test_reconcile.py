"""Published totals handed out journey by journey: to the touchpoint where they can be, else as near as they can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import attribution as at
from attribution.journeys import JourneyChunk
from attribution.kernels.shapley.coalitions import BITS, members
from attribution.kernels.statistics.sums import KeyedSums, merge_keyed, sum_by_key, to_float
from attribution.models.credit import allocate
from attribution.models.reconcile import Reconciliation, coalition_table, reconcile, weights
from attribution.schema.tables import PUBLISHED_CREDIT
from tests.test_real_data import data_folder
from tests.twins.models import PathRow
from tests.twins.strategies import path_tables


def from_rows(rows: Sequence[PathRow]) -> at.Journeys:
    frame = pd.DataFrame(
        {
            "path": pd.Series([list(row.path) for row in rows], dtype=object),
            "conversions": [row.conversions for row in rows],
            "value": [row.value for row in rows],
            "nulls": [row.nulls for row in rows],
        }
    )
    return at.build_journeys(at.load_sources(paths=frame))


PATHS = path_tables().filter(bool)


def from_counts(**counts: float) -> at.Journeys:
    """Paths of one-letter channels, and how often each converted."""
    return from_rows([PathRow(tuple(path), conversions=times, value=times) for path, times in counts.items()])


def coalitions_of(journeys: at.Journeys) -> KeyedSums:
    table = sum_by_key(np.zeros((0, -(-max(len(journeys.channels), 1) // BITS)), np.int64), np.zeros(0))
    for chunk in journeys:
        table = merge_keyed(table, coalition_table(chunk, len(journeys.channels)))
    return table


def reconciled(journeys: at.Journeys, totals: Sequence[float] | NDArray[np.float64]) -> Reconciliation:
    return reconcile(coalitions_of(journeys), np.array(totals, dtype=float), journeys.channels)


class Weighed:
    """As much of a model as handing out needs."""

    label = "weighed"
    estimand = "allocated"
    credit_: at.ChannelTotals = None  # type: ignore[assignment]

    def __init__(self, log_weights: NDArray[np.float64]) -> None:
        self.log_weights = log_weights

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return weights(chunk, self.log_weights)


def allocated(journeys: at.Journeys, log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(channels,) conversions, journey by journey; every journey's shares add up to 1."""
    totals = np.zeros(len(journeys.channels))
    for chunk in journeys:
        laid_out, shares, _, without = allocate(Weighed(log_weights), chunk)
        assert without == 0
        if len(laid_out):
            assert np.add.reduceat(shares, laid_out.offsets[:-1]) == pytest.approx(1, rel=1e-12)
        journey = np.repeat(np.arange(len(laid_out)), laid_out.lengths)
        np.add.at(totals, laid_out.channel, shares * laid_out.conversions[journey])
    return totals


# ---------------------------------------------------------------- the table of coalitions


@given(PATHS)
@settings(max_examples=30)
def test_conversions_are_counted_by_the_channels_they_touched(rows: list[PathRow]) -> None:
    journeys = from_rows(rows)
    wanted: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        if row.path and row.conversions:
            wanted[tuple(sorted(set(row.path)))] += row.conversions  # type: ignore[assignment]
    table = coalitions_of(journeys)
    offsets, channel = members(table.keys, len(journeys.channels))
    names = [journeys.channels[c] for c in channel]
    found = {
        tuple(sorted(names[low:high])): total
        for low, high, total in zip(offsets, offsets[1:], to_float(table.sums), strict=False)
    }
    assert found == pytest.approx(dict(wanted))


def test_journeys_that_only_brought_value_hand_out_no_conversions() -> None:
    journeys = from_rows([PathRow(("a",), 0, 5.0, 1), PathRow(("a", "b"), 2, 0.0), PathRow((), 3)])
    assert to_float(coalitions_of(journeys).sums).tolist() == [2.0]


# ---------------------------------------------------------------- laws


@given(PATHS, st.data())
@settings(max_examples=30)
def test_what_is_handed_out_is_what_the_report_says(rows: list[PathRow], data: st.DataObject) -> None:
    journeys = from_rows(rows)
    totals = [data.draw(st.sampled_from((-1.0, 0.0, 0.5, 1.0, 3.0, 40.0))) for _ in journeys.channels]
    found = reconciled(journeys, totals)
    assert allocated(journeys, found.log_weights) == pytest.approx(found.allocated, rel=1e-9, abs=1e-12)
    assert (found.allocated >= found.alone * (1 - 1e-12)).all()
    assert (found.allocated <= found.took_part * (1 + 1e-12)).all()
    assert found.allocated.sum() == pytest.approx(to_float(coalitions_of(journeys).sums).sum(), rel=1e-12)


@given(PATHS)
@settings(max_examples=30)
def test_totals_of_a_rule_are_handed_out_as_they_are(rows: list[PathRow]) -> None:
    """A rule's totals are a hand-out already, so they are possible, on the edge or not."""
    journeys = from_rows(rows)
    for model in (at.FirstTouch(), at.Linear(), at.PositionBased()):
        published = model.fit(journeys).credit_.conversions[:-1]
        found = reconciled(journeys, published)
        assert found.allocated == pytest.approx(published, rel=1e-9, abs=1e-9 * published.sum(initial=0.0))
        assert found.groups == ()
        assert found.findings(model.label) == []


def test_a_view_weighs_less_than_a_click_and_its_channel_gets_what_it_should() -> None:
    touchpoints = pd.DataFrame(
        {
            "customer_id": ["x", "x", "x", "y"],
            "touched_at": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-01"]),
            "channel": ["tv", "tv", "mail", "mail"],
            "kind": ["impression", "click", "impression", "click"],
        }
    )
    conversions = pd.DataFrame({"customer_id": ["x", "y"], "converted_at": pd.to_datetime(["2024-01-04"] * 2)})
    sources = at.load_sources(touchpoints=touchpoints, conversions=conversions)
    journeys = at.build_journeys(sources, view_through_weight=0.25)
    published = [1.25, 0.75] if journeys.channels == ("mail", "tv") else [0.75, 1.25]
    found = reconciled(journeys, published)
    assert allocated(journeys, found.log_weights) == pytest.approx(published, rel=1e-9)
    (chunk,) = journeys
    laid_out, shares = allocate(Weighed(found.log_weights), chunk)[:2]
    tv = shares[laid_out.channel == journeys.channels.index("tv")]
    assert sorted(tv) == pytest.approx([0.15, 0.6])


# ---------------------------------------------------------------- the report


def test_a_channel_that_must_have_more_is_named() -> None:
    journeys = from_counts(a=4, ab=2, abc=10)
    found = reconciled(journeys, [3, 5, 8])
    assert found.groups == ((0,),)
    frame = found.to_frame()
    assert ("model", *frame.columns) == PUBLISHED_CREDIT.column_names[:8]
    assert frame["allocated"].tolist() == pytest.approx([4, 12 * 5 / 13, 12 * 8 / 13])
    assert frame["gap"].tolist() == pytest.approx([1, 12 * 5 / 13 - 5, 12 * 8 / 13 - 8])
    assert frame["alone"].tolist() == [4, 0, 0]
    assert frame["took_part"].tolist() == [16, 12, 10]
    assert frame["group"].tolist() == [1, pd.NA, pd.NA]
    (finding,) = found.findings("markov")
    assert (finding.check, finding.table, finding.status) == ("impossible_totals", "journeys", "warn")
    assert (finding.count, finding.total, finding.example) == (pytest.approx(1), pytest.approx(16), "a")
    assert finding.message == (
        "markov credits 3.0 conversions to a, but 4.0 came from journeys that touched no other channel. Credit per "
        "journey cannot add up to that. It adds up to the nearest possible totals, which moves 1.0 of 16.0 conversions "
        "to other channels: compare both totals in the table published_credit before you use credit per journey"
    )


def test_a_group_may_have_too_little_though_none_of_its_channels_has() -> None:
    journeys = from_counts(ab=10, abc=1, cde=9)
    found = reconciled(journeys, [2, 3, 5, 5, 5])
    assert found.groups == ((0, 1),)
    assert found.allocated == pytest.approx([4, 6, 10 / 3, 10 / 3, 10 / 3])
    assert (found.alone == 0).all()
    assert (found.published <= found.took_part).all()
    (finding,) = found.findings("x")
    assert "5.0 conversions to b, a, but 10.0 came from journeys that touched no other" in finding.message


def test_a_channel_that_cannot_have_as_much_is_named() -> None:
    found = reconciled(from_counts(a=4, b=3, ab=2, ac=1), [4, 3, 3])
    assert found.allocated.sum() == pytest.approx(10)
    assert found.allocated[2] == pytest.approx(1)
    (finding,) = found.findings("x")
    assert "3.0 conversions to c, but only 1.0 came from journeys that touched any of these" in finding.message
    assert finding.count == pytest.approx(2)


def test_groups_are_numbered_from_the_one_that_misses_most() -> None:
    found = reconciled(from_counts(a=8, b=4, abc=20), [1, 2, 29])
    assert found.groups == ((0,), (1,))
    assert found.to_frame()["group"].tolist() == [1, 2, pd.NA]
    assert found.allocated == pytest.approx([8, 4, 20])


def test_only_proportions_count_where_a_part_is_left_to_no_channel() -> None:
    found = reconciled(from_counts(a=1, ab=9), [2, 3])
    assert found.allocated == pytest.approx([4, 6])
    assert found.groups == ()
    assert found.to_frame()["gap"].tolist() == pytest.approx([2, 3])


def test_a_total_below_zero_counts_as_zero() -> None:
    found = reconciled(from_counts(a=1, ab=9), [-2, 12])
    assert found.published.tolist() == [-2, 12]
    assert found.allocated == pytest.approx([1, 9])
    assert found.groups == ((0,),)
    assert found.findings("x")[0].count == pytest.approx(1)


def test_channels_may_be_called_anything_and_be_many() -> None:
    names = [*(f"渠道{number}" for number in range(90)), "📧 mail"]
    rows = [PathRow((name, "📧 mail"), conversions=3) for name in names] + [PathRow((names[1],), conversions=5)]
    journeys = from_rows(rows)
    totals = np.where(np.array(journeys.channels) == "渠道1", 1.0, 3.0)
    found = reconciled(journeys, totals)
    assert found.findings("🤖")[0].example == "渠道1"
    assert allocated(journeys, found.log_weights) == pytest.approx(found.allocated, rel=1e-9)


def test_no_journeys_and_no_conversions() -> None:
    found = reconciled(from_rows([PathRow(("a", "b"), nulls=2)]), [0, 0])
    assert found.allocated.tolist() == [0, 0]
    assert found.groups == ()
    nothing = reconcile(sum_by_key(np.zeros((0, 1), np.int64), np.zeros(0)), np.zeros(0), ())
    assert nothing.to_frame().empty
    assert nothing.findings("x") == []


# ---------------------------------------------------------------- real data


def real_paths() -> pd.DataFrame:
    folder = data_folder()
    if folder is None:
        pytest.skip("the shared data are not here; ATTRIBUTION_DATA names their folder")
    table = pd.read_csv(folder / "channelattribution-pathdata" / "path_data.csv")
    return table.set_axis(["path", "conversions", "value", "nulls"], axis=1)


def reconciled_markov(order: int) -> tuple[at.Journeys, Reconciliation]:
    journeys = at.build_journeys(at.load_sources(paths=real_paths()))
    return journeys, reconciled(journeys, at.Markov(order=order).fit(journeys).credit_.conversions[:-1])


@pytest.mark.data
def test_markov_totals_of_a_well_known_example_cannot_be_handed_out() -> None:
    table = real_paths()
    journeys, found = reconciled_markov(order=1)
    published = found.published
    alpha, mi = journeys.channels.index("alpha"), journeys.channels.index("mi")
    only_alpha = [{step.strip() for step in path.split(">")} == {"alpha"} for path in table["path"]]
    assert table.loc[only_alpha, "conversions"].sum() == found.alone[alpha] == 5742
    assert published[alpha] == pytest.approx(5344.9, abs=0.05)
    assert found.allocated[[alpha, mi]] == pytest.approx([5742, 2], rel=1e-12)
    assert found.groups == ((mi,), (alpha,))
    assert found.allocated.sum() == pytest.approx(19_785)
    others = ~np.isin(np.arange(len(published)), [alpha, mi])
    left = (19_785 - 5744) / (19_785 - published[alpha] - published[mi])
    assert found.allocated[others] / published[others] == pytest.approx(left)
    assert allocated(journeys, found.log_weights) == pytest.approx(found.allocated, rel=1e-9)
    (finding,) = found.findings("markov")
    assert finding.count == pytest.approx(5744 - published[alpha] - published[mi])
    assert "markov credits 5,346.7 conversions to alpha, mi, but 5,744.0 came from" in finding.message


@pytest.mark.data
@pytest.mark.parametrize(("order", "impossible"), [(2, ["alpha"]), (3, [])])
def test_markov_totals_of_higher_order_come_nearer_to_what_can_be(order: int, impossible: list[str]) -> None:
    _, found = reconciled_markov(order)
    assert [found.channels[place] for group in found.groups for place in group] == impossible
    if not impossible:
        assert found.allocated == pytest.approx(found.published, rel=1e-10)

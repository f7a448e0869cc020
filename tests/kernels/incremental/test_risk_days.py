"""Sums of days are those of all of them at once, whatever customers bring along from before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution.kernels.incremental.additive_hazard import DailyTotals, join_days, total
from attribution.kernels.incremental.risk_days import count_so_far, find_keys, keys_of_day, sum_days
from attribution.kernels.incremental.risk_sums import sum_risk
from attribution.kernels.incremental.risk_tables import Layout
from tests.kernels.incremental.slow_risk import DAY, Customer, Slow
from tests.kernels.incremental.test_risk_sums import events_of, histories, rules_of, tables_of, worlds

FIRST, LAST = 1, 5


@settings(max_examples=100, deadline=None)
@given(st.lists(histories, min_size=1, max_size=5), worlds)
def test_days_add_up_to_all_of_them(customers: list[Customer], world: Slow) -> None:
    rules = rules_of(replace(world, start=FIRST, end=LAST + 1))
    rules = rules._replace(start=rules.start - 1, end=rules.end - 1)
    events = events_of(customers)
    (whole,) = sum_risk(events, rules, np.array([0, len(customers)]))
    expected = total(tables_of(whole, rules), rules.rate)
    limbs = np.stack([each.copy() for each in sum_days(events, rules, range(FIRST, LAST + 1))])
    day = rules._replace(end=rules.start + DAY)
    tables = tables_of(limbs, day)
    made = join_days(total(tables, rules.rate))
    if world.knows_all:  # those of whom nobody has heard yet are at risk as well
        made = made._replace(at_risk=made.at_risk + len(customers) - tables["customers"])
    for name in DailyTotals._fields:
        tolerance = 1e-7 if name != "products" else 1e-8 / min(world.rate)
        np.testing.assert_allclose(
            getattr(made, name), getattr(expected, name), rtol=1e-9, atol=tolerance, err_msg=name
        )


def test_what_happens_at_midnight_belongs_to_the_day_that_begins() -> None:
    """A log of dates: a customer who converts at the first instant of a day was at risk then, of what came before."""
    rules = rules_of(Slow(0.0, 1.0, 0.0, True, False, ["credited"], [1.0]))
    dated = [Customer([(2.0, 0)], [(3.0, True, 5.0)])]
    limbs = [each.copy() for each in sum_days(events_of(dated), rules, range(1, 4))]
    tables = tables_of(np.stack(limbs), rules._replace(start=-1, end=DAY - 1))
    assert tables["conversions"][:, 0].tolist() == [0, 0, 1]
    assert tables["arrivals"][:, 0, 0].tolist() == [0, 1, 0]
    np.testing.assert_allclose(tables["at_conversions"][:, 0], [0, 0, np.exp(-1)], atol=1e-8)


@settings(max_examples=50, deadline=None)
@given(st.lists(histories, min_size=1, max_size=5), worlds, st.integers(FIRST, LAST))
def test_what_comes_later_changes_no_bit_of_a_day(customers: list[Customer], world: Slow, day: int) -> None:
    rules = rules_of(world)
    early = [
        Customer(
            [touch for touch in each.touches if touch[0] < day + 1], [end for end in each.ends if end[0] < day + 1]
        )
        for each in customers
    ]
    known = [each for each in early if each.touches or each.ends]
    if not known:
        return
    (at_the_time,) = sum_days(events_of(known), rules, [day])
    (afterwards,) = sum_days(events_of(customers), rules, [day])
    np.testing.assert_array_equal(afterwards, at_the_time)


def test_touchpoints_are_counted_so_far() -> None:
    rules = rules_of(Slow(0.0, 1.0, 1.0, True, False, ["credited", None], [1.0]))
    events = events_of([Customer([(0.5, 1), (3.0, 0), (4.5, 1)]), Customer([(3.25, 0), (7.0, 0)])])
    assert count_so_far(events, rules, range(2, 6)).tolist() == [[0, 1], [2, 1], [2, 2], [2, 2]]


def test_each_sum_has_a_key_of_its_own_that_does_not_depend_on_where_it_lies() -> None:
    few = keys_of_day(Layout(2, 1, 1), np.array([8, 5]), np.array([1]))
    many = keys_of_day(Layout(3, 2, 1), np.array([5, 6, 8]), np.array([0, 1]))
    assert (len(few), len(many)) == (Layout(2, 1, 1).size, Layout(3, 2, 1).size)
    assert len(np.unique(many, axis=0)) == len(many)
    rows = find_keys(few, many)
    np.testing.assert_array_equal(many[rows], few)
    assert few[0].tolist() == [0, 1, 8, 1, 8]
    assert few[-1].tolist() == [20, -1, -1, -1, -1]
    assert (find_keys(many, few) < 0).sum() == len(many) - len(few)

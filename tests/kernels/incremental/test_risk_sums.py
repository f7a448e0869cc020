"""Sums over customers at risk: by hand, against a slow reference, and the same bytes in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution.kernels.incremental.additive_hazard import centre, total
from attribution.kernels.incremental.risk_sums import risk_of_untouched, sum_risk
from attribution.kernels.incremental.risk_tables import CREDITED, UNPAID, CustomerEvents, Rules
from tests.kernels.incremental.slow_risk import DAY, Customer, Slow

FOUR = [
    Customer([(0.5, 0), (1.5, 1)], [(2.5, True, 10.0)]),
    Customer([(1.0, 0)]),
    Customer([(0.25, 1), (2.25, 0)]),
    Customer([(1.0, 1), (2.0, 1)], [(2.75, True, 30.0)]),
]
"""Two channels, three days, at risk from the first touchpoint."""

PLAIN = Slow(0.0, 3.0, 1.0, False, False, ["credited", "credited"], [1.0])


def events_of(customers: list[Customer]) -> CustomerEvents:
    touches = [sorted(customer.touches) for customer in customers]
    ends = [customer.ends for customer in customers]
    flat, flat_ends = [touch for each in touches for touch in each], [end for each in ends for end in each]
    return CustomerEvents(
        np.cumsum([0, *map(len, touches)]),
        np.array([round(at * DAY) for at, _ in flat], dtype=np.int64),
        np.array([channel for _, channel in flat], dtype=np.int32),
        np.cumsum([0, *map(len, ends)]),
        np.array([round(at * DAY) for at, _, _ in flat_ends], dtype=np.int64),
        np.array([counts for _, counts, _ in flat_ends], dtype=bool),
        np.array([value for _, _, value in flat_ends], dtype=np.float64),
    )


def rules_of(slow: Slow) -> Rules:
    kinds = {"credited": CREDITED, "unpaid": UNPAID}
    used = [role for role in slow.roles if role is not None]
    slot = np.array([-1 if role is None else 0 for role in slow.roles], dtype=np.int64)
    slot[slot == 0] = np.arange(len(used))
    start, end = round(slow.start * DAY), round(slow.end * DAY)
    roles, rate = np.array([kinds[role] for role in used]), np.array(slow.rate)
    return Rules(start, end, DAY, round(slow.guard * DAY), slow.knows_all, slow.is_last, slot, roles, rate)


def tables_of(limbs: np.ndarray, rules: Rules) -> dict[str, np.ndarray]:
    return rules.layout.split(limbs[..., 1] + limbs[..., 0] / 2.0**32)


def in_units(limbs: np.ndarray) -> np.ndarray:
    return (limbs[..., 1] << 32) + limbs[..., 0]


def quick(customers: list[Customer], slow: Slow) -> dict[str, np.ndarray]:
    rules = rules_of(slow)
    (limbs,) = sum_risk(events_of(customers), rules, np.array([0, len(customers)]))
    tables = tables_of(limbs, rules)
    totals = total(tables, rules.rate)
    return {**tables, "raw": totals.products, "stocks": totals.stocks, "at_risk": totals.at_risk}


# ---------------------------------------------------------------- by hand


def check_by_hand(made: dict[str, np.ndarray], tolerance: float) -> None:
    e = np.exp
    expected = {
        "raw": [
            [1.3701192810370508, e(-1) * (1 - e(-2)) / 2 + e(-2) * (1 - e(-1.5)) / 2],
            [0.2116151363089363, 2.0894196434246313],
        ],
        "stocks": [
            [0.3934693402873666, 0.5276334472589853],
            [1.0155210583927612, 1.3241825084064938],
            [0.847972482105632, 1.070236245764911],
        ],
        "at_risk": [1.25, 4.0, 3.25],
        "at_conversions": [e(-2), 1.0140199373629022],
        "conversions": [0, 0, 2],
        "at_arrivals": [[0, e(-2)], [e(-1), e(-1)]],
        "arrivals": [[0, 0, 1], [0, 1, 1]],
    }
    for name, numbers in expected.items():
        np.testing.assert_allclose(made[name], numbers, rtol=0, atol=tolerance, err_msg=name)


def test_the_reference_gives_what_was_worked_out_by_hand() -> None:
    check_by_hand(PLAIN.sums(FOUR), 1e-12)


def test_the_kernel_gives_it_to_the_precision_of_its_sums() -> None:
    made = quick(FOUR, PLAIN)
    check_by_hand(made, 1e-8)
    assert made["customers"] == 4
    moments = centre(total(made, np.array([1.0])))
    np.testing.assert_allclose(
        moments.information,
        [[0.7671956192738955, -0.5698950093685824], [-0.5698950093685824, 1.075904671799399]],
        atol=1e-8,
    )
    np.testing.assert_allclose(moments.conversions, [-0.3864939365206993, 0.35541301689218774], atol=1e-8)


# ---------------------------------------------------------------- against the reference

# On a grid of sixteenths of a day, so that instants coincide.
moments = st.integers(0, 96).map(lambda n: n / 16)
histories = st.builds(
    Customer,
    st.lists(st.tuples(moments, st.integers(0, 3)), max_size=6).map(sorted),
    st.lists(st.tuples(moments, st.booleans(), st.sampled_from([0.0, 2.5, 1e6])), max_size=3).map(
        lambda ends: sorted(ends, key=lambda end: end[0])
    ),
)
worlds = st.builds(
    Slow,
    start=st.sampled_from([0.0, 1.5]),
    end=st.sampled_from([6.0, 5.0, 4.25]),
    guard=st.sampled_from([0.0, 0.5, 1.0]),
    knows_all=st.booleans(),
    is_last=st.booleans(),
    roles=st.permutations(["credited", "credited", "unpaid", None]),
    rate=st.sampled_from([[0.4], [0.35, 0.1, 7e-5], [250.0, 1.5]]),
)
TABLES = (
    "raw", "stocks", "at_risk", "conversions", "value", "at_conversions", "at_value", "at_arrivals", "arrivals"
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(histories, min_size=1, max_size=5), worlds)
def test_the_kernel_is_the_reference(customers: list[Customer], world: Slow) -> None:
    expected, made = world.sums(customers), quick(customers, world)
    for name in TABLES:
        # What fades slowly is divided by its rate, and so is its rounding.
        tolerance = 3e-8 if name != "raw" else 3e-9 / min(world.rate)
        np.testing.assert_allclose(made[name], expected[name], rtol=1e-9, atol=tolerance, err_msg=name)


@settings(max_examples=30, deadline=None)
@given(st.lists(histories, min_size=2, max_size=8), worlds, st.randoms(use_true_random=False))
def test_order_and_groups_change_no_bit(customers: list[Customer], world: Slow, random) -> None:
    rules = rules_of(world)
    (whole,) = sum_risk(events_of(customers), rules, np.array([0, len(customers)]))
    shuffled = random.sample(customers, len(customers))
    edges = np.sort([0, len(shuffled), *(random.randint(0, len(shuffled)) for _ in range(2))])
    parts = sum_risk(events_of(shuffled), rules, edges)
    np.testing.assert_array_equal(sum(in_units(part) for part in parts), in_units(whole))


@pytest.mark.parametrize("end", [3.0, 3.5, 0.25])
def test_untouched_customers_are_at_risk_all_the_time(end: float) -> None:
    rules = rules_of(Slow(0.0, end, 1.0, True, False, ["credited"], [1.0]))
    nobody = events_of([Customer([]) for _ in range(7)])
    (limbs,) = sum_risk(nobody, rules, np.array([0, 7]))
    made = in_units(risk_of_untouched(rules, 7))
    assert made[-1] == 7 << 32
    np.testing.assert_array_equal(made[:-1], in_units(limbs)[:-1])
    at_once, one_by_one = (
        total(tables_of(each, rules), rules.rate).at_risk for each in (risk_of_untouched(rules, 7), limbs)
    )
    np.testing.assert_allclose(at_once, one_by_one, rtol=1e-15)
    assert at_once.sum() == pytest.approx(7 * end, abs=1e-8)

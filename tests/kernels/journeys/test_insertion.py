"""Events that are put among others: how many, when, and in which order."""

from __future__ import annotations

import numpy as np
import pytest

from attribution.kernels.journeys.insertion import CustomerEvents, insert_events, poisson_distribution, random_instants


@pytest.mark.parametrize("rate", [0.1, 1.0, 40.0])
def test_the_distribution_adds_up_the_chances_of_each_number(rate: float) -> None:
    found = poisson_distribution(rate)
    chance, chances = np.exp(-rate), []
    for number in range(8):
        chances.append(chance)
        chance *= rate / (number + 1)
    assert found[:8].tolist() == pytest.approx(np.cumsum(chances).tolist(), rel=1e-9)
    assert found[-1] == 1.0
    assert (np.diff(found) >= 0).all()
    assert found[-2] == pytest.approx(1.0, abs=1e-12)


def test_instants_are_as_many_as_the_rate_says_and_lie_evenly_between_both_ends() -> None:
    customers = 4_000
    customer, at = random_instants(np.arange(customers, dtype=np.uint64), poisson_distribution(2.0), 10, 14)
    counts = np.bincount(customer, minlength=customers)
    assert counts.mean() == pytest.approx(2.0, abs=5 * np.sqrt(2.0 / customers))
    assert (counts == 0).mean() == pytest.approx(np.exp(-2.0), abs=0.03)
    assert set(at) == {10, 11, 12, 13, 14}
    assert np.bincount(at - 10).tolist() == pytest.approx([len(at) / 5] * 5, abs=5 * np.sqrt(len(at) / 5))
    assert np.lexsort((at, customer)).tolist() == list(range(len(at)))


def test_without_room_all_instants_are_one_and_without_chance_there_are_none() -> None:
    words = np.arange(50, dtype=np.uint64)
    customer, at = random_instants(words, poisson_distribution(3.0), 7, 7)
    assert set(at) == {7}
    assert len(customer) > 50
    assert [len(part) for part in random_instants(words, np.array([1.0]), 7, 9)] == [0, 0]
    # Every customer's instants are their own, wherever they stand.
    alone = random_instants(words[5:6], poisson_distribution(3.0), 0, 10**6)[1]
    owner, among = random_instants(words, poisson_distribution(3.0), 0, 10**6)
    assert alone.tolist() == among[owner == 5].tolist()


def test_events_go_where_their_time_is_and_after_what_happened_at_the_same() -> None:
    events = CustomerEvents(
        np.array([0, 2, 2, 4]), np.array([5, 9, 5, 5]), np.array([1, 2, 3, 4]), np.array([0.5, 0.25, 2.0, 4.0])
    )
    customer, at = np.array([0, 0, 0, 1, 1, 2]), np.array([4, 5, 10, 1, 2, 5])
    found = insert_events(events, customer, at, 9)
    assert found.starts.tolist() == [0, 5, 7, 10]
    assert found.at.tolist() == [4, 5, 5, 9, 10, 1, 2, 5, 5, 5]
    assert found.ref.tolist() == [9, 1, 9, 2, 9, 9, 9, 3, 4, 9]
    assert found.cost.tolist() == [0.0, 0.5, 0.0, 0.25, 0.0, 0.0, 0.0, 2.0, 4.0, 0.0]
    without = insert_events(events._replace(cost=np.zeros(0)), customer, at, 9)
    assert (without.ref.tolist(), len(without.cost)) == (found.ref.tolist(), 0)

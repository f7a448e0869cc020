"""What findings say of signed and sampled credit."""

from __future__ import annotations

import numpy as np

import attribution as at
from attribution.models.breakdowns import negative_finding, sampling_finding
from attribution.models.machinery import get_machinery
from tests.models.test_shapley import from_counts

ONLY_B_HARMS = {"": (5, 20), "a": (6, 10), "b": (1, 20)}
"""By the channels that customers met: how many converted, of how many."""


def test_the_most_negative_channel_is_the_example() -> None:
    (finding,) = negative_finding("shapley", ["a", "b", "c"], np.array([1.0, -2.0, -0.5]))
    assert (finding.status, finding.count, finding.total, finding.example) == ("warn", 2, 3, "b")
    assert negative_finding("shapley", ["a"], np.array([0.0])) == []


def test_the_error_of_sampling_is_told_beside_the_credit() -> None:
    (finding,) = sampling_finding("shapley", 10, np.array([0.1, 0.3]), np.array([-2.0, 4.0]))
    assert (finding.status, finding.count) == ("pass", 10)
    assert "the largest standard error is 10 % of the mean absolute credit" in finding.message
    (finding,) = sampling_finding("shapley", 10, np.array([0.0]), np.array([0.0]))
    assert "is 0 % of" in finding.message
    assert sampling_finding("shapley", 0, np.array([0.1]), np.array([1.0])) == []


def test_the_last_channel_may_be_the_negative_one() -> None:
    model = at.Shapley(game="rate").fit(from_counts(ONLY_B_HARMS))
    assert model.credit_.conversions[1] < 0
    found = {finding.check: finding for finding in get_machinery(model).findings()}
    assert found["negative_credit"].example == "b"

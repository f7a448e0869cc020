"""Which model of a run is meant, and what of it is kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

import attribution as at
from attribution.errors import InputError
from attribution.models.saved.fitted import find_model
from attribution.models.saved.state import ModelState
from tests.models.test_shapley import ORACLE, from_counts


def run_of(*models: at.AttributionModel) -> Any:
    return cast(Any, SimpleNamespace(models=models))


def test_the_only_model_needs_no_name_and_a_wrong_name_is_wrong_all_the_same() -> None:
    linear, last = at.Linear(), at.LastTouch()
    assert find_model(run_of(linear), None) is linear
    assert find_model(run_of(linear, last), "last_touch") is last
    with pytest.raises(InputError, match="the run has no model 'last_tuch'") as refused:
        find_model(run_of(linear), "last_tuch")
    assert "linear" in str(refused.value)
    with pytest.raises(InputError, match="the run has several models: name one"):
        find_model(run_of(linear, last), None)


def test_a_state_has_what_is_beside_the_channels_in_conversions_and_in_value() -> None:
    incremental = at.Shapley(game="path_incremental").fit(from_counts(ORACLE))
    state = ModelState.of(incremental)
    assert state.baseline == pytest.approx((1.06, 10.6))
    assert state.unattributed == pytest.approx((1.0, 10.0))
    assert ModelState.of(at.Shapley().fit(from_counts(ORACLE))).baseline is None

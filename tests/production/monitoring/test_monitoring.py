"""Drift: found where it was planted, and not where it was not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError
from attribution.journeys import journeys_by_day
from attribution.kernels.statistics.distribution_shift import psi_terms, stretch_weights, to_shares
from attribution.production.monitoring import (
    DriftOptions,
    Windows,
    drift_metrics,
    drift_sentences,
    find_drift,
    read_spend,
    read_windows,
)
from attribution.production.monitoring.drift import DRIFT
from attribution.production.refit import Definition, SummaryStore, day_number, summarise_days
from tests.daily_logs import log_of

START = day_number(dt.date(2024, 3, 1))
DAYS, RECENT = 64, 7
LAST = START + DAYS - 2
CHANGED = pd.Timestamp("2024-03-01") + pd.Timedelta(days=DAYS - 1 - RECENT)


def all_models() -> list[at.AttributionModel]:
    return [at.LastTouch(), at.Linear(), at.Markov(), at.Markov(order=2), at.Shapley()]


def windows_of(folder: Path, touchpoints: pd.DataFrame, conversions: pd.DataFrame) -> Windows:
    store = SummaryStore.of(folder, Definition("shop", {"lookback_days": 3}, [], "", "channel"))
    journeys = journeys_by_day(at.load_sources(touchpoints, conversions), lookback_days=3)
    for day, tables in summarise_days(journeys, all_models(), START + 4, LAST).items():
        with store.locked():
            store.write(day, tables, journeys.channels)
    spans = {"training": (START + 4, LAST - RECENT), "recent": (LAST - RECENT + 1, LAST)}
    return read_windows(store, all_models(), **spans)


@pytest.fixture(scope="module")
def log() -> tuple[pd.DataFrame, pd.DataFrame]:
    return log_of(DAYS, customers=4000, seed=3)


@pytest.fixture(scope="module")
def steady(log: tuple[pd.DataFrame, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Windows:
    return windows_of(tmp_path_factory.mktemp("steady"), *log)


def drifted(drift: pd.DataFrame) -> set[str]:
    return set(drift.loc[drift["drifted"], "measure"])


# ------------------------------------------------------------ the arithmetic


def test_psi_by_hand() -> None:
    """(0.7 − 0.5) · ln 1.4 + (0.3 − 0.5) · ln 0.6; the scale of amounts does not matter."""
    expected = 0.2 * np.log(1.4) - 0.2 * np.log(0.6)
    terms = psi_terms(np.array([7.0, 3.0]), np.array([500.0, 500.0]))
    assert terms.sum() == pytest.approx(expected, rel=1e-12)
    assert psi_terms(np.array([4.0, 1.0]), np.array([4.0, 1.0])).tolist() == [0.0, 0.0]
    assert np.isfinite(psi_terms(np.array([1.0, 0.0]), np.array([0.0, 1.0]))).all()


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=8))
def test_psi_is_never_negative_and_has_no_direction(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, dtype=float).T
    there, back = psi_terms(a, b), psi_terms(b, a)
    assert (there >= 0).all()
    np.testing.assert_allclose(there, back, rtol=1e-9, atol=1e-15)
    assert to_shares(a).sum() == pytest.approx(1.0 if a.any() else 0.0)


@given(st.integers(14, 100), st.integers(1, 30), st.integers(1, 10))
def test_stretches_are_as_long_as_asked_and_made_of_blocks(days: int, length: int, block: int) -> None:
    weights = stretch_weights(20, days, length, block=block, seed=5)
    np.testing.assert_allclose(weights.sum(axis=1), days, rtol=1e-12)
    taken = weights * length / days
    np.testing.assert_allclose(taken, np.round(taken), atol=1e-9)


def test_a_week_has_every_weekday_once() -> None:
    taken = stretch_weights(50, 70, 7, block=7, seed=1) > 0
    assert all(len(set(np.flatnonzero(row) % 7)) == 7 for row in taken)
    assert len({tuple(np.flatnonzero(row)) for row in taken}) > 20


# ------------------------------------------------------------ what is found


def test_days_like_those_before_have_not_drifted(steady: Windows) -> None:
    drift = find_drift(steady, all_models())
    assert drifted(drift) == set()
    assert drift_sentences(drift) == [f"No drift in {drift['p_value'].notna().sum()} measures."]
    assert list(drift.columns) == list(DRIFT.column_names)
    assert set(drift["measure"]) == {
        "channel_mix", "path_length", "time_lag_days", "conversion_rate", "value_per_conversion", "credit",
    }  # fmt: skip


def test_the_numbers_are_those_of_the_journeys(steady: Windows, log: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """Rates and mix against journeys built for the days, credit against models fitted on them."""
    drift = find_drift(steady, all_models()).set_index(["measure", "model", "channel"])
    last_day = dt.date(2024, 3, 1) + dt.timedelta(days=DAYS - 2)
    period = at.Period(start=last_day - dt.timedelta(days=RECENT - 1), end=last_day)
    journeys = at.build_journeys(at.load_sources(*log), period=period, lookback_days=3)
    conversions, nulls, value = (journeys.total(what) for what in ("conversions", "nulls", "value"))
    row = drift.loc["conversion_rate"]
    assert row["recent"].item() == pytest.approx(conversions / (conversions + nulls), rel=1e-12)
    assert drift.loc["value_per_conversion"]["recent"].item() == pytest.approx(value / conversions, rel=1e-12)
    for model in all_models():
        credit = model.fit(journeys).credit_
        shares = drift.loc["credit"].loc[model.label]["recent"].dropna()
        expected = credit.conversions[:-1] / credit.conversions[:-1].sum()
        np.testing.assert_allclose(shares[list(credit.channels)], expected, rtol=1e-9)


def test_a_channel_that_takes_over_is_found(log: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    touchpoints, conversions = log[0].copy(), log[1]
    recent = (touchpoints["touched_at"] >= CHANGED) & (touchpoints["channel"] == "search")
    touchpoints.loc[recent, "channel"] = "搜索"
    drift = find_drift(windows_of(tmp_path, touchpoints, conversions), all_models())
    assert drifted(drift) == {"channel_mix", "credit"}
    assert drift.loc[drift["measure"].eq("credit") & drift["channel"].isna(), "drifted"].all()
    assert any(sentence.startswith("Channel mix has drifted") for sentence in drift_sentences(drift))
    metrics = drift_metrics(drift)
    assert metrics["drifted"] == drift["drifted"].sum()
    assert metrics["channel_mix.psi"] > 0.1


def test_a_channel_never_seen_before_is_found(log: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    touchpoints, conversions = log[0].copy(), log[1]
    recent = (touchpoints["touched_at"] >= CHANGED) & (touchpoints["channel"] == "search")
    touchpoints.loc[recent, "channel"] = "affiliate"
    drift = find_drift(windows_of(tmp_path, touchpoints, conversions), all_models())
    row = drift[drift["measure"].eq("channel_mix") & drift["channel"].eq("affiliate")].iloc[0]
    assert (row["training"], np.isnan(row["change"])) == (0.0, True)
    assert {"channel_mix", "credit"} <= drifted(drift)


def test_fewer_conversions_are_found(log: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    touchpoints, conversions = log
    lost = (conversions["converted_at"] >= CHANGED) & (conversions.index % 2 == 0)
    drift = find_drift(windows_of(tmp_path, touchpoints, conversions[~lost]), all_models())
    assert "conversion_rate" in drifted(drift)
    assert drift.set_index("measure").loc["conversion_rate", "change"] < -0.3


def test_dearer_clicks_are_drift_of_roi(steady: Windows) -> None:
    models = all_models()
    training, recent = dict.fromkeys(steady.training.channels, 5_700.0), dict.fromkeys(steady.recent.channels, 700.0)
    as_before = find_drift(Windows(steady.training, steady.recent, (training, recent)), models)
    dearer = recent | {"search": 7_000.0}
    found = find_drift(Windows(steady.training, steady.recent, (training, dearer)), models)
    assert drifted(as_before) == set()
    assert drifted(found) == {"roi"}
    assert set(found.loc[found["drifted"], "channel"]) == {"search"}
    row = found[found["measure"].eq("roi") & found["model"].eq("linear") & found["channel"].eq("search")].iloc[0]
    search = steady.training.channels.index("search")
    credited = steady.training.models[1][0].dense("value", len(steady.training.channels))[search]
    assert row["training"] == pytest.approx(credited / 5_700 - 1, rel=1e-12)
    assert 1 + row["recent"] == pytest.approx((1 + row["training"]) * (1 + row["change"]), rel=1e-12)


def test_channels_without_spend_have_no_roi(steady: Windows) -> None:
    spend = {"search": 100.0}, {"search": 0.0}
    drift = find_drift(Windows(steady.training, steady.recent, spend), all_models())
    assert "roi" not in set(drift["measure"])


def test_the_same_windows_give_the_same_table(steady: Windows) -> None:
    pd.testing.assert_frame_equal(find_drift(steady, all_models()), find_drift(steady, all_models()))


def test_false_alarms_are_as_rare_as_asked() -> None:
    """Judged together, 40 measures of noise alone raise an alarm about as often as the level says."""
    from attribution.production.monitoring.drift import _USUAL, _judge, _row

    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(200):
        usual = np.abs(random.normal(size=(40, 199)))
        found = np.abs(random.normal(size=40))
        rows = [
            _row("credit", None, None, psi=size, limit=0.1) | {_USUAL: own}
            for size, own in zip(found, usual, strict=True)
        ]
        _judge(rows, DriftOptions(level=0.05))
        alarms += any(row["drifted"] for row in rows)
    assert 2 <= alarms <= 20


# ------------------------------------------------------------ what is refused


def test_windows_that_cannot_be_compared_are_refused(steady: Windows, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too short to show what is usual"):
        find_drift(Windows(steady.recent, steady.recent), all_models())
    store = SummaryStore.of(tmp_path, Definition("shop", {}, [], "", "channel"))
    with pytest.raises(InputError, match="overlap"):
        read_windows(store, [], training=(0, 20), recent=(20, 27))
    with pytest.raises(InputError, match="days are missing"):
        read_windows(store, [], training=(0, 20), recent=(21, 27))


def test_options_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(InputError, match="psi must be above 0"):
        DriftOptions(psi=0)
    with pytest.raises(InputError, match="too small for this number of draws"):
        DriftOptions(level=0.001)


def test_spend_is_that_of_the_days() -> None:
    """A cost of a period is divided by its days."""
    costs = pd.DataFrame(
        {
            "channel": ["search", "search", "mail"],
            "amount": [10.0, 30.0, 5.0],
            "period_start": ["2024-03-01", "2024-03-11", "2024-03-02"],
            "period_end": ["2024-03-10", "2024-03-20", "2024-03-02"],
        }
    )
    before, after = read_spend(costs, (START, START + 9), (START + 10, START + 14))
    assert before == pytest.approx({"search": 10.0, "mail": 5.0})
    assert after.get("search") == pytest.approx(15.0)

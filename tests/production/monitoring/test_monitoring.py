"""Drift: found where it was planted, and not where it was not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

import attribution as at
from attribution.errors import InputError
from attribution.journeys import journeys_by_day
from attribution.kernels.statistics.distribution_shift import draw_splits, psi_terms, relative_difference, to_shares
from attribution.production.monitoring import (
    DriftOptions,
    Windows,
    drift_metrics,
    drift_sentences,
    find_drift,
    read_spend,
    read_windows,
)
from attribution.production.monitoring import windows_of as windows_of_journeys
from attribution.production.monitoring.drift import _DISTANCES, DRIFT, _judge, _row, check_days
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


@pytest.mark.parametrize("level", [0.01, 0.001])
def test_fewer_conversions_are_found(log: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path, level: float) -> None:
    """A level that the first splits cannot reach is reached by more of them."""
    touchpoints, conversions = log
    lost = (conversions["converted_at"] >= CHANGED) & (conversions.index % 2 == 0)
    windows = windows_of(tmp_path, touchpoints, conversions[~lost])
    drift = find_drift(windows, all_models(), DriftOptions(level=level))
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


@pytest.mark.parametrize(
    ("training", "recent", "many"), [(14, 7, 6), (21, 7, 40), (14, 14, 6), (35, 3, 6), (40, 10, 100)]
)
def test_false_alarms_are_as_rare_as_asked(training: int, recent: int, many: int) -> None:
    """Days of one law, with weekdays that differ and tails that are long: one alarm in twenty, as the level says."""
    random = np.random.default_rng(training + many)
    days = np.arange(training + recent)
    splits = draw_splits(days % 7, days >= training, 199, seed=0)
    alarms, worlds = 0, 100
    for _ in range(worlds):
        amounts = random.lognormal(sigma=0.8, size=(len(days), many)) * (1 + (days % 7 == 6))[:, None]
        before, after = (side / side.sum(axis=1, keepdims=True) @ amounts for side in (~splits, splits))
        rows = [
            _row("roi", None, None, change=1.0, limit=0.1) | {_DISTANCES: of}
            for of in relative_difference(after, before).T
        ]
        _judge(rows, DriftOptions(level=0.05))
        alarms += any(row["drifted"] for row in rows)
    assert binomtest(alarms, worlds, 0.05, alternative="greater").pvalue > 0.001


@pytest.mark.slow
def test_whole_windows_of_one_law_raise_no_more_alarms_than_asked() -> None:
    """From the log to the verdict, with as few training days as are accepted; a change of a third is found."""
    alarms, found, worlds = 0, 0, 15
    options = DriftOptions(psi=1e-9, change=1e-9, level=0.1, draws=199)
    for seed in range(worlds):
        windows, changed = (few_days(seed, lift) for lift in (0.0, 2.0))
        models = [at.LastTouch(), at.Linear()]
        alarms += bool(find_drift(windows, models, options)["drifted"].any())
        found += "conversion_rate" in drifted(find_drift(changed, models, options))
    assert binomtest(alarms, worlds, 0.1, alternative="greater").pvalue > 0.001
    assert found >= 0.8 * worlds


def few_days(seed: int, lift: float) -> Windows:
    """Two weeks and one more, in which conversions are more likely by ``lift``; touched and bought on one day."""
    random = np.random.default_rng(seed)
    day = np.repeat(np.arange(23), 40)
    customer = np.arange(len(day))
    touched = pd.Timestamp("2024-03-01") + pd.to_timedelta(day, "D")
    bought = random.random(len(day)) < 0.25 * (1 + lift * (day >= 15))
    touchpoints = pd.DataFrame(
        {"customer_id": customer, "touched_at": touched, "channel": random.choice(list("abc"), len(day))}
    )
    conversions = pd.DataFrame({"customer_id": customer[bought], "converted_at": touched[bought] + pd.Timedelta("3h")})
    journeys = journeys_by_day(at.load_sources(touchpoints, conversions), lookback_days=1)
    return windows_of_journeys(
        journeys, [at.LastTouch(), at.Linear()], training=(START + 1, START + 14), recent=(START + 15, START + 21)
    )


@pytest.mark.parametrize("spend_now", [700.0, 1_400.0])
def test_spend_that_buys_as_much_as_before_is_no_drift(steady: Windows, spend_now: float) -> None:
    """Twice the spend for the same return halves it, on whatever days: the days of each window cost what it cost."""
    spend = {"search": 5_700.0}, {"search": spend_now}
    rows = find_drift(Windows(steady.training, steady.recent, spend), all_models())
    roi = rows[rows["measure"].eq("roi")]
    assert roi["drifted"].any() == (spend_now == 1_400.0)
    assert drifted(rows) <= {"roi"}


def test_training_and_recent_days_may_lie_apart(steady: Windows, log: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """Days between the windows are in neither, as after the training of a model."""
    journeys = journeys_by_day(at.load_sources(*log), lookback_days=3)
    apart = windows_of_journeys(
        journeys, all_models(), training=(START + 4, START + 40), recent=(LAST - RECENT + 1, LAST)
    )
    drift = find_drift(apart, all_models())
    assert drifted(drift) == set()
    assert drift["p_adjusted"].dropna().between(0, 1).all()


# ------------------------------------------------------------ what is refused


def test_windows_that_cannot_be_compared_are_refused(steady: Windows, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too short to show what is usual"):
        find_drift(Windows(steady.recent, steady.recent), all_models())
    with pytest.raises(InputError, match=r"15 training days for 16 recent days.*at least 16 days"):
        check_days(15, 16, 0.01)
    with pytest.raises(InputError, match=r"of the same weekdays.*compare 3 recent days.*693 training days"):
        check_days(28, 1, 0.01)
    with pytest.raises(InputError, match="compare more days"):
        check_days(14, 1, 1e-9)
    for training, recent in ((14, 7), (14, 5), (28, 3), (90, 2), (693, 1)):
        check_days(training, recent, 0.01)
    store = SummaryStore.of(tmp_path, Definition("shop", {}, [], "", "channel"))
    with pytest.raises(InputError, match="overlap"):
        read_windows(store, [], training=(0, 20), recent=(20, 27))
    with pytest.raises(InputError, match="days are missing"):
        read_windows(store, [], training=(0, 20), recent=(21, 27))


def test_options_that_cannot_be_met_are_refused() -> None:
    with pytest.raises(InputError, match="psi must be above 0"):
        DriftOptions(psi=0)
    with pytest.raises(InputError, match="too small for this number of draws"):
        DriftOptions(level=0.0001)


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


def test_the_baseline_of_a_model_is_monitored(log: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    made = journeys_by_day(at.load_sources(*log), lookback_days=3)
    model = at.Markov(continuation=0.15)
    spans = {"training": (START + 4, LAST - RECENT), "recent": (LAST - RECENT + 1, LAST)}
    windows = windows_of_journeys(made, [model], **spans)
    drift = find_drift(windows, [model], DriftOptions(draws=199, level=0.05))
    rows = drift[(drift["measure"] == "credit") & drift["channel"].notna()].set_index("channel")
    assert set(rows.index) == {*made.channels, "(baseline)"}
    assert rows["training"].sum() == pytest.approx(1)
    assert 0 < rows.loc["(baseline)", "training"] < 1
    whole = drift[(drift["measure"] == "credit") & drift["channel"].isna()].iloc[0]
    assert whole["psi"] == pytest.approx(rows["psi"].sum())
    assert not whole["drifted"]

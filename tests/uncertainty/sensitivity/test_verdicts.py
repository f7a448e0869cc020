"""Verdicts and regret: the rule, what would change it, how often it is wrong, what acting on a wrong model costs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import attribution as at
from attribution.journeys import journeys_of
from attribution.pipeline.builders import make_models, open_sources, terms_of
from attribution.schema.experiment import Experiment
from attribution.simulation import WORLDS, World, simulate
from attribution.uncertainty.sensitivity import Grid, sensitivity_tables
from attribution.uncertainty.sensitivity.choices import Choices
from attribution.uncertainty.sensitivity.regret import act_on, regret_table, regrets
from attribution.uncertainty.sensitivity.rules import CUT, GROW, KEEP, UNCLEAR, Range, Rule
from attribution.uncertainty.sensitivity.sensitivity_options import SensitivityOptions
from attribution.uncertainty.sensitivity.verdicts import verdict_table
from tests.scale import TIMES
from tests.uncertainty.sensitivity.test_sensitivity import of_roi

RULE = Rule(6.0, 3.0, 1.0)
ENDS = st.floats(0.01, 100.0)


# ---------------------------------------------------------------- the rule


@given(ENDS, ENDS)
def test_the_smallest_change_flips_and_less_does_not(one: float, other: float) -> None:
    found = Range(min(one, other), max(one, other))
    before = RULE.verdict(found)
    less, more = RULE.factors(found)
    for factor, beyond in ((less, 0.999), (more, 1.001)):
        if factor is not None:
            assert RULE.verdict(Range(*(end * factor * beyond for end in found))) != before
            halfway = (1 + factor) / 2
            assert RULE.verdict(Range(*(end * halfway for end in found))) == before or abs(factor - 1) < 1e-9
    # Where there is no such change, nothing within reason is one.
    if more is None:
        assert RULE.verdict(Range(found.low * 1e3, found.high * 1e3)) == before or before == CUT
    if less is None:
        assert RULE.verdict(Range(found.low * 1e-3, found.high * 1e-3)) == before or before == GROW


@given(ENDS, ENDS, ENDS, ENDS)
def test_the_crossing_is_where_the_verdict_first_changes(a: float, b: float, c: float, d: float) -> None:
    near, far = Range(min(a, b), max(a, b)), Range(min(c, d), max(c, d))
    before = RULE.verdict(near)

    def verdict(place: float) -> str:
        return RULE.verdict(Range(*(x + place * (y - x) for x, y in zip(near, far, strict=True))))

    crossing = RULE.crossing(near, far)
    if crossing is None:
        assert all(verdict(place) == before for place in np.linspace(0, 1, 101))
    else:
        assert all(verdict(place) == before for place in np.linspace(0, crossing * (1 - 1e-9), 50))
        assert verdict(min(crossing + 1e-6, 1.0)) != before or crossing > 1 - 1e-6 or abs(crossing) < 1e-6


def test_incremental_credit_is_taken_at_its_word() -> None:
    asked = SensitivityOptions(hurdle_roi=0.5, incremental_share=(0.5, 1), elasticity=0.5)
    assert Rule.of(asked, "allocated") == Rule(6.0, 3.0, 1.5)
    assert Rule.of(asked, "incremental") == Rule(3.0, 1.5, 1.5)


# ---------------------------------------------------------------- one channel, by hand


def windows(low: list[float], high: list[float], *, spend: float = 100.0, margin: float = 1.0) -> Grid:
    """One model and channel under windows of 10, 20, … days, whose draws of return ÷ spend are 21 numbers from low
    to high."""
    roas = np.stack([np.linspace(a, b, 21) for a, b in zip(low, high, strict=True)])
    roas = np.concatenate([roas.mean(axis=1, keepdims=True), roas], axis=1)[None, :, None, None, :, None]
    days = tuple(10.0 * k for k in range(1, len(low) + 1))
    choices = Choices(days, ("keep",), ("media",), (20.0, "keep", "media"))
    return Grid(
        ("linear",),
        ("allocated",),
        choices,
        ("邮件",),
        "revenue" if margin == 1 else "margin",
        roas * spend,
        np.full_like(roas, spend),
        np.array([margin]),
    )


ASKED = SensitivityOptions(level=0.9, incremental_share=(1 / 3, 1))


def verdict_of(grid: Grid, matured: dict[str, float] | None = None) -> pd.Series:
    return verdict_table(grid, ASKED, matured or {}).iloc[0]


def test_keep_by_hand() -> None:
    """Return ÷ spend from 4 to 8; the lower end is 4.2, 1.4 times the 3 with which a third of it earns the spend."""
    row = verdict_of(windows([4, 4], [8, 8], margin=0.5))
    assert row["verdict"] == KEEP
    assert row["probability"] == row["probability_least"] == row["probability_keep"] == 1.0
    assert row["probability_grow"] == pytest.approx(10 / 21)  # 6.2, 6.4 … 8.0
    assert row["probability_cut"] == 0.0
    assert (row["roi_low"], row["roi_high"]) == pytest.approx((3.2, 6.8))
    assert row["money_at_stake"] == pytest.approx(100 * (6 / 3 - 1))
    # Growing needs 6 ÷ 4.2 times the return, which no margin of 0.5 can give without exceeding … 0.714.
    assert row["margin_points_to_flip"] == pytest.approx(50 * (3 / 4.2 - 1))
    assert row["cost_to_flip"] == pytest.approx(100 * (4.2 / 3 - 1))
    assert row["lost_touchpoints_to_flip"] == pytest.approx(1 - 4.2 / 6)
    assert row["others_lost_to_flip"] == pytest.approx(1 - 3 / 4.2)
    assert row["share_to_break_even"] == pytest.approx(1 / 6)
    assert np.isnan(row["days_to_flip"])
    assert "even if it caused only 33.3 %" in row["says"]
    assert "allocated, not incremental" in row["says"]


def test_sales_at_a_loss_are_not_mended_by_points_of_margin() -> None:
    grid = windows([-0.4, -0.4], [0.9, 0.9], margin=0.5)
    assert verdict_of(dataclasses.replace(grid, margin=np.array([-0.1])))["verdict"] == CUT
    assert np.isnan(verdict_of(dataclasses.replace(grid, margin=np.array([-0.1])))["margin_points_to_flip"])
    assert verdict_of(grid)["margin_points_to_flip"] > 0


def test_days_to_flip_lie_on_the_straight_line_between_windows() -> None:
    """At 20 days the lower end is 4.2, at 30 days 2.2: it falls below 3 after 6 of the 10 days between."""
    row = verdict_of(windows([4, 4, 2], [8, 8, 6]))
    assert row["days_to_flip"] == pytest.approx(6.0)
    assert row["verdict"] == UNCLEAR  # under one window of three
    assert row["probability_least"] < 0.95


def test_grow_cut_and_not_enough_evidence() -> None:
    grow = verdict_of(windows([7, 7], [9, 9]))
    assert grow["verdict"] == GROW
    # A third of the mean return of 8, 30 % more spend at elasticity 0.5, less 30 % of 100.
    assert grow["money_at_stake"] == pytest.approx(100 * (8 / 3 * (1.3**0.5 - 1) - 0.3))
    assert np.isnan(grow["lost_touchpoints_to_flip"])
    cut = verdict_of(windows([0.2, 0.2], [0.6, 0.6]))
    assert cut["verdict"] == CUT
    assert cut["money_at_stake"] == pytest.approx(100 * (1 - 0.4))
    assert np.isnan(cut["cost_to_flip"])
    assert cut["lost_touchpoints_to_flip"] == pytest.approx(1 - 0.58)
    assert np.isnan(cut["margin_points_to_flip"])  # of revenue, the margin cannot rise
    unclear = verdict_of(windows([0.5, 0.5], [3.5, 3.5]))
    assert unclear["verdict"] == UNCLEAR
    assert unclear["money_at_stake"] == pytest.approx(100 * max(3.35 - 1, 1 - 0.65 / 3))


def test_a_young_channel_is_not_cut() -> None:
    grid = windows([0.2, 0.2], [0.6, 0.6])
    assert verdict_of(grid, {"邮件": 0.9})["verdict"] == CUT
    young = verdict_of(grid, {"邮件": 0.5})
    assert young["verdict"] == UNCLEAR
    assert young["maturity"] == 0.5


def test_what_nobody_recorded_is_not_condemned() -> None:
    grid = windows([0.0, 0.0], [0.0, 0.0])
    assert verdict_of(grid)["verdict"] == CUT
    row = verdict_of(dataclasses.replace(grid, unseen=frozenset({"邮件"})))
    assert row["verdict"] == UNCLEAR
    assert row["probability_cut"] == row["probability"] == 0.0
    assert row["money_at_stake"] == 100.0
    assert "no touchpoint" in row["says"]
    assert "allocated, not incremental" in row["says"]
    assert row.filter(like="to_flip").isna().all()


def test_a_channel_of_which_no_conversion_could_be_seen_is_not_condemned() -> None:
    """At 90 % up to −ln 0.05 = 3.0 conversions may have been expected and none be seen: 3.0 × 40 pays for 100."""
    grid = windows([0.0, 0.0], [0.0, 0.0])
    row = verdict_of(dataclasses.replace(grid, average=40.0))
    assert row["verdict"] == UNCLEAR
    assert "a single unobserved conversion" in row["says"]
    assert "allocated, not incremental" in row["says"]
    assert row["money_at_stake"] == pytest.approx(max(-np.log(0.05) * 40 - 100, 100))
    assert row["cost_to_flip"] == pytest.approx(-np.log(0.05) * 40 - 100)
    assert row["roi_high"] == -1.0
    # Where a conversion is worth less, three of them do not pay.
    assert verdict_of(dataclasses.replace(grid, average=30.0))["verdict"] == CUT


@pytest.mark.parametrize(("low", "high"), [(4.0, 8.0), (7.0, 9.0), (0.5, 3.5)])
def test_missing_cost_flips_when_it_is_booked(low: float, high: float) -> None:
    """Two cost bases: what is missing is missing in both."""
    grid = windows([low, low], [high, high])
    both = np.concatenate([grid.spend, grid.spend * 1.1], axis=3)
    bases = dataclasses.replace(grid.choices, cost_bases=("media", "loaded"))
    grid = dataclasses.replace(grid, spend=both, choices=bases)
    row = verdict_of(grid)
    for factor, same in ((0.99, True), (1.01, False)):
        booked = dataclasses.replace(grid, spend=grid.spend + factor * row["cost_to_flip"])
        assert (verdict_of(booked)["verdict"] == row["verdict"]) is same


def test_a_channel_without_media_cost_is_judged_by_what_is_known() -> None:
    grid = windows([7, 7], [9, 9])
    both = np.concatenate([np.full_like(grid.spend, np.nan), grid.spend], axis=3)
    bases = dataclasses.replace(grid.choices, cost_bases=("media", "loaded"))
    row = verdict_of(dataclasses.replace(grid, spend=both, choices=bases))
    assert row["verdict"] == GROW
    assert row["spend"] == 100.0


# ---------------------------------------------------------------- regret


def test_acting_is_the_best_division_within_a_step() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        today, credit = rng.uniform(10, 100, 4), rng.uniform(0, 300, 4)
        asked = SensitivityOptions(elasticity=float(rng.uniform(0.2, 0.8)), step=float(rng.uniform(0.1, 0.9)))

        def lost(spend: Any, credit: Any = credit, today: Any = today, e: float = asked.elasticity) -> float:
            return -float((credit * (spend / today) ** e).sum())

        limits = list(zip(today * (1 - asked.step), today * (1 + asked.step), strict=True))
        whole = {"type": "eq", "fun": lambda spend, today=today: spend.sum() - today.sum()}
        best = minimize(lost, today, bounds=limits, constraints=whole, method="SLSQP", options={"ftol": 1e-12})
        found = act_on(credit[None], today, asked)[0]
        assert found.sum() == pytest.approx(today.sum(), rel=1e-6)
        assert lost(found) <= best.fun + 1e-4 * abs(best.fun)


def test_regret_by_hand() -> None:
    """Two channels, 100 each, elasticity 0.5, step 0.5: each model puts 150 on its own and 50 on the other."""
    credit = np.array([[400.0, 100.0], [100.0, 400.0]])
    today, asked = np.array([100.0, 100.0]), SensitivityOptions(step=0.5)
    actions = act_on(credit, today, asked)
    np.testing.assert_allclose(actions, [[150, 50], [50, 150]], rtol=1e-6)
    lost = regrets(np.vstack([actions, today]), credit[:1], today, asked)[0]
    high, low = 1.5**0.5, 0.5**0.5
    np.testing.assert_allclose(lost, [0, 300 * (high - low), 400 * high + 100 * low - 500], rtol=1e-5, atol=1e-4)


def test_without_sampling_the_right_model_has_no_regret_and_minimax_is_the_smallest_worst() -> None:
    credit = np.array([[4.0, 1.0, 2.0], [1.0, 4.0, 2.0], [2.0, 2.5, 2.0]])
    roi = np.repeat(credit[:, None], 4, axis=1) - 1
    table = regret_table(of_roi(roi, spend=np.full((3, 1, 1, 1, 4, 3), 100.0)), SensitivityOptions())
    wide = table.pivot(index="acting_on", columns="if_right", values="regret")
    assert np.diag(wide.loc[list(wide.columns)]) == pytest.approx(np.zeros(3), abs=1e-6)
    assert (table["regret"] >= 0).all()
    worst = wide.max(axis=1)
    chosen = table.loc[table["is_minimax"], "acting_on"].unique().tolist()
    assert chosen == [worst.idxmin()]
    assert table.drop_duplicates("acting_on").set_index("acting_on")["worst"].to_dict() == pytest.approx(
        worst.to_dict()
    )
    assert table.set_index("acting_on").loc["(no change)", "moved"].eq(0).all()


# ---------------------------------------------------------------- how often verdicts are wrong


def world(base: str, seed: int) -> World:
    """Effects from nothing to strong, and prices that know nothing of them."""
    rng = np.random.default_rng(seed)

    def drawn(channel: at.worlds.Channel) -> at.worlds.Channel:
        effect = 0.0 if rng.random() < 0.2 else float(np.exp(rng.normal(-2.2, 1.1)))
        return dataclasses.replace(channel, effect=effect, cost=float(np.exp(rng.normal(-2.0, 1.2))))

    channels = tuple(drawn(channel) if channel.paid else channel for channel in WORLDS[base].channels)
    return dataclasses.replace(WORLDS[base], channels=channels, days=60)


def judged(base: str, seed: int) -> pd.DataFrame:
    """Verdicts beside the true ROI."""
    shop = simulate(world(base, seed), customers=15_000, seed=seed)
    tables = {name: {"source": getattr(shop, name)} for name in ("touchpoints", "conversions", "costs")}
    models = [{"model": name} for name in ("FirstTouch", "LastTouch", "Linear", "Shapley", "Markov")]
    options = {"draws": 50, "lookback_days": [7]}
    experiment = Experiment.model_validate({"name": base, "tables": tables, "models": models, "sensitivity": options})
    sources = open_sources(experiment)
    fitted, journeys = make_models(experiment), journeys_of(experiment, sources)
    at.attribute(journeys, fitted)
    verdicts = sensitivity_tables(experiment, sources, journeys, fitted, terms_of(experiment, sources))["verdicts"]
    return verdicts.merge(shop.truth, on="channel", suffixes=("", "_true"))


@pytest.mark.slow
@pytest.mark.drawn
def test_verdicts_are_wrong_no_more_often_than_stated_where_nothing_is_confounded() -> None:
    """Level 0.9: of channels that do not pay at most 5 % are told to grow, of those that pay at most 5 % to be cut."""
    table = pd.concat([judged("default", seed) for seed in range(max(18, 6 * TIMES))])
    pays = table["roi_true"] >= 0
    assert min(pays.sum(), (~pays).sum()) > 60
    grows, cut = table["verdict"] == GROW, table["verdict"] == CUT
    assert grows.sum() >= 10  # it does speak
    assert cut.sum() >= 10
    assert (grows & ~pays).sum() / (~pays).sum() <= 0.05
    assert (cut & pays).sum() / pays.sum() <= 0.05
    assert ((grows & ~pays) | (cut & pays)).sum() / (grows | cut).sum() <= 0.1
    # So many shops would tell of a rule that speaks as soon as something is more likely than not.
    assert ((table["probability_grow"] > 0.5) & ~pays).sum() / (~pays).sum() > 0.05


@pytest.mark.slow
def test_on_confounded_worlds_every_verdict_says_that_credit_is_not_incremental() -> None:
    table = judged("confounded", 0)
    assert table["says"].str.contains("allocated, not incremental").all()

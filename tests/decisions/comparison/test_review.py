"""A change of ROI splits into parts that add up exactly; declines are named, with who may take their place."""

from __future__ import annotations

import dataclasses
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attribution.decisions.comparison import Thresholds, compare_runs, review_runs, split_roi_change
from attribution.decisions.comparison.roi_change import MARKET_PARTS, PARTS, Side, split_market
from attribution.decisions.kpis import Run
from attribution.errors import InputError
from attribution.kernels.statistics.decompositions import split_product
from attribution.schema.experiment import Experiment
from attribution.schema.tables import TOTAL

CHANNELS = ["mail", "search", "微信"]


def make_run(
    name: str,
    *,
    models: dict[str, tuple[list[float], list[float]]],
    spend: list[float],
    journeys: list[float],
    load: float | None = None,
    **tables: pd.DataFrame,
) -> Run:
    """A run by hand: conversions and value per channel under each model, spend and journeys per channel."""
    experiment = Experiment.model_validate(
        {
            "name": name,
            "tables": {"paths": {"source": "p.csv"}},
            "models": [{"model": "LastTouch", "name": m} for m in models],
        }
    )
    paid = np.array(spend)
    parts = []
    for cost_basis, costs in [("loaded", paid * (load or 1))] * (load is not None) + [("media", paid)]:
        for model, (conversions, value) in models.items():
            roi = (np.array(value) - costs) / np.where(costs > 0, costs, np.nan)
            columns = {"channel": CHANNELS, "spend": np.where(paid > 0, costs, np.nan), "value": value, "roi": roi}
            rows = pd.DataFrame(
                {"model": model, "estimand": "allocated", "basis": "revenue", "cost_basis": cost_basis, **columns}
            )
            ends = dict.fromkeys(("roi_low", "roi_high", "conversions_low", "conversions_high"), np.nan)
            parts.append(rows.assign(conversions=conversions, rank=rows["roi"].rank(ascending=False), **ends))
    profile = pd.DataFrame({"measure": "participation", "channel": CHANNELS, "outcome": "converted", "count": journeys})
    return Run(name, experiment, {"returns": pd.concat(parts), "journey_profile": profile, **tables})


def first(**more: pd.DataFrame) -> Run:
    models = {"last": ([10, 20, 30], [100, 400, 900]), "linear": ([15, 20, 25], [180, 420, 800])}
    return make_run("winter", models=models, spend=[50, 200, 300], journeys=[100, 150, 200], **more)


def second(**more: pd.DataFrame) -> Run:
    models = {"last": ([8, 30, 10], [90, 700, 250]), "linear": ([10, 25, 13], [120, 640, 280])}
    return make_run("spring", models=models, spend=[60, 210, 0], journeys=[80, 220, 90], **more)


def total_roi(run: Run, model: str) -> float:
    rows = run.returns(model)
    rows = rows[rows["roi"].notna()]
    return float(rows["value"].sum() / rows["spend"].sum() - 1)


def test_parts_worked_by_hand() -> None:
    """One channel: (10 · 0.5 · 4) ÷ 5 = 4 becomes (20 · 0.5 · 4) ÷ 10 = 4: volume brings what spend takes."""
    start = Side(*(np.array([x]) for x in (5.0, 10.0, 5.0, 20.0, 5.0)))
    end = Side(*(np.array([x]) for x in (10.0, 20.0, 10.0, 40.0, 10.0)))
    own = split_market(start, end).own
    # Return rises by 20, worth ½(1/5 + 1/10) each; cost by 5, each worth −½(20 + 40)/50.
    assert own["volume"][0] == pytest.approx(3.0)
    assert own["spend"][0] == pytest.approx(-3.0)
    assert [own[part][0] for part in ("rate", "value", "cost")] == pytest.approx([0, 0, 0])


def owen_twin(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Mean over every order of change that keeps the factors of return together, and those of cost."""
    parts = dict.fromkeys(MARKET_PARTS, 0.0)
    orders = [
        (*a, *b) if return_first else (*b, *a)
        for a in permutations(("volume", "rate", "value"))
        for b in permutations(("spend", "cost"))
        for return_first in (True, False)
    ]
    for order in orders:
        now = dict(before)
        for part in order:
            was = ratio(now)
            now[part] = after[part]
            parts[part] += (ratio(now) - was) / len(orders)
    return parts


def ratio(factors: dict[str, float]) -> float:
    return factors["volume"] * factors["rate"] * factors["value"] / (factors["spend"] * factors["cost"])


def side(factors: dict[str, float]) -> Side:
    conversions = factors["volume"] * factors["rate"]
    values = factors["spend"], factors["volume"], conversions, conversions * factors["value"]
    return Side(*(np.array([x]) for x in (*values, factors["spend"] * factors["cost"])))


positive = st.fixed_dictionaries({part: st.floats(0.1, 100) for part in MARKET_PARTS})


@given(positive, positive)
def test_a_channel_splits_as_the_mean_over_all_orders(before: dict[str, float], after: dict[str, float]) -> None:
    own = split_market(side(before), side(after)).own
    twin = owen_twin(before, after)
    scale = max(map(abs, twin.values())) + 1e-12
    for part in MARKET_PARTS:
        assert own[part][0] == pytest.approx(twin[part], abs=1e-9 * scale)


amounts = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(0.01, 1e5)),  # spend
        st.floats(1, 5),  # all costs per media
        st.one_of(st.just(0.0), st.floats(1, 1e6)),  # journeys
        st.one_of(st.just(0.0), st.floats(-10, -0.01), st.floats(0.01, 1e5)),  # conversions
        st.one_of(st.just(0.0), st.floats(-1e3, -0.01), st.floats(0.01, 1e6)),  # return
    ),
    min_size=3,
    max_size=3,
)


def any_side(rows: list[tuple[float, ...]]) -> Side:
    media, load, journeys, conversions, returns = np.array(rows).T
    paid = media > 0
    return Side(media, *(np.where(paid, of, 0.0) for of in (journeys, conversions, returns)), media * load)


@given(amounts, amounts)
def test_parts_add_up_exactly_whatever_is_zero_and_turn_with_time(
    before: list[tuple[float, ...]], after: list[tuple[float, ...]]
) -> None:
    start, end = any_side(before), any_side(after)
    there, back = split_market(start, end), split_market(end, start)
    change = _ratio(end.returns.sum(), end.costs.sum()) - _ratio(start.returns.sum(), start.costs.sum())
    every = np.stack(list(there.total.values()))
    if np.isnan(change):
        assert np.isnan(every).all()
    else:
        scale = np.abs(every).sum() + abs(change) + 1e-9
        assert every.sum() == pytest.approx(change, abs=1e-9 * scale)
        np.testing.assert_allclose(every, -np.stack(list(back.total.values())), atol=1e-9 * scale)
    for place in range(3):
        parts = np.array([there.own[part][place] for part in MARKET_PARTS])
        own = _ratio(end.returns[place], end.costs[place]) - _ratio(start.returns[place], start.costs[place])
        if np.isnan(own):
            assert np.isnan(parts).all()
        else:
            assert parts.sum() == pytest.approx(own, abs=1e-9 * (np.abs(parts).sum() + 1e-9))


def _ratio(returns: float, costs: float) -> float:
    return returns / costs if costs > 0 else np.nan


def test_a_product_of_three_is_split_as_over_all_orders() -> None:
    before, after = np.array([[2.0], [3.0], [5.0]]), np.array([[1.0], [7.0], [4.0]])
    parts = np.zeros(3)
    for order in permutations(range(3)):
        now = before.copy()
        for factor in order:
            was = now.prod()
            now[factor] = after[factor]
            parts[factor] += (now.prod() - was) / 6
    np.testing.assert_allclose(split_product(before, after).ravel(), parts)


def test_the_table_adds_up_by_channel_and_in_total() -> None:
    before, after = first(), second()
    changes = split_roi_change(before, after, model="last")
    by_channel = changes[changes["slice"] != TOTAL]
    moved = total_roi(after, "last") - total_roi(before, "last")
    assert by_channel["total_change"].sum() == pytest.approx(moved, abs=1e-12)
    assert changes.loc[changes["slice"] == TOTAL, "roi_gap"].sum() == pytest.approx(moved, abs=1e-12)
    for channel in ("mail", "search"):
        own = after.returns("last")["roi"][channel] - before.returns("last")["roi"][channel]
        assert by_channel.loc[by_channel["slice"] == channel, "roi_gap"].sum() == pytest.approx(own, abs=1e-12)
    # 微信 had no spend in the later run: no ROI of its own to change, and yet its leaving moves the total.
    wechat = by_channel[by_channel["slice"] == "微信"]
    assert wechat["roi_gap"].isna().all()
    assert abs(wechat["total_change"].sum()) > 0.01
    assert set(changes["part"]) == set(PARTS)


def test_a_run_against_itself_has_no_parts() -> None:
    changes = split_roi_change(first(), first(), model="last")
    assert (changes["total_change"].fillna(0) == 0).all()


def test_another_model_is_a_part_of_its_own() -> None:
    """Same data twice: all of the change is the model's, whichever runs have both."""
    same = split_roi_change(first(), first(), model="linear", model_before="last")
    whole = same[same["slice"] == TOTAL].set_index("part")["total_change"]
    moved = total_roi(first(), "linear") - total_roi(first(), "last")
    assert whole["model"] == pytest.approx(moved)
    assert whole.drop("model").abs().max() < 1e-12


def test_the_model_part_is_the_mean_of_model_first_and_model_last() -> None:
    before, after = first(), second()
    changes = split_roi_change(before, after, model="linear", model_before="last")
    whole = changes[changes["slice"] == TOTAL].set_index("part")["total_change"]
    steps = [total_roi(run, "linear") - total_roi(run, "last") for run in (before, after)]
    # Channels with spend are those of either run, the same under both models.
    assert whole["model"] == pytest.approx(np.mean(steps))
    assert whole.sum() == pytest.approx(total_roi(after, "linear") - total_roi(before, "last"))


def test_the_model_part_needs_a_run_with_both_models() -> None:
    only = make_run("old", models={"last": ([1, 2, 3], [4, 5, 6])}, spend=[1, 1, 1], journeys=[5, 5, 5])
    other = make_run("new", models={"linear": ([1, 2, 3], [4, 5, 6])}, spend=[1, 1, 1], journeys=[5, 5, 5])
    with pytest.raises(InputError, match="no run has both models"):
        split_roi_change(only, other, model="linear", model_before="last")
    with pytest.raises(InputError, match="no model in common"):
        review_runs(only, other)
    changes = split_roi_change(only, second(), model="linear", model_before="last")
    assert changes["total_change"].sum() == pytest.approx(2 * (total_roi(second(), "linear") - total_roi(only, "last")))


def test_dearer_labour_is_the_part_cost() -> None:
    models = {"last": ([10, 20, 30], [100, 400, 900])}
    cheap, dear = (
        make_run("r", models=models, spend=[50, 200, 300], journeys=[9, 9, 9], load=load) for load in (1.2, 1.5)
    )
    whole = split_roi_change(cheap, dear, model="last").query("slice == '(total)'").set_index("part")["total_change"]
    assert whole["cost"] == pytest.approx(1400 / (550 * 1.5) - 1400 / (550 * 1.2))
    assert whole.drop("cost").abs().max() == 0


def test_runs_on_different_terms_are_refused() -> None:
    loaded = make_run("l", models={"last": ([1, 1, 1], [1, 1, 1])}, spend=[1, 1, 1], journeys=[1, 1, 1], load=2.0)
    with pytest.raises(InputError, match="by different returns or costs"):
        review_runs(first(), loaded)
    with pytest.raises(InputError, match=r"no model 'lats'.*did you mean 'last'"):
        split_roi_change(first(), second(), model="lats")


def test_the_review_says_what_moved() -> None:
    review = review_runs(first(), second())
    table = review.tables["comparison"].set_index(["specification", "model", "channel"])
    was, now = (table.loc[(name, "last", TOTAL)] for name in ("winter", "spring"))
    assert was["roi"] == pytest.approx(1400 / 550 - 1)
    assert now["roi"] == pytest.approx(790 / 270 - 1)
    assert now["roi_change"] == now["roi"] - was["roi"]
    assert (was["spend"], now["spend"], now["conversions"], now["value"]) == (550, 270, 38, 790)
    assert "Under last, total ROI went from +155 % to +193 % (+38 points)" in review.findings[0]
    assert review.metrics["roi_change/last (total)"] == pytest.approx(790 / 270 - 1400 / 550)
    # 微信 had no spend in the later run, so its change is not known, and said to be so.
    assert np.isnan(review.metrics["roi_change/last 微信"])
    assert any("no intervals" in note for note in review.notes)


def test_a_review_is_the_comparison_of_its_two_runs() -> None:
    reviewed, compared = review_runs(first(), second()), compare_runs({"winter": first(), "spring": second()})
    pd.testing.assert_frame_equal(reviewed.tables["comparison"], compared.tables["comparison"])


def test_a_review_of_another_model_holds_it_against_that_of_the_earlier_run() -> None:
    table = review_runs(first(), second(), model="linear", model_before="last").tables["comparison"]
    assert table.groupby("specification")["model"].unique().str[0].to_dict() == {"winter": "last", "spring": "linear"}
    row = table[(table["specification"] == "spring") & (table["channel"] == "mail")].iloc[0]
    assert row["counterpart"] == "last"
    assert row["roi_change"] == pytest.approx(120 / 60 - 100 / 50)


def test_a_channel_that_a_run_does_not_have_is_credited_with_nothing() -> None:
    returns = second().tables["returns"].query("channel != 'mail'")
    later = dataclasses.replace(second(), tables={**second().tables, "returns": returns})
    review = review_runs(first(), later)
    gone = review.tables["comparison"].query("specification == 'spring' and channel == 'mail'")
    assert gone["conversions"].tolist() == [0, 0]
    assert gone[["roi", "rank", "roi_change"]].isna().all(axis=None)


def test_intervals_that_lie_apart_are_beyond_sampling() -> None:
    before, after = first(), second()
    for run, half in ((before, 0.2), (after, 0.1)):
        returns = run.tables["returns"]
        returns["roi_low"], returns["roi_high"] = returns["roi"] - half, returns["roi"] + half
    table = review_runs(before, after).tables["comparison"].query("specification == 'spring' and model == 'last'")
    # mail: 1.00 ± 0.2 and 0.50 ± 0.1; search: 1.00 ± 0.2 and 2.33 ± 0.1; 微信 and (total) have no intervals.
    apart = table.set_index("channel")["beyond_sampling"]
    assert apart.dropna().to_dict() == {"mail": True, "search": True}


def test_runs_of_one_name_stay_apart() -> None:
    table = review_runs(first(), first()).tables["comparison"]
    assert table["specification"].unique().tolist() == ["winter (before)", "winter (after)"]
    assert table["roi_change"].dropna().eq(0).all()


def test_a_decline_is_named_with_its_likely_substitutes() -> None:
    steps = pd.DataFrame(
        [
            ("(start)", "mail", 10),
            ("(start)", "search", 40),
            ("(start)", "微信", 40),
            ("mail", "(null)", 10),
            ("search", "(conversion)", 20),
            ("search", "(null)", 20),
            ("微信", "(conversion)", 22),
            ("微信", "(null)", 18),
        ],
        columns=["from_state", "to_state", "count"],
    )
    review = review_runs(first(transitions=steps), second())
    alerts = review.tables["alerts"]
    declines = alerts.query("kind == 'decline'").set_index("subject")
    assert list(declines.index) == ["微信"]  # mail falls by a fifth, which is not more than a fifth
    assert declines["change"]["微信"] == pytest.approx(10 / 30 - 1)
    likely = alerts.query("kind == 'substitute' and subject == '微信'")
    assert likely["other"].tolist() == ["search", "mail"]
    # By hand, with 180 steps, 90 of them first ones and 10 into mail: observed − by chance, ÷ √ by chance.
    total = 180

    def beyond(observed: float, row: float, column: float) -> float:
        chance = row * column / total
        return (observed - chance) / np.sqrt(chance)

    def profile(conversions: float, nulls: float) -> np.ndarray:
        ends = beyond(conversions, 40, 42), beyond(nulls, 40, 48)
        return np.array([*ends, beyond(0, 40, 10), beyond(40, 90, 40), beyond(0, 10, 40)])

    a, b = profile(22, 18), profile(20, 20)
    assert likely["similarity"].iloc[0] == pytest.approx(a @ b / np.sqrt(a @ a * (b @ b)))
    assert likely["role"].tolist() == ["similar", "similar"]
    assert likely["change"].tolist() == pytest.approx([0.5, -0.2])
    assert likely[["before", "after"]].to_numpy().tolist() == [[20, 30], [10, 8]]
    assert likely["message"].iloc[0] == "search stands where 微信 stood in journeys; its credited conversions: 20 → 30"
    # Those that may follow are no alerts: nobody counts them as such.
    assert alerts["kind"].value_counts()["substitute"] == 4
    assert review.metrics["alerts"] == len(alerts) - 4 == 3
    assert sum(sentence.startswith("Alert: ") for sentence in review.findings) == 3


def test_interactions_tell_substitutes_from_complements() -> None:
    steps = pd.DataFrame(
        [("(start)", name, 10) for name in CHANNELS] + [(name, "(null)", 10) for name in CHANNELS],
        columns=["from_state", "to_state", "count"],
    )
    pairs = pd.DataFrame(
        {
            "model": "shapley",
            "channel_a": ["search", "mail"],
            "channel_b": ["微信", "微信"],
            "measure": "shapley_interaction",
            "interaction": [-2.0, 3.0],
        }
    )
    found = review_runs(first(transitions=steps, interactions=pairs), second()).tables["alerts"]
    wechat = found[(found["kind"] == "substitute") & (found["subject"] == "微信")]
    assert wechat[["other", "role"]].to_numpy().tolist() == [["search", "substitute"], ["mail", "complement"]]
    # Of a model that fails a check they tell nothing.
    columns = {"check": "immortal_time", "table": "journeys", "status": "warn", "example": "shapley", "message": "so"}
    quality = pd.DataFrame([columns])
    runs = first(transitions=steps, interactions=pairs, quality=quality), second(quality=quality)
    found = review_runs(*runs).tables["alerts"]
    assert found.loc[found["kind"] == "substitute", "role"].unique().tolist() == ["similar"]


@pytest.mark.parametrize(("half", "is_sure"), [(4.0, True), (12.0, False)])
def test_a_decline_within_the_intervals_may_be_chance(half: float, is_sure: bool) -> None:
    """微信 falls from 30 to 10."""
    runs = first(), second()
    for run in runs:
        returns = run.tables["returns"]
        returns["conversions_low"], returns["conversions_high"] = (
            returns["conversions"] + half * side for side in (-1, 1)
        )
    alerts = review_runs(*runs).tables["alerts"].query("kind == 'decline'").set_index("subject")
    assert bool(alerts["beyond_sampling"]["微信"]) is is_sure
    assert alerts["message"]["微信"].endswith("; the intervals overlap, so it may be chance") is not is_sure


def test_drift_and_worse_checks_raise_alerts() -> None:
    quality = [
        pd.DataFrame({"check": ["gaps"], "table": ["costs"], "status": [status], "message": [status]})
        for status in ("pass", "warn")
    ]
    alerts = review_runs(first(quality=quality[0]), second(quality=quality[1])).tables["alerts"].set_index("kind")
    was, now = np.array([10, 20, 30]) / 60, np.array([8, 30, 10]) / 48
    assert alerts["change"]["credit_drift"] == pytest.approx(np.abs(now - was).sum() / 2)
    assert alerts["subject"]["quality"] == "gaps of costs"
    calm = review_runs(first(), first()).tables
    assert calm["alerts"].empty


def test_another_model_is_no_decline() -> None:
    """微信 falls from 30 to 25 between the models of one run: nothing happened to it."""
    alerts = review_runs(first(), first(), model="linear", model_before="last", thresholds=Thresholds(decline=0.05))
    assert alerts.tables["alerts"].empty


def test_thresholds_are_checked() -> None:
    with pytest.raises(InputError, match="threshold decline must be a share"):
        Thresholds(decline=20)
    quiet = Thresholds(decline=0.9, drift=0.9)
    assert review_runs(first(), second(), thresholds=quiet).tables["alerts"].empty


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        review_runs(tmp_path / "nowhere", tmp_path)
    with pytest.raises(InputError, match="is not the folder of a run: it has no credit"):
        review_runs(tmp_path, tmp_path)


def test_runs_without_costs_or_dates_are_reviewed_by_credit_alone() -> None:
    import attribution as at

    def path_run(name: str, mail: int) -> Run:
        paths = pd.DataFrame({"path": ["mail > 微信", "微信", "search"], "conversions": [mail, 20, 30]})
        asked = {"name": name, "tables": {"paths": {"source": paths}}, "models": [{"model": "LastTouch"}]}
        return at.run_of(at.run_experiment(Experiment.model_validate(asked)))

    review = review_runs(path_run("a", 40), path_run("b", 5))
    assert "no channel with spend" in review.findings[0]
    assert review.tables["comparison"]["roi"].isna().all()
    declines = review.tables["alerts"].query("kind == 'decline'")
    assert declines["subject"].tolist() == ["微信"]
    assert declines["change"].tolist() == pytest.approx([25 / 60 - 1])
    assert not np.isfinite(list(review.metrics.values())[:-1]).any()


def test_what_a_run_does_not_know_is_said() -> None:
    """Without journeys the part of rate is that of conversions; without days runs may be of any length."""
    bare = first()
    del bare.tables["journey_profile"]  # type: ignore[attr-defined]
    notes = " ".join(review_runs(bare, dataclasses.replace(second(), span=("2024-01-01", "2024-01-31"))).notes)
    assert "Run 'winter' has no journey_profile" in notes
    assert "The number of days of run 'winter' is unknown" in notes
    assert "journey_profile" not in " ".join(review_runs(first(), second()).notes)

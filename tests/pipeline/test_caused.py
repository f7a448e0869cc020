"""What channels caused, beside the models of an experiment: where it is fitted or left out, and who uses it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.decisions.kpis.metrics import measure
from attribution.errors import InputError
from attribution.incrementality.caused_section import caused_grid, caused_sentences, caused_table
from attribution.models.saved.fitted import find_model
from attribution.pipeline.outcome import Outcome
from attribution.pipeline.tracking_record import record_of
from attribution.schema.tables import CAUSED, TOTAL
from attribution.simulation.simulation import simulate_joint_truth

CHECK = "caused_left_out"


@cache
def shop(world: str = "default", days: int | None = None) -> Any:
    return at.simulate(world, customers=8_000, days=days, truth=False)


def experiment(world: str = "default", *, days: int | None = None, **options: Any) -> at.Experiment:
    log = shop(world, days)
    tables = {"touchpoints": log.touchpoints, "conversions": log.conversions, "costs": log.costs}
    settings = {"name": "shop", "models": [{"model": "LastTouch"}, {"model": "Linear"}], "tracking": {"enabled": False}}
    return at.Experiment(**(settings | {"tables": tables | {"customers": log.customers}} | options))


@cache
def outcome(world: str = "default") -> Outcome:
    return at.run_experiment(experiment(world, resampling={"draws": 50}))


def rows_of(result: Outcome, table: str = "credit", model: str = CAUSED) -> pd.DataFrame:
    rows = result.tables[table]
    return rows[rows["model"] == model].set_index("channel")


# ---------------------------------------------------------------- fitted beside the models


def test_it_is_what_the_model_says_when_it_is_named() -> None:
    named = at.run_experiment(experiment(models=[{"model": "AdditiveHazard"}]))
    assert [model.label for model in named.models] == [CAUSED]
    pd.testing.assert_frame_equal(
        rows_of(named)[["conversions", "value", "is_known"]], rows_of(outcome())[["conversions", "value", "is_known"]]
    )
    assert named.tables["assignment"].equals(outcome().tables["assignment"])


def test_it_stands_beside_the_models_and_is_not_compared_with_them() -> None:
    tables = outcome().tables
    assert [model.label for model in outcome().models] == ["last_touch", "linear", CAUSED]
    assert set(tables["agreement"]["model_a"]) == {"last_touch", "linear"}
    between = tables["differences"].query("channel_a == channel_b")
    assert set(between["model_a"]) | set(between["model_b"]) == {"last_touch", "linear"}
    assert (tables["roi_slices"]["model"] != CAUSED).all()
    credit = rows_of(outcome())["conversions"]
    assert credit.sum() == pytest.approx(len(shop().conversions))
    assert "(baseline)" in credit.index
    assert rows_of(outcome())["chance_conversions"].isna().all()


def test_a_run_has_one_answer_on_what_was_caused() -> None:
    models = [{"model": "LastTouch"}, {"model": "AdditiveHazard", "half_lives_days": 2}]
    result = at.run_experiment(experiment(models=models))
    assert [model.label for model in result.models] == ["last_touch", "additive_hazard_2"]


def test_it_can_be_turned_off() -> None:
    result = at.run_experiment(experiment(incrementality={"enabled": False}))
    assert [model.label for model in result.models] == ["last_touch", "linear"]
    assert "assignment" not in result.tables
    assert CHECK not in set(result.tables["quality"]["check"])


def test_an_export_picks_it_only_by_its_name() -> None:
    result = at.run_experiment(experiment(models=[{"model": "Linear"}]))
    assert find_model(result, None).label == "linear"
    assert find_model(result, CAUSED).label == CAUSED
    with pytest.raises(InputError, match="several models: name one"):
        find_model(outcome(), None)


def test_targets_are_judged_by_the_models_of_the_experiment() -> None:
    run = at.run_of(outcome())
    assert run.models == ["last_touch", "linear"]
    assert run.labels == ["last_touch", "linear", CAUSED]
    roi = measure(run, "roi", ["video"], model=CAUSED)
    assert roi.value == pytest.approx(rows_of(outcome(), "returns").loc["video", "roi"])
    own = at.run_of(at.run_experiment(experiment(models=[{"model": "AdditiveHazard"}])))
    assert own.models == [CAUSED]


# ---------------------------------------------------------------- left out


def _paths() -> dict[str, Any]:
    paths = pd.DataFrame({"path": ["mail > search", "search"], "conversions": [300, 100]})
    return {"tables": {"paths": paths, "costs": pd.DataFrame({"channel": ["mail"], "amount": [10.0]})}}


def _order() -> dict[str, Any]:
    tables = {name: getattr(shop(), name) for name in ("touchpoints", "conversions")}
    start = pd.Timestamp("2024-01-01")
    for name, column in (("touchpoints", "touched_at"), ("conversions", "converted_at")):
        hours = (tables[name][column] - start) // pd.Timedelta("1h")
        tables[name] = tables[name].assign(**{column: hours})
    return {"tables": tables | {"costs": shop().costs.drop(columns="day")}}


def _without(*names: str) -> dict[str, Any]:
    return {"tables": {name: getattr(shop(), name) for name in ("touchpoints", "conversions") if name not in names}}


def _twins() -> dict[str, Any]:
    """Two channels that always come together."""
    touchpoints = shop().touchpoints
    twin = touchpoints[touchpoints["channel"] == "video"].assign(channel="spot")
    costs = pd.concat([shop().costs, shop().costs.query("channel == 'video'").assign(channel="spot")])
    tables = {"touchpoints": pd.concat([touchpoints, twin]), "conversions": shop().conversions, "costs": costs}
    return {"tables": tables}


LEFT_OUT = {
    "paths": (_paths, "additive_hazard needs timestamps, and these journeys have only an order: give touchpoints with "
              "timestamps", "pass"),
    "order": (_order, "additive_hazard needs timestamps, and these journeys have only an order: give touchpoints with "
              "timestamps", "pass"),
    "overlap": (lambda: {"journeys": {"conversions": "cumulative"}},
                "additive_hazard needs conversions that end a journey, and here touchpoints may serve several "
                'conversions (conversions = "cumulative"): change journeys.conversions', "pass"),
    "transform": (lambda: {"journeys": {"transform": "frequency"}},
                  "additive_hazard reads touchpoints as they were logged, and here channels are told apart by how "
                  'often they came before (transform = "frequency"): leave the transform out', "pass"),
    "no costs": (_without, "additive_hazard needs to know which channels are paid, and no channel has a cost", "pass"),
    "few": (lambda: {"period": {"start": "2024-01-20"}},
            "additive_hazard has too few conversions to tell what caused them (", "pass"),
    "twins": (_twins, "additive_hazard cannot tell channels apart that always come together (['spot', 'video'])",
              "warn"),
}  # fmt: skip


@pytest.mark.parametrize("why", LEFT_OUT)
def test_where_the_data_do_not_allow_it_the_run_says_why(why: str) -> None:
    options, message, status = LEFT_OUT[why]
    asked = experiment(**options())
    result = at.run_experiment(asked)
    assert CAUSED not in {model.label for model in result.models}
    assert "assignment" not in result.tables
    row = result.tables["quality"].set_index("check").loc[CHECK]
    assert row["message"].startswith(f"there is no answer on what channels caused, because {message}")
    assert row["status"] == status
    assert caused_sentences(result.tables) == [f"T{row['message'][1:]}."]
    if status == "pass":
        checked = at.check_quality(asked).set_index("check")
        assert checked.loc[CHECK, "message"] == row["message"]
    with pytest.raises(InputError):
        at.run_experiment(asked.model_copy(update={"models": experiment(models=[{"model": "AdditiveHazard"}]).models}))


def test_a_short_log_is_told_how_long_it_must_be() -> None:
    result = at.run_experiment(experiment(days=7))
    message = result.tables["quality"].set_index("check").loc[CHECK, "message"]
    assert message == (
        "there is no answer on what channels caused, because additive_hazard needs data of at least 4 half-lives, to "
        "tell what a channel does from what customers are like (7 days of data, half-life 2 days): give more days, set "
        "a shorter half_lives_days"
    )


def test_a_model_of_ones_own_with_its_label_is_no_error() -> None:
    models = [{"model": "LastTouch"}, {"model": "Linear", "name": CAUSED}]
    result = at.run_experiment(experiment(models=models))
    assert [type(model).__name__ for model in result.models] == ["LastTouch", "Linear"]
    message = result.tables["quality"].set_index("check").loc[CHECK, "message"]
    assert message.endswith("because a model has the label 'additive_hazard': give it another name")
    assert at.run_of(result).models == ["last_touch", CAUSED]


# ---------------------------------------------------------------- channels that follow customers

FLAGGED = ["affiliate", "brand_search", "retargeting"]
"""In the world ``confounded`` these reach customers who are about to buy."""


def test_a_flagged_channel_has_a_number_and_nothing_more() -> None:
    assignment = outcome("confounded").tables["assignment"].set_index("channel")
    assert (assignment.loc[FLAGGED, "verdict"] == "unknown: follows intent").all()
    credit, returns = (rows_of(outcome("confounded"), name) for name in ("credit", "returns"))
    unknown = credit.index[~credit["is_known"]]
    assert set(unknown) == {*assignment.index[~assignment["is_known"]], "direct", "organic", "(baseline)"}
    assert (credit.loc[FLAGGED, "conversions"] != 0).all()
    assert credit.loc[unknown].filter(regex="_low|_high").isna().all(axis=None)
    ratios = ["roas", "roi", "cpa", "rank", "roi_beyond_chance"]
    assert returns.loc[FLAGGED, ratios].isna().all(axis=None)
    assert returns.loc[FLAGGED].filter(regex="_low|_high").isna().all(axis=None)
    assert (returns.loc[FLAGGED, "spend"] > 0).all()
    others = assignment.index[assignment["is_known"]]
    assert returns.loc[others, ["roi", "roi_low", "rank", "rank_low"]].notna().all(axis=None)
    assert sorted(returns.loc[others, "rank"]) == list(range(1, len(others) + 1))
    # Credit that is divided is as it is.
    assert rows_of(outcome("confounded"), "returns", "linear").loc[FLAGGED, "rank_low"].notna().all()
    assert rows_of(outcome("confounded"), "credit", "linear")["is_known"].all()


def test_nothing_is_tracked_of_a_flagged_channel(tmp_path: Any) -> None:
    record = record_of(outcome("confounded"), tmp_path)
    metrics = next(each.metrics for each in record.models if each.name == CAUSED)
    known = outcome("confounded").tables["assignment"].query("is_known")["channel"]
    assert {key.partition("/")[2] for key in metrics if "/" in key} == set(known)
    assert metrics["channels_with_known_effect"] == len(known)
    assert "caused_conversions" not in metrics
    assert next(each.metrics for each in record.models if each.name == "linear")["rank/affiliate"] > 0


def test_targets_on_a_flagged_channel_are_unknown() -> None:
    run = at.run_of(outcome("confounded"))
    answer = measure(run, "roi", ["affiliate"], model=CAUSED)
    assert np.isnan(answer.value)
    assert answer.why == "additive_hazard cannot tell the effect of affiliate: only a test of spend would"
    assert np.isnan(measure(run, "conversions", ["affiliate"], model=CAUSED).value)
    assert np.isnan(measure(run, "roi", model=CAUSED).value)
    # What was spent, and all that was sold, is counted.
    assert measure(run, "spend", ["affiliate"], model=CAUSED).value > 0
    assert measure(run, "conversions", model=CAUSED).value == pytest.approx(len(shop("confounded").conversions))
    assert measure(run, "roi", ["affiliate"]).value > 0


def test_no_money_is_moved_on_a_flagged_channel() -> None:
    spend = float(shop("confounded").costs["amount"].sum())
    _, plan = at.plan_budget(experiment("confounded", resampling={"draws": 50}, budget={"total": spend}))
    rows = plan.tables["budget"].query("scenario == 'plan'").set_index(["model", "channel"])
    caused = rows.loc[CAUSED].loc[FLAGGED]
    assert caused["spend"].to_numpy() == pytest.approx(caused["spend_today"].to_numpy())
    assert (caused["binding"] == "effect not known").all()
    assert caused[["marginal", "return_low", "return_sd", "probability_more"]].isna().all(axis=None)
    assert (rows.loc["linear", "binding"] != "effect not known").all()
    note = next(note for note in plan.notes if note.startswith("Under additive_hazard the spend of affiliate, "))
    assert note.endswith(
        "stays as it is, because the effect is not known: test these channels before you move their money."
    )


def test_a_total_that_only_flagged_channels_could_take_leaves_the_other_plans() -> None:
    spend = float(shop("confounded").costs["amount"].sum())
    _, plan = at.plan_budget(experiment("confounded", budget={"total": spend / 4, "step_limit": "none"}))
    assert set(plan.tables["budget"]["model"]) == {"last_touch", "linear"}
    assert plan.notes[-1].startswith("There is no plan under additive_hazard: the effect of affiliate, ")


def test_verdicts_say_nothing_of_a_flagged_channel_and_regret_is_of_the_models() -> None:
    options = {"draws": 50, "lookback_days": [30], "direct": ["keep"]}
    tables = at.run_experiment(experiment("confounded", sensitivity=options)).tables
    verdicts = tables["verdicts"].set_index(["estimand", "channel"])
    for estimand in ("allocated", "incremental"):
        assert (verdicts.loc[estimand].loc[FLAGGED, "verdict"] == "unknown").all()
    assert verdicts.loc["incremental"].loc[FLAGGED, ["roi", "roi_low", "money_at_stake"]].isna().all(axis=None)
    assert (tables["regret"]["estimand"] == "allocated").all()
    by_model = tables["specifications"].set_index(["model", "channel"])
    assert by_model.loc[CAUSED].loc[FLAGGED, ["value", "roi", "roi_low", "rank"]].isna().all(axis=None)
    assert by_model.loc["linear"].loc[FLAGGED, "roi"].notna().all()
    ranked = tables["rank_probability"].query("model == '(all)' and estimand == 'incremental'")
    assert not set(ranked["channel"]) & set(FLAGGED)


# ---------------------------------------------------------------- what people read


def test_credited_caused_and_true_stand_side_by_side() -> None:
    truth = pd.DataFrame({"channel": ["video", TOTAL], "incremental_conversions": [31, 90]})
    table = caused_table({**outcome().tables, "truth": truth})
    assert table is not None
    video = table.set_index("channel").loc["video"]
    own = rows_of(outcome()).loc["video"]
    assert [video["caused"], video["low"], video["high"]] == own[
        ["conversions", "conversions_low", "conversions_high"]
    ].tolist()
    assert video["credited"] == rows_of(outcome(), model="last_touch").loc["video", "conversions"]
    assert video["true"] == 31
    whole = table.iloc[-1]
    assert whole["channel"] == "all paid channels"
    assert whole["true"] == 90
    assert whole["caused"] == pytest.approx(table["caused"].iloc[:-1].sum())
    spend = outcome().tables["returns"].drop_duplicates("channel").set_index("channel")["spend"]
    assert spend[table["channel"].iloc[:-1]].is_monotonic_decreasing
    first, why = caused_sentences({**outcome().tables, "truth": truth})
    assert first == (
        f"last_touch credits paid channels with {whole['credited']:,.0f} conversions. They caused about "
        f"{whole['caused']:,.0f}, if touches are as good as random."
    )
    assert "without all of them 90 fewer would have happened" in why


def test_what_is_not_known_is_read_as_unknown() -> None:
    table = caused_table(outcome("confounded").tables)
    assert table is not None
    grid = caused_grid(table).set_index("channel")
    assert list(grid) == ["credited (last_touch)", "caused"]
    assert set(grid.loc[FLAGGED, "caused"]) == {"unknown: follows intent"}
    assert grid.loc["all paid channels", "caused"] == "unknown"
    by_intent, by_traits = caused_sentences(outcome("confounded").tables)
    assert by_intent.startswith("What generic_search, affiliate, retargeting and brand_search caused cannot be told")
    assert by_traits.startswith("What social and email caused cannot be told from the log: their touchpoints come more")
    assert caused_sentences({}) == []


def test_what_tests_say_stands_beside_what_the_log_says() -> None:
    tables = outcome().tables
    assert "caused, with lift tests" not in caused_grid(caused_table(tables))
    known = {"channel": ["email", "video"], "mean": [50.4, 20.0], "low": [30.0, 0.0], "high": [70.0, 61.2]}
    untested = pd.DataFrame({**known, "tests": 0})
    assert "caused, with lift tests" not in caused_grid(caused_table({**tables, "incremental": untested}))
    grid = caused_grid(caused_table({**tables, "incremental": untested.assign(tests=[2, 0])})).set_index("channel")
    column = grid["caused, with lift tests"]
    assert column[["email", "video", "display"]].tolist() == ["50 [30, 70], tested", "20 [0, 61]", "unknown"]
    assert column["all paid channels"] == "70"


def test_the_joint_truth_is_what_all_paid_channels_cause() -> None:
    """Nothing but the paid channels is switched off: a world without any has no joint effect."""
    row = simulate_joint_truth("default", customers=2_000).iloc[0]
    each = at.simulate("default", customers=2_000).truth
    assert each["incremental_conversions"].max() <= row["incremental_conversions"]
    assert row["incremental_value"] > 0
    assert np.isnan(row["roi"])
    null = simulate_joint_truth("null", customers=2_000).iloc[0]
    assert null[["incremental_conversions", "incremental_value"]].tolist() == [0, 0.0]

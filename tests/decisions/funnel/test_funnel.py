"""Stages with dates: what is counted, what is credited, and that nothing later than a moment tells of it."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

import attribution as at
from attribution.decisions.funnel import follow_stages
from attribution.decisions.funnel.arrivals import read_arrivals
from attribution.decisions.funnel.breaks import break_table
from attribution.decisions.funnel.funnel_options import FunnelOptions
from attribution.decisions.funnel.progress import Progress, follow
from attribution.decisions.funnel.stages import Wins, learn_chances, wins_of
from attribution.errors import InputError
from attribution.kernels.statistics.intervals import weighted_wilson, wilson_interval
from attribution.pipeline.sections import load_sections
from tests.reporting.drawn import all_figures, page_of
from tests.scale import examples

DAY_0 = pd.Timestamp("2024-01-01")
STAGES = ("lead", "SQL", "won")
MODELS = [{"model": "LastTouch"}, {"model": "Linear"}, {"model": "Markov", "name": "markov"}]


def day(number: float) -> pd.Timestamp:
    return DAY_0 + pd.Timedelta(days=number)


def touches(*rows: tuple[Any, float, str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["customer_id", "touched_at", "channel"])
    return table.assign(touched_at=table["touched_at"].map(day))


def stage_rows(*rows: tuple[Any, str, float | None], **columns: list[Any]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["customer_id", "stage", "stage_time"])
    times = [None if number is None or number != number else day(number) for number in table["stage_time"]]
    return table.assign(stage_time=pd.Series(times, dtype="datetime64[us]"), **columns)


ORDERS = pd.DataFrame({"customer_id": ["a"], "converted_at": [day(9)], "value": [1.0]})
TOUCHED = touches(("a", 0, "mail"), ("b", 0, "mail"), ("c", 0, "fair"))


def experiment(tables: dict[str, pd.DataFrame], funnel: dict[str, Any], **parts: Any) -> at.Experiment:
    document = {
        "name": "funnel",
        "tables": {name: {"source": table} for name, table in tables.items()},
        "models": parts.pop("models", MODELS),
        "funnel": funnel,
        "tracking": {"enabled": False},
        **parts,
    }
    return at.Experiment.model_validate(document)


def tables_of(
    touchpoints: pd.DataFrame, stages: pd.DataFrame, funnel: dict[str, Any] | None = None, **parts: Any
) -> dict[str, pd.DataFrame]:
    given = {"touchpoints": touchpoints, "conversions": ORDERS, "stages": stages, **parts.pop("tables", {})}
    return dict(at.run_experiment(experiment(given, funnel or {"stages": STAGES}, **parts)).tables)


def progress_of(stages: pd.DataFrame, **options: Any) -> Progress:
    asked = FunnelOptions(**{"stages": STAGES, **options})
    sources = at.load_sources(TOUCHED, ORDERS, stages=stages)
    return follow(read_arrivals(sources, asked), asked)


def funnel_of(stages: pd.DataFrame, **options: Any) -> pd.DataFrame:
    asked = FunnelOptions(**{"stages": STAGES, **options})
    return follow_stages(at.load_sources(TOUCHED, ORDERS, stages=stages), asked).set_index("stage")


def quality(tables: dict[str, pd.DataFrame], check: str) -> pd.Series:
    found = tables["quality"]
    return found[(found["table"] == "stages") & (found["check"] == check)].iloc[0]


# ---------------------------------------------------------------- counted by hand

BY_HAND = stage_rows(
    ("a", "lead", 1), ("a", "SQL", 3), ("a", "won", 9),
    ("b", "lead", 2), ("b", "SQL", 6),
    ("c", "lead", 5),
    ("d", "lead", 0), ("d", "lost", 4),
)  # fmt: skip


def test_the_funnel_is_what_one_counts_by_hand() -> None:
    funnel = funnel_of(BY_HAND, lost=("lost",))
    assert funnel[["arrivals", "customers", "moved_on", "lost", "open"]].to_numpy().tolist() == [
        [4, 4, 2, 1, 1],
        [2, 2, 1, 0, 1],
        [1, 1, 0, 0, 0],
    ]
    assert funnel.loc["lead", "rate_to_next"] == 0.5
    assert funnel.loc["SQL", "rate_to_next"] == 0.5
    assert funnel.loc["lead", "win_rate"] == 0.25
    assert funnel.loc["lead", "median_days_to_next"] == 3.0  # 2 and 4 days
    # b's four days are the age by which half of all leads have moved on; of the two who did, half had by 3.
    assert funnel.loc["lead", "median_days_of_all"] == 4.0
    assert funnel.loc["lead", "median_days_to_win"] == 8.0
    assert funnel.loc["won"].filter(like="rate").isna().all()


def test_open_cases_are_not_lost() -> None:
    """c's lead is open at an age of 4 days. At 2 days a moved (1 of 4), at 4 days b moved and d was lost (of 3)."""
    funnel = funnel_of(BY_HAND, lost=("lost",))
    assert funnel.loc["lead", "rate_matured"] == pytest.approx(1 / 4 + 3 / 4 * 1 / 3)
    # Of SQL, one moved on after 6 days, when b's, open at an age of 3, is no longer watched.
    assert funnel.loc["SQL", "rate_matured"] == pytest.approx(1.0)
    # Nobody is censored before the last outcome, so the interval is that of a share of four.
    low, high = wilson_interval(np.array([2.0]), np.array([4.0]), 0.9)
    assert funnel.loc["lead", ["rate_matured_low", "rate_matured_high"]].tolist() == pytest.approx([low[0], high[0]])
    # Of SQL one outcome is known.
    assert funnel.loc["SQL", "rate_matured_high"] == pytest.approx(1.0)
    assert funnel.loc["SQL", "rate_matured_low"] == pytest.approx(1 / (1 + 1.6448536**2))
    assert funnel.loc["lead", "win_rate_matured"] == pytest.approx(0.5)


def test_a_window_closes_what_has_not_moved_for_too_long() -> None:
    funnel = funnel_of(BY_HAND, lost=("lost",), window_days=2)
    assert funnel.loc["lead", ["moved_on", "lost", "open"]].tolist() == [2, 2, 0]
    funnel = funnel_of(BY_HAND, lost=("lost",), window_days=4)
    assert funnel.loc["lead", ["moved_on", "lost", "open"]].tolist() == [2, 2, 0]
    funnel = funnel_of(BY_HAND, lost=("lost",), window_days=4.5)
    assert funnel.loc["lead", ["moved_on", "lost", "open"]].tolist() == [2, 1, 1]


def test_who_was_given_up_and_came_back_was_not_lost() -> None:
    rows = stage_rows(("a", "lead", 1), ("a", "lost", 2), ("a", "SQL", 5), ("a", "won", 9))
    funnel = funnel_of(rows, lost=("lost",))
    assert funnel["lost"].tolist() == [0, 0, 0]
    assert funnel["moved_on"].tolist() == [1, 1, 0]


def test_matured_rates_find_what_the_end_of_the_data_hides() -> None:
    """Two thirds move on, after 40 days on average, and leads come until the last day."""
    rng = np.random.default_rng(5)
    size = 4000
    begins, waits = rng.uniform(0, 200, size), rng.exponential(40, size)
    moves = (rng.random(size) < 2 / 3) & (begins + waits <= 200)
    rows = [(f"c{i}", "lead", begins[i]) for i in range(size)]
    rows += [(f"c{i}", "SQL", begins[i] + waits[i]) for i in range(size) if moves[i]]
    lead = funnel_of(stage_rows(*rows, ("end", "won", 200.0))).loc["lead"]
    assert lead["rate_to_next"] < 0.56
    assert lead["rate_matured"] == pytest.approx(2 / 3, abs=0.03)


def test_deals_of_one_customer_are_told_apart() -> None:
    """One lead became two deals: one won, one open. Nothing is counted twice."""
    rows = stage_rows(
        ("a", "lead", 1), ("a", "SQL", 2), ("a", "SQL", 3), ("a", "won", 9),
        deal_id=[None, "x", "y", "y"], amount=[None, 10.0, 20.0, 25.0],
    )  # fmt: skip
    funnel = funnel_of(rows)
    assert funnel["arrivals"].tolist() == [1, 2, 1]
    assert funnel["customers"].tolist() == [1, 1, 1]
    assert funnel["moved_on"].tolist() == [1, 1, 0]
    assert funnel["open"].tolist() == [0, 1, 0]
    assert funnel.loc["SQL", "value"] == 30.0
    wins = wins_of(progress_of(rows))
    assert wins.total() == 1.0
    assert wins.through.tolist() == [1.0, 1.0]


# ---------------------------------------------------------------- broken input


def test_a_win_before_the_lead_is_counted_and_has_no_days() -> None:
    rows = stage_rows(("a", "lead", 5), ("a", "won", 2), ("b", "lead", 1), ("b", "won", 4))
    tables = tables_of(TOUCHED, rows)
    lead = tables["funnel"].set_index("stage").loc["lead"]
    assert lead[["moved_on", "out_of_order"]].tolist() == [2, 1]
    assert lead["win_rate"] == 1.0
    assert lead["median_days_to_next"] == 3.0
    found = quality(tables, "stage_order")
    assert (found["status"], found["count"], found["example"]) == ("warn", 1, "a: won before lead")


def test_stages_without_a_date_are_left_out_and_counted() -> None:
    tables = tables_of(TOUCHED, stage_rows(("a", "lead", 1), ("b", "lead", None), ("b", "won", None)))
    assert tables["funnel"]["arrivals"].tolist() == [1, 0, 0]
    found = quality(tables, "null_date")
    assert (found["status"], found["count"], found["total"], found["example"]) == ("warn", 2, 3, "lead")


def test_a_skipped_stage_is_counted() -> None:
    tables = tables_of(TOUCHED, stage_rows(("a", "lead", 1), ("a", "won", 2), ("b", "won", 3)))
    funnel = tables["funnel"].set_index("stage")
    assert funnel["skipped"].tolist() == [1, 2, 0]
    assert funnel.loc["lead", "moved_on"] == 1
    assert quality(tables, "stage_skipped")["count"] == 2


def test_unknown_stages_are_refused_or_counted() -> None:
    rows = stage_rows(("a", "leed", 1), ("b", "lead", 1))
    with pytest.raises(InputError, match=r"a stage is not in funnel.stages, in 1 row.*'leed'.*did you mean 'lead'"):
        funnel_of(rows)
    tables = tables_of(TOUCHED, rows, {"stages": STAGES, "unknown": "drop"})
    assert tables["funnel"]["arrivals"].tolist() == [1, 0, 0]
    assert quality(tables, "unknown_stage")["example"] == "leed"


@pytest.mark.parametrize(
    ("funnel", "message"),
    [
        ({"stages": ["lead"]}, "at least 2"),
        ({"stages": ["lead", "lead"]}, "'lead' is named twice"),
        ({"stages": STAGES, "lost": ["won"]}, "'won' is named twice"),
        ({"stages": STAGES, "won": "lead"}, "won is 'lead'"),
        ({"stages": STAGES, "probabilities": {"won": 0.5}}, "probabilities has 'won'"),
        ({"stages": STAGES, "probabilities": {"lead": 1.5}}, "less than or equal to 1"),
        ({"stages": STAGES, "window_days": 0}, "greater than 0"),
        ({"stages": STAGES, "stage": "lead"}, "unknown key 'funnel.stage'.*did you mean 'stages'"),
    ],
)
def test_impossible_funnels_are_refused(funnel: dict[str, Any], message: str, tmp_path: Path) -> None:
    document = {
        "name": "x",
        "tables": {"touchpoints": {"source": "t"}, "conversions": {"source": "c"}, "stages": {"source": "s"}},
        "models": MODELS,
        "funnel": funnel,
    }
    with pytest.raises(InputError, match=message):
        load_sections().check_options(at.Experiment.model_validate(document))


def test_a_funnel_and_its_table_go_together() -> None:
    tables = {"touchpoints": {"source": TOUCHED}, "conversions": {"source": ORDERS}}
    document = {"name": "x", "tables": tables, "models": MODELS}
    for wrong in (
        {**document, "funnel": {"stages": STAGES}},
        {**document, "tables": {**tables, "stages": {"source": BY_HAND}}},
    ):
        for ask in (at.run_experiment, at.check_quality):
            with pytest.raises(InputError, match="use both or neither"):
                ask(at.Experiment.model_validate(wrong))
    with pytest.raises(InputError, match="needs a table 'stages'"):
        follow_stages(at.load_sources(TOUCHED, ORDERS), FunnelOptions(stages=STAGES))


def test_stages_need_days_between_them() -> None:
    sources = at.load_sources(
        pd.DataFrame({"customer_id": [1], "touched_at": [1], "channel": ["mail"]}),
        pd.DataFrame({"customer_id": [1], "converted_at": [3]}),
        stages=pd.DataFrame({"customer_id": [1], "stage": ["lead"], "stage_time": [2]}),
    )
    with pytest.raises(InputError, match="positions"):
        follow_stages(sources, FunnelOptions(stages=STAGES))


def test_paths_have_no_customers_in_stages() -> None:
    paths = pd.DataFrame({"path": ["mail"], "conversions": [1]})
    with pytest.raises(InputError, match="aggregated paths have none"):
        at.load_sources(paths=paths, stages=BY_HAND)


def test_no_usable_row_is_refused() -> None:
    with pytest.raises(InputError, match="has no usable row"):
        funnel_of(stage_rows(("a", "lead", None)))


def test_loaded_costs_need_cost_types() -> None:
    with pytest.raises(InputError, match=r"funnel\.cost_basis is 'loaded'"):
        tables_of(TOUCHED, BY_HAND, {"stages": STAGES, "lost": ["lost"], "cost_basis": "loaded"})


# ---------------------------------------------------------------- credit

JOURNEY = touches(("a", 0, "fair"), ("a", 2, "mail"), ("a", 5, "search"), ("b", 1, "search"), ("c", 1, "mail"))
WON = stage_rows(
    ("a", "lead", 1), ("a", "SQL", 3), ("a", "won", 9), ("b", "lead", 2),
    amount=[None, 80.0, 100.0, None], quality=[3.0, None, None, 1.0],
)  # fmt: skip


def credit_of(tables: dict[str, pd.DataFrame], model: str, column: str = "credit") -> dict[tuple[str, str], float]:
    rows = tables["funnel_credit"].query("model == @model")
    return {(row["stage"], row["channel"]): row[column] for row in rows.to_dict("records") if row[column]}


def test_a_stage_is_credited_to_what_came_before_it() -> None:
    tables = tables_of(JOURNEY, WON)
    assert credit_of(tables, "last_touch") == {
        ("lead", "fair"): 1.0,
        ("lead", "search"): 1.0,
        ("SQL", "mail"): 1.0,
        ("won", "search"): 1.0,
    }
    linear = credit_of(tables, "linear")
    assert linear["SQL", "fair"] == linear["SQL", "mail"] == 0.5
    assert linear["won", "search"] == pytest.approx(1 / 3)


def test_cost_per_stage_rate_velocity_and_quality_by_hand() -> None:
    costs = pd.DataFrame({"channel": ["fair", "search", "radio"], "amount": [300.0, 60.0, 7.0]})
    tables = tables_of(JOURNEY, WON, tables={"costs": costs})
    rows = tables["funnel_credit"].query("model == 'last_touch'").set_index(["stage", "channel"])
    assert rows.loc[("lead", "fair"), "cost_per_arrival"] == 300.0
    assert rows.loc[("won", "search"), "cost_per_arrival"] == 60.0
    assert math.isnan(rows.loc[("won", "fair"), "cost_per_arrival"])  # spend and no win: no cost of one
    assert rows.loc[("lead", "radio"), ["credit", "spend"]].tolist() == [0.0, 7.0]
    assert rows.loc[("lead", "fair"), ["rate_to_next", "win_rate", "median_days_to_next"]].tolist() == [1.0, 1.0, 2.0]
    assert rows.loc[("lead", "search"), ["rate_to_next", "win_rate", "open_share"]].tolist() == [0.0, 0.0, 1.0]
    assert rows.loc[("lead", "fair"), ["quality", "quality_credit"]].tolist() == [3.0, 3.0]
    assert rows.loc[("SQL", "mail"), "value"] == 80.0
    assert rows["value"].xs("lead", level="stage").isna().all()
    assert rows.loc[("won", "search"), "roi"] == pytest.approx((100 - 60) / 60)
    assert rows.loc[("won", "radio"), "roi"] == -1.0  # spend and no touchpoint: all of it is lost
    assert rows.drop("won", level="stage")["roi"].isna().all()


def test_touchpoints_meet_customers_in_the_stage_they_were_in() -> None:
    touched = tables_of(JOURNEY, WON)["funnel_touches"].query("model == 'linear'")
    found = {
        (row["stage"] if pd.notna(row["stage"]) else None, row["channel"]): (
            row["touchpoints"],
            round(row["credit"], 9),
        )
        for row in touched.to_dict("records")
    }
    third = round(1 / 3, 9)
    assert found == {(None, "fair"): (1, third), ("lead", "mail"): (1, third), ("SQL", "search"): (1, third)}


def test_a_touchpoint_at_the_instant_of_a_stage_led_to_it() -> None:
    rows = stage_rows(("a", "lead", 2), ("a", "won", 9))
    tables = tables_of(touches(("a", 2, "fair"), ("a", 3, "mail")), rows)
    assert credit_of(tables, "last_touch")["lead", "fair"] == 1.0
    touched = tables["funnel_touches"].query("model == 'linear'").set_index("channel")["stage"]
    assert pd.isna(touched["fair"])
    assert touched["mail"] == "lead"


TouchRows, ArrivalRows = list[tuple[str, int, str]], list[tuple[str, str, int]]
events = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 40), st.sampled_from(["mail", "fair", "搜索 🔍"])),
    min_size=1,
    max_size=25,
)
arrivals = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(STAGES), st.integers(0, 40)), min_size=1, max_size=14
)


def side_by_side(shops: list[tuple[TouchRows, ArrivalRows]]) -> tuple[TouchRows, ArrivalRows]:
    touched = [(f"{place} {who}", at, channel) for place, (rows, _) in enumerate(shops) for who, at, channel in rows]
    arrived = [(f"{place} {who}", stage, at) for place, (_, rows) in enumerate(shops) for who, stage, at in rows]
    return touched, arrived


shops = st.lists(st.tuples(events, arrivals), min_size=1, max_size=6).map(side_by_side)
"""Several random histories side by side: a run takes as long for many customers as for a few."""


def twin_credit(events: TouchRows, arrivals: ArrivalRows, days: float) -> dict[tuple[str, str], float]:
    """Linear credit of every stage, by loops."""
    first: dict[tuple[str, str], int] = {}
    for customer, stage, at_day in arrivals:
        first[customer, stage] = min(at_day, first.get((customer, stage), at_day))
    credit: dict[tuple[str, str], float] = defaultdict(float)
    for (customer, stage), reached in first.items():
        seen = [channel for who, when, channel in events if who == customer and 0 <= reached - when <= days]
        for channel in seen or ["(unattributed)"]:
            credit[stage, channel] += 1 / max(len(seen), 1)
    return dict(credit)


@examples(3)
@given(shop=shops)
def test_credit_is_that_of_a_slow_twin(shop: tuple[TouchRows, ArrivalRows]) -> None:
    events, arrivals = shop
    tables = tables_of(
        touches(*events), stage_rows(*arrivals), {"stages": STAGES, "lookback_days": 15}, models=[{"model": "Linear"}]
    )
    expected = twin_credit(events, arrivals, 15)
    assert credit_of(tables, "linear") == {key: pytest.approx(credit) for key, credit in expected.items()}


@examples(2)
@given(shop=shops, cut=st.integers(5, 35))
def test_nothing_later_tells_of_anything_earlier(shop: tuple[TouchRows, ArrivalRows], cut: int) -> None:
    """What is credited of arrivals up to a day, and the stage of touchpoints, is known on that day."""
    events, arrivals = shop
    early_events, early = [row for row in events if row[1] <= cut], [row for row in arrivals if row[2] <= cut]
    if not early or not early_events:
        return
    asked = {"stages": STAGES}
    period = {"end": (DAY_0 + pd.Timedelta(days=cut)).to_pydatetime()}
    models = [{"model": "Linear"}]
    then = tables_of(touches(*early_events), stage_rows(*early), asked, models=models, period=period)
    now = tables_of(touches(*events), stage_rows(*arrivals), asked, models=models, period=period)
    columns = ["model", "stage", "channel", "credit"]
    known = [
        table["funnel_credit"].query("credit > 0")[columns].sort_values(columns).reset_index(drop=True)
        for table in (then, now)
    ]
    pd.testing.assert_frame_equal(*known)
    touched = [
        table["funnel_touches"].query("credit > 0").sort_values(["stage", "channel"]).reset_index(drop=True)
        for table in (then, now)
    ]
    pd.testing.assert_frame_equal(*touched, check_dtype=False)


@examples(2)
@given(shop=shops)
def test_parts_add_up_to_the_whole(shop: tuple[TouchRows, ArrivalRows]) -> None:
    events, arrivals = shop
    tables = tables_of(touches(*events), stage_rows(*arrivals))
    funnel = tables["funnel"].set_index("stage")
    credit = tables["funnel_credit"].groupby(["model", "stage"])["credit"].sum()
    for (_, stage), total in credit.items():
        assert total == pytest.approx(funnel.loc[stage, "arrivals"])
    undecided = funnel["open"].sum()
    for _, rows in tables["pipeline"].groupby("model"):
        assert rows["open"].sum() == pytest.approx(undecided)
    won = tables["funnel_touches"].groupby("model")["credit"].sum()
    for model, total in won.items():
        bare = credit_of(tables, model).get(("won", "(unattributed)"), 0.0)
        assert total == pytest.approx(funnel.loc["won", "arrivals"] - bare)
    before = tables["funnel_credit"].query("stage != 'won'")
    for (_, stage), total in before.groupby(["model", "stage"])["wins_through"].sum().items():
        assert total == pytest.approx(funnel.loc[stage, "wins_through"])


# ---------------------------------------------------------------- what a point is worth


ways = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.integers(1, 40)), min_size=1, max_size=8)


@given(ways=ways, moved=st.lists(st.floats(0.05, 0.95), min_size=3, max_size=3))
def test_a_point_is_worth_what_a_finite_difference_says(
    ways: list[tuple[bool, bool, bool, int]], moved: list[float]
) -> None:
    passed, count = np.array([way[:3] for way in ways]), np.array([float(way[3]) for way in ways])
    through = count @ passed
    # As many arrivals as have these shares move on: a rate and a number of arrivals are not free of each other.
    arrivals = np.where(through > 0, through / np.array(moved), 1.0)
    moved = np.where(through > 0, moved, 0.0).tolist()
    wins = Wins(passed, count, np.array(moved), arrivals, np.array([0.3, 0.0, 1.0]), pd.Series(dtype=float))
    for stage, gained in enumerate(wins.per_point()):
        for step in (0.01, 1e-5):
            more = np.array(moved)
            more[stage] += step
            assert (wins.total(more) - wins.total()) / step * 0.01 == pytest.approx(gained, rel=1e-6, abs=1e-7)


@examples(4)
@given(shop=shops)
def test_wins_are_counted_by_the_stages_they_passed_through(shop: tuple[TouchRows, ArrivalRows]) -> None:
    _, arrivals = shop
    seen: dict[str, set[str]] = defaultdict(set)
    for who, stage, _ in arrivals:
        seen[who].add(stage)
    won = [stages for stages in seen.values() if "won" in stages]
    wins = wins_of(progress_of(stage_rows(*arrivals)))
    assert wins.total() == len(won)
    assert wins.through.tolist() == [sum(stage in stages for stages in won) for stage in STAGES[:2]]


def test_a_point_more_is_that_of_the_data_with_more_cases() -> None:
    """Ten leads of whom five move on. With one more of those that do, wins rise as one point in ten says."""
    kinds = [("lead", "SQL", "won")] * 2 + [("lead", "SQL")] * 3 + [("lead",)] * 5
    rows = [(f"c{i}", stage, float(at)) for i, kind in enumerate(kinds) for at, stage in enumerate(kind)]
    wins = wins_of(progress_of(stage_rows(*rows)))
    # A rate of 0.6 by ten leads of whom six move on, two in five of them to a win.
    assert wins.total(np.array([0.6, 0.4])) == pytest.approx(6 * 2 / 5)
    assert wins.per_point()[0] * 10 == pytest.approx(6 * 2 / 5 - 2)


def test_a_point_more_of_nothing_is_worth_what_the_next_stage_makes_of_it() -> None:
    """Ten leads of whom none moves on, four SQL from elsewhere of whom one is won, none of them a lead."""
    rows = [(f"c{i}", "lead", 1.0) for i in range(10)] + [(f"d{i}", "SQL", 2.0) for i in range(4)]
    won = ("d0", "won", 3.0)
    wins = wins_of(progress_of(stage_rows(*rows, won)))
    assert wins.moved.tolist() == [0.0, 0.25]
    # 40 points more are four more SQL, of whom one is won, as in the data with these cases in them.
    more = [(f"c{i}", "SQL", 2.0) for i in range(4)]
    in_data = wins_of(progress_of(stage_rows(*rows, won, *more, ("c0", "won", 3.0))))
    assert in_data.moved[0] == 0.4
    assert 40 * wins.per_point()[0] == pytest.approx(in_data.total() - wins.total()) == 1.0
    assert wins.total(np.array([0.4, 0.25])) == pytest.approx(in_data.total())
    # Of the stage before the win whoever moves on has won; of a stage that leads to an empty one nothing is known.
    empty = wins_of(progress_of(stage_rows(("a", "lead", 1.0), ("b", "lead", 1.0))))
    assert np.isnan(empty.per_point()).all()
    near = wins_of(progress_of(stage_rows(("a", "lead", 1.0), ("b", "SQL", 1.0), ("c", "SQL", 1.0))))
    assert near.per_point().tolist() == pytest.approx([0.0, 0.02])


def test_a_channel_of_which_nothing_moves_on_fares_as_all_others_do() -> None:
    """Fairs bring four leads of whom none moves on, mail four of whom two do, one to a win."""
    rows = [(f"f{i}", "lead", 1.0) for i in range(4)] + [(f"m{i}", "lead", 1.0) for i in range(4)]
    rows += [("m0", "SQL", 2.0), ("m1", "SQL", 2.0), ("m0", "won", 3.0)]
    touched = touches(*((f"f{i}", 0, "fair") for i in range(4)), *((f"m{i}", 0, "mail") for i in range(4)))
    tables = tables_of(touched, stage_rows(*rows))
    own = tables["funnel_credit"].query("model == 'last_touch' and stage == 'lead'").set_index("channel")
    own = own.drop("(unattributed)", errors="ignore")
    assert own["rate_to_next"].to_dict() == {"fair": 0.0, "mail": 0.5}
    # One point of four leads is 0.04 more that move on, of whom one in two is won.
    assert own["wins_per_point"].to_dict() == pytest.approx({"fair": 0.02, "mail": 0.02})
    whole = tables["funnel"].set_index("stage")["wins_per_point"]
    assert own["wins_per_point"].sum() == pytest.approx(whole["lead"])


# ---------------------------------------------------------------- handling, and how sure rates are


def test_working_a_case_costs_in_every_stage_before() -> None:
    """Last touch: fairs bring the lead, mail the SQL, search the win and another lead."""
    costs = pd.DataFrame({"channel": ["fair", "search", "mail"], "amount": [300.0, 60.0, 50.0]})
    funnel = {"stages": STAGES, "costs": {"lead": 5, "SQL": 120}}
    tables = tables_of(JOURNEY, WON, funnel, tables={"costs": costs})
    rows = tables["funnel_credit"].query("model == 'last_touch'").set_index(["stage", "channel"])
    rows = rows.drop("(unattributed)", level="channel")
    assert (rows.loc["lead", "handling"] == 0).all()
    assert rows.loc[("lead", "fair"), "full_cost_per_arrival"] == rows.loc[("lead", "fair"), "cost_per_arrival"] == 300
    assert rows.loc["SQL", "handling"].to_dict() == {"fair": 5.0, "search": 5.0, "mail": 0.0}
    assert rows.loc[("SQL", "mail"), "full_cost_per_arrival"] == 50.0
    assert rows.loc["won", "handling"].to_dict() == {"fair": 5.0, "search": 5.0, "mail": 120.0}
    assert rows.loc[("won", "search"), "full_cost_per_arrival"] == 65.0
    assert rows.loc[("won", "search"), ["roi", "full_roi"]].tolist() == pytest.approx([40 / 60, (100 - 65) / 65])
    # Under every model all cases are paid for: two leads, and one SQL.
    won = tables["funnel_credit"].query("stage == 'won'")
    assert won.groupby("model")["handling"].sum().tolist() == pytest.approx([130.0] * 3)


def test_without_costs_of_stages_there_is_no_handling() -> None:
    tables = tables_of(JOURNEY, WON)
    assert tables["funnel_credit"][["handling", "full_cost_per_arrival", "full_roi"]].isna().all(axis=None)


@given(
    cases=st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 1.0])), min_size=1, max_size=40).filter(
        lambda cases: any(weight for _, weight in cases)
    )
)
def test_whole_cases_have_the_interval_of_the_textbook(cases: list[tuple[bool, float]]) -> None:
    hits, weight = np.array([hit for hit, _ in cases]), np.array([of for _, of in cases])
    one = binomtest(int(weight[hits].sum()), int(weight.sum())).proportion_ci(0.9, method="wilson")
    assert weighted_wilson(hits, weight, 0.9) == pytest.approx((one.low, one.high), abs=1e-12)
    assert weighted_wilson(hits, weight / 7, 0.9) == pytest.approx((one.low, one.high), abs=1e-12)


def test_parts_of_cases_cover_their_rate_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    weights = rng.choice([0.25, 1 / 3, 0.5, 1.0], (2_000, 120))
    hits = rng.random(weights.shape) < 0.3
    ends = np.array([weighted_wilson(hit, weight, 0.9) for hit, weight in zip(hits, weights, strict=True)])
    covered = ((ends[:, 0] <= 0.3) & (ends[:, 1] >= 0.3)).mean()
    assert abs(covered - 0.9) < 4 * math.sqrt(0.9 * 0.1 / 2_000)


def test_rates_by_channel_have_the_interval_of_their_counts() -> None:
    """Of four leads of mail two move on and one is won, under last touch."""
    rows = [(f"m{i}", "lead", 1.0) for i in range(4)]
    rows += [("m0", "SQL", 2.0), ("m1", "SQL", 2.0), ("m0", "won", 3.0)]
    touched = touches(*((f"m{i}", 0, "mail") for i in range(4))).assign(campaign="春季")
    tables = tables_of(touched, stage_rows(*rows), {"stages": STAGES, "level": 0.8})
    mail = tables["funnel_credit"].query("model == 'last_touch' and channel == 'mail'")
    for grain in ("channel", "campaign"):
        row = mail[mail["grain"] == grain].set_index("stage").loc["lead"]
        for hits, ends in ((2, ["rate_low", "rate_high"]), (1, ["win_rate_low", "win_rate_high"])):
            one = binomtest(hits, 4).proportion_ci(0.8, method="wilson")
            assert row[ends].tolist() == pytest.approx([one.low, one.high])
    whole = tables["funnel"].set_index("stage").loc["lead"]
    assert whole[["rate_low", "rate_high"]].tolist() == pytest.approx(row[["rate_low", "rate_high"]].tolist())
    last = tables["funnel_credit"].set_index("stage").loc["won"]
    assert last[["rate_low", "win_rate_low"]].isna().all(axis=None)


def test_the_bottleneck_is_where_a_point_is_worth_most() -> None:
    """Of 10 leads 5 become SQL and 1 of them is won: a point is worth 0.02 wins of leads and 0.05 of SQL."""
    rows = [(f"c{i}", "lead", 1.0) for i in range(10)] + [(f"c{i}", "SQL", 2.0) for i in range(5)]
    stages = stage_rows(*rows, ("c0", "won", 3.0), amount=[None] * 15 + [200.0])
    whole = tables_of(TOUCHED, stages)["funnel"].set_index("stage")
    assert whole["is_bottleneck"].to_dict() == {"lead": False, "SQL": True, "won": False}
    gains = whole[["wins_through", "elasticity", "wins_per_point", "value_per_point"]]
    assert gains.loc["lead"].tolist() == pytest.approx([1.0, 1.0, 0.02, 4.0])
    assert gains.loc["SQL"].tolist() == pytest.approx([1.0, 1.0, 0.05, 10.0])
    assert gains.loc["won"].isna().all()


# ---------------------------------------------------------------- open cases


def test_the_pipeline_is_weighed_by_probability_and_apart_from_roi() -> None:
    costs = pd.DataFrame({"channel": ["mail"], "amount": [50.0]})
    rows = stage_rows(
        ("a", "lead", 1), ("a", "SQL", 2), ("a", "won", 9), ("b", "SQL", 3), ("c", "lead", 4),
        amount=[None, 80.0, 100.0, 60.0, None],
    )  # fmt: skip
    given = {"stages": STAGES, "probabilities": {"lead": 0.1, "SQL": 0.4}}
    tables = tables_of(touches(*((who, 0, "mail") for who in "abc")), rows, given, tables={"costs": costs})
    pipeline = tables["pipeline"].query("model == 'last_touch'").set_index("stage")
    assert pipeline.loc["SQL", ["open", "probability", "amount", "expected_value"]].tolist() == [1, 0.4, 60, 24]
    # A lead without an amount is worth a tenth of the average win.
    assert pipeline.loc["lead", ["open", "amount", "expected_value", "without_amount"]].tolist() == [1, 100, 10, 1]
    mail = tables["funnel_credit"].query("model == 'last_touch' and channel == 'mail'").set_index("stage")
    returns = ["roi", "expected_wins", "expected_value", "roi_if_expected"]
    assert mail.loc["won", ["value", *returns]].tolist() == pytest.approx([100, 1.0, 0.5, 34, (134 - 50) / 50])
    assert mail.loc[["lead", "SQL"], returns].isna().all(axis=None)
    lead = tables["funnel"].set_index("stage").loc["lead"]
    assert lead[["win_rate_matured", "value_per_arrival"]].tolist() == pytest.approx([0.1, 10.0])
    worth = mail["worth"]
    # Two leads at a tenth, two SQL at four tenths, of an average win of 100; a win is counted, not expected.
    assert worth[["lead", "SQL"]].tolist() == pytest.approx([2 * 10, 2 * 40])
    assert np.isnan(worth["won"])


def test_learned_probabilities_multiply_along_the_funnel_and_fall_with_age() -> None:
    """Of leads half move on, all after a day; of SQL a quarter is won after a day. What has waited two days is lost."""
    rows = [(f"c{i}", "lead", 0.0) for i in range(8)] + [(f"c{i}", "SQL", 1.0) for i in range(4)]
    rows += [("c0", "won", 2.0), ("young", "lead", 9.0)]
    asked = FunnelOptions(stages=STAGES)
    progress = progress_of(stage_rows(*rows))
    chances = learn_chances(progress, asked)
    moved_of_leads = 4 / 8  # the ninth was not yet a day old when the others moved
    assert chances.arrival.tolist() == pytest.approx([moved_of_leads * 0.25, 0.25, 1.0])
    assert chances.of_open(0, np.array([0.0, 0.5, 1.0, 5.0])).tolist() == pytest.approx([0.125, 0.125, 0.0, 0.0])


# ---------------------------------------------------------------- breaks and rates


def test_a_planted_break_is_found_and_nothing_else() -> None:
    """Half of all leads move on after a day; those of the fair in the last month do not."""
    rows, events = [], []
    for number in range(1200):
        who, begins, channel = f"c{number}", number / 8, ["mail", "fair", "search"][number % 3]
        events.append((who, begins, channel))
        rows.append((who, "lead", begins))
        if (number // 3) % 2 and not (channel == "fair" and begins > 115):
            rows.append((who, "SQL", begins + 1))
    tables = tables_of(touches(*events), stage_rows(*rows, ("c0", "won", 150.0)), {"stages": STAGES, "break_days": 5})
    found = tables["funnel_breaks"].query("is_break")
    assert set(zip(found["stage"], found["channel"], found["compared_with"], strict=True)) >= {
        ("lead", "fair", "history")
    }
    assert set(found["channel"].dropna()) == {"fair"}
    row = found.query("channel == 'fair' and compared_with == 'history'").iloc[0]
    assert row["drop"] == pytest.approx(1.0, abs=0.05)
    assert row["reference_drop"] == pytest.approx(0.5, abs=0.02)
    assert row["excess_low"] > 0.3


def test_where_nothing_breaks_a_break_is_rarely_seen() -> None:
    """At a level of 0.9, at most about one world in ten has any; 150 worlds, read and followed as one."""
    rng = np.random.default_rng(11)
    worlds, cases = 150, 900
    asked = FunnelOptions(stages=("lead", "won"), break_days=10, recent_days=30, level=0.9)
    begins = rng.uniform(0, 120, (worlds, cases))
    won = rng.random((worlds, cases)) < 0.4
    who = np.arange(worlds * cases).reshape(worlds, cases)
    stages = pd.DataFrame(
        {
            "customer_id": np.append(who, who[won]),
            "stage": np.repeat(["lead", "won"], [who.size, won.sum()]),
            "stage_time": DAY_0 + pd.to_timedelta(np.append(begins, begins[won] + 2), unit="D").round("us"),
        }
    )
    touched, ordered = (table.assign(customer_id=-1) for table in (TOUCHED, ORDERS))
    progress = follow(read_arrivals(at.load_sources(touched, ordered, stages=stages), asked), asked)
    arrivals = progress.table.assign(world=progress.table["customer_id"].astype(int) // cases)
    seen = 0
    for _, table in arrivals.groupby("world"):
        leads = table.index[table["stage"] == 0]
        channel = pd.Series(rng.choice(["mail", "fair", "search"], len(leads)), index=leads)
        of_world = dataclasses.replace(progress, table=table)
        seen += bool(break_table(of_world, {0: channel}, int(table["at"].max()), asked)["is_break"].any())
    assert seen <= 23  # the 98 % quantile of 150 draws at 0.1


def test_conversion_rates_by_presence_and_place() -> None:
    events = touches(("a", 0, "fair"), ("a", 1, "mail"), ("b", 0, "mail"), ("b", 3, "mail"), ("c", 0, "fair"))
    tables = tables_of(events, stage_rows(("a", "lead", 2), ("b", "lead", 2)), {"stages": STAGES})
    rates = tables["conversion_rates"].query("stage == 'lead'").set_index(["channel", "touch_position"])
    # b's second touchpoint came when it was a lead already, and is no journey that failed to make one.
    assert rates["journeys"].to_dict() == {
        ("fair", "anywhere"): 2, ("mail", "anywhere"): 2,
        ("fair", "first"): 2, ("mail", "first"): 1,
        ("fair", "last"): 1, ("mail", "last"): 2,
    }  # fmt: skip
    assert rates.loc[("fair", "anywhere"), "rate"] == 0.5
    assert rates.loc[("mail", "last"), "rate"] == 1.0
    assert rates.loc[("fair", "last"), "open"] == 1


# ---------------------------------------------------------------- the rest of the run


def test_names_of_any_script_and_any_order_of_rows_give_the_same_bytes() -> None:
    rng = np.random.default_rng(3)
    events = [(f"顾客{i % 40}", float(i % 29), ["邮件", "Messe 🎪", "search"][i % 3]) for i in range(200)]
    rows = [(f"顾客{i % 40}", ["线索", "商机", "赢单"][i % 3], float(10 + i % 17)) for i in range(90)]
    asked = {"stages": ["线索", "商机", "赢单"], "window_days": 30}
    one = tables_of(touches(*events), stage_rows(*rows), asked)
    mixed = [touches(*events), stage_rows(*rows)]
    shuffled = [table.iloc[rng.permutation(len(table))].reset_index(drop=True) for table in mixed]
    other = tables_of(*shuffled, asked)
    for name in ("funnel", "funnel_credit", "funnel_touches", "conversion_rates", "pipeline", "funnel_breaks"):
        pd.testing.assert_frame_equal(one[name], other[name], check_exact=True)
    assert "Messe 🎪" in set(one["funnel_credit"]["channel"])


def test_stages_follow_the_person_of_an_id() -> None:
    links = pd.DataFrame({"visitor_id": ["cookie"], "customer_id": ["a"]})
    rows = stage_rows(("cookie", "lead", 1), ("a", "won", 5))
    tables = tables_of(touches(("a", 0, "mail")), rows, tables={"identities": links})
    funnel = tables["funnel"].set_index("stage")
    assert funnel.loc["lead", "moved_on"] == 1
    assert credit_of(tables, "last_touch")["lead", "mail"] == 1.0


def test_stages_of_all_people_of_a_company_are_its_own() -> None:
    people = pd.DataFrame({"customer_id": ["a", "b"], "company": ["acme", "acme"]})
    rows = stage_rows(("a", "lead", 1), ("b", "lead", 2), ("b", "won", 5))
    tables = tables_of(
        touches(("a", 0, "mail"), ("b", 4, "fair")), rows, tables={"customers": people}, journeys={"account": "company"}
    )
    funnel = tables["funnel"].set_index("stage")
    assert funnel.loc["lead", ["arrivals", "moved_on"]].tolist() == [1, 1]
    assert credit_of(tables, "linear")["won", "mail"] == 0.5


def test_campaigns_have_rates_of_their_own() -> None:
    events = touches(("a", 0, "mail"), ("b", 0, "mail"), ("c", 0, "mail")).assign(campaign=["x", "y", None])
    rows = stage_rows(("a", "lead", 1), ("a", "won", 2), ("b", "lead", 1), ("c", "lead", 1))
    table = tables_of(events, rows)["funnel_credit"].query(
        "model == 'last_touch' and stage == 'lead' and grain == 'campaign'"
    )
    found = [(row["campaign"], row["credit"], row["win_rate"]) for row in table.to_dict("records")]
    assert found[:2] == [("x", 1.0, 1.0), ("y", 1.0, 0.0)]
    assert pd.isna(found[2][0])
    assert found[2][1:] == (1.0, 0.0)


def test_campaigns_are_parts_of_channels_and_nobody_counts_both() -> None:
    """The campaigns of a channel add up to it, and what reads the table says the same whether or not they are there."""
    from attribution.decisions.funnel import funnel_metrics
    from attribution.reporting.charts import funnel_by_stage, funnel_rates

    costs = pd.DataFrame({"channel": ["mail"], "amount": [50.0]})
    spring = TOUCHED.assign(campaign=["spring", None, "hall 7"])
    rows = BY_HAND.assign(quality=[1.0, 2.0, 4.0, 3.0, 2.0, 1.0, 5.0, None])
    funnel = {"stages": STAGES, "lost": ["lost"], "costs": {"lead": 5}}
    parted, plain = (tables_of(events, rows, funnel, tables={"costs": costs}) for events in (spring, TOUCHED))
    credit = parted["funnel_credit"]
    campaigns, channels = credit[credit["grain"] == "campaign"], credit[credit["grain"] == "channel"]
    assert set(plain["funnel_credit"]["grain"]) == {"channel"}
    keys, added = ["model", "stage", "channel"], ["credit", "wins_through", "wins_per_point", "quality_credit"]
    whole = channels.set_index(keys)[added]
    total = campaigns.groupby(keys)[added].sum(min_count=1)
    assert len(total) > 3
    assert total.to_numpy().tolist() == [pytest.approx(row, nan_ok=True) for row in whole.loc[total.index].to_numpy()]
    # What is known of a channel alone is not repeated by its campaigns, where sums would count it twice.
    alone = ["share", "value", "spend", "cost_per_arrival", "handling", "full_cost_per_arrival", "roi", "expected_wins"]
    assert campaigns[alone].isna().all(axis=None)
    pd.testing.assert_frame_equal(
        channels.drop(columns="campaign").reset_index(drop=True), plain["funnel_credit"].drop(columns="campaign")
    )
    for model in (None, "last_touch", "markov"):
        assert funnel_metrics(parted, model) == pytest.approx(funnel_metrics(plain, model), nan_ok=True)
    for draw in (lambda tables: funnel_by_stage(tables["funnel"], tables["funnel_credit"]),
                 lambda tables: funnel_rates(tables["funnel_credit"])):  # fmt: skip
        pd.testing.assert_frame_equal(draw(parted).table, draw(plain).table)


def incremental(model: dict[str, Any]) -> dict[str, pd.DataFrame]:
    events = [(f"c{i}", i % 7, ["mail", "fair", "search"][i % 3]) for i in range(60)]
    events += [(f"c{i}", 7, "fair") for i in range(0, 60, 4)]
    rows = [(f"c{i}", "lead", 8.0) for i in range(0, 60, 2)] + [("c0", "won", 9.0)]
    orders = pd.DataFrame({"customer_id": ["c0", "c1"], "converted_at": [day(9)] * 2, "value": [1.0, 1.0]})
    everybody = pd.DataFrame({"customer_id": [f"c{i}" for i in range(100)]})
    given = {"conversions": orders, "customers": everybody}
    return tables_of(touches(*events), stage_rows(*rows), models=[{**model, "name": "it"}], tables=given)


def test_incremental_models_leave_a_baseline() -> None:
    tables = incremental({"model": "Shapley", "game": "rate", "negative": "zero"})
    lead = tables["funnel_credit"].query("stage == 'lead'").set_index("channel")["credit"]
    assert "(baseline)" in lead.index
    assert lead.sum() == pytest.approx(30)
    pipeline = tables["pipeline"].query("stage == 'lead'")
    assert pipeline["open"].sum() == pytest.approx(29)


def test_models_that_only_know_totals_have_credit_and_no_rates() -> None:
    tables = incremental({"model": "Markov", "continuation": 0.9})
    lead = tables["funnel_credit"].query("stage == 'lead'").set_index("channel")
    assert lead["credit"].sum() == pytest.approx(30)
    assert lead["rate_to_next"].isna().all()
    assert tables["pipeline"].empty
    assert "has credit but no rates" in quality(tables, "stage_without_rates")["message"]


def test_a_run_without_a_funnel_has_none_of_it() -> None:
    run = at.Experiment.model_validate(
        {"name": "x", "tables": {"touchpoints": {"source": TOUCHED}, "conversions": {"source": ORDERS}},
         "models": MODELS}
    )  # fmt: skip
    tables = at.run_experiment(run).tables
    assert not [name for name in tables if "funnel" in name or name in ("pipeline", "conversion_rates")]
    assert (tables["quality"]["table"] != "stages").all()


def test_the_report_has_the_funnel_and_tracking_its_numbers() -> None:
    from attribution.decisions.funnel import funnel_metrics

    tables = tables_of(JOURNEY, WON, tables={"costs": pd.DataFrame({"channel": ["search"], "amount": [60.0]})})
    figures = all_figures(tables)
    assert {"funnel_by_stage", "funnel_rates"} <= {figure.name for figure in figures}
    page = page_of("run", tables, figures, {})
    assert "Raising the " in page
    assert "cases are open" in page
    metrics = funnel_metrics(tables)
    assert metrics["funnel_arrivals/lead"] == 2
    assert metrics["funnel_win_rate/lead"] == 0.5
    assert metrics["pipeline_open"] == 1
    assert funnel_metrics(tables, "last_touch")["cost_per_won/search"] == 60.0
    assert funnel_metrics({}) == {}


def test_the_picture_of_the_funnel_holds_its_numbers() -> None:
    from attribution.reporting.charts import funnel_by_stage, funnel_rates, to_svg

    tables = tables_of(JOURNEY, WON)
    figure = funnel_by_stage(tables["funnel"], tables["funnel_credit"])
    assert figure.table.query("model == 'linear'").groupby("stage")["credit"].sum().to_dict() == pytest.approx(
        {"lead": 2.0, "SQL": 1.0, "won": 1.0}
    )
    assert "50 %" in to_svg(figure)
    rates = funnel_rates(tables["funnel_credit"])
    assert "100 %" in to_svg(rates)
    with pytest.raises(InputError, match="no stage"):
        funnel_rates(tables["funnel_credit"].query("stage == 'won'"))


# ---------------------------------------------------------------- what looks like a funnel and is none


def test_a_date_on_which_a_win_is_expected_is_no_win() -> None:
    """The deal of b is to be won in 3000; it is open, and the data do not end then."""
    rows = pd.concat([BY_HAND, stage_rows(("b", "won", 356_000))], ignore_index=True)
    tables = tables_of(TOUCHED, rows, {"stages": STAGES, "lost": ("lost",)})
    expected = tables_of(TOUCHED, BY_HAND, {"stages": STAGES, "lost": ("lost",)})
    pd.testing.assert_frame_equal(tables["funnel"], expected["funnel"])
    pd.testing.assert_frame_equal(tables["pipeline"], expected["pipeline"])
    found = quality(tables, "future_stage")
    assert (found["status"], found["count"], found["example"]) == ("warn", 1.0, "won")


def test_rows_that_only_end_cases_are_no_funnel() -> None:
    with pytest.raises(InputError, match="has no usable row"):
        funnel_of(stage_rows(("a", "lost", 1), ("b", "lost", 2)), lost=("lost",))


def test_without_a_win_the_last_stage_with_cases_is_the_bottleneck() -> None:
    """Two SQL of whom none is won: who moves on there has won, and what a lead is worth is nothing so far."""
    whole = funnel_of(BY_HAND[BY_HAND["stage"] != "won"], lost=("lost",))
    assert whole["wins_per_point"].dropna().to_dict() == pytest.approx({"lead": 0.0, "SQL": 0.02})
    assert whole["is_bottleneck"].to_dict() == {"lead": False, "SQL": True, "won": False}
    # Leads alone: nothing is known of what comes after them.
    leads = BY_HAND[BY_HAND["stage"].isin(["lead", "lost"])]
    assert not funnel_of(leads, lost=("lost",))["is_bottleneck"].any()
    assert funnel_of(BY_HAND, lost=("lost",))["is_bottleneck"].any()


def test_ids_that_do_not_match_are_counted() -> None:
    """d has no touchpoint; with other ids, nobody has."""
    found = quality(tables_of(TOUCHED, BY_HAND, {"stages": STAGES, "lost": ("lost",)}), "stage_without_touchpoint")
    assert (found["status"], found["count"], found["total"], found["example"]) == ("warn", 1.0, 7.0, "lead")
    strangers = BY_HAND.assign(customer_id="crm-" + BY_HAND["customer_id"])
    found = quality(tables_of(TOUCHED, strangers, {"stages": STAGES, "lost": ("lost",)}), "stage_without_touchpoint")
    assert found["count"] == found["total"] == 7.0

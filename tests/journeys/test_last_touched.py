"""Journeys of a period by conversion or last touchpoint: what spend and credited conversions are held against."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.decisions.kpis import Run
from attribution.journeys import DAY
from attribution.journeys.profile import LAST_TOUCHED, journeys_by_channel, profile_journeys
from attribution.schema.experiment import Period
from tests.journeys.test_journeys import frames
from tests.scale import examples
from tests.twins import journeys as twin
from tests.twins.strategies import histories, lookbacks, periods

pytestmark = pytest.mark.filterwarnings("ignore")

MODES = ("reset", "cumulative", "first_only")


def counted(profile: pd.DataFrame, measure: str = LAST_TOUCHED) -> dict[tuple[str, str], float]:
    rows = profile[(profile["measure"] == measure) & (profile["count"] > 0)]
    return {(row.channel, row.outcome): row.count for row in rows.astype({"count": float}).itertuples(index=False)}


def by_hand(
    history: dict[str, twin.History], lookback: int | None, mode: Any, period: tuple[int, int], *, drops: bool
) -> Counter[tuple[str, str]]:
    """Every journey of the whole log, on the day of its conversion or of its last touchpoint."""
    found: Counter[tuple[str, str]] = Counter()
    for journey in twin.build(history, lookback=lookback, mode=mode).journeys:
        day = journey.touches[-1].at if journey.conversion is None else journey.conversion.at
        if period[0] <= day <= period[1] and not (drops and journey.open):
            outcome = "not_converted" if journey.conversion is None else "converted"
            channels = {touch.channel for touch in journey.touches} - ({"direct"} if drops else set())
            found.update((channel, outcome) for channel in channels)
    return found


@examples(40)
@given(
    history=histories(DAY),
    lookback=lookbacks(DAY),
    mode=st.sampled_from(MODES),
    period=periods(DAY).filter(bool),
    drops=st.booleans(),
)
def test_journeys_of_a_period_are_those_that_converted_or_were_last_touched_in_it(
    history: dict[str, twin.History], lookback: int | None, mode: Any, period: tuple[int, int], drops: bool
) -> None:
    given_frames = frames(history, integer_ids=False, timestamps=True)
    if "touchpoints" not in given_frames or given_frames["conversions"].empty:
        return
    first, last = (np.datetime64(at_, "us").item() for at_ in period)
    options: dict[str, Any] = {"open_journeys": "drop", "direct": "drop"} if drops and lookback else {}
    journeys = at.build_journeys(
        at.load_sources(**given_frames),
        period=Period(start=first, end=last),
        lookback_days=np.inf if lookback is None else lookback / DAY,
        conversions=mode,
        **options,
    )
    expected = by_hand(history, lookback, mode, period, drops=bool(options))
    assert counted(profile_journeys(journeys)) == expected


def shop() -> dict[str, pd.DataFrame]:
    """Two months: in May 4 journeys of which 2 convert, in June 6 of which 1 does; spend is the same."""
    rows = [("may", day, day < 3) for day in range(1, 5)] + [("june", day, day < 2) for day in range(1, 7)]
    months = {"may": 5, "june": 6}
    touched = [(f"{month}{day}", f"2023-0{months[month]}-{day + 10}", "flyer") for month, day, _ in rows]
    # The log begins and ends long before and after.
    touched += [("first", "2023-01-01", "flyer"), ("last", "2023-12-31", "flyer")]
    bought = [(f"{month}{day}", f"2023-0{months[month]}-{day + 11}", 50.0) for month, day, buys in rows if buys]
    costs = [("flyer", f"2023-0{month}-01", 20.0) for month in months.values()]
    return {
        "touchpoints": pd.DataFrame(touched, columns=["customer_id", "touched_at", "channel"]),
        "conversions": pd.DataFrame(bought, columns=["customer_id", "converted_at", "value"]),
        "costs": pd.DataFrame(costs, columns=["channel", "day", "amount"]),
    }


def run(start: str | None, end: str | None, **more: Any) -> Any:
    asked = {"name": str(start), "tables": shop(), "models": [{"model": "Linear"}], "period": {}}
    if start is not None:
        asked["period"] = {"start": start, "end": end}
    return at.run_experiment(at.Experiment(**asked | more))


def test_a_review_of_two_months_holds_conversions_against_journeys_of_the_same_month() -> None:
    before, after = (at.run_of(run(*days)) for days in (("2023-05-01", "2023-05-31"), ("2023-06-01", "2023-06-30")))
    review = at.review_runs(before, after)
    parts = review.tables["roi_parts"].query("slice == 'flyer'").set_index("part")
    assert parts.loc["volume", ["reference", "here"]].tolist() == [4, 6]
    assert parts.loc["rate", ["reference", "here"]].tolist() == [0.5, 1 / 6]
    # Return is 100, then 50: with the mean of both rates, and of both volumes, over spend of 20.
    assert parts.loc["volume", "roi_gap"] == pytest.approx((6 - 4) * (0.5 + 1 / 6) / 2 * 50 / 20)
    assert parts.loc["rate", "roi_gap"] == pytest.approx((1 / 6 - 0.5) * (6 + 4) / 2 * 50 / 20)
    assert not [note for note in review.notes if "log" in note]
    # Models are fitted on what closes in the month, as before.
    assert counted(after.tables["journey_profile"], "participation") == {
        ("flyer", "converted"): 1,
        ("flyer", "not_converted"): 2,
    }
    assert counted(after.tables["journey_profile"]) == {("flyer", "converted"): 1, ("flyer", "not_converted"): 5}


def test_shares_are_of_all_journeys_by_the_same_day() -> None:
    profile = run("2023-06-01", "2023-06-30").tables["journey_profile"].query("measure == 'last_touched'")
    assert profile["share"].tolist() == [1, 1]
    nothing = run("2023-08-01", "2023-08-31").tables["journey_profile"].query("measure == 'last_touched'")
    assert nothing[["count", "share"]].to_numpy().tolist() == [[0, 0], [0, 0]]
    assert journeys_by_channel(nothing).to_dict() == {"flyer": 0}


def test_slices_of_one_run_are_held_against_the_same_journeys() -> None:
    tables: dict[str, Any] = shop()
    touched = tables["touchpoints"].assign(creative=["red", "blue"] * 6)
    columns = {name: name for name in touched}
    tables["touchpoints"] = {"source": touched, "columns": columns}
    made = run("2023-06-01", "2023-06-30", tables=tables, output={"slices": ["creative"]})
    slices = made.tables["roi_slices"].set_index("slice")
    assert slices.loc["flyer", "reach"] == 6
    assert slices.loc[["red", "blue"], "reach"].tolist() == [3, 3]
    assert slices.loc[["red", "blue"], "conversions"].tolist() == [1, 0]


def test_rates_of_stages_are_of_journeys_of_the_same_days() -> None:
    tables = shop()
    leads = tables["conversions"].rename(columns={"converted_at": "stage_time"}).assign(stage="lead")
    won = leads.head(1).assign(stage="won", stage_time="2023-07-01")
    tables |= {"stages": pd.concat([leads, won])[["customer_id", "stage", "stage_time"]]}
    made = run("2023-06-01", "2023-06-30", tables=tables, funnel={"stages": ["lead", "won"]})
    rates = made.tables["conversion_rates"].query("stage == 'lead' and touch_position == 'anywhere'").iloc[0]
    assert rates[["journeys", "open", "arrivals", "rate"]].tolist() == [6, 0, 1, 1 / 6]


def notes(start: str | None, end: str | None, **more: Any) -> list[str]:
    made = at.run_of(run(start, end, **more))
    return [note for note in at.review_runs(made, made).notes if note.startswith("The log of run")][:2]


def test_the_first_month_of_a_log_says_what_it_cannot_know() -> None:
    assert notes("2023-01-01", "2023-02-28", journeys={"lookback_days": 14})[:1] == [
        "The log of run '2023-01-01' begins on 2023-01-01, so conversions until 2023-01-14 may lack earlier "
        "touchpoints, and credit and volume may be too low."
    ]
    assert "so all conversions may lack" in notes("2023-01-01", "2023-01-31", journeys={"lookback_days": 31})[0]
    # The day after the last that looks back beyond the log.
    assert notes("2023-01-15", "2023-02-28", journeys={"lookback_days": 14}) == []
    assert len(notes("2023-01-14", "2023-02-28", journeys={"lookback_days": 14})) == 2


def test_the_last_month_of_a_log_says_what_is_still_open() -> None:
    assert notes("2023-12-01", "2023-12-31", journeys={"lookback_days": 14})[0] == (
        "The log of run '2023-12-01' ends on 2023-12-31, so journeys last touched from 2023-12-18 on may still "
        "convert; those without a conversion count as not converted until they do, and the rate may be too low."
    )
    assert notes("2023-12-01", "2023-12-17", journeys={"lookback_days": 14}) == []
    own = {"lookback_days": 14, "lookback_by_channel": {"flyer": 20.5}}
    assert "from 2023-12-11 on" in notes("2023-12-01", "2023-12-17", journeys=own)[0]
    dropped = notes("2023-12-01", "2023-12-31", journeys={"lookback_days": 14, "open_journeys": "drop"})[0]
    assert "are left out until they close, and volume may be too low and the rate too high" in dropped


def test_without_a_period_or_a_window_both_ends_are_named() -> None:
    begins, ends = notes(None, None, journeys={"lookback_days": np.inf})
    assert "so all conversions may lack earlier touchpoints" in begins
    assert "so all journeys may still convert" in ends


def test_a_run_that_does_not_know_the_day_of_the_last_touchpoint_is_named() -> None:
    was, now = (at.run_of(run(*days)) for days in (("2023-05-01", "2023-05-31"), ("2023-06-01", "2023-06-30")))
    profile = was.tables["journey_profile"].query("measure != 'last_touched'")
    was = Run(was.name, was.experiment, {**was.tables, "journey_profile": profile}, was.span)
    review = at.review_runs(was, now)
    (note,) = [note for note in review.notes if "was written by a version" in note]
    assert note.startswith("Run '2023-05-01' was written by")
    assert note.endswith("so the part rate includes volume. Run it again to separate them.")
    parts = review.tables["roi_parts"].query("slice == 'flyer'").set_index("part")["roi_gap"]
    assert parts["volume"] == 0
    assert parts["rate"] == pytest.approx((50 - 100) / 20)

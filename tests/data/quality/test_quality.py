"""The quality gate: each check on a clean log, which passes, and on one with a planted defect, which is named."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

import attribution as at
from attribution.data.loading import Finding
from attribution.data.quality import bots, quality_findings
from attribution.data.quality.clocks import lag_step, profile_shift
from attribution.data.quality.cost_gaps import unit_step
from attribution.data.quality.values import find_jump
from attribution.errors import InputError
from attribution.schema.experiment import Period
from attribution.simulation import WORLDS, simulate

HOUR = pd.Timedelta(hours=1)
DAY = pd.Timedelta(days=1)
FIRST = pd.Timestamp("2024-01-01")

# A day of people who sleep, by the hour of their own clock.
RHYTHM = np.array([2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 10, 11, 11, 10, 10, 10, 11, 12, 13, 13, 11, 8, 4]) / 182.0
PRICES = {"search": 0.5, "mail": 0.02, "display": 0.005}

Frames = tuple[pd.DataFrame, pd.DataFrame]


def shop(seed: int, *, days: int = 30, zone: int = 0, customers: int = 4_000, orders: int = 1_500) -> Frames:
    """A log as shops have them: rhythm of day and week, clicks minutes before an order, mails hours after it."""
    rng = np.random.default_rng(seed)
    weights = np.resize([1, 1, 1, 1, 1, 0.8, 0.7], days)

    def moments(n: int, rhythm: NDArray[np.float64] = RHYTHM) -> pd.Series:
        day = rng.choice(days, n, p=weights / weights.sum())
        seconds = (rng.choice(24, n, p=rhythm) - zone) * 3600 + rng.integers(0, 3600, n)
        return pd.Series(FIRST + day * DAY + pd.to_timedelta(seconds, unit="s"))

    n = customers * 8
    browsed = pd.DataFrame({
        "customer_id": rng.integers(1, customers + 1, n),
        "touched_at": moments(n),
        "channel": rng.choice([*PRICES, "direct"], n),
    })  # fmt: skip
    conversions = pd.DataFrame({
        "customer_id": rng.integers(1, customers + 1, orders),
        "converted_at": moments(orders, np.roll(RHYTHM, 1)),
        "value": np.exp(rng.normal(4, 1, orders)).round(2),
    })  # fmt: skip
    clicked = conversions[rng.random(orders) < 0.6]
    parts = [browsed]
    for who, channel, lag in (
        (clicked, "search", -rng.exponential(1800, len(clicked))),
        (conversions, "mail", 3600 + rng.exponential(3600, orders)),
    ):
        touched_at = who["converted_at"] + pd.to_timedelta(lag.astype(int), unit="s")
        parts.append(pd.DataFrame({"customer_id": who["customer_id"], "touched_at": touched_at, "channel": channel}))
    touchpoints = pd.concat(parts, ignore_index=True)
    touchpoints["campaign"] = np.where(rng.random(len(touchpoints)) < 0.3, None, "spring")
    return touchpoints, conversions


def spend(touchpoints: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Costs by channel and day: a price per touchpoint that moves from day to day."""
    days = touchpoints.assign(day=touchpoints["touched_at"].dt.floor("D"))
    counts = days[days["channel"].isin(PRICES)].groupby(["channel", "day"]).size().reset_index(name="n")
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.2, len(counts)))
    counts["amount"] = (counts["n"] * counts["channel"].map(PRICES) * noise).round(2)
    return counts[["channel", "day", "amount"]].assign(day=counts["day"].dt.date)


def gate(
    touchpoints: Any = None, conversions: Any = None, costs: Any = None, *, paths: Any = None, **options: Any
) -> dict[tuple[str, str], Finding]:
    """What the gate finds by check and table; the form of every finding is checked on the way."""
    found = quality_findings(at.load_sources(touchpoints, conversions, costs, paths=paths), **options)
    for finding in found:
        assert (finding.count > 0) == (finding.status != "pass")
        assert finding.total is None or finding.count <= finding.total
        assert finding.message
    by_check = {(finding.check, finding.table): finding for finding in found}
    assert len(by_check) == len(found)
    return by_check


def warned(found: dict[tuple[str, str], Finding]) -> set[str]:
    return {check for (check, _), finding in found.items() if finding.status != "pass"}


def touches(*rows: tuple[Any, ...], names: tuple[str, ...] = ("customer_id", "touched_at", "channel")) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(names))


def orders(*rows: tuple[Any, ...], names: tuple[str, ...] = ("customer_id", "converted_at", "value")) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(names))


# ------------------------------------------------------------------- clean logs


@pytest.mark.parametrize("world", [*WORLDS])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("customers", [200, 4_000])
def test_simulated_worlds_give_no_warning(world: str, seed: int, customers: int) -> None:
    made = simulate(world, customers=customers, seed=seed, truth=False)
    assert warned(gate(made.touchpoints, made.conversions, made.costs)) == set()


@pytest.mark.parametrize("seed", range(12))
def test_ordinary_logs_give_no_warning(seed: int) -> None:
    touchpoints, conversions = shop(seed, zone=(-5, 0, 8)[seed % 3], days=(21, 30)[seed % 2])
    assert warned(gate(touchpoints, conversions, spend(touchpoints, seed))) == set()


def test_every_check_is_in_the_report_even_if_it_passes() -> None:
    touchpoints, conversions = shop(0)
    found = gate(touchpoints, conversions, spend(touchpoints).assign(currency="EUR"))
    assert [*found] == [
        ("null_jump_customer_id", "touchpoints"), ("null_jump_channel", "touchpoints"),
        ("null_jump_campaign", "touchpoints"), ("stray_times", "touchpoints"),
        ("null_jump_customer_id", "conversions"), ("null_jump_value", "conversions"), ("stray_times", "conversions"),
        ("null_jump_currency", "costs"), ("channel_jump", "touchpoints"),
        ("unfilled_macro", "touchpoints"), ("unfilled_macro", "costs"), ("bots", "touchpoints"),
        ("unmatched_customers", "conversions"), ("no_earlier_touchpoint", "conversions"),
        ("only_converters", "touchpoints"), ("customer_spelling", "conversions"),
        ("loaded_twice", "touchpoints"), ("page_views", "touchpoints"),
        ("day_times", "conversions"), ("time_zone", "touchpoints"),
        ("clock_change", "touchpoints"), ("clock_change", "conversions"),
        ("after_last_conversion", "touchpoints"), ("after_last_touchpoint", "conversions"),
        ("before_first_touchpoint", "conversions"), ("cut_history", "conversions"),
        ("value_outliers", "conversions"), ("zero_values", "conversions"),
        ("unit_mix", "costs"), ("unit_jump", "costs"),
        ("paid_days_without_touchpoint", "costs"), ("touchpoints_without_costs", "touchpoints"),
        ("currencies", "costs"),
    ]  # fmt: skip


def test_the_order_of_rows_and_the_number_of_threads_change_nothing() -> None:
    touchpoints, conversions = shop(1)
    touchpoints.loc[touchpoints["touched_at"] > FIRST + 20 * DAY, "campaign"] = None
    shuffled = touchpoints.sample(frac=1, random_state=0), conversions.sample(frac=1, random_state=0)
    one_thread = at.load_sources(*shuffled, engine=at.DuckDBEngine(threads=1))
    assert quality_findings(one_thread) == [*gate(touchpoints, conversions).values()]


# ------------------------------------------------------------------- unusual inputs


def test_one_row_of_each() -> None:
    assert warned(gate(touches(("a", FIRST, "mail")), orders(("a", FIRST + DAY, 5.0)))) == set()


def test_conversions_alone() -> None:
    found = gate(conversions=orders(("a", FIRST, 5.0)), costs=pd.DataFrame({"channel": ["mail"], "amount": [3.0]}))
    assert warned(found) == set()
    assert not any(table == "touchpoints" for _, table in found)


def test_paths_have_no_rows_in_time() -> None:
    paths = pd.DataFrame({"path": ["a > b"], "conversions": [3], "value": [5.0], "currency": ["EUR"]})
    costs = pd.DataFrame({"channel": ["a"], "amount": [3.0], "day": [dt.date(2024, 1, 1)]})
    assert [*gate(paths=paths, costs=costs)] == [
        ("unfilled_macro", "costs"), ("unit_mix", "costs"), ("unit_jump", "costs"), ("currencies", "paths")
    ]  # fmt: skip


def test_integer_times_have_no_clock() -> None:
    found = gate(touches(("a", 1, "mail"), ("b", 1, "mail")), orders(("a", 2, 5.0)))
    assert warned(found) == set()
    assert not {"time_zone", "cut_history", "loaded_twice", "after_last_conversion"} & {check for check, _ in found}


def test_costs_beside_integer_times() -> None:
    costs = pd.DataFrame({"channel": ["mail"], "amount": [1.0], "day": [dt.date(2024, 1, 1)]})
    found = gate(touches(("a", 1, "mail")), orders(("a", 2, 5.0)), costs)
    assert {"unit_mix", "unit_jump"} <= {check for check, _ in found}


@pytest.mark.parametrize("column", ["customer_id", "touched_at", "channel"])
def test_a_column_of_nulls(column: str) -> None:
    table = pa.table({"customer_id": ["a"], "touched_at": [FIRST], "channel": ["mail"]})
    table = table.set_column(table.schema.get_field_index(column), column, pa.nulls(1, table.schema.field(column).type))
    found = gate(table, orders(("a", FIRST + DAY, 5.0)))
    assert warned(found) == ({"unmatched_customers"} if column == "customer_id" else
                             {"no_earlier_touchpoint"} if column == "touched_at" else set())  # fmt: skip


def test_conversions_without_any_time_or_value() -> None:
    conversions = pa.table({"customer_id": ["a"], "converted_at": pa.nulls(1), "value": pa.nulls(1)})
    assert warned(gate(touches(("a", FIRST, "mail")), conversions)) == set()


def test_columns_and_channels_in_chinese() -> None:
    names = ("customer_id", "touched_at", "channel", "渠道 组")
    rows = [(f"客{n % 50}", FIRST + n * HOUR, "搜索", "付费" if n < 41 * 24 else None) for n in range(1_500)]
    spec = at.TableSpec(source=touches(*rows, names=names), columns={name: name for name in names})
    found = gate(spec, orders(*((f"客{n}", FIRST + 61 * DAY, 1.0) for n in range(50))))
    assert found["null_jump_渠道 组", "touchpoints"].example == "2024-02-11"


# ------------------------------------------------------------------- nulls over time


def twin_of_find_jump(rows: list[int], nulls: list[int]) -> float:
    """The largest log likelihood ratio over all stretches, by scipy's binomial."""
    n, k = sum(rows), sum(nulls)
    best = 0.0
    for low in range(len(rows)):
        for high in range(low + 1, len(rows) + 1):
            a, b = sum(rows[low:high]), sum(nulls[low:high])
            if a < n:
                parts = ((a, b), (n - a, k - b))
                ratio = sum(binom.logpmf(y, x, y / x) - binom.logpmf(y, x, k / n) for x, y in parts)
                best = max(best, ratio)
    return best


@given(st.lists(st.tuples(st.integers(50, 400), st.sampled_from([0.0, 0.1, 0.5, 1.0])), min_size=2, max_size=8))
def test_the_jump_is_the_likeliest_stretch(days: list[tuple[int, float]]) -> None:
    rows, nulls = [n for n, _ in days], [round(n * share) for n, share in days]
    jump = find_jump(np.array(rows), np.array(nulls))
    if jump is None:
        return
    inside, others = range(jump.first, jump.last + 1), set(range(len(rows))) - {*range(jump.first, jump.last + 1)}
    for share, of in ((jump.inside, inside), (jump.outside, others)):
        assert share == pytest.approx(sum(nulls[i] for i in of) / sum(rows[i] for i in of))
    n, k = sum(rows), sum(nulls)
    a, b = sum(rows[i] for i in inside), sum(nulls[i] for i in inside)
    ratio = sum(binom.logpmf(y, x, y / x) - binom.logpmf(y, x, k / n) for x, y in ((a, b), (n - a, k - b)))
    assert ratio == pytest.approx(twin_of_find_jump(rows, nulls), rel=1e-6)


@pytest.mark.parametrize(
    "shares",
    [
        [0.2] * 30,
        [0.2, 0.2, 0.2, 0.2, 0.2, 0.35, 0.35] * 5,
        list(np.linspace(0.0, 0.6, 60)),
        [0.0, 0.03] * 15,
        list(0.3 + 0.1 * np.sin(np.arange(60))),
    ],
    ids=["constant", "weekends", "trend", "small", "waves"],
)
def test_no_jump_where_shares_only_vary(shares: list[float]) -> None:
    rng = np.random.default_rng(0)
    for size in (20, 1_000, 100_000):
        rows = np.full(len(shares), size)
        assert find_jump(rows, rng.binomial(rows, shares)) is None


@pytest.mark.parametrize("size", [200, 100_000])
@pytest.mark.parametrize(("first", "last"), [(20, 29), (0, 9), (12, 12), (3, 8)])
def test_a_jump_is_found_where_it_is(size: int, first: int, last: int) -> None:
    rng = np.random.default_rng(0)
    shares = np.full(30, 0.1)
    shares[first : last + 1] = 0.5
    rows = np.full(30, size)
    jump = find_jump(rows, rng.binomial(rows, shares))
    assert jump is not None
    # What lasts from the beginning is told by its end: from day 10 on, the share is lower.
    assert (jump.first, jump.last) == ((10, 29) if first == 0 else (first, last))


def test_a_null_jump_is_named_with_its_column_and_days() -> None:
    touchpoints, conversions = shop(0)
    odd = touchpoints["touched_at"].between(FIRST + 10 * DAY, FIRST + 13 * DAY, inclusive="left")
    touchpoints.loc[odd, "channel"] = None
    found = gate(touchpoints, conversions)
    assert warned(found) == {"null_jump_channel"}
    finding = found["null_jump_channel", "touchpoints"]
    assert (finding.status, finding.count, finding.example) == ("warn", odd.sum(), "2024-01-11")
    assert "channel is null in 100 % of rows from 2024-01-11 to 2024-01-13, but in 0 % of the others" in finding.message


@pytest.mark.parametrize(("share", "status"), [(0.4, "warn"), (0.6, "fail")])
def test_most_of_the_latest_customers_lost_is_a_failure(share: float, status: str) -> None:
    touchpoints, conversions = shop(0)
    late = touchpoints["touched_at"] >= FIRST + 25 * DAY
    lost = late & (np.random.default_rng(0).random(len(touchpoints)) < share)
    finding = gate(touchpoints.assign(customer_id=touchpoints["customer_id"].mask(lost)), conversions)[
        "null_jump_customer_id", "touchpoints"
    ]
    assert (finding.status, finding.example) == (status, "2024-01-26")


def test_customers_lost_on_days_that_are_past_are_warned_of() -> None:
    touchpoints, conversions = shop(0)
    lost = touchpoints["touched_at"].between(FIRST + 5 * DAY, FIRST + 8 * DAY)
    found = gate(touchpoints.assign(customer_id=touchpoints["customer_id"].mask(lost)), conversions)
    assert found["null_jump_customer_id", "touchpoints"].status == "warn"


def test_a_jump_between_positions() -> None:
    rows = [("a", n, "mail", "x" if n < 4_000 else None) for n in range(5_000)]
    names = ("customer_id", "touched_at", "channel", "campaign")
    finding = gate(touches(*rows, names=names), orders(("a", 9_000, 1.0)))["null_jump_campaign", "touchpoints"]
    assert (finding.count, finding.example) == (1_000, "position 4000")


def test_a_jump_in_a_log_of_many_years_is_found_in_slices_of_days() -> None:
    days = pd.date_range("2020-01-01", periods=1_500)
    conversions = pd.DataFrame({"customer_id": 1, "converted_at": days.repeat(20), "value": 1.0})
    conversions.loc[conversions["converted_at"] >= "2023-01-01", "value"] = None
    finding = gate(conversions=conversions)["null_jump_value", "conversions"]
    assert "2022-12-28" <= str(finding.example) <= "2023-01-03"


# ------------------------------------------------------------------- bots and repetitions


def crowd(counts: dict[Any, int], every: pd.Timedelta) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"customer_id": who, "touched_at": FIRST + np.arange(n) * every}) for who, n in counts.items()
    ]
    return pd.concat(parts, ignore_index=True).assign(channel="mail")


@pytest.mark.parametrize(
    ("count", "every", "is_bot"),
    [(501, DAY / 501, True), (500, DAY / 500, False), (2_001, 6 * HOUR, True), (2_000, 6 * HOUR, False)],
)
def test_ids_with_more_touchpoints_than_a_human_can_have(count: int, every: pd.Timedelta, is_bot: bool) -> None:
    """More than 500 on one day, or 2,000 in all."""
    touchpoints = pd.concat([crowd({"bot": count}, every), crowd({f"c{n}": 3 for n in range(1_000)}, DAY)])
    finding = gate(touchpoints, orders(("c1", FIRST + 5 * DAY, 1.0)))["bots", "touchpoints"]
    assert (finding.status, finding.count) == (("warn", count) if is_bot else ("pass", 0))
    if is_bot:
        assert finding.example == "bot"
        assert f"{100 * count / (count + 3_000):.3g} %" in finding.message


def test_a_log_of_mostly_bots_is_a_failure() -> None:
    touchpoints = crowd({"crawler": 3_000, "scraper": 2_500, "a": 5}, HOUR)
    finding = gate(touchpoints, orders(("a", FIRST + 30 * DAY, 1.0)))["bots", "touchpoints"]
    assert (finding.status, finding.count, finding.example) == ("fail", 5_500, "crawler")
    assert "'crawler' (3,000), 'scraper' (2,500)" in finding.message


@pytest.mark.parametrize("per_bucket", [1, 10_000_000])
def test_buckets_change_no_count(per_bucket: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    touchpoints = crowd({n: int(size) for n, size in enumerate(rng.integers(400, 3_000, 60))}, HOUR)
    conversions = orders((1, FIRST + 300 * DAY, 1.0))
    whole = gate(touchpoints, conversions)["bots", "touchpoints"]
    monkeypatch.setattr(bots, "_PER_BUCKET", per_bucket)
    assert gate(touchpoints, conversions)["bots", "touchpoints"] == whole
    counts = touchpoints["customer_id"].value_counts()
    assert whole.count == counts[counts > 2_000].sum()


def test_days_that_were_loaded_twice_are_named() -> None:
    touchpoints, conversions = shop(0)
    twice = touchpoints[touchpoints["touched_at"].between(FIRST + 6 * DAY, FIRST + 7 * DAY, inclusive="left")]
    finding = gate(pd.concat([touchpoints, twice]), conversions)["loaded_twice", "touchpoints"]
    assert (finding.status, finding.count, finding.example) == ("warn", len(twice), "2024-01-07")


def test_a_part_of_a_large_log_shows_days_that_were_loaded_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times in whole seconds: the part must not be all of them, or none."""
    monkeypatch.setattr(bots, "_SAMPLE", 2_000)
    touchpoints, conversions = shop(0, days=21)
    twice = touchpoints[touchpoints["touched_at"] >= FIRST + 7 * DAY]
    finding = gate(pd.concat([touchpoints, twice]), conversions)["loaded_twice", "touchpoints"]
    assert finding.count == pytest.approx(len(twice), rel=0.1)
    assert finding.example == "2024-01-08"


def test_clicks_that_are_counted_twice_now_and_then_are_no_day_loaded_twice() -> None:
    touchpoints, conversions = shop(0)
    found = gate(pd.concat([touchpoints, touchpoints.sample(frac=0.1, random_state=0)]), conversions)
    assert "loaded_twice" not in warned(found)
    assert found["loaded_twice", "touchpoints"].message.startswith("9.1 %")  # one of eleven


# ------------------------------------------------------------------- where the logs begin and end


@pytest.mark.parametrize("odd", ["2099-12-31", "1970-01-01", "2025-03-01"])
def test_times_far_off_the_others(odd: str) -> None:
    touchpoints, conversions = shop(0)
    strange = touchpoints.head(5).assign(touched_at=pd.Timestamp(odd))
    found = gate(pd.concat([touchpoints, strange]), conversions)
    assert warned(found) == {"stray_times"}
    finding = found["stray_times", "touchpoints"]
    assert (finding.count, finding.example) == (5, odd)


def test_a_log_that_grows_slowly_has_no_strays() -> None:
    """1 % of the touchpoints in the first three of four years, but in every month."""
    early = crowd(dict.fromkeys(range(10), 36), 30 * DAY)
    late = crowd(dict.fromkeys(range(1200), 30), 12 * DAY).assign(touched_at=lambda t: t["touched_at"] + 1_100 * DAY)
    assert "stray_times" not in warned(gate(pd.concat([early, late]), orders((1, FIRST + 1_400 * DAY, 1.0))))


def test_touchpoints_after_the_last_conversion() -> None:
    touchpoints, conversions = shop(0)
    end = FIRST + 20 * DAY
    cut = conversions[conversions["converted_at"] < end]
    found = gate(touchpoints, cut)
    finding = found["after_last_conversion", "touchpoints"]
    last_hour = cut["converted_at"].max().floor("h")
    assert warned(found) == {"after_last_conversion"}
    assert finding.count == (touchpoints["touched_at"] >= last_hour + HOUR).sum()
    assert "2024-01-20" in finding.message
    period = Period(end=dt.date(2024, 1, 20))
    assert warned(gate(touchpoints, cut, period=period)) == set()


def test_conversions_after_the_last_touchpoint() -> None:
    touchpoints, conversions = shop(0)
    found = gate(touchpoints[touchpoints["touched_at"] < FIRST + 20 * DAY], conversions)
    assert warned(found) == {"after_last_touchpoint"}
    assert "2024-01-20" in found["after_last_touchpoint", "conversions"].message


@pytest.mark.parametrize("days", [2, 9])
def test_a_long_weekend_or_a_quiet_log_has_not_ended(days: int) -> None:
    """Two days of full traffic, or nine of a log with an order a day, without an order."""
    touchpoints, conversions = shop(0, orders=1_500 if days == 2 else 30)
    end = FIRST + (30 - days) * DAY
    assert "after_last_conversion" not in warned(gate(touchpoints, conversions[conversions["converted_at"] < end]))


def test_conversions_before_the_first_touchpoint_of_the_log() -> None:
    touchpoints, conversions = shop(0)
    begin = FIRST + 10 * DAY
    found = gate(touchpoints[touchpoints["touched_at"] >= begin], conversions)
    finding = found["before_first_touchpoint", "conversions"]
    assert finding.status == "warn"
    assert finding.count == (conversions["converted_at"] < begin).sum()
    assert "2024-01-11" in finding.message
    period = Period(start=dt.date(2024, 1, 11))
    late = gate(touchpoints[touchpoints["touched_at"] >= begin], conversions, period=period)
    assert late["before_first_touchpoint", "conversions"].status == "pass"


def steady(seed: int) -> Frames:
    """Half of all customers are touched, once, up to 20 days before they convert; 120 days."""
    rng = np.random.default_rng(seed)
    n = 4_000
    converted_at = pd.Series(FIRST + pd.to_timedelta(rng.uniform(0, 120, n), unit="D")).dt.floor("us")
    conversions = pd.DataFrame({"customer_id": np.arange(n), "converted_at": converted_at, "value": 1.0})
    lag = pd.to_timedelta(rng.uniform(0, 20, n), unit="D").floor("us")
    touchpoints = pd.DataFrame({"customer_id": np.arange(n), "touched_at": converted_at - lag, "channel": "mail"})
    others = pd.DataFrame({"customer_id": n + np.arange(n), "touched_at": converted_at, "channel": "mail"})
    return pd.concat([touchpoints[rng.random(n) < 0.5], others]), conversions


def test_a_log_that_does_not_reach_back_to_what_led_to_its_first_conversions() -> None:
    touchpoints, conversions = steady(0)
    begin = FIRST + 30 * DAY
    conversions = conversions[conversions["converted_at"] >= begin]
    whole = gate(touchpoints, conversions, lookback_days=20)["cut_history", "conversions"]
    assert whole.status == "pass"
    cut = gate(touchpoints[touchpoints["touched_at"] >= begin], conversions, lookback_days=20)
    finding = cut["cut_history", "conversions"]
    assert (finding.status, finding.example) == ("warn", "2024-02-20")
    assert finding.count == (conversions["converted_at"] < pd.Timestamp("2024-02-20")).sum()
    # A touchpoint that lies uniformly in 20 days is seen for half of the conversions in the first 20 days.
    lacking = float(finding.message.split("; ")[1].split(" %")[0])
    assert lacking == pytest.approx(75, abs=5)
    later = gate(
        touchpoints[touchpoints["touched_at"] >= begin],
        conversions,
        lookback_days=20,
        period=Period(start=dt.date(2024, 2, 20)),
    )
    assert later["cut_history", "conversions"].status == "pass"


# ------------------------------------------------------------------- clocks


def moved(touchpoints: pd.DataFrame, hours: float, *, since: pd.Timestamp | None = None) -> pd.DataFrame:
    """Touchpoints whose clock is wrong by so many hours, from a moment on or always."""
    at = touchpoints["touched_at"]
    wrong = pd.Series(True, index=at.index) if since is None else at >= since
    return touchpoints.assign(touched_at=at.where(~wrong, at + pd.Timedelta(hours=hours)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("hours", [-8, -5.5, -2, -1, 1, 2, 5.75, 9])
def test_touchpoints_in_another_zone_than_conversions(seed: int, hours: float) -> None:
    touchpoints, conversions = shop(seed)
    finding = gate(moved(touchpoints, hours), conversions)["time_zone", "touchpoints"]
    assert (finding.status, finding.example) == ("warn", f"{hours:+g} h")


@pytest.mark.parametrize("hours", [-5, 5, 8])
def test_a_world_without_a_rhythm_in_another_zone(hours: int) -> None:
    made = simulate("default", customers=60_000, seed=1, truth=False)
    finding = gate(moved(made.touchpoints, hours), made.conversions)["time_zone", "touchpoints"]
    assert (finding.status, finding.example) == ("warn", f"{hours:+g} h")


def test_a_rhythm_in_another_zone_where_touchpoints_do_not_lead_to_conversions() -> None:
    """Customers who are touched and customers who convert have nothing but their day in common."""
    rng = np.random.default_rng(0)

    def moments(n: int, zone: int) -> pd.Series:
        seconds = (rng.choice(24, n, p=RHYTHM) + zone) * 3600 + rng.integers(0, 3600, n)
        return pd.Series(FIRST + rng.integers(0, 30, n) * DAY + pd.to_timedelta(seconds, unit="s"))

    conversions = pd.DataFrame({"customer_id": np.arange(3_000), "converted_at": moments(3_000, 0), "value": 1.0})
    for zone, example in ((0, None), (1, None), (6, "+6 h"), (-4, "-4 h")):
        touched_at = moments(20_000, zone)
        touchpoints = pd.DataFrame({"customer_id": rng.integers(0, 9_000, 20_000), "touched_at": touched_at})
        finding = gate(touchpoints.assign(channel="mail"), conversions)["time_zone", "touchpoints"]
        assert finding.example == example


@given(
    st.lists(st.integers(0, 300), min_size=24, max_size=24),
    st.lists(st.integers(0, 300), min_size=24, max_size=24),
    st.integers(0, 23),
)
def test_profiles_turned_alike_are_shifted_alike(one: list[int], other: list[int], turn: int) -> None:
    """Only the shift between the two matters, and which is the later one decides its sign."""
    p, q = np.array(one), np.array(other)
    found = profile_shift(p, q)
    assert profile_shift(np.roll(p, turn), np.roll(q, turn)) == found
    if found is not None and found != 12:
        assert profile_shift(q, p) == -found


@pytest.mark.parametrize("hours", range(-11, 13))
def test_a_profile_is_found_shifted_by_as_much_as_it_was(hours: int) -> None:
    day = np.round(100_000 * RHYTHM).astype(int)
    noisy = np.random.default_rng(0).multinomial(5_000, np.roll(RHYTHM, hours))
    assert profile_shift(noisy, day) == (hours if abs(hours) >= 3 else None)


def lags(clicks: int = 0, *, at: int = 0, mails: int = 0, background: int = 0) -> NDArray[np.int64]:
    """Quarters of hours around a conversion: clicks that fade before it, mails a few hours after it."""
    found = np.full(240, background)
    found[120 + at :] += (clicks * 0.7 ** np.arange(120 - at)).astype(int)
    found[100:108] += mails
    return found


@pytest.mark.parametrize(
    ("counts", "step"),
    [
        (lags(400), 0),
        (lags(400, background=100), 0),
        (lags(400, at=-12), -12),
        (lags(400, at=22, background=100), 22),
        (lags(400, mails=2_000, background=10), 0),
        (lags(background=100), None),
        (lags(), None),
        (lags(3), None),
        ((1_000 * (1 + np.cos(np.linspace(0, 5 * np.pi, 240)))).astype(int), None),
    ],
)
def test_the_drop_of_touchpoints_after_a_conversion(counts: NDArray[np.int64], step: int | None) -> None:
    assert lag_step(counts) in ((step,) if step is not None or counts[100] < 2_000 else (0, None))


@pytest.mark.parametrize("hours", [-9, -3, 3, 6])
def test_a_clock_that_changes_within_the_log(hours: int) -> None:
    touchpoints, conversions = shop(0, customers=12_000)
    found = gate(moved(touchpoints, hours, since=FIRST + 14 * DAY), conversions)
    finding = found["clock_change", "touchpoints"]
    assert finding.status == "warn"
    day = pd.Timestamp(str(finding.example))
    assert abs(day - (FIRST + 14 * DAY)) <= DAY
    assert f"{abs(hours)} hours {'later' if hours > 0 else 'earlier'}" in finding.message
    assert found["clock_change", "conversions"].status == "pass"


@pytest.mark.parametrize("hours", [-1, 1])
def test_daylight_saving_time_is_no_change_of_clock(hours: int) -> None:
    touchpoints, conversions = shop(0, customers=12_000)
    change = FIRST + 14 * DAY
    moved_orders = moved(conversions.rename(columns={"converted_at": "touched_at"}), hours, since=change)
    conversions = moved_orders.rename(columns={"touched_at": "converted_at"})
    found = gate(moved(touchpoints, hours, since=change), conversions)
    assert not {"clock_change", "time_zone"} & warned(found)


@pytest.mark.parametrize("hour", [0, 3])
def test_conversions_that_are_days_or_come_by_night(hour: int) -> None:
    touchpoints, conversions = shop(0)
    batch = conversions["converted_at"].dt.floor("D") + hour * HOUR
    found = gate(touchpoints, conversions.assign(converted_at=batch))
    assert warned(found) == {"day_times"}
    assert found["day_times", "conversions"].count == len(conversions)
    days = touchpoints.assign(touched_at=touchpoints["touched_at"].dt.floor("D"))
    assert warned(gate(days, conversions.assign(converted_at=batch))) == set()


# ------------------------------------------------------------------- customers of both tables


def test_no_customer_in_both_tables_is_a_failure() -> None:
    found = gate(touches(("a", FIRST, "mail")), orders(("b", FIRST + DAY, 1.0), ("c", FIRST + DAY, 1.0)))
    finding = found["unmatched_customers", "conversions"]
    assert (finding.status, finding.count, finding.total, finding.example) == ("fail", 2, 2, "b")


def test_most_customers_in_one_table_only() -> None:
    def found(matched: int) -> Finding:
        conversions = orders(*((n, FIRST + DAY, 1.0) for n in range(10)))
        return gate(touches(*((n, FIRST, "mail") for n in range(matched))), conversions)[
            "unmatched_customers", "conversions"
        ]

    assert (found(5).status, found(4).status, found(4).count, found(4).example) == ("pass", "warn", 6, "4")
    assert "50 %" in found(5).message


def test_touchpoints_that_all_come_after_the_conversions_are_a_failure() -> None:
    late = touches(("a", FIRST + 2 * DAY, "mail"), ("b", FIRST, "mail"))
    found = gate(late, orders(("a", FIRST + DAY, 1.0)))
    assert found["no_earlier_touchpoint", "conversions"].status == "fail"
    assert found["unmatched_customers", "conversions"].status == "pass"
    at_once = touches(("a", FIRST + DAY, "mail"))
    assert warned(gate(at_once, orders(("a", FIRST + DAY, 1.0)))) == set()


def test_a_log_of_converting_customers_only() -> None:
    touchpoints, conversions = shop(0)
    found = gate(touchpoints[touchpoints["customer_id"].isin(conversions["customer_id"])], conversions)
    assert warned(found) == {"only_converters"}


@pytest.mark.parametrize(
    ("spell", "way"),
    [
        (lambda n: f"Kunde-{n}x", "case"),
        (lambda n: f" kunde-{n}x ", "blanks"),
        (lambda n: f" KUNDE-{n}X", "blanks and case"),
    ],
)
def test_customers_who_are_spelled_in_another_way(spell: Any, way: str) -> None:
    touchpoints = touches(*((f"kunde-{n}x", FIRST, "mail") for n in range(100)))
    conversions = orders(*((spell(n) if n < 40 else f"kunde-{n}x", FIRST + DAY, 1.0) for n in range(60)))
    finding = gate(touchpoints, conversions)["customer_spelling", "conversions"]
    assert (finding.status, finding.count, finding.total) == ("warn", 40, 40)
    assert f"except for {way}:" in finding.message
    assert finding.example == f"{min(spell(n) for n in range(40))!r} and " + repr(
        min((spell(n), f"kunde-{n}x") for n in range(40))[1]
    )


@pytest.mark.parametrize(
    ("spell", "way"),
    [(lambda n: f"{n:08d}", "leading zeros"), (lambda n: f"user_{n}", "prefix 'user_'")],
)
def test_numbers_that_are_written_in_another_way(spell: Any, way: str) -> None:
    touchpoints = touches(*((str(n), FIRST, "mail") for n in range(100)))
    conversions = orders(*((spell(n), FIRST + DAY, 1.0) for n in range(50)))
    found = gate(touchpoints, conversions)
    assert found["customer_spelling", "conversions"].status == "warn"
    assert f"50 of 50 customers without a touchpoint match an id in touchpoints except for {way}:" in (
        found["customer_spelling", "conversions"].message
    )
    assert found["unmatched_customers", "conversions"].status == "fail"


@pytest.mark.parametrize(
    ("touched", "bought"),
    [
        (lambda n: f"u{n}", lambda n: f"v{n}"),
        (lambda n: str(n), lambda n: str(n + 1_000)),
        (lambda n: f"anna{n}@example.com", lambda n: f"otto{n}@example.com"),
        (lambda n: f"{n:032x}", lambda n: f"{n * 7 + 10**9:032x}"),
    ],
    ids=["prefixes", "numbers", "mails", "hexadecimal"],
)
def test_other_customers_are_no_spelling(touched: Any, bought: Any) -> None:
    touchpoints = touches(*((touched(n), FIRST, "mail") for n in range(200)))
    conversions = orders(*((bought(n), FIRST + DAY, 1.0) for n in range(200)))
    assert gate(touchpoints, conversions)["customer_spelling", "conversions"].status == "pass"


# ------------------------------------------------------------------- values


def values(*amounts: float) -> pd.DataFrame:
    return orders(*((n, FIRST, amount) for n, amount in enumerate(amounts)))


def test_values_far_beyond_all_others() -> None:
    found = gate(conversions=values(*[10.0] * 1_000, 1_000.01, 2_000.0))["value_outliers", "conversions"]
    assert (found.status, found.count, found.example) == ("warn", 2, "2,000.00")
    assert gate(conversions=values(*[10.0] * 1_000, 1_000.0))["value_outliers", "conversions"].status == "pass"


def test_one_conversion_that_outweighs_the_others() -> None:
    heavy = gate(conversions=values(*[10.0] * 899, 1_000.0))["value_outliers", "conversions"]
    assert heavy.status == "warn"  # 1,000 of 9,990
    assert "10 % of all value" in heavy.message
    assert "'899'" in heavy.message
    assert gate(conversions=values(*[10.0] * 900, 1_000.0))["value_outliers", "conversions"].status == "pass"
    assert gate(conversions=values(1.0, 99.0))["value_outliers", "conversions"].status == "pass"


@pytest.mark.parametrize(("zeros", "status"), [(20, "pass"), (21, "warn"), (100, "warn")])
def test_conversions_worth_nothing(zeros: int, status: str) -> None:
    finding = gate(conversions=values(*[0.0] * zeros, *[5.0] * (100 - zeros)))["zero_values", "conversions"]
    assert (finding.status, finding.count) == (status, zeros if status == "warn" else 0)


# ------------------------------------------------------------------- costs


@pytest.mark.parametrize(("factor", "text"), [(100, "cents"), (1_000, "1,000"), (1_000_000, "micros"), (0.01, "cents")])
def test_days_in_another_unit(factor: float, text: str) -> None:
    touchpoints, conversions = shop(0)
    costs = spend(touchpoints)
    odd = (costs["channel"] == "search") & (costs["day"] >= dt.date(2024, 1, 21))
    costs.loc[odd, "amount"] *= factor
    found = gate(touchpoints, conversions, costs)
    assert warned(found) - {"unit_mix"} == {"unit_jump"}
    finding = found["unit_jump", "costs"]
    assert (finding.count, finding.example) == (odd.sum(), "search")
    assert "on 2024-01-21" in finding.message
    assert text in finding.message


@pytest.mark.parametrize(("factor", "status"), [(100, "pass"), (1_000_000, "warn")])
def test_flights_of_a_channel_without_touchpoints(factor: int, status: str) -> None:
    """Ten or a thousand a day on posters is a matter of budget; ten millions are not."""
    amounts = [10.0 * (factor if 5 <= day < 15 else 1) for day in range(30)]
    days = pd.date_range(FIRST, periods=30).date
    costs = pd.DataFrame({"channel": "poster", "day": days, "amount": amounts})
    found = gate(touches(("a", FIRST, "mail")), orders(("a", FIRST + DAY, 1e9)), costs)
    assert found["unit_jump", "costs"].status == status


def test_a_campaign_that_comes_and_goes_is_no_change_of_units() -> None:
    """Ten days with a hundred times the spend and a hundred times the touchpoints."""
    touchpoints, conversions = shop(0)
    burst = touchpoints[(touchpoints["channel"] == "display") & (touchpoints["touched_at"] < FIRST + 10 * DAY)]
    many = pd.concat([burst.assign(customer_id=burst["customer_id"] + 10_000 * n) for n in range(100)])
    touchpoints = pd.concat([touchpoints, many])
    assert gate(touchpoints, conversions, spend(touchpoints))["unit_jump", "costs"].status == "pass"


@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=40), st.sampled_from([2, 3, 6]))
def test_a_unit_step_is_found_in_whatever_keeps_to_one_level(amounts: list[float], power: int) -> None:
    """Amounts within a third of a decade; the last of them in another unit."""
    levels = 10.0 ** (np.log10(amounts) / 12)
    assert unit_step(levels) is None
    both = np.concatenate([levels, levels * 10.0**power])
    found = unit_step(both)
    if len(amounts) < 3:
        assert found is None
    else:
        assert found is not None
        assert found[0] == power
        assert found[1].tolist() == [False] * len(amounts) + [True] * len(amounts)


def test_a_channel_in_micros() -> None:
    touchpoints, conversions = shop(0)
    costs = spend(touchpoints)
    costs.loc[costs["channel"] == "mail", "amount"] *= 1_000_000
    found = gate(touchpoints, conversions, costs)
    assert warned(found) == {"unit_mix"}
    assert (found["unit_mix", "costs"].count, found["unit_mix", "costs"].example) == (1, "mail")


def test_spend_beyond_all_value() -> None:
    """One channel has nobody to be compared with; 999 times the value is bad luck."""
    for amount, status in ((1_000.0, "warn"), (999.0, "pass")):
        costs = pd.DataFrame({"channel": ["mail"], "amount": [amount]})
        found = gate(touches(("a", FIRST, "mail")), orders(("a", FIRST + DAY, 1.0)), costs)
        assert found["unit_mix", "costs"].status == status


def test_a_campaign_in_micros() -> None:
    rows = [("search", name, 10.0 * (1_000_000 if name == "c" else n)) for name in "abc" for n in range(1, 4)]
    costs = pd.DataFrame(rows, columns=["channel", "campaign", "amount"])
    found = gate(touches(("a", FIRST, "search")), orders(("a", FIRST + DAY, 1e6)), costs)
    assert found["unit_mix", "costs"].example == "search / c"


@pytest.mark.parametrize(
    ("table", "column"), [("costs", "Currency_Code"), ("conversions", "币种"), ("touchpoints", "cost_currency")]
)
def test_more_than_one_currency(table: str, column: str) -> None:
    tables = {
        "touchpoints": touches(("a", FIRST, "mail"), ("b", FIRST, "mail")).assign(cost=1.0),
        "conversions": orders(("a", FIRST + DAY, 1.0), ("b", FIRST + DAY, 1.0)),
        "costs": pd.DataFrame({"channel": ["radio", "radio"], "amount": [1.0, 2.0]}),
    }
    same = {**tables, table: tables[table].assign(**{column: ["eur ", "EUR"]})}
    assert gate(**same)["currencies", table].status == "pass"
    mixed = {**tables, table: tables[table].assign(**{column: ["EUR", "USD"]})}
    with pytest.raises(InputError, match="amounts are in several currencies"):
        gate(**mixed)


def test_days_of_spend_on_which_a_channel_has_no_touchpoints() -> None:
    touchpoints, conversions = shop(0)
    costs = spend(touchpoints)
    day = touchpoints["touched_at"].dt.floor("D")
    lost = (touchpoints["channel"] == "display") & day.between(FIRST + 9 * DAY, FIRST + 13 * DAY)
    found = gate(touchpoints[~lost], conversions, costs)
    assert warned(found) == {"paid_days_without_touchpoint", "channel_jump"}
    assert "'display' vanishes from 2024-01-10 to 2024-01-14" in found["channel_jump", "touchpoints"].message
    finding = found["paid_days_without_touchpoint", "costs"]
    assert finding.count == 5
    assert "'display' from 2024-01-10 to 2024-01-14" in finding.message
    two_days = (touchpoints["channel"] == "display") & day.between(FIRST + 9 * DAY, FIRST + 10 * DAY)
    assert warned(gate(touchpoints[~two_days], conversions, costs)) == set()


def test_mails_that_go_out_now_and_then_lack_no_touchpoints() -> None:
    """Twice in 60 days, to a hundred customers each; they cost something every day."""
    sent = [(n, FIRST + day * DAY, "mail") for day in (3, 40) for n in range(100)]
    conversions = orders(*((n % 200, FIRST + n * 7 * HOUR, 5.0) for n in range(200)))
    costs = pd.DataFrame({"channel": "mail", "day": pd.date_range(FIRST, periods=60).date, "amount": 1.0})
    found = gate(touches(*sent), conversions, costs)
    assert not {"paid_days_without_touchpoint", "after_last_touchpoint"} & warned(found)


def test_costs_that_cover_a_part_of_the_log() -> None:
    touchpoints, conversions = shop(0)
    costs = spend(touchpoints)
    part = costs[costs["day"] < dt.date(2024, 1, 21)]
    finding = gate(touchpoints, conversions, part)["touchpoints_without_costs", "touchpoints"]
    paid = touchpoints["channel"].isin(PRICES)
    assert finding.status == "warn"
    assert finding.count == (paid & (touchpoints["touched_at"] >= pd.Timestamp("2024-01-21"))).sum()
    period = Period(end=dt.date(2024, 1, 20))
    assert gate(touchpoints, conversions, part, period=period)["touchpoints_without_costs", "touchpoints"].count == 0


# ------------------------------------------------------------------- what comes with the conversion, and days


def lags(channel: str, *minutes: float, start: int = 0) -> list[tuple[Any, ...]]:
    """One touchpoint of each customer, so many minutes before an order at 12 h of its day."""
    return [
        (n, FIRST + n * DAY + 12 * HOUR - pd.Timedelta(minutes=lag), channel) for n, lag in enumerate(minutes, start)
    ]


def test_channels_that_come_with_the_order_are_said() -> None:
    conversions = orders(*((n, FIRST + n * DAY + 12 * HOUR, 5.0) for n in range(40)))
    search = lags("search", *([30.0, 200.0] * 20))
    assert not {"last_seconds", "last_instant"} & warned(gate(touches(*search), conversions))
    coupon = lags("coupon", *([0.3] * 19 + [1.0] + [50.0] * 5))
    found = gate(touches(*search, *coupon), conversions)
    assert {"last_seconds", "last_instant"} & warned(found) == {"last_seconds"}
    seconds = found["last_seconds", "touchpoints"]
    assert (seconds.count, seconds.total, seconds.example) == (20, 25, "coupon")
    fewer = gate(touches(*search, *coupon, *lags("coupon", 50.0, start=30)), conversions)
    assert "last_seconds" not in warned(fewer)
    at_once = gate(touches(*search, *lags("app", *([0.0] * 20))), conversions)
    assert {"last_seconds", "last_instant"} & warned(at_once) == {"last_instant"}
    # A code that was redeemed tells when it was, and not when it led there.
    inferred = touches(*search, *lags("app", *([0.0] * 20))).assign(
        kind=lambda t: t["channel"].map({"app": "inferred"})
    )
    assert "last_instant" not in warned(gate(inferred, conversions))


@pytest.mark.parametrize("hours", [3, 8])
def test_clocks_apart_are_found_where_all_lags_are_alike(hours: int) -> None:
    customers = range(300)
    touchpoints = touches(*((n, FIRST + n * 7 * HOUR + hours * HOUR, "mail") for n in customers))
    conversions = orders(*((n, FIRST + n * 7 * HOUR + pd.Timedelta(minutes=20), 5.0) for n in customers))
    found = gate(touchpoints, conversions)["time_zone", "touchpoints"]
    assert (found.status, found.example) == ("warn", f"+{hours - 0.25:g} h")
    before = touchpoints.assign(touched_at=lambda table: table["touched_at"] - 2 * hours * HOUR)
    assert gate(before, conversions)["time_zone", "touchpoints"].status == "pass"


@pytest.mark.parametrize("customers", [3, 150])
def test_orders_that_have_only_a_day_are_said_with_what_it_costs(customers: int) -> None:
    touchpoints = touches(*((n, FIRST + n * DAY + (6 + n % 12) * HOUR, "mail") for n in range(customers)))
    conversions = orders(*((n, FIRST + n * DAY, 5.0) for n in range(customers)))
    found = gate(touchpoints, conversions)["day_times", "conversions"]
    assert (found.status, found.count) == ("warn", customers)
    assert f"{customers} customers have touchpoints later that day" in found.message
    assert "same_day = 'counts'" in found.message
    counted = at.TableSpec(source=conversions, same_day="counts")
    assert gate(touchpoints, counted)["day_times", "conversions"].status == "pass"

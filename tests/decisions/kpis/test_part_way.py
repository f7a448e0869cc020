"""Targets part way through their period, before it and after it: what a value is compared with, and what follows."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attribution as at
from attribution.decisions.kpis import Run, check_targets, read_targets, score_decisions, target_findings
from attribution.decisions.kpis.attainment import _verdict, baseline_notes, target_metrics
from attribution.decisions.kpis.targets import Targets
from attribution.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore")

CUSTOMERS = 12


def shop(name: str, start: str, end: str, *, customers: int = CUSTOMERS, **more: Any) -> Run:
    """A shop whose customers buy once each, all touched by web; every third one by mail alone."""
    ids = np.arange(customers)
    channel = np.where(ids % 3 == 0, "mail", "web")
    days = pd.to_datetime(start) + pd.to_timedelta(ids % 20, unit="D")
    tables = {
        "touchpoints": pd.DataFrame({"customer_id": ids, "touched_at": days, "channel": channel}),
        "conversions": pd.DataFrame(
            {"customer_id": ids, "converted_at": days + pd.Timedelta(1, unit="h"), "value": 30.0}
        ),
        "costs": pd.DataFrame({"channel": ["mail", "web"], "amount": [40.0, 60.0], "day": start}),
    }
    settings: dict[str, Any] = {
        "name": name,
        "period": {"start": start, "end": end},
        "tables": tables,
        "models": [{"model": "LastTouch"}, {"model": "Linear"}],
        "resampling": {"draws": 200},
        "output": {"draws": True, "unit_economics": True},
    }
    return at.run_of(at.run_experiment(at.Experiment.model_validate(settings | more)))


@pytest.fixture(scope="module")
def january() -> Run:
    return shop("january", "2024-01-01", "2024-01-31")


def write(folder: Path, *targets: dict[str, Any], kind: str = "targets") -> Targets:
    """A file of targets for channel web in the first quarter, unless said otherwise."""
    usual = {"metric": "conversions", "unit": "orders", "target": 1.0, "period": "2024-Q1", "owner": "Bo"}
    parts = ['experiment = "shop.toml"']
    for each in targets:
        keys = (usual if kind == "targets" else {}) | each
        parts += [f"[[{kind}]]", *(f"{key} = {value!r}" for key, value in keys.items() if value is not None)]
    path = folder / "targets.toml"
    path.write_text("\n".join(parts), encoding="utf-8")
    return read_targets(path)


def judge(folder: Path, run: Run, baseline: Run | None = None, **target: Any) -> tuple[pd.Series, str]:
    """The row of one target, and its sentence."""
    table = check_targets(write(folder, target), run, baseline)
    return table.iloc[0], target_findings(table)[0]


# ------------------------------------------------------------ part way


def test_what_is_due_by_now_is_compared_with_the_interval(january: Run, tmp_path: Path) -> None:
    """8 orders in 31 of 91 days: 24 are 8.2 by now, inside of the interval; 60 are 20.4, above it; 9 are 3.1, below."""
    draws = january.tables["draws"].query("model == 'last_touch' and channel == 'web'")["conversions"].to_numpy()
    found = {goal: judge(tmp_path, january, channel="web", target=goal) for goal in (9.0, 24.0, 60.0)}
    for goal, (row, _) in found.items():
        assert row["threshold"] == row["due_by_now"] == pytest.approx(goal * 31 / 91)
        assert row["probability"] == (draws >= goal * 31 / 91).mean()
        assert row["threshold_in_interval"] == (row["low"] <= row["threshold"] <= row["high"])
        assert row["attainment"] == pytest.approx(8 / goal)
    assert [row["verdict"] for row, _ in found.values()] == ["on_pace", "undecided", "behind_pace"]
    assert found[24.0][0]["probability"] not in (0.0, 1.0)
    assert "is undecided, because the interval contains the 8.176 orders due by now" in found[24.0][1]
    assert "is behind schedule: 20.44 orders is due by now" in found[60.0][1]


@pytest.mark.parametrize(
    ("goal", "verdict", "said"),
    [
        (60.0 * 91 / 31 + 0.01, "on_pace", "is on schedule: at most 60 EUR is due by now"),
        (150.0, "over_pace", "is at risk: the value is above what is due by now, 51.1 EUR"),
        (60.0, "over_pace", "is above what is due by now"),
        (59.0, "missed", "is exceeded"),
    ],
)
def test_spend_that_is_too_high_is_not_behind(
    january: Run, tmp_path: Path, goal: float, verdict: str, said: str
) -> None:
    row, sentence = judge(tmp_path, january, metric="spend", unit="EUR", channel="web", target=goal)
    assert row["verdict"] == verdict
    assert said in sentence


def test_over_the_whole_period_the_goal_is_what_counts(january: Run, tmp_path: Path) -> None:
    row, _ = judge(tmp_path, january, channel="web", target=8.0, period="2024-01")
    assert (row["threshold"], row["verdict"], row["covered"]) == (8.0, "undecided", 1.0)
    row, sentence = judge(tmp_path, january, metric="spend", unit="EUR", target=99.0, period="2024-01")
    assert (row["verdict"], "is exceeded" in sentence) == ("missed", True)


def test_a_ratio_part_way_is_compared_with_the_goal(january: Run, tmp_path: Path) -> None:
    row, sentence = judge(tmp_path, january, metric="mer", unit="x", target=2.0)
    assert (row["threshold"], row["verdict"], np.isnan(row["due_by_now"])) == (2.0, "attained", True)
    assert "is met so far" in sentence


ENDS = st.tuples(st.integers(-5, 30), st.integers(-5, 30)).map(sorted)


@given(st.integers(-5, 30), ENDS, st.integers(1, 20), st.floats(0.05, 0.95), st.booleans(), st.booleans())
def test_undecided_is_exactly_what_the_interval_contains(
    value: int, ends: list[int], goal: int, covered: float, least: bool, is_part: bool
) -> None:
    threshold = goal * covered if is_part else goal
    verdict = _verdict(value, (ends[0], ends[1]), goal, threshold, least=least, is_part=is_part)
    assert (verdict == "undecided") == (ends[0] <= threshold <= ends[1])
    if verdict != "undecided":
        is_good = (ends[0] > threshold) == least
        assert verdict in (("attained", "on_pace") if is_good else ("missed", "behind_pace", "over_pace"))
    assert (verdict != "behind_pace") or least
    assert (verdict != "over_pace") or not least


def test_without_an_interval_the_value_decides() -> None:
    none = (np.nan, np.nan)
    found = {
        (value, least): _verdict(value, none, 10.0, 5.0, least=least, is_part=True)
        for value, least in itertools.product((4.0, 5.0, 10.0, 11.0), (True, False))
    }
    least_ones = [found[value, True] for value in (4.0, 5.0, 10.0, 11.0)]
    most_ones = [found[value, False] for value in (4.0, 5.0, 10.0, 11.0)]
    assert least_ones == ["behind_pace", "on_pace", "attained", "attained"]
    assert most_ones == ["on_pace", "on_pace", "over_pace", "missed"]


def test_what_is_tracked_is_the_question_of_the_verdict(january: Run, tmp_path: Path) -> None:
    table = check_targets(write(tmp_path, {"channel": "web", "target": 24.0}), january)
    metrics = target_metrics(table)
    assert metrics["threshold/1 conversions web"] == pytest.approx(24 * 31 / 91)
    assert metrics["probability/1 conversions web"] == table["probability"].iloc[0]
    assert metrics["targets_undecided"] == 1.0


# ------------------------------------------------------------ periods that the run has no day of


def test_a_period_that_has_not_begun_or_was_over_is_said_and_not_judged(january: Run, tmp_path: Path) -> None:
    """A plan of a year in one file: only what the run is of is judged, and the others do not stop it."""
    periods = ["2023-Q4", "2024-Q1", "2024-Q2"]
    table = check_targets(write(tmp_path, *({"period": period} for period in periods)), january)
    assert table["verdict"].tolist() == ["over", "attained", "not_begun"]
    assert table["value"].isna().tolist() == [True, False, True]
    past, _, future = target_findings(table)
    assert "its period, 2023-10-01 … 2023-12-31, was over before 2024-01-01, the first day of run 'january'" in past
    assert "its period, 2024-04-01 … 2024-06-30, has not begun on 2024-01-31" in future
    with pytest.raises(InputError, match="has no channel 'wbe'"):
        judge(tmp_path, january, channel="wbe", period="2024-Q2")


def test_money_in_another_currency_than_the_run_is_refused(january: Run, tmp_path: Path) -> None:
    run = with_settings(january, currency="EUR")
    with pytest.raises(InputError, match=r"target 1 \(cpa\) is in USD, but run 'january' counts money in EUR"):
        judge(tmp_path, run, metric="cpa", unit="USD")
    assert judge(tmp_path, run, metric="cpa", unit="EUR")[0]["value"] == pytest.approx(100 / 12)
    assert judge(tmp_path, run, unit="NEW")[0]["value"] == 12.0


# ------------------------------------------------------------ baselines that are not like the run


def with_settings(run: Run, **returns: Any) -> Run:
    """A run that says other things of its money; its numbers stay."""
    options = run.experiment.returns.model_copy(update=returns)
    return dataclasses.replace(run, experiment=run.experiment.model_copy(update={"returns": options}))


def test_a_baseline_in_another_currency_is_not_subtracted(january: Run, tmp_path: Path) -> None:
    ours, theirs = with_settings(january, currency="EUR"), with_settings(january, currency="usd")
    targets = write(tmp_path, {"metric": "cpa", "unit": "EUR"}, {}, {"metric": "roi", "unit": "x"})
    table = check_targets(targets, ours, theirs)
    said = "run 'january' counts money in USD and 'january' in EUR: its money is not compared"
    now, pinned = table[table["when"] == "now"], table[table["when"] == "baseline"]
    assert now["change"].isna().tolist() == [True, False, False]
    assert pinned["value"].isna().tolist() == [True, False, False]
    assert (now["note"].iloc[0], pinned["note"].iloc[0]) == (f"baseline: {said}", said)
    assert baseline_notes(targets, ours, theirs) == [f"Baseline: {said}."]
    assert baseline_notes(targets, ours, ours) == []


def test_a_baseline_is_asked_on_the_terms_of_the_run(tmp_path: Path) -> None:
    """ROI on a margin of a half against ROI on revenue would be a fall where nothing has changed."""
    revenue = shop("before", "2024-01-01", "2024-01-31", returns={"margin": 0.5})
    margin = shop("now", "2024-01-01", "2024-01-31", returns={"margin": 0.5, "basis": "margin"})
    row, _ = judge(tmp_path, margin, revenue, metric="roi", unit="x")
    assert row["value"] == row["baseline"] == pytest.approx(0.5 * 360 / 100 - 1)
    lacking = shop("before", "2024-01-01", "2024-01-31")
    row, _ = judge(tmp_path, margin, lacking, metric="roi", unit="x")
    assert np.isnan(row["change"])
    assert "baseline: run 'before' has no returns for this basis and cost basis" in row["note"]
    row, _ = judge(tmp_path, margin, lacking)
    assert row["change"] == 0.0


def test_a_baseline_is_asked_of_the_model_of_the_run(january: Run, tmp_path: Path) -> None:
    """The first model of the run judges, whatever model was the first then."""
    turned = shop("before", "2024-01-01", "2024-01-31", models=[{"model": "Linear"}, {"model": "LastTouch"}])
    row, _ = judge(tmp_path, january, turned, metric="roi", unit="x", channel="web")
    assert (row["model"], row["change"]) == ("last_touch", 0.0)
    without = shop("before", "2024-01-01", "2024-01-31", models=[{"model": "Linear"}])
    row, _ = judge(tmp_path, january, without, metric="roi", unit="x", channel="web")
    assert "baseline: run 'before' has no model 'last_touch'" in row["note"]
    assert judge(tmp_path, january, without)[0]["change"] == 0.0


def test_sums_of_a_baseline_of_other_days_are_compared_in_proportion(january: Run, tmp_path: Path) -> None:
    """24 orders in 62 days are 12 in 31: no change. A ratio needs no proportion."""
    before = shop("before", "2023-11-01", "2024-01-01", customers=24)
    targets = write(tmp_path, {}, {"metric": "average_value", "unit": "EUR"})
    table = check_targets(targets, january, before)
    sums, ratio = table.iloc[0], table.iloc[1]
    assert (sums["baseline"], sums["change"]) == (24.0, 0.0)
    assert sums["note"].endswith(
        "baseline: run 'before' covers 62 days and 'january' 31, so change is against the baseline in proportion to "
        "its days"
    )
    assert (ratio["baseline"], ratio["change"]) == (30.0, 0.0)
    assert len(baseline_notes(targets, january, before)) == 1


def test_a_baseline_without_dates_is_not_subtracted_from_sums(january: Run, tmp_path: Path) -> None:
    undated = dataclasses.replace(
        january, name="undated", span=None, experiment=january.experiment.model_copy(update={"period": at.Period()})
    )
    row, _ = judge(tmp_path, january, undated)
    assert np.isnan(row["change"])
    assert "run 'undated' has no dates and 'january' has: sums over days are not compared" in row["note"]


def test_a_decision_that_rests_on_other_days_or_money_is_unknown_and_says_why(january: Run, tmp_path: Path) -> None:
    before = shop("before", "2023-11-01", "2024-01-01", customers=24, returns={"currency": "USD"})
    usual = {"what": "more mail", "owner": "Bo", "run": "runs/before", "expected": 30.0}
    text = [usual | {"metric": metric} for metric in ("conversions", "cpa", "roi")]
    path = tmp_path / "decisions.toml"
    lines = ['experiment = "shop.toml"']
    for each in text:
        lines += ["[[decisions]]", *(f"{key} = {value!r}" for key, value in each.items())]
        lines += ["decided_on = 2024-01-02", "due = 2024-03-01"]
    path.write_text("\n".join(lines), encoding="utf-8")
    table = score_decisions(read_targets(path), with_settings(january, currency="EUR"), [before] * 3)
    assert table["status"].tolist() == ["unknown", "unknown", "open"]
    assert "covers 62 days and 'january' 31" in table["note"].iloc[0]
    assert "counts money in USD and 'january' in EUR" in table["note"].iloc[1]
    assert table["note"].iloc[2] == ""


# ------------------------------------------------------------ draws without a customer


def test_what_a_customer_costs_keeps_its_interval_where_some_draws_have_none(january: Run, tmp_path: Path) -> None:
    """Draws of mail without a customer cost infinitely much: the ends are quantiles all the same."""
    for empty, is_open in ((9, False), (30, True)):
        run = with_empty_draws(january, empty)
        row, sentence = judge(tmp_path, run, metric="cac", unit="EUR", channel="mail", target=5.0)
        costs = np.sort(run.tables["draws"].query(MAIL).eval("spend / new_customers").to_numpy())
        assert row["empty_draws"] == empty / 200
        assert row["low"] == pytest.approx(np.quantile(costs[: 200 - empty], 0.05 * 199 / (199 - empty)))
        assert np.isnan(row["high"]) == is_open
        assert ("without an upper end" in sentence) == is_open
        assert f"{100 * empty / 200:g} % of draws have no credited new customer" in row["note"]
        assert row["verdict"] == "missed"
    inside, _ = judge(tmp_path, run, metric="cac", unit="EUR", channel="mail", target=1_000.0)
    assert (inside["verdict"], inside["threshold_in_interval"]) == ("undecided", True)
    assert inside["probability"] == (costs <= 1_000).mean()


MAIL = "model == 'last_touch' and channel == 'mail'"


def with_empty_draws(run: Run, count: int) -> Run:
    """Draws that all have 4 customers of mail or a few more, but for the first ones that have none."""
    draws = run.tables["draws"].copy()
    at_mail = draws.query(MAIL).index
    draws.loc[at_mail, "new_customers"] = np.where(np.arange(200) < count, 0.0, 4.0 + np.arange(200) / 100)
    return dataclasses.replace(run, tables={**run.tables, "draws": draws})


def test_a_metric_that_is_unknown_in_many_draws_has_no_interval(january: Run, tmp_path: Path) -> None:
    draws = january.tables["draws"].copy()
    at_mail = draws.query(MAIL).index
    draws.loc[at_mail, ["conversions", "value"]] = np.where(np.arange(200)[:, None] < 40, 0.0, [4.0, 120.0])
    run = dataclasses.replace(january, tables={**january.tables, "draws": draws})
    row, _ = judge(tmp_path, run, metric="average_value", unit="EUR", channel="mail")
    assert (row["value"], np.isnan(row["low"]), row["empty_draws"]) == (30.0, True, 0.2)
    assert row["note"] == "no interval: 20 % of draws have no credited conversion"


def test_the_average_of_all_is_counted(january: Run, tmp_path: Path) -> None:
    row, _ = judge(tmp_path, january, metric="average_value", unit="EUR")
    assert (row["value"], np.isnan(row["low"])) == (30.0, True)
    assert row["note"].startswith("counted")


def test_published_conversions_of_none_leave_their_cost_without_an_upper_end(january: Run, tmp_path: Path) -> None:
    returns = january.tables["returns"].assign(conversions_low=0.0)
    tables = {name: table for name, table in january.tables.items() if name != "draws"} | {"returns": returns}
    row, sentence = judge(
        tmp_path, dataclasses.replace(january, tables=tables), metric="cpa", unit="EUR", channel="web"
    )
    high = returns.query("model == 'last_touch' and channel == 'web'")["conversions_high"].iloc[0]
    assert (row["low"], np.isnan(row["high"])) == (pytest.approx(60 / high), True)
    assert "without an upper end" in sentence


# ------------------------------------------------------------ one channel, and a thousand


@pytest.mark.parametrize("channels", [1, 1_000])
def test_any_number_of_channels_is_judged(channels: int, tmp_path: Path) -> None:
    """One customer for each channel and money, so that a customer costs 10 wherever there is one."""
    ids = np.arange(1_000)
    names = np.array([f"c{index:04d}" for index in range(channels)])
    channel = names[ids % channels]
    tables = {
        "touchpoints": pd.DataFrame({"customer_id": ids, "touched_at": "2024-01-02", "channel": channel}),
        "conversions": pd.DataFrame({"customer_id": ids, "converted_at": "2024-01-03", "value": 30.0}),
        "costs": pd.DataFrame({"channel": channel, "amount": 10.0, "day": "2024-01-02"}),
    }
    run = shop("many", "2024-01-01", "2024-01-31", tables=tables, resampling={"draws": 50})
    money = {"unit": "EUR", "target": 10.0}
    asked = [{"metric": "cac"} | money, {"metric": "cac", "channel": "c0000"} | money, {"metric": "spend"} | money]
    table = check_targets(write(tmp_path, *asked), run, run)
    now = table[table["when"] == "now"]
    assert now["value"].tolist() == pytest.approx([10.0, 10.0, 10_000.0])
    assert now["change"].tolist() == [0.0, 0.0, 0.0]
    # The customer of one channel of a thousand is in about 63 of 100 draws: e⁻¹ have none.
    empty = now["empty_draws"].tolist()[:2]
    assert empty == [0.0, 0.0] if channels == 1 else (empty[0] == 0.0 and 0.1 < empty[1] < 0.7)
    assert np.isnan(now["high"].iloc[1]) == (channels == 1_000)
    assert len(run.tables["returns"]) == 2 * (channels + 1)

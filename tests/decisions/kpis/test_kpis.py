"""Targets against a run, its baseline and earlier runs; and both commands as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from attribution.cli.commands.kpis import earlier_runs
from attribution.decisions.kpis import (
    Run,
    check_targets,
    history,
    measure,
    read_run,
    read_targets,
    score_decisions,
    today,
)
from attribution.decisions.kpis.attainment import target_findings, target_metrics
from attribution.decisions.kpis.targets import days_of
from attribution.errors import InputError
from attribution.production.output_tables import output_tables
from tests.cli.test_cli import call, table_bytes

SHOP = """
name = "{name}"

[period]
start = {start}
end = {end}

[tables.touchpoints]
source = "touchpoints.parquet"

[tables.conversions]
source = "conversions.parquet"

[tables.costs]
source = "costs.csv"

[[models]]
model = "LastTouch"

[[models]]
model = "Linear"

[resampling]
draws = 100

[output]
draws = true
unit_economics = true

[tracking]
enabled = false
"""

TARGETS = """
name = "ziele"
run = "runs/after"
baseline = "runs/before"
history = ["runs/*"]

[roles]
"品牌" = ["social", "微信"]

[[targets]]
metric = "cac"
unit = "CNY"
target = 400
period = "2024-Q2"
owner = "增长团队"

[[targets]]
metric = "value"
unit = "CNY"
target = 2_000_000
period = "2024-Q2"
owner = "sales"

[[targets]]
metric = "roi"
role = "品牌"
unit = "%"
target = 80
period = "2024-Q2"
stage = "launch"
owner = "brand team"

[tracking]
enabled = false
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two quarters of one shop, run; the folder holds runs/before and runs/after."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(7)
    n, customers = 4_000, 900
    names = ["email", "search", "social", "微信"]
    pd.DataFrame(
        {
            "customer_id": rng.integers(0, customers, n),
            "touched_at": np.datetime64("2024-01-01", "us") + rng.integers(0, 182 * 24, n) * np.timedelta64(1, "h"),
            "channel": rng.choice(names, n, p=[0.2, 0.4, 0.3, 0.1]),
        }
    ).to_parquet(folder / "touchpoints.parquet", index=False)
    pd.DataFrame(
        {
            "customer_id": rng.integers(0, customers, 600),
            "converted_at": np.datetime64("2024-01-10", "us") + rng.integers(0, 172 * 24, 600) * np.timedelta64(1, "h"),
            "value": rng.gamma(2, 40, 600).round(2),
        }
    ).to_parquet(folder / "conversions.parquet", index=False)
    quarters = [("2024-01-01", "2024-03-31"), ("2024-04-01", "2024-06-30")]
    costs = [
        {"channel": name, "amount": amount * factor, "period_start": start, "period_end": end}
        for (start, end), factor in zip(quarters, (1.0, 1.4), strict=True)
        for name, amount in zip(names, (900.0, 3000.0, 2500.0, 800.0), strict=True)
    ]
    pd.DataFrame(costs).to_csv(folder / "costs.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        for name, (start, end) in zip(("before", "after"), quarters, strict=True):
            toml = folder / f"{name}.toml"
            toml.write_text(SHOP.format(name=name, start=start, end=end), encoding="utf-8")
            assert call(patch, "run", toml, "--out", folder / "runs" / name) == 0
    (folder / "ziele.toml").write_text(TARGETS, encoding="utf-8")
    return folder


def asked(folder: Path, text: str) -> Path:
    """A file of targets beside the runs."""
    path = folder / "asked.toml"
    path.write_text(text, encoding="utf-8")
    return path


def targets_of(folder: Path, **target: object) -> pd.DataFrame:
    """The ``kpis`` table of one target on the later run."""
    given = {"unit": "x", "target": 1.0, "period": "2024-Q2", "owner": "me", **target}
    lines = "\n".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in given.items())
    roles = '[roles]\nbrand = ["social", "微信"]\n'
    targets = read_targets(asked(folder, f'run = "runs/after"\n{roles}[[targets]]\n{lines}'))
    return check_targets(targets, read_run(folder / "runs" / "after"))


# ------------------------------------------------------------ numbers


_IN_Q2 = "converted_at >= '2024-04-01' and converted_at < '2024-07-01'"


def test_metrics_are_those_of_the_tables(shop: Path) -> None:
    run = read_run(shop / "runs" / "after")
    rows = run.tables["returns"].query("model == 'last_touch'").set_index("channel")
    economics = run.tables["unit_economics"].query("model == 'last_touch'").set_index("channel")
    paid = rows[rows["roi"].notna()]
    expected = {
        "conversions": rows["conversions"].sum(),
        "value": rows["value"].sum(),
        "spend": paid["spend"].sum(),
        "roas": paid["value"].sum() / paid["spend"].sum(),
        "roi": paid["value"].sum() / paid["spend"].sum() - 1,
        "cpa": paid["spend"].sum() / paid["conversions"].sum(),
        "average_value": rows["value"].sum() / rows["conversions"].sum(),
        "new_customers": economics["new_customers"].sum(),
        "cac": paid["spend"].sum() / economics["new_customers"].sum(),
        "mer": pd.read_parquet(shop / "conversions.parquet").query(_IN_Q2)["value"].sum() / paid["spend"].sum(),
    }
    for metric, value in expected.items():
        assert measure(run, metric).value == pytest.approx(value, rel=1e-12), metric
    one = measure(run, "cpa", ["微信"], model="linear").value
    row = run.tables["returns"].query("model == 'linear' and channel == '微信'")
    assert one == pytest.approx(row["cpa"].iloc[0])


def test_intervals_of_one_channel_are_those_of_the_run(shop: Path) -> None:
    run = read_run(shop / "runs" / "after")
    row = run.tables["returns"].query("model == 'last_touch' and channel == 'search'").iloc[0]
    found = measure(run, "roi", ["search"])
    assert (found.low, found.high) == pytest.approx((row["roi_low"], row["roi_high"]))
    # Without draws the published intervals serve, and what has several channels has none.
    bare = Run(run.name, run.experiment, {name: of for name, of in run.tables.items() if name != "draws"}, run.span)
    assert measure(bare, "roi", ["search"])[:3] == pytest.approx((found.value, found.low, found.high))
    for metric in ("cpa", "roas", "conversions", "value"):
        assert measure(bare, metric, ["search"])[:3] == pytest.approx(
            measure(run, metric, ["search"])[:3],
            rel=1e-3,  # quantiles of 1 ÷ x lie between other draws than those of x
        ), metric
    several = measure(bare, "roi", ["search", "email"])
    assert np.isnan(several.low)
    assert "kept no draws" in several.why


def test_the_interval_of_a_role_comes_from_its_draws(shop: Path) -> None:
    run = read_run(shop / "runs" / "after")
    draws = run.tables["draws"].query("model == 'last_touch' and channel in ['social', '微信']")
    spend = run.tables["returns"].query("model == 'last_touch'").set_index("channel")["spend"][["social", "微信"]].sum()
    roi = draws.groupby("draw")["value"].sum() / spend - 1
    found = measure(run, "roi", ["social", "微信"])
    assert found.draws == pytest.approx(roi.to_numpy())
    assert found.low == pytest.approx(np.quantile(roi, 0.05), rel=0.2)
    assert found.low < found.value < found.high


def test_the_cost_of_a_new_customer_has_an_interval_of_its_own(shop: Path) -> None:
    run = read_run(shop / "runs" / "after")
    draws = run.tables["draws"].query("model == 'last_touch'").groupby("draw")[["spend", "new_customers"]].sum()
    found = measure(run, "cac")
    assert found.draws == pytest.approx((draws["spend"] / draws["new_customers"]).to_numpy())
    assert found.low < found.value < found.high


def test_draws_of_other_terms_are_never_used(shop: Path) -> None:
    run = read_run(shop / "runs" / "after")
    loaded = run.tables["returns"].assign(cost_basis="loaded", spend=lambda rows: 2 * rows["spend"], roi_low=np.nan)
    both = Run(
        run.name, run.experiment, {**run.tables, "returns": pd.concat([run.tables["returns"], loaded])}, run.span
    )
    for metric in ("cac", "cpa", "roas", "roi"):
        assert measure(both, metric, ["email", "search"]).draws is not None
        found = measure(both, metric, ["email", "search"], cost_basis="loaded")
        assert found.draws is None, metric
        assert np.isnan(found.low)


def test_what_is_counted_has_no_interval(shop: Path) -> None:
    run = read_run(shop / "runs" / "after")
    for metric, channels in (("value", None), ("conversions", None), ("spend", ["email"])):
        found = measure(run, metric, channels)
        assert np.isnan(found.low)
        assert "counted" in found.why


def test_the_numbers_of_the_source_text(shop: Path) -> None:
    """CAC at most 400 and sales of 2 million: thresholds, each with its own direction."""
    tables = check_targets(
        read_targets(shop / "ziele.toml"), *(read_run(shop / "runs" / n) for n in ("after", "before"))
    )
    cac, sales, brand = (tables.iloc[n] for n in range(3))
    assert (cac["direction"], cac["verdict"]) == ("at_most", "attained")
    assert cac["attainment"] == pytest.approx(400 / cac["value"])
    assert (sales["direction"], sales["verdict"]) == ("at_least", "missed")
    assert sales["attainment"] == pytest.approx(sales["value"] / 2e6)
    assert sales["covered"] == 1.0
    assert brand["value"] == pytest.approx(
        100 * measure(read_run(shop / "runs" / "after"), "roi", ["social", "微信"]).value
    )
    assert brand["change"] == pytest.approx(brand["value"] - brand["baseline"])
    assert (brand["role"], brand["stage"], brand["scope"]) == ("品牌", "launch", "品牌")


def test_a_target_within_the_interval_is_undecided(shop: Path) -> None:
    run = read_run(shop / "runs" / "after")
    found = measure(run, "roi", ["search"])
    assert found.draws is not None
    inside = targets_of(shop, metric="roi", channel="search", target=found.value).iloc[0]
    assert (inside["verdict"], inside["threshold_in_interval"]) == ("undecided", True)
    assert inside["probability"] == pytest.approx((found.draws >= found.value).mean())
    below = targets_of(shop, metric="roi", channel="search", target=found.low - 0.01).iloc[0]
    assert (below["verdict"], below["threshold_in_interval"]) == ("attained", False)
    above = targets_of(shop, metric="roi", channel="search", target=found.high + 0.01).iloc[0]
    assert above["verdict"] == "missed"
    turned = targets_of(shop, metric="roi", channel="search", target=found.high + 0.01, direction="at_most").iloc[0]
    assert turned["verdict"] == "attained"


def test_half_a_period_is_on_pace_or_behind(shop: Path) -> None:
    run = read_run(shop / "runs" / "after")
    value = measure(run, "conversions").value
    covered = 91 / 366  # days from 2024-04-01 to 2025-04-01
    due = value / covered
    for target, verdict in ((0.9 * due, "on_pace"), (1.1 * due, "behind_pace"), (0.9 * value, "attained")):
        row = check_targets(
            read_targets(
                asked(
                    shop,
                    'run = "runs/after"\n[[targets]]\nmetric = "conversions"\nunit = "orders"\nowner = "me"\n'
                    f"target = {target}\nperiod = {{ start = 2024-04-01, end = 2025-04-01 }}",
                )
            ),
            run,
        ).iloc[0]
        assert row["covered"] == pytest.approx(covered)
        assert row["due_by_now"] == pytest.approx(target * covered)
        assert row["verdict"] == verdict


def test_the_history_runs_from_the_oldest_and_marks_the_baseline(shop: Path) -> None:
    before, after = (read_run(shop / "runs" / name) for name in ("before", "after"))
    table = check_targets(read_targets(shop / "ziele.toml"), after, before)
    assert table["when"].tolist() == ["now"] * 3 + ["baseline"] * 3
    first = history(table).query("target == 1")
    assert first["run"].tolist() == ["before", "after"]
    assert first["when"].tolist() == ["baseline", "now"]
    assert first["run_end"].tolist() == ["2024-03-31", "2024-06-30"]
    assert first["value"].tolist() == pytest.approx([measure(run, "cac").value for run in (before, after)])


def test_other_runs_are_shown_and_never_counted_as_targets(shop: Path) -> None:
    before, after = (read_run(shop / "runs" / name) for name in ("before", "after"))
    targets = read_targets(shop / "ziele.toml")
    alone, with_others = check_targets(targets, after), check_targets(targets, after, before, earlier=[before])
    assert target_metrics(with_others) == pytest.approx(target_metrics(alone), nan_ok=True)
    assert target_findings(with_others) == target_findings(alone)
    others = with_others[with_others["when"] != "now"]
    assert others["when"].tolist() == ["baseline", "earlier"] * 3
    assert others[["verdict", "probability", "attainment", "covered", "baseline", "change"]].isna().all(axis=None)
    now = with_others[with_others["when"] == "now"].set_index("target")
    pinned = others[others["when"] == "baseline"].set_index("target")
    assert pinned["value"].to_dict() == now["baseline"].to_dict()


def test_patterns_of_earlier_runs_pass_over_what_is_no_run(tmp_path: Path) -> None:
    """A proposal of a budget holds the tables of its run too; a review holds none. Named in full, it is taken."""
    for name in ("winter", "winter-budget", "winter-review"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    for name in ("winter", "winter-budget"):
        (tmp_path / "runs" / name / "returns.parquet").touch()
    (tmp_path / "runs" / "winter-budget" / "budget.parquet").touch()
    text = TARGETS.replace('"runs/before"', '"../before"').replace('"runs/after"', '"../after"')
    found = read_targets(asked(tmp_path, text))
    assert earlier_runs(found) == ["runs/winter"]
    named = read_targets(asked(tmp_path, text.replace('["runs/*"]', '["runs/winter-budget"]')))
    assert earlier_runs(named) == ["runs/winter-budget"]


def test_decisions_are_scored_against_what_was_expected(shop: Path) -> None:
    before, after = (read_run(shop / "runs" / name) for name in ("before", "after"))
    was, now = (measure(run, "value", ["email"]).value for run in (before, after))
    log = "\n".join(
        f'[[decisions]]\nwhat = "more mail"\ndecided_on = 2024-04-02\nrun = "runs/before"\nowner = "me"\n'
        f'due = {due}\nmetric = "value"\nchannel = "email"\nexpected = {expected}'
        for due, expected in (
            ("2024-06-30", was + (now - was) / 2),
            ("2024-06-30", was + (now - was) * 2),
            ("2024-09-30", was + (now - was) * 2),
        )
    )
    targets = read_targets(asked(shop, f'run = "runs/after"\n{log}'))
    table = score_decisions(targets, after, [before] * 3)
    assert table["achieved"].tolist() == pytest.approx([2.0, 0.5, 0.5])
    assert table["status"].tolist() == ["reached", "not_reached", "open"]


# ------------------------------------------------------------ what is refused


@pytest.mark.parametrize("lacking", ["metric", "unit", "target", "period", "owner"])
def test_a_target_without_one_of_its_parts_is_refused(shop: Path, lacking: str) -> None:
    given = {"metric": '"cac"', "unit": '"CNY"', "target": "400", "period": '"2024-Q2"', "owner": '"me"'}
    lines = "\n".join(f"{key} = {value}" for key, value in given.items() if key != lacking)
    with pytest.raises(InputError, match=f"target 1 has no {lacking}"):
        read_targets(asked(shop, f'run = "runs/after"\n[[targets]]\n{lines}'))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"metric": "caq"}, r"target 1: unknown metric 'caq'.*Allowed: conversions.*did you mean 'c"),
        ({"metric": "market_share"}, "unknown metric 'market_share'"),
        ({"metric": "cac", "unit": "%"}, "% is a unit for ratios only"),
        ({"metric": "roi", "unit": "CNY"}, "roi is a ratio, so its unit must be one of %, x"),
        ({"metric": "roas", "unit": "per cent"}, "roas is a ratio"),
        ({"metric": "roi", "role": "brnd"}, "unknown role 'brnd'.*did you mean 'brand'"),
        ({"metric": "roi", "role": "brand", "channel": "email"}, "a channel or a role, not both"),
        ({"metric": "roi", "channel": "e-mail"}, "no channel 'e-mail'.*did you mean 'email'"),
        ({"metric": "roi", "model": "markov"}, "has no model 'markov'"),
        ({"metric": "roi", "basis": "ltv"}, "has no returns for this basis and cost basis"),
        ({"metric": "roi", "period": "2024-Q5"}, "a period is a year"),
        ({"metric": "roi", "period": "2024-05"}, "has days outside the target's period"),
        ({"metric": "roi", "targt": 3}, "unknown key 'targt'"),
        ({"metric": "roi", "owner": ""}, "has no owner"),
        ({"metric": "mer", "channel": "email"}, "mer is defined only for the whole business"),
        ({"metric": "win_rate"}, "funnel_stage must be set for these metrics.*arrivals, arrival_share"),
        ({"metric": "roi", "funnel_stage": "SQL"}, "funnel_stage must be set for these metrics"),
        ({"metric": "arrivals", "funnel_stage": "SQL", "basis": "revenue"}, "arrivals takes no basis"),
        ({"metric": "arrivals", "funnel_stage": "SQL"}, "has no funnel, but arrivals is defined per stage"),
    ],
)
def test_targets_that_cannot_be_meant_are_refused(shop: Path, target: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        targets_of(shop, **target)


def test_a_target_alone_without_draws_is_tracked(shop: Path) -> None:
    """Conversions are counted: no probability, and no other target that has one."""
    table = targets_of(shop, metric="conversions", unit="orders")
    assert table["probability"].isna().all()
    metrics = target_metrics(table)
    assert np.isnan(metrics["probability/1 conversions (all)"])
    assert metrics["value/1 conversions (all)"] == table["value"].iloc[0]


def test_a_decision_cannot_be_due_before_it_is_made(shop: Path) -> None:
    text = (
        'run = "runs/after"\n[[decisions]]\nwhat = "more search"\ndecided_on = 2024-04-02\ndue = 2024-04-01\n'
        'run = "runs/before"\nowner = "me"\nmetric = "roi"\nexpected = 2\n'
    )
    with pytest.raises(InputError, match="decision 1: the due date 2024-04-01 is before the decision on 2024-04-02"):
        read_targets(asked(shop, text))


def test_a_file_without_a_run_or_targets_is_refused(shop: Path) -> None:
    one = '[[targets]]\nmetric = "cac"\nunit = "CNY"\ntarget = 4\nperiod = "2024"\nowner = "me"'
    with pytest.raises(InputError, match=r"set either run .* or experiment"):
        read_targets(asked(shop, one))
    with pytest.raises(InputError, match="there are no targets"):
        read_targets(asked(shop, 'run = "runs/after"'))
    with pytest.raises(InputError, match="targets must be a list"):
        read_targets(asked(shop, 'run = "runs/after"\ntargets = 3'))


def test_draws_are_refused_without_resampling(shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    text = (shop / "after.toml").read_text(encoding="utf-8").replace("[resampling]\ndraws = 100\n", "")
    (shop / "undrawn.toml").write_text(text, encoding="utf-8")
    assert call(monkeypatch, "run", shop / "undrawn.toml", "--out", shop / "none") == 2
    assert "output.draws needs resampling" in capsys.readouterr().err


def test_periods_are_read() -> None:
    for text, first, last in (
        ("2024", "2024-01-01", "2024-12-31"),
        ("2024-Q4", "2024-10-01", "2024-12-31"),
        ("2023-02", "2023-02-01", "2023-02-28"),
    ):
        assert [day.isoformat() for day in days_of(text)] == [first, last]


# ------------------------------------------------------------ the commands


def test_kpis_writes_tables_and_pages_and_says_what_is_missed(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "kpis", shop / "ziele.toml", "--out", shop / "out") == 3  # sales are missed
    printed = capsys.readouterr().out
    assert "is missed. Owner:" in printed
    assert "增长团队" in printed
    written = pd.read_parquet(shop / "out" / "kpis.parquet")
    assert tuple(written.columns) == output_tables()["kpis"].column_names
    assert written.groupby("when").size().to_dict() == {"now": 3, "baseline": 3}
    assert "品牌" in (shop / "out" / "kpis.html").read_text(encoding="utf-8")
    assert "# ziele" in (shop / "out" / "kpis.md").read_text(encoding="utf-8")
    first = table_bytes(shop / "out")
    assert call(monkeypatch, "kpis", shop / "ziele.toml", "--out", shop / "out", "--json") == 3
    document = json.loads(capsys.readouterr().out)
    assert [row["verdict"] for row in document["kpis"]][:2] == ["attained", "missed"]
    assert table_bytes(shop / "out") == first


def test_kpis_runs_an_experiment_and_scores_changes(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = pd.date_range("2024-02-01", "2024-06-30")
    rng = np.random.default_rng(0)
    control = 100 + np.cumsum(rng.normal(0, 2, len(days)))
    value = control + rng.normal(0, 5, len(days)) + 40 * (days >= "2024-06-01")
    pd.DataFrame({"day": days, "订单": value, "control": control}).to_csv(shop / "daily.csv", index=False)
    text = TARGETS.replace('run = "runs/after"', 'experiment = "after.toml"').replace("2_000_000", "1")
    text += '\n[[changes]]\nwhat = "new page"\non = 2024-06-01\nsource = "daily.csv"\n'
    text += 'measure = "订单"\ncontrols = ["control"]\n'
    path = asked(shop, text)
    (shop / "mlflow.db").unlink(missing_ok=True)
    assert call(monkeypatch, "kpis", path, "--out", shop / "out2") in (0, 3)
    kpis = today(pd.read_parquet(shop / "out2" / "kpis.parquet"))
    folder = check_targets(read_targets(shop / "ziele.toml"), read_run(shop / "runs" / "after"))
    np.testing.assert_allclose(kpis["value"], folder["value"])
    np.testing.assert_allclose(kpis["low"], folder["low"])
    effect = pd.read_parquet(shop / "out2" / "before_after.parquet").iloc[0]
    assert effect["low"] < 40 < effect["high"]


def test_review_writes_markdown_and_html_and_adds_up(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = shop / "runs" / "before", shop / "runs" / "after"
    code = call(monkeypatch, "review", *runs, "--out", shop / "review")
    alerts = pd.read_parquet(shop / "review" / "alerts.parquet")
    assert code == (3 if len(alerts) else 0)
    assert "Under last_touch, total ROI went from" in capsys.readouterr().out
    changes = pd.read_parquet(shop / "review" / "roi_parts.parquet")
    table = pd.read_parquet(shop / "review" / "comparison.parquet")
    review = table[table["specification"] == "after"]
    for model in ("last_touch", "linear"):
        whole = review[(review["model"] == model) & (review["channel"] == "(total)")].iloc[0]
        parts = changes[(changes["model"] == model) & (changes["slice"] != "(total)")]
        assert parts["total_change"].sum() == pytest.approx(whole["roi_change"], abs=1e-12)
    assert review["beyond_sampling"].notna().any()
    page = (shop / "review" / "review.html").read_text(encoding="utf-8")
    assert "微信" in page
    assert "<svg" in page
    assert "before → after" in (shop / "review" / "review.md").read_text(encoding="utf-8")
    first = table_bytes(shop / "review")
    call(monkeypatch, "review", *runs, "--out", shop / "review")
    assert table_bytes(shop / "review") == first
    strict = ("--decline", 0.99, "--drift", 0.99)
    quiet = call(monkeypatch, "review", *runs, "--out", shop / "review", *strict)
    left = pd.read_parquet(shop / "review" / "alerts.parquet")
    assert quiet == (3 if len(left) else 0)
    assert not left["kind"].isin(["decline", "credit_drift"]).any()


def test_review_refuses_to_replace_a_run_it_reads(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = shop / "runs" / "before", shop / "runs" / "after"
    assert call(monkeypatch, "review", *runs, "--out", shop / "runs" / "after") == 2
    assert "has files that this command reads" in capsys.readouterr().err
    assert call(monkeypatch, "review", shop / "nowhere", runs[1]) == 2


@pytest.mark.filterwarnings("ignore")
def test_runs_come_from_mlflow_and_reviews_and_targets_go_there(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_store: Callable[[Path], str]
) -> None:
    from mlflow.tracking import MlflowClient

    uri = new_store(tmp_path)
    tracked = ("--set", "tracking.enabled=true", "--set", f"tracking.uri={uri}")
    assert call(monkeypatch, "run", shop / "before.toml", "--out", tmp_path / "before", *tracked) == 0
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("before")
    pinned = next(
        run.info.run_id
        for run in client.search_runs([experiment.experiment_id])
        if run.data.tags["attribution.kind"] == "comparison"
    )
    text = TARGETS.replace('baseline = "runs/before"', f'baseline = "{pinned}"')
    text = text.replace("enabled = false", f'uri = "{uri}"').replace('history = ["runs/*"]', "")
    assert call(monkeypatch, "kpis", asked(shop, text), "--out", tmp_path / "kpis") == 3
    kpis = pd.read_parquet(tmp_path / "kpis" / "kpis.parquet")
    expected = measure(read_run(shop / "runs" / "before"), "cac").value
    assert kpis["baseline"].iloc[0] == pytest.approx(expected)
    (logged,) = client.search_runs([client.get_experiment_by_name("ziele").experiment_id])
    assert logged.data.tags["attribution.kind"] == "kpis"
    assert logged.data.metrics["value/1 cac _all_"] == pytest.approx(kpis["value"].iloc[0])
    assert "kpis.parquet" in {item.path for item in client.list_artifacts(logged.info.run_id)}

    assert call(monkeypatch, "run", shop / "after.toml", "--out", tmp_path / "after", *tracked) == 0
    call(monkeypatch, "review", pinned, tmp_path / "after", "--out", tmp_path / "review", "--tracking-uri", uri)
    runs = client.search_runs([client.get_experiment_by_name("after").experiment_id])
    (logged,) = [run for run in runs if run.data.tags["attribution.kind"] == "review"]
    changes = pd.read_parquet(tmp_path / "review" / "roi_parts.parquet")
    whole = changes[(changes["slice"] == "(total)") & (changes["model"] == "linear")].set_index("part")
    assert logged.data.metrics["roi_change_rate/linear"] == pytest.approx(whole["roi_gap"]["rate"])


@pytest.mark.filterwarnings("ignore")
def test_a_baseline_that_mlflow_does_not_have_is_an_error(
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    new_store: Callable[[Path], str],
) -> None:
    text = TARGETS.replace('baseline = "runs/before"', f'baseline = "{"0" * 32}"')
    text = text.replace("enabled = false", f'uri = "{new_store(tmp_path)}"')
    assert call(monkeypatch, "kpis", asked(shop, text), "--out", tmp_path / "kpis") == 2
    assert "did not return the run" in capsys.readouterr().err
    uri = ("--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    for runs in ((shop / "runs" / "after", "0" * 32), ("0" * 32, shop / "runs" / "after")):
        assert call(monkeypatch, "review", *runs, *uri, "--out", tmp_path / "review") == 2
        said = capsys.readouterr().err
        assert "did not return the run" in said
        assert "give its output folder, or another tracking server with --tracking-uri" in said
    assert not (tmp_path / "kpis").exists()
    assert not (tmp_path / "review").exists()


@pytest.fixture(scope="module")
def crm() -> Run:
    """Ten leads: six of mail, of whom three become SQL and one is won; three of fairs; one of nobody."""
    import attribution as at

    day = pd.Timestamp("2024-01-01")
    brought = ["mail"] * 6 + ["展会"] * 3
    touchpoints = pd.DataFrame({"customer_id": [f"c{i}" for i in range(9)], "touched_at": day, "channel": brought})
    touchpoints["campaign"] = ["春", "秋", None] * 3
    rows = [(f"c{i}", "lead", 1) for i in range(10)] + [(f"c{i}", "SQL", 2) for i in (0, 1, 2, 6)] + [("c0", "won", 3)]
    stages = pd.DataFrame(rows, columns=["customer_id", "stage", "stage_time"])
    stages["stage_time"] = day + pd.to_timedelta(stages["stage_time"], unit="D")
    orders = pd.DataFrame({"customer_id": ["c0"], "converted_at": [day + pd.Timedelta(days=3)], "value": [500.0]})
    costs = pd.DataFrame({"channel": ["mail", "展会"], "amount": [60.0, 90.0]})
    tables = {"touchpoints": touchpoints, "conversions": orders, "stages": stages, "costs": costs}
    document = {
        "name": "crm",
        "tables": {name: {"source": table} for name, table in tables.items()},
        "models": [{"model": "LastTouch"}],
        "funnel": {"stages": ["lead", "SQL", "won"], "costs": {"lead": 2}},
    }
    return at.run_of(at.run_experiment(at.Experiment.model_validate(document)))


@pytest.mark.parametrize(
    ("metric", "stage", "channels", "value", "low"),
    [
        ("arrivals", "lead", None, 10, None),
        ("arrivals", "SQL", ["mail"], 3, None),
        ("arrival_share", "SQL", ["mail"], 3 / 4, None),
        ("arrival_share", "lead", ["mail", "展会"], 9 / 10, None),
        ("cost_per_arrival", "lead", None, 150 / 9, None),
        ("cost_per_arrival", "SQL", ["展会"], 90, None),
        ("cost_per_arrival", "SQL", ["mail", "展会"], 150 / 4, None),
        ("full_cost_per_arrival", "SQL", ["mail"], (60 + 2 * 6) / 3, None),
        ("full_cost_per_arrival", "won", None, 150 + 2 * 9, None),
        ("rate_to_next", "lead", None, 4 / 10, (4, 10)),
        ("rate_to_next", "lead", ["mail"], 3 / 6, (3, 6)),
        ("rate_to_next", "lead", ["mail", "展会"], 4 / 9, None),
        ("win_rate", "SQL", ["mail"], 1 / 3, (1, 3)),
        ("win_rate", "SQL", None, 1 / 4, None),
    ],
)
def test_metrics_of_a_stage_by_hand(
    crm: Run, metric: str, stage: str, channels: list[str] | None, value: float, low: tuple[int, int] | None
) -> None:
    found = measure(crm, metric, channels, stage=stage)
    assert found.value == pytest.approx(value)
    if low is None:
        assert np.isnan(found.low)
        assert "no interval" in found.why
    else:
        one = binomtest(*low).proportion_ci(0.9, method="wilson")
        assert (found.low, found.high) == pytest.approx((one.low, one.high))


def test_a_target_for_a_stage_is_held_against_it(crm: Run, tmp_path: Path) -> None:
    text = """
run = "x"
[[targets]]
metric = "cost_per_arrival"
funnel_stage = "SQL"
unit = "CNY"
target = 40
period = "2024"
owner = "销售"
[[targets]]
metric = "win_rate"
funnel_stage = "SQL"
channel = "mail"
unit = "%"
target = 90
period = "2024"
owner = "销售"
[[targets]]
metric = "win_rate"
funnel_stage = "won"
unit = "%"
target = 90
period = "2024"
owner = "销售"
"""
    table = check_targets(read_targets(asked(tmp_path, text)), crm)
    assert table["verdict"].tolist() == ["attained", "missed", "unknown"]
    assert table["value"].tolist()[:2] == pytest.approx([37.5, 100 / 3])
    assert table["funnel_stage"].tolist() == ["SQL", "SQL", "won"]
    for wrong, message in (({"stage": "MQL"}, r"no stage 'MQL'.*Allowed: lead, SQL, won"), ({}, "defined per stage")):
        with pytest.raises(InputError, match=message):
            measure(crm, "win_rate", **wrong)
    with pytest.raises(InputError, match=r"no channel 'maill'.*did you mean 'mail'"):
        measure(crm, "win_rate", ["maill"], stage="SQL")


def test_a_run_without_dates_or_costs_answers_what_it_can(tmp_path: Path) -> None:
    import attribution as at
    from attribution.schema.experiment import Experiment

    paths = pd.DataFrame({"path": ["mail > 微信", "search"], "conversions": [4, 6], "value": [40.0, 90.0]})
    asked_of = {"name": "p", "tables": {"paths": {"source": paths}}, "models": [{"model": "LastTouch"}]}
    run = at.run_of(at.run_experiment(Experiment.model_validate(asked_of)))
    assert measure(run, "value").value == 130.0
    lacking = measure(run, "cac")
    assert np.isnan(lacking.value)
    assert "`[tables.costs]`" in lacking.why
    text = 'run = "x"\n' + "\n".join(
        f'[[targets]]\nmetric = "{metric}"\nunit = "x"\ntarget = 100\nperiod = "2024"\nowner = "me"'
        for metric in ("value", "cac")
    )
    table = check_targets(read_targets(asked(tmp_path, text)), run)
    assert table["verdict"].tolist() == ["attained", "unknown"]
    assert table["covered"].isna().all()

"""Spend, ratios and ranks against hand computation."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.returns import spend_by_channel
from attribution.schema.experiment import Period

TOUCHPOINTS = pd.DataFrame(
    {
        "customer_id": ["a", "a", "b", "c"],
        "touched_at": pd.to_datetime(["2024-01-01", "2024-01-03", "2024-01-02", "2024-01-05"]),
        "channel": ["mail", "search", "search", "radio"],
    }
)
CONVERSIONS = pd.DataFrame(
    {
        "customer_id": ["a", "b", "d"],
        "converted_at": pd.to_datetime(["2024-01-04"] * 3),
        "value": [10.0, 30.0, 7.0],
    }
)


def returns_of(costs: pd.DataFrame | None, **options: object) -> pd.DataFrame:
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, costs)
    credit = at.attribute(at.build_journeys(sources), [at.LastTouch(), at.Linear()])
    return at.compute_returns(credit, sources, **options)  # type: ignore[arg-type]


def test_ratios_and_ranks_by_hand() -> None:
    costs = pd.DataFrame({"channel": ["mail", "search", "tv", "search"], "amount": [4.0, 6.0, 5.0, 2.0]})
    table = returns_of(costs).set_index(["model", "channel"])
    assert table.loc["linear"].index.tolist() == ["mail", "radio", "search", "tv", "(unattributed)"]
    mail, search, tv = (table.loc[("linear", channel)] for channel in ("mail", "search", "tv"))
    assert (mail["spend"], mail["value"], mail["conversions"]) == (4.0, 5.0, 0.5)
    assert (mail["roas"], mail["roi"], mail["cpa"]) == (1.25, 0.25, 8.0)
    assert (search["roas"], search["roi"], search["cpa"]) == (35 / 8, 27 / 8, 8 / 1.5)
    assert (tv["roi"], tv["rank"], tv["conversions"]) == (-1.0, 3.0, 0.0)
    assert np.isnan(tv["cpa"])
    assert (search["rank"], mail["rank"]) == (1.0, 2.0)
    radio, bare = table.loc[("linear", "radio")], table.loc[("linear", "(unattributed)")]
    assert radio[["spend", "roas", "roi", "cpa", "rank"]].isna().all()
    assert bare["conversions"] == 1.0
    assert bare["value"] == 7.0
    assert table.loc[("last_touch", "mail"), "rank"] == 2.5
    assert table.loc[("last_touch", "tv"), "rank"] == 2.5


def test_zero_spend_is_not_infinite() -> None:
    table = returns_of(pd.DataFrame({"channel": ["mail"], "amount": [0.0]}))
    row = table[(table["channel"] == "mail") & (table["model"] == "linear")].iloc[0]
    assert row["spend"] == 0
    assert row[["roas", "roi", "cpa", "rank"]].isna().all()


def test_costs_are_pro_rated_to_the_period_by_days() -> None:
    costs = pd.DataFrame(
        {
            "channel": ["mail", "mail", "search"],
            "amount": [31.0, 100.0, 10.0],
            "period_start": [dt.date(2024, 1, 1), dt.date(2023, 12, 1), dt.date(2023, 12, 30)],
            "period_end": [dt.date(2024, 1, 31), dt.date(2023, 12, 31), dt.date(2024, 1, 8)],
        }
    )
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, costs)
    period = Period(start=dt.date(2024, 1, 1), end=dt.date(2024, 1, 10))
    assert spend_by_channel(sources, period=period) == {
        "mail": pytest.approx(10.0),
        "search": pytest.approx(8.0),
    }
    assert spend_by_channel(sources) == {"mail": 131.0, "search": 10.0}


def test_daily_costs_outside_the_period_do_not_count() -> None:
    costs = pd.DataFrame(
        {"channel": "mail", "amount": [1.0, 2.0, 4.0], "day": ["2024-01-01", "2024-01-02", "2024-01-03"]}
    )
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, costs)
    assert spend_by_channel(sources, period=Period(start=dt.date(2024, 1, 2))) == {"mail": 6.0}
    assert spend_by_channel(sources, period=Period(end=dt.date(2024, 1, 2))) == {"mail": 3.0}


def test_touchpoint_costs_and_two_sources_of_cost() -> None:
    touchpoints = TOUCHPOINTS.assign(cost=[1.0, 2.0, 4.0, None])
    with_both = at.load_sources(touchpoints, CONVERSIONS, pd.DataFrame({"channel": ["search"], "amount": [9.0]}))
    with pytest.raises(InputError, match=r"1 channel with costs both.*search.*spend_from"):
        spend_by_channel(with_both)
    assert spend_by_channel(with_both, spend_from="costs") == {"search": 9.0}
    assert spend_by_channel(with_both, spend_from="touchpoints") == {"mail": 1.0, "search": 6.0}
    apart = at.load_sources(touchpoints, CONVERSIONS, pd.DataFrame({"channel": ["tv"], "amount": [9.0]}))
    assert spend_by_channel(apart) == {"mail": 1.0, "search": 6.0, "tv": 9.0}


def test_spend_from_what_carries_none_is_refused() -> None:
    with pytest.raises(InputError, match="have no costs"):
        spend_by_channel(at.load_sources(TOUCHPOINTS, CONVERSIONS), spend_from="costs")


def test_marketers_oracle() -> None:
    """Cost 10,000 and value 50,000: a ROAS of 5:1 and an ROI of 400 %."""
    paths = pd.DataFrame({"path": ["mail"], "conversions": [100], "value": [50_000.0]})
    sources = at.load_sources(paths=paths, costs=pd.DataFrame({"channel": ["mail"], "amount": [10_000.0]}))
    table = at.compute_returns(at.attribute(at.build_journeys(sources), [at.LastTouch()]), sources)
    assert table.loc[0, ["roas", "roi", "cpa"]].tolist() == [5.0, 4.0, 100.0]


def test_ranking_moves_between_models() -> None:
    costs = pd.DataFrame({"channel": ["mail", "search", "radio"], "amount": [1.0, 30.0, 1.0]})
    ranking = at.compare_rankings(returns_of(costs))
    assert ranking.by == "roi"
    assert ranking.ranks.loc["mail"].tolist() == [2.5, 1.0]
    row = ranking.agreement.query("model_a == 'last_touch' and model_b == 'linear'").iloc[0]
    assert row["largest_move"] == 1.5
    same = ranking.agreement.query("model_a == model_b")
    assert same["kendall_tau"].tolist() == pytest.approx([1.0, 1.0])


def test_without_spend_channels_are_ranked_by_conversions() -> None:
    ranking = at.compare_rankings(returns_of(None))
    assert ranking.by == "conversions"
    assert ranking.ranks["linear"].to_dict() == {"mail": 2.0, "radio": 3.0, "search": 1.0}


def test_an_exact_copy_of_a_touchpoint_costs_once_where_copies_go() -> None:
    touchpoints = pd.concat([TOUCHPOINTS.assign(cost=5.0)] * 2)
    sources = at.load_sources(touchpoints, CONVERSIONS)
    assert spend_by_channel(sources) == {"mail": 10.0, "radio": 10.0, "search": 20.0}
    assert spend_by_channel(sources, copies=False) == {"mail": 5.0, "radio": 5.0, "search": 10.0}


def test_credit_by_frequency_is_added_up_for_spend(tmp_path: Path) -> None:
    """Mail twice, then search: each half of 10; both are ranked by the spend of the whole channel."""
    TOUCHPOINTS.assign(customer_id="a", channel=["mail", "mail", "search", "radio"]).to_csv(tmp_path / "t.csv")
    CONVERSIONS.iloc[:1].assign(converted_at="2024-01-04").to_csv(tmp_path / "c.csv")
    pd.DataFrame({"channel": ["mail", "search"], "amount": [4.0, 5.0]}).to_csv(tmp_path / "costs.csv")
    (tmp_path / "e.toml").write_text(
        'tables = { touchpoints = { source = "t.csv" }, conversions = { source = "c.csv" }, '
        'costs = { source = "costs.csv" } }\n[journeys]\ntransform = "frequency"\n[[models]]\nmodel = "Linear"\n'
    )
    tables = at.run_experiment(tmp_path / "e.toml").tables
    credit = tables["credit"].set_index("channel")["value"]
    assert (credit["mail (2)"], credit["search (1)"], credit.sum()) == (5.0, 5.0, 10.0)
    returns = tables["returns"].set_index("channel")
    assert (returns.loc["mail", "roi"], returns.loc["search", "roi"]) == (0.25, 0.0)

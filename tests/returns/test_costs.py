"""The cost ledger: types, shared costs, currencies, coverage, and what is refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.returns import coverage_findings, overlap_findings, read_costs
from attribution.schema.experiment import Period, ReturnsOptions

TOUCHPOINTS = pd.DataFrame(
    {
        "customer_id": ["a", "a", "b", "c"],
        "touched_at": pd.to_datetime(["2024-01-01", "2024-01-03", "2024-01-02", "2024-01-05"]),
        "channel": ["mail", "search", "search", "展会 🎪"],
    }
)
CONVERSIONS = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c"],
        "converted_at": pd.to_datetime(["2024-01-06"] * 3),
        "value": [100.0, 300.0, 200.0],
    }
)


def costs_of(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


LEDGER = costs_of(
    channel=["mail", "mail", "search", "search", "展会 🎪", None],
    amount=[10.0, 5.0, 30.0, 3.0, 40.0, 12.0],
    cost_type=["media", "Labour ", None, "fees", "venue", "tools"],
)


def returns_of(costs: pd.DataFrame, **options: Any) -> pd.DataFrame:
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, costs)
    journeys = at.build_journeys(sources)
    credit = at.attribute(journeys, [at.Linear(), at.LastTouch()])
    return at.compute_returns(credit, sources, **options).set_index(["cost_basis", "model", "channel"])


def test_media_and_loaded_stand_side_by_side() -> None:
    """12 for tools, shared by media spend: 3 to mail (10 of 40), 9 to search, none to the fair, which has none."""
    table = returns_of(LEDGER)
    spend = table.xs("linear", level="model")["spend"]
    assert spend["media"][["mail", "search"]].to_dict() == {"mail": 10.0, "search": 30.0}
    assert np.isnan(spend["media"]["展会 🎪"])
    assert spend["loaded"][["mail", "search", "展会 🎪"]].to_dict() == {"mail": 18.0, "search": 42.0, "展会 🎪": 40.0}
    search = table.loc[("loaded", "linear", "search")]
    assert (search["value"], search["roi"]) == (350.0, (350.0 - 42.0) / 42.0)
    assert table.loc[("media", "linear", "search"), "roi"] == (350.0 - 30.0) / 30.0
    assert np.isnan(table.loc[("media", "linear", "展会 🎪"), "rank"])
    assert table.loc["loaded"]["rank"].notna().sum() == 6
    assert table.loc["media"]["rank"].notna().sum() == 4


def test_all_costs_are_handed_out() -> None:
    for shared_by in ("spend", "touchpoints", "credit", {"mail": 1, "search": 2}):
        loaded = returns_of(LEDGER, shared_by=shared_by).loc["loaded"]
        assert loaded["spend"].groupby("model").sum().tolist() == pytest.approx([100.0, 100.0])


@pytest.mark.parametrize(
    ("shared_by", "parts"),
    [
        ("touchpoints", {"mail": 3.0, "search": 6.0, "展会 🎪": 3.0}),  # 1 : 2 : 1
        ("credit", {"mail": 2.0, "search": 6.0, "展会 🎪": 4.0}),  # 0.5 : 1.5 : 1 conversions
        ({"mail": 1, "search": 2}, {"mail": 4.0, "search": 8.0, "展会 🎪": 0.0}),
    ],
)
def test_what_shared_costs_go_by(shared_by: object, parts: dict[str, float]) -> None:
    spend = returns_of(LEDGER, shared_by=shared_by).loc["loaded"].loc["linear"]["spend"]
    own = {"mail": 15.0, "search": 33.0, "展会 🎪": 40.0}
    assert {name: spend[name] - own[name] for name in own} == pytest.approx(parts)


def test_each_type_of_cost_is_shared_by_its_own() -> None:
    """Labour 40 by hours 3 : 1, tools 12 by touchpoints 1 : 2 : 1, content 8 by spend 10 : 30, as nothing is said."""
    costs = costs_of(
        channel=["mail", "search", None, None, None],
        amount=[10.0, 30.0, 40.0, 12.0, 8.0],
        cost_type=["media", "media", "labour", "tools", "content"],
    )
    by = {"labour": {"mail": 3, "search": 1}, "tools": "touchpoints"}
    spend = returns_of(costs, shared_by=by).loc["loaded"].loc["linear"]["spend"]
    wanted = {"mail": 10 + 30 + 3 + 2, "search": 30 + 10 + 6 + 6, "展会 🎪": 3}
    assert {name: spend[name] for name in wanted} == pytest.approx(wanted)
    with pytest.raises(InputError, match=r"shared_by names 'labor', and no cost of that type.*content, labour, tools"):
        returns_of(costs, shared_by={"labor": "credit"})
    with pytest.raises(InputError, match="shared_by needs at least one weight above 0"):
        returns_of(costs, shared_by={"labour": {"mail": 0}})


def test_credit_that_differs_shares_differently() -> None:
    """Last touch gives mail nothing, so mail bears nothing of what is shared by credit."""
    spend = returns_of(LEDGER, shared_by="credit").loc["loaded"].loc["last_touch"]["spend"]
    assert (spend["mail"], spend["search"], spend["展会 🎪"]) == (15.0, 33.0 + 8.0, 44.0)


def test_a_channel_that_only_bears_shared_costs_has_no_roi() -> None:
    """By credit its ROI would be that of every such channel, whatever it does."""
    costs = costs_of(channel=["mail", None], amount=[10.0, 12.0], cost_type=["media", "tools"])
    fair = returns_of(costs, shared_by="credit").loc[("loaded", "linear", "展会 🎪")]
    assert fair["spend"] == pytest.approx(4.0)
    assert fair[["roas", "roi", "cpa", "rank"]].isna().all()
    weighted = returns_of(costs, shared_by={"mail": 1, "展会 🎪": 2}).loc[("loaded", "linear", "展会 🎪")]
    assert (weighted["spend"], weighted["roi"]) == (8.0, 200 / 8 - 1)


def test_the_cost_basis_that_is_ranked_comes_first() -> None:
    assert returns_of(LEDGER).index.get_level_values(0)[0] == "media"
    assert returns_of(LEDGER, cost_basis="loaded").index.get_level_values(0)[0] == "loaded"
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, LEDGER)
    credit = at.attribute(at.build_journeys(sources), [at.Linear()])
    by_media = at.compare_rankings(at.compute_returns(credit, sources)).ranks["linear"].to_dict()
    by_all = at.compare_rankings(at.compute_returns(credit, sources, cost_basis="loaded")).ranks["linear"].to_dict()
    # By media mail 50 ÷ 10 and search 350 ÷ 30; loaded 50 ÷ 18, 350 ÷ 42, fair 200 ÷ 40.
    assert by_media == {"mail": 2.0, "search": 1.0}
    assert by_all == {"mail": 3.0, "search": 1.0, "展会 🎪": 2.0}


def test_a_channel_with_costs_alone_has_a_row() -> None:
    table = returns_of(costs_of(channel=["tv", "mail"], amount=[5.0, 1.0], cost_type=["content", "media"]))
    assert table.loc[("loaded", "linear", "tv"), "roi"] == -1.0
    assert np.isnan(table.loc[("media", "linear", "tv"), "spend"])


def test_touchpoints_may_tell_media_and_the_table_the_rest() -> None:
    touchpoints = TOUCHPOINTS.assign(cost=[1.0, 2.0, 4.0, None])
    labour = costs_of(channel=["search"], amount=[9.0], cost_type=["labour"])
    sources = at.load_sources(touchpoints, CONVERSIONS, labour)
    costs = read_costs(sources)
    assert costs.media == {"mail": 1.0, "search": 6.0}
    assert costs.direct == {"mail": 1.0, "search": 15.0}
    both = pd.concat([labour, costs_of(channel=["mail"], amount=[7.0], cost_type=["media"])])
    sources = at.load_sources(touchpoints, CONVERSIONS, both)
    with pytest.raises(InputError, match=r"1 channel with costs both.*mail"):
        read_costs(sources)
    assert read_costs(sources, ReturnsOptions(spend_from="costs")).direct == {"mail": 7.0, "search": 9.0}
    assert read_costs(sources, ReturnsOptions(spend_from="touchpoints")).direct == {"mail": 1.0, "search": 15.0}


def test_shared_costs_are_pro_rated_too() -> None:
    costs = costs_of(
        channel=["mail", None],
        amount=[31.0, 62.0],
        cost_type=["media", "labour"],
        period_start=["2024-01-01"] * 2,
        period_end=["2024-01-31"] * 2,
    )
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, costs)
    read = read_costs(sources, period=Period(start=dt.date(2024, 1, 1), end=dt.date(2024, 1, 10)))
    assert (read.media["mail"], read.shared["labour"]) == (pytest.approx(10.0), pytest.approx(20.0))


# ------------------------------------------------------------ currencies


def test_currencies_are_converted() -> None:
    costs = costs_of(channel=["mail", "mail", "mail"], amount=[100.0, 10.0, 5.0], currency=["usd", " EUR ", None])
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, costs)
    options = ReturnsOptions(currency="eur", rates={"USD": 0.5})
    assert read_costs(sources, options).media == {"mail": 65.0}


def test_one_currency_needs_no_rate() -> None:
    costs = costs_of(channel=["mail", "mail"], amount=[1.0, 2.0], currency=["CNY", "CNY"])
    assert read_costs(at.load_sources(TOUCHPOINTS, CONVERSIONS, costs)).media == {"mail": 3.0}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, r"several currencies.*\['EUR', 'USD'\].*rates"),
        ({"currency": "EUR"}, r"no rate is known for currency 'USD'.*Allowed: EUR.*rates = \{ USD"),
        ({"currency": "EUR", "rates": {"USS": 2.0}}, r"currency 'USD'.*did you mean 'USS'"),
    ],
)
def test_unknown_currencies_are_refused(options: dict[str, Any], said: str) -> None:
    costs = costs_of(channel=["mail", "mail"], amount=[1.0, 2.0], currency=["EUR", "USD"])
    with pytest.raises(InputError, match=said):
        read_costs(at.load_sources(TOUCHPOINTS, CONVERSIONS, costs), ReturnsOptions(**options))


# ------------------------------------------------------------ what is refused


def periods(*rows: tuple[object, ...], **more: Any) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["channel", "amount", "period_start", "period_end"]).assign(**more)


@pytest.mark.parametrize(
    "second", [("2024-01-31", "2024-02-10"), ("2024-01-10", "2024-01-12"), ("2023-12-01", "2024-01-01")]
)
def test_overlapping_periods_are_refused(second: tuple[str, str]) -> None:
    costs = periods(("mail", 1.0, "2024-01-01", "2024-01-31"), ("mail", 1.0, *second), cost_type="media")
    with pytest.raises(InputError, match=r"1 period overlapping an earlier one of the same channel.*mail, 20"):
        read_costs(at.load_sources(TOUCHPOINTS, CONVERSIONS, costs))


def test_periods_that_do_not_clash() -> None:
    january, late = ("2024-01-01", "2024-01-31"), ("2024-01-15", "2024-02-15")
    february = ("2024-02-01", "2024-02-29")
    rows = ("mail", 1.0, *january), ("mail", 2.0, *february), ("search", 4.0, *late)
    apart = periods(*rows, cost_type="media")
    assert read_costs(at.load_sources(TOUCHPOINTS, CONVERSIONS, apart)).media == {"mail": 3.0, "search": 4.0}
    invoices = periods(("mail", 1.0, *january), ("mail", 2.0, *january), cost_type="media")
    assert read_costs(at.load_sources(TOUCHPOINTS, CONVERSIONS, invoices)).media == {"mail": 3.0}
    kinds = periods(("mail", 1.0, *january), ("mail", 2.0, *late), cost_type=["media", "labour"])
    assert read_costs(at.load_sources(TOUCHPOINTS, CONVERSIONS, kinds)).direct == {"mail": 3.0}
    lumps = periods(("mail", 1.0, None, None), ("mail", 2.0, None, None), ("mail", 4.0, *january), cost_type="media")
    assert read_costs(at.load_sources(TOUCHPOINTS, CONVERSIONS, lumps)).media == {"mail": 7.0}


def test_without_types_overlaps_are_added_up_and_reported() -> None:
    january, late = ("2024-01-01", "2024-01-31"), ("2024-01-15", "2024-02-15")
    clash, clean = periods(("mail", 1.0, *january), ("mail", 2.0, *late)), periods(("mail", 1.0, *january))
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, clash)
    assert read_costs(sources).media == {"mail": 3.0}
    (finding,) = overlap_findings(sources)
    assert (finding.check, finding.status, finding.count, finding.example) == ("overlapping_periods", "warn", 1, "mail")
    assert overlap_findings(at.load_sources(TOUCHPOINTS, CONVERSIONS, clean)) == []


def test_a_long_period_clashes_with_one_that_is_not_its_neighbour() -> None:
    costs = periods(
        ("mail", 1.0, "2024-01-01", "2024-12-31"),
        ("mail", 1.0, "2024-02-01", "2024-02-02"),
        ("mail", 1.0, "2024-06-01", "2024-06-02"),
        cost_type="media",
    )
    with pytest.raises(InputError, match="2 periods overlapping"):
        read_costs(at.load_sources(TOUCHPOINTS, CONVERSIONS, costs))


def test_a_period_without_days_is_refused() -> None:
    with pytest.raises(InputError, match="period_end lies before period_start, in 1 row"):
        at.load_sources(TOUCHPOINTS, CONVERSIONS, periods(("mail", 1.0, "2024-01-02", "2024-01-01")))


@pytest.mark.parametrize(
    "days", [{"day": ["2999-01-01"]}, {"period_start": ["2999-01-01"], "period_end": ["2999-02-01"]}]
)
def test_costs_in_the_future_are_refused(days: dict[str, list[str]]) -> None:
    sources = at.load_sources(TOUCHPOINTS, CONVERSIONS, costs_of(channel=["mail"], amount=[1.0], **days))
    with pytest.raises(InputError, match=r"1 cost dated in the future.*2999-01-01.*the period"):
        read_costs(sources)
    # A plan that the period leaves out does no harm.
    assert read_costs(sources, period=Period(end=dt.date(2024, 1, 31))).media == {"mail": 0.0}


def test_a_cost_of_no_channel_and_no_type_is_refused() -> None:
    with pytest.raises(InputError, match=r"column 'channel': values are null in 1 of 2 rows"):
        at.load_sources(TOUCHPOINTS, CONVERSIONS, costs_of(channel=["mail", None], amount=[1.0, 2.0]))
    untyped = costs_of(channel=["mail", None], amount=[1.0, 2.0], cost_type=["media", " "])
    with pytest.raises(InputError, match="neither a channel nor a cost type, in 1 row"):
        read_costs(at.load_sources(TOUCHPOINTS, CONVERSIONS, untyped))


def test_a_type_that_is_called_as_all_of_them_is_refused() -> None:
    costs = costs_of(channel=["mail", "mail"], amount=[1.0, 1.0], cost_type=["media", " (All)"])
    with pytest.raises(InputError, match=r"1 rows are of the cost type '\(all\)'.*leave rows out that add up others"):
        read_costs(at.load_sources(TOUCHPOINTS, CONVERSIONS, costs))


def test_shared_costs_that_nothing_can_share_are_refused() -> None:
    costs = costs_of(channel=["mail", None], amount=[1.0, 2.0], cost_type=["labour", "tools"])
    with pytest.raises(InputError, match=r"every channel has 0 of what they are shared by.*'spend'"):
        returns_of(costs)
    with pytest.raises(InputError, match="shared_by has an unknown channel: 'mial'"):
        returns_of(costs, shared_by={"mial": 1.0})
    with pytest.raises(InputError, match="shared_by needs at least one weight above 0"):
        returns_of(costs, shared_by={"mail": 0.0})
    paths = pd.DataFrame({"path": ["mail"], "conversions": [1]})
    with pytest.raises(InputError, match="needs touchpoints, but these are aggregated paths"):
        read_costs(at.load_sources(paths=paths, costs=costs), ReturnsOptions(shared_by="touchpoints"))


def test_loaded_needs_types() -> None:
    with pytest.raises(InputError, match="'loaded', but no cost has a type"):
        returns_of(costs_of(channel=["mail"], amount=[1.0]), cost_basis="loaded")


# ------------------------------------------------------------ coverage


def test_incomplete_costs_are_flagged() -> None:
    costs = read_costs(
        at.load_sources(
            TOUCHPOINTS,
            CONVERSIONS,
            costs_of(channel=["mail", "search", "search"], amount=1.0, cost_type=["media", "media", "fees"]),
        )
    )
    found = {
        finding.check: (finding.status, finding.example) for finding in coverage_findings(costs, ["mail", "展会 🎪"])
    }
    assert found == {
        "no_cost": ("warn", "展会 🎪"),
        "media_cost_only": ("warn", "mail"),
        "no_media_cost": ("pass", None),
    }
    plain = read_costs(at.load_sources(TOUCHPOINTS, CONVERSIONS, costs_of(channel=["mail"], amount=[1.0])))
    assert coverage_findings(plain, ["mail"]) == []


def test_platforms_claim_the_same_order_each(tmp_path: Any) -> None:
    """Three orders, and platforms claim 2 + 2 + 1.5 of them: of a period half outside of the analysis the half."""
    for name, table in {"touchpoints": TOUCHPOINTS, "conversions": CONVERSIONS}.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    costs_of(
        channel=["mail", "search", "tv", "mail", None],
        amount=[1.0, 1.0, 1.0, 1.0, 5.0],
        cost_type=["media", "media", "media", "fees", "tools"],
        period_start=["2024-01-01", "2024-01-01", "2023-12-31", "2024-01-01", "2024-01-01"],
        period_end=["2024-01-06", "2024-01-06", "2024-01-01", "2024-01-06", "2024-01-06"],
        claimed_conversions=[2.0, 2.0, 3.0, None, None],
    ).to_csv(tmp_path / "costs.csv", index=False)
    (tmp_path / "e.toml").write_text(
        '[tables]\ntouchpoints = { source = "touchpoints.csv" }\nconversions = { source = "conversions.csv" }\n'
        'costs = { source = "costs.csv" }\n[period]\nstart = 2024-01-01\nend = 2024-01-06\n'
        '[[models]]\nmodel = "Linear"\n'
    )
    claims = at.run_experiment(tmp_path / "e.toml").tables["platform_claims"].set_index("channel")
    assert claims["claimed"].to_dict() == {"mail": 2.0, "search": 2.0, "tv": 1.5, "(all)": 5.5}
    assert claims["conversions"].to_dict() == {"mail": 0.5, "search": 1.5, "tv": 0.0, "(all)": 3.0}
    assert claims.loc["(all)", "claimed_ratio"] == 5.5 / 3
    assert np.isnan(claims.loc["tv", "claimed_ratio"])


def test_spend_on_channels_that_are_in_no_converting_journey_is_counted_and_named() -> None:
    costs = costs_of(channel=["mail", "radio", "kiosk", "poster"], amount=[1.0, 2.0, 4.0, 0.0])
    tables = {"touchpoints": TOUCHPOINTS, "conversions": CONVERSIONS, "costs": costs}
    outcome = at.run_experiment(at.Experiment(name="shop", models=[{"model": "Linear"}], tables=tables))
    found = outcome.tables["quality"].set_index("check").loc["spend_without_conversion"]
    # A poster that cost nothing was not paid for.
    assert (found["count"], found["total"], found["example"]) == (2, 3, "kiosk, radio")
    assert "(6.00 in total)" in found["message"]

"""The funnels of two real tables against slow answers with pandas; skipped where the data are not here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at
from tests.test_real_data import data_folder, experiment_file

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def data() -> Path:
    folder = data_folder()
    if folder is None:
        pytest.skip("the shared data are not here; ATTRIBUTION_DATA names their folder")
    return folder


def run(name: str, folder: Path) -> dict[str, pd.DataFrame]:
    return dict(at.run_experiment(experiment_file(name, folder)).tables)


def _stage(tables: dict[str, pd.DataFrame], stage: str) -> pd.Series:
    return tables["funnel"].set_index("stage").loc[stage]


def test_leads_of_a_marketplace(data: Path, tmp_path: Path) -> None:
    tables = run("olist_funnel", tmp_path)
    folder = data / "olist-marketing-funnel"
    leads = pd.read_csv(folder / "olist_marketing_qualified_leads_dataset.csv", parse_dates=["first_contact_date"])
    deals = pd.read_csv(folder / "olist_closed_deals_dataset.csv", parse_dates=["won_date"])
    joined = leads.merge(deals, on="mql_id", how="left")
    days = (joined["won_date"] - joined["first_contact_date"]) / pd.Timedelta(days=1)
    is_won, end = joined["won_date"].notna(), joined["won_date"].max()
    waited = (end - joined["first_contact_date"]) / pd.Timedelta(days=1)
    lead = _stage(tables, "lead")
    assert lead[["arrivals", "moved_on", "out_of_order"]].tolist() == [8000, 842, 1]
    assert lead["lost"] == (~is_won & (waited >= 180)).sum()
    assert lead["open"] == (~is_won & (waited < 180)).sum()
    assert lead["rate_to_next"] == pytest.approx(842 / 8000)
    assert lead["median_days_to_next"] == pytest.approx(days[days >= 0].median())
    rows = tables["funnel_credit"].query("model == 'last_touch' and grain == 'channel'").set_index(["stage", "channel"])
    for origin, part in joined.groupby("origin"):
        own, of_own = rows.loc[("lead", origin)], part["won_date"].notna()
        assert own["credit"] == pytest.approx(len(part))
        assert own["win_rate"] == pytest.approx(of_own.mean())
        of_days = days[part.index]
        assert own["median_days_to_win"] == pytest.approx(of_days[of_days >= 0].median())
        # The one deal that was won before first contact has no touchpoint before it.
        before = (days[part.index] < 0).sum()
        assert rows.loc[("won", origin), "credit"] == pytest.approx(of_own.sum() - before)
    assert rows.loc[("lead", "(unattributed)"), "credit"] == leads["origin"].isna().sum() == 60
    found = tables["quality"].query("check == 'stage_order'").iloc[0]
    assert (found["status"], found["count"]) == ("warn", 1)
    breaks = tables["funnel_breaks"].query("compared_with == 'peers'").set_index("channel")
    within = is_won & (days <= 30)
    for origin in ("email", "paid_search"):
        assert breaks.loc[origin, "drop"] == pytest.approx(1 - within[joined["origin"] == origin].mean())


def test_loans_to_small_firms(data: Path, tmp_path: Path) -> None:
    tables = run("sme_loan", tmp_path)
    folder = data / "sme-loan-crm"
    names = pd.read_csv(folder / "channel.csv").set_index("ChannelID")["ChannelName"]
    contacts = pd.read_csv(folder / "touchpoints.csv", parse_dates=["Timestamp"])
    chances = pd.read_csv(folder / "sales_opportunities.csv", parse_dates=["Timestamp"])
    chances["customer"] = chances["TouchpointID"].map(contacts.set_index("TouchpointID")["CustomerID"])
    touched = contacts[contacts["ChannelID"] != "CH06"].sort_values(["CustomerID", "Timestamp"])
    touched = touched.assign(channel=touched["ChannelID"].map(names))
    first = touched.drop_duplicates("CustomerID").set_index("CustomerID")
    won = chances.dropna(subset="LoanID")
    assert tables["funnel"]["arrivals"].tolist() == [len(first), len(chances), len(won)] == [1000, 628, 318]
    chance = _stage(tables, "opportunity")
    assert chance[["moved_on", "lost", "open"]].tolist() == [318, 310, 0]
    assert chance["rate_matured"] == pytest.approx(318 / 628)
    waited = (chances.set_index("customer")["Timestamp"] - first["Timestamp"].reindex(chances["customer"])).dt
    assert _stage(tables, "lead")["median_days_to_next"] == pytest.approx(
        np.median(waited.total_seconds().to_numpy() / 86_400)
    )
    spend = pd.read_csv(folder / "channel_spending.csv")
    spend = spend.groupby(spend["ChannelID"].map(names))["NetSpending"].sum()
    last = {}
    for row in chances.itertuples():
        seen = touched[(touched["CustomerID"] == row.customer) & (touched["Timestamp"] <= row.Timestamp)]
        last[row.customer] = seen["channel"].iloc[-1]
    last_of = chances["customer"].map(last)
    rows = tables["funnel_credit"].query("model == 'last_touch' and grain == 'channel'").set_index(["stage", "channel"])
    for channel in sorted(set(last.values())):
        own = chances[last_of == channel]
        of_won = own.dropna(subset="LoanID")
        row = rows.loc[("opportunity", channel)]
        assert row["credit"] == pytest.approx(len(own))
        assert row["cost_per_arrival"] == pytest.approx(spend[channel] / len(own))
        assert row["win_rate"] == pytest.approx(len(of_won) / len(own))
        assert rows.loc[("won", channel), "cost_per_arrival"] == pytest.approx(spend[channel] / len(of_won))
        value = of_won["SalesAmount"].sum()
        assert rows.loc[("won", channel), "value"] == pytest.approx(value)
        assert rows.loc[("won", channel), "roi"] == pytest.approx((value - spend[channel]) / spend[channel])
        assert rows.loc[("lead", channel), "credit"] == pytest.approx((first["channel"] == channel).sum())
    open_leads = set(first.index) - set(chances["customer"])
    assert tables["pipeline"].query("model == 'linear'")["open"].sum() == pytest.approx(len(open_leads))
    gained = tables["funnel"].set_index("stage")["wins_per_point"].dropna()
    assert gained.to_dict() == pytest.approx({"lead": 318 * 0.01 / 0.628, "opportunity": 318 * 0.01 / (318 / 628)})

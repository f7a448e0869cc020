"""The small inputs beside the project about visits, channels, texts and names, run where they lie."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from tests.test_cases import case

CREDITED = {
    "01_payment_referral": {"Email": 50, "Organic Search": 80, "Paid Social": 40, "Referral": 40},
    "91_reddit_ads": {"Paid Social": 200},
    "16_b2b_account_conversion_by_account_id": {"mail": 5000},
    "18b_direct_other_spelling": {"Paid Search": 50},
    "97_kind_capital": {"search": 1000},
    "09_placeholder_ids": {"ppc": 50},
}
WARNED = {
    "43_pageviews_as_touches": ("page_views", "84.6 % of touchpoints"),
    "44_shared_gclid": ("shared_click_id", "20 of 20 touchpoints"),
    "91c_meta_ads": ("spend_beside_click_ids", "'Paid Social' beside 4 touchpoints (4 with fbclid)"),
    "09b_zero_idfa": ("null_texts", "'00000000-0000-0000-0000-000000000000'"),
    "15_identity_undefined": ("null_texts", "these links are ignored"),
    "16e_free_mail_domain": ("free_mail", "'gmail.com'"),
    "21b_null_texts": ("null_texts", "values of channel that mean nothing"),
    "18f_policy_direct_channels_typo": ("option_names", "no channel is called 'direkt'"),
    "22_typo_direct_channels": ("option_names", "did you mean 'Direct'?"),
    "19_channel_spellings": ("channel_spellings", "'Facebook Ads', 'facebook ads'"),
    "96_where_drops_nulls": ("where", "in 2 of them"),
}


def tables_of(file: Path) -> dict[str, pd.DataFrame]:
    return dict(at.run_experiment(at.read_experiment(file)).tables)


@pytest.mark.parametrize("name", CREDITED)
def test_conversions_go_where_they_belong(name: str, tmp_path: Path) -> None:
    credit = tables_of(case(name, tmp_path) / "experiment.toml")["credit"]
    rows = credit[(credit["model"] == credit["model"].iloc[0]) & (credit["value"] > 0)]
    assert dict(zip(rows["channel"], rows["value"], strict=True)) == CREDITED[name]


@pytest.mark.parametrize("name", WARNED)
def test_what_is_odd_is_said_with_what_to_do(name: str, tmp_path: Path) -> None:
    quality = tables_of(case(name, tmp_path) / "experiment.toml")["quality"]
    check, said = WARNED[name]
    rows = quality[quality["check"] == check]
    assert (rows["status"] == "warn").any()
    assert rows["message"].str.contains(said, regex=False).any()


def test_page_views_are_joined_to_visits_where_that_is_told(tmp_path: Path) -> None:
    experiment = at.read_experiment(case("43_pageviews_as_touches", tmp_path) / "experiment.toml")
    assert experiment.journeys.visits is None
    told = at.Experiment.model_validate(
        {**experiment.model_dump(exclude_unset=True), "journeys": {"visit_gap_minutes": 30}, "folder": tmp_path}
    )
    with_visits = told.model_copy(update={"folder": experiment.folder})
    credit = at.run_experiment(with_visits).tables["credit"].set_index(["model", "channel"])["conversions"]
    assert credit["linear", "mail"] == pytest.approx(20)
    assert credit["linear", "search"] == pytest.approx(20)


def test_campaign_types_of_google_ads_have_clicks_of_their_own(tmp_path: Path) -> None:
    returns = tables_of(case("90_ga4_pmax", tmp_path) / "experiment.toml")["returns"].set_index("channel")
    shares = {"Cross-network": 1.5, "Paid Search": 9.0, "Paid Video": 4.0, "Paid Shopping": 4.0, "Display": 4.0}
    assert returns.loc[list(shares), "roi"].to_dict() == pytest.approx(shares)


def test_separators_that_do_not_separate_are_refused_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="set separator = '→'"):
        tables_of(case("36_arrow_unicode", tmp_path) / "experiment.toml")


@pytest.mark.parametrize(("name", "spend"), [("61_cost_day_us", 100.0), ("61b_rates_day_us", 90.0)])
def test_days_are_read_with_the_format_that_is_told(name: str, spend: float, tmp_path: Path) -> None:
    returns = tables_of(case(name, tmp_path) / "experiment.toml")["returns"]
    assert returns["spend"].sum() == pytest.approx(spend)


def test_a_click_id_is_paid_whatever_the_medium_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = case("gclid_unknown_medium", tmp_path)
    with pd.option_context("display.max_columns", None, "display.width", None):
        runpy.run_path(str(folder / "reproduce.py"))
    printed = capsys.readouterr().out
    assert "Paid Search" in printed
    assert "Organic" not in printed

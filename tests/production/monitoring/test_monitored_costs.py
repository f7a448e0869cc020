"""Spend of the days that are compared: what a run of the same days counts, and one sentence where that cannot be."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.production.monitoring import last_cost_day, read_spend
from attribution.production.refit import day_number
from attribution.schema.experiment import ReturnsOptions
from tests.cli.test_cli import call
from tests.daily_logs import log_of

pytestmark = pytest.mark.filterwarnings("ignore")

START = day_number(dt.date(2024, 3, 1))
SPANS = ((START, START + 19), (START + 20, START + 26))

LEDGER = pd.DataFrame(
    [
        ("search", "media", "USD", 310.0, "2024-03-01", "2024-03-31", None),
        ("mail", "media", "EUR", 50.0, "2024-03-05", "2024-03-05", None),
        ("mail", "media", "EUR", 70.0, "2024-03-22", "2024-03-22", None),
        ("mail", "labour", "EUR", 90.0, "2024-02-20", "2024-02-20", 60),
        ("fair", "venue", "USD", 400.0, "2024-03-10", "2024-03-12", 30),
        (None, "tools", "EUR", 120.0, "2024-03-01", "2024-03-31", None),
    ],
    columns=["channel", "cost_type", "currency", "amount", "period_start", "period_end", "amortise_days"],
)
RATES = pd.DataFrame({"currency": "USD", "rate": [0.9, 0.8], "day": ["2024-01-01", "2024-03-16"]})
TOUCHED = pd.DataFrame(
    {
        "customer_id": range(30),
        "touched_at": pd.date_range("2024-03-01 06:00", periods=30, freq="D"),
        "channel": (["search", "mail", "fair", "search", "seo"] * 6),
    }
)


def options(cost_basis: str, **more: Any) -> dict[str, Any]:
    return {"cost_basis": cost_basis, "currency": "EUR", "fee_rate": {"search": 0.1}} | more


def days(span: tuple[int, int]) -> dict[str, dt.date]:
    first, last = (dt.date(1970, 1, 1) + dt.timedelta(days=day) for day in span)
    return {"start": first, "end": last}


def touchpoints(span: tuple[int, int]) -> dict[str, float]:
    at_day = TOUCHED["touched_at"].dt.date
    rows = TOUCHED[(at_day >= days(span)["start"]) & (at_day <= days(span)["end"])]
    return {str(name): float(count) for name, count in rows["channel"].value_counts().items()}


def run_spend(span: tuple[int, int], returns: dict[str, Any]) -> dict[str, float]:
    """What a run with these days as its period counts as spend of channels with an ROI."""
    conversions = TOUCHED[["customer_id"]].assign(converted_at=TOUCHED["touched_at"] + pd.Timedelta(1, unit="h"))
    settings = {
        "name": "shop",
        "tables": {"touchpoints": TOUCHED, "conversions": conversions, "costs": LEDGER, "rates": RATES},
        "models": [{"model": "Linear"}],
        "returns": returns,
        "period": days(span),
    }
    table = at.run_experiment(at.Experiment.model_validate(settings)).tables["returns"]
    rows = table[(table["cost_basis"] == returns["cost_basis"]) & table["roi"].notna()]
    return dict(zip(rows["channel"], rows["spend"], strict=True))


@pytest.mark.parametrize("cost_basis", ["media", "loaded"])
@pytest.mark.parametrize("shared_by", ["spend", "touchpoints", {"mail": 3.0, "seo": 1.0}])
def test_spend_is_that_of_a_run_of_the_same_days(cost_basis: str, shared_by: Any) -> None:
    """Fees, amortised and shared costs, and a currency that changes: all as a run has them."""
    returns = options(cost_basis, shared_by=shared_by)
    counts = [touchpoints(span) for span in SPANS]
    settings = ReturnsOptions.model_validate(returns)
    found = read_spend(LEDGER, *SPANS, options=settings, rates=RATES, touchpoints=counts)
    for span, spend in zip(SPANS, found, strict=True):
        assert {name: amount for name, amount in spend.items() if amount} == pytest.approx(run_spend(span, returns))


def test_spend_by_hand() -> None:
    """20 days of March: 310 USD ÷ 31 a day, 15 days at 0.9 and 5 at 0.8; a tenth of it are fees."""
    settings = ReturnsOptions.model_validate(options("loaded"))
    (loaded,) = read_spend(LEDGER, SPANS[0], options=settings, rates=RATES)
    search = 10 * (15 * 0.9 + 5 * 0.8)
    shared = 120 * 20 / 31
    assert loaded["search"] == pytest.approx(1.1 * search + shared * search / (search + 50))
    assert loaded["mail"] == pytest.approx(50 + 90 * 20 / 60 + shared * 50 / (search + 50))
    assert loaded["fair"] == pytest.approx(400 * 0.9 * 11 / 30)
    (media,) = read_spend(LEDGER, SPANS[0], options=ReturnsOptions.model_validate(options("media")), rates=RATES)
    assert media == pytest.approx({"search": search, "mail": 50.0})


@pytest.mark.parametrize(
    ("changes", "returns", "message"),
    [
        ({"period_start": None, "period_end": None}, {}, "6 costs without a day, which cannot be split between the"),
        ({}, {"shared_by": "credit"}, "costs that are shared by credit are others under every model"),
        ({"currency": "GBP"}, {}, "no rate is known for currency 'GBP'"),
        ({}, {"amortise_days": {"venues": 9}}, "no cost is of type 'venues'"),
    ],
)
def test_costs_that_cannot_be_of_days_are_refused(
    changes: dict[str, Any], returns: dict[str, Any], message: str
) -> None:
    costs = LEDGER.drop(columns="amortise_days").assign(**changes)
    settings = ReturnsOptions.model_validate(options("loaded", **returns))
    with pytest.raises(InputError, match=message):
        read_spend(costs, *SPANS, options=settings, rates=RATES)


def test_lump_sums_that_do_not_count_may_be_without_days() -> None:
    """Tools without a day are no media."""
    costs = LEDGER.assign(period_start=LEDGER["period_start"].where(LEDGER["cost_type"] != "tools"))
    costs = costs.assign(period_end=LEDGER["period_end"].where(LEDGER["cost_type"] != "tools"))
    media = ReturnsOptions.model_validate(options("media", shared_by="credit"))
    assert set(read_spend(costs, SPANS[0], options=media, rates=RATES)[0]) == {"search", "mail"}
    with pytest.raises(InputError, match="1 cost without a day"):
        read_spend(costs, SPANS[0], options=ReturnsOptions.model_validate(options("loaded")), rates=RATES)


def test_a_table_without_days_has_no_share_of_a_window() -> None:
    with pytest.raises(InputError, match=r"1 cost without a day.*leave out costs, and ROI is not compared"):
        read_spend(pd.DataFrame({"channel": ["mail"], "amount": [9.0]}), *SPANS)


def test_costs_end_where_media_end() -> None:
    """Tools until the end of March do not make up for media that stopped on the 22nd."""
    daily = LEDGER[LEDGER["channel"] != "search"]
    assert last_cost_day(daily) == START + 21
    assert last_cost_day(daily[daily["cost_type"] == "tools"].assign(channel="mail")) == START + 30


# ------------------------------------------------------------ the command

EXPERIMENT = """
name = "shop"
[tables]
touchpoints = { source = "touchpoints.parquet" }
conversions = { source = "conversions.parquet" }
costs = { source = "costs.csv" }
[journeys]
lookback_days = 3
[[models]]
model = "LastTouch"
[returns]
margin = 0.5
"""

LOADED = 'basis = "margin"\ncost_basis = "loaded"\nshared_by = "touchpoints"\n'


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Daily summaries of 40 days; search costs 10 a day, labour 20 a day that channels share."""
    folder = tmp_path_factory.mktemp("shop")
    touched, converted = log_of(40, customers=800, seed=5)
    touched.to_parquet(folder / "touchpoints.parquet", index=False)
    converted.to_parquet(folder / "conversions.parquet", index=False)
    month = {"period_start": "2024-03-01", "period_end": "2024-04-09"}
    rows = [{"channel": name, "cost_type": "media", "amount": 400.0} for name in ("direct", "search")]
    rows += [{"channel": None, "cost_type": "labour", "amount": 800.0}]
    pd.DataFrame(rows).assign(**month).to_csv(folder / "costs.csv", index=False)
    for name, more in (("media", ""), ("loaded", LOADED), ("credit", LOADED.replace("touchpoints", "credit"))):
        (folder / f"{name}.toml").write_text(EXPERIMENT + more)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call(patch, "summarise", "media.toml", "--to", "summaries") == 0
    return folder


def monitor(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], costs: str, *more: str
) -> tuple[int, str]:
    monkeypatch.chdir(shop)
    capsys.readouterr()
    words = ("--recent-days", "5", "--training-days", "20", "--psi", "9", "--change", "9", "--out", "monitor")
    code = call(monkeypatch, "monitor", "summaries", *words, "--costs", costs, *more)
    out, err = capsys.readouterr()
    return code, out if code != 2 else err


def test_roi_goes_by_the_costs_that_the_experiment_counts(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {}
    for costs in ("media.toml", "loaded.toml"):
        document = json.loads(monitor(shop, monkeypatch, capsys, costs, "--json")[1])
        rows = {row["channel"]: row for row in document["drift"] if row["measure"] == "roi"}
        found[document["cost_basis"]] = (document, rows)
    (media, cheap), (loaded, dear) = found["media"], found["loaded"]
    assert set(cheap) == set(dear) == {"direct", "search"}
    touched = pd.read_parquet(shop / "touchpoints.parquet")
    for window in ("training", "recent"):
        first, last = (pd.Timestamp(day) for day in loaded[window])
        inside = touched[(touched["touched_at"] >= first) & (touched["touched_at"] < last + pd.Timedelta(days=1))]
        length = (last - first).days + 1
        for name in cheap:
            share = (inside["channel"] == name).mean()
            spend = [10.0 * length, 10.0 * length + 20.0 * length * share]
            returned = [spend[0] * (1 + cheap[name][window]), spend[1] * (1 + dear[name][window])]
            assert returned[0] == pytest.approx(returned[1])
    assert media["notes"] == []
    assert loaded["notes"] == [
        "ROI in the table drift is of revenue. Experiment 'shop' ranks channels by margin, which is not compared."
    ]
    assert json.loads((shop / "monitor" / "manifest.json").read_text())["cost_basis"] == "loaded"
    assert "ROI in the table drift is of revenue" in monitor(shop, monkeypatch, capsys, "loaded.toml")[1]
    assert "is of revenue" in (shop / "monitor" / "drift.txt").read_text()


def test_costs_that_are_others_under_every_model_end_with_a_sentence(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = monitor(shop, monkeypatch, capsys, "credit.toml")
    assert code == 2
    assert "shared by credit are others under every model" in said


def test_a_file_of_costs_without_days_ends_with_a_sentence(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.DataFrame({"channel": ["mail"], "amount": [9.0]}).to_csv(shop / "lump.csv", index=False)
    code, said = monitor(shop, monkeypatch, capsys, "lump.csv")
    assert code == 2
    assert "1 cost without a day, which cannot be split between the training days and the recent days" in said

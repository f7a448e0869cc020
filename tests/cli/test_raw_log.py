"""From one raw log to a ranking: `simulate --raw`, the experiment that the guide shows, and every command on it."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import attribution as at
from attribution.data.channels import ChannelRules, derive_channels
from attribution.simulation import Channel, World, load_world
from attribution.simulation.raw_log import LINKS, link_of, make_raw_log
from tests.cli.test_cli import call

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "data.md"
CUSTOMERS = 1_500


def shown_experiment() -> str:
    blocks = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (shown,) = (text for text in blocks if "raw/log.csv" in text)
    return shown


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw log, and the experiment beside it."""
    where = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        assert call(patch, "simulate", "default", "--customers", CUSTOMERS, "--raw", "--out", where / "raw") == 0
    text = shown_experiment()
    assert len(text.splitlines()) <= 25
    (where / "shop.toml").write_text(text + "[tracking]\nenabled = false\n", encoding="utf-8")
    return where


def test_the_log_is_one_file_beside_its_costs(folder: Path) -> None:
    assert sorted(path.name for path in (folder / "raw").iterdir()) == ["costs.csv", "log.csv", "manifest.json"]
    log = pd.read_csv(folder / "raw" / "log.csv")
    truth = at.simulate("default", customers=CUSTOMERS, truth=False)
    orders = log[log["event"] == "order"]
    assert len(orders) == len(truth.conversions)
    assert orders["revenue"].sum() == pytest.approx(truth.conversions["value"].sum())
    assert log["time"].is_monotonic_increasing
    assert set(log["event"]) == {"page_view", "order"}
    assert orders["email"].notna().all()
    assert log["email"].isna().mean() > 0.5
    # Every touchpoint that a tag or a search engine led to is the entry of a visit.
    entries = log["url"].str.contains("utm_source") | (log["referrer"] == "https://www.google.com/")
    assert entries.sum() == (truth.touchpoints["channel"] != "direct").sum()
    again = make_raw_log(truth, load_world("default"))
    assert again.log["url"].tolist() == log["url"].tolist()


def test_every_channel_arrives_as_what_its_costs_are_called() -> None:
    channels = [*load_world("default").channels, Channel("TV spot", 0.1), Channel("word of mouth", 0.1, paid=False)]
    world = World("every", tuple(channels), days=10)
    raw = make_raw_log(at.simulate(world, customers=300, truth=False), world)
    pages = raw.log[raw.log["event"] == "page_view"]
    rules = ChannelRules(own_sites=("shop.example",))
    derived = derive_channels(pa.Table.from_pandas(pages[["url", "referrer"]], preserve_index=False), rules).to_pandas()
    campaigns = derived.dropna(subset=["campaign"]).groupby("campaign")["channel"].unique()
    expected = {channel.name.lower(): link_of(channel).channel for channel in world.channels if link_of(channel).source}
    assert {name: list(found) for name, found in campaigns.items()} == {name: [of] for name, of in expected.items()}
    assert set(derived["channel"].dropna()) == {link_of(channel).channel for channel in world.channels}
    assert set(raw.costs["channel"]) == {link_of(channel).channel for channel in world.paid_channels}
    assert {channel.name for channel in load_world("default").channels} - set(LINKS) == {"retargeting"}


def test_the_experiment_of_the_guide_ranks_channels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, "run", folder / "shop.toml", "--out", folder / "out") == 0
    truth = at.simulate("default", customers=CUSTOMERS, truth=False)
    credit = pd.read_csv(folder / "out" / "credit.csv")
    totals = credit.groupby("model")[["conversions", "value"]].sum()
    assert totals["conversions"].tolist() == pytest.approx([len(truth.conversions)] * 2)
    returns = pd.read_csv(folder / "out" / "returns.csv")
    spend = returns[returns["model"] == "last_touch"].set_index("channel")["spend"].dropna()
    names = {channel.name: link_of(channel).channel for channel in load_world("default").channels}
    expected = truth.costs["amount"].groupby(truth.costs["channel"].map(names)).sum()
    assert spend[spend > 0].to_dict() == pytest.approx(expected.to_dict())
    assert returns.dropna(subset=["rank"])["roi"].notna().all()
    quality = pd.read_csv(folder / "out" / "quality.csv").set_index("check")
    pages = int((pd.read_csv(folder / "raw" / "log.csv")["event"] == "page_view").sum())
    assert (quality.loc["visits", "count"], quality.loc["visits", "total"]) == (pages, pages)
    assert "page_views" not in quality.index


def test_without_visits_the_log_is_noticed(folder: Path) -> None:
    experiment = at.read_experiment(folder / "shop.toml")
    plain = type(experiment.journeys)(direct="drop_if_other")
    pages = experiment.model_copy(update={"channels": {"ignored_referrers": []}, "journeys": plain})
    quality = at.check_quality(pages).set_index("check")
    assert quality.loc["page_views", "status"] == "warn"
    assert "journeys.visit_gap_minutes = 30" in quality.loc["page_views", "message"]


def test_every_command_reads_the_same_visits(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = folder / "shop.toml"
    narrow = ("--set", "journeys.lookback_days=5", "--set", "output.journey_credit=true")
    assert call(monkeypatch, "validate", log) == 0
    assert call(monkeypatch, "run", log, "--out", tmp_path / "run", *narrow) == 0
    assert call(monkeypatch, "export", tmp_path / "run", "--model", "last_touch", "--to", tmp_path / "model") == 0
    scored = ("score", tmp_path / "model", "--tables", log, "--out", tmp_path / "scores")
    assert call(monkeypatch, *scored) in (0, 3)
    files = (tmp_path / "scores" / "journey_credit").glob("day=*/*.parquet")
    scores = pd.concat([pd.read_parquet(file) for file in files])
    credit = pd.read_csv(tmp_path / "run" / "credit.csv").query("model == 'last_touch'").set_index("channel")
    by_channel = scores.groupby("channel")["credit"].sum()
    assert by_channel.to_dict() == pytest.approx(credit.loc[by_channel.index, "conversions"].to_dict())
    assert by_channel.sum() == pytest.approx(credit["conversions"].sum())
    days = ("--set", "journeys.lookback_days=5")
    assert call(monkeypatch, "summarise", log, "--to", tmp_path / "days", *days) in (0, 3)
    assert call(monkeypatch, "refit", tmp_path / "days", "--days", 20, "--out", tmp_path / "refit") in (0, 3)
    assert call(monkeypatch, "monitor", tmp_path / "model", "--tables", log, "--recent-days", 5) in (0, 3)
    touched = pd.read_csv(tmp_path / "refit" / "credit.csv")
    assert set(touched["channel"]) == set(credit.index)
    assert call(monkeypatch, "export", tmp_path / "run", "--model", "last_touch", "--sql", "duckdb") == 2

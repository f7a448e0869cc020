"""One customer taken out of scores and summaries."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.test_cli import call
from tests.production.scoring.test_scoring_job import day_files, fitted, log, score, table_of, write


def test_a_forgotten_customer_is_nowhere_and_the_receipt_does_not_say_who(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    touchpoints, conversions = log(customers=30)
    fitted((touchpoints, conversions), lookback_days=10.0).save(tmp_path / "model")
    out, who = tmp_path / "out", str(conversions["customer_id"].mode()[0])
    score(tmp_path / "model", write(tmp_path / "in", (touchpoints, conversions)), out)
    before = table_of(out)
    receipt = tmp_path / "receipt.json"
    assert call(monkeypatch, "forget", who, "--in", out, "--receipt", receipt) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(receipt.read_text(encoding="utf-8"))
    assert who not in receipt.read_text(encoding="utf-8")
    assert told["customer_sha256"] == hashlib.sha256(who.encode()).hexdigest()
    assert told["rows"] == (before["customer_id"] == who).sum() > 0
    assert told["conversions"] == before.loc[before["customer_id"] == who, "conversion_id"].nunique()
    pd.testing.assert_frame_equal(
        table_of(out), before[before["customer_id"] != who].reset_index(drop=True), check_dtype=False
    )
    for path in out.rglob("*.parquet"):
        assert who.encode() not in path.read_bytes()
    without = [frame[frame["customer_id"] != who] for frame in (touchpoints, conversions)]
    score(tmp_path / "model", write(tmp_path / "without", (without[0], without[1])), out)
    score(tmp_path / "model", write(tmp_path / "without", (without[0], without[1])), tmp_path / "anew")
    assert day_files(out) == day_files(tmp_path / "anew")


def test_conversions_named_as_outdated_are_forgotten_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touchpoints, conversions = log(customers=6, days=30)
    conversions = pd.concat([conversions] * 3).assign(conversion_id=None)
    conversions["converted_at"] += pd.to_timedelta(range(len(conversions)), unit="min")
    fitted((touchpoints, conversions), lookback_days=10.0).save(tmp_path / "model")
    out = tmp_path / "out"
    score(tmp_path / "model", write(tmp_path / "all", (touchpoints, conversions)), out)
    since = touchpoints["touched_at"].min() + pd.Timedelta(days=12)
    changed = touchpoints[touchpoints["touched_at"] > since].assign(channel="direct")
    recent = conversions[conversions["converted_at"] > since]
    scored = score(tmp_path / "model", write(tmp_path / "part", (changed, recent)), out)
    who = next(name for names in scored.outdated.values() for name in names).split("@")[0]
    assert call(monkeypatch, "forget", who, "--in", out) == 0
    assert who not in (out / "manifest.json").read_text(encoding="utf-8")
    for path in (out / "restatement").rglob("*.parquet"):
        assert not pd.read_parquet(path)["outdated_id"].dropna().str.startswith(who).any()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(tmp_path, monkeypatch)


class Shop:
    """A log, an experiment about it, and folders of daily summaries."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.touchpoints, conversions = log(customers=12, days=30)
        self.conversions = conversions.assign(conversion_id=[f"order {number}" for number in range(len(conversions))])
        at = self.conversions["converted_at"]
        self.last, self.covers = at.max(), f"{at.min().date()}..{at.max().date()}"
        (folder / "shop.toml").write_text(
            '[tables.touchpoints]\nsource = "touchpoints.parquet"\n'
            '[tables.conversions]\nsource = "conversions.parquet"\n'
            '[journeys]\nlookback_days = 5\n[[models]]\nmodel = "LastTouch"\n[[models]]\nmodel = "Markov"\n',
            encoding="utf-8",
        )

    def write(self, *, without: str | None = None) -> None:
        for name, table in (("touchpoints", self.touchpoints), ("conversions", self.conversions)):
            kept = table[table["customer_id"].astype(str) != without]
            kept.to_parquet(self.folder / f"{name}.parquet", index=False)

    def summarise(self, to: str, *, through: pd.Timestamp) -> None:
        asked = ("--to", self.folder / to, "--covers", self.covers, "--through", str(through.date()))
        assert call(self.monkeypatch, "summarise", self.folder / "shop.toml", *asked) == 0

    def forget(self, who: str, *folders: str, is_deleted: bool = False) -> int:
        named = [part for folder in folders for part in ("--in", self.folder / folder)]
        # Tables that no longer have the first or last conversion do not say that they tell of its day.
        covers = ("--covers", self.covers) if is_deleted else ()
        return call(self.monkeypatch, "forget", who, *named, "--tables", self.folder / "shop.toml", *covers)

    def files(self, to: str) -> dict[str, bytes]:
        """The days, and the ids that are known."""
        root = self.folder / to
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


@pytest.mark.parametrize("is_deleted", [True, False])
@pytest.mark.parametrize("whose", ["most", "first", "last"])
def test_summaries_are_summed_up_again_without_the_customer(
    shop: Shop, capsys: pytest.CaptureFixture[str], whose: str, is_deleted: bool
) -> None:
    by_time = shop.conversions.sort_values("converted_at")["customer_id"]
    who = str({"most": by_time.mode()[0], "first": by_time.iloc[0], "last": by_time.iloc[-1]}[whose])
    through = shop.last - pd.Timedelta(days=3)
    shop.write()
    shop.summarise("sums", through=through)
    before = shop.files("sums")
    capsys.readouterr()
    if is_deleted:
        shop.write(without=who)
    assert shop.forget(who, "sums", is_deleted=is_deleted) == 0
    (folder,) = json.loads(capsys.readouterr().out)["folders"]
    theirs = [int((table["customer_id"].astype(str) == who).sum()) for table in (shop.touchpoints, shop.conversions)]
    expected = (0, 0) if is_deleted else (sum(theirs), theirs[1])
    assert (folder["kind"], folder["rows"], folder["conversions"]) == ("summaries", *expected)
    after = shop.files("sums")
    changed = {name for name in before if name.startswith("day=") and before[name] != after[name]}
    assert set(folder["files"]) == changed != set()
    shop.write(without=who)
    shop.summarise("anew", through=through)
    assert after == shop.files("anew")
    # The nights after go on from there.
    for name in ("sums", "anew"):
        shop.summarise(name, through=shop.last)
    assert shop.files("sums") == shop.files("anew")


def test_summaries_without_their_tables_are_refused_and_nothing_is_forgotten(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.write()
    shop.summarise("sums", through=shop.last)
    fitted((shop.touchpoints, shop.conversions), lookback_days=5.0).save(tmp_path / "model")
    score(tmp_path / "model", write(tmp_path / "in", (shop.touchpoints, shop.conversions)), tmp_path / "out")
    before = (shop.files("sums"), day_files(tmp_path / "out"))
    who = str(shop.conversions["customer_id"][0])
    assert call(monkeypatch, "forget", who, "--in", tmp_path / "out", "--in", tmp_path / "sums") == 2
    assert "give --tables EXPERIMENT.toml" in capsys.readouterr().err
    experiment = (tmp_path / "shop.toml").read_text(encoding="utf-8")
    (tmp_path / "shop.toml").write_text(experiment.replace("lookback_days = 5", "lookback_days = 6"), encoding="utf-8")
    assert shop.forget(who, "out", "sums") == 2
    assert "lookback_days" in capsys.readouterr().err
    (tmp_path / "shop.toml").write_text(experiment, encoding="utf-8")
    assert (shop.files("sums"), day_files(tmp_path / "out")) == before
    assert shop.forget(who, "out", "sums") == 0
    assert {folder["kind"] for folder in json.loads(capsys.readouterr().out)["folders"]} == {"scores", "summaries"}
    assert shop.files("sums") != before[0]
    assert who not in set(table_of(tmp_path / "out")["customer_id"].astype(str))


def test_days_whose_history_the_tables_lack_are_named(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write()
    shop.summarise("sums", through=shop.last)
    capsys.readouterr()
    who = str(shop.conversions.sort_values("converted_at")["customer_id"].mode()[0])
    since = shop.conversions["converted_at"].quantile(0.5).normalize()
    for name, time in (("touchpoints", "touched_at"), ("conversions", "converted_at")):
        table = getattr(shop, name)
        table[table[time] >= since].to_parquet(shop.folder / f"{name}.parquet", index=False)
    assert shop.forget(who, "sums") == 0
    (folder,) = json.loads(capsys.readouterr().out)["folders"]
    assert "could not be summed up again, because the tables lack the touchpoints before them" in folder["note"]


def test_other_folders_are_refused_before_anything_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = log(customers=10)
    fitted(data, lookback_days=10.0).save(tmp_path / "model")
    score(tmp_path / "model", write(tmp_path / "in", data), tmp_path / "out")
    before = day_files(tmp_path / "out")
    who = str(data[1]["customer_id"][0])
    assert call(monkeypatch, "forget", who, "--in", tmp_path / "out", "--in", tmp_path / "in") == 2
    assert "has neither scores nor daily summaries" in capsys.readouterr().err
    assert call(monkeypatch, "forget", who, "--in", tmp_path / "out", "--receipt", tmp_path / "none" / "r") == 2
    assert day_files(tmp_path / "out") == before

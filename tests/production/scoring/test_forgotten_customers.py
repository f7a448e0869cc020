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


def test_summaries_hold_no_customer_and_lose_their_part_with_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    touchpoints, conversions = log(customers=12, days=30)
    conversions = conversions.assign(conversion_id=[f"order {number}" for number in range(len(conversions))])
    who, at = str(conversions["customer_id"].mode()[0]), conversions["converted_at"]
    (tmp_path / "shop.toml").write_text(
        '[tables.touchpoints]\nsource = "touchpoints.parquet"\n[tables.conversions]\nsource = "conversions.parquet"\n'
        '[journeys]\nlookback_days = 5\n[[models]]\nmodel = "LastTouch"\n',
        encoding="utf-8",
    )

    def summarise(to: str, *, without: str | None = None) -> None:
        for name, table in (("touchpoints", touchpoints), ("conversions", conversions)):
            table[table["customer_id"] != without].to_parquet(tmp_path / f"{name}.parquet", index=False)
        # Without them the log may end earlier, and tells of the same days.
        first, last = (str(moment.date()) for moment in (at.min(), at.max()))
        through = str((at.max() - pd.Timedelta(days=3)).date())
        asked = ("--to", tmp_path / to, "--covers", f"{first}..{last}", "--through", through)
        assert call(monkeypatch, "summarise", tmp_path / "shop.toml", *asked) == 0

    summarise("sums")
    before = {path: path.read_bytes() for path in (tmp_path / "sums").rglob("*") if path.is_file()}
    assert not any(who.encode() in content or b"order " in content for content in before.values())
    capsys.readouterr()
    assert call(monkeypatch, "forget", who, "--in", tmp_path / "sums") == 0
    (folder,) = json.loads(capsys.readouterr().out)["folders"]
    assert (folder["kind"], folder["rows"]) == ("summaries", 0)
    assert "`attribution summarise` of a log without them takes their part out" in folder["note"]
    assert {path: path.read_bytes() for path in before} == before
    summarise("sums", without=who)
    summarise("anew", without=who)
    sums, anew = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in sorted((tmp_path / name).rglob("*.parquet"))}
        for name in ("sums", "anew")
    )
    assert sums == anew
    assert list(sums.values()) != [content for path, content in sorted(before.items()) if path.suffix == ".parquet"]


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

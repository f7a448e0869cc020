"""Credit for systems that bid: sums that are those of the run, clicks by their id, and nobody's name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attribution.errors import InputError, LawError
from attribution.production.conversion_export import CREDITED_CAMPAIGNS, CREDITED_CONVERSIONS, credited_conversions
from tests.cli import test_cli

TOUCHES = """customer_id,touched_at,channel,campaign,gclid
甲,2024-04-01 10:00:00Z,search,品牌,g1
甲,2024-04-01 10:05:00Z,search,品牌,g1
甲,2024-04-02 10:00:00Z,mail,,
甲,2024-04-02 11:00:00Z,search,品牌,g4
乙,2024-04-02 11:00:00Z,search,品牌,g2
丙,2024-04-03 11:00:00Z,search,,g3
戊,2024-04-03 11:00:00Z,mail,letter,
"""
ORDERS = """customer_id,converted_at,value,conversion_id
甲,2024-04-03T09:30:15+08:00,100,o1
乙,2024-04-03T20:00:00+08:00,50,o2
丁,2024-04-03T20:00:00+08:00,70,o3
戊,2024-04-05T02:00:00+08:00,30,o4
"""


def call(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        return test_cli.call(patch, *arguments)


def experiment(folder: Path, *, click_id: bool = True, ids: bool = True, rest: str = "") -> Path:
    (folder / "touches.csv").write_text(TOUCHES, encoding="utf-8")
    orders = ORDERS if ids else "\n".join(line.rpartition(",")[0] for line in ORDERS.splitlines()) + "\n"
    (folder / "orders.csv").write_text(orders, encoding="utf-8")
    named = ["customer_id", "touched_at", "channel", "campaign"]
    columns = ", ".join([*(f'{name} = "{name}"' for name in named), *(['click_id = "gclid"'] if click_id else [])])
    text = (
        f'[tables.touchpoints]\nsource = "touches.csv"\ncolumns = {{ {columns} }}\n'
        '[tables.conversions]\nsource = "orders.csv"\n[[models]]\nmodel = "Linear"\n[[models]]\nmodel = "Markov"\n'
        f"[output]\njourney_credit = true\n[tracking]\nenabled = false\n{rest}"
    )
    path = folder / "e.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bids")
    told = '[returns]\ncurrency = "CNY"\n'
    assert call("run", experiment(folder, rest=told), "--out", folder / "run") == 0
    return folder / "run"


def test_the_file_as_worked_by_hand(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Linear: a quarter of o1 to each of its four touchpoints, two of which are one click."""
    assert call("export-conversions", finished, "--model", "linear", "--to", tmp_path / "c.csv", "--name", "购买") == 0
    assert "3.00 of 4.00 conversions are credited to channels and can be exported." in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "c.csv", keep_default_na=False)
    assert tuple(table.columns) == CREDITED_CONVERSIONS.column_names
    assert set(table["conversion_name"]) == {"购买"}
    assert set(table["currency"]) == {"CNY"}
    assert set(table["model"]) == {"linear"}
    keys = ["click_id", "conversion_id", "conversion_time", "day", "channel", "campaign", "conversions", "value"]
    assert table[keys].to_numpy().tolist() == [
        ["g1", "o1", "2024-04-03 01:30:15+00:00", "2024-04-03", "search", "品牌", 0.5, 50.0],
        ["g4", "o1", "2024-04-03 01:30:15+00:00", "2024-04-03", "search", "品牌", 0.25, 25.0],
        ["g2", "o2", "2024-04-03 12:00:00+00:00", "2024-04-03", "search", "品牌", 1.0, 50.0],
        ["", "", "", "2024-04-03", "mail", "", 0.25, 25.0],
        ["", "", "", "2024-04-04", "mail", "letter", 1.0, 30.0],
    ]


def test_sums_are_those_of_the_run(finished: Path) -> None:
    credit = pd.read_parquet(finished / "credit.parquet")
    for model in ("linear", "markov"):
        credited = credited_conversions(finished, model)
        told = credit[credit["model"] == model]
        campaigns, table = credited.campaigns, credited.conversions
        assert tuple(campaigns.columns) == CREDITED_CAMPAIGNS.column_names
        np.testing.assert_allclose(campaigns[["conversions", "value"]].sum(), told[["conversions", "value"]].sum())
        exported = campaigns[campaigns["is_exported"]]
        np.testing.assert_allclose(exported[["conversions", "value"]].sum(), table[["conversions", "value"]].sum())
        np.testing.assert_allclose(
            exported["with_click_id"].sum(), table.loc[table["click_id"].notna(), "conversions"].sum()
        )
        left = campaigns[~campaigns["is_exported"]]
        assert left["channel"].tolist() == ["(unattributed)"]
        assert left["conversions"].tolist() == [1.0]
        by_channel = exported.groupby("channel")["conversions"].sum()
        known = told.set_index("channel")["conversions"]
        np.testing.assert_allclose(by_channel, known[by_channel.index], rtol=1e-6)


def test_without_click_ids_credit_is_summed_by_day_and_campaign(tmp_path: Path) -> None:
    assert call("run", experiment(tmp_path, click_id=False), "--out", tmp_path / "run") == 0
    credited = credited_conversions(tmp_path / "run", "linear")
    rows = credited.conversions[["day", "channel", "campaign", "conversions"]].fillna("").to_numpy().tolist()
    assert rows == [
        ["2024-04-03", "mail", "", 0.25],
        ["2024-04-03", "search", "品牌", 1.75],
        ["2024-04-04", "mail", "letter", 1.0],
    ]
    assert credited.conversions["click_id"].isna().all()
    assert any("without a click id" in note for note in credited.notes)


def test_ids_made_of_a_customer_do_not_name_the_customer(tmp_path: Path) -> None:
    assert call("run", experiment(tmp_path, ids=False), "--out", tmp_path / "run") == 0
    ids = credited_conversions(tmp_path / "run", "linear").conversions["conversion_id"].dropna()
    assert ids.nunique() == 2
    assert ids.str.fullmatch("[0-9a-f]{16}").all()


def test_a_scoring_job_is_exported_by_day(finished: Path, tmp_path: Path) -> None:
    folder = finished.parent
    assert call("export", finished, "--model", "linear", "--to", tmp_path / "model", "--no-register") == 0
    tables = ("--touchpoints", folder / "touches.csv", "--conversions", folder / "orders.csv")
    assert call("score", tmp_path / "model", *tables, "--out", tmp_path / "scored") == 0
    credited = credited_conversions(tmp_path / "scored", currency="CNY")
    assert credited.model == "model"
    assert credited.conversions["conversions"].sum() == pytest.approx(3.0)
    assert credited.conversions["day"].tolist() == ["2024-04-03", "2024-04-03", "2024-04-04"]
    assert credited.campaigns["conversions"].sum() == pytest.approx(4.0)


def test_what_cannot_be_exported_is_refused(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "c.csv"
    cases = [
        ((finished, "--to", out), "there are several models, so one must be chosen"),
        ((finished, "--model", "markof", "--to", out), "did you mean 'markov'?"),
        ((finished, "--model", "linear", "--to", tmp_path), "CSV file"),
        ((finished, "--model", "linear", "--to", tmp_path / "c.parquet"), "CSV file"),
        ((tmp_path, "--to", out), "no credit per touchpoint"),
        ((tmp_path / "none", "--to", out), "no credit per touchpoint"),
    ]
    for arguments, said in cases:
        assert call("export-conversions", *arguments) == 2, said
        assert said in capsys.readouterr().err
    bare = experiment(tmp_path)
    assert call("run", bare, "--set", "output.journey_credit=false", "--out", tmp_path / "bare") == 0
    assert call("export-conversions", tmp_path / "bare", "--model", "linear", "--to", out) == 2
    assert "output.journey_credit = true" in capsys.readouterr().err
    assert not out.exists()


def test_credit_that_is_not_that_of_the_run_is_no_export(finished: Path, tmp_path: Path) -> None:
    for name in ("credit.parquet", "journey_credit.parquet"):
        table = pd.read_parquet(finished / name)
        if name == "credit.parquet":
            credit = table
        table.to_parquet(tmp_path / name, index=False)
    assert len(credited_conversions(tmp_path, "linear").conversions) == 5
    pd.read_parquet(finished / "journey_credit.parquet").iloc[1:].to_parquet(tmp_path / "journey_credit.parquet")
    with pytest.raises(LawError, match="adds up to"):
        credited_conversions(tmp_path, "linear")
    row = credit[credit["model"] == "linear"].iloc[:1].assign(channel="(baseline)")
    pd.concat([credit, row]).to_parquet(tmp_path / "credit.parquet")
    with pytest.raises(InputError, match=r"earlier version.*includes the baseline.*journey_credit = true"):
        credited_conversions(tmp_path, "linear")


def test_positions_are_no_times(tmp_path: Path) -> None:
    path = experiment(tmp_path)
    for name in ("touches.csv", "orders.csv"):
        table = pd.read_csv(tmp_path / name)
        when = "touched_at" if name == "touches.csv" else "converted_at"
        table[when] = range(len(table)) if name == "touches.csv" else 100
        table.to_csv(tmp_path / name, index=False)
    assert call("run", path, "--out", tmp_path / "run") == 0
    with pytest.raises(InputError, match="only an order"):
        credited_conversions(tmp_path / "run", "linear")


def test_sums_alone_are_shown_where_no_file_is_named(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("export-conversions", finished, "--model", "markov", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["file"] is None
    assert sum(row["conversions"] for row in found["campaigns"]) == pytest.approx(4.0)


def test_where_no_channel_is_met_the_file_has_no_rows(tmp_path: Path) -> None:
    path = experiment(tmp_path)
    (tmp_path / "touches.csv").write_text("\n".join(TOUCHES.splitlines()[:1]) + "\n庚,2024-04-01 10:00:00Z,mail,,\n")
    assert call("run", path, "--out", tmp_path / "run") == 0
    credited = credited_conversions(tmp_path / "run", "linear")
    assert credited.conversions.empty
    assert tuple(credited.conversions.columns) == CREDITED_CONVERSIONS.column_names
    assert credited.campaigns["conversions"].tolist() == [4.0]


LANDED = """customer_id,touched_at,url
1,2024-04-01 10:00:00,https://shop.com/?gclid=EAIa-1
1,2024-04-02 10:00:00,https://shop.com/?utm_source=news&utm_medium=email
1,2024-04-02 11:00:00,https://shop.com/?gbraid=0AAA%2Db
1,2024-04-02 12:00:00,https://shop.com/?wbraid=Clg
2,2024-04-02 13:00:00,https://shop.com/?msclkid=9f
"""
BOUGHT = "customer_id,converted_at,value,conversion_id\n1,2024-04-03 01:00:00,100,o1\n2,2024-04-03 02:00:00,50,o2\n"


def landed(folder: Path, columns: str) -> Path:
    (folder / "landed.csv").write_text(LANDED, encoding="utf-8")
    (folder / "bought.csv").write_text(BOUGHT, encoding="utf-8")
    (folder / "e.toml").write_text(
        f'[tables.touchpoints]\nsource = "landed.csv"\n{columns}'
        '[tables.conversions]\nsource = "bought.csv"\n[[models]]\nmodel = "Linear"\n'
        "[output]\njourney_credit = true\n[tracking]\nenabled = false\n",
        encoding="utf-8",
    )
    return folder / "e.toml"


def test_click_ids_in_addresses_reach_the_file_with_their_kinds(tmp_path: Path) -> None:
    """Linear: a quarter of o1 to each touchpoint, all of o2 to its one; the newsletter has no click id."""
    assert call("run", landed(tmp_path, ""), "--out", tmp_path / "run") == 0
    assert call("export-conversions", tmp_path / "run", "--to", tmp_path / "c.csv") == 0
    table = pd.read_csv(tmp_path / "c.csv", keep_default_na=False)
    rows = table[["click_id", "click_id_kind", "conversion_id", "conversions", "value"]].to_numpy().tolist()
    assert sorted(rows) == [
        ["", "", "", 0.25, 25.0],
        ["0AAA-b", "gbraid", "o1", 0.25, 25.0],
        ["9f", "msclkid", "o2", 1.0, 50.0],
        ["Clg", "wbraid", "o1", 0.25, 25.0],
        ["EAIa-1", "gclid", "o1", 0.25, 25.0],
    ]
    # The model needs no click ids to score, nor does its SQL.
    assert call("export", tmp_path / "run", "--to", tmp_path / "model") == 0
    manifest = (tmp_path / "model" / "model.json").read_text(encoding="utf-8")
    assert "click_id" not in manifest
    # The same settings and data are not run again.
    credit = (tmp_path / "run" / "manifest.json").read_bytes()
    assert call("run", tmp_path / "e.toml", "--out", tmp_path / "run") == 0
    assert (tmp_path / "run" / "manifest.json").read_bytes() == credit


def test_credit_of_channels_is_what_it_is_without_click_ids(tmp_path: Path) -> None:
    path = landed(tmp_path, "")
    assert call("run", path, "--out", tmp_path / "with") == 0
    assert call("run", path, "--out", tmp_path / "without", "--set", "output.journey_credit=false") == 0
    with_ids, without = (pd.read_parquet(tmp_path / run / "credit.parquet") for run in ("with", "without"))
    pd.testing.assert_frame_equal(with_ids, without)
    assert len(with_ids) > 2


def test_the_kind_of_a_mapped_column_is_its_name(finished: Path, tmp_path: Path) -> None:
    credited = credited_conversions(finished, "linear").conversions
    is_click = credited["click_id"].notna()
    assert set(credited.loc[is_click, "click_id_kind"]) == {"gclid"}
    assert credited.loc[~is_click, "click_id_kind"].isna().all()
    assert is_click.sum() > 2

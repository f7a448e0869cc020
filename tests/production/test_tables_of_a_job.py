"""Jobs on an exported model whose tables are read as an experiment reads them: no query is pasted into a shell."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.test_cli import call
from tests.daily_logs import log_of

pytestmark = pytest.mark.filterwarnings("ignore")

READ = """
[tables.touchpoints]
source = "visits.csv"
columns = { customer_id = "cookie", touched_at = "at", channel = "via" }
where = "via <> 'robot'"

[tables.conversions]
query = "select who as customer_id, paid_at as converted_at, paid as value from 'orders.parquet' where paid > 0"

[tables.identities]
source = "logins.csv"
columns = { visitor_id = "device", customer_id = "person" }
"""
FIT = '[journeys]\nlookback_days = 7\n[[models]]\nmodel = "Linear"\n[tracking]\nenabled = false\n'


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was fitted on 30 days of cookies, in a folder beside that of its log, which has 40 days."""
    here = tmp_path_factory.mktemp("shop")
    folder = here / "log"
    folder.mkdir()
    touchpoints, conversions = log_of(40, customers=120)
    first = touchpoints["touched_at"].min().normalize()
    people = pd.DataFrame({"person": touchpoints["customer_id"].unique()})
    people["device"] = "device " + people["person"].astype(str)
    people.to_csv(folder / "logins.csv", index=False)
    visits = touchpoints.rename(columns={"touched_at": "at", "channel": "via"})
    visits["cookie"] = "device " + visits.pop("customer_id").astype(str)
    visits = pd.concat([visits, visits.iloc[:9].assign(via="robot")])
    visits.to_csv(folder / "visits.csv", index=False)
    orders = conversions.rename(columns={"customer_id": "who", "converted_at": "paid_at", "value": "paid"})
    orders.to_parquet(folder / "orders.parquet")
    (folder / "tables.toml").write_text(READ + '[[models]]\nmodel = "Linear"\n', encoding="utf-8")
    end = (first + pd.Timedelta(days=29)).date()
    text = f'name = "shop"\n[period]\nend = {end}\n{READ}{FIT}'
    (folder / "shop.toml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(here)
        assert call(monkeypatch, "run", "log/shop.toml", "--out", "run") == 0
        assert call(monkeypatch, "export", "run", "--model", "linear", "--to", "model") == 0
    return here


@pytest.fixture
def shop(fitted: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(fitted)
    return fitted


def test_a_model_that_was_fitted_with_identities_is_monitored(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    arguments = ("monitor", "model", "--recent-days", "7", "--training-days", "28", "--json")
    assert call(monkeypatch, *arguments, "--tables", "log/tables.toml") in (0, 3)
    document = json.loads(capsys.readouterr().out)
    assert {row["channel"] for row in document["drift"]} & {"mail", "search", "social"}
    assert call(monkeypatch, *arguments, "--touchpoints", "log/visits.csv", "--conversions", "log/orders.parquet") == 2


def test_scores_are_those_of_the_tables_as_they_are_read(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, "score", "model", "--tables", "log/tables.toml", "--out", "scores") == 0
    touchpoints, conversions = log_of(40, customers=120)
    touchpoints.to_parquet("t.parquet")
    conversions[conversions["value"] > 0].to_parquet("c.parquet")
    logins = pd.read_csv("log/logins.csv").rename(columns={"device": "visitor_id", "person": "customer_id"})
    logins.to_csv("i.csv", index=False)
    plain = ("--touchpoints", "t.parquet", "--conversions", "c.parquet", "--identities", "i.csv", "--canonical")
    assert call(monkeypatch, "score", "model", *plain, "--out", "plain") == 0
    read, expected = (
        pd.read_parquet(f"{out}/journey_credit").sort_values(["customer_id", "touched_at", "channel"])
        for out in ("scores", "plain")
    )
    assert len(read) > 100
    columns = ["customer_id", "touched_at", "channel", "credit", "credited_value"]
    pd.testing.assert_frame_equal(
        read[columns].reset_index(drop=True), expected[columns].reset_index(drop=True), check_dtype=False
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--touchpoints", "log/visits.csv"), "conversions are needed"),
        ((), "--tables EXPERIMENT.toml"),
        (("--tables", "log/tables.toml", "--identities", "log/logins.csv"), "--identities says it again"),
        (("--tables", "log/nothing.toml"), "nothing.toml does not exist"),
        (("--tables", "log/paths.toml"), "has no table 'touchpoints'"),
    ],
)
def test_a_log_that_is_told_twice_or_not_at_all_is_refused(
    shop: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    paths = '[tables.paths]\nsource = "p.csv"\n[[models]]\nmodel = "Linear"\n'
    (shop / "log" / "paths.toml").write_text(paths, encoding="utf-8")
    for command in (("monitor", "model"), ("score", "model", "--out", "none")):
        capsys.readouterr()
        assert call(monkeypatch, *command, *arguments) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert not (shop / "none" / "manifest.json").exists()


def test_how_columns_are_written_is_said_in_one_place(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in (("--canonical",), ("--time-zone", "Europe/Paris")):
        assert call(monkeypatch, "score", "model", "--tables", "log/tables.toml", "--out", "none", *more) == 2
        assert f"{more[0]} says it again" in capsys.readouterr().err

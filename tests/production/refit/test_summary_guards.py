"""Guards of daily summaries, and of what is monitored on them: a channel that is gone is seen the next day."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import attribution as at
from attribution.errors import InputError
from attribution.models.saved import Definition, Scorer, Training
from attribution.production.monitoring import DriftOptions
from attribution.production.refit import SummaryStore, day_name
from attribution.schema.experiment import JourneyOptions
from tests.cli.test_cli import call
from tests.production.scoring.test_scoring_guards import DAY, DAYS, FIRST, START, Log, shop, whole, without

pytestmark = pytest.mark.filterwarnings("ignore")

EXPERIMENT = """
name = "nightly"
[tables.touchpoints]
source = "touchpoints.parquet"
[tables.conversions]
source = "conversions.parquet"
[tables.costs]
source = "costs.csv"
[journeys]
lookback_days = 10
[[models]]
model = "LastTouch"
[tracking]
enabled = false
"""

Run = Callable[..., tuple[int, str, str]]


def write(folder: Path, data: Log, *, touched: int = 0, converted: int = 0, days: int = DAYS) -> None:
    touchpoints, conversions = whole(data, days).values()
    touchpoints = touchpoints[touchpoints["touched_at"] >= START + touched * DAY]
    conversions = conversions[conversions["converted_at"] >= START + converted * DAY]
    touchpoints.to_parquet(folder / "touchpoints.parquet", index=False)
    conversions.to_parquet(folder / "conversions.parquet", index=False)


def write_costs(folder: Path, days: int) -> None:
    dates = [day_name(FIRST + day) for day in range(days)]
    pd.DataFrame({"channel": "search", "amount": 10.0, "day": dates}).to_csv(folder / "costs.csv", index=False)


@pytest.fixture(scope="module")
def data() -> Log:
    return shop()


@pytest.fixture(scope="module")
def template(data: Log, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All but the last day, summarised."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "nightly.toml").write_text(EXPERIMENT, encoding="utf-8")
    write(folder, data, days=DAYS - 1)
    write_costs(folder, DAYS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call(patch, "summarise", "nightly.toml", "--to", "sums") == 0
    return folder


@pytest.fixture
def job(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = call(monkeypatch, *arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


SUMMARISE = ("summarise", "nightly.toml", "--to", "sums")
MONITOR = ("monitor", "sums", "--training-days", "28")


def test_a_night_without_a_fault_says_nothing(job: Run, data: Log, tmp_path: Path) -> None:
    write(tmp_path, data)
    assert job(*SUMMARISE)[::2] == (0, "")
    before = (tmp_path / "sums" / "inputs.json").read_bytes()
    assert job(*SUMMARISE)[::2] == (0, "")
    assert (tmp_path / "sums" / "inputs.json").read_bytes() == before
    code, out, err = job(*MONITOR, "--json")
    document = json.loads(out)
    assert (code, err, document["guards_hold"], document["drifted"]) == (0, "", True, False)
    assert {row["guard"] for row in document["guards"]} == {
        *("clock", "freshness", "volume", "unattributed", "unknown_channels")
    }


def test_volumes_are_those_of_the_log(job: Run, data: Log, tmp_path: Path) -> None:
    write(tmp_path, data)
    job(*SUMMARISE)
    volumes = SummaryStore.open(tmp_path / "sums").read_log_state().volumes
    names, counts = volumes.count(FIRST, FIRST + DAYS - 1)
    at_day = (data[0]["touched_at"] - START) // pd.Timedelta(days=1)
    expected = pd.crosstab(at_day, data[0]["channel"])
    assert names == tuple(expected.columns)
    np.testing.assert_array_equal(counts, expected.to_numpy())
    # A rolling log tells of its own days only, and the others stay.
    write(tmp_path, without(data, "mail", 40), touched=30, converted=30)
    job(*SUMMARISE)
    rolled = SummaryStore.open(tmp_path / "sums").read_log_state().volumes.count(FIRST, FIRST + DAYS - 1)[1]
    is_gone = np.arange(DAYS) >= 40
    np.testing.assert_array_equal(rolled[~is_gone], counts[~is_gone])
    assert rolled[is_gone, names.index("mail")].sum() == 0


def test_two_large_channels_that_are_gone_are_seen_the_next_day(job: Run, data: Log, tmp_path: Path) -> None:
    """Journeys do not show it yet: those without a conversion close ten days later."""
    gone = without(without(data, "search", DAYS - 1), "social", DAYS - 1)
    write(tmp_path, gone)
    code, _, err = job(*SUMMARISE)
    assert code == 3
    for channel in ("search", "social"):
        assert f"Touchpoints of {channel} on {day_name(FIRST + DAYS - 1)}: 0; " in err
    assert err.endswith("The summaries were written all the same.\n")
    state = SummaryStore.open(tmp_path / "sums").read_log_state()
    assert {row["channel"] for row in state.guards} == {"search", "social"}
    code, out, err = job(*MONITOR, "--json", "--out", "watch")
    document = json.loads(out)
    assert (code, document["drifted"], document["guards_hold"]) == (3, False, False)
    psi = next(row["psi"] for row in document["drift"] if row["measure"] == "channel_mix" and row["channel"] is None)
    assert psi < 0.01
    assert {row["channel"] for row in document["guards"] if row["holds"] is False} == {"search", "social"}
    assert "Touchpoints of search" in err
    table = pd.read_parquet(tmp_path / "watch" / "guards.parquet")
    assert set(table.loc[table["holds"].eq(False), "channel"]) == {"search", "social"}
    assert set(pd.read_csv(tmp_path / "watch" / "dictionary.csv")["table"]) >= {"drift", "guards"}
    # The same again says the same, and a channel that is paused is not missed.
    assert job(*SUMMARISE)[0] == 3
    (tmp_path / "thresholds.toml").write_text('paused_channels = ["search", "social"]\n')
    for command in (SUMMARISE, MONITOR):
        assert job(*command, "--thresholds", "thresholds.toml")[::2] == (0, "")


def test_a_model_is_monitored_by_what_comes_as_well(job: Run, data: Log, tmp_path: Path) -> None:
    """A log and daily summaries of it give the same volumes, bounds and verdicts."""
    sources = at.load_sources(**whole(data, 40))
    journeys = at.build_journeys(sources, lookback_days=10.0)
    definition = Definition(JourneyOptions(lookback_days=10.0), training=Training.of(sources, journeys))
    Scorer.of(at.LastTouch().fit(journeys), name="shop", definition=definition).save(tmp_path / "model")
    write(tmp_path, without(data, "mail", DAYS - 1))
    job(*SUMMARISE)
    logs = ("--touchpoints", "touchpoints.parquet", "--conversions", "conversions.parquet")
    told = [job(*command, "--json") for command in (("monitor", "model", *logs), MONITOR)]
    volumes = [[row for row in json.loads(out)["guards"] if row["guard"] == "volume"] for _, out, _ in told]
    assert [code for code, _, _ in told] == [3, 3]
    assert volumes[0] == volumes[1]
    assert {row["channel"] for row in volumes[0] if row["holds"] is False} == {"mail"}


def test_what_happened_within_the_recent_days_is_seen_by_a_weekly_monitor(job: Run, data: Log, tmp_path: Path) -> None:
    touchpoints = data[0]
    at_day = (touchpoints["touched_at"] - START) // pd.Timedelta(days=1)
    lost = touchpoints[~((touchpoints["channel"] == "search") & (at_day == DAYS - 4))]
    write(tmp_path, (lost, data[1]))
    job(*SUMMARISE)
    code, out, _ = job(*MONITOR, "--json")
    rows = [row for row in json.loads(out)["guards"] if row["holds"] is False]
    assert (code, [(row["channel"], row["day"]) for row in rows]) == (3, [("search", day_name(FIRST + DAYS - 4))])
    through = day_name(FIRST + DAYS - 5)
    assert job(*MONITOR, "--through", through)[0] == 0


def test_new_channels_and_costs_that_end_early_are_named(job: Run, data: Log, tmp_path: Path) -> None:
    touchpoints = data[0].copy()
    is_late = (touchpoints["touched_at"] >= START + (DAYS - 5) * DAY) & (touchpoints["channel"] == "mail")
    touchpoints.loc[is_late, "channel"] = "e-mail"
    write(tmp_path, (touchpoints, data[1]))
    write_costs(tmp_path, DAYS - 4)
    job(*SUMMARISE)
    code, out, err = job(*MONITOR, "--costs", "costs.csv", "--json")
    rows = {row["guard"]: row for row in json.loads(out)["guards"] if row["holds"] is False}
    assert code == 3
    assert set(rows) == {"freshness", "volume", "unknown_channels"}
    assert (rows["freshness"]["table"], rows["freshness"]["value"]) == ("costs", 3.0)
    assert "e-mail" in rows["unknown_channels"]["says"]
    assert "Costs end on" in err
    # The experiment says the same of its costs.
    _, out, _ = job(*MONITOR, "--costs", "nightly.toml", "--json")
    assert any(row["table"] == "costs" and row["holds"] is False for row in json.loads(out)["guards"])


def test_late_rows_beyond_the_window_say_which_days_are_due(job: Run, data: Log, tmp_path: Path) -> None:
    late = data[0].iloc[[0]].assign(touched_at=START + 32 * DAY)
    write(tmp_path, (pd.concat([data[0], late]), data[1]), touched=30, converted=30)
    code, _, err = job(*SUMMARISE)
    assert FIRST + 22 in SummaryStore.open(tmp_path / "sums").read_log_state().stale
    first = day_name(FIRST + 22)
    assert code == 3
    begin = day_name(FIRST + 2)
    assert f"`attribution summarise --from {first}` is due, with tables that begin on {begin} or earlier" in err
    write(tmp_path, (pd.concat([data[0], late]), data[1]), touched=2, converted=2)
    assert job(*SUMMARISE, "--from", first)[0] == 0


def test_a_short_history_names_the_days_that_it_kept(job: Run, data: Log, tmp_path: Path) -> None:
    write(tmp_path, data, days=DAYS - 1, touched=52, converted=52)
    code, _, err = job(*SUMMARISE)
    assert code == 3
    assert "6 days stay as they were: 2024-04-22 to 2024-04-27. Give touchpoints from 2024-04-12 on." in err


def test_a_log_that_was_made_anew_restates_many_days(job: Run, data: Log, tmp_path: Path) -> None:
    renamed = data[0].assign(channel=data[0]["channel"].replace("social", "Social Ads"))
    write(tmp_path, (renamed, data[1]))
    code, _, err = job(*SUMMARISE)
    assert (code, "A tenth of the credit or more has changed on" in err) == (3, True)
    assert job(*SUMMARISE)[0] == 3
    (tmp_path / "thresholds.toml").write_text("restated_days = 60\n")
    assert job(*SUMMARISE, "--thresholds", "thresholds.toml")[::2] == (0, "")


def test_ids_that_no_longer_meet_leave_conversions_unattributed(job: Run, data: Log, tmp_path: Path) -> None:
    touchpoints = data[0].copy()
    is_late = touchpoints["touched_at"] >= START + (DAYS - 5) * DAY
    touchpoints.loc[is_late, "customer_id"] = "C-" + touchpoints["customer_id"]
    write(tmp_path, (touchpoints, data[1]))
    code, _, err = job(*SUMMARISE)
    assert (code, "have no touchpoint" in err) == (3, True)
    code, out, _ = job(*MONITOR, "--json")
    rows = {row["guard"]: row for row in json.loads(out)["guards"] if row["holds"] is False}
    assert (code, set(rows)) == (3, {"unattributed"})


def test_a_day_that_is_due_and_a_folder_of_before(job: Run, data: Log, tmp_path: Path) -> None:
    """A folder that an earlier version wrote knows neither volumes nor when it was written."""
    code, _, err = job(*SUMMARISE, "--due", day_name(FIRST + DAYS + 3), "--dry-run")
    assert (code, "No touchpoints have come since" in err) == (3, True)
    path = tmp_path / "sums" / "inputs.json"
    from attribution.production.refit.definition import digest_of

    content = json.loads(path.read_text())
    for name in ("digest", "volumes", "guards", "summarised_at"):
        content.pop(name)
    path.write_text(json.dumps({**content, "digest": digest_of(content)}))
    for beside in (tmp_path / "sums").glob("volumes-*.parquet"):
        beside.unlink()
    code, out, _ = job(*MONITOR, "--json")
    assert code == 0
    assert "volume" not in {row["guard"] for row in json.loads(out)["guards"]}
    write(tmp_path, data)
    assert job(*SUMMARISE)[::2] == (0, "")
    assert len(list((tmp_path / "sums").glob("volumes-*.parquet"))) == 1


def test_volumes_that_were_changed_are_refused(job: Run, tmp_path: Path) -> None:
    (path,) = (tmp_path / "sums").glob("volumes-*.parquet")
    table = pd.read_parquet(path)
    table["touchpoints"] += 1
    table.to_parquet(path, index=False)
    code, _, err = job(*MONITOR)
    assert (code, "was changed or cut off" in err) == (2, True)


# ------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ((*SUMMARISE, "--from", "2024-04-02", "--through", "2024-04-01"), "--from is after --through"),
        ((*SUMMARISE, "--due", "tomorrow"), "--due must be a day"),
        ((*MONITOR, "--significance", "2"), "the significance level is no probability"),
        ((*MONITOR, "--significance", "1"), "the significance level is no probability"),
        ((*MONITOR, "--significance", "nan"), "the significance level is no probability"),
        ((*MONITOR, "--thresholds", "none.toml"), "none.toml"),
    ],
)
def test_what_cannot_be_asked_is_refused(job: Run, command: tuple[str, ...], message: str) -> None:
    code, out, err = job(*command)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_level_is_a_probability() -> None:
    for level in (0.0, 1.0, 1.5, -0.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="no probability"):
            DriftOptions(level=level)

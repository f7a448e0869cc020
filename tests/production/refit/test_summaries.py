"""Daily summaries: days add up to what a fit on the log gives, and damaged ones are refused."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attribution as at
from attribution.errors import InputError
from attribution.journeys import DAY, journeys_by_day
from attribution.kernels.statistics.sums import to_float
from attribution.production.refit import (
    Definition,
    SummaryStore,
    day_name,
    day_number,
    read_day,
    read_window,
    refit,
    summarise_days,
)
from attribution.production.refit import store as day_files
from attribution.production.refit.days import DayTables
from attribution.production.refit.recode import recode_tables
from tests.daily_logs import CHANNELS, log_of

START = day_number(dt.date(2024, 3, 1))
DAYS = 40

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"lookback_days": 5},
    "cumulative": {"lookback_days": 5, "conversions": "cumulative"},
    "first_only": {"lookback_days": 5, "conversions": "first_only"},
    "windows": {"lookback_days": 6, "lookback_by_kind": {"impression": 2}, "lookback_by_channel": {"search": 9}},
    "refined": {"lookback_days": 5, "dedupe": "consecutive", "view_through": "clicks_dominate", "max_touchpoints": 3},
    "frequency": {"lookback_days": 5, "transform": "frequency"},
}


def all_models() -> list[at.AttributionModel]:
    return [
        at.FirstTouch(),
        at.LastTouch(),
        at.LastNonDirect(),
        at.TimeDecay(half_life_days=2),
        at.PositionBased(),
        at.LinearDistinct(),
        at.Markov(),
        at.Markov(order=3),
        at.Markov(order="auto"),
        at.Shapley(),
    ]


@pytest.fixture(scope="module")
def log() -> tuple[pd.DataFrame, pd.DataFrame]:
    return log_of(DAYS)


def store_of(folder: Path, options: dict[str, Any]) -> SummaryStore:
    return SummaryStore.of(folder, Definition("nightly", options, [], "", "channel"))


def write(store: SummaryStore, log: tuple[pd.DataFrame, pd.DataFrame], first: int, last: int) -> list[int]:
    journeys = journeys_by_day(at.load_sources(*log), **store.definition.journeys)
    days = summarise_days(journeys, all_models(), first, last)
    with store.locked():
        return [day for day, tables in days.items() if store.write(day, tables, journeys.channels)]


def fitted_on_log(log: tuple[pd.DataFrame, pd.DataFrame], first: int, last: int, **options: Any) -> pd.DataFrame:
    """The oracle: the same days fitted from raw events, what came before serving as history."""
    period = at.Period(start=dt.date.fromisoformat(day_name(first)), end=dt.date.fromisoformat(day_name(last)))
    return at.attribute(at.build_journeys(at.load_sources(*log), period=period, **options), all_models()).table


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert found[["model", "channel"]].to_numpy().tolist() == expected[["model", "channel"]].to_numpy().tolist()
    for what in ("conversions", "value"):
        np.testing.assert_allclose(found[what], expected[what], rtol=1e-12, atol=1e-12)


# ------------------------------------------------------------ days add up


@pytest.mark.parametrize("name", OPTIONS)
def test_a_refit_from_days_is_a_refit_from_raw_events(
    name: str, log: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    store = store_of(tmp_path, OPTIONS[name])
    write(store, log, START, START + DAYS - 2)
    first, last = START + 9, START + DAYS - 4
    models = all_models()
    credit = refit(read_window(store, models, first, last), models)
    expected = fitted_on_log(log, first, last, **OPTIONS[name])
    assert expected["conversions"].sum() > 100
    assert_same(credit.table, expected)


def test_quiet_days_are_fitted_as_the_log_is(tmp_path: Path) -> None:
    """A day on which nobody touched, one of a conversion that came from nowhere, and days with all."""

    def at_hour(hour: int) -> np.datetime64:
        return np.datetime64("2024-03-01", "us") + np.timedelta64(hour, "h")

    touched = {
        "customer_id": [1, 2, 3],
        "touched_at": [at_hour(1), at_hour(2), at_hour(49)],
        "channel": ["a", "b", "a"],
    }
    ordered = {
        "customer_id": [1, 9, 3],
        "converted_at": [at_hour(9), at_hour(25), at_hour(80)],
        "value": [1.0, 2.0, 4.0],
    }
    quiet = pd.DataFrame(touched), pd.DataFrame(ordered)
    store = store_of(tmp_path, {})
    write(store, quiet, START, START + 3)
    for first, last in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 3)):
        models = all_models()
        credit = refit(read_window(store, models, START + first, START + last), models)
        assert_same(credit.table, fitted_on_log(quiet, START + first, START + last))


def test_open_journeys_belong_to_no_day_that_is_over(log: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    store = store_of(tmp_path, {"lookback_days": 5, "open_journeys": "drop"})
    write(store, log, START, START + DAYS - 2)
    window = read_window(store, all_models(), START, START + DAYS - 2)
    last = pd.Timestamp("2024-03-01") + pd.Timedelta(days=DAYS - 1)
    ended = log[1][log[1]["converted_at"] < last]
    assert window.observed[0].number("conversions") == len(ended)
    assert window.observed[0].number("open") == 0


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 200), st.booleans()), min_size=1, max_size=25),
    st.integers(1, 60),
)
def test_every_journey_is_booked_on_its_day(events: list[tuple[int, int, bool]], window_hours: int) -> None:
    """A slow twin: a conversion on its day, what it left over one window after the last touchpoint."""
    hour = 3_600_000_000
    begin = START * DAY
    rows = sorted({(customer, at_hour, sale) for customer, at_hour, sale in events if not sale} | {(0, 0, False)})
    sales = sorted({(customer, at_hour) for customer, at_hour, sale in events if sale} | {(9, 1)})
    expected = []
    for customer in {row[0] for row in rows} | {sale[0] for sale in sales}:
        waiting: list[int] = []
        happened = sorted(
            [(at_hour, 0) for who, at_hour, _ in rows if who == customer]
            + [(at_hour, 1) for who, at_hour in sales if who == customer]
        )
        for moment, is_sale in happened:
            if waiting and moment - waiting[-1] > window_hours:
                expected.append(waiting[-1] + window_hours)
                waiting = []
            if is_sale:
                # What lies further back than the window was not used, and closed before or closes on its own.
                unused = [one for one in waiting if moment - one > window_hours]
                if unused:
                    expected.append(unused[-1] + window_hours)
                expected.append(moment)
                waiting = []
            else:
                waiting.append(moment)
        if waiting:
            expected.append(waiting[-1] + window_hours)
    touchpoints = pd.DataFrame(
        {
            "customer_id": [row[0] for row in rows],
            "touched_at": pd.to_datetime([begin + row[1] * hour for row in rows], unit="us"),
            "channel": "mail",
        }
    )
    conversions = pd.DataFrame(
        {
            "customer_id": [sale[0] for sale in sales],
            "converted_at": pd.to_datetime([begin + sale[1] * hour for sale in sales], unit="us"),
        }
    )
    journeys = journeys_by_day(at.load_sources(touchpoints, conversions), lookback_days=window_hours / 24)
    found = sorted(int(day) for chunk in journeys for day in chunk.bucket)
    assert found == sorted(START + one // 24 for one in expected)


def test_days_written_one_by_one_are_those_written_at_once(
    log: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    """A nightly job sees the log as it is then.

    A conversion may leave touchpoints behind that were thought to be of a journey still open: they closed up to a
    window before, so that a job writes the days of one window again.
    """
    once, nightly = (store_of(tmp_path / name, OPTIONS["plain"]) for name in ("once", "nightly"))
    write(once, log, START, START + 19)
    for day in range(20):
        until = pd.Timestamp("2024-03-01") + pd.Timedelta(days=day + 1)
        so_far = log[0][log[0]["touched_at"] < until], log[1][log[1]["converted_at"] < until]
        if len(so_far[1]) == 0:
            so_far = so_far[0], log[1].iloc[:1].assign(customer_id=-1, converted_at=until - pd.Timedelta(seconds=1))
        write(nightly, so_far, max(START, START + day - 5), START + day)
    models = all_models()
    found, expected = (
        refit(read_window(store, models, START + 5, START + 19, channels=tuple(sorted(CHANNELS))), models).table
        for store in (nightly, once)
    )
    assert_same(found, expected)


# ------------------------------------------------------------ channels that come and go


@pytest.mark.parametrize("many", [False, True])
def test_recoded_sums_are_those_of_journeys_with_the_other_channels(many: bool) -> None:
    names = tuple(sorted(f"c{number:03}" for number in range(70))) if many else ("b", "d", "e")
    further = tuple(sorted({*names, "a", "c", "z", *(f"c{number:03}x" for number in range(0, 70, 3) if many)}))
    touchpoints, conversions = log_of(20, customers=150, channels=names)
    padding = pd.DataFrame(
        {
            "customer_id": -1 - np.arange(len(further)),
            "touched_at": pd.Timestamp("2024-03-01"),
            "channel": list(further),
            "kind": "click",
        }
    )
    padding_of_names = padding[padding["channel"].isin(names)]
    tables: list[DayTables] = []
    for more in (padding_of_names, padding):
        journeys = journeys_by_day(at.load_sources(pd.concat([touchpoints, more]), conversions), lookback_days=3)
        # Padding closes on the third day; the tenth has the same journeys in both.
        tables.append(summarise_days(journeys, all_models(), START + 9, START + 9)[START + 9])
    moved = recode_tables(tables[0], names, further, all_models())
    assert moved.keys() == tables[1].keys()
    for name, table in tables[1].items():
        order = np.lexsort(moved[name].keys.T[::-1])
        assert moved[name].keys[order].tolist() == table.keys.tolist(), name
        assert to_float(moved[name].sums)[order].tolist() == to_float(table.sums).tolist(), name


def test_a_new_channel_does_not_make_old_days_unreadable(tmp_path: Path) -> None:
    touchpoints, conversions = log_of(DAYS)
    late = touchpoints["touched_at"] >= "2024-03-15"
    touchpoints.loc[late & (touchpoints["customer_id"] % 5 == 0), "channel"] = "affiliate"
    store = store_of(tmp_path, OPTIONS["plain"])
    before = touchpoints[~late], conversions[conversions["converted_at"] < "2024-03-15"]
    write(store, before, START, START + 12)
    write(store, (touchpoints, conversions), START + 13, START + DAYS - 2)
    assert "affiliate" not in store.read(START + 12).channels
    models = all_models()
    found = refit(read_window(store, models, START + 3, START + 30), models).table
    assert_same(found, fitted_on_log((touchpoints, conversions), START + 3, START + 30, **OPTIONS["plain"]))


def test_sums_that_only_their_model_can_read_are_not_recoded() -> None:
    class Own(at.Linear):
        def summarise(self, chunk: at.JourneyChunk) -> at.Summary:
            return at.Summary({"own": super().summarise(chunk).tables["conversions"]})

    tables = {"2/own": next(iter(day_of(log_of(5)).values()))}
    with pytest.raises(InputError, match="keeps its own sums"):
        recode_tables(tables, ("a",), ("a", "b"), [Own()])


def day_of(log: tuple[pd.DataFrame, pd.DataFrame]) -> DayTables:
    journeys = journeys_by_day(at.load_sources(*log), lookback_days=2)
    return summarise_days(journeys, [at.Linear()], START + 3, START + 3)[START + 3]


# ------------------------------------------------------------ files


@pytest.fixture
def written(log: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> SummaryStore:
    store = store_of(tmp_path / "sums", OPTIONS["plain"])
    write(store, log, START, START + 19)
    return store


def path_of(store: SummaryStore, day: int) -> Path:
    return store.folder / f"day={day_name(day)}" / "summary.parquet"


def test_a_day_comes_back_as_it_was_written(written: SummaryStore, log: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    journeys = journeys_by_day(at.load_sources(*log), **OPTIONS["plain"])
    tables = summarise_days(journeys, all_models(), START + 8, START + 8)[START + 8]
    found = read_day(path_of(written, START + 8))
    assert (found.day, found.channels) == (START + 8, journeys.channels)
    assert found.tables.keys() == tables.keys()
    for name, table in tables.items():
        assert found.tables[name].keys.tolist() == table.keys.tolist()
        assert to_float(found.tables[name].sums).tolist() == to_float(table.sums).tolist()


def test_the_same_day_written_again_has_the_same_bytes(
    written: SummaryStore, log: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    again = store_of(tmp_path / "again", OPTIONS["plain"])
    shuffled = log[0].sample(frac=1, random_state=1), log[1].sample(frac=1, random_state=1)
    write(again, shuffled, START, START + 19)
    for day in range(START, START + 20):
        assert path_of(written, day).read_bytes() == path_of(again, day).read_bytes()
    assert write(written, log, START, START + 19) == []


def test_a_late_conversion_changes_the_days_it_touches_and_no_others(
    written: SummaryStore, log: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    touched = log[0].query("'2024-03-08' <= touched_at < '2024-03-09'").iloc[0]
    late = pd.DataFrame(
        {"customer_id": [touched["customer_id"]], "converted_at": [pd.Timestamp("2024-03-09 12:00")], "value": [7.0]}
    )
    before = {day: path_of(written, day).read_bytes() for day in written.days}
    changed = write(written, (log[0], pd.concat([log[1], late])), START, START + 19)
    assert START + 8 in changed
    # It may take touchpoints from a journey that would have closed, or converted, within a window.
    assert set(changed) <= set(range(START + 8, START + 8 + 12))
    assert all(path_of(written, day).read_bytes() == before[day] for day in written.days if day not in changed)


def tampered(path: Path) -> None:
    table = pq.read_table(path, partitioning=None)
    limbs = table["limbs"].to_pylist()
    limbs[0][0] += 1
    column = table.schema.get_field_index("limbs")
    pq.write_table(table.set_column(column, "limbs", [limbs]).replace_schema_metadata(table.schema.metadata), path)


def newer(path: Path) -> None:
    table = pq.read_table(path, partitioning=None)
    head = json.loads(table.schema.metadata[b"attribution"]) | {"schema_version": 2}
    pq.write_table(table.replace_schema_metadata({b"attribution": json.dumps(head).encode()}), path)


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "tampered": (tampered, "its checksum differs"),
    "newer": (newer, "format 2.*Allowed: format 1"),
    "half copied": (lambda path: path.write_bytes(path.read_bytes()[:-200]), "is not a daily summary"),
    "empty": (lambda path: path.write_bytes(b""), "is not a daily summary"),
    "missing": (lambda path: path.unlink(), "days are missing"),
    "no summary": (lambda path: pd.DataFrame({"a": [1]}).to_parquet(path), "is not a daily summary"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_day_is_refused(name: str, written: SummaryStore) -> None:
    damage, message = DAMAGE[name]
    damage(path_of(written, START + 8))
    with pytest.raises(InputError, match=message):
        read_window(written, all_models(), START + 5, START + 12)


def test_a_day_in_another_day_s_place_is_refused(written: SummaryStore) -> None:
    path_of(written, START + 8).write_bytes(path_of(written, START + 9).read_bytes())
    with pytest.raises(InputError, match="does not belong there"):
        read_window(written, all_models(), START + 5, START + 12)


def test_days_of_other_settings_do_not_add_up(written: SummaryStore) -> None:
    with pytest.raises(InputError, match="have other settings: journeys"):
        store_of(written.folder, {"lookback_days": 6})


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"schema_version": 1, "name": "x", "definition": {"a": 1}}'])
def test_a_folder_that_holds_something_else_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "summaries.json").write_text(content)
    with pytest.raises(InputError, match="has no daily summaries"):
        SummaryStore.open(tmp_path)
    with pytest.raises(InputError, match="has no daily summaries"):
        store_of(tmp_path, {})


def test_summaries_of_a_later_version_are_refused(written: SummaryStore) -> None:
    head = json.loads((written.folder / "summaries.json").read_text())
    (written.folder / "summaries.json").write_text(json.dumps(head | {"schema_version": 2}))
    with pytest.raises(InputError, match="does not read"):
        SummaryStore.open(written.folder)


def test_a_full_disk_leaves_the_old_day(written: SummaryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path_of(written, START + 8).read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(day_files.pq, "write_table", full)
    with pytest.raises(InputError, match="no space is left"):
        written.write(START + 8, {}, ("a",))
    assert path_of(written, START + 8).read_bytes() == before
    assert sorted(path.name for path in path_of(written, START + 8).parent.iterdir()) == ["summary.parquet"]


def test_two_jobs_at_once_are_refused(written: SummaryStore) -> None:
    other = (
        "import sys; from pathlib import Path; from attribution.production.refit import SummaryStore\n"
        "with SummaryStore.open(Path(sys.argv[1])).locked(): print('got it')"
    )
    command = [sys.executable, "-c", other, str(written.folder)]
    with written.locked():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "another job is writing" in done.stderr
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == "got it\n"


# ------------------------------------------------------------ what has no days


def test_what_has_no_days_is_refused() -> None:
    paths = at.load_sources(paths=pd.DataFrame({"path": ["a"], "conversions": [1]}))
    with pytest.raises(InputError, match="aggregated paths have no times"):
        journeys_by_day(paths)
    positions = at.load_sources(
        pd.DataFrame({"customer_id": [1], "touched_at": [1], "channel": ["a"]}),
        pd.DataFrame({"customer_id": [1], "converted_at": [2]}),
    )
    with pytest.raises(InputError, match="the times of this log are integers"):
        journeys_by_day(positions)
    with pytest.raises(InputError, match="never closes"):
        journeys_by_day(at.load_sources(*log_of(5)), lookback_days=1e9)


def test_models_of_the_never_touched_are_refused() -> None:
    journeys = journeys_by_day(at.load_sources(*log_of(5)))
    with pytest.raises(InputError, match="belong to no day"):
        summarise_days(journeys, [at.Shapley(game="rate")], START, START + 1)

"""What a job puts into its output folder: what it tells of a day, what changed, and the numbers of its revisions."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import attribution as at
from attribution.models.saved import Definition, Scorer
from attribution.production.guards import GuardResult, Thresholds, Timing
from attribution.production.scoring.days import Input, day_name, day_number
from attribution.production.scoring.publication import day_entry, restated
from attribution.production.scoring.row_inputs import _describe
from attribution.production.scoring.scoring_guards import ScoringGuards
from attribution.production.scoring.volumes import Volumes, rows_by_day
from attribution.schema.experiment import JourneyOptions
from tests.production.scoring.test_choice_of_days import RESET, full, known
from tests.production.scoring.test_versions_in_effect import MAY, log, made, manifest_of, night

pytestmark = pytest.mark.filterwarnings("ignore")

Rows = list[tuple[str, str, float, float]]


def credit_of(rows: Rows) -> pa.Table:
    columns = ("conversion_id", "channel", "credit", "credited_value")
    types = (pa.string(), pa.string(), pa.float64(), pa.float64())
    cells = [[row[place] for row in rows] for place in range(4)]
    return pa.table({name: pa.array(of, kind) for name, of, kind in zip(columns, cells, types, strict=True)})


def moved(before: Rows, after: Rows) -> list[tuple[Any, ...]]:
    table = restated(credit_of(before), credit_of(after), day="2026-05-01", revision=7)
    assert set(table["revision"].to_pylist()) <= {7}
    assert set(table["day"].to_pylist()) <= {"2026-05-01"}
    names = ("channel", "conversions_before", "conversions_after", "value_before", "value_after", "conversions_changed")
    return [tuple(row[name] for name in names) for row in table.to_pylist()]


def test_a_restatement_has_the_channels_of_which_a_conversion_changed() -> None:
    before = [("1", "search", 0.5, 5.0), ("1", "mail", 0.5, 5.0), ("2", "mail", 1.0, 3.0), ("3", "radio", 1.0, 2.0)]
    after = [("1", "search", 0.75, 7.5), ("1", "mail", 0.25, 2.5), ("2", "mail", 1.0, 3.0), ("3", "radio", 1.0, 2.0)]
    new = [("4", "tv", 1.0, 0.0)]
    assert moved(before, after + new) == [
        ("mail", 1.5, 1.25, 8.0, 5.5, 1),
        ("search", 0.5, 0.75, 5.0, 7.5, 1),
        ("tv", 0.0, 1.0, 0.0, 0.0, 1),
    ]
    assert moved(new, []) == [("tv", 1.0, 0.0, 0.0, 0.0, 1)]
    assert moved([], []) == []


@pytest.mark.parametrize(
    ("credit", "value", "by", "counts"),
    [
        (1.0, 1.0, (5e-13, 0.0), 0),
        (1.0, 1.0, (-3e-12, 0.0), 1),
        (0.0, 0.1, (0.0, 5e-13), 0),
        (0.0, 0.1, (0.0, -1.5e-12), 1),
        (0.0, 1e6, (0.0, 1e-7), 0),
        (0.0, -1e6, (0.0, 1e-7), 0),
        (0.0, 1e6, (0.0, 1e-5), 1),
    ],
)
def test_what_differs_by_rounding_alone_has_not_changed(
    credit: float, value: float, by: tuple[float, float], counts: int
) -> None:
    rows = moved([("1", "tv", credit, value)], [("1", "tv", credit + by[0], value + by[1])])
    assert len(rows) == counts


@pytest.mark.parametrize(("baseline", "told"), [([], {}), ([0.25, 0.5], {"baseline": 0.75})])
def test_an_entry_tells_rows_conversions_and_what_no_channel_has(
    tmp_path: Path, baseline: list[float], told: dict[str, float]
) -> None:
    rows: Rows = [("1", "mail", 0.75, 1.0), ("2", "mail", 0.5, 1.0), ("3", "(unattributed)", 1.0, 1.0)]
    rows += [(str(number), "(baseline)", part, 1.0) for number, part in enumerate(baseline, 1)]
    (tmp_path / "file").write_bytes(b"abc")
    assert day_entry(tmp_path / "file", credit_of(rows), "7/zero") == {
        "sha256": hashlib.sha256(b"abc").hexdigest(),
        "bytes": 3,
        "rows": 3 + len(baseline),
        "conversions": 3,
        "unattributed": 1,
        **told,
        "made_by": "7/zero",
    }
    assert day_entry(tmp_path / "file", credit_of([]), "")["unattributed"] == 0


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return made(tmp_path_factory.mktemp("model") / "shop", at.Linear(), Definition(JourneyOptions(lookback_days=2)))


def test_revisions_are_counted_from_one_and_only_where_something_changed(scorer: Scorer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    planned = night(out, scorer, log(), dry_run=True)
    assert (planned.revision, planned.written, planned.conversions, planned.rows) == (0, tuple(MAY), 0, 0)
    first = night(out, scorer, log())
    assert (first.revision, first.conversions, first.rows, first.written) == (1, 10, 20, tuple(MAY))
    assert manifest_of(out)["revision"] == 1
    assert first.restatement.empty
    again = night(out, scorer, log())
    assert (again.revision, again.conversions, again.written) == (1, 0, ())
    assert night(out, scorer, log(), dry_run=True).revision == 1
    # Customers are touched by a new channel on the days of their orders.
    late = night(out, scorer, log(("2026-05-02", "tv"), ("2026-05-09", "tv")))
    assert (late.revision, late.conversions, late.rows) == (2, 2, 6)
    assert late.unknown_channels == {"tv": 2}
    days = manifest_of(out)["days"]
    assert [days[day]["unknown"] for day in MAY] == [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    assert sorted(path.parent.name for path in (out / "restatement").rglob("*.parquet")) == ["revision=000002"]
    assert late.restatement["conversions_changed"].tolist() == [1] * 6
    assert late.restatement["conversions_before"].tolist() == [0.5, 0.5, 0.0] * 2
    # How far the touchpoints reach back before the first day that was scored.
    (history,) = (row for row in late.guards if row.guard == "history")
    assert history.says == "no touchpoints before 2026-05-01 are known to exist."
    assert history == GuardResult("history", "touchpoints", None, "2026-05-02", 1, 1.0, None, 2.0, None, history.says)
    again = night(out, scorer, log(("2026-05-02", "tv"), ("2026-05-09", "radio")))
    (history,) = (row for row in again.guards if row.guard == "history")
    assert history == GuardResult("history", "touchpoints", None, "2026-05-09", 1, 8.0, None, 2.0, True)


def orders(**moved: str) -> dict[str, pd.DataFrame]:
    """Orders ``o1`` … ``o10`` of ten days, two more on the third, and the days to which some of them ``moved``."""
    tables = log()
    ids = [f"o{number}" for number in range(1, 11)]
    conversions = tables["conversions"].assign(conversion_id=ids)
    further = pd.DataFrame({"customer_id": ["x", "y"], "converted_at": f"{MAY[2]}T10:00:00", "value": 10.0})
    conversions = pd.concat([conversions, further.assign(conversion_id=["p3", "q3"])], ignore_index=True)
    for name, day in moved.items():
        conversions.loc[conversions["conversion_id"] == name, "converted_at"] = f"{day}T09:00:00"
    return {**tables, "conversions": conversions}


def test_ids_that_an_input_leaves_outdated_are_named_once(scorer: Scorer, tmp_path: Path) -> None:
    """Touchpoints of all days, a new one among them, but orders of the last five days alone."""
    out = tmp_path / "out"
    night(out, scorer, orders())
    tables = log(("2026-05-02", "tv"))
    tables["conversions"] = orders()["conversions"].iloc[5:10]
    left = night(out, scorer, tables)
    expected = {MAY[1]: ["o2"], MAY[2]: ["o3", "p3", "q3"], MAY[3]: ["o4"]}
    assert left.outdated == expected
    rows = left.restatement[["revision", "day", "conversions_changed", "outdated_id"]].to_numpy().tolist()
    assert rows == [[2, day, 0, name] for day, names in expected.items() for name in names]
    assert left.restatement["channel"].isna().all()
    again = night(out, scorer, tables)
    assert (again.revision, again.restatement.empty, again.outdated) == (2, True, left.outdated)


def test_all_orders_of_a_day_that_an_input_ends_in_the_middle_of_are_named(scorer: Scorer, tmp_path: Path) -> None:
    """In the morning of the third day: of its orders one is gone, one is new, and two may still come."""
    out = tmp_path / "out"
    night(out, scorer, orders())
    tables = orders()
    noon = f"{MAY[2]}T09:30:00"
    new = pd.DataFrame({"customer_id": ["z"], "converted_at": [f"{MAY[2]}T09:20:00"], "conversion_id": ["new"]})
    given = tables["conversions"]
    given = given[(given["converted_at"] < noon) & (given["conversion_id"] != "o3")]
    tables["conversions"] = pd.concat([given, new], ignore_index=True)
    tables["touchpoints"] = tables["touchpoints"][tables["touchpoints"]["touched_at"] < noon]
    left = night(out, scorer, tables)
    assert (left.written, left.cut) == ((), (MAY[2],))
    assert left.outdated == {MAY[2]: ["new", "o3", "p3", "q3"]}


def test_orders_that_moved_are_taken_out_of_days_that_are_not_scored_again(scorer: Scorer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    night(out, scorer, orders())
    file = out / "journey_credit" / f"day={MAY[2]}" / "journey_credit.parquet"
    tables = orders(o2=MAY[7], p3=MAY[7])
    in_span = tables["conversions"]["converted_at"] >= MAY[5]
    tables["conversions"] = tables["conversions"][in_span]
    scored = night(out, scorer, tables)
    assert (scored.removed, scored.written, scored.revision) == ((MAY[1],), (MAY[2], MAY[7]), 2)
    assert sorted(set(pd.read_parquet(file)["conversion_id"])) == ["o3", "q3"]
    assert not (out / "journey_credit" / f"day={MAY[1]}").exists()
    days = manifest_of(out)["days"]
    assert sorted(days) == [MAY[0], *MAY[2:]]
    assert [days[day]["conversions"] for day in (MAY[2], MAY[7])] == [2, 3]
    changed = scored.restatement.set_index(["day", "channel"])[["conversions_before", "conversions_after"]]
    assert changed.loc[MAY[1]].to_numpy().tolist() == [[0.5, 0.0], [0.5, 0.0]]
    assert changed.loc[(MAY[2], "(unattributed)")].tolist() == [2.0, 1.0]


def test_nothing_is_taken_out_of_a_damaged_day(scorer: Scorer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    night(out, scorer, orders())
    file = out / "journey_credit" / f"day={MAY[2]}" / "journey_credit.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    tables = orders(o2=MAY[7])
    tables["conversions"] = tables["conversions"][tables["conversions"]["converted_at"] >= MAY[5]]
    scored = night(out, scorer, tables)
    assert (scored.damaged, scored.removed, scored.written) == ((MAY[2],), (MAY[1],), (MAY[7],))
    mended = night(out, scorer, orders())
    assert (mended.damaged, MAY[2] in mended.written, file.read_bytes() == whole) == ((), True, True)
    file.write_bytes(whole[:-1])
    again = night(out, scorer, orders())
    assert (again.written, again.restatement.empty, file.read_bytes() == whole) == ((MAY[2],), True, True)


def test_the_manifest_is_written_where_what_lasts_has_changed(scorer: Scorer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    morning = dt.datetime(2026, 5, 11, 3, tzinfo=dt.UTC)
    night(out, scorer, log(), now=morning)
    before = (out / "manifest.json").read_bytes()
    night(out, scorer, log(), now=morning + dt.timedelta(hours=1))
    assert (out / "manifest.json").read_bytes() == before
    nine = day_number(MAY[8])
    chosen = night(out, scorer, log(("2026-05-02", "tv")), first=nine, last=nine)
    assert (chosen.written, chosen.unchanged, chosen.deferred) == ((), (MAY[8],), tuple(MAY[1:4]))
    assert (chosen.revision, manifest_of(out)["deferred"]) == (1, MAY[1:4])
    planned = night(out, scorer, {**log(), "conversions": log()["conversions"].drop(4)}, dry_run=True)
    again = (*MAY[1:4], *MAY[5:7])  # those left over, and those that the order closed
    assert (planned.written, planned.removed, planned.without_history) == (again, (MAY[4],), ())
    done = night(out, scorer, log(("2026-05-02", "tv")))
    assert (done.written, done.unchanged, manifest_of(out)["deferred"]) == ((MAY[1],), (MAY[2], MAY[3]), [])


# ------------------------------------------------------------ which days are judged


def guards_of(manifest: dict[str, Any], days: range) -> ScoringGuards:
    news = Input(full(days), full(days), RESET).against(manifest.get("inputs", {}))
    now = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
    return ScoringGuards(None, news, manifest, Timing(now), Thresholds())  # type: ignore[arg-type]


def judged_days(guards: ScoringGuards, last: int | None) -> set[int]:
    return guards._days(SimpleNamespace(last_complete_day=lambda _: last))  # type: ignore[arg-type]


def test_days_that_changed_are_judged_within_a_week_of_the_last_complete_one() -> None:
    guards = guards_of({}, range(1, 30))
    assert judged_days(guards, 20) == set(range(14, 21))
    assert judged_days(guards, None) == set()
    before = {"inputs": known(full(range(1, 19)), full(range(1, 19)))}
    assert judged_days(guards_of(before, range(1, 30)), 20) == {19, 20}


def test_a_job_that_is_run_again_judges_the_days_that_failed_before() -> None:
    rows = [("volume", 15, 1), ("volume", 16, 7), ("history", 17, 1), ("unattributed", 18, 1), ("baseline", 9, 1)]
    told = [{"guard": guard, "day": day_name(day), "days": days} for guard, day, days in rows]
    manifest = {"inputs": known(full(range(1, 30)), full(range(1, 30))), "guards": told}
    assert judged_days(guards_of(manifest, range(1, 30)), 20) == {15, 18}
    assert judged_days(guards_of(manifest, range(1, 31)), 30) == {30}


@pytest.mark.parametrize(
    ("credit", "shares"),
    [
        (None, (None, None)),
        ({"mail": 6.0, "(unattributed)": 2.0}, (0.25, 0.0)),
        ({"mail": 3.0, "(baseline)": 3.0, "(unattributed)": 2.0}, (0.25, 0.5)),
        ({"mail": 6.0, "(baseline)": -3.0, "(unattributed)": 1.0}, (0.25, 0.0)),
        ({"mail": -3.0, "(baseline)": 6.0, "(unattributed)": 1.0}, (0.25, 1.0)),
        ({"mail": 0.0, "(unattributed)": 2.0}, (1.0, None)),
        ({"mail": 0.0}, (None, None)),
        ({"mail": 0.25, "(baseline)": 0.25}, (0.0, 0.5)),
    ],
)
def test_shares_in_training_are_of_all_and_of_those_that_were_touched(
    credit: dict[str, float] | None, shares: tuple[float | None, float | None]
) -> None:
    frame = None if credit is None else pd.DataFrame({"channel": [*credit], "conversions": [*credit.values()]})
    reference = {} if frame is None else {"credit": frame}
    guards = SimpleNamespace(scorer=SimpleNamespace(reference=reference))
    assert ScoringGuards._trained_shares(guards) == shares  # type: ignore[arg-type]


# ------------------------------------------------------------ small things


def test_volumes_are_counted_by_day_and_channel() -> None:
    rows = [(4, "b", 2), (3, "b", 5), (4, "a", 7), (6, "b", 1)]
    table = pa.table(
        {name: [row[place] for row in rows] for place, name in enumerate(("day", "channel", "touchpoints"))}
    )
    volumes = Volumes.of(table)
    assert volumes.table.to_pylist()[0] == {"day": 3, "channel": "b", "touchpoints": 5}
    assert volumes.days.tolist() == [3, 4, 4, 6]
    channels, counts = volumes.count(4, 6)
    assert channels == ("a", "b")
    assert counts.tolist() == [[7, 2], [0, 0], [0, 1]]
    channels, counts = volumes.count(4, 5)
    assert (channels, counts.tolist()) == (("a", "b"), [[7, 2], [0, 0]])
    assert volumes.on(volumes.days > 4).table.to_pylist() == [{"day": 6, "channel": "b", "touchpoints": 1}]
    assert Volumes.none().joined(volumes).days.tolist() == [3, 4, 4, 6]
    assert rows_by_day({3: "12-345@0-9", 4: "7-8"}) == {3: 12, 4: 7}


def test_a_long_value_is_cut_in_a_message() -> None:
    assert _describe("x" * 58, "is no text") == f"is no text: '{'x' * 58}'"
    assert _describe("x" * 59, "is no text") == f"is no text: '{'x' * 58}…"
    assert _describe(np.nan, "is no text") == "is missing"
    assert _describe(" nan ", "is no text") == "is missing"
    assert _describe(3, "is no text") == "is no text: 3"

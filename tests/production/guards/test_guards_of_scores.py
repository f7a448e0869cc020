"""Guards of scores: history, conversions without a touchpoint, unknown channels, days that changed; and thresholds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from attribution.errors import InputError
from attribution.production.guards import (
    GUARDS,
    GuardResult,
    History,
    Thresholds,
    failed_guards,
    guard_metrics,
    guard_sentences,
    guard_table,
    guards_hold,
    judge_baseline,
    judge_history,
    judge_restated,
    judge_unattributed,
    judge_unknown_channels,
    read_thresholds,
    share_moved,
)
from attribution.production.scoring.days import day_name

FIRST = 19_783


def entries(days: int, conversions: int = 200, unattributed: int = 40, **more: int) -> dict[str, dict[str, int]]:
    entry = {"conversions": conversions, "unattributed": unattributed, "rows": 3 * conversions, **more}
    return {day_name(FIRST + day): dict(entry) for day in range(days)}


# ------------------------------------------------------------ history


def test_history_reaches_back_one_window_before_a_day() -> None:
    history = History.of(range(FIRST, FIRST + 40), 30.0)
    assert not history.reaches(FIRST + 29)
    assert history.reaches(FIRST + 30)
    assert History.of(range(FIRST, FIRST + 40), 6.5).reaches(FIRST + 7)
    assert not History.of(range(FIRST, FIRST + 40), 6.5).reaches(FIRST + 6)
    # What was said to be covered counts, though nobody came.
    assert History.of(range(FIRST + 2, FIRST + 40), 30.0, covers=FIRST).reaches(FIRST + 30)
    # Where touchpoints come every third day, the first may lie two days after the beginning of the log.
    assert History.of(range(FIRST + 2, FIRST + 40, 3), 30.0).reaches(FIRST + 30)


def test_days_without_history_are_named_with_what_is_needed() -> None:
    history = History(FIRST, 30.0)
    row = judge_history([FIRST, FIRST + 1, FIRST + 2], history, remedy="If there are none, do this.")
    assert (row.holds, row.value, row.bound, row.days) == (False, 0.0, 30.0, 3)
    says = str(row.says)
    assert f"{day_name(FIRST)} to {day_name(FIRST + 2)}" in says
    assert f"Give touchpoints from {day_name(FIRST - 30)} on" in says
    assert "3 days were not written" in says
    assert says.endswith("on. If there are none, do this.")
    kept = str(judge_history([FIRST + 5], history, is_kept=True).says)
    assert f"1 day stays as it was: {day_name(FIRST + 5)}" in kept


# ------------------------------------------------------------ shares


def test_more_conversions_without_a_touchpoint_than_before() -> None:
    published = entries(20)
    last = day_name(FIRST + 19)
    (row,) = judge_unattributed([FIRST + 19], published, 0.9, Thresholds())
    assert (row.holds, row.value, row.expected) == (True, 0.2, 0.2)
    published[last]["unattributed"] = 120
    (row,) = judge_unattributed([FIRST + 19], published, 0.9, Thresholds())
    assert (row.holds, row.value, row.day) == (False, 0.6, last)
    assert "60 % of 200 conversions on 2024-03-20 have no touchpoint; 20 % are expected" in str(row.says)
    assert judge_unattributed([FIRST + 19], published, None, Thresholds(unattributed_rise=0.5))[0].holds


def test_a_model_tells_what_is_usual_where_few_days_are_published() -> None:
    published = entries(3, unattributed=160)
    assert judge_unattributed([FIRST + 2], published, 0.75, Thresholds())[0].holds is True
    assert judge_unattributed([FIRST + 2], published, 0.2, Thresholds())[0].holds is False
    assert judge_unattributed([FIRST + 2], published, None, Thresholds())[0].holds is None
    assert judge_unattributed([FIRST + 9], published, None, Thresholds()) == []
    # Folders that an earlier version wrote do not tell.
    assert judge_unattributed([FIRST], {day_name(FIRST): {"conversions": 3}}, 0.1, Thresholds()) == []


def test_a_few_conversions_without_a_touchpoint_happen_by_chance() -> None:
    published = entries(20, conversions=5, unattributed=1)
    published[day_name(FIRST + 19)]["unattributed"] = 3
    assert judge_unattributed([FIRST + 19], published, None, Thresholds())[0].holds is True


def test_a_baseline_that_takes_more_than_before() -> None:
    published = entries(20, baseline=80)
    last = day_name(FIRST + 19)
    (row,) = judge_baseline([FIRST + 19], published, 0.9, Thresholds())
    assert (row.holds, row.value, row.expected) == (True, 0.5, 0.5)
    published[last]["baseline"] = 152
    (row,) = judge_baseline([FIRST + 19], published, 0.9, Thresholds())
    assert (row.holds, row.value) == (False, 0.95)
    assert "95 % of 160 conversions on 2024-03-20 are the baseline's; 50 % are expected" in str(row.says)
    assert judge_baseline([FIRST + 19], published, None, Thresholds(baseline_rise=0.5))[0].holds
    assert judge_baseline([FIRST + 19], entries(20), None, Thresholds()) == []  # a model without one
    # A row for each conversion is no touchpoint.
    few = {day_name(FIRST): {"conversions": 200, "unattributed": 40, "rows": 300, "baseline": 9.0, "unknown": 3}}
    assert judge_unknown_channels([FIRST], few, [], Thresholds())[0].value == pytest.approx(0.03)


def test_touchpoints_of_unknown_channels() -> None:
    published = entries(3, unknown=0)
    published[day_name(FIRST + 2)]["unknown"] = 150
    rows = judge_unknown_channels([FIRST + 1, FIRST + 2], published, ["Gogle"], Thresholds())
    assert [row.holds for row in rows] == [True, False]
    assert rows[1].value == pytest.approx(150 / 560)
    assert "Such as Gogle: check how channels are spelled" in str(rows[1].says)
    assert judge_unknown_channels([FIRST], entries(1), [], Thresholds()) == []


# ------------------------------------------------------------ days that changed


def test_the_share_that_moved_counts_what_came_and_what_went_once() -> None:
    rows = pd.DataFrame(
        [
            ("2024-03-01", "mail", 3.0, 1.0),
            ("2024-03-01", "search", 1.0, 3.0),
            ("2024-03-02", "mail", 4.0, 8.0),
            ("2024-03-03", "mail", 2.0, 0.0),
            ("2024-03-03", None, None, None),
            ("2024-03-04", "mail", 2.0, 0.0),
        ],
        columns=["day", "channel", "conversions_before", "conversions_after"],
    )
    before = {"2024-03-01": 4.0, "2024-03-02": 4.0, "2024-03-03": 20.0}
    assert share_moved(rows, before) == pytest.approx({"2024-03-01": 0.5, "2024-03-02": 1.0, "2024-03-03": 0.1})


def test_many_days_that_changed_are_an_alarm() -> None:
    moved = {day_name(FIRST + day): 0.5 for day in range(8)} | {day_name(FIRST + 30): 0.05}
    row = judge_restated(moved, Thresholds(), where="restatement/revision=000002")
    assert (row.holds, row.value, row.bound) == (False, 8.0, 7.0)
    assert "8 days that had been published, 2024-03-01 to 2024-03-08" in str(row.says)
    assert judge_restated(moved, Thresholds(restated_days=8), where="").holds
    assert judge_restated({}, Thresholds(), where="").holds


# ------------------------------------------------------------ thresholds and results


def test_thresholds_are_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.toml"
    path.write_text("restated_days = 30\nchannel_volume = 0.3\n")
    assert read_thresholds(path) == Thresholds(restated_days=30, channel_volume=0.3)
    assert read_thresholds(None) == Thresholds()
    for text, message in (
        ("chanel_volume = 0.3\n", "channel_volume"),
        ("channel_volume = 1.5\n", "1"),
        ("significance = 2\n", "significance"),
        ("significance = nan\n", "must be a number"),
        ("freshness_days = -1\n", "freshness_days"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_thresholds(path)


ROWS = [
    GuardResult("volume", "touchpoints", "mail", "2024-03-01", 1, 0.0, 50.0, 20.0, False, "Mail is missing."),
    GuardResult("volume", "touchpoints", None, "2024-03-01", 1, 90.0, 100.0, 20.0, True),
    GuardResult("history", "touchpoints", says="nothing is known."),
]


def test_what_holds_is_not_said() -> None:
    assert guard_sentences(ROWS) == ["Mail is missing."]
    assert guard_sentences(ROWS[1:]) == []
    assert guards_hold(ROWS[1:])
    assert not guards_hold(ROWS)
    assert failed_guards(ROWS) == ROWS[:1]


def test_a_bound_that_cannot_be_checked_is_said_if_it_was_set() -> None:
    assert guard_sentences(ROWS[1:], Thresholds()) == []
    assert guard_sentences(ROWS[1:], Thresholds(history_days=3)) == [
        "history_days cannot be checked: nothing is known."
    ]
    assert guard_sentences(ROWS[1:], Thresholds(restated_days=3)) == []


def test_many_rows_of_a_guard_are_shortened() -> None:
    rows = [GuardResult("volume", channel=str(index), holds=False, says=f"{index} is missing.") for index in range(9)]
    sentences = guard_sentences(rows)
    assert len(sentences) == 6
    assert sentences[-1].startswith("4 more rows of the guard volume do not hold")


def test_results_are_a_table_and_metrics() -> None:
    table = guard_table(ROWS)
    assert list(table.columns) == list(GUARDS.column_names)
    assert table["holds"].tolist() == [False, True, pd.NA]
    assert len(guard_table([])) == 0
    assert guard_metrics(ROWS) == {"guards.volume.broken": 1.0}

"""What guards say: one row each, the same for every job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from attribution.amounts import pluralise
from attribution.production.guards.thresholds import Thresholds
from attribution.schema.tables.definition import Column, Table, null

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 5

GUARDS = Table(
    "guards",
    "guard (× table) (× channel) × stretch of days",
    (
        Column(
            "guard",
            "text",
            "clock (days that the newest row, or the last job, lies after today), freshness (days that the newest row "
            "lies before the day that is due), history (days that touchpoints reach back before the first day that "
            "needs them), volume (touchpoints), unattributed (share of conversions without a touchpoint), "
            "baseline (its share of the other conversions), unknown_channels (share of touchpoints), restated (days "
            "whose published credit changed by a tenth or more)",
        ),
        null("table", "text", "input table that it judges; null where it judges the output"),
        null("channel", "text", "channel; null where the row is of all of them"),
        null("day", "day", "last day of the stretch that it judges"),
        Column("days", "integer", "how many days the stretch has", unit="days"),
        null("value", "number", "what was counted", unit="that of the guard"),
        null("expected", "number", "what the days before lead one to expect", unit="that of the guard"),
        null("bound", "number", "the smallest or largest value that holds", unit="that of the guard"),
        null("holds", "flag", "whether the value is within the bound; null where it cannot be judged"),
        null("says", "text", "what is wrong and what to do; what is missing where it cannot be judged"),
    ),
    question="Is tonight's log whole: do tables, channels and days have what those before lead one to expect?",
)

_KEYS = {
    "freshness": ("freshness_days",),
    "history": ("history_days",),
    "volume": ("channel_volume", "total_volume", "volume_high"),
    "unattributed": ("unattributed_rise",),
    "baseline": ("baseline_rise",),
    "unknown_channels": ("unknown_channels",),
    "restated": ("restated_days",),
}
"""Thresholds of each guard."""


@dataclass(frozen=True)
class GuardResult:
    """One row of the ``guards`` table.

    Attributes
    ----------
    guard, table, channel, day, days, value, expected, bound, holds, says : see `GUARDS`

    Examples
    --------
    >>> result = GuardResult("restated", value=9.0, bound=7.0, holds=False, says="Credit changed on 9 days.")
    >>> guards_hold([result]), guard_sentences([result])
    (False, ['Credit changed on 9 days.'])
    """

    guard: str
    table: str | None = None
    channel: str | None = None
    day: str | None = None
    days: int = 1
    value: float | None = None
    expected: float | None = None
    bound: float | None = None
    holds: bool | None = None
    says: str | None = None


def guards_hold(results: Iterable[GuardResult]) -> bool:
    """Whether none of them is broken; one that cannot be judged is not."""
    return not failed_guards(results)


def failed_guards(results: Iterable[GuardResult]) -> list[GuardResult]:
    """Those that do not hold."""
    return [result for result in results if result.holds is False]


def guard_sentences(results: Sequence[GuardResult], thresholds: Thresholds | None = None) -> list[str]:
    """What is wrong and what to do, one sentence or more for each guard that does not hold; nothing where all do.

    A guard that cannot be judged is named only if the file of ``thresholds`` asks for it.
    """
    sentences = []
    failed = failed_guards(results)
    for guard in dict.fromkeys(result.guard for result in failed):
        says = [result.says for result in failed if result.guard == guard and result.says is not None]
        sentences += says[:_SHOWN]
        if len(says) > _SHOWN:
            more = pluralise(len(says) - _SHOWN, "more row")
            sentences.append(f"{more} of the guard {guard} do not hold: --json lists all of them under guards.")
    set_keys = set() if thresholds is None else thresholds.model_fields_set
    for result in results:
        keys = sorted(set_keys & set(_KEYS.get(result.guard, ())))
        if result.holds is None and keys:
            sentences.append(f"{keys[0]} cannot be checked: {result.says}")
    return list(dict.fromkeys(sentences))


def guard_records(results: Iterable[GuardResult]) -> list[dict[str, Any]]:
    """Rows as JSON has them."""
    return [asdict(result) for result in results]


def guard_table(results: Iterable[GuardResult]) -> pd.DataFrame:
    """The ``guards`` table."""
    import pandas as pd

    frame = pd.DataFrame(guard_records(results), columns=list(GUARDS.column_names))
    numbers = [column.name for column in GUARDS.columns if column.type == "number"]
    kinds = {"days": "int64", "holds": "boolean", **dict.fromkeys(numbers, "float64")}
    return frame.astype(kinds)


def guard_metrics(results: Iterable[GuardResult]) -> dict[str, float]:
    """What a tracking server plots over time: how many rows of each guard do not hold.

    Examples
    --------
    >>> guard_metrics([GuardResult("volume", holds=True), GuardResult("history")])
    {'guards.volume.broken': 0.0}
    """
    judged = [result for result in results if result.holds is not None]
    names = dict.fromkeys(result.guard for result in judged)
    return {f"guards.{name}.broken": float(sum(not r.holds for r in judged if r.guard == name)) for name in names}

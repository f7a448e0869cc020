"""What days contribute to sums over customers at risk, and the setting of a window of such days."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from attribution.amounts import pluralise
from attribution.data.loading import Finding, count_finding
from attribution.errors import InputError
from attribution.journeys import DAY, JourneyChunk, Journeys, Summary
from attribution.kernels.incremental.risk_days import (
    CHANNEL_COLUMNS,
    count_so_far,
    find_keys,
    keys_of_day,
    rules_of_day,
    sum_days,
)
from attribution.kernels.incremental.risk_tables import CREDITED, NO_SLOT, UNPAID, Rules
from attribution.kernels.statistics.sums import (
    KeyedSums,
    stack_labelled,
    sum_by_key,
    sums_of_limbs,
    to_float,
    used_limbs,
)
from attribution.models.at_risk import (
    MEMORY_DAYS,
    RiskTime,
    Roles,
    Setting,
    check_journeys,
    check_names,
    choose_roles,
    listed_half_lives,
    make_rules,
)
from attribution.models.hazard_options import HazardOptions
from attribution.models.machinery import Daywise
from attribution.models.recoding import Keys, Move, Recoding, unchanged
from attribution.models.risk_summary import events_of

SUMS_TABLE = "risk_sums"
"""By day and by what `attribution.kernels.incremental.risk_days.keys_of_day` says."""

DAYS_TABLE = "risk_days"
"""By day, days of history before it, and how customers are known who were never touched."""

ROLES_TABLE = "risk_roles"
"""Touchpoints so far of each channel, by day, channel and role."""

CUSTOMERS_TABLE = "risk_customers"
"""Customers who could be reached, by day, where a table listed them."""

NOBODY, COUNTED, LISTED = 0, 1, 2
"""How customers are known who were never touched: not at all, by their number, from a table."""

HISTORY_HALF_LIVES = 10
"""Half-lives after which a touchpoint still does a thousandth of what it did."""


def history_days(options: HazardOptions) -> int:
    """How long before a day what happened still matters to it."""
    return math.ceil(HISTORY_HALF_LIVES * listed_half_lives(options)[-1])


# ---------------------------------------------------------------- reading


def read_days(options: HazardOptions, journeys: Journeys, days: range) -> Daywise:
    """What sums up each of the ``days``; the day leads all keys.

    Raises
    ------
    InputError
        If these journeys cannot tell what channels caused, however many days there are.
    """
    check_journeys(options.label, journeys)
    roles = choose_roles(options, journeys.channels, journeys.paid_channels())
    if options.adjust == "none":
        roles = roles._replace(unpaid=())
    # Half-lives are chosen by how long a window is; days are of all that may be.
    half_lives = [*listed_half_lives(options), *([MEMORY_DAYS] if options.adjust == "auto" else [])]
    knowledge = COUNTED if options.customers is not None else LISTED if journeys.lists_customers else NOBODY
    rules = make_rules(options, roles, RiskTime(0, DAY, knowledge != NOBODY, journeys.first_only), half_lives)
    assert journeys.span is not None
    begun = journeys.span[0] // DAY
    history = [min(day - begun, history_days(options)) for day in days]
    of_days = np.column_stack([days, days, history, np.full(len(days), knowledge)])
    tables = {DAYS_TABLE: sum_by_key(of_days, np.ones(len(of_days)))}
    if knowledge == LISTED:
        untouched = journeys.untouched()
        tables[CUSTOMERS_TABLE] = _same_every_day(days, 0 if untouched is None else len(untouched))
    read = partial(summarise_risk_of_days, rules=rules, days=days, lists_customers=knowledge == LISTED)
    return Daywise(read, Summary(tables))


def summarise_risk_of_days(chunk: JourneyChunk, rules: Rules, days: range, *, lists_customers: bool) -> Summary:
    """Sums over all customers of a chunk for each of the ``days``, under the day and what each is of."""
    if chunk.histories is None:
        return Summary({})
    events = events_of(chunk.histories)
    (channels,) = np.nonzero(rules.slot != NO_SLOT)
    by_slot = channels[np.argsort(rules.slot[channels])]
    keys = keys_of_day(rules_of_day(rules, 0).layout, by_slot, np.arange(len(rules.rate)))
    order = np.lexsort(keys.T[::-1])
    parts = []
    for day, limbs in zip(days, sum_days(events, rules, days), strict=True):
        rows, used = used_limbs(limbs[order])
        of_day = np.column_stack([np.full(len(rows), day), keys[order[rows]]])
        parts.append((day, KeyedSums(of_day, sums_of_limbs(used, -1))))
    tables = {
        SUMS_TABLE: stack_labelled(parts),
        ROLES_TABLE: _sum_roles(count_so_far(events, rules, days), rules, days),
    }
    if lists_customers:
        tables[CUSTOMERS_TABLE] = _same_every_day(days, len(chunk.histories))
    return Summary(tables)


def _sum_roles(counts: NDArray[np.int64], rules: Rules, days: range) -> KeyedSums:
    row, channel = np.nonzero(counts)
    role = np.append(rules.role, NO_SLOT)[rules.slot[channel]]  # the last for those without a slot
    keys = np.column_stack([days.start + row, days.start + row, channel, role])
    return sum_by_key(keys, counts[row, channel].astype(np.float64))


def _same_every_day(days: range, count: int) -> KeyedSums:
    return sum_by_key(np.column_stack([days, days]), np.full(len(days), float(count)))


# ---------------------------------------------------------------- other channels


def _move_roles(keys: Keys, move: Move) -> Keys:
    return np.column_stack([keys[:, 0], move.places[keys[:, 1]], keys[:, 2]])


def _move_sums(keys: Keys, move: Move) -> Keys:
    moved = keys.copy()
    for column in CHANNEL_COLUMNS:
        channel = keys[:, 1 + column]
        moved[:, 1 + column] = np.where(channel < 0, channel, move.places[channel])
    return moved


RECODINGS: Mapping[str, Recoding] = {
    SUMS_TABLE: _move_sums,
    DAYS_TABLE: unchanged,
    ROLES_TABLE: _move_roles,
    CUSTOMERS_TABLE: unchanged,
}


# ---------------------------------------------------------------- a window


def setting_of_days(options: HazardOptions, channels: tuple[str, ...], summary: Summary) -> Setting:
    """What ``options`` ask for of the days of ``summary``.

    Raises
    ------
    InputError
        If the days do not add up, or are too few.
    """
    check_names(options, channels)
    roles = _roles_of(options, channels, summary.tables[ROLES_TABLE])
    days = summary.tables[DAYS_TABLE].keys
    ways = sorted(set(days[:, 2].tolist()))
    if len(ways) > 1:
        words = {NOBODY: "not at all", COUNTED: "by their number", LISTED: "from the table customers"}
        raise InputError(
            f"model {options.label!r}: on some days customers who were never touched are known in another way",
            given=", ".join(words[way] for way in ways),
            hint="write all days again with the same tables: attribution summarise … --from",
        )
    start = int(days[0, 0]) * DAY - 1
    time = RiskTime(start, start + len(days) * DAY, ways[0] != NOBODY)
    listed = None
    if ways[0] == LISTED:  # the table as it was last
        listed = int(to_float(summary.tables[CUSTOMERS_TABLE].sums)[-1])
    setting = Setting.make(options, roles, time, lists_customers=listed is not None)
    return replace(setting, by_day=True, listed=listed)


def _roles_of(options: HazardOptions, channels: tuple[str, ...], table: KeyedSums) -> Roles:
    day, channel, role = table.keys.T
    pairs = np.unique(np.column_stack([channel, role]), axis=0)
    twice = pairs[1:, 0][np.diff(pairs[:, 0]) == 0]
    if len(twice):
        words = {CREDITED: "credited", UNPAID: "unpaid", NO_SLOT: "neither"}
        each = {words[kind]: len(day[(channel == twice[0]) & (role == kind)]) for kind in words}
        raise InputError(
            f"model {options.label!r}: {channels[twice[0]]!r} is not of one kind on all days",
            given=", ".join(f"{word} on {pluralise(count, 'day')}" for word, count in each.items() if count),
            hint="name channels in the options credited and unpaid, or write all days again with the same costs: "
            "attribution summarise … --from",
        )
    credited, unpaid = (tuple(pairs[pairs[:, 1] == kind, 0].tolist()) for kind in (CREDITED, UNPAID))
    return Roles(credited, unpaid, len(channels))


def daily_sums(summary: Summary, setting: Setting, options: HazardOptions) -> NDArray[np.float64]:
    """(days, size) sums of each day, in the places of the setting's layout."""
    every = listed_half_lives(options)
    fading = [every.index(days) for days in setting.half_lives] + [len(every)] * setting.screens
    table, days = summary.tables[SUMS_TABLE], summary.tables[DAYS_TABLE].keys[:, 0]
    column = find_keys(table.keys[:, 1:], keys_of_day(setting.layout, setting.channels, np.array(fading)))
    row = np.searchsorted(days, table.keys[:, 0])
    sums = np.zeros((len(days), setting.layout.size))
    is_used = column >= 0
    sums[row[is_used], column[is_used]] = to_float(table.sums)[is_used]
    return sums


def history_findings(options: HazardOptions, summary: Summary) -> list[Finding]:
    """Days whose log began later than that of other days, and too late to know all that matters."""
    day, history, _ = summary.tables[DAYS_TABLE].keys.T
    begun = np.where(history < history_days(options), day - history, day.min() - history[0])
    cut = begun > begun.min()
    message = (
        f"days from a log that lacks touchpoints of the {history_days(options)} days before them which that of other "
        f"days has, so that {options.label} takes their customers for less touched: write them again from a longer log"
    )
    return [count_finding("short_history", "touchpoints", float(cut.sum()), message, total=float(len(day)))]

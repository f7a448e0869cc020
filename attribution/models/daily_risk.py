"""What days contribute to sums over customers at risk, and the setting of a window of such days."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from attribution.data.loading import Finding, count_finding
from attribution.errors import InputError
from attribution.journeys import DAY, JourneyChunk, Journeys, Summary
from attribution.kernels.incremental.risk_days import (
    CHANNEL_COLUMNS,
    days_of_untouched,
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
from attribution.models.risk_summary import count_untouched, events_of

SUMS_TABLE = "risk_sums"
"""By day and by what `attribution.kernels.incremental.risk_days.keys_of_day` says."""

DAYS_TABLE = "risk_days"
"""By day, days of history before it, and how customers are known who were never touched."""

ROLES_TABLE = "risk_roles"
"""On how many days a channel had a role; by channel and role."""

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
    read = partial(summarise_risk_of_days, rules=rules, days=days)
    assert journeys.span is not None
    begun = journeys.span[0] // DAY
    history = [min(day - begun, history_days(options)) for day in days]
    of_days = np.column_stack([days, days, history, np.full(len(days), knowledge)])
    role = np.full(roles.channels, NO_SLOT, np.int64)
    role[[*roles.credited, *roles.unpaid]] = rules.role
    of_roles = np.array([(day, channel, role[channel]) for day in days for channel in range(roles.channels)], np.int64)
    rest = Summary(
        {
            DAYS_TABLE: sum_by_key(of_days, np.ones(len(of_days))),
            ROLES_TABLE: sum_by_key(of_roles, np.ones(len(of_roles))),
        }
    )
    untouched = journeys.untouched() if knowledge == LISTED else None
    return Daywise(read, rest if untouched is None else rest + read(untouched))


def summarise_risk_of_days(chunk: JourneyChunk, rules: Rules, days: range) -> Summary:
    """Sums over all customers of a chunk for each of the ``days``, under the day and what each is of."""
    of, untouched = chunk.histories, count_untouched(chunk)
    if of is None and not untouched:
        return Summary({})
    (channels,) = np.nonzero(rules.slot != NO_SLOT)
    by_slot = channels[np.argsort(rules.slot[channels])]
    keys = keys_of_day(rules_of_day(rules, 0).layout, by_slot, np.arange(len(rules.rate)))
    order = np.lexsort(keys.T[::-1])
    each = days_of_untouched(rules, untouched, days) if of is None else sum_days(events_of(of), rules, days)
    parts = []
    for day, limbs in zip(days, each, strict=True):
        rows, used = used_limbs(limbs[order])
        of_day = np.column_stack([np.full(len(rows), day), keys[order[rows]]])
        parts.append((day, KeyedSums(of_day, sums_of_limbs(used, -1))))
    return Summary({SUMS_TABLE: stack_labelled(parts)})


# ---------------------------------------------------------------- other channels


def _move_roles(keys: Keys, move: Move) -> Keys:
    return np.column_stack([move.places[keys[:, 0]], keys[:, 1]])


def _move_sums(keys: Keys, move: Move) -> Keys:
    moved = keys.copy()
    for column in CHANNEL_COLUMNS:
        channel = keys[:, 1 + column]
        moved[:, 1 + column] = np.where(channel < 0, channel, move.places[channel])
    return moved


RECODINGS: Mapping[str, Recoding] = {DAYS_TABLE: unchanged, ROLES_TABLE: _move_roles, SUMS_TABLE: _move_sums}


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
        named = {NOBODY: "not at all", COUNTED: "by their number", LISTED: "from the table customers"}
        raise InputError(
            f"model {options.label!r}: on some days customers who were never touched are known in another way",
            given=", ".join(named[way] for way in ways),
            hint="write all days again with the same tables: attribution summarise … --from",
        )
    start = int(days[0, 0]) * DAY - 1
    time = RiskTime(start, start + len(days) * DAY, ways[0] != NOBODY)
    return Setting.make(options, roles, time, lists_customers=ways[0] == LISTED, by_day=True)


def _roles_of(options: HazardOptions, channels: tuple[str, ...], table: KeyedSums) -> Roles:
    channel, role = table.keys.T
    twice = channel[1:][np.diff(channel) == 0]
    if len(twice):
        words = {CREDITED: "credited", UNPAID: "unpaid", NO_SLOT: "neither"}
        name, is_its = channels[twice[0]], channel == twice[0]
        days = to_float(table.sums)[is_its]
        shown = [f"{words[each]} on {n:.0f} days" for each, n in zip(role[is_its].tolist(), days, strict=True)]
        raise InputError(
            f"model {options.label!r}: {name!r} is not of one kind on all days",
            given=", ".join(shown),
            hint="name channels in the options credited and unpaid, or write all days again with the same costs: "
            "attribution summarise … --from",
        )
    credited, unpaid = (tuple(channel[role == kind].tolist()) for kind in (CREDITED, UNPAID))
    return Roles(credited, unpaid, len(channels))


def daily_sums(summary: Summary, setting: Setting, options: HazardOptions) -> NDArray[np.float64]:
    """(days, size) sums of each day, in the places of the setting's layout."""
    every = listed_half_lives(options)
    fading = [every.index(days) for days in setting.half_lives] + [len(every)] * setting.screens
    table, days = summary.tables[SUMS_TABLE], summary.tables[DAYS_TABLE].keys[:, 0]
    wanted_keys = keys_of_day(setting.layout, setting.channels, np.array(fading))
    column = find_keys(table.keys[:, 1:], wanted_keys)
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

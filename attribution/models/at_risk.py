"""Who is at risk of converting, which channels are credited, and how long they work: what a hazard model is set to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Finding, count_finding
from attribution.errors import InputError, did_you_mean
from attribution.journeys import DAY, Journeys
from attribution.kernels.incremental.additive_hazard import Design, Thresholds
from attribution.kernels.incremental.risk_tables import CREDITED, NO_SLOT, UNPAID, Layout, Rules
from attribution.kernels.journeys.cut import ANY_TIME
from attribution.models.hazard_options import HazardOptions
from attribution.schema.tables import PLACEBO_CHANNEL

HALF_LIVES = (2.0, 7.0, 21.0)
"""Days. Those that the data are long enough for are weighed against one another."""

PRIORS: Mapping[int, tuple[float, ...]] = {1: (1.0,), 2: (0.3, 0.7), 3: (0.25, 0.5, 0.25)}
MEMORY_DAYS = 10_000.0
"""A half-life so long that nothing fades: how often a customer was touched at all."""

SPANS = 4.0
"""Data must be this many half-lives long; what works for longer cannot be told from what customers are like."""


FEW = 2_000
"""Conversions below which little can be said."""

_VANISHES = 800.0
"""Half-lives after which SQL counts a touchpoint as nothing: some databases fail where a number becomes too small."""

_BARE = 0.2
"""With a larger share of conversions right after unpaid touchpoints, these are purchases."""


class Roles(NamedTuple):
    """Positions of the ``credited`` channels, and of those that no money brings about, among so many ``channels``."""

    credited: tuple[int, ...]
    unpaid: tuple[int, ...]
    channels: int


class RiskTime(NamedTuple):
    """When customers are at risk, in the words of `attribution.kernels.incremental.risk_tables.Rules`."""

    start: int
    end: int
    knows_all: bool
    is_last: bool = False


@dataclass(frozen=True)
class Setting:
    """What a hazard model sums up of the journeys it was prepared for.

    Attributes
    ----------
    rules, design, thresholds : for the kernels
    channels : (slots,) position of each channel that has stocks among those of the journeys
    half_lives : days; the memory, where there is one, is not among them
    screens : whether arrivals are screened
    lists_customers : whether a table says who could be reached
    by_day : whether sums are of each day by itself
    listed : customers in that table, where sums of days say it
    """

    rules: Rules
    design: Design
    thresholds: Thresholds
    channels: NDArray[np.int64]
    half_lives: tuple[float, ...]
    screens: bool
    lists_customers: bool
    by_day: bool = False
    listed: int | None = None

    @property
    def layout(self) -> Layout:
        """Where the sums lie; those of one day where each is by itself."""
        layout = self.rules.layout
        return layout._replace(days=1) if self.by_day else layout

    @property
    def credited(self) -> NDArray[np.int64]:
        """(credited,) positions of the credited channels."""
        return self.channels[self.design.credited]

    @property
    def days(self) -> float:
        """How long the data are."""
        return (self.rules.end - self.rules.start) / DAY

    @property
    def day_lengths(self) -> NDArray[np.float64]:
        """(days,) how much of each day lies in the data."""
        return np.clip(self.days - np.arange(self.rules.layout.days), 0.0, 1.0)

    @classmethod
    def of(cls, options: HazardOptions, journeys: Journeys) -> Setting:
        """What ``options`` ask for.

        Raises
        ------
        InputError
            If these journeys cannot tell what channels caused.
        """
        check_journeys(options.label, journeys)
        check_names(options, journeys.channels)
        roles = choose_roles(options, journeys.channels, journeys.paid_channels())
        start, end = _span(options.label, journeys)
        knows_all = journeys.lists_customers or options.customers is not None
        lists = journeys.lists_customers and options.customers is None
        return cls.make(options, roles, RiskTime(start, end, knows_all, journeys.first_only), lists_customers=lists)

    @classmethod
    def make(cls, options: HazardOptions, roles: Roles, time: RiskTime, *, lists_customers: bool) -> Setting:
        """What ``options`` ask for of channels with these ``roles`` over this ``time``.

        Raises
        ------
        InputError
            If it is too short.
        """
        screens = options.adjust == "auto" and len(roles.unpaid) > 0
        if not screens:
            roles = roles._replace(unpaid=())
        half_lives = _half_lives(options, (time.end - time.start) / DAY)
        rules = make_rules(options, roles, time, [*half_lives, MEMORY_DAYS] if screens else half_lives)
        # Half-lives that somebody chose count alike.
        chosen = options.half_lives_days is not None
        prior = np.log(np.full(len(half_lives), 1.0) if chosen else np.array(PRIORS[len(half_lives)]))
        used = np.array([*roles.credited, *roles.unpaid], np.int64)
        slots = np.arange(len(used))
        split = len(roles.credited)
        design = Design(slots[:split], slots[split:], len(half_lives), screens, prior)
        thresholds = Thresholds(**(options.screening or {}))
        return cls(rules, design, thresholds, used, half_lives, screens, lists_customers)


def make_rules(options: HazardOptions, roles: Roles, time: RiskTime, half_lives: Sequence[float]) -> Rules:
    """How time at risk is cut and how stocks fade, for the kernels."""
    used = [*roles.credited, *roles.unpaid]
    slot = np.full(roles.channels, NO_SLOT, np.int64)
    slot[used] = np.arange(len(used))
    role = np.repeat(np.array([CREDITED, UNPAID]), [len(roles.credited), len(roles.unpaid)])
    return Rules(
        time.start,
        time.end,
        DAY,
        round(options.guard_days * DAY),
        time.knows_all,
        time.is_last,
        slot,
        role,
        np.log(2.0) / np.array(half_lives),
    )


def check_journeys(label: str, journeys: Journeys) -> None:
    """Refuse journeys whose options leave it open what happened to a customer."""
    if journeys.overlap:
        raise InputError(
            f"model {label!r} needs conversions that end a journey, and here touchpoints may serve several conversions",
            given='conversions = "cumulative"',
            allowed=["reset", "first_only"],
            hint="change journeys.conversions, or leave the model out",
        )
    if journeys.channels != journeys.dimensions.channels:
        raise InputError(
            f"model {label!r} reads touchpoints as they were logged, and here channels are told apart by how often "
            "they came before",
            given='transform = "frequency"',
            hint="leave the transform out, or leave the model out",
        )


def _span(label: str, journeys: Journeys) -> tuple[int, int]:
    assert journeys.span is not None
    start, end = journeys.span
    if journeys.period is not None:
        first, last = journeys.period
        if first > ANY_TIME[0]:
            # Days are those of the period. Who converts at its very first instant was at risk.
            start = first - 1 + max(0, (start - first) // DAY) * DAY
        end = min(end, last)
    if end <= start:
        raise InputError(f"model {label!r} needs days at risk, and no time passes in these data")
    return start, end


def listed_half_lives(options: HazardOptions) -> tuple[float, ...]:
    """Those that may matter, however long the data are."""
    chosen = options.half_lives_days
    return HALF_LIVES if chosen is None else tuple(sorted({float(length) for length in np.atleast_1d(chosen)}))


def _half_lives(options: HazardOptions, days: float) -> tuple[float, ...]:
    half_lives = listed_half_lives(options)
    shortest = half_lives[0]
    if options.half_lives_days is None:
        half_lives = tuple(length for length in half_lives if length * SPANS <= days)
    if days < SPANS * shortest:
        raise InputError(
            f"model {options.label!r} needs data of at least {SPANS:g} half-lives, to tell what a channel does from "
            "what customers are like",
            given=f"{days:.3g} days of data, half-life {shortest:g} days",
            allowed=f"{SPANS * shortest:g} days of data or more",
            hint="give more days, set a shorter half_lives_days, or leave the model out",
        )
    return half_lives


# ---------------------------------------------------------------- whose effect is wanted


def choose_roles(options: HazardOptions, channels: Sequence[str], paid_channels: Sequence[str]) -> Roles:
    """Which of the ``channels`` are credited, and which ones no money brings about; names that are none are left out.

    Raises
    ------
    InputError
        If none is credited, or one is both.
    """
    paid = set(paid_channels) & set(channels)
    unpaid = None if options.unpaid is None else set(options.unpaid) & set(channels)
    if options.credited is not None:
        credited = set(options.credited) & set(channels)
    elif paid:
        credited = paid - (unpaid or set())
    elif unpaid is not None:
        credited = set(channels) - unpaid
    else:
        raise InputError(
            f"model {options.label!r} needs to know which channels are paid, and no channel has a cost",
            given=list(channels),
            hint="give costs, or name the channels in the option credited",
        )
    if unpaid is None:
        unpaid = set(channels) - paid - credited
    twice = sorted(credited & unpaid)
    if twice:
        raise InputError(f"model {options.label!r}: {twice[0]!r} is both credited and unpaid", hint="name it once")
    if not credited - {PLACEBO_CHANNEL}:
        raise InputError(
            f"model {options.label!r} has no channel to credit",
            given=list(channels),
            hint="name channels in the option credited, or give costs of channels that occur",
        )
    if PLACEBO_CHANNEL in channels:
        credited, unpaid = credited | {PLACEBO_CHANNEL}, unpaid - {PLACEBO_CHANNEL}
    first, second = (tuple(channels.index(name) for name in sorted(names)) for names in (credited, unpaid))
    return Roles(first, second, len(channels))


def check_names(options: HazardOptions, channels: Sequence[str]) -> None:
    """Refuse options that name channels which no touchpoint has."""
    for option in ("credited", "unpaid"):
        unknown = sorted(set(getattr(options, option) or ()) - set(channels))
        if unknown:
            raise InputError(
                f"model {options.label!r}: {option} names {unknown[0]!r}, but no touchpoint has this channel",
                allowed=list(channels),
                hint=did_you_mean(unknown[0], channels),
            )


def fading_sql(half_lives: Sequence[float], weights: Sequence[float]) -> str:
    """What a touchpoint still adds, in the words of `AttributionModel.weight_sql`."""
    parts = []
    for half_life, weight in zip(half_lives, weights, strict=True):
        older = f"age_days / {float(half_life)!r}"
        parts.append(f"{float(weight)!r} * case when {older} > {_VANISHES!r} then 0.0 else power(2.0, -({older})) end")
    return f"case when age_days > 0 then learned.added_rate_ * ({' + '.join(parts)}) else 0.0 end"


# ---------------------------------------------------------------- what to say of it


class Evidence(NamedTuple):
    """What a fitted model has seen: its ``sums`` by name, all ``conversions``, and its table ``assignment``."""

    sums: Mapping[str, NDArray[np.float64]]
    conversions: float
    assignment: pd.DataFrame


def hazard_findings(options: HazardOptions, setting: Setting, evidence: Evidence) -> list[Finding]:
    """Findings about a fitted hazard model, as rows of the quality table."""
    return [*_risk_findings(options.label, setting, evidence), *_channel_findings(options, setting, evidence)]


def _risk_findings(label: str, setting: Setting, evidence: Evidence) -> list[Finding]:
    sums, knows_all = evidence.sums, setting.rules.knows_all
    nobody = (
        f"{label} does not know who could be reached, so customers are at risk from their first paid touchpoint on. "
        "Where channels follow intent, that credits a broad channel with two or three times what it caused: give a "
        "customers table, or the number of customers"
    )
    listed = (
        f"the customers table lists nobody who was never touched, so {label} may leave out most of those at risk: list "
        "all customers who could be reached, or give their number"
    )
    few = f"conversions, which are few for {label}: rely on its intervals, not on its numbers, or use more data"
    visits = (
        f"conversions within an hour of an unpaid touchpoint, which may be the visit of the purchase; {label} takes it "
        "for what came before: set guard_days to 1"
    )
    lists_touched = setting.lists_customers and not sums["untouched"].any()
    near = float(sums["near"].sum())
    is_bare = setting.rules.guard < DAY // 24 and near > _BARE * sums["conversions"].sum()
    return [
        count_finding("customers_at_risk", "customers", float(not knows_all), nobody),
        count_finding("customers_listed", "customers", float(lists_touched), listed),
        count_finding(
            "few_conversions_at_risk", "conversions", evidence.conversions * (evidence.conversions < FEW), few
        ),
        count_finding("purchase_visits", "conversions", near * bool(is_bare), visits),
    ]


def _channel_findings(options: HazardOptions, setting: Setting, evidence: Evidence) -> list[Finding]:
    label, longest = options.label, setting.days / SPANS
    long = (
        f"half-lives that are long for these data, so that {label} takes for an effect what customers are like: set "
        f"half_lives_days to {longest:.3g} or less"
    )
    unscreened = (
        f"{label} has no unpaid channel to screen with, so it cannot see whether channels follow customers who would "
        "convert anyway: add unpaid visits to touchpoints, or name them in the option unpaid"
    )
    follows = (
        f"channels that follow customers who would convert anyway, so that what they caused is not known: test "
        f"them, and do not move a budget on what {label} says of them"
    )
    unknown = evidence.assignment.loc[~evidence.assignment["is_known"], "channel"].tolist() if setting.screens else []
    total = float(len(evidence.assignment))
    return [
        count_finding("long_half_life", "credit", float(sum(days > longest for days in setting.half_lives)), long),
        count_finding("not_screened", "credit", float(options.adjust == "auto" and not setting.screens), unscreened),
        count_finding(
            "follows_customers", "credit", float(len(unknown)), follows, total=total, example=", ".join(unknown)
        ),
    ]

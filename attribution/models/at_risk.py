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
from attribution.kernels.incremental.risk_tables import CREDITED, NO_SLOT, UNPAID, Rules
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
    """

    rules: Rules
    design: Design
    thresholds: Thresholds
    channels: NDArray[np.int64]
    half_lives: tuple[float, ...]
    screens: bool
    lists_customers: bool

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
        _check_journeys(options.label, journeys)
        credited, unpaid = _roles(options, journeys)
        screens = options.adjust == "auto" and len(unpaid) > 0
        if not screens:
            unpaid = ()
        start, end = _span(options.label, journeys)
        half_lives = _half_lives(options, (end - start) / DAY)
        used = [*credited, *unpaid]
        slot = np.full(len(journeys.channels), NO_SLOT, np.int64)
        slot[used] = np.arange(len(used))
        role = np.repeat(np.array([CREDITED, UNPAID]), [len(credited), len(unpaid)])
        every = [*half_lives, MEMORY_DAYS] if screens else half_lives
        rules = Rules(
            start,
            end,
            DAY,
            round(options.guard_days * DAY),
            journeys.lists_customers or options.customers is not None,
            journeys.first_only,
            slot,
            role,
            np.log(2.0) / np.array(every),
        )
        # Half-lives that somebody chose count alike.
        chosen = options.half_lives_days is not None
        prior = np.log(np.full(len(half_lives), 1.0) if chosen else np.array(PRIORS[len(half_lives)]))
        places = np.arange(len(used))
        design = Design(places[: len(credited)], places[len(credited) :], len(half_lives), screens, prior)
        thresholds = Thresholds(**(options.screening or {}))
        lists = journeys.lists_customers and options.customers is None
        return cls(rules, design, thresholds, np.array(used, np.int64), half_lives, screens, lists)


def _check_journeys(label: str, journeys: Journeys) -> None:
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
        start, end = max(start, journeys.period[0]), min(end, journeys.period[1])
    if end <= start:
        raise InputError(f"model {label!r} needs days at risk, and no time passes in these data")
    return start, end


def _half_lives(options: HazardOptions, days: float) -> tuple[float, ...]:
    chosen = options.half_lives_days
    if chosen is None:
        half_lives = tuple(length for length in HALF_LIVES if length * SPANS <= days)
        shortest = HALF_LIVES[0]
    else:
        half_lives = tuple(sorted({float(length) for length in np.atleast_1d(chosen)}))
        shortest = half_lives[0]
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


def _roles(options: HazardOptions, journeys: Journeys) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Positions of the credited channels, and of those that no money brings about."""
    channels = journeys.channels
    for name in ("credited", "unpaid"):
        _check_names(options.label, name, getattr(options, name), channels)
    paid = set(journeys.paid_channels()) & set(channels)
    unpaid = None if options.unpaid is None else set(options.unpaid)
    if options.credited is not None:
        credited = set(options.credited)
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
    return first, second


def _check_names(label: str, option: str, names: Sequence[str] | None, channels: Sequence[str]) -> None:
    unknown = sorted(set(names or ()) - set(channels))
    if unknown:
        raise InputError(
            f"model {label!r}: {option} names {unknown[0]!r}, but no touchpoint has this channel",
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
    lists_touched = setting.lists_customers and not sums["untouched"]
    is_bare = setting.rules.guard < DAY // 24 and sums["near"] > _BARE * sums["conversions"].sum()
    return [
        count_finding("customers_at_risk", "customers", float(not knows_all), nobody),
        count_finding("customers_listed", "customers", float(lists_touched), listed),
        count_finding(
            "few_conversions_at_risk", "conversions", evidence.conversions * (evidence.conversions < FEW), few
        ),
        count_finding("purchase_visits", "conversions", float(sums["near"]) * bool(is_bare), visits),
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

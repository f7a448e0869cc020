"""The worlds that ship: fixed ones, and families of which every seed draws one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final, Literal, get_args

import numpy as np

from attribution.arguments import check_arguments
from attribution.errors import InputError
from attribution.simulation.world import Channel, World

# About ten touchpoints per customer in 30 days, four of them impressions. Effects span two orders of
# magnitude and prices do not follow them, so true returns lie on both sides of zero: from about +1 for email
# to -1 for affiliate, which causes next to nothing (on 300,000 customers of the default world).
_PAID: Final = (
    Channel("display", 0.10, effect=0.03, cost=0.05, kind="impression"),
    Channel("video", 0.03, effect=0.30, cost=0.28, kind="impression"),
    Channel("social", 0.05, effect=0.12, cost=0.10),
    Channel("email", 0.04, effect=0.10, cost=0.05),
    Channel("affiliate", 0.02, effect=0.002, cost=0.25),
    Channel("generic_search", 0.02, effect=0.45, cost=0.35, boosted_by="video", boost=1.6),
    Channel("brand_search", 0.02, effect=0.04, cost=0.12),
    Channel("retargeting", 0.04, effect=0.05, cost=0.10),
)

# Unpaid touchpoints follow intent in both worlds: .008 a day, .128 while in market.
_UNPAID: Final = tuple(
    Channel(name, 0.008, paid=False, in_market_factor=16.0, goodwill_slope=0.4) for name in ("organic", "direct")
)

# How the confounded world chooses whom to touch. Base probabilities are lower than in the default world
# because targeting multiplies them: 9 touchpoints per customer and 3.9 % buyers come out, not 10 and 3.4 %.
_TARGETING: Final[dict[str, dict[str, Any]]] = {
    "social": {"probability": 0.030, "latent_slope": 0.8},
    "email": {"probability": 0.025, "latent_slope": 0.8},
    "affiliate": {"probability": 0.003, "in_market_factor": 76.0},
    "generic_search": {"probability": 0.006, "in_market_factor": 17.0},
    "brand_search": {"probability": 0.004, "in_market_factor": 40.0, "goodwill_slope": 0.5},
    "retargeting": {"probability": 0.15, "visited_within_days": 10},
}

_DEFAULT: Final = World("default", (*_PAID, *_UNPAID))
_CONFOUNDED: Final = replace(
    _DEFAULT,
    name="confounded",
    channels=tuple(replace(c, **_TARGETING.get(c.name, {})) for c in _DEFAULT.channels),
)

# Effects of paid channels in their order: of very different sizes, and all of one order of magnitude.
_UNEVEN: Final = (0.02, 0.30, 0.08, 0.06, 0.02, 0.45, 0.04, 0.05)
_EVEN: Final = (0.12, 0.10, 0.08, 0.15, 0.25, 0.30, 0.10, 0.15)


def _with_effects(world: World, name: str, effects: tuple[float, ...], **changes: Any) -> World:
    paid = (replace(c, effect=effect) for c, effect in zip(world.paid_channels, effects, strict=True))
    return replace(world, name=name, channels=(*paid, *_UNPAID), whole_seconds=True, **changes)


WORLDS: Final[dict[str, World]] = {
    world.name: world
    for world in (
        _DEFAULT,
        _CONFOUNDED,
        _with_effects(_DEFAULT, "untargeted", _UNEVEN),
        _with_effects(_CONFOUNDED, "targeted", _UNEVEN),
        _with_effects(_DEFAULT, "untargeted_even", _EVEN, goodwill_retention=0.80),
        _with_effects(_CONFOUNDED, "targeted_even", _EVEN, goodwill_retention=0.80),
    )
}
"""The shipped worlds, with the same channels and prices.

``default``, ``untargeted``, ``untargeted_even``: whom a paid channel touches is pure chance. ``confounded``,
``targeted``, ``targeted_even``: social and email are targeted on the latent propensity, search and affiliate reach
customers in market, goodwill leads to brand search, and retargeting follows visits to the site; so touched customers
would have bought more often anyway. Within each three, the first two differ in the effects of affiliate and of what
touches many; in the third all effects are of one order, and goodwill fades twice as fast.
"""

# ---------------------------------------------------------------- drawn worlds

Family = Literal["random", "activity", "null"]
FAMILIES: Final[tuple[str, ...]] = get_args(Family)

# Of customers in worlds without advertising: how many are in market, and how many were on the site within 10 days.
_IN_MARKET: Final = 0.05
_LATELY_ON_SITE: Final = 0.35


@check_arguments
def random_world(family: Family, seed: int) -> World:
    """The world of a family that a seed draws; the customers in it are drawn by the seed of `simulate`.

    Parameters
    ----------
    family : {"random", "activity", "null"}
        ``random``: effects, prices, frequencies, memory, market and targeting differ from seed to seed; a fifth of
        the paid channels do nothing, and a seventh of the worlds target nobody. ``activity``: the random world of the
        seed, in which some customers see and do more of everything. ``null``: no channel does anything, and nobody
        is targeted, whatever they cost; touchpoints and purchases go on independently of each other.
    seed : int
        Which world; not negative.

    Returns
    -------
    World
        With the eight paid and two unpaid channels of the shipped worlds, for 30 days.

    Examples
    --------
    >>> world = random_world("random", seed=3)
    >>> [channel.name for channel in world.paid_channels if channel.effect == 0]
    ['display', 'generic_search', 'brand_search']
    >>> random_world("activity", seed=3).channels == world.channels
    True
    """
    if seed < 0:
        raise InputError("'seed' is out of range", given=seed, allowed="a whole number from 0")
    # Another key than those of customers, which are drawn from the same seed.
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, 0, 0)))
    strength = _strength(rng) * (family != "null")
    # Everything is drawn whether or not it is used: a world with less targeting is otherwise the same.
    pairs = zip(_DEFAULT.channels, _CONFOUNDED.channels, strict=True)
    channels = tuple(_random_channel(channel, targeted, strength, rng) for channel, targeted in pairs)
    slopes = rng.choice((-0.4, 0.4), len(channels)) * (rng.random() < 0.40)
    saturation = rng.uniform(0.5, 1.5) * (rng.random() < 0.35)
    channels = tuple(
        replace(c, effect_latent_slope=float(slope), saturation=_short(saturation))
        for c, slope in zip(channels, slopes, strict=True)
    )
    world = World(
        f"{family} {seed}",
        channels,
        goodwill_retention=_short(rng.uniform(0.75, 0.95)),
        purchase_in_market_shift=_short(rng.uniform(2.2, 4.0)),
        purchase_log_odds=-_short(rng.uniform(7.7, 8.9)),
        goodwill_needs_market=bool(rng.random() < 0.20),
        whole_seconds=True,
    )
    sigma = _short(rng.uniform(0.6, 1.1))
    if family == "activity":
        return replace(world, activity_sigma=sigma)
    if family == "null":
        idle = (replace(c, effect=0.0, in_market_factor=1.0, goodwill_slope=0.0) for c in channels)
        return replace(world, channels=tuple(idle), repeat_purchases=True)
    return world


def _strength(rng: np.random.Generator) -> float:
    """How confounded a world is: 0 in 15 of 100, evenly up to 1.1 in 35, evenly from 0.5 to 1.1 in the others."""
    kind, low, high = rng.random(), rng.uniform(0.0, 1.1), rng.uniform(0.5, 1.1)
    return float(0.0 if kind < 0.15 else low if kind < 0.50 else high)


def _random_channel(channel: Channel, targeted: Channel, strength: float, rng: np.random.Generator) -> Channel:
    effect = 0.10 * math.exp(0.9 * rng.standard_normal())
    has_effect = rng.random() >= 0.20
    price, frequency = math.exp(0.6 * rng.standard_normal()), math.exp(0.45 * rng.standard_normal())
    power, slope = rng.uniform(0.5, 1.2), rng.uniform(0.0, 1.6)
    is_own, is_trait, follows_visits = rng.random() < 0.25, rng.random() < 0.5, rng.random() < strength
    probability = channel.probability * frequency
    if not channel.paid:
        return replace(channel, probability=_short(probability))
    if channel.name in ("display", "video") and is_own:
        targeted = replace(targeted, latent_slope=0.8) if is_trait else replace(targeted, in_market_factor=17.0)
    factor = targeted.in_market_factor ** (strength * power)
    latent_slope = targeted.latent_slope * strength * slope
    window = targeted.visited_within_days if follows_visits else None
    # As many touchpoints as without targeting, roughly: it says whom they reach.
    probability /= (1.0 + _IN_MARKET * (factor - 1.0)) * math.exp(0.5 * latent_slope**2)
    probability /= _LATELY_ON_SITE if window else 1.0
    return replace(
        channel,
        probability=_short(probability),
        effect=_short(min(max(effect, 0.008), 0.6)) if has_effect else 0.0,
        cost=_short(channel.cost * price),
        latent_slope=_short(latent_slope),
        in_market_factor=_short(factor),
        goodwill_slope=_short(targeted.goodwill_slope * strength),
        visited_within_days=window,
    )


def _short(number: float) -> float:
    # So that the last bit of an exponential, which differs from machine to machine, makes no other world.
    return float(f"{number:.6g}")

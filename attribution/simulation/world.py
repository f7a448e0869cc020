"""What a simulated world is: its channels, how customers move through it, and which values are possible."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Final

from attribution.arguments import check_arguments
from attribution.errors import InputError, did_you_mean

KINDS: Final = ("click", "impression")

_PROBABILITY: Final = (0.0, 1.0)
_SLOPE: Final = (-10.0, 10.0)
_LOG_ODDS: Final = (-50.0, 50.0)
_ANY_SIZE: Final = (0.0, 1e6)
_DAYS: Final = (1, 3650)

# Lowest and highest possible values; where the bounds are whole, so must the value be.
_CHANNEL_RANGES: Final = {
    "probability": _PROBABILITY,
    "effect": _SLOPE,
    "cost": _ANY_SIZE,
    "latent_slope": _SLOPE,
    "in_market_factor": _ANY_SIZE,
    "goodwill_slope": _SLOPE,
    "visited_within_days": _DAYS,
    "boost": _ANY_SIZE,
    "effect_latent_slope": (-1.0, 1.0),
    "saturation": _ANY_SIZE,
    "season_slope": _SLOPE,
}
_WORLD_RANGES: Final = {
    "days": _DAYS,
    "goodwill_retention": (0.0, 0.999),
    "boost_threshold": _ANY_SIZE,
    "onset_log_odds": _LOG_ODDS,
    "onset_latent_slope": _SLOPE,
    "onset_goodwill_slope": _SLOPE,
    "market_exit": _PROBABILITY,
    "purchase_log_odds": _LOG_ODDS,
    "purchase_latent_slope": _SLOPE,
    "purchase_in_market_shift": _LOG_ODDS,
    "visit_probability": _PROBABILITY,
    "visit_probability_in_market": _PROBABILITY,
    "value_mean": (0.01, 1e6),
    "value_latent_slope": (-1.0, 1.0),
    "value_sigma": (0.0, 3.0),
    "reach": _PROBABILITY,
    "activity_sigma": (0.0, 3.0),
    "season_amplitude": _SLOPE,
    "season_days": (1, 3650),
}


@dataclass(frozen=True)
class Channel:
    """One channel: how often it touches whom, what a touchpoint does, and what it costs.

    The chance of a touchpoint on a day is ``probability`` × exp(``latent_slope`` · u) × (``in_market_factor``
    while in market) × exp(``goodwill_slope`` · goodwill) × exp(``season_slope`` · season), at most 1. With the
    last four left out it is constant, and the channel is as good as randomised.

    Parameters
    ----------
    name : str
        The channel in every table.
    probability : float
        Chance of a touchpoint on a day for u = 0, out of market, without goodwill.
    effect : float
        Goodwill a touchpoint adds, in log-odds of buying on the days after it; it fades with the world's
        ``goodwill_retention``. 0: the channel causes nothing by itself.
    cost : float
        Spend per touchpoint, in the currency of the value.
    paid : bool
        Whether it is switched off to find its true effect, and listed in the costs.
    kind : {"click", "impression"}
        What its touchpoints are called; it changes nothing else.
    latent_slope : float
        Targeting: how the chance follows the latent propensity u that nobody observes.
    in_market_factor : float
        How many times likelier a touchpoint is while the customer is in market (pull channels).
    goodwill_slope : float
        How the chance follows goodwill: advertising makes people search for the brand.
    visited_within_days : int, optional
        Touches only customers who visited the site within so many days before (retargeting).
    boosted_by : str, optional
        A channel whose recent touchpoints make those of this one more effective (synergy).
    boost : float
        The effect is multiplied by this where the faded count of touchpoints of ``boosted_by`` exceeds the
        world's ``boost_threshold``.
    effect_latent_slope : float
        On whom it works: the effect is multiplied by exp(``effect_latent_slope`` · u).
    saturation : float
        The effect is divided by 1 + ``saturation`` × the faded count of the channel's earlier touchpoints.
    season_slope : float
        Budgets that follow demand: how the chance follows the season of the world.

    Raises
    ------
    InputError
        If a value is impossible.
    """

    name: str
    probability: float
    effect: float = 0.0
    cost: float = 0.0
    paid: bool = True
    kind: str = "click"
    latent_slope: float = 0.0
    in_market_factor: float = 1.0
    goodwill_slope: float = 0.0
    visited_within_days: int | None = None
    boosted_by: str | None = None
    boost: float = 1.0
    effect_latent_slope: float = 0.0
    saturation: float = 0.0
    season_slope: float = 0.0

    def __post_init__(self) -> None:
        _check_name("channel", self.name)
        where = f"channel {self.name!r}"
        _check_ranges(self, _CHANNEL_RANGES, where)
        if not isinstance(self.paid, bool):
            raise InputError(f"{where}: 'paid' must be true or false", given=repr(self.paid), allowed="true, false")
        if self.kind not in KINDS:
            raise InputError(f"{where}: unknown kind", given=repr(self.kind), allowed=KINDS)
        if not self.paid and self.cost > 0:
            raise InputError(f"{where}: an unpaid channel cannot have a cost", given=self.cost, allowed=0)


@dataclass(frozen=True)
class World:
    """A simulated market: channels, and customers whose propensity to buy only the simulator knows.

    Every customer has a latent propensity u ~ N(0, 1), is in or out of market, and carries goodwill G. On
    the first day G is 0 and nobody has visited the site yet. On each day, in this order, each customer

    1. enters the market with chance σ(``onset_log_odds`` + ``onset_latent_slope`` u +
       ``onset_goodwill_slope`` G), or leaves it with chance ``market_exit``;
    2. is touched by each channel independently, with the chance the `Channel` describes;
    3. buys with chance σ(``purchase_log_odds`` + ``purchase_latent_slope`` u + ``purchase_in_market_shift``
       while in market + G + season), after which nothing more happens to them, or, with
       ``repeat_purchases``, they are out of market;
    4. keeps ``goodwill_retention`` of the goodwill and gains the effects of the day's touchpoints, which
       therefore count from the next day on.

    The defaults are those of the worlds `default` and `confounded`: about 3.5 % of customers buy within 30 days.

    Parameters
    ----------
    name : str
        The name of the world.
    channels : tuple of Channel
        At least one, names unique.
    days : int
        How long the world runs, from 2024-01-01.
    goodwill_retention : float
        Share of goodwill, and of the faded touchpoint count of `Channel.boosted_by`, kept from day to day.
    boost_threshold : float
        Faded count above which ``boost`` applies; with the default retention one touchpoint lasts 11 days.
    onset_log_odds, onset_latent_slope, onset_goodwill_slope, market_exit : float
        Coming into and going out of market. On day 1 as many are in market as would be without advertising.
    purchase_log_odds, purchase_latent_slope, purchase_in_market_shift : float
        The daily chance of buying.
    visit_probability, visit_probability_in_market : float
        Chance on a day of looking around the site, which is what retargeting waits for; a click alone is not
        enough.
    value_mean, value_latent_slope, value_sigma : float
        Value of a purchase: lognormal with this mean for u = 0, times exp(``value_latent_slope`` u), standard
        deviation of the logarithm ``value_sigma``; rounded to cents.
    repeat_purchases : bool
        Whether customers go on after a purchase, seeing channels and buying again. Each purchase has a value of
        its own.
    reach : float
        Share of customers whom any channel can touch. The others are untouched, but they buy, too.
    activity_sigma : float
        Some do more of everything: each customer's chances of touchpoints and of visits to the site, not of
        purchases, are multiplied by exp(``activity_sigma`` · N(0, 1)).
    season_amplitude, season_days : float, int
        The season on day d (from 0): ``season_amplitude`` × sin(2π d ÷ ``season_days``).
    goodwill_needs_market : bool
        Whether goodwill leads to purchases only while the customer is in market.
    whole_seconds : bool
        Whether times are whole seconds, as most systems log them. Their microseconds depend on the last bit of
        exponentials, which is not the same on all processors.

    Raises
    ------
    InputError
        If a value is impossible, or channels contradict each other.

    Examples
    --------
    >>> import attribution as at
    >>> from attribution.simulation import Channel
    >>> channels = (Channel("mail", 0.1, effect=0.5, cost=0.2), Channel("organic", 0.05, paid=False))
    >>> world = World("tiny", channels, days=10)
    >>> [channel.name for channel in world.paid_channels]
    ['mail']
    >>> at.simulate(world, customers=100, seed=1).costs["channel"].unique().tolist()
    ['mail']
    """

    name: str
    channels: tuple[Channel, ...]
    days: int = 30
    goodwill_retention: float = 0.9
    boost_threshold: float = 0.3
    onset_log_odds: float = -5.2
    onset_latent_slope: float = 0.6
    onset_goodwill_slope: float = 0.8
    market_exit: float = 0.12
    purchase_log_odds: float = -8.3
    purchase_latent_slope: float = 0.7
    purchase_in_market_shift: float = 3.2
    visit_probability: float = 0.02
    visit_probability_in_market: float = 0.47
    value_mean: float = 80.0
    value_latent_slope: float = 0.08
    value_sigma: float = 0.5
    repeat_purchases: bool = False
    reach: float = 1.0
    activity_sigma: float = 0.0
    season_amplitude: float = 0.0
    season_days: int = 7
    goodwill_needs_market: bool = False
    whole_seconds: bool = False

    def __post_init__(self) -> None:
        _check_name("world", self.name)
        where = f"world {self.name!r}"
        _check_ranges(self, _WORLD_RANGES, where)
        for name in ("repeat_purchases", "goodwill_needs_market", "whole_seconds"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(
                    f"{where}: {name!r} must be true or false", given=repr(getattr(self, name)), allowed="true, false"
                )
        if not isinstance(self.channels, tuple) or not all(isinstance(c, Channel) for c in self.channels):
            raise InputError(f"{where}: 'channels' must be a tuple of channels", given=repr(self.channels))
        if not self.channels:
            raise InputError(f"{where}: there are no channels", hint="describe at least one")
        names = [channel.name for channel in self.channels]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise InputError(f"{where}: channel names are not unique", given=", ".join(repeated))
        for channel in self.channels:
            if channel.boosted_by is not None and channel.boosted_by not in names:
                raise InputError(
                    f"{where}: channel {channel.name!r} is boosted by an unknown channel",
                    given=repr(channel.boosted_by),
                    allowed=names,
                    hint=did_you_mean(str(channel.boosted_by), names),
                )

    @property
    def paid_channels(self) -> tuple[Channel, ...]:
        return tuple(channel for channel in self.channels if channel.paid)

    def seasons(self) -> list[float]:
        """What the season adds to the log-odds of buying, day by day."""
        # Rounded, because the last bit of a sine differs from machine to machine.
        return [
            round(self.season_amplitude * math.sin(2 * math.pi * (day % self.season_days) / self.season_days), 12)
            for day in range(self.days)
        ]

    @check_arguments
    def without(self, name: str) -> World:
        """The same world with one channel switched off: it touches nobody.

        Examples
        --------
        >>> quiet = World("tiny", (Channel("display", 0.1), Channel("social", 0.2))).without("social")
        >>> [channel.probability for channel in quiet.channels]
        [0.1, 0.0]
        """
        names = [channel.name for channel in self.channels]
        if name not in names:
            raise InputError(f"world {self.name!r} has no channel {name!r}", allowed=names)
        off = (replace(c, probability=0.0) if c.name == name else c for c in self.channels)
        return replace(self, channels=tuple(off))


def _check_name(what: str, name: object) -> None:
    # Names in parentheses are rows and states the toolkit adds itself, such as (unattributed).
    if not isinstance(name, str) or not name.strip() or name.startswith("("):
        raise InputError(
            f"a {what} cannot have this name",
            given=repr(name),
            allowed="a text that is not blank and does not begin with a parenthesis",
        )


def _check_ranges(owner: Any, ranges: dict[str, tuple[float, float]], where: str) -> None:
    for name, (low, high) in ranges.items():
        value = getattr(owner, name)
        if value is None and name == "visited_within_days":
            continue
        whole = isinstance(low, int)
        fits = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
        if not fits or not math.isfinite(value) or not low <= value <= high:
            allowed = f"a {'whole ' if whole else ''}number from {low:g} to {high:g}"
            raise InputError(f"{where}: {name!r} is out of range", given=repr(value), allowed=allowed)

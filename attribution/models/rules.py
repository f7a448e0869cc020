"""Rule-based models: how a conversion is divided is decided beforehand.

Vendors use one name for different rules; every class says whose definition it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attribution.errors import InputError
from attribution.journeys import DAY, JourneyChunk
from attribution.kernels.credit import rule_weights as kernel
from attribution.models.base import AttributionModel


class FirstTouch(AttributionModel):
    """The first touchpoint of a journey gets the whole conversion, as at Google, Adobe, Matomo and Marketo.

    Known bias: overstates channels that open journeys.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search"], "conversions": [2]})))
    >>> at.FirstTouch().fit(journeys).credit_.conversions.tolist()
    [2.0, 0.0, 0.0]
    """

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return kernel.first(chunk.offsets)


class LastTouch(AttributionModel):
    """The last touchpoint of a journey gets the whole conversion, as at Adobe and Matomo.

    Google Analytics 4 calls something else last click: it ignores direct traffic, see `LastNonDirect`.

    Known bias: overstates channels that close journeys, and ignores what led to them.
    """

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return kernel.last(chunk.offsets)


class LastNonDirect(AttributionModel):
    """The last touchpoint that is not direct traffic gets the whole conversion; the last, if all are direct.

    The definition is Matomo's; Google Analytics 4 calls it last click.

    Parameters
    ----------
    direct : channels that count as direct; upper and lower case are not told apart
    """

    def __init__(self, *, direct: Sequence[str] = ("direct",), name: str | None = None) -> None:
        super().__init__(name=name)
        self.direct = direct

    def validate(self) -> None:
        is_list = isinstance(self.direct, list | tuple)
        if not is_list or not all(isinstance(channel, str) for channel in self.direct):
            raise InputError("LastNonDirect: direct is a list of channel names", given=repr(self.direct))

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        direct = {channel.casefold() for channel in self.direct}
        excluded = np.array([channel.casefold() in direct for channel in self.channels_], dtype=bool)
        return np.asarray(kernel.last_other_than(chunk.offsets, chunk.channel, excluded))


class Linear(AttributionModel):
    """Every touchpoint of a journey gets the same share, as at Google, Adobe and Matomo.

    A channel with two touchpoints gets two shares; `LinearDistinct` gives it one.
    """

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return np.ones(len(chunk.channel))


class LinearDistinct(AttributionModel):
    """Every distinct channel of a journey gets the same share, spread evenly over its touchpoints.

    With u distinct channels a touchpoint of a channel that has m of them gets 1 ÷ (u · m). It is no vendor's
    rule by this name, and equals `Shapley` of the set game.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search > mail"], "conversions": [2]})))
    >>> at.LinearDistinct().fit(journeys).credit_.conversions.tolist()
    [1.0, 1.0, 0.0]
    """

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return np.asarray(kernel.distinct_channels(chunk.offsets, chunk.channel, len(self.channels_)))


class PositionBased(AttributionModel):
    """Fixed shares for the first and the last touchpoint, the rest spread evenly between.

    A journey of two is divided by the ratio of the two shares. The default, .4/.4, is what Google and Matomo
    call position-based and Adobe U-shaped. Adobe's J-shaped is .2/.6, its inverse J .6/.2. Marketo's U-shaped
    is another rule: half to the first touchpoint and half to the one that created the lead, which is .5/.5
    where the lead is the conversion.

    Parameters
    ----------
    first, last : shares, ≥ 0, together at most 1
    """

    def __init__(self, *, first: float = 0.4, last: float = 0.4, name: str | None = None) -> None:
        super().__init__(name=name)
        self.first = first
        self.last = last

    def validate(self) -> None:
        for name in ("first", "last"):
            share = getattr(self, name)
            if not _is_number(share) or not 0 <= share <= 1:
                raise InputError(f"PositionBased: {name} is a share", given=repr(share), allowed="0 … 1")
        if self.first + self.last > 1 + 1e-12:
            raise InputError(
                "PositionBased: first and last together exceed the conversion",
                given=f"{self.first} + {self.last}",
                allowed="a sum of at most 1",
            )

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return kernel.position(chunk.offsets, float(self.first), float(self.last))


class TimeDecay(AttributionModel):
    """A touchpoint weighs 2^(−age ÷ half-life), its age counted back from the conversion.

    The definition is Google's and Adobe's, and so is the default half-life of a week.

    Parameters
    ----------
    half_life_days : days after which a touchpoint weighs half; > 0
    """

    needs_times = True

    def __init__(self, *, half_life_days: float = 7.0, name: str | None = None) -> None:
        super().__init__(name=name)
        self.half_life_days = half_life_days

    def validate(self) -> None:
        if not _is_number(self.half_life_days) or not 0 < self.half_life_days < float("inf"):
            raise InputError("TimeDecay: half_life_days must be positive and finite", given=repr(self.half_life_days))

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        if chunk.ended_at is None or chunk.touched_at is None:
            raise InputError("TimeDecay needs times, and these journeys have none")
        age = np.repeat(chunk.ended_at, chunk.lengths) - chunk.touched_at
        return kernel.time_decay(chunk.offsets, age / DAY, float(self.half_life_days))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)

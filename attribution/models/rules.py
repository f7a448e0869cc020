"""Rule-based models: how a conversion is divided is fixed in advance.

Vendors use one name for different rules; every class names the vendors whose definition it follows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attribution.data.engine import text
from attribution.errors import InputError
from attribution.journeys import DAY, JourneyChunk
from attribution.journeys.refine import are_direct, fold_channel
from attribution.kernels.credit import rule_weights as kernel
from attribution.models.base import Assumptions, AttributionModel

VANISHES = 800.0
"""Half-lives after which the weight of a touchpoint counts as 0."""


class FirstTouch(AttributionModel):
    """The first touchpoint of a journey gets the whole conversion, as at Google, Adobe, Matomo and Marketo.

    Parameters
    ----------
    name : label in tables; the class in snake case with its non-default parameters unless given

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search"], "conversions": [2]})))
    >>> at.FirstTouch().fit(journeys).credit_.conversions.tolist()
    [2.0, 0.0, 0.0]
    """

    ignores_channels = True
    assumptions = Assumptions(
        "The touchpoint that opens a journey brings the conversion.",
        "Overstates channels that open journeys.",
    )
    weight_sql = "case when position = 1 then 1 else 0 end"

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return kernel.first(chunk.offsets)


class LastTouch(AttributionModel):
    """The last touchpoint of a journey gets the whole conversion, as at Adobe and Matomo.

    Google Analytics 4 calls something else last click: it ignores direct traffic, see `LastNonDirect`.

    Parameters
    ----------
    name : label in tables; the class in snake case with its non-default parameters unless given

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search"], "conversions": [2]})))
    >>> at.LastTouch().fit(journeys).credit_.to_frame()[["channel", "conversions"]].values.tolist()[:2]
    [['mail', 0.0], ['search', 2.0]]
    """

    ignores_channels = True
    assumptions = Assumptions(
        "The touchpoint that closes a journey brings the conversion.",
        "Overstates channels that close journeys, and ignores what led to them.",
    )
    weight_sql = "case when position = length then 1 else 0 end"

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return kernel.last(chunk.offsets)


class LastNonDirect(AttributionModel):
    """The last touchpoint that is not direct traffic gets the whole conversion; the last, if all are direct.

    The definition is Matomo's; Google Analytics 4 calls it last click.

    Parameters
    ----------
    direct : channels that count as direct, in upper or lower case; "direct" is whatever products call so, such as
        "(direct) / (none)"
    name : label in tables; the class in snake case with its non-default parameters unless given

    Raises
    ------
    InputError
        When it is fitted, if ``direct`` is not a list of names.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search > app"], "conversions": [2]})))
    >>> credit = at.LastNonDirect(direct=["direct", "app"]).fit(journeys).credit_.to_frame()
    >>> credit[["channel", "conversions"]].values.tolist()[:3]
    [['app', 0.0], ['mail', 0.0], ['search', 2.0]]
    """

    assumptions = Assumptions(
        "The last touchpoint that is not direct traffic brings the conversion.",
        "Overstates channels that close journeys, and gives direct traffic no credit for what it caused.",
    )

    def __init__(self, *, direct: Sequence[str] = ("direct",), name: str | None = None) -> None:
        super().__init__(name=name)
        self.direct = direct

    def validate(self) -> None:
        is_list = isinstance(self.direct, list | tuple)
        if not is_list or not all(isinstance(channel, str) for channel in self.direct):
            raise InputError("LastNonDirect: direct must be a list of channel names", given=repr(self.direct))

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        excluded = are_direct(self.channels_, self.direct)
        return np.asarray(kernel.last_other_than(chunk.offsets, chunk.channel, excluded))

    @property
    def weight_sql(self) -> str:
        is_direct = named_channels(self.direct, getattr(self, "channels_", ()))
        last = f"max(case when not {is_direct} then position end) over (partition by journey)"
        return f"case when position = coalesce({last}, length) then 1 else 0 end"


class Linear(AttributionModel):
    """Every touchpoint of a journey gets the same share, as at Google, Adobe and Matomo.

    A channel with two touchpoints gets two shares; `LinearDistinct` gives it one.

    Parameters
    ----------
    name : label in tables; the class in snake case with its non-default parameters unless given

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search > mail"], "conversions": [3]})))
    >>> at.Linear().fit(journeys).credit_.to_frame()[["channel", "conversions"]].values.tolist()[:2]
    [['mail', 2.0], ['search', 1.0]]
    """

    ignores_channels = True
    assumptions = Assumptions(
        "Every touchpoint of a journey does as much as any other.",
        "Favours channels that touch often.",
    )
    weight_sql = "1"

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return np.ones(len(chunk.channel))


class LinearDistinct(AttributionModel):
    """Every distinct channel of a journey gets the same share, spread evenly over its touchpoints.

    With u distinct channels, a touchpoint of a channel with m touchpoints gets 1 ÷ (u · m). No vendor has a rule of
    this name. It equals `Shapley` with the game ``set``.

    Parameters
    ----------
    name : label in tables; the class in snake case with its non-default parameters unless given

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search > mail"], "conversions": [2]})))
    >>> at.LinearDistinct().fit(journeys).credit_.conversions.tolist()
    [1.0, 1.0, 0.0]
    """

    assumptions = Assumptions(
        "Every channel of a journey does as much as any other, however often it touches.",
        "Favours channels that are in many journeys, whatever their effect.",
    )
    weight_sql = "1 / count(*) over (partition by journey, channel)"

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
    name : label in tables; the class in snake case with its non-default parameters unless given

    Raises
    ------
    InputError
        When it is fitted, if a share is not between 0 and 1, or their sum is above 1.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> journeys = at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > social > search"], "conversions": [4]})))
    >>> credit = at.PositionBased(first=0.5, last=0.25).fit(journeys).credit_.to_frame()
    >>> credit[["channel", "conversions"]].values.tolist()[:3]
    [['mail', 2.0], ['search', 1.0], ['social', 1.0]]
    """

    ignores_channels = True
    assumptions = Assumptions(
        "The first and the last touchpoint of a journey earn fixed shares.",
        "Favours channels that open and close journeys; the shares are a convention.",
    )

    def __init__(self, *, first: float = 0.4, last: float = 0.4, name: str | None = None) -> None:
        super().__init__(name=name)
        self.first = first
        self.last = last

    def validate(self) -> None:
        for name in ("first", "last"):
            share = getattr(self, name)
            if not _is_number(share) or not 0 <= share <= 1:
                raise InputError(f"PositionBased: {name} must be a share", given=repr(share), allowed="0 … 1")
        if self.first + self.last > 1 + 1e-12:
            raise InputError(
                "PositionBased: first and last together are more than the whole conversion",
                given=f"{self.first} + {self.last}",
                allowed="a sum of at most 1",
            )

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        return kernel.position(chunk.offsets, float(self.first), float(self.last))

    @property
    def weight_sql(self) -> str:
        first, last = float(self.first), float(self.last)
        middle = max(0.0, 1.0 - first - last)
        return (
            f"case when length = 1 then 1.0 when position = length then {last!r} when position = 1 then {first!r} "
            f"else {middle!r} / (length - 2) end"
        )


class TimeDecay(AttributionModel):
    """A touchpoint weighs 2^(−age ÷ half-life), its age counted back from the conversion.

    The definition is Google's and Adobe's, and so is the default half-life of a week.

    Parameters
    ----------
    half_life_days : days after which a touchpoint weighs half; > 0
    name : label in tables; the class in snake case with its non-default parameters unless given

    Raises
    ------
    InputError
        When it is fitted, if the half-life is not positive and finite, or journeys have no times.

    Examples
    --------
    A touchpoint a week before the conversion weighs half as much as one on the day itself.

    >>> import pandas as pd
    >>> import attribution as at
    >>> touchpoints = pd.DataFrame({"customer_id": ["a", "a"], "touched_at": ["2024-01-01", "2024-01-08"],
    ...                             "channel": ["mail", "search"]})
    >>> conversions = pd.DataFrame({"customer_id": ["a"], "converted_at": ["2024-01-08"]})
    >>> journeys = at.build_journeys(at.load_sources(touchpoints, conversions))
    >>> at.TimeDecay(half_life_days=7).fit(journeys).credit_.conversions.round(6).tolist()
    [0.333333, 0.666667, 0.0]
    """

    ignores_channels = True
    assumptions = Assumptions(
        "The longer a touchpoint lies before the conversion, the less it contributes.",
        "Favours channels shortly before a conversion; the half-life is a convention.",
    )

    needs_times = True

    def __init__(self, *, half_life_days: float = 7.0, name: str | None = None) -> None:
        super().__init__(name=name)
        self.half_life_days = half_life_days

    def validate(self) -> None:
        if not _is_number(self.half_life_days) or not 0 < self.half_life_days < float("inf"):
            raise InputError("TimeDecay: half_life_days must be positive and finite", given=repr(self.half_life_days))

    def weigh(self, chunk: JourneyChunk) -> NDArray[np.float64]:
        if chunk.ended_at is None or chunk.touched_at is None:
            raise InputError(
                "TimeDecay needs timestamps, and these journeys have only an order",
                hint="give touchpoints with timestamps, or choose a model that needs none",
            )
        age = np.repeat(chunk.ended_at, chunk.lengths) - chunk.touched_at
        return kernel.time_decay(chunk.offsets, age / DAY, float(self.half_life_days))

    @property
    def weight_sql(self) -> str:
        # Relative to the newest touchpoint, and 0 where the number would be too small for some databases.
        older = f"(age_days - min(age_days) over (partition by journey)) / {float(self.half_life_days)!r}"
        return f"case when {older} > {VANISHES!r} then 0.0 else power(2.0, -({older})) end"


def named_channels(names: Sequence[str], channels: Sequence[str]) -> str:
    """SQL condition that ``channel`` is one of ``names`` in any case; ``channels`` gives their spellings."""
    folded = {fold_channel(name) for name in names}
    spellings = sorted({channel for channel in channels if fold_channel(channel) in folded} | folded)
    if not folded:
        return "false"
    listed, lower = (", ".join(text(name) for name in each) for each in (spellings, sorted(folded)))
    return f"(channel in ({listed}) or lower(channel) in ({lower}))"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)

"""Two models of one's own: a rule, and one that learns from all journeys. `own_models.toml` runs them.

A model is a class in a file. Its constructor only assigns its arguments, which are the settings in the experiment
file. `attribution check-model own_models:RecencyByKind`, asked in this folder, proves the laws it must obey.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import attribution as at

DAY = 86_400_000_000  # times are microseconds


class RecencyByKind(at.AttributionModel):
    """A touchpoint weighs 2^(−age ÷ half-life), and what was only seen is forgotten sooner than what was clicked.

    A rule overrides `weigh`: one weight ≥ 0 per touchpoint. The toolkit divides each conversion by them.

    Parameters
    ----------
    click_days, view_days : half-lives, of clicks (and all that is no impression) and of impressions
    """

    needs_times = True
    assumptions = at.Assumptions(
        "What was clicked is remembered longer than what was only seen, and both fade.",
        "Favours clicks shortly before a conversion; both half-lives are a convention.",
    )

    def __init__(self, *, click_days: float = 7.0, view_days: float = 1.0, name: str | None = None) -> None:
        super().__init__(name=name)
        self.click_days = click_days
        self.view_days = view_days

    def validate(self) -> None:
        for setting in ("click_days", "view_days"):
            if not 0 < getattr(self, setting) < float("inf"):
                raise at.InputError(f"RecencyByKind: {setting} must be positive", given=getattr(self, setting))

    def weigh(self, chunk: at.JourneyChunk) -> NDArray[np.float64]:
        # Journeys lie end to end: each has an end, each touchpoint a time and a code for its kind, campaign, …
        age = (np.repeat(chunk.ended_at, chunk.lengths) - chunk.touched_at) / DAY
        is_view = chunk.dimensions.decode(chunk.code, "kind") == "impression"
        return np.exp2(-age / np.where(is_view, self.view_days, self.click_days))

    @property
    def weight_sql(self) -> str:
        # The same in DuckDB's SQL, so that `attribution export --sql` can write it for any database.
        days = f"case when kind = 'impression' then {self.view_days} else {self.click_days} end"
        return f"power(2, -age_days / ({days}))"


class RatedParticipation(at.AttributionModel):
    """Channels share by conversions they took part in × the conversion rate of journeys with them.

    A model that learns overrides two more. `summarise` says what some journeys contribute, in tables of exact sums
    that add up whatever the order; `solve` turns the sum into credit. `weigh` then divides single journeys.
    """

    assumptions = at.Assumptions(
        "A channel does more the oftener journeys with it convert.",
        "Favours channels that meet customers who are about to buy anyway.",
    )
    weight_sql = "learned.rates_"

    def summarise(self, chunk: at.JourneyChunk) -> at.Summary:
        channels = len(self.channels_)
        laid_out = chunk.flatten(chunk.lengths > 0)
        journey = np.repeat(np.arange(len(laid_out)), laid_out.lengths)
        # A channel counts once per journey.
        pairs = np.unique(journey * channels + laid_out.channel)
        journey, channel = pairs // channels, pairs % channels
        once = np.zeros(len(laid_out), int)
        return at.Summary(
            {
                "converting": at.tally(channel, laid_out.conversions[journey]),
                "others": at.tally(channel, laid_out.nulls[journey]),
                # All that there is to divide: a conversion that no channel was there for is set aside.
                "conversions": at.tally(once, laid_out.conversions),
                "value": at.tally(once, laid_out.value),
            }
        )

    def solve(self, summary: at.Summary) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        channels = len(self.channels_)
        converting, others = summary.dense("converting", channels), summary.dense("others", channels)
        self.rates_ = np.divide(converting, converting + others, out=np.zeros(channels), where=converting > 0)
        claims = converting * self.rates_
        shares = claims / claims.sum() if claims.any() else claims
        # Conversions and value of each channel; together they must be all that there is.
        return shares * summary.number("conversions"), shares * summary.number("value")

    def weigh(self, chunk: at.JourneyChunk) -> NDArray[np.float64]:
        return self.rates_[chunk.channel]

    def learned(self) -> dict[str, NDArray[np.float64]]:
        # What `weigh` needs of what was learned, so that the model can be exported and score new journeys.
        return {"rates_": self.rates_}

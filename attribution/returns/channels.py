"""The channels that money is spent on, where a path transform has split them."""

from __future__ import annotations

import pandas as pd

from attribution.journeys import Journeys
from attribution.returns.terms import Terms


def credit_of_channels(credit: pd.DataFrame, journeys: Journeys, terms: Terms) -> pd.DataFrame:
    """Credit by the channels that money is spent on, where a path transform has split them."""
    whole = whole_channels(journeys)
    if not whole:
        return credit
    table = credit.assign(channel=credit["channel"].replace(whole))
    keys, columns = ["model", "estimand", "channel"], ["conversions", "value", "share", *sorted(terms.measures)]
    return table.groupby(keys, sort=False)[columns].sum(min_count=1).reset_index()


def whole_channels(journeys: Journeys) -> dict[str, str]:
    """For every channel that a path transform has split off, the channel it is a part of."""
    names = journeys.dimensions.channels
    if journeys.channels == names:
        return {}
    split = len(journeys.channels) // len(names)
    return {part: names[place // split] for place, part in enumerate(journeys.channels)}

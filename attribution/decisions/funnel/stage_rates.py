"""How often journeys lead to a stage, by the channels in them and by where these stand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.decisions.funnel.credit import StageCredit
from attribution.decisions.funnel.funnel_declared import CONVERSION_RATES, empty_table
from attribution.decisions.funnel.progress import Progress
from attribution.journeys import JourneyChunk, Summary
from attribution.journeys.structure import tally
from attribution.kernels.statistics.intervals import wilson_interval
from attribution.returns import whole_channels

_PLACES = ("anywhere", "first", "last")
_COUNTS = ("journeys", "open", "arrivals")


def conversion_rates(progress: Progress, credited: Sequence[StageCredit], level: float) -> pd.DataFrame:
    """The ``conversion_rates`` table: journeys with a channel, and how many of them ended in the stage.

    A journey that is still open when the data end counts as not converted, and is counted apart. Of a period, journeys
    count that reached the stage in it, and those without an arrival that were last touched in it.
    """
    parts = []
    for stage in credited:
        journeys = stage.journeys
        names = sorted(set(journeys.dimensions.channels))
        code_by_name = {name: code for code, name in enumerate(names)}
        whole = whole_channels(journeys)
        codes = np.array([code_by_name[whole.get(name, name)] for name in journeys.channels], dtype=np.int64)
        summary = journeys.read(partial(_count, codes))[0]
        for where in _PLACES:
            counts = {what: summary.dense(f"{where}_{what}", len(names)) for what in _COUNTS}
            parts.append(
                pd.DataFrame(
                    {"stage": progress.stages[stage.stage], "channel": names, "touch_position": where} | counts
                )
            )
    if not parts:
        return empty_table(CONVERSION_RATES)
    table = pd.concat(parts, ignore_index=True)
    cases = table["journeys"].to_numpy()
    table["rate"] = np.divide(table["arrivals"].to_numpy(), cases, out=np.full(len(table), np.nan), where=cases > 0)
    table["rate_low"], table["rate_high"] = wilson_interval(table["arrivals"].to_numpy(), cases, level)
    return table[list(CONVERSION_RATES.column_names)]


def _count(codes: NDArray[np.int64], chunk: JourneyChunk) -> Summary:
    return sum((_count_places(codes, part.touched) for part in chunk.by_last_touch), start=Summary({}))


def _count_places(codes: NDArray[np.int64], touched: JourneyChunk) -> Summary:
    flattened = touched.flatten(np.ones(len(touched), bool))
    channel = codes[flattened.channel]
    journey = np.repeat(np.arange(len(flattened)), flattened.lengths)
    # Sorted and compared, which is quicker than a table of what was seen.
    present = np.sort(journey * len(codes) + channel)
    present = present[np.diff(present, prepend=-1) > 0]
    everywhere = (present // len(codes), present % len(codes))
    ends = np.arange(len(flattened))
    where = {
        "anywhere": everywhere,
        "first": (ends, channel[flattened.start]),
        "last": (ends, channel[flattened.stop - 1]),
    }
    counted = {
        "journeys": np.ones(len(flattened), bool),
        "open": flattened.is_open & ~flattened.converting,
        "arrivals": flattened.converting,
    }
    return Summary(
        {
            f"{position}_{what}": tally(code, taken[of])
            for position, (of, code) in where.items()
            for what, taken in counted.items()
        }
    )

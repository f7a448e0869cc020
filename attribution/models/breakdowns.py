"""What a Shapley model can tell beyond totals, as tables, and what to know before believing it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.data.loading import Finding, count_finding
from attribution.journeys import JourneyChunk, Summary
from attribution.kernels.shapley.coalitions import coalitions
from attribution.kernels.statistics.sums import KeyedSums, sum_by_key, to_float
from attribution.schema.tables import CREDIT_BY_POSITION

_ROUNDING = 1e-12


def break_down(laid_out: JourneyChunk, shares: NDArray[np.float64], channels: int) -> Summary:
    """What `position_table` and the interactions of the game ``set`` are made of.

    Parameters
    ----------
    laid_out : converting journeys, end to end
    shares : (touchpoints,) what each gets of its journey
    channels : how many there are
    """
    journey = np.repeat(np.arange(len(laid_out)), laid_out.lengths)
    # Place and channel as one number, which is quicker to sort than two.
    place = (np.arange(len(journey)) - laid_out.offsets[journey]) * channels + laid_out.channel
    sets = coalitions(laid_out.start, laid_out.stop, laid_out.channel, channels)
    return Summary(
        {
            "positions": sum_by_key(place[:, None], shares * laid_out.conversions[journey]),
            "converted_sets": sum_by_key(sets, laid_out.conversions.astype(np.float64)),
        }
    )


def position_table(label: str, channels: Sequence[str], table: KeyedSums) -> pd.DataFrame:
    """`CREDIT_BY_POSITION` from sums whose key is position, from 0, times the number of channels, plus channel."""
    place, channel = np.divmod(table.keys[:, 0], max(len(channels), 1))
    order = np.lexsort([place, channel])
    frame = pd.DataFrame(
        {
            "model": label,
            "channel": np.array(channels, dtype=object)[channel[order]],
            "position": place[order] + 1,
            "conversions": to_float(table.sums)[order],
        }
    )
    return frame[list(CREDIT_BY_POSITION.column_names)]


def interaction_table(label: str, channels: Sequence[str], pairs: NDArray[np.float64]) -> pd.DataFrame:
    """One row per pair of channels; what is only rounding counts as none."""
    a, b = np.triu_indices(len(channels), 1)
    found = pairs[a, b]
    found[np.abs(found) <= _ROUNDING * np.abs(found).max(initial=0.0)] = 0.0
    names = np.array(channels, dtype=object)
    return pd.DataFrame(
        {
            "model": label,
            "channel_a": names[a],
            "channel_b": names[b],
            "measure": "shapley_interaction",
            "interaction": found,
            "kind": np.array(["substitution", "none", "synergy"], dtype=object)[np.sign(found).astype(int) + 1],
        }
    )


def truncation_finding(label: str, converted: float, *, from_paths: bool) -> Finding:
    """That journeys which stop at conversion bias every game of rates."""
    if_paths = "if these paths stop at conversion, " if from_paths else "journeys stop at conversion, so "
    message = (
        f"{label}: {if_paths}converters have fewer touchpoints than they would have had, and a game of rates takes "
        "that for an effect (immortal-time bias): credit may be far too low, even negative; check it against an "
        "experiment"
    )
    return count_finding("immortal_time", "journeys", converted, message)


def negative_finding(label: str, channels: Sequence[str], credit: NDArray[np.float64]) -> list[Finding]:
    """Channels whose total is negative, where there are any."""
    negative = np.flatnonzero(credit < 0)
    if not len(negative):
        return []
    message = f"channels to which {label} credits fewer than 0 conversions: kept so; shares are null"
    worst = channels[int(credit.argmin())]
    return [count_finding("negative_credit", "credit", len(negative), message, total=len(channels), example=worst)]


def sampling_finding(label: str, pairs: int, errors: NDArray[np.float64], credit: NDArray[np.float64]) -> list[Finding]:
    """How far sampling may be off, where there was any."""
    if not pairs:
        return []
    size = float(np.abs(credit).mean())
    share = float(errors.max()) / size if size else 0.0
    message = (
        f"{label}: pairs of orders of arrival drawn; the largest standard error is {share:.2%} of the mean absolute "
        f"credit"
    )
    return [Finding("sampled_orders", "credit", "pass", pairs, None, None, message)]


def classifier_findings(label: str, notes: Sequence[str], saw_untouched: bool) -> list[Finding]:
    """What the classifier warned of, and whether it saw a journey without ads."""
    message = f"warnings while the classifier of {label} was fitted: its probabilities may not be the best there are"
    found = [count_finding("classifier_warnings", "journeys", len(notes), message, example="; ".join(notes))]
    if not saw_untouched:
        message = f"{label}: no customer without a touchpoint: what happens without ads is extrapolated"
        found.append(Finding("classifier_without_untouched", "journeys", "warn", 0, None, None, message))
    return found

"""What a Shapley model gives beyond totals, as tables, and its findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.amounts import percent
from attribution.data.loading import Finding, count_finding
from attribution.journeys import JourneyChunk, Summary
from attribution.kernels.shapley.coalitions import coalitions
from attribution.kernels.statistics.sums import KeyedSums, sum_by_key, to_float
from attribution.schema.tables import CREDIT_BY_POSITION

WHOLE_JOURNEYS = "immortal_time"
"""The check of ``quality`` that warns of effects which are estimated from whole journeys; its example is the model."""

_ROUNDING = 1e-12


def break_down(flattened: JourneyChunk, shares: NDArray[np.float64], channels: int) -> Summary:
    """What `position_table` and the interactions of the game ``set`` are made of.

    Parameters
    ----------
    flattened : converting journeys, end to end
    shares : (touchpoints,) share of its journey for each touchpoint
    channels : how many there are
    """
    journey = np.repeat(np.arange(len(flattened)), flattened.lengths)
    # Position and channel as one number, which is quicker to sort than two.
    cell = (np.arange(len(journey)) - flattened.offsets[journey]) * channels + flattened.channel
    sets = coalitions(flattened.start, flattened.stop, flattened.channel, channels)
    return Summary(
        {
            "positions": sum_by_key(cell[:, None], shares * flattened.conversions[journey]),
            "converted_sets": sum_by_key(sets, flattened.conversions.astype(np.float64)),
        }
    )


def position_table(label: str, channels: Sequence[str], table: KeyedSums) -> pd.DataFrame:
    """`CREDIT_BY_POSITION` from sums whose key is position, from 0, times the number of channels, plus channel."""
    position, channel = np.divmod(table.keys[:, 0], max(len(channels), 1))
    order = np.lexsort([position, channel])
    frame = pd.DataFrame(
        {
            "model": label,
            "channel": np.array(channels, dtype=object)[channel[order]],
            "position": position[order] + 1,
            "conversions": to_float(table.sums)[order],
        }
    )
    return frame[list(CREDIT_BY_POSITION.column_names)]


def interaction_table(label: str, channels: Sequence[str], pairs: NDArray[np.float64]) -> pd.DataFrame:
    """One row per pair of channels; an interaction that is only rounding counts as 0."""
    a, b = np.triu_indices(len(channels), 1)
    interaction = pairs[a, b]
    interaction[np.abs(interaction) <= _ROUNDING * np.abs(interaction).max(initial=0.0)] = 0.0
    names = np.array(channels, dtype=object)
    return pd.DataFrame(
        {
            "model": label,
            "channel_a": names[a],
            "channel_b": names[b],
            "measure": "shapley_interaction",
            "interaction": interaction,
        }
    )


def truncation_finding(label: str, converted: float, *, from_paths: bool) -> Finding:
    """The bias of whatever compares rates of whole journeys, where these stop at conversion."""
    reason = "if these paths stop at conversion" if from_paths else "because journeys stop at conversion"
    message = (
        f"{label}: credit may be far too low, even negative, {reason}. Converters then have fewer touchpoints than "
        "they would otherwise have had, and the model mistakes that for an effect of the channels (immortal-time "
        "bias): check the credit against an experiment"
    )
    return count_finding(WHOLE_JOURNEYS, "journeys", converted, message, example=label)


def negative_finding(label: str, channels: Sequence[str], credit: NDArray[np.float64]) -> list[Finding]:
    """Channels whose total is negative, where there are any."""
    negative = np.flatnonzero(credit < 0)
    if not len(negative):
        return []
    message = (
        f"channels to which {label} gives negative credit; shares are null for the whole model. Check these channels "
        "against an experiment, or set negative = 'zero' for shares"
    )
    worst = channels[int(credit.argmin())]
    return [count_finding("negative_credit", "credit", len(negative), message, total=len(channels), example=worst)]


def sampling_finding(label: str, pairs: int, errors: NDArray[np.float64], credit: NDArray[np.float64]) -> list[Finding]:
    """The error of sampling, where there was any."""
    if not pairs:
        return []
    size = float(np.abs(credit).mean())
    share = float(errors.max()) / size if size else 0.0
    message = (
        f"pairs of channel orders sampled by {label}; the largest standard error is {percent(share)} of the mean "
        "absolute credit"
    )
    return [Finding("sampled_orders", "credit", "pass", pairs, None, None, message)]


def classifier_findings(label: str, notes: Sequence[str], has_untouched: bool) -> list[Finding]:
    """Warnings of the classifier, and whether it was fitted on journeys without ads."""
    message = (
        f"warnings while the classifier of {label} was fitted. Its probabilities may be wrong: change "
        "classifier_settings until there are none"
    )
    findings = [count_finding("classifier_warnings", "journeys", len(notes), message, example="; ".join(notes))]
    if not has_untouched:
        message = (
            f"{label}: there is no customer without a touchpoint, so the conversion rate without ads is extrapolated: "
            "add a customers table that includes customers who were never touched"
        )
        findings.append(Finding("classifier_without_untouched", "journeys", "warn", 0, None, None, message))
    return findings

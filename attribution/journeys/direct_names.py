"""Names that options give to direct traffic, held against the channels that there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attribution.data.loading import Finding, count_finding
from attribution.errors import did_you_mean
from attribution.journeys.refine import DIRECT, are_direct


def absent_direct(option: str, names: Iterable[str], channels: Sequence[str], table: str) -> list[Finding]:
    """One finding if an option calls channels direct that are nowhere in the data, with what it may have meant."""
    unknown = [name for name in names if not are_direct(channels, [name]).any()]
    if not unknown:
        return []
    direct = [channel for channel, marked in zip(channels, are_direct(channels, DIRECT), strict=True) if marked]
    hint = did_you_mean(unknown[0], channels) or (f"did you mean {direct[0]!r}?" if direct else None)
    message = f"{option}: no channel is called {', '.join(map(repr, unknown))}; "
    message += f"correct the name: {hint}" if hint else "name the channels that are direct traffic, or leave it out"
    return [count_finding("option_names", table, len(unknown), message, example=unknown[0])]

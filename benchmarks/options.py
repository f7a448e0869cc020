"""What one run of the benchmarks is asked for."""

from __future__ import annotations

from dataclasses import dataclass

TOUCHPOINTS = 20_000_000
JOURNEYS = 1_000_000
SCALE = 100_000_000
"""The sizes the targets are for."""


@dataclass(frozen=True)
class Options:
    """Sizes and repetitions.

    Attributes
    ----------
    touchpoints : of the event benchmarks; a fifth as many customers, a fiftieth as many conversions
    journeys : of the inputs in memory, which are paths
    scale : touchpoints of the benchmark beyond memory; a tenth of them in that of Spark, a fifth in that of the hazard
    rounds : how often each measurement is repeated
    limit : seconds a peer may take for one process
    python : of the project
    peers_python : of the peers; None if they are not installed
    """

    touchpoints: int
    journeys: int
    scale: int
    rounds: int
    limit: float
    python: str
    peers_python: str | None

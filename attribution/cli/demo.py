"""The simulated shop of ``attribution demo``."""

from __future__ import annotations

from pathlib import Path

from attribution.simulation import simulate

_EXPERIMENT = """\
# A simulated shop: what the channels truly caused is known, see truth.parquet.
name = "demo"

[tables.touchpoints]
source = "touchpoints.parquet"

[tables.conversions]
source = "conversions.parquet"

[tables.costs]
source = "costs.parquet"

[tables.truth]
source = "truth.parquet"

[journeys]
lookback_days = 30

[[models]]
model = "FirstTouch"

[[models]]
model = "LastTouch"

[[models]]
model = "LastNonDirect"

[[models]]
model = "Linear"

[[models]]
model = "PositionBased"

[[models]]
model = "TimeDecay"
half_life_days = 7

[[models]]
model = "Markov"
order = 1
name = "markov_1"

[[models]]
model = "Markov"
order = 2
name = "markov_2"

[[models]]
model = "Shapley"
"""


def write_demo(folder: Path, customers: int) -> Path:
    """Simulate ``customers`` of the default world into ``folder``; return the path of an experiment on them."""
    simulation = simulate("default", customers=customers)
    for name in ("touchpoints", "conversions", "costs", "truth"):
        getattr(simulation, name).to_parquet(folder / f"{name}.parquet", index=False)
    path = folder / "demo.toml"
    path.write_text(_EXPERIMENT, encoding="utf-8")
    return path

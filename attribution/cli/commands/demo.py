"""``attribution demo``: a simulated shop whose true channel effects are known, and a run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.commands.arguments import Json, Overrides
from attribution.cli.commands.run import run_one
from attribution.cli.console import progress

_EXPERIMENT = """\
# A simulated shop whose true channel effects are known: see truth.parquet.
name = "demo"

[tables.touchpoints]
source = "touchpoints.parquet"

[tables.conversions]
source = "conversions.parquet"

[tables.costs]
source = "costs.parquet"

[tables.customers]
source = "customers.parquet"

[tables.truth]
source = "truth.parquet"

[journeys]
lookback_days = 30

[resampling]
draws = 200

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


def demo(
    customers: Annotated[int, typer.Option(min=100, help="Number of customers of the simulated shop.")] = 20_000,
    out: Annotated[Path, typer.Option(help="Output folder. An earlier result in it is replaced.")] = Path("runs/demo"),
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Simulate a shop whose true channel effects are known, and run every model on it."""
    import tempfile

    from attribution.pipeline.sections import read_experiment

    with tempfile.TemporaryDirectory(prefix="attribution-demo-") as folder:
        with progress() as say:
            say(f"simulating {customers:,} customers")
            path = _write_demo(Path(folder), customers)
        run_one(read_experiment(path, overrides or ()), out, as_json=as_json)


def _write_demo(folder: Path, customers: int) -> Path:
    """Simulate ``customers`` of the default world into ``folder``; return the path of an experiment on them."""
    import pandas as pd

    from attribution.simulation import simulate
    from attribution.simulation.simulation import simulate_joint_truth

    simulation = simulate("default", customers=customers)
    for name in ("touchpoints", "conversions", "costs", "customers"):
        getattr(simulation, name).to_parquet(folder / f"{name}.parquet", index=False)
    truth = pd.concat([simulation.truth, simulate_joint_truth("default", customers=customers)], ignore_index=True)
    truth.to_parquet(folder / "truth.parquet", index=False)
    path = folder / "demo.toml"
    path.write_text(_EXPERIMENT, encoding="utf-8")
    return path

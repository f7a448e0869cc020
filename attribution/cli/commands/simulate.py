"""``attribution simulate``: a simulated world as Parquet files, or as one raw log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.console import progress


def simulate(
    world: Annotated[str, typer.Argument(help="The world: default, confounded, or a TOML file.")],
    customers: Annotated[int, typer.Option(min=1, help="Number of customers.")],
    out: Annotated[Path, typer.Option(help="Output folder. An earlier result in it is replaced.")],
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed: another seed gives another sample of the same world.")
    ] = 0,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Write log.csv, with page views, sign-ins and orders in it, and costs.csv instead."),
    ] = False,
) -> None:
    """Write a simulated world as Parquet: touchpoints, conversions, costs and the true channel effects."""
    from attribution.pipeline.output import replaced_folder
    from attribution.simulation import load_world, make_raw_log
    from attribution.simulation import simulate as simulate_world

    chosen = load_world(world)
    with replaced_folder(out, [Path(world)] if Path(world).is_file() else [], kind="simulation") as folder:
        with progress() as say:
            say(f"simulating {customers:,} customers")
            simulation = simulate_world(chosen, customers=customers, seed=seed, truth=not raw)
        if raw:
            made = make_raw_log(simulation, chosen, seed=seed)
            made.log.to_csv(folder / "log.csv", index=False)
            made.costs.to_csv(folder / "costs.csv", index=False)
        else:
            for name in ("touchpoints", "conversions", "costs", "truth"):
                getattr(simulation, name).to_parquet(folder / f"{name}.parquet", index=False)
    typer.echo(f"Wrote {customers:,} customers of world {chosen.name!r} to {out}.")

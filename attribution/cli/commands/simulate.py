"""``attribution simulate``: a simulated world as Parquet files, or as one raw log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.console import progress


def simulate(
    world: Annotated[
        str,
        typer.Argument(
            help="The world: default, confounded, untargeted, targeted, untargeted_even, targeted_even, a TOML file, "
            "or random, activity or null, of which each seed is another world."
        ),
    ],
    customers: Annotated[int, typer.Option(min=1, help="Number of customers.")],
    out: Annotated[Path, typer.Option(help="Output folder. An earlier result in it is replaced.")],
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            help="Random seed: another seed gives another sample of the same world, "
            "and another world where the world is random, activity or null.",
        ),
    ] = 0,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Write log.csv, with page views, sign-ins and orders in it, and costs.csv instead."),
    ] = False,
    days: Annotated[int | None, typer.Option(min=1, help="Number of days. Default: as the world says, 30.")] = None,
    repeat_purchases: Annotated[
        bool, typer.Option("--repeat-purchases", help="Customers go on after a purchase and may buy again.")
    ] = False,
    reach: Annotated[
        float | None,
        typer.Option(help="Share of customers whom channels can touch at all. Default: as the world says, 1."),
    ] = None,
    season_amplitude: Annotated[
        float | None,
        typer.Option(help="How far the log-odds of a purchase swing over a week. Default: as the world says, 0."),
    ] = None,
) -> None:
    """Write a simulated world as Parquet: touchpoints, conversions, costs, customers and the true channel effects."""
    from dataclasses import replace

    from attribution.pipeline.output import replaced_folder
    from attribution.simulation import load_world, make_raw_log
    from attribution.simulation import simulate as simulate_world

    chosen = load_world(world, seed)
    chosen = replace(
        chosen,
        repeat_purchases=chosen.repeat_purchases or repeat_purchases,
        reach=chosen.reach if reach is None else reach,
        season_amplitude=chosen.season_amplitude if season_amplitude is None else season_amplitude,
    )
    with replaced_folder(out, [Path(world)] if Path(world).is_file() else [], kind="simulation") as folder:
        with progress() as say:
            say(f"simulating {customers:,} customers")
            simulation = simulate_world(chosen, customers=customers, seed=seed, days=days, truth=not raw)
        if raw:
            made = make_raw_log(simulation, chosen, seed=seed)
            made.log.to_csv(folder / "log.csv", index=False)
            made.costs.to_csv(folder / "costs.csv", index=False)
        else:
            for name in ("touchpoints", "conversions", "costs", "truth", "customers"):
                getattr(simulation, name).to_parquet(folder / f"{name}.parquet", index=False)
    typer.echo(f"Wrote {customers:,} customers of world {chosen.name!r} to {out}.")

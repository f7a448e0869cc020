"""The command line: what is not a module of its own in `attribution.cli.commands`, and how it ends."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from attribution import logs
from attribution.cli.commands.arguments import ExperimentFile, Json, Overrides
from attribution.cli.commands.budget import budget
from attribution.cli.commands.compare import compare
from attribution.cli.commands.conversions import conversions
from attribution.cli.commands.export import export
from attribution.cli.commands.forget import forget
from attribution.cli.commands.glossary import glossary
from attribution.cli.commands.init import init
from attribution.cli.commands.kpis import kpis
from attribution.cli.commands.monitor import monitor
from attribution.cli.commands.promote import promote
from attribution.cli.commands.refit import refit
from attribution.cli.commands.review import review
from attribution.cli.commands.run import run, run_one
from attribution.cli.commands.score import score
from attribution.cli.commands.summarise import summarise
from attribution.cli.commands.track import track
from attribution.cli.console import print_json, print_quality, print_verdicts, progress, records
from attribution.errors import AttributionError, InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Multi-touch attribution: from touchpoints to credit, ROI, and how far the ranking depends on the model.",
)

_NEGATIVE_VERDICT = 3


@app.callback()
def settings(
    context: typer.Context,
    log: Annotated[
        str, typer.Option(envvar="ATTRIBUTION_LOG", help="text; or json: one object per line on stderr, for jobs.")
    ] = "text",
) -> None:
    """Settings of every command."""
    if log not in logs.FORMATS:
        raise InputError("--log: unknown format", given=log, allowed="text or json")
    logs.use(logs.FORMATS[log])
    logs.write("begun", command=context.invoked_subcommand)


app.command()(run)


@app.command()
def demo(
    customers: Annotated[int, typer.Option(min=100, help="How many customers the simulated shop has.")] = 20_000,
    out: Annotated[Path, typer.Option(help="Output folder. Replaced whole.")] = Path("runs/demo"),
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Simulate a shop whose true channel effects are known, and run every model on it."""
    import tempfile

    from attribution.cli.demo import write_demo
    from attribution.schema.experiment import read_experiment

    with tempfile.TemporaryDirectory(prefix="attribution-demo-") as folder:
        with progress() as say:
            say(f"simulating {customers:,} customers")
            path = write_demo(Path(folder), customers)
        run_one(read_experiment(path, overrides or ()), out, as_json=as_json)


app.command()(init)
app.command()(budget)
app.command()(compare)
app.command()(promote)
app.command()(export)
app.command()(conversions)
app.command()(track)
app.command()(review)
app.command()(kpis)
app.command()(score)
app.command()(forget)
app.command()(summarise)
app.command()(refit)
app.command()(monitor)
app.command()(glossary)


@app.command()
def simulate(
    world: Annotated[str, typer.Argument(help="default, confounded, or the path of a TOML file.")],
    customers: Annotated[int, typer.Option(min=1, help="How many customers.")],
    out: Annotated[Path, typer.Option(help="Output folder. Replaced whole.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives another sample of the same world.")] = 0,
) -> None:
    """Write touchpoints, conversions, costs and the true channel effects of a simulated world as Parquet."""
    from attribution.pipeline.output import replaced_folder
    from attribution.simulation import load_world
    from attribution.simulation import simulate as simulate_world

    chosen = load_world(world)
    with replaced_folder(out, [Path(world)] if Path(world).is_file() else []) as folder:
        with progress() as say:
            say(f"simulating {customers:,} customers")
            simulation = simulate_world(chosen, customers=customers, seed=seed)
        for name in ("touchpoints", "conversions", "costs", "truth"):
            getattr(simulation, name).to_parquet(folder / f"{name}.parquet", index=False)
    typer.echo(f"wrote {customers:,} customers of world {chosen.name!r} to {out}")


@app.command()
def validate(
    experiment: ExperimentFile,
    overrides: Overrides = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 if there are warnings.")] = False,
    as_json: Json = False,
) -> None:
    """Check the data of an experiment, and fit nothing."""
    from attribution.pipeline.pipeline import check_quality
    from attribution.schema.experiment import read_experiment

    asked = read_experiment(experiment, overrides or ())
    with progress() as say:
        say("checking the data")
        quality = check_quality(asked)
    worst = "fail" if (quality["status"] == "fail").any() else "warn" if (quality["status"] == "warn").any() else "pass"
    if as_json:
        print_json({"status": worst, "checks": records(quality)})
    else:
        print_quality(quality)
    if worst == "fail":
        raise typer.Exit(InputError.exit_code)
    if worst == "warn" and strict:
        raise typer.Exit(_NEGATIVE_VERDICT)


@app.command("check-model")
def check_model(
    model: Annotated[
        str, typer.Argument(metavar="PACKAGE.MODULE:CLASS", help="A model of your own, or a shipped one.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--setting", metavar="KEY=VALUE", help="An argument of its constructor, e.g. half_life_days=14."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove the laws that any model must obey; exit 3 if one is broken."""
    from attribution.pipeline.request import make_model
    from attribution.schema.experiment import ModelSpec, checked, read_setting
    from attribution.testing import judge_model

    given = dict(read_setting(text, "--setting", "half_life_days=14") for text in settings or ())
    made = make_model(checked(ModelSpec, {"model": model, **given}, origin="check-model"), Path())
    with progress() as say:
        say(f"checking {model}")
        verdicts = list(judge_model(made))
    holds = all(verdict.holds for verdict in verdicts)
    if as_json:
        print_json(
            {
                "model": model,
                "settings": list(settings or ()),
                "holds": holds,
                "laws": [asdict(each) for each in verdicts],
            }
        )
    else:
        print_verdicts(verdicts)
    if not holds:
        raise typer.Exit(_NEGATIVE_VERDICT)


def main() -> None:
    """Run the command; an error becomes one message and an exit code, raised as ``SystemExit``."""
    # Importing pandas, mlflow and altair makes a million objects and hardly any garbage: at the default
    # threshold, looking for it costs a tenth of a short run.
    gc.set_threshold(200_000, 20, 20)
    sys.argv[1:] = logs.hoisted(sys.argv[1:])
    if threading.current_thread() is threading.main_thread():
        # Whoever stops a job wants it to clear up after itself, as it does after Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun, code = time.perf_counter(), 1
    try:
        app()
    except AttributionError as error:
        code = error.exit_code
        if logs.is_json():
            logs.write(str(error), level="error", exit_code=code)
        else:
            print(f"attribution: {logs.masked(str(error), os.environ)}", file=sys.stderr)
        sys.exit(code)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    finally:
        logs.write("ended", exit_code=code, seconds=round(time.perf_counter() - begun, 3))


def command() -> None:
    """Entry point: ``main``, and then an end without taking those million objects apart one by one.

    That would be a fifth of a short run. First in, last out: whatever else was registered for the exit runs
    before, and threads have been waited for.
    """
    code: object = 1

    def leave() -> None:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)

    atexit.register(leave)
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
        raise

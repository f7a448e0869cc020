"""The command line: the commands of `attribution.cli.commands` in the order of the help, and how it ends."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from attribution import logs
from attribution.cli.commands.budget import budget
from attribution.cli.commands.check_model import check_model
from attribution.cli.commands.compare import compare
from attribution.cli.commands.demo import demo
from attribution.cli.commands.export import export
from attribution.cli.commands.export_conversions import export_conversions
from attribution.cli.commands.forget import forget
from attribution.cli.commands.glossary import glossary
from attribution.cli.commands.init import init
from attribution.cli.commands.kpis import kpis
from attribution.cli.commands.lift import lift
from attribution.cli.commands.monitor import monitor
from attribution.cli.commands.promote import promote
from attribution.cli.commands.refit import refit
from attribution.cli.commands.review import review
from attribution.cli.commands.run import run
from attribution.cli.commands.score import score
from attribution.cli.commands.simulate import simulate
from attribution.cli.commands.status import status
from attribution.cli.commands.summarise import summarise
from attribution.cli.commands.track import track
from attribution.cli.commands.validate import validate
from attribution.cli.renamed import refuse_old_names
from attribution.errors import AttributionError, InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Multi-touch attribution: credit and ROI of channels, and how much their ranking depends on the model.",
)


@app.callback()
def settings(
    context: typer.Context,
    log: Annotated[
        str,
        typer.Option(
            envvar=logs.FORMAT_VARIABLE,
            help="Format of log messages: text, or json with one object per line on stderr.",
        ),
    ] = "text",
) -> None:
    """Settings of every command."""
    if log not in logs.FORMATS:
        raise InputError("--log has an unknown format", given=log, allowed="text or json")
    logs.use(logs.FORMATS[log])
    logs.bind(command=context.invoked_subcommand)
    logs.write("begun")


# By what a person is doing, in this order in the help.
_START, _ANALYSE, _DECIDE, _PRODUCTION = "Start", "Analyse", "Decide", "Production"
COMMANDS: Mapping[str, tuple[str, Callable[..., None]]] = {
    "init": (_START, init),
    "demo": (_START, demo),
    "simulate": (_START, simulate),
    "validate": (_START, validate),
    "glossary": (_START, glossary),
    "run": (_ANALYSE, run),
    "compare": (_ANALYSE, compare),
    "review": (_ANALYSE, review),
    "check-model": (_ANALYSE, check_model),
    "track": (_ANALYSE, track),
    "lift": (_ANALYSE, lift),
    "kpis": (_DECIDE, kpis),
    "budget": (_DECIDE, budget),
    "export": (_PRODUCTION, export),
    "promote": (_PRODUCTION, promote),
    "score": (_PRODUCTION, score),
    "export-conversions": (_PRODUCTION, export_conversions),
    "forget": (_PRODUCTION, forget),
    "summarise": (_PRODUCTION, summarise),
    "refit": (_PRODUCTION, refit),
    "monitor": (_PRODUCTION, monitor),
    "status": (_PRODUCTION, status),
}
for _name, (_panel, _command) in COMMANDS.items():
    app.command(_name, rich_help_panel=_panel)(_command)


def main() -> None:
    """Run the command; an error becomes one message and an exit code, raised as ``SystemExit``."""
    # Importing pandas, mlflow and altair makes a million objects and little garbage: at the default
    # threshold, looking for it costs a tenth of a short run.
    gc.set_threshold(200_000, 20, 20)
    sys.argv[1:] = logs.move_log_option(sys.argv[1:])
    logs.escape_what_is_not_shown()
    logs.start_job(sys.argv[1:], os.environ)
    if threading.current_thread() is threading.main_thread():
        # Whoever stops a job wants it to clear up after itself, as it does after Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun, code = time.perf_counter(), 1
    try:
        refuse_old_names(sys.argv[1:], list(COMMANDS))
        try:
            with logs.catch_warnings():
                _call()
        except RecursionError:
            raise InputError(
                "the input is nested too deeply to be read", hint="use less nested lists and tables"
            ) from None
    except AttributionError as error:
        code = error.exit_code
        if logs.is_json():
            logs.write(str(error), level="error", exit_code=code)
        else:
            print(f"attribution: {logs.mask_secrets(str(error), os.environ)}", file=sys.stderr)
        sys.exit(code)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    except Exception as error:
        if not logs.is_json():
            raise
        fault = f"{type(error).__name__}: {error}"
        logs.write(fault, level="error", exit_code=code, traceback=traceback.format_exc())
        sys.exit(code)
    finally:
        logs.end_job(code, time.perf_counter() - begun)


def _call() -> None:
    """Parse the command line and run the command; in a log of JSON, what is wrong with the former is a line."""
    if not logs.is_json():
        app()
        return
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        # What typer raises is a class of its own copy of click or of click itself, by its version.
        if not hasattr(error, "format_message"):
            raise
        raise InputError(error.format_message() or "a command is missing", hint="--help shows what there is") from None
    sys.exit(code if isinstance(code, int) else 0)


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

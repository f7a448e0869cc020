"""``attribution review``: two finished runs side by side, and why ROI moved."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from attribution.cli.commands.arguments import NEGATIVE_VERDICT, Json
from attribution.cli.console import print_json, print_page, progress, records
from attribution.schema.names import named_folder

_RUN = "Its output folder or MLflow run id."
_URI = "MLflow tracking URI. Default: that of the later run."


def review(
    before: Annotated[str, typer.Argument(metavar="RUN_A", help=f"The earlier run. {_RUN}")],
    after: Annotated[str, typer.Argument(metavar="RUN_B", help=f"The later run. {_RUN}")],
    model: Annotated[
        str | None, typer.Option(help="Model of the later run. Default: every model that both runs have.")
    ] = None,
    model_before: Annotated[str | None, typer.Option(help="Model of the earlier run, if it has another label.")] = None,
    decline: Annotated[float, typer.Option(help="Alert if a channel loses at least this share of its credit.")] = 0.2,
    drift: Annotated[
        float, typer.Option(help="Alert if at least this share of all credit moves between channels.")
    ] = 0.1,
    fewest: Annotated[
        float, typer.Option("--min-conversions", help="Skip channels with fewer conversions in the earlier run.")
    ] = 10.0,
    out: Annotated[
        Path | None, typer.Option(help="Output folder. Default: runs/A-B-review. An earlier result in it is replaced.")
    ] = None,
    uri: Annotated[str | None, typer.Option("--tracking-uri", help=_URI)] = None,
    track: Annotated[
        bool, typer.Option("--track/--no-track", help="Log to MLflow if the later run was logged.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Explain why ROI changed between two runs. Exit code 3: there is an alert."""
    from attribution.cli.commands.saved_runs import Made, open_runs, write_outputs
    from attribution.cli.commands.written_runs import tracking_store
    from attribution.decisions.comparison import Thresholds, review_runs, without_substitutes
    from attribution.pipeline.stores import choose_store
    from attribution.reporting.charts.bridge import roi_bridge
    from attribution.reporting.report.pages import review_page

    thresholds = Thresholds(decline=decline, drift=drift, fewest=fewest)
    with progress() as say:
        say("reading runs")
        with open_runs([before, after], Path(), store=choose_store(uri)) as (was, now):
            result = review_runs(was, now, model=model, model_before=model_before, thresholds=thresholds)
        out = out or named_folder("runs", f"{was.name}-{now.name}-review")
        say("writing tables and page")
        page, tables = review_page(result), result.tables
        leading = result.models[0]
        ends = result.total_roi(leading)
        has_roi = not any(math.isnan(end) for end in ends)
        figures = [roi_bridge(ends, tables["roi_parts"], model=leading)] if has_roi else []
        tags = {"attribution.run_before": before, "attribution.run_after": after}
        made = Made(now.experiment.name, "review", tables, result.metrics, tags, page, figures)
        store = tracking_store(now.experiment.tracking, uri) if track else None
        tracked = write_outputs(made, out, [Path(before), Path(after)], store)
    if as_json:
        every = {name: records(table) for name, table in tables.items()}
        print_json({"out": str(out), **tracked.document, "notes": list(result.notes), **every})
    else:
        print_page(page)
        typer.echo(f"\nTables, review.md and review.html are in {out}{tracked.sentence_end}")
    if tracked.failure is not None:
        raise tracked.failure
    if len(without_substitutes(tables["alerts"])):
        raise typer.Exit(NEGATIVE_VERDICT)

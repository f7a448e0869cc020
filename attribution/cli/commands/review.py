"""``attribution review``: two finished runs side by side, and why ROI moved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution.cli.commands.arguments import NEGATIVE_VERDICT, Json
from attribution.cli.console import print_json, print_page, progress, records
from attribution.schema.names import named_folder

if TYPE_CHECKING:
    from attribution.decisions.kpis import Review


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
    from attribution.decisions.kpis import Thresholds, review_runs
    from attribution.reporting.charts.bridge import roi_bridge
    from attribution.reporting.report.pages import review_page
    from attribution.schema.experiment import TrackingOptions

    thresholds = Thresholds(decline=decline, drift=drift, fewest=fewest)
    with progress() as say:
        say("reading runs")
        with open_runs([before, after], Path(), uri=uri or TrackingOptions().uri) as (was, now):
            result = review_runs(was, now, model=model, model_before=model_before, thresholds=thresholds)
        out = out or named_folder("runs", f"{was.name}-{now.name}-review")
        say("writing tables and page")
        page, tables = review_page(result), result.tables
        figures = (
            [roi_bridge(tables["review"], tables["roi_changes"], model=_leading_model(result))]
            if _has_roi(result)
            else []
        )
        tags = {"attribution.run_before": before, "attribution.run_after": after}
        made = Made(now.experiment.name, "review", tables, result.metrics, tags, page, figures)
        own_options = now.experiment.tracking
        tracking = TrackingOptions(enabled=own_options.enabled and track, uri=uri or own_options.uri)
        run_id, failure = write_outputs(made, out, [Path(before), Path(after)], tracking)
    if as_json:
        every = {name: records(table) for name, table in tables.items()}
        print_json({"out": str(out), "mlflow_run": run_id, "notes": list(result.notes), **every})
    else:
        print_page(page)
        typer.echo(f"\nTables, review.md and review.html are in {out}" + (f"; MLflow run {run_id}." if run_id else "."))
    if failure is not None:
        raise failure
    if len(tables["alerts"]):
        raise typer.Exit(NEGATIVE_VERDICT)


def _leading_model(result: Review) -> str:
    return str(result.tables["review"]["model"].iloc[0])


def _has_roi(result: Review) -> bool:
    table = result.tables["review"]
    whole = table[(table["channel"] == "(total)") & (table["model"] == _leading_model(result))]
    return bool(whole[["roi_before", "roi_after"]].notna().all(axis=None))

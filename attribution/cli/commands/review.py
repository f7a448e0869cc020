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


_RUN = "Output folder of a run, or its MLflow run id."
_URI = "MLflow tracking URI, by default that of the later run."


def review(
    before: Annotated[str, typer.Argument(metavar="RUN_A", help=f"The earlier run. {_RUN}")],
    after: Annotated[str, typer.Argument(metavar="RUN_B", help=f"The later run. {_RUN}")],
    model: Annotated[
        str | None, typer.Option(help="Model of the later run, by default every model that both runs have.")
    ] = None,
    model_before: Annotated[
        str | None, typer.Option(help="Model of the earlier run, if it was a different one.")
    ] = None,
    decline: Annotated[float, typer.Option(help="Share of its credit that a channel must lose for an alert.")] = 0.2,
    drift: Annotated[float, typer.Option(help="Share of credit that must move for an alert.")] = 0.1,
    fewest: Annotated[
        float, typer.Option(help="Channels with fewer conversions in the earlier run are skipped.")
    ] = 10.0,
    out: Annotated[
        Path | None, typer.Option(help="Output folder, by default runs/A-B-review. Replaced as a whole.")
    ] = None,
    uri: Annotated[str | None, typer.Option("--tracking-uri", help=_URI)] = None,
    track: Annotated[bool, typer.Option("--track/--no-track", help="Log to MLflow, if the later run was.")] = True,
    as_json: Json = False,
) -> None:
    """Explain why ROI changed between two runs; exit 3 if a channel declined."""
    from attribution.cli.commands.saved_runs import Made, open_runs, write_outputs
    from attribution.cli.commands.written_runs import tracking_store
    from attribution.decisions.kpis import Thresholds, review_runs
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
        figures = (
            [roi_bridge(tables["review"], tables["roi_changes"], model=_leading_model(result))]
            if _has_roi(result)
            else []
        )
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
    if len(tables["alerts"]):
        raise typer.Exit(NEGATIVE_VERDICT)


def _leading_model(result: Review) -> str:
    return str(result.tables["review"]["model"].iloc[0])


def _has_roi(result: Review) -> bool:
    table = result.tables["review"]
    whole = table[(table["channel"] == "(total)") & (table["model"] == _leading_model(result))]
    return bool(whole[["roi_before", "roi_after"]].notna().all(axis=None))

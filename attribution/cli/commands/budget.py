"""``attribution budget``: a run, and a sum of money divided by it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attribution.cli.commands.arguments import NEGATIVE_VERDICT, ExperimentFile, Json, Overrides
from attribution.cli.commands.written_runs import complete
from attribution.cli.console import print_budget, print_json, records
from attribution.schema.names import named_folder

if TYPE_CHECKING:
    from attribution.decisions.budget import BudgetPlan
    from attribution.pipeline.outcome import Outcome, Stage


def budget(
    experiment: ExperimentFile,
    total: Annotated[float | None, typer.Option(help="Total budget, for a period as long as the data cover.")] = None,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(help="Output folder. Default: runs/NAME-budget. An earlier result in it is replaced.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run an experiment and divide a budget by marginal return. Exit code 3: an earlier plan no longer holds."""
    from attribution.decisions.budget import ground_has_moved
    from attribution.pipeline.planning import plan_budget
    from attribution.pipeline.sections import read_experiment

    settings = read_experiment(
        experiment, [*(overrides or ()), *([] if total is None else [f"budget.total={total!r}"])]
    )
    out = out or named_folder("runs", f"{settings.name}-budget")
    plans: list[BudgetPlan] = []

    def make(say: Stage) -> Outcome:
        outcome, plan = plan_budget(settings, on_stage=say)
        plans.append(plan)
        return outcome

    tracked = complete(settings, out, make)
    (plan,) = plans
    if as_json:
        tables = {name: records(table) for name, table in plan.tables.items()}
        head = {"out": str(out), **tracked.document, "notes": list(plan.notes)}
        print_json(head | {"left_out": list(plan.left_out), **tables})
    else:
        print_budget(plan)
        typer.echo(f"\nTables and report.html are in {out}{tracked.sentence_end}")
    if tracked.failure is not None:
        raise tracked.failure
    if ground_has_moved(plan.tables.get("drift")):
        raise typer.Exit(NEGATIVE_VERDICT)

"""The models of this package as a table, made from what each class states."""

from __future__ import annotations

from attribution import models as shipped
from attribution.models.base import AttributionModel

_HEAD = (
    "| Model | Estimand | Needs times | SQL | What it assumes | Bias |",
    "|---|---|---|---|---|---|",
)


def shipped_models() -> list[type[AttributionModel]]:
    """Every model class that the package exports, by name."""
    exports = [getattr(shipped, name) for name in sorted(shipped.__all__)]
    return [
        kind
        for kind in exports
        if isinstance(kind, type) and issubclass(kind, AttributionModel) and kind is not AttributionModel
    ]


def models_table() -> str:
    """One row of Markdown for each model that is shipped, under its default settings.

    Examples
    --------
    >>> next(row for row in models_table().splitlines() if "FirstTouch" in row)[:39]
    '| `FirstTouch` | allocated | no | yes |'
    """
    return "\n".join([*_HEAD, *(_row(kind()) for kind in shipped_models())]) + "\n"


def _row(model: AttributionModel) -> str:
    name, assumptions = type(model).__name__, model.assumptions
    cells = (
        f"`{name}`",
        model.estimand,
        "yes" if model.needs_times else "no",
        "no" if model.weight_sql is None else "yes",
        assumptions.premise,
        assumptions.bias,
    )
    return f"| {' | '.join(cells)} |"

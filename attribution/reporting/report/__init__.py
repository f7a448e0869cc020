"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import jinja2
import pandas as pd
from markupsafe import Markup

from attribution.reporting.charts import Figure, drawable, to_svg
from attribution.reporting.report.budget import budget_section
from attribution.reporting.report.diagnosis import diagnosis_section
from attribution.reporting.report.doubt import doubt_section
from attribution.reporting.report.findings import agreement_grid, caveats, data_facts, findings, ranking_grid
from attribution.reporting.report.money import money_section
from attribution.schema.glossary import read_terms
from attribution.schema.tables import OUTPUTS, TRUTH, dictionary_rows

__all__ = ["render_report"]

_LONG_TABLE = 12
"""More rows than this are folded away."""

_LONGEST_TEXT = 2000


def render_report(
    name: str,
    tables: Mapping[str, pd.DataFrame],
    figures: Sequence[Figure],
    settings: Mapping[str, object],
) -> str:
    """The report of a run as one self-contained HTML page.

    Pictures stand in it as SVG, with their numbers as tables. Nothing is fetched and nothing runs: a content
    security policy in the page forbids both. The same arguments give the same text.

    Parameters
    ----------
    name : str
        Name of the run.
    tables : mapping of str to DataFrame
        Output tables of the run by name (``credit``, ``returns``, ``agreement``, ``journey_profile``,
        ``quality``; for a simulated world also ``truth``). Absent ones leave their part out.
    figures : sequence of Figure
        What `attribution.reporting.charts.all_figures` gives.
    settings : mapping
        What the run was asked for, nested as in the experiment file. The entry ``data``, if there is one, is
        a mapping of facts about the input, such as its first and last day, and is shown with the data.

    Returns
    -------
    str
        The page; write it as UTF-8.

    Examples
    --------
    >>> "<h1>spring</h1>" in render_report("spring", {}, [], {"journeys": {"lookback_days": 30}})
    True
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attribution.reporting", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    named = dict(settings)
    facts = named.pop("data", {})
    page = environment.get_template("report.html.j2").render(
        name=name,
        findings=findings(tables),
        ranking=ranking_grid(tables),
        facts={**data_facts(tables), **_flat(facts if isinstance(facts, Mapping) else {"data": facts})},
        quality=tables.get("quality"),
        agreement=tables.get("agreement"),
        taus=agreement_grid(tables),
        money=money_section(tables),
        budget=budget_section(tables),
        doubt=doubt_section(tables),
        diagnosis=diagnosis_section(tables),
        # Drawn by us, escaped by the renderer: the one thing that enters the page as it is.
        figures=[(figure, Markup(to_svg(figure))) for figure in figures],
        settings=_flat(named),
        caveats=caveats(tables),
        terms=read_terms(),
        dictionary=dictionary_rows({name: tables[name].columns for name in tables if name in (*OUTPUTS, TRUTH.name)}),
        long_table=_LONG_TABLE,
    )
    return drawable(page)


def shown(value: object) -> str:
    """A value as the report writes it: four digits, thousands apart, – for null.

    Examples
    --------
    >>> shown(1234567.0), shown(0.123456), shown(None), shown(12345.678), shown("email")
    ('1,234,567', '0.1235', '–', '12,345.7', 'email')
    """
    if isinstance(value, pd.DataFrame):
        return f"a table of {len(value):,} rows"
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(part) for part in value) or "–"
    if value is None or value is pd.NaT or value != value:
        return "–"
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        text = str(value)
        return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"
    number = float(value)
    if not math.isfinite(number) or abs(number) >= 1e15:
        return f"{number:.4g}"
    if math.isclose(number, round(number), rel_tol=1e-9):
        return f"{round(number):,}"
    return f"{number:,.1f}" if abs(number) >= 1000 else f"{number:.4g}"


def _flat(settings: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested settings under dotted keys; items of a list of mappings are numbered from 1."""
    flat: dict[str, object] = {}
    for key, value in settings.items():
        path = f"{prefix}{key}"
        if isinstance(value, (list, tuple)) and any(isinstance(part, Mapping) for part in value):
            value = {str(i): part for i, part in enumerate(value, start=1)}
        if isinstance(value, Mapping) and value:
            flat.update(_flat(value, f"{path}."))
        else:
            flat[path] = value if value != {} else None
    return flat

"""The report of a run: one HTML file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import jinja2
import pandas as pd
from markupsafe import Markup

from attribution.reporting.charts import Figure, drawable, to_svg
from attribution.schema.glossary import read_terms
from attribution.schema.tables import UNATTRIBUTED
from attribution.sections import ReportPart

__all__ = ["render_report"]

_LONG_TABLE = 12
"""More rows than this are folded away."""

_LONGEST_TEXT = 2000


def render_report(
    name: str,
    tables: Mapping[str, pd.DataFrame],
    figures: Sequence[Figure],
    settings: Mapping[str, object],
    *,
    parts: Sequence[ReportPart] = (),
    dictionary: Sequence[Mapping[str, object]] = (),
) -> str:
    """The report of a run as one self-contained HTML page.

    Pictures stand in it as SVG, with their numbers as tables. Nothing is fetched and nothing runs: a content
    security policy in the page forbids both. The same arguments give the same text.

    Parameters
    ----------
    name : str
        Name of the run.
    tables : mapping of str to DataFrame
        Output tables of the run by name, for what is to be known of them.
    figures : sequence of Figure
        What `attribution.reporting.charts.draw_figures` gives.
    settings : mapping
        What the run was asked for, nested as in the experiment file. The entry ``data``, if there is one, is
        a mapping of facts about the input, such as its first and last day, and is shown with the data.
    parts : sequence of ReportPart
        What the sections of the run say.
    dictionary : sequence of mappings
        Rows of `attribution.schema.tables.DICTIONARY`.

    Returns
    -------
    str
        The page; write it as UTF-8.

    Examples
    --------
    >>> "<h1>spring</h1>" in render_report("spring", {}, [], {"journeys": {"lookback_days": 30}})
    True
    """
    shown_settings = dict(settings)
    input_facts = shown_settings.pop("data", {})
    returns = shown_settings.get("returns")
    ordered = sorted(parts, key=lambda part: not part.is_first)
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            name=name,
            headlines=[sentence for part in parts for sentence in part.headlines],
            currency=returns.get("currency") if isinstance(returns, Mapping) else None,
            parts=ordered,
            contents=[entry for part in ordered for entry in part.contents],
            input_facts=_flat(input_facts if isinstance(input_facts, Mapping) else {"data": input_facts}),
            # Drawn by us, escaped by the renderer: the one thing that enters the page as it is.
            figures=[(figure, Markup(to_svg(figure))) for figure in figures],
            settings=_flat(shown_settings),
            caveats=_caveats(tables),
            terms=read_terms(),
            dictionary=dictionary,
            long_table=_LONG_TABLE,
        )
    )
    return drawable(page)


@cache
def _environment() -> jinja2.Environment:
    """Kept, with the templates that it has compiled: a sweep writes many reports."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("attribution.reporting", "report"), jinja2.FunctionLoader(_template_of_package)]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    return environment


def _template_of_package(name: str) -> str | None:
    """The text of ``package:file``; None where there is none."""
    package, colon, file = name.partition(":")
    try:
        return files(package).joinpath(file).read_text(encoding="utf-8") if colon else None
    except (ImportError, OSError):
        return None


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


def _caveats(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """What the numbers do not say."""
    returns = tables.get("returns", pd.DataFrame())
    has_intervals = "roi_low" in returns and returns["roi_low"].notna().any()
    lines = [
        "Allocated credit is not incremental. It divides the observed conversions among the touchpoints before them. "
        "What would be lost without a channel can be learned only from an experiment or a causal model "
        "(docs/credit-is-not-cause.md).",
        "Models that agree can all be wrong: they use the same journeys and miss the same touchpoints.",
        "A channel without spend has no ROI and no rank. Its ROI is unknown, not zero.",
        f"Conversions without a touchpoint in the lookback window are in the row {UNATTRIBUTED}, so the "
        "totals of every model equal the observed totals.",
    ]
    if has_intervals:
        lines.append(
            "Intervals cover sampling only: how far the numbers might differ for another sample of customers. "
            "They do not "
            "cover touchpoints that were not recorded, customers who buy anyway, or the choice of a model."
        )
    else:
        lines.append(
            "There are no intervals, because the run had no resampling: small differences may be chance. Set "
            "resampling."
        )
    if "truth" in tables:
        lines.append("The data are simulated, so the true effects are known. For real data they never are.")
    return lines

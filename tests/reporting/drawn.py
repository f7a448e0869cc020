"""The figures and the page of a run, of its tables alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from attribution.pipeline.sections import load_sections
from attribution.reporting.charts import Figure, draw_figures
from attribution.reporting.report import render_report


def all_figures(tables: Mapping[str, pd.DataFrame]) -> list[Figure]:
    """Every figure that the tables allow."""
    return draw_figures(load_sections().figures(tables), tables)


def page_of(
    name: str, tables: Mapping[str, pd.DataFrame], figures: Sequence[Figure], settings: Mapping[str, object]
) -> str:
    """The report."""
    sections = load_sections()
    dictionary = sections.dictionary(tables)
    return render_report(name, tables, figures, settings, parts=sections.parts(tables), dictionary=dictionary)

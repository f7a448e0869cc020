"""A figure with its numbers, and its way onto a page or into a file."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import altair as alt
import pandas as pd
import vl_convert
from altair.utils.schemapi import debug_mode

from attribution.reporting.charts.style import drawable

_CONFIG: dict[str, Any] = {
    # The first three have the metrics that vl-convert measures with, so text fits in a browser too.
    "font": "Helvetica, Arial, Liberation Sans, sans-serif",
    "aria": False,
    "background": "white",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "#333",
        "titleColor": "#333",
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
        # Labels come short; measuring them against a limit again takes a third of the time of a chart.
        "labelLimit": 0,
        "gridColor": "#e6e6e6",
        "domainColor": "#bbb",
        "tickColor": "#bbb",
    },
    "legend": {
        "titleFontWeight": "normal",
        "titleColor": "#333",
        "labelColor": "#333",
        "labelFontSize": 11,
        "symbolLimit": 0,
        "labelLimit": 0,
    },
    "title": {
        "anchor": "start",
        "fontSize": 15,
        "subtitleFontSize": 11,
        "subtitleColor": "#555",
        "offset": 12,
    },
}


@dataclass(frozen=True, eq=False)
class Figure:
    """One picture and the numbers in it.

    ``table`` holds what is plotted, with full channel names; every row of it is in the data of ``chart``.
    ``caption`` says how to read the picture and what was left out, ``alt_text`` what it shows, for those who
    do not see it.
    """

    name: str
    title: str
    caption: str
    alt_text: str
    chart: alt.Chart | alt.LayerChart
    table: pd.DataFrame

    def __post_init__(self) -> None:
        self.chart.config = _CONFIG

    def spec(self) -> dict[str, Any]:
        """The Vega-Lite specification, ready to draw."""
        return dict(self.chart.to_dict(validate=False))


def data_of(table: pd.DataFrame) -> alt.InlineData:
    """Rows as plain values, null for NaN; given inline, so that no row limit applies."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    # Altair would hold every value against its schema, which takes longer than all else it does.
    with debug_mode(False):
        return alt.InlineData(values=rows)


def to_svg(figure: Figure) -> str:
    """The figure as one ``<svg>`` element that can stand in an HTML page beside others.

    It fetches nothing, has the alternative text as its label, and its internal references carry the figure's
    name, because ids are shared by everything on a page.
    """
    svg = vl_convert.vegalite_to_svg(figure.spec(), allowed_base_urls=[])
    # Vega numbers these ids through the life of the process: the same figure would differ from call to call.
    for i, old in enumerate(re.findall(r'<(?:clipPath|linearGradient|radialGradient) id="(\w+)"', svg), start=1):
        new = f"{figure.name}-{i}"
        svg = svg.replace(f'id="{old}"', f'id="{new}"').replace(f'"url(#{old})"', f'"url(#{new})"')
    label = escape(drawable(figure.alt_text), {'"': "&quot;"})
    return svg.replace('class="marks"', f'class="marks" role="img" aria-label="{label}"', 1)


def save_png(figure: Figure, path: str | PathLike[str], *, scale: float = 2.0) -> str:
    """Write the figure with title and caption as a PNG.

    Returns
    -------
    str
        The characters that no font on this machine can draw, empty when all is well. They are drawn as □, and
        the labels concerned are numbered so that they can still be told apart.
    """
    spec = {**figure.spec(), "padding": 12}
    title, notes = drawable(figure.title), [drawable(figure.caption)]
    missing = undrawable("".join([*_strings(spec), title, *notes]))
    if missing:
        notes.append(
            f"□: {len(missing)} characters have no font on this machine; labels with one are numbered in "
            "alphabetical order."
        )
    wide = max(70, int(float(spec["width"]) / 5))
    lines = [line for note in notes for line in textwrap.wrap(note, wide)]
    spec["title"] = {"text": title, "subtitle": lines}
    spec = _box_missing(spec, missing)
    Path(path).write_bytes(vl_convert.vegalite_to_png(spec, scale=scale, allowed_base_urls=[]))
    return missing


def undrawable(text: str) -> str:
    """The characters of the text for which this machine has no font, in order and once each.

    A character is without font when it looks like a code point that will never be assigned.
    """
    unusual = sorted({char for char in text if ord(char) > 0x24F and not char.isspace()})
    nothing = [_picture("\U0003fffd"), _picture("")] if unusual else []
    joining = {"Cc", "Cf", "Mn", "Me", "Mc"}  # have no picture of their own
    visible = (char for char in unusual if unicodedata.category(char) not in joining)
    return "".join(char for char in visible if _picture(char) in nothing)


def _picture(char: str) -> bytes:
    return vl_convert.svg_to_png(
        '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24">'
        f'<text y="18" font-size="16" font-family="sans-serif">{escape(char)}</text></svg>'
    )


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else []
    return [text for part in parts for text in _strings(part)]


def _box_missing(spec: dict[str, Any], missing: str) -> dict[str, Any]:
    """The specification with □ for each missing character, and the labels that hold one numbered."""
    concerned = sorted({text for text in _labels(spec) if any(char in missing for char in text)})
    numbered = {text: f"{_boxes(text, missing)} #{i}" for i, text in enumerate(concerned, start=1)}

    def replaced(value: Any) -> Any:
        if isinstance(value, str):
            return numbered.get(value) or _boxes(value, missing)
        if isinstance(value, dict):
            return {key: replaced(part) for key, part in value.items()}
        return [replaced(part) for part in value] if isinstance(value, list) else value

    return replaced(spec) if missing else spec


def _labels(value: object) -> list[str]:
    """Every string under a key that ends in ``label``, where our data keep what is written beside a mark."""
    if isinstance(value, Mapping):
        own = [part for key, part in value.items() if str(key).endswith("label") and isinstance(part, str)]
        return own + [text for part in value.values() for text in _labels(part)]
    return [text for part in value for text in _labels(part)] if isinstance(value, list) else []


def _boxes(text: str, missing: str) -> str:
    return text.translate({ord(char): "□" for char in missing})

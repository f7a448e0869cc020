"""Labels and colours: the same for a channel in every figure, a ramp of their own for models."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from attribution.schema.tables import NO_CHANNELS

# fmt: off
PALETTE = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#70012f", "#2c00a9",
    "#525800", "#925ffa", "#35df8b", "#ab2b79", "#3d395c", "#682ac6", "#8c674f", "#5d0380",
    "#dcafc4", "#276066", "#6e89e4", "#a3b46b", "#6c413e", "#b93ec5", "#f983df", "#897398",
    "#3c4299", "#ae1e11", "#ed5b69", "#7a8a42", "#5151e7", "#6c5594", "#e655cb", "#b29700",
)
# fmt: on
"""Channel colours, the most distinct first.

Six of Okabe and Ito (2008), then those that keep the smallest distance in OKLab large, as seen with normal
vision and with simulated protanopia, deuteranopia and tritanopia (Machado et al. 2009).
"""

GREY = "#999999"
MOST_CHANNELS = 40
"""More rows than this cannot be read in one picture; the captions say what was left out."""

_BEST = 12
_MODEL_RAMP = ("#31356e", "#2f6f8e", "#35a07c", "#7fb63f", "#f2c04a")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class ChannelStyle:
    """How each channel of a run is written and coloured, the same in every figure."""

    labels: Mapping[str, str]
    colours: Mapping[str, str]

    @classmethod
    def of(cls, own: Iterable[str], channels: Iterable[str] | None = None) -> ChannelStyle:
        """Of the channels of a table among all channels of the run, where these are known."""
        names = sorted({*own, *(() if channels is None else channels)} - set(NO_CHANNELS))
        return cls({**short_labels(names), **{name: name for name in NO_CHANNELS}}, channel_colours(names))

    def label(self, channel: str) -> str:
        return self.labels[channel]

    def colour(self, channel: str) -> str:
        return self.colours.get(channel, GREY)

    def on(self, table: pd.DataFrame) -> pd.DataFrame:
        """The table with ``label`` and ``colour`` of its channels."""
        return table.assign(label=table["channel"].map(self.label), colour=table["channel"].map(self.colour))


def channel_colours(channels: Iterable[str]) -> dict[str, str]:
    """One colour per channel, distinct up to the size of the palette and stable between runs.

    The colour comes from a hash of the name; where two names want the same one, the later in alphabetical
    order moves on. A channel therefore keeps its colour when others come and go, unless it has to make way.
    Few channels share the most distinct dozen. ``(unattributed)`` and ``(baseline)`` are grey.

    Examples
    --------
    >>> channel_colours(["email", "search"]) == channel_colours(["search", "email"])
    True
    >>> channel_colours(["email", "(unattributed)"])["(unattributed)"]
    '#999999'
    """
    colours = dict.fromkeys(NO_CHANNELS, GREY)
    free: list[str] = []
    for name in sorted(set(channels) - set(NO_CHANNELS)):
        free = free or list(PALETTE)
        best = [colour for colour in PALETTE[:_BEST] if colour in free] or free
        index = zlib.crc32(name.encode("utf-8", "surrogatepass")) % len(PALETTE[:_BEST])
        colour = PALETTE[index] if PALETTE[index] in best else best[index % len(best)]
        free.remove(colour)
        colours[name] = colour
    return colours


def model_colours(models: Sequence[str]) -> dict[str, str]:
    """One colour per model along a ramp from dark to light, which any eye can order."""
    steps = len(_MODEL_RAMP) - 1
    positions = [steps * i / (len(models) - 1) if len(models) > 1 else 1.0 for i in range(len(models))]
    return {model: _between(position) for model, position in zip(models, positions, strict=True)}


def model_legend(labels: Sequence[str]) -> alt.Legend:
    """A legend above the chart, in as many columns as fit."""
    widest = 35 + 6.5 * max(columns_of(label) for label in labels)
    return alt.Legend(orient="top", columns=max(1, int(760 // widest)), columnPadding=28, symbolOpacity=1)


def ink_on(colour: str) -> str:
    """Black or white, whichever is easier to read on the colour (WCAG relative luminance)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "#ffffff"


def short_labels(names: Sequence[str], width: int = 28) -> dict[str, str]:
    """A label of at most about ``width`` columns for each name: drawable, on one line, and unique.

    Control characters, which end the renderer's process, are replaced; long names lose their middle, because
    names of campaigns differ at both ends.

    Examples
    --------
    >>> short_labels(["email", "Meta Prospecting Lookalike 1% Germany 2024"], width=20)["email"]
    'email'
    >>> short_labels(["Meta Prospecting Lookalike 1% Germany 2024"], width=20).popitem()[1]
    'Meta Prospe…any 2024'
    """
    labels: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        short = label = _shorten(" ".join(drawable(name).split()) or "(blank)", width)
        copy = 1
        while label in taken:
            copy += 1
            label = f"{short} ({copy})"
        taken.add(label)
        labels[name] = label
    return labels


def drawable(text: str) -> str:
    """The text without control characters and half pairs, for which XML has no place and UTF-8 no bytes."""
    return _NOT_IN_XML.sub("\ufffd", text)


def _shorten(text: str, width: int) -> str:
    if columns_of(text) <= width:
        return text
    head, tail = text, text
    while columns_of(head) > width * 3 // 5 - 1:
        head = head[:-1]
    while columns_of(tail) > width - width * 3 // 5:
        tail = tail[1:]
    return f"{head.rstrip()}…{tail.lstrip()}"


def columns_of(text: str) -> int:
    """Width of a text in letters; Chinese, Japanese and Korean ones and emoji take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _between(position: float) -> str:
    below = min(int(position), len(_MODEL_RAMP) - 2)
    mixed = (
        round(int(low, 16) + (int(high, 16) - int(low, 16)) * (position - below))
        for low, high in ((_MODEL_RAMP[below][i : i + 2], _MODEL_RAMP[below + 1][i : i + 2]) for i in (1, 3, 5))
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)

"""The journey graph: how often customers go from one channel to the next, and where they end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attribution.arguments import check_arguments
from attribution.errors import InputError
from attribution.journeys import JourneyChunk, Journeys, Reader, Summary
from attribution.journeys.structure import tally
from attribution.kernels.markov.step_counts import Slices, count_steps, unpack
from attribution.kernels.statistics.sums import to_float
from attribution.schema.tables import CONVERSION, NULL, START, TRANSITIONS

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class JourneyGraph:
    """States and steps of all journeys with a touchpoint, order 1.

    Attributes
    ----------
    states : ``(start)``, the channels in order, ``(conversion)``, ``(null)``
    counts : (states, states) how often the step was taken; whole numbers unless paths were fractional
    touchpoints, converting_touchpoints : (channels,) touchpoints, and those in journeys that converted

    Examples
    --------
    >>> import attribution as at
    >>> graph = at.build_graph(at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search", "mail"], "conversions": [1, 0], "nulls": [0, 1]}))))
    >>> graph.to_frame()[["from_state", "to_state", "count", "probability"]].values.tolist()[:2]
    [['(start)', 'mail', 2.0, 1.0], ['mail', 'search', 1.0, 0.5]]
    """

    states: tuple[str, ...]
    counts: NDArray[np.float64]
    touchpoints: NDArray[np.float64]
    converting_touchpoints: NDArray[np.float64]

    @property
    def transition_matrix(self) -> NDArray[np.float64]:
        """(states, states) row-stochastic; ``(conversion)`` and ``(null)`` lead to themselves.

        A channel that was never touched has a row of zeros.
        """
        total = self.counts.sum(axis=1, keepdims=True)
        matrix: NDArray[np.float64] = np.divide(self.counts, total, out=np.zeros_like(self.counts), where=total > 0)
        matrix[-2, -2] = matrix[-1, -1] = 1.0
        return matrix

    @property
    def conversion_probability(self) -> float:
        """Share of journeys with a touchpoint that converted; the chain implies exactly the same."""
        ends = self.counts[:, -2:].sum(axis=0)
        return float(ends[0] / ends.sum()) if ends.sum() else 0.0

    def to_frame(self) -> pd.DataFrame:
        """The ``transitions`` table: one row per step that was taken."""
        origin, target = np.nonzero(self.counts)
        names = np.array(self.states, dtype=object)
        frame = pd.DataFrame(
            {
                "from_state": names[origin],
                "to_state": names[target],
                "count": self.counts[origin, target],
                "probability": self.transition_matrix[origin, target],
            }
        )
        return frame[list(TRANSITIONS.column_names)]

    def to_networkx(self) -> nx.DiGraph:
        """A directed graph: edges carry ``count`` and ``probability``, nodes what is known about the channel.

        Node attributes: ``kind`` (start, channel, conversion, null), ``visits``, and for channels
        ``touchpoints``, ``converting_touchpoints`` and ``conversion_share`` (steps straight to conversion).
        """
        import networkx as nx

        graph = nx.DiGraph()
        matrix = self.transition_matrix
        visits = np.maximum(self.counts.sum(axis=0), self.counts.sum(axis=1))
        kinds = ["start", *["channel"] * (len(self.states) - 3), "conversion", "null"]
        for i, (state, kind) in enumerate(zip(self.states, kinds, strict=True)):
            graph.add_node(state, kind=kind, visits=float(visits[i]))
            if kind == "channel":
                graph.nodes[state].update(
                    touchpoints=float(self.touchpoints[i - 1]),
                    converting_touchpoints=float(self.converting_touchpoints[i - 1]),
                    conversion_share=float(matrix[i, -2]),
                )
        for i, j in zip(*np.nonzero(self.counts), strict=True):
            graph.add_edge(
                self.states[i],
                self.states[j],
                count=float(self.counts[i, j]),
                probability=float(matrix[i, j]),
            )
        return graph

    @check_arguments
    def write_graphml(self, path: str | Path) -> None:
        """Write `to_networkx` as GraphML, which Gephi, yEd and Cytoscape read.

        XML cannot hold control characters: in names they are escaped, and so is every backslash.
        """
        import networkx as nx

        graph = self.to_networkx()
        if not Path(path).parent.is_dir() or Path(path).is_dir():
            raise InputError("write_graphml: path must be a file in a folder that exists", given=repr(str(path)))
        nx.write_graphml(nx.relabel_nodes(graph, {name: _xml_name(name) for name in graph}), path)


@check_arguments
def build_graph(journeys: Journeys) -> JourneyGraph:
    """Count the steps of all journeys that have a touchpoint.

    Parameters
    ----------
    journeys : those with a touchpoint count, converting or not

    Returns
    -------
    JourneyGraph
        States ``(start)``, the channels, ``(conversion)`` and ``(null)``, and how often each step was taken.

    Examples
    --------
    >>> import pandas as pd
    >>> import attribution as at
    >>> graph = build_graph(at.build_journeys(at.load_sources(paths=pd.DataFrame(
    ...     {"path": ["mail > search"], "conversions": [1], "nulls": [3]}))))
    >>> graph.states, graph.conversion_probability
    (('(start)', 'mail', 'search', '(conversion)', '(null)'), 0.25)
    """
    (summary,) = journeys.read(graph_reader(journeys))
    return assemble_graph(summary, journeys)


def graph_reader(journeys: Journeys) -> Reader:
    """What counts the steps of journeys, for `assemble_graph`."""
    return partial(_steps, len(journeys.channels))


def assemble_graph(summary: Summary, journeys: Journeys) -> JourneyGraph:
    """The graph whose steps a `graph_reader` has counted."""
    channels = len(journeys.channels)
    states = (START, *journeys.channels, CONVERSION, NULL)
    counts = np.zeros((channels + 3, channels + 3))
    if "steps" in summary.tables:
        table = summary.tables["steps"]
        digits = unpack(table.keys, channels=channels, order=1)
        # Digit `channels` stands for the start in a state and for conversion as what follows.
        origin = np.where(digits[:, 0] == channels, 0, digits[:, 0] + 1)
        counts[origin, digits[:, 1] + 1] = to_float(table.sums)
    # Every touchpoint is one step into its channel.
    touchpoints = counts[:, 1 : channels + 1].sum(axis=0)
    return JourneyGraph(states, counts, touchpoints, summary.dense("converting_touchpoints", channels))


_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def _xml_name(name: str) -> str:
    escaped = name.replace("\\", "\\\\")
    return _NOT_IN_XML.sub(lambda match: f"\\x{ord(match[0]):02x}", escaped)


def _steps(channels: int, chunk: JourneyChunk) -> Summary:
    touched = chunk.touched
    journeys = Slices(touched.start, touched.stop, touched.channel, channels)
    converting = chunk.allocated
    times = converting.conversions[np.repeat(np.arange(len(converting)), converting.lengths)]
    return Summary(
        {
            "steps": count_steps(journeys, touched.conversions, touched.nulls, order=1),
            "converting_touchpoints": tally(converting.channel, times),
        }
    )

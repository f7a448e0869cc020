"""The journey graph against counting by hand."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

import attribution as at
from tests.scale import examples
from tests.twins.models import PathRow
from tests.twins.strategies import path_tables


def graph_of(rows: list[PathRow]) -> at.JourneyGraph:
    frame = pd.DataFrame(
        {
            "path": pd.Series([list(row.path) for row in rows], dtype=object),
            "conversions": [row.conversions for row in rows],
            "nulls": [row.nulls for row in rows],
        }
    )
    return at.build_graph(at.build_journeys(at.load_sources(paths=frame)))


@examples(17)
@given(path_tables())
def test_counts_equal_counting_by_hand(rows: list[PathRow]) -> None:
    if not rows:
        return
    wanted: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row.path:
            steps = ["(start)", *row.path]
            for pair in pairwise(steps):
                wanted[pair] += row.conversions + row.nulls
            wanted[row.path[-1], "(conversion)"] += row.conversions
            wanted[row.path[-1], "(null)"] += row.nulls
    table = graph_of(rows).to_frame()
    found = {(r.from_state, r.to_state): r.count for r in table.itertuples()}
    assert found == {pair: pytest.approx(count) for pair, count in wanted.items() if count}


ROWS = [PathRow(("a", "b"), 3, 0, 1), PathRow(("b",), 0, 0, 4), PathRow((), 2, 0, 0)]


def test_transition_matrix_and_conversion_probability() -> None:
    graph = graph_of(ROWS)
    assert graph.states == ("(start)", "a", "b", "(conversion)", "(null)")
    np.testing.assert_allclose(
        graph.transition_matrix,
        [[0, 0.5, 0.5, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 3 / 8, 5 / 8], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]],
    )
    # Journeys without a touchpoint are not in the graph.
    assert graph.conversion_probability == pytest.approx(3 / 8)
    absorbed = np.linalg.matrix_power(graph.transition_matrix, 50)[0]
    assert absorbed[3] == pytest.approx(graph.conversion_probability)


def test_networkx_carries_counts_probabilities_and_channel_attributes() -> None:
    graph = graph_of(ROWS).to_networkx()
    assert graph.edges["b", "(null)"] == {"count": 5.0, "probability": 5 / 8}
    assert graph.nodes["a"] == {
        "kind": "channel",
        "visits": 4.0,
        "touchpoints": 4.0,
        "converting_touchpoints": 3.0,
        "conversion_share": 0.0,
    }
    assert {graph.nodes[n]["kind"] for n in ("(start)", "(conversion)", "(null)")} == {
        "start",
        "conversion",
        "null",
    }
    assert graph.nodes["(null)"]["visits"] == 5


def test_graphml_can_be_read_again(tmp_path) -> None:  # type: ignore[no-untyped-def]
    rows = [PathRow(("微信 & <b>", 'say "hi"'), 1, 0, 2)]
    graph_of(rows).write_graphml(tmp_path / "graph.graphml")
    again = nx.read_graphml(tmp_path / "graph.graphml")
    assert again.edges["微信 & <b>", 'say "hi"']["count"] == 3

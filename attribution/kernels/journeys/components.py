"""Connected components of linked numbers, and who stands for each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def smallest_of_component(
    first: NDArray[np.int64], second: NDArray[np.int64], nodes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Join linked nodes and name each component by the smallest of its nodes that occurs in ``second``.

    Parameters
    ----------
    first, second : (links,) the two ends of each link, 0 … nodes − 1; links to oneself and repeated ones do no harm
    nodes : how many nodes there are; each must occur in a link

    Returns
    -------
    component : (nodes,) number of the component each node is in
    name : (components,) the smallest node of each component that occurs in ``second``

    References
    ----------
    R. E. Tarjan, "Efficiency of a good but not linear set union algorithm", Journal of the ACM 22 (1975), is what
    this answers; scipy finds the components by walking the graph.

    Examples
    --------
    >>> component, name = smallest_of_component(np.array([0, 3, 4]), np.array([3, 1, 2]), 5)
    >>> name[component].tolist()
    [1, 1, 2, 1, 2]
    """
    # Loaded when it is used: it takes as long to load as all of pandas, and a scorer does without.
    from scipy.sparse.csgraph import connected_components

    # 32 bits are what scipy works with: it would copy wider positions.
    ends = (first.astype(np.int32), second.astype(np.int32))
    graph = sparse.coo_array((np.ones(len(first)), ends), shape=(nodes, nodes))
    components, component = connected_components(graph, directed=False)
    name = np.full(components, nodes, np.int64)
    np.minimum.at(name, component[second], second)
    return component.astype(np.int64), name

"""Chains that hardly ever end: what is missing is solved for, again and again, until it is nothing.

References
----------
.. [1] Y. Saad, M. H. Schultz, "GMRES: a generalized minimal residual algorithm for solving nonsymmetric linear
   systems", SIAM Journal on Scientific and Statistical Computing 7(3), 1986.
.. [2] N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition 2002, chapter 12 (iterative
   refinement).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float64]

TOLERANCE = 1e-12
"""Of every number, relative to itself."""

_ROUNDS = 50
_SMOOTHING = 20
_RESTART = 60
_RESTARTS = 4


def settled(going: sparse.csr_array, constant: Floats, guess: Floats) -> Floats:
    """The x ≥ 0 with x = constant + going @ x.

    What is missing is computed with more digits than a float has (where the machine can), because a chain that
    leaves with probability p magnifies its rounding by 1 ÷ p.

    Parameters
    ----------
    going : (n, n) numbers ≥ 0 as long doubles, spectral radius below 1
    constant : (n,) numbers ≥ 0
    guess : (n,) where to begin

    Raises
    ------
    ArithmeticError
        If x cannot be found.
    """
    # Loaded when it is used: a scorer never gets here. Before threads are limited, which concerns what is loaded.
    from scipy.sparse.linalg import gmres, splu

    rounded = sparse.csr_array(going.astype(np.float64))
    system = sparse.csc_array(sparse.eye_array(len(guess)) - rounded)
    x = guess.astype(np.longdouble)
    is_direct = False
    # One thread: the order of additions inside the linear algebra library must not depend on the machine's load.
    with threadpool_limits(1):
        for _ in range(_ROUNDS):
            missing = (constant + going @ x - x).astype(np.float64)
            if not is_direct:
                correction, failed = gmres(system, missing, rtol=1e-6, restart=_RESTART, maxiter=_RESTARTS)
                if failed:
                    is_direct, factors = True, splu(system)
            if is_direct:
                correction = factors.solve(missing)
            for _ in range(_SMOOTHING):
                # A solver looks at the largest numbers; a few steps of the chain set the small ones right.
                correction = missing + rounded @ correction
            x = np.maximum(x + correction, 0.0)
            if (np.abs(correction) <= TOLERANCE * x).all():
                return np.asarray(x, dtype=np.float64)
    raise ArithmeticError("the chain never ends: its visits cannot be solved for")

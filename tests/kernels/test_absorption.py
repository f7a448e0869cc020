"""Removal effects of chains that are slow to end, against a closed form."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse

from attribution.kernels import absorption
from attribution.kernels.absorption import Chain, removal_effects


def ring(leave: int) -> Chain:
    """start → a ⇄ b; of ``leave`` steps out of b one converts, one goes to c and thence to conversion or null."""
    steps = np.zeros((4, 4))
    steps[0, 1] = 10.0
    steps[1, 2] = leave
    steps[2, 1], steps[2, 3] = leave - 2, 1.0
    out = np.array([10.0, leave, leave, 4.0])
    rewards = np.array([[0.0], [0.0], [1.0], [1.0]])
    return Chain(sparse.csr_array(steps), out, rewards, np.array([-1, 0, 1, 2]))


@pytest.mark.parametrize(("dense_states", "tolerance"), [(2_000, 1e-12), (0, 1e-10)])
@pytest.mark.parametrize("leave", [3, 50, 2_000])
def test_slow_chains_against_the_closed_form(
    leave: int, dense_states: int, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving b is one half to conversion, one half to c, whatever the rounds before; c converts 1 of 4."""
    monkeypatch.setattr(absorption, "DENSE_STATES", dense_states)
    removal = removal_effects(ring(leave), 3)
    converted = Fraction(1, 2) + Fraction(1, 2) * Fraction(1, 4)
    assert removal.expected[0] == pytest.approx(float(converted), rel=tolerance)
    lost = [Fraction(1), Fraction(1), Fraction(1, 8) / converted]
    assert removal.effects[:, 0] == pytest.approx([float(effect) for effect in lost], rel=tolerance)

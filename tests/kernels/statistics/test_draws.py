"""Random numbers by their key: the published generator, and the distributions that they are to have."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from attribution.kernels.statistics.draws import (
    draw_bits,
    draw_words,
    id_words,
    multinomial_weights,
    poisson_weights,
    uniform,
)

MASK = (1 << 64) - 1


def splitmix(state: int, count: int) -> list[int]:
    """The first numbers of the generator as its authors wrote it down, in whole numbers of any size."""
    numbers = []
    for _ in range(count):
        state = state + 0x9E3779B97F4A7C15 & MASK
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        numbers.append(z ^ z >> 31)
    return numbers


def test_the_second_implementation_is_the_published_generator() -> None:
    assert splitmix(1234567, 3) == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("word", [0, 1, 1234567, MASK, 1 << 63])
@pytest.mark.parametrize("stream", [0, 1, 2, 77])
def test_bits_are_the_generator_twice_with_the_stream_between(word: int, stream: int) -> None:
    (once,) = splitmix(word, 1)
    # The generator adds its own step first, so that it is taken off here.
    (twice,) = splitmix(once + stream * 0xD1342543DE82EF95 - 0x9E3779B97F4A7C15 & MASK, 1)
    assert int(draw_bits(np.uint64(word), stream)) == twice
    assert int(draw_words(np.array([5, word], np.uint64), stream)[1]) == twice


def test_ids_of_numbers_and_of_texts_draw_apart_and_always_the_same() -> None:
    numbers = id_words(pa.array([7, 8, -1]))
    assert numbers.tolist() == draw_words(np.array([7, 8, MASK], np.uint64), 1).tolist()
    assert len({*numbers.tolist(), *id_words(pa.array(["7", "8", "-1"])).tolist()}) == 6
    assert id_words(pa.array([7], pa.int32())).tolist() == numbers[:1].tolist()


def test_uniform_numbers_lie_evenly_from_nought_to_one() -> None:
    found = uniform(np.arange(20_000, dtype=np.uint64), 3)
    assert 0.0 <= found.min() < 1e-3
    assert 1.0 - 1e-3 < found.max() < 1.0
    assert np.histogram(found, 10, (0, 1))[0].tolist() == pytest.approx([2000] * 10, abs=5 * np.sqrt(1800))
    assert ((found * 2**53) % 1 == 0).all()
    assert (found * 2**53 % 2 == 1).any()


def test_poisson_weights_are_poisson() -> None:
    found = poisson_weights(4, np.arange(5_000, dtype=np.uint64), seed=2)
    assert found.shape == (4, 5_000)
    for number, share in enumerate([0.36788, 0.36788, 0.18394, 0.06131, 0.01533, 0.00307]):
        assert (found == number).mean() == pytest.approx(share, abs=5 * np.sqrt(share / found.size))
    assert not (found[0] == found[1]).all()
    assert not (found == poisson_weights(4, np.arange(5_000, dtype=np.uint64), seed=3)).all()


def test_groups_are_drawn_with_replacement_and_alike() -> None:
    found = multinomial_weights(2_000, 5, seed=4)
    assert (found.sum(axis=1) == 5.0).all()
    assert found.mean(axis=0).tolist() == pytest.approx([1.0] * 5, abs=5 * np.sqrt(0.8 / 2_000))
    assert found.var(axis=0).tolist() == pytest.approx([0.8] * 5, abs=0.15)
    assert (found == 0).mean() == pytest.approx(0.8**5, abs=0.02)

"""Draws from the search space against lists of all that can be drawn."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import (
    CellGraph,
    TrellisGraph,
    decode_cell,
    numbered_draw,
    path_of_rank,
    sample_cell,
    sample_genotype,
    sample_path,
)
from tests.architectures import listed_paths


@pytest.mark.parametrize(
    ("layers", "strides"),
    [(1, (4, 8)), (5, (4, 8, 16, 32)), (4, (2, 4, 8)), (4, (8, 16)), (3, (4,)), (6, (1, 2))],
)
def test_ranks_number_all_paths(layers, strides):
    trellis = TrellisGraph(layers, strides)
    paths = [path_of_rank(trellis, rank) for rank in range(trellis.count_paths())]
    assert paths == listed_paths(layers, strides)
    for rank in (-1, len(paths)):
        with pytest.raises(UserError, match=f"rank: received {rank}; expected 0 to"):
            path_of_rank(trellis, rank)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 100), st.data())
def test_ranks_of_deep_trellises_are_in_order(layers, data):
    trellis = TrellisGraph(layers)
    rank = data.draw(st.integers(0, trellis.count_paths() - 2))
    path, after = path_of_rank(trellis, rank), path_of_rank(trellis, rank + 1)
    assert path < after
    assert len(path) == layers
    assert set(itertools.pairwise((4, *path))) <= {
        (source, target) for _, source, target in trellis.arcs
    }


def assert_uniform(drawn, possible):
    """Each frequency is within five standard deviations of the uniform one."""
    counts = Counter(drawn)
    assert set(counts) == set(possible)
    expected = len(drawn) / len(possible)
    for item in possible:
        assert abs(counts[item] - expected) < 5 * expected**0.5


def test_paths_are_drawn_uniformly():
    trellis = TrellisGraph(4)
    generator = random.Random(0)
    drawn = [sample_path(trellis, generator) for _ in range(20_000)]
    assert_uniform(drawn, listed_paths(4, (4, 8, 16, 32)))


def test_cells_are_drawn_uniformly_from_those_that_decoding_can_return():
    cell = CellGraph(2, ("none", "skip", "sep_conv_3x3"))
    operations = ("skip", "sep_conv_3x3")
    blocks = [
        [
            ((first, a), (second, b))
            for first, second in itertools.combinations(inputs, 2)
            for a, b in itertools.product(operations, repeat=2)
        ]
        for inputs in (("prev_prev", "prev"), ("prev_prev", "prev", "block1"))
    ]
    possible = set(itertools.product(*blocks))
    generator = random.Random(1)
    assert_uniform([sample_cell(cell, generator) for _ in range(20_000)], possible)
    values = np.random.default_rng(2)
    alphas = [values.normal(size=(len(cell.edges), 3)) for _ in range(2000)]
    assert {decode_cell(alpha, cell) for alpha in alphas} == possible


def test_a_seed_gives_the_same_genotypes():
    def draw(seed):
        generator = random.Random(seed)
        return [sample_genotype("any", CellGraph(), TrellisGraph(), generator) for _ in range(5)]

    assert draw(7) == draw(7)
    assert len(set(draw(7))) == 5
    assert draw(7) != draw(8)


def test_numbered_draws_are_the_same_in_any_order():
    def draw(seed, number):
        genotype = numbered_draw("any", CellGraph(), TrellisGraph(), seed, number)
        return genotype.network, genotype.cell

    forward = [draw(1, number) for number in range(5)]
    assert [draw(1, number) for number in reversed(range(5))] == forward[::-1]
    assert len({*forward, *(draw(2, number) for number in range(5))}) == 10


def test_numbered_draws_are_uniform():
    trellis = TrellisGraph(4)
    drawn = [numbered_draw("any", CellGraph(1), trellis, 0, n).network for n in range(20_000)]
    assert_uniform(drawn, listed_paths(4, (4, 8, 16, 32)))

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import CellGraph, PerturbationEffects


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 4),
    st.sampled_from((("none", "skip", "sep_conv_3x3"), ("max_pool_3x3", "skip"))),
    st.integers(0, 2**32 - 1),
)
def test_each_block_keeps_what_is_missed_the_most(blocks, operations, seed):
    cell = CellGraph(blocks, operations)
    random = np.random.default_rng(seed)
    of_operations = random.normal(size=(len(cell.edges), len(operations)))
    of_edges = random.normal(size=len(cell.edges))
    before = of_operations.copy()
    decoded = PerturbationEffects(cell, of_operations, of_edges).decode()
    np.testing.assert_array_equal(of_operations, before)
    for block, branches in enumerate(decoded, start=1):
        edges = {
            edge.input: (of_edge, dict(zip(operations, row, strict=True)))
            for edge, of_edge, row in zip(cell.edges, of_edges, of_operations, strict=True)
            if edge.block == block
        }
        pairs = itertools.combinations(edges, 2)
        best = max(pairs, key=lambda pair: sum(edges[name][0] for name in pair))
        assert tuple(branch.input for branch in branches) == best
        for name, operation in branches:
            effects = edges[name][1]
            assert operation != "none"
            assert all(effects[operation] >= effects[other] for other in effects if other != "none")


def test_of_the_skips_the_one_that_is_missed_the_most_stays():
    cell = CellGraph(1, ("skip", "sep_conv_3x3"))
    effects = PerturbationEffects(cell, [[0.2, 0.1], [0.3, 0.0]], [1.0, 0.5])
    assert effects.decode(most_skips=1) == ((("prev_prev", "sep_conv_3x3"), ("prev", "skip")),)


@pytest.mark.parametrize(
    ("operations", "edges", "message"),
    [
        ([[0.0, 0.0]], [0.0, 0.0], r"operations: received the shape \[1, 2\]; expected \[2, 2\]"),
        ([[0.0, 0.0]] * 2, [np.nan, 0.0], r"edges\[0\]: received nan; expected finite"),
    ],
)
def test_wrong_effects(operations, edges, message):
    with pytest.raises(UserError, match=message):
        PerturbationEffects(CellGraph(1, ("skip", "sep_conv_3x3")), operations, edges)

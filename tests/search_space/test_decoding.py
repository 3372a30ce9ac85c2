import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import (
    OPERATIONS,
    CellGraph,
    TrellisGraph,
    decode_cell,
    decode_network,
)

OPERATION_SETS = (OPERATIONS, ("none", "skip"), ("skip",), ("max_pool_3x3", "sep_conv_5x5"))
STRIDES = ((4, 8, 16, 32), (4, 8), (8, 16, 32), (1, 2, 4, 8), (4,))


def softmax(values):
    exponentials = [math.exp(value) for value in values]
    return [exponential / sum(exponentials) for exponential in exponentials]


def path_probabilities(beta, trellis):
    """The probability of every path, from the definition: no dynamic programming, no logarithm."""
    leaving = {}
    for arc, value in zip(trellis.arcs, beta, strict=True):
        leaving.setdefault((arc.layer, arc.source), {})[arc.target] = value
    probability = {}
    for start, targets in leaving.items():
        for target, weight in zip(targets, softmax(targets.values()), strict=True):
            probability[(*start, target)] = weight
    return {
        path: math.prod(
            probability[(layer, *step)]
            for layer, step in enumerate(itertools.pairwise((4, *path)), start=1)
        )
        for path in itertools.product(trellis.strides, repeat=trellis.layers)
        if all(
            (layer, *step) in probability
            for layer, step in enumerate(itertools.pairwise((4, *path)), start=1)
        )
    }


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.sampled_from(STRIDES), st.integers(0, 2**32 - 1))
def test_network_is_the_best_of_all_paths(layers, strides, seed):
    trellis = TrellisGraph(layers, strides)
    beta = np.random.default_rng(seed).normal(scale=2, size=len(trellis.arcs))
    probabilities = path_probabilities(beta, trellis)
    assert math.isclose(sum(probabilities.values()), 1)
    assert len(probabilities) == trellis.count_paths()
    assert decode_network(beta, trellis) == max(probabilities, key=probabilities.get)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5), st.sampled_from(STRIDES), st.data())
def test_ties_go_to_the_lower_stride(layers, strides, data):
    trellis = TrellisGraph(layers, strides)
    size = len(trellis.arcs)
    beta = data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=size, max_size=size))
    probabilities = path_probabilities(beta, trellis)
    best = max(probabilities.values())
    equally_good = [path for path, p in probabilities.items() if math.isclose(p, best)]
    assert decode_network(beta, trellis) == min(equally_good)


def test_untrained_beta_stays_at_the_lowest_stride():
    # Nodes at the edge of the trellis have two ways on, each with more than the third that an
    # inner node's have.
    assert decode_network(np.zeros(105), TrellisGraph()) == (4,) * 12


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(-50, 50))
def test_adding_a_constant_to_the_arcs_of_one_node_changes_nothing(seed, constant):
    trellis = TrellisGraph(6)
    generator = np.random.default_rng(seed)
    beta = generator.normal(size=len(trellis.arcs))
    node = trellis.nodes[generator.integers(len(trellis.nodes))]
    shifted = beta.copy()
    for arc in trellis.outgoing(*node):
        shifted[trellis.arcs.index(arc)] += constant
    assert decode_network(shifted, trellis) == decode_network(beta, trellis)


def test_large_values_do_not_overflow():
    trellis = TrellisGraph(3)
    beta = np.zeros(len(trellis.arcs))
    for arc in ((1, 4, 8), (2, 8, 16), (3, 16, 32)):
        beta[trellis.arcs.index(arc)] = 1e6
    assert decode_network(beta, trellis) == (8, 16, 32)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.sampled_from(OPERATION_SETS), st.integers(0, 2**32 - 1))
def test_cell_keeps_the_best_of_all_pairs_of_edges(blocks, operations, seed):
    cell = CellGraph(blocks, operations)
    alpha = np.random.default_rng(seed).normal(size=(len(cell.edges), len(operations)))
    decoded = decode_cell(alpha, cell)
    assert len(decoded) == blocks
    for block, branches in enumerate(decoded, start=1):
        weights = {
            (edge.input, operation): weight
            for edge, row in zip(cell.edges, alpha, strict=True)
            for operation, weight in zip(operations, softmax(row), strict=True)
            if edge.block == block and operation != "none"
        }
        pairs = [pair for pair in itertools.combinations(weights, 2) if pair[0][0] != pair[1][0]]
        best = max(pairs, key=lambda pair: weights[pair[0]] + weights[pair[1]])
        assert set(branches) == set(best)


@settings(deadline=None, max_examples=80)
@given(
    st.integers(1, 3),
    st.sampled_from((("none", "skip", "sep_conv_3x3"), ("max_pool_3x3", "skip", "sep_conv_5x5"))),
    st.integers(0, 6),
    st.integers(0, 2**32 - 1),
)
def test_of_all_ways_to_keep_so_many_skips_the_strongest_ones_stay(blocks, operations, most, seed):
    cell = CellGraph(blocks, operations)
    # Most edges prefer skip.
    alpha = np.random.default_rng(seed).normal(size=(len(cell.edges), 3))
    alpha[:, 1] += 1.5
    weights = {
        (edge.block, edge.input, operation): weight
        for edge, row in zip(cell.edges, alpha, strict=True)
        for operation, weight in zip(operations, softmax(row), strict=True)
        if operation != "none"
    }
    free = [
        (block, *branch)
        for block, branches in enumerate(decode_cell(alpha, cell), start=1)
        for branch in branches
    ]
    skips = [branch for branch in free if branch[2] == "skip"]
    ways = itertools.combinations(skips, min(most, len(skips)))
    stay = max(ways, key=lambda way: sum(weights[branch] for branch in way))

    def next_operation(block, name):
        others = [each for each in operations if each not in ("none", "skip")]
        return max(others, key=lambda operation: weights[block, name, operation])

    expected = [
        (block, name, next_operation(block, name))
        if operation == "skip" and (block, name, operation) not in stay
        else (block, name, operation)
        for block, name, operation in free
    ]
    decoded = decode_cell(alpha, cell, most_skips=most)
    assert [
        (block, *branch) for block, branches in enumerate(decoded, start=1) for branch in branches
    ] == expected


def test_of_equally_strong_skips_the_earlier_ones_stay():
    cell = CellGraph(2, ("skip", "sep_conv_3x3"))
    alpha = np.tile([1.0, 0.0], [5, 1])
    assert [b.op for block in decode_cell(alpha, cell, most_skips=2) for b in block] == [
        "skip",
        "skip",
        "sep_conv_3x3",
        "sep_conv_3x3",
    ]


def test_a_limit_that_no_other_operation_can_meet():
    cell = CellGraph(2, ("none", "skip"))
    with pytest.raises(UserError, match=r"most_skips: received 3; expected at least 4: the opera"):
        decode_cell(np.zeros((5, 2)), cell, most_skips=3)
    assert decode_cell(np.zeros((5, 2)), cell, most_skips=4) == decode_cell(np.zeros((5, 2)), cell)


def test_cell_ignores_none_however_strong_it_is():
    cell = CellGraph(1)
    alpha = np.zeros((2, 8))
    alpha[:, OPERATIONS.index("none")] = 100
    alpha[0, OPERATIONS.index("skip")] = 1
    assert decode_cell(alpha, cell) == ((("prev_prev", "skip"), ("prev", "max_pool_3x3")),)


def test_a_strong_none_makes_an_edge_weak():
    cell = CellGraph(2, ("none", "skip"))
    alpha = np.zeros((5, 2))
    alpha[3, 0] = 5  # block 2 reads prev: almost all of this edge's weight is on none
    assert [branch.input for branch in decode_cell(alpha, cell)[1]] == ["prev_prev", "block1"]


def test_branches_are_in_input_order_and_ties_go_to_the_earlier_input():
    cell = CellGraph(3, ("skip", "sep_conv_3x3"))
    assert [branch.input for branch in decode_cell(np.zeros((9, 2)), cell)[2]] == [
        "prev_prev",
        "prev",
    ]
    alpha = np.zeros((9, 2))
    alpha[8, 1], alpha[6, 0] = 3, 1  # block2 is the strongest, prev the second
    assert decode_cell(alpha, cell)[2] == (("prev", "skip"), ("block2", "sep_conv_3x3"))


@pytest.mark.parametrize(
    ("alpha", "message"),
    [
        (np.zeros((19, 8)), r"alpha: received the shape \[19, 8\]; expected \[20, 8\]"),
        (np.full((20, 8), np.nan), r"alpha\[0, 0\]: received nan; expected finite"),
        ([["x"] * 8] * 20, r"alpha: received .*; expected numbers"),
        ([[0.0], [0.0, 0.0]], r"alpha: received .*; expected numbers"),
    ],
)
def test_wrong_alpha(alpha, message):
    with pytest.raises(UserError, match=message):
        decode_cell(alpha, CellGraph())


def test_wrong_beta():
    with pytest.raises(UserError, match=r"beta: received the shape \[104\]; expected \[105\]"):
        decode_network(np.zeros(104), TrellisGraph())
    beta = np.zeros(105)
    beta[3] = np.inf
    with pytest.raises(UserError, match=r"beta\[3\]: received inf"):
        decode_network(beta, TrellisGraph())

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from auto_deeplab.search_space import (
    OPERATIONS,
    STEM,
    CellGraph,
    Relaxation,
    TrellisGraph,
    diagnose,
)
from tests.architectures import random_relaxation

DECIDED_BETA = 10 * np.arange(25.0)
SETS = (OPERATIONS, ("none", "skip", "sep_conv_3x3"), ("skip", "sep_conv_5x5"), ("max_pool_3x3",))


def relaxation(alpha=None, beta=None, operations=OPERATIONS, strides=(4, 8, 16, 32)):
    cell, trellis = CellGraph(5, operations), TrellisGraph(4, strides)
    alpha = np.zeros([20, len(operations)]) if alpha is None else alpha
    beta = np.zeros(len(trellis.arcs)) if beta is None else beta
    return Relaxation(cell, trellis, alpha, beta)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(SETS), st.integers(0, 2**32 - 1), st.floats(0.01, 30))
def test_figures_are_those_of_their_definitions(operations, seed, scale):
    """With SciPy's softmax and entropy, edge by edge and node by node."""
    random = random_relaxation(seed, blocks=3, layers=4, operations=operations)
    searched = Relaxation(random.cell, random.trellis, scale * random.alpha, scale * random.beta)
    diagnosis = diagnose(searched)
    rows = np.exp(searched.alpha - searched.alpha.max(axis=1, keepdims=True))
    rows /= rows.sum(axis=1, keepdims=True)
    for name, weight in (("skip", diagnosis.skip_weight), ("none", diagnosis.none_weight)):
        if name in operations:
            assert weight == pytest.approx(np.mean(rows[:, operations.index(name)]))
        else:
            assert weight is None
    if len(operations) > 1:
        entropies = [stats.entropy(row, base=len(operations)) for row in rows]
        assert diagnosis.alpha_entropy == pytest.approx(np.mean(entropies), abs=1e-12)
    else:
        assert diagnosis.alpha_entropy is None
    assert diagnosis.strongest_operation == pytest.approx(np.mean([max(row) for row in rows]))

    entropies, largest = [], []
    for node in (STEM, *searched.trellis.nodes):
        beta = [
            value
            for arc, value in zip(searched.trellis.arcs, searched.beta, strict=True)
            if (arc.layer - 1, arc.source) == node
        ]
        if len(beta) > 1:
            weights = np.exp(np.array(beta) - max(beta))
            entropies.append(stats.entropy(weights) / math.log(len(beta)))
            largest.append(max(weights) / sum(weights))
    assert diagnosis.beta_entropy == pytest.approx(np.mean(entropies), abs=1e-12)
    assert diagnosis.strongest_arc == pytest.approx(np.mean(largest))
    cell = searched.decode("x").cell
    assert diagnosis.skip_branches == [b.op for block in cell for b in block].count("skip")


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_entropy_falls_as_one_choice_is_made(seed):
    random = random_relaxation(seed, operations=OPERATIONS)
    figures = [
        diagnose(Relaxation(random.cell, random.trellis, scale * random.alpha, scale * random.beta))
        for scale in (0, 0.5, 1, 2, 8)
    ]
    for name in ("alpha_entropy", "beta_entropy"):
        values = [getattr(each, name) for each in figures]
        assert values[0] == pytest.approx(1)
        assert values == sorted(values, reverse=True)
        assert values[-1] < values[0]


def test_a_choice_that_is_made_has_no_entropy_left():
    decided = diagnose(relaxation(1e4 * np.eye(8)[np.arange(20) % 8]))
    assert decided.alpha_entropy == 0
    assert math.copysign(1, decided.alpha_entropy) == 1


def test_a_search_that_has_hardly_begun():
    alpha = np.zeros([20, 8])
    # One operation with 0.21, which is e^x / (e^x + 7).
    alpha[np.arange(20), 4 + np.arange(20) % 4] = math.log(7 * 0.21 / 0.79)
    assert diagnose(relaxation(alpha, beta=DECIDED_BETA)).findings() == [
        "the strongest operation has 0.21 on average where 0.125 would be no choice: the search "
        "has hardly begun; give more epochs after the warm-up (Search.epochs), or a larger "
        "Search.architecture_learning_rate"
    ]
    (of_both,) = diagnose(relaxation(alpha)).findings()
    assert "0.125 would be no choice, and the strongest arc out of a node has 0.42" in of_both
    (of_arcs,) = diagnose(relaxation(10 * np.eye(8)[4 + np.arange(20) % 4])).findings()
    assert of_arcs.startswith("the strongest arc out of a node has 0.42 on average where 0.42 ")


def decided(operation_of_edge, operations=OPERATIONS):
    alpha = 10 * np.eye(len(operations))[[operations.index(name) for name in operation_of_edge]]
    return diagnose(relaxation(alpha, beta=DECIDED_BETA, operations=operations))


def test_a_cell_of_skips_has_collapsed():
    assert decided(["sep_conv_3x3"] * 20).findings() == []
    # The first two edges of each block are kept: all are equally strong.
    edges = CellGraph().edges
    of_edge = ["skip" if edge.input == "prev" else "sep_conv_3x3" for edge in edges]
    assert decided(of_edge).skip_branches == 5
    assert decided(of_edge).findings() == []
    of_edge[0] = "skip"
    assert decided(of_edge).skip_branches == 6
    (finding,) = decided(of_edge).findings()
    assert finding.startswith("alpha prefers skip on 6 of the cell's 10 branches: the search has ")


def test_where_there_is_nothing_but_skip_it_is_no_collapse():
    assert decided(["skip"] * 20, ("none", "skip")).findings() == []


def test_a_supernet_of_none():
    found = decided(["none"] * 20).findings()
    assert any(finding.startswith("none has 1.00 of the weight") for finding in found)


def test_a_space_without_a_choice_has_no_such_figures():
    diagnosis = diagnose(relaxation(np.zeros([20, 1]), operations=("skip",), strides=(4,)))
    assert diagnosis.figures() == {
        "skip_weight": 1.0,
        "skip_branches": 10.0,
        "strongest_operation": 1.0,
    }
    assert diagnosis.findings() == []

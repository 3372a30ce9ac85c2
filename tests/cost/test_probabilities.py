"""The probabilities against those of `ArchitectureDistribution`."""

import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.cost.probabilities import (
    branch_probabilities,
    path_probabilities,
    stride_axis,
)
from auto_deeplab.search_space import Edge, path_arcs
from tests.architectures import listed_architectures, random_relaxation


def test_branches_and_steps_are_as_likely_as_the_architectures_that_have_them():
    relaxation = random_relaxation(seed=3, blocks=3, layers=3, strides=(8, 16))
    cell, trellis = relaxation.cell, relaxation.trellis
    branches, strides = np.zeros(relaxation.alpha.shape), stride_axis(trellis)
    moves = np.zeros([trellis.layers, len(strides), len(strides)])
    total = 0.0
    for genotype, weight in listed_architectures(relaxation):
        total += weight
        for block, pair in enumerate(genotype.cell, start=1):
            for branch in pair:
                row = cell.edges.index(Edge(block, branch.input))
                branches[row, cell.operations.index(branch.op)] += weight
        for arc in path_arcs(genotype):
            step = strides.index(arc.source), strides.index(arc.target)
            moves[arc.layer - 1, *step] += weight
    found = branch_probabilities(tf.constant(relaxation.alpha), cell)
    np.testing.assert_allclose(found, branches / total, atol=1e-12)
    of_paths = path_probabilities(tf.constant(relaxation.beta), trellis)
    np.testing.assert_allclose(of_paths.moves, moves / total, atol=1e-12)
    assert strides == (4, 8, 16)


@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_a_block_has_two_branches_whatever_alpha_is(scale):
    relaxation = random_relaxation(seed=4, blocks=5)
    alpha = tf.constant(scale * relaxation.alpha)
    kept = tf.reduce_sum(branch_probabilities(alpha, relaxation.cell), axis=1).numpy()
    assert kept.max() <= 1 + 1e-12
    blocks = [edge.block for edge in relaxation.cell.edges]
    np.testing.assert_allclose(np.bincount(blocks, kept)[1:], 2, atol=1e-12)

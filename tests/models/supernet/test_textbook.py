"""The textbook supernet alone: its equations on numbers that can be worked out by hand."""

import numpy as np
import tensorflow as tf

from auto_deeplab.models.supernet import textbook
from auto_deeplab.models.supernet.textbook import Weights
from auto_deeplab.search_space import STEM, CellGraph, Edge, TrellisGraph

TRELLIS = TrellisGraph(layers=3)
NOTHING_OR_IDENTITY = CellGraph(blocks=2, operations=("none", "skip"))


def random(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def test_equations_1_and_2_are_weighted_sums():
    prev, prev_prev = random(2, 1, 3, 3, 4), random(1, 1, 3, 3, 4, seed=1)
    alpha = {
        edge: {"none": tf.constant(0.25, tf.float64), "skip": tf.constant(skip, tf.float64)}
        for edge, skip in zip(NOTHING_OR_IDENTITY.edges, (0.5, 0.1, 0.2, 0.3, 0.7), strict=True)
    }
    output = textbook.cell(prev, prev_prev, alpha, Weights())
    first = 0.5 * prev_prev + 0.1 * prev
    second = 0.2 * prev_prev + 0.3 * prev + 0.7 * first
    np.testing.assert_allclose(output, np.concatenate([first, second], axis=-1))


def test_an_auxiliary_skip_is_a_part_of_the_input_beside_each_mixed_operation():
    graph, H = CellGraph(blocks=1), random(1, 2, 5, 5, 4)
    alpha = textbook.operation_weights(random(2, 8), graph)
    more, w = textbook.with_auxiliary_skip(alpha, 0.3), Weights()
    for edge in graph.edges:
        plain = textbook.mixed_operation(H, alpha[edge], w)
        with_it = textbook.mixed_operation(H, more[edge], w)
        np.testing.assert_allclose(with_it, plain + 0.3 * H)


def test_equation_5_without_a_node_two_layers_back():
    prev = random(2, 1, 3, 3, 4)
    alpha = textbook.operation_weights(random(5, 2), NOTHING_OR_IDENTITY)
    output = textbook.cell(prev, None, alpha, Weights())
    first = alpha[Edge(1, "prev")]["skip"] * prev
    np.testing.assert_allclose(output[..., :4], first)


def test_equations_3_and_4_hold_on_every_edge():
    graph = CellGraph()
    weights = textbook.operation_weights(random(20, 8), graph)
    assert list(weights) == list(graph.edges)
    for of_edge in weights.values():
        assert list(of_edge) == list(graph.operations)
        np.testing.assert_allclose(sum(of_edge.values()), 1)
        assert min(of_edge.values()) >= 0


def test_equations_7_and_8_hold_at_every_node_that_arcs_leave():
    weights = textbook.arc_weights(random(len(TRELLIS.arcs)), TRELLIS)
    assert min(weights.values()) >= 0
    for node in (STEM, *TRELLIS.nodes_of(1), *TRELLIS.nodes_of(2)):
        leaving = [weights[arc] for arc in TRELLIS.outgoing(*node)]
        np.testing.assert_allclose(sum(leaving), 1)


def test_equation_6_is_the_sum_of_the_cells_of_its_arcs():
    # The kept statistics, which a batch does not change: cells of one node share nothing else.
    graph, w = CellGraph(blocks=2), Weights(training=False)
    H = {(1, s): random(1, 32 // s, 32 // s, 2 * s, seed=s) for s in (4, 8)}
    H[STEM] = random(1, 8, 8, 128)
    alpha = textbook.operation_weights(random(5, 8), graph)
    arcs = TRELLIS.incoming(2, 4)
    assert [arc.source for arc in arcs] == [4, 8]

    def update(*beta):
        weights = dict(zip(arcs, (tf.constant(b, tf.float64) for b in beta), strict=True))
        return textbook.node(2, 4, H, alpha, weights, [8, 8], 4, w)

    alone = [textbook.node(2, 4, H, alpha, {arc: 1.0}, [8, 8], 4, w) for arc in arcs]
    assert alone[0].shape == (1, 8, 8, 8)
    assert np.abs(alone[0] - alone[1]).max() > 0.1
    np.testing.assert_allclose(update(0.3, 0.6), 0.3 * alone[0] + 0.6 * alone[1])


def test_learns_weights_and_architecture():
    graph = CellGraph(blocks=1, operations=("none", "skip", "sep_conv_3x3"))
    trellis = TrellisGraph(layers=2, strides=(4, 8))
    tf.random.set_seed(0)
    alpha, beta = (tf.Variable(tf.zeros(shape)) for shape in ([2, 3], [len(trellis.arcs)]))
    w = Weights()
    images, labels = (
        random(2, 17, 17, 3),
        tf.constant(np.arange(2 * 17 * 17).reshape(2, 17, 17) % 2),
    )

    def loss():
        logits = textbook.supernet(images, alpha, beta, w, graph, trellis, classes=2, F=4)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    losses = []
    for _ in range(3):
        # One round of section 4.2: the weights, then alpha and beta.
        for of_architecture in (False, True):
            with tf.GradientTape() as tape:
                losses.append(loss())
            variables = [alpha, beta] if of_architecture else list(w.kernels.values())
            gradients = tape.gradient(losses[-1], variables)
            for variable, gradient in zip(variables, gradients, strict=True):
                variable.assign_sub(0.1 * gradient)
    assert losses[-1] < losses[0]
    assert np.abs(alpha).max() > 0
    assert np.abs(beta).max() > 0

"""One architecture with shared weights, against the supernet whose softmaxes are one-hot."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet.single_path import single_path_logits
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.search_space import (
    Branch,
    CellGraph,
    Genotype,
    TrellisGraph,
    numbered_draw,
    one_hot_operation_weights,
)

OPERATIONS = ("none", "max_pool_3x3", "skip", "sep_conv_3x3", "atrous_conv_3x3")


def make_supernet(**space):
    tf_keras.utils.set_random_seed(0)
    return Supernet(3, blocks=2, filters=4, operations=OPERATIONS, **space)


@pytest.fixture(scope="module")
def images():
    return tf.constant(np.random.default_rng(0).normal(size=[3, 33, 49, 3]), tf.float32)


@pytest.fixture(scope="module")
def supernet():
    return make_supernet(layers=3, strides=(4, 8))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_with_a_single_path_it_is_the_supernet_with_one_hot_softmaxes(images, number):
    one_stride = make_supernet(layers=3, strides=(4,))
    genotype = numbered_draw("drawn", CellGraph(2, OPERATIONS), TrellisGraph(3, (4,)), 0, number)
    weights = one_hot_operation_weights(genotype, one_stride.cell_graph)
    one_stride.alpha.assign(np.where(weights, 0.0, -1000.0))
    expected = one_stride(images, training=True)
    one_stride.alpha.assign(tf.zeros_like(one_stride.alpha))
    actual = single_path_logits(one_stride, images, genotype)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def nodes(supernet):
    return {
        (layer, node.stride): (node, index)
        for stack in supernet.trellis.segments
        for index, layer in enumerate(stack.layers_covered)
        for node in stack.nodes
    }


def test_the_nodes_of_the_path_count_and_no_others(supernet, images):
    cell = ((Branch("prev", "sep_conv_3x3"), Branch("prev_prev", "skip")),) * 2
    genotype = Genotype("down", (4, 8, 8), cell)
    before = single_path_logits(supernet, images, genotype).numpy()
    for place, (node, index) in nodes(supernet).items():
        kept = node.kernels.numpy()
        changed = kept.copy()
        changed[index] = changed[index][::-1]
        node.kernels.assign(changed)
        after = single_path_logits(supernet, images, genotype).numpy()
        node.kernels.assign(kept)
        is_on_path = place in {(1, 4), (2, 8), (3, 8)}
        assert np.array_equal(before, after) != is_on_path, place


def test_each_operation_is_the_one_that_the_architecture_has(supernet, images):
    def logits(op):
        cell = ((Branch("prev", op), Branch("prev_prev", "none")),) * 2
        return single_path_logits(supernet, images, Genotype(op, (4, 4, 4), cell)).numpy()

    found = [logits(op) for op in ("max_pool_3x3", "skip", "sep_conv_3x3", "atrous_conv_3x3")]
    for one in range(4):
        assert found[one].shape == (3, 33, 49, 3)
        for other in range(one):
            assert not np.allclose(found[one], found[other])


def test_an_architecture_of_another_space_is_refused(supernet, images):
    cell = ((Branch("prev", "skip"), Branch("prev_prev", "skip")),) * 2
    for network in [(4, 4), (4, 8, 16)]:
        with pytest.raises(UserError, match="expected one of 3 layers with strides among"):
            single_path_logits(supernet, images, Genotype("other", network, cell))

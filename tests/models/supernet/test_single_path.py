"""One architecture with shared weights, against the supernet whose softmaxes are one-hot."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet.fast.batch_norms import BatchNorms
from auto_deeplab.models.supernet.fast.kernels import unpack
from auto_deeplab.models.supernet.single_path import SinglePaths, single_path_logits
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.search_space import (
    OPERATIONS,
    Branch,
    Genotype,
    numbered_draw,
    one_hot_operation_weights,
    path_arcs,
)

# What rounding makes of float32 in some 40 operations one after the other.
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}


@pytest.fixture(autouse=True)
def eager():
    """Each architecture and each size would have the supernet's functions traced anew."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@functools.cache
def make_supernet(layers, strides, blocks=2, operations=OPERATIONS, normalized_skip=False):
    tf_keras.utils.set_random_seed(0)
    return Supernet(
        3,
        layers=layers,
        strides=strides,
        blocks=blocks,
        filters=4,
        operations=operations,
        normalized_skip=normalized_skip,
    )


def random_images(height=33, width=49):
    generator = np.random.default_rng(0)
    return tf.constant(generator.normal(size=[3, height, width, 3]), tf.float32)


def drawn(supernet, number):
    return numbered_draw("drawn", supernet.cell_graph, supernet.trellis_graph, 0, number)


def one_hot(supernet, genotype):
    return tf.constant(one_hot_operation_weights(genotype, supernet.cell_graph), tf.float32)


def of_nodes(supernet):
    """The nodes of all layers, and which of its layers each is, by layer and stride."""
    return {
        (layer, node.stride): (node, row)
        for stack in supernet.trellis.segments
        for row, layer in enumerate(stack.layers_covered)
        for node in stack.nodes
    }


def logits_by_the_supernets_nodes(supernet, images, genotype):
    """Runs the cells that the supernet runs, all operations on all edges, for one arc each."""
    stem = SinglePaths(supernet).stem(images)
    outputs, nodes = {(0, 4): stem.features}, of_nodes(supernet)
    for layer, source, stride in path_arcs(genotype):
        node, row = nodes[layer, stride]
        size = tuple(-(-length // stride) for length in stem.size)
        kernels = unpack(node.kernel_shapes, node.kernels[row])
        batch_norms = BatchNorms(None, node.normalized_channels)
        prev = outputs[layer - 1, source]
        prev = batch_norms(node.bring(prev, source, size, kernels[f"arc_from_{source}"]))
        prev_prev = outputs.get((layer - 2, stride))
        if prev_prev is not None:
            kernel = kernels["prev_prev"]
            prev_prev = batch_norms(tf.nn.conv2d(prev_prev, kernel, 1, "SAME"))
        outputs[layer, stride] = tf.nn.relu(
            node.cell(prev, prev_prev, 1, one_hot(supernet, genotype), kernels["cell"], batch_norms)
        )
    head = supernet.heads[str(genotype.network[-1])]
    logits = head(outputs[len(genotype.network), genotype.network[-1]], training=True)
    resized = tf.raw_ops.ResizeBilinear(images=logits, size=stem.size, align_corners=True)
    return resized[:, : images.shape[1], : images.shape[2]]


@settings(deadline=None, max_examples=12)
@given(
    st.sampled_from([(2,), (4,), (8,)]),
    st.integers(0, 10**6),
    st.sampled_from([(33, 49), (34, 46), (41, 33), (17, 40)]),
)
def test_with_a_single_path_it_is_the_supernet_with_one_hot_softmaxes(strides, number, size):
    """Also where images are not of the pixel grid's sizes, and are filled up to them."""
    supernet, images = make_supernet(3, strides), random_images(*size)
    genotype = drawn(supernet, number)
    supernet.alpha.assign(np.where(one_hot(supernet, genotype), 0.0, -1000.0))
    expected = supernet(images, training=True)
    supernet.alpha.assign(tf.zeros_like(supernet.alpha))
    actual = single_path_logits(supernet, images, genotype)
    np.testing.assert_allclose(actual, expected, **TOLERANCE)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(30, 50), st.integers(30, 50), st.booleans())
def test_on_any_path_it_is_the_cells_of_the_supernet_with_one_operation_an_edge(
    number, height, width, normalized_skip
):
    supernet = make_supernet(4, (4, 8, 16), blocks=3, normalized_skip=normalized_skip)
    images = random_images(height, width)
    genotype = drawn(supernet, number)
    expected = logits_by_the_supernets_nodes(supernet, images, genotype)
    actual = single_path_logits(supernet, images, genotype)
    np.testing.assert_allclose(actual, expected, **TOLERANCE)


@pytest.mark.parametrize("normalized_skip", [False, True])
def test_the_functions_for_all_architectures_compute_what_each_one_is(normalized_skip, monkeypatch):
    """And their gradients; each function is built once, whatever the images' sizes are."""
    tf.config.run_functions_eagerly(False)
    supernet = make_supernet(3, (4, 8), blocks=2, normalized_skip=normalized_skip)
    monkeypatch.setattr(tf.nn, "relu", tf.nn.elu)
    plain, traced = SinglePaths(supernet), SinglePaths(supernet, traced=True)
    for number, size in enumerate([(33, 49), (34, 40), (25, 41), (33, 33)]):
        images, genotype = random_images(*size), drawn(supernet, number)
        projection = tf.random.stateless_normal([3, *size, 3], [1, number])
        found = []
        for paths in (plain, traced):
            path = paths.path(genotype)
            vectors = path.read()
            with tf.GradientTape() as tape:
                tape.watch([vectors, path.variables])
                logits = path.logits(paths.stem(images), vectors)
                loss = tf.reduce_mean(tf.nn.softplus(logits) * projection)
            found.append((logits, tape.gradient(loss, [vectors, path.variables])))
        (logits, gradients), (of_traced, gradients_of_traced) = found
        np.testing.assert_allclose(of_traced, logits, **TOLERANCE)
        for one, other in zip(
            tf.nest.flatten(gradients), tf.nest.flatten(gradients_of_traced), strict=True
        ):
            assert np.linalg.norm(one - other) < 1e-3 * np.linalg.norm(one)
    parts = traced._parts
    for function in (parts._stem, *parts._cells.values(), *parts._heads.values()):
        assert function.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("number", range(3))
def test_gradients_are_those_of_the_supernets_kernels(number, monkeypatch):
    """With a smooth activation: ReLU's derivative jumps."""
    monkeypatch.setattr(tf.nn, "relu", tf.nn.elu)
    supernet, images = make_supernet(3, (4, 8), blocks=2), random_images()
    genotype = drawn(supernet, number)
    projection = tf.random.stateless_normal([3, 33, 49, 3], [1, 2])
    paths = SinglePaths(supernet)
    path = paths.path(genotype)
    vectors = path.read()
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        logits = path.logits(paths.stem(images), vectors)
        loss = tf.reduce_mean(tf.nn.softplus(logits) * projection)
    of_vectors, of_variables = tape.gradient(loss, [vectors, path.variables])

    kernels = [layer.kernels.variable for layer in path.layers]
    with tf.GradientTape() as tape:
        logits = logits_by_the_supernets_nodes(supernet, images, genotype)
        loss = tf.reduce_mean(tf.nn.softplus(logits) * projection)
    expected, expected_variables = tape.gradient(loss, [kernels, path.variables])

    def assert_close(actual, expected):
        error = np.linalg.norm(actual - expected) / np.linalg.norm(expected)
        assert error < 1e-3

    for variable in {id(kernel): kernel for kernel in kernels}.values():
        dense = np.zeros(variable.shape, np.float32)
        for layer, gradient in zip(path.layers, of_vectors, strict=True):
            if layer.kernels.variable is variable:
                dense[tuple(layer.kernels.places.T)] = gradient
        place = [kernel is variable for kernel in kernels].index(True)
        assert_close(dense, expected[place])
    for gradient, of_variable in zip(of_variables, expected_variables, strict=True):
        assert_close(gradient, of_variable)


@pytest.fixture(scope="module")
def supernet():
    operations = ("none", "max_pool_3x3", "skip", "sep_conv_3x3", "atrous_conv_3x3")
    return make_supernet(3, (4, 8), operations=operations)


def test_the_nodes_of_the_path_count_and_no_others(supernet):
    cell = ((Branch("prev", "sep_conv_3x3"), Branch("prev_prev", "skip")),) * 2
    genotype = Genotype("down", (4, 8, 8), cell)
    images = random_images()
    before = single_path_logits(supernet, images, genotype).numpy()
    for place, (node, row) in of_nodes(supernet).items():
        kept = node.kernels.numpy()
        changed = kept.copy()
        changed[row] = changed[row][::-1]
        node.kernels.assign(changed)
        after = single_path_logits(supernet, images, genotype).numpy()
        node.kernels.assign(kept)
        is_on_path = place in {(1, 4), (2, 8), (3, 8)}
        assert np.array_equal(before, after) != is_on_path, place


def test_each_operation_is_the_one_that_the_architecture_has(supernet):
    def logits(op):
        cell = ((Branch("prev", op), Branch("prev_prev", "none")),) * 2
        genotype = Genotype(op, (4, 4, 4), cell)
        return single_path_logits(supernet, random_images(), genotype).numpy()

    found = [logits(op) for op in ("max_pool_3x3", "skip", "sep_conv_3x3", "atrous_conv_3x3")]
    for one in range(4):
        assert found[one].shape == (3, 33, 49, 3)
        for other in range(one):
            assert not np.allclose(found[one], found[other])


def test_moving_statistics_stay_as_they_are(supernet):
    before = [variable.numpy() for variable in supernet.non_trainable_variables]
    single_path_logits(supernet, random_images(), drawn(supernet, 0))
    for variable, value in zip(supernet.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_each_number_is_read_once_and_few_are_read():
    supernet = make_supernet(4, (4, 8, 16), blocks=3)
    path = SinglePaths(supernet).path(drawn(supernet, 1))
    read = 0
    for layer in path.layers:
        places = layer.kernels.places
        assert len(np.unique(places, axis=0)) == len(places)
        assert (places >= 0).all()
        assert (places < layer.kernels.variable.shape).all()
        read += len(places)
    kernels = [node.kernels for stack in supernet.trellis.segments for node in stack.nodes]
    assert read < 0.15 * sum(np.prod(kernel.shape) for kernel in kernels)


def test_an_architecture_of_another_space_is_refused(supernet):
    cell = ((Branch("prev", "skip"), Branch("prev_prev", "skip")),) * 2
    for network in [(4, 4), (4, 8, 16)]:
        with pytest.raises(UserError, match="expected one of 3 layers with strides among"):
            single_path_logits(supernet, random_images(), Genotype("other", network, cell))

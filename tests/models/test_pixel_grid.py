"""One pixel grid: what each part of a network depends on lies where its output says it does."""

from functools import cache, partial

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from auto_deeplab.models.final.network import build_network
from auto_deeplab.models.final.operations import make_operation
from auto_deeplab.models.pixel_grid import size_on_grid
from auto_deeplab.models.resize import resize_bilinear
from auto_deeplab.models.supernet.fast import grouped
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.search_space import OPERATIONS, Branch, Genotype

CELL = (
    (Branch("prev_prev", "atrous_conv_3x3"), Branch("prev", "sep_conv_3x3")),
    (Branch("prev", "skip"), Branch("block1", "avg_pool_3x3")),
)
# Down, up by two steps and by one, and to each stride as the largest.
PATHS = [(4, 4), (4, 8, 4), (8, 16, 8, 4), (8, 16, 32, 16)]


def ramp(height, width, stride=1):
    """At position (y, x) of a map of `stride`, 3 * y + x of the image: float32 [1, h, w, 1]."""
    y, x = np.mgrid[0:height, 0:width] * stride
    return tf.constant((3 * y + x)[np.newaxis, ..., np.newaxis], tf.float32)


@given(length=st.integers(1, 3000), stride=st.sampled_from([4, 8, 16, 32]))
def test_sizes_on_the_grid(length, stride):
    found = size_on_grid(length, stride)
    assert length <= found < length + stride
    assert found % stride == 1
    assert size_on_grid(found, stride) == found


@pytest.mark.parametrize(("height", "width"), [(33, 65), (97, 49)])
@pytest.mark.parametrize("stride", [2, 4, 8, 16])
def test_a_ramp_stays_the_same_ramp_up_and_down(height, width, stride):
    fine, coarse = ramp(height, width), ramp(*(-(-n // stride) for n in (height, width)), stride)
    np.testing.assert_allclose(resize_bilinear(coarse, (height, width)), fine, atol=1e-4)
    np.testing.assert_allclose(resize_bilinear(fine, coarse.shape[1:3]), coarse, atol=1e-4)
    # A convolution of stride 2 on the way down, as the supernet's arcs have it.
    mean = tf.fill([3, 3, 1, 1], 1 / 9)
    down = fine
    for _ in range(stride.bit_length() - 1):
        down = grouped.convolution(down, mean, stride=2)
    # Zeros beyond the image spoil the border; each step doubles how far it reaches.
    inside = np.s_[:, 1:-1, 1:-1]
    np.testing.assert_allclose(down[inside], coarse[inside], rtol=1e-4)


@pytest.mark.parametrize("op", [op for op in OPERATIONS if op not in ("none", "max_pool_3x3")])
def test_operations_that_go_down_keep_the_ramp(op):
    fine, coarse = ramp(17, 33), ramp(9, 17, 2)
    operation = make_operation(op, filters=1, stride=2, batch_norm={"epsilon": 1e-7})
    operation(fine)
    operation.set_weights(
        [
            np.ones_like(weight)
            if weight.ndim == 1 and "mean" not in name and "beta" not in name
            # The mean over the kernel's positions.
            else np.full_like(weight, 1 / weight[..., 0, 0].size)
            if weight.ndim == 4
            else np.zeros_like(weight)
            for weight, name in zip(
                operation.get_weights(), [w.name for w in operation.weights], strict=True
            )
        ]
    )
    inside = np.s_[:, 3:-3, 3:-3]
    np.testing.assert_allclose(operation(fine)[inside], coarse[inside], rtol=1e-4)


def make_symmetric(model):
    """Gives a model positive random weights that are the same at all positions of a kernel.

    ReLU passes everything then, and what an output depends on is symmetric about its center. The
    supernet's heads get 0 for image pooling, which depends on all pixels, and for the positions of
    their atrous convolutions off the center, which are as far away as the border.
    """
    rng = np.random.default_rng(0)
    for variable in model.weights:
        shape, name = variable.shape.as_list(), variable.name
        if len(shape) == 4:
            value = rng.uniform(0.1, 1, [1, 1, *shape[2:]]) * np.ones(shape) / np.prod(shape[:3])
            if "atrous/" in name:
                value[np.arange(9).reshape(3, 3) != 4] = 0
            if "image_pooling/" in name:
                value[:] = 0
            variable.assign(value)
        elif "kernels" in name:
            # All kernels of a supernet's node.
            variable.assign(np.full(shape, rng.uniform(0.005, 0.02)))
    return model


def final_network(path, cell=CELL):
    genotype = Genotype("grid", path, cell)
    # Images are large here, and what is narrow is computed soon.
    return build_network(
        genotype, classes=2, filters=4, aspp_filters=4, decoder_filters=4, stem_filters=4
    )


def supernet(strides):
    # What is symmetric in expectation alone, as a maximum is, is left out.
    operations = ("avg_pool_3x3", "skip", "sep_conv_3x3", "atrous_conv_3x3")
    model = Supernet(2, len(strides) - 1, strides, blocks=1, filters=4, operations=operations)
    model(tf.zeros([1, 33, 33, 3]))
    return model


def centers(model, images, positions):
    """Yields the mean position (y, x) of the pixels that the logits at each position depend on."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        logits = model(images, training=False)
        chosen = [logits[0, y, x, 0] for y, x in positions]
    for at, logit in zip(positions, chosen, strict=True):
        gradient = tape.gradient(logit, images)[0]
        yield mean_position(tf.reduce_sum(gradient, axis=-1).numpy().astype(np.float64), at)


def mean_position(shares, at):
    """Returns the mean position of shares of a logit at `at`, float64 [height, width]."""
    # Image pooling depends on all pixels in the same way, but for those near the border.
    shares -= np.median(shares)
    near = np.zeros_like(shares)
    near[at[0] - 200 : at[0] + 201, at[1] - 200 : at[1] + 201] = 1
    shares *= near
    y, x = np.indices(shares.shape)
    return (shares * y).sum() / shares.sum(), (shares * x).sum() / shares.sum()


NETWORKS = pytest.mark.parametrize(
    "make",
    [*(partial(final_network, path) for path in PATHS), partial(supernet, (4, 8, 16, 32))],
    ids=[*("-".join(map(str, path)) for path in PATHS), "supernet"],
)


@cache
def symmetric_model(make):
    return make_symmetric(make())


@pytest.mark.parametrize("size", [(449, 481), (446, 468)])
@NETWORKS
def test_a_pixel_depends_on_what_is_around_it(make, size):
    model = symmetric_model(make)
    images = tf.random.stateless_uniform([1, *size, 3], seed=[0, 1])
    positions = [(224, 224), (229, 231), (223, 250)]
    np.testing.assert_allclose(list(centers(model, images, positions)), positions, atol=0.1)


@pytest.mark.parametrize("path", PATHS)
def test_what_moves_by_the_largest_stride_is_predicted_there(path):
    tf.random.set_seed(0)
    cell = (
        (Branch("prev_prev", "sep_conv_5x5"), Branch("prev", "max_pool_3x3")),
        (Branch("prev", "skip"), Branch("block1", "atrous_conv_3x3")),
    )
    model = final_network(path, cell)
    for variable in model.get_layer("aspp").weights:
        if variable.shape.rank == 4 and variable.shape[0] == 3:
            variable.assign(variable * (np.arange(9).reshape(3, 3, 1, 1) == 4))
    thing = tf.random.stateless_normal([1, 40, 50, 3], seed=[0, 1])
    size, move = (700, 730), 32

    def logits_of(y, x):
        padding = [[0, 0], [y, size[0] - y - 40], [x, size[1] - x - 50], [0, 0]]
        return model(tf.pad(thing, padding), training=False)[0].numpy()

    before, after = logits_of(300, 310), logits_of(300 + move, 310 + move)
    assert np.std(before) > 0
    inside = np.s_[64:-96]
    np.testing.assert_allclose(
        after[move:, move:][inside, inside],
        before[:-move, :-move][inside, inside],
        atol=1e-4 * np.abs(before).max(),
    )


@NETWORKS
def test_images_are_filled_up_with_the_mean_pixel(make):
    model = make()
    images = tf.random.stateless_normal([2, 128, 256, 3], seed=[0, 1])
    by_hand = tf.pad(images, [[0, 0], [0, 1], [0, 1], [0, 0]])
    expected = model(by_hand, training=False)[:, :128, :256]
    np.testing.assert_array_equal(model(images, training=False), expected)
    flexible = tf.function(
        lambda images: model(images, training=False),
        input_signature=[tf.TensorSpec([None, None, None, 3])],
        autograph=False,
    )
    np.testing.assert_allclose(flexible(images), expected, atol=1e-5)
    one_pixel = flexible(images[:, :1, :1])
    assert one_pixel.shape == [2, 1, 1, 2]
    assert np.all(np.isfinite(one_pixel))

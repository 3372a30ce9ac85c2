"""Folded networks against the networks that they were made of."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.deeplabv3plus import build_deeplabv3plus
from auto_deeplab.models.final.network import build_network
from auto_deeplab.models.folding import folded, shifted_depthwise_convolution
from auto_deeplab.search_space import Branch, Genotype

layers = tf_keras.layers

# Every operation, at stride 1 and 2, and a path up and down.
CELL = (
    (Branch("prev", "sep_conv_3x3"), Branch("prev_prev", "atrous_conv_3x3")),
    (Branch("prev", "sep_conv_5x5"), Branch("prev_prev", "skip")),
    (Branch("block1", "max_pool_3x3"), Branch("prev_prev", "atrous_conv_5x5")),
    (Branch("prev", "avg_pool_3x3"), Branch("block2", "sep_conv_5x5")),
)


@pytest.fixture(autouse=True)
def same_weights_every_time():
    tf_keras.utils.set_random_seed(1)


def with_statistics(model):
    """Gives batch norm what training would: statistics of the features, and its own scales."""
    rng = np.random.default_rng(0)
    for norm in model.submodules:
        if isinstance(norm, layers.BatchNormalization):
            norm.momentum = 0.0
            if norm.scale:
                norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape))
            if norm.center:
                norm.beta.assign(rng.normal(0, 0.2, norm.beta.shape))
    model(tf.constant(rng.normal(size=[2, 65, 65, 3]), tf.float32), training=True)
    return model


def operations(function, **options):
    graph = tf.function(function, autograph=False, **options).get_concrete_function(
        tf.TensorSpec([1, 65, 65, 3], tf.float32)
    )
    return [operation.type for operation in graph.graph.get_operations()]


# Of the largest logit. A sum of n products has a relative error of about sqrt(n) * 2**-24, and
# ResNet-50 sums up to 4,608 products some 60 times in a row: 2.4e-4 if no two errors cancel. Both
# sides have such an error, and there is twice that for kernels that sum in another order. A smaller
# network has smaller ones.
TOLERANCE = 1e-3


def compare(model, sizes=((33, 46), (41, 30)), jit_compile=False):
    """Compares a network with the folded one, which it returns."""
    weights = model.get_weights()
    inference = folded(model)
    function = tf.function(inference, autograph=False, jit_compile=jit_compile)
    rng = np.random.default_rng(1)
    for size in sizes:
        images = tf.constant(rng.uniform(-1, 1, [2, *size, 3]), tf.float32)
        expected = model(images, training=False).numpy()
        assert np.std(expected) > 0
        np.testing.assert_allclose(
            function(images), expected, atol=TOLERANCE * np.abs(expected).max()
        )
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    for layer in model.submodules:
        if isinstance(layer, layers.BatchNormalization | layers.Conv2D):
            assert "call" not in vars(layer)
    return inference


def test_found_networks():
    genotype = Genotype("all", (8, 4), CELL)
    network = with_statistics(build_network(genotype, classes=3, filters=4))
    after = operations(compare(network))
    before = operations(lambda images: network(images, training=False))
    assert {"FusedBatchNormV3", "SpaceToBatchND"} <= set(before)
    assert not {"FusedBatchNormV3", "SpaceToBatchND"} & set(after)


def test_a_found_network_compiled_by_xla():
    genotype = Genotype("two blocks", (8,), CELL[:2])
    network = with_statistics(build_network(genotype, classes=3, filters=4))
    inference = compare(network, sizes=[(33, 46)], jit_compile=True)
    assert "DepthwiseConv2dNative" in operations(inference)
    assert "DepthwiseConv2dNative" not in operations(inference, jit_compile=True)


def test_the_baseline(shallow_resnet):
    network = with_statistics(build_deeplabv3plus(3, depth=shallow_resnet))
    remaining = set(operations(compare(network)))
    assert not {"FusedBatchNormV3", "SpaceToBatchND"} & remaining


def model_of(build):
    images = tf_keras.Input([None, None, 3])
    return with_statistics(tf_keras.Model(images, build(images)))


def activated(x):
    return layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(x))


def read_twice(x):
    x = layers.Conv2D(4, 3, padding="same")(x)
    return layers.BatchNormalization()(x) + x


def shared(x):
    convolution = layers.Conv2D(3, 3, padding="same")
    return convolution(layers.BatchNormalization()(convolution(x)))


def kept(x):
    x = layers.Conv2D(4, 3, groups=1, strides=2, padding="same")(x)
    x = layers.Conv2DTranspose(4, 2, strides=2)(x)
    return layers.BatchNormalization()(x)


def depthwise(x):
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", dilation_rate=2)(x)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.SeparableConv2D(5, 3, strides=2, use_bias=True)(x)
    return layers.BatchNormalization(center=False)(x)


@pytest.mark.parametrize(
    ("build", "norms"), [(activated, 1), (read_twice, 1), (shared, 1), (kept, 1), (depthwise, 0)]
)
def test_batch_norm_stays_where_it_does_not_directly_follow(build, norms):
    model = model_of(build)
    assert operations(compare(model)).count("FusedBatchNormV3") == norms


@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
@pytest.mark.parametrize("size", [(1, 2), (5, 8), (12, 7)])
def test_shifted_depthwise_convolution(kernel_size, strides, size):
    rng = np.random.default_rng(0)
    features = tf.constant(rng.normal(size=[2, *size, 3]), tf.float32)
    kernel = rng.normal(size=[kernel_size, kernel_size, 3, 1]).astype(np.float32)
    np.testing.assert_allclose(
        shifted_depthwise_convolution(features, kernel, strides),
        tf.nn.depthwise_conv2d(features, kernel, [1, *strides, 1], "SAME"),
        atol=1e-5,
    )


def test_kernels_that_half_precision_cannot_hold():
    images = layers.Input([None, None, 3])
    model = tf_keras.Model(images, layers.Conv2D(2, 1, name="first")(images))
    model.get_layer("first").kernel.assign(tf.fill([1, 1, 3, 2], 1e5))
    with pytest.raises(UserError, match=r"first: its kernel reaches 1e\+05, which float16 cannot"):
        folded(model, kernel_dtype="float16")
    outputs = tf.function(folded(model, kernel_dtype="bfloat16"))(tf.ones([1, 1, 1, 3]))
    np.testing.assert_allclose(outputs, np.full([1, 1, 1, 2], 3e5), rtol=2**-8)

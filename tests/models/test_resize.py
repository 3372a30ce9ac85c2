"""Bilinear resizing, and the form of it that XLA gets."""

import gin
import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.models.resize import ResizeLike, resize_bilinear, resize_bilinear_by_gathering

# XLA's own resizing with half-pixel centers is wrong at the second, third and fourth.
SIZES = [
    ((4, 4), (8, 8)),
    ((9, 9), (17, 17)),
    ((33, 33), (65, 65)),
    ((4, 5), (8, 9)),
    ((1, 1), (5, 6)),
    ((17, 23), (9, 12)),
    ((7, 5), (7, 5)),
    ((7, 5), (1, 1)),
]


def features_of(size, dtype=tf.float32):
    return tf.cast(np.random.default_rng(0).normal(size=[2, *size, 3]), dtype)


GRIDS = pytest.mark.parametrize("aligned", [True, False])


def expected_of(features, target, aligned):
    """TensorFlow's kernels, each of which the tests of `tf.image` and the cells hold to NumPy."""
    gin.bind_parameter("pixel_grid.aligned", aligned)
    if aligned:
        return tf.compat.v1.image.resize_bilinear(features, target, align_corners=True)
    return tf.image.resize(features, target)


@GRIDS
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_all_forms_agree(source, target, aligned):
    features = features_of(source)
    expected = expected_of(features, target, aligned)
    np.testing.assert_array_equal(resize_bilinear(features, target), expected)
    gathered = resize_bilinear_by_gathering(features, target)
    np.testing.assert_allclose(gathered, expected, atol=1e-5)
    compiled = tf.function(lambda x: resize_bilinear(x, target), jit_compile=True)
    np.testing.assert_allclose(compiled(features), expected, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_sizes_that_are_known_only_when_it_runs(jit_compile):
    layer = ResizeLike()
    spec = tf.TensorSpec([None, None, None, 3])
    compiled = tf.function(
        lambda features, reference: layer((features, reference)),
        input_signature=[spec, spec],
        jit_compile=jit_compile,
    )
    for source, target in SIZES:
        features = features_of(source)
        expected = expected_of(features, target, aligned=True)
        np.testing.assert_allclose(compiled(features, features_of(target)), expected, atol=1e-5)


def test_gradients_under_xla():
    features, target = features_of((9, 9)), (17, 17)
    weights = features_of(target)

    def gradient(features):
        with tf.GradientTape() as tape:
            tape.watch(features)
            loss = tf.reduce_sum(weights * resize_bilinear(features, target))
        return tape.gradient(loss, features)

    compiled = tf.function(gradient, jit_compile=True, autograph=False)
    np.testing.assert_allclose(compiled(features), gradient(features), atol=1e-5)


def test_dtypes_are_kept():
    features = features_of((9, 9), tf.bfloat16)
    assert resize_bilinear(features, (17, 17)).dtype == tf.bfloat16
    assert resize_bilinear_by_gathering(features, (17, 17)).dtype == tf.bfloat16

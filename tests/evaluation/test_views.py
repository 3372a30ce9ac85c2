"""Several views of an image, against SciPy's resizing and NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import zoom

from auto_deeplab.evaluation.views import mean_probabilities, view_size

CLASSES = 4


def softmax(logits):
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def resize(image, size):
    """With aligned corners: SciPy keeps the first and the last pixel of an axis in place."""
    factors = [new / old for new, old in zip(size, image.shape[:2], strict=True)]
    return zoom(image, [*factors, 1], order=1)


@pytest.fixture
def model():
    """Logits that depend on the pixel and on the column, so that a mirrored image has others."""
    weights = np.random.default_rng(1).normal(size=[3, CLASSES]).astype(np.float32)

    def logits(images, training):
        assert not training
        columns = tf.cast(tf.range(tf.shape(images)[2]), tf.float32)[:, None] / 10
        return tf.tensordot(images, weights, 1) + columns * tf.range(CLASSES, dtype=tf.float32)

    return logits


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 1.75)])
def test_is_the_mean_over_scales_and_mirror_images(model, scales, flip):
    images = np.random.default_rng(0).normal(size=[2, 13, 18, 3]).astype(np.float32)
    expected = np.zeros([2, 13, 18, CLASSES])
    views = 0
    for scale in scales:
        size = (int(12 * scale) + 1, int(17 * scale) + 1)
        for step in (1, -1) if flip else (1,):
            views += 1
            for index, image in enumerate(images):
                view = resize(image, size)[None, :, ::step]
                logits = resize(model(view, training=False).numpy()[0], (13, 18))
                expected[index] += softmax(logits)[:, ::step]
    probabilities = mean_probabilities(model, tf.constant(images), scales, flip)
    assert probabilities.dtype == tf.float32
    np.testing.assert_allclose(probabilities, expected / views, atol=1e-5)
    compiled = tf.function(
        lambda images: mean_probabilities(model, images, scales, flip),
        jit_compile=True,
        autograph=False,
    )
    np.testing.assert_allclose(compiled(tf.constant(images)), expected / views, atol=1e-5)


def test_aligned_sizes_stay_aligned():
    assert view_size(tf.constant([1025, 2049]), 0.5).numpy().tolist() == [513, 1025]
    assert view_size(tf.constant([1025, 2049]), 0.75).numpy().tolist() == [769, 1537]
    assert view_size(tf.constant([1, 2]), 0.1).numpy().tolist() == [1, 1]

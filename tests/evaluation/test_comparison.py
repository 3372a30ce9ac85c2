"""A network evaluated beside the one that it was made from."""

import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data.augmentation import normalize_image, pixels_of
from auto_deeplab.evaluation.comparison import evaluate_beside


def test_what_is_lost_and_what_agrees():
    labels = np.array([[[0, 0, 1, 1]], [[1, 1, 0, 255]]])
    batches = [
        (tf.constant(label[np.newaxis, ..., np.newaxis]), label[np.newaxis]) for label in labels
    ]

    def reference(batches):
        return [np.minimum(images[..., 0], 1) for images in batches]

    def worse(batches):
        results = reference(batches)
        for predictions in results:
            predictions[0, 0, 0] = 1 - predictions[0, 0, 0]
        return results

    matrix, comparison = evaluate_beside(worse, reference, "runs/a", batches, 2)
    # Of class 0: 2 right, 1 missed, 1 wrong; of class 1: 3 right, 1 missed, 1 wrong.
    assert matrix.mean_iou == pytest.approx((2 / 4 + 3 / 5) / 2)
    assert comparison.mean_iou == 1
    assert comparison.mean_iou_lost == pytest.approx(1 - 0.55)
    # Of eight pixels, the ignored one too.
    assert comparison.pixels_agree == 6 / 8
    assert comparison.sentence() == (
        "mean IOU 45.00 points below the 100.00% of runs/a; "
        "75.000% of the pixels get the same class"
    )
    _, comparison = evaluate_beside(reference, worse, "runs/b", batches, 2)
    assert comparison.sentence().startswith("mean IOU 45.00 points above the 55.00% of runs/b;")


def test_pixels_are_restored_exactly():
    pixels = tf.reshape(tf.range(256), [1, 16, 16, 1])
    pixels = tf.cast(tf.repeat(pixels, 3, axis=-1), tf.uint8)
    restored = pixels_of(normalize_image(pixels))
    assert restored.dtype == tf.uint8
    np.testing.assert_array_equal(restored, pixels)

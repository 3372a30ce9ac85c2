"""Evaluation over batches of labeled images."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.evaluation.inference import class_map_function, evaluate


def labeled_batches():
    rng = np.random.default_rng(0)
    for height, width in [(4, 6), (5, 3), (7, 7)]:
        labels = rng.integers(0, 3, [1, height, width])
        labels[0, 0, 0] = 255
        images = np.repeat(labels[..., None], 3, axis=-1) / 4.0
        yield tf.constant(images, tf.float32), tf.constant(labels, tf.int32)


def class_of(images):
    return np.minimum(np.rint(np.asarray(images)[..., 0] * 4), 2).astype(np.int32)


@pytest.mark.parametrize("as_logits", [False, True])
def test_a_perfect_predictor_is_perfect(as_logits, capsys):
    def predict(images):
        return np.eye(3)[class_of(images)] if as_logits else class_of(images)

    matrix = evaluate(predict, labeled_batches(), classes=3, total=3)
    assert matrix.mean_iou == matrix.pixel_accuracy == 1.0
    # Three images, each with one ignored pixel.
    assert matrix.counts.sum() == 4 * 6 + 5 * 3 + 7 * 7 - 3
    assert "3/3" in capsys.readouterr().err


def test_progress_can_be_silent(capsys):
    evaluate(class_of, labeled_batches(), classes=3, progress=False)
    assert capsys.readouterr().err == ""


def test_class_map_function_is_traced_once_for_all_sizes():
    traces = []
    images = tf_keras.Input([None, None, 3])
    model = tf_keras.Model(images, tf_keras.layers.Conv2D(5, 1)(images))

    def counted(images, training):
        traces.append(training)
        return model(images, training=training)

    class_maps = class_map_function(counted)
    for size in [(4, 5), (9, 2)]:
        batch = tf.random.normal([2, *size, 3])
        np.testing.assert_array_equal(class_maps(batch), np.argmax(model(batch), axis=-1))
        assert class_maps(batch).dtype == tf.int32
    assert traces == [False]

"""Evaluation over batches of labeled images."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.evaluation.inference import (
    ReplicatedPrediction,
    class_map_function,
    evaluate,
)
from auto_deeplab.evaluation.views import mean_probabilities


def labeled_batches():
    rng = np.random.default_rng(0)
    for height, width in [(4, 6), (5, 3), (7, 7)]:
        labels = rng.integers(0, 3, [1, height, width])
        labels[0, 0, 0] = 255
        images = np.repeat(labels[..., None], 3, axis=-1) / 4.0
        yield tf.constant(images, tf.float32), tf.constant(labels, tf.int32)


def class_of(batches):
    return [np.minimum(np.rint(np.asarray(i)[..., 0] * 4), 2).astype(np.int32) for i in batches]


@pytest.mark.parametrize("as_logits", [False, True])
def test_a_perfect_predictor_is_perfect(as_logits, capsys):
    seen = []

    def predict(batches):
        seen.append(len(batches))
        return [np.eye(3)[c] if as_logits else c for c in class_of(batches)]

    matrix = evaluate(predict, labeled_batches(), classes=3, total=3, at_a_time=2)
    assert seen == [2, 1]
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


def test_replicated_predictions_come_in_order():
    images = tf_keras.Input([None, None, 3])
    model = tf_keras.Model(images, tf_keras.layers.Conv2D(5, 1)(images))
    class_maps = ReplicatedPrediction(model)
    probabilities = ReplicatedPrediction(model, (0.5, 1.0), True, as_probabilities=True)
    assert class_maps.replicas == 1
    batches = [tf.random.normal([2, *size, 3]) for size in [(4, 5), (9, 2)]]
    for batch, class_map, probability in zip(
        batches, class_maps(batches), probabilities(batches), strict=True
    ):
        np.testing.assert_array_equal(class_map, np.argmax(model(batch), axis=-1))
        expected = mean_probabilities(model, batch, (0.5, 1.0), True)
        np.testing.assert_allclose(probability, expected, atol=1e-6)
    assert class_maps([]) == []

"""Evaluations of networks on a dataset, without the command."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.distribution.workers import Workers
from auto_deeplab.evaluation.evaluator import EvaluatedNetwork, Evaluator, Views


@pytest.fixture
def records(colored_dataset):
    return SegmentationRecords(colored_dataset, "val")


@pytest.fixture
def make_evaluator(records):
    return lambda **arguments: Evaluator(
        records, Workers(tf.distribute.get_strategy()), **arguments
    )


def labels(records, count):
    return np.stack([records.load(tf.constant(number, tf.int64))[1] for number in range(count)])


def test_every_pixel_that_counts_is_counted_once(records, make_evaluator):
    always_1 = EvaluatedNetwork(
        "folder",
        records.description,
        lambda batches: [np.ones(images.shape[:3], np.int32) for images in batches],
        step=7,
        checkpoint="best",
    )
    for limit, count in ((None, 2), (1, 1), (5, 2)):
        result = make_evaluator(limit=limit).evaluate(always_1)
        of_label = [(labels(records, count) == value).sum() for value in range(3)]
        np.testing.assert_array_equal(result.matrix.counts[:, 1], of_label)
        assert result.matrix.counts.sum() == sum(of_label)
        assert (result.images, result.step, result.checkpoint) == (count, 7, "best")
        assert (result.dataset, result.split, result.model) == ("colored", "val", "folder")


def test_a_network_agrees_with_itself(records, make_evaluator):
    network = EvaluatedNetwork(
        "folder",
        records.description,
        lambda batches: [np.zeros(images.shape[:3], np.int32) for images in batches],
    )
    comparison = make_evaluator().evaluate(network, reference=network).comparison
    assert (comparison.reference, comparison.mean_iou_lost) == ("folder", 0)
    assert comparison.pixels_agree == 1


def test_a_window_as_large_as_the_image_sees_what_the_whole_image_shows():
    tf_keras.utils.set_random_seed(2)
    images = tf_keras.Input((None, None, 3))
    model = tf_keras.Model(images, tf_keras.layers.Conv2D(4, 3, padding="same")(images))
    batch = tf.random.stateless_normal([1, 9, 12, 3], seed=(1, 2))
    (whole,) = Views(flip=True).predict_with(model)([batch])
    (windows,) = Views(flip=True, window=(9, 12)).predict_with(model)([batch])
    np.testing.assert_array_equal(windows, whole)
    (plain,) = Views().predict_with(model)([batch])
    np.testing.assert_array_equal(plain, np.argmax(model(batch), axis=-1))
    assert (plain != whole).any()

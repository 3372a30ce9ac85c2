"""ASPP's image pooling over a window of the training's crop."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.vision.modeling.decoders.aspp import ASPP

from auto_deeplab.models.final.aspp import WindowedASPP, mean_over_window
from auto_deeplab.models.final.network import build_network
from tests.architectures import SMALL_GENOTYPE

ARGUMENTS = {
    "level": 3,
    "dilation_rates": [1, 2, 3],
    "num_filters": 3,
    "output_tensor": True,
    "name": "aspp",
}


def features(height, width, channels=4):
    values = np.random.default_rng(0).normal(size=[2, height, width, channels])
    return tf.constant(values, tf.float32)


@pytest.mark.parametrize("window", [(3, 5), (1, 1), (7, 9), (2, 9)])
def test_the_averages_are_those_of_a_pool_of_stride_1(window):
    inputs = features(7, 9)
    expected = tf.nn.avg_pool2d(inputs, window, 1, "VALID")
    np.testing.assert_allclose(mean_over_window(inputs, window), expected, atol=1e-6)


@pytest.mark.parametrize(("window", "axes"), [((8, 99), (1, 2)), ((99, 1), (1,)), ((1, 10), (2,))])
def test_a_map_that_is_smaller_than_the_window_is_averaged_whole(window, axes):
    inputs = features(7, 9)
    expected = tf.reduce_mean(inputs, axes, keepdims=True)
    np.testing.assert_allclose(mean_over_window(inputs, window), expected, atol=1e-6)


def test_averages_of_a_large_map_are_as_exact():
    # Differences of running sums lose digits that grow with the sums.
    inputs = 1 + features(257, 513, channels=1)
    expected = tf.nn.avg_pool2d(tf.cast(inputs, tf.float64), (97, 97), 1, "VALID")
    np.testing.assert_allclose(mean_over_window(inputs, (97, 97)), expected, rtol=1e-5)


@pytest.mark.parametrize("size", [(9, 7), (4, 3)])
def test_on_maps_up_to_the_window_the_pyramid_is_model_gardens(size):
    inputs = features(*size)
    plain, windowed = ASPP(**ARGUMENTS), WindowedASPP((9, 7), **ARGUMENTS)
    expected = plain(inputs)
    windowed(inputs)
    shapes = [variable.shape for variable in plain.variables]
    assert [variable.shape for variable in windowed.variables] == shapes
    windowed.set_weights(plain.get_weights())
    np.testing.assert_allclose(windowed(inputs), expected, atol=1e-5)
    larger = features(18, 14)
    assert np.abs(windowed(larger) - plain(larger)).max() > 1e-3


def test_checkpoints_fit_with_and_without_a_window(tmp_path):
    images = features(33, 33, channels=3)
    # A crop of 33 pixels has 5 positions at stride 8.
    plain, windowed = (
        build_network(SMALL_GENOTYPE, 3, filters=4, image_pooling_window=window)
        for window in (None, 33)
    )
    assert windowed.get_layer("aspp").window == (5, 5)
    for source, target in ((plain, windowed), (windowed, plain)):
        path = tf.train.Checkpoint(network=source).write(str(tmp_path / target.name))
        # A network is continued, evaluated and exported with all that its checkpoint holds.
        status = tf.train.Checkpoint(network=target).read(path)
        status.assert_consumed().assert_existing_objects_matched()
        np.testing.assert_allclose(target(images), source(images), atol=1e-5)
        source.get_layer("decoder").classifier.bias.assign_add([1.0, 2.0, 3.0])
    shapes = [variable.shape for variable in plain.variables]
    assert [variable.shape for variable in windowed.variables] == shapes


def test_a_network_with_a_window_is_rebuilt_from_its_config():
    network = build_network(SMALL_GENOTYPE, 3, filters=4, image_pooling_window=(17, 33))
    again = tf_keras.Model.from_config(network.get_config())
    assert again.get_layer("aspp").window == (3, 5)

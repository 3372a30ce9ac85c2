"""The baseline against Model Garden's own DeepLabv3+, and at any size."""

import gin
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.core import exp_factory
from official.vision import registry_imports  # noqa: F401
from official.vision.modeling.factory import build_segmentation_model

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.counting import count_parameters
from auto_deeplab.models.deeplabv3plus import build_deeplabv3plus


def test_it_is_the_network_of_model_gardens_experiment(shallow_resnet):
    config = exp_factory.get_exp_config("seg_deeplabv3plus_pascal").task.model
    config.backbone.dilated_resnet.model_id = shallow_resnet
    theirs = build_segmentation_model(
        tf_keras.layers.InputSpec(shape=[None, None, None, 3]), config
    )
    images = tf.constant(np.random.default_rng(0).normal(size=[1, 65, 97, 3]), tf.float32)
    theirs(images)
    ours = build_deeplabv3plus(config.num_classes, depth=shallow_resnet, activation="swish")
    assert count_parameters(ours) == count_parameters(theirs)
    ours.get_layer("resnet").set_weights(theirs.backbone.get_weights())
    ours.get_layer("aspp").set_weights(theirs.decoder.get_weights())
    ours.get_layer("decoder").set_weights(theirs.head.get_weights())
    logits = tf.image.resize(theirs(images, training=False)["logits"], [65, 97])
    # Model Garden has no pixel grid.
    gin.bind_parameter("pixel_grid.aligned", False)
    np.testing.assert_allclose(
        ours(images, training=False), logits, rtol=1e-4, atol=1e-5 * np.abs(logits).max()
    )


@pytest.mark.parametrize("output_stride", [8, 16])
def test_strides_and_sizes(output_stride, shallow_resnet):
    network = build_deeplabv3plus(3, depth=shallow_resnet, output_stride=output_stride)
    assert (
        network.get_layer("aspp").get_config()["dilation_rates"]
        == {
            8: [12, 24, 36],
            16: [6, 12, 18],
        }[output_stride]
    )
    for size in [(33, 46), (40, 27)]:
        logits = network(tf.zeros([2, *size, 3]), training=True)
        assert logits.shape == [2, *size, 3]
        assert np.all(np.isfinite(logits))
    images = tf.random.normal([1, 40, 27, 3])
    missing = {8: (1, 6), 16: (9, 6)}[output_stride]  # To 41x33, or 49x33.
    by_hand = network(tf.pad(images, [[0, 0], *([0, count] for count in missing), [0, 0]]))
    np.testing.assert_allclose(network(images), by_hand[:, :40, :27], atol=1e-6)


def test_the_default_depth_is_101():
    # torchvision's resnet101 without its classifier has 42,500,160 parameters. Three convolutions
    # stand here for its 7x7, and the first block reads their 128 channels instead of 64.
    stem = 9 * (3 * 64 + 64 * 64 + 64 * 128) + 2 * (64 + 64 + 128)
    first_block = (128 - 64) * (64 + 256)
    expected = 42_500_160 - (49 * 3 * 64 + 2 * 64) + stem + first_block
    assert count_parameters(build_deeplabv3plus(19).get_layer("resnet")) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 0}, "classes: received 0"),
        ({"depth": 34}, "depth: received 34; expected one of 50, 101, 152, 200"),
        ({"output_stride": 32}, "output_stride: received 32; expected 8 or 16"),
    ],
)
def test_wrong_arguments_are_user_errors(arguments, message):
    with pytest.raises(UserError, match=message):
        build_deeplabv3plus(**({"classes": 3} | arguments))

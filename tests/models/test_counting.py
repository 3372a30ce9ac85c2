"""Counts against counting by hand; tests/test_summary.py counts the published networks."""

import pytest
import tf_keras

from auto_deeplab.models.counting import count_layers, count_multiply_adds


def small_model():
    layers = tf_keras.layers
    images = tf_keras.Input([None, None, 3])
    shared = layers.Conv2D(3, 1, use_bias=False, name="shared")
    features = shared(shared(images))
    features = layers.Conv2D(4, 3, strides=2, padding="same", name="dense")(features)
    nested = tf_keras.Sequential(
        [
            layers.DepthwiseConv2D(5, padding="same", dilation_rate=2, use_bias=False),
            layers.BatchNormalization(),
            tf_keras.Sequential([layers.SeparableConv2D(6, 3, strides=2, use_bias=False)]),
        ],
        name="nested",
    )
    return tf_keras.Model(images, nested(features))


def test_small_model_counted_by_hand():
    counts = {layer.name: layer for layer in count_layers(small_model(), (9, 12))}
    # 9x12 -> SAME stride 2: 5x6 -> VALID 3x3 stride 2: 2x2
    assert counts["shared"].multiply_adds == 2 * (9 * 12) * 3 * 3
    assert counts["dense"].multiply_adds == (5 * 6) * 9 * 3 * 4
    assert counts["nested"].multiply_adds == (5 * 6) * 25 * 4 + (2 * 2) * (9 * 4 + 4 * 6)
    assert counts["shared"].parameters == 9
    assert counts["dense"].parameters == 9 * 3 * 4 + 4
    assert counts["nested"].parameters == 25 * 4 + 2 * 4 + 9 * 4 + 4 * 6


def test_counting_leaves_the_model_as_it_was():
    model = small_model()
    first = count_multiply_adds(model, (16, 16))
    assert count_multiply_adds(model, (16, 16)) == first
    assert not any("call" in vars(layer) for layer in model.submodules)


def test_transposed_convolutions_are_refused():
    images = tf_keras.Input([8, 8, 3])
    model = tf_keras.Model(images, tf_keras.layers.Conv2DTranspose(2, 3, name="up")(images))
    with pytest.raises(TypeError, match="up"):
        count_multiply_adds(model, (8, 8))

"""The calls of layers against a model whose layers compute what can be written down."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.models.layer_calls import calls_replaced, convolutions, kernels, trace_calls

layers = tf_keras.layers


@pytest.fixture
def model():
    """A convolution, and one within a layer within a layer, which is called twice."""
    images = tf_keras.Input([None, None, 3])
    features = layers.Conv2D(4, 3, strides=2, padding="same", name="outer")(images)
    inner = layers.SeparableConv2D(4, 3, padding="valid", name="inner")
    nested = tf_keras.Sequential([tf_keras.Sequential([inner]), layers.ReLU()])
    return tf_keras.Model(images, nested(nested(features)))


def test_every_call_is_noted_with_what_was_read_and_returned(model):
    outer, inner = convolutions(model)
    calls = trace_calls(model, [outer, inner], image_size=(20, 17)).calls
    (call,) = calls[outer]
    assert call.features.shape[1:] == (20, 17, 3)
    assert call.output.shape[1:] == (10, 9, 4)
    assert [call.features.shape[1:] for call in calls[inner]] == [(10, 9, 4), (8, 7, 4)]
    assert [call.output.shape[1:] for call in calls[inner]] == [(8, 7, 4), (6, 5, 4)]
    assert calls[inner][0].features is calls[outer][0].output


def test_a_tensor_knows_its_readers(model):
    outer, _ = convolutions(model)
    traced = trace_calls(model, [outer])
    (reader,) = traced.calls[outer][0].output.consumers()
    assert reader.type == "DepthwiseConv2dNative"


def test_layers_compute_something_else_until_the_end_whatever_happens(model):
    outer, _ = convolutions(model)
    images = tf.random.stateless_normal([1, 20, 17, 3], seed=(1, 2))
    expected = model(images).numpy()
    with calls_replaced({outer: lambda images: tf.zeros([1, 10, 9, 4])}):
        assert np.all(model(images).numpy() == 0)
    np.testing.assert_array_equal(model(images), expected)

    def fail(images):
        raise ArithmeticError

    with pytest.raises(ArithmeticError), calls_replaced({outer: fail}):
        model(images)
    np.testing.assert_array_equal(model(images), expected)
    trace_calls(model, [outer])
    assert not any("call" in vars(layer) for layer in model.submodules)


def test_kernels_come_in_the_order_in_which_they_are_applied(model):
    outer, inner = convolutions(model)
    assert [kernel.shape for kernel in kernels(outer)] == [(3, 3, 3, 4)]
    assert [kernel.shape for kernel in kernels(inner)] == [(3, 3, 4, 1), (1, 1, 4, 4)]
    assert [kernel.shape for kernel in kernels(layers.Conv2D(2, 1))] == []

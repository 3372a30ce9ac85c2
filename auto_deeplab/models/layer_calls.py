"""What a Keras model's layers read and return, wherever in the model they are, and what they do.

Keras keeps the tensors between the layers of a functional model, but not those of layers within
other layers. They show up when the model is traced: each layer then notes its own.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import tensorflow as tf
import tf_keras

_CONVOLUTIONS = (
    tf_keras.layers.Conv2D,
    tf_keras.layers.DepthwiseConv2D,
    tf_keras.layers.SeparableConv2D,
)
_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


class LayerCall(NamedTuple):
    """A call of a layer.

    Attributes:
        features: The tensor that the layer read, its first argument.
        output: The tensor that it returned.
    """

    features: tf.Tensor
    output: tf.Tensor


class TracedCalls(NamedTuple):
    """How a model calls its layers.

    Attributes:
        calls: The calls of each layer, in order.
        function: What was traced. A tensor knows its readers as long as this exists.
    """

    calls: dict[tf_keras.layers.Layer, list[LayerCall]]
    function: tf.types.experimental.ConcreteFunction


def trace_calls(
    model: tf_keras.Model,
    layers: Collection[tf_keras.layers.Layer],
    image_size: tuple[int | None, int | None] = (None, None),
) -> TracedCalls:
    """Traces a model at inference.

    Args:
        model: Maps float32 images `[batch, height, width, 3]` to anything. It stays as it is.
        layers: The layers whose calls are of interest.
        image_size: (height, width), or None for any.
    """
    calls: dict[tf_keras.layers.Layer, list[LayerCall]] = {layer: [] for layer in layers}

    def noting(layer: tf_keras.layers.Layer, call: Callable[..., tf.Tensor]) -> Callable:
        def noted_call(features: tf.Tensor, *args, **kwargs) -> tf.Tensor:
            output = call(features, *args, **kwargs)
            calls[layer].append(LayerCall(features, output))
            return output

        return noted_call

    with calls_replaced({layer: noting(layer, layer.call) for layer in layers}):
        function = tf.function(
            lambda images: model(images, training=False), autograph=False
        ).get_concrete_function(tf.TensorSpec([None, *image_size, 3], tf.float32))
    return TracedCalls(calls, function)


@contextmanager
def calls_replaced(calls: Mapping[tf_keras.layers.Layer, Callable]) -> Iterator[None]:
    """Lets layers compute something else for the time being.

    Args:
        calls: For each such layer, what takes the place of its `call`.
    """
    try:
        for layer, call in calls.items():
            layer.call = tf.autograph.experimental.do_not_convert(call)
        yield
    finally:
        for layer in calls:
            vars(layer).pop("call", None)


def convolutions(layer: tf_keras.layers.Layer) -> list[tf_keras.layers.Layer]:
    """Returns the convolutions that a layer holds, or that it is."""
    return [part for part in (layer, *layer.submodules) if isinstance(part, _CONVOLUTIONS)]


def convolution_kernels(layer: tf_keras.layers.Layer) -> list[tf.Variable]:
    """Returns the kernels of all convolutions that a layer holds: what weight decay is for."""
    return [kernel for convolution in convolutions(layer) for kernel in kernels(convolution)]


def kernels(convolution: tf_keras.layers.Layer) -> list[tf.Variable]:
    """Returns a convolution's kernels: a spatial one, and after it a pointwise one if it has it."""
    found = (getattr(convolution, name, None) for name in _KERNELS)
    return [kernel for kernel in found if kernel is not None]

"""Parameters and multiply-adds of a built Keras model, counted from its layers."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras

_CONVOLUTIONS = (
    tf_keras.layers.Conv2D,
    tf_keras.layers.DepthwiseConv2D,
    tf_keras.layers.SeparableConv2D,
)
_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


class LayerCount(NamedTuple):
    """What one of a model's layers, with all that it holds, amounts to.

    Attributes:
        name: The layer's.
        parameters: Trainable parameters.
        multiply_adds: Of its convolutions, for one image.
    """

    name: str
    parameters: int
    multiply_adds: int


def count_layers(model: tf_keras.Model, image_size: tuple[int, int]) -> list[LayerCount]:
    """Counts each of a model's layers that has weights.

    The multiply-adds are those of convolutions alone: of each, the size of its kernels times the
    positions of its output, which the model itself tells when it is traced at `image_size`.
    Batch norm, activations, pools, sums and resizing are left out, and biases too.

    Args:
        model: Maps images `[batch, height, width, 3]` to anything.
        image_size: (height, width).
    """
    positions = _output_positions(model, image_size)
    return [
        LayerCount(
            layer.name,
            sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights),
            sum(
                positions[id(convolution)] * _kernel_size(convolution)
                for convolution in _convolutions(layer)
            ),
        )
        for layer in model.layers
        if layer.weights
    ]


def count_parameters(model: tf_keras.Model) -> int:
    """Returns the number of trainable parameters."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def count_multiply_adds(model: tf_keras.Model, image_size: tuple[int, int]) -> int:
    """Returns the multiply-adds of all convolutions for one image of (height, width)."""
    return sum(layer.multiply_adds for layer in count_layers(model, image_size))


def _convolutions(layer: tf_keras.layers.Layer) -> list[tf_keras.layers.Layer]:
    found = [module for module in (layer, *layer.submodules) if isinstance(module, _CONVOLUTIONS)]
    for convolution in found:
        if isinstance(convolution, tf_keras.layers.Conv2DTranspose):
            raise TypeError(f"{convolution.name}: cannot count a transposed convolution")
    return found


def _kernel_size(convolution: tf_keras.layers.Layer) -> int:
    kernels = (getattr(convolution, name, None) for name in _KERNELS)
    return sum(int(np.prod(kernel.shape)) for kernel in kernels if kernel is not None)


def _output_positions(model: tf_keras.Model, image_size: tuple[int, int]) -> dict[int, int]:
    """Returns, by the id of each convolution, height x width of its output, over all its calls."""
    positions: dict[int, int] = {}
    convolutions = _convolutions(model)

    def record(convolution: tf_keras.layers.Layer) -> None:
        call = convolution.call
        positions[id(convolution)] = 0

        @tf.autograph.experimental.do_not_convert
        def recording_call(*args, **kwargs):
            output = call(*args, **kwargs)
            positions[id(convolution)] += output.shape[1] * output.shape[2]
            return output

        convolution.call = recording_call

    # Keras keeps no output shape for a layer inside another layer, so each convolution notes its
    # own while the model is traced.
    try:
        for convolution in convolutions:
            record(convolution)
        tf.function(lambda images: model(images, training=False)).get_concrete_function(
            tf.TensorSpec([1, *image_size, 3], tf.float32)
        )
    finally:
        for convolution in convolutions:
            del convolution.call
    return positions

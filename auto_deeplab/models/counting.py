"""Parameters and multiply-adds of a built Keras model, counted from its layers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tf_keras

from auto_deeplab.models.layer_calls import LayerCall, convolutions, kernels, trace_calls


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

    Args:
        model: Maps images `[batch, height, width, 3]` to anything.
        image_size: (height, width).
    """
    layers = [layer for layer in model.layers if layer.weights]
    return [
        LayerCount(layer.name, count_parameters(layer), multiply_adds)
        for layer, multiply_adds in zip(
            layers, multiply_adds_of(model, layers, image_size), strict=True
        )
    ]


def count_parameters(layer: tf_keras.layers.Layer) -> int:
    """Returns the number of trainable parameters of a layer, or of a model."""
    return sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)


def multiply_adds_of(
    model: tf_keras.Model, layers: Sequence[tf_keras.layers.Layer], image_size: tuple[int, int]
) -> list[int]:
    """Returns the multiply-adds of each of some layers for one image, with all that it holds.

    They are those of convolutions alone: of each, the size of its kernels times the positions of
    its output, which the model itself tells when it is traced at `image_size`. Batch norm,
    activations, pools, sums and resizing are left out, and biases too.

    Args:
        model: Maps images `[batch, height, width, 3]` to anything.
        layers: Wherever in the model they are.
        image_size: (height, width).
    """
    calls = trace_calls(model, _countable(model), image_size).calls
    return [
        sum(
            _positions(call) * _kernel_size(convolution)
            for convolution in convolutions(layer)
            for call in calls[convolution]
        )
        for layer in layers
    ]


def count_multiply_adds(model: tf_keras.Model, image_size: tuple[int, int]) -> int:
    """Returns the multiply-adds of all convolutions for one image of (height, width)."""
    return sum(layer.multiply_adds for layer in count_layers(model, image_size))


def _countable(model: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    found = convolutions(model)
    for convolution in found:
        if isinstance(convolution, tf_keras.layers.Conv2DTranspose):
            raise TypeError(f"{convolution.name}: cannot count a transposed convolution")
    return found


def _kernel_size(convolution: tf_keras.layers.Layer) -> int:
    return sum(int(np.prod(kernel.shape)) for kernel in kernels(convolution))


def _positions(call: LayerCall) -> int:
    """Returns height x width of what a convolution returned."""
    _, height, width, _ = call.output.shape
    return height * width

"""Networks made ready for inference: the same function in fewer and faster operations.

At inference batch norm multiplies and adds fixed numbers for each channel, which the convolution
before it can do as well: `norm(conv(x)) = conv'(x) + bias'` with
`kernel' = kernel * gamma / sqrt(variance + epsilon)` and
`bias' = beta - mean * gamma / sqrt(variance + epsilon)`. Keras computes a dilated convolution by
rearranging the image into a batch (SpaceToBatch), as its gradient has no kernel on CPUs; inference
needs none, and TensorFlow's own dilated convolution moves less memory.

XLA for CPUs has no good depthwise convolution. It gets a sum of shifted images instead, of which it
makes one loop (60 times faster for a 5x5 kernel).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.layer_calls import calls_replaced, convolutions, kernels, trace_calls
from auto_deeplab.models.pixel_grid import spatial_size
from auto_deeplab.models.resize import is_compiled_by_xla


class _Weights(NamedTuple):
    """A convolution's weights: the first kernel is spatial, a second one pointwise.

    Kernels may be stored in half precision; the bias is float32.
    """

    kernels: tuple[tf.Variable, ...]
    bias: tf.Variable | None


def folded(
    model: tf_keras.Model, batch_norm: bool = True, kernel_dtype: str = "float32"
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that computes what `model` does at inference, in fewer operations.

    Call it inside a `tf.function`. It has variables of its own, with the weights of now: the model
    stays as it is. (As constants of the graph they were no faster, and took 4 GB for 60M weights.)

    Args:
        model: Maps float32 images `[batch, height, width, 3]` to anything. Convolutions that are
            followed by a batch norm and nothing else absorb it; others, and what else there is, are
            computed as they are.
        batch_norm: False keeps batch norm as operations of its own.
        kernel_dtype: What the convolutions' kernels are stored in: "float16" and "bfloat16" halve
            their size. All is computed in float32 whatever they are stored in.

    Returns:
        The function. Under `tf.function(jit_compile=True)` it takes the forms that suit XLA.

    Raises:
        UserError: A kernel does not fit into float16's range.
    """
    norms = _norms_of_convolutions(model) if batch_norm else {}
    calls = {
        convolution: _folded_call(convolution, norms.get(convolution), kernel_dtype)
        for convolution in _foldable(model)
    }
    calls |= {norm: lambda features, **_: features for norm in norms.values()}

    def inference(images: tf.Tensor) -> tf.Tensor:
        with calls_replaced(calls):
            return model(images, training=False)

    return inference


def _foldable(model: tf_keras.Model) -> list[tf_keras.layers.Layer]:
    """Returns the convolutions that `_folded_call` can compute."""
    return [
        layer
        for layer in convolutions(model)
        if not isinstance(layer, tf_keras.layers.Conv2DTranspose)
        and layer.data_format == "channels_last"
        and layer.padding in ("same", "valid")
        and layer.groups == 1
        and layer.compute_dtype == "float32"
    ]


def _norms_of_convolutions(
    model: tf_keras.Model,
) -> dict[tf_keras.layers.Layer, tf_keras.layers.Layer]:
    """Returns the batch norm that reads a convolution's output, where nothing else reads it."""
    foldable = _foldable(model)
    norms = [
        layer for layer in model.submodules if isinstance(layer, tf_keras.layers.BatchNormalization)
    ]
    traced = trace_calls(model, [*foldable, *norms])
    # What is called more than once, or has an activation, is left alone.
    once = {layer: calls[0] for layer, calls in traced.calls.items() if len(calls) == 1}
    producers = {
        id(once[layer].output): layer
        for layer in foldable
        if layer in once
        and len(once[layer].output.consumers()) == 1
        and layer.activation is tf_keras.activations.linear
    }
    return {
        producers[id(once[norm].features)]: norm
        for norm in norms
        if norm in once and id(once[norm].features) in producers
    }


def _folded_call(
    convolution: tf_keras.layers.Layer,
    norm: tf_keras.layers.BatchNormalization | None,
    kernel_dtype: str,
) -> Callable[..., tf.Tensor]:
    """Returns what computes a convolution and the batch norm after it."""
    weights = _folded_weights(convolution, norm, kernel_dtype)
    strides, padding = convolution.strides, convolution.padding.upper()
    dilations = convolution.dilation_rate
    can_shift = padding == "SAME" and weights.kernels[0].shape[3] == 1 and max(dilations) == 1

    def call(features: tf.Tensor, **_) -> tf.Tensor:
        kernel, *pointwise = (tf.cast(stored, tf.float32) for stored in weights.kernels)
        if isinstance(convolution, tf_keras.layers.Conv2D):
            output = tf.nn.conv2d(features, kernel, strides, padding, dilations=dilations)
        elif can_shift and is_compiled_by_xla():
            output = shifted_depthwise_convolution(features, kernel, strides)
        else:
            output = tf.nn.depthwise_conv2d(
                features, kernel, [1, *strides, 1], padding, dilations=dilations
            )
        for matrix in pointwise:
            output = tf.nn.conv2d(output, matrix, 1, "VALID")
        if weights.bias is not None:
            output = tf.nn.bias_add(output, weights.bias)
        return convolution.activation(output)

    return call


def shifted_depthwise_convolution(
    features: tf.Tensor, kernel: tf.Tensor, strides: tuple[int, int]
) -> tf.Tensor:
    """Convolves each channel with its own kernel, as a sum of shifted images, with SAME padding.

    Args:
        features: `[batch, height, width, channels]`.
        kernel: `[rows, columns, channels, 1]`.
        strides: (vertical, horizontal).

    Returns:
        `[batch, ceil(height / vertical stride), ceil(width / horizontal stride), channels]`.
    """
    rows, columns = kernel.shape[:2]
    paddings, spans = [], []
    for length, taps, stride in zip(spatial_size(features), (rows, columns), strides, strict=True):
        # From the first to the last position of a tap.
        span = (length - 1) // stride * stride + 1
        total = tf.maximum(span + taps - 1 - length, 0)
        paddings.append([total // 2, total - total // 2])
        spans.append(span)
    padded = tf.pad(features, [[0, 0], *paddings, [0, 0]])
    return tf.add_n(
        [
            padded[:, i : i + spans[0] : strides[0], j : j + spans[1] : strides[1]]
            * kernel[i, j, :, 0]
            for i in range(rows)
            for j in range(columns)
        ]
    )


def _folded_weights(
    convolution: tf_keras.layers.Layer,
    norm: tf_keras.layers.BatchNormalization | None,
    kernel_dtype: str,
) -> _Weights:
    def variable(value: np.ndarray) -> tf.Variable:
        return tf.Variable(value, trainable=False, dtype=tf.float32)

    def stored(kernel: np.ndarray) -> tf.Variable:
        value = tf.cast(kernel, kernel_dtype)
        if not np.isfinite(tf.cast(value, tf.float32)).all():
            raise UserError(
                f"{convolution.name}: its kernel reaches {np.abs(kernel).max():.3g}, which "
                f"{kernel_dtype} cannot hold; expected bfloat16 or float32 for these weights"
            )
        return tf.Variable(value, trainable=False)

    values = [kernel.numpy() for kernel in kernels(convolution)]
    bias = convolution.bias.numpy() if convolution.use_bias else None
    if norm is None:
        return _Weights(tuple(map(stored, values)), None if bias is None else variable(bias))
    # In double precision, so that the fold itself adds no rounding.
    scale = 1 / np.sqrt(norm.moving_variance.numpy().astype(np.float64) + norm.epsilon)
    if norm.scale:
        scale = scale * norm.gamma.numpy()
    shift = -norm.moving_mean.numpy() * scale
    if bias is not None:
        shift = shift + bias * scale
    if norm.center:
        shift = shift + norm.beta.numpy()
    last = values[-1]
    depthwise = isinstance(convolution, tf_keras.layers.DepthwiseConv2D)
    factors = scale.reshape(last.shape[2:]) if depthwise else scale
    values[-1] = last * factors
    return _Weights(tuple(map(stored, values)), variable(shift))

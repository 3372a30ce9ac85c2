"""The fast formulation below the cell: operations of many edges evaluated as one.

Everything here computes what `textbook.py` computes (the tests compare both). It is written this
way for time: the edges that leave a state share their input, so their convolutions run as one with
the edges' filters side by side.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from auto_deeplab.distribution.reduction import mean_over_replicas

BATCH_NORM_EPSILON = 1e-3

# Batch norm and convolutions run several times faster on multiples of this many channels: oneDNN
# falls back to generic kernels otherwise.
CHANNEL_MULTIPLE = 16


def padded_channels(channels: int) -> int:
    """Returns `channels` rounded up to a multiple of `CHANNEL_MULTIPLE`."""
    return -(-channels // CHANNEL_MULTIPLE) * CHANNEL_MULTIPLE


def pad_channels(tensor: tf.Tensor, axes: Sequence[int] = (-1,)) -> tf.Tensor:
    """Pads the channel axes with zeros to `padded_channels`.

    Zero filters make zero outputs, batch norm keeps them zero, and they add nothing to gradients.
    """
    paddings = [[0, 0] for _ in tensor.shape]
    for axis in axes:
        channels = tensor.shape[axis]
        paddings[axis][1] = padded_channels(channels) - channels
    if not any(after for _, after in paddings):
        return tensor
    return tf.pad(tensor, paddings)


def shared_constant(
    key: tuple, make: Callable[[], np.ndarray], dtype: tf.DType = tf.float32
) -> tf.Tensor:
    """Returns the constant `make()`, one node in a graph for all that ask with `key`."""
    if tf.executing_eagerly():
        return tf.constant(make(), dtype)
    # Kept on the graph, so that they go when it goes.
    graph = tf.compat.v1.get_default_graph()
    if not hasattr(graph, "auto_deeplab_constants"):
        graph.auto_deeplab_constants = {}
    of_graph = graph.auto_deeplab_constants
    if (key, dtype) not in of_graph:
        with tf.control_dependencies(None):
            of_graph[key, dtype] = tf.constant(make(), dtype)
    return of_graph[key, dtype]


def convolution(images: tf.Tensor, kernel: tf.Tensor, stride: int = 1, rate: int = 1) -> tf.Tensor:
    """A SAME convolution: [batch, height, width, in], [k, k, in, out] -> [..., out]."""
    if rate > 1 and not can_differentiate_atrous_convolutions(images.dtype):
        # Rearranges the images into the batch and back, and so needs no atrous kernel.
        return tf.nn.convolution(images, kernel, stride, "SAME", dilations=rate)
    return tf.nn.conv2d(images, kernel, strides=stride, padding="SAME", dilations=rate)


@functools.cache
def can_differentiate_atrous_convolutions(dtype: tf.DType) -> bool:
    """Asks TensorFlow whether it has gradients of atrous convolutions here.

    A GPU has; a CPU only in builds with oneDNN, where that is not switched off, and not for
    float16.
    """
    try:
        with tf.init_scope():
            image = tf.zeros([1, 3, 3, 1], dtype)
            tf.raw_ops.Conv2DBackpropFilter(
                input=image,
                filter_sizes=[3, 3, 1, 1],
                out_backprop=image,
                strides=[1, 1, 1, 1],
                padding="SAME",
                dilations=[1, 2, 2, 1],
            )
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
        return False
    return True


def batch_norm(
    images: tf.Tensor,
    scale: tf.Tensor | None,
    moving: tuple[tf.Tensor, tf.Tensor] | None,
) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
    """Batch norm without learned parameters, its output multiplied by `scale`.

    Args:
        images: float [batch, height, width, channels].
        scale: float32 [channels], or None for 1. The architecture weights enter here, so that
            mixing the operations costs no pass over the data.
        moving: Mean and variance, each float32 [channels], to normalize with (inference), or None
            to normalize with the batch's own (training).

    Returns:
        The output, in the dtype of `images`, and the float32 (mean, variance) used. A batch's
        variance is the unbiased one, which is what Keras's moving averages take too.
    """
    channels = images.shape[-1]
    offset = shared_constant(("zeros", channels), lambda: np.zeros(channels))
    if scale is None:
        scale = shared_constant(("ones", channels), lambda: np.ones(channels))
    if moving is None:
        empty = shared_constant(("zeros", 0), lambda: np.zeros(0))
        mean, variance = empty, empty
    else:
        mean, variance = moving
    output, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=images,
        scale=scale,
        offset=offset,
        mean=mean,
        variance=variance,
        epsilon=BATCH_NORM_EPSILON,
        is_training=moving is None,
    )
    return output, (mean, variance)


def synchronized_batch_norm(
    images: tf.Tensor, scale: tf.Tensor | None = None
) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
    """What `batch_norm` does in training, with statistics of the batches of all replicas together.

    Call it in a replica, and not within a loop or a `tf.function` of its own: replicas meet here.

    Returns:
        The output, and the (mean, variance) of the whole batch, the variance unbiased.
    """
    values = tf.cast(images, tf.float32)
    # Not E[x^2] - E[x]^2, which spares one meeting of the replicas and loses half of the digits.
    mean = mean_over_replicas(tf.reduce_mean(values, axis=[0, 1, 2]))
    centered = values - mean
    variance = mean_over_replicas(tf.reduce_mean(tf.square(centered), axis=[0, 1, 2]))
    factor = tf.math.rsqrt(variance + BATCH_NORM_EPSILON)
    if scale is not None:
        factor *= tf.cast(scale, tf.float32)
    context = tf.distribute.get_replica_context()
    replicas = 1 if context is None else context.num_replicas_in_sync
    count = tf.cast(tf.size(values) // values.shape[-1] * replicas, tf.float32)
    unbiased = variance * count / tf.maximum(count - 1.0, 1.0)
    return tf.cast(centered * factor, images.dtype), (mean, unbiased)


@tf.custom_gradient
def depthwise_convolution(images: tf.Tensor, kernel: tf.Tensor):
    """A SAME depthwise convolution of stride 1: [..., channels], [k, k, channels, 1], k = 3 or 5.

    Its filter gradient never asks for more than three columns at a time: oneDNN has no fast
    kernel for wider ones (17.7 ms against 1.3 ms on 81x81 maps).
    """
    options = {"strides": [1, 1, 1, 1], "padding": "SAME"}
    height, width, channels, _ = kernel.shape

    def filter_gradient(images, upstream, columns):
        return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=images,
            filter_sizes=[height, columns, channels, 1],
            out_backprop=upstream,
            **options,
        )

    def gradient(upstream):
        images_gradient = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=static_or_dynamic_shape(images),
            filter=kernel,
            out_backprop=upstream,
            **options,
        )
        if width == 3:
            return images_gradient, filter_gradient(images, upstream, 3)
        # Taps -2..0 and 0..2 of the five columns, each as a three-column gradient of shifted maps.
        wider = tf.pad(images, [[0, 0], [0, 0], [1, 1], [0, 0]])
        left, right = (
            filter_gradient(wider, tf.pad(upstream, [[0, 0], [0, 0], shift, [0, 0]]), 3)
            for shift in ([0, 2], [2, 0])
        )
        return images_gradient, tf.concat([left, right[:, 1:]], axis=1)

    return tf.raw_ops.DepthwiseConv2dNative(input=images, filter=kernel, **options), gradient


def static_or_dynamic_shape(tensor: tf.Tensor) -> list[int] | tf.Tensor:
    """Returns the shape as a list where it is known before running, else as a tensor."""
    if tensor.shape.is_fully_defined():
        return tensor.shape.as_list()
    return tf.shape(tensor)


def block_diagonal(kernels: tf.Tensor) -> tf.Tensor:
    """Returns [edges, in, out] pointwise kernels as one 1x1 kernel that keeps the edges apart.

    One 1x1 convolution with [1, 1, edges * in, edges * out] (padded) beats one for each edge.
    """
    edges, inputs, outputs = kernels.shape
    if edges > 1:
        eye = shared_constant(
            ("edge eye", edges),
            lambda: np.eye(edges).reshape(edges, 1, edges, 1),
            kernels.dtype,
        )
        kernels = tf.reshape(kernels, [edges, inputs, 1, outputs]) * eye
    matrix = tf.reshape(kernels, [1, 1, edges * inputs, edges * outputs])
    return pad_channels(matrix, axes=(2, 3))


def dense_kernel(depthwise: tf.Tensor, pointwise: tf.Tensor) -> tf.Tensor:
    """Composes depthwise and pointwise kernels that share one input into a dense kernel.

    Args:
        depthwise: [k, k, edges * in, 1], edge by edge.
        pointwise: [edges, in, out].

    Returns:
        [k, k, in, edges * out] (padded).
    """
    edges, inputs, outputs = pointwise.shape
    size = depthwise.shape[0]
    product = tf.reshape(depthwise, [size, size, edges, inputs, 1]) * pointwise
    product = tf.transpose(product, [0, 1, 3, 2, 4])
    return pad_channels(tf.reshape(product, [size, size, inputs, edges * outputs]))


def repeat_to_channels(images: tf.Tensor, channels: int) -> tf.Tensor:
    """Repeats the channels side by side until there are `channels` of them, the last copy cut."""
    copies = -(-channels // images.shape[-1])
    repeated = tf.concat([images] * copies, axis=-1) if copies > 1 else images
    return repeated[..., :channels] if repeated.shape[-1] > channels else repeated


def select_rows(matrix: tf.Tensor, rows: Sequence[int]) -> tf.Tensor:
    """Returns some rows of a matrix, [rows, columns].

    The gradient of a product is dense. That of `tf.gather` is not, and to make it dense XLA would
    want to know all that a node's function is called with, and compile it again for each image.
    """
    selection = shared_constant(
        ("selection", matrix.shape[0], *rows), lambda: np.eye(matrix.shape[0])[list(rows)]
    )
    return tf.linalg.matmul(selection, matrix)


def repeat_for_filters(operation_weights: tf.Tensor, filters: int) -> tf.Tensor:
    """Repeats each edge's weights for its filters.

    Args:
        operation_weights: [edges, operations].
        filters: Of one edge.

    Returns:
        [operations, edges * filters] (padded with zeros).
    """
    edges = operation_weights.shape[0]
    # A product with a constant: tf.repeat is some thirty operations.
    expansion = shared_constant(
        ("expansion", edges, filters),
        lambda: np.eye(edges, -(-padded_channels(edges * filters) // filters)).repeat(filters, 1)[
            :, : padded_channels(edges * filters)
        ],
    )
    return tf.linalg.matmul(operation_weights, expansion, transpose_a=True)


def mixing_kernel(scales: tf.Tensor, filters: int) -> tf.Tensor:
    """Makes the 1x1 kernel that mixes inputs of `filters` channels by the weights of the edges.

    Args:
        scales: [inputs, edges * filters] (padded), from `repeat_for_filters`.
        filters: Of one edge.

    Returns:
        [1, 1, inputs * filters, edges * filters] (padded): kron(weights, identity).
    """
    inputs, channels = scales.shape
    pattern = shared_constant(
        ("identities", channels, filters),
        lambda: np.tile(np.eye(filters), -(-channels // filters))[:, :channels],
    )
    return tf.reshape(scales[:, None] * pattern, [1, 1, inputs * filters, channels])

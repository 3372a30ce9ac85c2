"""The operations of the final network's cells, one Keras layer each (paper, section 3.1).

What they do at stride 2 is not in the paper, but in DeepLab's code: see docs/networks.md.

Every layer maps `[batch, height, width, channels]` to `[batch, ceil(height / stride),
ceil(width / stride), filters]` with stride 1 or 2. At stride 1 `skip` and the pools keep the
channels they get, so `filters` is also what a cell gives them.

Arguments that the layers share:
  filters: the channels of the output.
  stride: 1 or 2.
  batch_norm: arguments for `tf_keras.layers.BatchNormalization`, such as
    `{"momentum": 0.9997, "epsilon": 1e-3, "synchronized": False}`.
  initializer: of kernels, one of `INITIALIZERS`.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from auto_deeplab.models.final.initializers import INITIALIZERS, depthwise_initializer
from auto_deeplab.models.pixel_grid import spatial_size
from auto_deeplab.models.resize import resize_bilinear


class LayerSequence(tf_keras.layers.Layer):
    """Calls layers one after the other.

    `tf_keras.Sequential` does so too, but makes a functional model of them first: nearly half of
    the time that a network took to be built. The names in checkpoints are the same.

    Args:
        layers: Each reads what the one before it returns.
    """

    def __init__(self, layers: Sequence[tf_keras.layers.Layer], **kwargs):
        super().__init__(**kwargs)
        self._length = len(layers)
        with_weights = itertools.count()
        for index, layer in enumerate(layers):
            # A checkpoint takes the first name that it finds; Keras does not count what has no
            # weights.
            if not isinstance(layer, tf_keras.layers.ReLU):
                setattr(self, f"layer_with_weights-{next(with_weights)}", layer)
            setattr(self, f"layer-{index}", layer)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Returns what the last layer returns."""
        for index in range(self._length):
            features = getattr(self, f"layer-{index}")(features)
        return features


def relu_convolution_norm(
    filters: int,
    kernel_size: int,
    batch_norm: dict[str, Any],
    stride: int = 1,
    initializer: str = "he_normal",
) -> LayerSequence:
    """Returns (ReLU, convolution without bias, batch norm), the network's building block."""
    return LayerSequence(
        [
            tf_keras.layers.ReLU(),
            tf_keras.layers.Conv2D(
                filters,
                kernel_size,
                strides=stride,
                padding="same",
                use_bias=False,
                kernel_initializer=INITIALIZERS[initializer],
            ),
            tf_keras.layers.BatchNormalization(**batch_norm),
        ]
    )


class _Operation(tf_keras.layers.Layer):
    """Holds what all operations are made with."""

    def __init__(
        self,
        filters: int,
        stride: int = 1,
        batch_norm: dict | None = None,
        initializer: str = "he_normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if stride not in (1, 2):
            raise ValueError(f"stride: received {stride!r}; expected 1 or 2")
        self.filters = filters
        self.stride = stride
        self.batch_norm = dict(batch_norm or {})
        self.initializer = initializer

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as JSON values."""
        return super().get_config() | {
            "filters": self.filters,
            "stride": self.stride,
            "batch_norm": dict(self.batch_norm),
            "initializer": self.initializer,
        }


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class Zero(_Operation):
    """`none`: zeros."""

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Returns zeros of the output's shape, in the input's dtype."""
        height, width = (-(-length // self.stride) for length in spatial_size(features))
        return tf.zeros([tf.shape(features)[0], height, width, self.filters], features.dtype)


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class Skip(_Operation):
    """`skip`: the identity; at stride 2 (ReLU, 1x1 convolution, batch norm)."""

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the reduction, if the stride is 2."""
        self.reduction = (
            relu_convolution_norm(self.filters, 1, self.batch_norm, initializer=self.initializer)
            if self.stride > 1
            else None
        )
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Returns the features, or their reduction to half the height and width."""
        if self.reduction is None:
            return features
        # A 1x1 convolution of stride 2 reads every second position and computes the same. Its
        # gradient crashes in oneDNN (TensorFlow 2.20, AVX-512, 4 threads, maps of 10x12x8). A pool
        # takes the positions: OpenVINO fails at slices with a step, where sizes are not known.
        return self.reduction(tf.nn.avg_pool2d(features, 1, self.stride, "VALID"))


class _Pool(_Operation):
    """A 3x3 pool with SAME padding."""

    pool: type[tf_keras.layers.Layer]

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the pool."""
        self.pooling = self.pool(3, strides=self.stride, padding="same")
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Returns the pooled features."""
        return self.pooling(features)


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class MaxPool(_Pool):
    """`max_pool_3x3`."""

    pool = tf_keras.layers.MaxPooling2D


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class AveragePool(_Pool):
    """`avg_pool_3x3`: averages over the pixels inside the image only, never over the padding."""

    pool = tf_keras.layers.AveragePooling2D


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class SeparableConvolution(_Operation):
    """`sep_conv_3x3`, `sep_conv_5x5`: twice (ReLU, depthwise-separable convolution, batch norm).

    The first depthwise convolution carries the stride.
    """

    def __init__(self, filters: int, kernel_size: int, **kwargs):
        super().__init__(filters, **kwargs)
        self.kernel_size = kernel_size

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates both convolutions, each with its ReLU and batch norm."""
        stages: list[tf_keras.layers.Layer] = []
        for stride in (self.stride, 1):
            stages += [
                tf_keras.layers.ReLU(),
                tf_keras.layers.SeparableConv2D(
                    self.filters,
                    self.kernel_size,
                    strides=stride,
                    padding="same",
                    use_bias=False,
                    depthwise_initializer=depthwise_initializer(self.initializer, self.kernel_size),
                    pointwise_initializer=INITIALIZERS[self.initializer],
                ),
                tf_keras.layers.BatchNormalization(**self.batch_norm),
            ]
        self.stages = LayerSequence(stages)
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Returns the features after both convolutions."""
        return self.stages(features)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as JSON values."""
        return super().get_config() | {"kernel_size": self.kernel_size}


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class AtrousConvolution(_Operation):
    """`atrous_conv_3x3`, `atrous_conv_5x5`: ReLU, dense convolution with rate 2, batch norm.

    At stride 2 the input is halved bilinearly and the convolution has rate 1.
    """

    def __init__(self, filters: int, kernel_size: int, **kwargs):
        super().__init__(filters, **kwargs)
        self.kernel_size = kernel_size

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the convolution and its batch norm."""
        self.convolution = tf_keras.layers.Conv2D(
            self.filters,
            self.kernel_size,
            dilation_rate=2 if self.stride == 1 else 1,
            padding="same",
            use_bias=False,
            kernel_initializer=INITIALIZERS[self.initializer],
        )
        self.norm = tf_keras.layers.BatchNormalization(**self.batch_norm)
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Returns the convolved features."""
        features = tf.nn.relu(features)
        if self.stride == 2:
            half = [(length + 1) // 2 for length in spatial_size(features)]
            features = resize_bilinear(features, half)
        return self.norm(self.convolution(features))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as JSON values."""
        return super().get_config() | {"kernel_size": self.kernel_size}


def make_operation(op: str, **kwargs) -> tf_keras.layers.Layer:
    """Returns the layer of an operation of `search_space.OPERATIONS`.

    Args:
        op: Its name.
        **kwargs: `filters`, `stride`, `batch_norm`, `initializer` and, if wanted, Keras' own such
            as `name`.
    """
    return _LAYERS[op](**kwargs)


_LAYERS: dict[str, Callable[..., tf_keras.layers.Layer]] = {
    "none": Zero,
    "max_pool_3x3": MaxPool,
    "avg_pool_3x3": AveragePool,
    "skip": Skip,
    "sep_conv_3x3": lambda **kwargs: SeparableConvolution(kernel_size=3, **kwargs),
    "sep_conv_5x5": lambda **kwargs: SeparableConvolution(kernel_size=5, **kwargs),
    "atrous_conv_3x3": lambda **kwargs: AtrousConvolution(kernel_size=3, **kwargs),
    "atrous_conv_5x5": lambda **kwargs: AtrousConvolution(kernel_size=5, **kwargs),
}

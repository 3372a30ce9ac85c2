"""Atrous spatial pyramid pooling, with the window of its image pooling (paper, section 5.2)."""

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras
from official.vision.modeling.decoders.aspp import ASPP
from official.vision.modeling.layers.deeplab import SpatialPyramidPooling

from auto_deeplab.models.pixel_grid import spatial_size
from auto_deeplab.models.resize import resize_bilinear


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class WindowedASPP(ASPP):
    """Model Garden's pyramid, whose image pooling averages over a window of the training's size.

    DeepLab's code pools so (its `image_pooling_crop_size`): on an image larger than the training's
    crops, the pooled features are averages over as many positions as in training, one for each
    place of the window, stretched to the size of the map. On a map that is as large as the window
    or smaller, they are the mean of the map, as without a window.

    The variables are those of Model Garden's pyramid.

    Args:
        window: (height, width) of the window, in positions of the feature map.
        **kwargs: The arguments of Model Garden's `ASPP`, version v1, without `pool_kernel_size`.
    """

    def __init__(self, window: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        height, width = window
        self.window = (height, width)
        # What Model Garden's `build` makes.
        self._aspp_layer = functools.partial(_WindowedPyramid, window=self.window)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as JSON values."""
        return {**super().get_config(), "window": list(self.window)}


class _WindowedPyramid(SpatialPyramidPooling):
    """The pyramid within Model Garden's `ASPP`; see `WindowedASPP`."""

    def __init__(self, window: tuple[int, int], **kwargs):
        # The name under which Model Garden's own would have its variables.
        super().__init__(name="spatial_pyramid_pooling", **kwargs)
        self.window = window

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the branches."""
        super().build(input_shape)
        # `call` calls a part of it alone, which would leave the whole without weights.
        self.aspp_layers[-1].build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Maps [batch, height, width, channels] to as large a map of `output_channels`."""
        *convolutions, image_pooling = self.aspp_layers
        branches = [convolution(inputs, training=training) for convolution in convolutions]
        # What Model Garden's branch does after its mean of the whole map.
        project = image_pooling.layers[-1]
        pooled = project(mean_over_window(inputs, self.window), training=training)
        branches.append(resize_bilinear(pooled, spatial_size(inputs)))
        return self.projection(tf.concat(branches, axis=-1), training=training)


def mean_over_window(features: tf.Tensor, window: tuple[int, int]) -> tf.Tensor:
    """Averages over a window in each place where it lies within the map.

    Differences of running sums make the cost independent of the window, and allow a window that is
    cut to the size of a map that is known only when the network runs.

    Args:
        features: [batch, height, width, channels].
        window: (height, width), which is cut to the map's.

    Returns:
        [batch, height - window height + 1, width - window width + 1, channels].
    """
    means = tf.cast(features, tf.float32)
    for axis, length, extent in zip((1, 2), spatial_size(features), window, strict=True):
        cut = min(extent, length) if isinstance(length, int) else tf.minimum(extent, length)
        # What lies before each position, and before the end.
        margin = [[0, int(padded == axis)] for padded in range(4)]
        before = tf.cumsum(tf.pad(means, margin), axis, exclusive=True)
        skipped = [slice(None)] * axis
        ends = before[(*skipped, slice(cut, None))]
        starts = before[(*skipped, slice(length - cut + 1))]
        means = (ends - starts) / tf.cast(cut, tf.float32)
    return tf.cast(means, features.dtype)

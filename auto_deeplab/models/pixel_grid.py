"""The pixel grid: position i of a feature map of stride s stands at pixel s * i of the image.

A SAME convolution of stride 2 reads the positions 0, 2, 4, ... of a map whose size is odd. So the
first and the last position of every map lie on the first and the last pixel of the image, whatever
the stride s, if the image's height and width are of the form k * s + 1 for the largest s: as
DeepLab's 321, 513 and 769 are for 32. Maps then change their scale with aligned corners
(`resize.py`), and images of other sizes are filled up at the bottom and the right (`PadToGrid`), by
less than s pixels; what is predicted there is cut off again (`CropLike`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from auto_deeplab.foundations.configurable import configurable

# Height and width: numbers where they are known.
Size = Sequence[int | tf.Tensor] | np.ndarray


@tf.autograph.experimental.do_not_convert  # It cannot, and would warn.
@configurable
def pixel_grid(aligned: bool = True) -> bool:
    """Returns whether the networks that are built and traced have one pixel grid.

    Args:
        aligned: False is for networks that were trained before there was this grid: they resize
            with half-pixel centers, by which maps of different strides are up to half a coarse
            position apart, and take images of any size as they are.
    """
    return aligned


def spatial_size(features: tf.Tensor) -> list[int | tf.Tensor]:
    """Returns [height, width] of `[batch, height, width, channels]`: numbers where known."""
    dynamic = tf.shape(features)
    return [
        dynamic[axis] if features.shape[axis] is None else features.shape[axis] for axis in (1, 2)
    ]


def size_on_grid(length: int | tf.Tensor, stride: int) -> int | tf.Tensor:
    """Returns the smallest k * stride + 1 from a height or width on, all in pixels."""
    # Of no negative number: ONNX has the remainder of C, and not Python's.
    return length + stride - 1 - (length + stride - 2) % stride


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class PadToGrid(tf_keras.layers.Layer):
    """Fills images up to k * stride + 1 pixels, at the bottom and the right, with the mean pixel.

    Maps normalized images `[batch, height, width, channels]`, in which the mean pixel is 0, to the
    same `[batch, size_on_grid(height), size_on_grid(width), channels]`.

    Args:
        stride: The largest one of the network.
    """

    def __init__(self, stride: int, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride
        # Not only when the network is traced: a training keeps the values in effect before that.
        pixel_grid()

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Returns the images at their new size."""
        if not pixel_grid():
            return images
        height, width = (size_on_grid(length, self.stride) for length in spatial_size(images))
        known = images.shape[1:3]
        if known.is_fully_defined() and known == (height, width):
            return images
        # By the most first: what engines can do with a number of pixels that depends on the image
        # differs more than what they can do with a size.
        most = [0, self.stride - 1]
        return tf.pad(images, [[0, 0], most, most, [0, 0]])[:, :height, :width]

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as JSON values."""
        return super().get_config() | {"stride": self.stride}


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class CropLike(tf_keras.layers.Layer):
    """Cuts off at the bottom and the right what `PadToGrid` has added.

    Call with `(maps, images)`, `[batch, height, width, channels]` each, of which the second one is
    not larger; returns `[batch, height of images, width of images, channels of maps]`.
    """

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Returns the top left part of the first input."""
        maps, images = inputs
        height, width = spatial_size(images)
        return maps[:, :height, :width]

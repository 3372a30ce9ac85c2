"""Bilinear resizing to an explicit size: the one way that feature maps change their scale here.

Corners are aligned: the first and the last position stay where they are, see `pixel_grid.py`. A
target size is always that of another tensor, never "times two", so that odd sizes come out right.
"""

import tensorflow as tf
import tf_keras

# There is no public name for this.
from tf_keras.src.utils.control_flow_util import GraphOrParentsInXlaContext

from auto_deeplab.models.pixel_grid import Size, pixel_grid, spatial_size


def resize_bilinear(features: tf.Tensor, size: Size) -> tf.Tensor:
    """Resizes `[batch, height, width, channels]` to `size`, [height, width]; keeps the dtype."""
    if is_compiled_by_xla():
        return resize_bilinear_by_gathering(features, size)
    if pixel_grid():
        # Not `tf.compat.v1.image.resize_bilinear`, which tells users that it is deprecated.
        resized = tf.raw_ops.ResizeBilinear(
            images=features, size=tf.cast(tf.stack(size), tf.int32), align_corners=True
        )
    else:
        resized = tf.image.resize(features, size)
    return tf.cast(resized, features.dtype)


def is_compiled_by_xla() -> bool:
    """Returns whether what is being traced goes to XLA: `tf.function(jit_compile=True)`."""
    return GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def resize_bilinear_by_gathering(features: tf.Tensor, size: Size) -> tf.Tensor:
    """Computes the same as `resize_bilinear`, from gathered rows and columns.

    XLA's own resizing with half-pixel centers is wrong at some sizes, such as 9 to 17 and 33 to 65
    (TensorFlow 2.20; its issue 118344), and at others several times slower than this.
    """
    resized = tf.cast(features, tf.float32)
    # By index: a graph cannot iterate over a tensor.
    targets = size[0], size[1]
    for axis, source, target in zip((1, 2), spatial_size(features), targets, strict=True):
        # In the steps and the precision of TensorFlow's kernels.
        if pixel_grid():
            intervals = tf.cast(tf.maximum(target - 1, 1), tf.float32)
            scale = tf.cast(source - 1, tf.float32) / intervals
            positions = tf.cast(tf.range(target), tf.float32) * scale
        else:
            scale = tf.cast(source, tf.float32) / tf.cast(target, tf.float32)
            positions = (tf.cast(tf.range(target), tf.float32) + 0.5) * scale - 0.5
        below = tf.floor(positions)
        share = tf.reshape(positions - below, [-1, 1, 1] if axis == 1 else [-1, 1])
        lower = tf.clip_by_value(tf.cast(below, tf.int32), 0, source - 1)
        upper = tf.clip_by_value(tf.cast(below, tf.int32) + 1, 0, source - 1)
        before = tf.gather(resized, lower, axis=axis)
        resized = before + (tf.gather(resized, upper, axis=axis) - before) * share
    return tf.cast(resized, features.dtype)


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class ResizeLike(tf_keras.layers.Layer):
    """Brings features to the height and width of a reference, bilinearly.

    Call with `(features, reference)`, both `[batch, height, width, channels]`; returns
    `[batch, reference height, reference width, channels of features]` in the layer's dtype.
    """

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Resizes the first input; the class describes the shapes."""
        features, reference = inputs
        return resize_bilinear(features, spatial_size(reference))

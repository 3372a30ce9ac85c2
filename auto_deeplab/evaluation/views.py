"""Prediction from several views of an image: at several scales, and mirrored."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from auto_deeplab.models.resize import resize_bilinear


def mean_probabilities(
    model: Callable[..., tf.Tensor], images: tf.Tensor, scales: Sequence[float], flip: bool
) -> tf.Tensor:
    """Predicts an image at each scale and averages the class probabilities.

    As in DeepLab, a view's logits are brought to the image's size before their softmax.

    Args:
        model: Maps images `[batch, height, width, 3]` to logits `[batch, height, width, classes]`
            when called with `training=False`.
        images: float32 `[batch, height, width, 3]`, normalized.
        scales: The factors of height and width.
        flip: Whether each view is predicted mirrored, too.

    Returns:
        Float32 `[batch, height, width, classes]`.
    """
    size = tf.shape(images)[1:3]
    total = 0.0
    for scale in scales:
        scaled = images if scale == 1 else resize_bilinear(images, view_size(size, scale))
        for mirrored in (False, True) if flip else (False,):
            logits = model(_mirror(scaled) if mirrored else scaled, training=False)
            logits = tf.cast(logits, tf.float32)
            if scale != 1:
                logits = resize_bilinear(logits, size)
            probabilities = tf.nn.softmax(logits)
            total += _mirror(probabilities) if mirrored else probabilities
    return total / (len(scales) * (2 if flip else 1))


def view_size(size: tf.Tensor, scale: float) -> tf.Tensor:
    """Returns int32 [2], the size of an image of `size` at a scale.

    It is DeepLab's rule, by which the corner pixels keep their place: sizes of the form 32k+1 stay
    such where the scale allows it, as 1025 at scale 0.5 becomes 513.
    """
    distance = tf.cast(size - 1, tf.float32) * scale
    return tf.cast(tf.floor(distance), tf.int32) + 1


def _mirror(images: tf.Tensor) -> tf.Tensor:
    return tf.reverse(images, axis=[2])

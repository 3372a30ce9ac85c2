"""Images of any size at the one size that a network runs at, and its predictions back."""

import tensorflow as tf


def content_size(source: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Returns the largest size with a source's proportions that fits into another.

    Args:
        source: int32 [2], (height, width).
        size: (height, width) to fit into.

    Returns:
        int32 [2], at least 1 and at most `size`; in one direction it is that of `size`.
    """
    source = tf.cast(source, tf.float64)
    scale = tf.reduce_min(tf.constant(size, tf.float64) / source)
    return tf.clip_by_value(tf.cast(tf.round(source * scale), tf.int32), 1, size)


def letterbox(images: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Scales images to fit into a size and fills the bottom or the right with zeros.

    Scaling keeps the proportions. It is bilinear, and smooths when it makes smaller
    (antialiasing); the part that shows the image is `content_size`.

    Args:
        images: float32 `[batch, height, width, 3]`, normalized: 0 is the mean pixel.
        size: (height, width) of the result.

    Returns:
        float32 `[batch, *size, 3]`.
    """
    content = content_size(tf.shape(images)[1:3], size)
    scaled = tf.image.resize(images, content, antialias=True)
    missing = size - content
    padded = tf.pad(scaled, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
    return tf.ensure_shape(padded, [None, *size, 3])


def undo_letterbox(scores: tf.Tensor, source: tf.Tensor) -> tf.Tensor:
    """Brings what was predicted for fitted images to the images' own size, bilinearly.

    Args:
        scores: float32 `[batch, height, width, classes]`, of images that `letterbox` returned.
        source: int32 [2], (height, width) of the images that it was given.

    Returns:
        float32 `[batch, *source, classes]`.
    """
    content = content_size(source, tuple(scores.shape[1:3]))
    return tf.image.resize(scores[:, : content[0], : content[1]], source)

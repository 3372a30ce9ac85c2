"""The loss of every training: cross-entropy over the pixels that count."""

import tensorflow as tf

from auto_deeplab.distribution.reduction import sum_over_replicas


def cross_entropy(
    labels: tf.Tensor,
    logits: tf.Tensor,
    ignore_label: int,
    label_smoothing: float = 0.0,
    hard_pixel_share: float = 1.0,
    pixels: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns the mean cross-entropy over the pixels of the global batch that are not ignored.

    Of a part of the global batch this is the part's share: the sum over its pixels divided by the
    number of pixels that count in all parts, so that the shares, and their gradients, add up. What
    a replica has is a part, and so is what it computes at a time.

    Args:
        labels: Integer [batch, height, width].
        logits: float [batch, height, width, classes].
        ignore_label: The label of pixels that do not count.
        label_smoothing: How much of each pixel's target is spread evenly over all classes.
        hard_pixel_share: The share of the pixels of a part that count after all: those whose
            losses are the largest.
        pixels: How many pixels of the global batch count, see `counted_pixels`; by default those
            of `labels` on all replicas.

    Returns:
        float32 scalar; 0 where no pixel counts.
    """
    counts = tf.not_equal(labels, ignore_label)
    logits = tf.cast(logits, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=tf.where(counts, labels, 0), logits=logits
    )
    if label_smoothing:
        # The mean of -log over all classes' shares.
        even = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_mean(logits, axis=-1)
        losses = (1.0 - label_smoothing) * losses + label_smoothing * even
    losses = tf.where(counts, losses, 0.0)
    if hard_pixel_share < 1:
        # No loss is below the 0 of the ignored pixels, which therefore come last.
        losses = tf.sort(tf.reshape(losses, [-1]), direction="DESCENDING")
        hard = _pixels_of_parts(labels, ignore_label, hard_pixel_share, parts=1)
        ranks = tf.range(tf.size(losses))
        losses = tf.where(ranks < tf.cast(hard, tf.int32), losses, 0.0)
    if pixels is None:
        pixels = counted_pixels(labels, ignore_label, hard_pixel_share)
    return tf.reduce_sum(losses) / tf.maximum(pixels, 1.0)


def counted_pixels(
    labels: tf.Tensor, ignore_label: int, hard_pixel_share: float = 1.0, parts: int = 1
) -> tf.Tensor:
    """Returns how many pixels of the global batch `cross_entropy` counts, float32 scalar.

    Args:
        labels: Integer [batch, height, width], the replica's.
        ignore_label: The label of pixels that do not count.
        hard_pixel_share: See `cross_entropy`.
        parts: How many parts of equal size, each computed by itself, the replica's batch has.
    """
    return sum_over_replicas(
        tf.reduce_sum(_pixels_of_parts(labels, ignore_label, hard_pixel_share, parts))
    )


def _pixels_of_parts(labels, ignore_label, hard_pixel_share, parts):
    """Returns how many pixels count in each part of a batch of labels, float32 [parts]."""
    counts = tf.cast(tf.not_equal(labels, ignore_label), tf.float32)
    pixels = tf.reduce_sum(tf.reshape(counts, [parts, -1]), axis=1)
    return pixels if hard_pixel_share == 1 else tf.math.ceil(pixels * hard_pixel_share)

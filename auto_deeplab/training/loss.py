"""The loss of every training: cross-entropy over the pixels that count."""

import tensorflow as tf

from auto_deeplab.distribution.reduction import sum_over_replicas


def cross_entropy(
    labels: tf.Tensor,
    logits: tf.Tensor,
    ignore_label: int,
    label_smoothing: float = 0.0,
    hard_pixel_share: float = 1.0,
) -> tf.Tensor:
    """Returns the mean cross-entropy over the pixels of the global batch that are not ignored.

    Within a replica this is the replica's part: the sum over its pixels divided by the number of
    pixels that count in all replicas, so that the parts, and their gradients, add up.

    Args:
        labels: integer [batch, height, width].
        logits: float [batch, height, width, classes].
        ignore_label: the label of pixels that do not count.
        label_smoothing: how much of each pixel's target is spread evenly over all classes.
        hard_pixel_share: the share of a replica's pixels that count after all: those whose losses
            are the largest.

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
    pixels = tf.reduce_sum(tf.cast(counts, tf.float32))
    if hard_pixel_share < 1:
        pixels = tf.math.ceil(pixels * hard_pixel_share)
        # No loss is below the 0 of the ignored pixels, which therefore come last.
        losses = tf.sort(tf.reshape(losses, [-1]), direction="DESCENDING")
        ranks = tf.range(tf.size(losses))
        losses = tf.where(ranks < tf.cast(pixels, tf.int32), losses, 0.0)
    return tf.reduce_sum(losses) / tf.maximum(sum_over_replicas(pixels), 1.0)

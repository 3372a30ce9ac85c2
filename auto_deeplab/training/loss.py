"""The loss of every training: cross-entropy over the pixels that count."""

import tensorflow as tf


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor, ignore_label: int) -> tf.Tensor:
    """Returns the mean cross-entropy over the pixels of the global batch that are not ignored.

    Within a replica this is the replica's part: the sum over its pixels divided by the number of
    pixels that count in all replicas, so that the parts, and their gradients, add up.

    Args:
        labels: integer [batch, height, width].
        logits: float [batch, height, width, classes].
        ignore_label: the label of pixels that do not count.

    Returns:
        float32 scalar; 0 where no pixel counts.
    """
    counts = tf.not_equal(labels, ignore_label)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=tf.where(counts, labels, 0), logits=tf.cast(logits, tf.float32)
    )
    pixels = sum_over_replicas(tf.reduce_sum(tf.cast(counts, tf.float32)))
    return tf.reduce_sum(tf.where(counts, losses, 0.0)) / tf.maximum(pixels, 1.0)


def sum_over_replicas(value):
    """Returns the sum of a tensor, or of each of a list, over the replicas that train together."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)

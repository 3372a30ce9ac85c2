"""Sums and means over the replicas that train together."""

import tensorflow as tf


def sum_over_replicas(value):
    """Returns the sum of a tensor, or of each of a list, over the replicas that train together."""
    return _all_reduce(tf.distribute.ReduceOp.SUM, value)


def mean_over_replicas(value):
    """Returns the mean of a tensor, or of each of a list, over the replicas.

    Gradients pass through it, as they do through `sum_over_replicas`.
    """
    return _all_reduce(tf.distribute.ReduceOp.MEAN, value)


def _all_reduce(operation, value):
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(operation, value)

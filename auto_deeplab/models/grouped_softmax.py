"""Softmaxes over groups of values that lie in one vector, such as the arcs that leave a node."""

from collections.abc import Hashable, Sequence

import tensorflow as tf


def grouped_softmax(values: tf.Tensor, groups: Sequence[Hashable]) -> tf.Tensor:
    """Returns `exp(value) / sum over the value's group of exp`, in the shape and dtype of `values`.

    Args:
        values: float [count], before the softmax.
        groups: What tells the group of each value; those of one group are equal.
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    number = [numbers[group] for group in groups]
    largest = tf.math.unsorted_segment_max(tf.stop_gradient(values), number, len(numbers))
    exponentials = tf.exp(values - tf.gather(largest, number))
    sums = tf.math.unsorted_segment_sum(exponentials, number, len(numbers))
    return exponentials / tf.gather(sums, number)

"""Telling what went wrong when a loss is NaN or infinite."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import tensorflow as tf


def largest_gradients(
    compute_loss: Callable[[], tf.Tensor], count: int = 5
) -> list[tuple[str, float]]:
    """Returns the layers whose gradients are the largest, with their norms.

    Args:
        compute_loss: makes the loss, eagerly.
        count: how many layers.

    Returns:
        (layer, L2 norm over its variables) each, largest first; NaN is larger than any.
    """
    with tf.GradientTape() as tape:
        loss = compute_loss()
    variables = tape.watched_variables()
    squares = defaultdict(float)
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        if gradient is not None:
            values = tf.convert_to_tensor(gradient).numpy().astype(np.float64)
            squares[layer_name(variable)] += float(np.sum(values**2))
    norms = [(layer, float(np.sqrt(square))) for layer, square in squares.items()]
    norms.sort(key=lambda entry: np.inf if np.isnan(entry[1]) else entry[1], reverse=True)
    return norms[:count]


def layer_name(variable: tf.Variable) -> str:
    """Returns what a variable's name says before its last part; all of it where there is one."""
    name = variable.name.partition(":")[0]
    return name.rpartition("/")[0] or name

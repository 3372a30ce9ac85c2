"""Telling what went wrong when a loss is NaN or infinite."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from auto_deeplab.distribution.reduction import sum_over_replicas
from auto_deeplab.foundations.errors import UserError


class DivergedError(UserError):
    """A training has ended because a loss or a weight was NaN or infinite."""


def largest_gradients(
    compute_loss: Callable[[Any], tf.Tensor],
    batch: Any,
    strategy: tf.distribute.Strategy,
    count: int = 5,
) -> list[tuple[str, float]]:
    """Returns the layers whose gradients are the largest, with their norms.

    Args:
        compute_loss: Makes a replica's part of the loss of its part of the batch, eagerly.
        batch: What the replicas divide.
        strategy: What they run under.
        count: How many layers.

    Returns:
        (layer, L2 norm over its variables) each, largest first; NaN is larger than any.
    """
    layers: list[str] = []

    def replica_gradients(part: Any) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = compute_loss(part)
        variables = tape.watched_variables()
        gradients = zip(variables, tape.gradient(loss, variables), strict=True)
        known = [(variable, gradient) for variable, gradient in gradients if gradient is not None]
        if not layers:  # The first replica's variables have names without a replica's number.
            layers.extend(layer_name(variable) for variable, _ in known)
        return sum_over_replicas([tf.convert_to_tensor(gradient) for _, gradient in known])

    gradients = strategy.run(replica_gradients, args=(batch,))
    squares: defaultdict[str, float] = defaultdict(float)
    for layer, gradient in zip(layers, gradients, strict=True):
        values = strategy.experimental_local_results(gradient)[0].numpy().astype(np.float64)
        squares[layer] += float(np.sum(values**2))
    norms = [(layer, float(np.sqrt(square))) for layer, square in squares.items()]
    norms.sort(key=lambda entry: np.inf if np.isnan(entry[1]) else entry[1], reverse=True)
    return norms[:count]


def layer_name(variable: tf.Variable) -> str:
    """Returns what a variable's name says before its last part; all of it where there is one."""
    name = variable.name.partition(":")[0]
    return name.rpartition("/")[0] or name

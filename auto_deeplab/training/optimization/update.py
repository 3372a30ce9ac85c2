"""One gradient update, as search and retraining share it."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from auto_deeplab.distribution.reduction import sum_over_replicas
from auto_deeplab.training.optimization.accumulation import loss_and_gradients


def update(
    compute_loss: Callable[[int | tf.Tensor], tf.Tensor],
    variables: Sequence[tf.Variable],
    optimizer: tf_keras.optimizers.legacy.Optimizer,
    weight_decay: float,
    decayed: Callable[[tf.Variable], bool] = lambda variable: True,
    clip_norm: float | None = None,
    multiplier: Callable[[tf.Variable], float] = lambda variable: 1.0,
    parts: int = 1,
    penalty: Callable[[], tf.Tensor] | None = None,
) -> tf.Tensor:
    """Descends the gradient of a loss with L2 weight decay.

    The decay is the coupled one of the paper's time: `weight_decay * variable` joins the gradient
    before the optimizer sees it, and before it is clipped.

    Args:
        compute_loss: Called with the number of a part of the replica's batch, 0 to `parts` - 1;
            returns that part's share of the loss (see `loss.cross_entropy`).
        variables: What to update; only they are differentiated.
        optimizer: Applies the gradients, already summed over replicas; one `with_loss_scale` leaves
            the step out where they are not finite.
        weight_decay: The decay's factor.
        decayed: Which variables decay.
        clip_norm: The largest norm of all gradients together; larger ones are scaled down to it.
        multiplier: Of a variable's gradient, clipped. For SGD, whose updates are proportional to
            the gradients, it is one of the learning rate.
        parts: How many parts are differentiated one after the other. What the gradient needs is
            kept of one part at a time.
        penalty: Returns a loss of the variables alone, the same on each replica. Its gradient joins
            with that of the decay.

    Returns:
        The loss of the global batch, float32 scalar, before the update and without decay and
        penalty. NaN where the step is left out though its loss was not scaled up any more.
    """
    scaling = isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer)
    loss, gradients = loss_and_gradients(
        compute_loss, variables, parts, optimizer.get_scaled_loss if scaling else tf.identity
    )
    if scaling:
        gradients = optimizer.get_unscaled_gradients(gradients)
    loss, gradients = sum_over_replicas(loss), sum_over_replicas(gradients)
    if scaling:
        loss = _nan_if_lost(loss, gradients, optimizer.loss_scale)
    gradients = [
        gradient + weight_decay * variable if weight_decay and decayed(variable) else gradient
        for gradient, variable in zip(gradients, variables, strict=True)
    ]
    if penalty is not None:
        of_penalty = penalty_gradients(penalty, variables)
        gradients = [a + b for a, b in zip(gradients, of_penalty, strict=True)]
    if clip_norm is not None:
        gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
    factors = [multiplier(variable) for variable in variables]
    gradients = [
        gradient if factor == 1 else factor * gradient
        for gradient, factor in zip(gradients, factors, strict=True)
    ]
    optimizer.apply_gradients(
        zip(gradients, variables, strict=True), experimental_aggregate_gradients=False
    )
    return loss


def penalty_gradients(
    penalty: Callable[[], tf.Tensor], variables: Sequence[tf.Variable]
) -> list[tf.Tensor]:
    """Returns the gradients of a loss of variables alone; zeros by what it does not depend on."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        value = penalty()
    gradients: list[tf.Tensor] = tape.gradient(value, variables, unconnected_gradients="zero")
    return gradients


def _nan_if_lost(loss, gradients, loss_scale):
    """Returns a loss, or NaN where no smaller scale can make its gradients finite."""
    is_finite = tf.math.is_finite(tf.linalg.global_norm(gradients))
    return tf.where(is_finite | (loss_scale > 1), loss, np.nan)


def create_slots(
    optimizer: tf_keras.optimizers.legacy.Optimizer, variables: Sequence[tf.Variable]
) -> None:
    """Makes an optimizer's variables now rather than in its first update.

    A function that makes variables is traced twice, which for the supernet takes a minute; and
    what exists can be restored from a checkpoint, and checked, before training goes on.
    """
    # Keras has no public way to do this for its fused optimizers.
    optimizer._create_all_weights(variables)

"""An update of some numbers of a variable, as if they were a variable of their own.

A step of a search by single paths reads a few percent of the supernet's kernels. The others have no
gradient, and they neither decay nor go on with the momentum of the step that last drew them, which
would move them some ten times as far, unseen, while other kernels change below and above them.
Velocity is kept until they are drawn again. Each kernel so has SGD's own sequence of updates over
the steps that it takes part in, as in PyTorch where a parameter without a gradient is left out; and
a step costs what it touches.
"""

import numpy as np
import tensorflow as tf
import tf_keras


def descend_partially(
    optimizer: tf_keras.optimizers.legacy.SGD,
    variable: tf.Variable,
    places: np.ndarray,
    values: tf.Tensor,
    gradient: tf.Tensor,
    weight_decay: float,
) -> None:
    """Updates some numbers of a variable by SGD with momentum and L2 weight decay.

    It leaves `optimizer.iterations` as they are: that is one step for all variables.

    Args:
        optimizer: With the velocities; not Nesterov's form.
        variable: What to update, with a slot of the optimizer's.
        places: Which numbers, int32 [numbers, rank of the variable], each once.
        values: What they are, float32 [numbers].
        gradient: By them, float32 [numbers].
        weight_decay: The decay's factor; `weight_decay * value` joins the gradient.
    """
    velocities = optimizer.get_slot(variable, "momentum")
    rate = optimizer.learning_rate
    if callable(rate):
        rate = rate(optimizer.iterations)
    descent = tf.cast(rate, values.dtype) * (gradient + weight_decay * values)
    change = optimizer.momentum * velocities.gather_nd(places) - descent
    velocities.scatter_nd_update(places, change)
    variable.scatter_nd_update(places, values + change)

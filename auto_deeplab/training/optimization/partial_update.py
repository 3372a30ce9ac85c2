"""An update of some numbers of a variable, as if they were a variable of their own.

A step of a search by single paths reads a few percent of the supernet's kernels. The others have no
gradient, and they neither decay nor go on with the momentum of the step that last drew them, which
would move them some ten times as far, unseen, while other kernels change below and above them. What
an optimizer remembers of them is kept until they are drawn again. So each kernel has the updates of
the optimizer over the steps that it takes part in, as in PyTorch, where a parameter without a
gradient is left out; and a step costs what it touches.
"""

import numpy as np
import tensorflow as tf
from tf_keras.optimizers import legacy


class PartialAdam(legacy.Adam):
    """Adam that `descend_partially` can use: it also counts the updates of each number.

    Adam corrects its two means, which begin at 0, by the number of updates that have entered them.
    """

    def _create_slots(self, var_list):
        super()._create_slots(var_list)
        for variable in var_list:
            self.add_slot(variable, "updates")


def descend_partially(
    optimizer: legacy.SGD | PartialAdam,
    variable: tf.Variable,
    places: np.ndarray,
    values: tf.Tensor,
    gradient: tf.Tensor,
    weight_decay: float,
) -> None:
    """Updates some numbers of a variable, with L2 weight decay.

    It leaves `optimizer.iterations` as they are: that is one step for all variables.

    Args:
        optimizer: With what it remembers: SGD with momentum, not Nesterov's form, or Adam without
            AMSGrad.
        variable: What to update, with slots of the optimizer's.
        places: Which numbers, int32 [numbers, rank of the variable], each once.
        values: What they are, float32 [numbers].
        gradient: By them, float32 [numbers].
        weight_decay: The decay's factor; `weight_decay * value` joins the gradient.
    """
    rate = optimizer.learning_rate
    if callable(rate):
        rate = rate(optimizer.iterations)
    rate = tf.cast(rate, values.dtype)
    gradient = gradient + weight_decay * values

    def moved(slot: str, share: float, towards: tf.Tensor) -> tf.Tensor:
        """Returns what a slot has of the numbers, `share` times what it had plus an addition."""
        kept = optimizer.get_slot(variable, slot)
        new = share * kept.gather_nd(places) + towards
        kept.scatter_nd_update(places, new)
        return new

    if isinstance(optimizer, PartialAdam):
        first, second = optimizer.beta_1, optimizer.beta_2
        mean = moved("m", first, (1 - first) * gradient)
        square = moved("v", second, (1 - second) * gradient**2)
        updates = moved("updates", 1.0, tf.ones_like(values))
        # As Keras has it: epsilon joins before the correction.
        correction = tf.sqrt(1 - second**updates) / (1 - first**updates)
        change = -rate * correction * mean / (tf.sqrt(square) + optimizer.epsilon)
    else:
        change = moved("momentum", optimizer.momentum, -rate * gradient)
    variable.scatter_nd_update(places, values + change)

"""The optimizers that a gin file can name: `Retrain.optimizer = @sgd`, or @Adam, @RMSprop...

TensorFlow Addons' join them with `import auto_deeplab.training.addons_optimizers`.
"""

import gin
import tf_keras
from tf_keras.optimizers import legacy

# The fused updates of the legacy classes are one operation a variable.
for _optimizer in (legacy.Adagrad, legacy.Adam, legacy.Nadam, legacy.RMSprop):
    gin.external_configurable(_optimizer, module="optimizers")


@gin.configurable(denylist=["learning_rate"])
def sgd(
    learning_rate: tf_keras.optimizers.schedules.LearningRateSchedule,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> legacy.SGD:
    """Stochastic gradient descent with the paper's momentum.

    Args:
        learning_rate: the schedule.
        momentum: how much of the last update enters the next.
        nesterov: look ahead, as Nesterov's method does.
    """
    return legacy.SGD(learning_rate, momentum, nesterov)

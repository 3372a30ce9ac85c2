"""The optimizers that a gin file can name: `Retrain.optimizer = @sgd`, or @Adam, @RMSprop...

TensorFlow Addons' join them with `import auto_deeplab.training.addons_optimizers`.
"""

import tf_keras
from tf_keras.mixed_precision import LossScaleOptimizer
from tf_keras.optimizers import legacy

from auto_deeplab.foundations.configurable import (
    Decay,
    GraphName,
    KerasMomentum,
    NotNegative,
    Positive,
    configurable,
    external_configurable,
)
from auto_deeplab.foundations.errors import UserError, argument

# What every optimizer of Keras takes beside its own values.
COMMON = {"name": GraphName, "clipnorm": Positive | None, "clipvalue": Positive | None}
# What the training gives.
GIVEN = ("learning_rate",)

# The fused updates of the legacy classes are one operation a variable.
_MOMENTS = {"beta_1": Decay, "beta_2": Decay, "epsilon": Positive}
for _optimizer, _own in (
    (legacy.Adagrad, {"initial_accumulator_value": NotNegative, "epsilon": Positive}),
    (legacy.Adam, _MOMENTS),
    (legacy.Nadam, _MOMENTS),
    (legacy.RMSprop, {"rho": Decay, "momentum": KerasMomentum, "epsilon": Positive}),
):
    external_configurable(_optimizer, "optimizers", COMMON | _own, GIVEN)


@configurable(denylist=GIVEN)
def sgd(
    learning_rate: tf_keras.optimizers.schedules.LearningRateSchedule,
    momentum: KerasMomentum = 0.9,
    nesterov: bool = False,
) -> legacy.SGD:
    """Stochastic gradient descent with DeepLab's momentum, which is that of the paper's search too.

    Args:
        learning_rate: The schedule.
        momentum: How much of the last update enters the next.
        nesterov: Look ahead, as Nesterov's method does.
    """
    return legacy.SGD(learning_rate, momentum, nesterov)


def with_loss_scale(optimizer: legacy.Optimizer) -> legacy.Optimizer:
    """Returns what scales losses for an optimizer where networks compute in float16, else itself.

    Gradients too small for float16 are zero in it, but those of the loss times a large factor. The
    factor, which checkpoints keep beside the optimizer, halves when gradients are infinite or NaN,
    and their step is left out: it counts among `iterations`, but changes no weight. After 2000
    steps without such gradients it doubles.

    Raises:
        UserError: The distribution strategy has no loss scaling.
    """
    if tf_keras.mixed_precision.global_policy().name != "mixed_float16":
        return optimizer
    try:
        return LossScaleOptimizer(optimizer)
    except ValueError as error:
        raise UserError(
            f"{argument('mixed_precision')}: received 'float16'; expected 'bfloat16': {error}"
        ) from None

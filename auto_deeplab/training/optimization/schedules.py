"""Values that change from step to step.

The learning rates of the paper are cosine (section 5.1) and polynomial (section 5.2). What else a
search changes as it goes on is `Linear`, and reaches its functions by `ScheduledVariables`.
"""

import dataclasses
from collections.abc import Mapping

import tensorflow as tf
import tf_keras


def cosine(
    initial: float, final: float, total_steps: int
) -> tf_keras.optimizers.schedules.LearningRateSchedule:
    """The search's schedule: from `initial` to `final` along half a cosine."""
    return tf_keras.optimizers.schedules.CosineDecay(initial, total_steps, alpha=final / initial)


def polynomial(
    initial: float, total_steps: int, power: float = 0.9, warm_up_steps: int = 0
) -> tf_keras.optimizers.schedules.LearningRateSchedule:
    """Retraining's schedule: `initial * (1 - step / total_steps) ** power`.

    With `warm_up_steps` it is reached on a straight line from 0, at that step.
    """
    schedule = tf_keras.optimizers.schedules.PolynomialDecay(
        initial, total_steps, end_learning_rate=0.0, power=power
    )
    if not warm_up_steps:
        return schedule
    from official.modeling.optimization.lr_schedule import LinearWarmup

    return LinearWarmup(schedule, warm_up_steps, warmup_learning_rate=0.0)


@dataclasses.dataclass(frozen=True)
class Linear:
    """A value that goes on a straight line from one value to another.

    Args:
        initial: The value until `first_step`.
        final: The value from `last_step` on.
        first_step: The last step that has `initial`; the first of all is 0.
        last_step: The first step that has `final`.
    """

    initial: float
    final: float
    first_step: int
    last_step: int

    def __call__(self, step: int) -> float:
        """Returns the value of a step."""
        if step >= self.last_step:
            return self.final
        if step <= self.first_step:
            return self.initial
        share = (step - self.first_step) / (self.last_step - self.first_step)
        return self.initial + (self.final - self.initial) * share


class ScheduledVariables:
    """Variables that have the value of the step when it begins.

    What reads them is not built anew when they change.

    Args:
        schedules: What follows a schedule, by name.
        variables: The variables of these names, and perhaps others.
    """

    def __init__(
        self, schedules: Mapping[str, Linear], variables: Mapping[str, tf.Variable]
    ) -> None:
        self._schedules = dict(schedules)
        self._variables = {name: variables[name] for name in schedules}

    def values(self, step: int) -> dict[str, float]:
        """Returns the values of a step, by name."""
        return {name: schedule(step) for name, schedule in self._schedules.items()}

    def assign(self, finished_steps: tf.Variable) -> None:
        """Sets the variables for the next step; called outside of the replicas.

        Args:
            finished_steps: Counts them; read only if there is anything to set.
        """
        if self._schedules:
            for name, value in self.values(int(finished_steps.numpy())).items():
                self._variables[name].assign(value)

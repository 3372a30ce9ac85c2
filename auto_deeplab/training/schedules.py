"""The learning rate schedules of the paper: cosine (section 5.1), polynomial (section 5.2)."""

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

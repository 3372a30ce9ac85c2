"""An exponential moving average of weights, which is a network of its own."""

import tensorflow as tf
import tf_keras


class WeightAverage(tf.Module):
    """Averages the weights of a network in training; what is evaluated is the average.

    After step n, `average <- d * average + (1 - d) * weight` with `d = min(decay, (1 + n) /
    (10 + n))`, which forgets the initial values soon: the rule of Model Garden's optimizer
    `ExponentialMovingAverage`. That one keeps the averages as slots; here they are the weights of
    a second network, which evaluation and export load as they load any other.

    The moving statistics of batch norm are averaged with the rest: they belong to the weights.

    Args:
        network: The network in training.
        averaged: Another one that was built alike; it becomes a copy of `network` and then its
            average.
        decay: The average's memory, 0 to 1, such as 0.9999.
    """

    def __init__(self, network: tf_keras.Model, averaged: tf_keras.Model, decay: float):
        super().__init__()
        self.network = network
        self.averaged = averaged
        self.decay = decay
        averaged.set_weights(network.get_weights())

    def update(self, step: tf.Tensor) -> None:
        """Moves the average towards the weights as they are after `step` steps (in a replica)."""
        step = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self.decay, (1.0 + step) / (10.0 + step))
        # Variables of several replicas are updated on all of them at once.
        tf.distribute.get_replica_context().merge_call(self._move, args=(share,))

    def _move(self, strategy: tf.distribute.Strategy, share: tf.Tensor) -> None:
        def move(average, weight, share):
            average.assign_sub(share * (average - weight))

        for average, weight in zip(self.averaged.weights, self.network.weights, strict=True):
            strategy.extended.update(average, move, args=(weight, share), group=False)

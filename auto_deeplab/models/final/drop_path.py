"""Scheduled drop path (Zoph et al. 2018, section 4; paper, section 5.2.1)."""

import random
from typing import Any

import tensorflow as tf
import tf_keras

from auto_deeplab.models.final.drawing import for_replica_and_part


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class ScheduledDropPath(tf_keras.layers.Layer):
    """In training, drops a branch's whole output for an image, or scales it up to make up for it.

    An image's branch is kept with probability
    `1 - step_ratio * layer_ratio * (1 - final_keep_prob)` and then divided by that probability, so
    the expectation is the input. At inference the input passes unchanged.

    `step_ratio` is a variable that says how much of the training has passed, 0 to 1; training
    advances it with `set_step_ratio`. It starts at 0, where nothing is dropped. A ratio above 1
    counts as 1.

    What is dropped is a function of the seed, the step ratio, the branch, the replica and the part
    of its batch (see `drawing_for`). So there is no random state to save: a training that goes
    on from a step drops there what it would have dropped. (float32 tells the ratios of 2**24 steps
    apart.)

    Args:
        final_keep_prob: The keep probability of the last layer at the end of training, in (0, 1].
        layer_ratio: The layer's number, counted from 1, divided by the number of layers.
        seed: Of the random numbers; by default one that `tf_keras.utils.set_random_seed`
            determines.
    """

    def __init__(
        self, final_keep_prob: float, layer_ratio: float, seed: int | None = None, **kwargs
    ):
        super().__init__(**kwargs)
        if not 0 < final_keep_prob <= 1:
            raise ValueError(f"final_keep_prob: received {final_keep_prob}; expected (0, 1]")
        if not 0 <= layer_ratio <= 1:
            raise ValueError(f"layer_ratio: received {layer_ratio}; expected [0, 1]")
        self.final_keep_prob = final_keep_prob
        self.layer_ratio = layer_ratio
        self.seed = random.getrandbits(31) if seed is None else seed
        # It is made even where nothing is ever dropped, so that a checkpoint fits the network
        # whatever the keep probability it goes on with.
        self.step_ratio = self.add_weight(
            name="step_ratio",
            shape=(),
            dtype=tf.float32,
            initializer="zeros",
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            # In half precision neighbouring steps would have one ratio.
            experimental_autocast=False,
        )

    def keep_prob(self) -> tf.Tensor:
        """Returns the keep probability at the present step, a float32 scalar."""
        share = tf.minimum(self.step_ratio, 1.0) * self.layer_ratio
        # The same as in the class's text, but never 0 by rounding: survivors are divided by it.
        return (1.0 - share) + share * self.final_keep_prob

    def call(self, features: tf.Tensor, training: bool | None = None, branch: int = 0) -> tf.Tensor:
        """Drops images of a branch's output, float [batch, height, width, channels].

        Branches with other numbers are dropped independently.
        """
        if not training or self.final_keep_prob == 1:
            return features
        keep_prob = self.keep_prob()
        # Uniform values lie in [0, 1): with a keep probability of 1 nothing is dropped.
        uniform = tf.random.stateless_uniform(
            [tf.shape(features)[0], 1, 1, 1], self._seed_of_draw(branch)
        )
        kept = uniform < keep_prob
        return features * tf.cast(tf.cast(kept, tf.float32) / keep_prob, features.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as JSON values."""
        return super().get_config() | {
            "final_keep_prob": self.final_keep_prob,
            "layer_ratio": self.layer_ratio,
            "seed": self.seed,
        }

    def _seed_of_draw(self, branch: int) -> tf.Tensor:
        seed = tf.stack([self.seed, tf.bitcast(tf.identity(self.step_ratio), tf.int32)])
        return tf.random.fold_in(for_replica_and_part(seed), branch)


def set_step_ratio(network: tf.Module, step_ratio: float | tf.Tensor) -> None:
    """Tells every `ScheduledDropPath` of a network how much of the training has passed.

    Args:
        network: A Keras model or any module that holds the layers.
        step_ratio: The present step divided by the number of steps.
    """
    for module in network.submodules:
        if isinstance(module, ScheduledDropPath):
            module.step_ratio.assign(step_ratio)

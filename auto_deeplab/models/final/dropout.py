"""Dropout without a random state (Srivastava et al. 2014)."""

import random
from typing import Any

import tensorflow as tf
import tf_keras

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.drawing import for_replica_and_part, present_draw


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class StatelessDropout(tf_keras.layers.Layer):
    """In training, sets values to 0 with probability `rate` and scales up the others to make up.

    Maps any floating-point tensor to one of its shape and dtype. At inference it is the identity.

    What is dropped is a function of the seed, the replica, and the step and the part of the batch
    that `drawing_for` names: a call in training is made within it. So a training that goes on from
    a step drops there what it would have dropped, which Keras' `Dropout` does not: it draws from a
    generator. There is no variable either, so that the checkpoints of networks with and without
    dropout fit each other.

    Args:
        rate: The share of values that are dropped, in [0, 1).
        seed: Of the random numbers; by default one that `tf_keras.utils.set_random_seed`
            determines.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate: received {rate}; expected [0, 1)")
        self.rate = rate
        self.seed = random.getrandbits(31) if seed is None else seed

    def call(self, features: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Drops values; the class describes the shapes.

        Raises:
            UserError: A call in training does not say for which step.
        """
        if not training or self.rate == 0:
            return features
        draw = present_draw()
        if draw is None:
            raise UserError(
                f"{self.name}: received a call in training that names no step; expected "
                "drawing_for(step) of auto_deeplab.models.final.drawing around it, or a rate of 0"
            )
        seed = tf.stack([self.seed, tf.cast(draw.step, tf.int32)])
        return tf.nn.experimental.stateless_dropout(
            features, self.rate, seed=for_replica_and_part(seed)
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as JSON values."""
        return super().get_config() | {"rate": self.rate, "seed": self.seed}

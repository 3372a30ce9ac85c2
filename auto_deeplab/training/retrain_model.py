"""Retraining of a found network as a Keras model (paper, section 5)."""

import tensorflow as tf
import tf_keras

from auto_deeplab.models.drop_path import set_step_ratio
from auto_deeplab.training.loss import cross_entropy
from auto_deeplab.training.update import update


class RetrainModel(tf_keras.Model):
    """Trains a final network; `fit` takes a dataset of (images, labels).

    Args:
        network: images, float32 [batch, height, width, 3], normalized -> logits.
        total_steps: the steps of the whole training, which the drop path's schedule spans.
        ignore_label: the label of pixels that do not count.
        weight_decay: L2 weight decay of the convolutions' kernels.
    """

    def __init__(
        self,
        network: tf_keras.Model,
        total_steps: int,
        ignore_label: int = 255,
        weight_decay: float = 4e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.network = network
        self.total_steps = total_steps
        self.ignore_label = ignore_label
        self.weight_decay = weight_decay
        # `update` returns the loss of the global batch on every replica; Keras would add them up.
        self.distribute_reduction_method = "first"

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Normalized images [batch, height, width, 3] -> logits [batch, height, width, classes]."""
        return self.network(images, training=training)

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Updates the network on images, float32 [batch, height, width, 3], normalized, and
        labels, int32 [batch, height, width]; returns the "loss"."""
        images, labels = data
        done = tf.cast(self.optimizer.iterations, tf.float32) / self.total_steps
        set_step_ratio(self.network, tf.minimum(done, 1.0))

        def loss():
            return cross_entropy(labels, self.network(images, training=True), self.ignore_label)

        return {
            "loss": update(
                loss,
                self.network.trainable_variables,
                self.optimizer,
                self.weight_decay,
                decayed=lambda variable: "kernel" in variable.name,
            )
        }

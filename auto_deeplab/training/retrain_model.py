"""Retraining of a found network as a Keras model (paper, section 5.2)."""

import tensorflow as tf
import tf_keras

from auto_deeplab.models.final.decoder import classifier_variables
from auto_deeplab.models.final.drawing import drawing_for
from auto_deeplab.models.final.drop_path import set_step_ratio
from auto_deeplab.models.layer_calls import convolution_kernels
from auto_deeplab.training.optimization.accumulation import part_of
from auto_deeplab.training.optimization.loss import counted_pixels, cross_entropy
from auto_deeplab.training.optimization.update import update
from auto_deeplab.training.optimization.weight_average import WeightAverage


class RetrainModel(tf_keras.Model):
    """Trains a final network; `fit` takes a dataset of (images, labels).

    Args:
        network: Images, float32 [batch, height, width, 3], normalized -> logits.
        total_steps: The steps of the whole training, which the drop path's schedule spans.
        ignore_label: The label of pixels that do not count.
        weight_decay: L2 weight decay of the convolutions' kernels.
        label_smoothing: See `loss.cross_entropy`.
        hard_pixel_share: See `loss.cross_entropy`.
        gradient_clip_norm: The largest norm of all gradients together; None for any.
        last_layer_multiplier: Of the learning rate of the classifier, with SGD.
        average: Of the network's weights; what the model predicts with.
        gradient_accumulation_steps: How many parts of a replica's batch are computed one after the
            other, for one update. Each is normalized with its own statistics.
    """

    def __init__(
        self,
        network: tf_keras.Model,
        total_steps: int,
        ignore_label: int = 255,
        weight_decay: float = 4e-5,
        label_smoothing: float = 0.0,
        hard_pixel_share: float = 1.0,
        gradient_clip_norm: float | None = None,
        last_layer_multiplier: float = 1.0,
        average: WeightAverage | None = None,
        gradient_accumulation_steps: int = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.network = network
        self.total_steps = total_steps
        self.ignore_label = ignore_label
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.hard_pixel_share = hard_pixel_share
        self.gradient_clip_norm = gradient_clip_norm
        self.last_layer_multiplier = last_layer_multiplier
        self.average = average
        self.gradient_accumulation_steps = gradient_accumulation_steps
        # `update` returns the loss of the global batch on every replica; Keras would add them up.
        self.distribute_reduction_method = "first"

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Normalized images [batch, height, width, 3] -> logits [batch, height, width, classes]."""
        network = self.average.averaged if self.average else self.network
        return network(images, training=training)

    # There is nothing to convert, and converting the layers takes as long as tracing them.
    @tf.autograph.experimental.do_not_convert
    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Updates the network.

        Args:
            data: Normalized images, float32 [batch, height, width, 3], and labels, int32 [batch,
                height, width].

        Returns:
            The "loss", a float32 scalar.
        """
        done = tf.cast(self.optimizer.iterations, tf.float32) / self.total_steps
        set_step_ratio(self.network, done)
        parts = self.gradient_accumulation_steps
        pixels = counted_pixels(data[1], self.ignore_label, self.hard_pixel_share, parts)

        def loss(part):
            images, labels = part_of(data, part, parts)
            with drawing_for(self.optimizer.iterations, part):
                logits = self.network(images, training=True)
            return cross_entropy(
                labels,
                logits,
                self.ignore_label,
                self.label_smoothing,
                self.hard_pixel_share,
                pixels,
            )

        kernels = {kernel.ref() for kernel in convolution_kernels(self.network)}
        last_layer = set()
        if self.last_layer_multiplier != 1:
            last_layer = {variable.ref() for variable in classifier_variables(self.network)}
        loss_before = update(
            loss,
            self.network.trainable_variables,
            self.optimizer,
            self.weight_decay,
            decayed=lambda variable: variable.ref() in kernels,
            clip_norm=self.gradient_clip_norm,
            multiplier=lambda variable: (
                self.last_layer_multiplier if variable.ref() in last_layer else 1.0
            ),
            parts=parts,
        )
        if self.average:
            self.average.update(self.optimizer.iterations)
        return {"loss": loss_before}

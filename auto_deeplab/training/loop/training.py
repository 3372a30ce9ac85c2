"""What the loop trains: all in which a search and a retraining differ."""

import abc
import functools
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras

from auto_deeplab.evaluation.inference import Predict, ReplicatedPrediction


class Training(abc.ABC):
    """A model under way, with its batches, its learning rates and its losses.

    It is made in the scope of the distribution strategy.

    Args:
        model: A compiled Keras model.
        tracked: What a checkpoint holds: "model", which evaluation and export load, "optimizer",
            which counts the steps, and others.
        total_steps: The number of steps of the whole training.
        steps_per_epoch: The number of steps of an epoch; the last one may be shorter.
        synchronized: Whether the replicas share batch norm's statistics.
    """

    def __init__(
        self,
        model: tf_keras.Model,
        tracked: Mapping[str, Any],
        total_steps: int,
        steps_per_epoch: int,
        synchronized: bool,
    ) -> None:
        self.model = model
        self.tracked = tracked
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch
        self.synchronized = synchronized

    @property
    def strategy(self) -> tf.distribute.Strategy:
        """What the replicas run under."""
        return self.model.distribute_strategy

    @property
    def epochs(self) -> int:
        """The number of epochs, the last one included if it is shorter."""
        return -(-self.total_steps // self.steps_per_epoch)

    def batches(self, first_step: int, steps: int) -> tf.distribute.DistributedDataset:
        """Returns the stream of the steps' batches, which the replicas divide."""
        return self.strategy.distribute_datasets_from_function(
            lambda context: self.pipeline(first_step, steps, context)
        )

    @functools.cached_property
    def image_size(self) -> tuple[int, int]:
        """The height and width of the images of a batch, in pixels.

        Asking for it builds an input pipeline, with all that gin configures of one.
        """
        images, *_ = tf.nest.flatten(self.pipeline(0, 1, tf.distribute.InputContext()).element_spec)
        height, width = images.shape[1:3]
        return height, width

    @abc.abstractmethod
    def pipeline(
        self, first_step: int, steps: int, context: tf.distribute.InputContext
    ) -> tf.data.Dataset:
        """Returns the part of the steps' batches that one input pipeline reads."""

    def prediction(self) -> Predict:
        """Returns what is validated after an epoch: the network as it has been trained so far."""
        return ReplicatedPrediction(self.model)

    def further_predictions(self) -> dict[str, Predict]:
        """Returns what else is validated, by what stands before the names of its measures."""
        return {}

    @abc.abstractmethod
    def learning_rates(self, step: int) -> dict[str, float]:
        """Returns the learning rates by name, for the logs."""

    @abc.abstractmethod
    def loss(self, batch: Any, name: str) -> tf.Tensor:
        """Returns a replica's part of a loss of the network in training, without an update.

        It is asked for when that loss was NaN or infinite.

        Args:
            batch: The replica's part of a batch.
            name: The loss's name in the logs.
        """

    def epoch_figures(self) -> dict[str, float]:
        """Returns what else to note of an epoch, by name, for metrics, logs and progress line."""
        return {}

    def step_figures(self) -> dict[str, str]:
        """Returns what the progress bar shows beside the losses, by name, as of now.

        It is asked for every few seconds.
        """
        return {}

    def on_epoch_end(self, epoch: int, step: int) -> None:  # noqa: B027 (not all keep more)
        """Keeps what the logs do not; the first worker alone calls it.

        It comes after the metrics are written and before the checkpoint says so. Its `tf.summary`
        calls write to TensorBoard's logs.

        Args:
            epoch: Counted from 1.
            step: The number of finished steps.
        """

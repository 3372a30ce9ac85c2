"""Saving a training and going on from where it was."""

import time

import tensorflow as tf
import tf_keras

from auto_deeplab.errors import UserError
from auto_deeplab.training.model_dir import ModelDir

KEPT = 3

# What TensorFlow raises for a checkpoint of another model, or (IndexError) for a torn file.
_MISFITS = (AssertionError, IndexError, ValueError, tf.errors.OpError)


class Checkpoints(tf_keras.callbacks.Callback):
    """Saves weights and optimizers at the end of each epoch, and in between every few minutes.

    The number of finished steps is the optimizer's `iterations`; with it the input position and
    every random number of the pipeline are known.

    Args:
        model_dir: where to save.
        every_seconds: how much work an interruption may cost at the most.
        tracked: the model and the optimizers; the one called `optimizer` counts the steps.
    """

    def __init__(self, model_dir: ModelDir, every_seconds: float, **tracked):
        super().__init__()
        self._steps = tracked["optimizer"].iterations
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(**tracked),
            str(model_dir.checkpoints),
            max_to_keep=KEPT,
            checkpoint_name="step",
        )
        self._every_seconds = every_seconds
        self._saved_at = time.monotonic()
        self._saved_step = None

    def restore(self) -> int:
        """Loads the newest checkpoint, if there is one; returns the number of finished steps."""
        newest = self._manager.latest_checkpoint
        if newest is None:
            return 0
        try:
            self._manager.checkpoint.restore(newest).assert_existing_objects_matched()
        except _MISFITS as error:
            raise UserError(
                f"{newest}: does not fit the model that is configured: {error}"
            ) from None
        self._saved_step = self.finished_steps
        return self.finished_steps

    @property
    def finished_steps(self) -> int:
        """How many updates of the weights have been made."""
        return int(self._steps.numpy())

    def save(self) -> None:
        """Saves, unless this step is saved already."""
        step = self.finished_steps
        if step != self._saved_step:
            self._manager.save(checkpoint_number=step)
            self._saved_step = step
        self._saved_at = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Saves when the last checkpoint is old enough.

        The last step of an epoch is saved by whoever writes the epoch's results, after them: a run
        that goes on from it would not write them any more.
        """
        is_last = batch + 1 == self.params["steps"]
        if not is_last and time.monotonic() - self._saved_at > self._every_seconds:
            self.save()


def load_weights(model: tf_keras.Model, model_dir: ModelDir) -> int:
    """Loads a trained model's weights alone; returns the step that they are from.

    Raises:
        UserError: there is no checkpoint, or it does not fit the model.
    """
    newest = tf.train.latest_checkpoint(str(model_dir.checkpoints))
    if newest is None:
        raise UserError(
            f"{model_dir.checkpoints}: holds no checkpoint; expected the --model_dir of a training "
            "that has saved at least one"
        )
    try:
        checkpoint = tf.train.Checkpoint(model=model)
        checkpoint.restore(newest).assert_existing_objects_matched().expect_partial()
    except _MISFITS as error:
        raise UserError(f"{newest}: does not fit the model that is configured: {error}") from None
    return int(newest.rsplit("-", 1)[1])

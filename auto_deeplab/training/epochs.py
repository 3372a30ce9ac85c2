"""The loop over epochs that search and retraining share: fit, validate, log, save, continue."""

import dataclasses
import time
from collections.abc import Callable

import tensorflow as tf
import tf_keras

from auto_deeplab.data.pipeline import evaluation_batches
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.evaluation.inference import class_map_function, evaluate
from auto_deeplab.training.checkpoints import Checkpoints
from auto_deeplab.training.model_dir import ModelDir
from auto_deeplab.training.progress import ProgressBar
from auto_deeplab.training.runtime import device_names


@dataclasses.dataclass(frozen=True)
class Validation:
    """What to measure after an epoch.

    Args:
        records: the validation split.
        batch_size: images predicted at a time.
        limit: how many images; all of them by default.
        every: measure after each this many epochs, and after the last.
    """

    records: SegmentationRecords
    batch_size: int
    limit: int | None
    every: int

    def measure(self, predict: Callable[[tf.Tensor], tf.Tensor]) -> dict[str, float]:
        """Returns "val_mean_iou" and "val_pixel_accuracy" of class maps made by `predict`."""
        description = self.records.description
        matrix = evaluate(
            predict,
            evaluation_batches(self.records, self.batch_size, self.limit),
            len(description.classes),
            description.ignore_label,
            progress=False,
        )
        return {
            "val_mean_iou": matrix.mean_iou,
            "val_pixel_accuracy": matrix.pixel_accuracy,
        }


def run_epochs(
    model: tf_keras.Model,
    batches: Callable[[int], tf.data.Dataset],
    total_steps: int,
    steps_per_epoch: int,
    model_dir: ModelDir,
    checkpoints: Checkpoints,
    validation: Validation,
    learning_rates: Callable[[int], dict[str, float]],
    on_epoch_end: Callable[[int, int], None] = lambda epoch, step: None,
    log_every_steps: int = 10,
) -> bool:
    """Trains to the end, going on from the newest checkpoint.

    Args:
        model: a compiled Keras model.
        batches: first step -> the stream of batches from that step on, endless.
        total_steps: the number of steps of the whole training.
        steps_per_epoch: the number of steps of an epoch; the last one may be shorter.
        model_dir: where to write.
        checkpoints: saves and restores.
        validation: what to measure after each epoch.
        learning_rates: step -> learning rates by name, for the logs.
        on_epoch_end: called with the epoch (counted from 1) and the number of finished steps,
            after the metrics are written and before the checkpoint is; its `tf.summary` calls
            write to TensorBoard's logs.
        log_every_steps: TensorBoard gets the losses of each this many steps.

    Returns:
        Whether there was anything left to do.
    """
    epochs = -(-total_steps // steps_per_epoch)
    step = checkpoints.restore()
    if step >= total_steps:
        return False
    model_dir.append_session(step, device_names())
    progress = ProgressBar(total_steps, step, epochs)
    if step:
        progress.write(f"continuing after step {step} of {total_steps}")
    predict = class_map_function(model)
    writer = tf.summary.create_file_writer(str(model_dir.tensorboard))
    try:
        while step < total_steps:
            epoch = step // steps_per_epoch
            steps = min((epoch + 1) * steps_per_epoch, total_steps) - step
            started = time.monotonic()
            step_log = StepLog(writer, step, log_every_steps, learning_rates)
            model.fit(
                batches(step).take(steps),
                steps_per_epoch=steps,
                epochs=epoch + 1,
                initial_epoch=epoch,
                callbacks=[progress, step_log, checkpoints],
                verbose=0,
            )
            trained = time.monotonic()
            step = checkpoints.finished_steps
            values = step_log.means() | learning_rates(step - 1)
            if (epoch + 1) % validation.every == 0 or step == total_steps:
                values |= validation.measure(predict)
            values["seconds_per_step"] = (trained - started) / steps
            values["validation_seconds"] = time.monotonic() - trained
            _write_scalars(writer, values, step)
            model_dir.append_metrics({"epoch": epoch + 1, "step": step, **values})
            with writer.as_default(step=step):
                on_epoch_end(epoch + 1, step)
            checkpoints.save()
            progress.write(
                f"epoch {epoch + 1}/{epochs}: "
                + ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            )
    finally:
        progress.close()
        writer.close()
    return True


class StepLog(tf_keras.callbacks.Callback):
    """Averages the losses of an epoch, and writes those of every few steps to TensorBoard.

    Args:
        writer: where to write.
        step: the number of steps finished before.
        every: write each this many steps.
        learning_rates: step -> learning rates by name.
    """

    def __init__(
        self,
        writer: tf.summary.SummaryWriter,
        step: int,
        every: int,
        learning_rates: Callable[[int], dict[str, float]],
    ):
        super().__init__()
        self._writer, self._step, self._every = writer, step, every
        self._learning_rates = learning_rates
        self._losses: list[dict[str, float]] = []

    def on_train_batch_end(self, batch, logs=None):
        """Keeps the losses and writes them when it is time."""
        losses = {name: float(value) for name, value in logs.items()}
        self._losses.append(losses)
        step = self._step + batch + 1
        if step % self._every == 0:
            values = {f"step/{name}": value for name, value in losses.items()}
            _write_scalars(self._writer, values | self._learning_rates(step - 1), step)

    def means(self) -> dict[str, float]:
        """Returns the mean of each loss since the training began or went on."""
        return {
            name: sum(losses[name] for losses in self._losses) / len(self._losses)
            for name in self._losses[0]
        }


def _write_scalars(writer, values, step):
    with writer.as_default(step=step):
        for name, value in values.items():
            tf.summary.scalar(name, value)

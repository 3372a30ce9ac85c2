"""The loop over epochs that search and retraining share: fit, validate, log, save, continue."""

import dataclasses
import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from absl import logging

from auto_deeplab.data.pipeline import evaluation_batches
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.distribution.workers import Workers
from auto_deeplab.evaluation.inference import Predict, ReplicatedPrediction, evaluate
from auto_deeplab.foundations.errors import TRY_AGAIN_STATUS, UserError
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.checkpoints.checkpoints import Checkpoints, NotFiniteError
from auto_deeplab.training.checkpoints.files import SCORE
from auto_deeplab.training.loop.divergence import largest_gradients
from auto_deeplab.training.loop.preemption import Preemption, watching_for_preemption
from auto_deeplab.training.loop.progress import ProgressBar
from auto_deeplab.training.runtime import device_names


@dataclasses.dataclass(frozen=True)
class Validation:
    """What to measure after an epoch.

    Args:
        records: The validation split.
        batch_size: Images predicted at a time.
        limit: How many images; all of them by default.
        every: Measure after each this many epochs, and after the last.
    """

    records: SegmentationRecords
    batch_size: int
    limit: int | None
    every: int

    def measure(self, predict: Predict, workers: Workers) -> dict[str, float | None]:
        """Returns "val_mean_iou" and "val_pixel_accuracy" of class maps made by `predict`.

        They are None, with a warning, where no label of the images counts. Each of the workers
        predicts its share of the images.
        """
        description = self.records.description
        matrix = evaluate(
            predict,
            evaluation_batches(self.records, self.batch_size, self.limit, workers.input_context()),
            len(description.classes),
            description.ignore_label,
            progress=False,
            at_a_time=workers.replicas,
        )
        matrix.counts = workers.sum(matrix.counts)
        if not matrix.counts.any():
            if workers.is_chief:
                logging.warning(
                    "%s: no pixel of the validation images has a label that counts (%d is "
                    "ignored): val_mean_iou and val_pixel_accuracy are null",
                    description.name,
                    description.ignore_label,
                )
            return {SCORE: None, "val_pixel_accuracy": None}
        return {
            SCORE: matrix.mean_iou,
            "val_pixel_accuracy": matrix.pixel_accuracy,
        }


# The first step, and how many -> the stream of their batches, which the replicas divide.
Batches = Callable[[int, int], tf.data.Dataset | tf.distribute.DistributedDataset]


def run_epochs(
    model: tf_keras.Model,
    batches: Batches,
    total_steps: int,
    steps_per_epoch: int,
    model_dir: ModelDir,
    checkpoints: Checkpoints,
    validation: Validation,
    learning_rates: Callable[[int], dict[str, float]],
    compute_loss: Callable[[Any, str], tf.Tensor],
    on_epoch_end: Callable[[int, int], None] = lambda epoch, step: None,
    log_every_steps: int = 10,
) -> bool:
    """Trains to the end, going on from the newest checkpoint that is whole.

    A checkpoint is saved before the first step, within an epoch when the last one is old enough,
    and after an epoch's last step, before the validation: that one is a training to be continued
    with the validation, until its notes say how that ended.

    Several workers go through it together; only the first one writes and shows progress.

    Args:
        model: A compiled Keras model, made in the scope of the distribution strategy.
        batches: The steps' batches.
        total_steps: The number of steps of the whole training.
        steps_per_epoch: The number of steps of an epoch; the last one may be shorter.
        model_dir: Where to write.
        checkpoints: Saves and restores.
        validation: What to measure after each epoch.
        learning_rates: step -> learning rates by name, for the logs.
        compute_loss: A replica's part of a batch and a loss's name in the logs -> the replica's
            part of that loss of the network in training, without an update. It is asked for when
            the loss was NaN or infinite.
        on_epoch_end: Called with the epoch (counted from 1) and the number of finished steps,
            after the metrics are written and before the checkpoint says so; its `tf.summary`
            calls write to TensorBoard's logs.
        log_every_steps: TensorBoard gets the losses of each this many steps.

    Returns:
        Whether there was anything left to do.

    Raises:
        UserError: A loss or a weight is NaN or infinite; or it cannot be saved.
        SystemExit: SIGTERM came, to some worker. What was finished is saved; the status is
            `TRY_AGAIN_STATUS`.
    """
    strategy = model.distribute_strategy
    workers = Workers(strategy)
    epochs = -(-total_steps // steps_per_epoch)
    notes = checkpoints.restore()
    step = checkpoints.finished_steps
    part = notes.get("epoch")
    if step >= total_steps and part is None:
        return False
    progress = ProgressBar(total_steps, step, epochs, is_shown=workers.is_chief)
    if step:
        progress.write(f"continuing after step {step} of {total_steps}")
    predict = ReplicatedPrediction(model)
    if workers.is_chief:
        model_dir.append_session(step, device_names(), strategy.num_replicas_in_sync)
        writer = tf.summary.create_file_writer(str(model_dir.tensorboard))
    else:
        writer = tf.summary.create_noop_writer()
    log = StepLog(writer, step, log_every_steps, learning_rates, part)
    try:
        with watching_for_preemption() as preemption:

            def end() -> None:
                checkpoints.wait()
                progress.write(
                    f"SIGTERM: saved after step {checkpoints.finished_steps} of {total_steps}; "
                    "the same command continues",
                    always=True,
                )
                raise SystemExit(TRY_AGAIN_STATUS)

            def predict_unless_requested(batches: Sequence[tf.Tensor]) -> list[np.ndarray]:
                # Everything is saved. Other workers, which do not stop to agree, miss this one.
                if preemption.requested:
                    end()
                return predict(batches)

            end_of_step = EndOfStep(checkpoints, log, preemption, workers, end)
            # One that was restored has its notes, among them how its validation ended.
            if not step:
                checkpoints.save()
            while log.first_step < total_steps:
                epoch = log.first_step // steps_per_epoch
                steps = min((epoch + 1) * steps_per_epoch, total_steps) - step
                if steps:
                    model.fit(
                        batches(step, steps),
                        steps_per_epoch=steps,
                        epochs=epoch + 1,
                        initial_epoch=epoch,
                        callbacks=[progress, log, end_of_step],
                        verbose=0,
                    )
                    step = checkpoints.finished_steps
                    checkpoints.save(log.notes())
                values: dict[str, float | None] = {**log.means(), **learning_rates(step - 1)}
                started, measures = time.monotonic(), {}
                if (epoch + 1) % validation.every == 0 or step == total_steps:
                    measures = validation.measure(predict_unless_requested, workers)
                values |= measures
                values["seconds_per_step"] = log.seconds_per_step
                values["validation_seconds"] = time.monotonic() - started
                if workers.is_chief:
                    _write_scalars(writer, values, step)
                    model_dir.append_metrics({"epoch": epoch + 1, "step": step, **values})
                    with writer.as_default(step=step):
                        on_epoch_end(epoch + 1, step)
                log.begin_epoch()
                # What an epoch leaves, such as its input pipeline with full buffers, refers to
                # itself: Python would free it many epochs later.
                gc.collect()
                checkpoints.save({SCORE: measures[SCORE]} if measures else {})
                progress.write(
                    f"epoch {epoch + 1}/{epochs}: "
                    + ", ".join(
                        f"{name} " + ("does not exist" if value is None else f"{value:.4g}")
                        for name, value in values.items()
                    )
                )
            checkpoints.wait()
    except NotFiniteError as error:
        progress.write(f"{error}; looking at the gradients")
        raise UserError(
            _explain_divergence(error, batches, checkpoints, compute_loss, strategy)
        ) from None
    finally:
        progress.close()
        writer.close()
    return True


class EndOfStep(tf_keras.callbacks.Callback):
    """Saves when it is time, and ends when that is asked for.

    The last step of an epoch is left to whoever finishes the epoch.

    Args:
        checkpoints: Where to save.
        log: What has been noted of the epoch.
        preemption: Whether to end.
        workers: Who has to agree on both: a save is made by all together.
        end: Ends the process, when everything is saved.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        log: "StepLog",
        preemption: Preemption,
        workers: Workers,
        end: Callable[[], None],
    ):
        super().__init__()
        self._checkpoints, self._log = checkpoints, log
        self._preemption, self._workers, self._end = preemption, workers, end

    def on_train_batch_end(self, batch, logs=None):
        """Looks what is to be done."""
        self._checkpoints.check()
        requested, due = self._workers.any([self._preemption.requested, self._checkpoints.is_due])
        if requested:
            self._checkpoints.save(self._log.notes())
            self._end()
        if due and batch + 1 < self.params["steps"]:
            self._checkpoints.save(self._log.notes())


class StepLog(tf_keras.callbacks.Callback):
    """Averages the losses of an epoch, and writes those of every few steps to TensorBoard.

    Args:
        writer: Where to write.
        step: The number of steps finished before.
        every: Write each this many steps.
        learning_rates: step -> learning rates by name.
        epoch: What `notes` returned of a part of an epoch, to go on with it.

    Attributes:
        first_step: The number of steps finished before the epoch.
    """

    def __init__(
        self,
        writer: tf.summary.SummaryWriter,
        step: int,
        every: int,
        learning_rates: Callable[[int], dict[str, float]],
        epoch: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self._writer, self._step, self._every = writer, step, every
        self._learning_rates = learning_rates
        self._sums: dict[str, float]
        self.begin_epoch()
        if epoch:
            self.first_step = step - epoch["steps"]
            self._sums, self._seconds = dict(epoch["sums"]), epoch["seconds"]

    def begin_epoch(self) -> None:
        """Forgets the losses: the next step is the first of an epoch."""
        self.first_step = self._step
        self._sums = {}
        self._seconds = 0.0

    def notes(self) -> dict[str, Any]:
        """Returns what a checkpoint has to keep of the epoch so far."""
        if not self._steps:
            return {}
        return {"epoch": {"steps": self._steps, "sums": dict(self._sums), "seconds": self._seconds}}

    def on_train_begin(self, logs=None):
        """Starts the clock."""
        self._clock = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Adds the losses, checks them, and writes them when it is time."""
        losses = {name: float(value) for name, value in logs.items()}
        self._step += 1
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise NotFiniteError(f"step {self._step}: {name} is {loss}", name)
            self._sums[name] = self._sums.get(name, 0.0) + loss
        clock = time.monotonic()
        self._seconds += clock - self._clock
        self._clock = clock
        if self._step % self._every == 0:
            values = {f"step/{name}": value for name, value in losses.items()}
            _write_scalars(self._writer, values | self._learning_rates(self._step - 1), self._step)

    def means(self) -> dict[str, float]:
        """Returns the mean of each loss over the epoch so far."""
        return {name: total / self._steps for name, total in self._sums.items()}

    @property
    def seconds_per_step(self) -> float:
        """The mean time of a step of the epoch, with everything between steps."""
        return self._seconds / self._steps

    @property
    def _steps(self) -> int:
        return self._step - self.first_step


def _explain_divergence(
    error: NotFiniteError,
    batches: Batches,
    checkpoints: Checkpoints,
    compute_loss: Callable[[Any, str], tf.Tensor],
    strategy: tf.distribute.Strategy,
) -> str:
    """Goes back to the last good weights, and tells what the step's batch does to them."""
    step = checkpoints.finished_steps
    batch = next(iter(batches(step - 1, 1)))
    checkpoints.restore()
    kept = checkpoints.finished_steps
    gradients = largest_gradients(lambda part: compute_loss(part, error.loss), batch, strategy)
    return (
        f"{error}\nThe checkpoint of step {kept} is kept. With its weights, the largest gradients "
        f"of the batch of step {step} are those of\n"
        + "\n".join(f"  {layer}: {norm:.4g}" for layer, norm in gradients)
        + "\nA smaller learning rate, or a warm-up, helps against gradients that grow; look at the "
        "images if they are large from the start. The same command goes on from step "
        f"{kept}; other values need another --model_dir"
    )


def _write_scalars(writer, values, step):
    with writer.as_default(step=step):
        for name, value in values.items():
            if value is not None:
                tf.summary.scalar(name, value)

"""The loop over epochs that search and retraining share: fit, validate, log, save, continue."""

import dataclasses
import functools
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
from auto_deeplab.evaluation.inference import Predict, evaluate
from auto_deeplab.foundations.amounts import figure_text
from auto_deeplab.foundations.errors import TRY_AGAIN_STATUS, argument
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.checkpoints.checkpoints import Checkpoints, NotFiniteError
from auto_deeplab.training.checkpoints.files import SCORE
from auto_deeplab.training.loop.divergence import DivergedError, largest_gradients
from auto_deeplab.training.loop.preemption import Preemption, watching_for_preemption
from auto_deeplab.training.loop.progress import ProgressBar
from auto_deeplab.training.loop.training import Training
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

    def measure(
        self, predict: Predict, workers: Workers, prefix: str = "val_"
    ) -> dict[str, float | None]:
        """Returns "val_mean_iou" and "val_pixel_accuracy" of class maps made by `predict`.

        They are None, with a warning, where no label of the images counts. Each of the workers
        predicts its share of the images.

        Args:
            predict: Makes the class maps.
            workers: Who predicts.
            prefix: What stands before "mean_iou" and "pixel_accuracy" in the names.
        """
        mean_iou, pixel_accuracy = f"{prefix}mean_iou", f"{prefix}pixel_accuracy"
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
                    "ignored): %s and %s are null",
                    description.name,
                    description.ignore_label,
                    mean_iou,
                    pixel_accuracy,
                )
            return {mean_iou: None, pixel_accuracy: None}
        return {mean_iou: matrix.mean_iou, pixel_accuracy: matrix.pixel_accuracy}


def train_to_end(
    training: Training, model_dir: ModelDir, checkpoints: Checkpoints, validation: Validation
) -> bool:
    """Trains to the end, going on from the newest checkpoint that is whole.

    Several workers go through it together; only the first one writes and shows progress.

    Args:
        training: What to train.
        model_dir: Where to write.
        checkpoints: Saves and restores.
        validation: What to measure after each epoch.

    Returns:
        Whether there was anything left to do.

    Raises:
        DivergedError: A loss or a weight is NaN or infinite.
        UserError: It cannot be saved.
        SystemExit: SIGTERM came, to some worker. What was finished is saved; the status is
            `TRY_AGAIN_STATUS`.
    """
    epoch_so_far = checkpoints.restore().get("epoch")
    if checkpoints.finished_steps >= training.total_steps and epoch_so_far is None:
        return False
    loop = TrainingLoop(training, model_dir, checkpoints, validation, epoch_so_far)
    try:
        with watching_for_preemption() as preemption:
            loop.run(preemption)
    except NotFiniteError as error:
        raise DivergedError(loop.explain_divergence(error)) from None
    finally:
        loop.close()
    return True


class TrainingLoop:
    """The epochs that are left: fit, save, validate, log, save how it went.

    A checkpoint is saved before the first step, within an epoch when the last one is old enough,
    and after an epoch's last step, before the validation: that one is a training to be continued
    with the validation, until its notes say how that ended.

    Args:
        training: What to train.
        model_dir: Where to write.
        checkpoints: Saves and restores; the newest one is restored.
        validation: What to measure after each epoch.
        epoch_so_far: What the restored checkpoint notes of a part of an epoch.
        log_every_steps: TensorBoard gets the losses of each this many steps.
    """

    def __init__(
        self,
        training: Training,
        model_dir: ModelDir,
        checkpoints: Checkpoints,
        validation: Validation,
        epoch_so_far: Mapping[str, Any] | None = None,
        log_every_steps: int = 10,
    ) -> None:
        self._training, self._model_dir = training, model_dir
        self._checkpoints, self._validation = checkpoints, validation
        self._workers = Workers(training.strategy)
        self._predictions = {"val_": training.prediction(), **training.further_predictions()}
        self._progress = ProgressBar(
            training.total_steps,
            self._step,
            training.epochs,
            is_shown=self._workers.is_chief,
            figures=training.step_figures,
        )
        self._writer = (
            tf.summary.create_file_writer(str(model_dir.tensorboard))
            if self._workers.is_chief
            else tf.summary.create_noop_writer()
        )
        self._log = StepLog(
            self._writer, self._step, log_every_steps, training.learning_rates, epoch_so_far
        )

    @property
    def _step(self) -> int:
        """The number of finished steps."""
        return self._checkpoints.finished_steps

    def run(self, preemption: Preemption) -> None:
        """Trains to the end.

        Args:
            preemption: Whether to end before, when everything is saved.

        Raises:
            NotFiniteError: A loss or a weight is NaN or infinite.
            SystemExit: See `train_to_end`.
        """
        self._begin()
        end_of_step = EndOfStep(
            self._checkpoints, self._log, preemption, self._workers, self._end_early
        )
        while self._log.first_step < self._training.total_steps:
            epoch = self._log.first_step // self._training.steps_per_epoch
            self._fit(epoch, end_of_step)
            values: dict[str, float | None] = {
                **self._log.means(),
                **self._training.learning_rates(self._step - 1),
            }
            started = time.monotonic()
            measures = self._measure(epoch, preemption)
            values |= measures
            values |= self._training.epoch_figures()
            values["seconds_per_step"] = self._log.seconds_per_step
            values["validation_seconds"] = time.monotonic() - started
            self._write(epoch, values)
            self._finish_epoch(measures)
            self._tell(epoch, values)
        self._checkpoints.wait()

    def close(self) -> None:
        """Ends the progress bar and TensorBoard's logs."""
        self._progress.close()
        self._writer.close()

    def explain_divergence(self, error: NotFiniteError) -> str:
        """Goes back to the last good weights, and tells what the step's batch does to them."""
        self._progress.write(f"{error}; looking at the gradients")
        step = self._step
        batch = next(iter(self._training.batches(step - 1, 1)))
        self._checkpoints.restore()
        kept = self._step
        gradients = largest_gradients(
            lambda part: self._training.loss(part, error.loss), batch, self._training.strategy
        )
        return (
            f"{error}\nThe checkpoint of step {kept} is kept. With its weights, the largest "
            f"gradients of the batch of step {step} are those of\n"
            + "\n".join(f"  {layer}: {norm:.4g}" for layer, norm in gradients)
            + "\nA smaller learning rate, or a warm-up, helps against gradients that grow; look at "
            "the images if they are large from the start. The same command goes on from step "
            f"{kept}; other values need another {argument('model_dir')}"
        )

    def _begin(self) -> None:
        """Says where the training goes on, notes the session, and saves what is new."""
        step = self._step
        if step:
            self._progress.write(f"continuing after step {step} of {self._training.total_steps}")
        if self._workers.is_chief:
            replicas = self._training.strategy.num_replicas_in_sync
            self._model_dir.append_session(step, device_names(), replicas)
        # One that was restored has its notes, among them how its validation ended.
        if not step:
            self._checkpoints.save()

    def _fit(self, epoch: int, end_of_step: "EndOfStep") -> None:
        """Takes the steps of the epoch that are left, if any, and saves."""
        end = min((epoch + 1) * self._training.steps_per_epoch, self._training.total_steps)
        steps = end - self._step
        if steps:
            self._training.model.fit(
                self._training.batches(self._step, steps),
                steps_per_epoch=steps,
                epochs=epoch + 1,
                initial_epoch=epoch,
                callbacks=[self._progress, self._log, end_of_step],
                verbose=0,
            )
            self._checkpoints.save(self._log.notes())

    def _measure(self, epoch: int, preemption: Preemption) -> dict[str, float | None]:
        """Validates, where that is due after the epoch; returns the measures."""

        def unless_requested(
            predict: Predict, batches: Sequence[tf.Tensor]
        ) -> Sequence[np.ndarray]:
            # Everything is saved. Other workers, which do not stop to agree, miss this one.
            if preemption.requested:
                self._end_early()
            return predict(batches)

        is_last = self._step == self._training.total_steps
        if (epoch + 1) % self._validation.every and not is_last:
            return {}
        measures: dict[str, float | None] = {}
        for prefix, predict in self._predictions.items():
            measures |= self._validation.measure(
                functools.partial(unless_requested, predict), self._workers, prefix
            )
        return measures

    def _write(self, epoch: int, values: Mapping[str, float | None]) -> None:
        """Writes the epoch's metrics, to TensorBoard's logs too."""
        if self._workers.is_chief:
            step = self._step
            _write_scalars(self._writer, values, step)
            self._model_dir.append_metrics({"epoch": epoch + 1, "step": step, **values})
            with self._writer.as_default(step=step):
                self._training.on_epoch_end(epoch + 1, step)

    def _finish_epoch(self, measures: Mapping[str, float | None]) -> None:
        """Notes in the checkpoint how the validation ended; the next step begins an epoch."""
        self._log.begin_epoch()
        # What an epoch leaves, such as its input pipeline with full buffers, refers to itself:
        # Python would free it many epochs later.
        gc.collect()
        self._checkpoints.save({SCORE: measures[SCORE]} if measures else {})

    def _tell(self, epoch: int, values: Mapping[str, float | None]) -> None:
        """Prints the epoch's metrics."""
        self._progress.write(
            f"epoch {epoch + 1}/{self._training.epochs}: "
            + ", ".join(f"{name} {figure_text(name, value)}" for name, value in values.items())
        )

    def _end_early(self) -> None:
        """Ends the process; everything is saved, but for what is being written."""
        self._checkpoints.wait()
        self._progress.write(
            f"SIGTERM: saved after step {self._step} of {self._training.total_steps}; "
            "the same command continues",
            always=True,
        )
        raise SystemExit(TRY_AGAIN_STATUS)


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


def _write_scalars(writer, values, step):
    with writer.as_default(step=step):
        for name, value in values.items():
            if value is not None:
                tf.summary.scalar(name, value)

"""Trains one network as `train` does, with retraining's own parts, and measures it.

What is left out is what a table does not need: checkpoints, TensorBoard's logs, going on after an
interruption. The weights that come out are those of `python -m auto_deeplab.train` on the same
configuration, as far as the processor computes alike twice.
"""

import dataclasses
import gc
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from auto_deeplab.data.pipeline import evaluation_batches, open_records, training_records
from auto_deeplab.distribution.workers import Workers
from auto_deeplab.evaluation.inference import ReplicatedPrediction
from auto_deeplab.models.counting import count_multiply_adds, count_parameters
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.checkpoints.files import SCORE
from auto_deeplab.training.job import dataset_dir
from auto_deeplab.training.loop.epochs import Validation
from auto_deeplab.training.retrain import Retrain
from benchmarks.search_quality.setting import PlannedTraining


@dataclasses.dataclass(frozen=True)
class Point:
    """A validation.

    Args:
        step: After how many steps.
        mean_iou: 0 to 1.
        pixel_accuracy: 0 to 1.
    """

    step: int
    mean_iou: float
    pixel_accuracy: float


@dataclasses.dataclass(frozen=True)
class Training:
    """How one training went.

    Args:
        seed: Of initial values, order and augmentation.
        steps: How many.
        mean_iou: Of the validation split at the end, 0 to 1.
        pixel_accuracy: Likewise.
        loss: Of the last step; None where it was NaN or infinite.
        seconds: From nothing to the last validation.
        cpu_seconds: What the process computed in them, which other work on the machine hardly
            changes.
        seconds_of_phases: What they went into: "build", "first_step" (which traces), "steps" (all
            others), "validation".
        curve: All validations, in order; the last is the end.
    """

    seed: int
    steps: int
    mean_iou: float
    pixel_accuracy: float
    loss: float | None
    seconds: float
    cpu_seconds: float
    seconds_of_phases: dict[str, float]
    curve: tuple[Point, ...]


@dataclasses.dataclass(frozen=True)
class TrainedNetwork:
    """What a network costs, and how one training of it went.

    Args:
        parameters: Trainable ones.
        multiply_adds: Of its convolutions, for the first validation image.
        training: How it went.
    """

    parameters: int
    multiply_adds: int
    training: Training


def configured_retraining(planned: PlannedTraining, folder: Path, **values: Any) -> Retrain:
    """Returns gin's retraining of a network.

    Args:
        planned: The network, and from which seed.
        folder: Where its genotype is kept, as retraining reads it from a file.
        values: Replace gin's.
    """
    path = folder / f"{planned.genotype.name}.json"
    planned.genotype.save(path)
    return Retrain(genotype=str(path), seed=planned.seed, **values)


def configured_dataset() -> str:
    """Returns the folder of gin's dataset, made if need be."""
    # A retraining needs some architecture; which one does not matter to its dataset.
    return dataset_dir(Retrain(genotype="published").dataset)


def train(planned: PlannedTraining, validations: int = 1, **values: Any) -> TrainedNetwork:
    """Trains a network by gin's configuration and validates it.

    Args:
        planned: The network, and from which seed.
        validations: How often it is validated, in even distances; the last time is the end.
        values: Of `Retrain`, instead of gin's.
    """
    started, cpu_started = time.monotonic(), time.process_time()
    clock = _Clock()
    # Keras keeps the graph of every network that was built.
    tf_keras.backend.clear_session()
    gc.collect()
    with tempfile.TemporaryDirectory() as scratch:
        job = configured_retraining(planned, Path(scratch), **values)
        directory = dataset_dir(job.dataset)
        validation = Validation(
            open_records(directory, job.validation_split),
            job.validation_batch_size,
            job.validation_images,
            every=1,
        )
        training = job.prepare(
            training_records(directory, job.train_split),
            ModelDir(Path(scratch, "run")),
            tf.distribute.get_strategy(),
        )
    workers = Workers(training.strategy)
    predict = ReplicatedPrediction(training.model)
    curve: list[Point] = []
    done = 0
    for number in range(1, validations + 1):
        end = job.steps * number // validations
        clock.note("build" if not curve else "validation")
        if end > done:
            steps = _Steps(clock)
            training.model.fit(
                training.batches(done, end - done),
                steps_per_epoch=end - done,
                callbacks=[steps],
                verbose=0,
            )
            done, loss = end, steps.loss
        measures = validation.measure(predict, workers)
        curve.append(Point(end, measures[SCORE] or 0.0, measures["val_pixel_accuracy"] or 0.0))
    clock.note("validation")
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu_started
    network = training.tracked["model"]
    images, _ = next(iter(evaluation_batches(validation.records, limit=1)))
    height, width = images.shape[1:3]
    return TrainedNetwork(
        count_parameters(network),
        count_multiply_adds(network, (height, width)),
        Training(
            seed=planned.seed,
            steps=job.steps,
            mean_iou=curve[-1].mean_iou,
            pixel_accuracy=curve[-1].pixel_accuracy,
            loss=loss if math.isfinite(loss) else None,
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            seconds_of_phases=clock.seconds,
            curve=tuple(curve),
        ),
    )


class _Clock:
    """Adds up the seconds of phases."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def note(self, phase: str) -> None:
        """Says that what has passed since the last note was this phase."""
        now = time.monotonic()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._last
        self._last = now


class _Steps(tf_keras.callbacks.Callback):
    """Notes the seconds of the first step apart from those of the others, and the last loss."""

    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self._clock = clock
        self.loss = math.nan

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the clock, and at the loss."""
        self.loss = float(logs["loss"])
        is_first = "first_step" not in self._clock.seconds
        self._clock.note("first_step" if is_first else "steps")

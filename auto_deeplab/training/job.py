"""What `train` runs: a search or a retraining, as the gin file says."""

import abc
import dataclasses
import os
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import gin
import tensorflow as tf
import tf_keras
from absl import logging
from annotated_types import Predicate, doc

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.pipeline import open_records, training_batches, training_records
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.data.survey import naming_corrupt_records
from auto_deeplab.distribution.workers import Workers
from auto_deeplab.foundations.configurable import (
    Count,
    NotNegative,
    PathText,
    Seed,
    Text,
    configurable,
)
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.models.pixel_grid import PadToGrid, pixel_grid, size_on_grid
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.checkpoints.checkpoints import Checkpoints
from auto_deeplab.training.loop.epochs import Validation, train_to_end
from auto_deeplab.training.loop.training import Training
from auto_deeplab.training.optimization.accumulation import check_parts, check_synchronization

# A folder with TFRecords, or a function that makes one and returns its path.
DatasetSource = Annotated[
    PathText | Callable[[], str],
    doc("a path in quotes, or a function that returns one, such as @street_scenes"),
]


@dataclasses.dataclass
class Job(abc.ABC):
    """A training with all its settings: what a search and a retraining share.

    Args:
        dataset: The folder of the dataset, or a function that makes one.
        train_split: The split to train on.
        validation_split: The split to validate on.
        batch_size: Images a step, over all replicas.
        seed: Of the order, the augmentation and the initial values.
        validation_batch_size: Images predicted at a time.
        validation_images: How many images to validate on; None for all.
        validation_every: Validate after each this many epochs.
        checkpoint_minutes: Minutes between checkpoints within an epoch.
        kept_checkpoints: How many of the newest checkpoints are kept, beside the best.
        gradient_accumulation_steps: Compute each replica's batch in this many parts, one after the
            other, and update once: for the memory of one part. Each is normalized with its own
            statistics.
        jit_compile: Compile the updates with XLA.
    """

    # The setting that says how long the training is.
    length: ClassVar[str]

    dataset: DatasetSource = gin.REQUIRED
    train_split: Text = "train"
    validation_split: Text = "val"
    batch_size: Count = gin.REQUIRED
    seed: Seed = 0
    validation_batch_size: Count = 1
    validation_images: Count | None = None
    validation_every: Count = 1
    checkpoint_minutes: NotNegative = 10.0
    kept_checkpoints: Count = 3
    gradient_accumulation_steps: Count = 1
    jit_compile: bool = False

    @property
    def predicts(self) -> bool:
        """Whether the network as a whole is what is trained, and so can predict."""
        return True

    @property
    @abc.abstractmethod
    def has_genotype(self) -> bool:
        """Whether a genotype, which the model_dir keeps, describes the network."""

    @abc.abstractmethod
    def build_model(self, description: DatasetDescription, model_dir: ModelDir) -> tf_keras.Model:
        """Returns the network, initialized by the seed: normalized images -> logits."""

    @abc.abstractmethod
    def prepare(
        self, records: SegmentationRecords, model_dir: ModelDir, strategy: tf.distribute.Strategy
    ) -> Training:
        """Returns what is trained, as it is before the first step.

        Args:
            records: The split to train on.
            model_dir: Where the training writes.
            strategy: What the replicas run under.
        """

    def train(self, model_dir: ModelDir, strategy: tf.distribute.Strategy) -> None:
        """Trains to the end, going on from where an earlier run stopped."""
        workers = Workers(strategy)
        name, replicas = type(self).__name__, strategy.num_replicas_in_sync
        parts = (f"{name}.gradient_accumulation_steps", self.gradient_accumulation_steps)
        self._refuse_what_it_gives()
        check_parts(*parts, self.batch_size, replicas)
        with workers.chief_first():
            directory = dataset_dir(self.dataset)
        records = training_records(directory, self.train_split)
        validation = Validation(
            open_records(directory, self.validation_split),
            self.validation_batch_size,
            self.validation_images,
            self.validation_every,
        )
        training = self.prepare(records, model_dir, strategy)
        check_synchronization(*parts, replicas, training.synchronized)
        with strategy.scope():
            checkpoints = Checkpoints(
                model_dir,
                self.checkpoint_minutes * 60,
                self.kept_checkpoints,
                **training.tracked,
            )
        crop_size = training.image_size
        # All that gin configures has been called now: the values in effect are known.
        with workers.chief_first():
            write_once(model_dir, records.description)
            self.keep(model_dir)
        tell_replicas(strategy, self.batch_size, training.synchronized)
        if workers.is_chief:
            warn_of_padding(training.tracked["model"], crop_size)
        with naming_corrupt_records(records, validation.records):
            trained = train_to_end(training, model_dir, checkpoints, validation)
        if workers.is_chief:
            self.finish(model_dir, trained)

    def keep(self, model_dir: ModelDir) -> None:  # noqa: B027 (not all keep more)
        """Keeps what else the network is built from beside the results, if it is not there yet."""

    def finish(self, model_dir: ModelDir, trained: bool) -> None:  # noqa: B027 (not all do more)
        """Does what is left to do after the last epoch; the first worker alone calls it.

        Args:
            model_dir: Where the training has written.
            trained: Whether this run trained; else it found a training that was finished.
        """

    def _refuse_what_it_gives(self) -> None:
        """Looks whether the gin file has values of `training_batches` that are the job's to give.

        Raises:
            UserError: It has one, which would have no effect.
        """
        name = type(self).__name__
        expected = {
            "batch_size": f"it as {name}.batch_size",
            "seed": f"it as {name}.seed",
            "steps": f"it as {name}.{self.length}",
            "first_step": "none: a training goes on from its newest checkpoint",
        }
        for parameter in gin.get_bindings(training_batches, resolve_references=False):
            if parameter in expected:
                raise UserError(
                    f"training_batches.{parameter}: received a value in the gin file; expected "
                    f"{expected[parameter]}"
                )


@configurable
def configured_job(
    job: Annotated[
        Any,
        Predicate(lambda job: isinstance(job, Job)),
        doc("@Search() or @Retrain()"),
    ] = gin.REQUIRED,
) -> Job:
    """Returns the job of the gin configuration: `configured_job.job = @Search()`."""
    return job


def dataset_dir(source: DatasetSource) -> str:
    """Returns the folder of a dataset, made if need be.

    Raises:
        UserError: No dataset is named, or there is none.
    """
    directory = source() if callable(source) else source
    if not isinstance(directory, str) or not directory:
        raise UserError(f"dataset: received {directory!r}; expected a folder with a dataset.json")
    if not os.path.isdir(directory):
        raise UserError(
            f"dataset: received {directory!r}, which is no folder; expected one that "
            "tools/convert_*.py have written"
        )
    return directory


def tell_replicas(strategy: tf.distribute.Strategy, batch_size: int, shares: bool) -> None:
    """Prints what is each replica's own, where there are several.

    Args:
        strategy: What they run under.
        batch_size: Images a step, over all replicas.
        shares: Whether they share batch norm's statistics.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas > 1 and Workers(strategy).is_chief:
        print(
            f"{replicas} replicas: of each batch of {batch_size} images a replica gets "
            f"{batch_size // replicas}. Learning rates and losses are of the whole batch, batch "
            f"norm's statistics in training {'too' if shares else 'of each replica'}",
            flush=True,
        )


def warn_of_padding(network: tf_keras.Model, crop_size: tuple[int, int]) -> None:
    """Warns where crops have to be filled up to the network's pixel grid: it costs and is no use.

    Args:
        network: What will be trained.
        crop_size: The height and width that it is trained on, in pixels.
    """
    for layer in network.submodules:
        if not isinstance(layer, PadToGrid) or not pixel_grid():
            continue
        larger = [size_on_grid(length, layer.stride) for length in crop_size]
        smaller = [length - (length - 1) % layer.stride for length in crop_size]
        if larger != smaller:
            filled, enough, less = (
                "x".join(map(str, size)) for size in (crop_size, larger, smaller)
            )
            logging.warning(
                "training_batches.crop_size: crops of %s are filled up to %s with the mean pixel, "
                "so that maps of all strides, up to %d, lie on one pixel grid; expected a size of "
                "the form %dk+1, such as %s or %s",
                *(filled, enough, layer.stride, layer.stride, less, enough),
            )


def write_once(model_dir: ModelDir, description: DatasetDescription) -> None:
    """Keeps the configuration in effect and the dataset's description beside the results.

    Call it when everything is configured: the values in effect are known only then.

    Raises:
        UserError: The folder holds a run of another configuration, or on another dataset.
    """
    model_dir.keep_config(gin.operative_config_str())
    if not (model_dir.path / "dataset.json").exists():
        description.save(model_dir.path)
    elif DatasetDescription.load(model_dir.path) != description:
        raise UserError(
            f"{model_dir.path / 'dataset.json'}: is not that of the dataset {description.name!r}, "
            "which has changed since the run began; expected the dataset as it was, or another "
            f"{argument('model_dir')}"
        )

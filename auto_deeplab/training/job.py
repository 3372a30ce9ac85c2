"""What `train` runs: a search or a retraining, as the gin file says."""

import os
from collections.abc import Callable
from typing import Annotated, Protocol, runtime_checkable

import gin
import tensorflow as tf
import tf_keras
from annotated_types import Predicate, doc

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.distribution.workers import Workers
from auto_deeplab.foundations.configurable import PathText, configurable
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.model_dir import ModelDir

# A folder with TFRecords, or a function that makes one and returns its path.
DatasetSource = Annotated[
    PathText | Callable[[], str],
    doc("a path in quotes, or a function that returns one, such as @street_scenes"),
]


@runtime_checkable
class Job(Protocol):
    """A training with all its settings."""

    dataset: DatasetSource
    # Whether a genotype, which the model_dir keeps, describes the network.
    has_genotype: bool

    def build_model(self, description: DatasetDescription, model_dir: ModelDir) -> tf_keras.Model:
        """Returns the network: normalized images -> logits."""
        ...

    def train(self, model_dir: ModelDir, strategy: tf.distribute.Strategy) -> None:
        """Trains to the end, going on from where an earlier run stopped."""
        ...


@configurable
def configured_job(
    job: Annotated[
        Job,
        # A class has the attributes, too.
        Predicate(lambda job: not isinstance(job, type)),
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
            f"dataset: {directory!r} is no folder; the tools/convert_*.py commands make them"
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
            f"{model_dir.path / 'dataset.json'} is not that of the dataset {description.name!r}, "
            "which has changed since the run began: give another --model_dir"
        )

"""Retraining a found network (paper, section 5), or training one to compare it with."""

import dataclasses
import inspect
from collections.abc import Callable

import gin
import tensorflow as tf
import tf_keras

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.pipeline import (
    open_records,
    steps_per_epoch,
    training_batches,
    training_records,
)
from auto_deeplab.data.survey import naming_corrupt_records
from auto_deeplab.errors import UserError
from auto_deeplab.models.network import build_network
from auto_deeplab.search_space import Genotype
from auto_deeplab.training import job, schedules
from auto_deeplab.training.checkpoints import Checkpoints
from auto_deeplab.training.epochs import Validation, run_epochs
from auto_deeplab.training.model_dir import ModelDir
from auto_deeplab.training.retrain_model import RetrainModel
from auto_deeplab.training.update import create_slots


@gin.configurable
@dataclasses.dataclass
class Retrain:
    """A retraining; the defaults are the paper's for Cityscapes.

    Args:
        dataset: the folder of the dataset, or a function that makes one.
        genotype: a genotype's file, or a name such as "published"; None for a network that has
            none.
        network: builds the network: `@build_network`, which takes a genotype and a number of
            classes, or any other that takes one or both by these names, such as
            `@build_deeplabv3plus`.
        train_split: the split to train on.
        validation_split: the split to validate on.
        steps: how many steps.
        batch_size: images a step, over all replicas.
        seed: of the order, the augmentation and the initial values.
        learning_rate: at the start.
        learning_rate_power: of the polynomial schedule.
        momentum: of SGD.
        weight_decay: L2 weight decay of the convolutions' kernels.
        validation_batch_size: images predicted at a time.
        validation_images: how many images to validate on; None for all.
        validation_every: validate after each this many epochs.
        checkpoint_minutes: minutes between checkpoints within an epoch.
        jit_compile: compile the update with XLA.
    """

    dataset: job.DatasetSource = gin.REQUIRED
    genotype: str | None = None
    network: Callable[..., tf_keras.Model] = build_network
    train_split: str = "train"
    validation_split: str = "val"
    steps: int = 1_500_000
    batch_size: int = 16
    seed: int = 0
    learning_rate: float = 0.05
    learning_rate_power: float = 0.9
    momentum: float = 0.9
    weight_decay: float = 4e-5
    validation_batch_size: int = 1
    validation_images: int | None = None
    validation_every: int = 1
    checkpoint_minutes: float = 10.0
    jit_compile: bool = False

    def __post_init__(self) -> None:
        if self.has_genotype and self.genotype is None:
            raise UserError(
                "Retrain.genotype: received nothing; expected a genotype's file or a name such as "
                "'published', in the gin file or --gin_param=\"Retrain.genotype = ...\""
            )
        if not self.has_genotype and self.genotype is not None:
            raise UserError(
                f"Retrain.genotype: received {self.genotype!r}; expected None, as Retrain.network "
                f"is {self.network.__name__}, which takes none"
            )

    @property
    def has_genotype(self) -> bool:
        """Whether the network is one of those that a genotype describes."""
        return "genotype" in inspect.signature(self.network).parameters

    def build_model(self, description: DatasetDescription, model_dir: ModelDir) -> tf_keras.Model:
        """Returns the network, of the genotype that `model_dir` keeps, initialized by the seed."""
        tf_keras.utils.set_random_seed(self.seed)
        classes = len(description.classes)
        if self.has_genotype:
            return self.network(genotype=Genotype.load(model_dir.genotype), classes=classes)
        return self.network(classes=classes)

    def train(self, model_dir: ModelDir, strategy: tf.distribute.Strategy) -> None:
        """Trains to the end."""
        directory = job.dataset_dir(self.dataset)
        records = training_records(directory, self.train_split)
        validation = Validation(
            open_records(directory, self.validation_split),
            self.validation_batch_size,
            self.validation_images,
            self.validation_every,
        )
        if self.has_genotype:
            self._keep_genotype(model_dir)
        schedule = schedules.polynomial(self.learning_rate, self.steps, self.learning_rate_power)

        def batches(first_step: int) -> tf.data.Dataset:
            return training_batches(
                records, batch_size=self.batch_size, seed=self.seed, first_step=first_step
            )

        with strategy.scope():
            network = self.build_model(records.description, model_dir)
            model = RetrainModel(
                network, self.steps, records.description.ignore_label, self.weight_decay
            )
            model.compile(
                tf_keras.optimizers.legacy.SGD(schedule, self.momentum),
                jit_compile=self.jit_compile,
            )
            create_slots(model.optimizer, network.trainable_variables)
            checkpoints = Checkpoints(
                model_dir, self.checkpoint_minutes * 60, model=network, optimizer=model.optimizer
            )
        batches(0)
        job.write_once(model_dir, records.description)
        naming_corrupt_records(records, validation.records)(run_epochs)(
            model,
            batches,
            self.steps,
            steps_per_epoch(records, self.batch_size),
            model_dir,
            checkpoints,
            validation,
            learning_rates=lambda step: {"learning_rate": float(schedule(step))},
        )

    def _keep_genotype(self, model_dir: ModelDir) -> None:
        """Copies the genotype beside the results, or checks it against the one that is there."""
        genotype = Genotype.load(self.genotype)
        if not model_dir.genotype.exists():
            genotype.save(model_dir.genotype)
        elif Genotype.load(model_dir.genotype) != genotype:
            raise UserError(
                f"{model_dir.genotype} is another architecture than Retrain.genotype "
                f"{self.genotype!r}: give another --model_dir"
            )

"""Retraining a found network (paper, section 5.2), or training one to compare it with."""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, cast

import tensorflow as tf
import tf_keras
from annotated_types import Ge, Gt, Lt, doc

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.pipeline import steps_per_epoch, training_batches
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.foundations.configurable import (
    Count,
    CountOrZero,
    NotNegative,
    PathText,
    Positive,
    Share,
    configurable,
    takes,
)
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.models.final.network import build_network
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.search_space import Genotype
from auto_deeplab.training.checkpoints.files import CheckpointFiles
from auto_deeplab.training.checkpoints.initial_weights import copy_initial_weights
from auto_deeplab.training.job import Job
from auto_deeplab.training.loop.training import Training
from auto_deeplab.training.optimization import schedules
from auto_deeplab.training.optimization.loss import cross_entropy
from auto_deeplab.training.optimization.optimizers import sgd, with_loss_scale
from auto_deeplab.training.optimization.update import create_slots
from auto_deeplab.training.optimization.weight_average import WeightAverage
from auto_deeplab.training.retrain_model import RetrainModel

Network = Annotated[
    Callable[..., tf_keras.Model],
    takes("classes"),
    doc("a function that takes the number of classes, such as @build_network"),
]
OptimizerFactory = Annotated[
    Callable[..., tf_keras.optimizers.legacy.Optimizer],
    takes("learning_rate"),
    doc("a function that takes a learning rate, such as @sgd"),
]


@configurable
@dataclasses.dataclass
class Retrain(Job):
    """A retraining; the defaults are the paper's for Cityscapes, or where it names none, DeepLab's.

    It takes the arguments of `Job`, too.

    Args:
        genotype: A genotype's file, or a name such as "published"; None for a network that has
            none.
        network: Builds the network: `@build_network`, which takes a genotype and a number of
            classes, or any other that takes one or both by these names, such as
            `@build_deeplabv3plus`.
        initial_model_dir: The folder of another training, whose newest weights this one starts
            from; the classifier starts anew where the classes are others. None: from scratch.
        steps: How many steps.
        optimizer: Makes the optimizer of a learning rate schedule: `@sgd`, or another that
            `training.optimizers` or `training.addons_optimizers` registers.
        learning_rate: At the start.
        learning_rate_power: Of the polynomial schedule.
        warm_up_steps: How many steps the learning rate rises from 0 to the schedule's.
        last_layer_multiplier: Of the learning rate of the classifier; with `@sgd` alone.
        weight_decay: L2 weight decay of the convolutions' kernels; batch norm and biases have none.
        gradient_clip_norm: The largest norm of all gradients together; None for any.
        label_smoothing: How much of each pixel's target is spread evenly over all classes.
        hard_pixel_share: The share of the pixels that the loss counts: those with the largest.
        weight_average_decay: Of an exponential moving average of the weights, such as 0.9999,
            which is then what is validated, evaluated and exported; None for the weights as they
            are.
    """

    length = "steps"

    batch_size: Count = 16
    genotype: PathText | None = None
    network: Network = build_network
    initial_model_dir: PathText | None = None
    steps: Count = 1_500_000
    optimizer: OptimizerFactory = sgd
    learning_rate: NotNegative = 0.05
    learning_rate_power: NotNegative = 0.9
    warm_up_steps: CountOrZero = 0
    last_layer_multiplier: Positive = 1.0
    weight_decay: NotNegative = 4e-5
    gradient_clip_norm: Positive | None = None
    label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0
    hard_pixel_share: Share = 1.0
    weight_average_decay: Annotated[float, Gt(0), Lt(1)] | None = None

    def __post_init__(self) -> None:
        if self.has_genotype and self.genotype is None:
            raise UserError(
                "Retrain.genotype: received nothing; expected a genotype's file or a name such as "
                f"'published', in the gin file or {argument('gin_param', 'Retrain.genotype = ...')}"
            )
        if not self.has_genotype and self.genotype is not None:
            raise UserError(
                f"Retrain.genotype: received {self.genotype!r}; expected None, as Retrain.network "
                f"is {self.network.__name__}, which takes none"
            )
        if self.warm_up_steps >= self.steps:
            raise UserError(
                f"Retrain.warm_up_steps: received {self.warm_up_steps}; expected 0 to below "
                f"Retrain.steps, which is {self.steps}"
            )

    @property
    def has_genotype(self) -> bool:
        """Whether the network is one of those that a genotype describes."""
        return "genotype" in inspect.signature(self.network).parameters

    def build_model(self, description: DatasetDescription, model_dir: ModelDir) -> tf_keras.Model:
        """Returns the network, initialized by the seed.

        Its genotype is the one that `model_dir` keeps; before it keeps one, the configured one.
        """
        tf_keras.utils.set_random_seed(self.seed)
        classes = len(description.classes)
        if self.has_genotype:
            return self.network(genotype=self._find_genotype(model_dir), classes=classes)
        return self.network(classes=classes)

    def prepare(
        self, records: SegmentationRecords, model_dir: ModelDir, strategy: tf.distribute.Strategy
    ) -> "RetrainTraining":
        """Returns the retraining as it is before the first step, see `Job.prepare`."""
        if self.has_genotype:
            self._check_genotype(model_dir)
        schedule = schedules.polynomial(
            self.learning_rate, self.steps, self.learning_rate_power, self.warm_up_steps
        )
        with strategy.scope():
            network = self.build_model(records.description, model_dir)
            optimizer = with_loss_scale(self._make_optimizer(schedule))
            create_slots(optimizer, network.trainable_variables)
            is_new = not CheckpointFiles(model_dir.checkpoints).steps()
            if self.initial_model_dir is not None and is_new:
                source = ModelDir(Path(self.initial_model_dir))
                self._start_from_other_weights(network, records.description, model_dir, source)
            average = None
            if self.weight_average_decay is not None:
                average = WeightAverage(
                    network,
                    self.build_model(records.description, model_dir),
                    self.weight_average_decay,
                )
            return RetrainTraining(self, network, average, optimizer, schedule, records)

    def keep(self, model_dir: ModelDir) -> None:
        """Keeps the genotype beside the results."""
        if self.has_genotype and not model_dir.genotype.exists():
            self._configured_genotype().save(model_dir.genotype)

    def _make_optimizer(
        self, schedule: tf_keras.optimizers.schedules.LearningRateSchedule
    ) -> tf_keras.optimizers.legacy.Optimizer:
        optimizer = self.optimizer(learning_rate=schedule)
        is_sgd = isinstance(optimizer, tf_keras.optimizers.legacy.SGD)
        if self.last_layer_multiplier != 1 and not is_sgd:
            raise UserError(
                f"Retrain.last_layer_multiplier: received {self.last_layer_multiplier} with "
                f"@{self.optimizer.__name__}, whose updates do not grow with the gradients; "
                "expected 1, or Retrain.optimizer = @sgd"
            )
        return optimizer

    def _start_from_other_weights(
        self,
        network: tf_keras.Model,
        description: DatasetDescription,
        model_dir: ModelDir,
        source: ModelDir,
    ) -> None:
        if self.has_genotype and source.genotype.is_file():
            genotype = Genotype.load(source.genotype)
            if genotype != self._find_genotype(model_dir):
                raise UserError(
                    f"Retrain.initial_model_dir: received the architecture {genotype.name!r} of "
                    f"{source.genotype}; expected that of Retrain.genotype, {self.genotype!r}"
                )
        step = copy_initial_weights(
            network, lambda other: self.build_model(other, model_dir), description, source
        )
        print(f"starting from the weights of step {step} of {source.path}")

    def _configured_genotype(self) -> Genotype:
        """Returns the genotype of the configuration, which has one where the network takes one."""
        return Genotype.load(cast(str, self.genotype))

    def _find_genotype(self, model_dir: ModelDir) -> Genotype:
        """Returns the genotype that the folder keeps, or the one that it will keep."""
        kept = model_dir.genotype
        return Genotype.load(kept) if kept.exists() else self._configured_genotype()

    def _check_genotype(self, model_dir: ModelDir) -> None:
        """Looks whether the folder keeps another genotype than the configured one.

        Raises:
            UserError: It does.
        """
        if self._find_genotype(model_dir) != self._configured_genotype():
            raise UserError(
                f"Retrain.genotype: received {self.genotype!r}; expected the architecture of "
                f"{model_dir.genotype}, or another {argument('model_dir')}"
            )


class RetrainTraining(Training):
    """A retraining under way; made in the scope of the distribution strategy.

    Args:
        settings: How to train.
        network: What to train.
        average: Of its weights; None to have none.
        optimizer: Of its weights.
        schedule: The optimizer's learning rates.
        records: What to train on.

    Raises:
        UserError: There are fewer records than one batch holds; or the network takes images of
            another size than the batches have.
    """

    def __init__(
        self,
        settings: Retrain,
        network: tf_keras.Model,
        average: WeightAverage | None,
        optimizer: tf_keras.optimizers.legacy.Optimizer,
        schedule: tf_keras.optimizers.schedules.LearningRateSchedule,
        records: SegmentationRecords,
    ) -> None:
        self._settings, self._network = settings, network
        self._schedule, self._records = schedule, records
        self._check_image_size()
        model = RetrainModel(
            network,
            settings.steps,
            records.description.ignore_label,
            settings.weight_decay,
            settings.label_smoothing,
            settings.hard_pixel_share,
            settings.gradient_clip_norm,
            settings.last_layer_multiplier,
            average,
            settings.gradient_accumulation_steps,
        )
        model.compile(optimizer, jit_compile=settings.jit_compile)
        weights = {"model": network}
        if average is not None:
            # "model" is what evaluation and export load.
            weights = {"model": average.averaged, "trained": network}
        super().__init__(
            model,
            {"optimizer": optimizer, **weights},
            settings.steps,
            steps_per_epoch(records, settings.batch_size),
            synchronized=any(getattr(layer, "synchronized", False) for layer in network.submodules),
        )

    def pipeline(
        self, first_step: int, steps: int, context: tf.distribute.InputContext
    ) -> tf.data.Dataset:
        """Returns batches of (images, labels), see `RetrainModel`."""
        return training_batches(
            self._records,
            batch_size=self._settings.batch_size,
            seed=self._settings.seed,
            first_step=first_step,
            steps=steps,
            input_context=context,
        )

    def learning_rates(self, step: int) -> dict[str, float]:
        """Returns the schedule's."""
        return {"learning_rate": float(self._schedule(step))}

    def loss(self, batch: tuple[tf.Tensor, tf.Tensor], name: str) -> tf.Tensor:
        """Returns a replica's part of the loss, see `Training.loss`."""
        images, labels = batch
        logits = self._network(images, training=True)
        return cross_entropy(labels, logits, self._records.description.ignore_label)

    def _check_image_size(self) -> None:
        for taken in self._network.inputs or ():
            if not taken.shape[1:3].is_compatible_with(self.image_size):
                raise UserError(
                    f"{self._settings.network.__name__}.input_size: received "
                    f"{tuple(taken.shape[1:3])}; expected None, or {self.image_size} as "
                    "training_batches.crop_size"
                )

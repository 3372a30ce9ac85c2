"""Retraining a found network (paper, section 5.2), or training one to compare it with."""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import gin
import tensorflow as tf
import tf_keras
from annotated_types import Ge, Gt, Lt, doc

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.pipeline import (
    open_records,
    steps_per_epoch,
    training_batches,
    training_records,
)
from auto_deeplab.data.survey import naming_corrupt_records
from auto_deeplab.distribution.workers import Workers
from auto_deeplab.foundations.configurable import (
    Count,
    CountOrZero,
    NotNegative,
    PathText,
    Positive,
    Seed,
    Share,
    Text,
    configurable,
    takes,
)
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.network import build_network
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.search_space import Genotype
from auto_deeplab.training import job
from auto_deeplab.training.checkpoints.checkpoints import Checkpoints
from auto_deeplab.training.checkpoints.files import CheckpointFiles
from auto_deeplab.training.checkpoints.initial_weights import copy_initial_weights
from auto_deeplab.training.loop.epochs import Validation, run_epochs
from auto_deeplab.training.optimization import schedules
from auto_deeplab.training.optimization.accumulation import check_parts, check_synchronization
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
class Retrain:
    """A retraining; the defaults are the paper's for Cityscapes, or where it names none, DeepLab's.

    Args:
        dataset: The folder of the dataset, or a function that makes one.
        genotype: A genotype's file, or a name such as "published"; None for a network that has
            none.
        network: Builds the network: `@build_network`, which takes a genotype and a number of
            classes, or any other that takes one or both by these names, such as
            `@build_deeplabv3plus`.
        train_split: The split to train on.
        validation_split: The split to validate on.
        initial_model_dir: The folder of another training, whose newest weights this one starts
            from; the classifier starts anew where the classes are others. None: from scratch.
        steps: How many steps.
        batch_size: Images a step, over all replicas.
        seed: Of the order, the augmentation and the initial values.
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
        validation_batch_size: Images predicted at a time.
        validation_images: How many images to validate on; None for all.
        validation_every: Validate after each this many epochs.
        checkpoint_minutes: Minutes between checkpoints within an epoch.
        kept_checkpoints: How many of the newest checkpoints are kept, beside the best.
        gradient_accumulation_steps: Compute each replica's batch in this many parts, one after the
            other, and update once: for the memory of one part. Each is normalized with its own
            statistics.
        jit_compile: Compile the update with XLA.
    """

    dataset: job.DatasetSource = gin.REQUIRED
    genotype: PathText | None = None
    network: Network = build_network
    train_split: Text = "train"
    validation_split: Text = "val"
    initial_model_dir: PathText | None = None
    steps: Count = 1_500_000
    batch_size: Count = 16
    seed: Seed = 0
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
    validation_batch_size: Count = 1
    validation_images: Count | None = None
    validation_every: Count = 1
    checkpoint_minutes: NotNegative = 10.0
    kept_checkpoints: Count = 3
    gradient_accumulation_steps: Count = 1
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
        """Returns the network, of the genotype that `model_dir` keeps, initialized by the seed."""
        tf_keras.utils.set_random_seed(self.seed)
        classes = len(description.classes)
        if self.has_genotype:
            return self.network(genotype=Genotype.load(model_dir.genotype), classes=classes)
        return self.network(classes=classes)

    def train(self, model_dir: ModelDir, strategy: tf.distribute.Strategy) -> None:
        """Trains to the end."""
        workers = Workers(strategy)
        check_parts(
            "Retrain.gradient_accumulation_steps",
            self.gradient_accumulation_steps,
            self.batch_size,
            strategy.num_replicas_in_sync,
        )
        with workers.chief_first():
            directory = job.dataset_dir(self.dataset)
        records = training_records(directory, self.train_split)
        validation = Validation(
            open_records(directory, self.validation_split),
            self.validation_batch_size,
            self.validation_images,
            self.validation_every,
        )
        if self.genotype is not None:
            with workers.chief_first():
                self._keep_genotype(self.genotype, model_dir)
        schedule = schedules.polynomial(
            self.learning_rate, self.steps, self.learning_rate_power, self.warm_up_steps
        )

        def batches(first_step: int, steps: int) -> tf.distribute.DistributedDataset:
            def pipeline(context: tf.distribute.InputContext) -> tf.data.Dataset:
                return training_batches(
                    records,
                    batch_size=self.batch_size,
                    seed=self.seed,
                    first_step=first_step,
                    steps=steps,
                    input_context=context,
                )

            return strategy.distribute_datasets_from_function(pipeline)

        with strategy.scope():
            network = self.build_model(records.description, model_dir)
            synchronized = any(
                getattr(layer, "synchronized", False) for layer in network.submodules
            )
            check_synchronization(
                "Retrain.gradient_accumulation_steps",
                self.gradient_accumulation_steps,
                strategy.num_replicas_in_sync,
                synchronized,
            )
            optimizer = with_loss_scale(self._make_optimizer(schedule))
            create_slots(optimizer, network.trainable_variables)
            is_new = not CheckpointFiles(model_dir.checkpoints).steps()
            if self.initial_model_dir is not None and is_new:
                source = ModelDir(Path(self.initial_model_dir))
                self._start_from_other_weights(network, records.description, model_dir, source)
            average, tracked = None, {"model": network}
            if self.weight_average_decay is not None:
                average = WeightAverage(
                    network,
                    self.build_model(records.description, model_dir),
                    self.weight_average_decay,
                )
                # "model" is what evaluation and export load.
                tracked = {"model": average.averaged, "trained": network}
            model = RetrainModel(
                network,
                self.steps,
                records.description.ignore_label,
                self.weight_decay,
                self.label_smoothing,
                self.hard_pixel_share,
                self.gradient_clip_norm,
                self.last_layer_multiplier,
                average,
                self.gradient_accumulation_steps,
            )
            model.compile(optimizer, jit_compile=self.jit_compile)
            checkpoints = Checkpoints(
                model_dir,
                self.checkpoint_minutes * 60,
                self.kept_checkpoints,
                optimizer=optimizer,
                **tracked,
            )
        batches(0, 1)
        with workers.chief_first():
            job.write_once(model_dir, records.description)
        job.tell_replicas(strategy, self.batch_size, synchronized)

        def compute_loss(batch: tuple[tf.Tensor, tf.Tensor], name: str) -> tf.Tensor:
            images, labels = batch
            logits = network(images, training=True)
            return cross_entropy(labels, logits, records.description.ignore_label)

        naming_corrupt_records(records, validation.records)(run_epochs)(
            model,
            batches,
            self.steps,
            steps_per_epoch(records, self.batch_size),
            model_dir,
            checkpoints,
            validation,
            learning_rates=lambda step: {"learning_rate": float(schedule(step))},
            compute_loss=compute_loss,
        )

    def _make_optimizer(self, schedule) -> tf_keras.optimizers.legacy.Optimizer:
        optimizer = self.optimizer(learning_rate=schedule)
        is_sgd = isinstance(optimizer, tf_keras.optimizers.legacy.SGD)
        if self.last_layer_multiplier != 1 and not is_sgd:
            raise UserError(
                f"Retrain.last_layer_multiplier: received {self.last_layer_multiplier} with "
                f"@{self.optimizer.__name__}, whose updates do not grow with the gradients; "
                "expected 1, or Retrain.optimizer = @sgd"
            )
        return optimizer

    def _start_from_other_weights(self, network, description, model_dir, source) -> None:
        if self.has_genotype and source.genotype.is_file():
            genotype = Genotype.load(source.genotype)
            if genotype != Genotype.load(model_dir.genotype):
                raise UserError(
                    f"Retrain.initial_model_dir: {source.genotype} is the architecture "
                    f"{genotype.name!r}; expected that of Retrain.genotype, {self.genotype!r}"
                )
        step = copy_initial_weights(
            network, lambda other: self.build_model(other, model_dir), description, source
        )
        print(f"starting from the weights of step {step} of {source.path}")

    def _keep_genotype(self, name_or_path: str, model_dir: ModelDir) -> None:
        """Copies the genotype beside the results, or checks it against the one that is there."""
        genotype = Genotype.load(name_or_path)
        if not model_dir.genotype.exists():
            genotype.save(model_dir.genotype)
        elif Genotype.load(model_dir.genotype) != genotype:
            raise UserError(
                f"{model_dir.genotype} is another architecture than Retrain.genotype "
                f"{self.genotype!r}: give another --model_dir"
            )

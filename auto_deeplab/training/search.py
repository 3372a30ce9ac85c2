"""The search (paper, sections 4.2 and 5.1): everything between a dataset and a genotype."""

import dataclasses

import gin
import numpy as np
import tensorflow as tf
import tf_keras

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.pipeline import (
    open_records,
    steps_per_epoch,
    training_batches,
    training_records,
)
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.data.survey import naming_corrupt_records
from auto_deeplab.distribution.workers import Workers
from auto_deeplab.foundations.configurable import (
    Count,
    CountOrZero,
    KerasMomentum,
    NotNegative,
    Positive,
    Seed,
    Text,
    configurable,
)
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.runs.decode import decode_model_dir
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.search_space import append_history
from auto_deeplab.training import job
from auto_deeplab.training.checkpoints.checkpoints import Checkpoints
from auto_deeplab.training.loop.epochs import Validation, run_epochs
from auto_deeplab.training.optimization import schedules
from auto_deeplab.training.optimization.accumulation import check_parts, check_synchronization
from auto_deeplab.training.optimization.loss import cross_entropy
from auto_deeplab.training.search_model import SearchModel


@configurable
@dataclasses.dataclass
class Search:
    """A search; the defaults are the paper's (section 5.1).

    Args:
        dataset: The folder of the dataset, or a function that makes one.
        train_split: The split whose halves are trainA and trainB.
        validation_split: The split that measures the supernet.
        epochs: Passes over trainA.
        warm_up_epochs: How many of them leave alpha and beta alone.
        batch_size: Images a step, over all replicas.
        seed: Of the halves, the order, the augmentation and the initial values.
        network_learning_rate: Of w, at the start.
        network_final_learning_rate: Of w, at the end.
        network_momentum: Of w's SGD.
        network_weight_decay: L2 weight decay of w.
        architecture_learning_rate: Of alpha and beta.
        architecture_weight_decay: L2 weight decay of alpha and beta.
        validation_batch_size: Images predicted at a time.
        validation_images: How many images to validate on; None for all.
        validation_every: Validate after each this many epochs.
        checkpoint_minutes: Minutes between checkpoints within an epoch.
        kept_checkpoints: How many of the newest checkpoints are kept, beside the best.
        gradient_accumulation_steps: Compute each replica's batch in this many parts, one after the
            other, and update once: for the memory of one part. Each is normalized with its own
            statistics.
        jit_compile: Compile both updates with XLA.
    """

    dataset: job.DatasetSource = gin.REQUIRED
    train_split: Text = "train"
    validation_split: Text = "val"
    epochs: Count = 40
    warm_up_epochs: CountOrZero = 20
    batch_size: Count = 2
    seed: Seed = 0
    network_learning_rate: Positive = 0.025
    network_final_learning_rate: NotNegative = 0.001
    network_momentum: KerasMomentum = 0.9
    network_weight_decay: NotNegative = 3e-4
    architecture_learning_rate: NotNegative = 3e-3
    architecture_weight_decay: NotNegative = 1e-3
    validation_batch_size: Count = 1
    validation_images: Count | None = None
    validation_every: Count = 1
    checkpoint_minutes: NotNegative = 10.0
    kept_checkpoints: Count = 3
    gradient_accumulation_steps: Count = 1
    jit_compile: bool = False

    def __post_init__(self) -> None:
        if self.warm_up_epochs > self.epochs:
            raise UserError(
                f"Search.warm_up_epochs: received {self.warm_up_epochs}; expected 0 to "
                f"Search.epochs, which is {self.epochs}"
            )

    @property
    def has_genotype(self) -> bool:
        """False: a supernet holds all architectures; the one it finds is not its own."""
        return False

    def build_model(self, description: DatasetDescription, model_dir: ModelDir) -> Supernet:
        """Returns the supernet, initialized by the seed."""
        tf_keras.utils.set_random_seed(self.seed)
        return Supernet(len(description.classes))

    def train(self, model_dir: ModelDir, strategy: tf.distribute.Strategy) -> None:
        """Searches to the end and decodes the genotype."""
        workers = Workers(strategy)
        check_parts(
            "Search.gradient_accumulation_steps",
            self.gradient_accumulation_steps,
            self.batch_size,
            strategy.num_replicas_in_sync,
        )
        with workers.chief_first():
            directory = job.dataset_dir(self.dataset)
        records = training_records(directory, self.train_split)
        half_a, half_b = (records.half(half, self.seed) for half in ("A", "B"))
        validation = Validation(
            open_records(directory, self.validation_split),
            self.validation_batch_size,
            self.validation_images,
            self.validation_every,
        )
        epoch_steps = steps_per_epoch(half_a, self.batch_size)
        total_steps = self.epochs * epoch_steps
        warm_up_steps = self.warm_up_epochs * epoch_steps
        schedule = schedules.cosine(
            self.network_learning_rate,
            self.network_final_learning_rate,
            total_steps,
        )

        def batches(first_step: int, steps: int) -> tf.distribute.DistributedDataset:
            def pipeline(context: tf.distribute.InputContext) -> tf.data.Dataset:
                def stream(half: SegmentationRecords, seed: int, step: int) -> tf.data.Dataset:
                    return training_batches(
                        half,
                        batch_size=self.batch_size,
                        seed=seed,
                        first_step=step,
                        steps=steps,
                        input_context=context,
                    )

                streams = {"network": stream(half_a, self.seed, first_step)}
                if first_step >= warm_up_steps:
                    streams["architecture"] = stream(
                        half_b, self.seed + 1, first_step - warm_up_steps
                    )
                return tf.data.Dataset.zip(streams)

            return strategy.distribute_datasets_from_function(pipeline)

        with strategy.scope():
            supernet = self.build_model(records.description, model_dir)
            check_synchronization(
                "Search.gradient_accumulation_steps",
                self.gradient_accumulation_steps,
                strategy.num_replicas_in_sync,
                supernet.synchronized_batch_norm,
            )
            model = SearchModel(
                supernet,
                records.description.ignore_label,
                self.network_weight_decay,
                self.architecture_weight_decay,
                self.gradient_accumulation_steps,
            )
            # The fused updates of these optimizers are one operation a variable.
            model.compile(
                tf_keras.optimizers.legacy.SGD(schedule, self.network_momentum),
                tf_keras.optimizers.legacy.Adam(self.architecture_learning_rate),
                jit_compile=self.jit_compile,
            )
            checkpoints = Checkpoints(
                model_dir,
                self.checkpoint_minutes * 60,
                self.kept_checkpoints,
                model=supernet,
                optimizer=model.network_optimizer,
                architecture_optimizer=model.architecture_optimizer,
            )
        batches(0, 1)
        with workers.chief_first():
            job.write_once(model_dir, records.description)
        job.tell_replicas(strategy, self.batch_size, supernet.synchronized_batch_norm)

        def keep_architecture(epoch: int, step: int) -> None:
            relaxation = supernet.relaxation()
            append_history(model_dir.history, epoch, step, relaxation)
            tf.summary.histogram("architecture/alpha", relaxation.operation_weights())
            tf.summary.histogram("architecture/beta", relaxation.arc_weights())
            tf.summary.image("architecture/alpha", heat_map(relaxation.operation_weights()))

        def compute_loss(batch: dict[str, tuple], name: str) -> tf.Tensor:
            images, labels = batch["architecture" if name == "architecture_loss" else "network"]
            logits = supernet(images, training=True)
            return cross_entropy(labels, logits, records.description.ignore_label)

        trained = naming_corrupt_records(records, validation.records)(run_epochs)(
            model,
            batches,
            total_steps,
            epoch_steps,
            model_dir,
            checkpoints,
            validation,
            learning_rates=lambda step: {
                "learning_rate": float(schedule(step)),
                "architecture_learning_rate": self.architecture_learning_rate
                if step >= warm_up_steps
                else 0.0,
            },
            compute_loss=compute_loss,
            on_epoch_end=keep_architecture,
        )
        if workers.is_chief and (trained or not model_dir.genotype.exists()):
            decode_model_dir(model_dir.path, overwrite=True)


def heat_map(weights: np.ndarray, pixels: int = 16) -> np.ndarray:
    """Returns a matrix in gray: float32 [1, rows * pixels, columns * pixels, 1], 0 to 1."""
    enlarged = np.kron(weights, np.ones((pixels, pixels)))
    return (enlarged / enlarged.max())[None, :, :, None].astype(np.float32)

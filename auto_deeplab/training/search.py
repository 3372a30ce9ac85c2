"""The search (paper, sections 4.2 and 5.1): everything between a dataset and a genotype."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tensorflow as tf
import tf_keras
from annotated_types import Ge, Le, Predicate, doc

from auto_deeplab.cost import Cost, CostTable, cost_bounds, measure
from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.pipeline import steps_per_epoch, training_batches
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.evaluation.inference import Predict
from auto_deeplab.foundations.configurable import (
    Count,
    CountOrZero,
    Decay,
    KerasMomentum,
    NotNegative,
    Positive,
    configurable,
)
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.network import build_network
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.runs.decode import decode_model_dir
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.search_space import append_history, diagnose
from auto_deeplab.training.job import Job
from auto_deeplab.training.loop.training import Training
from auto_deeplab.training.optimization import schedules
from auto_deeplab.training.optimization.architecture_penalties import ArchitecturePenalties, sum_of
from auto_deeplab.training.optimization.loss import cross_entropy
from auto_deeplab.training.optimization.partial_update import PartialAdam
from auto_deeplab.training.path_search_model import PathSearchModel, check_path_sampling
from auto_deeplab.training.search_cost import SearchCost
from auto_deeplab.training.search_model import SearchModel
from auto_deeplab.training.shared_weights import DecodedPrediction


@configurable
@dataclasses.dataclass
class Search(Job):
    """A search; the defaults are the paper's (section 5.1).

    It takes the arguments of `Job`, too: `train_split` is the split whose halves are trainA and
    trainB, and `seed` chooses the halves as well.

    Args:
        epochs: Passes over trainA.
        warm_up_epochs: How many of them leave alpha and beta alone.
        network_optimizer: Of w: "sgd", the paper's, or "adam", which asks for a learning rate some
            twenty times smaller.
        network_learning_rate: Of w, at the start.
        network_final_learning_rate: Of w, at the end.
        network_momentum: Of w's SGD; Adam has none.
        network_weight_decay: L2 weight decay of w.
        architecture_learning_rate: Of alpha and beta.
        architecture_weight_decay: L2 weight decay of alpha and beta.
        sampling: What a step computes: "mixture", the paper's, all architectures at once, weighed
            by alpha and beta; or "path", single architectures that are drawn from alpha and beta,
            see `path_search_model.py`.
        path_samples: With "path", how many architectures an update of alpha and beta compares.
        architecture_adam_beta_1: How much of the mean of past gradients Adam keeps, of alpha and
            beta. DARTS has 0.5.
        architecture_adam_beta_2: How much of the mean of their squares.
        architecture_adam_epsilon: What Adam adds to the root of that, so that it does not divide
            by 0.
        most_skips: How many branches of the cell that is decoded at the end may be `skip`, see
            `decode_cell`; None for all.
        auxiliary_skip: How much of its input each mixed operation has beside it at the start, see
            `Supernet`; it falls to 0 at the last step.
        auxiliary_skip_falls_in_warm_up: Whether it begins to fall at the first step; else after the
            warm-up, while alpha learns.
        logsumexp_weight: What `mean_logsumexp` of alpha is multiplied by in the last step; it grows
            from 0 at the end of the warm-up.
        entropy_weight: What `mean_entropy` of alpha is multiplied by, likewise.
        final_temperature: What alpha and beta are divided by in the last step before their
            softmaxes; it goes there from 1 at the end of the warm-up.
        cost: What to count of the final networks that alpha and beta stand for: `@multiply_adds()`,
            `@parameters()`, or None. They are built as `build_network` is configured.
        cost_weight: What `CostPenalty`, which draws the expected cost to its target, is multiplied
            by; 0 to count alone.
        cost_target: The cost to end with.
    """

    length = "epochs"

    batch_size: Count = 2
    epochs: Count = 40
    warm_up_epochs: CountOrZero = 20
    network_optimizer: Literal["sgd", "adam"] = "sgd"
    network_learning_rate: Positive = 0.025
    network_final_learning_rate: NotNegative = 0.001
    network_momentum: KerasMomentum = 0.9
    network_weight_decay: NotNegative = 3e-4
    architecture_learning_rate: NotNegative = 3e-3
    architecture_weight_decay: NotNegative = 1e-3
    architecture_adam_beta_1: Decay = 0.9
    architecture_adam_beta_2: Decay = 0.999
    architecture_adam_epsilon: Positive = 1e-7
    # What the paper does not have; docs/searching.md.
    sampling: Literal["mixture", "path"] = "mixture"
    path_samples: Annotated[int, Ge(2), Le(1000)] = 4
    most_skips: CountOrZero | None = None
    auxiliary_skip: NotNegative = 0.0
    auxiliary_skip_falls_in_warm_up: bool = False
    logsumexp_weight: NotNegative = 0.0
    entropy_weight: NotNegative = 0.0
    final_temperature: Positive = 1.0
    cost: (
        Annotated[
            Any,
            Predicate(lambda cost: isinstance(cost, Cost)),
            doc("@multiply_adds() or @parameters()"),
        ]
        | None
    ) = None
    cost_weight: NotNegative = 0.0
    cost_target: Positive | None = None

    def __post_init__(self) -> None:
        if self.warm_up_epochs > self.epochs:
            raise UserError(
                f"Search.warm_up_epochs: received {self.warm_up_epochs}; expected 0 to "
                f"Search.epochs, which is {self.epochs}"
            )
        if self.cost is None:
            for name, off in (("cost_weight", 0.0), ("cost_target", None)):
                if (value := getattr(self, name)) != off:
                    raise UserError(
                        f"Search.{name}: received {value!r} with Search.cost = None; expected "
                        f"{off!r}, or Search.cost = @multiply_adds() or @parameters()"
                    )
        elif self.cost_weight and self.cost_target is None:
            raise UserError(
                f"Search.cost_target: received None with Search.cost_weight = {self.cost_weight}; "
                f"expected how many {self.cost.unit} the network that is found shall have"
            )

    @property
    def predicts(self) -> bool:
        """Whether the mixture is trained; not with single paths."""
        return self.sampling == "mixture"

    @property
    def has_genotype(self) -> bool:
        """False: a supernet holds all architectures; the one it finds is not its own."""
        return False

    def build_model(self, description: DatasetDescription, model_dir: ModelDir) -> Supernet:
        """Returns the supernet, initialized by the seed."""
        tf_keras.utils.set_random_seed(self.seed)
        return Supernet(
            len(description.classes),
            auxiliary_skip=self.auxiliary_skip != 0,
            has_temperature=self.final_temperature != 1,
        )

    def further_schedules(self, steps_per_epoch: int) -> dict[str, schedules.Linear]:
        """Returns what changes from step to step beside learning rates, by name; only what is on.

        Args:
            steps_per_epoch: Of a pass over trainA.
        """
        warm, last = self.warm_up_epochs * steps_per_epoch, self.epochs * steps_per_epoch - 1
        skip_falls_from = 0 if self.auxiliary_skip_falls_in_warm_up else warm
        of_all = {
            "auxiliary_skip": schedules.Linear(self.auxiliary_skip, 0.0, skip_falls_from, last),
            "logsumexp_weight": schedules.Linear(0.0, self.logsumexp_weight, warm, last),
            "entropy_weight": schedules.Linear(0.0, self.entropy_weight, warm, last),
            "temperature": schedules.Linear(1.0, self.final_temperature, warm, last),
        }
        return {
            name: schedule
            for name, schedule in of_all.items()
            if schedule.initial != schedule.final
        }

    def prepare(
        self, records: SegmentationRecords, model_dir: ModelDir, strategy: tf.distribute.Strategy
    ) -> "SearchTraining":
        """Returns the search as it is before the first step, see `Job.prepare`."""
        if self.sampling == "path":
            check_path_sampling(strategy, self)
        half_a, half_b = (records.half(half, self.seed) for half in ("A", "B"))
        epoch_steps = steps_per_epoch(half_a, self.batch_size)
        with strategy.scope():
            supernet = self.build_model(records.description, model_dir)
            # A limit that no cell of this space can keep to is refused now, not at the end.
            supernet.relaxation().decode("now", most_skips=self.most_skips)
        # Not in the scope: the networks that are counted are no replicas' and are thrown away.
        costs = self.measure_costs(supernet, len(records.description.classes))
        with strategy.scope():
            return SearchTraining(
                self, supernet, half_a, half_b, epoch_steps, model_dir.history, costs
            )

    def measure_costs(self, supernet: Supernet, classes: int) -> CostTable | None:
        """Returns what the parts of the final networks cost; None where no cost is asked for.

        Args:
            supernet: Has the search space.
            classes: Of the final networks.

        Raises:
            UserError: It cannot be counted, or no network comes near to the target.
        """
        if self.cost is None:
            return None
        table = measure(
            self.cost,
            supernet.cell_graph,
            supernet.trellis_graph,
            lambda genotype: build_network(genotype, classes),
        )
        least, most = cost_bounds(table)
        if self.cost_target is not None and not least <= self.cost_target <= most:
            raise UserError(
                f"Search.cost_target: received {self.cost_target:,.0f}; expected {least:,} to "
                f"{most:,} {self.cost.unit}, which the final networks of this search space have"
            )
        return table

    def finish(self, model_dir: ModelDir, trained: bool) -> None:
        """Decodes the genotype, and says where the search went wrong."""
        if trained or not model_dir.genotype.exists():
            decoded = decode_model_dir(model_dir.path, overwrite=True)
            for finding in diagnose(decoded.entry.relaxation).findings():
                print(finding, flush=True)


class SearchTraining(Training):
    """A search under way; made in the scope of the distribution strategy.

    Args:
        settings: How to search.
        supernet: What to search in.
        half_a: trainA.
        half_b: trainB.
        steps_per_epoch: The number of steps of a pass over trainA.
        history: The file that keeps alpha and beta after each epoch.
        costs: What the parts of the final networks cost, if that is counted.
    """

    def __init__(
        self,
        settings: Search,
        supernet: Supernet,
        half_a: SegmentationRecords,
        half_b: SegmentationRecords,
        steps_per_epoch: int,
        history: Path,
        costs: CostTable | None = None,
    ) -> None:
        self._settings, self._supernet = settings, supernet
        self._half_a, self._half_b = half_a, half_b
        self._history = history
        self._warm_up_steps = settings.warm_up_epochs * steps_per_epoch
        total_steps = settings.epochs * steps_per_epoch
        self._schedule = schedules.cosine(
            settings.network_learning_rate, settings.network_final_learning_rate, total_steps
        )
        further = settings.further_schedules(steps_per_epoch)
        penalties = ArchitecturePenalties(lambda: supernet.architecture_logits()[0], further)
        of_supernet = {
            "auxiliary_skip": supernet.auxiliary_skip,
            "temperature": supernet.temperature,
        }
        self._scheduled = schedules.ScheduledVariables(further, of_supernet | penalties.weights)
        self._cost = SearchCost(supernet, costs, settings.most_skips) if costs else None
        cost_penalty = None
        if self._cost and settings.cost_weight and settings.cost_target:
            cost_penalty = self._cost.penalty(settings.cost_weight, settings.cost_target)
        decays = settings.network_weight_decay, settings.architecture_weight_decay
        ignore_label = half_a.description.ignore_label
        model: SearchModel
        if settings.sampling == "path":
            model = PathSearchModel(
                supernet,
                ignore_label,
                *decays,
                settings.path_samples,
                settings.seed,
                architecture_penalty=cost_penalty,
            )
        else:
            model = SearchModel(
                supernet,
                ignore_label,
                *decays,
                settings.gradient_accumulation_steps,
                self._scheduled,
                sum_of([each for each in (penalties, cost_penalty) if each]),
            )
        # The fused updates of these optimizers are one operation a variable.
        model.compile(
            tf_keras.optimizers.legacy.SGD(self._schedule, settings.network_momentum)
            if settings.network_optimizer == "sgd"
            else PartialAdam(self._schedule),
            tf_keras.optimizers.legacy.Adam(
                settings.architecture_learning_rate,
                settings.architecture_adam_beta_1,
                settings.architecture_adam_beta_2,
                settings.architecture_adam_epsilon,
            ),
            jit_compile=settings.jit_compile,
        )
        tracked = {
            "model": supernet,
            "optimizer": model.network_optimizer,
            "architecture_optimizer": model.architecture_optimizer,
        }
        super().__init__(
            model, tracked, total_steps, steps_per_epoch, supernet.synchronized_batch_norm
        )

    def pipeline(
        self, first_step: int, steps: int, context: tf.distribute.InputContext
    ) -> tf.data.Dataset:
        """Returns batches of trainA and, past the warm-up, of trainB, see `SearchModel`."""

        def stream(half: SegmentationRecords, seed: int, first_step: int) -> tf.data.Dataset:
            return training_batches(
                half,
                batch_size=self._settings.batch_size,
                seed=seed,
                first_step=first_step,
                steps=steps,
                input_context=context,
            )

        seed = self._settings.seed
        streams = {"network": stream(self._half_a, seed, first_step)}
        if first_step >= self._warm_up_steps:
            step_of_b = first_step - self._warm_up_steps
            streams["architecture"] = stream(self._half_b, seed + 1, step_of_b)
        return tf.data.Dataset.zip(streams)

    def prediction(self) -> Predict:
        """Returns what is validated: the mixture, or with single paths what would be decoded."""
        if isinstance(self.model, PathSearchModel):
            return self._decoded_prediction()
        return super().prediction()

    def further_predictions(self) -> dict[str, Predict]:
        """Returns beside the mixture what would be decoded: what it falls short is the gap."""
        if isinstance(self.model, PathSearchModel):
            return {}
        return {"decoded_": self._decoded_prediction()}

    def _decoded_prediction(self) -> Predict:
        return DecodedPrediction(self._supernet, self._settings.most_skips)

    def learning_rates(self, step: int) -> dict[str, float]:
        """Returns those of w and of the architecture, and what else follows a schedule."""
        is_warm = step >= self._warm_up_steps
        return {
            "learning_rate": float(self._schedule(step)),
            "architecture_learning_rate": self._settings.architecture_learning_rate
            if is_warm
            else 0.0,
            **self._scheduled.values(step),
        }

    def loss(self, batch: dict[str, tuple[tf.Tensor, tf.Tensor]], name: str) -> tf.Tensor:
        """Returns a replica's part of L_trainA or L_trainB, see `Training.loss`."""
        images, labels = batch["architecture" if name == "architecture_loss" else "network"]
        if isinstance(self.model, PathSearchModel):
            return self.model.loss_of_drawn(images, labels, name)
        logits = self._supernet(images, training=True)
        return cross_entropy(labels, logits, self._half_a.description.ignore_label)

    def epoch_figures(self) -> dict[str, float]:
        """Returns how far alpha and beta have come, see `Diagnosis`, and what that costs."""
        figures = diagnose(self._supernet.relaxation()).figures()
        return figures | self._cost.figures() if self._cost else figures

    def step_figures(self) -> dict[str, str]:
        """Returns what alpha and beta cost."""
        return self._cost.texts() if self._cost else {}

    def on_epoch_end(self, epoch: int, step: int) -> None:
        """Keeps alpha and beta."""
        relaxation = self._supernet.relaxation()
        append_history(self._history, epoch, step, relaxation)
        tf.summary.histogram("architecture/alpha", relaxation.operation_weights())
        tf.summary.histogram("architecture/beta", relaxation.arc_weights())
        tf.summary.image("architecture/alpha", heat_map(relaxation.operation_weights()))


def heat_map(weights: np.ndarray, pixels: int = 16) -> np.ndarray:
    """Returns a matrix in gray: float32 [1, rows * pixels, columns * pixels, 1], 0 to 1."""
    enlarged = np.kron(weights, np.ones((pixels, pixels)))
    return (enlarged / enlarged.max())[None, :, :, None].astype(np.float32)

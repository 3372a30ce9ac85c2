"""The search by single paths: each step trains one architecture, drawn anew.

The mixture that `SearchModel` trains is deployed by nobody: what is decoded from it, one operation
an edge and one path, has never been trained alone. Here both updates of the alternation (paper,
section 4.2) see discrete architectures only, as in single path one-shot search (Guo et al. 2020,
arXiv 1904.00420) and random search with weight sharing (Li and Talwalkar 2019, arXiv 1902.07638):

1. w: one architecture is drawn and updated by its gradient of L_trainA;
2. alpha and beta: several are drawn, and the probabilities of those with smaller losses than the
   others on the same batch of trainB grow (`optimization/policy_gradient.py`).

Both are drawn from what alpha and beta stand for (`ArchitectureDistribution`). In the warm-up these
are next to 0, so that all arcs, edges and operations are as likely as their alternatives; later w
is trained most where the search is. What is drawn depends on the seed, the step, alpha and beta
alone, so that a search that is interrupted draws what it would have drawn.

There are more architectures than one could trace: a step calls functions that serve all of them
(`models/supernet/traced_path_parts.py`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet.single_path import SinglePaths
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.search_space import ArchitectureDistribution, Genotype, numbered_generator
from auto_deeplab.training.optimization.loss import cross_entropy
from auto_deeplab.training.optimization.partial_update import descend_partially
from auto_deeplab.training.optimization.policy_gradient import policy_gradient
from auto_deeplab.training.optimization.update import penalty_gradients
from auto_deeplab.training.search_model import SearchModel

# So that the draws for w and those for alpha and beta have nothing to do with each other.
_NETWORK, _ARCHITECTURE = 0, 1

# What changes the mixture's steps alone, with the value that changes nothing. A single path is not
# compiled as a whole, and has the memory of one small network.
OF_THE_MIXTURE = {
    "jit_compile": False,
    "gradient_accumulation_steps": 1,
    "auxiliary_skip": 0.0,
    "logsumexp_weight": 0.0,
    "entropy_weight": 0.0,
    "final_temperature": 1.0,
}


class PathSearchModel(SearchModel):
    """Trains a supernet by single architectures: w on trainA, then alpha and beta on trainB.

    `fit` takes what it takes for `SearchModel`. It runs on one replica.

    Args:
        supernet: The network to train.
        ignore_label: The label of pixels that do not count.
        network_weight_decay: L2 weight decay of w: of what a step trains.
        architecture_weight_decay: L2 weight decay of alpha and beta.
        samples: How many architectures an update of alpha and beta compares, at least 2.
        seed: Of the draws.
        architecture_penalty: Returns a loss of alpha and beta alone, whose gradient joins the
            policy gradient.

    Attributes:
        drawn: The architectures of the newest update of either level, by the name of its loss.
    """

    def __init__(
        self,
        supernet: Supernet,
        ignore_label: int = 255,
        network_weight_decay: float = 3e-4,
        architecture_weight_decay: float = 1e-3,
        samples: int = 4,
        seed: int = 0,
        architecture_penalty: Callable[[], tf.Tensor] | None = None,
        **kwargs,
    ):
        super().__init__(
            supernet,
            ignore_label,
            network_weight_decay,
            architecture_weight_decay,
            architecture_penalty=architecture_penalty,
            **kwargs,
        )
        if architecture_penalty is not None:
            self._penalty_gradients = tf.function(
                lambda: penalty_gradients(architecture_penalty, supernet.architecture_variables),
                autograph=False,
            )
        self.samples = samples
        self.seed = seed
        self.paths = SinglePaths(supernet, traced=True)
        self.drawn: dict[str, Sequence[Genotype]] = {}

    def update_network(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Updates what one architecture reads of w, on a batch of trainA; returns the loss."""
        step = int(self.network_optimizer.iterations)
        generator = numbered_generator(self.seed, _NETWORK, step)
        genotype = self.distribution().draw("drawn", generator)
        self.drawn["loss"] = [genotype]
        path = self.paths.path(genotype)
        vectors = path.read()
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([vectors, path.variables])
            logits = path.logits(self.paths.stem(images), vectors)
            loss = cross_entropy(labels, logits, self.ignore_label)
        of_vectors, of_variables = tape.gradient(loss, [vectors, path.variables])
        for layer, values, gradient in zip(path.layers, vectors, of_vectors, strict=True):
            descend_partially(
                self.network_optimizer,
                layer.kernels.variable,
                layer.kernels.places,
                values,
                gradient,
                self.network_weight_decay,
            )
        self.network_optimizer.apply_gradients(
            (gradient + self.network_weight_decay * variable, variable)
            for gradient, variable in zip(of_variables, path.variables, strict=True)
        )
        return loss

    def update_architecture(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Updates alpha and beta on a batch of trainB; returns the mean of the drawn losses."""
        step = int(self.architecture_optimizer.iterations)
        distribution = self.distribution()
        genotypes = [
            distribution.draw("drawn", numbered_generator(self.seed, _ARCHITECTURE, step, number))
            for number in range(self.samples)
        ]
        self.drawn["architecture_loss"] = genotypes
        losses = self.losses(images, labels, genotypes)
        estimate = policy_gradient(distribution, genotypes, [float(loss) for loss in losses])
        variables = self.supernet.architecture_variables
        gradients = [
            tf.constant(gradient, tf.float32) + self.architecture_weight_decay * variable
            for gradient, variable in zip(estimate, variables, strict=True)
        ]
        if self.architecture_penalty is not None:
            gradients = [a + b for a, b in zip(gradients, self._penalty_gradients(), strict=True)]
        self.architecture_optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return tf.reduce_mean(losses)

    def losses(
        self, images: tf.Tensor, labels: tf.Tensor, genotypes: Sequence[Genotype]
    ) -> list[tf.Tensor]:
        """Returns the loss of each architecture on the same batch, float32 scalars."""
        stem = self.paths.stem(images)
        paths = map(self.paths.path, genotypes)
        return [
            cross_entropy(labels, path.logits(stem, path.read()), self.ignore_label)
            for path in paths
        ]

    def loss_of_drawn(self, images: tf.Tensor, labels: tf.Tensor, name: str) -> tf.Tensor:
        """Returns the mean loss of the architectures of `drawn[name]`, float32 scalar."""
        return tf.reduce_mean(self.losses(images, labels, self.drawn[name]))

    def _compiled(self, replica_update, jit_compile):
        """Lets the updates run as they are: there is one replica, and what is traced is parts."""
        del jit_compile
        return replica_update

    def distribution(self) -> ArchitectureDistribution:
        """Returns what alpha and beta stand for now."""
        return ArchitectureDistribution(self.supernet.relaxation())


def check_path_sampling(strategy: tf.distribute.Strategy, settings: Any) -> None:
    """Looks whether a search by single paths can run as it is configured.

    Args:
        strategy: What it would run under.
        settings: The `Search`.

    Raises:
        UserError: It cannot.
    """
    for name, off in OF_THE_MIXTURE.items():
        value = getattr(settings, name)
        if value != off:
            raise UserError(
                f"Search.{name}: received {value!r} with Search.sampling = 'path', whose steps "
                f"have no use for it; expected {off!r}"
            )
    if strategy.num_replicas_in_sync > 1:
        raise UserError(
            f"Search.sampling: received 'path' on {strategy.num_replicas_in_sync} replicas; "
            "expected one replica, or 'mixture'"
        )
    if tf_keras.mixed_precision.global_policy().name == "mixed_float16":
        raise UserError(
            "Search.sampling: received 'path' in float16, for which losses have to be scaled; "
            "expected configure_runtime.mixed_precision = 'bfloat16' or 'none'"
        )

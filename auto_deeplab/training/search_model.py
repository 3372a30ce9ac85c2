"""The search as a Keras model whose `train_step` alternates (paper, section 4.2).

The training images are divided once into trainA and trainB; L is the cross-entropy on a batch of
either. A step

1. updates the weights w of the operations by the gradient of L_trainA(w, alpha, beta);
2. updates the architecture, alpha and beta, by the gradient of L_trainB(w, alpha, beta).

The second gradient takes w as it is: the first-order approximation, which does not ask how w would
train on under another architecture. The architecture learns on images that w does not learn on, so
that it cannot gain by overfitting. It stays as it is while w warms up, for 20 of the paper's 40
epochs (section 5.1): chosen by untrained weights it would end in a bad local optimum.

`training/search.py` brings in the data, the optimizers and their schedules; what is trained is
`models/supernet`, whose `textbook.py` explains alpha and beta.
"""

from collections.abc import Callable

import tensorflow as tf
import tf_keras

from auto_deeplab.models.supernet.supernet import FROZEN_ARCHITECTURE, FROZEN_NETWORK, Supernet
from auto_deeplab.training.optimization.accumulation import part_of
from auto_deeplab.training.optimization.loss import counted_pixels, cross_entropy
from auto_deeplab.training.optimization.optimizers import with_loss_scale
from auto_deeplab.training.optimization.schedules import ScheduledVariables
from auto_deeplab.training.optimization.update import create_slots, update


class SearchModel(tf_keras.Model):
    """Trains a supernet: the weights w on trainA, then alpha and beta on trainB.

    `fit` takes a dataset of dicts: `{"network": (images, labels)}` updates w alone, which is the
    warm-up; with `"architecture": (images, labels)` beside it, alpha and beta follow on those.
    Each update is a function of its own, built when it is first needed: a warm-up neither builds
    nor runs anything of the architecture's update.

    Args:
        supernet: The network to train.
        ignore_label: The label of pixels that do not count.
        network_weight_decay: L2 weight decay of w.
        architecture_weight_decay: L2 weight decay of alpha and beta.
        gradient_accumulation_steps: How many parts of a replica's batch are computed one after the
            other, for one update of either level. Each is normalized with its own statistics.
        scheduled: What else changes from step to step, such as the supernet's auxiliary skip.
        architecture_penalty: Returns a loss of alpha and beta alone, whose gradient joins that of
            trainB's.

    Attributes:
        run_network_update, run_architecture_update: from `compile` on, the two updates as
            functions of images and labels, on all replicas; each returns the loss.
    """

    train_function: Callable | None

    def __init__(
        self,
        supernet: Supernet,
        ignore_label: int = 255,
        network_weight_decay: float = 3e-4,
        architecture_weight_decay: float = 1e-3,
        gradient_accumulation_steps: int = 1,
        scheduled: ScheduledVariables | None = None,
        architecture_penalty: Callable[[], tf.Tensor] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.supernet = supernet
        self.ignore_label = ignore_label
        self.network_weight_decay = network_weight_decay
        self.architecture_weight_decay = architecture_weight_decay
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.scheduled = scheduled or ScheduledVariables({}, {})
        self.architecture_penalty = architecture_penalty

    def compile(
        self,
        network_optimizer: tf_keras.optimizers.legacy.Optimizer,
        architecture_optimizer: tf_keras.optimizers.legacy.Optimizer,
        jit_compile: bool = False,
    ):
        """Sets the optimizers of both levels, with loss scales where they are needed.

        Args:
            network_optimizer: Of w.
            architecture_optimizer: Of alpha and beta.
            jit_compile: Compile both updates with XLA.
        """
        self.network_optimizer = with_loss_scale(network_optimizer)
        self.architecture_optimizer = with_loss_scale(architecture_optimizer)
        super().compile(optimizer=self.network_optimizer, jit_compile=jit_compile)
        create_slots(self.network_optimizer, self.supernet.network_variables)
        create_slots(self.architecture_optimizer, self.supernet.architecture_variables)
        self.run_network_update = self._compiled(self.update_network, jit_compile)
        self.run_architecture_update = self._compiled(self.update_architecture, jit_compile)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Normalized images [batch, height, width, 3] -> logits [batch, height, width, classes]."""
        return self.supernet(images, training=training)

    def update_network(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Updates w on one replica's batch of trainA; returns the loss."""
        return self._update(
            images,
            labels,
            FROZEN_ARCHITECTURE,
            self.supernet.network_variables,
            self.network_optimizer,
            self.network_weight_decay,
        )

    def update_architecture(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Updates alpha and beta on one replica's batch of trainB; returns the loss."""
        return self._update(
            images,
            labels,
            FROZEN_NETWORK,
            self.supernet.architecture_variables,
            self.architecture_optimizer,
            self.architecture_weight_decay,
            self.architecture_penalty,
        )

    def train_step(self, data: dict[str, tuple[tf.Tensor, tf.Tensor]]) -> dict[str, tf.Tensor]:
        """One round of the alternation: w first, then, past the warm-up, alpha and beta.

        Args:
            data: "network" and, past the warm-up, "architecture": images, float32 [batch, height,
                width, 3], normalized, and labels, int32 [batch, height, width].

        Returns:
            "loss" of trainA and, past the warm-up, "architecture_loss" of trainB.
        """
        self.scheduled.assign(self.network_optimizer.iterations)
        logs = {"loss": self.run_network_update(*data["network"])}
        if "architecture" in data:
            logs["architecture_loss"] = self.run_architecture_update(*data["architecture"])
        return logs

    def make_train_function(self, force: bool = False) -> Callable:
        """Lets `fit` call `train_step` directly: what it runs is compiled already."""
        if self.train_function is None or force:
            self.train_function = lambda iterator: self.train_step(next(iterator))
        return self.train_function

    def _update(self, images, labels, frozen, variables, optimizer, weight_decay, penalty=None):
        parts = self.gradient_accumulation_steps
        pixels = counted_pixels(labels, self.ignore_label)

        def loss(part):
            part_images, part_labels = part_of((images, labels), part, parts)
            logits = self.supernet(part_images, training=True, frozen=frozen)
            return cross_entropy(part_labels, logits, self.ignore_label, pixels=pixels)

        return update(loss, variables, optimizer, weight_decay, parts=parts, penalty=penalty)

    def _compiled(self, replica_update, jit_compile):
        strategy = self.distribute_strategy
        if jit_compile:
            replica_update = tf.function(replica_update, jit_compile=True, autograph=False)

        @tf.function(autograph=False)
        def run(images, labels):
            losses = strategy.run(replica_update, args=(images, labels))
            return strategy.experimental_local_results(losses)[0]

        return run

"""Losses of alpha alone, which join that of trainB in the architecture's update.

They are no part of the paper. Each is a mean over the edges, so that its weight means the same
whatever the size of the cell.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf


def mean_logsumexp(alpha: tf.Tensor) -> tf.Tensor:
    """Returns `mean over edges of log sum over k of exp(alpha_k)`, float32 scalar.

    The regularization of beta-DARTS (Ye et al. 2022, https://arxiv.org/abs/2203.01665). Its
    gradient by an edge's alpha is softmax(alpha), so it takes most from what is strongest: alpha
    varies less, and an operation has to keep earning its lead.

    Args:
        alpha: float32 [edges, operations], before the softmax.
    """
    return tf.reduce_mean(tf.reduce_logsumexp(alpha, axis=-1))


def mean_entropy(alpha: tf.Tensor) -> tf.Tensor:
    """Returns the entropy of softmax(alpha), the mean over the edges, float32 scalar.

    It is divided by that of equal weights, so it lies between 0 and 1, as `alpha_entropy` in the
    metrics. To descend it is to decide: the supernet that is trained becomes the network that is
    decoded.

    Args:
        alpha: float32 [edges, operations], before the softmax. With one operation it is 0.
    """
    log_weights = tf.nn.log_softmax(alpha)
    entropies = -tf.reduce_sum(tf.exp(log_weights) * log_weights, axis=-1)
    return tf.reduce_mean(entropies) / math.log(max(2, alpha.shape[-1]))


def sum_of(penalties: Sequence[Callable[[], tf.Tensor]]) -> Callable[[], tf.Tensor] | None:
    """Returns what computes the sum of losses, float32 scalars; None where there is none."""
    if len(penalties) < 2:
        return penalties[0] if penalties else None
    return lambda: tf.add_n([penalty() for penalty in penalties])


PENALTIES: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "logsumexp_weight": mean_logsumexp,
    "entropy_weight": mean_entropy,
}
"""By the name of the weight."""


class ArchitecturePenalties:
    """The sum of some penalties, each times a weight that may change from step to step.

    Args:
        alpha: Returns float32 [edges, operations].
        names: Which of `PENALTIES`; a weight that is none of them is left to others.

    Attributes:
        weights: The variables, by name; 0 until they are set.
    """

    def __init__(self, alpha: Callable[[], tf.Tensor], names: Iterable[str]) -> None:
        self._alpha = alpha
        self.weights = {
            name: tf.Variable(0.0, trainable=False, name=name)
            for name in names
            if name in PENALTIES
        }

    def __call__(self) -> tf.Tensor:
        """Returns the loss, float32 scalar."""
        alpha = self._alpha()
        return sum(
            (weight * PENALTIES[name](alpha) for name, weight in self.weights.items()),
            start=tf.constant(0.0),
        )

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.weights)

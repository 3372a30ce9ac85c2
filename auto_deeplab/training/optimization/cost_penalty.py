"""The loss that draws the expected cost to a target, which joins that of trainB.

    weight * |log(E[cost] / target)|

Its gradient is weight / E[cost] times that of the expected cost, up or down. So a network of twice
the target pays as much as one of half, whatever is counted and however large it is; and the pull
does not fade before the target is reached, which the weight need only suffice for. With weight *
E[cost] / target there is no target: the pull goes on below it, and which cost a search ends with is
a matter of the weight, to be found by trying. TuNAS (Bender et al. 2020,
https://arxiv.org/abs/2008.06120) compares such rewards, and takes the absolute value of
E[cost] / target - 1 for the same reasons.
"""

from collections.abc import Callable

import tensorflow as tf

from auto_deeplab.cost import ExpectedCost


class CostPenalty:
    """`weight * |log(E[cost] / target)|`.

    Args:
        logits: Returns alpha, float32 [edges, operations], and beta, float32 [arcs], before the
            softmax.
        expected: What they make one expect.
        weight: What the logarithm is multiplied by.
        target: The cost to end with.
    """

    def __init__(
        self,
        logits: Callable[[], tuple[tf.Tensor, tf.Tensor]],
        expected: ExpectedCost,
        weight: float,
        target: float,
    ) -> None:
        self._logits, self._expected = logits, expected
        self._weight, self._target = weight, target

    def __call__(self) -> tf.Tensor:
        """Returns the loss, float32 scalar."""
        ratio = self._expected(*self._logits()) / self._target
        return self._weight * tf.abs(tf.math.log(ratio))

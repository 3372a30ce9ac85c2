"""The parts of a single path as functions that serve all architectures, each built once.

There are more architectures than one could trace. So a cell is one function for each stride, in
which each branch chooses its input by index and its operation by `tf.switch_case`. Run operation by
operation instead, most of a step's time is Python's: the operations of one small network are short.
"""

import functools
from collections.abc import Sequence

import tensorflow as tf

from auto_deeplab.models.supernet.path_parts import (
    KeptBranch,
    PathParts,
    computed_operation,
    operation,
)
from auto_deeplab.models.supernet.supernet import IMAGE_CHANNELS, Supernet


class TracedPathParts(PathParts):
    """Computes the same as `PathParts`, in graphs.

    Args:
        supernet: With the weights of stem and heads.
    """

    def __init__(self, supernet: Supernet):
        super().__init__(supernet)
        dtype = supernet.compute_dtype
        # An edge gives nothing, too, where `none` is no operation of the space.
        self._operations = (
            "none",
            *(
                computed_operation(op, supernet)
                for op in supernet.cell_graph.operations
                if op != "none"
            ),
        )
        self._operation = SwitchedOperation(self._operations)
        self._stem = _function(super().stem, _maps(IMAGE_CHANNELS, tf.float32))
        count = 2 * supernet.cell_graph.blocks
        self._cells, self._heads = {}, {}
        for stride, filters in supernet.trellis.block_filters.items():
            self._cells[filters] = _function(
                self._switched_cell,
                _maps(filters, dtype),
                _maps(filters, dtype),
                tf.TensorSpec([count, 2], tf.int32),
                tf.TensorSpec([None], dtype),
                tf.TensorSpec([count], tf.int32),
            )
            self._heads[stride] = _function(
                functools.partial(super().head, stride),
                _maps(supernet.cell_graph.blocks * filters, dtype),
                tf.TensorSpec([2], tf.int32),
            )

    def stem(self, images: tf.Tensor) -> tf.Tensor:
        """See `PathParts`."""
        return self._stem(images)

    def cell(
        self,
        prev_prev: tf.Tensor,
        prev: tf.Tensor,
        branches: Sequence[KeptBranch],
        kernels: tf.Tensor,
        sizes: Sequence[int],
    ) -> tf.Tensor:
        """See `PathParts`."""
        choices = [(branch.input, self._operations.index(branch.op)) for branch in branches]
        return self._cells[prev.shape[-1]](prev_prev, prev, choices, kernels, sizes)

    def head(self, stride: int, features: tf.Tensor, size: Sequence[int] | tf.Tensor) -> tf.Tensor:
        """See `PathParts`."""
        return self._heads[stride](features, size)

    def _switched_cell(self, prev_prev, prev, choices, kernels, sizes):
        states = [prev_prev, prev]
        branches = tf.unstack(choices)
        vectors = tf.split(kernels, sizes, num=len(branches))
        for first in range(0, len(branches), 2):
            candidates = tf.stack(states)
            left, right = (
                self._operation(branches[i][1], tf.gather(candidates, branches[i][0]), vectors[i])
                for i in (first, first + 1)
            )
            states.append(left + right)
        return tf.nn.relu(tf.concat(states[2:], axis=-1))


class SwitchedOperation:
    """`operation` by a number that is known when it runs.

    Its gradient evaluates the operation again. Else each of the operations would have to hand over
    what the gradients of all of them need.

    Args:
        operations: What the number counts.
    """

    def __init__(self, operations: Sequence[str]):
        self._operations = operations
        self._evaluate = _function(self._evaluate_case)
        self._differentiate = _function(self._differentiate_case)

    def __call__(self, number: tf.Tensor, state: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        """Returns what `operation` returns.

        Args:
            number: int32 scalar.
            state: float [batch, height, width, filters].
            vector: The operation's kernels, float [numbers].
        """

        @tf.custom_gradient
        def evaluate(state, vector):
            def gradient(upstream):
                return self._differentiate(number, state, vector, upstream)

            return self._evaluate(number, state, vector), gradient

        return evaluate(state, vector)

    def _evaluate_case(self, number, state, vector):
        cases = [functools.partial(operation, op, state, vector) for op in self._operations]
        return tf.switch_case(number, cases)

    def _differentiate_case(self, number, state, vector, upstream):
        def gradients_of(op):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([state, vector])
                output = operation(op, state, vector)
            return tape.gradient(output, [state, vector], upstream, tf.UnconnectedGradients.ZERO)

        cases = [functools.partial(gradients_of, op) for op in self._operations]
        return tf.switch_case(number, cases)


def _maps(channels: int, dtype: str | tf.DType) -> tf.TensorSpec:
    return tf.TensorSpec([None, None, None, channels], dtype)


def _function(python_function, *signature):
    """Returns a function that is built once, for all sizes of the maps."""
    # TensorFlow warns of one that is built often, and takes all of the same method for one.
    own = functools.partial(python_function)
    return tf.function(own, signature or None, autograph=False)

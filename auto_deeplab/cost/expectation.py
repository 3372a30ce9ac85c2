"""The expected cost of the network that alpha and beta stand for, which gradients go through."""

import numpy as np
import tensorflow as tf

from auto_deeplab.cost.parts import (
    Pyramid,
    Stem,
    decoder_of,
    operation_of,
    preparations,
    steps,
)
from auto_deeplab.cost.probabilities import branch_probabilities, path_probabilities, stride_axis
from auto_deeplab.cost.table import CostTable
from auto_deeplab.search_space import STATES


class ExpectedCost:
    """The mean of `CostTable.cost_of` over the architectures that alpha and beta make likely.

    It is exact, and not an estimate. A cost is a sum over parts, so its mean is the sum over all
    parts of the cost times the probability that a network has the part. The cell and the path are
    drawn apart, so an operation is there as often as the product of two probabilities says. What a
    cell makes of its inputs depends on the strides of three layers in a row, and

        P(a, b, c) = P(a, b) P(c | b)

    where the forward pass over the arcs tells P(a, b), and P(c | b) is softmax(beta).

    Called with alpha, float [edges, operations], and beta, float [arcs], both before the softmax
    and of one dtype, it returns a scalar of that dtype. Where they leave no doubt, float64 returns
    the very number that `CostTable.cost_of` does: 53 bits hold whole numbers up to 9e15.

    Args:
        table: What the parts cost.
    """

    def __init__(self, table: CostTable) -> None:
        self.table = table
        self._reads_state = np.array(
            [edge.input in STATES for edge in table.cell.edges], np.float64
        )
        self._operations = _costs_of_operations(table)
        self._first, self._second, self._later = _costs_of_preparations(table)
        strides = stride_axis(table.trellis)
        self._pyramid, self._decoder = np.zeros([2, len(strides)])
        for node in table.trellis.nodes_of(table.trellis.layers):
            self._pyramid[strides.index(node.stride)] = table.parts[Pyramid(node.stride)]
        for node in table.trellis.nodes_of(1):
            self._decoder[strides.index(node.stride)] = table.parts[decoder_of(node.stride)]

    def __call__(self, alpha: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        """Returns the expected cost; the class describes the shapes."""

        def constant(values: np.ndarray | int) -> tf.Tensor:
            return tf.constant(values, alpha.dtype)

        branches = branch_probabilities(alpha, self.table.cell)
        moves, choices = path_probabilities(beta, self.table.trellis)
        # How many branches of a cell read a state, and a block, with each operation.
        reads_state = constant(self._reads_state)[:, tf.newaxis]
        numbers = tf.stack(
            [
                tf.reduce_sum(branches * reads_state, axis=0),
                tf.reduce_sum(branches * (1 - reads_state), axis=0),
            ]
        )
        of_step = tf.einsum("kabo,ko->ab", constant(self._operations), numbers)
        # How many cells have these strides in the layer before and their own; and one earlier.
        pairs = tf.reduce_sum(moves, axis=0)
        triples = tf.einsum("lab,lbc->abc", moves[1:-1], choices[2:])
        return (
            constant(self.table.parts[Stem()])
            + tf.reduce_sum(pairs * of_step)
            + tf.reduce_sum(moves[0] * constant(self._first))
            + tf.reduce_sum(moves[1:2] * constant(self._second))
            + tf.reduce_sum(triples * constant(self._later))
            + tf.reduce_sum(tf.reduce_sum(moves[0], axis=0) * constant(self._decoder))
            + tf.reduce_sum(tf.reduce_sum(moves[-1], axis=0) * constant(self._pyramid))
        )


def _costs_of_operations(table: CostTable) -> np.ndarray:
    """Returns what operations cost, float64 [2, S, S, operations].

    The first axis is whether an operation reads a block, and the next two are the strides of the
    layer before and of its own, see `stride_axis`. `none` costs nothing.
    """
    strides = stride_axis(table.trellis)
    costs = np.zeros([2, len(strides), len(strides), len(table.cell.operations)])
    for arc in table.trellis.arcs:
        for column, op in enumerate(table.cell.operations):
            for reads_block, read in enumerate((STATES[0], "block1")):
                part = operation_of(op, read, arc.source, arc.target)
                # Of a cell of one block no operation reads a block.
                place = reads_block, strides.index(arc.source), strides.index(arc.target), column
                costs[place] = table.parts.get(part, 0)
    return costs


def _costs_of_preparations(table: CostTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns what cells make of their inputs costs in the first, the second, and later layers.

    Returns:
        float64 [S, S], [S, S] and [S, S, S]: by the strides of the layer before and of a layer's
        own, and for later layers by that of two layers before, too, which comes first.
    """
    strides = stride_axis(table.trellis)
    count = len(strides)
    first, second = np.zeros([2, count, count])
    later = np.zeros([count, count, count])
    for prev_prev, arc in steps(table.trellis):
        parts = preparations(arc.layer, prev_prev, arc.source, arc.target)
        cost = sum(table.parts[part] for part in parts)
        step = strides.index(arc.source), strides.index(arc.target)
        if arc.layer == 1:
            first[step] = cost
        elif arc.layer == 2:
            second[step] = cost
        else:
            later[strides.index(prev_prev), *step] = cost
    return first, second, later

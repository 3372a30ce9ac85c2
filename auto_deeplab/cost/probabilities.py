"""How likely alpha and beta make each branch of the cell and each step of the path.

These are the probabilities of `ArchitectureDistribution`, whose likeliest architecture is what is
decoded, as functions that gradients go through.
"""

import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from auto_deeplab.models.grouped_softmax import grouped_softmax
from auto_deeplab.search_space import STEM, CellGraph, TrellisGraph


def branch_probabilities(alpha: tf.Tensor, cell: CellGraph) -> tf.Tensor:
    """Returns the probability that each edge is kept with each operation.

    Decoding keeps two edges of a block, so an edge counts as much as it is likely to be one of
    them. With w = softmax(alpha) and W[j] = 1 - w[j, none], a block keeps the edges j and k with
    the probability W[j] W[k] / Z, where Z is the sum over all its pairs; an edge that is kept has
    the operation o with the probability w[j, o] / W[j]. So `none` is what is not kept, and the
    probabilities of a block sum to two branches, whatever alpha is.

    Args:
        alpha: float [edges, operations], before the softmax.
        cell: The graph whose edges and operations alpha weighs.

    Returns:
        As alpha: [edges, operations], 0 for `none`.
    """
    is_kept = np.array([operation != "none" for operation in cell.operations])
    but_none = tf.gather(alpha, np.flatnonzero(is_kept), axis=1)
    log_strength = tf.reduce_logsumexp(but_none, axis=1) - tf.reduce_logsumexp(alpha, axis=1)
    rows = {edge: row for row, edge in enumerate(cell.edges)}
    pairs = [
        pair
        for _, edges in itertools.groupby(cell.edges, key=lambda edge: edge.block)
        for pair in itertools.combinations(edges, 2)
    ]
    left, right = ([rows[pair[side]] for pair in pairs] for side in (0, 1))
    of_pairs = grouped_softmax(
        tf.gather(log_strength, left) + tf.gather(log_strength, right),
        [edge.block for edge, _ in pairs],
    )
    kept = tf.math.unsorted_segment_sum(tf.concat([of_pairs, of_pairs], 0), left + right, len(rows))
    with_operation = kept[:, tf.newaxis] * tf.nn.softmax(but_none)
    # Back to the columns of alpha; that of `none` has what another one has, times 0.
    columns = np.maximum(np.cumsum(is_kept) - 1, 0)
    return tf.gather(with_operation, columns, axis=1) * tf.constant(is_kept, alpha.dtype)


class PathProbabilities(NamedTuple):
    """How likely a path is where. S is the number of strides, see `stride_axis`.

    Attributes:
        moves: [L, S, S]: that it goes from a stride to another one into each layer.
        choices: [L, S, S]: that it does, if it is at the first one.
    """

    moves: tf.Tensor
    choices: tf.Tensor


def stride_axis(trellis: TrellisGraph) -> tuple[int, ...]:
    """Returns the strides that the axes of `PathProbabilities` stand for: the stem's is there."""
    return tuple(sorted({STEM.stride, *trellis.strides}))


def path_probabilities(beta: tf.Tensor, trellis: TrellisGraph) -> PathProbabilities:
    """Returns how likely each step is of a path that is drawn arc by arc.

    Softmax(beta) over the arcs that leave a node says where it goes from there (the paper's
    equations 7 and 8); how likely it is to come there, a forward pass over the layers does.

    Args:
        beta: float [arcs], before the softmax.
        trellis: The graph whose arcs beta weighs.
    """
    strides = stride_axis(trellis)
    arcs = trellis.arcs
    weights = grouped_softmax(beta, [(arc.layer, arc.source) for arc in arcs])
    # Where there is no arc, the number that follows the weights: 0.
    position = np.full([trellis.layers, len(strides), len(strides)], len(arcs))
    for number, arc in enumerate(arcs):
        position[arc.layer - 1, strides.index(arc.source), strides.index(arc.target)] = number
    choices = tf.gather(tf.concat([weights, tf.zeros([1], beta.dtype)], 0), position)
    at = tf.one_hot(strides.index(STEM.stride), len(strides), dtype=beta.dtype)
    moves = []
    for layer in range(trellis.layers):
        moves.append(at[:, tf.newaxis] * choices[layer])
        at = tf.reduce_sum(moves[-1], axis=0)
    return PathProbabilities(tf.stack(moves), choices)

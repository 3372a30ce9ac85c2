"""What a single path is made of, in the form of the textbook: stem, cell and head.

One architecture has few operations: each is computed by itself. Everything is normalized with the
statistics of the batch, and moving statistics stay as they are.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from auto_deeplab.models.resize import resize_bilinear
from auto_deeplab.models.supernet.fast import grouped
from auto_deeplab.models.supernet.fast.mixed_operations import (
    ATROUS_RATE,
    ATROUS_SIZES,
    POOLS,
    SEPARABLE_SIZES,
)
from auto_deeplab.models.supernet.supernet import Supernet


class KeptBranch(NamedTuple):
    """A branch of a block that is computed.

    Attributes:
        input: The number of the state that it reads: 0 for prev_prev, 1 for prev, then the blocks.
        op: Its operation, see `computed_operation`; "none" gives nothing.
    """

    input: int
    op: str


class PathParts:
    """Computes the parts of single paths, operation by operation.

    Args:
        supernet: With the weights of stem and heads.
    """

    def __init__(self, supernet: Supernet):
        self._supernet = supernet

    def stem(self, images: tf.Tensor) -> tf.Tensor:
        """Returns the stem's features of images that are on the pixel grid."""
        for block in self._supernet.stem:
            images = block.with_batch_statistics(images)
        return images

    def cell(
        self,
        prev_prev: tf.Tensor,
        prev: tf.Tensor,
        branches: Sequence[KeptBranch],
        kernels: tf.Tensor,
        sizes: Sequence[int],
    ) -> tf.Tensor:
        """Returns the output of a cell after its ReLU.

        Args:
            prev_prev: float [batch, height, width, filters]; 0 where there is none, of which every
                operation makes 0.
            prev: float [batch, height, width, filters].
            branches: The cell's, two for each block.
            kernels: Those of the branches, one after the other, float [numbers].
            sizes: How many numbers each branch has.

        Returns:
            float [batch, height, width, blocks * filters].
        """
        states = [prev_prev, prev]
        vectors = tf.split(kernels, sizes)
        for first in range(0, len(branches), 2):
            left, right = (
                operation(branches[i].op, states[branches[i].input], vectors[i])
                for i in (first, first + 1)
            )
            states.append(left + right)
        return tf.nn.relu(tf.concat(states[2:], axis=-1))

    def head(self, stride: int, features: tf.Tensor, size: Sequence[int] | tf.Tensor) -> tf.Tensor:
        """Returns the logits of the path's last node, at the size of the images."""
        logits = self._supernet.heads[str(stride)].with_batch_statistics(features)
        return resize_bilinear(logits, size)


def computed_operation(op: str, supernet: Supernet) -> str:
    """Returns which `operation` computes what `op` is in a supernet."""
    return "normalized_skip" if op == "skip" and supernet.normalized_skip else op


def kernel_shapes(op: str, filters: int) -> list[tuple[int, ...]]:
    """Returns the shapes of an operation's kernels, in the order in which they are applied."""
    if op in SEPARABLE_SIZES:
        size = SEPARABLE_SIZES[op]
        return [(size, size, filters, 1), (1, 1, filters, filters)] * 2
    if op in ATROUS_SIZES:
        return [(ATROUS_SIZES[op], ATROUS_SIZES[op], filters, filters)]
    return []


def operation(op: str, state: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """Evaluates one operation on one edge (`textbook.OPERATIONS`).

    Args:
        op: The operation.
        state: float [batch, height, width, filters].
        vector: Its kernels, one after the other, float [numbers].

    Returns:
        float [batch, height, width, filters].
    """
    if op == "none":
        return tf.zeros_like(state)
    if op == "skip":
        return state
    if op == "normalized_skip":
        return normalized(state)
    if op in POOLS:
        return normalized(POOLS[op](state, 3, 1, "SAME"))
    shapes = kernel_shapes(op, state.shape[-1])
    parts = tf.split(vector, [math.prod(shape) for shape in shapes])
    kernels = [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
    if op in ATROUS_SIZES:
        return normalized(grouped.convolution(tf.nn.relu(state), kernels[0], rate=ATROUS_RATE))
    for depthwise, pointwise in (kernels[:2], kernels[2:]):
        state = grouped.depthwise_convolution(tf.nn.relu(state), depthwise)
        state = normalized(grouped.convolution(state, pointwise))
    return state


def normalized(images: tf.Tensor) -> tf.Tensor:
    """Returns images after a batch norm with their own statistics."""
    output, _ = grouped.batch_norm(images, scale=None, moving=None)
    return output

"""Consecutive layers of the trellis that are alike, evaluated one by one or as one loop."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf
import tf_keras

from auto_deeplab.models.supernet.node import Node
from auto_deeplab.search_space import CellGraph

Outputs = Mapping[int, tf.Tensor]  # stride -> a layer's output
Statistics = list[tuple[tf.Tensor, tf.Tensor]]  # each node's batch norm means and variances


class Stacked(NamedTuple):
    """What differs between the layers of a segment; each tensor has a leading axis of layers.

    `at_layer` gives the same structure for one layer, without that axis.
    """

    arc_weights: tf.Tensor
    kernels: list[Mapping]
    moving: Statistics | list[None]


class NodeStructure(NamedTuple):
    """What makes two nodes alike, so that their kernels can be stacked."""

    stride: int
    sources: tuple[tuple[int, int], ...]  # (stride, channels) of each incoming arc's source
    prev_prev_channels: int | None


class Segment(tf_keras.layers.Layer):
    """Consecutive layers of identical structure, with their kernels stacked.

    Args:
        structures: the nodes of each of its layers.
        first_layer: the trellis layer that it starts with.
        depth: how many layers it has.
        graph: the cell.
        filters: stride -> channels of a block.
    """

    def __init__(
        self,
        structures: tuple[NodeStructure, ...],
        first_layer: int,
        depth: int,
        graph: CellGraph,
        filters: Mapping[int, int],
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.layers_covered = range(first_layer, first_layer + depth)
        self.nodes = []
        for node in structures:
            with tf.name_scope(f"stride{node.stride}"):
                self.nodes.append(
                    Node(
                        node.stride,
                        dict(node.sources),
                        node.prev_prev_channels,
                        graph,
                        filters[node.stride],
                        depth,
                    )
                )
        self.arcs_of_nodes = [len(node.sources) for node in structures]

    @property
    def depth(self) -> int:
        """How many layers the segment has."""
        return len(self.layers_covered)

    def moving(self) -> list[tuple[tf.Variable, tf.Variable]]:
        """Returns each node's moving mean and variance, each [depth, channels]."""
        return [(node.moving_mean, node.moving_variance) for node in self.nodes]

    def stacked(self, arc_weights: tf.Tensor, training: bool) -> Stacked:
        """Returns the segment's kernels and moving statistics beside its arc weights.

        Args:
            arc_weights: float [depth, arcs into a layer], softmax(beta).
            training: whether batches are normalized with their own statistics.
        """
        kernels = [node.kernels for node in self.nodes]
        return Stacked(
            arc_weights,
            tf.nest.map_structure(tf.identity, kernels),
            [None] * len(self.nodes)
            if training
            else tf.nest.map_structure(tf.identity, self.moving()),
        )

    def call(
        self,
        before: Outputs,
        before_that: Outputs,
        layer: Stacked,
        sizes: Mapping[int, tf.Tensor],
        mixing: Mapping[int, Mapping],
        frozen: bool,
    ) -> tuple[Outputs, Statistics]:
        """Evaluates one layer.

        Args:
            before: stride -> outputs of layer l-1.
            before_that: stride -> outputs of layer l-2.
            layer: the layer's part of `stacked`.
            sizes: stride -> height and width.
            mixing: stride -> from `cell_mixing`.
            frozen: do not differentiate through the kernels. Cut off here, inside a loop's body:
                a loop computes the gradients of all that enters it.

        Returns:
            stride -> the layer's outputs, and each node's batch norm statistics.
        """
        kernels = layer.kernels
        if frozen:
            kernels = tf.nest.map_structure(tf.stop_gradient, kernels)
        arc_weights = tf.split(layer.arc_weights, self.arcs_of_nodes)
        outputs, statistics = {}, []
        for node, weights, node_kernels, moving in zip(
            self.nodes, arc_weights, kernels, layer.moving, strict=True
        ):
            outputs[node.stride], node_statistics = node(
                before,
                prev_prev=before_that[node.stride] if "prev_prev" in node.kernels else None,
                size=sizes[node.stride],
                arc_weights=weights,
                mixing=mixing[node.stride],
                kernels=node_kernels,
                moving=moving,
            )
            statistics.append(node_statistics)
        return outputs, statistics


Evaluate = Callable[[Outputs, Outputs, Stacked], tuple[Outputs, Statistics]]


def run_unrolled(
    evaluate: Evaluate, before: Outputs, before_that: Outputs, stacked: Stacked
) -> tuple[Outputs, Outputs, Statistics]:
    """Evaluates a segment's layers one by one.

    Args:
        evaluate: the segment, given the outputs of the two layers before and one layer's part of
            `stacked`.
        before: the outputs of the layer before the segment.
        before_that: the outputs of the layer before that.
        stacked: what differs between the layers.

    Returns:
        The outputs of the last layer, of the one before it, and the batch norm statistics, each
        [layers, channels].
    """
    by_layer = [
        [None] * stacked.arc_weights.shape[0] if tensor is None else tf.unstack(tensor)
        for tensor in tf.nest.flatten(stacked)
    ]
    collected = []
    for one_layer in zip(*by_layer, strict=True):
        outputs, statistics = evaluate(
            before, before_that, tf.nest.pack_sequence_as(stacked, one_layer)
        )
        before, before_that = outputs, before
        collected.append(statistics)
    return before, before_that, tf.nest.map_structure(lambda *layers: tf.stack(layers), *collected)


def run_as_loop(
    evaluate: Evaluate, before: Outputs, before_that: Outputs, stacked: Stacked
) -> tuple[Outputs, Outputs, Statistics]:
    """Evaluates a segment's layers as one loop; arguments and results as `run_unrolled`."""
    depth = stacked.arc_weights.shape[0]
    arrays = tf.nest.map_structure(
        lambda tensor: (
            None
            if tensor is None
            else tf.TensorArray(tensor.dtype, depth, element_shape=tensor.shape[1:]).unstack(tensor)
        ),
        stacked,
    )
    collected = [
        tuple(tf.TensorArray(tf.float32, depth) for _ in ("mean", "variance"))
        for _ in stacked.kernels
    ]

    def body(index, before, before_that, collected):
        layer = tf.nest.map_structure(
            lambda array: None if array is None else array.read(index), arrays
        )
        outputs, statistics = evaluate(before, before_that, layer)
        collected = tf.nest.map_structure(
            lambda array, value: array.write(index, value), collected, statistics
        )
        return index + 1, outputs, before, collected

    before_that = {stride: before_that[stride] for stride in before}
    carried = (tf.constant(0), before, before_that, collected)
    _, last, last_but_one, collected = tf.while_loop(
        lambda index, *_: index < depth,
        body,
        carried,
        shape_invariants=tf.nest.map_structure(_size_free_shape, carried),
        maximum_iterations=depth,
        parallel_iterations=1,
    )
    return last, last_but_one, tf.nest.map_structure(lambda array: array.stack(), collected)


def _size_free_shape(value):
    """The shape that a loop variable keeps: all of it where it is known, else only the channels."""
    if not tf.is_tensor(value):  # a TensorArray
        return tf.TensorShape(None)
    if value.shape.is_fully_defined():
        return value.shape
    return tf.TensorShape([None] * (value.shape.rank - 1) + [value.shape[-1]])

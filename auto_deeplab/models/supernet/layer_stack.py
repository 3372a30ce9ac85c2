"""Consecutive layers of the trellis that are alike, evaluated one by one or as one loop."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf
import tf_keras

from auto_deeplab.models.supernet.fast.shared_function import SharedFunction
from auto_deeplab.models.supernet.node import (
    NOTHING_FROZEN,
    Frozen,
    Node,
    NodeInputs,
    NodeStructure,
    Statistics,
)
from auto_deeplab.search_space import CellGraph

Outputs = Mapping[int, tf.Tensor]  # stride -> a layer's output


class Stacked(NamedTuple):
    """What differs between the layers of a stack.

    Each tensor has a leading axis of layers; for one layer the structure is the same without it.
    """

    arc_weights: tf.Tensor
    kernels: list[tf.Tensor]
    moving: list[Statistics]  # Empty in training.


class LayerStack(tf_keras.layers.Layer):
    """Consecutive layers of identical structure, with their kernels stacked.

    Args:
        structures: The nodes of each of its layers.
        first_layer: The trellis layer that it starts with.
        depth: How many layers it has.
        first_arc: Where the arcs into its layers begin among those of the trellis.
        graph: The cell.
        filters: stride -> channels of a block.
        recompute: See `Supernet`.
        functions: What evaluates a node, by its structure; the stacks of a trellis share them.
        synchronized_batch_norm: See `Supernet`.
        normalized_skip: See `Supernet`.
    """

    def __init__(
        self,
        structures: tuple[NodeStructure, ...],
        first_layer: int,
        depth: int,
        first_arc: int,
        graph: CellGraph,
        filters: Mapping[int, int],
        recompute: str,
        functions: dict[NodeStructure, SharedFunction],
        synchronized_batch_norm: bool = False,
        normalized_skip: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.layers_covered = range(first_layer, first_layer + depth)
        self.first_arc = first_arc
        self.nodes = []
        for structure in structures:
            with tf.name_scope(f"stride{structure.stride}"):
                self.nodes.append(
                    Node(
                        structure,
                        graph,
                        filters[structure.stride],
                        depth,
                        synchronized_batch_norm,
                        normalized_skip,
                    )
                )
        self._functions = [
            functions.setdefault(
                node.structure,
                SharedFunction(
                    node,
                    f"stride{node.stride}_arcs{len(node.sources)}",
                    recompute == "cell",
                    is_traced=not synchronized_batch_norm,
                ),
            )
            for node in self.nodes
        ]
        self._whole_layer = SharedFunction(
            self._evaluate,
            f"layer{first_layer}",
            recompute == "layer",
            is_traced=not synchronized_batch_norm,
        )
        self.recompute = recompute
        self.arcs_of_nodes = [len(node.sources) for node in self.nodes]

    @property
    def depth(self) -> int:
        """How many layers the stack has."""
        return len(self.layers_covered)

    def moving(self) -> list[tuple[tf.Variable, tf.Variable]]:
        """Returns each node's moving mean and variance, each [depth, channels]."""
        return [(node.moving_mean, node.moving_variance) for node in self.nodes]

    def stacked(self, arc_weights: tf.Tensor, training: bool) -> Stacked:
        """Returns the stack's kernels and moving statistics beside its arc weights.

        Under mixed precision the kernels are cast here, once for all that reads them.

        Args:
            arc_weights: float32 [arcs], softmax(beta) of the whole trellis.
            training: Whether batches are normalized with their own statistics.
        """
        arcs = sum(self.arcs_of_nodes)
        own = arc_weights[self.first_arc : self.first_arc + self.depth * arcs]
        return Stacked(
            tf.reshape(own, [self.depth, arcs]),
            [tf.identity(node.kernels) for node in self.nodes],
            [] if training else tf.nest.map_structure(tf.identity, self.moving()),
        )

    def call(
        self,
        prev: Outputs,
        prev_prev: Outputs,
        layer: Stacked,
        sizes: Mapping[int, tuple[int, int] | tf.Tensor],
        operation_weights: tf.Tensor,
        frozen: Frozen,
    ) -> tuple[Outputs, list[Statistics]]:
        """Evaluates one layer.

        Args:
            prev: stride -> outputs of layer l-1.
            prev_prev: stride -> outputs of layer l-2.
            layer: The layer's part of `stacked`.
            sizes: stride -> height and width.
            operation_weights: float32 [edges, operations], softmax(alpha).
            frozen: What not to differentiate through.

        Returns:
            stride -> the layer's outputs, and each node's batch norm statistics.
        """
        inputs = NodeInputs(
            arc_weights=layer.arc_weights,
            kernels=layer.kernels,
            moving=layer.moving,
            operation_weights=operation_weights,
            prev=prev,
            prev_prev={
                node.stride: prev_prev[node.stride]
                for node in self.nodes
                if node.structure.prev_prev_channels is not None
            },
        )
        if self.recompute == "layer":
            return self._whole_layer(inputs, sizes, frozen)
        return self._evaluate(inputs, sizes, frozen)

    def _evaluate(
        self,
        inputs: NodeInputs,
        sizes: Mapping[int, tuple[int, int] | tf.Tensor],
        frozen: Frozen = NOTHING_FROZEN,
    ) -> tuple[Outputs, list[Statistics]]:
        arc_weights = tf.split(inputs.arc_weights, self.arcs_of_nodes)
        outputs, statistics = {}, []
        for index, node in enumerate(self.nodes):
            has_prev_prev = node.stride in inputs.prev_prev
            of_node = NodeInputs(
                arc_weights=arc_weights[index],
                kernels=inputs.kernels[index],
                moving=inputs.moving[index] if inputs.moving else (),
                operation_weights=inputs.operation_weights,
                prev=[inputs.prev[source] for source in node.sources],
                prev_prev=[inputs.prev_prev[node.stride]] if has_prev_prev else [],
            )
            outputs[node.stride], node_statistics = self._functions[index](
                of_node, sizes[node.stride], frozen
            )
            statistics.append(node_statistics)
        return outputs, statistics


Evaluate = Callable[[Outputs, Outputs, Stacked], tuple[Outputs, list[Statistics]]]


def run_unrolled(
    evaluate: Evaluate, prev: Outputs, prev_prev: Outputs, stacked: Stacked
) -> tuple[Outputs, Outputs, list[Statistics]]:
    """Evaluates a stack's layers one by one.

    Args:
        evaluate: The stack, given the outputs of the two layers before and one layer's part of
            `stacked`.
        prev: The outputs of the layer before the stack.
        prev_prev: The outputs of the layer before that.
        stacked: What differs between the layers.

    Returns:
        The outputs of the last layer, of the one before it, and the batch norm statistics, each
        [layers, channels].
    """
    by_layer = [tf.unstack(tensor) for tensor in tf.nest.flatten(stacked)]
    collected = []
    for one_layer in zip(*by_layer, strict=True):
        outputs, statistics = evaluate(
            prev, prev_prev, tf.nest.pack_sequence_as(stacked, one_layer)
        )
        prev, prev_prev = outputs, prev
        collected.append(statistics)
    return prev, prev_prev, tf.nest.map_structure(lambda *layers: tf.stack(layers), *collected)


def run_as_loop(
    evaluate: Evaluate, prev: Outputs, prev_prev: Outputs, stacked: Stacked
) -> tuple[Outputs, Outputs, list[Statistics]]:
    """Evaluates a stack's layers as one loop; arguments and results as `run_unrolled`."""
    depth = stacked.arc_weights.shape[0]
    arrays = tf.nest.map_structure(
        lambda tensor: tf.TensorArray(tensor.dtype, depth, element_shape=tensor.shape[1:]).unstack(
            tensor
        ),
        stacked,
    )
    collected = [
        tuple(tf.TensorArray(tf.float32, depth) for _ in ("mean", "variance"))
        for _ in stacked.kernels
    ]

    def body(index, prev, prev_prev, collected):
        layer = tf.nest.map_structure(lambda array: array.read(index), arrays)
        outputs, statistics = evaluate(prev, prev_prev, layer)
        collected = tf.nest.map_structure(
            lambda array, value: array.write(index, value), collected, statistics
        )
        return index + 1, outputs, prev, collected

    prev_prev = {stride: prev_prev[stride] for stride in prev}
    carried = (tf.constant(0), prev, prev_prev, collected)
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

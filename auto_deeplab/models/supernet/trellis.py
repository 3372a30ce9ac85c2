"""The trellis of the supernet (paper, section 4.1.2): layers of nodes at several strides."""

import functools
import itertools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from auto_deeplab.models.supernet.fast.batch_norms import update_moving
from auto_deeplab.models.supernet.layer_stack import LayerStack, run_as_loop, run_unrolled
from auto_deeplab.models.supernet.node import NOTHING_FROZEN, Frozen, NodeStructure
from auto_deeplab.search_space import STEM, CellGraph, TrellisGraph


class Trellis(tf_keras.layers.Layer):
    """All layers of the supernet between the stem and the heads.

    Args:
        graph: The trellis's nodes and arcs.
        cell_graph: The cell's blocks and edges.
        filters: F; a block at stride s has F·s/4 channels.
        stem_channels: The channels of the stem's output.
        batch_norm_momentum: How much of the moving statistics a training step keeps.
        recompute: See `Supernet`.
        unroll: See `Supernet`.
        synchronized_batch_norm: See `Supernet`.
    """

    def __init__(
        self,
        graph: TrellisGraph,
        cell_graph: CellGraph,
        filters: int,
        stem_channels: int,
        batch_norm_momentum: float,
        recompute: str,
        unroll: bool,
        synchronized_batch_norm: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.graph = graph
        self.cell_graph = cell_graph
        self.batch_norm_momentum = batch_norm_momentum
        self.unroll = unroll
        self.block_filters = {stride: filters * stride // 4 for stride in graph.strides}

        def channels(layer: int, stride: int) -> int | None:
            if (layer, stride) == STEM:
                return stem_channels
            if (layer, stride) in graph.nodes:
                return cell_graph.blocks * self.block_filters[stride]
            return None

        def structure(layer: int) -> tuple[NodeStructure, ...]:
            return tuple(
                NodeStructure(
                    node.stride,
                    tuple(
                        (arc.source, channels(layer - 1, arc.source))
                        for arc in graph.incoming(layer, node.stride)
                    ),
                    channels(layer - 2, node.stride),
                )
                for node in graph.nodes_of(layer)
            )

        self.segments = []
        functions = {}
        for alike, layers in itertools.groupby(range(1, graph.layers + 1), key=structure):
            layers = list(layers)
            with tf.name_scope(f"layer{layers[0]}"):
                self.segments.append(
                    LayerStack(
                        alike,
                        layers[0],
                        len(layers),
                        cell_graph,
                        self.block_filters,
                        recompute,
                        functions,
                        synchronized_batch_norm,
                    )
                )

    def call(
        self,
        stem: tf.Tensor,
        image_size: Sequence[int] | tf.Tensor,
        operation_weights: tf.Tensor,
        arc_weights: tf.Tensor,
        training: bool,
        frozen: Frozen = NOTHING_FROZEN,
    ) -> dict[int, tf.Tensor]:
        """Evaluates all layers.

        Args:
            stem: float [batch, height / 4, width / 4, channels], after its ReLU.
            image_size: Height and width of the images.
            operation_weights: float32 [edges, operations], softmax(alpha).
            arc_weights: float32 [arcs], softmax(beta).
            training: Normalize with the batch's statistics and update the moving ones.
            frozen: What not to differentiate through.

        Returns:
            stride -> output of the last layer after ReLU,
            float [batch, ceil(height / s), ceil(width / s), blocks·F·s/4].
        """
        # SAME convolutions of stride 2 round halves up.
        sizes = {stride: -(-image_size // stride) for stride in self.graph.strides}
        if not tf.is_tensor(image_size):
            sizes = {stride: tuple(size.tolist()) for stride, size in sizes.items()}
        layer_of_arc = np.array([arc.layer for arc in self.graph.arcs])
        prev, prev_prev = {STEM.stride: stem}, {}
        for stack in self.segments:
            arcs = np.flatnonzero(np.isin(layer_of_arc, stack.layers_covered))
            weights = tf.reshape(
                arc_weights[arcs[0] : arcs[-1] + 1], [stack.depth, sum(stack.arcs_of_nodes)]
            )
            run = run_unrolled if self.unroll or stack.depth == 1 else run_as_loop
            prev, prev_prev, statistics = run(
                functools.partial(
                    stack, sizes=sizes, operation_weights=operation_weights, frozen=frozen
                ),
                prev,
                prev_prev,
                stack.stacked(weights, training),
            )
            if training:
                update_moving(
                    tf.nest.flatten(stack.moving()),
                    tf.nest.flatten(statistics),
                    self.batch_norm_momentum,
                )
        return prev

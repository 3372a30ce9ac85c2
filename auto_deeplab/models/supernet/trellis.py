"""The trellis of the supernet (paper, section 4.1.2): layers of nodes at several strides."""

import functools
import itertools
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras

from auto_deeplab.models.supernet.fast.batch_norms import update_moving
from auto_deeplab.models.supernet.fast.shared_function import SharedFunction
from auto_deeplab.models.supernet.layer_stack import LayerStack, run_as_loop, run_unrolled
from auto_deeplab.models.supernet.node import NOTHING_FROZEN, Frozen, NodeStructure
from auto_deeplab.search_space import STEM, CellGraph, Node, TrellisGraph


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
        normalized_skip: See `Supernet`.
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
        normalized_skip: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.graph = graph
        self.cell_graph = cell_graph
        self.batch_norm_momentum = batch_norm_momentum
        self.unroll = unroll
        self.block_filters = {stride: filters * stride // 4 for stride in graph.strides}

        channels = {STEM: stem_channels} | {
            node: cell_graph.blocks * self.block_filters[node.stride] for node in graph.nodes
        }

        def structure(layer: int) -> tuple[NodeStructure, ...]:
            return tuple(
                NodeStructure(
                    node.stride,
                    tuple(
                        (arc.source, channels[Node(layer - 1, arc.source)])
                        for arc in graph.incoming(layer, node.stride)
                    ),
                    channels.get(Node(layer - 2, node.stride)),
                )
                for node in graph.nodes_of(layer)
            )

        self.segments = []
        functions: dict[NodeStructure, SharedFunction] = {}
        for alike, group in itertools.groupby(range(1, graph.layers + 1), key=structure):
            layers = list(group)
            with tf.name_scope(f"layer{layers[0]}"):
                self.segments.append(
                    LayerStack(
                        alike,
                        layers[0],
                        len(layers),
                        sum(arc.layer < layers[0] for arc in graph.arcs),
                        cell_graph,
                        self.block_filters,
                        recompute,
                        functions,
                        synchronized_batch_norm,
                        normalized_skip,
                    )
                )

    def call(
        self,
        stem: tf.Tensor,
        image_size: np.ndarray | tf.Tensor,
        operation_weights: tf.Tensor,
        arc_weights: tf.Tensor,
        training: bool,
        frozen: Frozen = NOTHING_FROZEN,
    ) -> Mapping[int, tf.Tensor]:
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
        prev: Mapping[int, tf.Tensor] = {STEM.stride: stem}
        prev_prev: Mapping[int, tf.Tensor] = {}
        for stack in self.segments:
            run = run_unrolled if self.unroll or stack.depth == 1 else run_as_loop
            prev, prev_prev, statistics = run(
                functools.partial(
                    stack.__call__, sizes=sizes, operation_weights=operation_weights, frozen=frozen
                ),
                prev,
                prev_prev,
                stack.stacked(arc_weights, training),
            )
            if training:
                update_moving(
                    tf.nest.flatten(stack.moving()),
                    tf.nest.flatten(statistics),
                    self.batch_norm_momentum,
                )
        return prev

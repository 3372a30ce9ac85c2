"""The cell of the supernet (paper, section 4.1.1, equations 1 and 5): blocks over mixed edges."""

from collections.abc import Mapping

import tensorflow as tf
import tf_keras

from auto_deeplab.models.supernet.fast import grouped
from auto_deeplab.models.supernet.fast.batch_norms import BatchNorms
from auto_deeplab.models.supernet.fast.edge_sums import EdgeSums
from auto_deeplab.models.supernet.fast.mixed_operations import MixedOperations
from auto_deeplab.search_space import CellGraph


def states(graph: CellGraph) -> tuple[str, ...]:
    """Returns what edges leave from, in order: prev_prev, prev and all blocks but the last."""
    return graph.inputs(graph.blocks)


def edges_from(graph: CellGraph, state: str) -> list[int]:
    """Returns the rows of alpha of the edges that leave `state`, in the order of their blocks."""
    return [row for row, edge in enumerate(graph.edges) if edge.input == state]


class Cell(tf_keras.layers.Layer):
    """`block_i = sum_j sum_k alpha^k_{j->i} O^k(H_j)`, its output the blocks side by side.

    Args:
        graph: The cell's blocks and edges.
        filters: The channels of each block (F·s/4).
        has_prev_prev: Whether the node has an input two layers back; without one, the edges
            from it contribute nothing and have no kernels.
        normalized_skip: See `Supernet`.

    Attributes:
        kernel_shapes: state -> its operations' kernels, see `kernels.py`.
        normalized_channels: The channels of each batch norm, in the order in which `call` meets
            them.
    """

    def __init__(
        self,
        graph: CellGraph,
        filters: int,
        has_prev_prev: bool,
        normalized_skip: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.graph = graph
        self.filters = filters
        self.has_prev_prev = has_prev_prev
        self.mixed = {
            state: MixedOperations(
                graph.operations, len(edges_from(graph, state)), filters, normalized_skip
            )
            for state in states(graph)
            if state != "prev_prev" or has_prev_prev
        }
        self.kernel_shapes = {state: mixed.kernel_shapes for state, mixed in self.mixed.items()}
        self.normalized_channels = [
            channels for mixed in self.mixed.values() for channels in mixed.normalized_channels
        ]

    def call(
        self,
        prev: tf.Tensor,
        prev_prev: tf.Tensor | None,
        arcs: int,
        operation_weights: tf.Tensor,
        kernels: Mapping[str, Mapping[str, tf.Tensor]],
        batch_norms: BatchNorms,
    ) -> tf.Tensor:
        """Evaluates the cell for all arcs into the node at once.

        Args:
            prev: float [arcs * batch, height, width, filters], the incoming arcs one after the
                other on the batch axis.
            prev_prev: float [batch, height, width, filters], shared by the arcs, or None.
            arcs: The number of incoming arcs.
            operation_weights: float32 [edges, operations], softmax(alpha).
            kernels: One network layer's, structured as `self.kernel_shapes`.
            batch_norms: Those of the node; they see all arcs of the node as one batch.

        Returns:
            float [arcs * batch, height, width, blocks * filters].
        """

        def mixed(state: str, images: tf.Tensor) -> tf.Tensor:
            return self.mixed[state](
                images,
                operation_weights=grouped.select_rows(
                    operation_weights, edges_from(self.graph, state)
                ),
                kernels=kernels[state],
                batch_norms=batch_norms,
            )

        sums = EdgeSums(self.graph.blocks, self.filters)
        if prev_prev is not None:
            output = mixed("prev_prev", prev_prev)
            sums.add(output if arcs == 1 else tf.tile(output, [arcs, 1, 1, 1]))
        state = prev
        blocks = []
        for name in states(self.graph)[1:]:
            sums.add(mixed(name, state))
            state = sums.next_block()
            blocks.append(state)
        return tf.concat(blocks, axis=-1)

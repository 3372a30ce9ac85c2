"""A node of the supernet: the cell at one layer and stride, over all its incoming arcs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import tensorflow as tf
import tf_keras

from auto_deeplab.models.resize import resize_bilinear
from auto_deeplab.models.supernet.cell import Cell
from auto_deeplab.models.supernet.fast import grouped
from auto_deeplab.models.supernet.fast.batch_norms import BatchNorms
from auto_deeplab.models.supernet.fast.kernels import Kernel, Kernels, initial_vectors, unpack
from auto_deeplab.search_space import CellGraph


class NodeStructure(NamedTuple):
    """What makes nodes of different layers alike, so that one function evaluates them."""

    stride: int
    sources: tuple[tuple[int, int], ...]  # (stride, channels) of each incoming arc's source
    prev_prev_channels: int | None


Statistics = tuple[tf.Tensor, tf.Tensor]  # float32 means and variances of all batch norms


class NodeInputs(NamedTuple):
    """What a node is evaluated on at one layer; what a whole layer is evaluated on likewise.

    Attributes:
        arc_weights: float32 [incoming arcs], softmax(beta) in the order of the sources; of a layer
            those of its nodes, one after the other.
        kernels: This network layer's, float [numbers]; of a layer each node's.
        moving: What to normalize with in inference; of a layer each node's. Empty in training.
        operation_weights: float32 [edges, operations], softmax(alpha).
        prev: The nodes of layer l-1 that arcs leave, in the order of the sources, after their ReLU,
            each float [batch, height, width, channels]; of a layer by stride.
        prev_prev: The node of layer l-2 at this stride, after its ReLU; empty without one. Of a
            layer by stride.
    """

    arc_weights: tf.Tensor
    kernels: tf.Tensor | Sequence[tf.Tensor]
    moving: Statistics | Sequence[Statistics] | tuple[()]
    operation_weights: tf.Tensor
    prev: Sequence[tf.Tensor] | Mapping[int, tf.Tensor]
    prev_prev: Sequence[tf.Tensor] | Mapping[int, tf.Tensor]


class Frozen(NamedTuple):
    """Which of the `NodeInputs` not to differentiate through: saves that part of the backward pass.

    Attributes: those of `NodeInputs`.
    """

    arc_weights: bool = False
    kernels: bool = False
    moving: bool = False
    operation_weights: bool = False
    prev: bool = False
    prev_prev: bool = False


NOTHING_FROZEN = Frozen()


class Node(tf_keras.layers.Layer):
    """`sH^l = sum over s' of beta_{s'->s} · Cell(s'H^{l-1} brought to stride s, sH^{l-2})`.

    Equation 6 of the paper. The cell is evaluated once for each incoming arc; the evaluations
    share the node's kernels, run as one batch, and their batch norm statistics are joint.

    Args:
        structure: The node's stride, the nodes of layer l-1 that its incoming arcs leave, and the
            channels of the node at layer l-2 and the same stride, None without one.
        graph: The cell's blocks and edges.
        filters: The channels of each block (F·s/4).
        depth: The number of network layers whose nodes it holds.
        synchronized_batch_norm: See `Supernet`.
        normalized_skip: See `Supernet`.

    Attributes:
        kernels: float32 [depth, numbers], see `kernels.py`.
        moving_mean, moving_variance: float32 [depth, channels], of all batch norms, in the order
            in which `call` meets them.
    """

    def __init__(
        self,
        structure: NodeStructure,
        graph: CellGraph,
        filters: int,
        depth: int,
        synchronized_batch_norm: bool = False,
        normalized_skip: bool = False,
        **kwargs,
    ):
        # Among its inputs are the architecture weights, which stay float32.
        super().__init__(autocast=False, **kwargs)
        self.structure = structure
        self.synchronized_batch_norm = synchronized_batch_norm
        self.stride = structure.stride
        self.sources = tuple(source for source, _ in structure.sources)
        has_prev_prev = structure.prev_prev_channels is not None
        self.cell = Cell(graph, filters, has_prev_prev, normalized_skip)
        self.kernel_shapes: dict[str, Kernel | Kernels] = {}
        self.normalized_channels: list[int] = []
        for source, channels in structure.sources:
            size = 3 if source < self.stride else 1
            self.kernel_shapes[f"arc_from_{source}"] = Kernel(
                (size, size, channels, filters), size * size * channels
            )
            self.normalized_channels.append(filters)
        if structure.prev_prev_channels is not None:
            channels = structure.prev_prev_channels
            self.kernel_shapes["prev_prev"] = Kernel((1, 1, channels, filters), channels)
            self.normalized_channels.append(filters)
        self.kernel_shapes["cell"] = self.cell.kernel_shapes
        self.normalized_channels += self.cell.normalized_channels
        self.kernels = self.add_weight(
            "kernels",
            [depth, sum(kernel.size for kernel in tf.nest.flatten(self.kernel_shapes))],
            initializer=lambda shape, **_: initial_vectors(self.kernel_shapes, depth),
        )
        # Replicas keep their own averages while they train and share the mean when they are read.
        statistics = {
            "shape": [depth, sum(self.normalized_channels)],
            "trainable": False,
            "experimental_autocast": False,
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.MEAN,
        }
        self.moving_mean = self.add_weight("moving_mean", initializer="zeros", **statistics)
        self.moving_variance = self.add_weight("moving_variance", initializer="ones", **statistics)

    def call(
        self, inputs: NodeInputs, size: tuple[int, int] | tf.Tensor
    ) -> tuple[tf.Tensor, Statistics]:
        """Evaluates the node at one layer; reads no variables, so that layers can share it.

        Args:
            inputs: The layer's weights and the nodes that it reads.
            size: Height and width at this stride.

        Returns:
            The node's output after ReLU, float [batch, height, width, blocks * filters], and the
            (mean, variance) of all its batch norms. Every reader of a node starts with ReLU, so
            it is applied here, once.
        """
        kernels = unpack(self.kernel_shapes, inputs.kernels)
        # One node's is a pair, or nothing.
        moving = cast(Statistics, inputs.moving) if inputs.moving else None
        batch_norms = BatchNorms(moving, self.normalized_channels, self.synchronized_batch_norm)
        arcs = [
            batch_norms(self.bring(images, source, size, kernels[f"arc_from_{source}"]))
            for images, source in zip(inputs.prev, self.sources, strict=True)
        ]
        prev_prev = None
        if inputs.prev_prev:
            (images,) = inputs.prev_prev
            prev_prev = batch_norms(grouped.convolution(images, kernels["prev_prev"]))
        outputs = self.cell(
            tf.concat(arcs, axis=0),
            prev_prev=prev_prev,
            arcs=len(arcs),
            operation_weights=inputs.operation_weights,
            kernels=kernels["cell"],
            batch_norms=batch_norms,
        )
        weighted = [
            weight * output
            for weight, output in zip(
                tf.unstack(tf.cast(inputs.arc_weights, outputs.dtype)),
                tf.split(outputs, len(arcs), axis=0),
                strict=True,
            )
        ]
        return tf.nn.relu(tf.add_n(weighted)), batch_norms.statistics()

    def bring(self, images, source, size, kernel):
        """Brings a node of layer l-1 to this stride and `filters` channels."""
        if source < self.stride:
            return grouped.convolution(images, kernel, stride=2)
        images = grouped.convolution(images, kernel)
        if source > self.stride:
            # The 1x1 convolution commutes with the upsampling, and costs a quarter before it.
            images = resize_bilinear(images, size)
        return images

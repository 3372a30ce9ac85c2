"""A node of the supernet: the cell at one layer and stride, over all its incoming arcs."""

from collections.abc import Mapping

import tensorflow as tf

from auto_deeplab.models.supernet import grouped
from auto_deeplab.models.supernet.batch_norms import BatchNorms
from auto_deeplab.models.supernet.cell import Cell
from auto_deeplab.models.supernet.stacked_layer import StackedLayer
from auto_deeplab.search_space import CellGraph


class Node(StackedLayer):
    """`sH^l = sum over s' of beta_{s'->s} · Cell(s'H^{l-1} brought to stride s, sH^{l-2})`.

    The paper's section 4.1.2. The cell is evaluated once for each incoming arc; the evaluations
    share the node's kernels, run as one batch, and their batch norm statistics are joint.

    Args:
        stride: the node's stride s.
        sources: stride -> channels of the nodes that its incoming arcs leave, at layer l-1.
        prev_prev_channels: channels of the node at layer l-2 and stride s, None without one.
        graph: the cell's blocks and edges.
        filters: the channels of each block (F·s/4).
        depth: see `StackedLayer`.
    """

    def __init__(
        self,
        stride: int,
        sources: Mapping[int, int],
        prev_prev_channels: int | None,
        graph: CellGraph,
        filters: int,
        depth: int,
        **kwargs,
    ):
        super().__init__(depth, **kwargs)
        self.stride = stride
        self.sources = tuple(sources)
        self.kernels = {}
        for source, channels in sources.items():
            size = 3 if source < stride else 1
            self.kernels[f"arc_from_{source}"] = self.add_kernel(
                f"arc_from_{source}", [size, size, channels, filters], size * size * channels
            )
            self.normalized_channels.append(filters)
        if prev_prev_channels is not None:
            self.kernels["prev_prev"] = self.add_kernel(
                "prev_prev", [1, 1, prev_prev_channels, filters], prev_prev_channels
            )
            self.normalized_channels.append(filters)
        with tf.name_scope("cell"):
            self.cell = Cell(graph, filters, prev_prev_channels is not None, depth)
        self.kernels["cell"] = self.cell.kernels
        self.normalized_channels += self.cell.normalized_channels
        # Replicas keep their own averages while they train and share the mean when they are read.
        statistics = {
            "shape": [depth, sum(self.normalized_channels)],
            "trainable": False,
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.MEAN,
        }
        self.moving_mean = self.add_weight("moving_mean", initializer="zeros", **statistics)
        self.moving_variance = self.add_weight("moving_variance", initializer="ones", **statistics)

    def call(
        self,
        layer_before: Mapping[int, tf.Tensor],
        prev_prev: tf.Tensor | None,
        size: tuple[int, int] | tf.Tensor,
        arc_weights: tf.Tensor,
        mixing: Mapping[str, Mapping[str, tf.Tensor]],
        kernels: Mapping,
        moving: tuple[tf.Tensor, tf.Tensor] | None,
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
        """Evaluates the node at one layer.

        Args:
            layer_before: stride -> float [batch, height, width, channels], the nodes of layer l-1
                after their ReLU.
            prev_prev: the node of layer l-2 at this stride after its ReLU, or None.
            size: height and width at this stride.
            arc_weights: float [incoming arcs], softmax(beta) of the arcs in the order of `sources`.
            mixing: from `cell_mixing` for this stride.
            kernels: this network layer's, structured as `self.kernels`.
            moving: mean and variance to normalize with (inference); None for the batch's own.

        Returns:
            The node's output after ReLU, float [batch, height, width, blocks * filters], and the
            (mean, variance) of all its batch norms. Every reader of a node starts with ReLU, so
            it is applied here, once.
        """
        batch_norms = BatchNorms(moving, self.normalized_channels)
        arcs = [
            batch_norms(self._bring(layer_before[source], source, size, kernels))
            for source in self.sources
        ]
        if prev_prev is not None:
            prev_prev = batch_norms(grouped.convolution(prev_prev, kernels["prev_prev"]))
        outputs = self.cell(
            tf.concat(arcs, axis=0),
            prev_prev=prev_prev,
            arcs=len(arcs),
            mixing=mixing,
            kernels=kernels["cell"],
            batch_norms=batch_norms,
        )
        weighted = [
            weight * output
            for weight, output in zip(
                tf.unstack(arc_weights), tf.split(outputs, len(arcs), axis=0), strict=True
            )
        ]
        return tf.nn.relu(tf.add_n(weighted)), batch_norms.statistics()

    def _bring(self, images, source, size, kernels):
        """Brings a node of layer l-1 to this stride and `filters` channels."""
        kernel = kernels[f"arc_from_{source}"]
        if source < self.stride:
            return grouped.convolution(images, kernel, stride=2)
        images = grouped.convolution(images, kernel)
        if source > self.stride:
            # The 1x1 convolution commutes with the upsampling, and costs a quarter before it.
            images = tf.image.resize(images, size)
        return images

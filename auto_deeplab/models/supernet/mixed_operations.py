"""The mixed operation of the search (paper, equation 1), for all edges that leave one state."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from auto_deeplab.models.supernet import grouped
from auto_deeplab.models.supernet.batch_norms import BatchNorms
from auto_deeplab.models.supernet.stacked_layer import StackedLayer

POOLS = {"max_pool_3x3": tf.nn.max_pool2d, "avg_pool_3x3": tf.nn.avg_pool2d}
SEPARABLE_SIZES = {"sep_conv_3x3": 3, "sep_conv_5x5": 5}
ATROUS_SIZES = {"atrous_conv_3x3": 3, "atrous_conv_5x5": 5}
ATROUS_RATE = 2


def mixing_tensors(
    operation_weights: tf.Tensor, operations: Sequence[str], filters: int
) -> dict[str, tf.Tensor]:
    """Brings the architecture weights of a state's edges into the form that mixing uses.

    They are the same for all nodes of one stride, so they are made once a step.

    Args:
        operation_weights: float [edges, operations], softmax(alpha) of the edges.
        operations: the names of the operations.
        filters: the filters of one edge.

    Returns:
        For each convolution its batch norm scale [edges * filters] (padded); for the pools and
        skip together, under "linear", the kernel kron(weights, identity)
        [1, 1, linear operations * filters, edges * filters] (padded).
    """
    columns = dict(zip(operations, tf.unstack(operation_weights, axis=1), strict=True))
    mixing = {
        name: grouped.pad_channels(tf.repeat(columns[name], filters))
        for name in operations
        if name in SEPARABLE_SIZES or name in ATROUS_SIZES
    }
    linear = [columns[name] for name in linear_operations(operations)]
    if linear:
        edges = operation_weights.shape[0]
        weights = tf.reshape(tf.stack(linear), [len(linear), 1, edges, 1])
        eye = tf.reshape(tf.eye(filters), [1, filters, 1, filters])
        kernel = tf.reshape(weights * eye, [1, 1, len(linear) * filters, edges * filters])
        mixing["linear"] = grouped.pad_channels(kernel)
    return mixing


def linear_operations(operations: Sequence[str]) -> list[str]:
    """Returns the operations without kernels that are not `none`: the pools, then skip."""
    return [name for name in operations if name in POOLS or name == "skip"]


class MixedOperations(StackedLayer):
    """All operations on all edges that leave one state, summed by their architecture weights.

    An edge's output is `sum_k alpha_k O_k(state)` (paper, equation 1). The output holds the edges
    side by side, `filters` channels each, padded to a multiple of 16.

    Args:
        operations: the names of the operations, in the order of alpha's columns.
        edges: the number of edges that leave the state.
        filters: the channels of the state and of each edge's output.
        depth: see `StackedLayer`.
    """

    def __init__(self, operations: Sequence[str], edges: int, filters: int, depth: int, **kwargs):
        super().__init__(depth, **kwargs)
        self.operations = tuple(operations)
        self.edges = edges
        self.filters = filters
        self.kernels: dict[str, tf.Variable] = {}
        channels = edges * filters
        padded = grouped.padded_channels(channels)
        for name in operations:
            if name in SEPARABLE_SIZES:
                size = SEPARABLE_SIZES[name]
                for half in ("first", "second"):
                    self.kernels[f"{name}_{half}_depthwise"] = self.add_kernel(
                        f"{name}_{half}_depthwise", [size, size, channels, 1], size * size
                    )
                    self.kernels[f"{name}_{half}_pointwise"] = self.add_kernel(
                        f"{name}_{half}_pointwise", [edges, filters, filters], filters
                    )
                self.normalized_channels += [padded, padded]
            elif name in ATROUS_SIZES:
                size = ATROUS_SIZES[name]
                self.kernels[name] = self.add_kernel(
                    name, [size, size, filters, channels], size * size * filters
                )
                self.normalized_channels.append(padded)
        self._pools = [name for name in operations if name in POOLS]
        if self._pools:
            self.normalized_channels.append(len(self._pools) * filters)

    def call(
        self,
        state: tf.Tensor,
        mixing: Mapping[str, tf.Tensor],
        kernels: Mapping[str, tf.Tensor],
        batch_norms: BatchNorms,
    ) -> tf.Tensor:
        """Returns float [batch, height, width, padded(edges * filters)].

        Args:
            state: float [batch, height, width, filters].
            mixing: from `mixing_tensors`.
            kernels: one network layer's, structured as `self.kernels`.
            batch_norms: those of the node.
        """
        rectified = tf.nn.relu(state)
        outputs = []
        for name in self.operations:
            if name in SEPARABLE_SIZES:
                half = self._first_half(name, rectified, kernels, batch_norms.training)
                half = self._second_half(name, half, kernels, batch_norms)
                outputs.append(batch_norms(half, mixing[name]))
            elif name in ATROUS_SIZES:
                kernel = grouped.pad_channels(kernels[name])
                response = grouped.convolution(rectified, kernel, rate=ATROUS_RATE)
                outputs.append(batch_norms(response, mixing[name]))
        if "linear" in mixing:
            outputs.append(self._linear(state, mixing["linear"], batch_norms))
        if not outputs:  # `none` is the only operation
            shape = tf.concat(
                [tf.shape(state)[:3], [grouped.padded_channels(self.edges * self.filters)]], axis=0
            )
            return tf.zeros(shape, state.dtype)
        return tf.add_n(outputs)

    def _first_half(self, name, rectified, kernels, training):
        """Depthwise and pointwise convolution; ReLU came before, batch norm comes after."""
        depthwise = kernels[f"{name}_first_depthwise"]
        pointwise = kernels[f"{name}_first_pointwise"]
        if SEPARABLE_SIZES[name] == 3:
            # Few enough multiply-adds that one dense convolution beats copies of the input.
            return grouped.convolution(rectified, grouped.dense_kernel(depthwise, pointwise))

        def stage(rectified, depthwise, pointwise):
            copies = grouped.repeat_to_channels(rectified, depthwise.shape[2])
            spatial = grouped.depthwise_convolution(copies, depthwise)
            return grouped.convolution(spatial, pointwise), ()

        stage = grouped.recomputed(stage) if training else stage
        output, _ = stage(
            rectified,
            grouped.pad_channels(depthwise, axes=(2,)),
            grouped.block_diagonal(pointwise),
        )
        return output

    def _second_half(self, name, images, kernels, batch_norms):
        """Batch norm of the first half, then ReLU, depthwise and pointwise convolution."""
        moving = batch_norms.next_moving()

        def stage(images, depthwise, pointwise):
            normalized, statistics = grouped.batch_norm(images, None, moving)
            spatial = grouped.depthwise_convolution(tf.nn.relu(normalized), depthwise)
            return grouped.convolution(spatial, pointwise), statistics

        stage = grouped.recomputed(stage) if batch_norms.training else stage
        output, statistics = stage(
            images,
            grouped.pad_channels(kernels[f"{name}_second_depthwise"], axes=(2,)),
            grouped.block_diagonal(kernels[f"{name}_second_pointwise"]),
        )
        batch_norms.record(statistics)
        return output

    def _linear(self, state, mixing_kernel, batch_norms):
        """The normalized pools and skip, mixed for all edges by one 1x1 convolution."""
        moving = batch_norms.next_moving() if self._pools else None

        def stage(state, mixing_kernel):
            parts, statistics = [], ()
            if self._pools:
                pools = [POOLS[name](state, 3, 1, "SAME") for name in self._pools]
                normalized, statistics = grouped.batch_norm(tf.concat(pools, -1), None, moving)
                parts.append(normalized)
            if "skip" in self.operations:
                parts.append(state)
            return grouped.convolution(tf.concat(parts, axis=-1), mixing_kernel), statistics

        # Recomputing also pairs the max pool with its gradient, which a loop would separate:
        # oneDNN then runs it 20 times faster.
        stage = grouped.recomputed(stage) if batch_norms.training else stage
        output, statistics = stage(state, mixing_kernel)
        if self._pools:
            batch_norms.record(statistics)
        return output

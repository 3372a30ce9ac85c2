"""The mixed operation of the search (paper, equation 2), for all edges that leave one state."""

from collections.abc import Mapping, Sequence

import tensorflow as tf
import tf_keras

from auto_deeplab.models.supernet.fast import grouped
from auto_deeplab.models.supernet.fast.batch_norms import BatchNorms
from auto_deeplab.models.supernet.fast.kernels import Kernel

POOLS = {"max_pool_3x3": tf.nn.max_pool2d, "avg_pool_3x3": tf.nn.avg_pool2d}
SEPARABLE_SIZES = {"sep_conv_3x3": 3, "sep_conv_5x5": 5}
ATROUS_SIZES = {"atrous_conv_3x3": 3, "atrous_conv_5x5": 5}
ATROUS_RATE = 2


def mixing_tensors(
    operation_weights: tf.Tensor, operations: Sequence[str], filters: int
) -> dict[str, tf.Tensor]:
    """Brings the architecture weights of a state's edges into the form that mixing uses.

    Args:
        operation_weights: float32 [edges, operations], softmax(alpha) of the edges.
        operations: The names of the operations.
        filters: The filters of one edge.

    Returns:
        For each operation its batch norm scale [edges * filters] (padded); for the pools and
        skip together, under "linear", the kernel kron(weights, identity)
        [1, 1, linear operations * filters, edges * filters] (padded).
    """
    scales = grouped.repeat_for_filters(operation_weights, filters)
    mixing = dict(zip(operations, tf.unstack(scales), strict=True))
    linear = [operations.index(name) for name in linear_operations(operations)]
    if linear:
        mixing["linear"] = grouped.mixing_kernel(grouped.select_rows(scales, linear), filters)
    return mixing


def linear_operations(operations: Sequence[str]) -> list[str]:
    """Returns the operations without kernels that are not `none`: the pools, then skip."""
    return [name for name in operations if name in POOLS or name == "skip"]


class MixedOperations(tf_keras.layers.Layer):
    """All operations on all edges that leave one state, summed by their architecture weights.

    An edge's output is `sum_k alpha_k O_k(state)` (paper, equation 2). The output holds the edges
    side by side, `filters` channels each, padded to a multiple of 16.

    Args:
        operations: The names of the operations, in the order of alpha's columns.
        edges: The number of edges that leave the state.
        filters: The channels of the state and of each edge's output.
        normalized_skip: Whether `skip` is followed by a batch norm, as the pools are.

    Attributes:
        kernel_shapes: name -> kernel, see `kernels.py`.
        normalized_channels: The channels of each batch norm, in the order in which `call` meets
            them.
    """

    def __init__(
        self,
        operations: Sequence[str],
        edges: int,
        filters: int,
        normalized_skip: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.operations = tuple(operations)
        self.edges = edges
        self.filters = filters
        self.kernel_shapes: dict[str, Kernel] = {}
        self.normalized_channels: list[int] = []
        channels = edges * filters
        padded = grouped.padded_channels(channels)
        for name in operations:
            if name in SEPARABLE_SIZES:
                size = SEPARABLE_SIZES[name]
                for half in ("first", "second"):
                    self.kernel_shapes[f"{name}_{half}_depthwise"] = Kernel(
                        (size, size, channels, 1), size * size
                    )
                    self.kernel_shapes[f"{name}_{half}_pointwise"] = Kernel(
                        (edges, filters, filters), filters
                    )
                self.normalized_channels += [padded, padded]
            elif name in ATROUS_SIZES:
                size = ATROUS_SIZES[name]
                self.kernel_shapes[name] = Kernel(
                    (size, size, filters, channels), size * size * filters
                )
                self.normalized_channels.append(padded)
        linear = linear_operations(operations)
        self._normalized = [name for name in linear if name in POOLS or normalized_skip]
        self._plain = [name for name in linear if name not in self._normalized]
        if self._normalized:
            self.normalized_channels.append(len(self._normalized) * filters)

    def call(
        self,
        state: tf.Tensor,
        operation_weights: tf.Tensor,
        kernels: Mapping[str, tf.Tensor],
        batch_norms: BatchNorms,
    ) -> tf.Tensor:
        """Returns float [batch, height, width, padded(edges * filters)].

        Args:
            state: float [batch, height, width, filters].
            operation_weights: float32 [edges, operations], softmax(alpha) of these edges.
            kernels: One network layer's, structured as `self.kernel_shapes`.
            batch_norms: Those of the node.
        """
        mixing = mixing_tensors(operation_weights, self.operations, self.filters)
        rectified = tf.nn.relu(state)
        outputs = []
        for name in self.operations:
            if name in SEPARABLE_SIZES:
                half = self._first_half(name, rectified, kernels)
                half = self._second_half(name, half, kernels, batch_norms)
                outputs.append(batch_norms(half, mixing[name]))
            elif name in ATROUS_SIZES:
                kernel = grouped.pad_channels(kernels[name])
                response = grouped.convolution(rectified, kernel, rate=ATROUS_RATE)
                outputs.append(batch_norms(response, mixing[name]))
        if "linear" in mixing:
            kernel = tf.cast(mixing["linear"], state.dtype)
            outputs.append(self._linear(state, kernel, batch_norms))
        if not outputs:  # `none` is the only operation
            shape = tf.concat(
                [tf.shape(state)[:3], [grouped.padded_channels(self.edges * self.filters)]], axis=0
            )
            return tf.zeros(shape, state.dtype)
        return tf.add_n(outputs)

    def _first_half(self, name, rectified, kernels):
        """Depthwise and pointwise convolution; ReLU came before, batch norm comes after."""
        depthwise = kernels[f"{name}_first_depthwise"]
        pointwise = kernels[f"{name}_first_pointwise"]
        if SEPARABLE_SIZES[name] == 3:
            # Few enough multiply-adds that one dense convolution beats copies of the input.
            return grouped.convolution(rectified, grouped.dense_kernel(depthwise, pointwise))
        depthwise = grouped.pad_channels(depthwise, axes=(2,))
        copies = grouped.repeat_to_channels(rectified, depthwise.shape[2])
        spatial = grouped.depthwise_convolution(copies, depthwise)
        return grouped.convolution(spatial, grouped.block_diagonal(pointwise))

    def _second_half(self, name, images, kernels, batch_norms):
        """Batch norm of the first half, then ReLU, depthwise and pointwise convolution."""
        depthwise = grouped.pad_channels(kernels[f"{name}_second_depthwise"], axes=(2,))
        pointwise = grouped.block_diagonal(kernels[f"{name}_second_pointwise"])
        rectified = tf.nn.relu(batch_norms(images))
        return grouped.convolution(grouped.depthwise_convolution(rectified, depthwise), pointwise)

    def _linear(self, state, mixing_kernel, batch_norms):
        """The normalized pools and skip, mixed for all edges by one 1x1 convolution."""
        parts = []
        if self._normalized:
            outputs = [
                POOLS[name](state, 3, 1, "SAME") if name in POOLS else state
                for name in self._normalized
            ]
            parts.append(batch_norms(tf.concat(outputs, axis=-1)))
        if self._plain:  # Skip alone.
            parts.append(state)
        return grouped.convolution(tf.concat(parts, axis=-1), mixing_kernel)

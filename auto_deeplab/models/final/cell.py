"""The cell of the final network (the paper's figure 3; docs/networks.md)."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from auto_deeplab.models.final.drop_path import ScheduledDropPath
from auto_deeplab.models.final.operations import make_operation, relu_convolution_norm
from auto_deeplab.search_space import STATES, Branch


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class FinalCell(tf_keras.layers.Layer):
    """Sums two branches in each block and concatenates the blocks.

    Call with `(prev_prev, prev)`, both `[batch, height, width, channels]` of one height and width;
    returns `[batch, ceil(height / stride), ceil(width / stride), blocks * filters]`.

    `prev` passes a (ReLU, 1x1 convolution to `filters`, batch norm), `prev_prev` only where it has
    other channels. In a cell of stride 2 the operations that read them have stride 2, and those
    that read blocks have stride 1.

    Args:
        cell: The two branches of each block, as in `Genotype.cell`.
        filters: The channels of a block.
        stride: 1, or 2 for a cell that goes down.
        batch_norm: Arguments for `tf_keras.layers.BatchNormalization`.
        final_keep_prob: Of scheduled drop path; 1 never drops.
        layer_ratio: Of scheduled drop path: the layer's number divided by the number of layers.
        initializer: Of kernels, one of `INITIALIZERS`.
    """

    def __init__(
        self,
        cell: Sequence[Sequence[Branch]],
        filters: int,
        stride: int = 1,
        batch_norm: dict[str, Any] | None = None,
        final_keep_prob: float = 1.0,
        layer_ratio: float = 1.0,
        initializer: str = "he_normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.cell = [[Branch(*branch) for branch in block] for block in cell]
        self.filters = filters
        self.stride = stride
        self.batch_norm = dict(batch_norm or {})
        self.final_keep_prob = final_keep_prob
        self.layer_ratio = layer_ratio
        self.initializer = initializer

    def build(self, input_shape: tuple[tf.TensorShape, tf.TensorShape]) -> None:
        """Creates the projections and operations, for the shapes of `(prev_prev, prev)`."""
        prev_prev_shape, _ = input_shape
        # Only what some operation reads is made: no weight is without a gradient.
        read = {branch.input for block in self.cell for branch in block if branch.op != "none"}
        projected = {
            "prev": "prev" in read,
            "prev_prev": "prev_prev" in read and prev_prev_shape[-1] != self.filters,
        }
        self.projections = {
            name: relu_convolution_norm(
                self.filters, 1, self.batch_norm, initializer=self.initializer
            )
            for name, is_projected in projected.items()
            if is_projected
        }
        self.operations = [
            [
                make_operation(
                    branch.op,
                    filters=self.filters,
                    stride=self.stride if branch.input in STATES else 1,
                    batch_norm=self.batch_norm,
                    initializer=self.initializer,
                    name=f"block{b}_{side}_{branch.op}",
                )
                for side, branch in zip(("left", "right"), block, strict=True)
            ]
            for b, block in enumerate(self.cell, start=1)
        ]
        self.drop_path = ScheduledDropPath(self.final_keep_prob, self.layer_ratio)
        super().build(input_shape)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor], training: bool | None = None) -> tf.Tensor:
        """Computes the cell's output; the class describes the shapes."""
        states = dict(zip(STATES, inputs, strict=True))
        for name, projection in self.projections.items():
            states[name] = projection(states[name], training=training)
        blocks: list[tf.Tensor] = []
        for block, operations in zip(self.cell, self.operations, strict=True):
            branches = []
            for side, (branch, operation) in enumerate(zip(block, operations, strict=True)):
                output = operation(states[branch.input], training=training)
                if branch.op != "skip":
                    number = 2 * len(blocks) + side
                    output = self.drop_path(output, training=training, branch=number)
                branches.append(output)
            left, right = branches
            blocks.append(left + right)
            states[f"block{len(blocks)}"] = blocks[-1]
        return tf.concat(blocks, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as JSON values."""
        return super().get_config() | {
            "cell": [[list(branch) for branch in block] for block in self.cell],
            "filters": self.filters,
            "stride": self.stride,
            "batch_norm": dict(self.batch_norm),
            "final_keep_prob": self.final_keep_prob,
            "layer_ratio": self.layer_ratio,
            "initializer": self.initializer,
        }

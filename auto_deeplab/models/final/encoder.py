"""The stem and the path of cells that a genotype describes (paper, section 5.2).

docs/networks.md has what the paper leaves to the authors' code.
"""

from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.cell import FinalCell
from auto_deeplab.models.final.initializers import INITIALIZERS
from auto_deeplab.models.final.operations import LayerSequence, relu_convolution_norm
from auto_deeplab.models.resize import ResizeLike
from auto_deeplab.search_space import STEM, Genotype


@tf_keras.utils.register_keras_serializable(package="auto_deeplab")
class Stem(tf_keras.layers.Layer):
    """Three 3x3 convolutions with batch norm: 64 filters and stride 2, 64, 128 and stride 2.

    Maps images `[batch, height, width, 3]` to the outputs of the second and the third convolution:
    `[batch, ceil(height / 2), ceil(width / 2), filters]` and `[batch, ceil(height / 4),
    ceil(width / 4), 2 * filters]`. ReLU follows each when it is read, as it does between cells.

    Args:
        batch_norm: Arguments for `tf_keras.layers.BatchNormalization`.
        initializer: Of kernels, one of `INITIALIZERS`.
        filters: Of the first two convolutions; the third has twice as many.
    """

    def __init__(
        self,
        batch_norm: dict[str, Any] | None = None,
        initializer: str = "he_normal",
        filters: int = 64,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.batch_norm = dict(batch_norm or {})
        self.initializer = initializer
        self.filters = filters

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the convolutions."""
        self.half = LayerSequence(
            [
                tf_keras.layers.Conv2D(
                    self.filters,
                    3,
                    strides=2,
                    padding="same",
                    use_bias=False,
                    kernel_initializer=INITIALIZERS[self.initializer],
                ),
                tf_keras.layers.BatchNormalization(**self.batch_norm),
                relu_convolution_norm(
                    self.filters, 3, self.batch_norm, initializer=self.initializer
                ),
            ]
        )
        self.quarter = relu_convolution_norm(
            2 * self.filters, 3, self.batch_norm, 2, self.initializer
        )
        super().build(input_shape)

    def call(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes the features of strides 2 and 4; the class describes the shapes."""
        half = self.half(images)
        return half, self.quarter(half)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as JSON values."""
        return super().get_config() | {
            "batch_norm": dict(self.batch_norm),
            "initializer": self.initializer,
            "filters": self.filters,
        }


class EncoderFeatures(NamedTuple):
    """What the decoder reads, as Keras tensors `[batch, height, width, channels]`.

    Attributes:
        low_level: The output of the last layer before the path first leaves the stem's stride.
        final: The last layer's output, after a ReLU.
        final_stride: How many pixels of the image one position of `final` stands for.
    """

    low_level: tf.Tensor
    final: tf.Tensor
    final_stride: int


def encode(
    images: tf.Tensor,
    genotype: Genotype,
    filters: int,
    batch_norm: dict[str, Any],
    final_keep_prob: float = 1.0,
    initializer: str = "he_normal",
    stem_filters: int = 64,
) -> EncoderFeatures:
    """Applies the stem and then one cell a layer along the genotype's path.

    Args:
        images: A Keras tensor, float32 `[batch, height, width, 3]`.
        genotype: The path and the cell.
        filters: F; a cell at stride s has F * s / 4 channels a block.
        batch_norm: Arguments for `tf_keras.layers.BatchNormalization`.
        final_keep_prob: Of scheduled drop path.
        initializer: Of kernels, one of `INITIALIZERS`.
        stem_filters: See `Stem.filters`.

    Raises:
        UserError: F * s / 4 is no whole number for a stride of the path.
    """
    half, quarter = Stem(batch_norm, initializer, stem_filters, name="stem")(images)
    # The newest features of each stride: what goes up takes their size. A path reaches a finer
    # stride only where it has been before, or where the stem has.
    newest = {1: images, 2: half, STEM.stride: quarter}
    prev_prev, prev_prev_stride = half, 2
    prev, prev_stride = quarter, STEM.stride
    low_level, has_left = quarter, False

    for layer, stride in enumerate(genotype.network, start=1):
        if filters * stride % 4:
            raise UserError(
                f"filters: received {filters}; expected a whole number of channels, filters * "
                f"{stride} / 4, in layer {layer} of {genotype.name!r}, which has stride {stride}"
            )
        next_prev_prev, next_prev_prev_stride = prev, prev_stride
        if stride < prev_stride:
            prev = ResizeLike(name=f"layer{layer}_up")((prev, newest[stride]))
            prev_stride = stride
        if prev_prev_stride != prev_stride:
            prev_prev = ResizeLike(name=f"layer{layer}_prev_prev")((prev_prev, prev))
        output = FinalCell(
            genotype.cell,
            filters * stride // 4,
            stride=stride // prev_stride,
            batch_norm=batch_norm,
            final_keep_prob=final_keep_prob,
            layer_ratio=layer / len(genotype.network),
            initializer=initializer,
            name=f"layer{layer}",
        )((prev_prev, prev))

        newest[stride] = output
        has_left = has_left or stride != STEM.stride
        if not has_left:
            low_level = output
        prev_prev, prev_prev_stride = next_prev_prev, next_prev_prev_stride
        prev, prev_stride = output, stride

    # Cells end without a ReLU, as each operation starts with one; the head's do not.
    final = tf_keras.layers.ReLU(name="encoder_output")(prev)
    return EncoderFeatures(low_level, final, prev_stride)

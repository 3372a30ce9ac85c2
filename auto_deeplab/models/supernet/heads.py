"""The heads of the supernet: an ASPP at each stride of the last layer (paper, section 4.1.2).

Section 5.1 says what the search simplifies in them.
"""

from collections.abc import Callable

import tensorflow as tf
import tf_keras

from auto_deeplab.models.supernet.convolution_block import ConvolutionBlock

# The atrous rate at stride s is this over s: 24 at stride 4, 3 at stride 32.
ATROUS_RATE_TIMES_STRIDE = 96


class AtrousSpatialPyramid(tf_keras.layers.Layer):
    """ASPP with three branches (1x1, 3x3 atrous, image pooling), projected to class logits.

    Args:
        stride: Of the features.
        filters: Of the features and of each branch.
        classes: Number of classes.
        batch_norm_momentum: How much of the moving statistics a training step keeps.
        synchronized_batch_norm: See `Supernet`.
    """

    def __init__(
        self,
        stride: int,
        filters: int,
        classes: int,
        batch_norm_momentum: float,
        synchronized_batch_norm: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)

        def block(size: int, name: str, rate: int = 1) -> ConvolutionBlock:
            return ConvolutionBlock(
                filters,
                filters,
                size,
                batch_norm_momentum,
                rate=rate,
                synchronized_batch_norm=synchronized_batch_norm,
                name=name,
            )

        with tf.name_scope(self.name):
            self.pointwise = block(1, "pointwise")
            self.atrous = block(3, "atrous", rate=max(1, ATROUS_RATE_TIMES_STRIDE // stride))
            self.pooling = block(1, "image_pooling")
            self.classifier = tf_keras.layers.Conv2D(classes, 1, name="classifier")
            self.classifier.build([None, None, None, 3 * filters])

    def call(self, features: tf.Tensor, training: bool) -> tf.Tensor:
        """[batch, height, width, channels] -> logits, float32 [batch, height, width, classes]."""
        return self._logits(features, lambda block, images: block(images, training=training))

    def with_batch_statistics(self, features: tf.Tensor) -> tf.Tensor:
        """Returns what `call` returns in training, and leaves the moving statistics alone."""
        return self._logits(features, ConvolutionBlock.with_batch_statistics)

    def _logits(
        self, features: tf.Tensor, run: Callable[[ConvolutionBlock, tf.Tensor], tf.Tensor]
    ) -> tf.Tensor:
        pointwise = run(self.pointwise, features)
        # In float16 a CPU adds up imprecisely.
        mean = tf.reduce_mean(tf.cast(features, tf.float32), axis=[1, 2], keepdims=True)
        pooled = run(self.pooling, mean)
        branches = [
            pointwise,
            run(self.atrous, features),
            tf.broadcast_to(pooled, tf.shape(pointwise)),
        ]
        return tf.cast(self.classifier(tf.concat(branches, axis=-1)), tf.float32)

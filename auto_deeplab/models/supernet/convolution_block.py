"""Convolution, batch norm and ReLU, as the supernet's stem and heads use them."""

import tensorflow as tf
import tf_keras

from auto_deeplab.models.supernet.fast import grouped
from auto_deeplab.models.supernet.fast.batch_norms import update_moving


class ConvolutionBlock(tf_keras.layers.Layer):
    """Convolution without bias, batch norm without learned scale and offset, ReLU.

    Args:
        channels: Of the input; known here, so that the weights exist before the first call.
        filters: Of the output.
        size: Of the kernel.
        batch_norm_momentum: How much of the moving statistics a training step keeps.
        stride: Of the convolution.
        rate: Atrous rate of the convolution.
        synchronized_batch_norm: See `Supernet`.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        size: int,
        batch_norm_momentum: float,
        stride: int = 1,
        rate: int = 1,
        synchronized_batch_norm: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.synchronized_batch_norm = synchronized_batch_norm
        self.stride = stride
        self.rate = rate
        self.batch_norm = tf_keras.layers.BatchNormalization(
            momentum=batch_norm_momentum,
            epsilon=grouped.BATCH_NORM_EPSILON,
            center=False,
            scale=False,
        )
        with tf.name_scope(self.name):
            self.kernel = self.add_weight(
                "kernel", [size, size, channels, filters], initializer="he_normal"
            )
            self.batch_norm.build([None, None, None, filters])

    def call(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        """[batch, height, width, channels] -> [batch, height / stride, width / stride, filters]."""
        # Not Keras's layer: its atrous convolution rearranges the images first, which is slow.
        images = grouped.convolution(images, self.kernel, self.stride, self.rate)
        return tf.nn.relu(self._normalize(images, training))

    def with_batch_statistics(self, images: tf.Tensor) -> tf.Tensor:
        """Returns what `call` returns in training, and leaves the moving statistics alone."""
        images, kernel = (tf.cast(each, self.compute_dtype) for each in (images, self.kernel))
        images = grouped.convolution(images, kernel, self.stride, self.rate)
        images, _ = grouped.batch_norm(images, scale=None, moving=None)
        return tf.nn.relu(images)

    def _normalize(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        if not (training and self.synchronized_batch_norm):
            return self.batch_norm(images, training=training)
        images, statistics = grouped.synchronized_batch_norm(images)
        moving = (self.batch_norm.moving_mean, self.batch_norm.moving_variance)
        update_moving(moving, statistics, self.batch_norm.momentum)
        return images

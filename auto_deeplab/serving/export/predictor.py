"""From uint8 images to what an exported network returns, as operations of one graph."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from auto_deeplab.data.augmentation import normalize_image
from auto_deeplab.data.description import Color
from auto_deeplab.evaluation.views import mean_probabilities
from auto_deeplab.serving.export.letterbox import letterbox, undo_letterbox
from auto_deeplab.serving.export.options import ExportOptions


class Predictor:
    """Maps images to outputs; called inside a `tf.function`.

    Args:
        network: Maps normalized images, float32 `[batch, height, width, 3]`, to logits `[batch,
            height, width, classes]`.
        palette: The color of each class.
        options: What is asked for.
    """

    def __init__(
        self,
        network: Callable[[tf.Tensor], tf.Tensor],
        palette: Sequence[Color],
        options: ExportOptions,
    ) -> None:
        self.network = network
        self.palette = palette
        self.options = options

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Predicts images of one size, uint8 `[batch, height, width, 3]`; see `outputs`."""
        return self.outputs(self.scores(self.network_input(images)), tf.shape(images)[1:3])

    def network_input(self, images: tf.Tensor) -> tf.Tensor:
        """Normalizes images, uint8 `[batch, height, width, 3]`, and fits them to `input_size`.

        Returns:
            float32 `[batch, height, width, 3]`, or `[batch, *input_size, 3]`.
        """
        normalized = normalize_image(images)
        size = self.options.input_size
        return normalized if size is None else letterbox(normalized, size)

    def scores(self, inputs: tf.Tensor) -> tf.Tensor:
        """Predicts what `network_input` returned.

        Returns:
            float32 `[batch, height, width, classes]` at the size of `inputs`: logits of one view,
            or the mean probabilities of several.
        """
        if not self.options.several_views:
            return tf.cast(self.network(inputs), tf.float32)
        return mean_probabilities(
            lambda images, training: self.network(images),
            inputs,
            self.options.scales,
            self.options.flip,
        )

    def outputs(self, scores: tf.Tensor, size: tf.Tensor) -> dict[str, tf.Tensor]:
        """Turns scores into the outputs that were asked for.

        Args:
            scores: As `scores` returns them.
            size: int32 [2], (height, width) of the images.

        Returns:
            At that size: `class_map`, int32 `[batch, height, width]`; where asked for
            `probabilities`, float32 `[batch, height, width, classes]`, and `colored_map`, uint8
            `[batch, height, width, 3]`.
        """
        if self.options.input_size is not None:
            scores = undo_letterbox(scores, size)
        class_map = tf.argmax(scores, axis=-1, output_type=tf.int32)
        outputs = {"class_map": class_map}
        if "probabilities" in self.options.outputs:
            is_mean = self.options.several_views
            outputs["probabilities"] = scores if is_mean else tf.nn.softmax(scores)
        if "colored_map" in self.options.outputs:
            outputs["colored_map"] = tf.gather(tf.constant(self.palette, tf.uint8), class_map)
        return outputs

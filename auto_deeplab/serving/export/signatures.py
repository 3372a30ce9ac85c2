"""The signatures of an exported network."""

from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf
import tf_keras

from auto_deeplab.data.description import Color
from auto_deeplab.data.schema import IMAGE
from auto_deeplab.models.folding import folded
from auto_deeplab.serving.export import encoded_images
from auto_deeplab.serving.export.options import ExportOptions
from auto_deeplab.serving.export.predictor import Predictor

# What the outputs of smaller images are filled up with, where images of several sizes share a
# batch: -1 is no class.
_PADDING = {"class_map": -1, "probabilities": 0.0, "colored_map": 0}
# Images that are decoded side by side; each may take 15 bytes a pixel.
_DECODED_AT_ONCE = 4


class Signatures(tf.Module):
    """What an exported SavedModel holds: a function for each signature.

    It tracks the network's variables and no Keras layers, so that the SavedModel needs nothing but
    TensorFlow to load. The network is traced once; all signatures call that function.

    Every signature begins with checks: operations that are given a wrong rank may end the whole
    process.

    Args:
        model: Maps normalized images `[batch, height, width, 3]` to logits `[batch, height, width,
            classes]`.
        palette: The color of each class.
        options: What is asked for.
        assets: Files to carry along.
    """

    def __init__(
        self,
        model: tf_keras.Model,
        palette: Sequence[Color],
        options: ExportOptions | None = None,
        assets: Sequence[Path] = (),
    ) -> None:
        super().__init__(name="auto_deeplab")
        self._options = options or ExportOptions()
        self._assets = [tf.saved_model.Asset(str(path)) for path in assets]
        self._predictor = predictor = Predictor(
            inference_function(model, self._options), palette, self._options
        )
        size = self._options.input_size or (None, None)
        self._scores = tf.function(
            predictor.scores,
            input_signature=[tf.TensorSpec([None, *size, 3], tf.float32)],
            autograph=False,
        )
        self._weights = list(self._scores.get_concrete_function().graph.variables)
        self.functions = {
            "serving_default": _function(
                self._predict_images, tf.TensorSpec([None, None, None, 3], tf.uint8, "images")
            ),
            "image_bytes": _function(
                self._predict_files, tf.TensorSpec([None], tf.string, "image_bytes")
            ),
            "tf_example": _function(
                self._predict_examples, tf.TensorSpec([None], tf.string, "examples")
            ),
        }

    def _predict_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.ensure_shape(images, [None, None, None, 3])
        shape = tf.shape(images, tf.int64)
        limit = self._options.max_pixels
        check = tf.debugging.Assert(
            tf.reduce_all(shape > 0) & (shape[1] <= limit // tf.maximum(shape[2], 1)),
            [f"images: expected at least one, of 1 to {limit} pixels; received shape", shape],
            summarize=4,
        )
        with tf.control_dependencies([check]):
            images = tf.identity(images)
        scores = self._scores(self._predictor.network_input(images))
        return self._predictor.outputs(scores, tf.shape(images)[1:3])

    def _predict_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        examples = tf.ensure_shape(examples, [None])
        features = tf.io.parse_example(examples, {IMAGE: tf.io.FixedLenFeature([], tf.string)})
        return self._predict_files(features[IMAGE])

    def _predict_files(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images = encoded_images.checked(image_bytes, self._options.max_pixels)
        largest = tf.reduce_max(images.sizes, axis=0)
        if self._options.input_size is None:
            outputs = self._predict_one_by_one(images, largest)
        else:
            outputs = self._predict_together(images, largest, self._options.input_size)
        return outputs | {"height": images.sizes[:, 0], "width": images.sizes[:, 1]}

    def _predict_one_by_one(
        self, images: encoded_images.EncodedImages, largest: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Predicts each image at its own size."""

        def predict(image: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
            content, size = image
            pixels = encoded_images.decode(content, size)[tf.newaxis]
            scores = self._scores(self._predictor.network_input(pixels))
            return self._padded(self._predictor.outputs(scores, size), size, largest)

        # One at a time, as each takes the network's whole memory.
        return self._map(predict, tuple(images), parallel_iterations=1)

    def _predict_together(
        self, images: encoded_images.EncodedImages, largest: tf.Tensor, size: tuple[int, int]
    ) -> dict[str, tf.Tensor]:
        """Predicts all images in one batch, at the network's size."""

        def network_input(image: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
            return self._predictor.network_input(encoded_images.decode(*image)[tf.newaxis])[0]

        def outputs(prediction: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
            scores, own_size = prediction
            outputs = self._predictor.outputs(scores[tf.newaxis], own_size)
            return self._padded(outputs, own_size, largest)

        inputs = tf.map_fn(
            network_input,
            tuple(images),
            fn_output_signature=tf.TensorSpec([*size, 3], tf.float32),
            parallel_iterations=_DECODED_AT_ONCE,
        )
        return self._map(
            outputs, (self._scores(inputs), images.sizes), parallel_iterations=_DECODED_AT_ONCE
        )

    def _padded(
        self, outputs: dict[str, tf.Tensor], size: tf.Tensor, largest: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Takes one image's outputs out of their batch and fills them up to the largest image."""
        missing = largest - size
        return {
            name: tf.pad(
                output[0],
                [[0, missing[0]], [0, missing[1]], *[[0, 0]] * (len(output.shape) - 3)],
                constant_values=_PADDING[name],
            )
            for name, output in outputs.items()
        }

    def _map(
        self, function: Callable, elements: tuple[tf.Tensor, ...], parallel_iterations: int
    ) -> dict[str, tf.Tensor]:
        outputs = self.functions["serving_default"].get_concrete_function().structured_outputs
        return tf.map_fn(
            function,
            elements,
            fn_output_signature={
                name: tf.TensorSpec(output.shape[1:], output.dtype)
                for name, output in outputs.items()
            },
            parallel_iterations=parallel_iterations,
        )


def inference_function(
    model: tf_keras.Model, options: ExportOptions
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the network that is exported: normalized images to logits, for a `tf.function`."""
    if options.fold_batch_norm or options.kernel_dtype != "float32":
        return folded(model, options.fold_batch_norm, options.kernel_dtype)
    return lambda images: model(images, training=False)


def _function(
    call: Callable, signature: tf.TensorSpec
) -> tf.types.experimental.PolymorphicFunction:
    return tf.function(call, input_signature=[signature], autograph=False)

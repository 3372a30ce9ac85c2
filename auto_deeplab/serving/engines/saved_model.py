"""Exported networks, loaded again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.serving.export.options import ExportOptions
from auto_deeplab.serving.export.predictor import Predictor
from auto_deeplab.serving.export.signatures import inference_function
from auto_deeplab.serving.files.image_files import refusal
from auto_deeplab.serving.segmenter import Segmenter, loading

Outputs = Callable[[tf.Tensor], dict[str, tf.Tensor]]
"""Maps images, uint8 [batch, height, width, 3], to the outputs by name."""


def class_maps_of_model(model: tf_keras.Model) -> Segmenter:
    """Returns the function that an export of the model would serve, without exporting it.

    It takes images of any number of pixels.
    """
    options = ExportOptions()
    predictor = Predictor(inference_function(model, options), (), options)
    signature = tf.TensorSpec([None, None, None, 3], tf.uint8, "images")
    return _class_maps(tf.function(predictor, input_signature=[signature], autograph=False))


def load_saved_model(version_dir: Path) -> Outputs:
    """Loads the signature `serving_default` of an exported network.

    Args:
        version_dir: Its folder, as `versions.find_version` gives it.

    Raises:
        UserError: The folder holds no SavedModel that an export wrote.
    """
    with loading(
        version_dir, "cannot be loaded as a SavedModel", "what auto_deeplab.export writes"
    ):
        loaded = tf.saved_model.load(str(version_dir))
        signature = getattr(loaded, "signatures", {}).get("serving_default")
        outputs = signature.structured_outputs if signature is not None else {}
        if signature is None or "class_map" not in outputs:
            raise UserError(
                f"{version_dir}: signature serving_default: received the outputs "
                f"{sorted(outputs)}; expected class_map among them, as auto_deeplab.export writes"
            )
        inputs = signature.structured_input_signature[1]
        if set(inputs) != {"images"}:
            raise UserError(
                f"{version_dir}: signature serving_default: received the inputs "
                f"{sorted(inputs)}; expected images alone, as auto_deeplab.export writes it"
            )
    # The variables live as long as the object that load() returned: the function holds on to it.
    return lambda images: loaded.signatures["serving_default"](images=images)


def class_maps_of_saved_model(version_dir: Path) -> Segmenter:
    """Returns the class maps' function of an exported network; see `load_saved_model`.

    The function raises `UnreadableImage` for images that the network refuses.
    """
    class_maps = _class_maps(load_saved_model(version_dir))

    def class_maps_or_refusal(images: np.ndarray) -> np.ndarray:
        try:
            return class_maps(images)
        except tf.errors.InvalidArgumentError as error:
            raise refusal(error.message) from error

    return class_maps_or_refusal


def _class_maps(serve: Outputs) -> Segmenter:
    return lambda images: serve(tf.constant(images, tf.uint8))["class_map"].numpy()

"""Writes a network as a TFLite file: one file for phones and small computers.

Class names, colors and what else exports carry are appended as a zip archive, as TFLite's own
metadata does it: `unzip FILE` shows them.
"""

import os
import tempfile
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.foundations.atomic_file import replacing
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.search_space import Genotype
from auto_deeplab.serving.export.options import ExportOptions

if TYPE_CHECKING:
    import tf_keras

SIGNATURE = "serving_default"


def export_tflite(
    model: "tf_keras.Model",
    description: DatasetDescription,
    genotype: Genotype | None,
    output: str | os.PathLike,
    options: ExportOptions | None = None,
    precision: str = "float32",
    calibration_images: Sequence[np.ndarray] = (),
    metrics: dict[str, Any] | None = None,
) -> None:
    """Writes a network as a TFLite file with the signature `serving_default`.

    Args:
        model: Maps normalized images to logits at the images' size.
        description: Of the classes.
        genotype: Of the network, or None.
        output: The new file.
        options: See `ExportOptions`; with `input_size` the network takes one image of that very
            size.
        precision: "float32"; "float16", whose weights take half of the bytes and are computed with
            as the device likes; or "int8", whose weights and activations have 8 bits. Images are
            uint8 and class maps int32 in each.
        calibration_images: uint8 [height, width, 3] each, by which int8 finds the range of each
            activation. They are resized to `input_size`, or to the size of the first.
        metrics: To carry along; see `assets.collect_metrics`.

    Raises:
        UserError: The file exists or cannot be written, or int8 lacks images.
    """
    import tensorflow as tf

    from auto_deeplab.serving.export.one_function import OneFunction, asset_texts, check_free
    from auto_deeplab.serving.export.to_saved_model import writing

    check_free(output)
    options = options or ExportOptions()
    if precision == "int8":
        images = _of_one_size(calibration_images, options.input_size)
    module = OneFunction(model, description.palette, options)
    with writing(output), tempfile.TemporaryDirectory() as work:
        tf.saved_model.save(module, work, signatures={SIGNATURE: module.serve})
        converter = tf.lite.TFLiteConverter.from_saved_model(work, signature_keys=[SIGNATURE])
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = lambda: ([image[np.newaxis]] for image in images)
            # An operation that has no 8-bit form is an error, not a float operation in between.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converted = converter.convert()
    with replacing(output) as temporary:
        temporary.write_bytes(converted)
        with zipfile.ZipFile(temporary, "a") as archive:
            for name, text in asset_texts(description, genotype, options, metrics).items():
                archive.writestr(name, text)


def _of_one_size(images: Sequence[np.ndarray], size: tuple[int, int] | None) -> list[np.ndarray]:
    if not images:
        raise UserError(
            f"calibration_images: received none for {argument('precision', 'int8')}; expected some"
        )
    height, width = size or images[0].shape[:2]
    return [
        np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        for image in images
    ]

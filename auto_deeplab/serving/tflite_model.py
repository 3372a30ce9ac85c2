"""Networks as TFLite files: one file for phones and small computers, run by LiteRT.

Class names, colors and what else exports carry are appended as a zip archive, as TFLite's own
metadata does it: `unzip FILE` shows them.
"""

import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from auto_deeplab.data.description import FILE_NAME, DatasetDescription
from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.atomic_file import replacing
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import Genotype
from auto_deeplab.serving.class_maps import ClassMaps, ExportedNetwork, checked, loading
from auto_deeplab.serving.fitted_images import class_maps_of_any_size
from auto_deeplab.serving.options import ExportOptions

if TYPE_CHECKING:
    import tf_keras

_SIGNATURE = "serving_default"


def export_tflite(
    model: "tf_keras.Model",
    description: DatasetDescription,
    genotype: Genotype | None,
    path: str | os.PathLike,
    options: ExportOptions | None = None,
    precision: str = "float32",
    representative_images: Sequence[np.ndarray] = (),
    metrics: dict[str, Any] | None = None,
) -> None:
    """Writes a network as a TFLite file with the signature `serving_default`.

    Args:
      model: maps normalized images to logits at the images' size.
      description: of the classes.
      genotype: of the network, or None.
      path: the new file.
      options: see `ExportOptions`; with `input_size` the network takes one image of that very size.
      precision: "float32"; "float16", whose weights take half of the bytes and are computed with as
        the device likes; or "int8", whose weights and activations have 8 bits. Images are uint8 and
        class maps int32 in each.
      representative_images: uint8 [height, width, 3] each, by which int8 finds the range of each
        activation. They are resized to `input_size`, or to the size of the first.
      metrics: to carry along; see `assets.collect_metrics`.

    Raises:
      UserError: the file exists or cannot be written, or int8 lacks images.
    """
    import tensorflow as tf

    from auto_deeplab.serving.exporting import writing
    from auto_deeplab.serving.single_file import OneFunction, asset_texts, check_free

    check_free(path)
    options = options or ExportOptions()
    if precision == "int8":
        images = _of_one_size(representative_images, options.input_size)
    module = OneFunction(model, description.palette, options)
    with writing(path), tempfile.TemporaryDirectory() as work:
        tf.saved_model.save(module, work, signatures={_SIGNATURE: module.serve})
        converter = tf.lite.TFLiteConverter.from_saved_model(work, signature_keys=[_SIGNATURE])
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            converter.representative_dataset = lambda: ([image[np.newaxis]] for image in images)
            # An operation that has no 8-bit form is an error, not a float operation in between.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converted = converter.convert()
    with replacing(path) as temporary:
        temporary.write_bytes(converted)
        with zipfile.ZipFile(temporary, "a") as archive:
            for name, text in asset_texts(description, genotype, options, metrics).items():
                archive.writestr(name, text)


def load_tflite(path: str | os.PathLike) -> ExportedNetwork:
    """Loads a TFLite file that `export_tflite` wrote.

    One that was written for a size takes images of others too: they are scaled for it.

    Raises:
      UserError: the file is none.
    """
    path = Path(path)
    what = "what auto_deeplab.export --format=tflite writes"
    with loading(path, "cannot be loaded as a TFLite file", what):
        with zipfile.ZipFile(path) as archive, archive.open(FILE_NAME) as stream:
            text = json_files.read_stream(stream, f"{path}: {FILE_NAME}")
        class_maps, shape = _run_tflite(path)
    description = DatasetDescription.from_json(text, str(path))
    class_maps = checked(class_maps, len(description.classes), str(path))
    return ExportedNetwork(str(path), class_maps_of_any_size(class_maps, shape), description)


def _run_tflite(path: Path) -> tuple[ClassMaps, Sequence[int]]:
    """Returns the function that runs a TFLite file on all processors, and its images' shape.

    Raises:
      ValueError: LiteRT does not take the file, or it has no output `class_map`.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    signature = interpreter.get_signature_list().get(_SIGNATURE, {})
    if signature.get("inputs") != ["images"] or "class_map" not in signature.get("outputs", ()):
        raise ValueError(
            f"signature {_SIGNATURE}: expected the input images and an output class_map, "
            f"received {signature}"
        )
    runner = interpreter.get_signature_runner(_SIGNATURE)

    def class_maps(images: np.ndarray) -> np.ndarray:
        # A copy: what the runner returns is the interpreter's own memory.
        return np.array(runner(images=images)["class_map"])

    return class_maps, runner.get_input_details()["images"]["shape_signature"]


def _of_one_size(images: Sequence[np.ndarray], size: tuple[int, int] | None) -> list[np.ndarray]:
    if not images:
        raise UserError("precision int8: received no representative images; expected some")
    height, width = size or images[0].shape[:2]
    return [
        np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        for image in images
    ]

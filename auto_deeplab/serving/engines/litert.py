"""Runs TFLite files with LiteRT."""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from auto_deeplab.data.description import FILE_NAME, DatasetDescription
from auto_deeplab.foundations import json_files
from auto_deeplab.serving.engines.letterbox import class_maps_of_any_size
from auto_deeplab.serving.export.to_tflite import SIGNATURE
from auto_deeplab.serving.segmenter import ExportedNetwork, Segmenter, checked, loading


def load_tflite(path: str | os.PathLike) -> ExportedNetwork:
    """Loads a TFLite file that `export_tflite` wrote.

    One that was written for a size takes images of others too: they are scaled for it.

    Raises:
        UserError: The file is none.
    """
    path = Path(path)
    what = "a TFLite file that auto_deeplab.export wrote"
    with loading(path, "cannot be loaded as a TFLite file", what):
        with zipfile.ZipFile(path) as archive, archive.open(FILE_NAME) as stream:
            text = json_files.read_stream(stream, f"{path}: {FILE_NAME}")
        class_maps, shape = _run_tflite(path)
    description = DatasetDescription.from_json(text, str(path))
    class_maps = checked(class_maps, len(description.classes), str(path))
    return ExportedNetwork(str(path), class_maps_of_any_size(class_maps, shape), description)


def _run_tflite(path: Path) -> tuple[Segmenter, Sequence[int]]:
    """Returns the function that runs a TFLite file on all processors, and its images' shape.

    Raises:
        ValueError: LiteRT does not take the file, or it has no output `class_map`.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    signature = interpreter.get_signature_list().get(SIGNATURE, {})
    if signature.get("inputs") != ["images"] or "class_map" not in signature.get("outputs", ()):
        raise ValueError(
            f"signature {SIGNATURE}: received {signature}; expected the input images and an "
            "output class_map"
        )
    runner = interpreter.get_signature_runner(SIGNATURE)

    def class_maps(images: np.ndarray) -> np.ndarray:
        # A copy: what the runner returns is the interpreter's own memory.
        return np.array(runner(images=images)["class_map"])

    return class_maps, runner.get_input_details()["images"]["shape_signature"]

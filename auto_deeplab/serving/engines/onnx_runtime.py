"""Runs ONNX files with ONNX Runtime."""

import os

import numpy as np

from auto_deeplab.data.description import FILE_NAME, DatasetDescription
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.serving.engines.letterbox import class_maps_of_any_size
from auto_deeplab.serving.segmenter import ExportedNetwork, checked, loading


def load_onnx(path: str | os.PathLike) -> ExportedNetwork:
    """Loads an ONNX file that `export_onnx` wrote.

    One that was written for a size takes images of others too: they are scaled for it.

    Raises:
        UserError: The file is none.
    """
    import onnxruntime

    what = "an ONNX file that auto_deeplab.export wrote"
    with loading(path, "cannot be loaded as an ONNX file", what):
        session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
        text = session.get_modelmeta().custom_metadata_map.get(FILE_NAME)
        inputs = [value.name for value in session.get_inputs()]
        outputs = [value.name for value in session.get_outputs()]
        if inputs != ["images"] or "class_map" not in outputs or text is None:
            raise UserError(
                f"{path}: received an ONNX file with the inputs {inputs} and the outputs {outputs}"
                f"{'' if text else f' and without {FILE_NAME}'}; expected {what}"
            )
        shape = session.get_inputs()[0].shape
    description = DatasetDescription.from_json(text, str(path))

    def run(images: np.ndarray) -> np.ndarray:
        return session.run(["class_map"], {"images": images})[0]

    class_maps = checked(run, len(description.classes), str(path))
    return ExportedNetwork(str(path), class_maps_of_any_size(class_maps, shape), description)

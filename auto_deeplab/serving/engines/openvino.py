"""Exported SavedModels and ONNX files in OpenVINO, which shares no code with TensorFlow."""

import os

import numpy as np

from auto_deeplab.serving.segmenter import Segmenter, loading


def class_maps_of_openvino(path: str | os.PathLike, precision: str = "f32") -> Segmenter:
    """Returns the function that runs a network in OpenVINO on the CPU.

    Args:
        path: An ONNX file, or the folder of a SavedModel (`find_version` gives it).
        precision: Of what is computed. Left to itself OpenVINO takes bfloat16 where the processor
            has it, which gives some percent of the pixels another class.

    Raises:
        UserError: OpenVINO cannot run it.
    """
    import openvino

    # OpenVINO has no resizing with antialiasing, by which images are fitted to a size.
    expected = "what auto_deeplab.export wrote without an input size, or as an ONNX file"
    with loading(path, "OpenVINO cannot run it", expected):
        core = openvino.Core()
        compiled = core.compile_model(
            core.read_model(os.fspath(path)), "CPU", {"INFERENCE_PRECISION_HINT": precision}
        )
        compiled.input("images")
        compiled.output("class_map")

    def class_maps(images: np.ndarray) -> np.ndarray:
        # A copy: the result is the engine's own memory.
        return np.array(compiled({"images": images})["class_map"])

    return class_maps

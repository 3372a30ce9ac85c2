"""The process that benchmarks.engines starts for each engine; it starts with a first batch."""

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

# Before TensorFlow: it sets what TensorFlow reads when it is imported.
import auto_deeplab  # noqa: F401
from benchmarks.measuring.taking_turns import measure_when_told
from benchmarks.workers.networks import CLASSES, build_found, make_predict
from benchmarks.workers.random_inputs import random_images

if TYPE_CHECKING:
    from auto_deeplab.serving.segmenter import Segmenter

# What an engine is to `load_exported`, and the file that it loads; None for what is not exported.
ENGINES = {
    "plain": ("saved_model", "plain"),
    "xla": None,
    "tflite": ("tflite", "float32.tflite"),
    "tflite_float16": ("tflite", "float16.tflite"),
    "tflite_int8": ("tflite", "int8.tflite"),
    "onnx": ("onnx", "network.onnx"),
    "openvino": ("openvino", "folded"),
    "folded": ("saved_model", "folded"),
}


def write_exports(folder: Path, engines: Collection[str], genotype: str, filters: int) -> None:
    """Writes into a folder what the engines load, as far as it is not there yet."""
    missing = {
        export[1]
        for engine in engines
        if (export := ENGINES[engine]) and not (folder / export[1]).exists()
    }
    if not missing:
        return

    from auto_deeplab.data.description import DatasetDescription
    from auto_deeplab.serving.export.options import ExportOptions
    from auto_deeplab.serving.export.to_onnx import export_onnx
    from auto_deeplab.serving.export.to_saved_model import export_saved_model
    from auto_deeplab.serving.export.to_tflite import export_tflite

    names = [f"class {index}" for index in range(CLASSES)]
    description = DatasetDescription("random", {"val": 1}, tuple(names), ((0, 0, 0),) * CLASSES)
    network = (build_found(genotype, filters), description, None)
    options = {"plain": ExportOptions(fold_batch_norm=False), "folded": ExportOptions()}
    for name in missing:
        path = folder / name
        if name in options:
            export_saved_model(*network, path, options[name], warm_up_size=(33, 33))
        elif path.suffix == ".onnx":
            export_onnx(*network, path)
        else:
            export_tflite(*network, path, None, path.stem, list(random_images(2, (65, 65))))


def load(engine: str, folder: str, genotype: str, filters: int) -> "Segmenter":
    """Returns the class maps' function of an engine."""
    from auto_deeplab.serving.engines.load import load_exported

    if export := ENGINES[engine]:
        kind, name = export
        return load_exported(kind, str(Path(folder, name))).class_maps

    predict = make_predict(build_found(genotype, filters), engine)
    return lambda images: predict(images).numpy()


def main(model: str, folder: str, size: list[int], batch: int, genotype: str, filters: int) -> None:
    class_maps = load(model, folder, genotype, filters)
    images = random_images(batch, size)
    measure_when_told(lambda: class_maps(images), first="first_batch_seconds")


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

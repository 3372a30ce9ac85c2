"""The process that benchmarks.engines starts for each engine; it starts with a first batch."""

import json
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

# Before TensorFlow: it sets what TensorFlow reads when it is imported.
import auto_deeplab  # noqa: F401
from benchmarks.measuring.peak_memory import peak_megabytes
from benchmarks.measuring.taking_turns import answer, tell

if TYPE_CHECKING:
    import tf_keras

    from auto_deeplab.serving.segmenter import Segmenter

CLASSES = 19

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


def build(genotype: str, filters: int) -> "tf_keras.Model":
    """Returns a network with random weights: its speed is that of a trained one."""
    from auto_deeplab.models.final.network import build_network
    from auto_deeplab.search_space import Genotype

    return build_network(Genotype.load(genotype), CLASSES, filters=filters)


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
    network = (build(genotype, filters), description, None)
    options = {"plain": ExportOptions(fold_batch_norm=False), "folded": ExportOptions()}
    for name in missing:
        path = folder / name
        if name in options:
            export_saved_model(*network, path, options[name], warm_up_size=(33, 33))
        elif path.suffix == ".onnx":
            export_onnx(*network, path)
        else:
            images = np.random.default_rng(0).integers(0, 256, [2, 65, 65, 3], np.uint8)
            export_tflite(*network, path, None, path.stem, list(images))


def load(engine: str, folder: str, genotype: str, filters: int) -> "Segmenter":
    """Returns the class maps' function of an engine."""
    from auto_deeplab.serving.engines.load import load_exported

    if export := ENGINES[engine]:
        kind, name = export
        return load_exported(kind, str(Path(folder, name))).class_maps

    from benchmarks.workers.inference import make_predict

    predict = make_predict(build(genotype, filters), engine)
    return lambda images: predict(images).numpy()


def main(model: str, folder: str, size: list[int], batch: int, genotype: str, filters: int) -> None:
    class_maps = load(model, folder, genotype, filters)
    images = np.random.default_rng(0).integers(0, 256, [batch, *size, 3], np.uint8)
    before = peak_megabytes()

    def timed() -> float:
        started = time.perf_counter()
        class_maps(images)
        return time.perf_counter() - started

    tell(first_batch_seconds=timed(), megabytes_before=before)
    answer(timed)
    tell(peak_megabytes=peak_megabytes())


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

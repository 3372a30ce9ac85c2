"""Measures a converter against the bare cost of decoding and encoding the same PNG files.

Draws a few street scenes of Cityscapes' size in its layout, then converts them in turns with a
plain loop that only decodes, resizes and encodes, on as many threads. What the converter does
besides: reading files, checks, the label table, histograms, hashes, writing TFRecords.

Example:
  python -m benchmarks.conversion
  python -m benchmarks.conversion --scale=1 --num_workers=1 --json
"""

import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from auto_deeplab import command_line

if TYPE_CHECKING:
    from auto_deeplab.data.conversion.pairs import Pair

_IMAGES = flags.DEFINE_integer("images", 24, "Images to draw and convert.", lower_bound=1)
_HEIGHT = flags.DEFINE_integer("height", 1024, "Of the images, in pixels.", lower_bound=32)
_WIDTH = flags.DEFINE_integer("width", 2048, "Of the images, in pixels.", lower_bound=32)
_SCALE = flags.DEFINE_float("scale", 0.5, "Factor of height and width; 1 keeps images as they are.")
_NUM_WORKERS = flags.DEFINE_integer("num_workers", None, "Threads; by default one a core.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Turns of each.", lower_bound=1)
_JSON = flags.DEFINE_bool("json", False, "Print JSON with each time instead of a sentence.")


def convert_bare(pairs: Sequence["Pair"], scale: float, workers: int) -> float:
    """Decodes, resizes and encodes images and labels and keeps nothing; returns the seconds."""
    import concurrent.futures

    import cv2
    import numpy as np
    from PIL import Image

    def convert_one(pair: "Pair") -> None:
        for file, shrink in (
            (pair.image, cv2.INTER_AREA),
            (pair.label.file, cv2.INTER_NEAREST_EXACT),
        ):
            pixels = np.asarray(Image.open(str(file)))
            if scale != 1:
                pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=shrink)
            cv2.imencode(".png", pixels)

    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(workers) as executor:
        list(executor.map(convert_one, pairs))
    return time.perf_counter() - started


def main(argv: list[str]) -> None:
    del argv
    import dataclasses
    import statistics

    from auto_deeplab.data.conversion.engine import convert
    from auto_deeplab.data.datasets.cityscapes import cityscapes_conversion
    from auto_deeplab.data.street_scenes.files import SceneFiles, write_scenes

    workers = _NUM_WORKERS.value or os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        root, output = Path(folder) / "images", Path(folder) / "records"
        write_scenes(SceneFiles(root, "train", 0, _IMAGES.value, 0, _HEIGHT.value, _WIDTH.value))
        conversion = dataclasses.replace(cityscapes_conversion(root, ["train"]), scale=_SCALE.value)
        bare, converter = [], []
        for _ in range(_REPEATS.value + 1):
            bare.append(convert_bare(conversion.splits["train"], _SCALE.value, workers))
            started = time.perf_counter()
            convert(conversion, output, overwrite=True, workers=workers, progress=False)
            converter.append(time.perf_counter() - started)
    # The first turn warms up caches.
    bare, converter = bare[1:], converter[1:]
    ratio = statistics.median(c / b for b, c in zip(bare, converter, strict=True))
    result = {
        "images": _IMAGES.value,
        "size": [_HEIGHT.value, _WIDTH.value],
        "scale": _SCALE.value,
        "workers": workers,
        "bare_images_per_second": _IMAGES.value / statistics.median(bare),
        "converter_images_per_second": _IMAGES.value / statistics.median(converter),
        "converter_over_bare": ratio,
        "bare_seconds": bare,
        "converter_seconds": converter,
    }
    if _JSON.value:
        print(json.dumps(result, indent=1))
    else:
        print(
            f"{_WIDTH.value}x{_HEIGHT.value}, scale {_SCALE.value:g}, {workers} threads: "
            f"converter {result['converter_images_per_second']:.1f} images/s, "
            f"bare {result['bare_images_per_second']:.1f} images/s, time ratio {ratio:.3f}"
        )


if __name__ == "__main__":
    command_line.run(main)

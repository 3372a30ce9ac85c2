"""Measures the input pipelines of search and retraining: examples a second.

The same records are read by `training_batches` and by a plain loop of decode, resize, crop and
flip, one image after the other, with OpenCV. The records hold drawn street scenes with as much
noise as makes their PNG files as large as Cityscapes' photographs.

  search    321x321 crops of 512x1024 images, unscaled: the paper's search
  retrain   769x769 crops of 1024x2048 images, scaled by 0.5 to 2 as in DeepLab: the retraining

With --step_seconds, the time of a step of --step_examples examples (python -m
benchmarks.search_step measures the supernet's), it tells how many times faster than the training
the pipeline is.

Example:
  python -m benchmarks.input_pipeline
  python -m benchmarks.input_pipeline --settings=search --formats=png --step_seconds=8 --json
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import require_known
from benchmarks.measuring.results import Row, show

# Height and width of the images, the crops' side, the scales (None: DeepLab's).
SETTINGS: dict[str, tuple[tuple[int, int], int, tuple[float, ...] | None]] = {
    "search": ((512, 1024), 321, (1.0,)),
    "retrain": ((1024, 2048), 769, None),
}
FORMATS = ("png", "jpeg")

_SETTINGS = flags.DEFINE_list("settings", list(SETTINGS), "What to measure.")
_FORMATS = flags.DEFINE_list("formats", list(FORMATS), "How the images are stored: png, jpeg.")
_IMAGES = flags.DEFINE_integer("images", 8, "Different images.", lower_bound=2)
_SECONDS = flags.DEFINE_float("seconds", 5.0, "Of each measurement.", lower_bound=0.0)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Turns, of which the median counts.", lower_bound=1)
_STEP_SECONDS = flags.DEFINE_float("step_seconds", None, "Of the training to compare with.")
_STEP_EXAMPLES = flags.DEFINE_integer("step_examples", 2, "Examples of its step.", lower_bound=1)
_REDUCE = flags.DEFINE_integer("reduce", 1, "Divides all sizes, to try the command.", lower_bound=1)
_JSON = flags.DEFINE_bool("json", False, "Print JSON instead of a table.")

# Standard deviation of the noise, in gray levels. With it PNG files of the retraining's size have
# 1.2 bytes a pixel; those of Cityscapes have 1.1.
_NOISE = 0.5


def write_dataset(folder: Path, size: tuple[int, int], image_format: str, images: int) -> float:
    """Writes a split "train" of street scenes; returns the bytes of image files a pixel."""
    import cv2
    import numpy as np
    import tensorflow as tf

    from auto_deeplab.data.datasets.cityscapes import cityscapes_conversion
    from auto_deeplab.data.example import EncodedExample
    from auto_deeplab.data.image_files import encode_png
    from auto_deeplab.data.schema import serialize_example, shard_name
    from auto_deeplab.data.street_scenes.files import SceneFiles, write_scenes

    # A quarter of the size is quickly drawn; enlarged, edges stay as soft as a lens leaves them.
    drawn = (max(size[0] // 4, 32), max(size[1] // 4, 32))
    scenes = folder / "scenes"
    write_scenes(SceneFiles(scenes, "train", 0, images, 0, *drawn))
    conversion = cityscapes_conversion(scenes, splits=("train",))
    noise = np.random.default_rng(0)
    image_bytes = 0
    with tf.io.TFRecordWriter(str(folder / shard_name("train", 0, 1))) as writer:
        for pair in conversion.splits["train"]:
            drawing = cast(np.ndarray, cv2.imread(str(pair.image)))
            image = cv2.resize(drawing, size[::-1])
            image = np.clip(np.rint(image + noise.normal(0, _NOISE, image.shape)), 0, 255)
            label = conversion.labels.apply(pair.label.read(None))
            label = cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST)
            suffix = {"png": ".png", "jpeg": ".jpg"}[image_format]
            encoded = cv2.imencode(suffix, image.astype(np.uint8))[1].tobytes()
            image_bytes += len(encoded)
            writer.write(
                serialize_example(
                    EncodedExample(pair.name, encoded, image_format, encode_png(label), *size)
                )
            )
    conversion.describe({"train": images}).save(folder)
    return image_bytes / (images * size[0] * size[1])


def plain_loop(folder: Path, crop: int, scales: tuple[float, ...]) -> Iterator[Any]:
    """Yields augmented examples, each made from start to end before the next."""
    import cv2
    import numpy as np
    import tensorflow as tf

    from auto_deeplab.data import schema

    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    shard = str(next(folder.glob("*.tfrecord")))
    for serialized in tf.data.TFRecordDataset(shard).repeat():
        feature = tf.train.Example.FromString(serialized.numpy()).features.feature
        image, label = (
            cast(
                np.ndarray,
                cv2.imdecode(np.frombuffer(feature[key].bytes_list.value[0], np.uint8), flag),
            )
            for key, flag in (
                (schema.IMAGE, cv2.IMREAD_COLOR),
                (schema.LABEL, cv2.IMREAD_UNCHANGED),
            )
        )
        scale = scales[rng.integers(len(scales))]
        size = tuple(int(side * scale) for side in label.shape[::-1])
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        label = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
        below, right = (max(crop - side, 0) for side in label.shape)
        border = (0, below, 0, right, cv2.BORDER_CONSTANT)
        image = cv2.copyMakeBorder(image, *border, value=(127.5,) * 3)
        label = cv2.copyMakeBorder(label, *border, value=255)
        y, x = (rng.integers(side - crop + 1) for side in label.shape)
        image = image[y : y + crop, x : x + crop, ::-1]
        label = label[y : y + crop, x : x + crop]
        if rng.random() < 0.5:
            image, label = image[:, ::-1], label[:, ::-1]
        yield np.float32(image) / 127.5 - 1, np.int32(label)


def rate(read: Callable[[], int], seconds: float) -> float:
    """Returns how many examples a second `read`, which returns how many it read, gives."""
    examples, begun = 0, time.perf_counter()
    while True:
        examples += read()
        elapsed = time.perf_counter() - begun
        if elapsed >= seconds:
            return examples / elapsed


def measure(setting: str, image_format: str) -> Row:
    """Returns the rates of pipeline and plain loop, measured in turns."""
    import numpy as np

    from auto_deeplab.data.pipeline import SCALES, training_batches
    from auto_deeplab.data.segmentation_records import SegmentationRecords

    (height, width), crop, some_scales = SETTINGS[setting]
    size = (height // _REDUCE.value, width // _REDUCE.value)
    crop = (crop - 1) // _REDUCE.value + 1
    scales = some_scales or SCALES
    with tempfile.TemporaryDirectory() as folder:
        bytes_a_pixel = write_dataset(Path(folder), size, image_format, _IMAGES.value)
        batches = iter(
            training_batches(SegmentationRecords(folder, "train"), 2, crop, scales=scales)
        )
        loop = plain_loop(Path(folder), crop, scales)
        readers = {
            "pipeline": lambda: len(next(batches)[0]),
            "plain_loop": lambda: len([next(loop)]),
        }
        for read in readers.values():
            read()
        rates: dict[str, list[float]] = {name: [] for name in readers}
        for _ in range(_REPEATS.value):
            for name, read in readers.items():
                rates[name].append(rate(read, _SECONDS.value))
    row = {
        "setting": setting,
        "format": image_format,
        "image_size": list(size),
        "crop_size": crop,
        "bytes_a_pixel": bytes_a_pixel,
        "cores": len(os.sched_getaffinity(0)),
        "pipeline": float(np.median(rates["pipeline"])),
        "plain_loop": float(np.median(rates["plain_loop"])),
        "times_the_plain_loop": float(np.median(np.divide(rates["pipeline"], rates["plain_loop"]))),
        "turns": rates,
    }
    if _STEP_SECONDS.value:
        row["times_the_training"] = row["pipeline"] * _STEP_SECONDS.value / _STEP_EXAMPLES.value
    return row


def main(argv: list[str]) -> None:
    del argv
    require_known("settings", _SETTINGS.value, SETTINGS)
    require_known("formats", _FORMATS.value, FORMATS)
    rows = [measure(setting, f) for setting in _SETTINGS.value for f in _FORMATS.value]
    figures = {
        "bytes/pixel": "bytes_a_pixel",
        "pipeline": "pipeline",
        "plain loop": "plain_loop",
        "pipeline / loop": "times_the_plain_loop",
    }
    if _STEP_SECONDS.value:
        figures["pipeline / training"] = "times_the_training"
    show(
        rows,
        {"setting": lambda row: row["setting"], "format": lambda row: row["format"]},
        {heading: _two_decimals(figure) for heading, figure in figures.items()},
        as_json=_JSON.value,
        title=f"examples a second, {rows[0]['cores']} cores",
    )


def _two_decimals(figure: str) -> Callable[[Row], str]:
    return lambda row: f"{row[figure]:.2f}"


if __name__ == "__main__":
    command_line.run(main)

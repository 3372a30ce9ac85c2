"""Measures what the pixel grid of a network is worth: mean IOU, everywhere and near borders.

Each trained network is evaluated on a split of its dataset as it was trained, and on the same
images filled up to 32k+1 pixels with the mean pixel, where it would not do so itself: a network
with `pixel_grid.aligned = False` in its config.gin. Pixels near a border are those with a border
between two classes, in the label, within so many pixels.

Example:
  python -m benchmarks.pixel_grid runs/aligned_0 runs/half_pixel_0
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import flags
from scipy.ndimage import distance_transform_edt
from tqdm import tqdm

from auto_deeplab import command_line
from auto_deeplab.data.pipeline import evaluation_batches, open_records
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.evaluation.inference import class_map_function
from auto_deeplab.evaluation.metrics import ConfusionMatrix
from auto_deeplab.models.pixel_grid import pixel_grid, size_on_grid
from auto_deeplab.training.trained import load_trained
from benchmarks.measuring.results import Row, show

_SPLIT = flags.DEFINE_string("split", "val", "The split to evaluate on.")
_BORDER = flags.DEFINE_integer("border", 3, "How far from a border is near, in pixels.", 1)
_IMAGES = flags.DEFINE_integer("images", None, "How many images; all by default.", 1)
_JSON = flags.DEFINE_bool("json", False, "Print JSON instead of a table.")

_STRIDE = 32


def main(argv: list[str]) -> None:
    rows = []
    for folder in argv[1:]:
        trained = load_trained(folder)
        records = open_records(trained.dataset_dir, _SPLIT.value)
        ways = {"aligned" if pixel_grid() else "half-pixel": class_map_function(trained.model)}
        if not pixel_grid():
            ways["half-pixel, filled up"] = filling_up(ways["half-pixel"])
        for grid, class_maps in ways.items():
            rows.append({"run": folder, "grid": grid, **measure(class_maps, records, folder)})
    show(
        rows,
        {"run": lambda row: row["run"], "grid": lambda row: row["grid"]},
        {
            "mean IOU": lambda row: f"{row['mean_iou']:.2%}",
            "pixel accuracy": lambda row: f"{row['pixel_accuracy']:.2%}",
            "mean IOU near": lambda row: f"{row['mean_iou_near']:.2%}",
            "pixel accuracy near": lambda row: f"{row['pixel_accuracy_near']:.2%}",
        },
        _JSON.value,
        f"{_SPLIT.value}; near: within {_BORDER.value} pixels of a border between classes",
    )


def measure(
    class_maps: Callable[[tf.Tensor], tf.Tensor], records: SegmentationRecords, name: str
) -> Row:
    """Evaluates a network on whole images.

    Args:
        class_maps: Maps normalized images `[1, height, width, 3]` to class maps.
        records: The split.
        name: The network's, for the progress bar.
    """
    ignore = records.description.ignore_label
    everywhere, near = (ConfusionMatrix(len(records.description.classes), ignore) for _ in "en")
    count = min(records.examples, _IMAGES.value or records.examples)
    for images, labels in tqdm(evaluation_batches(records, limit=count), name, count):
        label, class_map = labels[0].numpy(), class_maps(images)[0].numpy()
        everywhere.update(label, class_map)
        near.update(np.where(near_borders(label, ignore, _BORDER.value), label, ignore), class_map)
    return {
        "images": count,
        "mean_iou": everywhere.mean_iou,
        "pixel_accuracy": everywhere.pixel_accuracy,
        "mean_iou_near": near.mean_iou,
        "pixel_accuracy_near": near.pixel_accuracy,
    }


def near_borders(label: np.ndarray, ignore: int, distance: float) -> np.ndarray:
    """Returns which pixels are at most so far from one that has a neighbor of another class.

    Args:
        label: Integers [height, width].
        ignore: The label that is no class: beside it there is no border.
        distance: In pixels, from center to center.

    Returns:
        bool [height, width].
    """
    border = np.zeros(label.shape, bool)
    for axis in (0, 1):
        first, second = (np.moveaxis(label, axis, 0)[part] for part in (np.s_[:-1], np.s_[1:]))
        differs = (first != second) & (first != ignore) & (second != ignore)
        turned = np.moveaxis(border, axis, 0)
        turned[:-1] |= differs
        turned[1:] |= differs
    if not border.any():
        return border
    return distance_transform_edt(~border) <= distance


def filling_up(
    class_maps: Callable[[tf.Tensor], tf.Tensor],
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns what predicts images that are filled up to 32k+1 pixels, and cuts the class maps."""

    def filled(images: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1:3]
        missing = (size_on_grid(length, _STRIDE) - length for length in (height, width))
        padded = tf.pad(images, [[0, 0], *([0, count] for count in missing), [0, 0]])
        return class_maps(padded)[:, :height, :width]

    return filled


if __name__ == "__main__":
    command_line.run(main, arguments=["MODEL_DIR..."])

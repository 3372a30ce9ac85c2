"""The images that a network does best and worst on (the paper's figures 5 and 6)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from tqdm import tqdm

from auto_deeplab.data.augmentation import normalize_image
from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.data.survey import read_example
from auto_deeplab.evaluation.metrics import ConfusionMatrix
from auto_deeplab.visualization.figures import INK, TextFigure, add_legend
from auto_deeplab.visualization.overlays import overlay

_PANEL_INCHES = 3.2
# Enough for a panel on a dense screen; whole photographs would make the report heavy.
_LARGEST_WIDTH = 640


class Example(NamedTuple):
    """An image with its labels and what a network made of it.

    Attributes:
        number: Its place in the split, from 0.
        image: uint8 [height, width, 3].
        labels: Integers [height, width].
        predictions: Integers [height, width].
        mean_iou: Over the classes that the labels or the predictions of this image hold.
    """

    number: int
    image: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    mean_iou: float


def best_and_worst(
    predict: Callable[[tf.Tensor], tf.Tensor],
    records: SegmentationRecords,
    images: int,
    count: int,
) -> tuple[list[Example], list[Example]]:
    """Returns the `count` images of largest mean IOU, best first, and those of smallest.

    No image is in both: of few images there are fewer in each. One without a labeled pixel is in
    none.

    Args:
        predict: Maps normalized images, float32 [1, height, width, 3], to integer class maps [1,
            height, width].
        records: The split.
        images: Look at the first ones only, this many.
        count: How many of each.
    """
    count = min(count, max(1, images // 2))
    best: list[Example] = []
    worst: list[Example] = []
    for number in tqdm(records.numbers[:images].tolist(), desc="best and worst", unit="image"):
        image, labels = read_example(records, number)
        predictions = np.asarray(predict(normalize_image(image)[None]))[0]
        matrix = ConfusionMatrix(len(records.description.classes), records.description.ignore_label)
        matrix.update(labels, predictions)
        if np.isnan(matrix.mean_iou):
            continue
        example = Example(number, image, labels, predictions, matrix.mean_iou)
        # Only those that are kept stay in memory.
        best = sorted([*best, example], key=lambda kept: -kept.mean_iou)[:count]
        worst = sorted([*worst, example], key=lambda kept: kept.mean_iou)[:count]
    among_best = {example.number for example in best}
    return best, [example for example in worst if example.number not in among_best]


def draw_examples(examples: Sequence[Example], description: DatasetDescription) -> Figure:
    """Draws a row an example: the image, the labels over it, the predictions over it.

    Args:
        examples: At least one.
        description: Class names and colors; the legend has those that are to be seen.
    """
    shapes = [example.image.shape for example in examples]
    row_inches = [_PANEL_INCHES * height / width + 0.28 for height, width, _ in shapes]
    seen = sorted(
        {
            int(value)
            for example in examples
            for values in (example.labels, example.predictions)
            for value in np.unique(values)
            if value < len(description.classes)
        }
    )
    legend_columns = 6
    legend_inches = 0.2 * -(-len(seen) // legend_columns) + 0.2
    figure = TextFigure(
        figsize=(3 * _PANEL_INCHES + 0.2, sum(row_inches) + legend_inches), layout="constrained"
    )
    panels = figure.subplots(len(examples), 3, squeeze=False, height_ratios=row_inches)
    for row, example in zip(panels, examples, strict=True):
        image = _reduced(example.image, cv2.INTER_AREA)
        for axes, title, classes in (
            (row[0], f"image {example.number}", None),
            (row[1], "labels", example.labels),
            (row[2], f"predictions: mean IOU {example.mean_iou:.1%}", example.predictions),
        ):
            shown = image
            if classes is not None:
                reduced = _reduced(classes.astype(np.uint8), cv2.INTER_NEAREST)
                shown = overlay(image, reduced, description.palette)
            axes.imshow(shown, interpolation="none")
            axes.set_title(title, fontsize=9, color=INK, pad=3)
            axes.axis("off")
    add_legend(
        figure,
        [Patch(color="#{:02x}{:02x}{:02x}".format(*description.palette[index])) for index in seen],
        [description.classes[index] for index in seen],
        loc="outside lower center",
        ncols=legend_columns,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )
    return figure


def _reduced(values: np.ndarray, interpolation: int) -> np.ndarray:
    height, width = values.shape[:2]
    if width <= _LARGEST_WIDTH:
        return values
    size = (_LARGEST_WIDTH, max(1, round(height * _LARGEST_WIDTH / width)))
    return cv2.resize(values, size, interpolation=interpolation)

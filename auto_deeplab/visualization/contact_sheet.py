"""A picture of a dataset: examples and their labels, before and after augmentation."""

import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from auto_deeplab.data.augmentation import MEAN_PIXEL
from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.pipeline import SCALES, augmented_example
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.data.survey import read_example
from auto_deeplab.foundations.atomic_file import replacing
from auto_deeplab.visualization.fonts import legend_font
from auto_deeplab.visualization.overlays import legend, overlay

_ROW_HEIGHT = 220
_MARGIN = 8
_TEXT_SIZE = 14
_BACKGROUND = (255, 255, 255)
_IGNORED = (255, 255, 255)
_OPACITY = 0.55
_AUGMENTED = 2


def save_contact_sheet(
    path: str | os.PathLike,
    records: SegmentationRecords,
    examples: int = 6,
    crop_size: int | None = None,
    scales: Sequence[float] | None = None,
    seed: int = 0,
) -> None:
    """Writes the PNG file of `contact_sheet`, whole or not at all."""
    sheet = contact_sheet(records, examples, crop_size, scales, seed)
    with replacing(path) as temporary:
        Image.fromarray(sheet).save(temporary)


def contact_sheet(
    records: SegmentationRecords,
    examples: int = 6,
    crop_size: int | None = None,
    scales: Sequence[float] | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Draws one row an example: the image, with its labels, and random crops as training makes.

    Ignored pixels, among them what a crop has beyond its image, are white where labels are shown.

    Args:
        records: The examples to choose from.
        examples: How many to show; evenly spread over the records.
        crop_size: Of the crops, squares; by default the largest 32k+1 that fits the first example.
        scales: The factors of the random scale; by default DeepLab's.
        seed: Of the augmentation.

    Returns:
        uint8 [height, width, 3].
    """
    description = records.description
    chosen = np.linspace(0, records.examples - 1, min(examples, records.examples)).round()
    rows = []
    for number in records.numbers[chosen.astype(int)].tolist():
        image, label = read_example(records, number)
        if crop_size is None:
            crop_size = max((min(label.shape) - 1) // 32 * 32 + 1, 1)
        tiles = _pair(image, label, description)
        shard, record = records.place(number)
        captions = [
            f"{os.path.basename(shard)}, record {record}",
            f"labels ({label.shape[0]} x {label.shape[1]})",
        ]
        for attempt in range(_AUGMENTED):
            pixels, crop_label = augmented_example(
                records,
                tf.constant(number, tf.int64),
                tf.constant([seed, number * _AUGMENTED + attempt], tf.int64),
                (crop_size, crop_size),
                scales or SCALES,
                True,
                description.ignore_label,
            )
            crop = np.clip((pixels.numpy() + 1) * MEAN_PIXEL, 0, 255).round().astype(np.uint8)
            tiles += _pair(crop, crop_label.numpy(), description)
            captions += [f"augmented, {crop_size} x {crop_size}", "labels"]
        rows.append(_row(tiles, captions))
    title = (
        f"{description.name}, split {records.split}: {len(rows)} of {records.examples} examples; "
        f"scales {', '.join(f'{scale:g}' for scale in scales or SCALES)}"
    )
    width = max(row.shape[1] for row in rows)
    names = legend([*description.classes, "ignored"], [*description.palette, _IGNORED], width)
    return _stacked([_text_line(title, width), *rows, names])


def _pair(
    image: np.ndarray, label: np.ndarray, description: DatasetDescription
) -> list[np.ndarray]:
    """Returns an image and its labels over it, both in the row's height."""
    size = (max(1, round(image.shape[1] * _ROW_HEIGHT / image.shape[0])), _ROW_HEIGHT)
    small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
    small_label = np.asarray(
        Image.fromarray(label.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    )
    labeled = overlay(small, small_label, description.palette, _OPACITY).copy()
    ignored = small_label == description.ignore_label
    white = np.asarray(_IGNORED, np.float32)
    labeled[ignored] = np.rint((1 - _OPACITY) * small[ignored] + _OPACITY * white)
    return [small, labeled]


def _row(tiles: Sequence[np.ndarray], captions: Sequence[str]) -> np.ndarray:
    columns = []
    for tile, caption in zip(tiles, captions, strict=True):
        tile = np.concatenate([tile, _text_line(caption, tile.shape[1])])
        columns.append(np.pad(tile, ((0, 0), (0, _MARGIN), (0, 0)), constant_values=255))
    return np.concatenate(columns, axis=1)


def _text_line(text: str, width: int) -> np.ndarray:
    """Draws one line of text, cut where it does not fit."""
    canvas = Image.new("RGB", (width, 2 * _TEXT_SIZE), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    text = " ".join(text.splitlines())
    font = legend_font(text, _TEXT_SIZE)
    while text and draw.textlength(text, font) > width:
        text = text[:-1]
    draw.text((0, _TEXT_SIZE // 2), text, fill=(30, 30, 30), font=font)
    return np.asarray(canvas)


def _stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Puts pictures below each other, with a margin around them."""
    width = max(picture.shape[1] for picture in pictures)
    wide = [
        np.pad(p, ((0, 0), (_MARGIN, _MARGIN + width - p.shape[1]), (0, 0)), constant_values=255)
        for p in pictures
    ]
    return np.concatenate(wide)

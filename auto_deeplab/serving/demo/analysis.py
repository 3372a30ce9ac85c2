"""One image from a person, and what a network sees in it."""

import dataclasses
import os
import time

import numpy as np
from PIL import Image

from auto_deeplab.serving.files.image_files import read_image
from auto_deeplab.serving.segmenter import Segmenter
from auto_deeplab.visualization.overlays import class_shares

# Enough for a screen. Drawing, sending and keeping larger pictures would make the page slow.
LONGEST_SHOWN_SIDE = 1600


@dataclasses.dataclass(frozen=True)
class AnalyzedImage:
    """An image and its class map, as they are shown, and what is told about them.

    Args:
        pixels: uint8 [height, width, 3], no side longer than `LONGEST_SHOWN_SIDE`.
        class_map: uint8 [height, width].
        size: (height, width) of the image itself, upright, in pixels.
        shares: (class, share of the image's pixels) of each class that is there, largest first.
        decoding_seconds: What reading the file took.
        network_seconds: What the network took.
    """

    pixels: np.ndarray
    class_map: np.ndarray
    size: tuple[int, int]
    shares: list[tuple[int, float]]
    decoding_seconds: float
    network_seconds: float


def analyze_image(
    path: str | os.PathLike, class_maps: Segmenter, classes: int, max_pixels: int
) -> AnalyzedImage:
    """Reads an image file that may be anything, and applies a network to it.

    Args:
        path: The file.
        class_maps: The network.
        classes: The number of its classes.
        max_pixels: An image with more is refused before it is decoded.

    Raises:
        UnreadableImage: It is no image, too large, or the network refuses it.
    """
    started = time.perf_counter()
    pixels = read_image(path, max_pixels)
    decoded = time.perf_counter()
    (class_map,) = class_maps(pixels[np.newaxis])
    finished = time.perf_counter()
    return AnalyzedImage(
        *_as_shown(pixels, class_map.astype(np.uint8)),
        size=pixels.shape[:2],
        shares=class_shares(class_map, classes),
        decoding_seconds=decoded - started,
        network_seconds=finished - decoded,
    )


def _as_shown(pixels: np.ndarray, class_map: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = class_map.shape
    factor = LONGEST_SHOWN_SIDE / max(height, width)
    if factor >= 1:
        return pixels, class_map
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return (
        np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX)),
        np.asarray(Image.fromarray(class_map).resize(size, Image.Resampling.NEAREST)),
    )

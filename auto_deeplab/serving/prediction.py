"""Applies a network to image files and writes pictures of what it sees."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from auto_deeplab.atomic_file import replacing
from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.serving.image_files import ImageFile, UnreadableImage, read_image
from auto_deeplab.serving.saved_model import ClassMaps
from auto_deeplab.visualization.overlays import overlay_with_legend


class PredictionSummary(NamedTuple):
    """What `predict_images` did.

    Attributes:
      written: the number of images that were predicted.
      skipped: the number of images whose results were there already.
      problems: "FILE: reason" for each image that could not be read.
    """

    written: int
    skipped: int
    problems: list[str]


def predict_images(
    class_maps: ClassMaps,
    description: DatasetDescription,
    images: Iterable[ImageFile],
    output: str | os.PathLike,
    with_class_maps: bool = False,
    overwrite: bool = False,
    opacity: float = 0.6,
) -> PredictionSummary:
    """Writes OUTPUT/NAME_overlay.png for each image: its classes in color over it, and a legend.

    Images are predicted one by one, at their own size. Those whose results exist are skipped, so
    a run that was interrupted goes on where it stopped.

    Args:
      class_maps: the network.
      description: its classes and colors.
      images: the files.
      output: the folder for results; made if need be.
      with_class_maps: also write NAME_classes.png, one channel, a pixel's value its class.
      overwrite: predict again what has results, and replace them.
      opacity: of the colors, 0 to 1.
    """
    written, skipped, problems = 0, 0, []
    for image in tqdm(list(images), desc="predict", unit="image"):
        overlay_file = Path(output, f"{image.name}_overlay.png")
        class_map_file = Path(output, f"{image.name}_classes.png")
        # The overlay is written last: where it is, the image is done.
        done = overlay_file.exists() and (class_map_file.exists() or not with_class_maps)
        if done and not overwrite:
            skipped += 1
            continue
        try:
            pixels = read_image(image.path)
        except UnreadableImage as error:
            problems.append(f"{image.path}: {error}")
            continue
        class_map = class_maps(pixels[np.newaxis])[0]
        if with_class_maps:
            _write_png(class_map_file, class_map.astype(np.uint8))
        _write_png(overlay_file, overlay_with_legend(pixels, class_map, description, opacity))
        written += 1
    return PredictionSummary(written, skipped, problems)


def _write_png(path: Path, pixels: np.ndarray) -> None:
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary)

"""Writes drawn scenes in the Cityscapes layout, from worker processes."""

import dataclasses
from pathlib import Path

import cv2

from auto_deeplab.data.datasets.cityscapes import image_path, label_path
from auto_deeplab.data.image_files import encode_png
from auto_deeplab.data.street_scenes.composition import draw_scene
from auto_deeplab.foundations.atomic_file import replacing

# Scenes of one folder of the layout, which has a folder for each city.
_SCENES_PER_CITY = 500


@dataclasses.dataclass(frozen=True)
class SceneFiles:
    """Scenes to draw: those of `split` with the numbers begin..end-1.

    Args:
        root: The folder of the layout.
        split: Such as "train".
        begin: The first scene's number.
        end: The number after the last scene's.
        seed: The data set's seed.
        height: In pixels.
        width: In pixels.
    """

    root: Path
    split: str
    begin: int
    end: int
    seed: int
    height: int
    width: int


def write_scenes(task: SceneFiles) -> int:
    """Draws and writes the scenes that are not there yet; returns how many the task has."""
    cv2.setNumThreads(1)  # The processes share the cores already.
    for index in range(task.begin, task.end):
        city = f"drawn{index // _SCENES_PER_CITY:02d}"
        stem = f"{city}_{index:06d}_000000"
        image_file = image_path(task.root, task.split, city, stem)
        label_file = label_path(task.root, task.split, city, stem)
        if label_file.exists():
            continue
        image, label = draw_scene(task.seed, task.split, index, task.height, task.width)
        # The label comes last: where it is, the image is complete too.
        for path, pixels in ((image_file, image), (label_file, label)):
            with replacing(path) as temporary:
                temporary.write_bytes(encode_png(pixels))
    return task.end - task.begin

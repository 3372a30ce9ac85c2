"""The embedded dataset: drawn street scenes with the 19 Cityscapes classes, from no download.

The scenes are written in the Cityscapes layout and go through the Cityscapes converter, so a run on
them takes the very path that a run on Cityscapes does.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import os
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le
from tqdm import tqdm

from auto_deeplab.data.datasets.cityscapes import cityscapes_conversion
from auto_deeplab.data.street_scenes.files import SceneFiles, write_scenes
from auto_deeplab.foundations.configurable import Count, PathText, Share, configurable
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.foundations.ordered_map import ordered_map

# Raise it when the same parameters draw other scenes: folders carry it in their names.
DRAWING_VERSION = 1
_SCENES_PER_TASK = 8
Side = Annotated[int, Ge(32), Le(2**14)]


@configurable
def street_scenes(
    directory: PathText | os.PathLike = "datasets/street_scenes",
    train_images: Count = 400,
    val_images: Count = 60,
    height: Side = 256,
    width: Side = 512,
    scale: Share = 1.0,
    seed: Annotated[int, Ge(0), Le(2**63 - 1)] = 0,
    workers: Annotated[int, Ge(1), Le(1024)] | None = None,
) -> str:
    """Prepares the embedded dataset, unless it is there already.

    Args:
        directory: The folder below which drawn images and TFRecords are kept. The names of the
            folders in it carry the parameters.
        train_images: Number of scenes of the split "train".
        val_images: Number of scenes of the split "val".
        height: Of the drawn images, in pixels.
        width: Of the drawn images, in pixels.
        scale: The converter's factor of height and width, as `Conversion.scale`.
        seed: The scenes' seed.
        workers: Number of processes that draw; by default one a core.

    Returns:
        The folder with `dataset.json` and the TFRecords.

    Raises:
        UserError: A parameter is not usable.
    """
    # The processes that draw import this package, and should not wait for TensorFlow.
    from auto_deeplab.data.conversion.engine import convert

    counts = {"train": train_images, "val": val_images}
    parameters = f"{train_images}_{val_images}_{height}x{width}_seed{seed}_v{DRAWING_VERSION}"
    images = Path(directory) / f"images_{parameters}"
    records = Path(directory) / f"records_{parameters}_scale{scale:g}"
    if records.is_dir():
        return str(records)
    _draw(images, counts, seed, height, width, workers or os.cpu_count() or 1)
    conversion = cityscapes_conversion(
        images,
        splits=tuple(counts),
        name="street_scenes",
        source=f"drawn by auto_deeplab.data.street_scenes, version {DRAWING_VERSION}, seed {seed}",
    )
    try:
        convert(dataclasses.replace(conversion, scale=scale), records)
    except UserError:
        # Another process that prepares the same dataset was faster.
        if not records.is_dir():
            raise
    return str(records)


def _draw(
    images: Path, counts: dict[str, int], seed: int, height: int, width: int, workers: int
) -> None:
    """Draws all scenes into `images`, which exists only once it is complete."""
    if images.is_dir():
        return
    partial = images.with_name(images.name + ".partial")
    from auto_deeplab.data.conversion.engine import locked_folder

    with locked_folder(partial):
        if images.is_dir():  # Another process has just drawn them.
            return
        tasks = [
            SceneFiles(
                partial, split, begin, min(begin + _SCENES_PER_TASK, count), seed, height, width
            )
            for split, count in counts.items()
            for begin in range(0, count, _SCENES_PER_TASK)
        ]
        # Drawing is many small steps of Python: threads would wait for each other. New processes
        # ("spawn") rather than forks, since TensorFlow's threads do not survive a fork.
        with (
            concurrent.futures.ProcessPoolExecutor(
                min(workers, len(tasks)), mp_context=multiprocessing.get_context("spawn")
            ) as executor,
            tqdm(total=sum(counts.values()), desc="drawing street scenes", unit="image") as bar,
        ):
            for drawn in ordered_map(executor, write_scenes, tasks, ahead=2 * workers):
                bar.update(drawn)
        os.replace(partial, images)

"""Applies a network to images and videos and writes pictures of what it sees."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.image_files import MOST_PIXELS_IN_FILES
from auto_deeplab.foundations.atomic_file import replacing
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.serving.files.image_files import ImageFile, UnreadableImage, read_image
from auto_deeplab.serving.files.videos import VideoFrames, writing_video
from auto_deeplab.serving.segmenter import Segmenter
from auto_deeplab.visualization.overlays import legend, overlay, overlay_with_legend

_Tag = TypeVar("_Tag")


class ResultPaths(NamedTuple):
    """Where the results of a file are.

    Attributes:
        overlay: Of an image or a video.
        classes: The class map of an image, or the folder of those of a video.
        legend: Of a video.
    """

    overlay: Path
    classes: Path
    legend: Path


def result_paths(file: ImageFile, output: str | os.PathLike) -> ResultPaths:
    """Returns where the results of a file are in the folder for results."""
    return ResultPaths(
        Path(output, f"{file.name}_overlay{'.mp4' if file.is_video else '.png'}"),
        Path(output, f"{file.name}_classes{'' if file.is_video else '.png'}"),
        Path(output, f"{file.name}_legend.png"),
    )


def without_results(files: Sequence[ImageFile], output: str | os.PathLike) -> list[ImageFile]:
    """Leaves out the results of an earlier run, where they lie among the images that they are of.

    Args:
        files: Images and videos.
        output: The folder for results.
    """
    folder = Path(output).resolve()
    results = set()
    for file in files:
        paths = result_paths(file, folder)
        results |= set(paths if file.is_video else paths[:2])

    def is_result(file: ImageFile) -> bool:
        # Its own name, which may be a link, in the folder where it really is.
        path = file.path.parent.resolve() / file.path.name
        return not results.isdisjoint((path, *path.parents))

    return [file for file in files if not is_result(file)]


class PredictionSummary(NamedTuple):
    """What `FilePredictor.run` did.

    Attributes:
        written: The number of files that were predicted.
        skipped: The number of files whose results were there already.
        problems: "FILE: reason" for each file that could not be read or was refused.
    """

    written: int
    skipped: int
    problems: list[str]

    def report(self, output: str | os.PathLike) -> None:
        """Prints what was done, into which folder.

        Raises:
            UserError: There were problems; the message lists them.
        """
        print(f"{self.written} predicted, {self.skipped} done before: {output}")
        if self.problems:
            files = self.written + self.skipped + len(self.problems)
            raise UserError(
                f"{len(self.problems)} of {files} files could not be read:\n  "
                + "\n  ".join(self.problems)
            )


class FilePredictor:
    """Predicts files into a folder.

    Of an image NAME.jpg come NAME_overlay.png (its classes in color over it, and a legend) and
    NAME_classes.png (one channel; a pixel's value is its class). Of a video come NAME_overlay.mp4,
    its legend NAME_legend.png, and the folder NAME_classes with one PNG a frame, numbered from 0.

    What has its results is skipped, so a run that was interrupted goes on where it stopped: with
    class maps in the very video, whose finished frames are not predicted again; without them at
    its beginning.

    Args:
        class_maps: The network; it may raise `UnreadableImage` for images that it refuses.
        description: Its classes and colors.
        output: The folder for results; made if need be.
        results: "overlays", "class_maps" or "both".
        batch_size: The most images that are predicted at once. Only images of one size can be.
        overwrite: Predict again what has results, and replace them.
        opacity: Of the colors, 0 to 1.
        max_pixels: Images with more are refused before they are decoded.
    """

    def __init__(
        self,
        class_maps: Segmenter,
        description: DatasetDescription,
        output: str | os.PathLike,
        results: str = "overlays",
        batch_size: int = 1,
        overwrite: bool = False,
        opacity: float = 0.6,
        max_pixels: int = MOST_PIXELS_IN_FILES,
    ) -> None:
        self.class_maps = class_maps
        self.description = description
        self.output = Path(output)
        self.with_overlays = results in ("overlays", "both")
        self.with_class_maps = results in ("class_maps", "both")
        self.batch_size = batch_size
        self.overwrite = overwrite
        self.opacity = opacity
        self.max_pixels = max_pixels

    def run(self, files: Sequence[ImageFile]) -> PredictionSummary:
        """Predicts the files, in their order, and shows a progress bar."""
        todo = [file for file in files if self.overwrite or not self._is_done(file)]
        problems: list[str] = []
        with tqdm(
            total=len(files), initial=len(files) - len(todo), desc="predict", unit="file"
        ) as bar:
            images = self._read([file for file in todo if not file.is_video], problems, bar)
            for batch in _batches(images, self.batch_size):
                try:
                    class_maps = self.class_maps(np.stack([pixels for _, pixels in batch]))
                except UnreadableImage as error:
                    problems += [f"{file.path}: {error}" for file, _ in batch]
                else:
                    for (file, pixels), class_map in zip(batch, class_maps, strict=True):
                        self._write_image(file, pixels, class_map)
                bar.update(len(batch))
            for file in todo:
                if file.is_video:
                    try:
                        self._predict_video(file)
                    except UnreadableImage as error:
                        problems.append(f"{file.path}: {error}")
                    bar.update()
        return PredictionSummary(len(todo) - len(problems), len(files) - len(todo), problems)

    def _read(
        self, files: Iterable[ImageFile], problems: list[str], bar: tqdm
    ) -> Iterator[tuple[ImageFile, np.ndarray]]:
        for file in files:
            try:
                yield file, read_image(file.path, self.max_pixels)
            except UnreadableImage as error:
                problems.append(f"{file.path}: {error}")
                bar.update()

    def _is_done(self, file: ImageFile) -> bool:
        return (not self.with_overlays or self._overlay(file).exists()) and (
            not self.with_class_maps or self._classes(file).exists()
        )

    def _overlay(self, file: ImageFile) -> Path:
        return result_paths(file, self.output).overlay

    def _classes(self, file: ImageFile) -> Path:
        return result_paths(file, self.output).classes

    def _write_image(self, file: ImageFile, pixels: np.ndarray, class_map: np.ndarray) -> None:
        if self.with_class_maps:
            _write_png(self._classes(file), class_map.astype(np.uint8))
        if self.with_overlays:
            _write_png(
                self._overlay(file),
                overlay_with_legend(pixels, class_map, self.description, self.opacity),
            )

    def _predict_video(self, file: ImageFile) -> None:
        frames = VideoFrames(file.path)
        finished = self._classes(file)
        unfinished = finished.with_name(f".{finished.name}")
        if self.overwrite:
            for folder in (finished, unfinished):
                shutil.rmtree(folder, ignore_errors=True)
        folder = finished if finished.exists() else unfinished
        if self.with_overlays:
            names, colors = self.description.classes, self.description.palette
            _write_png(result_paths(file, self.output).legend, legend(names, colors, 480))
        with (
            replacing(self._overlay(file)) if self.with_overlays else nullcontext() as temporary,
            writing_video(temporary, frames.rate) if temporary else nullcontext() as video,
            tqdm(total=frames.count, desc=file.path.name, unit="frame", leave=False) as bar,
        ):
            for number, frame, class_map in self._frames(frames, folder):
                if self.with_class_maps:
                    path = folder / f"{number:06d}.png"
                    if not path.exists():
                        _write_png(path, class_map.astype(np.uint8))
                if video:
                    video.write(overlay(frame, class_map, self.description.palette, self.opacity))
                bar.update()
            if bar.n == 0:
                raise UnreadableImage("a video without a frame that OpenCV can read")
        if self.with_class_maps and folder == unfinished:
            os.rename(unfinished, finished)

    def _frames(
        self, frames: VideoFrames, folder: Path
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yields the number, the pixels and the class map of each frame."""
        numbered = enumerate(frames)
        for batch in _batches(numbered, self.batch_size):
            paths = [folder / f"{number:06d}.png" for number, _ in batch]
            class_maps: Sequence[np.ndarray] | np.ndarray
            if self.with_class_maps and all(path.exists() for path in paths):
                class_maps = [np.asarray(Image.open(path)) for path in paths]
            else:
                class_maps = self.class_maps(np.stack([pixels for _, pixels in batch]))
            for (number, pixels), class_map in zip(batch, class_maps, strict=True):
                yield number, pixels, class_map


def _batches(
    images: Iterable[tuple[_Tag, np.ndarray]], batch_size: int
) -> Iterator[list[tuple[_Tag, np.ndarray]]]:
    """Yields consecutive (anything, pixels) of one size together, at most `batch_size`."""
    batch: list[tuple[_Tag, np.ndarray]] = []
    for image in images:
        if batch and (len(batch) == batch_size or image[1].shape != batch[0][1].shape):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def _write_png(path: Path, pixels: np.ndarray) -> None:
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary)

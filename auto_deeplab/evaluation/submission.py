"""Predictions as the test servers of Cityscapes, PASCAL VOC 2012 and ADE20K want them."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from auto_deeplab.data.datasets.cityscapes import CLASSES, TRAIN_LABELS
from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.evaluation.inference import Predict
from auto_deeplab.foundations.atomic_file import replacing
from auto_deeplab.foundations.errors import UserError, argument


class SubmissionFormat(NamedTuple):
    """What a test server expects.

    Attributes:
        classes: The number of classes of its task.
        values: uint8 [classes], the pixel value that stands for each class.
        file_name: The record's file name and the split -> the path of its prediction in the
            submission; None where the name is not one of the data set's.
        indexed: Whether the PNGs carry the dataset's palette.
        size: (height, width) of every image; None where they differ.
    """

    classes: int
    values: np.ndarray
    file_name: Callable[[str, str], str | None]
    indexed: bool = False
    size: tuple[int, int] | None = None


# The servers' own names are of such characters; no other is certain to be a name everywhere.
_STEM = r"(?:.*/)?([A-Za-z0-9][A-Za-z0-9_-]{0,99})"


def _cityscapes_file(name: str, split: str) -> str | None:
    match = re.fullmatch(_STEM + r"(?<=_[0-9]{6}_[0-9]{6})_leftImg8bit\.[A-Za-z]+", name)
    return match and f"{match[1]}_labelIds.png"


def _voc_file(name: str, split: str) -> str | None:
    # Competition 6 allows any training data: SBD's annotations and COCO are not VOC's own.
    match = re.fullmatch(_STEM + r"(?:\.[A-Za-z]+)?", name)
    return match and f"results/VOC2012/Segmentation/comp6_{split}_cls/{match[1]}.png"


def _ade20k_file(name: str, split: str) -> str | None:
    match = re.fullmatch(_STEM + r"(?:\.[A-Za-z]+)?", name)
    return match and f"{match[1]}.png"


FORMATS = {
    "cityscapes": SubmissionFormat(
        len(CLASSES),
        np.array([label.label_id for label in TRAIN_LABELS], np.uint8),
        _cityscapes_file,
        size=(1024, 2048),
    ),
    "voc": SubmissionFormat(21, np.arange(21, dtype=np.uint8), _voc_file, indexed=True),
    # 0 stands for what is none of the classes.
    "ade20k": SubmissionFormat(150, np.arange(1, 151, dtype=np.uint8), _ade20k_file),
}


class SubmissionWriter:
    """A `Predict` that writes what another one predicts, and goes on where it was interrupted.

    Call it with batches of one image, in the order of the names. The files are written into a
    hidden folder, which `finish` gives its name. The hidden folder belongs to the `settings`: where
    it is left from a run that was interrupted, its predictions are read instead of made again.

    Args:
        folder: The folder to make.
        kind: A name in `FORMATS`.
        description: Of the dataset that is predicted.
        split: The split's name.
        names: The file names of the records.
        predict: Maps batches of one image to class maps.
        settings: Everything that the predictions depend on, for JSON.

    Raises:
        UserError: The dataset's classes are not those of the test server.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        kind: str,
        description: DatasetDescription,
        split: str,
        names: Iterable[str],
        predict: Predict,
        settings: dict,
    ) -> None:
        self.format = FORMATS[kind]
        if len(description.classes) != self.format.classes:
            raise UserError(
                f"{argument('submission', kind)}: the dataset {description.name} has "
                f"{len(description.classes)} classes; expected the {self.format.classes} of {kind}"
            )
        self.kind = kind
        self.folder = Path(folder)
        self.split = split
        self.palette = np.zeros((256, 3), np.uint8)
        self.palette[: len(description.palette)] = description.palette
        self._names = iter(names)
        self._predict = predict
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        self._work = self.folder.with_name(f".{self.folder.name}-{digest}")
        self._classes = np.full(256, 255, np.uint8)
        self._classes[self.format.values] = np.arange(self.format.classes)
        self._written: set[str] = set()

    def __call__(self, batches: Sequence[tf.Tensor]) -> list[np.ndarray]:
        """Maps images `[1, height, width, 3]` to their class maps, int32, and writes these."""
        paths = [self._path_of_next(images) for images in batches]
        missing = [index for index, path in enumerate(paths) if not path.exists()]
        predicted = dict(
            zip(missing, self._predict([batches[index] for index in missing]), strict=True)
        )
        for index, class_map in predicted.items():
            self._write(paths[index], self.format.values[np.asarray(class_map)[0]])
        return [
            np.asarray(predicted[index]) if index in predicted else self._read(path)
            for index, path in enumerate(paths)
        ]

    def _path_of_next(self, images: tf.Tensor) -> Path:
        name = next(self._names)
        file_name = self.format.file_name(name, self.split)
        if file_name is None or file_name in self._written:
            raise UserError(
                f"{argument('submission', self.kind)}: the record {name!r} "
                + ("has a name of another form" if file_name is None else "is there twice")
                + "; expected the data set's own file names, as tools/convert_*.py keep them"
            )
        self._written.add(file_name)
        size = tuple(images.shape[1:3])
        if self.format.size not in (None, size):
            raise UserError(
                f"{argument('submission', self.kind)}: the image {name!r} is {size[1]}x{size[0]}; "
                f"expected {self.format.size[1]}x{self.format.size[0]}, converted without a scale"
            )
        return self._work / file_name

    def finish(self) -> None:
        """Makes the hidden folder, now whole, the submission's; one that is there is replaced."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        os.rename(self._work, self.folder)

    def _read(self, path: Path) -> np.ndarray:
        with Image.open(path) as image:
            return self._classes[np.asarray(image)][np.newaxis].astype(np.int32)

    def _write(self, path: Path, values: np.ndarray) -> None:
        image = Image.fromarray(values)
        if self.format.indexed:
            image.putpalette(self.palette.ravel().tolist())
        with replacing(path) as temporary:
            image.save(temporary)

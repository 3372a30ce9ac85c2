"""Images with their labels: where both come from, and how they become an example."""

import dataclasses
import os
import unicodedata
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from auto_deeplab.data.conversion.label_table import LabelTable
from auto_deeplab.data.example import EncodedExample
from auto_deeplab.data.image_files import (
    MOST_PIXELS_IN_FILES,
    BadInput,
    DecodedImage,
    SourceFile,
    encode_png,
    read_image,
    read_label,
)
from auto_deeplab.foundations.files import files_below, utf8_text

# How much TensorFlow's and Pillow's decoders of JPEG may differ, in gray levels on average: each
# rounds as it likes. Their PNG must be equal.
_JPEG_TOLERANCE = 1.0

# (height, width) of an image -> that of the example.
TargetSize = Callable[[int, int], tuple[int, int]]


class BadPair(Exception):
    """Files that cannot be converted: `problems` names each with the reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(*problems)
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple:
        return BadPair, (self.problems,)


class LabelSource(Protocol):
    """Where the labels of one image come from."""

    @property
    def file(self) -> SourceFile | None:
        """The file that they are read from."""

    def read(self, image_size: tuple[int, int] | None) -> np.ndarray:
        """Returns label values, uint8 [height, width].

        Args:
            image_size: The image's height and width, if it could be read.

        Raises:
            BadInput: There are none; the message gives the reason and not the file.
        """

    def facts(self) -> list:
        """Returns JSON values that, with the file, decide what is read."""


def most_label_pixels(image_size: tuple[int, int] | None) -> int:
    """Returns how many pixels labels may have: as many as their image, which was let pass."""
    height, width = image_size or (0, 0)
    return max(MOST_PIXELS_IN_FILES, height * width)


@dataclasses.dataclass(frozen=True)
class LabelFile:
    """Labels in a PNG, TIFF or BMP file of one channel or of palette indices."""

    file: SourceFile

    def read(self, image_size: tuple[int, int] | None) -> np.ndarray:
        """Returns the file's label values; see `LabelSource.read`."""
        return read_label(self.file, most_label_pixels(image_size))

    def facts(self) -> list:
        """Returns the kind of label; the file decides the rest."""
        return ["png"]


@dataclasses.dataclass(frozen=True)
class NoLabel:
    """The labels of an image that has none, such as a test image: `value` everywhere."""

    value: int
    file = None

    def read(self, image_size: tuple[int, int] | None) -> np.ndarray:
        """Returns `value` in the image's size, or as one pixel if that is unknown."""
        return np.full(image_size or (1, 1), self.value, np.uint8)

    def facts(self) -> list:
        """Returns the kind of label and the value."""
        return ["none", self.value]


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image file and the source of its labels.

    Args:
        image: The image file.
        label: Where its labels are.
        name: What the record calls the image; bytes of it that are no UTF-8 are escaped.
        keeps_size: Whether the example has the image's own size, whatever the size of others.
    """

    image: SourceFile
    label: LabelSource
    name: str
    keeps_size: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", utf8_text(self.name))

    def facts(self) -> list:
        """Returns JSON values that differ where the example may: names, sizes, times of files."""

        def state(file: SourceFile) -> list:
            try:
                stat = file.stat()
            except OSError:  # The conversion of the pair will tell why.
                return [str(file)]
            return [str(file), stat.st_size, stat.st_mtime_ns]

        files = [file for file in (self.image, self.label.file) if file is not None]
        kept = ["keeps size"] if self.keeps_size else []
        return [self.name, self.label.facts(), *map(state, files), *kept]


@dataclasses.dataclass(frozen=True)
class DecodedPair:
    """An image with its labels, ready to be encoded.

    Args:
        image: uint8 [height, width, 3], RGB.
        label: Train ids, uint8 [height, width].
        encoded: The bytes of an image file that training reads as these pixels, where there is one.
        record_format: The format of `encoded`, "png" or "jpeg"; "" where there is none.
    """

    image: np.ndarray
    label: np.ndarray
    encoded: bytes
    record_format: str


def read_pair(
    pair: Pair, labels: LabelTable, target_size: TargetSize, max_pixels: int = MOST_PIXELS_IN_FILES
) -> DecodedPair:
    """Reads, checks and resizes an image and its labels.

    Images shrink by area averaging and are enlarged bilinearly, labels have the nearest neighbor.

    Args:
        pair: The files.
        labels: The table for the label file's values.
        target_size: (height, width) of the image file -> (height, width) of the result.
        max_pixels: An image with more is refused.

    Raises:
        BadPair: Files cannot be used.
    """
    problems: list[str] = []
    image = label = size = None
    try:
        image = read_image(pair.image, max_pixels)
        size = image.pixels.shape[:2]
    except BadInput as error:
        problems.append(f"{pair.image}: {error}")
    try:
        label = labels.apply(pair.label.read(size))
        if image and label.shape != size:
            raise BadInput(
                f"received {size_text(label)}; expected the size of its image {pair.image}, "
                f"{size_text(image.pixels)}{image.remark}"
            )
    except BadInput as error:
        problems.append(f"{pair.label.file or pair.image}: {error}")
    if problems or image is None or label is None or size is None:
        raise BadPair(problems)
    target = target_size(*size)
    if target == size:
        kept = _is_read_alike(image)
        return DecodedPair(
            image.pixels, label, image.encoded * kept, image.record_format if kept else ""
        )
    shrinks = max(target) < max(size)
    return DecodedPair(
        cv2.resize(
            image.pixels,
            target[::-1],
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        ),
        cv2.resize(label, target[::-1], interpolation=cv2.INTER_NEAREST_EXACT),
        encoded=b"",
        record_format="",
    )


def encode_pair(decoded: DecodedPair, name: str) -> EncodedExample:
    """Encodes what `read_pair` has read.

    A PNG or JPEG file of an upright RGB image that keeps its size is kept byte for byte if training
    reads it alike; any other is written as PNG, which loses nothing.
    """
    image, image_format = decoded.encoded, decoded.record_format
    if not image_format:
        image, image_format = encode_png(decoded.image), "png"
    height, width = decoded.label.shape
    return EncodedExample(name, image, image_format, encode_png(decoded.label), height, width)


def pair_by_stem(
    image_dir: str | os.PathLike,
    label_dir: str | os.PathLike,
    image_suffixes: Sequence[str],
    label_suffixes: Sequence[str],
    label_of: Callable[[Path], LabelSource] = LabelFile,
) -> tuple[list[Pair], list[str]]:
    """Pairs the files of two folders whose names differ only in their suffixes.

    Names are the same whether their accents are characters of their own, as macOS writes them, or
    not.

    Args:
        image_dir: Folder of images; its subfolders count too, linked ones included, hidden ones
            not.
        label_dir: Folder of labels, laid out alike; or the same, where what may be a label is none
            of the images.
        image_suffixes: What image files end with, such as ".jpg"; other files are left alone.
        label_suffixes: What label files end with.
        label_of: Makes the source of labels of a label file.

    Returns:
        The pairs, ordered by name, and the problems found: images without label, labels without
        image, two files with one stem, links to nothing, folders that cannot be listed.
    """
    problems: list[str] = []
    label_problems: list[str] = []
    labels = _files_by_stem(label_dir, label_suffixes, label_problems)
    in_one_folder = os.path.isdir(image_dir) and os.path.realpath(image_dir) == os.path.realpath(
        label_dir
    )
    others = set(labels.values()) if in_one_folder else ()
    images = _files_by_stem(image_dir, image_suffixes, problems, others)
    problems += label_problems
    if not images and not problems:
        problems.append(f"{image_dir}: no images that end with {' or '.join(image_suffixes)}")
    problems += [
        f"{path}: no label {stem}{' or '.join(label_suffixes)} in {label_dir}"
        for stem, path in images.items()
        if stem not in labels
    ]
    problems += [
        f"{path}: no image {stem}{' or '.join(image_suffixes)} in {image_dir}"
        for stem, path in labels.items()
        if stem not in images
    ]
    pairs = [
        Pair(images[stem], label_of(labels[stem]), images[stem].relative_to(image_dir).as_posix())
        for stem in sorted(images.keys() & labels.keys())
    ]
    return pairs, problems


def size_text(pixels: np.ndarray) -> str:
    """Returns "WIDTHxHEIGHT" of [height, width, ...]."""
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _is_read_alike(image: DecodedImage) -> bool:
    """Whether the decoder that training uses takes the file, and for the same image."""
    if not image.record_format:
        return False
    import tensorflow as tf

    from auto_deeplab.data.schema import EncodedImage

    try:
        read = EncodedImage(
            tf.constant(image.encoded), tf.constant(image.pixels.shape[:2])
        ).pixels()
    except tf.errors.InvalidArgumentError:
        return False
    difference = cv2.norm(read.numpy(), image.pixels, cv2.NORM_L1) / image.pixels.size
    return difference < _JPEG_TOLERANCE if image.record_format == "jpeg" else difference == 0


def _files_by_stem(
    folder: str | os.PathLike,
    suffixes: Sequence[str],
    problems: list[str],
    others: Collection[Path] = (),
) -> dict[str, Path]:
    if not os.path.isdir(folder):
        problems.append(f"{folder}: no such folder")
        return {}
    found, unusable = files_below(folder)
    problems += [f"{path}: {reason}" for path, reason in unusable.items()]
    files: dict[str, Path] = {}
    for path in found:
        # macOS writes an accent as a character of its own, others do not.
        name = unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
        suffix = next((s for s in suffixes if name.lower().endswith(s.lower())), None)
        if suffix is None or path in others:
            continue
        stem = name[: -len(suffix)]
        if stem in files:
            problems.append(f"{path}: same stem as {files[stem]}")
        else:
            files[stem] = path
    return files

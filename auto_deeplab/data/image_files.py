"""Reads an image with its label file and turns them into what a record holds.

Pillow decodes (it reports damaged files) and OpenCV resizes and encodes. Both work outside of
Python's interpreter lock, so threads keep all cores busy.
"""

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from auto_deeplab.data.example import EncodedExample
from auto_deeplab.errors import UserError

# The files that a record holds as they are, and the names of their formats there.
_RECORD_FORMATS = {"PNG": "png", "JPEG": "jpeg"}


class BadInput(Exception):
    """An input file that cannot be converted: the message names the file and the reason."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image file and the file with its labels.

    Args:
      image: path of the image.
      label: path of the label image.
      name: what the record calls the image.
    """

    image: Path
    label: Path
    name: str


class LabelTable:
    """Maps the values of label files to train ids.

    Args:
      train_ids: the train id (0..255) of each value (0..255) that label files may hold.
    """

    def __init__(self, train_ids: Mapping[int, int]) -> None:
        self.train_ids = dict(sorted(train_ids.items()))
        for value, train_id in self.train_ids.items():
            if not (0 <= value <= 255 and 0 <= train_id <= 255):
                raise UserError(
                    f"label table: expected values 0..255, received {value} -> {train_id}"
                )
        self._known = np.zeros(256, bool)
        self._known[list(self.train_ids)] = True
        self._table = np.zeros(256, np.uint8)
        self._table[list(self.train_ids)] = list(self.train_ids.values())

    def apply(self, label: np.ndarray) -> np.ndarray:
        """Returns the train ids of `label`, both uint8 [height, width].

        Raises:
          BadInput: values outside of the table; the message lists them.
        """
        counts = cv2.calcHist([label], [0], None, [256], [0, 256]).ravel()
        unknown = np.flatnonzero((counts > 0) & ~self._known)
        if unknown.size:
            found = ", ".join(f"{value} ({int(counts[value])} pixels)" for value in unknown[:8])
            more = f" and {unknown.size - 8} more" if unknown.size > 8 else ""
            raise BadInput(
                f"label values outside of the table: {found}{more}; "
                f"expected {_ranges(list(self.train_ids))}"
            )
        return cv2.LUT(label, self._table)


def convert_pair(pair: Pair, labels: LabelTable, scale: float) -> EncodedExample:
    """Reads, checks, resizes and encodes an image and its labels.

    A PNG or JPEG file of an upright RGB image is kept byte for byte where `scale` is 1; any other
    is written as PNG. Images shrink by area averaging, labels to the nearest neighbor.

    Args:
      pair: the files.
      labels: the table for the label file's values.
      scale: the factor of height and width, 0 < scale <= 1.

    Raises:
      BadInput: a file cannot be used; the message names it and the reason.
    """
    try:
        image_bytes, image_format, image = _read_image(pair.image)
    except BadInput as error:
        raise BadInput(f"{pair.image}: {error}") from error
    try:
        label = labels.apply(_read_label(pair.label))
        if label.shape != image.shape[:2]:
            raise BadInput(
                f"is {_size_text(label)}, but its image {pair.image} is {_size_text(image)}"
            )
    except BadInput as error:
        raise BadInput(f"{pair.label}: {error}") from error
    if scale != 1:
        height, width = (max(1, round(side * scale)) for side in label.shape)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        label = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    if scale != 1 or not image_format:
        image_bytes, image_format = encode_png(image), "png"
    height, width = label.shape
    return EncodedExample(pair.name, image_bytes, image_format, encode_png(label), height, width)


def encode_png(pixels: np.ndarray) -> bytes:
    """Returns the PNG file of uint8 [height, width, 3] (RGB) or uint8 [height, width]."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", pixels)
    if not done:
        raise RuntimeError(f"OpenCV could not encode an image of shape {pixels.shape}")
    return encoded.tobytes()


def pair_by_stem(
    image_dir: str | os.PathLike,
    label_dir: str | os.PathLike,
    image_suffixes: Sequence[str],
    label_suffixes: Sequence[str],
) -> tuple[list[Pair], list[str]]:
    """Pairs the files of two folders whose names differ only in their suffixes.

    Args:
      image_dir: folder of images; its subfolders count too.
      label_dir: folder of labels, laid out alike.
      image_suffixes: what image files end with, such as ".jpg"; other files are left alone.
      label_suffixes: what label files end with.

    Returns:
      The pairs, ordered by name, and the problems found: images without label, labels without
      image, two files with one stem.
    """
    problems: list[str] = []
    images = _files_by_stem(image_dir, image_suffixes, problems)
    labels = _files_by_stem(label_dir, label_suffixes, problems)
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
        Pair(images[stem], labels[stem], images[stem].relative_to(image_dir).as_posix())
        for stem in sorted(images.keys() & labels.keys())
    ]
    return pairs, problems


def _files_by_stem(
    folder: str | os.PathLike, suffixes: Sequence[str], problems: list[str]
) -> dict[str, Path]:
    if not os.path.isdir(folder):
        problems.append(f"{folder}: no such folder")
        return {}
    files: dict[str, Path] = {}
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        suffix = next((s for s in suffixes if name.lower().endswith(s.lower())), None)
        if suffix is None or path.name.startswith("."):
            continue
        stem = name[: -len(suffix)]
        if stem in files:
            problems.append(f"{path}: same stem as {files[stem]}")
        else:
            files[stem] = path
    return files


def _read_image(path: Path) -> tuple[bytes, str, np.ndarray]:
    """Returns the file's bytes, its record format ("" if it must be encoded anew), RGB pixels."""
    data, image = _open(path)
    if image.mode.startswith(("I", "F")):
        raise BadInput(f"mode {image.mode}: expected 8 bits a channel")
    with _damage_explained():
        upright = image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    kept = image.mode == "RGB" and upright
    return data, _RECORD_FORMATS.get(image.format, "") if kept else "", pixels


def _read_label(path: Path) -> np.ndarray:
    _, image = _open(path)
    if image.format != "PNG":
        raise BadInput(f"a {image.format} file: labels must be PNG files, which keep every value")
    if image.mode not in ("L", "P"):
        raise BadInput(f"mode {image.mode}: expected one 8-bit channel of label values")
    with _damage_explained():
        return np.asarray(image)


def _open(path: Path) -> tuple[bytes, Image.Image]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}") from error
    if not data:
        raise BadInput("the file is empty")
    with _damage_explained():
        try:
            return data, Image.open(io.BytesIO(data))
        except UnidentifiedImageError as error:
            raise BadInput("not an image file") from error


@contextlib.contextmanager
def _damage_explained() -> Iterator[None]:
    try:
        yield
    except BadInput:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds: OSError, SyntaxError, ...
        raise BadInput(f"damaged image: {error}") from error


def _size_text(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


def _ranges(values: Sequence[int]) -> str:
    """Writes whole numbers briefly: "0-33, 255"."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)

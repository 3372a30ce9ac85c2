"""Reads image and label files, so that each damaged or unsuitable one is told from a good one.

Pillow decodes (it reports damaged files) and OpenCV encodes. Both work outside of Python's
interpreter lock, so threads keep all cores busy.
"""

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator
from typing import Protocol

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

# The files that a record holds as they are, and the names of their formats there.
_RECORD_FORMATS = {"PNG": "png", "JPEG": "jpeg"}
# Where a PNG file has the bits of a channel: after the signature, a chunk's header, width, height.
_PNG_BIT_DEPTH = 24


class BadInput(Exception):
    """An input that cannot be converted: the message names the file, where known, and the reason.

    It names no file where the caller knows which one it is.
    """


class SourceFile(Protocol):
    """An image file, or what holds the bytes of one. A `pathlib.Path` is one."""

    def read_bytes(self) -> bytes:
        """Returns the bytes of an image file; an `OSError` is a file that cannot be read."""

    def stat(self) -> os.stat_result:
        """Returns the state of the file on disk, whose size and time tell when it has changed."""

    def __str__(self) -> str:
        """Returns the name that messages show."""


@dataclasses.dataclass(frozen=True)
class DecodedImage:
    """An image and the file that it came from.

    Args:
      pixels: uint8 [height, width, 3], RGB, upright.
      encoded: the bytes of the file.
      record_format: "png" or "jpeg" if `encoded` decodes to `pixels` and a record may hold it as it
        is, else "".
      remark: what was done about the orientation, for messages.
    """

    pixels: np.ndarray
    encoded: bytes
    record_format: str
    remark: str = ""


def read_image(file: SourceFile) -> DecodedImage:
    """Reads an image file of any color mode with 8 bits a channel, and turns it upright.

    Raises:
      BadInput: the file cannot be read, is empty, damaged, no image, or has 16 bits a channel.
    """
    data, image = _open(file)
    encoding = image.format
    if image.mode.startswith(("I", "F")) or _png_bits(image, data) > 8:
        raise BadInput(f"more than 8 bits a channel ({image.mode}): expected 8")
    kept, remark = image.mode == "RGB", ""
    with _damage_explained():
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if orientation != 1:
            # TensorFlow's decoders do not turn images.
            image, kept = ImageOps.exif_transpose(image), False
            remark = f" once turned by its EXIF orientation {orientation}"
        # Converting copies, even where there is nothing to convert.
        pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    return DecodedImage(pixels, data, _RECORD_FORMATS.get(encoding, "") * kept, remark)


def read_label(file: SourceFile) -> np.ndarray:
    """Reads a PNG file of label values, uint8 [height, width]; of a palette image, the indices.

    Raises:
      BadInput: the file cannot be read, is empty, damaged, or holds anything else.
    """
    data, image = _open(file)
    if image.format != "PNG":
        raise BadInput(f"a {image.format} file: labels must be PNG files, which keep every value")
    bits = _png_bits(image, data)
    if image.mode not in ("L", "P") or (image.mode == "L" and bits != 8):
        raise BadInput(
            f"{bits} bits a channel, mode {image.mode}: expected one 8-bit channel of label values"
        )
    with _damage_explained():
        return np.asarray(image)


def encode_png(pixels: np.ndarray) -> bytes:
    """Returns the PNG file of uint8 [height, width, 3] (RGB) or uint8 [height, width]."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", pixels)
    if not done:
        raise RuntimeError(f"OpenCV could not encode an image of shape {pixels.shape}")
    return encoded.tobytes()


def _open(file: SourceFile) -> tuple[bytes, Image.Image]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror or error}") from error
    if not data:
        raise BadInput("the file is empty")
    with _damage_explained():
        try:
            return data, Image.open(io.BytesIO(data))
        except UnidentifiedImageError as error:
            raise BadInput("not an image file") from error


def _png_bits(image: Image.Image, data: bytes) -> int:
    """Bits of a channel; Pillow tells neither 16 of RGB from 8 nor 2 or 4 of gray, which it scales.

    Returns 8 for other formats.
    """
    return data[_PNG_BIT_DEPTH] if image.format == "PNG" else 8


@contextlib.contextmanager
def _damage_explained() -> Iterator[None]:
    try:
        yield
    except BadInput:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds: OSError, SyntaxError, ...
        raise BadInput(f"damaged image: {error}") from error

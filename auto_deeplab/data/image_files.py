"""Reads image and label files, so that each damaged or unsuitable one is told from a good one.

Pillow decodes and OpenCV encodes. Both work outside of Python's interpreter lock, so threads keep
all cores busy.
"""

import contextlib
import dataclasses
import io
import itertools
import os
import re
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from typing import Protocol

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

from auto_deeplab.data.png_files import PngFile
from auto_deeplab.foundations.errors import argument

# Pillow's names of the formats that are read: those whose depth is known, and none that Pillow
# opens with other programs.
FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# What is read unless more is asked for, as RGB half a gigabyte. A file of a few kilobytes can claim
# to be an image that fills the memory.
MOST_PIXELS_IN_FILES = 2**29 // 3
# TensorFlow decodes no larger images.
MOST_PIXELS_IN_RECORDS = 2**29 - 1

# The files that a record holds as they are, and the names of their formats there.
_RECORD_FORMATS = {"PNG": "png", "JPEG": "jpeg"}
# Formats of label files: they keep every value.
_LABEL_FORMATS = ("PNG", "TIFF", "BMP")
# TIFF's compressions without loss: none, of facsimiles, LZW, Deflate, PackBits, LZMA, Zstandard.
_LOSSLESS_COMPRESSIONS = (1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000)
# Where files have the bits: of a channel in PNG, of a pixel in BMP, which has two kinds of headers.
_PNG_BIT_DEPTH = 24
_BMP_HEADER_SIZE, _BMP_CORE_HEADER, _BMP_CORE_BITS, _BMP_BITS = 14, 12, 24, 28
# Within how many bytes a PPM file must tell them.
_PPM_HEADER = 4096
# What tells a TIFF file with addresses of 8 bytes from one of 4.
_BIG_TIFF = 43
# What TIFF says that the values of a channel are.
_UNSIGNED = "unsigned integers"
_TIFF_SAMPLES = {1: _UNSIGNED, 2: "signed integers", 3: "floating point"}
_BLACK_IS_ZERO, _PALETTE_COLOR = 1, 3
_PLANES_APART = 2
# Images of 16 bits a channel with no larger value have 12 bits or fewer, which do not fill it.
_LARGEST_12_BIT_VALUE = 2**12 - 1

# What Pillow warns of is told as damage, or is beside the pixels, as are GeoTIFF's own tags.
warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")


class BadInput(Exception):
    """An input that cannot be used: the message names the file, where known, and the reason.

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
        encoded: The bytes of the file.
        record_format: "png" or "jpeg" if `encoded` decodes to `pixels` with Pillow and a record may
            hold its format, else "".
        remark: What was done about the orientation, for messages.
    """

    pixels: np.ndarray
    encoded: bytes
    record_format: str
    remark: str = ""


@dataclasses.dataclass(frozen=True)
class _Depth:
    """What the values of a channel are, as the file's header tells it.

    Args:
        bits: Of a channel; the most if they differ.
        sample: The kind of number.
        fills_range: Whether the format says that the largest number means full intensity.
    """

    bits: int
    sample: str = _UNSIGNED
    fills_range: bool = True

    def __str__(self) -> str:
        return f"{self.bits} bits a channel" + f" of {self.sample}" * (self.sample != _UNSIGNED)


def read_image(
    file: SourceFile, max_pixels: int = MOST_PIXELS_IN_FILES, cut_depth: bool = False
) -> DecodedImage:
    """Reads an image file of any color mode, and turns it upright.

    Only 8 bits a channel, or fewer, are taken, unless `cut_depth`: of more bits no file tells for
    sure which of them to keep. Gray, palettes and CMYK become RGB; transparency is dropped.

    Args:
        file: The file; of `FORMATS`, whatever its name is.
        max_pixels: An image with more is refused by its header, before it is decoded.
        cut_depth: Whether of 16 bits a channel the upper 8 are taken, where the format says that
            the values fill the range (PNG, PPM) and they do.

    Raises:
        BadInput: The file cannot be read, is empty, damaged, no image, too large or too deep.
    """
    opened = _OpenedImage(file, max_pixels)
    depth = opened.depth
    cut = cut_depth and depth.bits == 16 and depth.fills_range
    if depth.sample != _UNSIGNED or (depth.bits > 8 and not cut):
        received = f"more than 8 bits a channel ({depth.bits})" if depth.bits > 8 else ""
        kind = depth.sample if depth.sample != _UNSIGNED else ""
        received = ", ".join(filter(None, (received, kind)))
        raise BadInput(f"received {received}; expected 8-bit {_UNSIGNED}")
    image, orientation = opened.load()
    if image.mode.startswith("I"):
        pixels = np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    else:
        pixels = _as_rgb(image)
    if depth.bits > 8 and pixels.max() <= _LARGEST_12_BIT_VALUE >> 8:
        raise BadInput(
            f"received {depth.bits} bits a channel and no value above {_LARGEST_12_BIT_VALUE:,} of "
            f"{2**depth.bits - 1:,}; expected values that fill the range"
        )
    kept = image.mode == "RGB" and depth.bits == 8 and orientation == 1
    return DecodedImage(
        pixels,
        opened.data,
        record_format=_RECORD_FORMATS.get(opened.format, "") * kept,
        remark=f" once turned by its EXIF orientation {orientation}" * (orientation != 1),
    )


def read_label(file: SourceFile, max_pixels: int = MOST_PIXELS_IN_FILES) -> np.ndarray:
    """Reads a PNG, TIFF or BMP file of label values.

    Args:
        file: The file, of one channel; of a palette image the indices are the values.
        max_pixels: Labels with more are refused by their header, before they are decoded.

    Returns:
        uint8 [height, width], upright.

    Raises:
        BadInput: The file cannot be read, is empty, damaged, or holds anything else.
    """
    opened = _OpenedImage(file, max_pixels)
    image, depth = opened.image, opened.depth
    if opened.format not in _LABEL_FORMATS:
        raise BadInput(
            f"received a {opened.format} file; expected a PNG, TIFF or BMP file of labels, which "
            "keeps every value"
        )
    if (
        image.mode not in ("L", "P")
        or (image.mode == "L" and depth.bits != 8)
        or depth.sample != _UNSIGNED
    ):
        raise BadInput(
            f"received {depth}, mode {image.mode}; expected one 8-bit channel of label values"
        )
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        compression = image.tag_v2.get(TiffImagePlugin.COMPRESSION, 1)
        if compression not in _LOSSLESS_COMPRESSIONS:
            raise BadInput(
                f"received TIFF compression {compression}; expected one that keeps every value"
            )
        photometric = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION)
        if photometric not in (_BLACK_IS_ZERO, _PALETTE_COLOR):
            raise BadInput(
                f"received TIFF photometric interpretation {photometric}; expected "
                f"{_BLACK_IS_ZERO} (black is zero) or {_PALETTE_COLOR} (palette)"
            )
    return np.asarray(opened.load()[0])


def encode_png(pixels: np.ndarray) -> bytes:
    """Returns the PNG file of uint8 [height, width, 3] (RGB) or uint8 [height, width]."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", pixels)
    if not done:
        raise RuntimeError(f"OpenCV could not encode an image of shape {pixels.shape}")
    return encoded.tobytes()


class _OpenedImage:
    """An image file whose header was checked; nothing is decoded yet.

    Args:
        file: The file.
        max_pixels: An image with more is refused.

    Attributes:
        data: The bytes of the file.
        format: One of `FORMATS`.
        image: Pillow's.
        depth: Of a channel.

    Raises:
        BadInput: The file cannot be read, is empty, no image of these formats, or too large.
    """

    def __init__(self, file: SourceFile, max_pixels: int) -> None:
        self.data = _read_bytes(file)
        self.format = _format_of(self.data)
        self._png: PngFile | None = None
        with _damage_explained():
            content = self.data
            if self.format == "PNG":
                self._png = PngFile(self.data)
                content = self._png.pixels_alone
            self.depth = _DEPTHS[self.format](self.data)
            # `Image.open` would not tell what the format's own class says about the file.
            open_format, _ = Image.OPEN[self.format]
            try:
                self.image = open_format(io.BytesIO(content), "")
            except SyntaxError as error:
                if isinstance(error.__cause__, struct.error | EOFError | IndexError):
                    raise BadInput(f"damaged image: its header is broken ({error})") from error
                layout = f" ({_tiff_layout(self.data)})" if self.format == "TIFF" else ""
                raise BadInput(
                    f"a {self.format} file that cannot be read: {error}{layout}"
                ) from error
        width, height = self.image.size
        if width * height > max_pixels:
            raise BadInput(
                f"received {width}x{height} pixels; expected at most {max_pixels:,} "
                f"({argument('max_pixels')})"
            )
        if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
            # Pillow's own limit holds again when a TIFF file is decoded.
            Image.MAX_IMAGE_PIXELS = max_pixels
        if self.format == "BMP" and self.image.mode != "P":
            _check_gray_palette(self.image, self.depth)

    def load(self) -> tuple[Image.Image, int]:
        """Decodes the image.

        Returns:
            The image, turned upright by its EXIF orientation, and that orientation, 1 to 8.

        Raises:
            BadInput: It is damaged.
        """
        with _damage_explained():
            if self._png is not None:
                self._png.check_pixels()
            if isinstance(self.image, TiffImagePlugin.TiffImageFile):
                _check_tiff_parts(self.image.tag_v2)
            try:
                orientation = self.image.getexif().get(ExifTags.Base.Orientation, 1)
            except Exception:  # Of Pillow's parsers. Viewers show such an image as it is stored.
                orientation = 1
            self.image.load()
            if orientation not in range(2, 9):
                return self.image, 1
            # TensorFlow's decoders do not turn images.
            return ImageOps.exif_transpose(self.image), orientation


def _read_bytes(file: SourceFile) -> bytes:
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise BadInput("not a file, but a folder, a pipe or a device; expected an image file")
        data = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name.
        raise BadInput(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not data:
        raise BadInput("the file is empty; expected an image file")
    return data


def _format_of(data: bytes) -> str:
    """Returns which of `FORMATS` a file has, by its first bytes."""
    Image.init()
    for name in FORMATS:
        _, accepts = Image.OPEN[name]
        if accepts is not None and accepts(data[:16]) is True:
            return name
    raise BadInput(f"not an image file; expected {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")


def _png_depth(data: bytes) -> _Depth:
    return _Depth(data[_PNG_BIT_DEPTH])


def _tiff_depth(data: bytes) -> _Depth:
    tags = _tiff_tags(data)
    bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
    (sample,) = set(tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,)))
    # Sensors give 10 to 14 bits, which programs write into 16 as they are.
    return _Depth(bits, _TIFF_SAMPLES.get(sample, f"samples of format {sample}"), bits <= 8)


def _ppm_depth(data: bytes) -> _Depth:
    magic, *numbers = re.sub(rb"#[^\r\n]*", b"", data[:_PPM_HEADER]).split(maxsplit=4)[:4]
    if magic in (b"P1", b"P4"):
        return _Depth(1)
    if magic in (b"P2", b"P3", b"P5", b"P6"):
        return _Depth(8 if int(numbers[2]) < 256 else 16)
    return _Depth(32, _TIFF_SAMPLES[3])


def _bmp_depth(data: bytes) -> _Depth:
    """Returns at most 8 bits: a BMP file has them by pixel, and no more by channel."""
    place = _BMP_CORE_BITS if data[_BMP_HEADER_SIZE] == _BMP_CORE_HEADER else _BMP_BITS
    return _Depth(min(8, int.from_bytes(data[place : place + 2], "little")))


_DEPTHS: dict[str, Callable[[bytes], _Depth]] = {
    "BMP": _bmp_depth,
    "JPEG": lambda _: _Depth(8),  # Pillow opens no other.
    "PNG": _png_depth,
    "PPM": _ppm_depth,
    "TIFF": _tiff_depth,
    "WEBP": lambda _: _Depth(8),  # There are no others.
}


def _tiff_tags(data: bytes) -> TiffImagePlugin.ImageFileDirectory_v2:
    """Returns the tags of the first image of a TIFF file."""
    header_size = 16 if data[2] == _BIG_TIFF else 8
    tags = TiffImagePlugin.ImageFileDirectory_v2(data[:header_size])
    stream = io.BytesIO(data)
    stream.seek(tags.next)
    tags.load(stream)
    return tags


def _tiff_layout(data: bytes) -> str:
    tags = _tiff_tags(data)
    bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    photometric = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION)
    return (
        f"channels of {', '.join(map(str, bits))} bits with photometric interpretation "
        f"{photometric}; expected gray (0, 1), RGB (2), palette (3), CMYK (5), YCbCr (6)"
    )


def _check_tiff_parts(tags: TiffImagePlugin.ImageFileDirectory_v2) -> None:
    """Raises a `ValueError` if strips or tiles are missing, which Pillow fills with zeros."""
    height, width = tags[TiffImagePlugin.IMAGELENGTH], tags[TiffImagePlugin.IMAGEWIDTH]
    if TiffImagePlugin.TILEOFFSETS in tags:
        rows, columns = tags[TiffImagePlugin.TILELENGTH], tags[TiffImagePlugin.TILEWIDTH]
        offsets, sizes = tags[TiffImagePlugin.TILEOFFSETS], tags.get(TiffImagePlugin.TILEBYTECOUNTS)
    else:
        rows, columns = tags.get(TiffImagePlugin.ROWSPERSTRIP, height), width
        offsets = tags[TiffImagePlugin.STRIPOFFSETS]
        sizes = tags.get(TiffImagePlugin.STRIPBYTECOUNTS)
    separate = tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == _PLANES_APART
    planes = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1) if separate else 1
    expected = -(-height // rows) * -(-width // columns) * planes
    parts = zip(offsets, sizes or itertools.repeat(1), strict=False)
    found = sum(offset > 0 and size > 0 for offset, size in parts)
    if found < expected:
        raise ValueError(f"{found} of its {expected} strips or tiles are there")


def _check_gray_palette(image: Image.Image, depth: _Depth) -> None:
    """Raises a `BadInput` for palettes that Pillow leaves out although it needs them.

    It takes a palette of gray levels for none, and then the indices for as many bits as a pixel of
    its mode has.
    """
    expected = {"1": 1, "L": 8}.get(image.mode, depth.bits)
    if depth.bits != expected:
        raise BadInput(
            f"received a BMP file of {depth.bits} bits a pixel with a palette of gray levels; "
            "expected 8 bits and 256 levels, or another format"
        )


def _as_rgb(image: Image.Image) -> np.ndarray:
    try:
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except ValueError as error:
        raise BadInput(f"colors that do not become RGB (mode {image.mode}): {error}") from error


@contextlib.contextmanager
def _damage_explained() -> Iterator[None]:
    try:
        yield
    except BadInput:
        raise
    except MemoryError as error:
        raise BadInput("too large for this machine's memory") from error
    except Exception as error:  # Pillow's decoders raise many kinds: OSError, SyntaxError, ...
        raise BadInput(f"damaged image: {error or type(error).__name__}") from error

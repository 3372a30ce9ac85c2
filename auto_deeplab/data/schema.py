"""The TFRecord schema: the keys that the DeepLab family writes and reads, and the shards' names.

Records of TF Model Garden, DeepLab2 and TF1 DeepLab are read as they are. Image and labels are
decoded by what their bytes are; only DeepLab2's panoptic labels, which are bare numbers, need
their format and size from the record. Labels of another kind than these, which TensorFlow would
turn into other values without a word, are an error.
"""

import os
import re
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from auto_deeplab.data.example import EncodedExample
from auto_deeplab.foundations.errors import UserError

IMAGE = "image/encoded"
IMAGE_FORMAT = "image/format"
FILE_NAME = "image/filename"
HEIGHT = "image/height"
WIDTH = "image/width"
CHANNELS = "image/channels"
LABEL = "image/segmentation/class/encoded"
LABEL_FORMAT = "image/segmentation/class/format"

# What DeepLab2 calls the format of panoptic labels; all others are PNG.
PANOPTIC_FORMAT = "raw"

# How a PNG file begins: its signature, the length and the type of the header chunk. Width and
# height follow, then the bits of a sample and the color type; the chunk's checksum ends it.
_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_PNG_BITS, _PNG_COLOR_TYPE, _PNG_CHECKSUM, _PNG_HEADER_END = 24, 25, 29, 33
_PNG_GRAY, _PNG_PALETTE = 0, 3
# By the bits of a sample: what TensorFlow multiplies it by, to stretch the samples to 0..255.
_STRETCHED = np.array([255 // max(2**bits - 1, 1) for bits in range(9)], np.uint8)
_PNG_COLOR_TYPES = ("gray", "of no known kind", "RGB", "palette", "gray with alpha", "", "RGBA")

_DCT_METHOD = "INTEGER_ACCURATE"
_LARGEST_JPEG_BLOCK = 16


def serialize_example(example: EncodedExample) -> bytes:
    """Returns a serialized `tf.train.Example`; equal examples give equal bytes."""
    features = {
        IMAGE: _bytes_feature(example.image),
        IMAGE_FORMAT: _bytes_feature(example.image_format.encode()),
        FILE_NAME: _bytes_feature(example.name.encode()),
        HEIGHT: _integer_feature(example.height),
        WIDTH: _integer_feature(example.width),
        CHANNELS: _integer_feature(3),
        LABEL: _bytes_feature(example.label),
        LABEL_FORMAT: _bytes_feature(b"png"),
    }
    message = tf.train.Example(features=tf.train.Features(feature=features))
    return message.SerializeToString(deterministic=True)


class EncodedImage(NamedTuple):
    """An image of a record, decoded only where it is needed.

    Attributes:
        contents: String scalar, a JPEG or PNG file.
        size: int32 [2], (height, width).
    """

    contents: tf.Tensor
    size: tf.Tensor

    def pixels(self) -> tf.Tensor:
        """Decodes the image: uint8 [height, width, 3]."""
        # This op reads PNG as well. Its default for JPEG is fast and one gray level off on average.
        pixels = tf.io.decode_jpeg(self.contents, channels=3, dct_method=_DCT_METHOD)
        with tf.control_dependencies([self._assert_size(tf.shape(pixels))]):
            return tf.identity(pixels)

    def window(self, begin: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        """Decodes rows begin[0] to end[0] and columns begin[1] to end[1].

        Of a JPEG file only this part is transformed back to pixels. PNG's compression knows no
        parts: each row builds on all that precede it, so all is decoded.

        Args:
            begin: int32 [2], (row, column), inside the image.
            end: int32 [2], one past the last.

        Returns:
            uint8 [end[0] - begin[0], end[1] - begin[1], 3], the same pixels as `pixels` gives.
        """

        def part_of_jpeg() -> tf.Tensor:
            check = self._assert_size(tf.image.extract_jpeg_shape(self.contents))
            # At a crop's border colors are upsampled without their neighbors beyond it.
            outer_begin = tf.maximum(begin - _LARGEST_JPEG_BLOCK, 0)
            outer_end = tf.minimum(end + _LARGEST_JPEG_BLOCK, self.size)
            with tf.control_dependencies([check]):
                part = tf.image.decode_and_crop_jpeg(
                    self.contents,
                    tf.concat([outer_begin, outer_end - outer_begin], axis=0),
                    channels=3,
                    dct_method=_DCT_METHOD,
                )
            return _slice(part, begin - outer_begin, end - outer_begin)

        return tf.cond(
            tf.io.is_jpeg(self.contents),
            part_of_jpeg,
            lambda: _slice(self.pixels(), begin, end),
        )

    def _assert_size(self, shape: tf.Tensor) -> tf.Operation:
        return require(
            tf.reduce_all(shape[:2] == self.size),
            "the image's height and width are ",
            *(shape[0], " and ", shape[1], ", but its labels' are "),
            *(self.size[0], " and ", self.size[1]),
        )


def parse_example(
    serialized: tf.Tensor, panoptic_label_divisor: int | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes one example.

    Args:
        serialized: String scalar, a serialized `tf.train.Example`.
        panoptic_label_divisor: See `DatasetDescription`.

    Returns:
        The image, uint8 [height, width, 3], and its labels, uint8 [height, width].
    """
    image, label = parse_encoded(serialized, panoptic_label_divisor)
    return image.pixels(), label


def parse_encoded(
    serialized: tf.Tensor, panoptic_label_divisor: int | None = None
) -> tuple[EncodedImage, tf.Tensor]:
    """Like `parse_example`, but returns the image as it is stored."""
    features = tf.io.parse_single_example(
        serialized,
        {
            IMAGE: tf.io.FixedLenFeature([], tf.string),
            HEIGHT: tf.io.FixedLenFeature([], tf.int64, default_value=0),
            WIDTH: tf.io.FixedLenFeature([], tf.int64, default_value=0),
            LABEL: tf.io.FixedLenFeature([], tf.string),
            LABEL_FORMAT: tf.io.FixedLenFeature([], tf.string, default_value=""),
        },
    )
    label = tf.cond(
        features[LABEL_FORMAT] == PANOPTIC_FORMAT,
        lambda: _panoptic_classes(features, panoptic_label_divisor),
        lambda: _decode_label(features[LABEL]),
    )
    return EncodedImage(features[IMAGE], tf.shape(label)), label


def require(condition: tf.Tensor | bool, *message: str | tf.Tensor) -> tf.Operation:
    """Returns an assertion.

    Args:
        condition: bool scalar.
        message: Parts of the message, text and number scalars. They reach the error as one text.
    """
    parts = [part if isinstance(part, str) else tf.strings.as_string(part) for part in message]
    return tf.debugging.Assert(condition, [tf.strings.join(parts)])


def _decode_label(contents: tf.Tensor) -> tf.Tensor:
    """Decodes the PNG file of labels: uint8 [height, width]; of a palette image, the indices."""
    start = tf.strings.substr(contents, 0, _PNG_COLOR_TYPE + 1)
    start = tf.cast(tf.io.decode_raw(start, tf.uint8, fixed_length=_PNG_COLOR_TYPE + 1), tf.int32)
    bits, color_type = start[_PNG_BITS], start[_PNG_COLOR_TYPE]
    is_palette = color_type == _PNG_PALETTE
    is_png = tf.reduce_all(start[: len(_PNG_START)] == list(_PNG_START))
    expected = "; expected a PNG file of 8-bit gray, or with a palette, whose indices count"
    color = tf.gather(_PNG_COLOR_TYPES, tf.minimum(color_type, len(_PNG_COLOR_TYPES) - 1))
    checks = [
        require(is_png, "labels: received no PNG file", expected),
        require(
            (is_palette & (bits <= 8)) | ((color_type == _PNG_GRAY) & (bits == 8)) | ~is_png,
            *("labels: received a PNG file, ", bits, "-bit ", color, expected),
        ),
        require(
            (tf.strings.length(contents) >= _PNG_HEADER_END) | ~is_png,
            "labels: received a PNG file that ends in its header",
            expected,
        ),
    ]
    with tf.control_dependencies(checks):
        gray = tf.cond(is_palette, lambda: _palette_as_gray(contents), lambda: contents)
        samples = tf.squeeze(tf.io.decode_png(gray, channels=1), axis=-1)
        return tf.cond(bits == 8, lambda: samples, lambda: samples // tf.gather(_STRETCHED, bits))


def _palette_as_gray(contents: tf.Tensor) -> tf.Tensor:
    """Returns a PNG file with a palette as one without: what was an index is a gray value.

    TensorFlow would give the colors, as gray. Nothing but the header's color type tells the two
    kinds apart; decoders skip the palette of a gray file.
    """
    # CRC-32 is linear: the change of one byte changes it by the same bits whatever the file is.
    before_type = _PNG_COLOR_TYPE - _PNG_START.index(b"IHDR")
    after_type = _PNG_CHECKSUM - _PNG_COLOR_TYPE - 1
    covered = before_type + 1 + after_type
    change = zlib.crc32(bytes(before_type) + bytes([_PNG_PALETTE ^ _PNG_GRAY]) + bytes(after_type))
    change ^= zlib.crc32(bytes(covered))
    checksum = tf.io.decode_raw(
        tf.strings.substr(contents, _PNG_CHECKSUM, _PNG_HEADER_END - _PNG_CHECKSUM), tf.uint8
    )
    checksum = tf.bitwise.bitwise_xor(checksum, tf.constant(list(change.to_bytes(4)), tf.uint8))
    every_byte = tf.constant([bytes([value]) for value in range(256)])
    return tf.strings.join(
        [
            tf.strings.substr(contents, 0, _PNG_COLOR_TYPE),
            bytes([_PNG_GRAY]),
            tf.strings.substr(contents, _PNG_COLOR_TYPE + 1, after_type),
            tf.strings.reduce_join(tf.gather(every_byte, tf.cast(checksum, tf.int32))),
            tf.strings.substr(contents, _PNG_HEADER_END, tf.strings.length(contents)),
        ]
    )


def _panoptic_classes(features: dict[str, tf.Tensor], divisor: int | None) -> tf.Tensor:
    """Returns the classes of DeepLab2's labels: int32, class · divisor + instance."""
    has_divisor = require(
        divisor is not None,
        "the labels are panoptic: dataset.json needs their panoptic_label_divisor",
    )
    with tf.control_dependencies([has_divisor]):
        values = tf.io.decode_raw(features[LABEL], tf.int32) // (divisor or 1)
    in_range = require(
        tf.reduce_all((values >= 0) & (values <= 255)),
        "panoptic labels / panoptic_label_divisor are not within 0..255",
    )
    with tf.control_dependencies([in_range]):
        return tf.reshape(tf.cast(values, tf.uint8), tf.stack([features[HEIGHT], features[WIDTH]]))


def shard_name(split: str, index: int, count: int) -> str:
    """Returns the file name of shard `index` of `count`."""
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def shard_paths(dataset_dir: str | os.PathLike, split: str) -> list[Path]:
    """Returns the shards of a split in order.

    Raises:
        UserError: There are none, one that the names count is missing, or they count differently.
    """
    pattern = re.compile(re.escape(split) + r"-(\d{5})-of-(\d{5})\.tfrecord")
    names = sorted(os.listdir(dataset_dir))
    found = {name: match for name in names if (match := pattern.fullmatch(name))}
    if not found:
        raise UserError(
            f"{dataset_dir}: has no file of split {split!r}; expected "
            f"{split}-NNNNN-of-NNNNN.tfrecord"
        )
    counts = sorted({int(match[2]) for match in found.values()})
    if len(counts) > 1:
        raise UserError(
            f"{dataset_dir}: received shards of split {split!r} whose names count "
            f"{' and '.join(map(str, counts))}; expected those of one conversion"
        )
    expected = [shard_name(split, index, counts[0]) for index in range(counts[0])]
    missing = [name for name in expected if name not in found]
    if missing:
        raise UserError(
            f"{dataset_dir}: received {len(found)} of the {len(expected)} shards of split "
            f"{split!r}; expected {', '.join(missing)} beside them"
        )
    return [Path(dataset_dir) / name for name in expected]


def _slice(pixels: tf.Tensor, begin: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    return pixels[begin[0] : end[0], begin[1] : end[1]]


def _bytes_feature(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _integer_feature(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

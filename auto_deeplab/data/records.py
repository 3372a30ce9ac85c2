"""The TFRecord schema: the keys that TF Model Garden and DeepLab2 read, and the shards' names."""

import os
import re
from pathlib import Path

import tensorflow as tf

from auto_deeplab.data.example import EncodedExample
from auto_deeplab.errors import UserError

IMAGE = "image/encoded"
IMAGE_FORMAT = "image/format"
FILE_NAME = "image/filename"
HEIGHT = "image/height"
WIDTH = "image/width"
CHANNELS = "image/channels"
LABEL = "image/segmentation/class/encoded"
LABEL_FORMAT = "image/segmentation/class/format"


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


def parse_example(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes one example.

    Args:
      serialized: string scalar, a serialized `tf.train.Example`.

    Returns:
      The image, uint8 [height, width, 3], and its labels, uint8 [height, width].
    """
    features = tf.io.parse_single_example(
        serialized,
        {IMAGE: tf.io.FixedLenFeature([], tf.string), LABEL: tf.io.FixedLenFeature([], tf.string)},
    )
    # This op reads PNG as well. Its default for JPEG is fast and one gray level off on average.
    image = tf.io.decode_jpeg(features[IMAGE], channels=3, dct_method="INTEGER_ACCURATE")
    label = tf.io.decode_png(features[LABEL], channels=1)
    return image, tf.squeeze(label, axis=-1)


def shard_name(split: str, index: int, count: int) -> str:
    """Returns the file name of shard `index` of `count`."""
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def shard_paths(dataset_dir: str | os.PathLike, split: str) -> list[Path]:
    """Returns the shards of a split in order.

    Raises:
      UserError: there are none, one that the names count is missing, or they count differently.
    """
    pattern = re.compile(re.escape(split) + r"-(\d{5})-of-(\d{5})\.tfrecord")
    names = sorted(os.listdir(dataset_dir))
    found = {name: match for name in names if (match := pattern.fullmatch(name))}
    if not found:
        raise UserError(
            f"{dataset_dir}: no file {split}-NNNNN-of-NNNNN.tfrecord of split {split!r}"
        )
    counts = sorted({int(match[2]) for match in found.values()})
    if len(counts) > 1:
        raise UserError(
            f"{dataset_dir}: shards of split {split!r} of several conversions: "
            f"their names count {' and '.join(map(str, counts))}"
        )
    expected = [shard_name(split, index, counts[0]) for index in range(counts[0])]
    missing = [name for name in expected if name not in found]
    if missing:
        raise UserError(f"{dataset_dir}: missing {', '.join(missing)}")
    return [Path(dataset_dir) / name for name in expected]


def _bytes_feature(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _integer_feature(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

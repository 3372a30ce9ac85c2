"""The input pipeline: batches of images and labels out of TFRecords.

Batch k of a training stream is a function of (records, seed, k): training that stops after any
step continues with the very batches that it would have seen.
"""

import os
from collections.abc import Sequence

import gin
import numpy as np
import tensorflow as tf

from auto_deeplab.data import augmentation
from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.record_index import index_records
from auto_deeplab.data.records import parse_example, shard_paths
from auto_deeplab.errors import UserError

# The paper's scales: 0.5 to 2.0 in steps of 0.25.
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)


class SegmentationRecords:
    """The examples of one split of a dataset, or a part of them.

    Args:
      dataset_dir: a folder with `dataset.json` and TFRecords.
      split: the name of a split.

    Attributes:
      description: the `DatasetDescription`.
      split: the split's name.
      numbers: int64 [examples], which records of the split belong to this view, in file order.

    Raises:
      UserError: the folder, the split or a shard is missing, or the records are not as many as
        `dataset.json` says.
    """

    def __init__(self, dataset_dir: str | os.PathLike, split: str) -> None:
        self.dataset_dir = os.fspath(dataset_dir)
        self.split = split
        self.description = DatasetDescription.load(dataset_dir)
        expected = self.description.split_examples(split)
        self._index = index_records(shard_paths(dataset_dir, split))
        if len(self._index) != expected:
            raise UserError(
                f"{self.dataset_dir}: split {split!r} holds {len(self._index)} records, "
                f"but dataset.json says {expected}"
            )
        self.numbers = np.arange(expected)

    @property
    def examples(self) -> int:
        """The number of examples of this view."""
        return len(self.numbers)

    def half(self, which: str, seed: int) -> "SegmentationRecords":
        """Returns a view on one half of the examples.

        The halves "A" and "B" of one seed share no example and make up the whole; A is the larger
        one where the count is odd.
        """
        if which not in ("A", "B"):
            raise ValueError(f'which: expected "A" or "B", received {which!r}')
        if self.examples < 2:
            raise UserError(
                f"{self.dataset_dir}: split {self.split!r} has {self.examples} example: "
                "two halves need at least 2"
            )
        order = np.random.default_rng(seed).permutation(self.examples)
        middle = (self.examples + 1) // 2
        chosen = order[:middle] if which == "A" else order[middle:]
        view = object.__new__(SegmentationRecords)
        view.__dict__.update(self.__dict__)
        view.numbers = self.numbers[np.sort(chosen)]
        return view

    def load(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads and decodes record `number` of the split (int64 scalar), in TensorFlow.

        Returns:
          The image, uint8 [height, width, 3], and its labels, uint8 [height, width].
        """
        return parse_example(self._index.read(number))


def steps_per_epoch(view: SegmentationRecords, batch_size: int) -> int:
    """Returns the number of whole batches in one pass over the examples.

    Raises:
      UserError: there are fewer examples than one batch holds.
    """
    if batch_size < 1:
        raise UserError(f"batch_size: expected at least 1, received {batch_size}")
    if view.examples < batch_size:
        raise UserError(
            f"batch_size: {batch_size} is more than the {view.examples} examples of split "
            f"{view.split!r} (or of its half) in {view.dataset_dir}"
        )
    return view.examples // batch_size


@gin.configurable(denylist=["records"])
def training_batches(
    records: SegmentationRecords,
    batch_size: int = gin.REQUIRED,
    crop_size: int | tuple[int, int] = gin.REQUIRED,
    seed: int = 0,
    first_step: int = 0,
    scales: Sequence[float] = SCALES,
    flip: bool = True,
) -> tf.data.Dataset:
    """Returns an endless stream of augmented batches.

    Each epoch visits every example once, in an order of its own, but for those that fill no whole
    batch at its end.

    Args:
      records: the examples.
      batch_size: examples a batch.
      crop_size: size of the random crops: (height, width), or one number for squares.
      seed: the seed of order and augmentation.
      first_step: the stream starts at this batch, without reading the examples before it.
      scales: the factors of the random scale.
      flip: whether half of the images are mirrored.

    Returns:
      A dataset of (images, float32 [batch_size, height, width, 3], normalized;
      labels, int32 [batch_size, height, width]).
    """
    crop_size = _crop_size(crop_size)
    if not scales or not all(scale > 0 for scale in scales):
        raise UserError(f"scales: expected positive factors, received {scales!r}")
    if first_step < 0:
        raise UserError(f"first_step: expected at least 0, received {first_step}")
    steps = steps_per_epoch(records, batch_size)
    ignore_label = records.description.ignore_label
    key = tf.constant([seed & 0x7FFFFFFFFFFFFFFF, 0], tf.int64)

    def visits(epoch: tf.Tensor) -> tf.data.Dataset:
        seed_of_epoch = tf.random.fold_in(key, epoch)
        order = tf.random.experimental.stateless_shuffle(records.numbers, seed_of_epoch)
        numbers = tf.data.Dataset.from_tensor_slices(order[: steps * batch_size])
        return numbers.map(lambda number: (number, tf.random.fold_in(seed_of_epoch, number)))

    def example(number: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = records.load(number)
        return augmentation.augment(image, label, seed, crop_size, scales, flip, ignore_label)

    first_epoch, step_in_epoch = divmod(first_step, steps)
    batches = (
        tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
        .flat_map(visits)
        .skip(step_in_epoch * batch_size)
        .map(example, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
    return batches.with_options(_options())


def evaluation_batches(
    records: SegmentationRecords, batch_size: int = 1, limit: int | None = None
) -> tf.data.Dataset:
    """Returns whole images in file order, once.

    Images of different sizes in one batch are padded at the bottom and right to the largest, with
    the mean pixel and the ignore label. The last batch may be smaller.

    Args:
      records: the examples.
      batch_size: images a batch.
      limit: the number of images after which to stop; all by default.

    Returns:
      A dataset of (images, float32 [batch, height, width, 3], normalized;
      labels, int32 [batch, height, width]).
    """
    ignore_label = records.description.ignore_label

    def example(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = records.load(number)
        return augmentation.normalize_image(image), tf.cast(label, tf.int32)

    batches = (
        tf.data.Dataset.from_tensor_slices(records.numbers[:limit])
        .map(example, num_parallel_calls=tf.data.AUTOTUNE)
        .padded_batch(batch_size, padding_values=(0.0, ignore_label))
        .prefetch(tf.data.AUTOTUNE)
    )
    return batches.with_options(_options())


def _crop_size(crop_size: int | Sequence[int]) -> tuple[int, int]:
    sizes = (crop_size, crop_size) if isinstance(crop_size, int) else tuple(crop_size)
    if len(sizes) != 2 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise UserError(
            f"crop_size: expected a positive number or (height, width), received {crop_size!r}"
        )
    return sizes


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # With several workers each takes its share of the stream: there are no files to divide.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return options

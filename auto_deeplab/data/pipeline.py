"""The input pipeline: batches of images and labels out of TFRecords.

Batch k of a training stream is a function of (records, seed, k): training that stops after any
step continues with the very batches that it would have seen, on any number of workers.
"""

import os
from collections.abc import Sequence
from typing import Annotated

import gin
import numpy as np
import pydantic
import tensorflow as tf
from absl import logging
from annotated_types import Gt, Le, MinLen, doc

from auto_deeplab.data import augmentation
from auto_deeplab.data.segmentation_records import Part, SegmentationRecords
from auto_deeplab.data.survey import corruption_report, survey
from auto_deeplab.foundations.configurable import (
    Count,
    CountOrZero,
    PathText,
    Pixels,
    Size,
    Text,
    configurable,
)
from auto_deeplab.foundations.errors import UserError

# DeepLab's scales: 0.5 to 2.0 in steps of 0.25.
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
# AutoGraph would look for loops and branches over tensors in all that reads and augments, which
# takes a second of each start: there are none.
_as_it_is = tf.autograph.experimental.do_not_convert
# More than any dataset has records.
_PASS = 2**40

Weight = Annotated[float, Gt(0), Le(1e9)]
Mixture = Annotated[
    Sequence[Annotated[tuple[PathText | os.PathLike, Text, Weight], pydantic.Strict(False)]],
    doc("a list of (folder, split, weight), of weights above 0"),
]
Scales = Annotated[
    Sequence[Annotated[float, Gt(0), Le(16)]],
    MinLen(1),
    doc("a list of factors above 0, to 16, such as (0.5, 1.0)"),
]


@configurable(denylist=["dataset_dir", "split"])
def open_records(
    dataset_dir: str | os.PathLike, split: str, ignore_corrupt: bool = False
) -> SegmentationRecords:
    """Returns the records of a split.

    Args:
        dataset_dir: A folder with `dataset.json` and TFRecords.
        split: The name of a split.
        ignore_corrupt: Read all records first, leave out those that are corrupt, and report them.

    Raises:
        UserError: See `SegmentationRecords`; or no record is left.
    """
    records = SegmentationRecords(dataset_dir, split, ignore_damage=ignore_corrupt)
    if ignore_corrupt:
        records = records.without(survey(records).corrupt)
        if records.corrupt:
            logging.warning(
                "%s: split %r goes on with %d examples, without %s",
                records.dataset_dir,
                split,
                records.examples,
                corruption_report(records.corrupt),
            )
    return records


@configurable(denylist=["dataset_dir", "split"])
def training_records(
    dataset_dir: str | os.PathLike,
    split: str,
    mixed_with: Mixture = (),
    weight: Weight = 1.0,
) -> SegmentationRecords:
    """Returns the records to train on: a split, or a mixture of several.

    For example fine and coarse labels, drawn equally often: `training_records.mixed_with =
    [('datasets/cityscapes_coarse', 'train_extra', 1.0)]`.

    Args:
        dataset_dir: A folder with `dataset.json` and TFRecords.
        split: The name of a split.
        mixed_with: (folder, split, weight) of each further split.
        weight: Of the first split. A split's share of the draws is its weight / the sum of all.

    Raises:
        UserError: See `open_records` and `SegmentationRecords.mixed`.
    """
    records = open_records(dataset_dir, split)
    if not mixed_with:
        return records
    others = [(open_records(folder, name), share) for folder, name, share in mixed_with]
    return records.mixed(others, weight)


def steps_per_epoch(view: SegmentationRecords, batch_size: int) -> int:
    """Returns the number of whole batches in one pass over the examples.

    Raises:
        UserError: There are fewer examples than one batch holds.
    """
    if batch_size < 1:
        raise UserError(f"batch_size: received {batch_size}; expected at least 1")
    if view.examples < batch_size:
        raise UserError(
            f"batch_size: received {batch_size}; expected at most {view.examples}, the examples of "
            f"split {view.split!r} (or of its half) in {view.dataset_dir}"
        )
    return view.examples // batch_size


@configurable(denylist=["records", "input_context"])
def training_batches(
    records: SegmentationRecords,
    batch_size: Count = gin.REQUIRED,
    crop_size: Pixels | Size = gin.REQUIRED,
    seed: int = 0,
    first_step: CountOrZero = 0,
    steps: CountOrZero | None = None,
    scales: Scales = SCALES,
    flip: bool = True,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Returns a stream of augmented batches.

    Each epoch visits every example once, in an order of its own, but for those that fill no whole
    batch at its end. An epoch of a mixture has as many visits; each part gets its share of them, to
    the nearest visit: whole passes over its examples, then a random choice of them.

    Args:
        records: The examples.
        batch_size: Examples a step, over all replicas.
        crop_size: Size of the random crops: (height, width), or one number for squares.
        seed: The seed of order and augmentation.
        first_step: The stream starts at this batch, without reading the examples before it.
        steps: How many steps' batches; endless by default.
        scales: The factors of the random scale.
        flip: Whether half of the images are mirrored.
        input_context: Of one of several input pipelines, as
            `tf.distribute.Strategy.distribute_datasets_from_function` gives it. The pipeline reads
            its own replicas' examples alone; the replicas' batches of a step, in order, are the
            batch that one pipeline would give.

    Returns:
        A dataset of (images, float32 [batch, height, width, 3], normalized; labels, int32 [batch,
        height, width]); batch is `batch_size`, or the replica's part of it.

    Example:
        >>> import tempfile
        >>> from auto_deeplab.data.street_scenes.dataset import street_scenes
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     dataset = street_scenes(folder, train_images=2, val_images=1, height=96, width=96)
        ...     records = SegmentationRecords(dataset, "train")
        ...     images, labels = next(iter(training_batches(records, batch_size=2, crop_size=65)))
        >>> images.shape, labels.shape
        (TensorShape([2, 65, 65, 3]), TensorShape([2, 65, 65]))
    """
    crop_size = (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
    epoch_steps = steps_per_epoch(records, batch_size)
    context = input_context or tf.distribute.InputContext()
    replica_batch_size = _replica_batch_size(batch_size, context)
    # The part of each batch that this pipeline reads.
    share = batch_size // context.num_input_pipelines
    begin = share * context.input_pipeline_id
    ignore_label = records.description.ignore_label
    counts = _visits([part.weight for part in records.parts], epoch_steps * batch_size)
    key = tf.constant([seed & 0x7FFFFFFFFFFFFFFF, 0], tf.int64)

    @_as_it_is
    def visits(epoch: tf.Tensor) -> tf.data.Dataset:
        seed_of_epoch = tf.random.fold_in(key, epoch)
        order = _order_of_epoch(records.parts, counts, seed_of_epoch)
        ours = tf.reshape(
            tf.reshape(order, [epoch_steps, batch_size])[:, begin : begin + share], [-1]
        )
        return tf.data.Dataset.from_tensor_slices(ours).map(
            _as_it_is(lambda visit: (visit % _PASS, tf.random.fold_in(seed_of_epoch, visit)))
        )

    @_as_it_is
    def example(number: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return augmented_example(records, number, seed, crop_size, scales, flip, ignore_label)

    first_epoch, step_in_epoch = divmod(first_step, epoch_steps)
    batches = (
        tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
        .flat_map(visits)
        .skip(step_in_epoch * share)
        .take(-1 if steps is None else steps * share)
        .map(example, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(replica_batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
    return batches.with_options(_options())


def augmented_example(
    records: SegmentationRecords,
    number: tf.Tensor,
    seed: tf.Tensor,
    crop_size: tuple[int, int],
    scales: Sequence[float],
    flip: bool,
    ignore_label: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads record `number` and augments it, see `augmentation.augment`."""
    image, label = records.load_encoded(number)
    return augmentation.augment(image.window, label, seed, crop_size, scales, flip, ignore_label)


def evaluation_batches(
    records: SegmentationRecords,
    batch_size: int = 1,
    limit: int | None = None,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Returns whole images in file order, once.

    Images of different sizes in one batch are padded at the bottom and right to the largest, with
    the mean pixel and the ignore label. The last batch may be smaller.

    Args:
        records: The examples.
        batch_size: Images a batch.
        limit: The number of images after which to stop; all by default.
        input_context: Of one of several input pipelines: of n it reads every n-th image.

    Returns:
        A dataset of (images, float32 [batch, height, width, 3], normalized; labels, int32 [batch,
        height, width]).
    """
    ignore_label = records.description.ignore_label
    context = input_context or tf.distribute.InputContext()
    numbers = records.numbers[:limit][context.input_pipeline_id :: context.num_input_pipelines]

    @_as_it_is
    def example(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = records.load(number)
        return augmentation.normalize_image(image), tf.cast(label, tf.int32)

    batches = (
        tf.data.Dataset.from_tensor_slices(numbers)
        .map(example, num_parallel_calls=tf.data.AUTOTUNE)
        .padded_batch(batch_size, padding_values=(0.0, ignore_label))
        .prefetch(tf.data.AUTOTUNE)
    )
    return batches.with_options(_options())


def _visits(weights: Sequence[float], total: int) -> list[int]:
    """Divides `total` in proportion to the weights; what rounding leaves goes to the largest."""
    exact = np.asarray(weights, np.float64) / np.sum(weights) * total
    counts = np.floor(exact).astype(int)
    remainders = np.argsort(counts - exact, kind="stable")
    counts[remainders[: total - counts.sum()]] += 1
    return counts.tolist()


def _order_of_epoch(parts: Sequence[Part], counts: Sequence[int], seed: tf.Tensor) -> tf.Tensor:
    """Returns the visits, int64 [sum of counts], at random by the epoch's seed.

    A visit is a record's number + _PASS times how often it was visited before in the epoch.
    """
    orders = []
    for index, (part, count) in enumerate(zip(parts, counts, strict=True)):
        seed_of_part = tf.random.fold_in(seed, -index) if index else seed
        passes = [
            _PASS * number
            + tf.random.experimental.stateless_shuffle(
                part.numbers, tf.random.fold_in(seed_of_part, -number) if number else seed_of_part
            )
            for number in range(-(-count // len(part.numbers)))
        ]
        if passes:
            orders.append(tf.concat(passes, axis=0)[:count])
    if len(orders) == 1:
        return orders[0]
    seed_of_mixture = tf.random.fold_in(seed, len(parts))
    return tf.random.experimental.stateless_shuffle(tf.concat(orders, axis=0), seed_of_mixture)


def _replica_batch_size(batch_size: int, context: tf.distribute.InputContext) -> int:
    try:
        return context.get_per_replica_batch_size(batch_size)
    except ValueError:
        raise UserError(
            f"batch_size: received {batch_size}; expected a multiple of the "
            f"{context.num_replicas_in_sync} replicas"
        ) from None


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # With several workers each takes its share of the stream: there are no files to divide.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    # Reading a record has no state: a checkpoint of an iterator needs nothing of it.
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    return options

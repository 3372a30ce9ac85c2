"""What a split holds: read once from end to end, every record decoded and counted."""

import collections
import contextlib
import dataclasses
import re
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from auto_deeplab.data.record_index import CorruptRecord
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.errors import UserError

_LABEL_VALUES = 256


@dataclasses.dataclass
class Survey:
    """What was found in some records.

    Attributes:
      examples: how many were readable.
      sizes: how many have each (height, width).
      formats: how many images are "jpeg" and "png".
      pixels: int64 [256], pixels of each label value.
      images: int64 [256], examples in which each label value occurs.
      corrupt: the records that are not readable, by their numbers.
    """

    examples: int = 0
    sizes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    formats: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    pixels: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(_LABEL_VALUES, int))
    images: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(_LABEL_VALUES, int))
    corrupt: dict[int, CorruptRecord] = dataclasses.field(default_factory=dict)


def survey(records: SegmentationRecords, progress: bool = True) -> Survey:
    """Reads, checks and decodes every record, on all cores.

    Args:
      records: what to read.
      progress: whether to show a progress bar.
    """

    def measure(number: tf.Tensor) -> dict[str, tf.Tensor]:
        image, label = records.load_encoded(number)
        pixels = tf.math.bincount(
            tf.cast(label, tf.int32), minlength=_LABEL_VALUES, maxlength=_LABEL_VALUES
        )
        return {
            "number": number,
            "size": tf.shape(image.pixels())[:2],
            "is_jpeg": tf.io.is_jpeg(image.contents),
            "pixels": pixels,
        }

    result = Survey()
    missing = set(records.numbers.tolist())
    measured = (
        tf.data.Dataset.from_tensor_slices(records.numbers)
        .map(measure, num_parallel_calls=tf.data.AUTOTUNE)
        .ignore_errors()
    )
    bar = tqdm(
        measured.as_numpy_iterator(),
        desc=f"reading {records.split}",
        total=records.examples,
        unit="image",
        disable=not progress,
    )
    for found in bar:
        missing.remove(int(found["number"]))
        result.examples += 1
        result.sizes[tuple(found["size"].tolist())] += 1
        result.formats["jpeg" if found["is_jpeg"] else "png"] += 1
        result.pixels += found["pixels"]
        result.images += found["pixels"] > 0
    result.corrupt = {number: _explain(records, number) for number in sorted(missing)}
    return result


def _explain(records: SegmentationRecords, number: int) -> CorruptRecord:
    """Reads a record that could not be read once more, and tells what is wrong with it."""
    try:
        records.load(tf.constant(number, tf.int64))
        reason = "was unreadable, but is no longer so: does the storage fail at times?"
    except tf.errors.DataLossError:
        reason = "has another checksum than when it was written"
    except tf.errors.OpError as error:
        # TensorFlow names its nodes and operations around the message.
        text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", error.message.partition("\n")[0])
        reason = " ".join(text.split())
    return CorruptRecord(*records.place(number), reason)


@contextlib.contextmanager
def naming_corrupt_records(*read: SegmentationRecords) -> Iterator[None]:
    """Explains an error of a pipeline inside of the block: finds the records that are corrupt.

    An error in a pipeline does not tell which record it was reading, so all are read once more.

    Args:
      read: what the pipelines read.

    Raises:
      UserError: names shard, record and reason of each corrupt record.
    """
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
        # Errors of a pipeline name the operation IteratorGetNext, or the iterator within it.
        if "Iterator" not in error.message:
            raise
        corrupt = [c for records in read for c in survey(records).corrupt.values()]
        if not corrupt:
            raise
        raise UserError(
            corruption_report(corrupt)
            + "\nConvert the data again or fetch these files anew, and run the same command to "
            "continue; --ignore_corrupt leaves such records out"
        ) from error


def corruption_report(corrupt: Sequence[CorruptRecord]) -> str:
    """Returns how many records are corrupt, and which, one a line."""
    count = "1 corrupt record" if len(corrupt) == 1 else f"{len(corrupt)} corrupt records"
    return "\n  ".join([f"{count}:", *map(str, corrupt)])

"""What a split holds: read once from end to end, every record decoded and counted."""

import collections
import contextlib
import dataclasses
import re
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.record_index import CorruptRecord
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.foundations.errors import UserError, argument

_LABEL_VALUES = 256
# What a pipeline ends with when a record is corrupt, and when its file cannot be read.
# TensorFlow quotes in some messages what it was reading; that need not be text.
_CORRUPT = (tf.errors.InvalidArgumentError, tf.errors.DataLossError, UnicodeDecodeError)
_UNREADABLE = (
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)
_VALUES_NAMED = 5


@dataclasses.dataclass
class Survey:
    """What was found in some records.

    Attributes:
        examples: How many were readable.
        sizes: How many have each (height, width).
        formats: How many images are "jpeg" and "png".
        pixels: int64 [256], pixels of each label value.
        images: int64 [256], examples in which each label value occurs.
        corrupt: The records that cannot be used, by their numbers: those that are not readable, and
            those with labels that are no class, which count in all of the above.
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
        records: What to read.
        progress: Whether to show a progress bar.
    """

    def measure(number: tf.Tensor) -> dict[str, tf.Tensor]:
        image, label = records.load_encoded(number, any_label=True)
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
        number = int(found["number"])
        missing.remove(number)
        if unknown := unknown_labels(found["pixels"], records.description):
            reason = _unknown_labels_text(unknown, found["pixels"], records.description)
            result.corrupt[number] = CorruptRecord(*records.place(number), reason)
        result.examples += 1
        result.sizes[tuple(found["size"].tolist())] += 1
        result.formats["jpeg" if found["is_jpeg"] else "png"] += 1
        result.pixels += found["pixels"]
        result.images += found["pixels"] > 0
    if missing:
        again = sorted(missing)
        reading = iter(tf.data.Dataset.from_tensor_slices(again).map(measure))
        for number in again:
            result.corrupt[number] = CorruptRecord(*records.place(number), _reason(reading))
    result.corrupt = dict(sorted(result.corrupt.items()))
    return result


def unknown_labels(pixels: np.ndarray, description: DatasetDescription) -> list[int]:
    """Returns the label values that are there and neither a class nor ignored.

    Args:
        pixels: Integers [256], pixels of each label value.
        description: Tells the classes and the ignored value.
    """
    known = {*range(len(description.classes)), description.ignore_label}
    return [value for value in np.flatnonzero(pixels).tolist() if value not in known]


def _unknown_labels_text(
    unknown: Sequence[int], pixels: np.ndarray, description: DatasetDescription
) -> str:
    received = ", ".join(map(str, unknown[:_VALUES_NAMED]))
    if len(unknown) > _VALUES_NAMED:
        received += f" and {len(unknown) - _VALUES_NAMED} more up to {unknown[-1]}"
    last, ignored = len(description.classes) - 1, description.ignore_label
    return (
        f"labels: received {received} in {pixels[unknown].sum():,} of {pixels.sum():,} pixels; "
        f"expected 0 to {last}, the classes of dataset.json"
        + (f", or {ignored}, which is ignored" if ignored > last else "")
    )


def _reason(reading: Iterator) -> str:
    """Reads the next record, which could not be read, once more; tells what is wrong with it."""
    try:
        next(reading)
    except tf.errors.DataLossError:
        return "has another checksum than when it was written"
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        # TensorFlow names its nodes and operations around the message.
        text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", _message(error).partition("\n")[0])
        text = re.sub(r".* transformation with iterator: \S+: ", "", text)
        text = re.sub(r"assertion failed: \[(.*)\]", r"\1", text)
        return " ".join(text.split())
    return "was unreadable, but is no longer so: does the storage fail at times?"


def _message(error: tf.errors.OpError | UnicodeDecodeError) -> str:
    """Returns TensorFlow's message, also where Python could not make a text of it."""
    if isinstance(error, UnicodeDecodeError):
        return error.object.decode(errors="backslashreplace")
    return str(error.message)


def read_example(records: SegmentationRecords, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads one example outside of a pipeline.

    Args:
        records: Where from.
        number: The record's number.

    Returns:
        The image, uint8 [height, width, 3], and its labels, uint8 [height, width].

    Raises:
        UserError: The record is corrupt; the message names shard, record and reason.
    """
    try:
        image, label = records.load(tf.constant(number, tf.int64))
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        records.check_files()
        corrupt = survey(records.only([number]), progress=False).corrupt
        if not corrupt:
            raise
        raise UserError(str(corrupt[number])) from error
    return image.numpy(), label.numpy()


@contextlib.contextmanager
def naming_corrupt_records(*read: SegmentationRecords) -> Iterator[None]:
    """Explains an error of a pipeline inside of the block: finds the records that are corrupt.

    An error in a pipeline does not tell which record it was reading, so all are read once more,
    if the files are still there.

    Args:
        read: What the pipelines read.

    Raises:
        UserError: Names shard, record and reason of the first corrupt record and counts the others,
            or names a file that was lost or changed.
    """
    try:
        yield
    except _CORRUPT + _UNREADABLE as error:
        # Errors of a pipeline name the operation IteratorGetNext, or the iterator within it.
        if "Iterator" not in _message(error):
            raise
        for records in read:
            records.check_files()
        if not isinstance(error, _CORRUPT):
            raise
        corrupt = [(c, records) for records in read for c in survey(records).corrupt.values()]
        if not corrupt:
            raise
        first, records = corrupt[0]
        others = ""
        if len(corrupt) > 1:
            others = f" (python -m auto_deeplab.inspect_dataset {records.dataset_dir} lists all)"
        raise UserError(
            f"{_count(corrupt)}: {first}{others}. Convert the data again, fetch it anew or correct "
            "dataset.json, and run the same command to continue; "
            f"{argument('ignore_corrupt', True)} leaves such records out"
        ) from error


def corruption_report(corrupt: Sequence[CorruptRecord], most: int | None = None) -> str:
    """Returns how many records are corrupt, and which, one a line.

    Args:
        corrupt: The records.
        most: How many are listed; all by default.
    """
    lines = [f"{_count(corrupt)}:", *map(str, corrupt[:most])]
    if most is not None and len(corrupt) > most:
        lines.append(f"and {len(corrupt) - most:,} more")
    return "\n  ".join(lines)


def _count(corrupt: Sequence) -> str:
    return "1 corrupt record" if len(corrupt) == 1 else f"{len(corrupt):,} corrupt records"

"""Compares a finished conversion with its inputs, record by record."""

import collections
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from auto_deeplab.data import schema
from auto_deeplab.data.conversion.label_table import count_values
from auto_deeplab.data.conversion.pairs import BadPair, DecodedPair
from auto_deeplab.data.conversion.plan import Conversion
from auto_deeplab.data.conversion.shards import (
    MANIFEST_NAME,
    Shard,
    file_sha256,
    plan_shards,
    read_manifest,
)
from auto_deeplab.data.description import FILE_NAME, DatasetDescription
from auto_deeplab.data.example import EncodedExample
from auto_deeplab.foundations.errors import UserError, reason_of
from auto_deeplab.foundations.ordered_map import map_with_progress


@dataclasses.dataclass(frozen=True)
class Verification:
    """What was compared.

    Args:
        examples: The number of records.
        label_pixels: For each split, how many pixels have each label 0..255.
        problems: Each difference, with file and record.
    """

    examples: int
    label_pixels: dict[str, np.ndarray]
    problems: tuple[str, ...]


def verify(
    conversion: Conversion,
    output_dir: str | os.PathLike,
    workers: int | None = None,
    progress: bool = True,
) -> Verification:
    """Reads all records, as training does, and all inputs again, and compares them.

    Compared are: each file's hash and label histogram with `conversion.json`; each record's pixels,
    labels, name and size with what its inputs give now; `dataset.json` with both.

    Args:
        conversion: What was converted, with the same parameters.
        output_dir: The folder with the result.
        workers: Number of threads; by default one a core.
        progress: Whether to show a progress bar.

    Raises:
        UserError: `output_dir` holds no conversion.
    """
    folder = Path(output_dir)
    manifest, found = read_manifest(folder), DatasetDescription.load(folder)
    problems: list[str] = []
    for field in ("scale", "longer_side", "enlarge"):
        # Manifests of before nothing was enlarged do not say so.
        converted_with = manifest.get(field, False)
        if converted_with != getattr(conversion, field):
            problems.append(
                f"{folder / MANIFEST_NAME}: {field}: converted with {converted_with}, "
                f"to be compared with {getattr(conversion, field)}: give the same parameters"
            )
    shards = plan_shards(conversion)
    for name in sorted(manifest["shards"].keys() ^ {shard.name for shard in shards}):
        where = "these inputs give no such file" if name in manifest["shards"] else "is missing"
        problems.append(f"{folder / name}: {where}")
    if problems:
        return Verification(0, {}, tuple(problems))

    def check(shard: Shard) -> tuple[list[str], int, np.ndarray]:
        return _check_shard(conversion, shard, folder, manifest)

    examples: collections.Counter[str] = collections.Counter()
    label_pixels = {split: np.zeros(256, np.int64) for split in conversion.splits}
    title = f"verifying {conversion.name}"
    with map_with_progress(check, shards, workers, title, progress, unit="file") as results:
        for shard, (found_problems, count, pixels) in zip(shards, results, strict=True):
            problems += found_problems
            examples[shard.split] += count
            label_pixels[shard.split] += pixels
    if not manifest["left_out"]:
        problems += conversion.problems
    try:
        expected = conversion.describe(examples)
    except UserError as error:
        problems.append(str(error))
    else:
        # Name and source are told by flags, not by the inputs.
        expected = dataclasses.replace(expected, name=found.name, source=found.source)
        if found != expected:
            problems.append(f"{folder / FILE_NAME}: received {found}; expected {expected}")
    return Verification(examples.total(), label_pixels, tuple(problems))


def _check_shard(
    conversion: Conversion, shard: Shard, folder: Path, manifest: dict
) -> tuple[list[str], int, np.ndarray]:
    """Returns the problems of a shard, its number of records and its label histogram."""
    path, expected = folder / shard.name, manifest["shards"][shard.name]
    problems: list[str] = []
    count, label_pixels = 0, np.zeros(256, np.int64)
    inputs = _inputs(conversion, shard, bool(manifest["left_out"]), problems)
    try:
        if file_sha256(path) != expected["sha256"]:
            problems.append(f"{path}: not the bytes that were written: its hash has changed")
        for serialized in tf.data.TFRecordDataset(os.fsencode(path)).as_numpy_iterator():
            name, decoded = next(inputs, (None, None))
            problem, pixels = _compare(serialized, name, decoded)
            if problem:
                problems.append(f"{path}: record {count}: {problem}")
            label_pixels += pixels
            count += 1
    except OSError as error:
        problems.append(f"{path}: cannot be read: {reason_of(error)}")
    except tf.errors.OpError as error:
        problems.append(f"{path}: record {count}: {error.message}")
    else:
        missing = [name for name, _ in inputs]
        if missing:
            problems.append(f"{path}: ends before {missing[0]}: {len(missing)} records are missing")
    histogram = {str(i): int(label_pixels[i]) for i in np.flatnonzero(label_pixels)}
    if (count, histogram) != (expected["examples"], expected["label_pixels"]):
        problems.append(
            f"{path}: received {count} records with label pixels {histogram}; expected "
            f"{expected['examples']} with {expected['label_pixels']}"
        )
    return problems, count, label_pixels


def _inputs(
    conversion: Conversion, shard: Shard, some_left_out: bool, problems: list[str]
) -> Iterator[tuple[str, DecodedPair | None]]:
    """Yields the name and the content of each pair that should have a record."""
    for pair in shard.pairs:
        try:
            yield pair.name, conversion.read(pair)
        except BadPair as problem:
            if not some_left_out:
                problems += problem.problems
                yield pair.name, None


def _compare(
    serialized: bytes, name: str | None, expected: DecodedPair | None
) -> tuple[str, np.ndarray]:
    """Returns what is wrong with a record ("" if nothing) and its label histogram."""
    nothing = np.zeros(256, np.int64)
    try:
        feature = tf.train.Example.FromString(serialized).features.feature
    except Exception as error:  # The classes of protobuf's errors depend on its implementation.
        return f"no tf.train.Example: {error}", nothing

    def value(key: str) -> bytes:
        values = feature[key].bytes_list.value
        return values[0] if values else b""

    try:
        image, label = (part.numpy() for part in schema.parse_example(tf.constant(serialized)))
    except tf.errors.OpError as error:
        return f"training cannot read it: {error.message}", nothing
    pixels = count_values(label)
    if name is None:
        return "these inputs give no such record", pixels
    if expected is None:
        return "", pixels
    found_name = value(schema.FILE_NAME).decode(errors="replace")
    if found_name != name:
        return f"received {found_name}; expected {name}", pixels
    height, width = expected.label.shape
    again = EncodedExample(
        name,
        value(schema.IMAGE),
        value(schema.IMAGE_FORMAT).decode(errors="replace"),
        value(schema.LABEL),
        height,
        width,
    )
    if schema.serialize_example(again) != serialized:
        return f"{name}: the fields beside image and label are not as they should be", pixels
    if expected.record_format:
        same_image = again.image == expected.encoded
    else:
        same_image = np.array_equal(image, expected.image)
    if not same_image:
        return f"{name}: the image is not the one of the inputs", pixels
    if not np.array_equal(label, expected.label):
        return f"{name}: the labels are not those of the inputs", pixels
    return "", pixels

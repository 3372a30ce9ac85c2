"""The unit of a conversion's work: one TFRecord file, written by one worker from its pairs.

Which pairs a shard holds depends on the conversion alone, and so do its bytes. A finished shard has
a report beside it, which says what went into it: that makes interrupted work continue, and the
reports of all shards together are `conversion.json`, which `verification.verify` compares with.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tensorflow as tf
from pydantic import BaseModel, Field, FiniteFloat

from auto_deeplab.data import schema
from auto_deeplab.data.conversion.label_table import count_values
from auto_deeplab.data.conversion.pairs import BadPair, Pair, encode_pair
from auto_deeplab.data.conversion.plan import Conversion
from auto_deeplab.data.example import EncodedExample
from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError

MANIFEST_NAME = "conversion.json"
# Part of what makes a finished shard reusable: raise it when the same inputs give other bytes.
_ENGINE_VERSION = 3
# Conversions list what they left out: of millions of files that may be long.
_MOST_BYTES = 2**30


@dataclasses.dataclass(frozen=True)
class Shard:
    """A TFRecord file to write.

    Args:
        name: Its file name.
        split: The split that it is part of.
        pairs: What its records are made of, in their order.
    """

    name: str
    split: str
    pairs: Sequence[Pair]


@dataclasses.dataclass(frozen=True)
class ShardReport:
    """What a shard was made of.

    Args:
        name: Its file name.
        split: The split that it is part of.
        examples: Its number of records.
        sha256: the hash of its bytes; "" if it was not written.
        label_pixels: For each train id that occurs (as text), the pixels of that label.
        problems: The inputs that could not be used; a shard without them was written only if told.
    """

    name: str
    split: str
    examples: int
    sha256: str
    label_pixels: dict[str, int]
    problems: tuple[str, ...]


Count = Annotated[int, Field(ge=0, le=json_files.LARGEST_INTEGER)]


class _ManifestShard(BaseModel):
    """What `conversion.json` says of a shard."""

    examples: Count
    sha256: str
    label_pixels: dict[str, Count]


class _Manifest(BaseModel):
    """What `conversion.json` has to have."""

    format: Literal[1]
    scale: FiniteFloat | None
    longer_side: Count | None
    enlarge: bool = False
    shards: dict[str, _ManifestShard]
    left_out: list[str]


@dataclasses.dataclass(frozen=True)
class Converted:
    """An encoded example and, for each label 0..255, its number of pixels (int64 [256])."""

    example: EncodedExample
    label_pixels: np.ndarray


def plan_shards(conversion: Conversion) -> list[Shard]:
    """Returns the shards of all splits: within a split of equal size, but for one example."""
    size, shards = conversion.examples_per_shard, []
    for split, pairs in conversion.splits.items():
        count = -(-len(pairs) // size)
        for index in range(count):
            begin, end = (len(pairs) * i // count for i in (index, index + 1))
            name = schema.shard_name(split, index, count)
            shards.append(Shard(name, split, pairs[begin:end]))
    return shards


def convert_pair(conversion: Conversion, pair: Pair) -> Converted | BadPair:
    """Converts one pair: the one function that every worker runs, on whatever machine.

    Returns:
        The example, or the exception that says why there is none.
    """
    try:
        decoded = conversion.read(pair)
    except BadPair as problem:
        return problem
    return Converted(encode_pair(decoded, pair.name), count_values(decoded.label))


def write_shard(
    shard: Shard,
    results: Iterable[Converted | BadPair],
    folder: Path,
    fingerprint: str,
    skip_bad: bool,
) -> None:
    """Writes a shard, and its report once it is complete.

    Args:
        shard: Which one.
        results: What `convert_pair` made of each of its pairs, in order.
        folder: Where to write.
        fingerprint: `shard_fingerprint` of it.
        skip_bad: Whether a shard is written without the pairs that cannot be used; otherwise it is
            not written if there are any.
    """
    temporary = folder / f"{shard.name}.{uuid.uuid4().hex}.partial"
    problems: list[str] = []
    examples, label_pixels = 0, np.zeros(256, np.int64)
    try:
        with tf.io.TFRecordWriter(os.fsencode(temporary)) as writer:
            for result in results:
                if isinstance(result, BadPair):
                    problems += result.problems
                elif skip_bad or not problems:
                    writer.write(schema.serialize_example(result.example))
                    examples += 1
                    label_pixels += result.label_pixels
        written = skip_bad or not problems
        report = ShardReport(
            name=shard.name,
            split=shard.split,
            examples=examples if written else 0,
            sha256=file_sha256(temporary) if written else "",
            label_pixels={str(i): int(label_pixels[i]) for i in np.flatnonzero(label_pixels)},
            problems=tuple(problems),
        )
        if written:
            os.replace(temporary, folder / shard.name)
        json_files.write(report_path(folder, shard), [fingerprint, dataclasses.asdict(report)])
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def shard_fingerprint(conversion: Conversion, shard: Shard) -> str:
    """Returns a hash of all that a shard's bytes depend on, with files by name, size and time."""
    facts = [
        _ENGINE_VERSION,
        conversion.scale,
        conversion.longer_side,
        conversion.max_pixels,
        list(conversion.labels.train_ids.items()),
        [pair.facts() for pair in shard.pairs],
        *(["enlarge"] if conversion.enlarge else []),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def read_report(shard: Shard, folder: Path, fingerprint: str) -> ShardReport | None:
    """Returns the report of a shard, or None if there is none with that fingerprint."""
    try:
        found, report = json_files.check(
            json_files.read(report_path(folder, shard), most_bytes=_MOST_BYTES),
            tuple[str, ShardReport],
            shard.name,
        )
    except UserError:
        return None
    lost = report.sha256 and not (folder / shard.name).exists()
    return report if found == fingerprint and not lost else None


def report_path(folder: Path, shard: Shard) -> Path:
    """Returns where the report of a shard is while others are not finished."""
    return folder / (shard.name + ".finished")


def is_part_of_conversion(path: Path) -> bool:
    """Whether a file is named as those that a conversion, finished or not, writes."""
    names = r"\.?(dataset\.|conversion\.|.*-\d{5}-of-\d{5}\.tfrecord).*"
    return path.is_file() and re.fullmatch(names, path.name) is not None


def file_sha256(path: Path) -> str:
    """Returns the hash of a file's bytes as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(conversion: Conversion, reports: Sequence[ShardReport], folder: Path) -> None:
    """Writes `conversion.json`: the parameters, and for each shard its hash and label histogram."""
    fields = {
        "format": 1,
        "scale": conversion.scale,
        "longer_side": conversion.longer_side,
        "enlarge": conversion.enlarge,
        "shards": {
            report.name: {
                "examples": report.examples,
                "sha256": report.sha256,
                "label_pixels": report.label_pixels,
            }
            for report in reports
        },
        "left_out": [*conversion.problems, *(p for report in reports for p in report.problems)],
    }
    json_files.write(folder / MANIFEST_NAME, fields)


def read_manifest(folder: Path) -> dict:
    """Reads `conversion.json`.

    Raises:
        UserError: There is none, or it is not one.
    """
    path = folder / MANIFEST_NAME
    try:
        fields = json_files.read(path, most_bytes=_MOST_BYTES)
    except json_files.UnreadableError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            raise UserError(
                f"{path}: does not exist; expected a folder that tools/convert_*.py have written"
            ) from error
        raise
    json_files.check(fields, _Manifest, str(path))
    return fields

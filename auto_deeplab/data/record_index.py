"""Where each record lies in its TFRecord file, so that any record is read by its number.

A TFRecord file is a sequence of frames: the payload's length (uint64), a checksum of the length
(uint32), the payload, a checksum of the payload (uint32), all little-endian. Reading only the
lengths gives the position of every record. With it an epoch's order is a permutation of numbers:
no shuffle buffer holds images, a half of a split reads nothing of the other half, and training
resumes at any step without reading what came before.
"""

import dataclasses
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from auto_deeplab.foundations.errors import UserError, reason_of

_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4


class CorruptRecord(NamedTuple):
    """A record that cannot be used.

    Attributes:
        path: Its shard.
        record: Its place in the shard, counted from 0.
        reason: What is wrong with it.
    """

    path: str
    record: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: record {self.record}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class RecordIndex:
    """The positions of all records of some TFRecord files, in file order.

    Attributes:
        paths: The files.
        files: int64 [records], the index into `paths` of each record's file.
        offsets: int64 [records], where its frame begins, in bytes.
        sizes: How many bytes each of the files has.
        damage: The records where a file ends too early or its frames get lost; neither they nor
            what follows them in the file is indexed.
    """

    paths: tuple[str, ...]
    files: np.ndarray
    offsets: np.ndarray
    sizes: tuple[int, ...]
    damage: tuple[CorruptRecord, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def read(self, record: tf.Tensor) -> tf.Tensor:
        """Reads one record; usable inside `tf.data.Dataset.map`.

        Args:
            record: int64 scalar, the record's number.

        Returns:
            The payload, a string scalar. A payload that does not have its checksum is a
            `tf.errors.DataLossError`.
        """
        path, _ = self.place(record)
        # Only this operation reads TFRecord files from an offset. Without its buffer it reads no
        # more than the frame.
        frames = tf.raw_ops.TFRecordDatasetV2(
            filenames=[path],
            compression_type="",
            buffer_size=tf.constant(0, tf.int64),
            byte_offsets=[tf.gather(self.offsets, record)],
        )
        dataset = tf.data.experimental.from_variant(frames, tf.TensorSpec([], tf.string))
        return dataset.take(1).get_single_element()

    # AutoGraph cannot read the source of Python's own `os.fsencode`, and would warn of it.
    @tf.autograph.experimental.do_not_convert
    def place(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a record's file, a string scalar, and its place in it, int64, from 0."""
        file = tf.gather(self.files, record)
        first = np.searchsorted(self.files, np.arange(len(self.paths)))
        in_file = tf.cast(record, tf.int64) - tf.gather(first, file)
        paths = tf.constant([os.fsencode(path) for path in self.paths])
        return tf.gather(paths, file), in_file

    def check_files(self) -> None:
        """Looks whether the files are still what was indexed.

        Raises:
            UserError: One is gone, cannot be read or has another size; the message names it.
        """
        for path, size in zip(self.paths, self.sizes, strict=True):
            try:
                with open(path, "rb") as stream:
                    now = os.fstat(stream.fileno()).st_size
            except OSError as error:
                raise UserError(
                    f"{path}: cannot be read any more: {reason_of(error)}; expected it to "
                    "stay as it was at the start: put it back and run the same command again"
                ) from error
            if now != size:
                raise UserError(
                    f"{path}: received {now} bytes; expected the {size} that it had at the start: "
                    "put it back and run the same command again"
                )

    def followed_by(self, other: "RecordIndex") -> "RecordIndex":
        """Returns an index of the records of both; the other's numbers begin at `len(self)`."""
        return RecordIndex(
            self.paths + other.paths,
            np.concatenate([self.files, other.files + len(self.paths)]),
            np.concatenate([self.offsets, other.offsets]),
            self.sizes + other.sizes,
            self.damage + other.damage,
        )


def index_records(paths: Sequence[str | os.PathLike], ignore_corrupt: bool = False) -> RecordIndex:
    """Finds the records of TFRecord files.

    Args:
        paths: The files.
        ignore_corrupt: List the damage in the index instead of raising.

    Raises:
        UserError: A file is no TFRecord file or is cut short; the message names file and record.
    """
    files, offsets, sizes, damage = [], [], [], []
    for file_index, path in enumerate(paths):
        sizes.append(os.path.getsize(path))
        found, problem = _frames(path, sizes[-1])
        if problem is not None and not ignore_corrupt:
            raise UserError(str(problem))
        if problem is not None:
            damage.append(problem)
        offsets += found
        files += [file_index] * len(found)
    return RecordIndex(
        tuple(str(path) for path in paths),
        np.asarray(files, np.int64),
        np.asarray(offsets, np.int64),
        tuple(sizes),
        tuple(damage),
    )


def _frames(path: str | os.PathLike, size: int) -> tuple[list[int], CorruptRecord | None]:
    """Returns where the frames of a file of `size` bytes begin, and the first that is damaged."""
    offsets: list[int] = []
    position = 0
    with Path(path).open("rb", buffering=0) as stream:
        while position < size:
            stream.seek(position)
            header = stream.read(_HEADER.size)
            length = 0
            if len(header) == _HEADER.size:
                length, checksum = _HEADER.unpack(header)
                if checksum != _masked_crc32c(header[:8]):
                    reason = f"no TFRecord frame begins at byte {position}"
                    return offsets, CorruptRecord(str(path), len(offsets), reason)
            end = position + _HEADER.size + length + _FOOTER_BYTES
            if end > size:
                reason = f"cut short: the file has {size} bytes, expected at least {end}"
                return offsets, CorruptRecord(str(path), len(offsets), reason)
            offsets.append(position)
            position = end
    return offsets, None


def _crc32c_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC32C_TABLE = _crc32c_table()


def _masked_crc32c(data: bytes) -> int:
    """The TFRecord format's checksum: CRC-32C, rotated and offset."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _CRC32C_TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    value ^= 0xFFFFFFFF
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF

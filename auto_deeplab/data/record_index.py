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

import numpy as np
import tensorflow as tf

from auto_deeplab.errors import UserError

_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4


@dataclasses.dataclass(frozen=True)
class RecordIndex:
    """The positions of all records of some TFRecord files, in file order.

    Attributes:
      paths: the files.
      files: int64 [records], the index into `paths` of each record's file.
      offsets: int64 [records], where its payload begins, in bytes.
      lengths: int64 [records], the payload's bytes.
      sizes: int64 [files], each file's bytes.
    """

    paths: tuple[str, ...]
    files: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    def read(self, record: tf.Tensor) -> tf.Tensor:
        """Reads one record; usable inside `tf.data.Dataset.map`.

        Args:
          record: int64 scalar, the record's number.

        Returns:
          The payload, a string scalar.
        """
        file = tf.gather(self.files, record)
        offset = tf.gather(self.offsets, record)
        length = tf.gather(self.lengths, record)
        after = tf.gather(self.sizes, file) - offset - length
        # The one TensorFlow reader that seeks: what precedes the record is a header to it.
        return tf.data.FixedLengthRecordDataset(
            tf.gather(tf.constant(self.paths), file),
            record_bytes=length,
            header_bytes=offset,
            footer_bytes=after,
        ).get_single_element()


def index_records(paths: Sequence[str | os.PathLike]) -> RecordIndex:
    """Finds the records of TFRecord files.

    Raises:
      UserError: a file is no TFRecord file or is cut short; the message names file and record.
    """
    files, offsets, lengths, sizes = [], [], [], []
    for file_index, path in enumerate(paths):
        size = os.path.getsize(path)
        sizes.append(size)
        position = 0
        with Path(path).open("rb", buffering=0) as stream:
            record = 0
            while position < size:
                stream.seek(position)
                header = stream.read(_HEADER.size)
                if len(header) == _HEADER.size:
                    length, checksum = _HEADER.unpack(header)
                    if checksum != _masked_crc32c(header[:8]):
                        raise UserError(f"{path}: record {record} at byte {position} is corrupt")
                else:
                    length = 0
                begin = position + _HEADER.size
                position = begin + length + _FOOTER_BYTES
                if position > size:
                    raise UserError(
                        f"{path}: cut short in record {record}: {size} bytes, "
                        f"expected at least {position}"
                    )
                files.append(file_index)
                offsets.append(begin)
                lengths.append(length)
                record += 1
    return RecordIndex(
        tuple(str(path) for path in paths),
        *(np.asarray(values, np.int64) for values in (files, offsets, lengths, sizes)),
    )


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

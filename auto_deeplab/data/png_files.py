"""Whether a PNG file is whole: Pillow fills missing rows with zeros and looks at few checksums.

The format: https://www.w3.org/TR/png-3.
"""

import dataclasses
import functools
import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Samples of a pixel, by color type: gray, RGB, palette index, gray and alpha, RGB and alpha.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PALETTE = 3
# Of the first letter of a chunk's type, which makes it a small one.
_ANCILLARY_BIT = 0x20
# (first column, first row, column step, row step) of each pass of an interlaced file.
_PASSES = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
    (0, 1, 1, 2),
)  # fmt: skip
# Inflated at once, in bytes: what is inflated is only counted.
_PART = 1 << 20


@dataclasses.dataclass(frozen=True)
class _Chunk:
    kind: bytes
    body: bytes
    checksum_is_right: bool

    @property
    def is_critical(self) -> bool:
        """Whether the pixels cannot be read without it."""
        return not self.kind[0] & _ANCILLARY_BIT

    def encode(self) -> bytes:
        checksum = zlib.crc32(self.body, zlib.crc32(self.kind))
        return struct.pack(">I", len(self.body)) + self.kind + self.body + checksum.to_bytes(4)


class PngFile:
    """A PNG file.

    Args:
        data: Its bytes.

    Attributes:
        bits: Of a sample, as its header says.

    Raises:
        ValueError: Its beginning is damaged; the message says where.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._chunks = list(_chunks(data))
        header = self._chunks[0] if self._chunks else None
        if not header or header.kind != b"IHDR" or len(header.body) != 13:
            raise ValueError("no PNG header")
        for chunk in self._chunks:
            if chunk.is_critical and chunk.kind != b"IDAT" and not chunk.checksum_is_right:
                raise ValueError(f"wrong checksum in chunk {chunk.kind.decode('latin-1')!r}")
        self._width, self._height, self.bits, self._color_type, _, _, interlaced = struct.unpack(
            ">IIBBBBB", header.body
        )
        kinds = {chunk.kind for chunk in self._chunks}
        if self._color_type == _PALETTE and b"PLTE" not in kinds:
            raise ValueError("its palette is missing")
        self._passes = _PASSES if interlaced else ((0, 0, 1, 1),)

    @functools.cached_property
    def pixels_alone(self) -> bytes:
        """The file without damaged chunks beside the pixels, such as texts, and with its end.

        TensorFlow's decoder and viewers leave out such chunks too.
        """
        kept = [chunk for chunk in self._chunks if chunk.is_critical or chunk.checksum_is_right]
        if len(kept) == len(self._chunks) and kept[-1].kind == b"IEND":
            return self._data
        if kept[-1].kind != b"IEND":
            kept.append(_Chunk(b"IEND", b"", True))
        return SIGNATURE + b"".join(chunk.encode() for chunk in kept)

    def check_pixels(self) -> None:
        """Raises a `ValueError` if rows are missing or their bytes are not those that were written.

        That is known by the checksum over all pixels, or else by those of the chunks.
        """
        missing, parts = self._pixel_bytes(), [c for c in self._chunks if c.kind == b"IDAT"]
        decompressor = zlib.decompressobj()
        try:
            for part in parts:
                compressed = part.body
                while compressed and missing >= 0:
                    missing -= len(decompressor.decompress(compressed, _PART))
                    compressed = decompressor.unconsumed_tail
        except zlib.error as error:
            raise ValueError(f"its pixels are damaged: {error}") from error
        if missing > 0:
            cut = "" if self._chunks[-1].kind == b"IEND" else "it is truncated, "
            raise ValueError(f"{cut}its last rows are missing")
        if not decompressor.eof and not all(part.checksum_is_right for part in parts):
            raise ValueError("its pixels are damaged: wrong checksum in chunk 'IDAT'")

    def _pixel_bytes(self) -> int:
        """Returns how many bytes the rows have, each with the byte that tells its filter."""
        bits_per_pixel = self.bits * _SAMPLES.get(self._color_type, 0)
        total = 0
        for column, row, column_step, row_step in self._passes:
            width = -(-(self._width - column) // column_step)
            height = -(-(self._height - row) // row_step)
            if width > 0 and height > 0:
                total += height * (1 + -(-width * bits_per_pixel // 8))
        return total


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Yields the chunks up to the end of the image, or to where the file breaks off."""
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        kind, body = data[position + 4 : position + 8], data[position + 8 : end]
        checksum = zlib.crc32(body, zlib.crc32(kind)).to_bytes(4)
        yield _Chunk(kind, body, checksum == data[end : end + 4])
        if kind == b"IEND":
            return
        position = end + 4

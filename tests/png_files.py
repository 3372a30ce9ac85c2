"""PNG files that no library would write."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_chunk(kind: bytes, body: bytes, checksum_error: int = 0) -> bytes:
    """Returns a chunk of a PNG file; an error other than 0 makes its checksum wrong."""
    checksum = zlib.crc32(kind + body) ^ checksum_error
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def png_of_size(width: int, height: int) -> bytes:
    """Returns a file of a few bytes that says it is an RGB image of this size."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = png_chunk(b"IDAT", zlib.compress(b""))
    return SIGNATURE + header + data + png_chunk(b"IEND", b"")

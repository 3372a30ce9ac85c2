"""Image and label files of many kinds, whole and damaged, against what their writers put in.

The PNG and TIFF files are written here, since no program at hand writes all their kinds.
"""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from auto_deeplab.data.image_files import BadInput, read_image, read_label
from tests.png_files import SIGNATURE, png_chunk

_MAX_PIXELS = 10_000
# PNG's color types, their channels, and the first row and column of each pass of an interlaced file
# and the steps to the next ones.
_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGBA = 0, 2, 3, 4, 6
_CHANNELS = {_GRAY: 1, _RGB: 3, _PALETTE: 1, _GRAY_ALPHA: 2, _RGBA: 4}
_ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
          (1, 0, 2, 1)]  # fmt: skip


def _packed(samples: np.ndarray, bits: int) -> bytes:
    """Rows [rows, columns, channels] as PNG has them, each after its filter."""
    rows = samples.reshape(len(samples), -1)
    if bits == 16:
        return b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    planes = np.unpackbits(rows.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
    return b"".join(b"\0" + np.packbits(row).tobytes() for row in planes.reshape(len(rows), -1))


def _png(
    samples, bits=8, color_type=_RGB, interlaced=False, chunks=b"", part=1000, rows=None, end=True
) -> bytes:
    """A PNG file of samples [height, width, channels].

    Args:
        chunks: What stands before the pixels.
        part: The most bytes in a chunk of pixels.
        rows: How many rows are there; by default all.
        end: Whether the chunk that ends the file is there.
    """
    height, width, _ = samples.shape
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, interlaced)
    if interlaced:
        passes = [samples[y::dy, x::dx] for y, x, dy, dx in _ADAM7]
        pixels = b"".join(_packed(part, bits) for part in passes if part.size)
    else:
        pixels = _packed(samples[:rows], bits)
    packed = zlib.compress(pixels)
    return (
        SIGNATURE
        + png_chunk(b"IHDR", header)
        + chunks
        + b"".join(png_chunk(b"IDAT", packed[i : i + part]) for i in range(0, len(packed), part))
        + png_chunk(b"IEND", b"") * end
    )


def _tiff(
    samples,
    photometric=2,
    endian="<",
    planar=False,
    rows_per_strip=None,
    missing_strips=0,
    **more_tags,
) -> bytes:
    """A TIFF file of samples [height, width, channels], whose dtype tells depth and kind.

    Args:
        rows_per_strip: By default all.
        missing_strips: How many of the last strips the file does not have.
        more_tags: Values by "t" and the tag's number.
    """
    height, width, channels = samples.shape
    data = samples.astype(samples.dtype.newbyteorder(endian))
    planes = [data[..., i] for i in range(channels)] if planar else [data]
    step = rows_per_strip or height
    strips = [plane[y : y + step].tobytes() for plane in planes for y in range(0, height, step)]
    strips = strips[: len(strips) - missing_strips]
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    tags = {
        256: [width], 257: [height], 258: [8 * samples.dtype.itemsize] * channels, 259: [1],
        262: [photometric], 273: [0] * len(strips), 277: [channels], 278: [step],
        279: [len(strip) for strip in strips], 284: [2 if planar else 1], 339: [kind] * channels,
    }  # fmt: skip
    tags.update({int(name[1:]): values for name, values in more_tags.items()})
    directory_size = 2 + 12 * len(tags) + 4
    beside_size = sum(4 * len(values) for values in tags.values() if len(values) > 1)
    position = 8 + directory_size + beside_size
    for index, strip in enumerate(strips):
        tags[273][index] = position
        position += len(strip)
    directory, beside = struct.pack(endian + "H", len(tags)), b""
    for tag, values in sorted(tags.items()):
        content = b"".join(struct.pack(endian + "I", value) for value in values)
        if len(values) > 1:
            place = 8 + directory_size + len(beside)
            beside += content
            content = struct.pack(endian + "I", place)
        directory += struct.pack(endian + "HHI", tag, 4, len(values)) + content
    start = {"<": b"II*\0", ">": b"MM\0*"}[endian] + struct.pack(endian + "I", 8)
    return start + directory + bytes(4) + beside + b"".join(strips)


def _saved(pixels: np.ndarray, image_format: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, image_format, **options)
    return stream.getvalue()


def _as_rgb(gray: np.ndarray) -> np.ndarray:
    return np.repeat(gray[..., :1], 3, axis=-1)


def _random(rng, height, width, channels, bits=8) -> np.ndarray:
    return rng.integers(0, 2**bits, (height, width, channels))


def _color_table(rng, colors: int) -> tuple[np.ndarray, bytes]:
    table = rng.integers(0, 256, (colors, 3), np.uint8)
    return table, png_chunk(b"PLTE", table.tobytes())


class _File:
    """A file, what it shows (None if no 8 bits tell it), and its labels (None if it has none)."""

    def __init__(self, data, pixels, label=None):
        self.data, self.pixels, self.label = data, pixels, label


@st.composite
def _png_files(draw) -> _File:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    color_type = draw(st.sampled_from([_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGBA]))
    depths = {_GRAY: [1, 2, 4, 8, 16], _PALETTE: [1, 2, 4, 8]}.get(color_type, [8, 16])
    bits = draw(st.sampled_from(depths))
    options = {"interlaced": draw(st.booleans()), "part": draw(st.sampled_from([7, 1000]))}
    samples = _random(rng, height, width, _CHANNELS[color_type], bits)
    label = samples[..., 0] if bits == 8 and color_type == _GRAY else None
    shown = samples
    if color_type == _PALETTE:
        table, options["chunks"] = _color_table(rng, 2**bits)
        shown, label = table[samples[..., 0]], samples[..., 0]
    elif color_type in (_GRAY, _GRAY_ALPHA):
        shown = _as_rgb(samples * (255 // (2**bits - 1) if bits < 8 else 1))
    data = _png(samples, bits, color_type, **options)
    return _File(data, shown[..., :3] if bits <= 8 else None, label)


@st.composite
def _tiff_files(draw) -> _File:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    dtype = np.dtype(draw(st.sampled_from(["u1", "u1", "u1", "u2", "u4", "i1", "i2", "i4", "f4"])))
    channels, photometric = draw(st.sampled_from([(1, 1), (3, 2), (4, 2), (4, 5), (3, 1)]))
    samples = rng.integers(0, 100, (height, width, channels)).astype(dtype)
    data = _tiff(
        samples,
        photometric,
        endian=draw(st.sampled_from("<>")),
        planar=draw(st.booleans()) and channels == 3,
        rows_per_strip=draw(st.sampled_from([None, 1, 5])),
    )
    if dtype != np.uint8 or (channels, photometric) == (3, 1):
        return _File(data, None)
    if photometric == 5:
        cyan_magenta_yellow, black = samples[..., :3].astype(int), samples[..., 3:].astype(int)
        # Without a color profile Pillow's rule, to the nearest of 255 levels.
        inks = 255 - black - np.round(cyan_magenta_yellow * (255 - black) / 255)
        return _File(data, np.clip(inks, 0, 255).astype(np.uint8))
    shown = _as_rgb(samples) if channels == 1 else samples[..., :3]
    return _File(data, shown, samples[..., 0] if channels == 1 else None)


@st.composite
def _other_files(draw) -> _File:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pixels = rng.integers(0, 256, (draw(st.integers(1, 12)), draw(st.integers(1, 12)), 3), np.uint8)
    kind = draw(st.sampled_from(["BMP", "PPM", "WEBP", "JPEG", "gray BMP"]))
    if kind == "gray BMP":
        return _File(_saved(pixels[..., 0], "BMP"), _as_rgb(pixels), pixels[..., 0])
    data = _saved(pixels, kind, **{"lossless": True} if kind == "WEBP" else {})
    if kind == "JPEG":
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    return _File(data, pixels)


_FILES = st.one_of(_png_files(), _tiff_files(), _other_files())
_PLACES = st.floats(0, 1, exclude_max=True)


def _read(path, data, reader):
    """What a reader gives for a file with these bytes, or None where it says what is wrong."""
    path.write_bytes(data)
    try:
        result = reader(path, _MAX_PIXELS)
    except BadInput:
        return None
    return getattr(result, "pixels", result)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("images") / "image"


@settings(deadline=None, max_examples=60)
@given(file=_FILES)
def test_an_image_is_read_as_it_is_or_refused(path, file):
    found = _read(path, file.data, read_image)
    assert (found is None) == (file.pixels is None)
    if found is not None:
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, file.pixels)


@settings(deadline=None, max_examples=60)
@given(file=_FILES)
def test_labels_are_the_values_of_the_file_or_refused(path, file):
    found = _read(path, file.data, read_label)
    assert (found is None) == (file.label is None)
    if found is not None:
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, file.label)


@settings(deadline=None, max_examples=60)
@given(file=_FILES, place=_PLACES)
def test_of_a_file_that_breaks_off_nothing_is_made_up(path, file, place):
    for reader in (read_image, read_label):
        whole = _read(path, file.data, reader)
        found = _read(path, file.data[: int(place * len(file.data))], reader)
        assert found is None or np.array_equal(found, whole)


@settings(deadline=None, max_examples=60)
@given(file=_png_files(), place=_PLACES, change=st.integers(1, 255))
def test_no_changed_byte_of_a_png_file_changes_pixels(path, file, place, change):
    damaged = bytearray(file.data)
    damaged[int(place * len(damaged))] ^= change
    for reader, expected in ((read_image, file.pixels), (read_label, file.label)):
        found = _read(path, damaged, reader)
        assert found is None or np.array_equal(found, expected)


@settings(deadline=None, max_examples=60)
@given(file=st.one_of(_tiff_files(), _other_files()), place=_PLACES, change=st.integers(1, 255))
def test_a_changed_byte_of_another_file_ends_in_pixels_or_words(path, file, place, change):
    # These formats have no checksums: what was changed cannot always be known.
    damaged = bytearray(file.data)
    damaged[int(place * len(damaged))] ^= change
    for reader in (read_image, read_label):
        found = _read(path, damaged, reader)
        assert found is None or found.dtype == np.uint8


_RNG = np.random.default_rng(0)
_PIXELS = _random(_RNG, 10, 14, 3)


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"tIME"])
def test_damage_beside_the_pixels_of_a_png_file_is_left_out(path, kind):
    broken = png_chunk(kind, b"anything", checksum_error=1)
    path.write_bytes(_png(_PIXELS, chunks=broken))
    np.testing.assert_array_equal(read_image(path).pixels, _PIXELS)
    path.write_bytes(_png(_PIXELS[..., :1], color_type=_GRAY, chunks=broken))
    np.testing.assert_array_equal(read_label(path), _PIXELS[..., 0])


@pytest.mark.parametrize("kind", [b"pLTE", b"[LTE", b"tEXt"])
def test_a_palette_that_is_none_is_damage(path, kind):
    table, palette = _color_table(_RNG, 256)
    data = _png(_PIXELS[..., :1], color_type=_PALETTE, chunks=palette)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_image(path).pixels, table[_PIXELS[..., 0]])
    path.write_bytes(data.replace(b"PLTE", kind))
    for reader in (read_image, read_label):
        with pytest.raises(BadInput, match=r"its palette is missing|wrong checksum in chunk"):
            reader(path)


def test_an_exif_that_is_none_does_not_matter(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = _saved(_PIXELS.astype(np.uint8), "JPEG", exif=exif).replace(b"Exif\0\0MM", b"Exif\0\0??")
    path.write_bytes(data)
    assert read_image(path).pixels.shape == (10, 14, 3)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("reader", [read_image, read_label])
def test_missing_rows_of_a_png_file_are_damage(path, interlaced, reader):
    data = _png(_PIXELS[:6, :, :1], color_type=_GRAY, interlaced=interlaced)
    header = bytearray(data[12:29])
    header[8:12] = struct.pack(">I", 10)
    path.write_bytes(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])
    with pytest.raises(BadInput, match="damaged image: its last rows are missing"):
        reader(path)


@pytest.mark.parametrize("reader", [read_image, read_label])
@pytest.mark.parametrize(("missing", "zeros"), [(1, 0), (2, 0), (0, 1)])
def test_missing_strips_of_a_tiff_file_are_damage(path, reader, missing, zeros):
    samples = _PIXELS[..., :1].astype(np.uint8)
    data = _tiff(samples, 1, rows_per_strip=4, missing_strips=missing)
    if zeros:
        # As sparse files are written: the last strip is nowhere.
        data = data.replace(struct.pack("<I", len(data) - 28), bytes(4))
    path.write_bytes(data)
    with pytest.raises(BadInput, match=f"{3 - missing - zeros} of its 3 strips or tiles are there"):
        reader(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_tiff(_PIXELS.astype(np.uint16)), r"more than 8 bits a channel \(16\); expected 8-bit"),
        (_tiff(_PIXELS.astype(np.float32)), r"channels of 32, 32, 32 bits"),
        (_tiff(_PIXELS[..., :1].astype(np.int8), 1), "^received signed integers; expected 8-bit"),
        (_tiff(_PIXELS[..., :1].astype(np.float32) / 255, 1), r"\(32\), floating point"),
        (_tiff(_PIXELS.astype(np.uint8), 1), "with photometric interpretation 1; expected gray"),
        (b"P6 or so", "damaged image: "),
        (b"GIF89a", "not an image file; expected BMP, JPEG, PNG, PPM, TIFF or WEBP"),
    ],
)  # fmt: skip
def test_what_is_no_image_of_8_bits_says_why(path, data, message):
    path.write_bytes(data)
    for cut_depth in (False, True):
        with pytest.raises(BadInput, match=message):
            read_image(path, cut_depth=cut_depth)


@pytest.mark.parametrize("color_type", [_GRAY, _RGB, _GRAY_ALPHA, _RGBA])
def test_16_bits_are_cut_to_8_where_they_fill_their_range(path, color_type):
    samples = _random(_RNG, 10, 14, _CHANNELS[color_type], 16)
    path.write_bytes(_png(samples, 16, color_type))
    expected = samples[..., :3] >> 8 if color_type in (_RGB, _RGBA) else _as_rgb(samples >> 8)
    np.testing.assert_array_equal(read_image(path, cut_depth=True).pixels, expected)
    # The network would see black.
    path.write_bytes(_png(samples >> 4, 16, color_type))
    with pytest.raises(BadInput, match="no value above 4,095 of 65,535"):
        read_image(path, cut_depth=True)


@pytest.mark.parametrize("largest", [300, 2047, 65535])
def test_a_portable_map_tells_its_largest_value(path, largest):
    samples = _random(_RNG, 10, 14, 1) * largest // 255
    path.write_bytes(b"P5 14 10 %d\n" % largest + samples.astype(">u2").tobytes())
    found = read_image(path, cut_depth=True).pixels / 255
    assert np.abs(found - samples / largest).max() < 1 / 255
    with pytest.raises(BadInput, match=r"more than 8 bits a channel \(16\)"):
        read_image(path)


def _bmp(indices: np.ndarray, bits: int, palette) -> bytes:
    rows = [np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :]) for row in indices]
    pixels = b"".join(row.tobytes() + bytes(-len(row) % 4) for row in rows[::-1])
    colors = b"".join(bytes([*color[::-1], 0]) for color in palette)
    start = 54 + len(colors)
    header = struct.pack("<IHHI", start + len(pixels), 0, 0, start) + struct.pack(
        "<IiiHHIIiiII", 40, indices.shape[1], len(indices), 1, bits, 0, 0, 0, 0, len(palette), 0
    )
    return b"BM" + header + colors + pixels


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("colors", [2, 16, 256])
def test_palettes_of_bmp_files_are_read_or_refused(path, bits, gray, colors):
    colors = min(colors, 2**bits)
    step = 255 if colors == 2 else 1
    palette = [(i * step,) * 3 if gray else (i * 7 % 256, 255 - i, i) for i in range(colors)]
    indices = _RNG.integers(0, colors, (10, 14)).astype(np.uint8)
    path.write_bytes(_bmp(indices, bits, palette))
    if gray and bits != (1 if colors == 2 else 8):
        # Pillow leaves such palettes out, and takes 8 bits for 1, or 4 for 8.
        for reader in (read_image, read_label):
            with pytest.raises(BadInput, match=f"{bits} bits a pixel with a palette of gray"):
                reader(path)
        return
    np.testing.assert_array_equal(read_image(path).pixels, np.array(palette, np.uint8)[indices])
    if not gray:
        np.testing.assert_array_equal(read_label(path), indices)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("palette", [False, True])
def test_labels_in_tiff_files_may_be_compressed_without_loss(path, compression, palette):
    values = _RNG.integers(0, 200, (10, 14)).astype(np.uint8)
    image = Image.fromarray(values)
    if palette:
        image.putpalette(_RNG.integers(0, 256, 768).tolist())
    image.save(path, "TIFF", compression=compression)
    np.testing.assert_array_equal(read_label(path), values)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_saved(_PIXELS[..., 0].astype(np.uint8), "TIFF", compression="jpeg"), "compression 7"),
        (_tiff(_PIXELS[..., :1].astype(np.uint8), 0), "photometric interpretation 0; expected 1"),
        (_tiff(_PIXELS.astype(np.uint8)), "mode RGB; expected one 8-bit channel"),
        (_tiff(_PIXELS[..., :1].astype(np.uint16), 1), "16 bits a channel, mode I;16"),
        (_tiff(_PIXELS[..., :1].astype(np.int8), 1), "8 bits a channel of signed integers"),
        (_saved(_PIXELS.astype(np.uint8), "BMP"), "mode RGB; expected one 8-bit channel"),
        (_saved(_PIXELS[..., 0].astype(np.uint8), "WEBP"), "a WEBP file; expected a PNG"),
    ],
)
def test_labels_that_no_file_tells_for_sure_are_refused(path, data, message):
    path.write_bytes(data)
    with pytest.raises(BadInput, match=message):
        read_label(path)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_labels_turn_as_their_image_does(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = _PIXELS[..., 0].astype(np.uint8)
    path = tmp_path / f"label.{suffix}"
    Image.fromarray(values).save(path, exif=exif)
    expected = {3: values[::-1, ::-1], 6: np.rot90(values, -1)}[orientation]
    np.testing.assert_array_equal(read_label(path), expected)
    np.testing.assert_array_equal(read_image(path).pixels[..., 0], expected)


@pytest.mark.parametrize("reader", [read_image, read_label])
def test_the_limit_of_pixels_can_be_raised_and_lowered(path, reader, monkeypatch):
    # Pillow's own limit, lowered to what is quickly read.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    for data in (_saved(_PIXELS[..., 0].astype(np.uint8), kind) for kind in ("PNG", "TIFF")):
        path.write_bytes(data)
        with pytest.raises(BadInput, match="14x10 pixels; expected at most 139"):
            reader(path, 139)
        assert _read(path, data, lambda file, _: reader(file, 140)) is not None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.png", "cannot be read: No such file"),
        ("a\0b.png", "cannot be read: embedded null byte"),
        ("a\ud800b.png", "cannot be read: 'utf-8' codec can't encode"),
        (".", "not a file"),
    ],
)
def test_names_without_a_file_are_told(tmp_path, name, message):
    with pytest.raises(BadInput, match=message):
        read_image(tmp_path / name)

import io
import os
import pickle
import re
import struct
import zlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from auto_deeplab.data.conversion.label_table import LabelTable
from auto_deeplab.data.conversion.pairs import (
    BadPair,
    LabelFile,
    NoLabel,
    Pair,
    encode_pair,
    pair_by_stem,
    read_pair,
)
from auto_deeplab.data.schema import EncodedImage
from tests.png_files import SIGNATURE, png_chunk

_TABLE = LabelTable({0: 0, 1: 1, 2: 2, 9: 255})
_RNG = np.random.default_rng(0)
_RGB = _RNG.integers(0, 256, (10, 14, 3), np.uint8)
_LABEL = _RNG.integers(0, 3, (10, 14), np.uint8)


@pytest.fixture
def save(tmp_path):
    def write(name: str, pixels: np.ndarray, mode: str | None = None, **options):
        path = tmp_path / name
        Image.fromarray(pixels).convert(mode).save(path, **options) if mode else Image.fromarray(
            pixels
        ).save(path, **options)
        return path

    return write


def _pair(image, label) -> Pair:
    return Pair(image, LabelFile(label), image.name)


def _convert(pair: Pair, scale: float = 1.0):
    decoded = read_pair(pair, _TABLE, lambda *size: tuple(round(side * scale) for side in size))
    return encode_pair(decoded, pair.name)


def _pixels(encoded: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded)))


@pytest.mark.parametrize(("name", "image_format"), [("a.png", "png"), ("a.jpg", "jpeg")])
def test_upright_rgb_files_are_kept_byte_for_byte(save, name, image_format):
    image, label = save(name, _RGB), save("label.png", np.where(_LABEL == 2, 9, _LABEL))
    example = _convert(_pair(image, label))
    assert example.image == image.read_bytes()
    assert (example.image_format, example.name) == (image_format, name)
    assert (example.height, example.width) == (10, 14)
    np.testing.assert_array_equal(_pixels(example.label), np.where(_LABEL == 2, 255, _LABEL))


def test_half_size_averages_images_and_picks_labels(save):
    pair = _pair(save("a.png", _RGB), save("label.png", _LABEL))
    example = _convert(pair, 0.5)
    assert (example.height, example.width, example.image_format) == (5, 7, "png")
    expected = _RGB.reshape(5, 2, 7, 2, 3).mean(axis=(1, 3))
    assert np.abs(_pixels(example.image) - expected).max() <= 0.5
    candidates = _LABEL.reshape(5, 2, 7, 2).transpose(0, 2, 1, 3).reshape(5, 7, 4)
    assert (_pixels(example.label)[..., np.newaxis] == candidates).any(axis=-1).all()


def test_palette_labels_are_read_as_indices(save, tmp_path):
    label = Image.fromarray(_LABEL)
    label = label.convert("P")
    label.putpalette([200, 10, 10, 20, 220, 20, 30, 30, 230])
    indices = np.asarray(label)
    label.save(tmp_path / "label.png")
    pair = _pair(save("a.png", _RGB), tmp_path / "label.png")
    np.testing.assert_array_equal(_pixels(_convert(pair).label), indices)


@pytest.mark.parametrize(
    ("mode", "name"),
    [("L", "a.jpg"), ("CMYK", "a.jpg"), ("L", "a.png"), ("RGBA", "a.png"), ("P", "a.png")],
)
def test_other_color_modes_become_rgb(save, mode, name):
    image = save(name, _RGB, mode=mode)
    example = _convert(_pair(image, save("label.png", _LABEL)))
    assert example.image_format == "png"
    expected = np.asarray(Image.open(image).convert("RGB"))
    np.testing.assert_array_equal(_pixels(example.image), expected)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_images_turned_by_exif_are_stored_upright(save, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = save("a.jpg", _RGB, exif=exif, quality=100)
    # What the EXIF standard says of row 0 and column 0 of the stored image, undone by hand.
    stored = np.asarray(Image.open(image))
    upright = {
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored),
    }[orientation]
    label = save("label.png", np.zeros(upright.shape[:2], np.uint8))
    example = _convert(_pair(image, label))
    assert example.image_format == "png"
    np.testing.assert_array_equal(_pixels(example.image), upright)


def _four_bit_png(pixels: np.ndarray) -> bytes:
    """A gray PNG file of 4 bits a pixel, which Pillow does not write."""
    rows = pixels.reshape(len(pixels), -1, 2)
    packed = (rows[..., 0] << 4 | rows[..., 1]).astype(np.uint8)

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 4, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in packed))
    return (
        SIGNATURE + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    )


def _trained(encoded: bytes) -> np.ndarray:
    """What training's decoder makes of an image."""
    return EncodedImage(tf.constant(encoded), tf.constant(_RGB.shape[:2])).pixels().numpy()


def _rows_of_png(path, keep):
    """Leaves out rows of a PNG file whose checksums stay right."""
    data = path.read_bytes()
    packed = re.search(rb"(....)IDAT(.*)....\0\0\0\0IEND", data, re.DOTALL)
    pixels = zlib.decompress(packed[2])
    body = b"IDAT" + zlib.compress(pixels[: keep * len(pixels) // 10])
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(data[: packed.start()] + chunk + data[-12:])


@pytest.mark.parametrize("kind", ["no end", "wrong checksum", "no checksum", "text", "garbage"])
def test_png_files_that_training_would_refuse_are_encoded_anew(save, kind):
    image = save("a.png", _RGB)
    data = image.read_bytes()
    end = data.index(b"IEND") - 4
    image.write_bytes(
        {
            "no end": data[:end],
            "wrong checksum": data[: end - 1] + bytes([data[end - 1] ^ 1]) + data[end:],
            "no checksum": data[: end - 4],
            "text": data[:33] + b"\0\0\0\1tEXtabcde" + data[33:],
            "garbage": data + b"garbage",
        }[kind]
    )
    example = _convert(_pair(image, save("label.png", _LABEL)))
    # Training reads over the last two.
    assert (example.image == image.read_bytes()) == (kind in ("text", "garbage"))
    np.testing.assert_array_equal(_trained(example.image), _RGB)


@pytest.mark.parametrize("options", [{}, {"subsampling": 2}, {"progressive": True}])
def test_training_reads_a_kept_jpeg_file_as_it_was_checked(save, options):
    image = save("a.jpg", _RGB, quality=90, **options)
    decoded = read_pair(_pair(image, save("label.png", _LABEL)), _TABLE, lambda *size: size)
    assert decoded.encoded == image.read_bytes()
    difference = _trained(decoded.encoded).astype(int) - decoded.image
    assert np.abs(difference).mean() < 1


@pytest.mark.parametrize("name", ["a.png", "label.png"])
def test_missing_rows_of_an_image_or_its_labels_are_damage(save, tmp_path, name):
    pair = _pair(save("a.png", _RGB), save("label.png", _LABEL))
    _rows_of_png(tmp_path / name, keep=10)
    _convert(pair)
    _rows_of_png(tmp_path / name, keep=8)
    with pytest.raises(BadPair, match=f"{name}: damaged image: its last rows are missing"):
        _convert(pair)


@pytest.mark.parametrize("name", ["label.tif", "label.bmp"])
def test_labels_may_be_tiff_and_bmp_files(save, name):
    example = _convert(_pair(save("a.png", _RGB), save(name, _LABEL)))
    np.testing.assert_array_equal(_pixels(example.label), _LABEL)


def test_names_that_are_no_utf8_are_escaped(tmp_path, save):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    name = os.fsdecode(b"caf\xe9.png")
    save(f"images/{name}", _RGB)
    save(f"labels/{name}", _LABEL)
    (pair,), problems = pair_by_stem(tmp_path / "images", tmp_path / "labels", [".png"], [".png"])
    assert not problems
    example = _convert(pair)
    assert example.name == r"caf\xe9.png"
    assert example.image == (tmp_path / "images" / name).read_bytes()


def _bad(tmp_path, save, case):
    image, label = save("a.png", _RGB), save("label.png", _LABEL)
    if case == "missing":
        image.unlink()
    elif case == "empty":
        image.write_bytes(b"")
    elif case == "text":
        image.write_text("hello")
    elif case == "truncated":
        image.write_bytes(image.read_bytes()[:-60])
    elif case == "truncated gray":
        save("a.png", _RGB, mode="L")
        image.write_bytes(image.read_bytes()[:-60])
    elif case == "truncated jpeg":
        image = save("a.jpg", _RNG.integers(0, 256, (64, 64, 3), np.uint8))
        image.write_bytes(image.read_bytes()[:1500])
    elif case == "deep image":
        image = save("a.png", _RGB[..., 0].astype(np.uint16) * 200)
    elif case == "deep color image":
        cv2.imwrite(str(image), _RGB.astype(np.uint16) * 200)
    elif case == "deep label":
        label = save("label.png", _LABEL.astype(np.uint16) * 300)
    elif case == "shallow label":
        label.write_bytes(_four_bit_png(_LABEL))
    elif case == "color label":
        label = save("label.png", _RGB)
    elif case == "jpeg label":
        label = save("label.jpg", _LABEL)
    elif case == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        image = save("a.jpg", _RGB, exif=exif)
    elif case == "sizes":
        label = save("label.png", _LABEL[:-1])
    elif case == "values":
        label = save("label.png", np.where(_LABEL == 2, 77, _LABEL))
    return _pair(image, label)


@pytest.mark.parametrize(
    ("case", "at_fault", "reason"),
    [
        ("missing", "a.png", "No such file"),
        ("empty", "a.png", "the file is empty"),
        ("text", "a.png", "not an image file"),
        ("truncated", "a.png", "damaged image"),
        ("truncated gray", "a.png", "damaged image"),
        ("truncated jpeg", "a.jpg", "damaged image"),
        ("deep image", "a.png", "more than 8 bits a channel"),
        ("deep color image", "a.png", "more than 8 bits a channel"),
        ("deep label", "label.png", "16 bits a channel, mode I;16; expected one 8-bit channel"),
        ("shallow label", "label.png", "4 bits a channel, mode L; expected one 8-bit channel"),
        ("color label", "label.png", "mode RGB; expected one 8-bit channel"),
        ("jpeg label", "label.jpg", "received a JPEG file; expected a PNG"),
        ("sizes", "label.png", "received 14x9; expected the size of its image"),
        ("turned", "label.png", "a.jpg, 10x14 once turned by its EXIF orientation 6"),
        ("values", "label.png", "outside of the table: 77 ("),
    ],
)
def test_bad_input_names_file_and_reason(tmp_path, save, case, at_fault, reason):
    pair = _bad(tmp_path, save, case)
    with pytest.raises(BadPair) as error:
        _convert(pair)
    (problem,) = error.value.problems
    assert problem.startswith(f"{tmp_path / at_fault}: ")
    assert reason in problem


def test_image_and_label_are_both_reported(save):
    pair = _pair(save("a.png", _RGB), save("label.png", np.where(_LABEL == 2, 77, _LABEL)))
    pair.image.write_bytes(b"")
    with pytest.raises(BadPair) as error:
        _convert(pair)
    assert [problem.partition(":")[0] for problem in error.value.problems] == [
        str(pair.image),
        str(pair.label.file),
    ]
    assert pickle.loads(pickle.dumps(error.value)).problems == error.value.problems


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".webp"])
def test_other_formats_become_png(save, suffix):
    image = save(f"a{suffix}", _RGB)
    example = _convert(_pair(image, save("label.png", _LABEL)))
    assert example.image_format == "png"
    np.testing.assert_array_equal(_pixels(example.image), np.asarray(Image.open(image)))


def test_images_without_labels_are_ignored_everywhere(save):
    example = _convert(Pair(save("a.png", _RGB), NoLabel(9), "a.png"))
    assert (_pixels(example.label) == 255).all()
    assert (example.height, example.width) == (10, 14)


def test_pairs_are_matched_by_stem_and_problems_gathered(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    hidden = (".hidden.png", ".ipynb_checkpoints/1-checkpoint.png", "b/.thumbnails/2.png")
    for name in ("b/2.JPG", "1.png", "3.jpg", "3.png", "4.jpeg", "notes.txt", *hidden):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).touch()
    for name in ("1.png", "b/2.png", "3.png", "5.png"):
        (labels / name).parent.mkdir(parents=True, exist_ok=True)
        (labels / name).touch()
    pairs, problems = pair_by_stem(images, labels, [".png", ".jpg", ".jpeg"], [".png"])
    assert [pair.name for pair in pairs] == ["1.png", "3.jpg", "b/2.JPG"]
    assert pairs[2].label.file == labels / "b/2.png"
    assert problems == [
        f"{images / '3.png'}: same stem as {images / '3.jpg'}",
        f"{images / '4.jpeg'}: no label 4.png in {labels}",
        f"{labels / '5.png'}: no image 5.png or .jpg or .jpeg in {images}",
    ]


def test_linked_folders_are_looked_into_and_links_to_nothing_are_problems(tmp_path):
    for part in ("images", "labels"):
        (tmp_path / "disk" / part).mkdir(parents=True)
        (tmp_path / "disk" / part / "1.png").touch()
        (tmp_path / part).mkdir()
        (tmp_path / part / "ulm").symlink_to(tmp_path / "disk" / part)
        (tmp_path / part / "ulm" / "up").symlink_to(tmp_path / part)
    (tmp_path / "images" / "bonn").symlink_to(tmp_path / "no disk")
    pairs, problems = pair_by_stem(tmp_path / "images", tmp_path / "labels", [".png"], [".png"])
    assert [pair.name for pair in pairs] == ["ulm/1.png"]
    assert problems == [
        f"{tmp_path / 'images/bonn'}: a link to {tmp_path / 'no disk'}, which does not exist"
    ]


def test_missing_and_empty_folders_are_problems(tmp_path):
    (tmp_path / "empty").mkdir()
    _, problems = pair_by_stem(tmp_path / "nowhere", tmp_path / "empty", [".png"], [".png"])
    assert problems == [f"{tmp_path / 'nowhere'}: no such folder"]
    _, problems = pair_by_stem(tmp_path / "empty", tmp_path / "empty", [".png"], [".png"])
    assert problems == [f"{tmp_path / 'empty'}: no images that end with .png"]

"""Finding images as users name them, and reading what cameras and programs write."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.serving.files.image_files import UnreadableImage, find_images, read_image


def gradient(height=16, width=24):
    """An image whose four corners differ, smooth enough for JPEG."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([y * 10, x * 8, 255 - x * 4 - y * 5], axis=-1).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    for name in ["b.png", "a.JPG", "deep/er/c.png", "out/a_overlay.png", ".hidden.png"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(gradient()).save(path)
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def names(*arguments):
    return [image.name for image in find_images(*map(str, arguments))]


def test_find_images(folder):
    assert names(folder) == ["a", "b", "deep/er/c", "out/a_overlay"]
    assert names(folder, folder / "out") == ["a", "b", "deep/er/c"]
    assert names(folder / "b.png") == ["b"]
    assert names(folder / "*") == ["a", "b"]
    assert names(folder / "**" / "*.png", folder / "out") == ["b", "deep/er/c"]
    assert names(folder / "d*" / "**" / "*.png") == ["deep/er/c"]


def test_nothing_hidden_is_taken(folder):
    for name in (".ipynb_checkpoints/a-checkpoint.png", "deep/.cache/x/y.png"):
        (folder / name).parent.mkdir(parents=True)
        Image.fromarray(gradient()).save(folder / name)
    assert names(folder) == ["a", "b", "deep/er/c", "out/a_overlay"]
    assert names(folder / "**" / "*.png") == ["b", "deep/er/c", "out/a_overlay"]
    assert names(folder / "deep" / ".cache") == ["x/y"]
    assert names(folder / "deep" / ".cache" / "*" / "*.png") == ["x/y"]


def test_linked_folders_are_looked_into_once(folder, tmp_path_factory):
    disk = tmp_path_factory.mktemp("disk")
    for name in ("d.png", "up", "again"):
        if name.endswith(".png"):
            Image.fromarray(gradient()).save(disk / name)
        else:
            # Two of them: to follow each into the other would end only after 2^40 folders.
            (disk / name).symlink_to(folder)
    (folder / "linked").symlink_to(disk)
    expected = ["a", "b", "deep/er/c", "linked/d", "out/a_overlay"]
    assert names(folder) == expected
    assert names(folder / "**" / "*.*") == expected
    assert names(folder / "*" / "*.png") == ["linked/d", "out/a_overlay"]
    assert names(folder / "l*" / "**") == ["linked/d"]


def test_a_link_to_nothing_is_taken_and_says_so_when_it_is_read(folder):
    (folder / "ulm").symlink_to(folder / "no such disk")
    assert names(folder) == ["a", "b", "deep/er/c", "out/a_overlay", "ulm"]
    assert names(folder / "*.png") == ["b"]
    with pytest.raises(UnreadableImage, match="No such file"):
        read_image(folder / "ulm")


def test_a_file_is_taken_whatever_it_is_called(folder):
    assert names(folder / "notes.txt") == ["notes"]


@pytest.mark.parametrize("pattern", ["missing.png", "missing/*.png", "*.txt"])
def test_finding_nothing_is_an_error(folder, pattern):
    with pytest.raises(UserError, match="no images found"):
        names(folder / pattern)


def test_two_images_of_one_name_are_an_error(folder):
    Image.fromarray(gradient()).save(folder / "b.bmp")
    with pytest.raises(UserError, match=r"b\.png and .*b\.bmp"):
        names(folder)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_respected(tmp_path, orientation):
    # What a viewer shows is the same for each file; what is stored differs.
    stored = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.swapaxes(0, 1),
        6: lambda x: x.swapaxes(0, 1)[::-1],
        7: lambda x: x.swapaxes(0, 1)[::-1, ::-1],
        8: lambda x: x.swapaxes(0, 1)[:, ::-1],
    }[orientation](gradient())
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    np.testing.assert_array_equal(read_image(path), gradient())


@pytest.mark.parametrize(
    ("mode", "suffix", "tolerance"),
    [
        ("RGB", "png", 0),
        ("RGB", "jpg", 12),
        ("CMYK", "jpg", 12),
        ("RGBA", "png", 0),
        ("RGB", "webp", 40),
        ("RGB", "tif", 0),
    ],
)
def test_color_files(tmp_path, mode, suffix, tolerance):
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(gradient()).convert(mode).save(path)
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - gradient()).max() <= tolerance


@pytest.mark.parametrize(("mode", "suffix"), [("L", "png"), ("L", "jpg"), ("1", "png")])
def test_gray_files(tmp_path, mode, suffix):
    path = tmp_path / f"image.{suffix}"
    gray = Image.fromarray(gradient()).convert(mode)
    gray.save(path)
    pixels = read_image(path)
    assert pixels.shape == (16, 24, 3)
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])
    assert np.abs(pixels[..., 0].astype(int) - np.asarray(gray.convert("L"))).max() <= 4


def test_16_bit_gray_keeps_its_range(tmp_path):
    values = np.array([[0, 255, 256], [32768, 65280, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(
        read_image(tmp_path / "deep.png")[..., 1], [[0, 0, 1], [128, 255, 255]]
    )


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.uint32, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_files_that_do_not_tell_what_8_bits_to_show_are_refused(tmp_path, dtype, channels):
    pixels = (gradient()[..., :channels].astype(np.int64) * 100).astype(dtype)
    assert cv2.imwrite(str(tmp_path / "deep.tif"), pixels)
    with pytest.raises(UnreadableImage, match=r"(16|32).* bits|8-bit unsigned integers"):
        read_image(tmp_path / "deep.tif")


def test_unreadable_files_say_why(tmp_path):
    path = tmp_path / "image.png"
    with pytest.raises(UnreadableImage, match="No such file"):
        read_image(path)
    path.write_bytes(b"")
    with pytest.raises(UnreadableImage, match="the file is empty"):
        read_image(path)
    path.write_text("text")
    with pytest.raises(UnreadableImage, match="not an image"):
        read_image(path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, [64, 64, 3], np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UnreadableImage, match="truncated"):
        read_image(path)


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (24, 17, "24x17 pixels; expected at most 400"),
        (5000, 5000, "5000x5000 pixels; expected at most 400"),
        (20000, 20000, "20000x20000 pixels; expected at most 400"),
    ],
)
def test_a_limit_is_held_before_anything_is_decoded(tmp_path, width, height, message):
    path = tmp_path / "image.png"
    Image.fromarray(gradient()).save(path)
    assert read_image(path, max_pixels=400).shape == (16, 24, 3)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    with pytest.raises(UnreadableImage, match=message):
        read_image(path, max_pixels=400)

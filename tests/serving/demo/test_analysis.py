"""What the demo tells of one image, with networks whose answers are known."""

import numpy as np
import pytest
from PIL import Image

from auto_deeplab.serving.demo import analysis
from auto_deeplab.serving.demo.analysis import analyze_image
from auto_deeplab.serving.files.image_files import UnreadableImage


def bright(images):
    """Class 1 where an image is bright, else class 0."""
    assert images.dtype == np.uint8
    return (images[..., 0] > 127).astype(np.int32)


def save(path, pixels, **options):
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)
    return path


def test_an_image_is_turned_upright_and_measured(tmp_path):
    pixels = np.zeros([20, 30, 3])
    pixels[:5] = 255
    turned = Image.Exif()
    turned[0x0112] = 6
    path = save(tmp_path / "turned.png", np.rot90(pixels), exif=turned)
    seen = analyze_image(path, bright, classes=3, max_pixels=600)
    assert seen.size == (20, 30)
    np.testing.assert_array_equal(seen.pixels, pixels)
    np.testing.assert_array_equal(seen.class_map, pixels[..., 0] > 127)
    assert seen.shares == [(0, 0.75), (1, 0.25)]
    assert seen.decoding_seconds > 0
    assert seen.network_seconds > 0


def test_what_is_shown_is_small_and_what_is_told_is_exact(tmp_path, monkeypatch):
    monkeypatch.setattr(analysis, "LONGEST_SHOWN_SIDE", 10)
    pixels = np.zeros([40, 25, 3])
    pixels[:20] = 200
    pixels[0, 0] = 0
    seen = analyze_image(save(tmp_path / "large.png", pixels), bright, classes=2, max_pixels=1000)
    assert seen.size == (40, 25)
    assert seen.pixels.shape == (10, 6, 3)
    np.testing.assert_array_equal(seen.class_map[:, 3], [1] * 5 + [0] * 5)
    np.testing.assert_array_equal(seen.pixels[:, 3, 0], [200] * 5 + [0] * 5)
    assert seen.shares == [(0, 501 / 1000), (1, 499 / 1000)]


def test_the_network_is_spared_what_is_too_large(tmp_path):
    path = save(tmp_path / "large.png", np.zeros([20, 31, 3]))
    with pytest.raises(UnreadableImage, match="31x20 pixels; expected at most 600"):
        analyze_image(path, lambda images: pytest.fail("it was run"), classes=1, max_pixels=600)


def test_formats_that_run_other_programs_are_not_tried(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(path, "EPS")
    with pytest.raises(UnreadableImage, match="not an image file"):
        analyze_image(path, bright, classes=2, max_pixels=600)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_the_network_is_spared_what_would_be_black(tmp_path, dtype):
    path = tmp_path / "deep.tif"
    Image.fromarray(np.full([8, 8], 200).astype(dtype)).save(path)
    with pytest.raises(UnreadableImage, match="more than 8 bits a channel"):
        analyze_image(path, lambda images: pytest.fail("it was run"), classes=1, max_pixels=600)

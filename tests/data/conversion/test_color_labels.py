"""Masks in color: what Pillow writes is what comes out, or a problem names the colors."""

import numpy as np
import pytest
from PIL import Image

from auto_deeplab.data.conversion.color_labels import ColorLabel
from auto_deeplab.data.image_files import BadInput

_PALETTE = np.array([[0, 0, 0], [128, 0, 0], [250, 50, 83]], np.uint8)
_COLORS = tuple((tuple(color.tolist()), value) for value, color in enumerate(_PALETTE))
_LABEL = np.random.default_rng(0).integers(0, 3, (6, 9), np.uint8)


def _save(path, image: Image.Image):
    image.save(path)
    return ColorLabel(path, _COLORS)


def _indexed(indices: np.ndarray, palette: np.ndarray) -> Image.Image:
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colors_become_the_values_of_their_classes(tmp_path, mode):
    image = Image.fromarray(_PALETTE[_LABEL]).convert(mode)
    np.testing.assert_array_equal(_save(tmp_path / "a.png", image).read(None), _LABEL)


def test_of_one_channel_the_numbers_count(tmp_path):
    label = _save(tmp_path / "a.png", Image.fromarray(_LABEL))
    np.testing.assert_array_equal(label.read(None), _LABEL)


def test_a_palette_image_is_read_by_its_colors_whatever_their_order(tmp_path):
    # As a tool that reduces colors writes it: numbered as they occur.
    order = np.array([2, 0, 1])
    label = _save(tmp_path / "a.png", _indexed(np.argsort(order)[_LABEL], _PALETTE[order]))
    np.testing.assert_array_equal(label.read(None), _LABEL)


def test_a_palette_image_of_other_colors_is_read_by_its_indices(tmp_path):
    label = _save(tmp_path / "a.png", _indexed(_LABEL, np.array([[0, 0, 0], [1, 2, 3], [9, 9, 9]])))
    np.testing.assert_array_equal(label.read(None), _LABEL)


def test_a_palette_image_that_mixes_both_is_a_problem(tmp_path):
    # Index 2 has the color of class 1, and the other color is none of a class.
    mixed = np.array([[0, 0, 0], [1, 2, 3], [128, 0, 0]])
    label = _save(tmp_path / "a.png", _indexed(_LABEL, mixed))
    with pytest.raises(BadInput, match=r"neither colors nor indices .* 2 \(128, 0, 0\)"):
        label.read(None)


def test_a_color_of_no_class_is_counted_and_named(tmp_path):
    pixels = _PALETTE[_LABEL]
    pixels[:2, :3] = (1, 2, 3)
    pixels[5, 5] = (127, 0, 0)
    label = _save(tmp_path / "a.png", Image.fromarray(pixels))
    with pytest.raises(BadInput, match=r"class: \(1, 2, 3\) \(6 pixels\), \(127, 0, 0\) \(1 pixel"):
        label.read(None)


def test_transparent_and_lossy_masks_are_problems(tmp_path):
    image = Image.fromarray(_PALETTE[_LABEL]).convert("RGBA")
    image.putpixel((3, 3), (0, 0, 0, 0))
    with pytest.raises(BadInput, match="transparent pixels"):
        _save(tmp_path / "a.png", image).read(None)
    with pytest.raises(BadInput, match="JPEG file"):
        _save(tmp_path / "a.jpg", Image.fromarray(_PALETTE[_LABEL])).read(None)
    (tmp_path / "b.png").write_bytes(b"nonsense")
    with pytest.raises(BadInput, match="not an image file"):
        ColorLabel(tmp_path / "b.png", _COLORS).read(None)


def test_a_color_of_two_classes_is_a_problem_only_where_it_occurs(tmp_path):
    colors = (*_COLORS, ((128, 0, 0), 7))
    black = Image.fromarray(np.zeros((4, 4, 3), np.uint8))
    black.save(tmp_path / "a.png")
    assert not ColorLabel(tmp_path / "a.png", colors).read(None).any()
    Image.fromarray(_PALETTE[_LABEL]).save(tmp_path / "a.png")
    with pytest.raises(BadInput, match=r"\(128, 0, 0\), which several classes of palette have"):
        ColorLabel(tmp_path / "a.png", colors).read(None)

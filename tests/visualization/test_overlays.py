"""Overlays and legends, by the pixels they must have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.visualization.overlays import (
    class_shares,
    legend,
    overlay,
    overlay_with_legend,
    percent,
)

PALETTE = ((200, 0, 0), (0, 200, 0), (0, 0, 200))


def description():
    return DatasetDescription("shapes", {"val": 1}, ("road", "car", "sky"), PALETTE)


def test_colors_are_blended_inside_and_lines_drawn_between_classes():
    image = np.full([6, 8, 3], 100, np.uint8)
    class_map = np.zeros([6, 8], np.int32)
    class_map[:, 4:] = 1
    result = overlay(image, class_map, PALETTE, opacity=0.5)
    np.testing.assert_array_equal(result[0, 0], [150, 50, 50])
    np.testing.assert_array_equal(result[5, 7], [50, 150, 50])
    assert (result[:, 3] < result[:, 2]).all()


def test_opacity_0_shows_the_image_and_values_without_class_too():
    image = np.random.default_rng(0).integers(0, 256, [9, 9, 3], np.uint8)
    class_map = np.random.default_rng(1).integers(0, 3, [9, 9])
    np.testing.assert_array_equal(overlay(image, class_map, PALETTE, opacity=0.0), image)
    unknown = np.full([9, 9], 255)
    np.testing.assert_array_equal(overlay(image, unknown, PALETTE, opacity=1.0), image)


def test_sizes_that_differ_are_refused():
    with pytest.raises(ValueError, match="equal sizes"):
        overlay(np.zeros([4, 4, 3], np.uint8), np.zeros([4, 5], np.int32), PALETTE)


def has_color(pixels, color):
    return (pixels == np.array(color)).all(axis=-1).any()


@settings(deadline=None, max_examples=25)
@given(
    height=st.integers(1, 80),
    width=st.integers(1, 700),
    classes=st.sets(st.sampled_from([0, 1, 2]), min_size=1),
)
def test_the_legend_shows_the_classes_that_are_there_and_no_other(height, width, classes):
    classes = sorted(classes)
    class_map = np.resize(np.array(classes), [height, width])
    present = set(np.unique(class_map))
    image = np.full([height, width, 3], 100, np.uint8)
    result = overlay_with_legend(image, class_map, description())
    assert result.dtype == np.uint8
    assert result.shape[1] >= width
    assert result.shape[0] > height
    for index, color in enumerate(PALETTE):
        assert has_color(result[height:], color) == (index in present)


def test_the_legend_uses_the_width_for_columns():
    texts, colors = ["road", "car", "sky"], PALETTE
    narrow, wide = legend(texts, colors, width=10), legend(texts, colors, width=600)
    assert narrow.shape[1] > 10
    assert wide.shape[1] == 600
    assert wide.shape[0] < narrow.shape[0]


def test_shares_are_of_all_pixels_and_the_largest_comes_first():
    class_map = np.array([[2, 2, 0], [2, 255, 0]])
    assert class_shares(class_map, classes=3) == [(2, 3 / 6), (0, 2 / 6)]


def test_a_small_share_is_not_called_none():
    assert [percent(share) for share in (1.0, 0.256, 0.01, 0.009)] == ["100%", "26%", "1%", "<1%"]

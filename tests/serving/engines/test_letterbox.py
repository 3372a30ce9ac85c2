"""Engines for one size, given images of others."""

import numpy as np
import pytest

from auto_deeplab.serving.engines.letterbox import class_maps_of_any_size

SIZE = (40, 60)


class Engine:
    """Takes one image of one size; calls what is bright 2, what is dark 1, and what is gray 0."""

    def __init__(self):
        self.seen = []

    def __call__(self, images):
        assert images.shape == (1, *SIZE, 3)
        assert images.dtype == np.uint8
        self.seen.append(images[0])
        brightness = images.mean(axis=-1)
        return np.where(brightness > 150, 2, np.where(brightness < 100, 1, 0)).astype(np.int32)


@pytest.mark.parametrize("free", [(None, None), ("height", "width"), (-1, -1)])
def test_an_engine_for_any_size_stays_as_it_is(free):
    engine = Engine()
    assert class_maps_of_any_size(engine, ("batch", *free, 3)) is engine


def test_images_of_its_size_reach_it_one_by_one_as_they_are():
    images = np.random.default_rng(0).integers(0, 256, [3, *SIZE, 3], np.uint8)
    engine = Engine()
    class_maps = class_maps_of_any_size(engine, np.array([1, *SIZE, 3]))(images)
    np.testing.assert_array_equal(engine.seen, images)
    np.testing.assert_array_equal(class_maps, np.concatenate([Engine()(i[None]) for i in images]))


# What they are at 40x60: smaller and larger ones, wide and tall ones.
@pytest.mark.parametrize(
    ("size", "content"),
    [((20, 30), SIZE), ((90, 70), (40, 31)), ((30, 200), (9, 60)), ((1, 1), (40, 40))],
)
def test_images_of_other_sizes_are_scaled_and_come_back(size, content):
    # The left half is dark and the right one bright.
    image = np.full([*size, 3], 20, np.uint8)
    image[:, size[1] // 2 :] = 220
    engine = Engine()
    (class_map,) = class_maps_of_any_size(engine, [1, *SIZE, 3])(image[np.newaxis])
    (seen,) = engine.seen
    height, width = content
    assert (seen[height:] == 128).all()
    assert (seen[:, width:] == 128).all()
    assert np.isin(seen[:height, [0, width - 1]], (20, 220)).all()
    assert class_map.shape == size
    assert class_map.dtype == np.int32
    expected = np.where(image[..., 0] > 100, 2, 1)
    away_from_the_edge = abs(np.arange(size[1]) + 0.5 - size[1] // 2) > size[1] / width
    assert away_from_the_edge.any() or size == (1, 1)
    np.testing.assert_array_equal(class_map[:, away_from_the_edge], expected[:, away_from_the_edge])

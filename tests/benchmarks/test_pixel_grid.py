import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pixel_grid import filling_up, near_borders

IGNORE = 9


@given(seed=st.integers(0, 999), distance=st.sampled_from([1, 1.5, 3]))
def test_near_borders_by_brute_force(seed, distance):
    rng = np.random.default_rng(seed)
    label = rng.choice([0, 1, IGNORE], p=[0.9, 0.05, 0.05], size=(9, 12))
    pixels = [(y, x) for y in range(9) for x in range(12)]
    border = [
        (y, x)
        for y, x in pixels
        for other in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        if other in pixels and {label[y, x], label[other]} == {0, 1}
    ]
    expected = np.zeros(label.shape, bool)
    for y, x in pixels:
        expected[y, x] = any(np.hypot(y - v, x - u) <= distance for v, u in border)
    np.testing.assert_array_equal(near_borders(label, IGNORE, distance), expected)


def test_images_are_filled_up_and_class_maps_cut():
    sizes = []

    def class_maps(images):
        sizes.append(tuple(images.shape[1:3]))
        return tf.cast(images[..., 0], tf.int32)

    images = tf.random.uniform([1, 128, 257, 3], maxval=5)
    np.testing.assert_array_equal(filling_up(class_maps)(images), tf.cast(images[..., 0], tf.int32))
    assert sizes == [(129, 257)]

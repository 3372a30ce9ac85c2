"""Sliding windows against a plain sum over all windows of the image."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.evaluation.sliding_windows import SlidingWindows, window_origins

CLASSES = 3


@given(st.integers(1, 80), st.integers(1, 40), st.floats(0, 0.9))
def test_windows_cover_everything_and_overlap(length, window, overlap):
    origins = window_origins(length, window, overlap)
    assert origins[0] == 0
    assert sorted(set(origins)) == origins
    if length <= window:
        assert origins == [0]
    else:
        assert origins[-1] + window == length
        # The overlap is kept to the pixel that it is rounded to, and windows always move on.
        farthest = max(1, int(window * (1 - overlap)))
        assert max(np.diff(origins)) <= farthest
        assert len(origins) <= -(-(length - window) // farthest) + 1


def probabilities_of(seen):
    """Probabilities that depend on where in its window a pixel lies, as a network's do."""

    def probabilities_of_window(images):
        assert images.shape[0] == 1
        seen.append(tuple(images.shape[1:3]))
        rows, columns = np.indices(images.shape[1:3])
        pixels = np.asarray(images[0], np.float64)
        scores = [
            np.sin(7 * pixels[..., 0] + index * rows) + np.cos(pixels[..., 1] * index + columns)
            for index in range(CLASSES)
        ]
        return np.stack(scores, axis=-1)[None].astype(np.float32)

    return lambda batches: [probabilities_of_window(images) for images in batches]


@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(st.integers(1, 23), st.integers(1, 23)),
    window=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    overlap=st.sampled_from([0.0, 1 / 3, 0.6]),
)
def test_class_maps_are_those_of_the_mean_over_windows(size, window, overlap):
    images = np.random.default_rng(sum(size)).normal(size=[2, *size, 3]).astype(np.float32)
    seen = []
    windows = SlidingWindows(probabilities_of(seen), window, overlap)
    (class_maps,) = windows([tf.constant(images)])
    assert class_maps.dtype == np.int32
    assert set(seen) == {(min(size[0], window[0]), min(size[1], window[1]))}
    for image, class_map in zip(images, class_maps, strict=True):
        total, count = np.zeros([*size, CLASSES]), np.zeros([*size, 1])
        for row in window_origins(size[0], window[0], overlap):
            for column in window_origins(size[1], window[1], overlap):
                part = np.s_[row : row + window[0], column : column + window[1]]
                total[part] += probabilities_of([])([image[part][None]])[0][0]
                count[part] += 1
        mean = np.sort(total / count, axis=-1)
        # Where two classes are equal but for rounding, either is right.
        clear = mean[..., -1] - mean[..., -2] > 1e-5
        np.testing.assert_array_equal(class_map[clear], (total / count).argmax(-1)[clear])


@pytest.mark.parametrize(
    ("window", "overlap", "message"), [((0, 5), 0.5, "window"), ((5, 5), 1.0, "overlap")]
)
def test_wrong_values_are_refused(window, overlap, message):
    with pytest.raises(ValueError, match=message):
        SlidingWindows(probabilities_of([]), window, overlap)

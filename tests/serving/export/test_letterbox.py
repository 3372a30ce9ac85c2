"""Fitting images to a size, against OpenCV and exact fractions."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.serving.engines import letterbox as without_tensorflow
from auto_deeplab.serving.export.letterbox import content_size, letterbox, undo_letterbox


@pytest.mark.parametrize("source", [(1, 1), (33, 47), (47, 33), (7, 2000), (2000, 7), (65, 130)])
@pytest.mark.parametrize("size", [(33, 47), (65, 65), (8, 100)])
def test_content_is_as_large_as_fits(source, size):
    scale = min(Fraction(size[0], source[0]), Fraction(size[1], source[1]))
    expected = [max(1, round(length * scale)) for length in source]
    assert content_size(tf.constant(source), size).numpy().tolist() == expected
    assert without_tensorflow.content_size(source, size) == tuple(expected)
    assert any(length == largest for length, largest in zip(expected, size, strict=True))


def test_enlarging_is_bilinear_and_fills_with_the_mean():
    image = np.random.default_rng(0).normal(size=[10, 20, 3]).astype(np.float32)
    fitted = letterbox(tf.constant(image[None]), (40, 50)).numpy()[0]
    expected = cv2.resize(image, (50, 25), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(fitted[:25], expected, atol=1e-5)
    assert (fitted[25:] == 0).all()


def test_an_image_of_that_size_stays_as_it_is():
    images = np.random.default_rng(0).normal(size=[2, 33, 47, 3]).astype(np.float32)
    fitted = letterbox(tf.constant(images), (33, 47))
    np.testing.assert_array_equal(fitted, images)
    np.testing.assert_array_equal(undo_letterbox(fitted, tf.constant([33, 47])), images)


def test_making_smaller_smooths():
    # A fine checkerboard is gray from afar; picking pixels would keep black and white.
    board = (np.indices([64, 64]).sum(axis=0) // 2 % 2 * 2 - 1).astype(np.float32)
    fitted = letterbox(tf.constant(np.repeat(board[None, ..., None], 3, axis=-1)), (9, 9)).numpy()
    assert np.abs(fitted[0, 1:-1, 1:-1]).max() < 0.3


def test_predictions_come_back_to_their_pixels():
    # A quarter of the image each has a color of its own.
    image = np.zeros([40, 60, 3], np.float32)
    image[:20, 30:, 0] = image[20:, :30, 1] = image[20:, 30:, 2] = 1
    fitted = letterbox(tf.constant(image[None]), (33, 100))
    back = undo_letterbox(fitted, tf.constant([40, 60])).numpy()[0]
    away_from_edges = np.ones([40, 60], bool)
    away_from_edges[17:23] = away_from_edges[:, 27:33] = False
    np.testing.assert_allclose(back[away_from_edges], image[away_from_edges], atol=1e-5)

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from auto_deeplab.training.loss import cross_entropy

CLASSES = 4


def mean_cross_entropy(labels, logits, ignore_label):
    """The definition: -log of the true class's share, averaged over the pixels that count."""
    logits = logits.astype(np.float64)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    rows, columns = np.nonzero(labels != ignore_label)
    losses = [-np.log(shares[i, j, labels[i, j]]) for i, j in zip(rows, columns, strict=True)]
    return np.mean(losses) if losses else 0.0


@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from([255, CLASSES, 0]))
def test_is_the_mean_over_the_pixels_that_count(data, ignore_label):
    shape = data.draw(st.tuples(*[st.integers(1, 4)] * 2))
    labels = data.draw(
        arrays.arrays(np.int32, shape, elements=st.sampled_from([*range(CLASSES), ignore_label]))
    )
    logits = data.draw(
        arrays.arrays(np.float32, (*shape, CLASSES), elements=st.floats(-20, 20, width=32))
    )
    loss = cross_entropy(labels[None], logits[None], ignore_label)
    assert loss.dtype == tf.float32
    np.testing.assert_allclose(
        loss, mean_cross_entropy(labels, logits, ignore_label), rtol=1e-4, atol=1e-5
    )


def loss_and_gradient(labels, logits):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = cross_entropy(labels, logits, 255)
    return loss.numpy(), tape.gradient(loss, logits).numpy()


def test_without_a_pixel_that_counts_it_is_zero_and_so_is_its_gradient():
    loss, gradient = loss_and_gradient(
        np.full([2, 3, 5], 255, np.int32), np.ones([2, 3, 5, CLASSES], np.float32)
    )
    assert loss == 0
    assert not gradient.any()


def test_ignored_pixels_have_no_gradient():
    labels = np.array([[[0, 255, 3]]], np.int32)
    _, gradient = loss_and_gradient(labels, np.zeros([1, 1, 3, CLASSES], np.float32))
    expected = (1 / CLASSES - np.eye(CLASSES)) / 2
    np.testing.assert_allclose(gradient[0, 0], [expected[0], np.zeros(CLASSES), expected[3]])


@pytest.mark.parametrize("size", [1e4, 1e30, 3e38])
def test_is_finite_for_logits_of_any_size(size):
    logits = np.array([[[[size, -size, 0, 0], [-size, size, size, 0]]]], np.float32)
    for labels in ([[[1, 0]]], [[[0, 255]]], [[[255, 255]]]):
        loss, gradient = loss_and_gradient(np.array(labels, np.int32), logits)
        assert not np.isnan(loss)
        assert np.isfinite(gradient).all()


def test_half_precision_logits_are_summed_in_single_precision():
    labels = np.zeros([1, 300, 300], np.int32)
    loss = cross_entropy(labels, tf.zeros([1, 300, 300, CLASSES], tf.bfloat16), 255)
    np.testing.assert_allclose(loss, np.log(CLASSES), rtol=1e-4)

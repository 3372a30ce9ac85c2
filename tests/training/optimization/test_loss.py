import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from official.vision.losses.segmentation_losses import SegmentationLoss

from auto_deeplab.training.optimization.loss import cross_entropy

CLASSES = 4


def mean_cross_entropy(labels, logits, ignore_label, smoothing=0.0, hard_share=1.0):
    """The definition: -log of the true class's share, averaged over the pixels that count.

    With smoothing each class is a target, too; and of the losses the largest are averaged.
    """
    logits = logits.astype(np.float64)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    losses = []
    for i, j in zip(*np.nonzero(labels != ignore_label), strict=True):
        target = np.full(CLASSES, smoothing / CLASSES)
        target[labels[i, j]] += 1 - smoothing
        losses.append(-(target * np.log(shares[i, j])).sum())
    kept = int(np.ceil(np.float32(hard_share) * np.float32(len(losses))))
    return np.mean(sorted(losses)[-kept:]) if losses else 0.0


@settings(deadline=None, max_examples=40)
@given(
    st.data(),
    st.sampled_from([255, CLASSES, 0]),
    st.sampled_from([0.0, 0.1]),
    st.sampled_from([1.0, 0.7, 0.25]),
)
def test_is_the_mean_over_the_pixels_that_count(data, ignore_label, smoothing, hard_share):
    shape = data.draw(st.tuples(*[st.integers(1, 4)] * 2))
    labels = data.draw(
        arrays.arrays(np.int32, shape, elements=st.sampled_from([*range(CLASSES), ignore_label]))
    )
    logits = data.draw(
        arrays.arrays(np.float32, (*shape, CLASSES), elements=st.floats(-20, 20, width=32))
    )
    loss = cross_entropy(labels[None], logits[None], ignore_label, smoothing, hard_share)
    assert loss.dtype == tf.float32
    expected = mean_cross_entropy(labels, logits, ignore_label, smoothing, hard_share)
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("smoothing", "hard_share"), [(0.1, 1.0), (0.0, 0.2), (0.1, 0.5)])
def test_without_ignored_pixels_it_is_model_gardens(smoothing, hard_share):
    """With them Model Garden counts ignored pixels among the hard ones; ours does not."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, [2, 5, 6]).astype(np.int32)
    logits = rng.normal(size=[2, 5, 6, CLASSES]).astype(np.float32)
    theirs = SegmentationLoss(
        label_smoothing=smoothing,
        class_weights=[],
        ignore_label=255,
        use_groundtruth_dimension=True,
        top_k_percent_pixels=hard_share,
    )(tf.constant(logits), tf.constant(labels[..., None]))
    ours = cross_entropy(labels, logits, 255, smoothing, hard_share)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_easy_pixels_have_no_gradient():
    labels = np.array([[[0, 0, 0, 255]]], np.int32)
    logits = np.zeros([1, 1, 4, CLASSES], np.float32)
    logits[0, 0, :, 0] = [3.0, -3.0, 0.0, -9.0]
    _, gradient = loss_and_gradient(labels, logits, hard_pixel_share=0.34)
    # Two of the three that count: the second and the third.
    assert np.any(gradient[0, 0], axis=-1).tolist() == [False, True, True, False]


def loss_and_gradient(labels, logits, **options):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = cross_entropy(labels, logits, 255, **options)
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

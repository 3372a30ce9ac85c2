"""The confusion matrix against counting one pixel at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from auto_deeplab.evaluation.metrics import ConfusionMatrix

CLASSES = 4


@st.composite
def labeled_images(draw):
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)))
    label = st.sampled_from([*range(CLASSES), 255])
    return (
        draw(arrays.arrays(np.int32, shape, elements=label)),
        draw(arrays.arrays(np.int32, shape, elements=st.integers(0, CLASSES - 1))),
    )


@settings(deadline=None, max_examples=60)
@given(batches=st.lists(labeled_images(), min_size=1, max_size=3))
def test_figures_equal_those_counted_pixel_by_pixel(batches):
    matrix = ConfusionMatrix(CLASSES)
    for labels, predictions in batches:
        matrix.update(labels, predictions)
    pixels = [
        (label, prediction)
        for labels, predictions in batches
        for label, prediction in zip(labels.flat, predictions.flat, strict=True)
        if label != 255
    ]
    ious, accuracies, weighted = [], [], 0.0
    for index in range(CLASSES):
        both = sum(pair == (index, index) for pair in pixels)
        either = sum(index in pair for pair in pixels)
        labeled = sum(label == index for label, _ in pixels)
        if either:
            ious.append(both / either)
            weighted += labeled * both / either
            assert matrix.class_iou[index] == pytest.approx(both / either)
        else:
            assert np.isnan(matrix.class_iou[index])
        if labeled:
            accuracies.append(both / labeled)
            assert matrix.class_accuracy[index] == pytest.approx(both / labeled)
        else:
            assert np.isnan(matrix.class_accuracy[index])
    right = sum(label == prediction for label, prediction in pixels)
    figures = (
        matrix.mean_iou,
        matrix.pixel_accuracy,
        matrix.mean_of_iou_and_accuracy,
        matrix.mean_class_accuracy,
        matrix.frequency_weighted_iou,
    )
    if pixels:
        mean_iou, accuracy = np.mean(ious), right / len(pixels)
        assert figures == pytest.approx(
            (
                mean_iou,
                accuracy,
                (mean_iou + accuracy) / 2,
                np.mean(accuracies),
                weighted / len(pixels),
            )
        )
    else:
        assert np.isnan(figures).all()


def test_a_class_without_labels_counts_in_the_mean_iou_once_it_is_predicted():
    matrix = ConfusionMatrix(CLASSES)
    matrix.update(np.array([0, 0, 255]), np.array([0, 0, 1]))
    assert matrix.mean_iou == 1.0
    matrix.update(np.array([0, 0]), np.array([1, 1]))
    # Class 0 has 2 of 4 pixels, class 1 none of 2; classes 2 and 3 are nowhere.
    assert matrix.mean_iou == 0.25
    assert matrix.mean_class_accuracy == 0.5
    assert matrix.frequency_weighted_iou == 0.5


def test_counts_stay_exact_where_float32_would_stop():
    matrix = ConfusionMatrix(2)
    many = np.zeros(2**24, np.uint8)
    matrix.update(many, many)
    matrix.update(many[:3], many[:3])
    assert matrix.counts[0, 0] == 2**24 + 3


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([CLASSES], [0], "labels"),
        ([-1], [0], "labels"),
        ([0], [CLASSES], "predictions"),
        ([0, 1], [0], "shape"),
    ],
)
def test_wrong_values_are_refused(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        ConfusionMatrix(CLASSES).update(np.array(labels), np.array(predictions))


def test_predictions_at_ignored_pixels_do_not_matter():
    matrix = ConfusionMatrix(CLASSES, ignore_label=7)
    matrix.update(np.array([7, 1]), np.array([99, 1]))
    assert matrix.counts.sum() == matrix.counts[1, 1] == 1

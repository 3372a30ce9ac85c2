import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.visualization.examples import best_and_worst, draw_examples
from tests.datasets import png_example, write_dataset

# How many of the 8 pixels of each image carry the label 1, the others 0; None: nothing is labeled.
ONES = (1, 4, None, 0, 6, 2)


@pytest.fixture
def records(tmp_path):
    """Black images, whose labels alone differ."""
    palette = ((200, 0, 0), (0, 200, 0))
    examples = []
    for number, ones in enumerate(ONES):
        label = np.full(8, 255, np.uint8)
        if ones is not None:
            label[:] = np.arange(8) < ones
        image = np.zeros((2, 4, 3), np.uint8)
        examples.append(png_example(f"{number}", image, label.reshape(2, 4)))
    write_dataset(tmp_path, "few", {"val": examples}, ("a", "b"), palette)
    return SegmentationRecords(tmp_path, "val")


def predict_zeros(images):
    assert images.shape == (1, 2, 4, 3)
    assert float(tf.reduce_max(images)) == -1
    return tf.zeros(images.shape[:3], tf.int32)


def mean_iou(ones):
    """Of all pixels predicted as 0: IOU of 0 is (8 - ones) / 8, that of 1 is 0 where it is."""
    return (8 - ones) / 8 / (2 if ones else 1)


def test_best_and_worst_of_a_network_that_always_says_zero(records):
    best, worst = best_and_worst(predict_zeros, records, images=6, count=2)
    assert [example.number for example in best] == [3, 0]
    assert [example.number for example in worst] == [4, 1]
    for example in (*best, *worst):
        assert example.mean_iou == pytest.approx(mean_iou(ONES[example.number]))
        assert example.image.shape == (2, 4, 3)
        assert int((example.labels == 1).sum()) == ONES[example.number]


@pytest.mark.parametrize(
    ("images", "best", "worst"), [(1, [0], []), (2, [0], [1]), (3, [0], [1]), (4, [3, 0], [1])]
)
def test_no_image_is_best_and_worst(records, images, best, worst):
    found = best_and_worst(predict_zeros, records, images, count=3)
    assert [[example.number for example in part] for part in found] == [best, worst]


def test_large_images_are_reduced_and_the_legend_has_what_is_seen(records):
    (example,), _ = best_and_worst(predict_zeros, records, 1, 1)
    big = example._replace(
        image=np.zeros((500, 1300, 3), np.uint8),
        labels=np.full((500, 1300), 255, np.uint8),
        predictions=np.zeros((500, 1300), np.int32),
    )
    figure = draw_examples([big], records.description)
    assert {axes.images[0].get_array().shape for axes in figure.axes} == {(246, 640, 3)}
    # Pixels without a label keep the image; those that are predicted as a have its color.
    _, labels, predictions = (axes.images[0].get_array() for axes in figure.axes)
    assert labels.max() == 0
    assert tuple(predictions[100, 100]) == (120, 0, 0)
    assert [text.get_text() for text in figure.legends[0].texts] == ["a"]

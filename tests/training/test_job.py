"""What a job says of its settings before it trains."""

from types import SimpleNamespace

import gin
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.models.pixel_grid import PadToGrid
from auto_deeplab.training.job import warn_of_padding


def training_with(crop):
    """As much of a `Training` as is looked at; the largest stride is 8."""
    batches = tf.data.Dataset.from_tensors((tf.zeros([2, *crop, 3]), tf.zeros([2, *crop])))
    return SimpleNamespace(
        pipeline=lambda first_step, steps, context: batches,
        tracked={"model": tf_keras.Sequential([PadToGrid(8)])},
    )


@pytest.mark.parametrize(
    ("crop", "filled", "sizes"),
    [((64, 65), "65x65", "57x65 or 65x65"), ((100, 7), "105x9", "97x1 or 105x9")],
)
def test_crops_that_are_filled_up_are_told_with_the_nearest_good_sizes(caplog, crop, filled, sizes):
    warn_of_padding(training_with(crop))
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith("training_batches.crop_size: ")
    assert f"crops of {crop[0]}x{crop[1]} are filled up to {filled}" in message
    assert message.endswith(f"expected a size of the form 8k+1, such as {sizes}")


def test_nothing_is_said_of_other_crops(caplog):
    warn_of_padding(training_with((33, 49)))
    gin.bind_parameter("pixel_grid.aligned", False)
    warn_of_padding(training_with((64, 64)))
    assert not caplog.records

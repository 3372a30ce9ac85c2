"""Two replicas, two logical CPU devices, which only a fresh process can have."""

from tests.helpers import run_python

TWO_REPLICAS = """
import sys

import auto_deeplab
import numpy as np
import tensorflow as tf

from auto_deeplab.data.pipeline import training_batches
from auto_deeplab.data.segmentation_records import SegmentationRecords

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
records = SegmentationRecords(sys.argv[1], "train")
arguments = {"batch_size": 4, "crop_size": 6, "seed": 3}
distributed = strategy.distribute_datasets_from_function(
    lambda context: training_batches(records, **arguments, input_context=context)
)
steps = 0
for parts, whole in zip(distributed, training_batches(records, **arguments).take(3)):
    for part, expected in zip(parts, whole, strict=True):
        values = strategy.experimental_local_results(part)
        assert [value.shape[0] for value in values] == [2, 2]
        np.testing.assert_array_equal(np.concatenate(values), expected)
    steps += 1
print(f"{steps} steps agree")
"""


def test_replicas_get_the_parts_of_each_batch(make_dataset):
    done = run_python("-c", TWO_REPLICAS, make_dataset(9))
    assert done.returncode == 0, done.stderr
    assert "3 steps agree" in done.stdout

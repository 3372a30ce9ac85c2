"""Training on two replicas: two logical CPU devices, which only a fresh process can have."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

TWO_REPLICAS = """
import auto_deeplab
import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras.optimizers import legacy

from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.training.retrain_model import RetrainModel
from auto_deeplab.training.search_model import SearchModel
from auto_deeplab.training.update import create_slots
from auto_deeplab.training.weight_average import WeightAverage

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert mirrored.num_replicas_in_sync == 2

rng = np.random.default_rng(0)
one_image = rng.normal(size=[1, 33, 33, 3]).astype(np.float32)
one_label = rng.integers(0, 3, [1, 33, 33]).astype(np.int32)
one_label[:, :9] = 255
one = (one_image, one_label)
twice = tuple(np.concatenate([array, array]) for array in one)


def search(strategy, batch):
    with strategy.scope():
        tf_keras.utils.set_random_seed(1)
        supernet = Supernet(
            3, layers=2, strides=(4, 8), blocks=1, filters=4, operations=("none", "sep_conv_3x3")
        )
        model = SearchModel(supernet)
        model.compile(legacy.SGD(0.1, 0.9), legacy.Adam(0.01))
    histories = []
    for data in ({"network": batch}, {"network": batch, "architecture": batch}):
        dataset = tf.data.Dataset.from_tensor_slices(data).repeat(2).batch(len(batch[0]))
        histories.append(model.fit(dataset, verbose=0).history)
    return supernet, histories


def assert_replicas_agree(variables):
    for variable in variables:
        first, second = (value.numpy() for value in variable.values)
        np.testing.assert_array_equal(first, second, err_msg=variable.name)


supernet, histories = search(mirrored, twice)
alone, expected = search(tf.distribute.get_strategy(), one)
assert [sorted(history) for history in histories] == [["loss"], ["architecture_loss", "loss"]]
for history, expected_history in zip(histories, expected):
    for name, values in expected_history.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-4, err_msg=name)
assert_replicas_agree(supernet.trainable_variables)
# Two equal halves give the gradients, and the statistics, of one.
for variable, expected_variable in zip(supernet.weights, alone.weights, strict=True):
    np.testing.assert_allclose(
        variable.numpy(), expected_variable.numpy(), rtol=2e-3, atol=1e-4, err_msg=variable.name
    )
assert np.abs(supernet.alpha.numpy()).max() > 0.01


class Linear(tf_keras.Model):
    def __init__(self):
        super().__init__()
        self.convolution = tf_keras.layers.Conv2D(3, 1)

    def call(self, images, training=False):
        return self.convolution(images)


# Replicas that differ in how many pixels count: the mean is over the pixels, not the replicas.
uneven = np.concatenate([one_label, np.full_like(one_label, 255)])
uneven[1, 0, :2] = 1
images = rng.normal(size=[2, 33, 33, 3]).astype(np.float32)
results = []
for strategy in (mirrored, tf.distribute.get_strategy()):
    with strategy.scope():
        tf_keras.utils.set_random_seed(1)
        network = Linear()
        network.build([None, None, None, 3])
        averaged = Linear()
        averaged.build([None, None, None, 3])
        average = WeightAverage(network, averaged, decay=0.5)
        model = RetrainModel(
            network, total_steps=3, weight_decay=0.1, gradient_clip_norm=0.1, average=average
        )
        model.compile(legacy.SGD(0.5, 0.9))
        create_slots(model.optimizer, network.trainable_variables)
    dataset = tf.data.Dataset.from_tensor_slices((images, uneven)).repeat(3).batch(2)
    history = model.fit(dataset, verbose=0).history
    variables = network.trainable_variables + averaged.trainable_variables
    results.append((history["loss"], [v.numpy() for v in variables]))
    if strategy is mirrored:
        assert_replicas_agree(variables)
np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
for value, expected_value in zip(results[0][1], results[1][1], strict=True):
    np.testing.assert_allclose(value, expected_value, rtol=1e-4, atol=1e-6)
print("both agree")
"""


def test_two_replicas_train_like_one():
    done = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "both agree" in done.stdout

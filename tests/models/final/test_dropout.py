"""Dropout: what it drops, how much, when, and for whom."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.drawing import drawing_for
from auto_deeplab.models.final.dropout import StatelessDropout
from tests.helpers import run_python

# Two logical devices, which only a fresh process can have.
TWO_REPLICAS = """
import auto_deeplab
import tensorflow as tf

from auto_deeplab.models.final.drawing import drawing_for
from auto_deeplab.models.final.dropout import StatelessDropout

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layer = StatelessDropout(0.5, seed=1)

@tf.function
def drop():
    with drawing_for(step=1):
        return layer(tf.ones([100]), training=True)

first, second = (value.numpy() for value in strategy.run(drop).values)
assert 25 < (first == second).sum() < 75
"""


def kept(rate=0.5, seed=1, step=7, part=0):
    """Which of 100 values a layer keeps."""
    with drawing_for(step, part):
        return (StatelessDropout(rate, seed)(tf.ones([100]), training=True) > 0).numpy()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_values_are_dropped_or_scaled_up_and_the_expectation_is_preserved(rate):
    features = tf.random.uniform([2, 100, 100, 2], 1, 2)
    layer = StatelessDropout(rate, seed=1)
    with drawing_for(step=3):
        output = layer(features, training=True).numpy()
    is_kept = output != 0
    np.testing.assert_allclose(output[is_kept], (features / (1 - rate)).numpy()[is_kept], rtol=1e-5)
    # Five standard deviations of the mean of 40,000 draws.
    assert abs(is_kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / 40_000)


@pytest.mark.parametrize("training", [False, None])
def test_inference_is_the_identity_and_names_no_step(training):
    features = tf.random.normal([2, 3, 3, 4])
    np.testing.assert_array_equal(StatelessDropout(0.5)(features, training=training), features)


def test_what_is_dropped_follows_from_seed_step_and_part():
    expected = kept()
    # Whatever was drawn before, and whether the numbers are known when a graph is made or not.
    np.testing.assert_array_equal(kept(), expected)
    np.testing.assert_array_equal(
        kept(step=tf.constant(7, tf.int64), part=tf.constant(0)), expected
    )
    for others in (kept(step=8), kept(seed=2), kept(part=1)):
        # Of two independent draws about half are the same.
        assert 25 < (others == expected).sum() < 75


def test_replicas_drop_independently():
    done = run_python("-c", TWO_REPLICAS)
    assert done.returncode == 0, done.stderr


def test_a_call_in_training_that_names_no_step_is_refused():
    with pytest.raises(UserError, match=r"head: received a call in training that names no step;"):
        StatelessDropout(0.5, name="head")(tf.ones([2]), training=True)


def test_half_precision_stays():
    with drawing_for(step=1):
        output = StatelessDropout(0.5, dtype="float16")(tf.ones([50], tf.float16), training=True)
    assert output.dtype == tf.float16
    assert set(output.numpy()) == {0, 2}


def test_a_layer_has_no_variables_and_is_seeded_as_keras_is():
    seeds = []
    for seed in (1, 1, 2):
        tf_keras.utils.set_random_seed(seed)
        layer = StatelessDropout(0.5)
        assert layer.weights == []
        seeds.append(layer.seed)
    assert seeds[0] == seeds[1] != seeds[2]


@pytest.mark.parametrize("rate", [-0.1, 1])
def test_rates_out_of_range_are_refused(rate):
    with pytest.raises(ValueError, match="received"):
        StatelessDropout(rate)


def test_layer_is_rebuilt_from_its_config():
    layer = StatelessDropout(0.25)
    assert StatelessDropout.from_config(layer.get_config()).get_config() == layer.get_config()

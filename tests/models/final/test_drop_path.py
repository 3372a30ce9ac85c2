"""Scheduled drop path: what it keeps, when, and for whom."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.models.final.cell import FinalCell
from auto_deeplab.models.final.drawing import drawing_for
from auto_deeplab.models.final.drop_path import ScheduledDropPath, set_step_ratio
from auto_deeplab.search_space import Branch
from tests.helpers import run_python

# Two logical devices, which only a fresh process can have.
TWO_REPLICAS = """
import auto_deeplab
import numpy as np
import tensorflow as tf

from auto_deeplab.models.final.drop_path import ScheduledDropPath

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layer = ScheduledDropPath(0.5, layer_ratio=1.0, seed=1)
    layer.step_ratio.assign(1.0)
drop = tf.function(lambda: layer(tf.ones([100, 1, 1, 1]), training=True))
first, second = (value.numpy() for value in strategy.run(drop).values)
assert 25 < (first == second).sum() < 75
"""

RATIOS = st.floats(0, 1)


@settings(deadline=None, max_examples=25)
@given(final_keep_prob=st.floats(0.05, 1), layer_ratio=RATIOS, step_ratio=RATIOS)
def test_images_are_dropped_whole_or_scaled_up(final_keep_prob, layer_ratio, step_ratio):
    layer = ScheduledDropPath(final_keep_prob, layer_ratio)
    images = tf.random.normal([64, 2, 3, 4])
    layer(images)
    set_step_ratio(layer_holder(layer), step_ratio)
    keep_prob = 1 - step_ratio * layer_ratio * (1 - final_keep_prob)
    np.testing.assert_allclose(layer.keep_prob(), keep_prob, rtol=1e-5)

    output = layer(images, training=True).numpy()
    for image, result in zip(images.numpy(), output, strict=True):
        if np.any(result):
            np.testing.assert_allclose(result, image / keep_prob, rtol=1e-5)
    np.testing.assert_array_equal(layer(images, training=False), images)
    np.testing.assert_array_equal(layer(images), images)


def layer_holder(layer):
    holder = tf.Module()
    holder.layer = layer
    return holder


@pytest.mark.parametrize("keep_prob", [0.9, 0.5, 0.1])
def test_expectation_is_preserved(keep_prob):
    layer = ScheduledDropPath(keep_prob, layer_ratio=1.0, seed=1)
    images = tf.ones([40_000, 1, 1, 1])
    layer(images)
    layer.step_ratio.assign(1.0)
    output = layer(images, training=True).numpy()
    # Five standard deviations of the mean of 40,000 draws.
    tolerance = 5 * np.sqrt((1 - keep_prob) / keep_prob / 40_000)
    assert abs(output.mean() - 1) < tolerance
    assert abs((output > 0).mean() - keep_prob) < tolerance


def test_nothing_is_dropped_at_the_first_step():
    layer = ScheduledDropPath(0.1, layer_ratio=1.0)
    images = tf.random.normal([1000, 1, 1, 1])
    np.testing.assert_array_equal(layer(images, training=True), images)


def kept(step_ratio, seed=1, branch=0):
    """Which of 100 images a layer with a keep probability of 0.5 keeps."""
    layer = ScheduledDropPath(1 - 0.5 / step_ratio, layer_ratio=1.0, seed=seed)
    layer.build([])
    layer.step_ratio.assign(step_ratio)
    return (layer(tf.ones([100, 1, 1, 1]), training=True, branch=branch) > 0).numpy().ravel()


def test_what_is_dropped_follows_from_seed_step_and_branch():
    expected = kept(0.75)
    # Whatever was drawn before: a layer of another process draws the same.
    np.testing.assert_array_equal(kept(0.75), expected)
    next_step = float(np.nextafter(np.float32(0.75), np.float32(1)))
    for others in (kept(next_step), kept(0.75, seed=2), kept(0.75, branch=1)):
        # Of two independent draws about half are the same.
        assert 25 < (others == expected).sum() < 75


def test_the_parts_of_a_batch_are_dropped_independently():
    whole = kept(0.75)
    draws = []
    for part in (0, 1, tf.constant(1), 2):
        with drawing_for(step=3, part=part):
            draws.append(kept(0.75))
    np.testing.assert_array_equal(draws[0], whole)
    np.testing.assert_array_equal(draws[1], draws[2])
    for first, second in ((0, 1), (0, 3), (1, 3)):
        assert 25 < (draws[first] == draws[second]).sum() < 75
    np.testing.assert_array_equal(kept(0.75), whole)


def test_a_layer_is_seeded_as_keras_is():
    seeds = []
    for seed in (1, 1, 2):
        tf_keras.utils.set_random_seed(seed)
        seeds.append(ScheduledDropPath(0.5, 1.0).seed)
    assert seeds[0] == seeds[1] != seeds[2]


def test_replicas_drop_independently():
    done = run_python("-c", TWO_REPLICAS)
    assert done.returncode == 0, done.stderr


def test_a_ratio_beyond_the_end_counts_as_the_end():
    layer = ScheduledDropPath(0.25, layer_ratio=1.0)
    layer.step_ratio.assign(3.0)
    assert layer.keep_prob() == 0.25


def test_skip_is_never_dropped_and_all_else_is():
    # A keep probability this small drops every image of a small batch, nearly surely.
    images = tf.random.normal([4, 6, 6, 3])
    for op, dropped in [("skip", False), ("max_pool_3x3", True), ("sep_conv_3x3", True)]:
        cell = FinalCell(
            [[Branch("prev", op), Branch("prev", op)]], 3, stride=2, final_keep_prob=1e-9
        )
        cell((images, images))
        set_step_ratio(cell, 1.0)
        assert np.any(cell((images, images), training=True)) != dropped
        assert np.any(cell((images, images), training=False))


def test_the_branches_of_a_block_are_dropped_independently():
    tf_keras.utils.set_random_seed(2)
    images = tf.zeros([200, 2, 2, 3])
    branch = Branch("prev", "max_pool_3x3")
    cell = FinalCell([[branch, branch]], 3, final_keep_prob=0.5)
    cell((images, images))
    set_step_ratio(cell, 1.0)
    # Of zeros the convolution makes zeros, and batch norm its offset, the last weight.
    for projection in cell.projections.values():
        projection.trainable_weights[-1].assign([1.0, 1.0, 1.0])
    output = cell((images, images), training=True)[:, 0, 0, 0].numpy()
    # A branch is 1 before it is dropped, or doubled: none, one or both of them are kept.
    values, counts = np.unique(output, return_counts=True)
    np.testing.assert_array_equal(values, [0, 2, 4])
    # Five standard deviations.
    np.testing.assert_allclose(counts, [50, 100, 50], atol=36)


def test_step_ratio_is_saved_but_not_trained(tmp_path):
    def network():
        images = tf_keras.Input([4, 4, 3])
        return tf_keras.Model(images, ScheduledDropPath(0.5, 1.0)(images))

    trained, loaded = network(), network()
    set_step_ratio(trained, 0.25)
    assert not trained.trainable_weights
    path = tf.train.Checkpoint(model=trained).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(model=loaded).read(path).assert_consumed()
    assert loaded.layers[-1].step_ratio.numpy() == 0.25


@pytest.mark.parametrize(("final_keep_prob", "layer_ratio"), [(0, 0.5), (1.1, 0.5), (0.5, 1.5)])
def test_arguments_out_of_range_are_refused(final_keep_prob, layer_ratio):
    with pytest.raises(ValueError, match="received"):
        ScheduledDropPath(final_keep_prob, layer_ratio)


def test_layer_is_rebuilt_from_its_config():
    layer = ScheduledDropPath(0.8, 0.25)
    assert ScheduledDropPath.from_config(layer.get_config()).get_config() == layer.get_config()

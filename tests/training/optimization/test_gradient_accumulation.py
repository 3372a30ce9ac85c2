"""A batch in parts: against the direct step, and against the parts' gradients summed by hand."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras.optimizers import legacy

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.network import build_network
from auto_deeplab.training.optimization.accumulation import check_parts, check_synchronization
from auto_deeplab.training.optimization.loss import counted_pixels, cross_entropy
from auto_deeplab.training.optimization.update import create_slots
from auto_deeplab.training.retrain_model import RetrainModel
from auto_deeplab.training.search_model import SearchModel
from tests.architectures import SMALL_GENOTYPE
from tests.helpers import run_python

TOLERANCE = 1e-5
RATE, DECAY, PARTS = 0.1, 1e-3, 2


def make_batch(images, seed=0):
    """Images of which the first have fewer pixels that count."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(size=[images, 33, 33, 3]).astype(np.float32)
    labels = rng.integers(0, 3, [images, 33, 33]).astype(np.int32)
    for index, label in enumerate(labels):
        label[: 24 - 6 * index] = 255
    return pixels, labels


@pytest.fixture
def levels(make_supernet):
    """What makes a network, its variables of a level, and their update in so many parts."""

    def search(level):
        def make(parts):
            model = SearchModel(make_supernet(), 255, DECAY, DECAY, parts)
            model.compile(legacy.SGD(RATE), legacy.SGD(RATE))
            supernet = model.supernet
            of_level = {
                "network": (supernet.network_variables, model.run_network_update),
                "architecture": (supernet.architecture_variables, model.run_architecture_update),
            }
            return (supernet, *of_level[level])

        return make

    def retrain(parts):
        tf_keras.utils.set_random_seed(1)
        network = build_network(SMALL_GENOTYPE, 3, filters=4, batch_norm_momentum=0.5)
        model = RetrainModel(network, 10, weight_decay=DECAY, gradient_accumulation_steps=parts)
        model.compile(legacy.SGD(RATE))
        create_slots(model.optimizer, network.trainable_variables)

        @tf.function(autograph=False)
        def run(images, labels):
            return model.train_step((images, labels))["loss"]

        return network, network.trainable_variables, run

    return {
        "network": search("network"),
        "architecture": search("architecture"),
        "retrain": retrain,
    }


def assert_close(values, expected, names):
    for value, wanted, name in zip(values, expected, names, strict=True):
        scale = max(1.0, np.abs(wanted).max())
        np.testing.assert_allclose(value, wanted, atol=TOLERANCE * scale, err_msg=name)


def values_of(variables):
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize("level", ["network", "architecture", "retrain"])
def test_equal_parts_give_the_direct_step(level, levels, smooth):
    """Parts that are copies have the statistics of the whole batch."""
    one = make_batch(2)
    copies = [np.concatenate([array] * PARTS) for array in one]
    results = []
    for parts in (1, PARTS):
        _, variables, update = levels[level](parts)
        before = values_of(variables)
        losses = [float(update(*copies)) for _ in range(2)]
        results.append((losses, values_of(variables)))
    (losses, values), (losses_of_parts, values_of_parts) = results
    np.testing.assert_allclose(losses_of_parts, losses, rtol=TOLERANCE)
    assert_close(values_of_parts, values, [variable.name for variable in variables])
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(values, before, strict=True))


@pytest.mark.parametrize("level", ["network", "architecture", "retrain"])
def test_parts_give_the_sum_of_their_gradients(level, levels, smooth):
    """Each part weighs as many pixels as count in it, and moves the statistics in its turn."""
    images, labels = make_batch(2 * PARTS)
    network, variables, update = levels[level](PARTS)
    before = values_of(variables)
    loss = float(update(images, labels))

    other, other_variables, _ = levels[level](1)

    @tf.function(autograph=False)
    def gradients(images, labels):
        counts = labels != 255
        with tf.GradientTape() as tape:
            logits = other(images, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.boolean_mask(labels, counts), tf.boolean_mask(logits, counts)
            )
            total = tf.reduce_sum(losses)
        return total, tape.gradient(total, other_variables)

    pixels = np.count_nonzero(labels != 255)
    results = [gradients(images[part], labels[part]) for part in (slice(0, 2), slice(2, 4))]
    totals, of_parts = zip(*results, strict=True)
    assert loss == pytest.approx(sum(map(float, totals)) / pixels, rel=TOLERANCE)
    decays = level != "retrain"
    expected = [
        value - RATE * (sum(of_variable) / pixels + DECAY * value * (decays or "kernel" in v.name))
        for v, value, *of_variable in zip(other_variables, before, *of_parts, strict=True)
    ]
    assert_close(values_of(variables), expected, [variable.name for variable in variables])
    statistics = network.non_trainable_variables
    assert_close(
        values_of(statistics),
        values_of(other.non_trainable_variables),
        [variable.name for variable in statistics],
    )


@pytest.mark.parametrize("hard_pixel_share", [1.0, 0.3])
def test_shares_of_the_loss_add_up(hard_pixel_share):
    _, labels = make_batch(4)
    logits = np.random.default_rng(1).normal(size=[4, 33, 33, 3]).astype(np.float32)
    pixels = counted_pixels(labels, 255, hard_pixel_share, parts=2)
    shares, sums, counts = [], [], []
    for part in (slice(0, 2), slice(2, 4)):
        shares.append(
            cross_entropy(
                labels[part], logits[part], 255, hard_pixel_share=hard_pixel_share, pixels=pixels
            )
        )
        mean = cross_entropy(labels[part], logits[part], 255, hard_pixel_share=hard_pixel_share)
        count = np.ceil(np.float32(hard_pixel_share) * np.count_nonzero(labels[part] != 255))
        sums.append(float(mean) * count)
        counts.append(count)
    assert float(pixels) == sum(counts)
    assert float(sum(shares)) == pytest.approx(sum(sums) / sum(counts), rel=TOLERANCE)


@pytest.mark.parametrize(("parts", "replicas"), [(0, 1), (3, 1), (8, 2)])
def test_a_batch_that_cannot_be_divided_is_a_user_error(parts, replicas):
    with pytest.raises(
        UserError,
        match=rf"Search.gradient_accumulation_steps: received {parts}; expected a divisor of "
        rf"the {8 // replicas} images that a replica has of each batch",
    ):
        check_parts("Search.gradient_accumulation_steps", parts, 8, replicas)
    check_parts("Search.gradient_accumulation_steps", 8 // replicas, 8, replicas)


def test_synchronized_batch_norm_on_several_replicas_is_a_user_error():
    name = "Search.gradient_accumulation_steps"
    check_synchronization(name, parts=2, replicas=1, synchronized=True)
    check_synchronization(name, parts=1, replicas=2, synchronized=True)
    check_synchronization(name, parts=2, replicas=2, synchronized=False)
    with pytest.raises(
        UserError,
        match=r"Search.gradient_accumulation_steps: received 2 .* on 2 replicas; expected 1",
    ):
        check_synchronization(name, parts=2, replicas=2, synchronized=True)


# Two logical devices, which only a fresh process can have.
TWO_REPLICAS = """
import auto_deeplab
import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras.optimizers import legacy

from auto_deeplab.training.retrain_model import RetrainModel
from auto_deeplab.training.optimization.update import create_slots

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
rng = np.random.default_rng(0)
images = rng.normal(size=[4, 9, 9, 3]).astype(np.float32)
labels = rng.integers(0, 3, [4, 9, 9]).astype(np.int32)
for index, label in enumerate(labels):
    label[: 2 * index] = 255
results = []
for strategy, parts in (
    (tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), 2),
    (tf.distribute.get_strategy(), 1),
):
    with strategy.scope():
        tf_keras.utils.set_random_seed(1)
        network = tf_keras.Sequential([tf_keras.layers.Conv2D(3, 1, input_shape=[None, None, 3])])
        model = RetrainModel(network, total_steps=3, gradient_accumulation_steps=parts)
        model.compile(legacy.SGD(0.5, 0.9))
        create_slots(model.optimizer, network.trainable_variables)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).repeat(3).batch(4)
    losses = model.fit(dataset, verbose=0).history["loss"]
    results.append(losses + [variable.numpy() for variable in network.trainable_variables])
for value, expected in zip(*results, strict=True):
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
"""


def test_parts_of_two_replicas_give_the_step_of_one():
    """Without batch norm, how a batch is divided makes no difference."""
    done = run_python("-c", TWO_REPLICAS)
    assert done.returncode == 0, done.stderr

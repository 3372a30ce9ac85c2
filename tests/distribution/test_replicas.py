"""Training on several replicas: logical CPU devices, which only a fresh process can have."""

import pytest

from tests.helpers import run_python

# Where an activation is zero but for rounding, ReLU and max pool send the gradient elsewhere: with
# them two correct computations differ by 1e-4 after 20 steps, as with any other rounding.
REPLICAS = """
import sys
from pathlib import Path

import auto_deeplab
import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras.optimizers import legacy

tf.nn.relu = tf.nn.elu

from auto_deeplab.cost import ExpectedCost
from auto_deeplab.distribution.settings import Distribution
from auto_deeplab.distribution.strategy import make_strategy
from auto_deeplab.evaluation.inference import ReplicatedPrediction
from auto_deeplab.models.final.network import build_network
from auto_deeplab.models.supernet.fast import mixed_operations
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.search_space import Branch, Genotype
from auto_deeplab.training.checkpoints.checkpoints import Checkpoints
from auto_deeplab.training.loop.divergence import largest_gradients
from auto_deeplab.training.optimization.architecture_penalties import ArchitecturePenalties, sum_of
from auto_deeplab.training.optimization.cost_penalty import CostPenalty
from auto_deeplab.training.optimization.loss import cross_entropy
from auto_deeplab.training.optimization.schedules import Linear, ScheduledVariables
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.retrain_model import RetrainModel
from auto_deeplab.training.search_model import SearchModel
from auto_deeplab.training.optimization.update import create_slots
from auto_deeplab.training.optimization.weight_average import WeightAverage
from tests.cost_tables import made_up_table

mixed_operations.POOLS["max_pool_3x3"] = lambda images, size, stride, padding: tf.math.log(
    tf.nn.avg_pool2d(tf.exp(images), size, stride, padding)
)
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
replicas = int(sys.argv[2])
mirrored = make_strategy(Distribution("mirrored", logical_cpus=replicas))
assert mirrored.num_replicas_in_sync == replicas
alone = tf.distribute.get_strategy()

STEPS, BATCH = 20, 4
rng = np.random.default_rng(0)
images = rng.normal(size=[STEPS * BATCH, 33, 33, 3]).astype(np.float32)
labels = rng.integers(0, 3, [STEPS * BATCH, 33, 33]).astype(np.int32)
# So that replicas differ in how many pixels count.
labels[::BATCH, :20] = 255


def divided(strategy, data, batch_size):
    return strategy.distribute_datasets_from_function(
        lambda context: tf.data.Dataset.from_tensor_slices(data)
        .batch(context.get_per_replica_batch_size(batch_size), drop_remainder=True)
    )


def search(strategy, folder, recompute, **config):
    with strategy.scope():
        tf_keras.utils.set_random_seed(1)
        supernet = Supernet(
            3,
            layers=2,
            strides=(4, 8),
            blocks=1,
            filters=4,
            operations=("none", "max_pool_3x3", "skip", "sep_conv_3x3"),
            recompute=recompute,
            auxiliary_skip=True,
            **config,
        )
        penalties = ArchitecturePenalties(lambda: supernet.alpha, ["logsumexp_weight"])
        scheduled = ScheduledVariables(
            {
                "auxiliary_skip": Linear(1.0, 0.0, 0, STEPS - 1),
                "logsumexp_weight": Linear(0.0, 1.0, 0, STEPS - 1),
            },
            {"auxiliary_skip": supernet.auxiliary_skip} | penalties.weights,
        )
        table = made_up_table(supernet.cell_graph, supernet.trellis_graph)
        cost = CostPenalty(supernet.architecture_logits, ExpectedCost(table), 0.1, 100.0)
        penalty = sum_of([penalties, cost])
        model = SearchModel(supernet, scheduled=scheduled, architecture_penalty=penalty)
        model.compile(legacy.SGD(0.05, 0.9), legacy.Adam(0.01))
        checkpoints = Checkpoints(
            ModelDir(Path(sys.argv[1]) / folder),
            1e9,
            model=supernet,
            optimizer=model.network_optimizer,
            architecture_optimizer=model.architecture_optimizer,
        )
    return model, checkpoints


class Curve(tf_keras.callbacks.Callback):
    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append([float(logs["loss"]), float(logs["architecture_loss"])])


def train(strategy, model):
    curve = Curve()
    data = {"network": (images, labels), "architecture": (images[::-1], labels[::-1])}
    model.fit(divided(strategy, data, BATCH), steps_per_epoch=STEPS, callbacks=[curve], verbose=0)
    return np.array(curve.losses)


def assert_replicas_agree(variables):
    for variable in variables:
        first, *others = (value.numpy() for value in variable.values)
        for other in others:
            np.testing.assert_array_equal(first, other, err_msg=variable.name)


# One replica as ever; several with the statistics of all, whatever is evaluated again.
model, _ = search(alone, "alone", "cell")
expected = train(alone, model)
assert expected.shape == (STEPS, 2) and expected[-1, 0] < 0.9 * expected[0, 0]
expected_supernet = model.supernet
assert np.abs(expected_supernet.alpha.numpy()).max() > 0.05
recompute = {2: "cell", 4: "layer"}[replicas]
model, checkpoints = search(
    mirrored, "mirrored", recompute, unroll=True, synchronized_batch_norm=True
)
losses = train(mirrored, model)
supernet = model.supernet
print(
    "largest difference of a loss",
    np.abs(losses - expected).max(),
    "of alpha",
    np.abs(supernet.alpha.numpy() - expected_supernet.alpha.numpy()).max(),
    "of beta",
    np.abs(supernet.beta.numpy() - expected_supernet.beta.numpy()).max(),
)
np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-5)
for name in ("alpha", "beta"):
    np.testing.assert_allclose(
        getattr(supernet, name).numpy(),
        getattr(expected_supernet, name).numpy(),
        rtol=0,
        atol=1e-5,
    )
for variable, other in zip(supernet.weights, expected_supernet.weights, strict=True):
    np.testing.assert_allclose(
        variable.numpy(), other.numpy(), rtol=1e-4, atol=1e-4, err_msg=variable.name
    )
assert_replicas_agree(supernet.trainable_variables)
if replicas == 4:
    print("all agree")
    sys.exit()

# What several replicas save one can go on with.
checkpoints.save()
checkpoints.wait()
other, other_checkpoints = search(alone, "mirrored", "none")
other_checkpoints.restore()
assert other_checkpoints.finished_steps == STEPS
for values, others in (
    (supernet.weights, other.supernet.weights),
    (model.network_optimizer.weights, other.network_optimizer.weights),
    (model.architecture_optimizer.weights, other.architecture_optimizer.weights),
):
    for value, restored in zip(values, others, strict=True):
        np.testing.assert_array_equal(value.numpy(), restored.numpy(), err_msg=value.name)

# Images of different sizes, no multiple of the replicas: each is predicted as it would be alone.
batches = [tf.constant(rng.normal(size=[1, 30, width, 3]), tf.float32) for width in (33, 40, 25)]
predict, predict_alone = (
    ReplicatedPrediction(each.supernet, (1.0,), True, True) for each in (model, other)
)
assert (predict.replicas, predict_alone.replicas) == (2, 1)
for value, alone_value in zip(predict(batches), predict_alone(batches), strict=True):
    np.testing.assert_allclose(value, alone_value, atol=1e-5)

# The gradients that explain a divergence are those of the whole batch.
def largest(strategy, supernet):
    batch = next(iter(divided(strategy, (images[:BATCH], labels[:BATCH]), BATCH)))
    return largest_gradients(
        lambda part: cross_entropy(part[1], supernet(part[0], training=True), 255),
        batch,
        strategy,
    )


for (layer, norm), (other_layer, other_norm) in zip(
    largest(mirrored, supernet), largest(alone, other.supernet), strict=True
):
    assert layer == other_layer
    np.testing.assert_allclose(norm, other_norm, rtol=1e-3)

# By default a replica has its own statistics, and layers alike are a loop. Equal parts of the
# batch have the gradients and the statistics of one of them. What is saved is the mean.
def repeated(strategy, batch):
    with strategy.scope():
        tf_keras.utils.set_random_seed(1)
        supernet = Supernet(
            3, layers=4, strides=(4, 8), blocks=1, filters=4, operations=("none", "sep_conv_3x3")
        )
        model = SearchModel(supernet)
        model.compile(legacy.SGD(0.1, 0.9), legacy.Adam(0.01))
        checkpoints = Checkpoints(
            ModelDir(Path(sys.argv[1]) / f"own{len(batch[0])}"),
            1e9,
            model=supernet,
            optimizer=model.network_optimizer,
        )
    # The weights' update alone: the one of the architecture goes through the same cells.
    data = {"network": batch}
    dataset = tf.data.Dataset.from_tensor_slices(data).repeat(2).batch(len(batch[0]))
    return supernet, model, checkpoints, model.fit(dataset, verbose=0).history


one = (images[:1], labels[:1])
twice = tuple(np.concatenate([array, array]) for array in one)
supernet, model, checkpoints, history = repeated(mirrored, twice)
expected_supernet, *_, expected_history = repeated(alone, one)
for name, values in expected_history.items():
    np.testing.assert_allclose(history[name], values, rtol=1e-4, err_msg=name)
assert_replicas_agree(supernet.trainable_variables)
for variable, other in zip(supernet.weights, expected_supernet.weights, strict=True):
    np.testing.assert_allclose(
        variable.numpy(), other.numpy(), rtol=2e-3, atol=1e-4, err_msg=variable.name
    )
different = {"network": (images[:2], labels[:2])}
model.fit(divided(mirrored, different, 2), steps_per_epoch=1, verbose=0)
moving = supernet.trellis.segments[0].nodes[0].moving_mean
first, second = (value.numpy() for value in moving.values)
assert np.abs(first - second).max() > 1e-3
checkpoints.save()
for value in moving.values:
    np.testing.assert_allclose(value.numpy(), (first + second) / 2, rtol=1e-6)

# The final network: shared statistics, an average of the weights, unequal parts of the loss.
small = Genotype("small", (4, 8), ((Branch("prev", "sep_conv_3x3"), Branch("prev_prev", "skip")),))
results = []
for strategy in (alone, mirrored):
    with strategy.scope():
        tf_keras.utils.set_random_seed(1)
        network, averaged = (
            build_network(
                small,
                3,
                filters=4,
                aspp_filters=8,
                decoder_filters=8,
                batch_norm_momentum=0.9,
                synchronized_batch_norm=strategy is mirrored,
            )
            for _ in range(2)
        )
        model = RetrainModel(
            network,
            total_steps=3,
            weight_decay=0.01,
            gradient_clip_norm=0.5,
            average=WeightAverage(network, averaged, decay=0.5),
        )
        model.compile(legacy.SGD(0.1, 0.9))
        create_slots(model.optimizer, network.trainable_variables)
    curve = tf_keras.callbacks.History()
    model.fit(
        divided(strategy, (images, labels), BATCH),
        steps_per_epoch=1,
        epochs=3,
        callbacks=[curve],
        verbose=0,
    )
    results.append((curve.history["loss"], averaged))
    if strategy is mirrored:
        assert_replicas_agree(averaged.trainable_variables)
print("final network: losses", [losses for losses, _ in results])
np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-5)
for value, other in zip(results[1][1].trainable_variables, results[0][1].trainable_variables):
    np.testing.assert_allclose(value.numpy(), other.numpy(), rtol=1e-3, atol=1e-5)
print("all agree")
"""


@pytest.mark.parametrize("replicas", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_replicas_train_and_predict_like_one(replicas, tmp_path):
    done = run_python("-c", REPLICAS, str(tmp_path), str(replicas))
    assert done.returncode == 0, done.stderr
    assert "all agree" in done.stdout

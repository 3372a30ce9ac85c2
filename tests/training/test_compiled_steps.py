"""What XLA, and with it a TPU, asks of every step.

Shapes are static, nothing is on the host, and it compiles to the same results.
"""

import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras.optimizers import legacy

from auto_deeplab.evaluation.inference import class_map_function
from auto_deeplab.models.final.network import build_network
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.search_space import OPERATIONS
from auto_deeplab.training.optimization.update import create_slots
from auto_deeplab.training.retrain_model import RetrainModel
from auto_deeplab.training.search_model import SearchModel
from tests.architectures import SMALL_GENOTYPE
from tests.trainings import all_operations

PARTS = 2
# Operations that call back into Python, or talk to the host out of a compiled program.
ON_THE_HOST = re.compile(r"PyFunc|Host|Infeed|Outfeed|^Print|Summary|Iterator")

# What batch norm leaves for its own gradient alone has no rank, wherever it is passed on.
WITHOUT_RANK = ("FusedBatchNormV3", "ZerosLike", "Placeholder")


def make_batch():
    rng = np.random.default_rng(0)
    images = rng.normal(size=[2 * PARTS, 33, 33, 3]).astype(np.float32)
    labels = rng.integers(0, 3, [2 * PARTS, 33, 33]).astype(np.int32)
    labels[:, :9] = 255
    return tf.constant(images), tf.constant(labels)


def assert_static_and_on_the_device(concrete_function):
    operations = all_operations(concrete_function.graph)
    kinds = {operation.type for operation in operations}
    assert "Conv2D" in kinds  # inside the functions that the step calls, for the supernet
    assert not list(filter(ON_THE_HOST.search, kinds))
    dynamic = [
        output.name
        for operation in operations
        for output in operation.outputs
        if output.dtype.is_floating
        and not output.shape.is_fully_defined()
        and not (output.shape.rank is None and operation.type in WITHOUT_RANK)
    ]
    assert not dynamic


@pytest.mark.parametrize("parts", [1, PARTS])
def test_the_steps_of_a_search_are_static_and_on_the_device(parts):
    # All operations, and layers that run as a loop; what repeats the step for parts of the batch
    # does not see what it repeats.
    operations = OPERATIONS if parts == 1 else ("max_pool_3x3", "sep_conv_3x3")
    supernet = Supernet(3, layers=4, strides=(4, 8), blocks=1, filters=4, operations=operations)
    model = SearchModel(supernet, gradient_accumulation_steps=parts)
    model.compile(legacy.SGD(0.1, 0.9), legacy.Adam(0.01), jit_compile=True)
    for update in (model.run_network_update, model.run_architecture_update):
        assert_static_and_on_the_device(update.get_concrete_function(*make_batch()))


@pytest.mark.parametrize("parts", [1, PARTS])
def test_the_steps_of_a_retraining_are_static_and_on_the_device(parts):
    model = make_retraining(parts, jit_compile=True, aspp_dropout=0.5)

    @tf.function(jit_compile=True, autograph=False)
    def step(images, labels):
        return model.train_step((images, labels))

    assert_static_and_on_the_device(step.get_concrete_function(*make_batch()))


def make_retraining(parts, jit_compile, aspp_dropout=0.0):
    tf_keras.utils.set_random_seed(1)
    network = build_network(
        SMALL_GENOTYPE,
        3,
        filters=4,
        aspp_filters=8,
        decoder_filters=8,
        batch_norm_momentum=0.5,
        final_keep_prob=0.5,
        # What XLA compiles draws other random numbers than what it does not.
        aspp_dropout=aspp_dropout,
    )
    model = RetrainModel(network, 4, gradient_clip_norm=1.0, gradient_accumulation_steps=parts)
    model.compile(legacy.SGD(0.1, 0.9), jit_compile=jit_compile)
    create_slots(model.optimizer, network.trainable_variables)
    return model


def assert_same(values, expected, variables):
    for value, wanted, variable in zip(values, expected, variables, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-3, atol=1e-4, err_msg=variable.name)


def test_a_compiled_search_updates_as_a_plain_one_does(make_supernet, smooth):
    batch, results = make_batch(), []
    for jit_compile in (False, True):
        model = SearchModel(make_supernet(), gradient_accumulation_steps=PARTS)
        model.compile(legacy.SGD(0.1, 0.9), legacy.SGD(0.1), jit_compile=jit_compile)
        losses = [
            float(update(*batch))
            for update in (model.run_network_update, model.run_architecture_update)
        ]
        results.append((losses, [variable.numpy() for variable in model.supernet.weights]))
    (plain_losses, plain), (losses, compiled) = results
    np.testing.assert_allclose(losses, plain_losses, rtol=1e-4)
    assert_same(compiled, plain, model.supernet.weights)


def test_a_compiled_retraining_updates_as_a_plain_one_does(smooth):
    results = []
    for jit_compile in (False, True):
        model = make_retraining(PARTS, jit_compile)
        loss = model.fit(*make_batch(), batch_size=2 * PARTS, verbose=0).history["loss"]
        results.append((loss, [variable.numpy() for variable in model.network.weights]))
    (plain_losses, plain), (losses, compiled) = results
    np.testing.assert_allclose(losses, plain_losses, rtol=1e-4)
    assert_same(compiled, plain, model.network.weights)


@pytest.mark.parametrize("kind", ["supernet", "network"])
def test_a_compiled_prediction_is_the_plain_one(kind, make_supernet):
    model = make_supernet() if kind == "supernet" else make_retraining(1, False).network
    images, _ = make_batch()
    predict = class_map_function(model)
    compiled = tf.function(predict.python_function, jit_compile=True, autograph=False)
    assert_static_and_on_the_device(compiled.get_concrete_function(images))
    # Rounding may decide between classes that are equally likely.
    assert np.mean(compiled(images).numpy() == predict(images).numpy()) > 0.99

"""Convolutions on processors that TensorFlow serves without oneDNN."""

import os

import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.models.supernet.fast import grouped
from tests.helpers import output_of, run_new_python

GRADIENT_OF_SUPERNET = """
import sys
import numpy as np
import tensorflow as tf
import tf_keras
from auto_deeplab.models.supernet.fast.grouped import can_differentiate_atrous_convolutions
from auto_deeplab.models.supernet.supernet import Supernet

tf_keras.utils.set_random_seed(0)
# Whatever convolves; the graph optimizer would take longer than all else.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
operations = ("sep_conv_3x3", "sep_conv_5x5", "atrous_conv_3x3", "atrous_conv_5x5")
supernet = Supernet(3, layers=1, blocks=1, filters=4, operations=operations)
images = np.random.default_rng(0).normal(0, 1, [3, 33, 33, 3]).astype(np.float32)

@tf.function(autograph=False)
def gradients():
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.softplus(supernet(images, training=True)))
    return tape.gradient(loss, supernet.trainable_variables, unconnected_gradients="zero")

flat = np.concatenate([np.ravel(gradient) for gradient in gradients()])
np.save(sys.argv[1], flat)
print(can_differentiate_atrous_convolutions(tf.float32))
"""


@pytest.mark.parametrize("rate", [2, 12])
def test_without_atrous_gradients_the_result_is_the_same(monkeypatch, rate):
    random = np.random.default_rng(0)
    images = tf.constant(random.normal(0, 1, [2, 17, 20, 16]), tf.float32)
    kernel = tf.constant(random.normal(0, 1, [3, 3, 16, 16]), tf.float32)

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            output = tf.reduce_sum(grouped.convolution(images, kernel, rate=rate) ** 2)
        return output, *tape.gradient(output, [images, kernel])

    if not grouped.can_differentiate_atrous_convolutions(tf.float32):
        pytest.skip("TensorFlow has no gradients of atrous convolutions here to compare with")
    expected = gradients.get_concrete_function()
    monkeypatch.setattr(grouped, "can_differentiate_atrous_convolutions", lambda dtype: False)
    rearranged = tf.function(gradients.python_function, autograph=False).get_concrete_function()
    assert "SpaceToBatchND" in {operation.type for operation in rearranged.graph.get_operations()}
    for ours, theirs in zip(rearranged(), expected(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-2)


def test_the_supernet_trains_without_onednn(tmp_path):
    results = {}
    for switch in "01":
        path = tmp_path / f"{switch}.npy"
        environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": switch}
        printed = output_of(run_new_python("-c", GRADIENT_OF_SUPERNET, path, env=environment))
        results[switch] = np.load(path)
        if switch == "0" and not tf.config.list_physical_devices("GPU"):
            assert printed.strip() == "False"
    difference = np.linalg.norm(results["0"] - results["1"])
    assert difference < 1e-4 * np.linalg.norm(results["1"])

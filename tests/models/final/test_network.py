"""The network: shapes, wiring, configuration. tests/models/final/test_any_genotype.py trains it."""

import functools
import random

import gin
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.decoder import atrous_rates
from auto_deeplab.models.final.drawing import drawing_for
from auto_deeplab.models.final.network import build_network
from auto_deeplab.search_space import Branch, Genotype
from tests.helpers import skip_unless_computed

CLASSES = 3
OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "atrous_conv_3x3",
    "atrous_conv_5x5",
)


def genotype(path, seed=0, blocks=2):
    """A path with a random cell, such as decoding gives: two different inputs a block, no none."""
    choose = random.Random(seed)
    cell = []
    for block in range(1, blocks + 1):
        inputs = ["prev_prev", "prev", *(f"block{b}" for b in range(1, block))]
        cell.append(tuple(Branch(i, choose.choice(OPERATIONS)) for i in choose.sample(inputs, 2)))
    return Genotype("random", path, tuple(cell))


def small_network(path, seed=0, **kwargs):
    arguments = {"classes": CLASSES, "filters": 4, "batch_norm_momentum": 0.9} | kwargs
    return build_network(genotype(path, seed), **arguments)


def random_images(height, width, batch=2):
    values = np.random.default_rng(0).uniform(-1, 1, [batch, height, width, 3])
    return tf.constant(values, tf.float32)


def test_config_and_keras_saved_model_give_the_same_output(tmp_path):
    network = build_network(genotype((4,), blocks=1), CLASSES, filters=4, aspp_filters=4)
    images = random_images(17, 30)
    again = tf_keras.Model.from_config(network.get_config())
    again.set_weights(network.get_weights())
    np.testing.assert_array_equal(again(images), network(images))
    network.save(tmp_path / "saved", save_format="tf")
    loaded = tf_keras.models.load_model(tmp_path / "saved", compile=False)
    np.testing.assert_allclose(loaded(images), network(images), atol=1e-5)


@functools.cache
def one_block_network(**kwargs):
    return build_network(genotype((8, 16, 8, 4), blocks=1), CLASSES, filters=4, **kwargs)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 64), (32, 32), (33, 33)])
def test_fixed_and_free_sizes_agree(size):
    free, fixed = one_block_network(), one_block_network(input_size=size)
    assert fixed.output_shape == (None, *size, CLASSES)
    fixed.set_weights(free.get_weights())
    images = random_images(*size)
    np.testing.assert_allclose(fixed(images), free(images), atol=1e-5)


def low_level_channels(network):
    return network.get_layer("decoder").input_shape[0][-1]


@pytest.mark.parametrize(
    ("path", "channels"),
    [
        ((8, 4, 4, 8), 128),  # starts at 8: the stem's output
        ((4, 4, 8, 4), 2 * 20),  # two blocks of F
        ((4, 4), 2 * 20),  # never leaves
    ],
)
def test_low_level_features_are_of_where_the_path_first_leaves(path, channels):
    network = small_network(path, filters=20)
    assert low_level_channels(network) == channels
    decoder_input = network.get_layer("decoder").input[0]
    stays = next((i for i, stride in enumerate(path) if stride != 4), len(path))
    expected = f"layer{stays}" if stays else "stem"
    assert decoder_input.node.layer.name == expected


def test_layers_read_the_two_layers_before_them():
    network = small_network((4, 8, 16, 8))
    read = {}
    for layer in range(1, 5):
        names = [tensor.node.layer.name for tensor in network.get_layer(f"layer{layer}").input]
        read[layer] = names
    assert read == {
        # The stem's second convolution, brought from stride 2 to 4, and its third.
        1: ["layer1_prev_prev", "stem"],
        2: ["stem", "layer1"],
        3: ["layer3_prev_prev", "layer2"],
        4: ["layer2", "layer4_up"],
    }
    assert network.get_layer("layer1_prev_prev").input[0].shape[-1] == 64
    assert [network.get_layer(f"layer{layer}").stride for layer in range(1, 5)] == [1, 2, 2, 1]
    assert [network.get_layer(f"layer{layer}").filters for layer in range(1, 5)] == [4, 8, 16, 8]
    ratios = [network.get_layer(f"layer{layer}").layer_ratio for layer in range(1, 5)]
    assert ratios == [0.25, 0.5, 0.75, 1.0]


def test_all_sizes_of_a_stride_agree_at_odd_sizes():
    # 33 -> 17 -> 9 -> 5 -> 3, and back up to the very sizes that were passed on the way down.
    network = small_network((4, 8, 16, 8, 4), input_size=(30, 37))  # Padded to 33x49.
    sizes = [network.get_layer(f"layer{layer}").output_shape[1:3] for layer in range(1, 6)]
    assert sizes == [(9, 13), (5, 7), (3, 4), (5, 7), (9, 13)]


def test_atrous_rates_keep_their_reach_in_the_image():
    assert atrous_rates(16) == [6, 12, 18]
    assert atrous_rates(8) == [12, 24, 36]
    assert atrous_rates(4) == [24, 48, 72]
    assert atrous_rates(32) == [3, 6, 9]
    assert small_network((4, 8)).get_layer("aspp").get_config()["dilation_rates"] == [12, 24, 36]


def test_batch_norm_values_reach_every_layer():
    network = small_network((4, 8), batch_norm_momentum=0.7, batch_norm_epsilon=0.02)
    assert batch_norm_values(network) == {(0.7, 0.02)}
    assert batch_norm_values(build_network(genotype((4,)), CLASSES)) == {(0.9997, 1e-3)}


def batch_norm_values(network):
    return {
        (module.momentum, module.epsilon)
        for module in network.submodules
        if isinstance(module, tf_keras.layers.BatchNormalization)
    }


def test_aspp_and_decoder_can_have_an_epsilon_of_their_own():
    network = small_network((4, 8), batch_norm_epsilon=0.02, head_batch_norm_epsilon=1e-5)
    for layer in network.layers:
        epsilon = 1e-5 if layer.name in ("aspp", "decoder") else 0.02
        assert batch_norm_values(layer) <= {(0.9, epsilon)}
    assert batch_norm_values(network) == {(0.9, 0.02), (0.9, 1e-5)}


def test_initial_values_are_those_of_the_authors_code():
    network = small_network(
        (8,), backbone_initializer="third_fan_in_uniform", head_initializer="glorot_uniform"
    )
    *kernels, classifier = [v for v in network.trainable_variables if v.shape.rank == 4]
    is_head = False
    for kernel in kernels:
        is_head |= "aspp" in kernel.name or kernel.shape[-1] == 256
        height, width, inputs, outputs = kernel.shape
        fans = (inputs + outputs) / 2 if is_head else 3 * inputs
        bound = np.sqrt(3 / (height * width * fans))
        values = kernel.numpy()
        assert 0.8 * bound < np.abs(values).max() <= bound, kernel.name
        # Five standard deviations of the variance of a uniform distribution.
        tolerance = 5 * np.sqrt(0.8 / values.size)
        assert abs(values.var() * 3 / bound**2 - 1) < tolerance, kernel.name
    assert abs(classifier.numpy().std() / 0.01 - 1) < 0.15


def test_initial_values_differ_from_layer_to_layer():
    for name in ("he_normal", "third_fan_in_uniform"):
        network = small_network((4, 4), backbone_initializer=name, head_initializer=None)
        kernels = [v.numpy() for v in network.trainable_variables if v.shape.rank == 4]
        for index, kernel in enumerate(kernels):
            for other in kernels[index + 1 :]:
                assert kernel.shape != other.shape or np.abs(kernel - other).max() > 1e-3


def test_dropout_follows_aspp_in_training_alone():
    tf_keras.utils.set_random_seed(0)
    plain, network = small_network((4, 8)), small_network((4, 8), aspp_dropout=0.5)
    network.set_weights(plain.get_weights())
    images = random_images(33, 33)
    np.testing.assert_array_equal(network(images), plain(images))
    with drawing_for(step=1):
        assert np.abs(network(images, training=True) - plain(images, training=True)).max() > 1e-3
    (node,) = network.get_layer("aspp_dropout").inbound_nodes
    assert node.inbound_layers.name == "aspp"


def test_aspp_and_decoder_can_be_narrow():
    network = small_network((4, 8), aspp_filters=24, decoder_filters=40)
    shapes = {
        layer: [
            tuple(variable.shape)
            for variable in network.get_layer(layer).trainable_variables
            if variable.shape.rank == 4 and variable.shape[0] == 3
        ]
        for layer in ("aspp", "decoder")
    }
    features = 2 * 4 * 8 // 4  # Blocks times filters at stride 8.
    assert shapes["aspp"] == 3 * [(3, 3, features, 24)]
    assert shapes["decoder"] == [(3, 3, 48 + 24, 40), (3, 3, 40, 40)]
    assert network(random_images(33, 33)).shape == (2, 33, 33, CLASSES)


def test_the_stem_can_be_narrow():
    network = small_network((4, 8), stem_filters=12)
    kernels = [
        tuple(variable.shape)
        for variable in network.get_layer("stem").trainable_variables
        if variable.shape.rank == 4
    ]
    assert kernels == [(3, 3, 3, 12), (3, 3, 12, 12), (3, 3, 12, 24)]
    assert network(random_images(33, 33)).shape == (2, 33, 33, CLASSES)
    again = tf_keras.Model.from_config(network.get_config())
    assert [weight.shape for weight in again.weights] == [
        weight.shape for weight in network.weights
    ]


def test_gin_configures_the_network_but_not_what_data_and_search_say():
    gin.parse_config("build_network.filters = 8")
    network = build_network(genotype((4,)), CLASSES)
    with pytest.raises(ValueError, match="classes"):
        gin.parse_config("build_network.classes = 8")
    assert network.get_layer("layer1").filters == 8


def test_mixed_precision_keeps_float32_logits():
    skip_unless_computed("bfloat16")
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        network = small_network((8, 4))
        logits = network(random_images(17, 16), training=True)
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    assert network.get_layer("layer1").compute_dtype == "bfloat16"
    assert logits.dtype == tf.float32
    assert np.all(np.isfinite(logits))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 0}, "classes"),
        ({"filters": 0}, "filters"),
        ({"filters": 3, "path": (2,)}, "stride 2"),
        ({"final_keep_prob": 0.0}, "final_keep_prob"),
        ({"aspp_dropout": 1.0}, "aspp_dropout"),
        ({"backbone_initializer": "he"}, "backbone_initializer"),
        ({"head_initializer": "he"}, "head_initializer"),
        ({"image_pooling_window": 0}, "image_pooling_window"),
    ],
)
def test_wrong_arguments_are_user_errors(arguments, message):
    with pytest.raises(UserError, match=message):
        small_network(arguments.pop("path", (4,)), **arguments)


def test_genotypes_with_finer_strides_and_no_operations_build():
    # The trellis may hold stride 2, and a genotype file any cell: nothing falls over.
    cell = ((Branch("prev", "none"), Branch("prev_prev", "none")),)
    network = build_network(Genotype("finer", (2, 1, 2), cell), CLASSES, filters=4)
    assert network(random_images(9, 10)).shape == [2, 9, 10, CLASSES]

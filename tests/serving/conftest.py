"""A small network that tells the pixels of random images apart, and its export."""

import numpy as np
import pytest

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.search_space import Branch, Genotype

DESCRIPTION = DatasetDescription(
    "shapes", {"val": 1}, ("road", "car", "sky"), ((200, 0, 0), (0, 200, 0), (0, 0, 200))
)
GENOTYPE = Genotype(
    "small",
    (8, 4),
    (
        (Branch("prev", "sep_conv_3x3"), Branch("prev_prev", "atrous_conv_3x3")),
        (Branch("block1", "max_pool_3x3"), Branch("prev_prev", "skip")),
    ),
)


@pytest.fixture(scope="session")
def network():
    import tensorflow as tf
    import tf_keras

    from auto_deeplab.models.final.network import build_network

    tf_keras.utils.set_random_seed(0)
    network = build_network(GENOTYPE, classes=3, filters=4, batch_norm_momentum=0.1)
    # Statistics of such images, a classifier that is sure of most pixels (a steeper one would show
    # float32's rounding), and no class ahead of the others on average.
    rng = np.random.default_rng(0)
    images = tf.constant(rng.uniform(-1, 1, [4, 33, 47, 3]), tf.float32)
    for _ in range(4):
        network(images, training=True)
    kernel, bias = network.get_layer("decoder").trainable_weights[-2:]
    kernel.assign(rng.normal(scale=0.2, size=kernel.shape))
    bias.assign(-tf.reduce_mean(network(images), axis=[0, 1, 2]))
    return network


@pytest.fixture(scope="session")
def exported(network, tmp_path_factory):
    """The folder of versions of an export, called shapes, that takes images of 4000 pixels."""
    from auto_deeplab.serving.export.options import ExportOptions
    from auto_deeplab.serving.export.to_saved_model import export_saved_model

    output = tmp_path_factory.mktemp("exported") / "shapes"
    options = ExportOptions(max_pixels=4000)
    export_saved_model(
        network, DESCRIPTION, GENOTYPE, output, options, metrics={"step": 1}, warm_up_size=(24, 24)
    )
    return output

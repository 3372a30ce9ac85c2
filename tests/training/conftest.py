"""TensorFlow as the search runs it, and searches that are small enough to be run many times."""

import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.foundations import gin_files
from auto_deeplab.models.supernet.supernet import Supernet
from tests.helpers import TINY_SEARCH
from tests.trainings import plain_graphs

__all__ = ["plain_graphs"]

OPERATIONS = ("none", "skip", "sep_conv_3x3")

SEARCH = (
    TINY_SEARCH
    + """
Search.epochs = 3
Search.warm_up_epochs = 1
Search.batch_size = 1
Search.validation_images = None
Search.architecture_learning_rate = 0.02
Search.network_learning_rate = 0.05
Supernet.layers = 2
Supernet.strides = (4, 8)
Supernet.operations = {operations}
"""
)


@pytest.fixture
def smooth(monkeypatch):
    """Networks with a smooth activation in place of ReLU.

    ReLU's derivative jumps: where an activation is zero but for rounding, no two correct
    computations agree.
    """
    monkeypatch.setattr(tf.nn, "relu", tf.nn.elu)
    monkeypatch.setattr(tf_keras.layers, "ReLU", tf_keras.layers.ELU)


@pytest.fixture
def make_supernet():
    """Returns the smallest supernet that has every kind of variable."""

    def make(classes=3, seed=1):
        tf_keras.utils.set_random_seed(seed)
        return Supernet(
            classes, layers=2, strides=(4, 8), blocks=1, filters=4, operations=OPERATIONS
        )

    return make


@pytest.fixture
def configure_search(colored_dataset, tmp_path):
    """Makes a search of 3 epochs of 5 steps, the first of them warm-up, the configuration."""

    def configure(*parameters):
        path = tmp_path / "tiny.gin"
        path.write_text(SEARCH.format(dataset=colored_dataset, operations=OPERATIONS))
        gin_files.load(str(path), parameters)

    return configure

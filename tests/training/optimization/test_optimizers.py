"""Optimizers that a gin file names."""

import sys

import pytest
import tensorflow as tf

from auto_deeplab.foundations import gin_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.training.job import configured_job

BASE = """
include 'base/retrain.gin'
Retrain.dataset = 'datasets/any'
Retrain.genotype = 'published'
Retrain.steps = 9
"""


@pytest.fixture
def configure(tmp_path):
    def configure(*parameters):
        path = tmp_path / "retrain.gin"
        path.write_text(BASE)
        gin_files.load(str(path), parameters)
        with gin_files.explaining_calls():
            return configured_job()

    return configure


def one_step(optimizer):
    variable = tf.Variable([1.0, -2.0])
    optimizer.apply_gradients([(tf.constant([1.0, -1.0]), variable)])
    return variable.numpy().tolist()


def test_the_default_is_sgd_with_the_papers_momentum(configure):
    optimizer = configure().optimizer(learning_rate=0.5)
    assert type(optimizer).__name__ == "SGD"
    assert optimizer.get_config()["momentum"] == 0.9
    assert one_step(optimizer) == [0.5, -1.5]


def test_another_of_keras_with_its_own_values(configure):
    job = configure("Retrain.optimizer = @Adam", "Adam.beta_1 = 0.5")
    optimizer = job.optimizer(learning_rate=0.25)
    assert optimizer.get_config()["beta_1"] == 0.5
    # Adam's first step is as long as the learning rate.
    assert one_step(optimizer) == pytest.approx([0.75, -1.75], rel=1e-4)


def test_a_misspelt_one_lists_what_was_meant(configure):
    with pytest.raises(UserError, match=r"did you mean (Ada\w+, )*Adam"):
        configure("Retrain.optimizer = @Adan")


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="TensorFlow Addons has no release for it")
def test_those_of_tensorflow_addons(configure):
    optimizer = configure(
        "import auto_deeplab.training.addons_optimizers",
        "Retrain.optimizer = @SGDW",
        "SGDW.weight_decay = 0.1",
    ).optimizer(learning_rate=0.5)
    # Decoupled decay: not multiplied by the learning rate.
    assert one_step(optimizer) == pytest.approx([0.5 - 0.1, -1.5 + 0.2])


def test_without_tensorflow_addons_the_message_is_clear(configure, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_addons", None)
    monkeypatch.delitem(sys.modules, "auto_deeplab.training.addons_optimizers", raising=False)
    with pytest.raises(UserError, match=r"TensorFlow Addons cannot be imported.*Python 3\.11"):
        configure("import auto_deeplab.training.addons_optimizers")


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("steps = 0", "received 0; expected a whole number of at least 1"),
        ("warm_up_steps = 9", "received 9; expected 0 to below Retrain.steps, which is 9"),
        ("last_layer_multiplier = 0", "received 0; expected a number above 0"),
        ("gradient_clip_norm = 0.0", "received 0.0; expected a number above 0, or None"),
        ("label_smoothing = 1.0", "received 1.0; expected a number from 0 to below 1"),
        ("hard_pixel_share = 0.0", "received 0.0; expected a number above 0, to 1"),
        (
            "weight_average_decay = 1.0",
            "received 1.0; expected a number above 0 and below 1, or None",
        ),
    ],
)
def test_values_out_of_range_are_reported(configure, parameter, expected):
    with pytest.raises(UserError, match=rf"^Retrain\.{parameter.split()[0]}: {expected}$"):
        configure(f"Retrain.{parameter}")

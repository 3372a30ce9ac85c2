"""Whole retrainings, interrupted and not."""

import gin
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.foundations import gin_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.decoder import classifier_variables
from auto_deeplab.models.final.drop_path import ScheduledDropPath
from auto_deeplab.models.final.network import build_network
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.search_space import Genotype
from auto_deeplab.training.job import configured_job
from auto_deeplab.training.loop import epochs
from auto_deeplab.training.retrain import Retrain
from auto_deeplab.training.retrain_model import RetrainModel
from auto_deeplab.training.trained import load_trained
from tests.architectures import SMALL_GENOTYPE

# 4 steps an epoch: the second, last one is shorter.
RETRAIN = """
include 'base/retrain.gin'

Retrain.dataset = '{dataset}'
Retrain.genotype = '{genotype}'
Retrain.steps = 7
Retrain.batch_size = 2
Retrain.weight_decay = 0.001
Retrain.weight_average_decay = 0.5
Retrain.validation_every = 3
training_batches.crop_size = 33
build_network.filters = 4
build_network.aspp_filters = 8
build_network.decoder_filters = 8
build_network.batch_norm_momentum = 0.5
build_network.final_keep_prob = 0.5
build_network.aspp_dropout = 0.5
"""


@pytest.fixture
def configure_retraining(colored_dataset, tmp_path):
    def configure(*parameters, genotype=SMALL_GENOTYPE):
        file = tmp_path / "genotype.json"
        genotype.save(file, overwrite=True)
        path = tmp_path / "retrain.gin"
        path.write_text(RETRAIN.format(dataset=colored_dataset, genotype=file))
        gin_files.load(str(path), parameters)

    return configure


def retrain(folder):
    model_dir = ModelDir(folder)
    configured_job().train(model_dir, tf.distribute.get_strategy())
    # Nothing was asked for a value later than the values in effect were kept.
    assert model_dir.config.read_text() == gin.operative_config_str()


def test_an_interrupted_retraining_ends_as_if_it_had_not_been(
    configure_retraining, tmp_path, monkeypatch
):
    build_model, networks = Retrain.build_model, []

    def keep_network(self, description, model_dir):
        networks.append(build_model(self, description, model_dir))
        return networks[-1]

    monkeypatch.setattr(Retrain, "build_model", keep_network)
    folder, interrupted = tmp_path / "run", tmp_path / "interrupted"
    configure_retraining("Retrain.checkpoint_minutes = 0")
    retrain(folder)
    metrics = ModelDir(folder).read_metrics()
    assert [(line["epoch"], line["step"]) for line in metrics] == [(1, 4), (2, 7)]
    assert ["val_mean_iou" in line for line in metrics] == [False, True]
    assert [line["learning_rate"] for line in metrics] == pytest.approx(
        [0.05 * (1 - step / 7) ** 0.9 for step in (3, 6)]
    )

    class Interruption(Exception):
        pass

    def interrupt(self, batch, logs=None):
        if self._step == 5:
            raise Interruption

    configure_retraining("Retrain.checkpoint_minutes = 0")
    with monkeypatch.context() as patch:
        patch.setattr(epochs.StepLog, "on_train_batch_begin", interrupt, raising=False)
        with pytest.raises(Interruption):
            retrain(interrupted)
    retrain(interrupted)
    assert [line["epoch"] for line in ModelDir(interrupted).read_metrics()] == [1, 2]
    # Each run builds the network and the one that holds the average of its weights.
    network, averaged = networks[:2]
    for first, last in zip(networks[:2], networks[-2:], strict=True):
        for expected, value in zip(first.weights, last.weights, strict=True):
            np.testing.assert_array_equal(expected, value, err_msg=expected.name)

    monkeypatch.undo()
    trained = load_trained(folder)
    images = np.random.default_rng(0).normal(size=[2, 21, 34, 3]).astype(np.float32)
    np.testing.assert_array_equal(trained.model(images), averaged(images))
    assert np.abs(averaged(images) - network(images)).max() > 1e-3
    assert (trained.step, trained.genotype) == (7, SMALL_GENOTYPE)
    assert trained.description.name == "colored"

    other = Genotype("other", (4, 4), SMALL_GENOTYPE.cell)
    configure_retraining("Retrain.checkpoint_minutes = 0", genotype=other)
    with pytest.raises(
        UserError,
        match=r"Retrain.genotype: received .*; expected the architecture of .*genotype\.json",
    ):
        retrain(folder)


def test_a_network_of_another_size_than_the_crops_is_refused(configure_retraining, tmp_path):
    configure_retraining("build_network.input_size = (33, 65)")
    folder = tmp_path / "there_before"
    folder.mkdir()
    with pytest.raises(UserError, match=r"^build_network\.input_size: received \(33, 65\);"):
        retrain(folder)
    assert list(folder.iterdir()) == []


def test_a_refused_configuration_leaves_no_genotype(configure_retraining, tmp_path):
    folder = ModelDir(tmp_path / "a_search")
    folder.keep_config("configured_job.job = @Search()\n")
    configure_retraining()
    with pytest.raises(UserError, match="holds a run of another configuration"):
        retrain(folder.path)
    assert not folder.genotype.exists()


class Toy(tf_keras.Model):
    """A kernel, a bias, and a drop path that tells how far training has come."""

    def __init__(self):
        super().__init__()
        self.convolution = tf_keras.layers.Conv2D(3, 1)
        self.drop_path = ScheduledDropPath(final_keep_prob=0.5, layer_ratio=1.0)

    def call(self, images, training=False):
        return self.convolution(images)


def test_a_step_decays_kernels_alone_and_advances_the_drop_path():
    network = Toy()
    network.build([None, None, None, 3])
    model = RetrainModel(network, total_steps=4, weight_decay=0.1)
    model.compile(tf_keras.optimizers.legacy.SGD(0.5))
    kernel, bias = (variable.numpy() for variable in network.trainable_variables)
    images = np.random.default_rng(0).normal(size=[1, 5, 5, 3]).astype(np.float32)
    # No pixel counts: what changes is the decay's doing.
    ignored = tf.data.Dataset.from_tensors((images, np.full([1, 5, 5], 255, np.int32)))
    ratios = []
    for step in range(1, 6):
        assert model.fit(ignored, verbose=0).history["loss"] == [0.0]
        ratios.append(float(network.drop_path.step_ratio))
        np.testing.assert_allclose(
            network.convolution.kernel, kernel * (1 - 0.5 * 0.1) ** step, rtol=1e-5
        )
        np.testing.assert_array_equal(network.convolution.bias, bias)
    assert ratios == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_multiplier_of_the_last_layer_needs_sgd(configure_retraining, tmp_path):
    configure_retraining("Retrain.last_layer_multiplier = 10", "Retrain.optimizer = @Adam")
    with pytest.raises(UserError, match=r"last_layer_multiplier: received 10.0 with @Adam, whose"):
        retrain(tmp_path / "run")


def test_only_the_last_layer_is_multiplied():
    """One step on the same batch, whose gradients are the same with and without."""
    results = []
    for multiplier in (1.0, 10.0):
        tf_keras.utils.set_random_seed(3)
        network = build_network(SMALL_GENOTYPE, classes=3, filters=4)
        before = [variable.numpy() for variable in network.trainable_variables]
        model = RetrainModel(network, 1, weight_decay=0.0, last_layer_multiplier=multiplier)
        model.compile(tf_keras.optimizers.legacy.SGD(0.01), run_eagerly=True)
        images = np.random.default_rng(0).normal(size=[1, 9, 9, 3]).astype(np.float32)
        model.fit(images, np.zeros([1, 9, 9], np.int32), verbose=0)
        results.append(
            [v.numpy() - b for v, b in zip(network.trainable_variables, before, strict=True)]
        )
    classifier = {variable.ref() for variable in classifier_variables(network)}
    for variable, plain, multiplied in zip(network.trainable_variables, *results, strict=True):
        factor = 10.0 if variable.ref() in classifier else 1.0
        np.testing.assert_allclose(multiplied, factor * plain, atol=2e-6, err_msg=variable.name)
    assert len(classifier) == 2

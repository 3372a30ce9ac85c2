"""Starting from the weights of another training."""

import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.decoder import classifier_variables
from auto_deeplab.models.final.network import build_network
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.checkpoints.initial_weights import copy_initial_weights
from tests.architectures import SMALL_GENOTYPE


def describe(*classes):
    return DatasetDescription("some", {"train": 1}, classes, [(0, 0, 0)] * len(classes))


def build(description):
    return build_network(SMALL_GENOTYPE, classes=len(description.classes), filters=4)


@pytest.fixture
def trained(tmp_path):
    """A network of two classes, saved as a training saves it, and its folder."""
    description = describe("road", "sky")
    network = build(description)
    rng = np.random.default_rng(0)
    for weight in network.weights:
        weight.assign(rng.normal(size=weight.shape))
    description.save(tmp_path)
    folder = ModelDir(tmp_path)
    tf.train.CheckpointManager(
        tf.train.Checkpoint(model=network), str(folder.checkpoints), 1, checkpoint_name="step"
    ).save(checkpoint_number=5)
    return network, folder


@pytest.mark.parametrize(
    ("classes", "with_classifier"),
    [(("road", "sky"), True), (("road", "car"), False), (("road", "sky", "car"), False)],
)
def test_the_classifier_is_copied_where_the_classes_are_the_same(trained, classes, with_classifier):
    source, folder = trained
    description = describe(*classes)
    network = build(description)
    before = [variable.numpy() for variable in classifier_variables(network)]
    assert copy_initial_weights(network, build, description, folder) == 5
    classifier = {variable.ref() for variable in classifier_variables(network)}
    for weight, expected in zip(network.weights, source.weights, strict=True):
        if weight.ref() not in classifier:
            np.testing.assert_array_equal(weight, expected, err_msg=weight.name)
    expected = classifier_variables(source) if with_classifier else before
    for variable, value in zip(classifier_variables(network), expected, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_folder_without_a_training(tmp_path):
    description = describe("road")
    network = build(description)
    with pytest.raises(UserError, match=r"'\S+/missing', which has no dataset\.json"):
        copy_initial_weights(network, build, description, ModelDir(tmp_path / "missing"))


def test_a_training_of_another_network(trained):
    def build_wider(description):
        return build_network(SMALL_GENOTYPE, classes=len(description.classes), filters=8)

    description = describe("road", "car")
    network = build_wider(description)
    with pytest.raises(UserError, match="does not fit the model that is configured"):
        copy_initial_weights(network, build_wider, description, trained[1])

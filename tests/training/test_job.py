import dataclasses
import os

import gin
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.foundations import gin_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.pixel_grid import PadToGrid
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.job import (
    configured_job,
    dataset_dir,
    warn_of_padding,
    write_once,
)


def test_a_dataset_is_a_folder_or_a_function_that_makes_one(tmp_path):
    assert dataset_dir(str(tmp_path)) == str(tmp_path)
    assert dataset_dir(lambda: os.fspath(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "datasets/missing",
            "received 'datasets/missing', which is no folder; expected one that tools/convert_",
        ),
        (lambda: None, "received None; expected a folder"),
        (3, "received 3; expected a folder"),
        ("", "received ''; expected a folder"),
    ],
)
def test_anything_else_is_reported(source, message):
    with pytest.raises(UserError, match=message):
        dataset_dir(source)


def test_a_run_keeps_to_the_dataset_that_it_began_with(tmp_path):
    description = DatasetDescription("few", {"train": 2}, ("road", "sky"), ((0, 0, 0), (9, 9, 9)))
    for _ in range(2):
        write_once(ModelDir(tmp_path), description)
    assert DatasetDescription.load(tmp_path) == description
    with pytest.raises(UserError, match="has changed since the run began"):
        write_once(ModelDir(tmp_path), dataclasses.replace(description, splits={"train": 3}))


SEARCH, RETRAIN = (
    ["Search.dataset = 'x'"],
    ["Retrain.dataset = 'x'", "Retrain.genotype = 'published'"],
)


@pytest.mark.parametrize(
    ("base", "parameters", "binding", "expected"),
    [
        ("search", SEARCH, "batch_size = 2", "it as Search.batch_size"),
        ("search", SEARCH, "steps = 100", "it as Search.epochs"),
        ("retrain", RETRAIN, "steps = 100", "it as Retrain.steps"),
        ("retrain", RETRAIN, "seed = 0", "it as Retrain.seed"),
        ("retrain", RETRAIN, "first_step = 1", "none: a training goes on from its newest"),
    ],
)
def test_a_value_that_the_job_would_replace_is_refused(
    base, parameters, binding, expected, tmp_path
):
    gin_files.load(f"base/{base}.gin", [*parameters, f"training_batches.{binding}"])
    name = binding.partition(" ")[0]
    with pytest.raises(UserError) as refusal:
        configured_job().train(ModelDir(tmp_path / "run"), tf.distribute.get_strategy())
    assert str(refusal.value).startswith(
        f"training_batches.{name}: received a value in the gin file; expected {expected}"
    )
    assert not (tmp_path / "run").exists()


@pytest.fixture
def network():
    """As much of one as is looked at: the largest stride is 8."""
    return tf_keras.Sequential([PadToGrid(8)])


@pytest.mark.parametrize(
    ("crop", "filled", "sizes"),
    [((64, 65), "65x65", "57x65 or 65x65"), ((100, 7), "105x9", "97x1 or 105x9")],
)
def test_crops_that_are_filled_up_are_told_with_the_nearest_good_sizes(
    network, caplog, crop, filled, sizes
):
    warn_of_padding(network, crop)
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith("training_batches.crop_size: ")
    assert f"crops of {crop[0]}x{crop[1]} are filled up to {filled}" in message
    assert message.endswith(f"expected a size of the form 8k+1, such as {sizes}")


def test_nothing_is_said_of_other_crops(network, caplog):
    warn_of_padding(network, (33, 49))
    gin.bind_parameter("pixel_grid.aligned", False)
    warn_of_padding(network, (64, 64))
    assert not caplog.records

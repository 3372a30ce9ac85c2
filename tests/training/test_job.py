import dataclasses
import os

import pytest

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.job import dataset_dir, write_once


def test_a_dataset_is_a_folder_or_a_function_that_makes_one(tmp_path):
    assert dataset_dir(str(tmp_path)) == str(tmp_path)
    assert dataset_dir(lambda: os.fspath(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("datasets/missing", "'datasets/missing' is no folder; the tools/convert_"),
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

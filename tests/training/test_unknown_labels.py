"""Labels that are no class end a training with their record, not with a loss that is NaN."""

import json
import shutil

import pytest
import tensorflow as tf

from auto_deeplab.foundations import gin_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.job import configured_job
from tests.helpers import TINY_SEARCH


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_search_names_the_record(colored_dataset, tmp_path, jit_compile):
    folder = shutil.copytree(colored_dataset, tmp_path / "two_classes")
    path = folder / "dataset.json"
    fields = json.loads(path.read_text())
    fields |= {name: fields[name][:2] for name in ("classes", "palette")}
    path.write_text(json.dumps(fields))
    gin_file = tmp_path / "tiny.gin"
    gin_file.write_text(TINY_SEARCH.format(dataset=folder))
    gin_files.load(str(gin_file), [f"Search.jit_compile = {jit_compile}"])
    shard = folder / "train-00000-of-00001.tfrecord"
    with pytest.raises(UserError) as error:
        configured_job().train(ModelDir(tmp_path / "run"), tf.distribute.get_strategy())
    message = str(error.value)
    assert message.startswith(f"11 corrupt records: {shard}: record 0: labels: received 2 in ")
    assert "expected 0 to 1, the classes of dataset.json, or 255, which is ignored" in message
    assert "\n" not in message

"""The smallest retraining that candidates can be trained by."""

import pytest

from auto_deeplab.runs.selection import SelectionDir
from auto_deeplab.selection.retraining import Retraining
from tests.trainings import plain_graphs

__all__ = ["plain_graphs"]


@pytest.fixture
def retraining(colored_dataset, tmp_path, monkeypatch):
    # TensorFlow runs already in the process of the tests.
    monkeypatch.setattr("auto_deeplab.selection.retraining.configure_runtime", lambda: None)
    path = tmp_path / "retrain.gin"
    path.write_text(
        "include 'base/retrain.gin'\n"
        f"Retrain.dataset = '{colored_dataset}'\n"
        "Retrain.steps = 8\n"
        "Retrain.warm_up_steps = 4\n"
        "Retrain.seed = 5\n"
        "Retrain.batch_size = 1\n"
        "training_batches.crop_size = 33\n"
        "build_network.filters = 4\n"
    )
    return Retraining(str(path), [], SelectionDir(tmp_path / "select"))

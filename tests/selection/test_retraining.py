"""What a rung's training is, and what becomes of one that fails."""

import dataclasses

import pytest
import tensorflow as tf

from auto_deeplab.foundations import gin_files
from auto_deeplab.foundations.errors import TRY_AGAIN_STATUS, UserError
from auto_deeplab.runs.selection import Candidate
from auto_deeplab.training.retrain import Retrain

STEPS = (2, 4, 8)
CANDIDATE = Candidate(
    number=3,
    name="random_3",
    network=(4,),
    cell=((("prev_prev", "skip"), ("prev", "max_pool_3x3")),),
    origin="random",
    source="3",
    bracket=0,
    parameters=1,
    multiply_adds=1,
)


def test_a_rung_is_a_training_of_its_own_length_warm_up_and_seed(retraining):
    result = retraining.train(CANDIDATE, 1, STEPS)
    assert (result.steps, result.seed, result.failure) == (4, 6, "")
    assert 0 < result.mean_iou < 1
    folder = retraining.folder.training(CANDIDATE, 4)
    config = (folder / "config.gin").read_text()
    values = {
        binding.name: binding.value for binding in gin_files.read_bindings(config, "config.gin")
    }
    assert values["Retrain.steps"] == 4
    assert values["Retrain.warm_up_steps"] == 2
    assert values["Retrain.seed"] == 6
    assert "val_mean_iou" in (folder / "log.txt").read_text()
    assert not (folder / "checkpoints").exists()


def test_a_training_that_diverges_is_a_result(retraining):
    wild = dataclasses.replace(retraining, gin_parameters=["Retrain.learning_rate = 1e30"])
    result = wild.train(CANDIDATE, 2, STEPS)
    assert (result.failure, result.mean_iou, result.steps) == ("diverged", 0, 8)


def test_one_for_which_the_memory_does_not_suffice_is_a_result(retraining, monkeypatch):
    def train(self, model_dir, strategy):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    monkeypatch.setattr(Retrain, "train", train)
    result = retraining.train(CANDIDATE, 0, STEPS)
    assert (result.failure, result.mean_iou) == ("out of memory", 0)


@pytest.mark.parametrize("error", [UserError("no dataset"), SystemExit(TRY_AGAIN_STATUS)])
def test_what_has_nothing_to_do_with_the_candidate_ends_the_worker(retraining, monkeypatch, error):
    def train(self, model_dir, strategy):
        raise error

    monkeypatch.setattr(Retrain, "train", train)
    with pytest.raises(type(error)):
        retraining.train(CANDIDATE, 0, STEPS)


def test_what_is_known_before_any_training(retraining):
    preparation = retraining.prepare()
    assert preparation.image_size == (36, 44)
    assert preparation.description.name == "colored"
    assert "published" not in preparation.config
    values = preparation.setting()["values"]
    assert values["Retrain.warm_up_steps"] == "4"
    # Hosts may have the dataset elsewhere.
    assert "Retrain.dataset" not in values

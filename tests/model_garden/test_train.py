"""Model Garden's trainer trains, saves and evaluates on TFRecords of our Cityscapes converter."""

import functools
import json

import numpy as np
import tensorflow as tf

from auto_deeplab.data.street_scenes.dataset import street_scenes
from auto_deeplab.search_space import Branch, Genotype
from tests.helpers import assert_user_error, run_command, run_new_python

CELL = ((Branch("prev", "sep_conv_3x3"), Branch("prev_prev", "atrous_conv_3x3")),)


run = functools.partial(run_command, "auto_deeplab.model_garden_train")


def test_a_few_steps(tmp_path):
    dataset = street_scenes(
        str(tmp_path / "scenes"), train_images=4, val_images=2, height=64, width=128, workers=1
    )
    Genotype("small", (4, 8), CELL).save(tmp_path / "genotype.json")
    override = {
        "runtime": {"distribution_strategy": "off"},
        "task": {
            "model": {
                "backbone": {
                    "auto_deeplab": {
                        "genotype": str(tmp_path / "genotype.json"),
                        "filters": 4,
                        "final_keep_prob": 0.9,
                    }
                },
                "norm_activation": {"norm_momentum": 0.5},
            },
            "train_data": {
                "input_path": f"{dataset}/train-*.tfrecord",
                "output_size": [64, 128],
                "crop_size": [33, 33],
                "global_batch_size": 2,
                "shuffle_buffer_size": 4,
            },
            "validation_data": {
                "input_path": f"{dataset}/val-*.tfrecord",
                "output_size": [64, 128],
                "global_batch_size": 1,
            },
            "drop_path_steps": 4,
        },
        "trainer": {
            "train_steps": 4,
            "steps_per_loop": 2,
            "summary_interval": 2,
            "checkpoint_interval": 4,
            "validation_interval": 4,
            "validation_steps": 2,
        },
    }
    model_dir = tmp_path / "run"
    done = run(
        "--experiment=auto_deeplab_cityscapes",
        "--mode=train_and_eval",
        f"--model_dir={model_dir}",
        f"--params_override={json.dumps(override)}",
    )
    assert done.returncode == 0, done.stderr
    assert tf.train.latest_checkpoint(str(model_dir)).endswith("ckpt-4")
    values = {
        (value.tag, event.step): float(tf.make_ndarray(value.tensor))
        for path in model_dir.glob("*/events*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
        if value.tensor.dtype == tf.float32.as_datatype_enum and not value.tensor.tensor_shape.dim
    }
    for step in (2, 4):
        # The loss of guessing among 19 classes, more or less.
        assert 0.5 < values["training_loss", step] / np.log(19) < 2
    # After four steps from anywhere it may be that no pixel is right.
    assert 0 <= values["mean_iou", 4] <= 1


def test_help_is_quick_and_shows_an_example():
    module = "auto_deeplab.model_garden_train"
    done = run_new_python("-X", "importtime", "-m", module, "--help")
    assert done.returncode == 0
    assert "--experiment=auto_deeplab_cityscapes" in done.stdout
    assert "| tensorflow\n" not in done.stderr


def test_what_is_wrong_is_said(tmp_path):
    done = run(
        "--experiment=auto_deeplab_pascal",
        "--mode=train",
        f"--model_dir={tmp_path}",
        "--params_override=task.model.backbone.auto_deeplab.genotype=publishd",
    )
    assert_user_error(done, "did you mean published?")


def test_an_unknown_experiment_is_no_mistake_of_ours(tmp_path):
    done = run("--experiment=nope", "--mode=train", f"--model_dir={tmp_path}/run")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: --experiment: received what")
    assert "nope" in done.stderr
    assert not (tmp_path / "run").exists()

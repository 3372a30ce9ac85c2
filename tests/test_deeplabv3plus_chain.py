"""The baseline through our commands, each as a user runs it: train, evaluate, export, predict.

Only its ResNet is shallower than any that there is.
"""

import json

import numpy as np
from PIL import Image

from tests.helpers import output_of, run_python

RUN_COMMAND = """
import runpy, sys
from official.vision.modeling.backbones.resnet_deeplab import RESNET_SPECS

RESNET_SPECS[20] = [("bottleneck", 8, count) for count in (1, 1, 1, 3)]
command = sys.argv.pop(1)
runpy.run_module(f"auto_deeplab.{command}", run_name="__main__", alter_sys=True)
"""


def output_in(folder, *arguments):
    return output_of(run_python("-c", RUN_COMMAND, *arguments, cwd=folder))


def test_the_baseline_does_what_found_networks_do(colored_dataset, tmp_path):
    train = (
        "--gin_file=retrain_deeplabv3plus.gin",
        "--model_dir=run",
        *(
            f"--gin_param={value}"
            for value in (
                f"Retrain.dataset='{colored_dataset}'",
                "Retrain.steps=4",
                "Retrain.batch_size=2",
                "training_batches.crop_size=33",
                "build_deeplabv3plus.depth=20",
                "build_deeplabv3plus.batch_norm_momentum=0.5",
            )
        ),
    )
    output_in(tmp_path, "train", *train)
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 4
    assert np.isfinite(lines[-1]["loss"])
    assert "Retrain.network = @build_deeplabv3plus" in (tmp_path / "run/config.gin").read_text()
    assert not (tmp_path / "run/genotype.json").exists()

    output_in(tmp_path, "evaluate", "--model_dir=run")
    evaluation = json.loads((tmp_path / "run/evaluation_val.json").read_text())
    assert evaluation["mean_iou"] == lines[-1]["val_mean_iou"]

    output_in(tmp_path, "export", "--model_dir=run", "--output=exported")
    assert not (tmp_path / "exported/1/assets/genotype.json").exists()
    image = np.random.default_rng(0).integers(0, 256, [36, 44, 3], np.uint8)
    Image.fromarray(image).save(tmp_path / "photo.png")
    for model, output in (("--saved_model=exported", "served"), ("--model_dir=run", "own")):
        flags = (model, "--images=photo.png", f"--output={output}", "--results=class_maps")
        output_in(tmp_path, "predict", *flags)
    served, own = (
        np.asarray(Image.open(tmp_path / output / "photo_classes.png"))
        for output in ("served", "own")
    )
    assert served.shape == (36, 44)
    assert np.mean(served == own) > 0.99

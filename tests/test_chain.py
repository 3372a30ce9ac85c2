"""The whole chain on real photographs, each step by its command: from images to overlays."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.datasets import folder_flags, link_images
from tests.helpers import output_of, run_python

CLASSES = "sky,building,pole,road,pavement,tree,sign,fence,car,pedestrian,bicyclist"
UNLABELLED = 11

# Loads a SavedModel where this package cannot be imported, and writes the class map of an image.
RELOAD = """
import sys
import numpy as np
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
images = tf.io.decode_image(tf.io.read_file(sys.argv[2]))[None]
class_map = model.signatures["serving_default"](images=images)["class_map"]
np.save(sys.argv[3], class_map.numpy())
assert "auto_deeplab" not in sys.modules
"""


def run(folder: Path, *arguments: str) -> str:
    """Runs Python in `folder` as a user would and returns what it prints."""
    return output_of(run_python(*arguments, cwd=folder))


@pytest.fixture
def few_images(camvid, tmp_path):
    """A folder in CamVid's layout with some of its images."""
    return link_images(camvid, tmp_path / "camvid", train=8, val=3)


def test_images_to_overlays(few_images, tmp_path):
    run(
        tmp_path,
        "-m",
        "tools.convert_folder",
        *folder_flags(few_images),
        f"--classes={CLASSES}",
        f"--ignore_label={UNLABELLED}",
        "--scale=0.25",
        "--output_dir=datasets/camvid",
    )
    description = json.loads((tmp_path / "datasets/camvid/dataset.json").read_text())
    assert description["splits"] == {"train": 8, "val": 3}

    search = [
        "-m",
        "auto_deeplab.train",
        "--gin_file=search.gin",
        "--model_dir=runs/search",
        *(
            f"--gin_param={value}"
            for value in (
                "Search.dataset='datasets/camvid'",
                "Search.epochs=2",
                "Search.warm_up_epochs=1",
                "Search.batch_size=2",
                "Supernet.layers=2",
                "Supernet.strides=(4, 8)",
                "Supernet.blocks=1",
                "Supernet.filters=4",
                "Supernet.operations=('skip', 'sep_conv_3x3', 'atrous_conv_3x3')",
                "training_batches.crop_size=33",
            )
        ),
    ]
    run(tmp_path, *search)
    history = (tmp_path / "runs/search/architecture.jsonl").read_text().splitlines()
    warm_up, end = (json.loads(line) for line in history)
    assert np.abs(np.array(warm_up["alpha"])).max() < 0.01
    assert np.abs(np.array(end["alpha"]) - warm_up["alpha"]).max() > 0.01
    assert np.abs(np.array(end["beta"]) - warm_up["beta"]).max() > 0.01
    assert list((tmp_path / "runs/search/tensorboard").iterdir())

    # The same command again ends at once and changes nothing.
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs/search").iterdir()}
    run(tmp_path, *search)
    for path, time in written.items():
        # The lock says who looked last.
        if path.is_file() and path.name != "lock":
            assert path.stat().st_mtime_ns == time, path

    decoded = run(tmp_path, "-m", "auto_deeplab.decode", "--model_dir=runs/search")
    genotype = json.loads((tmp_path / "runs/search/genotype.json").read_text())
    assert len(genotype["network"]) == 2
    assert len(genotype["cell"]) == 1
    assert all(branch["op"] in decoded for block in genotype["cell"] for branch in block)

    run(
        tmp_path,
        "-m",
        "auto_deeplab.train",
        "--gin_file=retrain.gin",
        "--model_dir=runs/retrain",
        "--gin_param=Retrain.dataset='datasets/camvid'",
        "--gin_param=Retrain.genotype='runs/search/genotype.json'",
        "--gin_param=Retrain.steps=10",
        "--gin_param=Retrain.batch_size=2",
        "--gin_param=build_network.filters=4",
        "--gin_param=build_network.batch_norm_momentum=0.5",
        "--gin_param=training_batches.crop_size=33",
    )
    losses = [
        json.loads(line)["loss"]
        for line in (tmp_path / "runs/retrain/metrics.jsonl").read_text().splitlines()
    ]
    assert losses[-1] < losses[0]

    table = run(tmp_path, "-m", "auto_deeplab.evaluate", "--model_dir=runs/retrain")
    assert "bicyclist" in table
    evaluation = json.loads((tmp_path / "runs/retrain/evaluation_val.json").read_text())
    assert 0 < evaluation["mean_iou"] <= evaluation["pixel_accuracy"] <= 1

    run(tmp_path, "-m", "auto_deeplab.export", "--model_dir=runs/retrain", "--output=exported")
    # PNG files: each reader decodes them to the same pixels, of JPEG files only nearly so.
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted((few_images / "val/images").iterdir()):
        photo = photos / f"{path.stem}.png"
        cv2.imwrite(str(photo), cv2.imread(str(path)))
    subprocess.run(
        [sys.executable, "-c", RELOAD, "exported/1", str(photo), "class_map.npy"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        check=True,
    )
    class_map = np.load(tmp_path / "class_map.npy")
    height, width, _ = cv2.imread(str(photo)).shape
    assert class_map.shape == (1, height, width)

    for model, output in (
        ("--saved_model=exported", "served"),
        ("--model_dir=runs/retrain", "own"),
    ):
        run(
            tmp_path,
            "-m",
            "auto_deeplab.predict",
            model,
            "--images=photos",
            f"--output={output}",
            "--results=both",
        )
        predicted = cv2.imread(
            str(tmp_path / output / f"{photo.stem}_classes.png"), cv2.IMREAD_UNCHANGED
        )
        # Rounding may decide between classes that are equally likely.
        assert np.mean(predicted == class_map[0]) > 0.99
        assert len(list((tmp_path / output).iterdir())) == 6

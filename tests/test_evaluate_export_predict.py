"""The commands that use a trained model, each through its command line."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.schema import shard_name
from tests.datasets import png_example, write_dataset, write_records
from tests.helpers import run_new_python, run_python

SIZES = [(24, 40), (33, 21)]

# A model folder with nothing but weights: training, which makes whole ones, has its own tests.
RUN_COMMAND = """
import os, runpy, sys, types
import auto_deeplab

def load_trained(model_dir, checkpoint):
    import tf_keras
    from auto_deeplab.data.description import DatasetDescription
    from auto_deeplab.models.final.network import build_network
    from auto_deeplab.search_space import Branch, Genotype

    tf_keras.utils.set_random_seed(5)
    cell = ((Branch("prev", "sep_conv_3x3"), Branch("prev_prev", "skip")),)
    genotype = Genotype("small", (4, 8), cell)
    dataset_dir = os.path.join(model_dir, "dataset")
    description = DatasetDescription.load(dataset_dir)
    return types.SimpleNamespace(
        model=build_network(genotype, classes=len(description.classes), filters=4),
        description=description,
        genotype=genotype,
        step={"latest": 12, "best": 8}[checkpoint],
        dataset_dir=dataset_dir,
    )

trained = types.ModuleType("auto_deeplab.training.trained")
trained.load_trained = load_trained
sys.modules["auto_deeplab.training.trained"] = trained
command = sys.argv.pop(1)
runpy.run_module(f"auto_deeplab.{command}", run_name="__main__", alter_sys=True)
"""


def run(command, **flags):
    """Runs a command with the model above; returns what it printed and its exit status."""
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    done = run_python("-c", RUN_COMMAND, command, *arguments, env=os.environ | {"COLUMNS": "100"})
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    photos = folder / "photos"
    photos.mkdir()
    examples = []
    for index, (height, width) in enumerate(SIZES):
        image = rng.integers(0, 256, [height, width, 3], np.uint8)
        label = rng.integers(0, 2, [height, width]).astype(np.uint8)
        label[0] = 255
        examples.append(png_example(f"{index}.png", image, label))
        Image.fromarray(image).save(photos / f"{index}.png")
    palette = ((200, 0, 0), (0, 200, 0), (0, 0, 200))
    write_dataset(folder / "dataset", "shapes", {"val": examples}, ("road", "car", "sky"), palette)
    return folder


def test_evaluate(model_dir):
    status, printed, errors = run("evaluate", model_dir=model_dir)
    assert status == 0, errors
    assert "mean IOU" in printed
    assert "shapes val: 2 images, step 12" in printed
    report = json.loads((model_dir / "evaluation_val.json").read_text())
    assert (report["checkpoint"], report["step"]) == ("latest", 12)
    assert report["images"] == 2
    assert np.sum(report["confusion_matrix"]) == sum((h - 1) * w for h, w in SIZES)
    assert 0 <= report["mean_iou"] <= report["pixel_accuracy"] <= 1

    status, _, errors = run("evaluate", model_dir=model_dir)
    assert status == 1
    assert "evaluation_val.json: exists already; expected another --output" in errors

    # Another checkpoint, here of the same weights; replicas change no figure.
    best = model_dir / "best.json"
    status, _, errors = run(
        "evaluate",
        model_dir=model_dir,
        checkpoint="best",
        output=best,
        limit=2,
        distribution="mirrored",
        logical_cpus=2,
    )
    assert status == 0, errors
    assert json.loads(best.read_text()) == report | {"checkpoint": "best", "step": 8}

    status, _, errors = run("evaluate", model_dir=model_dir, distribution="tpu", tpu="local")
    assert status == 1
    assert "received 'tpu'" in errors
    assert "expected none, mirrored or multi_worker" in errors


def test_evaluate_writes_a_submission_of_several_views_and_windows(tmp_path):
    rng = np.random.default_rng(0)
    examples = [
        png_example(
            f"2008_{index:06d}.jpg",
            rng.integers(0, 256, [*size, 3], np.uint8),
            np.full(size, 255, np.uint8),
        )
        for index, size in enumerate(SIZES)
    ]
    names = [f"c{index}" for index in range(21)]
    write_dataset(tmp_path / "dataset", "voc", {"test": examples}, names)
    status, printed, errors = run(
        "evaluate", model_dir=tmp_path, split="test", scales="0.5,1", flip="true",
        window="24x24", submission="voc",
    )  # fmt: skip
    assert status == 0, errors
    assert f"2 predictions for the test server: {tmp_path}/submission_voc_test" in printed
    for index, (height, width) in enumerate(SIZES):
        file = f"submission_voc_test/results/VOC2012/Segmentation/comp6_test_cls/2008_{index:06d}"
        with Image.open(tmp_path / f"{file}.png") as image:
            assert (image.mode, image.size) == ("P", (width, height))
    report = json.loads((tmp_path / "evaluation_test.json").read_text())
    assert (report["scales"], report["flip"], report["window"]) == ([0.5, 1], True, [24, 24])
    # Nothing is labeled.
    assert report["mean_iou"] is None


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("scales", "0.5,big", "error: --scales: received '0.5,big'; expected factors above 0"),
        ("scales", "0", "error: --scales: received '0'"),
        ("window", "513", "error: --window: received '513'; expected HEIGHTxWIDTH"),
        ("submission", "kitti", "--submission=kitti: value should be one of"),
    ],
)
def test_evaluate_checks_its_flags_before_anything_else(tmp_path, flag, value, message):
    done = run_python("-m", "auto_deeplab.evaluate", f"--model_dir={tmp_path}", f"--{flag}={value}")
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_evaluate_says_what_is_wrong(model_dir, tmp_path):
    other = DatasetDescription("other", {"val": 1}, ("a", "b"), ((0, 0, 0), (1, 1, 1)))
    other.save(tmp_path)
    write_records(tmp_path / shard_name("val", 0, 1), [b""])
    status, _, errors = run(
        "evaluate", model_dir=model_dir, dataset_dir=tmp_path, output=tmp_path / "report.json"
    )
    assert status == 1
    assert "received the classes a, b; expected those of" in errors
    assert "Traceback" not in errors


def test_export_and_predict(model_dir, tmp_path):
    status, printed, errors = run("export", model_dir=model_dir, output=tmp_path / "exported")
    assert status == 0, errors
    assert f"step 12 of {model_dir} to {tmp_path / 'exported' / '1'}" in printed

    photos = model_dir / "photos"
    (photos / "broken.png").write_text("no image")
    status, printed, errors = run(
        "predict",
        saved_model=tmp_path / "exported",
        images=photos,
        output=tmp_path / "a",
        results="both",
    )
    assert status == 1
    assert "2 predicted, 0 done before" in printed
    assert "1 of 3 files could not be read" in errors
    assert f"{photos / 'broken.png'}: not an image file" in errors
    assert "Traceback" not in errors

    status, printed, errors = run(
        "predict", model_dir=model_dir, images=photos / "[01].png", output=tmp_path / "b",
        results="both",
    )  # fmt: skip
    assert status == 0, errors
    for index, size in enumerate(SIZES):
        exported, trained = (
            np.asarray(Image.open(tmp_path / folder / f"{index}_classes.png")) for folder in "ab"
        )
        assert exported.shape == size
        np.testing.assert_array_equal(exported, trained)
        with Image.open(tmp_path / "a" / f"{index}_overlay.png") as overlay:
            assert overlay.mode == "RGB"


def test_export_options(model_dir, tmp_path):
    output = tmp_path / "exported"
    flags = {
        "model_dir": model_dir,
        "output": output,
        "version": 3,
        "outputs": "class_map,colored_map",
        "input_size": "33x41",
        "scales": "0.5,1",
        "flip": True,
        "kernel_dtype": "bfloat16",
        "max_pixels": 1000,
    }
    status, _, errors = run("export", **flags)
    assert status == 0, errors
    options = json.loads((output / "3" / "assets" / "export.json").read_text())["options"]
    assert options == {
        "outputs": ["class_map", "colored_map"],
        "input_size": [33, 41],
        "scales": [0.5, 1.0],
        "flip": True,
        "fold_batch_norm": True,
        "kernel_dtype": "bfloat16",
        "max_pixels": 1000,
    }
    metrics = json.loads((output / "3" / "assets" / "metrics.json").read_text())
    assert metrics["step"] == 12
    serve = tf.saved_model.load(str(output / "3")).signatures["serving_default"]
    outputs = serve(images=tf.zeros([2, 20, 30, 3], tf.uint8))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "class_map": (2, 20, 30),
        "colored_map": (2, 20, 30, 3),
    }
    with pytest.raises(tf.errors.InvalidArgumentError, match="1 to 1000 pixels"):
        serve(images=tf.zeros([1, 50, 50, 3], tf.uint8))

    status, _, errors = run("export", **flags)
    assert status == 1
    assert "--version=3" in errors
    assert "exists" in errors


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"outputs": "class_maps"}, "did you mean class_map"),
        ({"input_size": "513"}, "--input_size: received '513'; expected HEIGHTxWIDTH"),
        ({"warm_up_size": "0x9"}, "--warm_up_size: received '0x9'"),
        ({"scales": "0,1"}, "--scales: received '0,1'"),
        ({"max_pixels": 0}, "--max_pixels: received 0"),
    ],
)
def test_export_says_what_is_wrong_at_once(tmp_path, flags, message):
    status, _, errors = run("export", model_dir="none", output=tmp_path / "exported", **flags)
    assert status == 1
    assert message in errors
    assert "Traceback" not in errors


def test_what_a_format_loses(model_dir, tmp_path):
    dataset_dir, file = model_dir / "dataset", tmp_path / "shapes.tflite"
    status, printed, errors = run(
        "export", model_dir=model_dir, output=file, format="tflite", precision="int8",
        dataset_dir=dataset_dir, split="val",
    )  # fmt: skip
    assert status == 0, errors
    assert f"step 12 of {model_dir} to {file}" in printed

    status, printed, errors = run("evaluate", tflite=file, model_dir=model_dir)
    assert status == 0, errors
    assert f"of {model_dir}; " in printed
    beside = tmp_path / "shapes.tflite_evaluation_val.json"
    assert f"written to {beside}" in printed
    report = json.loads(beside.read_text())
    assert (report["model"], report["step"], report["images"]) == (str(file), None, 2)
    comparison = report["comparison"]
    assert comparison["reference"] == str(model_dir)
    assert comparison["mean_iou_lost"] == pytest.approx(comparison["mean_iou"] - report["mean_iou"])
    assert comparison["pixels_agree"] > 0.5

    # Without the training's folder, on any data set of these classes.
    alone = tmp_path / "alone.json"
    status, _, errors = run("evaluate", tflite=file, dataset_dir=dataset_dir, output=alone)
    assert status == 0, errors
    again = json.loads(alone.read_text())
    assert "comparison" not in again
    assert again["confusion_matrix"] == report["confusion_matrix"]


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        ("evaluate", {}, "received no network; expected --model_dir, or an exported one"),
        ("evaluate", {"onnx": "a", "tflite": "b"}, "received --tflite and --onnx; expected one"),
        ("evaluate", {"onnx": "a"}, "--onnx: received no dataset; expected --dataset_dir or"),
        (
            "evaluate",
            {"onnx": "a", "flip": "true"},
            "--onnx: received --scales, --flip or --window; expected none",
        ),
        (
            "export",
            {"precision": "int8"},
            "--precision: received with --format=saved_model; expected --fo",
        ),
        (
            "export",
            {"format": "tflite", "precision": "int8"},
            "received --precision=int8 without --dataset_dir; expected both",
        ),
        (
            "export",
            {"format": "onnx", "version": 3},
            "--version: received with --format=onnx; expected",
        ),
    ],
)
def test_flags_that_do_not_go_together(tmp_path, command, flags, message):
    if command == "export":
        flags |= {"model_dir": tmp_path, "output": tmp_path / "file"}
    status, _, errors = run(command, **flags)
    assert status == 1
    assert message in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("command", ["client", "evaluate", "export", "predict", "serve"])
def test_help_says_what_it_is_and_shows_an_example(command):
    module = f"auto_deeplab.{command}"
    done = run_new_python("-X", "importtime", "-m", module, "--help")
    assert done.returncode == 0
    assert f"python -m auto_deeplab.{command} --" in done.stdout
    takes_model_dir = command in ("evaluate", "export", "predict")
    assert ("--checkpoint: <latest|best>" in done.stdout) == takes_model_dir
    # Answering at once means that nothing heavy is imported.
    assert "tensorflow" not in done.stderr


def test_predict_wants_one_model(tmp_path):
    status, _, errors = run("predict", images=tmp_path, output=tmp_path)
    assert status == 1
    assert "received no network; expected either --model_dir or an exported one" in errors

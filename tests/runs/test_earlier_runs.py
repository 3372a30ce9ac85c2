"""This version continues runs that an earlier one wrote; earlier/README.md says how."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import contents, output_in

# What the earlier version computed is computed again by other kernels, in another order.
ROUNDING = 0.01


@pytest.fixture
def earlier(tmp_path):
    """The earlier version's working folder: runs, the dataset that they name, gin files."""
    with tarfile.open(Path(__file__).with_name("earlier") / "folder.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


# They were trained before maps of all strides were on one pixel grid.
GRID = "pixel_grid.aligned = False"


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_interrupted_search_goes_on_as_it_would_have(earlier):
    folder, expected = earlier / "runs" / "search", earlier / "expected"
    metrics, history = (folder / name for name in ("metrics.jsonl", "architecture.jsonl"))
    before = [path.read_text() for path in (metrics, history)]

    flags = "--gin_file=search.gin", "--model_dir=runs/search"
    printed = output_in(earlier, "train", *flags, f"--gin_param={GRID}")

    assert "continuing after step 5 of 8" in printed
    for path, text in zip((metrics, history), before, strict=True):
        assert path.read_text().startswith(text)
        assert [line["epoch"] for line in lines(path)] == [1, 2]
    ours, theirs = lines(metrics)[-1], lines(expected / "metrics.jsonl")[-1]
    # This version's has more, see `Diagnosis`.
    assert ours.keys() >= theirs.keys()
    for name in ("step", "loss", "architecture_loss", "learning_rate"):
        assert ours[name] == pytest.approx(theirs[name], rel=ROUNDING), name
    ours, theirs = lines(history)[-1], lines(expected / "architecture.jsonl")[-1]
    for name in ("alpha", "beta"):
        # Adam's first steps have the learning rate's size whatever the gradients are.
        np.testing.assert_allclose(ours[name], theirs[name], atol=3e-3 * 0.1)

    genotype = json.loads((folder / "genotype.json").read_text())
    assert "step 8" in output_in(earlier, "decode", "--model_dir=runs/search")
    assert json.loads((folder / "genotype.json").read_text()) == genotype


def test_a_finished_retraining_is_evaluated_and_exported(earlier):
    folder = earlier / "runs" / "retrain"
    kept = contents(folder)
    flags = "--gin_file=retrain.gin", "--model_dir=runs/retrain"
    output_in(earlier, "train", *flags, f"--gin_param={GRID}")
    # When it was continued, and which process did, is noted all the same. Parameters that there
    # were not are added to the configuration: among them the grid, which what follows keeps to.
    del kept["sessions.jsonl"]
    config = kept.pop("config.gin").decode()
    assert GRID in (folder / "config.gin").read_text()
    assert GRID not in config
    assert kept.items() <= contents(folder).items(), "it was finished"

    theirs = json.loads((folder / "evaluation_val.json").read_text())
    output_in(earlier, "evaluate", "--model_dir=runs/retrain", "--output=again.json")
    ours = json.loads((earlier / "again.json").read_text())
    # This version's has more, see `Diagnosis`.
    assert ours.keys() >= theirs.keys()
    assert ours["step"] == theirs["step"] == 4
    counts = np.array(theirs["confusion_matrix"])
    assert np.count_nonzero(counts.sum(axis=0)) > 5, "it predicts several classes"
    assert_nearly_equal(ours["confusion_matrix"], counts)

    output_in(earlier, "export", "--model_dir=runs/retrain", "--output=exported")
    assert_nearly_equal(confusion_matrix(earlier, classes=len(counts)), counts)


def assert_nearly_equal(counts, expected):
    """Asserts that two confusion matrices place nearly all pixels in the same way."""
    assert np.sum(counts) == np.sum(expected)
    assert np.abs(np.subtract(counts, expected)).sum() / 2 < ROUNDING * np.sum(expected)


def confusion_matrix(folder, classes):
    """Returns the validation split's, as the exported network and nothing of this package says."""
    serve = tf.saved_model.load(str(folder / "exported" / "1")).signatures["tf_example"]
    counts = np.zeros([classes, classes], np.int64)
    records = folder / "datasets" / "small" / "val-00000-of-00001.tfrecord"
    for record in tf.data.TFRecordDataset(str(records)):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        encoded = features["image/segmentation/class/encoded"].bytes_list.value[0]
        label = tf.io.decode_png(encoded)[..., 0].numpy()
        (predicted,) = serve(examples=record[None])["class_map"].numpy()
        labeled = label != 255
        np.add.at(counts, (label[labeled], predicted[labeled]), 1)
    return counts

"""Exported networks: the same class maps in a process that has TensorFlow and nothing of ours."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.errors import UserError
from auto_deeplab.models.network import build_network
from auto_deeplab.search_space import Branch, Genotype
from auto_deeplab.serving.saved_model import (
    class_maps_of_model,
    class_maps_of_saved_model,
    export_saved_model,
    find_version,
    load_description,
)

DESCRIPTION = DatasetDescription(
    "shapes", {"val": 1}, ("road", "car", "sky"), ((200, 0, 0), (0, 200, 0), (0, 0, 200))
)
CELL = (
    (Branch("prev", "sep_conv_3x3"), Branch("prev_prev", "atrous_conv_3x3")),
    (Branch("block1", "max_pool_3x3"), Branch("prev_prev", "skip")),
)
GENOTYPE = Genotype("small", (8, 4, 8), CELL)
SIZES = [(1, 32, 32), (3, 32, 32), (1, 33, 47), (3, 21, 50), (2, 1, 1)]

LOAD_AND_RUN = """
import sys
import numpy as np
import tensorflow as tf

saved_model, images_file, output_file = sys.argv[1:]
model = tf.saved_model.load(saved_model)
serve = model.signatures["serving_default"]
images = np.load(images_file)
np.savez(output_file, **{k: serve(images=v)["class_map"].numpy() for k, v in images.items()})
for package in ("auto_deeplab", "official", "tf_keras"):
    assert package not in sys.modules, package
"""


@pytest.fixture(scope="module")
def network():
    network = build_network(GENOTYPE, classes=3, filters=4, batch_norm_momentum=0.1)
    # A network that tells the pixels of random images apart: statistics of such images, a
    # classifier with large weights, and no class ahead of the others on average.
    rng = np.random.default_rng(0)
    images = tf.constant(rng.uniform(-1, 1, [4, 33, 47, 3]), tf.float32)
    for _ in range(4):
        network(images, training=True)
    kernel, bias = network.get_layer("decoder").trainable_weights[-2:]
    kernel.assign(rng.normal(size=kernel.shape))
    bias.assign(-tf.reduce_mean(network(images), axis=[0, 1, 2]))
    return network


def images_of_all_sizes():
    rng = np.random.default_rng(1)
    return {
        f"{batch}_{height}_{width}": rng.integers(0, 256, [batch, height, width, 3], np.uint8)
        for batch, height, width in SIZES
    }


def expected_class_map(network, images):
    logits = network(tf.constant(images / 127.5 - 1, tf.float32), training=False).numpy()
    # Where the two best classes are equally good, either is right.
    best = np.sort(logits, axis=-1)
    return np.argmax(logits, axis=-1), best[..., -1] - best[..., -2] > 1e-4


def test_a_fresh_process_without_this_package_gives_the_same_class_maps(network, tmp_path):
    version = export_saved_model(network, DESCRIPTION, GENOTYPE, tmp_path / "network")
    assert version == tmp_path / "network" / "1"
    images = images_of_all_sizes()
    np.savez(tmp_path / "images.npz", **images)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TF_"))
    }
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    files = [version, tmp_path / "images.npz", tmp_path / "class_maps.npz"]
    subprocess.run(
        [sys.executable, "-c", LOAD_AND_RUN, *files], check=True, cwd=elsewhere, env=environment
    )
    class_maps = np.load(tmp_path / "class_maps.npz")
    seen = set()
    for name, batch in images.items():
        assert class_maps[name].dtype == np.int32
        assert class_maps[name].shape == batch.shape[:3]
        expected, certain = expected_class_map(network, batch)
        np.testing.assert_array_equal(class_maps[name][certain], expected[certain])
        seen |= set(np.unique(expected))
    assert len(seen) > 1, "the network must tell pixels apart, or the test shows nothing"

    assert load_description(version) == DESCRIPTION
    assert Genotype.load(version / "assets" / "genotype.json") == GENOTYPE
    assert sorted(path.name for path in (tmp_path / "network").iterdir()) == ["1"]

    loaded = class_maps_of_saved_model(find_version(tmp_path / "network"))
    unexported = class_maps_of_model(network)
    for batch in images.values():
        np.testing.assert_array_equal(loaded(batch), unexported(batch))


def test_versions_are_added_and_never_replaced(network, tmp_path):
    output = tmp_path / "network"
    (output / "7").mkdir(parents=True)
    (output / "7" / "kept").write_text("kept")
    (output / "notes").mkdir()
    assert export_saved_model(network, DESCRIPTION, None, output) == output / "8"
    assert (output / "7" / "kept").read_text() == "kept"
    assert find_version(output) == output / "8"
    assert find_version(output / "8") == output / "8"
    assert not (output / "8" / "assets" / "genotype.json").exists()
    with pytest.raises(UserError, match="is a SavedModel itself"):
        export_saved_model(network, DESCRIPTION, None, output / "8")


def test_a_failed_export_leaves_nothing(network, tmp_path, monkeypatch):
    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full_disk)
    with pytest.raises(UserError, match=r"network: cannot be written: No space left"):
        export_saved_model(network, DESCRIPTION, GENOTYPE, tmp_path / "network")
    assert list((tmp_path / "network").iterdir()) == []


def test_folders_that_are_no_export_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="expected a SavedModel"):
        find_version(tmp_path / "missing")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(UserError, match="cannot be loaded"):
        class_maps_of_saved_model(find_version(tmp_path))
    other = tf.Module()
    other.serve = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([], tf.float32)])
    tf.saved_model.save(other, str(tmp_path / "2"), signatures=other.serve)
    with pytest.raises(UserError, match=r"expected an output class_map, received \['y'\]"):
        class_maps_of_saved_model(find_version(tmp_path))

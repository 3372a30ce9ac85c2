"""Exported networks: the same answers in a process that has TensorFlow and nothing of ours."""

import dataclasses
import json
import resource
import shutil

import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import Genotype
from auto_deeplab.serving.engines.load import load_exported
from auto_deeplab.serving.engines.saved_model import class_maps_of_model, class_maps_of_saved_model
from auto_deeplab.serving.export.assets import load_description
from auto_deeplab.serving.export.options import ExportOptions
from auto_deeplab.serving.export.to_saved_model import export_saved_model
from auto_deeplab.serving.export.to_tflite import export_tflite
from auto_deeplab.serving.export.versions import find_version
from auto_deeplab.serving.files.image_files import UnreadableImage
from tests.helpers import output_of, run_elsewhere
from tests.serving.conftest import DESCRIPTION, GENOTYPE

SIZES = [(1, 32, 32), (3, 32, 32), (1, 33, 47), (3, 21, 50), (2, 1, 1)]

LOAD_AND_RUN = """
import sys
import numpy as np
import tensorflow as tf

saved_model, images_file, output_file = sys.argv[1:]
model = tf.saved_model.load(saved_model)
serve = model.signatures["serving_default"]
answers = {}
for name, batch in np.load(images_file).items():
    outputs = serve(images=batch)
    files = [tf.io.encode_png(image) for image in batch]
    of_files = model.signatures["image_bytes"](image_bytes=tf.stack(files))
    np.testing.assert_array_equal(of_files["class_map"], outputs["class_map"])
    for output in ("class_map", "probabilities"):
        answers[f"{output} {name}"] = outputs[output]
np.savez(output_file, **answers)
for package in ("auto_deeplab", "official", "tf_keras"):
    assert package not in sys.modules, package
"""

SAVED_MODEL_CLI = """
import json, sys
from absl import flags
from tensorflow.python.tools import saved_model_cli

for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    flags.FLAGS.unparse_flags()
    try:
        saved_model_cli.main()
    except SystemExit as end:
        assert not end.code
"""


def images_of_all_sizes():
    rng = np.random.default_rng(1)
    return {
        f"{batch}_{height}_{width}": rng.integers(0, 256, [batch, height, width, 3], np.uint8)
        for batch, height, width in SIZES
    }


def check_answers(network, images, class_map, probabilities):
    logits = network(tf.constant(images / 127.5 - 1, tf.float32), training=False)
    expected = tf.nn.softmax(logits).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    # Where the two best classes are equally good, either is right.
    best = np.sort(expected, axis=-1)
    certain = best[..., -1] - best[..., -2] > 2e-4
    assert class_map.dtype == np.int32
    np.testing.assert_array_equal(class_map[certain], expected.argmax(axis=-1)[certain])


def test_a_fresh_process_without_this_package_answers_the_same(network, tmp_path):
    options = ExportOptions(outputs=("class_map", "probabilities"))
    version = export_saved_model(network, DESCRIPTION, GENOTYPE, tmp_path / "network", options)
    assert version == tmp_path / "network" / "1"
    images = images_of_all_sizes()
    np.savez(tmp_path / "images.npz", **images)
    files = [version, tmp_path / "images.npz", tmp_path / "answers.npz"]
    output_of(run_elsewhere(tmp_path / "elsewhere", "-c", LOAD_AND_RUN, *files))
    answers = np.load(tmp_path / "answers.npz")
    seen = set()
    for name, batch in images.items():
        class_map = answers[f"class_map {name}"]
        check_answers(network, batch, class_map, answers[f"probabilities {name}"])
        seen |= set(np.unique(class_map))
    assert len(seen) > 1, "the network must tell pixels apart, or the test shows nothing"

    assert load_description(version) == DESCRIPTION
    assert Genotype.load(version / "assets" / "genotype.json") == GENOTYPE
    assert sorted(path.name for path in (tmp_path / "network").iterdir()) == ["1"]

    loaded = class_maps_of_saved_model(find_version(tmp_path / "network"))
    unexported = class_maps_of_model(network)
    for batch in images.values():
        np.testing.assert_array_equal(loaded(batch), unexported(batch))

    check_saved_model_cli(network, version, images["1_33_47"], tmp_path / "cli")


def check_saved_model_cli(network, version, images, folder):
    """TensorFlow's own command runs the signatures, in one process."""
    folder.mkdir()
    np.save(folder / "images.npy", images)
    np.save(folder / "files.npy", np.array([tf.io.encode_png(image).numpy() for image in images]))
    calls = {
        "serving_default": f"--inputs=images={folder / 'images.npy'}",
        "image_bytes": f"--inputs=image_bytes={folder / 'files.npy'}",
    }
    common = ("run", f"--dir={version}", "--tag_set=serve")
    arguments = [
        [*common, f"--signature_def={signature}", inputs, f"--outdir={folder / signature}"]
        for signature, inputs in calls.items()
    ]
    output_of(run_elsewhere(folder, "-c", SAVED_MODEL_CLI, json.dumps(arguments)))
    for signature in calls:
        outputs = [
            np.load(folder / signature / f"{name}.npy") for name in ("class_map", "probabilities")
        ]
        check_answers(network, images, *outputs)


def test_an_image_that_the_network_refuses(exported):
    class_maps = class_maps_of_saved_model(exported / "1")
    with pytest.raises(UnreadableImage, match=r"^refused by the network: .*1 to 4000 pixels"):
        class_maps(np.zeros([1, 100, 100, 3], np.uint8))
    assert class_maps(np.zeros([1, 10, 10, 3], np.uint8)).shape == (1, 10, 10)


def test_versions_are_added_and_never_replaced(network, tmp_path):
    output = tmp_path / "network"
    (output / "7").mkdir(parents=True)
    (output / "7" / "kept").write_text("kept")
    assert export_saved_model(network, DESCRIPTION, None, output) == output / "8"
    assert (output / "7" / "kept").read_text() == "kept"
    assert not (output / "8" / "assets" / "genotype.json").exists()
    with pytest.raises(UserError, match=r"version=7: .*7 exists"):
        export_saved_model(network, DESCRIPTION, None, output, version=7)
    with pytest.raises(UserError, match="is a SavedModel itself"):
        export_saved_model(network, DESCRIPTION, None, output / "8")


def test_a_failed_export_leaves_nothing(network, tmp_path, monkeypatch):
    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full_disk)
    with pytest.raises(UserError, match=r"network': cannot be written: No space left"):
        export_saved_model(network, DESCRIPTION, GENOTYPE, tmp_path / "network")
    assert list((tmp_path / "network").iterdir()) == []


def test_folders_that_are_no_export_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="expected a SavedModel, or"):
        find_version(tmp_path / "missing")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(UserError, match="cannot be loaded"):
        class_maps_of_saved_model(find_version(tmp_path))
    other = tf.Module()
    other.serve = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([], tf.float32)])
    tf.saved_model.save(other, str(tmp_path / "2"), signatures=other.serve)
    with pytest.raises(UserError, match=r"received the outputs \['y'\]; expected class_map"):
        class_maps_of_saved_model(find_version(tmp_path))


def test_damaged_weights_are_named(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "shapes")
    (weights,) = folder.glob("1/variables/*data*")
    whole = weights.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:middle], b"", whole[:middle] + b"damaged" + whole[middle + 7 :]):
        weights.write_bytes(damaged)
        for kind in ("saved_model", "openvino") if len(damaged) < len(whole) else ("saved_model",):
            with pytest.raises(UserError, match=rf"^{folder}/1: .*cannot [^\n]*; expected [^\n]*$"):
                load_exported(kind, str(folder))


@pytest.mark.parametrize("kind", ["saved_model", "openvino"])
def test_labels_of_fewer_classes_than_the_network_has_are_an_error(exported, tmp_path, kind):
    folder = shutil.copytree(exported, tmp_path / "shapes")
    fewer = dataclasses.replace(DESCRIPTION, classes=("road",), palette=((1, 2, 3),))
    (folder / "1" / "assets" / "dataset.json").unlink()
    fewer.save(folder / "1" / "assets")
    images = np.random.default_rng(0).integers(0, 256, [1, 24, 40, 3], np.uint8)
    with pytest.raises(UserError, match=r"shapes/1: class_map: received [12] at .* expected 0"):
        load_exported(kind, str(folder)).class_maps(images)


@pytest.mark.parametrize("format", ["saved_model", "tflite"])
def test_a_disk_that_takes_no_more_is_named_and_nothing_stays(network, tmp_path, format):
    output = tmp_path / "shapes"
    export = {"saved_model": export_saved_model, "tflite": export_tflite}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As a full disk does, it refuses a write in the midst of a file, to TensorFlow as well.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"shapes': cannot be written: [^\n{]*File too large"):
            export[format](network, DESCRIPTION, GENOTYPE, output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [path for path in tmp_path.rglob("*") if path != output]

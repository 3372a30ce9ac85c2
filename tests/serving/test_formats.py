"""TFLite and ONNX files and OpenVINO: the class maps of the network, on CamVid and at odd sizes.

The network's weights are random, but its batch norm has the statistics of CamVid images, and its
classifier no class ahead of the others on them: its class maps are as fine as a trained one's.
"""

import warnings
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
import tf_keras
from PIL import Image

from auto_deeplab.data.augmentation import normalize_image
from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.evaluation.views import mean_probabilities
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.final.network import build_network
from auto_deeplab.search_space import Branch, Genotype
from auto_deeplab.serving.engines.load import load_exported
from auto_deeplab.serving.engines.openvino import class_maps_of_openvino
from auto_deeplab.serving.engines.saved_model import class_maps_of_model
from auto_deeplab.serving.export.calibration_images import calibration_images
from auto_deeplab.serving.export.options import PRECISIONS, ExportOptions
from auto_deeplab.serving.export.to_onnx import export_onnx
from auto_deeplab.serving.export.to_saved_model import export_saved_model
from auto_deeplab.serving.export.to_tflite import export_tflite

CLASSES = ("road", "car", "sky", "tree")
DESCRIPTION = DatasetDescription(
    "shapes", {"val": 1}, CLASSES, ((200, 0, 0), (0, 200, 0), (0, 0, 200), (99, 99, 0))
)
# Every operation, going down and up.
GENOTYPE = Genotype(
    "small",
    (8, 4),
    (
        (Branch("prev", "sep_conv_3x3"), Branch("prev_prev", "atrous_conv_3x3")),
        (Branch("block1", "max_pool_3x3"), Branch("prev_prev", "skip")),
        (Branch("block1", "avg_pool_3x3"), Branch("prev", "sep_conv_5x5")),
        (Branch("block2", "atrous_conv_5x5"), Branch("block3", "none")),
    ),
)
SIMPLE_GENOTYPE = Genotype(
    "simple", (8,), ((Branch("prev", "sep_conv_3x3"), Branch("prev", "skip")),)
)


@pytest.fixture(autouse=True)
def every_instruction_for_openvino(monkeypatch):
    """OpenVINO has a oneDNN of its own, which mistakes what the variable hides for a choice."""
    # TensorFlow's has read it by the first convolution.
    tf.nn.conv2d(tf.ones([1, 1, 1, 1]), tf.ones([1, 1, 1, 1]), 1, "SAME")
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)


@pytest.fixture(scope="module")
def photographs(camvid):
    """Six CamVid images, uint8 [180, 240, 3]: the network is fitted to those after the third."""
    files = sorted((camvid / "val" / "images").iterdir())[::16][:6]
    return [np.asarray(Image.open(file).convert("RGB").reduce(2)) for file in files]


def fitted_network(genotype, photographs):
    tf_keras.utils.set_random_seed(1)
    network = build_network(genotype, len(CLASSES), filters=4, batch_norm_momentum=0.1)
    images = tf.constant(np.stack(photographs[3:]) / 127.5 - 1, tf.float32)
    for _ in range(3):
        network(images, training=True)
    kernel, bias = network.get_layer("decoder").trainable_weights[-2:]
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    bias.assign(-tf.reduce_mean(network(images), axis=[0, 1, 2]))
    return network


@pytest.fixture(scope="module")
def network(photographs):
    return fitted_network(GENOTYPE, photographs)


@pytest.fixture(scope="module")
def ours(network):
    return class_maps_of_model(network)


@pytest.fixture(scope="module")
def simple_network(photographs):
    """For what is around the cells, whose operations `network` has."""
    return fitted_network(SIMPLE_GENOTYPE, photographs)


@pytest.fixture(scope="module")
def windowed_network(simple_network):
    """The same weights with image pooling over a window of 65 pixels."""
    network = build_network(SIMPLE_GENOTYPE, len(CLASSES), filters=4, image_pooling_window=65)
    network.set_weights(simple_network.get_weights())
    return network


@pytest.fixture(scope="module")
def class_maps_of_windows(simple_network, windowed_network, photographs):
    """The windowed network's class maps by size: smaller than the window, in height alone, not."""
    ours = class_maps_of_model(windowed_network)
    images = np.stack(photographs[:2])
    assert np.mean(ours(images) != class_maps_of_model(simple_network)(images)) > 0.001
    sizes = [(123, 202), (30, 41), (47, 180)]
    return {size: ours(images[:, : size[0], : size[1]]) for size in sizes}


@pytest.fixture(scope="module")
def exports(network, photographs, tmp_path_factory):
    """The network in every format: what `load_exported` takes, by name."""
    folder = tmp_path_factory.mktemp("exports")
    export_saved_model(network, DESCRIPTION, GENOTYPE, folder / "saved_model")
    export_onnx(network, DESCRIPTION, GENOTYPE, folder / "network.onnx")
    for precision in PRECISIONS:
        export_tflite(
            network,
            DESCRIPTION,
            GENOTYPE,
            folder / f"{precision}.tflite",
            precision=precision,
            calibration_images=photographs[3:] if precision == "int8" else (),
        )
    return {
        "openvino": ("openvino", folder / "saved_model"),
        "onnx": ("onnx", folder / "network.onnx"),
        **{precision: ("tflite", folder / f"{precision}.tflite") for precision in PRECISIONS},
    }


@pytest.fixture(scope="module")
def expected(network, photographs):
    """The training-side model's class maps of the images that nothing was fitted to."""
    batch = tf.constant(np.stack(photographs[:3]) / 127.5 - 1, tf.float32)
    class_maps = np.argmax(network(batch, training=False), axis=-1)
    shares = np.bincount(class_maps.ravel(), minlength=len(CLASSES)) / class_maps.size
    assert np.sort(shares)[-2] > 0.1, "the network must tell pixels apart, or nothing is shown"
    return class_maps


# OpenVINO and ONNX Runtime share no code with TensorFlow.
@pytest.mark.parametrize(
    ("export", "least"),
    [("openvino", 0.999), ("onnx", 0.999), ("float32", 0.999), ("float16", 0.98), ("int8", 0.7)],
)
def test_class_maps_agree_on_camvid(exports, photographs, expected, export, least):
    loaded = load_exported(*exports[export])
    assert loaded.description == DESCRIPTION
    class_maps = np.stack([loaded.class_maps(image[np.newaxis])[0] for image in photographs[:3]])
    assert class_maps.dtype == np.int32
    assert np.mean(class_maps == expected) >= least


@pytest.mark.parametrize("export", ["openvino", "onnx", "float32"])
def test_any_size_and_batch(exports, ours, photographs, export):
    class_maps = load_exported(*exports[export]).class_maps
    for batch, height, width in [(3, 33, 47), (1, 32, 64), (2, 1, 1), (1, 123, 202), (3, 33, 47)]:
        images = np.stack([image[:height, :width] for image in photographs[:batch]])
        result, wanted = class_maps(images), ours(images)
        assert result.shape == wanted.shape
        assert np.mean(result == wanted) > 0.999


def test_openvino_runs_the_onnx_file_too(exports, photographs, expected):
    class_maps = class_maps_of_openvino(exports["onnx"][1])
    assert np.mean(class_maps(photographs[0][np.newaxis]) == expected[:1]) >= 0.999


def test_lower_precision_makes_smaller_files(exports):
    sizes = {precision: exports[precision][1].stat().st_size for precision in PRECISIONS}
    assert sizes["float16"] < 0.55 * sizes["float32"]
    assert sizes["int8"] < 0.3 * sizes["float32"]


def test_files_carry_what_they_are(exports):
    with zipfile.ZipFile(exports["int8"][1]) as archive:
        names = archive.namelist()
        assert Genotype.from_json(archive.read("genotype.json").decode()) == GENOTYPE
    assert {"dataset.json", "export.json"} <= set(names)
    session = onnxruntime.InferenceSession(exports["onnx"][1])
    assert set(session.get_modelmeta().custom_metadata_map) == set(names)
    assert session.get_inputs()[0].shape == ["batch", "height", "width", 3]


def test_views_and_more_outputs_are_inside(simple_network, photographs, tmp_path):
    options = ExportOptions(outputs=("class_map", "probabilities"), scales=(0.5,), flip=True)
    path = tmp_path / "views.onnx"
    export_onnx(simple_network, DESCRIPTION, None, path, options)
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    assert sorted(names) == ["class_map", "probabilities"]
    images = photographs[0][np.newaxis, :97, :129]
    outputs = dict(zip(names, session.run(names, {"images": images}), strict=True))
    expected = mean_probabilities(simple_network, normalize_image(images), (0.5,), flip=True)
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-3)
    np.testing.assert_array_equal(outputs["class_map"], outputs["probabilities"].argmax(axis=-1))


# An ONNX file is converted for any size and then given its own: there is less that may differ.
@pytest.mark.parametrize(
    ("kind", "export", "exported"),
    [("tflite", export_tflite, "network"), ("onnx", export_onnx, "simple_network")],
)
def test_a_fixed_size_takes_images_of_any(request, photographs, tmp_path, kind, export, exported):
    network = request.getfixturevalue(exported)
    path = tmp_path / f"fixed.{kind}"
    size = (123, 202)
    export(network, DESCRIPTION, None, path, ExportOptions(input_size=size))
    class_maps = load_exported(kind, path).class_maps
    images = np.stack([image[: size[0], : size[1]] for image in photographs[:2]])
    assert np.mean(class_maps(images) == class_maps_of_model(network)(images)) > 0.999

    for images in (np.stack(photographs[:2]), photographs[0][np.newaxis, :60, :50]):
        answer = class_maps(images)
        assert answer.shape == images.shape[:3]
        assert answer.dtype == np.int32
    with pytest.raises(UserError, match=r"exists; expected the name of a new file"):
        export(network, DESCRIPTION, None, path)


@pytest.mark.parametrize(("kind", "export"), [("tflite", export_tflite), ("onnx", export_onnx)])
def test_image_pooling_over_a_window(
    windowed_network, class_maps_of_windows, photographs, tmp_path, kind, export
):
    path = tmp_path / f"windowed.{kind}"
    export(windowed_network, DESCRIPTION, None, path)
    class_maps = load_exported(kind, path).class_maps
    for (height, width), expected in class_maps_of_windows.items():
        images = np.stack([image[:height, :width] for image in photographs[:2]])
        assert np.mean(class_maps(images) == expected) > 0.999


def test_what_openvino_cannot_run_is_a_user_error(simple_network, tmp_path):
    # Fitting images to a size smooths them, for which OpenVINO has no operation.
    options = ExportOptions(input_size=(33, 47))
    export_saved_model(simple_network, DESCRIPTION, None, tmp_path / "fixed", options)
    with pytest.raises(
        UserError, match=r"fixed.1: OpenVINO cannot run it; expected .* without an input size"
    ):
        load_exported("openvino", tmp_path / "fixed")


def test_int8_needs_images(simple_network, tmp_path):
    with pytest.raises(UserError, match="calibration_images: received none for precision='int8'"):
        export_tflite(simple_network, DESCRIPTION, None, tmp_path / "a.tflite", precision="int8")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_files_that_are_no_export_are_user_errors(tmp_path, kind):
    path = tmp_path / "file"
    with pytest.raises(UserError, match="cannot be loaded"):
        load_exported(kind, str(path))
    path.write_bytes(b"no network")
    with pytest.raises(
        UserError, match=r"file: cannot be loaded.*; expected an? (TFLite|ONNX) file"
    ):
        load_exported(kind, str(path))


@pytest.mark.parametrize(("kind", "export"), [("tflite", "float32"), ("onnx", "onnx")])
def test_files_that_were_cut_are_user_errors(exports, tmp_path, kind, export):
    path = tmp_path / "cut"
    whole = exports[export][1].read_bytes()
    message = rf"^{path}: cannot be loaded as an? (TFLite|ONNX) file; expected[^\n]*$"
    for size in (0, 1, 1000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=message):
            load_exported(kind, str(path))


@pytest.mark.parametrize(("kind", "export"), [("tflite", "float32"), ("onnx", "onnx")])
def test_labels_of_fewer_classes_than_the_network_has(exports, photographs, tmp_path, kind, export):
    path = tmp_path / "file"
    fewer = DatasetDescription("shapes", {"val": 1}, CLASSES[:1], DESCRIPTION.palette[:1]).to_json()
    if kind == "onnx":
        model = onnx.load(exports[export][1])
        onnx.helper.set_model_props(model, {"dataset.json": fewer})
        onnx.save(model, path)
    else:
        path.write_bytes(exports[export][1].read_bytes())
        with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings(action="ignore"):
            archive.writestr("dataset.json", fewer)
    network = load_exported(kind, str(path))
    assert network.description.classes == CLASSES[:1]
    with pytest.raises(UserError, match=r"file: class_map: received [123] at .* expected 0 to 0"):
        network.class_maps(photographs[0][np.newaxis])


def test_calibration_images_are_spread_over_the_split(colored_dataset):
    images = calibration_images(colored_dataset, "train", 3)
    everything = calibration_images(colored_dataset, "train", 100)
    assert len(everything) == 9
    for image, index in zip(images, (0, 4, 8), strict=True):
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, everything[index])

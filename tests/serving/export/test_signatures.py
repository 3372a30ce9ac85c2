"""What the signatures answer, against the network and NumPy."""

import io
from contextlib import contextmanager

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from auto_deeplab.data.example import EncodedExample
from auto_deeplab.data.image_files import encode_png
from auto_deeplab.data.schema import serialize_example
from auto_deeplab.evaluation.views import mean_probabilities
from auto_deeplab.serving.export.options import OUTPUTS, ExportOptions
from auto_deeplab.serving.export.signatures import Signatures
from tests.serving.conftest import DESCRIPTION

SIZES = [(21, 50), (33, 47), (40, 18)]


def random_image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, [height, width, 3], np.uint8)


def normalized(images):
    return tf.constant(images / 127.5 - 1, tf.float32)


def expected_probabilities(network, images):
    return tf.nn.softmax(network(normalized(images), training=False)).numpy()


def check(outputs, probabilities, tolerance=1e-4):
    """Compares a signature's three outputs with probabilities [batch, height, width, classes]."""
    np.testing.assert_allclose(outputs["probabilities"], probabilities, atol=tolerance)
    class_map = np.asarray(outputs["class_map"])
    assert class_map.dtype == np.int32
    best = np.sort(probabilities, axis=-1)
    # Where the two best classes are equally good, either is right.
    certain = best[..., -1] - best[..., -2] > 2 * tolerance
    np.testing.assert_array_equal(class_map[certain], probabilities.argmax(-1)[certain])
    palette = np.array(DESCRIPTION.palette, np.uint8)
    np.testing.assert_array_equal(outputs["colored_map"], palette[class_map])


def jpeg(image):
    return tf.io.encode_jpeg(image, quality=90).numpy()


@pytest.fixture(scope="module")
def make_module(network):
    made = {}

    def make(**options):
        options = ExportOptions(outputs=OUTPUTS, **options)
        if options not in made:
            made[options] = Signatures(network, DESCRIPTION.palette, options)
        return made[options]

    return make


def files_of_all_sizes():
    """Files of several sizes and formats, and the pixels that they hold."""
    images = [random_image(*size, seed) for seed, size in enumerate(SIZES)]
    files = [encode_png(images[0]), jpeg(images[1]), encode_png(images[2])]
    images[1] = tf.io.decode_jpeg(files[1], dct_method="INTEGER_ACCURATE").numpy()
    return files, images


def check_each(outputs, images, probabilities, tolerance=1e-4):
    largest = np.max([image.shape[:2] for image in images], axis=0)
    assert outputs["class_map"].shape == (len(images), *largest)
    for index, (image, expected) in enumerate(zip(images, probabilities, strict=True)):
        height, width = int(outputs["height"][index]), int(outputs["width"][index])
        assert (height, width) == image.shape[:2]
        own = {name: outputs[name][index : index + 1, :height, :width] for name in OUTPUTS}
        check(own, expected, tolerance)
        padding = np.ones(largest, bool)
        padding[:height, :width] = False
        assert (outputs["class_map"].numpy()[index][padding] == -1).all()
        assert (outputs["colored_map"].numpy()[index][padding] == 0).all()


def test_files_of_any_sizes_are_answered_each_at_its_own(make_module, network):
    files, images = files_of_all_sizes()
    outputs = make_module().functions["image_bytes"](tf.constant(files))
    check_each(outputs, images, [expected_probabilities(network, image[None]) for image in images])


def test_examples_as_our_records_have_them(make_module):
    files, images = files_of_all_sizes()
    examples = [
        serialize_example(EncodedExample("x", file, "png", encode_png(image[..., 0]), *size))
        for file, image, size in zip(files, images, SIZES, strict=True)
    ]
    functions = make_module().functions
    outputs = functions["tf_example"](tf.constant(examples))
    for name, expected in functions["image_bytes"](tf.constant(files)).items():
        np.testing.assert_array_equal(outputs[name], expected)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "1"])
def test_every_kind_of_png(make_module, mode):
    image = Image.fromarray(random_image(20, 30))
    if mode == "I;16":
        image = Image.fromarray(random_image(20, 30)[..., 0].astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "png")
    if mode == "I;16":
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    functions = make_module().functions
    outputs = functions["image_bytes"](tf.constant([buffer.getvalue()]))
    pixels = np.asarray(image.convert("RGB"))[None]
    expected = functions["serving_default"](tf.constant(pixels))
    np.testing.assert_array_equal(outputs["class_map"], expected["class_map"])


def test_a_fixed_size_is_where_the_network_runs(make_module, network):
    functions = make_module(input_size=(65, 97)).functions
    images = np.stack([random_image(65, 97, seed) for seed in range(2)])
    check(functions["serving_default"](images), expected_probabilities(network, images))

    def fitted_probabilities(image, content):
        inputs = np.zeros([1, 65, 97, 3], np.float32)
        inputs[0, : content[0], : content[1]] = cv2.resize(
            normalized(image).numpy(), content[::-1], interpolation=cv2.INTER_LINEAR
        )
        logits = network(inputs, training=False).numpy()[0, : content[0], : content[1]]
        logits = cv2.resize(logits, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return tf.nn.softmax(logits[None]).numpy()

    files, images = files_of_all_sizes()
    # All are smaller than 65x97: scaled by 97/50, 65/33 and 65/40.
    contents = [(41, 97), (65, 93), (65, 29)]
    expected = list(map(fitted_probabilities, images, contents))
    check_each(functions["image_bytes"](tf.constant(files)), images, expected, tolerance=1e-3)
    check(functions["serving_default"](images[0][None]), expected[0], tolerance=1e-3)


def test_several_views_are_averaged(make_module, network):
    views = {"scales": (0.75, 1.0), "flip": True}
    functions = make_module(**views).functions
    files, images = files_of_all_sizes()
    expected = [
        mean_probabilities(network, normalized(image[None]), **views).numpy() for image in images
    ]
    check(functions["serving_default"](images[0][None]), expected[0])
    check_each(functions["image_bytes"](tf.constant(files)), images, expected)


def kernels_of(module):
    return [variable for variable in module.variables if variable.shape.rank == 4]


@contextmanager
def rounded_kernels(module, dtype):
    """Rounds what a module's convolutions multiply with, by NumPy, for a while."""
    kernels = kernels_of(module)
    exact = [kernel.numpy() for kernel in kernels]
    try:
        for kernel, values in zip(kernels, exact, strict=True):
            kernel.assign(values.astype(dtype).astype(np.float32))
        yield
    finally:
        for kernel, values in zip(kernels, exact, strict=True):
            kernel.assign(values)


def test_unfolded_it_answers_alike(make_module, network):
    module = make_module(fold_batch_norm=False)
    images = random_image(33, 47)[None]
    check(module.functions["serving_default"](images), expected_probabilities(network, images))
    assert [v for v in module.variables if "moving_variance" in v.name]
    assert not [v for v in make_module().variables if "moving_variance" in v.name]


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_of_the_space_rounds_kernels_and_nothing_else(make_module, dtype, fold):
    module = make_module(kernel_dtype=dtype, fold_batch_norm=fold)
    assert {kernel.dtype.name for kernel in kernels_of(module)} == {dtype}
    images = random_image(33, 47)[None]
    outputs = module.functions["serving_default"](images)
    exact = make_module(fold_batch_norm=fold)
    with rounded_kernels(exact, tf.dtypes.as_dtype(dtype).as_numpy_dtype):
        expected = exact.functions["serving_default"](images)
    check(outputs, expected["probabilities"].numpy())
    unrounded = exact.functions["serving_default"](images)["probabilities"]
    assert np.abs(unrounded - outputs["probabilities"]).max() > 1e-4


def test_only_what_was_asked_for_is_returned(network):
    functions = Signatures(network, DESCRIPTION.palette).functions
    outputs = functions["serving_default"].get_concrete_function().structured_outputs
    assert list(outputs) == ["class_map"]
    outputs = functions["image_bytes"].get_concrete_function().structured_outputs
    assert sorted(outputs) == ["class_map", "height", "width"]

"""Bad requests to an exported network: errors, after which it answers good ones as before.

They are sent as TensorFlow Serving sends them, by the runtime's own session, in a process that has
TensorFlow and nothing of ours: the checks of Python's functions and of `Session.run` see nothing.
"""

import json
import struct

import numpy as np
import tensorflow as tf

from auto_deeplab.serving.export.options import ExportOptions
from auto_deeplab.serving.export.to_saved_model import export_saved_model
from tests.helpers import output_of, run_elsewhere
from tests.png_files import png_of_size
from tests.serving.conftest import DESCRIPTION, GENOTYPE

SEND = """
import functools, json, resource, sys
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

def answers_of(saved_model, requests):
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], saved_model)

    @functools.cache
    def callable_of(signature):
        definition = meta_graph.signature_def[signature]
        (feed,) = [tensor.name for tensor in definition.inputs.values()]
        fetch = [definition.outputs["class_map"].name]
        options = config_pb2.CallableOptions(feed=[feed], fetch=fetch)
        return session._make_callable_from_options(options)

    def send(signature, value):
        return callable_of(signature)(value)[0]

    good = requests["good"]
    first = send("serving_default", good)
    for name in requests.files:
        if name == "good":
            continue
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            answer = send(name.partition(" ")[0], requests[name])
            yield name, f"answered {answer.shape}"
        except tf.errors.OpError as error:
            yield name, f"{type(error).__name__}: {error.message}"
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 300_000, f"{name}: {grown} KB"
        np.testing.assert_array_equal(send("serving_default", good), first)

requests_file, answers_file, *saved_models = sys.argv[1:]
requests = np.load(requests_file, allow_pickle=True)
answers = [dict(answers_of(saved_model, requests)) for saved_model in saved_models]
json.dump(answers, open(answers_file, "w"))
"""


def jpeg_of_size(width, height):
    file = bytearray(tf.io.encode_jpeg(np.zeros([16, 16, 3], np.uint8)).numpy())
    # Start of frame: marker, length (2 bytes), precision (1), height (2), width (2).
    start = file.index(b"\xff\xc0")
    file[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(file)


def example(**features):
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name.replace("_", "/"): tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[value])
                )
                for name, value in features.items()
            }
        )
    ).SerializeToString()


def strings(*values):
    return np.array(values, object)


NO_IMAGE = "not an image: expected the bytes of a JPEG or PNG file"
SIZE = "1 to 4000 pixels"
WRONG_RANK = "is not compatible with expected shape"


def bad_requests():
    """Each request's value with what its error says."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, [20, 30, 3], np.uint8)
    png, jpeg = tf.io.encode_png(image).numpy(), tf.io.encode_jpeg(image).numpy()
    zeros = np.zeros
    return {
        "serving_default of rank 3": (zeros([8, 8, 3], np.uint8), WRONG_RANK),
        "serving_default of rank 5": (zeros([1, 1, 8, 8, 3], np.uint8), WRONG_RANK),
        "serving_default of rank 0": (zeros([], np.uint8), WRONG_RANK),
        "serving_default with 4 channels": (zeros([1, 8, 8, 4], np.uint8), WRONG_RANK),
        "serving_default of floats": (zeros([1, 8, 8, 3], np.float32), "float"),
        "serving_default of strings": (strings(png), "string"),
        "serving_default without images": (zeros([0, 8, 8, 3], np.uint8), SIZE),
        "serving_default of 0x0": (zeros([1, 0, 0, 3], np.uint8), SIZE),
        "serving_default of height 0": (zeros([1, 0, 8, 3], np.uint8), SIZE),
        "serving_default too large": (zeros([1, 63, 64, 3], np.uint8), SIZE),
        "image_bytes of rank 0": (np.array(png, object), WRONG_RANK),
        "image_bytes of rank 2": (strings([png]), WRONG_RANK),
        "image_bytes of numbers": (image, "uint8"),
        "image_bytes without images": (strings(), "the batch is empty"),
        "image_bytes empty": (strings(b""), NO_IMAGE),
        "image_bytes text": (strings(b"<svg>" * 20), NO_IMAGE),
        "image_bytes gif": (strings(b"GIF89a" + b"\0" * 40), NO_IMAGE),
        "image_bytes png signature": (strings(png[:8]), NO_IMAGE),
        "image_bytes png cut in its header": (strings(png[:18]), SIZE),
        "image_bytes png header": (strings(png[:33]), "Invalid PNG"),
        "image_bytes png cut": (strings(png[: len(png) // 2]), "Invalid PNG"),
        "image_bytes png 0x0": (strings(png_of_size(0, 0)), SIZE),
        "image_bytes png 20000x20000": (strings(png_of_size(20000, 20000)), SIZE),
        "image_bytes png 2**32-1": (strings(png_of_size(2**32 - 1, 2**32 - 1)), SIZE),
        "image_bytes png one line": (strings(png_of_size(2**31, 1)), SIZE),
        "image_bytes jpeg start": (strings(jpeg[:3]), "JPEG"),
        "image_bytes jpeg cut": (strings(jpeg[: len(jpeg) // 2]), "JPEG"),
        "image_bytes jpeg 0x0": (strings(jpeg_of_size(0, 0)), "JPEG"),
        "image_bytes jpeg 20000x20000": (strings(jpeg_of_size(20000, 20000)), SIZE),
        "image_bytes tall and wide": (strings(png_of_size(1, 4000), png_of_size(4000, 1)), SIZE),
        "image_bytes small ones with a large one": (
            strings(png_of_size(60, 60), *[png_of_size(1, 1)] * 17),
            "16 times as many for all images",
        ),
        "image_bytes one of three": (strings(png, b"no image", jpeg), NO_IMAGE),
        "tf_example without examples": (strings(), "the batch is empty"),
        "tf_example of rank 0": (np.array(example(image_encoded=png), object), WRONG_RANK),
        "tf_example text": (strings(b"no example"), "Could not parse example"),
        "tf_example without image": (strings(example(image_format=b"png")), "image/encoded"),
        "tf_example of no image": (strings(example(image_encoded=b"no image")), NO_IMAGE),
        "tf_example 20000x20000": (
            strings(example(image_encoded=png_of_size(20000, 20000))),
            SIZE,
        ),
    }


def test_bad_requests_are_errors_and_harm_nothing(network, exported, tmp_path):
    """They are sent to a network that runs at each image's own size, and at a fixed one."""
    options = ExportOptions(input_size=(33, 33), max_pixels=4000)
    fixed = export_saved_model(network, DESCRIPTION, GENOTYPE, tmp_path / "fixed", options)
    requests = bad_requests()
    good = np.random.default_rng(1).integers(0, 256, [2, 24, 24, 3], np.uint8)
    values = {name: value for name, (value, _) in requests.items()}
    np.savez(tmp_path / "requests.npz", good=good, **values)
    files = [tmp_path / "requests.npz", tmp_path / "answers.json"]
    versions = [exported / "1", fixed]
    output_of(run_elsewhere(tmp_path / "elsewhere", "-c", SEND, *files, *versions))
    answers_of_both = json.loads((tmp_path / "answers.json").read_text())
    for version, answers in zip(versions, answers_of_both, strict=True):
        assert set(answers) == set(requests)
        unexpected = {
            name: answers[name]
            for name, (_, message) in requests.items()
            if not answers[name].startswith("InvalidArgumentError") or message not in answers[name]
        }
        assert not unexpected, version

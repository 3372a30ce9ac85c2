"""The client against servers that speak TensorFlow Serving's protocols and run an exported model.

The REST server follows https://www.tensorflow.org/tfx/serving/api_rest; the gRPC server is the
real PredictionService. Both answer a request together with another one, as a server with batching
does: the results of images are filled up to the largest of the batch.
"""

import base64
import contextlib
import json
import re
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.serving.engines.saved_model import class_maps_of_saved_model
from auto_deeplab.serving.engines.server import class_maps_of_server
from auto_deeplab.serving.files.image_files import UnreadableImage
from tests.helpers import REPOSITORY, run_python

SOMEONE_ELSES = tf.io.encode_png(np.zeros([60, 50, 3], np.uint8))


class Served:
    """The exported model behind both servers."""

    def __init__(self, version):
        self.model = tf.saved_model.load(str(version))
        self.requests = 0

    def predict(self, signature, inputs):
        self.requests += 1
        ((name, value),) = inputs.items()
        batch = tf.concat([value, [SOMEONE_ELSES]], axis=0)
        outputs = self.model.signatures[signature](**{name: batch})
        return {name: output.numpy()[:-1] for name, output in outputs.items()}


def rest_handler(served):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                if self.path != "/v1/models/shapes:predict":
                    self.answer(404, {"error": f"Servable not found for request: {self.path}"})
                    return
                assert set(body) == {"signature_name", "instances"}
                files = [base64.b64decode(entry["b64"]) for entry in body["instances"]]
                signature = body["signature_name"]
                (name,) = served.model.signatures[signature].structured_input_signature[1]
                outputs = served.predict(signature, {name: tf.constant(files)})
            except tf.errors.InvalidArgumentError as error:
                self.answer(400, {"error": error.message})
                return
            rows = [
                {name: value[index].tolist() for name, value in outputs.items()}
                for index in range(len(files))
            ]
            self.answer(200, {"predictions": rows})

        def answer(self, status, document):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *args):
            pass

    return Handler


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, served):
        self.served = served

    def Predict(self, request, context):
        if request.model_spec.name != "shapes":
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(x)")
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        try:
            outputs = self.served.predict(request.model_spec.signature_name, inputs)
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for name in request.output_filter or outputs:
            response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
        return response


@pytest.fixture(scope="module")
def served(exported):
    return Served(exported / "1")


@pytest.fixture(scope="module")
def addresses(served):
    http = ThreadingHTTPServer(("127.0.0.1", 0), rest_handler(served))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(served), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield {"rest": f"http://127.0.0.1:{http.server_port}", "grpc": f"grpc://127.0.0.1:{port}"}
    http.shutdown()
    server.stop(None)


@pytest.fixture(params=["rest", "grpc"])
def address(addresses, request):
    return addresses[request.param]


@pytest.mark.parametrize("shape", [(1, 21, 50, 3), (2, 33, 47, 3)])
def test_class_maps_are_those_of_the_exported_model(address, exported, shape):
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    expected = class_maps_of_saved_model(exported / "1")(images)
    received = class_maps_of_server(address, "shapes", timeout=60)(images)
    assert received.dtype == np.int32
    np.testing.assert_array_equal(received, expected)


def test_an_image_that_the_server_refuses(address):
    class_maps = class_maps_of_server(address, "shapes", timeout=60)
    with pytest.raises(UnreadableImage, match=r"refused by the network: .*1 to 4000 pixels"):
        class_maps(np.zeros([1, 100, 100, 3], np.uint8))
    assert class_maps(np.zeros([1, 10, 10, 3], np.uint8)).shape == (1, 10, 10)


def test_a_model_that_the_server_does_not_have(address):
    class_maps = class_maps_of_server(address, "other", timeout=60)
    with pytest.raises(UserError, match=r"(status 404|NOT_FOUND): Servable not found for request"):
        class_maps(np.zeros([1, 10, 10, 3], np.uint8))


@pytest.mark.parametrize("server", ["http://127.0.0.1:9", "grpc://127.0.0.1:9"])
def test_no_server(server):
    class_maps = class_maps_of_server(server, "shapes", timeout=5)
    with pytest.raises(UserError, match=f"server={server!r}: "):
        class_maps(np.zeros([1, 10, 10, 3], np.uint8))


@pytest.mark.parametrize(
    "server", ["localhost:8501", "ftp://localhost", "http://", "", "http://[::1"]
)
def test_addresses_that_are_none(server):
    with pytest.raises(UserError, match="expected http://HOST:8501"):
        class_maps_of_server(server, "shapes", timeout=5)


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b"[]", b'{"predictions": [{"x": 1}]}'])
def test_something_else_than_tensorflow_serving(answer):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    class_maps = class_maps_of_server(f"http://127.0.0.1:{server.server_port}", "x", timeout=5)
    with pytest.raises(UserError, match=r"received .*; expected what TensorFlow Serving answers"):
        class_maps(np.zeros([1, 10, 10, 3], np.uint8))
    server.shutdown()


class Answers:
    """Servers of both kinds that answer whatever they are told to.

    Attributes:
        rest: The next answer's status and body.
        grpc: The next answer's outputs, TensorProtos by name.
        addresses: Of the servers.
    """

    def __init__(self):
        self.rest, self.grpc, self.addresses = (200, b""), {}, {}


@pytest.fixture(scope="module")
def answers():
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = answers.rest
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            return predict_pb2.PredictResponse(outputs=answers.grpc)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    answers.addresses = {
        "rest": f"http://127.0.0.1:{http.server_port}",
        "grpc": f"grpc://127.0.0.1:{port}",
    }
    yield answers
    http.shutdown()
    server.stop(None)


TWO_IMAGES = np.zeros([2, 2, 3, 3], np.uint8)


def right_document():
    """A right answer for two images of 2x3 pixels and 19 classes, filled up to 3x4."""
    class_map = [[0, 1, 2, -1], [3, 4, 18, -1], [-1, -1, -1, -1]]
    return {
        "predictions": [
            {"class_map": [row[:] for row in class_map], "height": 2, "width": 3, "more": [0.5]}
            for _ in range(2)
        ]
    }


@pytest.fixture(scope="module")
def ask_rest(answers):
    class_maps = class_maps_of_server(answers.addresses["rest"], "x", timeout=30, classes=19)

    def ask(body, status=200):
        answers.rest = status, body
        return class_maps(TWO_IMAGES)

    return ask


def changed(*path_and_value):
    """The right answer with another value at one place of it."""
    *path, last, value = path_and_value
    document = part = right_document()
    for key in path:
        part = part[key]
    part[last] = value
    return document


FIRST = ("predictions", 0)


@pytest.mark.parametrize(
    "document",
    [
        *(
            changed(*FIRST, "class_map", 0, 0, value)
            for value in (19, 200, 257, 2**31, 2**63, 1e20, 0.5, 1.0, -1, None, True, "1")
        ),
        *(changed(*FIRST, "class_map", 0, 0, value) for value in (float("nan"), [0], {}, [])),
        *(changed(*FIRST, "class_map", value) for value in (None, 7, [], [[]], [[0, 1], [2]])),
        changed(*FIRST, "class_map", 0, [0, 1]),
        *(changed(*FIRST, "height", value) for value in (1, 3, -2, 2.0, "2", None, True, 10**30)),
        *(changed("predictions", value) for value in (None, {}, [], 7, "x", [7])),
        {"predictions": right_document()["predictions"][:1]},
        {"predictions": right_document()["predictions"] * 2},
        {"predictions": [{"height": 2, "width": 3}] * 2},
    ],
)
def test_rest_answers_that_are_wrong_are_errors(ask_rest, document):
    with pytest.raises(UserError, match=r"^server='http://127\.0\.0\.1:\d+': .*expected [^\n]*$"):
        ask_rest(json.dumps(document).encode())


def test_the_field_that_is_wrong_is_named(ask_rest):
    body = json.dumps(changed(*FIRST, "class_map", 1, 2, 0.5)).encode()
    with pytest.raises(UserError, match=r"predictions\.0\.class_map\.1\.2: .*integer"):
        ask_rest(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["predictions", "class_map", "height", "error"]), inner)
    ),
    max_leaves=8,
)
PLACES = st.sampled_from(
    [
        ("predictions",),
        FIRST,
        *((*FIRST, *path) for path in (("class_map",), ("height",), ("width",), ("more",))),
        *((*FIRST, "class_map", *path) for path in ((0,), (0, 0), (1, 2), (2,), (0, 3))),
    ]
)


@settings(deadline=None, max_examples=50)
@given(
    body=st.one_of(
        st.builds(lambda place, value: changed(*place, value), PLACES, JSON).map(json.dumps),
        JSON.map(json.dumps),
        st.sampled_from(["[" * 2000, '{"predictions":' * 2000, '{"error": "\\ud800"}']),
    ).map(str.encode)
    | st.binary(max_size=50),
    status=st.sampled_from([200, 200, 200, 204, 400, 404, 503]),
)
def test_any_rest_answer_is_right_or_an_error(ask_rest, body, status):
    if status == 204:
        body = b""
    try:
        class_maps = ask_rest(body, status)
    except UnreadableImage:
        assert status == 400
    except UserError:
        assert status != 200 or body != json.dumps(right_document()).encode()
    else:
        assert status == 200
        assert class_maps.shape == (2, 2, 3)
        for class_map, entry in zip(class_maps, json.loads(body)["predictions"], strict=True):
            assert (entry["height"], entry["width"]) == (2, 3)
            own = [row[:3] for row in entry["class_map"][:2]]
            assert all(type(value) is int and 0 <= value < 19 for row in own for value in row)
            assert class_map.tolist() == own


@pytest.fixture(scope="module")
def ask_grpc(answers):
    class_maps = class_maps_of_server(answers.addresses["grpc"], "x", timeout=30, classes=19)

    def ask(**outputs):
        answers.grpc = outputs
        return class_maps(TWO_IMAGES)

    return ask


def tensor(value, dtype=np.int32):
    return tf.make_tensor_proto(np.asarray(value, dtype))


def right_tensors():
    class_maps = [entry["class_map"] for entry in right_document()["predictions"]]
    return {"class_map": tensor(class_maps), "height": tensor([2, 2]), "width": tensor([3, 3])}


def test_a_right_grpc_answer_of_either_width(ask_grpc):
    expected = [[[0, 1, 2], [3, 4, 18]]] * 2
    assert ask_grpc(**right_tensors()).tolist() == expected
    wide = {name: tensor(tf.make_ndarray(t), np.int64) for name, t in right_tensors().items()}
    assert ask_grpc(**wide).tolist() == expected


def wrong_tensors():
    class_map = tf.make_ndarray(right_tensors()["class_map"])
    for value in (19, 257, -1):
        other = class_map.copy()
        other[0, 0, 0] = value
        yield {"class_map": tensor(other)}
    yield {"class_map": tensor(class_map, np.float32)}
    yield {"class_map": tensor(class_map, bool)}
    yield {"class_map": tf.make_tensor_proto([["a", "b"]])}
    for part in (class_map[0], class_map[:1], class_map[:, :1], class_map[:, :, :2], class_map[:0]):
        yield {"class_map": tensor(part)}
    yield {"height": tensor([2, 1])}
    yield {"height": tensor([2])}
    yield {"width": tensor(3)}
    yield {"width": tensor([3.0, 3.0], np.float32)}
    yield {"class_map": tensor_pb2.TensorProto()}
    yield {"class_map": tensor_pb2.TensorProto(dtype=999)}
    # One value that stands for 2^60, and shapes that are none.
    for sizes in ([2, 2**30, 2**29], [2, -2, -3], [2, 2, 3]):
        shape = tensor_shape_pb2.TensorShapeProto(
            dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in sizes]
        )
        content = b"abc" if sizes == [2, 2, 3] else b""
        yield {
            "class_map": tensor_pb2.TensorProto(
                dtype=types_pb2.DT_INT32,
                tensor_shape=shape,
                int_val=[] if content else [1],
                tensor_content=content,
            )
        }


@pytest.mark.parametrize("wrong", list(wrong_tensors()))
def test_grpc_answers_that_are_wrong_are_errors(ask_grpc, wrong):
    with pytest.raises(UserError, match=r"^server='grpc://127\.0\.0\.1:\d+': [^\n]*$"):
        ask_grpc(**right_tensors() | wrong)


@pytest.mark.parametrize("name", ["class_map", "height", "width"])
def test_a_grpc_answer_that_lacks_an_output_is_an_error(ask_grpc, name):
    outputs = right_tensors()
    del outputs[name]
    with pytest.raises(UserError, match=f"{name}: received DT_INVALID of shape"):
        ask_grpc(**outputs)


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(["class_map", "height", "width"]),
    tensor=st.builds(
        lambda dtype, sizes, integers, content: tensor_pb2.TensorProto(
            dtype=dtype,
            tensor_shape=tensor_shape_pb2.TensorShapeProto(
                dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in sizes]
            ),
            int_val=integers,
            tensor_content=content,
        ),
        st.sampled_from(types_pb2.DataType.values()),
        st.sampled_from([[2, 2, 3], [2, 3, 4], [2], []])
        | st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 4), max_size=4),
        st.lists(st.integers(-2, 20), max_size=25),
        st.binary(max_size=100),
    ),
)
def test_any_grpc_answer_is_right_or_an_error(ask_grpc, name, tensor):
    with contextlib.suppress(UserError):
        class_maps = ask_grpc(**right_tensors() | {name: tensor})
        answered = tf.make_ndarray(tensor)
        if name == "class_map":
            np.testing.assert_array_equal(class_maps, answered[:, :2, :3])
        else:
            assert answered.tolist() == {"height": [2, 2], "width": [3, 3]}[name]
        assert class_maps.min() >= 0
        assert class_maps.max() < 19


def test_the_requests_in_the_documentation(addresses, exported, tmp_path, monkeypatch):
    text = (REPOSITORY / "docs" / "deployment.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(programs) == 2
    image = np.random.default_rng(0).integers(0, 256, [24, 40, 3], np.uint8)
    file = tf.io.encode_jpeg(image).numpy()
    (tmp_path / "photo.jpg").write_bytes(file)
    monkeypatch.chdir(tmp_path)
    pixels = tf.io.decode_jpeg(file, dct_method="INTEGER_ACCURATE").numpy()
    (expected,) = class_maps_of_saved_model(exported / "1")(pixels[np.newaxis])
    for program in programs:
        for ours, theirs in (
            ("localhost:8501", addresses["rest"].removeprefix("http://")),
            ("localhost:8500", addresses["grpc"].removeprefix("grpc://")),
            ("street_scenes", "shapes"),
        ):
            program = program.replace(ours, theirs)
        values = {}
        exec(program, values)
        np.testing.assert_array_equal(values["class_map"], expected)


def test_the_command(addresses, served, exported, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, [24, 40, 3], np.uint8)
    Image.fromarray(pixels).save(photos / "a.bmp")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(pixels).save(photos / "b.png", exif=turned)
    Image.fromarray(np.zeros([80, 80, 3], np.uint8)).save(photos / "large.png")

    def run(labels):
        return run_python(
            "-m",
            "auto_deeplab.client",
            f"--server={addresses['rest']}",
            "--model=shapes",
            f"--labels={labels}",
            f"--images={photos}",
            f"--output={tmp_path / 'out'}",
            "--results=both",
        )

    done = run(exported)
    assert done.returncode == 1
    assert "2 predicted, 0 done before" in done.stdout
    assert "1 of 3 files could not be read" in done.stderr
    assert f"{photos / 'large.png'}: refused by the network" in done.stderr
    assert "Traceback" not in done.stderr
    expected = class_maps_of_saved_model(exported / "1")
    for name, image in (("a", pixels), ("b", np.rot90(pixels, -1))):
        class_map = np.asarray(Image.open(tmp_path / "out" / f"{name}_classes.png"))
        np.testing.assert_array_equal(class_map, expected(image[None])[0])
        assert (tmp_path / "out" / f"{name}_overlay.png").is_file()

    # Again: what is done is not sent.
    (photos / "large.png").unlink()
    requests = served.requests
    done = run(exported / "1" / "assets")
    assert done.returncode == 0, done.stderr
    assert "0 predicted, 2 done before" in done.stdout
    assert served.requests == requests

"""The client against servers that speak TensorFlow Serving's protocols and run an exported model.

The REST server follows https://www.tensorflow.org/tfx/serving/api_rest; the gRPC server is the
real PredictionService. Both answer a request together with another one, as a server with batching
does: the results of images are filled up to the largest of the batch.
"""

import base64
import json
import re
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from auto_deeplab.errors import UserError
from auto_deeplab.serving.image_files import UnreadableImage
from auto_deeplab.serving.remote import class_maps_of_server
from auto_deeplab.serving.saved_model import class_maps_of_saved_model
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
    with pytest.raises(UserError, match=f"--server={server}: "):
        class_maps(np.zeros([1, 10, 10, 3], np.uint8))


@pytest.mark.parametrize("server", ["localhost:8501", "ftp://localhost", "http://", ""])
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
    with pytest.raises(UserError, match="expected what TensorFlow Serving answers, received"):
        class_maps(np.zeros([1, 10, 10, 3], np.uint8))
    server.shutdown()


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

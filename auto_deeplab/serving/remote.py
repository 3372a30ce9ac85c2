"""Networks on a server: TensorFlow Serving's REST and gRPC interfaces.

REST: https://www.tensorflow.org/tfx/serving/api_rest. gRPC: PredictionService of
tensorflow-serving-api. Images go to the signature `image_bytes` as PNG, which loses nothing.
"""

import base64
from urllib.parse import urlsplit

import grpc
import numpy as np
import requests
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_service_pb2_grpc

from auto_deeplab.data.image_files import encode_png
from auto_deeplab.errors import UserError
from auto_deeplab.serving.class_maps import ClassMaps
from auto_deeplab.serving.image_files import refusal

SIGNATURE = "image_bytes"
_OUTPUTS = ("class_map", "height", "width")
_BAD_REQUEST = 400


def class_maps_of_server(server: str, model: str, timeout: float) -> ClassMaps:
    """Returns the class maps' function of a model on a server.

    The function raises `UnreadableImage` for images that the server refuses, and `UserError` when
    the server does not answer or does not have the model.

    Args:
      server: http://HOST:PORT or https://HOST:PORT for REST; grpc://HOST:PORT for gRPC, grpcs://
        with encryption.
      model: its name.
      timeout: seconds to wait for an answer.

    Raises:
      UserError: the address is none of these.
    """
    address = urlsplit(server)
    if address.scheme in ("http", "https") and address.netloc:
        return RestModel(server, model, timeout)
    if address.scheme in ("grpc", "grpcs") and address.netloc:
        return GrpcModel(server, model, timeout)
    raise UserError(
        f"--server: received {server!r}; expected http://HOST:8501 (REST) or grpc://HOST:8500, or "
        "https and grpcs with encryption"
    )


class RestModel:
    """Class maps over REST. The arguments are those of `class_maps_of_server`."""

    def __init__(self, server: str, model: str, timeout: float) -> None:
        self._server = server
        self._url = f"{server.rstrip('/')}/v1/models/{model}:predict"
        self._timeout = timeout
        self._session = requests.Session()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Maps uint8 images [batch, height, width, 3] to int32 [batch, height, width]."""
        body = {
            "signature_name": SIGNATURE,
            "instances": [
                {"b64": base64.b64encode(encode_png(image)).decode("ascii")} for image in images
            ],
        }
        try:
            answer = self._session.post(self._url, json=body, timeout=self._timeout)
        except requests.RequestException as error:
            raise UserError(f"--server={self._server}: no answer: {error}") from error
        try:
            document = answer.json()
            if answer.status_code == _BAD_REQUEST:
                raise refusal(document["error"])
            if not answer.ok:
                raise UserError(
                    f"--server={self._server}: status {answer.status_code}: {document['error']}"
                )
            class_maps = [
                _own_part(np.array(entry["class_map"], np.int32), entry["height"], entry["width"])
                for entry in document["predictions"]
            ]
        except (requests.JSONDecodeError, KeyError, TypeError) as error:
            raise UserError(
                f"--server={self._server}: status {answer.status_code}: expected what TensorFlow "
                f"Serving answers, received {answer.text[:200]!r}"
            ) from error
        return _checked(class_maps, images, self._server)


class GrpcModel:
    """Class maps over gRPC. The arguments are those of `class_maps_of_server`."""

    def __init__(self, server: str, model: str, timeout: float) -> None:
        self._server = server
        self._model = model
        self._timeout = timeout
        address = urlsplit(server)
        # Class maps are larger than the 4 MB that are allowed by default.
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        if address.scheme == "grpcs":
            credentials = grpc.ssl_channel_credentials()
            channel = grpc.secure_channel(address.netloc, credentials, options)
        else:
            channel = grpc.insecure_channel(address.netloc, options)
        self._service = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Maps uint8 images [batch, height, width, 3] to int32 [batch, height, width]."""
        request = predict_pb2.PredictRequest(
            model_spec=model_pb2.ModelSpec(name=self._model, signature_name=SIGNATURE),
            inputs={"image_bytes": tf.make_tensor_proto([encode_png(image) for image in images])},
            output_filter=_OUTPUTS,
        )
        try:
            answer = self._service.Predict(request, timeout=self._timeout)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise refusal(error.details()) from error
            raise UserError(
                f"--server={self._server}: {error.code().name}: {error.details()}"
            ) from error
        outputs = {name: tf.make_ndarray(answer.outputs[name]) for name in _OUTPUTS}
        class_maps = list(map(_own_part, *(outputs[name] for name in _OUTPUTS)))
        return _checked(class_maps, images, self._server)


def _own_part(class_map: np.ndarray, height: int, width: int) -> np.ndarray:
    """Cuts off what fills an image up to the largest of the batch that the server formed."""
    return class_map[:height, :width]


def _checked(class_maps: list[np.ndarray], images: np.ndarray, server: str) -> np.ndarray:
    shapes = [class_map.shape for class_map in class_maps]
    if shapes != [images.shape[1:3]] * len(images):
        raise UserError(
            f"--server={server}: expected class maps of {images.shape[:3]}, received {shapes}"
        )
    return np.stack(class_maps)

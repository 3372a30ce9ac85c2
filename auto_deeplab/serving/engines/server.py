"""Networks on a server: TensorFlow Serving's REST and gRPC interfaces.

REST: https://www.tensorflow.org/tfx/serving/api_rest. gRPC: PredictionService of
tensorflow-serving-api. Images go to the signature `image_bytes` as PNG, which loses nothing.
"""

import base64
import math
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import grpc
import numpy as np
import pydantic
import requests
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_service_pb2_grpc

from auto_deeplab.data.description import MOST_CLASSES
from auto_deeplab.data.image_files import encode_png
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.serving.files.image_files import refusal
from auto_deeplab.serving.segmenter import Segmenter, checked

SIGNATURE = "image_bytes"
# Their ranks by name.
_OUTPUTS = {"class_map": 3, "height": 1, "width": 1}
_BAD_REQUEST = 400


_Int32 = Annotated[int, pydantic.Field(ge=-(2**31), lt=2**31)]


class _Prediction(pydantic.BaseModel, strict=True):
    """One image's outputs, as REST answers them. Others than these are not looked at."""

    class_map: list[list[_Int32]]
    height: _Int32
    width: _Int32


class _Answer(pydantic.BaseModel, strict=True):
    predictions: list[_Prediction]


class _Failure(pydantic.BaseModel, strict=True):
    error: str


def class_maps_of_server(
    server: str, model: str, timeout: float, classes: int = MOST_CLASSES
) -> Segmenter:
    """Returns the class maps' function of a model on a server.

    The function raises `UnreadableImage` for images that the server refuses, and `UserError` when
    the server does not answer, does not have the model, or answers something else than a class for
    each pixel.

    Args:
        server: http://HOST:PORT or https://HOST:PORT for REST; grpc://HOST:PORT for gRPC, grpcs://
            with encryption.
        model: Its name.
        timeout: Seconds to wait for an answer.
        classes: How many there are in the labels; by default as many as labels may have.

    Raises:
        UserError: The address is none of these.
    """
    try:
        address = urlsplit(server)
    except ValueError:  # Such as a bracket that nothing closes.
        address = urlsplit("")
    if address.scheme in ("http", "https") and address.netloc:
        return checked(RestModel(server, model, timeout), classes, argument("server", server))
    if address.scheme in ("grpc", "grpcs") and address.netloc:
        return checked(GrpcModel(server, model, timeout), classes, argument("server", server))
    raise UserError(
        f"{argument('server')}: received {server!r}; expected http://HOST:8501 (REST) or "
        "grpc://HOST:8500, or https and grpcs with encryption"
    )


class RestModel:
    """Class maps over REST, as they come. The arguments are those of `class_maps_of_server`."""

    def __init__(self, server: str, model: str, timeout: float) -> None:
        self._server = server
        self._url = f"{server.rstrip('/')}/v1/models/{quote(model, safe='')}:predict"
        self._timeout = timeout
        self._session = requests.Session()

    def __call__(self, images: np.ndarray) -> list[list[list[int]]]:
        """Maps uint8 images [batch, height, width, 3] to integers [batch, height, width]."""
        body: dict[str, Any] = {
            "signature_name": SIGNATURE,
            "instances": [
                {"b64": base64.b64encode(encode_png(image)).decode("ascii")} for image in images
            ],
        }
        try:
            answer = self._session.post(self._url, json=body, timeout=self._timeout)
        except requests.RequestException as error:
            raise UserError(f"{argument('server', self._server)}: no answer: {error}") from error
        try:
            if not answer.ok:
                failure = _Failure.model_validate_json(answer.content).error
                if answer.status_code == _BAD_REQUEST:
                    raise refusal(failure)
                raise UserError(
                    f"{argument('server', self._server)}: status {answer.status_code}: {failure}"
                )
            predictions = _Answer.model_validate_json(answer.content).predictions
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"])) or "the answer"
            received = answer.content[:200].decode("utf-8", "replace")
            raise UserError(
                f"{argument('server', self._server)}: status {answer.status_code}: received "
                f"{received!r}; expected what TensorFlow Serving answers: {field}: {first['msg']}"
            ) from error
        height, width = _checked_size(
            [(prediction.height, prediction.width) for prediction in predictions],
            images,
            self._server,
        )
        return [
            [row[:width] for row in prediction.class_map[:height]] for prediction in predictions
        ]


class GrpcModel:
    """Class maps over gRPC, as they come. The arguments are those of `class_maps_of_server`."""

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
        """Maps uint8 images [batch, height, width, 3] to integers [batch, height, width]."""
        request = predict_pb2.PredictRequest(
            model_spec=model_pb2.ModelSpec(name=self._model, signature_name=SIGNATURE),
            inputs={"image_bytes": tf.make_tensor_proto([encode_png(image) for image in images])},
            output_filter=list(_OUTPUTS),
        )
        try:
            answer = self._service.Predict(request, timeout=self._timeout)
        except grpc.RpcError as error:
            details = error.details() or ""
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise refusal(details) from error
            raise UserError(
                f"{argument('server', self._server)}: {error.code().name}: {details}"
            ) from error
        class_maps, heights, widths = (
            self._array(answer, name, rank, images) for name, rank in _OUTPUTS.items()
        )
        sizes = list(zip(heights.tolist(), widths.tolist(), strict=True))
        height, width = _checked_size(sizes, images, self._server)
        return class_maps[:, :height, :width]

    def _array(
        self, answer: predict_pb2.PredictResponse, name: str, rank: int, images: np.ndarray
    ) -> np.ndarray:
        # To ask for what is not there would make it.
        tensor = answer.outputs[name] if name in answer.outputs else tensor_pb2.TensorProto()
        shape = [axis.size for axis in tensor.tensor_shape.dim]
        # A short list of values stands for as many as the shape says: more than memory holds.
        most = max(tensor.ByteSize(), images.size)
        if (
            tensor.dtype not in (types_pb2.DT_INT32, types_pb2.DT_INT64)
            or len(shape) != rank
            or min(shape) < 0
            or math.prod(shape) > most
        ):
            received = types_pb2.DataType.Name(tensor.dtype)
            raise UserError(
                f"{argument('server', self._server)}: {name}: received {received} of shape "
                f"{shape}; expected DT_INT32 with {rank} axes"
            )
        return tf.make_ndarray(tensor)


def _checked_size(sizes: list[tuple[int, int]], images: np.ndarray, server: str) -> tuple[int, int]:
    """Returns how much of each class map is an image's own.

    The rest fills it up to the largest image of the batch that the server formed.

    Raises:
        UserError: The answered (height, width) are not those of the images.
    """
    size = images.shape[1:3]
    if sizes != [size] * len(images):
        raise UserError(
            f"{argument('server', server)}: height and width: received {sizes[:3]}; expected "
            f"{size} for each of {len(images)} images"
        )
    return size

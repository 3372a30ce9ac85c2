"""Requests that TensorFlow Serving answers to itself before it offers a model.

So that the first person's request does not wait for what TensorFlow does on a first call. The file
is a TFRecord of `PredictionLog`s: https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from auto_deeplab.data.schema import IMAGE

DEFAULT_SIZE = (513, 513)
# The names are TensorFlow Serving's.
FOLDER = "assets.extra"
FILE = "tf_serving_warmup_requests"


def write_warm_up(version_dir: Path, model_name: str, size: tuple[int, int]) -> Path:
    """Writes a request for each signature, and for each image format, into a SavedModel's folder.

    Args:
        version_dir: The SavedModel's folder.
        model_name: By which TensorFlow Serving will know it.
        size: (height, width) of the images.

    Returns:
        The file.
    """
    path = version_dir / FOLDER / FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in _requests(size):
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(
                    request=predict_pb2.PredictRequest(
                        model_spec=model_pb2.ModelSpec(name=model_name, signature_name=signature),
                        inputs={
                            name: tf.make_tensor_proto(value) for name, value in inputs.items()
                        },
                    )
                )
            )
            writer.write(log.SerializeToString())
    return path


def _requests(size: tuple[int, int]) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Returns (signature, inputs) of the requests."""
    rows, columns = np.indices(size)
    image = np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)
    jpeg, png = tf.io.encode_jpeg(image).numpy(), tf.io.encode_png(image).numpy()
    example = tf.train.Example(
        features=tf.train.Features(
            feature={IMAGE: tf.train.Feature(bytes_list=tf.train.BytesList(value=[jpeg]))}
        )
    )
    return [
        ("serving_default", {"images": image[np.newaxis]}),
        ("image_bytes", {"image_bytes": np.array([jpeg], object)}),
        ("image_bytes", {"image_bytes": np.array([png], object)}),
        ("tf_example", {"examples": np.array([example.SerializeToString()], object)}),
    ]

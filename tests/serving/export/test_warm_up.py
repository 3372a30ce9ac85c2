"""Warm-up requests, read with TensorFlow Serving's own definitions and answered."""

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from auto_deeplab.serving.export.signatures import Signatures
from auto_deeplab.serving.export.warm_up import write_warm_up
from tests.serving.conftest import DESCRIPTION


def test_every_signature_answers_its_requests(network, tmp_path):
    path = write_warm_up(tmp_path, "shapes", (24, 40))
    assert path == tmp_path / "assets.extra" / "tf_serving_warmup_requests"
    functions = Signatures(network, DESCRIPTION.palette).functions
    seen = set()
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "shapes"
        function = functions[request.model_spec.signature_name]
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        outputs = function(**{name: tf.constant(value) for name, value in inputs.items()})
        assert outputs["class_map"].shape == (1, 24, 40)
        seen.add(request.model_spec.signature_name)
    assert seen == set(functions)

"""The process that benchmarks.inference starts for each network; it starts with a first image."""

import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

# Before TensorFlow: it sets what TensorFlow reads when it is imported.
import auto_deeplab  # noqa: F401
from benchmarks.measuring.peak_memory import peak_megabytes
from benchmarks.measuring.taking_turns import answer, tell

if TYPE_CHECKING:
    import tf_keras

CLASSES = 19

# The filters of the published networks; None is the baseline.
MODELS = {"S": 20, "M": 32, "L": 48, "deeplabv3plus": None}
SETTINGS = ("plain", "folded", "xla")


def build(name: str) -> "tf_keras.Model":
    """Returns one of the networks, initialized at random: its speed is that of a trained one."""
    from auto_deeplab.models.deeplabv3plus import build_deeplabv3plus
    from auto_deeplab.models.final.network import build_network
    from auto_deeplab.search_space import Genotype

    filters = MODELS[name]
    if filters is None:
        return build_deeplabv3plus(CLASSES)
    return build_network(Genotype.load("published"), CLASSES, filters=filters)


def make_predict(model: "tf_keras.Model", setting: str) -> Callable:
    """Returns a function from uint8 images to class maps: what `serving.saved_model` serves."""
    import tensorflow as tf

    from auto_deeplab.data.augmentation import normalize_image
    from auto_deeplab.models.folding import folded

    inference = model if setting == "plain" else folded(model)

    def predict(images):
        return tf.argmax(inference(normalize_image(images)), axis=-1, output_type=tf.int32)

    return tf.function(predict, autograph=False, jit_compile=setting == "xla")


def main(model: str, size: list[int], setting: str, intra_op_threads: int, inter_op_threads: int):
    import tensorflow as tf

    from auto_deeplab.models.counting import count_multiply_adds, count_parameters

    tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads)
    tf.config.threading.set_inter_op_parallelism_threads(inter_op_threads)
    network = build(model)
    predict = make_predict(network, setting)
    images = tf.cast(tf.random.uniform([1, *size, 3], maxval=256, dtype=tf.int32), tf.uint8)
    before = peak_megabytes()

    def timed() -> float:
        started = time.perf_counter()
        predict(images).numpy()
        return time.perf_counter() - started

    tell(first_call_seconds=timed(), megabytes_before=before)
    answer(timed)
    tell(
        peak_megabytes=peak_megabytes(),
        parameters=count_parameters(network),
        multiply_adds=count_multiply_adds(network, (size[0], size[1])),
    )


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

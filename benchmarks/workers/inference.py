"""The process that benchmarks.inference starts for each network; it starts with a first image."""

import json
import sys

# Before TensorFlow: it sets what TensorFlow reads when it is imported.
import auto_deeplab  # noqa: F401
from benchmarks.measuring.taking_turns import measure_when_told
from benchmarks.workers.networks import build, make_predict
from benchmarks.workers.random_inputs import random_images


def main(model: str, size: list[int], setting: str, intra_op_threads: int, inter_op_threads: int):
    import tensorflow as tf

    from auto_deeplab.models.counting import count_multiply_adds, count_parameters

    tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads)
    tf.config.threading.set_inter_op_parallelism_threads(inter_op_threads)
    network = build(model)
    predict = make_predict(network, setting)
    images = tf.constant(random_images(1, size))
    measure_when_told(
        lambda: predict(images).numpy(),
        first="first_call_seconds",
        about=lambda: {
            "parameters": count_parameters(network),
            "multiply_adds": count_multiply_adds(network, (size[0], size[1])),
        },
    )


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

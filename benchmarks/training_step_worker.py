"""The process that benchmarks.training_step starts for each network; a first step comes first."""

import json
import sys
import time

from benchmarks.inference_worker import CLASSES, build
from benchmarks.peak_memory import peak_megabytes
from benchmarks.turns import answer, tell

# The paper's (section 5.2); the momentum is DeepLab's.
LEARNING_RATE, MOMENTUM, TOTAL_STEPS = 0.05, 0.9, 1_500_000


def main(model: str, crop: int, batch: int, jit_compile: bool) -> None:
    import numpy as np
    import tensorflow as tf
    import tf_keras

    from auto_deeplab.models.counting import count_multiply_adds, count_parameters
    from auto_deeplab.training.retrain_model import RetrainModel
    from auto_deeplab.training.update import create_slots

    random = np.random.default_rng(0)
    data = (
        tf.constant(random.standard_normal([batch, crop, crop, 3], np.float32)),
        tf.constant(random.integers(0, CLASSES, [batch, crop, crop], np.int32)),
    )
    before = peak_megabytes()
    started = time.perf_counter()
    network = build(model)
    trained = RetrainModel(network, TOTAL_STEPS)
    optimizer = tf_keras.optimizers.legacy.SGD(LEARNING_RATE, MOMENTUM)
    trained.compile(optimizer)
    create_slots(optimizer, network.trainable_variables)
    step = tf.function(trained.train_step, autograph=False, jit_compile=jit_compile)

    def timed() -> float:
        started = time.perf_counter()
        step(data)["loss"].numpy()
        return time.perf_counter() - started

    timed()
    tell(first_step_seconds=time.perf_counter() - started, megabytes_before=before)
    answer(timed)
    tell(
        peak_megabytes=peak_megabytes(),
        parameters=count_parameters(network),
        # A step computes each convolution and both its gradients.
        multiply_adds=3 * batch * count_multiply_adds(network, (crop, crop)),
    )


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

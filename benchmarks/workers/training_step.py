"""The process that benchmarks.training_step starts for each network; a first step comes first."""

import json
import sys

from benchmarks.measuring.taking_turns import Start, measure_when_told
from benchmarks.workers.networks import CLASSES, build
from benchmarks.workers.random_inputs import random_batch

# The paper's (section 5.2); the momentum is DeepLab's.
LEARNING_RATE, MOMENTUM, TOTAL_STEPS = 0.05, 0.9, 1_500_000


def main(model: str, crop: int, batch: int, jit_compile: bool) -> None:
    import tensorflow as tf
    import tf_keras

    from auto_deeplab.models.counting import count_multiply_adds, count_parameters
    from auto_deeplab.training.optimization.update import create_slots
    from auto_deeplab.training.retrain_model import RetrainModel

    data = random_batch(batch, crop, CLASSES)
    start = Start.now()
    network = build(model)
    trained = RetrainModel(network, TOTAL_STEPS)
    optimizer = tf_keras.optimizers.legacy.SGD(LEARNING_RATE, MOMENTUM)
    trained.compile(optimizer)
    create_slots(optimizer, network.trainable_variables)
    step = tf.function(trained.train_step, autograph=False, jit_compile=jit_compile)

    measure_when_told(
        lambda: step(data)["loss"].numpy(),
        first="first_step_seconds",
        about=lambda: {
            "parameters": count_parameters(network),
            # A step computes each convolution and both its gradients.
            "multiply_adds": 3 * batch * count_multiply_adds(network, (crop, crop)),
        },
        preparing=start,
    )


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

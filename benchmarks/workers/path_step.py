"""The process that benchmarks.path_step starts for each sampling; a first step comes first."""

import json
import statistics
import sys
import time

from benchmarks.measuring.taking_turns import Start, measure_when_told
from benchmarks.workers.random_inputs import random_batch
from benchmarks.workers.search_step import (
    ARCHITECTURE_LEARNING_RATE,
    LEARNING_RATE,
    MOMENTUM,
    configure,
)


def main(
    model: str,
    update: str,
    batch: int,
    crop: int,
    classes: int,
    layers: int,
    blocks: int,
    filters: int,
) -> None:
    """Measures an update.

    Args:
        model: "mixture" or "path".
        update: "weights" or "arch".
        batch: Images a step.
        crop: Their height and width.
        classes: Their classes.
        layers: Of the supernet.
        blocks: Of its cell.
        filters: Of its blocks at stride 4.
    """
    import tf_keras

    from auto_deeplab.models.supernet.supernet import Supernet
    from auto_deeplab.training.path_search_model import PathSearchModel
    from auto_deeplab.training.search_model import SearchModel

    configure([])
    data = random_batch(batch, crop, classes)
    start = Start.now()
    tf_keras.utils.set_random_seed(0)
    kind = {"mixture": SearchModel, "path": PathSearchModel}[model]
    trained = kind(Supernet(classes, layers=layers, blocks=blocks, filters=filters))
    trained.compile(
        tf_keras.optimizers.legacy.SGD(LEARNING_RATE, MOMENTUM),
        tf_keras.optimizers.legacy.Adam(ARCHITECTURE_LEARNING_RATE),
    )
    run = {"weights": trained.run_network_update, "arch": trained.run_architecture_update}[update]
    # Each architecture has its own cost: a turn has several.
    steps = {"mixture": 1, "path": 10}[model]
    processor_seconds = []

    def compute() -> None:
        started = time.process_time()
        for _ in range(steps):
            run(*data).numpy()
        processor_seconds.append((time.process_time() - started) / steps)

    measure_when_told(
        compute,
        first="first_turn_seconds",
        # Of the turns that count: the first one builds functions.
        about=lambda: {
            "steps": steps,
            "processor_seconds": statistics.median(processor_seconds[1:]),
        },
        preparing=start,
    )


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))

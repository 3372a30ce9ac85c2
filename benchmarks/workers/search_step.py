"""The process that benchmarks.search_step starts for each measurement.

Its arguments are the name of a task and a JSON object of the task's arguments; it prints one JSON
line.
"""

import json
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

# Before TensorFlow: the package sets what TensorFlow reads when it is imported.
from auto_deeplab.foundations.errors import UserError
from benchmarks.measuring.peak_memory import peak_megabytes
from benchmarks.measuring.taking_turns import seconds_of
from benchmarks.workers.random_inputs import random_batch

if TYPE_CHECKING:
    import tensorflow as tf

    from auto_deeplab.training.search_model import SearchModel

# The paper's optimizers at the start of the search.
LEARNING_RATE, MOMENTUM, ARCHITECTURE_LEARNING_RATE = 0.025, 0.9, 3e-3


def configure(gin_params: list[str]) -> None:
    """Sets the runtime as a search does: gin_configs/base/search.gin, then `gin_params`."""
    # The file configures jobs, which must be there to be configured.
    import auto_deeplab.training.job  # noqa: F401
    from auto_deeplab.foundations import gin_files
    from auto_deeplab.training.runtime import configure_runtime

    gin_files.load("base/search.gin", gin_params)
    configure_runtime()


def batch_of(setting: dict[str, int]) -> tuple["tf.Tensor", "tf.Tensor"]:
    """Returns images and labels; see `random_batch`."""
    return random_batch(setting["batch"], setting["crop"], setting["classes"])


def build(setting: dict[str, int], jit_compile: bool) -> "SearchModel":
    """Returns the search's model with the paper's optimizers, all variables made."""
    import tf_keras

    from auto_deeplab.models.supernet.supernet import Supernet
    from auto_deeplab.training.search_model import SearchModel

    tf_keras.utils.set_random_seed(0)
    supernet = Supernet(
        setting["classes"],
        layers=setting["layers"],
        blocks=setting["blocks"],
        filters=setting["filters"],
    )
    model = SearchModel(supernet)
    model.compile(
        tf_keras.optimizers.legacy.SGD(LEARNING_RATE, MOMENTUM),
        tf_keras.optimizers.legacy.Adam(ARCHITECTURE_LEARNING_RATE),
        jit_compile=jit_compile,
    )
    return model


def count_graph_ops(concrete_function) -> int:
    """Returns the operations of a traced function, those of the functions that it calls included.

    A function counts once, however often it is called.
    """
    graph = concrete_function.graph.as_graph_def()
    return len(graph.node) + sum(len(function.node_def) for function in graph.library.function)


def measure(
    setting: dict[str, int],
    steps: int,
    jit_compile: bool,
    gin_params: list[str],
) -> dict[str, Any]:
    """Builds the search's model and times its updates and inference; see benchmarks/README.md.

    Args:
        setting: "crop", "batch", "layers", "blocks", "filters" and "classes".
        steps: How many steps count, at least 1; one more goes before them.
        jit_compile: Compile both updates with XLA.
        gin_params: For `configure`.
    """
    import tensorflow as tf

    from auto_deeplab.evaluation.inference import class_map_function

    configure(gin_params)
    data = batch_of(setting)
    before = peak_megabytes()
    clock = [time.perf_counter()]

    def lap() -> float:
        clock.append(time.perf_counter())
        return clock[-1] - clock[-2]

    model = build(setting, jit_compile)

    def update_weights() -> None:
        model.run_network_update(*data).numpy()

    def update_architecture() -> None:
        model.run_architecture_update(*data).numpy()

    result = {"build_seconds": lap()}
    update = model.run_network_update.get_concrete_function(*data)
    result["trace_seconds"] = lap()
    first_run = seconds_of(update_weights)
    lap()
    result["first_step_seconds"] = clock[-1] - clock[0]
    weights = [seconds_of(update_weights) for _ in range(steps)]
    result["weights_step_seconds"] = statistics.median(weights)
    result["weights_peak_rss_mb"] = peak_megabytes()
    lap()
    architecture_update = model.run_architecture_update.get_concrete_function(*data)
    result["arch_trace_seconds"] = lap()
    result["both_built_seconds"] = result["first_step_seconds"] + result["arch_trace_seconds"]
    arch = [seconds_of(update_architecture) for _ in range(steps + 1)]
    result["arch_step_seconds"] = statistics.median(arch[1:])
    result["peak_rss_mb"] = peak_megabytes()
    class_maps = class_map_function(model)
    inference = [seconds_of(lambda: class_maps(data[0]).numpy()) for _ in range(steps + 1)]
    result["inference_step_seconds"] = statistics.median(inference[1:])
    return {
        **setting,
        "jit_compile": jit_compile,
        "gin_params": gin_params,
        **result,
        "inference_first_seconds": inference[0],
        "graph_ops": count_graph_ops(update),
        "arch_graph_ops": count_graph_ops(architecture_update),
        "parameters": sum(v.shape.num_elements() for v in model.supernet.trainable_variables),
        "rss_before_mb": before,
        "weights_seconds": [first_run, *weights],
        "arch_seconds": arch,
        "inference_seconds": inference,
        "tensorflow": tf.__version__,
    }


def export_stablehlo(
    setting: dict[str, int], update: str, path: str, gin_params: list[str]
) -> dict[str, Any]:
    """Writes one update as StableHLO text.

    Args:
        setting: As in `measure`.
        update: "weights" or "arch".
        path: Where to write.
        gin_params: For `configure`.
    """
    from pathlib import Path

    import tensorflow as tf

    from auto_deeplab.foundations.atomic_file import replacing

    configure(gin_params)
    model = build(setting, jit_compile=True)
    function = {"weights": model.update_network, "arch": model.update_architecture}[update]
    images, labels = batch_of(setting)
    compiled = tf.function(function, jit_compile=True, autograph=False)
    started = time.perf_counter()
    text = compiled.experimental_get_compiler_ir(images, labels)(stage="stablehlo")
    with replacing(Path(path)) as temporary:
        temporary.write_text(text)
    return {
        **setting,
        "update": update,
        "path": path,
        "characters": len(text),
        "seconds": time.perf_counter() - started,
    }


def profile(
    setting: dict[str, int], steps: int, update: str, gin_params: list[str]
) -> dict[str, Any]:
    """Accounts for the time of an update; the rows are `step_profile.account`'s.

    Args:
        setting: As in `measure`.
        steps: How many steps to profile.
        update: "weights" or "arch".
        gin_params: For `configure`.
    """
    from benchmarks.measuring import step_profile

    configure(gin_params)
    model = build(setting, jit_compile=False)
    function = {"weights": model.run_network_update, "arch": model.run_architecture_update}[update]
    data = batch_of(setting)
    function(*data).numpy()
    events, seconds = step_profile.record(lambda: function(*data).numpy(), steps)
    return {
        **setting,
        "update": update,
        "step_seconds": seconds,
        **step_profile.machine_rates(),
        "rows": step_profile.account(events, function.get_concrete_function(*data), steps),
    }


TASKS = {task.__name__: task for task in (measure, export_stablehlo, profile)}


def main(task: str, arguments: str) -> None:
    from auto_deeplab.foundations import gin_files

    try:
        with gin_files.explaining_calls():
            told = TASKS[task](**json.loads(arguments))
    except UserError as error:
        sys.exit(str(error))
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""How TensorFlow runs, and on which devices."""

import os
from typing import Annotated, Literal

import tensorflow as tf
import tf_keras
from annotated_types import Ge, Le

from auto_deeplab.foundations.configurable import configurable

Precision = Literal["none", "bfloat16", "float16"]
PRECISIONS: dict[Precision, str] = {
    "none": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}


Threads = Annotated[int, Ge(0), Le(4096)]


@configurable
def configure_runtime(
    inter_op_threads: Threads = 0,
    intra_op_threads: Threads = 0,
    graph_optimizer: bool = True,
    deterministic: bool = False,
    mixed_precision: Precision = "none",
) -> None:
    """Sets what must be set before TensorFlow's first operation.

    Args:
        inter_op_threads: How many operations run at a time; 0 lets TensorFlow choose.
        intra_op_threads: Threads within one operation; 0 lets TensorFlow choose. 1 suits the
            supernet on a CPU: it has so many small operations that running several at a time was
            twice as fast as splitting each.
        graph_optimizer: Let TensorFlow's graph optimizer rewrite the steps. It takes minutes on
            the supernet's graphs and gains nothing there.
        deterministic: The same command gives the same bits on a machine of the same kind, whether
            it is interrupted or not. Some operations are slower on a GPU.
        mixed_precision: What the networks of this process compute in: "bfloat16" or "float16";
            "none" for float32. Weights, alpha, beta, batch norm statistics and losses are float32
            whatever they compute in.

    Raises:
        UserError: An argument is out of range.
    """
    tf_keras.mixed_precision.set_global_policy(PRECISIONS[mixed_precision])
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_inter_op_parallelism_threads(inter_op_threads)
    tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not graph_optimizer})


def device_names() -> list[str]:
    """Returns the GPUs' names, or how many processor cores there are where there is none."""
    gpus = tf.config.list_physical_devices("GPU")
    names = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus
    ]
    return names or [f"{os.cpu_count()} CPU cores"]

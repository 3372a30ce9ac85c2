"""What tests of several folders ask of trainings: of their graphs, and of what they saved."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.checkpoints.files import CheckpointFiles
from auto_deeplab.training.job import configured_job
from auto_deeplab.training.loop.training import Training


@pytest.fixture(autouse=True, scope="session")
def plain_graphs() -> None:
    """The graph optimizer takes longer on a search's graphs than everything else together."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def prepare(folder: Path, dataset: Path) -> Training:
    """Returns the configured training as it is before the first step."""
    return configured_job().prepare(
        SegmentationRecords(str(dataset), "train"), ModelDir(folder), tf.distribute.get_strategy()
    )


def all_operations(graph: tf.Graph) -> list[tf.Operation]:
    """Returns the operations of a graph and of all functions that it calls, each once."""
    graphs = {"": graph}

    def add_functions(of_graph: tf.Graph) -> None:
        for name, function in of_graph._functions.items():
            if name not in graphs:
                graphs[name] = function.graph
                add_functions(function.graph)

    add_functions(graph)
    return [operation for each in graphs.values() for operation in each.get_operations()]


def newest_values(folder: Path) -> tuple[int, dict[str, np.ndarray]]:
    """Returns the newest checkpoint's step and all its values: weights, alpha, beta, optimizers."""
    files = CheckpointFiles(folder / "checkpoints")
    step = files.steps()[-1]
    reader = tf.train.load_checkpoint(str(files.prefix(step)))
    return step, {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if "OBJECT_GRAPH" not in name and "save_counter" not in name
    }


def gradients_named(message: str) -> list[float]:
    """Returns the norms that the message of a training which diverged has of its five layers."""
    layers = message.split("are those of\n")[1].splitlines()[:5]
    return [float(line.rpartition(": ")[2]) for line in layers]

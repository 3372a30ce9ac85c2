"""What a supernet loses without each operation and each edge, measured on images."""

import itertools
import os

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from auto_deeplab.data.pipeline import evaluation_batches, training_records
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.runs.decode import read_epoch
from auto_deeplab.search_space import PerturbationEffects
from auto_deeplab.training.job import configured_job
from auto_deeplab.training.optimization.loss import counted_pixels, cross_entropy
from auto_deeplab.training.search import Search
from auto_deeplab.training.trained import load_trained


def measure_search(model_dir: str | os.PathLike, images: int | None) -> PerturbationEffects:
    """Measures the supernet that a search has left, on images of trainB.

    Alpha has learned on those; the validation images are kept for the final network.

    Args:
        model_dir: The search's folder, with its newest checkpoint.
        images: How many, without augmentation; None for all.

    Raises:
        UserError: It is no search, or its newest checkpoint is not that of its last epoch.
    """
    trained = load_trained(model_dir)
    search = configured_job()
    if not isinstance(search, Search):
        raise UserError(
            f"{argument('model_dir')}: received {str(model_dir)!r}, which trains one network; "
            "expected a search's folder"
        )
    if trained.step != (last := read_epoch(model_dir).step):
        raise UserError(
            f"{argument('model_dir')}: received {str(model_dir)!r}, whose newest checkpoint is of "
            f"step {trained.step}; expected one of step {last}, with which its last epoch ended"
        )
    records = training_records(trained.dataset_dir, search.train_split).half("B", search.seed)
    return measure_effects(trained.model, records, search.validation_batch_size, images)


def measure_effects(
    supernet: Supernet,
    records: SegmentationRecords,
    batch_size: int = 1,
    limit: int | None = None,
) -> PerturbationEffects:
    """Measures by how much the cross-entropy rises when a part of every cell is taken away.

    Taken away is one operation of one edge, or one edge with all of its operations. All others
    keep their weight. Each part is taken from the whole supernet, so that the order of the edges
    does not matter; DARTS-PT fixes one edge after the other, and trains on in between. Batch norm
    takes its moving statistics.

    Args:
        supernet: With its weights.
        records: The examples.
        batch_size: Images a batch.
        limit: How many images; None for all.
    """
    weights = supernet.operation_weights(supernet.architecture_logits()[0]).numpy()
    cell = supernet.cell_graph
    edges = range(len(cell.edges))
    # Nothing is lost without `none`.
    columns = [column for column, name in enumerate(cell.operations) if name != "none"]
    places = [*edges, *itertools.product(edges, columns)]
    perturbed = [weights, *(_without(weights, place) for place in places)]
    ignore_label = records.description.ignore_label
    sums, pixels = np.zeros(len(perturbed)), 0.0

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 3], tf.float32),
            tf.TensorSpec([None, None, None], tf.int32),
            tf.TensorSpec(weights.shape, tf.float32),
        ],
        autograph=False,
    )
    def loss_sum(images, labels, operation_weights):
        logits = supernet(images, training=False, operation_weights=operation_weights)
        return cross_entropy(labels, logits, ignore_label, pixels=tf.constant(1.0))

    for images, labels in evaluation_batches(records, batch_size, limit):
        pixels += float(counted_pixels(labels, ignore_label))
        for index, each in enumerate(tqdm(perturbed, desc="perturbations", leave=False)):
            sums[index] += float(loss_sum(images, labels, each))
    whole, *others = sums / max(pixels, 1.0)
    rises = np.array(others) - whole
    operations = np.zeros(weights.shape)
    operations[:, columns] = rises[len(edges) :].reshape(len(edges), len(columns))
    return PerturbationEffects(cell, operations, rises[: len(edges)])


def _without(weights: np.ndarray, place: int | tuple[int, int]) -> np.ndarray:
    """Returns the weights without an edge, or without an operation of an edge."""
    others = weights.copy()
    others[place] = 0.0
    return others

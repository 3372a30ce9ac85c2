"""Single architectures measured with a supernet's weights, without training them.

A supernet that guides well ranks architectures as training each of them would. Its own accuracy
says little of that: it is the mixture's, which nobody deploys.

Each batch is normalized with its own statistics, so a class map depends on the other images of its
batch: compare figures of the same batch size, and take several images. The supernet stays the same.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from auto_deeplab.data.pipeline import evaluation_batches
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.evaluation.metrics import ConfusionMatrix
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet.single_path import SinglePaths
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.search_space import ArchitectureDistribution, Genotype, numbered_generator

# So many architectures are worth the seconds that it takes to build the functions for them.
MANY = 10


class Ranked(NamedTuple):
    """An architecture, and how it labels images with shared weights."""

    genotype: Genotype
    matrix: ConfusionMatrix


class DecodedPrediction:
    """Predicts with the architecture that alpha and beta decode to when it is called.

    Args:
        supernet: With its weights, which are shared.
        most_skips: How many branches of the cell may be `skip`, see `decode_cell`.
    """

    def __init__(self, supernet: Supernet, most_skips: int | None = None):
        self._supernet = supernet
        self._most_skips = most_skips
        self._paths = SinglePaths(supernet)

    def __call__(self, batches: Sequence[tf.Tensor]) -> list[np.ndarray]:
        """Maps batches of normalized images to class maps, int [batch, height, width]."""
        path = self._paths.path(
            self._supernet.relaxation().decode("decoded", most_skips=self._most_skips)
        )
        vectors = path.read()
        logits = (path.logits(self._paths.stem(images), vectors) for images in batches)
        return [tf.argmax(of_batch, axis=-1).numpy() for of_batch in logits]


def evaluate_with_shared_weights(
    supernet: Supernet,
    genotype: Genotype,
    records: SegmentationRecords,
    batch_size: int = 16,
    limit: int | None = None,
) -> ConfusionMatrix:
    """Returns how an architecture labels the images of a split with a supernet's weights.

    Args:
        supernet: With its weights.
        genotype: In the supernet's space.
        records: The split.
        batch_size: Images a batch.
        limit: How many images; None for all.

    Raises:
        UserError: The architecture is not in the supernet's space.
    """
    (matrix,) = measure_with_shared_weights(supernet, [genotype], records, batch_size, limit)
    return matrix


def rank_with_shared_weights(
    supernet: Supernet,
    genotypes: Sequence[Genotype],
    records: SegmentationRecords,
    batch_size: int = 16,
    limit: int | None = None,
    progress: bool = False,
) -> list[Ranked]:
    """Returns architectures in the order of their mean IOU with a supernet's weights, best first.

    Of equal ones the earlier one comes first. The arguments are those of
    `measure_with_shared_weights`.

    Raises:
        UserError: An architecture is not in the supernet's space.
    """
    matrices = measure_with_shared_weights(
        supernet, genotypes, records, batch_size, limit, progress
    )
    ranked = map(Ranked, genotypes, matrices)
    return sorted(ranked, key=lambda each: each.matrix.mean_iou, reverse=True)


def measure_with_shared_weights(
    supernet: Supernet,
    genotypes: Sequence[Genotype],
    records: SegmentationRecords,
    batch_size: int = 16,
    limit: int | None = None,
    progress: bool = False,
) -> list[ConfusionMatrix]:
    """Returns how each architecture labels the images of a split with a supernet's weights.

    All of them see the same batches, and share what the stem makes of them.

    Args:
        supernet: With its weights.
        genotypes: In the supernet's space.
        records: The split.
        batch_size: Images a batch.
        limit: How many images; None for all.
        progress: Whether to show a progress bar.

    Raises:
        UserError: An architecture is not in the supernet's space.
    """
    paths = SinglePaths(supernet, traced=len(genotypes) >= MANY)
    for genotype in genotypes:
        paths.path(genotype)  # Raises what there is to raise, before anything is computed.
    description = records.description
    matrices = [
        ConfusionMatrix(len(description.classes), description.ignore_label) for _ in genotypes
    ]
    images_to_see = len(records.numbers[:limit]) * len(genotypes)
    with tqdm(
        total=images_to_see, desc="shared weights", unit="image", disable=not progress
    ) as bar:
        for images, labels in evaluation_batches(records, batch_size, limit):
            stem = paths.stem(images)
            for genotype, matrix in zip(genotypes, matrices, strict=True):
                # Made anew: hundreds of them at once would hold more numbers than the supernet.
                path = paths.path(genotype)
                logits = path.logits(stem, path.read())
                matrix.update(labels.numpy(), tf.argmax(logits, axis=-1).numpy())
                bar.update(len(images))
    return matrices


def draw_candidates(
    distribution: ArchitectureDistribution, count: int, seed: int
) -> list[Genotype]:
    """Returns different architectures, each drawn with its probability among those that are left.

    Args:
        distribution: What to draw from: a supernet's, or the even one of alpha and beta 0.
        count: How many.
        seed: Of the draws.

    Raises:
        UserError: There are hardly so many.
    """
    drawn: dict[tuple, Genotype] = {}
    number = 0
    while len(drawn) < count:
        if number >= 100 * count:
            raise UserError(
                f"count: received {count}; expected less: {number} draws gave {len(drawn)} "
                "different architectures"
            )
        genotype = distribution.draw(f"draw_{number}", numbered_generator(seed, number))
        drawn.setdefault((genotype.network, genotype.cell), genotype)
        number += 1
    return list(drawn.values())

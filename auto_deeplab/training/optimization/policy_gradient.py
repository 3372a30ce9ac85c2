"""The gradient of an expected loss, from the losses of architectures that were drawn.

E[loss] over an `ArchitectureDistribution` has the gradient E[loss · grad log p] (Williams 1992,
REINFORCE): forward passes of discrete architectures suffice, and its mean is exact. Of the two ways
to learn from single architectures it is the one taken here. Straight-through weights (GDAS, arXiv
1910.04465; SNAS, arXiv 1812.09926) have less variance, but their mean is another function's
gradient, the operations that were not drawn enter it by how they would mix, and the choice of the
path, which decides what is computed at all, has no such weights.

A baseline that the architecture does not enter takes variance away and leaves the mean. Batches
differ in difficulty by much more than architectures do, so the baseline of each architecture is the
mean loss of the others on the same batch (Kool et al. 2019, "Buy 4 REINFORCE samples, get a
baseline for free!"): a running mean of earlier steps' losses would know nothing of the batch.
"""

from collections.abc import Sequence

import numpy as np

from auto_deeplab.search_space import ArchitectureDistribution, Genotype


def advantages(losses: Sequence[float]) -> np.ndarray:
    """Returns each loss minus the mean of the others, float64.

    Args:
        losses: Of at least two architectures, on the same batch.
    """
    values = np.asarray(losses, np.float64)
    others = (values.sum() - values) / (len(values) - 1)
    return values - others


def policy_gradient(
    distribution: ArchitectureDistribution, genotypes: Sequence[Genotype], losses: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Estimates the gradient of the expected loss by alpha and by beta, without bias.

    Args:
        distribution: What the architectures were drawn from, each by itself.
        genotypes: At least two.
        losses: Theirs, on the same batch.

    Returns:
        float64 [edges, operations] and [arcs].
    """
    scores = [distribution.score(genotype) for genotype in genotypes]
    weights = advantages(losses) / len(losses)
    by_alpha, by_beta = (
        np.tensordot(weights, np.stack(kind), axes=1) for kind in zip(*scores, strict=True)
    )
    return by_alpha, by_beta

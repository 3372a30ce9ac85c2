"""Architectures and search spaces that tests of several folders look at."""

import itertools
from collections.abc import Sequence

import numpy as np

from auto_deeplab.search_space import Branch, CellGraph, Genotype, Relaxation, TrellisGraph

SMALL_GENOTYPE = Genotype(
    "small", (4, 8), ((Branch("prev", "sep_conv_3x3"), Branch("prev", "skip")),)
)


def listed_paths(layers: int, strides: Sequence[int]) -> list[tuple[int, ...]]:
    """Returns every path in the order of its strides, found without `TrellisGraph`.

    These are all sequences of strides but the impossible ones.
    """
    return [
        path
        for path in itertools.product(strides, repeat=layers)
        if all(after / before in (0.5, 1, 2) for before, after in itertools.pairwise((4, *path)))
    ]


def random_relaxation(
    seed: int = 0,
    blocks: int = 2,
    layers: int = 3,
    strides: Sequence[int] = (4, 8, 16, 32),
    operations: Sequence[str] = ("none", "skip", "sep_conv_3x3"),
) -> Relaxation:
    """Returns a relaxation whose alpha and beta are random, float32."""
    cell, trellis = CellGraph(blocks, operations), TrellisGraph(layers, strides)
    generator = np.random.default_rng(seed)
    alpha = generator.normal(size=(len(cell.edges), len(cell.operations)))
    beta = generator.normal(size=len(trellis.arcs))
    return Relaxation(cell, trellis, alpha.astype(np.float32), beta.astype(np.float32))

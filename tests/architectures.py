"""Architectures and search spaces that tests of several folders look at."""

import itertools
import math
from collections.abc import Iterator, Sequence

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


def listed_architectures(relaxation: Relaxation) -> Iterator[tuple[Genotype, float]]:
    """Yields every architecture that can be decoded, with what its probability is proportional to.

    That is the product of the weights of its branches and its arcs, found without
    `ArchitectureDistribution`.
    """
    cell, trellis = relaxation.cell, relaxation.trellis
    exponentials = np.exp(relaxation.alpha)
    weights = exponentials / exponentials.sum(axis=1, keepdims=True)
    beta = dict(zip(trellis.arcs, np.exp(relaxation.beta), strict=True))
    operations = [name for name in cell.operations if name != "none"]

    blocks = [
        [
            tuple(map(Branch, inputs, ops))
            for inputs in itertools.combinations(cell.inputs(block), 2)
            for ops in itertools.product(operations, repeat=2)
        ]
        for block in range(1, cell.blocks + 1)
    ]
    for branches in itertools.product(*blocks):
        weight = math.prod(
            weights[cell.edges.index((block, branch.input)), cell.operations.index(branch.op)]
            for block, pair in enumerate(branches, start=1)
            for branch in pair
        )
        for path in listed_paths(trellis.layers, trellis.strides):
            of_path = 1.0
            for layer, (source, target) in enumerate(itertools.pairwise((4, *path))):
                leaving = trellis.outgoing(layer, source)
                (taken,) = (arc for arc in leaving if arc.target == target)
                of_path *= beta[taken] / sum(beta[arc] for arc in leaving)
            yield Genotype("listed", path, branches), weight * of_path

"""A surrogate of training: a linear model of what architectures are made of.

What a training reaches is regressed on how often each kind of operation is in the cell, on the mean
stride of the path, and on how often the stride changes. These variables are few, because there are
few trainings: with each operation, let alone each choice of the space, as a variable of its own
less can be learned from ten of them (docs/search_quality.md). The regression is Bayesian (MacKay
1992; scikit-learn's `BayesianRidge`): how strongly it shrinks the coefficients, and how uncertain
they remain, follows from the data. The optimism of an upper confidence bound (Auer 2002) makes up
for the uncertainty, so that what has hardly been tried is tried.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import BayesianRidge

from auto_deeplab.runs.selection import Candidate
from auto_deeplab.search_space import STEM, CellGraph, Genotype

Features = np.ndarray
"""float64 `[architectures, features]`."""


def upper_bounds(
    candidates: Sequence[Candidate], genotypes: Sequence[Genotype], cell: CellGraph
) -> np.ndarray:
    """Returns what trainings of architectures may be hoped to reach.

    Candidates whose first result is awaited count as trained with the expected outcome (Ginsbourger
    et al. 2010, "kriging believer"): what resembles them is less uncertain then, and those that are
    chosen together differ.

    Args:
        candidates: All there are; one at least has been trained.
        genotypes: The architectures.
        cell: The cells of the space.

    Returns:
        float64 `[architectures]`: the expected mean IOU in the first rung plus one standard
        deviation of the expectation.
    """
    operations = [operation for operation in cell.operations if operation != "none"]
    asked = _features(genotypes, operations)
    scale = asked.std(axis=0)
    # What all have in common tells none from another.
    scale[scale == 0] = 1

    def scaled(others: Sequence[Candidate]) -> Features:
        return _features([each.genotype for each in others], operations) / scale

    trained = [each for each in candidates if each.rungs]
    awaited = [each for each in candidates if not each.rungs and each.state != "eliminated"]
    repeats = [len(each.rungs) for each in trained]
    features, results = np.repeat(scaled(trained), repeats, axis=0), _results(trained)
    model = BayesianRidge().fit(features, results)
    if awaited:
        believed = scaled(awaited)
        features = np.concatenate([features, believed])
        model = BayesianRidge().fit(features, np.concatenate([results, model.predict(believed)]))
    asked /= scale
    # Of the expectation: what scikit-learn offers contains the luck of a training, too.
    apart = asked - features.mean(axis=0)
    variance = np.einsum("ij,jk,ik->i", apart, model.sigma_, apart)
    bounds: np.ndarray = model.predict(asked) + np.sqrt(variance)
    return bounds


def _features(genotypes: Sequence[Genotype], operations: Sequence[str]) -> Features:
    """Returns what architectures are made of."""
    kinds = sorted({_kind(operation) for operation in operations})
    rows = []
    for genotype in genotypes:
        used = [_kind(branch.op) for block in genotype.cell for branch in block]
        levels = np.log2([STEM.stride, *genotype.network])
        path = [levels[1:].mean(), np.count_nonzero(np.diff(levels))]
        rows.append([*(used.count(kind) for kind in kinds), *path])
    return np.array(rows, np.float64).reshape(len(rows), len(kinds) + 2)


def _kind(operation: str) -> str:
    """Returns an operation's name without its kernel: "sep_conv"; all pools are "pool"."""
    name = operation.rpartition("_")[0] or operation
    return "pool" if name.endswith("_pool") else name


def _results(trained: Sequence[Candidate]) -> np.ndarray:
    """Returns the mean IOU of each training of each candidate, as if all were of the first rung.

    What a longer training reaches more is the mean over the candidates that had both. One that
    failed counts as the worst of its rung: as a 0 it alone would decide.
    """
    by_rung: dict[int, list[float]] = {}
    for each in trained:
        for rung, result in enumerate(each.rungs):
            if not result.failure:
                by_rung.setdefault(rung, []).append(result.mean_iou)
    worst = {rung: min(figures) for rung, figures in by_rung.items()}
    reached = [
        [
            worst.get(rung, 0.0) if result.failure else result.mean_iou
            for rung, result in enumerate(each.rungs)
        ]
        for each in trained
    ]
    gains = [0.0]
    for rung in range(1, max(map(len, reached))):
        longer = [each for each in reached if len(each) > rung]
        gains.append(float(np.mean([each[rung] - each[rung - 1] for each in longer])))
    offsets = np.cumsum(gains)
    return np.concatenate([figures - offsets[: len(figures)] for figures in reached])

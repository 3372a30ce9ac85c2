"""A surrogate of training: a Gaussian process over a few figures of an architecture.

The figures are how often each kind of operation is in the cell, the mean stride of the path, and
how often the stride changes. They are few, because there are few trainings: with each operation,
let alone each choice of the space, as a variable of its own less can be learned from ten of them.
The process (Rasmussen and Williams 2006, algorithm 2.1; scikit-learn's) has a squared exponential
kernel and takes a part of what it sees for the luck of a training; both follow from the data. Away
from all that was trained it goes back to the mean, where a linear model goes on to rise and so
chooses extremes, such as cells of pools alone (docs/search_quality.md).

What is chosen is what has the highest upper confidence bound (Auer 2002): the optimism makes up for
the uncertainty, so that what has hardly been tried is tried.
"""

import random
import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from auto_deeplab.runs.selection import Candidate
from auto_deeplab.search_space import STEM, CellGraph, Genotype, TrellisGraph, sample_genotype

Features = np.ndarray
"""float64 `[architectures, features]`."""

# From these draws follows by how much the figures of architectures differ.
_DRAWS = 200


class Surrogate:
    """A model of what trainings reach, of one search space.

    Args:
        cell: The cells of the space.
        trellis: The paths of the space.
    """

    def __init__(self, cell: CellGraph, trellis: TrellisGraph) -> None:
        self._operations = cell.kept_operations
        generator = random.Random(0)
        drawn = [sample_genotype("drawn", cell, trellis, generator) for _ in range(_DRAWS)]
        spread = _features(drawn, self._operations).std(axis=0)
        # What all have in common tells none from another.
        self._scale = np.where(spread > 0, spread, 1.0)

    def upper_bounds(
        self, candidates: Sequence[Candidate], genotypes: Sequence[Genotype]
    ) -> np.ndarray:
        """Returns what trainings of architectures may be hoped to reach.

        Candidates whose first result is awaited count as trained with the expected outcome
        (Ginsbourger et al. 2010, "kriging believer"): what resembles them is less uncertain then,
        and those that are chosen together differ.

        Args:
            candidates: All there are; one at least has been trained.
            genotypes: The architectures.

        Returns:
            float64 `[architectures]`: the expected mean IOU in the first rung plus one standard
            deviation.
        """
        trained = [each for each in candidates if each.rungs]
        awaited = [each for each in candidates if not each.rungs and each.state != "eliminated"]
        repeats = [len(each.rungs) for each in trained]
        features = np.repeat(self._scaled_of(trained), repeats, axis=0)
        results = _results(trained)
        process = _fitted(features, results)
        if awaited:
            believed = self._scaled_of(awaited)
            process = _fitted(
                np.concatenate([features, believed]),
                np.concatenate([results, process.predict(believed)]),
            )
        mean, deviation = process.predict(self._scaled(genotypes), return_std=True)
        bounds: np.ndarray = mean + deviation
        return bounds

    def _scaled_of(self, candidates: Sequence[Candidate]) -> Features:
        return self._scaled([each.genotype for each in candidates])

    def _scaled(self, genotypes: Sequence[Genotype]) -> Features:
        return _features(genotypes, self._operations) / self._scale


def _fitted(features: Features, results: np.ndarray) -> GaussianProcessRegressor:
    """Returns the process whose kernel makes results likeliest, within sensible bounds."""
    # In standard deviations, of the features and of the results.
    smooth = ConstantKernel(1.0, (0.1, 10.0)) * RBF(3.0, (1.0, 30.0))
    process = GaussianProcessRegressor(smooth + WhiteKernel(0.5, (0.05, 2.0)), normalize_y=True)
    with warnings.catch_warnings():
        # That a value is at its bound is what bounds are for.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return process.fit(features, results)


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

"""The statistics of a table: spreads, ranks, and the best of k random architectures.

All draws of k are without replacement, as nobody trains a network twice to find the better one.
"""

import dataclasses
from collections.abc import Sequence
from math import comb

import numpy as np
from scipy import stats

from auto_deeplab.foundations.errors import UserError


@dataclasses.dataclass(frozen=True)
class Spreads:
    """How much results differ, as standard deviations.

    Args:
        architectures: Of the architectures' true means: what remains of the spread of their
            measured means without the seeds' share in it.
        seeds: Of what a seed does to one architecture and not to others.
        shared: Of what a seed does to all architectures alike, as some orders of the batches are
            worse than others. It changes no order of networks that are trained from the same seed.
    """

    architectures: float
    seeds: float
    shared: float

    @property
    def ratio(self) -> float:
        """Architectures over seeds; infinite where seeds change no order at all."""
        return self.architectures / self.seeds if self.seeds else float("inf")


@dataclasses.dataclass(frozen=True)
class _MeanSquares:
    """Those of a two-way analysis of variance, with one result in each place."""

    architectures: float
    seeds: float
    rest: float


def _mean_squares(values: np.ndarray) -> _MeanSquares:
    architectures, seeds = values.shape
    of_architecture, of_seed = values.mean(axis=1, keepdims=True), values.mean(axis=0)
    rest = values - of_architecture - of_seed + values.mean()
    return _MeanSquares(
        float(seeds * of_architecture.var(ddof=1)),
        float(architectures * of_seed.var(ddof=1)),
        float((rest**2).sum() / ((architectures - 1) * (seeds - 1))),
    )


def spreads(groups: Sequence[Sequence[float]]) -> Spreads:
    """Returns the spreads by a two-way analysis of variance with random effects.

    Args:
        groups: For each architecture its results, of at least two seeds: the same for each.

    Raises:
        UserError: There are fewer than two architectures or seeds, or numbers of seeds differ.
    """
    sizes = {len(group) for group in groups}
    if len(groups) < 2 or len(sizes) != 1 or min(sizes) < 2:
        raise UserError(
            f"groups: received {len(groups)} architectures of {sorted(sizes)} seeds; expected at "
            "least 2 architectures with the same number of seeds, at least 2"
        )
    values = np.asarray(groups, np.float64)
    squares = _mean_squares(values)
    architectures, seeds = values.shape
    variances = (
        (squares.architectures - squares.rest) / seeds,
        squares.rest,
        (squares.seeds - squares.rest) / architectures,
    )
    return Spreads(*(float(np.sqrt(max(variance, 0.0))) for variance in variances))


def spread_ratio_interval(
    groups: Sequence[Sequence[float]], confidence: float = 0.9
) -> tuple[float, float]:
    """Returns an interval of `Spreads.ratio`: exact for normal results, from the F distribution.

    Args:
        groups: See `spreads`.
        confidence: How often such an interval holds the true ratio.
    """
    values = np.asarray(groups, np.float64)
    architectures, seeds = values.shape
    squares = _mean_squares(values)
    if not squares.rest:
        return float("inf"), float("inf")
    quotient = squares.architectures / squares.rest
    freedom = architectures - 1, (architectures - 1) * (seeds - 1)
    tail = (1 - confidence) / 2
    bounds = [
        max(quotient / stats.f.ppf(share, *freedom) - 1, 0.0) / seeds for share in (1 - tail, tail)
    ]
    return float(np.sqrt(bounds[0])), float(np.sqrt(bounds[1]))


def percentile(value: float, table: Sequence[float] | np.ndarray) -> float:
    """Returns which percentage of the table a result is better than; equals count as half."""
    values = np.asarray(table)
    return float(100 * (np.mean(values < value) + np.mean(values == value) / 2))


def regret(value: float, table: Sequence[float] | np.ndarray) -> float:
    """Returns how far a result is below the table's best; negative where it is above."""
    return float(np.max(table) - value)


def best_of_k_probabilities(size: int, k: int) -> np.ndarray:
    """Returns how probable it is that the best of k different ones of a table is each of it.

    Args:
        size: Of the table.
        k: How many are drawn; more than all are all.

    Returns:
        float64 [size], from the worst to the best: C(i - 1, k - 1) / C(size, k) of the i-th.

    Raises:
        UserError: A number is below 1.
    """
    if size < 1 or k < 1:
        raise UserError(f"k: received {k} of {size} networks; expected at least 1 of each")
    k = min(k, size)
    return np.array([comb(i - 1, k - 1) / comb(size, k) for i in range(1, size + 1)])


def expected_best_of_k(table: Sequence[float] | np.ndarray, k: int) -> float:
    """Returns the mean over all choices of k networks of the table of the best one's result."""
    values = np.sort(np.asarray(table, np.float64))
    return float(values @ best_of_k_probabilities(len(values), k))


def probability_above_best_of_k(value: float, table: Sequence[float] | np.ndarray, k: int) -> float:
    """Returns how often a result beats the best of k random ones; equals count as half."""
    values = np.sort(np.asarray(table, np.float64))
    probabilities = best_of_k_probabilities(len(values), k)
    return float(probabilities @ ((values < value) + (values == value) / 2))


def best_of_k_interval(
    table: Sequence[float] | np.ndarray,
    k: int,
    confidence: float = 0.9,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Returns an interval of `expected_best_of_k`, by the bootstrap.

    The table is a sample of the space; another one would have other networks. Its spread is seen by
    drawing tables of its size from itself, with replacement, each with its own closed form.

    Args:
        table: The results.
        k: How many are drawn.
        confidence: Which share of the resampled tables' expectations lies inside.
        resamples: How many tables.
        seed: Of the resampling.
    """
    values = np.asarray(table, np.float64)
    generator = np.random.default_rng(seed)
    drawn = np.sort(generator.choice(values, (resamples, len(values))), axis=1)
    expectations = drawn @ best_of_k_probabilities(len(values), k)
    tail = (1 - confidence) / 2
    low, high = np.quantile(expectations, [tail, 1 - tail])
    return float(low), float(high)


def trainings_for(seconds: float, seconds_per_training: float) -> int:
    """Returns k: how many trainings cost what a search cost, rounded up, at least 1."""
    if seconds < 0 or seconds_per_training <= 0:
        raise UserError(
            f"seconds: received {seconds} of a search and {seconds_per_training} of a training; "
            "expected at least 0 and more than 0"
        )
    return max(1, int(np.ceil(seconds / seconds_per_training)))


@dataclasses.dataclass(frozen=True)
class Ranking:
    """How well one order of networks predicts another.

    Args:
        tau: Kendall's tau-b: 1 for the same order, 0 for none, -1 for the reverse.
        low: Of an interval of tau that resamples the networks.
        high: Likewise.
        p_value: How probable so extreme a tau is of orders that have nothing to do with each
            other.
    """

    tau: float
    low: float
    high: float
    p_value: float


def rank(
    scores: Sequence[float],
    results: Sequence[float],
    confidence: float = 0.9,
    resamples: int = 1000,
    seed: int = 0,
) -> Ranking:
    """Returns how well scores predict the order of results.

    Args:
        scores: Of each network, such as its accuracy with a supernet's weights.
        results: Of the same networks, trained.
        confidence: Which share of the resampled taus lies within the interval.
        resamples: How many.
        seed: Of the resampling.

    Raises:
        UserError: There are fewer than 3 networks, or all scores or all results are the same.
    """
    first, second = np.asarray(scores, np.float64), np.asarray(results, np.float64)
    if len(first) != len(second) or len(first) < 3:
        raise UserError(
            f"scores: received {len(first)} for {len(second)} results; expected as many, at least 3"
        )
    tau, p_value = stats.kendalltau(first, second)
    if np.isnan(tau):
        raise UserError("scores: received equal ones; expected networks that differ in both")
    generator = np.random.default_rng(seed)
    taus = []
    for _ in range(resamples):
        chosen = generator.integers(len(first), size=len(first))
        taus.append(stats.kendalltau(first[chosen], second[chosen]).statistic)
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(taus, [tail, 1 - tail])
    return Ranking(float(tau), float(low), float(high), float(p_value))


@dataclasses.dataclass(frozen=True)
class MethodComparison:
    """A method beside random architectures.

    Args:
        name: The method's.
        networks: How many it found.
        mean_iou: Of each, in order.
        percentiles: Of each within the table.
        regrets: Of each.
        k: How many random trainings cost what one of its searches cost.
        random_mean_iou: The expected best of k random ones.
        random_interval: Of that, at 90%.
        above_random: How often one of its networks beats the best of k random ones.
    """

    name: str
    networks: int
    mean_iou: tuple[float, ...]
    percentiles: tuple[float, ...]
    regrets: tuple[float, ...]
    k: int
    random_mean_iou: float
    random_interval: tuple[float, float]
    above_random: float


def compare(
    name: str, results: Sequence[float], table: Sequence[float] | np.ndarray, k: int
) -> MethodComparison:
    """Compares a method's networks with a table.

    Args:
        name: The method's.
        results: The mIOU of each of its networks, one a search.
        table: The mIOU of the random ones.
        k: See `trainings_for`.
    """
    return MethodComparison(
        name=name,
        networks=len(results),
        mean_iou=tuple(results),
        percentiles=tuple(percentile(result, table) for result in results),
        regrets=tuple(regret(result, table) for result in results),
        k=k,
        random_mean_iou=expected_best_of_k(table, k),
        random_interval=best_of_k_interval(table, k),
        above_random=float(
            np.mean([probability_above_best_of_k(result, table, k) for result in results])
        ),
    )

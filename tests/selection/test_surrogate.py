"""The surrogate against truths that are known: what it learns, and where it is uncertain."""

import random

import numpy as np
import pytest
from scipy import stats

from auto_deeplab.runs.selection import Candidate, RungResult
from auto_deeplab.search_space import Branch, CellGraph, Genotype, TrellisGraph, sample_genotype
from auto_deeplab.selection.surrogate import Surrogate, _features

CELL, TRELLIS = CellGraph(3), TrellisGraph(5)
SURROGATE = Surrogate(CELL, TRELLIS)
WORTH = {"sep_conv_3x3": -0.02, "sep_conv_5x5": -0.02, "atrous_conv_5x5": 0.02, "skip": -0.01}


def sampled(count, seed=0):
    generator = random.Random(seed)
    return [sample_genotype(f"drawn_{n}", CELL, TRELLIS, generator) for n in range(count)]


def truth(genotype):
    """What a training would reach without luck: operations and the last stride matter."""
    worth = sum(WORTH.get(branch.op, 0) for block in genotype.cell for branch in block)
    return 0.35 + worth + 0.01 * (genotype.network[-1] == 8)


def result(mean_iou, failure=""):
    return RungResult(
        steps=1, seed=0, mean_iou=mean_iou, pixel_accuracy=0.5, seconds=1, failure=failure
    )


def candidate(number, genotype, *results):
    return Candidate(
        number=number,
        name=genotype.name,
        network=genotype.network,
        cell=genotype.cell,
        origin="random",
        bracket=0,
        parameters=1,
        multiply_adds=1,
        state="running" if results else "waiting",
        rungs=results,
    )


def trained(genotypes, spread=0.01, seed=0):
    noise = spread * np.random.default_rng(seed).standard_normal(len(genotypes))
    return [
        candidate(number, each, result(truth(each) + noise[number]))
        for number, each in enumerate(genotypes)
    ]


def test_features_are_what_one_counts_by_hand():
    cell = (
        (Branch("prev_prev", "sep_conv_3x3"), Branch("prev", "sep_conv_5x5")),
        (Branch("prev", "skip"), Branch("block1", "sep_conv_3x3")),
    )
    genotype = Genotype("one", (8, 16, 8, 8), cell)
    operations = ("skip", "sep_conv_3x3", "sep_conv_5x5", "max_pool_3x3", "avg_pool_3x3")
    # Pools, separable convolutions and skips; 4 to 8 to 16 to 8 to 8.
    assert _features([genotype], operations).tolist() == [[0, 3, 1, 3.25, 3]]


@pytest.mark.parametrize("seed", range(3))
def test_a_dozen_trainings_tell_what_hundreds_would_reach(seed):
    known, asked = sampled(12, seed), sampled(500, seed + 100)
    bounds = SURROGATE.upper_bounds(trained(known, seed=seed), asked)
    truths = np.array([truth(each) for each in asked])
    assert stats.kendalltau(bounds, truths).statistic > 0.4
    # What it puts first is better than 9 of 10 random ones, where chance would be in the middle.
    assert truths[np.argsort(-bounds)[:5]].mean() > np.quantile(truths, 0.9)


def test_one_size_of_a_kernel_learns_from_the_other():
    block = Branch("prev_prev", "max_pool_3x3"), Branch("prev", "max_pool_3x3")

    def with_operation(operation):
        branches = Branch("prev_prev", operation), Branch("prev", operation)
        return Genotype(operation, (4,) * 5, (branches, block, block))

    known = [
        each
        for each in sampled(60)
        if not any(branch.op == "sep_conv_5x5" for pair in each.cell for branch in pair)
    ]
    names = ("sep_conv_5x5", "max_pool_3x3", "atrous_conv_5x5")
    untried, neutral, best = SURROGATE.upper_bounds(
        trained(known), list(map(with_operation, names))
    )
    assert untried < neutral < best


def test_what_was_hardly_tried_may_be_hoped_for():
    """Of two that are expected to reach the same, the one that resembles fewer has more."""
    skips = Genotype(
        "skips", (4,) * 5, ((Branch("prev_prev", "skip"), Branch("prev", "skip")),) * 3
    )
    pools = Genotype(
        "pools",
        (4,) * 5,
        ((Branch("prev_prev", "max_pool_3x3"), Branch("prev", "max_pool_3x3")),) * 3,
    )
    figures = [0.3, 0.31, 0.32, 0.33]
    known = [candidate(number, skips, result(each)) for number, each in enumerate(figures)]
    bounds = SURROGATE.upper_bounds(known, [skips, pools])
    assert bounds[1] > bounds[0]


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_those_that_are_awaited_make_what_resembles_them_less_promising(state):
    known, asked = trained(sampled(12)), sampled(300, 1)
    before = SURROGATE.upper_bounds(known, asked)
    first = asked[int(np.argmax(before))]
    awaited = candidate(12, first).model_copy(update={"state": state})
    loss = before - SURROGATE.upper_bounds([*known, awaited], asked)
    assert loss[int(np.argmax(before))] > np.median(loss)
    given_up = awaited.model_copy(update={"state": "eliminated"})
    np.testing.assert_array_equal(SURROGATE.upper_bounds([*known, given_up], asked), before)


def test_a_longer_training_is_compared_with_what_it_gained_on_the_others():
    known, asked = sampled(12), sampled(50, 1)
    same, better = [
        [
            candidate(number, each, *(result(truth(each) + rung * gain) for rung in range(rungs)))
            for number, (each, rungs) in enumerate(zip(known, [3, 2, 2] + [1] * 9, strict=True))
        ]
        for gain in (0.0, 0.1)
    ]
    np.testing.assert_allclose(
        SURROGATE.upper_bounds(better, asked), SURROGATE.upper_bounds(same, asked), rtol=1e-6
    )


def test_a_training_that_failed_counts_as_the_worst():
    known, asked = trained(sampled(12)), sampled(50, 1)
    worst = min(each.mean_iou for each in known)
    failed, bad = (
        SURROGATE.upper_bounds([*known, candidate(12, sampled(1, 2)[0], each)], asked)
        for each in (result(0.0, "diverged"), result(worst))
    )
    np.testing.assert_array_equal(failed, bad)


@pytest.mark.parametrize("figures", [[0.3], [0.3, 0.3], [0.0]])
def test_few_results_or_equal_ones_break_nothing(figures):
    failure = "" if any(figures) else "diverged"
    known = [
        candidate(number, each, result(figure, failure))
        for number, (each, figure) in enumerate(zip(sampled(2), figures, strict=False))
    ]
    assert np.isfinite(SURROGATE.upper_bounds(known, sampled(20, 1))).all()

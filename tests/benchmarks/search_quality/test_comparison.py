"""The statistics of a table, against counting everything."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from benchmarks.search_quality.comparison import (
    best_of_k_interval,
    best_of_k_probabilities,
    compare,
    expected_best_of_k,
    percentile,
    probability_above_best_of_k,
    rank,
    regret,
    spread_ratio_interval,
    spreads,
    trainings_for,
)

# Few different values, so that there are ties.
tables = st.lists(st.integers(0, 6).map(lambda value: value / 8), min_size=1, max_size=7)


@given(tables, st.integers(1, 9))
def test_the_best_of_k_is_the_mean_over_all_choices(table, k):
    bests = [max(choice) for choice in itertools.combinations(table, min(k, len(table)))]
    assert math.isclose(expected_best_of_k(table, k), np.mean(bests))
    assert math.isclose(best_of_k_probabilities(len(table), k).sum(), 1)


@given(tables, st.integers(1, 9), st.integers(-1, 7).map(lambda value: value / 8))
def test_how_often_a_result_beats_the_best_of_k_is_counted_over_all_choices(table, k, value):
    bests = [max(choice) for choice in itertools.combinations(table, min(k, len(table)))]
    expected = np.mean([(value > best) + (value == best) / 2 for best in bests])
    assert math.isclose(probability_above_best_of_k(value, table, k), expected, abs_tol=1e-12)


@given(tables, st.integers(-1, 7).map(lambda value: value / 8))
def test_percentile_and_regret_are_counted(table, value):
    above = sum((value > other) + (value == other) / 2 for other in table)
    assert math.isclose(percentile(value, table), 100 * above / len(table), abs_tol=1e-9)
    assert regret(value, table) == max(table) - value


def test_the_interval_of_the_best_of_k_is_that_of_tables_that_are_drawn_anew():
    # Of three equal chances, all tables of two entries can be listed.
    table, k = [0.0, 1.0], 1
    listed = sorted(np.mean(drawn) for drawn in itertools.product(table, repeat=2))
    assert best_of_k_interval(table, k, confidence=1.0) == (listed[0], listed[-1])
    generator = np.random.default_rng(0)
    normal = generator.normal(size=50)
    low, high = best_of_k_interval(normal, 1, confidence=0.9)
    # The mean of n values has the standard error s / sqrt(n).
    error = normal.std() / math.sqrt(50)
    assert math.isclose(low, normal.mean() - 1.645 * error, abs_tol=0.25 * error)
    assert math.isclose(high, normal.mean() + 1.645 * error, abs_tol=0.25 * error)


def test_spreads_are_recovered_from_what_was_drawn():
    generator = np.random.default_rng(1)
    architectures = generator.normal(0, 3.0, size=[4000, 1])
    seeds = generator.normal(0, 1.5, size=[4000, 3])
    # Three numbers with a standard deviation of exactly 2.
    shared = np.array([-2.0, 0.0, 2.0])
    found = spreads((architectures + shared + seeds).tolist())
    assert math.isclose(found.architectures, 3.0, rel_tol=0.05)
    assert math.isclose(found.seeds, 1.5, rel_tol=0.05)
    assert math.isclose(found.shared, 2.0, rel_tol=0.05)
    assert math.isclose(found.ratio, 2.0, rel_tol=0.05)


def test_architectures_that_do_not_differ_have_no_spread_of_their_own():
    groups = [[0.1, 0.3], [0.3, 0.1], [0.2, 0.2]]
    assert spreads(groups).architectures == spreads(groups).shared == 0
    # Around means that are all 0.2: four times 0.1, in (3 - 1) (2 - 1) degrees of freedom.
    assert spreads(groups).seeds == pytest.approx(math.sqrt(0.04 / 2))


def test_what_a_seed_does_to_all_alike_changes_no_order():
    found = spreads([[0.125, 0.25], [0.25, 0.375], [0.5, 0.625]])
    assert (found.seeds, found.ratio) == (0, math.inf)
    assert found.architectures == pytest.approx(np.std([0.125, 0.25, 0.5], ddof=1))
    assert found.shared == pytest.approx(0.125 / math.sqrt(2))


@settings(deadline=None, max_examples=3)
@given(st.integers(0, 100))
def test_the_interval_of_the_ratio_holds_the_truth_as_often_as_it_says(seed):
    generator = np.random.default_rng(seed)
    held = 0
    for _ in range(300):
        truth = generator.normal(0, 2.0, size=[8, 1]) + generator.normal(0, 3.0, size=[1, 2])
        low, high = spread_ratio_interval((truth + generator.normal(size=[8, 2])).tolist())
        held += low <= 2.0 <= high
    # 270 on average, with a standard deviation of 5.2.
    assert 240 <= held <= 296


@pytest.mark.parametrize("groups", [[[1.0, 2.0]], [[1.0], [2.0]], [[1.0, 2.0], [1.0, 2.0, 3.0]]])
def test_too_few_results_have_no_spreads(groups):
    with pytest.raises(UserError, match="expected at least 2 architectures"):
        spreads(groups)


@given(st.permutations(range(6)), st.permutations(range(6)))
@settings(deadline=None, max_examples=20)
def test_tau_counts_the_pairs_in_the_same_order(scores, results):
    pairs = list(itertools.combinations(range(6), 2))
    agreeing = sum((scores[i] < scores[j]) == (results[i] < results[j]) for i, j in pairs)
    found = rank(scores, results, resamples=20)
    assert math.isclose(found.tau, 2 * agreeing / len(pairs) - 1, abs_tol=1e-12)


def test_orders_without_differences_have_no_tau():
    with pytest.raises(UserError, match="received equal ones"):
        rank([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])


def test_trainings_are_rounded_up():
    assert [trainings_for(seconds, 60) for seconds in (0, 1, 60, 61, 600)] == [1, 1, 1, 2, 10]


def test_a_method_is_compared_with_as_many_trainings_as_it_cost():
    found = compare("best", [0.9, 0.5], [0.1, 0.5, 0.7, 0.8], k=2)
    assert found.percentiles == (100, 37.5)
    assert found.regrets == pytest.approx((-0.1, 0.3))
    # The six pairs have the bests .5 .7 .8 .7 .8 .8.
    assert found.random_mean_iou == pytest.approx((0.5 + 2 * 0.7 + 3 * 0.8) / 6)
    assert found.above_random == pytest.approx((1 + 0.5 / 6) / 2)

"""Simulated selections: that the truth is one, and that selections follow it."""

import random

import numpy as np
import pytest

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import CellGraph, TrellisGraph, sample_genotype
from auto_deeplab.selection.settings import Selection
from benchmarks.search_quality.simulation import Truth, percentiles, show_percentiles

CELL, TRELLIS = CellGraph(2), TrellisGraph(3)
SETTINGS = Selection(layers=3, blocks=2, rungs=1, bracket=5, random_share=0.2, surrogate_draws=50)


def test_figures_have_their_correlation_with_the_truth_and_percentiles_are_even():
    truth, generator = Truth(CELL, TRELLIS, 0), random.Random(1)
    drawn = [sample_genotype("drawn", CELL, TRELLIS, generator) for _ in range(1500)]
    truths = np.array([truth(each) for each in drawn])
    assert abs(truths.mean()) < 0.1
    assert abs(truths.std() - 1) < 0.1
    for correlation in (0.3, 0.9):
        figures = [truth.measured(each, 0, correlation) for each in drawn]
        assert abs(np.corrcoef(figures, truths)[0, 1] - correlation) < 0.08
    # An architecture has one truth, and another seed another one.
    again = Truth(CELL, TRELLIS, 0)
    assert [again(each) for each in drawn[:5]] == truths[:5].tolist()
    assert Truth(CELL, TRELLIS, 1)(drawn[0]) != truths[0]
    shares = [truth.percentile(each) for each in drawn]
    np.testing.assert_allclose(np.quantile(shares, [0.25, 0.5, 0.75]), [25, 50, 75], atol=5)


def test_results_that_tell_nothing_find_nothing_and_true_ones_find_the_best():
    blind = np.mean(percentiles(SETTINGS, 10, [0.0], 8))
    seeing = np.mean(percentiles(SETTINGS, 10, [1.0], 8))
    # The mean of 8 even numbers from 0 to 100 has a standard deviation of 10.
    assert abs(blind - 50) < 40
    # What is expected of the best of 10 random ones is 91; the mean of 8 of those varies by 3.
    assert seeing > 80


def test_three_rungs_are_as_many_as_it_knows(capsys):
    show_percentiles(Selection(layers=3, blocks=2, surrogate_draws=50), 3, 1)
    assert capsys.readouterr().out.count("percentile") == 2
    with pytest.raises(UserError, match=r"Selection.rungs: received 4; expected at most 3"):
        show_percentiles(Selection(rungs=4), 3, 1)

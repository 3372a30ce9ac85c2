"""Penalties of alpha: values by SciPy, gradients in closed form and by finite differences."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from auto_deeplab.search_space import CellGraph, Relaxation, TrellisGraph, diagnose
from auto_deeplab.training.optimization.architecture_penalties import (
    PENALTIES,
    ArchitecturePenalties,
    mean_entropy,
    mean_logsumexp,
)


def value_and_gradient(penalty, alpha):
    variable = tf.Variable(alpha, dtype=tf.float64)
    with tf.GradientTape() as tape:
        value = penalty(variable)
    return float(value), tape.gradient(value, variable).numpy()


def drawn(seed, edges, operations):
    return np.random.default_rng(seed).normal(0, 2, [edges, operations])


SHAPES = {"seed": st.integers(0, 2**32 - 1), "edges": st.integers(1, 6)}


@settings(deadline=None, max_examples=20)
@given(**SHAPES, operations=st.integers(1, 8))
def test_logsumexp_takes_what_softmax_has(seed, edges, operations):
    alpha = drawn(seed, edges, operations)
    value, gradient = value_and_gradient(mean_logsumexp, alpha)
    assert value == pytest.approx(np.mean(special.logsumexp(alpha, axis=1)))
    np.testing.assert_allclose(gradient, special.softmax(alpha, axis=1) / edges, atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(**SHAPES, operations=st.integers(2, 8))
def test_entropy_and_its_gradient(seed, edges, operations):
    alpha = drawn(seed, edges, operations)
    value, gradient = value_and_gradient(mean_entropy, alpha)
    weights = special.softmax(alpha, axis=1)
    entropies = stats.entropy(weights, base=operations, axis=1)
    assert value == pytest.approx(entropies.mean())
    # d H / d alpha_k = -w_k (log w_k + H)
    surprise = np.log(weights) / np.log(operations)
    expected = -weights * (surprise + entropies[:, None]) / edges
    np.testing.assert_allclose(gradient, expected, atol=1e-12)


@pytest.mark.parametrize("name", PENALTIES)
def test_gradients_by_finite_differences(name):
    alpha, step = drawn(3, 4, 5), 1e-5
    _, gradient = value_and_gradient(PENALTIES[name], alpha)
    for place in np.ndindex(alpha.shape):
        moved = np.zeros_like(alpha)
        moved[place] = step
        above, below = (
            float(PENALTIES[name](tf.constant(alpha + sign * moved))) for sign in (1, -1)
        )
        assert gradient[place] == pytest.approx((above - below) / (2 * step), abs=1e-8)


def test_the_entropy_that_is_penalized_is_that_of_the_metrics():
    cell, trellis = CellGraph(3, ("none", "skip", "sep_conv_3x3")), TrellisGraph(1, (4,))
    alpha = drawn(0, 9, 3)
    figures = diagnose(Relaxation(cell, trellis, alpha, [0.0])).figures()
    assert float(mean_entropy(tf.constant(alpha))) == pytest.approx(figures["alpha_entropy"])


def test_one_operation_has_no_entropy_and_no_gradient():
    value, gradient = value_and_gradient(mean_entropy, drawn(0, 3, 1))
    assert value == 0
    assert not gradient.any()


def test_weights_may_change_without_a_new_trace():
    alpha = tf.Variable(drawn(1, 4, 5), dtype=tf.float32)
    penalties = ArchitecturePenalties(lambda: alpha, [*PENALTIES, "auxiliary_skip"])
    assert set(penalties.weights) == set(PENALTIES)
    traces = []

    @tf.function
    def run():
        traces.append(1)
        return penalties()

    assert float(run()) == 0
    for first, second in ((1.0, 0.0), (0.0, 2.0), (3.0, 0.5)):
        penalties.weights["logsumexp_weight"].assign(first)
        penalties.weights["entropy_weight"].assign(second)
        expected = first * mean_logsumexp(alpha) + second * mean_entropy(alpha)
        assert float(run()) == pytest.approx(float(expected), rel=1e-6)
    assert len(traces) == 1
    assert not ArchitecturePenalties(lambda: alpha, ["auxiliary_skip"])

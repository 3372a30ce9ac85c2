"""The pull of the expected cost to its target."""

import numpy as np
import pytest
import tensorflow as tf
from tf_keras.optimizers import legacy

from auto_deeplab.cost import ExpectedCost
from auto_deeplab.training.optimization.cost_penalty import CostPenalty
from auto_deeplab.training.optimization.update import penalty_gradients
from tests.architectures import random_relaxation
from tests.cost_tables import made_up_table


@pytest.fixture
def expected():
    relaxation = random_relaxation(blocks=2, layers=3)
    return ExpectedCost(made_up_table(relaxation.cell, relaxation.trellis))


@pytest.fixture
def variables(expected):
    relaxation = random_relaxation(seed=1, blocks=2, layers=3)
    return [
        tf.Variable(relaxation.alpha, dtype=tf.float32),
        tf.Variable(relaxation.beta, dtype=tf.float32),
    ]


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_a_target_pulls_as_much_from_below_as_from_above(expected, variables, factor):
    cost = float(expected(*variables))
    penalty = CostPenalty(lambda: variables, expected, 0.5, factor * cost)
    assert float(penalty()) == pytest.approx(0.5 * np.log(4), rel=1e-5)
    gradients = penalty_gradients(penalty, variables)
    with tf.GradientTape() as tape:
        of_log = 0.5 * tf.math.log(expected(*variables))
    for gradient, of_cost in zip(gradients, tape.gradient(of_log, variables), strict=True):
        np.testing.assert_allclose(gradient, of_cost if factor < 1 else -of_cost, rtol=1e-4)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_descending_it_ends_at_the_target(expected, variables, factor):
    target = factor * float(expected(*variables))
    penalty = CostPenalty(lambda: variables, expected, 1.0, target)
    optimizer = legacy.Adam(0.02)

    @tf.function(autograph=False)
    def step():
        gradients = penalty_gradients(penalty, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    for _ in range(150):
        step()
    assert float(expected(*variables)) == pytest.approx(target, rel=0.05)

import math

import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.training.optimization import schedules


@pytest.mark.parametrize("step", [0, 1, 250, 500, 999, 1000])
def test_cosine(step):
    schedule = schedules.cosine(0.025, 0.001, 1000)
    expected = 0.001 + (0.025 - 0.001) * (1 + math.cos(math.pi * step / 1000)) / 2
    assert float(schedule(step)) == pytest.approx(expected, rel=1e-5)


def test_cosine_ends_where_it_should():
    schedule = schedules.cosine(0.025, 0.001, 1000)
    assert float(schedule(0)) == pytest.approx(0.025)
    assert float(schedule(500)) == pytest.approx(0.013)
    assert float(schedule(1000)) == float(schedule(5000)) == pytest.approx(0.001)


@pytest.mark.parametrize("power", [0.9, 1.0, 2.0])
@pytest.mark.parametrize("step", [0, 1, 250, 500, 999, 1000, 2000])
def test_polynomial(step, power):
    schedule = schedules.polynomial(0.05, 1000, power)
    expected = 0.05 * (1 - min(step, 1000) / 1000) ** power
    assert float(schedule(step)) == pytest.approx(expected, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("step", [0, 1, 50, 99, 100, 101, 1000])
def test_polynomial_after_a_warm_up(step):
    schedule = schedules.polynomial(0.05, 1000, 0.9, warm_up_steps=100)
    reached = 0.05 * (1 - 100 / 1000) ** 0.9
    expected = reached * step / 100 if step < 100 else 0.05 * (1 - step / 1000) ** 0.9
    assert float(schedule(step)) == pytest.approx(expected, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize(("first", "last"), [(0, 9), (4, 9), (8, 9), (0, 1)])
def test_linear(first, last):
    schedule = schedules.Linear(3.0, -1.0, first, last)
    steps = range(12)
    expected = np.interp(steps, [first, last], [3.0, -1.0])
    np.testing.assert_allclose([schedule(step) for step in steps], expected)


def test_linear_where_there_are_no_steps_between():
    """A search may consist of warm-up alone; then the value stays until the last step."""
    schedule = schedules.Linear(0.5, 0.0, first_step=10, last_step=9)
    assert [schedule(step) for step in (0, 8, 9, 10)] == [0.5, 0.5, 0.0, 0.0]


def test_scheduled_variables_have_the_values_of_the_step_that_begins():
    of_schedules = {"falls": schedules.Linear(1.0, 0.0, 0, 4)}
    variables = {"falls": tf.Variable(7.0), "stays": tf.Variable(7.0)}
    scheduled = schedules.ScheduledVariables(of_schedules, variables)
    traces = []

    @tf.function
    def read():
        traces.append(1)
        return variables["falls"] + 0.0

    finished = tf.Variable(0, dtype=tf.int64)
    seen = []
    for step in range(6):
        finished.assign(step)
        scheduled.assign(finished)
        seen.append(float(read()))
        assert scheduled.values(step) == {"falls": seen[-1]}
    assert seen == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    assert len(traces) == 1
    assert float(variables["stays"]) == 7.0

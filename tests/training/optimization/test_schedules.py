import math

import pytest

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

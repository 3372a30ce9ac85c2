"""The expected cost against listing, against draws and against differences."""

import collections
import random

import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.cost import ExpectedCost
from auto_deeplab.search_space import (
    OPERATIONS,
    PRESETS,
    STEM,
    CellGraph,
    Genotype,
    Relaxation,
    TrellisGraph,
    sample_genotype,
)
from tests.architectures import listed_architectures, random_relaxation
from tests.cost_tables import certain, expected_cost, made_up_table


def test_without_doubt_it_is_the_cost_of_the_architecture_to_the_digit():
    cell, trellis = CellGraph(), TrellisGraph()
    table, generator = made_up_table(cell, trellis), random.Random(0)
    genotypes = [Genotype.load(name) for name in PRESETS]
    genotypes += [sample_genotype("drawn", cell, trellis, generator) for _ in range(50)]
    for genotype in genotypes:
        found = expected_cost(table, certain(genotype, cell, trellis))
        assert float(found) == table.cost_of(genotype), genotype


@pytest.mark.parametrize(
    ("layers", "strides"), [(1, (4, 8)), (2, (2, 4, 8)), (3, (8, 16)), (4, (4, 8, 16))]
)
def test_it_is_the_mean_over_all_architectures(layers, strides):
    relaxation = random_relaxation(
        seed=layers, blocks=1 + layers % 3, layers=layers, strides=strides
    )
    table = made_up_table(relaxation.cell, relaxation.trellis)
    listed = list(listed_architectures(relaxation))
    weights = [weight for _, weight in listed]
    mean = np.average([table.cost_of(genotype) for genotype, _ in listed], weights=weights)
    assert float(expected_cost(table, relaxation)) == pytest.approx(mean, rel=1e-12)
    assert float(expected_cost(table, relaxation, tf.float32)) == pytest.approx(mean, rel=1e-5)


def test_without_none_all_edges_are_as_likely():
    relaxation = random_relaxation(blocks=2, layers=2, operations=("skip", "sep_conv_3x3"))
    table = made_up_table(relaxation.cell, relaxation.trellis)
    listed = list(listed_architectures(relaxation))
    # The weight of a pair of edges is a sum over its operations, and each edge's is 1.
    mean = np.average(
        [table.cost_of(genotype) for genotype, _ in listed], weights=[w for _, w in listed]
    )
    assert float(expected_cost(table, relaxation)) == pytest.approx(mean, rel=1e-12)


def drawn_paths(relaxation, count, seed):
    """Returns strides [count, layers], drawn arc by arc without the distribution's own code."""
    generator, trellis = np.random.default_rng(seed), relaxation.trellis
    weights = dict(zip(trellis.arcs, relaxation.arc_weights(), strict=True))
    at, paths = np.full(count, STEM.stride), []
    for layer in range(trellis.layers):
        targets = np.zeros(count, int)
        for stride in np.unique(at):
            leaving = trellis.outgoing(layer, int(stride))
            here = at == stride
            targets[here] = generator.choice(
                [arc.target for arc in leaving], here.sum(), p=[weights[arc] for arc in leaving]
            )
        paths.append(targets)
        at = targets
    return np.stack(paths, axis=1)


def test_over_beta_it_is_the_mean_of_ten_thousand_paths():
    cell, trellis = CellGraph(), TrellisGraph()
    published = Genotype.load("published")
    beta = np.random.default_rng(1).normal(size=len(trellis.arcs))
    relaxation = Relaxation(cell, trellis, certain(published, cell, trellis).alpha, beta)
    table = made_up_table(cell, trellis)
    drawn = collections.Counter(map(tuple, drawn_paths(relaxation, 10_000, seed=2).tolist()))
    costs = np.repeat(
        [table.cost_of(Genotype("drawn", path, published.cell)) for path in drawn],
        list(drawn.values()),
    )
    error = costs.std() / np.sqrt(len(costs))
    # The stem and a pyramid are always there: the spread has to be worth something.
    assert error > 1e-4 * costs.mean()
    assert abs(float(expected_cost(table, relaxation)) - costs.mean()) < 4 * error


def test_its_gradients_are_those_of_finite_differences():
    relaxation = random_relaxation(seed=5, blocks=3, layers=4, strides=(4, 8, 16))
    expected = ExpectedCost(made_up_table(relaxation.cell, relaxation.trellis))
    values = [tf.constant(relaxation.alpha), tf.constant(relaxation.beta)]
    with tf.GradientTape() as tape:
        tape.watch(values)
        log_cost = tf.math.log(expected(*values))
    gradients = tape.gradient(log_cost, values)
    run = tf.function(lambda *values: tf.math.log(expected(*values)), autograph=False)
    for number, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
        for place in np.ndindex(*value.shape):
            step = np.zeros(value.shape)
            step[place] = 1e-5
            ahead, behind = (
                run(*(v + sign * step if i == number else v for i, v in enumerate(values)))
                for sign in (1, -1)
            )
            difference = float(ahead - behind) / 2e-5
            assert float(gradient[place]) == pytest.approx(difference, rel=1e-4, abs=1e-9)
    assert all(np.abs(gradient).max() > 1e-3 for gradient in gradients)


def test_where_nothing_is_left_to_choose_gradients_are_finite():
    cell, trellis = CellGraph(), TrellisGraph()
    relaxation = certain(Genotype.load("published"), cell, trellis)
    expected = ExpectedCost(made_up_table(cell, trellis))
    values = [tf.constant(v, tf.float32) for v in (relaxation.alpha, relaxation.beta)]
    with tf.GradientTape() as tape:
        tape.watch(values)
        cost = expected(*values)
    for gradient in tape.gradient(cost, values):
        assert np.isfinite(gradient).all()


def test_xla_computes_the_same():
    relaxation = random_relaxation(blocks=2, layers=3, operations=OPERATIONS)
    expected = ExpectedCost(made_up_table(relaxation.cell, relaxation.trellis))
    values = [tf.constant(v, tf.float32) for v in (relaxation.alpha, relaxation.beta)]

    def run(*values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            cost = expected(*values)
        return cost, *tape.gradient(cost, values)

    plain = run(*values)
    compiled = tf.function(run, jit_compile=True, autograph=False)(*values)
    for value, other in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-4 * np.abs(plain[0]))

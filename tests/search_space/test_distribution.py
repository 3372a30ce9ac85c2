"""The distribution over architectures against a list of all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import (
    ArchitectureDistribution,
    Branch,
    CellGraph,
    Genotype,
    Relaxation,
    TrellisGraph,
    numbered_generator,
)
from tests.architectures import listed_architectures, random_relaxation

# Small enough to list all architectures: 48 cells and 4 or 12 paths.
OPERATIONS = ("none", "max_pool_3x3", "skip")


def small_relaxation(seed, blocks=2, layers=2, strides=(4, 8), operations=OPERATIONS):
    return random_relaxation(seed, blocks, layers, strides, operations)


def probabilities(relaxation):
    genotypes, weights = zip(*listed_architectures(relaxation), strict=True)
    return genotypes, np.array(weights) / sum(weights)


@pytest.mark.parametrize("operations", [OPERATIONS, OPERATIONS[1:]])
def test_probabilities_are_proportional_to_the_products_of_weights(operations):
    relaxation = small_relaxation(0, operations=operations)
    genotypes, expected = probabilities(relaxation)
    distribution = ArchitectureDistribution(relaxation)
    actual = np.exp([distribution.log_probability(genotype) for genotype in genotypes])
    np.testing.assert_allclose(actual, expected, rtol=1e-9)
    assert actual.sum() == pytest.approx(1)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_the_likeliest_architecture_is_what_is_decoded(seed):
    relaxation = small_relaxation(seed)
    distribution = ArchitectureDistribution(relaxation)
    genotypes, _ = probabilities(relaxation)
    likeliest = max(genotypes, key=distribution.log_probability)
    decoded = relaxation.decode("decoded")
    assert (likeliest.network, likeliest.cell) == (decoded.network, decoded.cell)


def test_architectures_are_drawn_as_often_as_they_are_likely():
    relaxation = small_relaxation(1, blocks=1)
    genotypes, expected = probabilities(relaxation)
    distribution = ArchitectureDistribution(relaxation)
    places = {(genotype.network, genotype.cell): i for i, genotype in enumerate(genotypes)}
    draws, counts = 4000, np.zeros(len(genotypes))
    for number in range(draws):
        drawn = distribution.draw("drawn", numbered_generator(0, number))
        counts[places[drawn.network, drawn.cell]] += 1
    deviations = np.sqrt(draws * expected * (1 - expected))
    assert (np.abs(counts - draws * expected) < 5 * deviations).all()


def test_a_draw_depends_on_its_numbers_alone():
    distribution = ArchitectureDistribution(random_relaxation(2, blocks=5, layers=12))

    def draw(*numbers):
        return distribution.draw("drawn", numbered_generator(*numbers))

    first = [draw(0, 1, number) for number in range(10)]
    assert [draw(0, 1, number) for number in reversed(range(10))] == first[::-1]
    others = [draw(1, 1, 0), draw(0, 2, 0), *first]
    assert len({(genotype.network, genotype.cell) for genotype in others}) == len(others)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([("none", "skip"), ("max_pool_3x3", "skip")]))
def test_the_score_is_the_gradient_of_the_log_probability(seed, operations):
    relaxation = small_relaxation(seed, operations=operations, strides=(4, 8, 16), layers=3)
    distribution = ArchitectureDistribution(relaxation)
    genotype = distribution.draw("drawn", numbered_generator(seed))
    by_alpha, by_beta = distribution.score(genotype)

    def log_probability(alpha, beta):
        moved = Relaxation(relaxation.cell, relaxation.trellis, alpha, beta)
        return ArchitectureDistribution(moved).log_probability(genotype)

    step = 1e-5
    for name, gradient in (("alpha", by_alpha), ("beta", by_beta)):
        for place in np.ndindex(gradient.shape):
            change = np.zeros(gradient.shape)
            change[place] = step
            sides = [
                log_probability(
                    **{"alpha": relaxation.alpha, "beta": relaxation.beta}
                    | {name: getattr(relaxation, name) + sign * change}
                )
                for sign in (1, -1)
            ]
            assert gradient[place] == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=1e-6)


def test_weights_next_to_0_and_1_are_no_trouble():
    cell, trellis = CellGraph(2, ("none", "skip")), TrellisGraph(2, (4, 8))
    alpha = np.array([[500.0, -500], [-500, 500], [500, -500], [500, -400], [500, -500]])
    beta = np.where([arc.target == 8 for arc in trellis.arcs], 500.0, -500)
    distribution = ArchitectureDistribution(Relaxation(cell, trellis, alpha, beta))
    drawn = distribution.draw("drawn", numbered_generator(0))
    assert drawn.network == (8, 8)
    assert "prev" in {branch.input for branch in drawn.cell[1]}
    assert np.isfinite(distribution.log_probability(drawn))
    assert all(np.isfinite(part).all() for part in distribution.score(drawn))


SKIPS = (Branch("prev_prev", "skip"), Branch("prev", "skip"))


@pytest.mark.parametrize(
    ("genotype", "message"),
    [
        (Genotype("g", (4, 8), (SKIPS,)), "of 1 blocks; expected 2"),
        (Genotype("g", (4, 8), (SKIPS, (SKIPS[0], SKIPS[0]))), "reads prev_prev twice"),
        (Genotype("g", (4, 8), (SKIPS, (SKIPS[0], Branch("prev", "none")))), "with none; expected"),
        (Genotype("g", (4,), (SKIPS, SKIPS)), r"with the path \[4\]; expected one of 2 layers"),
        (Genotype("g", (4, 2), (SKIPS, SKIPS)), r"with the path \[4, 2\]"),
    ],
)
def test_what_cannot_be_drawn_has_no_probability(genotype, message):
    distribution = ArchitectureDistribution(small_relaxation(0))
    for function in (distribution.log_probability, distribution.score):
        with pytest.raises(UserError, match=message):
            function(genotype)

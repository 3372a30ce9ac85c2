"""The estimate over all that can be drawn, against the gradient of the expected loss."""

import itertools

import numpy as np
import pytest

from auto_deeplab.search_space import ArchitectureDistribution, Relaxation
from auto_deeplab.training.optimization.policy_gradient import advantages, policy_gradient
from tests.architectures import listed_architectures, random_relaxation


def test_an_advantage_is_a_loss_beside_the_others():
    np.testing.assert_allclose(advantages([1, 2, 6]), [1 - 4, 2 - 3.5, 6 - 1.5])
    np.testing.assert_allclose(advantages([3, 3]), [0, 0])


@pytest.fixture(scope="module")
def relaxation():
    # Two operations and none on two edges, and the paths of two layers: 16 architectures.
    return random_relaxation(0, 1, 2, (4, 8), ("none", "max_pool_3x3", "skip"))


@pytest.fixture(scope="module")
def genotypes(relaxation):
    return [genotype for genotype, _ in listed_architectures(relaxation)]


def test_the_mean_of_the_estimate_is_the_gradient_of_the_expected_loss(relaxation, genotypes):
    losses = np.random.default_rng(0).uniform(1, 2, len(genotypes))

    def probabilities(alpha, beta):
        moved = Relaxation(relaxation.cell, relaxation.trellis, alpha, beta)
        weights = np.array([weight for _, weight in listed_architectures(moved)])
        return weights / weights.sum()

    def expected_loss(alpha, beta):
        return probabilities(alpha, beta) @ losses

    values = {"alpha": relaxation.alpha, "beta": relaxation.beta}
    step, exact = 1e-5, []
    for name, value in values.items():
        gradient = np.zeros(value.shape)
        for place in np.ndindex(value.shape):
            change = np.zeros(value.shape)
            change[place] = step
            ahead, behind = (
                expected_loss(**values | {name: value + sign * change}) for sign in (1, -1)
            )
            gradient[place] = (ahead - behind) / (2 * step)
        exact.append(gradient)

    distribution, of_each = ArchitectureDistribution(relaxation), probabilities(**values)
    for samples in (2, 3):
        mean = [np.zeros_like(gradient) for gradient in exact]
        for drawn in itertools.product(range(len(genotypes)), repeat=samples):
            estimate = policy_gradient(
                distribution, [genotypes[number] for number in drawn], losses[list(drawn)]
            )
            for total, part in zip(mean, estimate, strict=True):
                total += of_each[list(drawn)].prod() * part
        for found, gradient in zip(mean, exact, strict=True):
            assert np.abs(gradient).max() > 0.01
            np.testing.assert_allclose(found, gradient, atol=1e-8)


def test_what_all_losses_have_in_common_does_not_enter(relaxation, genotypes):
    distribution = ArchitectureDistribution(relaxation)
    losses = np.array([1.0, 2.0, 4.0])
    few = policy_gradient(distribution, genotypes[:3], losses)
    many = policy_gradient(distribution, genotypes[:3], losses + 100)
    for one, other in zip(few, many, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_descending_it_finds_the_best_architecture(relaxation, genotypes):
    losses = {
        (genotype.network, genotype.cell): loss
        for genotype, loss in zip(
            genotypes, np.random.default_rng(3).uniform(1, 2, len(genotypes)), strict=True
        )
    }
    generator = np.random.default_rng(0)
    alpha, beta = relaxation.alpha.copy(), relaxation.beta.copy()
    for _ in range(600):
        now = Relaxation(relaxation.cell, relaxation.trellis, alpha, beta)
        distribution = ArchitectureDistribution(now)
        drawn = [distribution.draw("drawn", generator) for _ in range(4)]
        by_alpha, by_beta = policy_gradient(
            distribution, drawn, [losses[each.network, each.cell] for each in drawn]
        )
        alpha, beta = alpha - by_alpha, beta - by_beta
    found = Relaxation(relaxation.cell, relaxation.trellis, alpha, beta).decode("found")
    # Descent ends in a good one, if not in the best.
    assert losses[found.network, found.cell] <= sorted(losses.values())[1]

"""The bounds of all costs, against listing them."""

import pytest

from auto_deeplab.cost import cost_bounds
from tests.architectures import listed_architectures, random_relaxation
from tests.cost_tables import made_up_table


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_all_costs_are_within_the_bounds(layers):
    relaxation = random_relaxation(blocks=4 - layers, layers=layers)
    table = made_up_table(relaxation.cell, relaxation.trellis)
    costs = [table.cost_of(genotype) for genotype, _ in listed_architectures(relaxation)]
    least, most = cost_bounds(table)
    assert least <= min(costs) < max(costs) <= most
    # A cell for each layer is nothing else where there is one layer.
    assert layers > 1 or (least, most) == (min(costs), max(costs))

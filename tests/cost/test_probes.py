"""The networks that are built have all parts of all networks of a space, and there are few."""

import random

import pytest

from auto_deeplab.cost.parts import parts_of, parts_of_space
from auto_deeplab.cost.probes import probes
from auto_deeplab.search_space import CellGraph, TrellisGraph, sample_genotype

SPACES = [
    (12, (4, 8, 16, 32)),
    (1, (4,)),
    (1, (2, 4, 8)),
    (2, (2,)),
    (2, (4, 8)),
    (3, (8, 16)),
    (5, (1, 2, 4)),
    (100, (1, 2, 4, 8, 16, 32, 64, 128, 256)),
]


@pytest.mark.parametrize(("layers", "strides"), SPACES)
@pytest.mark.parametrize("blocks", [1, 3])
def test_the_probes_have_each_part_once(layers, strides, blocks):
    cell, trellis = CellGraph(blocks), TrellisGraph(layers, strides)
    found = probes(cell, trellis)
    parts = [placed.part for probe in found for placed in probe.parts]
    assert len(parts) == len(set(parts))
    assert set(parts) == parts_of_space(cell, trellis)
    assert len(found) <= 2 + len(strides) ** 2
    assert sum(len(probe.genotype.network) for probe in found) <= 20 * len(strides)


@pytest.mark.parametrize(("layers", "strides"), SPACES[:-1])
def test_a_space_has_the_parts_of_its_networks_and_no_others(layers, strides):
    cell, trellis = CellGraph(2, ("none", "skip", "sep_conv_3x3")), TrellisGraph(layers, strides)
    generator, drawn = random.Random(0), set()
    for _ in range(300):
        genotype = sample_genotype("drawn", cell, trellis, generator)
        drawn |= {placed.part for placed in parts_of(genotype)}
    assert drawn == parts_of_space(cell, trellis)

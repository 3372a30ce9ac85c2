"""Tables that are measured, against the networks that `summary` counts."""

import functools
import random

import pytest

from auto_deeplab.cost import measure, multiply_adds, parameters
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models import network_summary
from auto_deeplab.models.final.network import build_network
from auto_deeplab.search_space import (
    PRESETS,
    Branch,
    CellGraph,
    Genotype,
    TrellisGraph,
    sample_genotype,
)
from tests.cost_tables import certain, expected_cost, made_up_table

CLASSES, IMAGE_SIZE = 3, (65, 96)
KINDS = (parameters(), multiply_adds(IMAGE_SIZE))
# With 2 filters a cell of stride 8 is as wide as the output of two blocks at stride 4, which then
# needs no projection.
NARROW = {"filters": 2, "stem_filters": 4, "aspp_filters": 6, "decoder_filters": 10}


def assert_costs_are_those_of_the_networks(cell, trellis, genotypes, **settings):
    """Each network is built and counted by itself, as `summary` does."""

    def build(genotype, classes=CLASSES, **others):
        return build_network(genotype, classes, **settings | others)

    tables = [measure(kind, cell, trellis, functools.cache(build)) for kind in KINDS]
    for genotype in genotypes:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(network_summary, "build_network", build)
            summary = network_summary.summarize(genotype, settings["filters"], CLASSES, IMAGE_SIZE)
        for table in tables:
            counted = getattr(summary, table.kind.name)
            assert table.cost_of(genotype) == counted, (genotype, table.kind)
            found = expected_cost(table, certain(genotype, cell, trellis))
            assert float(found) == counted, (genotype, table.kind)


def drawn(count, cell, trellis, seed=0):
    generator = random.Random(seed)
    return [sample_genotype("drawn", cell, trellis, generator) for _ in range(count)]


def test_costs_are_those_of_the_networks():
    operations = ("none", "avg_pool_3x3", "skip", "sep_conv_3x3", "atrous_conv_3x3")
    cell, trellis = CellGraph(2, operations), TrellisGraph(3, (4, 8))
    assert_costs_are_those_of_the_networks(cell, trellis, drawn(2, cell, trellis), **NARROW)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "blocks", "strides"), [(5, 2, (4, 8, 16, 32)), (4, 1, (2, 4, 8))]
)
def test_costs_are_those_of_fifty_networks(layers, blocks, strides):
    cell, trellis = CellGraph(blocks), TrellisGraph(layers, strides)
    settings = NARROW | {"image_pooling_window": 33}
    assert_costs_are_those_of_the_networks(cell, trellis, drawn(50, cell, trellis), **settings)


@pytest.mark.slow
def test_costs_of_the_presets_and_of_draws_from_the_papers_space():
    cell, trellis = CellGraph(), TrellisGraph()
    genotypes = [Genotype.load(name) for name in PRESETS] + drawn(5, cell, trellis)
    assert_costs_are_those_of_the_networks(cell, trellis, genotypes, filters=20)


def test_images_have_one_size_on_all_paths():
    multiply_adds((512, 1025)).check(TrellisGraph())
    multiply_adds((500, 376)).check(TrellisGraph(3, (4,)))
    multiply_adds((501, 505)).check(TrellisGraph(3, (2, 4)))
    with pytest.raises(UserError) as refusal:
        measure(multiply_adds((500, 375)), CellGraph(), TrellisGraph(), build_network)
    assert str(refusal.value) == (
        "multiply_adds.image_size: received (500, 375), which is filled up to different sizes on "
        "paths of different strides; expected heights and widths of the form 32k or 32k+1, such as "
        "(513, 385)"
    )


def test_architectures_of_other_spaces_have_no_cost_here():
    table = made_up_table(CellGraph(1), TrellisGraph(2))
    for network, cell in (
        ((4, 8, 8), [("prev_prev", "skip"), ("prev", "skip")]),
        ((4, 8), [("prev_prev", "none"), ("prev", "skip")]),
    ):
        genotype = Genotype("other", network, ([Branch(*branch) for branch in cell],))
        with pytest.raises(UserError, match="genotype 'other': received"):
            table.cost_of(genotype)

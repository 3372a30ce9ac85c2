"""Mutations against a brute-force search through the whole space."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import (
    OPERATIONS,
    Branch,
    CellGraph,
    Genotype,
    TrellisGraph,
    sample_genotype,
)
from auto_deeplab.search_space.cell import block_inputs
from auto_deeplab.search_space.mutation import (
    mutations,
    require_in_space,
    sorted_branches,
)


def choices(network, cell):
    """An architecture as a multiset of choices; the order of a block's branches is none."""
    yield from (("stride", layer, stride) for layer, stride in enumerate(network))
    for block, branches in enumerate(cell):
        for branch in branches:
            yield ("branch", block, *branch)


def all_cells(cell):
    """Every cell that decoding can return, by brute force."""
    operations = [name for name in cell.operations if name != "none"]
    blocks = []
    for block in range(1, cell.blocks + 1):
        pairs = itertools.combinations(block_inputs(block), 2)
        blocks.append(
            [
                (Branch(left, one), Branch(right, other))
                for left, right in pairs
                for one in operations
                for other in operations
            ]
        )
    return list(itertools.product(*blocks))


def all_paths(trellis):
    """Every path, by brute force."""
    paths = itertools.product(trellis.strides, repeat=trellis.layers)
    return [
        path
        for path in paths
        if all(b in (a / 2, a, a * 2) for a, b in itertools.pairwise((4, *path)))
    ]


spaces = st.builds(
    lambda layers, blocks, operations, strides: (
        CellGraph(blocks, tuple(name for name in OPERATIONS if name in operations)),
        TrellisGraph(layers, strides),
    ),
    layers=st.integers(1, 6),
    blocks=st.integers(1, 5),
    operations=st.sets(st.sampled_from(OPERATIONS), min_size=1).filter(lambda s: s != {"none"}),
    strides=st.sampled_from([(4,), (4, 8), (2, 4, 8, 16), (4, 8, 16, 32)]),
)


@settings(max_examples=60, deadline=None)
@given(spaces, st.integers(0, 2**32))
def test_a_mutation_stays_in_the_space_and_changes_exactly_one_thing(space, seed):
    cell, trellis = space
    parent = sample_genotype("parent", cell, trellis, random.Random(seed))
    for network, branches in mutations(parent, cell, trellis):
        child = Genotype("child", network, branches)
        require_in_space(child, cell, trellis)
        assert child.cell == sorted_branches(child.cell)
        assert all(left.input != right.input for left, right in child.cell)
        lost = set(choices(parent.network, parent.cell)) - set(choices(network, branches))
        new = set(choices(network, branches)) - set(choices(parent.network, parent.cell))
        ((kind, where, *before),) = lost
        ((kind_now, where_now, *after),) = new
        assert (kind, where) == (kind_now, where_now)
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_every_architecture_that_differs_in_one_choice_is_a_mutation(seed):
    cell = CellGraph(2, ("none", "skip", "sep_conv_3x3", "max_pool_3x3")[:3])
    trellis = TrellisGraph(3, (4, 8, 16))
    parent = sample_genotype("parent", cell, trellis, random.Random(seed))
    before = set(choices(parent.network, parent.cell))
    expected = set()
    for network, branches in itertools.product(all_paths(trellis), all_cells(cell)):
        new = set(choices(network, branches)) - before
        if len(new) == 1:
            (choice,) = new
            (lost,) = before - set(choices(network, branches))
            # One of a branch's two choices.
            if choice[0] == "stride" or choice[2] == lost[2] or choice[3] == lost[3]:
                expected.add((network, branches))
    found = mutations(parent, cell, trellis)
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_branches_in_another_order_are_the_same_cell():
    left, right = Branch("prev_prev", "skip"), Branch("prev", "sep_conv_3x3")
    assert (
        sorted_branches(((right, left),)) == sorted_branches(((left, right),)) == ((left, right),)
    )


@pytest.mark.parametrize(
    ("network", "op", "message"),
    [
        ((4,), "skip", "received 1 layers; expected 2"),
        ((4, 2), "skip", r"received stride 2; expected one of \[4, 8\]"),
        ((4, 8), "none", "received operation 'none'; expected one of"),
        ((4, 8), "sep_conv_5x5", "received operation 'sep_conv_5x5'; expected one of"),
    ],
)
def test_what_is_not_in_the_space_is_refused(network, op, message):
    block = Branch("prev_prev", "skip"), Branch("prev", op)
    genotype = Genotype("other", network, (block,))
    with pytest.raises(UserError, match=f"genotype 'other': {message}"):
        require_in_space(
            genotype, CellGraph(1, ("none", "skip", "sep_conv_3x3")), TrellisGraph(2, (4, 8))
        )
    with pytest.raises(UserError, match="received 1 blocks; expected 2"):
        require_in_space(Genotype("other", (4, 8), (block,)), CellGraph(2), TrellisGraph(2, (4, 8)))

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import OPERATIONS, CellGraph


def operation_sets():
    return (
        st.sets(st.sampled_from(OPERATIONS), min_size=1)
        .filter(lambda names: names != {"none"})
        .map(lambda names: tuple(sorted(names, key=OPERATIONS.index)))
    )


def test_the_papers_cell():
    cell = CellGraph()
    assert [len(cell.inputs(block)) for block in range(1, 6)] == [2, 3, 4, 5, 6]
    assert len(cell.edges) == 20
    assert len(cell.operations) == 8
    assert cell.count_cells() == 556_627_761_561_600


def test_edges_are_ordered_by_block_and_input():
    assert CellGraph(blocks=3).edges == (
        (1, "prev_prev"),
        (1, "prev"),
        (2, "prev_prev"),
        (2, "prev"),
        (2, "block1"),
        (3, "prev_prev"),
        (3, "prev"),
        (3, "block1"),
        (3, "block2"),
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 2), operation_sets().filter(lambda names: len(names) <= 3))
def test_count_is_the_number_of_cells_that_can_be_listed(blocks, operations):
    cell = CellGraph(blocks, operations)
    choices = []
    for block in range(1, blocks + 1):
        branches = list(itertools.product(cell.inputs(block), operations))
        choices.append(list(itertools.product(branches, branches)))
    assert cell.count_cells() == len(set(itertools.product(*choices)))


@given(st.integers(1, 8))
def test_a_block_reads_both_previous_cells_and_every_earlier_block(block):
    inputs = CellGraph(8).inputs(block)
    assert inputs[:2] == ("prev_prev", "prev")
    assert set(inputs[2:]) == {f"block{earlier}" for earlier in range(1, block)}


def test_a_list_of_operations_is_as_good_as_a_tuple():
    assert CellGraph(2, ["none", "skip"]) == CellGraph(2, ("none", "skip"))
    assert hash(CellGraph(2, ["none", "skip"])) == hash(CellGraph(2, ("none", "skip")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": 0}, r"blocks: received 0"),
        ({"blocks": 2.0}, r"blocks: received 2.0"),
        ({"blocks": True}, r"blocks: received True"),
        ({"operations": ()}, r"operations: received \[\]"),
        ({"operations": ("none",)}, r"other than 'none'"),
        ({"operations": ("sep_conv_3",)}, r"received 'sep_conv_3'.*did you mean sep_conv_3x3"),
        ({"operations": ("skip", "none")}, r"in this order: \['none', 'skip'\]"),
        ({"operations": ("skip", "skip")}, r"each once"),
        ({"operations": "skip"}, r"expected a list"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(UserError, match=message):
        CellGraph(**arguments)


def test_a_block_that_the_cell_does_not_have():
    with pytest.raises(UserError, match="received 6; expected 1 to 5"):
        CellGraph().inputs(6)

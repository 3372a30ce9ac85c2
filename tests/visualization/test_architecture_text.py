import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import (
    OPERATIONS,
    CellGraph,
    Genotype,
    Relaxation,
    TrellisGraph,
    branch_weights,
)
from auto_deeplab.visualization.architecture_text import describe
from tests.architectures import random_relaxation

PUBLISHED = """\
Architecture 'published'

  layer  stem   1    2    3    4    5    6    7    8    9   10   11   12
  stride  4 ●────●────●────●──╮ ·    ·    ·    ·    ·    ·    ·    ·    ·
                              │
          8      ·    ·    ·  ╰─●──╮ ·  ╭─●──╮ ·    ·    ·    ·    ·  ╭─●
                                   │    │    │                        │
         16           ·    ·    ·  ╰─●──╯ ·  ╰─●────●──╮ ·    ·  ╭─●──╯ ·
                                                       │         │
         32                ·    ·    ·    ·    ·    ·  ╰─●────●──╯ ·    ·

  block  reads      operation        reads      operation
  1      prev_prev  atrous_conv_5x5  prev       sep_conv_3x3
  2      prev_prev  sep_conv_3x3     prev       atrous_conv_3x3
  3      block2     sep_conv_3x3     prev_prev  sep_conv_3x3
  4      block3     sep_conv_5x5     block1     sep_conv_5x5
  5      block2     sep_conv_5x5     block4     atrous_conv_5x5
"""


def test_published():
    assert describe(Genotype.load("published")) == PUBLISHED


def test_weights_of_what_was_chosen_by_hand():
    # One block whose edges weigh skip 3 of 4 and sep_conv_3x3 1 of 4; a stem that goes to stride 8
    # three times in four.
    found = Relaxation(
        CellGraph(1, ("skip", "sep_conv_3x3")),
        TrellisGraph(1, (4, 8)),
        np.log([[3, 1], [1, 3]]),
        np.log([1, 3]),
    )
    genotype = found.decode("mine")
    assert branch_weights(genotype, found) == [[pytest.approx(0.75), pytest.approx(0.75)]]
    lines = describe(genotype, found).splitlines()
    assert "  weight     0.75" in lines
    assert lines[-1].split() == ["1", "prev_prev", "skip", "0.75", "prev", "sep_conv_3x3", "0.75"]


def test_an_operation_that_was_not_searched_has_no_weight():
    found = Relaxation(
        CellGraph(1, ("skip",)), TrellisGraph(1, (4,)), np.zeros((2, 1)), np.zeros(1)
    )
    genotype = Genotype("mine", [4], [[("prev", "skip"), ("prev_prev", "max_pool_3x3")]])
    assert branch_weights(genotype, found) == [[1.0, None]]
    assert "max_pool_3x3" in describe(genotype, found)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 14),
    st.sampled_from([(4, 8, 16, 32), (4,), (8, 16), (1, 2, 4), (4, 8, 16, 32, 64)]),
    st.integers(0, 2**32 - 1),
)
def test_the_path_can_be_read_back_from_the_picture(layers, strides, seed):
    found = random_relaxation(seed, 2, layers, strides, OPERATIONS)
    genotype = found.decode("mine")
    rows = [
        line[8:] for line in describe(genotype, found).splitlines() if line[8:11].strip().isdigit()
    ]
    rows = rows[: len({4, *strides})]
    marked = {
        (column - 4) // 5: int(row[:3])
        for row in rows
        for column, character in enumerate(row)
        if character == "●"
    }
    assert marked == dict(enumerate((4, *genotype.network)))


def test_a_genotype_of_another_space():
    found = random_relaxation(0, 1, 3, (4, 8), OPERATIONS)
    with pytest.raises(
        UserError, match=r"'published': received the path .*; expected one of the searched"
    ):
        describe(Genotype.load("published"), found)
    other = Genotype("mine", [4, 4, 4], [[("prev", "skip")] * 2] * 2)
    with pytest.raises(UserError, match="a cell of 2 blocks; expected 1, as"):
        describe(other, found)

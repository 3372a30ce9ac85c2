"""The cell's graph: its blocks, what each block may read, and the edges that alpha weighs."""

import math
import reprlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from auto_deeplab.foundations.errors import UserError, near_matches
from auto_deeplab.search_space.operations import OPERATIONS

MOST_BLOCKS = 20
"""The paper's cells have 5; the edges grow with the square."""


STATES = ("prev_prev", "prev")
"""The cell's own inputs: what reads them has stride 2 in a cell that goes down."""


class Edge(NamedTuple):
    """What block `block` (1, 2, ...) may read: `prev_prev`, `prev`, `block1`, `block2`, ..."""

    block: int
    input: str


def block_inputs(block: int) -> tuple[str, ...]:
    """Returns the names of what block `block` (counted from 1) may read, in alpha's row order."""
    return (*STATES, *(f"block{earlier}" for earlier in range(1, block)))


@dataclass(frozen=True)
class CellGraph:
    """The directed acyclic graph that every cell of the network shares (the paper's section 3.1).

    Args:
        blocks: How many blocks the cell has, 1 to `MOST_BLOCKS`.
        operations: What an edge may carry: a subset of `OPERATIONS` in its order, of which at least
            one is not `none`.

    Raises:
        UserError: An argument is not one of these.

    Example:
        >>> cell = CellGraph(blocks=2, operations=("none", "skip", "sep_conv_3x3"))
        >>> cell.inputs(2)
        ('prev_prev', 'prev', 'block1')
        >>> cell.edges[:2]
        (Edge(block=1, input='prev_prev'), Edge(block=1, input='prev'))
        >>> len(cell.edges), cell.count_cells()
        (5, 2916)
    """

    blocks: int = 5
    operations: tuple[str, ...] = OPERATIONS

    def __post_init__(self) -> None:
        is_integer = isinstance(self.blocks, int) and not isinstance(self.blocks, bool)
        if not is_integer or not 1 <= self.blocks <= MOST_BLOCKS:
            raise UserError(
                f"CellGraph.blocks: received {reprlib.repr(self.blocks)}; expected an integer "
                f"from 1 to {MOST_BLOCKS}"
            )
        if not isinstance(self.operations, list | tuple):
            raise UserError(
                f"CellGraph.operations: received {reprlib.repr(self.operations)}; expected a list "
                "of operations"
            )
        object.__setattr__(self, "operations", tuple(self.operations))
        for operation in self.operations:
            if operation not in OPERATIONS:
                raise UserError(
                    f"CellGraph.operations: received {reprlib.repr(operation)}"
                    f"{near_matches(str(operation), OPERATIONS)}"
                )
        in_order = tuple(name for name in OPERATIONS if name in self.operations)
        if self.operations != in_order:
            raise UserError(
                f"CellGraph.operations: received {list(self.operations)}; expected each once, in "
                f"this order: {list(in_order)}"
            )
        if set(self.operations) <= {"none"}:
            raise UserError(
                f"CellGraph.operations: received {list(self.operations)}; expected at least one "
                "operation other than 'none'"
            )

    def inputs(self, block: int) -> tuple[str, ...]:
        """Returns the names of what `block` (1 to `blocks`) may read, in alpha's row order."""
        if not 1 <= block <= self.blocks:
            raise UserError(f"block: received {block}; expected 1 to {self.blocks}")
        return block_inputs(block)

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Every edge, ordered by block and then by input: the rows of alpha."""
        return tuple(
            Edge(block, name) for block in range(1, self.blocks + 1) for name in block_inputs(block)
        )

    @property
    def kept_operations(self) -> tuple[str, ...]:
        """What the branches of a decoded cell may carry: all operations but `none`."""
        return tuple(operation for operation in self.operations if operation != "none")

    def count_cells(self) -> int:
        """Returns the number of cells: each block picks two (input, operation) pairs, in order."""
        return math.prod(
            (len(block_inputs(block)) * len(self.operations)) ** 2
            for block in range(1, self.blocks + 1)
        )

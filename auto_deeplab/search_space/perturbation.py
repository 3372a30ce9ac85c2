"""Choosing a cell by what the supernet loses without each operation and each edge."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from auto_deeplab.search_space.cell import CellGraph
from auto_deeplab.search_space.decoding import checked_values, chosen_cell
from auto_deeplab.search_space.genotype import Branch


@dataclass(frozen=True, eq=False)
class PerturbationEffects:
    """By how much a supernet's loss rises when a part of every cell is taken away.

    DARTS-PT (Wang et al. 2021, https://arxiv.org/abs/2108.04392): the size of alpha says
    little of what an operation is worth to the supernet; taking it away says it.

    Args:
        cell: The cell's graph.
        operations: [edges, operations]: the rise without that operation on that edge.
        edges: [edges]: the rise without that edge.

    Raises:
        UserError: A shape is another, or a value is not finite.
    """

    cell: CellGraph
    operations: np.ndarray
    edges: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.cell.edges), len(self.cell.operations))
        for name, expected in (("operations", shape), ("edges", shape[:1])):
            values = checked_values(name, getattr(self, name), expected)
            object.__setattr__(self, name, values)

    def decode(self, most_skips: int | None = None) -> tuple[tuple[Branch, Branch], ...]:
        """Keeps of each block the two edges, and on each the operation, that are missed the most.

        `none` is not kept. Ties go to the earlier input and the earlier operation.

        Args:
            most_skips: See `decode_cell`; the weakest skip is the one that is missed the least.

        Raises:
            UserError: There are more skips than allowed, and no other operation to take.
        """
        return chosen_cell(self.operations.copy(), self.edges, self.cell, most_skips)

    def to_json_dict(self) -> dict[str, Any]:
        """Returns the effects as JSON values, for a provenance."""
        return {"operations": self.operations.tolist(), "edges": self.edges.tolist()}

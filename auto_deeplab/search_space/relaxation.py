"""The searched values, alpha and beta, with the space they live in."""

import os
import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError, near_matches
from auto_deeplab.search_space.cell import CellGraph, Edge
from auto_deeplab.search_space.decoding import (
    arc_log_weights,
    checked_values,
    decode_cell,
    decode_network,
    log_softmax,
)
from auto_deeplab.search_space.genotype import Genotype
from auto_deeplab.search_space.trellis import TrellisGraph


@dataclass(frozen=True, eq=False)
class Relaxation:
    """The continuous architecture (the paper's section 4.1).

    Args:
        cell: The cell's graph.
        trellis: The network's graph.
        alpha: [edges, operations], before the softmax; kept as float64 that cannot be written to.
        beta: [arcs], before the softmax; kept likewise.

    Raises:
        UserError: Alpha or beta has another shape, or is not finite.
    """

    cell: CellGraph
    trellis: TrellisGraph
    alpha: np.ndarray
    beta: np.ndarray

    def __post_init__(self) -> None:
        shapes = {
            "alpha": (len(self.cell.edges), len(self.cell.operations)),
            "beta": (len(self.trellis.arcs),),
        }
        for name, shape in shapes.items():
            values = checked_values(name, getattr(self, name), shape).copy()
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    def operation_weights(self) -> np.ndarray:
        """Returns softmax(alpha): float64 [edges, operations], each row sums to 1."""
        weights: np.ndarray = np.exp(log_softmax(self.alpha))
        return weights

    def arc_weights(self) -> np.ndarray:
        """Returns softmax(beta): float64 [arcs]; the arcs that leave one node sum to 1."""
        weights: np.ndarray = np.exp(arc_log_weights(self.beta, self.trellis))
        return weights

    def decode(
        self,
        name: str,
        provenance: dict[str, Any] | None = None,
        most_skips: int | None = None,
    ) -> Genotype:
        """Returns the discrete architecture that these values stand for, see `decode_cell`."""
        return Genotype(
            name,
            decode_network(self.beta, self.trellis),
            decode_cell(self.alpha, self.cell, most_skips),
            provenance,
        )

    def to_json_dict(self) -> dict[str, Any]:
        """Returns the values and their space as JSON values; reading them back is exact."""
        return {
            "blocks": self.cell.blocks,
            "operations": list(self.cell.operations),
            "layers": self.trellis.layers,
            "strides": list(self.trellis.strides),
            "alpha": self.alpha.tolist(),
            "beta": self.beta.tolist(),
        }

    @classmethod
    def from_json_dict(cls, document: dict[str, Any], source: str = "<dict>") -> "Relaxation":
        """Reads what `to_json_dict` returns; `source` is the file's name for error messages.

        Raises:
            UserError: A key is missing or unknown, or a value is wrong.
        """
        keys = ("blocks", "operations", "layers", "strides", "alpha", "beta")
        if not isinstance(document, dict):
            raise UserError(
                f"{source}: received {reprlib.repr(document)}; expected an object with "
                f"{', '.join(keys)}"
            )
        for key in keys:
            if key not in document:
                raise UserError(f"{source}: {key}: received nothing; the key is missing")
        for key in document:
            if key not in keys:
                field = json_files.field_path([key])
                raise UserError(
                    f"{source}: {field}: received an unknown key{near_matches(key, keys)}"
                )
        for name in ("alpha", "beta"):
            _check_numbers(document[name], f"{source}: {name}")
        try:
            return cls(
                CellGraph(document["blocks"], document["operations"]),
                TrellisGraph(document["layers"], document["strides"]),
                document["alpha"],
                document["beta"],
            )
        except UserError as error:
            raise UserError(f"{source}: {error}") from None


def space_values(cell: CellGraph, trellis: TrellisGraph) -> dict[str, Any]:
    """Returns what defines a search space, as JSON values."""
    return {
        "layers": trellis.layers,
        "strides": list(trellis.strides),
        "blocks": cell.blocks,
        "operations": list(cell.operations),
    }


def searched_relaxation(
    genotype: Genotype, source: str | os.PathLike[str] | None = None
) -> Relaxation | None:
    """Returns the alpha and beta that `genotype` was decoded from, if its provenance has them.

    Args:
        genotype: With or without provenance.
        source: The file that it is from, for messages; its name by default.

    Raises:
        UserError: The provenance is not as a search writes it.
    """
    document = (genotype.provenance or {}).get("relaxation")
    if document is None:
        return None
    return Relaxation.from_json_dict(
        document, source=f"{source or genotype.name}: provenance.relaxation"
    )


def branch_weights(genotype: Genotype, relaxation: Relaxation) -> list[list[float | None]]:
    """Returns softmax(alpha) of each branch of each block; None for an operation not searched."""
    weights = {
        (edge, operation): float(weight)
        for edge, row in zip(relaxation.cell.edges, relaxation.operation_weights(), strict=True)
        for operation, weight in zip(relaxation.cell.operations, row, strict=True)
    }
    return [
        [weights.get((Edge(block, branch.input), branch.op)) for branch in branches]
        for block, branches in enumerate(genotype.cell, start=1)
    ]


def one_hot_operation_weights(genotype: Genotype, cell: CellGraph) -> np.ndarray:
    """Returns what stands for softmax(alpha) when a cell is chosen: weights that are 0 or 1.

    Args:
        genotype: The architecture.
        cell: The cells that are weighed.

    Returns:
        float64 [edges, operations]: 1 for the operation of each edge that a block keeps. An edge
        that no block keeps has 1 for `none` where that is an operation, and 0 for all others.

    Raises:
        UserError: The genotype's cell is not one of them; or a block reads the same input twice,
            and an edge has one operation.

    Example:
        >>> from auto_deeplab.search_space import Branch
        >>> block = Branch("prev_prev", "skip"), Branch("prev", "sep_conv_3x3")
        >>> genotype = Genotype("two layers of one block", network=(4, 8), cell=(block,))
        >>> cell = CellGraph(blocks=1, operations=("none", "skip", "sep_conv_3x3"))
        >>> one_hot_operation_weights(genotype, cell)
        array([[0., 1., 0.],
               [0., 0., 1.]])
    """
    if len(genotype.cell) != cell.blocks:
        raise UserError(
            f"genotype: received {genotype.name!r} of {len(genotype.cell)} blocks; expected "
            f"{cell.blocks}"
        )
    weights = np.zeros((len(cell.edges), len(cell.operations)))
    kept: set[Edge] = set()
    for block, branches in enumerate(genotype.cell, start=1):
        for branch in branches:
            edge = Edge(block, branch.input)
            if branch.op not in cell.operations:
                raise UserError(
                    f"genotype: received {genotype.name!r} with {branch.op}; expected operations "
                    f"among {', '.join(cell.operations)}"
                )
            if edge in kept:
                raise UserError(
                    f"genotype: received {genotype.name!r}, whose block {block} reads "
                    f"{branch.input} twice; expected two different inputs"
                )
            kept.add(edge)
            weights[cell.edges.index(edge), cell.operations.index(branch.op)] = 1.0
    if "none" in cell.operations:
        left = [row for row, edge in enumerate(cell.edges) if edge not in kept]
        weights[left, cell.operations.index("none")] = 1.0
    return weights


def _check_numbers(values: object, field: str) -> None:
    """Checks that a JSON value is a list of numbers, or of such lists.

    NumPy would take "0.5" and true for numbers, too.
    """
    if not isinstance(values, list):
        raise UserError(f"{field}: received {reprlib.repr(values)}; expected numbers in a list")
    for index, value in enumerate(values):
        if isinstance(value, list):
            _check_numbers(value, f"{field}[{index}]")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{field}[{index}]: received {reprlib.repr(value)}; expected a number")

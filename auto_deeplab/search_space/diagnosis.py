"""How far a search has come, and whether it has collapsed: read off alpha and beta alone."""

import math
from dataclasses import dataclass

import numpy as np

from auto_deeplab.search_space.decoding import decode_cell
from auto_deeplab.search_space.relaxation import Relaxation
from auto_deeplab.search_space.trellis import STEM

HARDLY_BEGUN = 0.95
"""A normalized entropy above it: with 8 operations the strongest has at most 0.3 on average."""
MOST_OF_THE_WEIGHT = 0.5
"""Of `none`: above it, a supernet computes little of what is decoded."""


@dataclass(frozen=True)
class Diagnosis:
    """Figures of a `Relaxation`. One that its space does not have is None.

    Attributes:
        skip_weight: softmax(alpha) of `skip`, the mean over the edges; None without `skip`.
        none_weight: That of `none`, likewise.
        skip_branches: How many branches of the decoded cell are `skip`, however many a decoding
            may keep.
        branches: How many branches it has.
        is_skip_a_choice: Whether an edge may carry `skip`, and yet something else but `none`.
        alpha_entropy: The entropy of softmax(alpha) of an edge divided by the largest that it can
            have, the mean over the edges: 1 where nothing is preferred, 0 where all is decided.
            None where there is one operation.
        beta_entropy: That of softmax(beta) of the arcs that leave a node, the mean over the nodes
            that more than one arc leaves; None where there is no such node.
        strongest_operation: The largest softmax(alpha) of an edge, the mean over the edges.
        uniform_operation: What it is where nothing is preferred.
        strongest_arc: The largest softmax(beta) of the arcs that leave a node, the mean over the
            nodes that more than one arc leaves; None where there is no such node.
        uniform_arc: What it is where nothing is preferred, likewise.
    """

    skip_weight: float | None
    none_weight: float | None
    skip_branches: int
    branches: int
    is_skip_a_choice: bool
    alpha_entropy: float | None
    beta_entropy: float | None
    strongest_operation: float
    uniform_operation: float
    strongest_arc: float | None
    uniform_arc: float | None

    def figures(self) -> dict[str, float]:
        """Returns what is worth a curve over the epochs, by name, without what does not exist."""
        figures = {
            "skip_weight": self.skip_weight,
            "none_weight": self.none_weight,
            "skip_branches": float(self.skip_branches),
            "alpha_entropy": self.alpha_entropy,
            "beta_entropy": self.beta_entropy,
            "strongest_operation": self.strongest_operation,
        }
        return {name: value for name, value in figures.items() if value is not None}

    def findings(self) -> list[str]:
        """Returns a sentence for each thing that is wrong at the end of a search, with a remedy."""
        found = []
        if self.is_skip_a_choice and 2 * self.skip_branches > self.branches:
            found.append(
                f"alpha prefers skip on {self.skip_branches} of the cell's {self.branches} "
                "branches: the search has collapsed; train the weights longer before alpha begins "
                "to learn (Search.warm_up_epochs), or decode at most some of them "
                "(Search.most_skips)"
            )
        if self.none_weight is not None and self.none_weight > MOST_OF_THE_WEIGHT:
            found.append(
                f"none has {self.none_weight:.2f} of the weight of the operations, and no decoded "
                "cell has it: the supernet's accuracy says little of the cell's; leave it out of "
                "Supernet.operations"
            )
        undecided = []
        if self.alpha_entropy is not None and self.alpha_entropy > HARDLY_BEGUN:
            undecided.append(
                f"the strongest operation has {self.strongest_operation:.2f} on average where "
                f"{self.uniform_operation:.3g} would be no choice"
            )
        if self.beta_entropy is not None and self.beta_entropy > HARDLY_BEGUN:
            undecided.append(
                f"the strongest arc out of a node has {self.strongest_arc:.2f} on average where "
                f"{self.uniform_arc:.2f} would be no choice"
            )
        if undecided:
            found.append(
                f"{', and '.join(undecided)}: the search has hardly begun; give more epochs after "
                "the warm-up (Search.epochs), or a larger Search.architecture_learning_rate"
            )
        return found


def diagnose(relaxation: Relaxation) -> Diagnosis:
    """Returns the figures of a search's alpha and beta.

    Example:
        >>> from auto_deeplab.search_space import CellGraph, TrellisGraph
        >>> cell, trellis = CellGraph(), TrellisGraph()
        >>> diagnosis = diagnose(Relaxation(cell, trellis, np.zeros([20, 8]), np.zeros(105)))
        >>> f"{diagnosis.skip_weight:.3f} {diagnosis.alpha_entropy:.3f}"
        '0.125 1.000'
        >>> "the search has hardly begun" in diagnosis.findings()[0]
        True
    """
    operations = relaxation.cell.operations
    weights = relaxation.operation_weights()
    cell = decode_cell(relaxation.alpha, relaxation.cell)
    branches = [branch for block in cell for branch in block]

    def mean_weight(operation: str) -> float | None:
        if operation not in operations:
            return None
        return float(weights[:, operations.index(operation)].mean())

    leaving = _weights_of_nodes(relaxation)
    return Diagnosis(
        skip_weight=mean_weight("skip"),
        none_weight=mean_weight("none"),
        skip_branches=sum(branch.op == "skip" for branch in branches),
        branches=len(branches),
        is_skip_a_choice="skip" in operations and not set(operations) <= {"none", "skip"},
        alpha_entropy=_mean([normalized_entropy(row) for row in weights])
        if len(operations) > 1
        else None,
        beta_entropy=_mean([normalized_entropy(of_node) for of_node in leaving]),
        strongest_operation=float(weights.max(axis=1).mean()),
        uniform_operation=1 / len(operations),
        strongest_arc=_mean([of_node.max() for of_node in leaving]),
        uniform_arc=_mean([1 / len(of_node) for of_node in leaving]),
    )


def normalized_entropy(weights: np.ndarray) -> float:
    """Returns the entropy of weights that sum to 1 (two or more), divided by that of equal ones."""
    positive = weights[weights > 0]
    entropy = -float((positive * np.log(positive)).sum()) / math.log(len(weights))
    return max(0.0, min(1.0, entropy))  # But for rounding it is.


def _weights_of_nodes(relaxation: Relaxation) -> list[np.ndarray]:
    """Returns softmax(beta) of the arcs out of each node that more than one leaves."""
    trellis = relaxation.trellis
    weight = dict(zip(trellis.arcs, relaxation.arc_weights(), strict=True))
    leaving = [trellis.outgoing(*node) for node in (STEM, *trellis.nodes)]
    return [np.array([weight[arc] for arc in arcs]) for arcs in leaving if len(arcs) > 1]


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None

"""Alpha and beta as a distribution over architectures, whose likeliest one is what is decoded.

It is for searches that draw architectures instead of mixing them. With w = softmax(alpha), a block
that keeps the edges j and k with the operations o and p has the probability

    w[j, o] w[k, p] / Z,   Z = sum over all pairs of edges of W[j] W[k],   W[j] = 1 - w[j, none].

So each block keeps two different edges, none of them with `none`, and all blocks are drawn apart
from each other: the likeliest cell has in each block the two edges whose best operations weigh the
most, which is how section 4.3 of the paper decodes. The path is drawn arc by arc with softmax(beta)
over the arcs that leave a node; the likeliest one is what the Viterbi algorithm finds.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space.decoding import arc_log_weights, log_softmax
from auto_deeplab.search_space.genotype import Branch, Genotype, path_arcs, path_arcs_within
from auto_deeplab.search_space.relaxation import Relaxation, one_hot_operation_weights
from auto_deeplab.search_space.trellis import STEM, Node


@dataclass(frozen=True, eq=False)
class ArchitectureDistribution:
    """Which architectures alpha and beta stand for, and how likely each is.

    Args:
        relaxation: Alpha and beta with their space.

    Example:
        >>> from auto_deeplab.search_space import CellGraph, TrellisGraph
        >>> cell, trellis = CellGraph(blocks=1), TrellisGraph(layers=2)
        >>> even = ArchitectureDistribution(
        ...     Relaxation(cell, trellis, np.zeros([2, 8]), np.zeros(len(trellis.arcs)))
        ... )
        >>> drawn = even.draw("drawn", np.random.default_rng(0))
        >>> round(float(np.exp(-even.log_probability(drawn)))) in (7**2 * 2 * 2, 7**2 * 2 * 3)
        True
    """

    relaxation: Relaxation

    @cached_property
    def _log_operations(self) -> np.ndarray:
        """The logarithms of w [edges, operations], -inf for `none`."""
        log_weights = log_softmax(self.relaxation.alpha)
        operations = self.relaxation.cell.operations
        if "none" in operations:
            log_weights[:, operations.index("none")] = -np.inf
        return log_weights

    @cached_property
    def _log_edges(self) -> np.ndarray:
        """The logarithms of W [edges]."""
        return _log_sum(self._log_operations)

    @cached_property
    def _pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each block all pairs of edges, [pairs, 2] rows of alpha, and their log probability."""
        pairs_of_blocks = []
        cell = self.relaxation.cell
        for block in range(1, cell.blocks + 1):
            rows = [row for row, edge in enumerate(cell.edges) if edge.block == block]
            pairs = np.array(list(itertools.combinations(rows, 2)))
            pairs_of_blocks.append((pairs, log_softmax(self._log_edges[pairs].sum(axis=1))))
        return pairs_of_blocks

    @cached_property
    def _log_arcs(self) -> np.ndarray:
        """The logarithms of softmax(beta) [arcs]."""
        return arc_log_weights(self.relaxation.beta, self.relaxation.trellis)

    def draw(self, name: str, generator: np.random.Generator) -> Genotype:
        """Returns an architecture, each with its probability.

        Args:
            name: Of the architecture.
            generator: What chance comes from; it alone decides.
        """
        cell, trellis = self.relaxation.cell, self.relaxation.trellis
        blocks = []
        for pairs, log_probabilities in self._pairs:
            left, right = (
                Branch(
                    cell.edges[row].input,
                    cell.operations[_draw(log_softmax(self._log_operations[row]), generator)],
                )
                for row in pairs[_draw(log_probabilities, generator)]
            )
            blocks.append((left, right))
        path = [STEM]
        while len(path) <= trellis.layers:
            leaving = trellis.outgoing(*path[-1])
            rows = [trellis.arcs.index(arc) for arc in leaving]
            arc = leaving[_draw(self._log_arcs[rows], generator)]
            path.append(Node(arc.layer, arc.target))
        return Genotype(name, tuple(node.stride for node in path[1:]), tuple(blocks))

    def log_probability(self, genotype: Genotype) -> float:
        """Returns the logarithm of an architecture's probability.

        Raises:
            UserError: The architecture is not in the space, or has an edge with `none`.
        """
        chosen, arcs = self._choices(genotype)
        kept = np.flatnonzero(chosen.any(axis=1))
        log_pairs = 0.0
        for pairs, log_probabilities in self._pairs:
            (of_block,) = np.flatnonzero(np.isin(pairs, kept).all(axis=1))
            log_pairs += log_probabilities[of_block]
        log_operations = self._log_operations[chosen].sum() - self._log_edges[kept].sum()
        return float(log_pairs + log_operations + self._log_arcs[arcs].sum())

    def score(self, genotype: Genotype) -> tuple[np.ndarray, np.ndarray]:
        """Returns the gradient of `log_probability` by alpha and by beta.

        Of an edge it is k (1[o] - w) - q (v - w): k says whether its block keeps it, 1[o] is
        one-hot for its operation, v = softmax of alpha without `none`, and q is the probability
        that the edge is kept.

        Args:
            genotype: As in `log_probability`.

        Returns:
            float64 [edges, operations] and [arcs].

        Raises:
            UserError: As in `log_probability`.
        """
        chosen, arcs = self._choices(genotype)
        weights = self.relaxation.operation_weights()
        without_none = np.exp(self._log_operations - self._log_edges[:, np.newaxis])
        probabilities = np.zeros([len(weights), 1])
        for pairs, log_probabilities in self._pairs:
            np.add.at(probabilities[:, 0], pairs, np.exp(log_probabilities)[:, np.newaxis])
        kept = chosen.any(axis=1, keepdims=True)
        by_alpha = chosen - kept * weights - probabilities * (without_none - weights)
        by_beta = np.zeros(len(self._log_arcs))
        trellis = self.relaxation.trellis
        for arc in path_arcs(genotype):
            for other in trellis.outgoing(arc.layer - 1, arc.source):
                index = trellis.arcs.index(other)
                by_beta[index] -= np.exp(self._log_arcs[index])
        by_beta[arcs] += 1
        return by_alpha, by_beta

    def _choices(self, genotype: Genotype) -> tuple[np.ndarray, list[int]]:
        """Returns the operations that are kept, bool [edges, operations], and the path's arcs.

        Raises:
            UserError: See `log_probability`.
        """
        cell, trellis = self.relaxation.cell, self.relaxation.trellis
        chosen = one_hot_operation_weights(genotype, cell).astype(bool)
        if any(branch.op == "none" for block in genotype.cell for branch in block):
            raise UserError(
                f"genotype: received {genotype.name!r} with none; expected other operations alone"
            )
        if "none" in cell.operations:
            chosen[:, cell.operations.index("none")] = False
        arcs = path_arcs_within(genotype, trellis)
        return chosen, [trellis.arcs.index(arc) for arc in arcs]


def numbered_generator(seed: int, *numbers: int) -> np.random.Generator:
    """Returns a generator that depends on these numbers alone.

    A training that draws with one for each step draws the same after an interruption.

    Args:
        seed: 0 or larger.
        numbers: What tells draws of a seed apart, 0 or larger: a step, for example.
    """
    return np.random.default_rng([seed, *numbers])


def _draw(log_probabilities: np.ndarray, generator: np.random.Generator) -> int:
    """Returns an index, each with its probability."""
    cumulative = np.cumsum(np.exp(log_probabilities))
    # What is drawn is below 1, and so has an index.
    return int(np.searchsorted(cumulative / cumulative[-1], generator.random(), side="right"))


def _log_sum(log_values: np.ndarray) -> np.ndarray:
    """Returns the logarithm of the sum of exponentials over the last axis."""
    largest = log_values.max(axis=-1, keepdims=True)
    total: np.ndarray = np.log(np.exp(log_values - largest).sum(axis=-1)) + largest[..., 0]
    return total

"""What the networks of a space cost at least, and at most."""

from collections.abc import Callable

from auto_deeplab.cost.parts import (
    STEM_HALF,
    Pyramid,
    Stem,
    decoder_of,
    operation_of,
    preparations,
)
from auto_deeplab.cost.table import CostTable
from auto_deeplab.search_space import STEM, Arc

# Which of two, min or max.
Choose = Callable[..., int]


def cost_bounds(table: CostTable) -> tuple[int, int]:
    """Returns two numbers between which the costs of all networks of a space are.

    The Viterbi algorithm finds the cheapest and the dearest path, where each layer has a cell of
    its own. With one cell for all layers no network is outside; the bounds are reached where the
    same operations are the cheapest, or the dearest, at all strides.

    Args:
        table: What the parts cost.
    """
    return _extreme(table, min), _extreme(table, max)


def _extreme(table: CostTable, choose: Choose) -> int:
    trellis, of = table.trellis, table.parts
    # By the last two strides, what the best path costs that goes there.
    best = {(STEM_HALF, STEM.stride): of[Stem()]}
    for layer in range(1, trellis.layers + 1):
        reached: dict[tuple[int, int], list[int]] = {}
        for (prev_prev, prev), cost in best.items():
            for arc in trellis.outgoing(layer - 1, prev):
                cost_there = cost + _cell(table, arc, choose)
                made = preparations(layer, prev_prev, prev, arc.target)
                cost_there += sum(of[preparation] for preparation in made)
                if layer == 1:
                    cost_there += of[decoder_of(arc.target)]
                reached.setdefault((prev, arc.target), []).append(cost_there)
        best = {strides: choose(costs) for strides, costs in reached.items()}
    return choose(cost + of[Pyramid(strides[-1])] for strides, cost in best.items())


def _cell(table: CostTable, arc: Arc, choose: Choose) -> int:
    """Returns what the operations cost of the best cell for a step."""
    total = 0
    for block in range(1, table.cell.blocks + 1):
        # Of each input, with the best operation on it.
        inputs = [
            choose(
                table.parts[operation_of(operation, read, arc.source, arc.target)]
                for operation in table.cell.kept_operations
            )
            for read in table.cell.inputs(block)
        ]
        total += sum(sorted(inputs, reverse=choose is max)[:2])
    return total

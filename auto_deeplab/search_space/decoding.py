"""From the searched alpha and beta to a discrete architecture (the paper's section 4.3)."""

import reprlib
from fractions import Fraction

import numpy as np

from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.search_space.cell import CellGraph
from auto_deeplab.search_space.genotype import Branch
from auto_deeplab.search_space.trellis import STEM, Node, TrellisGraph


def checked_values(name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns `values` as float64, if they have this shape and are finite as float32.

    Raises:
        UserError: They do not; the message begins with `name`.
    """
    try:
        values = np.asarray(values, dtype=np.float64)
    except (OverflowError, TypeError, ValueError):
        raise UserError(
            f"{name}: received {reprlib.repr(values)}; expected numbers of the shape {list(shape)}"
        ) from None
    if values.shape != shape:
        raise UserError(f"{name}: received the shape {list(values.shape)}; expected {list(shape)}")
    # Larger ones cannot have been searched, and their differences may be infinite.
    if not (fits := np.abs(values) <= np.finfo(np.float32).max).all():
        where = np.argwhere(~fits)[0].tolist()
        raise UserError(
            f"{name}{where}: received {values[tuple(where)]}; expected finite numbers of float32"
        )
    return values


def log_softmax(values: np.ndarray) -> np.ndarray:
    """Returns the logarithm of the softmax over the last axis, in float64."""
    values = np.asarray(values, dtype=np.float64)
    shifted = values - values.max(axis=-1, keepdims=True)
    log_weights: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return log_weights


def arc_log_weights(beta: np.ndarray, trellis: TrellisGraph) -> np.ndarray:
    """Returns log softmax(beta) [arcs]: one softmax over the arcs that leave the same node."""
    beta = checked_values("beta", beta, (len(trellis.arcs),))
    positions = {arc: position for position, arc in enumerate(trellis.arcs)}
    log_weights = np.empty_like(beta)
    for node in (STEM, *trellis.nodes):
        leaving = [positions[arc] for arc in trellis.outgoing(*node)]
        if leaving:
            log_weights[leaving] = log_softmax(beta[leaving])
    return log_weights


def decode_cell(
    alpha: np.ndarray, cell: CellGraph, most_skips: int | None = None
) -> tuple[tuple[Branch, Branch], ...]:
    """Keeps each block's two strongest edges, each with its strongest operation but `none`.

    An edge's strength is the largest softmax(alpha) among its operations other than `none`. Ties
    go to the earlier input and the earlier operation. A block's branches are in input order.

    A limit on the skips is that of P-DARTS (Chen et al. 2019, https://arxiv.org/abs/1904.12760):
    the weakest skips above it give way to their edge's next operation. The edges stay as they are
    chosen; P-DARTS chooses a block's edges anew.

    Args:
        alpha: float [edges, operations], before the softmax.
        cell: The graph whose edges and operations alpha weighs.
        most_skips: How many branches of the cell may be `skip`; None for all.

    Raises:
        UserError: Alpha has another shape, or is not finite; or there are more skips than allowed,
            and no other operation to take.
    """
    alpha = checked_values("alpha", alpha, (len(cell.edges), len(cell.operations)))
    log_weights = log_softmax(alpha)
    but_none = [operation != "none" for operation in cell.operations]
    return chosen_cell(log_weights, log_weights[:, but_none].max(axis=1), cell, most_skips)


def chosen_cell(
    scores: np.ndarray, strength: np.ndarray, cell: CellGraph, most_skips: int | None = None
) -> tuple[tuple[Branch, Branch], ...]:
    """Keeps each block's two strongest edges, each with its best operation but `none`.

    Args:
        scores: float64 [edges, operations]; changed.
        strength: float64 [edges].
        cell: The graph whose edges and operations they are of.
        most_skips: See `decode_cell`.

    Raises:
        UserError: There are more skips than allowed, and no other operation to take.
    """
    if "none" in cell.operations:
        scores[:, cell.operations.index("none")] = -np.inf
    kept = []
    for block in range(1, cell.blocks + 1):
        rows = [row for row, edge in enumerate(cell.edges) if edge.block == block]
        strongest = sorted(rows, key=lambda row: -strength[row])[:2]
        kept += sorted(strongest)
    if most_skips is not None and "skip" in cell.operations:
        _replace_skips(scores, kept, cell, most_skips)
    branches = [
        Branch(cell.edges[row].input, cell.operations[scores[row].argmax()]) for row in kept
    ]
    return tuple(zip(branches[::2], branches[1::2], strict=True))


def _replace_skips(scores: np.ndarray, kept: list[int], cell: CellGraph, most_skips: int) -> None:
    """Takes the weakest skips above a limit from `scores`; ties go to the earlier edge.

    Raises:
        UserError: There is no other operation.
    """
    skip = cell.operations.index("skip")
    skips = [row for row in kept if scores[row].argmax() == skip]
    weakest = sorted(skips, key=lambda row: -scores[row, skip])[most_skips:]
    if weakest and set(cell.operations) <= {"none", "skip"}:
        raise UserError(
            f"{argument('most_skips')}: received {most_skips}; expected at least {len(skips)}: the "
            f"operations are {', '.join(cell.operations)}, and there is none to take instead"
        )
    scores[weakest, skip] = -np.inf


def decode_network(beta: np.ndarray, trellis: TrellisGraph) -> tuple[int, ...]:
    """Returns the path (one stride a layer) with the largest product of softmax(beta).

    The Viterbi algorithm in log space. Sums are exact, so that the order of additions cannot
    decide; among equally likely paths it returns the one with the lower stride at the first layer
    where they differ.

    Args:
        beta: float [arcs], before the softmax.
        trellis: The graph whose arcs beta weighs.

    Raises:
        UserError: Beta has another shape, or is not finite.
    """
    log_weights = dict(
        zip(trellis.arcs, map(Fraction, arc_log_weights(beta, trellis).tolist()), strict=True)
    )
    # From the last layer back: the best that can still be collected after each node.
    to_go = dict.fromkeys(trellis.nodes_of(trellis.layers), Fraction(0))
    best_next = {}
    for layer in range(trellis.layers - 1, -1, -1):
        for node in trellis.nodes_of(layer) if layer else (STEM,):
            # max() keeps the first of equals, and arcs are ordered by target stride.
            arc = max(
                trellis.outgoing(*node),
                key=lambda arc: log_weights[arc] + to_go[Node(arc.layer, arc.target)],
            )
            best_next[node] = Node(arc.layer, arc.target)
            to_go[node] = log_weights[arc] + to_go[best_next[node]]
    path = [STEM]
    for _ in range(trellis.layers):
        path.append(best_next[path[-1]])
    return tuple(node.stride for node in path[1:])

"""alpha and beta over a search's epochs, as heat maps."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from auto_deeplab.search_space import STEM, HistoryEntry, Node
from auto_deeplab.visualization.figures import ABSENT, INK, MUTED, TextFigure, soften

_COLORS = "YlGnBu"
_CHOSEN = "#c4382a"


def draw_alpha(history: Sequence[HistoryEntry]) -> Figure:
    """Draws softmax(alpha) over the epochs: a panel an edge, in it a row an operation.

    Panels stand in the row of their block and the column of their input. Red frames mark what the
    last epoch decodes to.

    Args:
        history: One search's, with at least one epoch.
    """
    cell = history[-1].relaxation.cell
    weights = np.stack([entry.relaxation.operation_weights() for entry in history])
    chosen = {
        ((block, branch.input), branch.op)
        for block, branches in enumerate(history[-1].relaxation.decode("last").cell, start=1)
        for branch in branches
    }
    columns = cell.inputs(cell.blocks)
    panels = _Panels(cell.blocks, len(columns), 1.5, 0.15 * len(cell.operations) + 0.12)
    for index, edge in enumerate(cell.edges):
        axes = panels.add(edge.block - 1, columns.index(edge.input))
        panels.show(axes, weights[:, index].T, history, float(weights.max()))
        for row, operation in enumerate(cell.operations):
            if (tuple(edge), operation) in chosen:
                _frame(axes, row, len(history))
        if edge.input == columns[0]:
            names = [operation.replace("_", " ") for operation in cell.operations]
            axes.set_yticks(range(len(names)), names, fontsize=7)
            axes.set_ylabel(f"block {edge.block}", color=INK, fontsize=10)
        if _is_topmost(edge, columns):
            axes.set_title(f"reads {edge.input}", color=INK, fontsize=10)
        if edge.block == cell.blocks:
            panels.number_epochs(axes, history)
    return panels.finish("softmax(\u03b1)")


def draw_beta(history: Sequence[HistoryEntry]) -> Figure:
    """Draws softmax(beta) over the epochs: a panel a node, in it a row an outgoing arc.

    Panels stand as the nodes do in the trellis. Red frames mark the path that the last epoch
    decodes to.

    Args:
        history: One search's, with at least one epoch.
    """
    trellis = history[-1].relaxation.trellis
    weights = np.stack([entry.relaxation.arc_weights() for entry in history])
    column = dict(zip(trellis.arcs, weights.T, strict=True))
    path = (STEM.stride, *history[-1].relaxation.decode("last").network)
    strides = sorted({STEM.stride, *trellis.strides})
    panels = _Panels(len(strides), trellis.layers, 1.25, 0.62)
    nodes = [STEM, *(node for node in trellis.nodes if node.layer < trellis.layers)]
    for node in nodes:
        arcs = trellis.outgoing(*node)
        axes = panels.add(strides.index(node.stride), node.layer)
        panels.show(axes, np.stack([column[arc] for arc in arcs]), history, 1.0)
        for row, arc in enumerate(arcs):
            if path[node.layer : node.layer + 2] == (arc.source, arc.target):
                _frame(axes, row, len(history))
        axes.set_yticks(range(len(arcs)), [f"\u2192 {arc.target}" for arc in arcs], fontsize=7)
        if Node(node.layer, node.stride // 2) not in nodes:
            axes.set_title(
                f"after layer {node.layer}" if node.layer else "after the stem",
                color=INK,
                fontsize=10,
            )
        if Node(node.layer - 1, node.stride) not in nodes:
            axes.set_ylabel(f"stride {node.stride}", color=INK, fontsize=10)
        if Node(node.layer, node.stride * 2) not in nodes:
            panels.number_epochs(axes, history)
    return panels.finish("softmax(\u03b2)")


class _Panels:
    """Small heat maps on a grid, all in one color scale.

    Args:
        rows: Of the grid.
        columns: Of the grid.
        width: Of a panel, in inches.
        height: Of a panel, in inches.
    """

    def __init__(self, rows: int, columns: int, width: float, height: float):
        self.figure = TextFigure(
            figsize=(columns * width + 2.2, rows * (height + 0.16) + 0.9), layout="constrained"
        )
        self._grid = self.figure.add_gridspec(rows, columns)
        self._images: list[AxesImage] = []

    def add(self, row: int, column: int) -> Axes:
        """Returns the axes of a place on the grid."""
        return self.figure.add_subplot(self._grid[row, column])

    def show(
        self, axes: Axes, values: np.ndarray, history: Sequence[HistoryEntry], largest: float
    ) -> None:
        """Draws values `[rows, epochs]`, from 0 to `largest`."""
        axes.set_facecolor(ABSENT)
        self._images.append(axes.imshow(values, _COLORS, aspect="auto", vmin=0, vmax=largest))
        axes.set_xticks([])
        axes.set_yticks([])
        soften(axes)
        axes.tick_params(length=2, labelsize=7)

    def number_epochs(self, axes: Axes, history: Sequence[HistoryEntry]) -> None:
        """Writes the first and the last epoch below a panel."""
        ends = sorted({0, len(history) - 1})
        axes.set_xticks(ends, [str(history[end].epoch) for end in ends], fontsize=7)
        axes.set_xlabel("epoch", fontsize=7, color=MUTED, labelpad=-6)

    def finish(self, label: str) -> Figure:
        """Adds the color scale and returns the figure."""
        bar = self.figure.colorbar(
            self._images[0], ax=self.figure.axes, shrink=0.7, aspect=30, pad=0.015
        )
        bar.set_label(label, color=INK)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, color=MUTED, labelcolor=INK)
        return self.figure


def _is_topmost(edge: tuple[int, str], columns: Sequence[str]) -> bool:
    """Whether no earlier block reads the edge's input."""
    # Block 1 reads the first two; each later block is the first to read the one before it.
    return edge[0] == max(1, columns.index(edge[1]))


def _frame(axes: Axes, row: int, epochs: int) -> None:
    axes.plot(
        [-0.5, epochs - 0.5, epochs - 0.5, -0.5, -0.5],
        [row - 0.5, row - 0.5, row + 0.5, row + 0.5, row - 0.5],
        color=_CHOSEN,
        lw=1.3,
        clip_on=False,
        zorder=5,
    )
    axes.set_xlim(-0.5, epochs - 0.5)

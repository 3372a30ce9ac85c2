"""The cell during the search, as the right side of the paper's figure 1: alpha on every edge."""

import os
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from auto_deeplab.search_space import Edge, Relaxation
from auto_deeplab.visualization.figures import (
    FAINT,
    INK,
    MUTED,
    TextFigure,
    as_formula,
    save_drawing,
    series_color,
)

_NEUTRAL = "#eef1f4"
# One hue a family, darker for the larger kernel.
_OPERATION_COLORS = {
    "none": "#c3cad1",
    "max_pool_3x3": "#3f8f4a",
    "avg_pool_3x3": "#86c08d",
    "skip": "#7d8a97",
    "sep_conv_3x3": "#6fa3dc",
    "sep_conv_5x5": "#1f5594",
    "atrous_conv_3x3": "#eda35c",
    "atrous_conv_5x5": "#a4570f",
}
_INPUT_LABELS = {"prev_prev": "$H^{\\,l-2}$", "prev": "$H^{\\,l-1}$"}

# In inches.
_ROW = 0.14  # Of a panel: an operation.
_NAMES, _BARS, _NUMBERS = 0.98, 0.72, 0.32
_PANEL_WIDTH = 0.08 + _NAMES + _BARS + _NUMBERS
_COLUMN_STEP = _PANEL_WIDTH + 1.05
_BOX_WIDTH, _BOX_HEIGHT = 0.72, 0.36


def draw_cell_relaxation(relaxation: Relaxation) -> Figure:
    """Draws the cell's graph with softmax(alpha) of each operation on each edge.

    A source, which is an input or a block, has a row, in which its output runs to the right. A
    block has a column, in which it reads each source through a panel with a bar for each operation,
    and sums what comes out of the panels. An edge leaves its panel as wide as its strongest
    operation weighs; frames mark what decoding keeps.

    Args:
        relaxation: Alpha and the cell it belongs to, of any number of blocks and operations.

    Returns:
        A figure, which belongs to no window.
    """
    layout = _Layout(relaxation)
    figure = TextFigure(figsize=(layout.width, layout.height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, layout.width)
    axes.set_ylim(layout.height, 0)
    axes.axis("off")
    cell = relaxation.cell
    weights = dict(zip(cell.edges, relaxation.operation_weights(), strict=True))
    kept = {
        Edge(block, branch.input): branch.op
        for block, branches in enumerate(relaxation.decode("kept").cell, start=1)
        for branch in branches
    }
    largest = float(max(row.max() for row in weights.values()))

    axes.text(0.12, 0.3, "Cell", fontsize=13, weight="bold", color=INK, va="center")
    axes.text(
        0.72,
        0.3,
        "softmax(\u03b1) of each operation on each edge; framed: what decoding keeps",
        fontsize=9,
        color=MUTED,
        va="center",
    )
    for index, source in enumerate(layout.sources):
        _draw_source(axes, layout, source, series_color(index))
    for edge, row in weights.items():
        values = dict(zip(cell.operations, map(float, row), strict=True))
        _draw_edge(axes, layout, edge, values, largest, kept.get(edge))
    _draw_output(axes, layout)
    return figure


def save_cell_relaxation(
    output: str | os.PathLike, relaxation: Relaxation, overwrite: bool = False
) -> None:
    """Writes `draw_cell_relaxation` to a .png, .svg or .pdf file, whole or not at all.

    Raises:
        UserError: The suffix is another, the file exists and `overwrite` is not set, or it cannot
            be written.
    """
    save_drawing(output, lambda: draw_cell_relaxation(relaxation), overwrite)


class _Layout:
    """Where the parts of the drawing are, in inches from the top left."""

    def __init__(self, relaxation: Relaxation):
        cell = relaxation.cell
        self.blocks = cell.blocks
        self.sources = [*cell.inputs(cell.blocks), f"block{cell.blocks}"]
        self.panel_height = _ROW * len(cell.operations) + 0.1
        self._row_step = self.panel_height + 0.56
        self.concatenation = self.sum_of(cell.blocks) + _BOX_WIDTH / 2 + 0.5
        self.width = max(self.concatenation + 1.05, 6.2)
        # The bar that concatenates the blocks has to hold its name.
        top, bottom = self.row("block1"), self.row(self.sources[-1])
        self.middle, self.half = (top + bottom) / 2, max((bottom - top) / 2 + 0.3, 0.55)
        self.height = self.middle + self.half + 0.2

    def row(self, source: str) -> float:
        """Returns the height at which a source's output runs."""
        return 0.8 + self._row_step * self.sources.index(source)

    def panel(self, edge: Edge) -> tuple[float, float]:
        """Returns the left and the top of an edge's panel."""
        return 1.25 + _COLUMN_STEP * (edge.block - 1), self.row(edge.input) + 0.16

    def sum_of(self, block: int) -> float:
        """Returns where the middle of a block is, below which its edges come together."""
        return 1.25 + _COLUMN_STEP * (block - 1) + _PANEL_WIDTH + 0.3

    def start(self, source: str) -> float:
        """Returns where a source's output starts."""
        if source in _INPUT_LABELS:
            return 0.12 + _BOX_WIDTH
        return self.sum_of(self._number(source)) + _BOX_WIDTH / 2

    def end(self, source: str) -> float:
        """Returns where a source's output ends: blocks are concatenated, inputs only read."""
        if source in _INPUT_LABELS:
            return self.panel(Edge(self.blocks, source))[0] + 0.12
        return self.concatenation

    def color(self, block: int) -> str:
        """Returns the color of a block's output."""
        return series_color(self.sources.index(f"block{block}"))

    def _number(self, source: str) -> int:
        return self.sources.index(source) - len(_INPUT_LABELS) + 1


def _draw_source(axes: Axes, layout: _Layout, source: str, color: str) -> None:
    y = layout.row(source)
    start = layout.start(source)
    axes.plot((start, layout.end(source)), (y, y), color=color, lw=1.4, zorder=2)
    is_input = source in _INPUT_LABELS
    label = _INPUT_LABELS.get(source, source.replace("block", "block "))
    fill = _NEUTRAL if is_input else "white"
    _box(axes, start - _BOX_WIDTH, y - _BOX_HEIGHT / 2, _BOX_WIDTH, _BOX_HEIGHT, fill, color, 1.4)
    text = axes.text(start - _BOX_WIDTH / 2, y, label, fontsize=10, color=INK, **_CENTERED)
    if is_input:
        as_formula(text)


def _draw_edge(
    axes: Axes,
    layout: _Layout,
    edge: Edge,
    values: dict[str, float],
    largest: float,
    kept: str | None,
) -> None:
    """Draws an edge's panel, and how it is connected."""
    left, top = layout.panel(edge)
    color = layout.color(edge.block)
    source_color = series_color(layout.sources.index(edge.input))
    line = layout.row(edge.input)
    # From the source's line into the panel.
    axes.plot(left + 0.12, line, "o", ms=3.5, color=source_color, zorder=3)
    _arrow(axes, (left + 0.12, line), (left + 0.12, top), source_color, 1.4)
    # From the panel to the block: along the panel's middle, then down the column.
    strength = max(weight for operation, weight in values.items() if operation != "none")
    middle, x = top + layout.panel_height / 2, layout.sum_of(edge.block)
    width = 0.6 + 3 * strength / largest
    style: dict[str, Any] = {
        "color": color,
        "alpha": 1.0 if kept else 0.45,
        "solid_capstyle": "round",
    }
    axes.plot((left + _PANEL_WIDTH, x), (middle, middle), lw=width, zorder=1, **style)
    bottom = layout.row(f"block{edge.block}") - _BOX_HEIGHT / 2
    if edge.input == "prev_prev":
        _arrow(axes, (x, middle), (x, bottom), color, 1.4)
    axes.plot(x, middle, "o", ms=3.5, color=color, zorder=3)

    _box(
        axes,
        left,
        top,
        _PANEL_WIDTH,
        layout.panel_height,
        "white",
        color if kept else FAINT,
        2.0 if kept else 0.9,
    )
    bars = left + 0.08 + _NAMES
    for index, (operation, weight) in enumerate(values.items()):
        y = top + 0.05 + _ROW * (index + 0.5)
        is_kept = operation == kept
        font: dict[str, Any] = {"fontsize": 6.5, "va": "center_baseline", "zorder": 6}
        font |= {"color": INK, "weight": "bold"} if is_kept else {"color": MUTED}
        name = operation.replace("_", " ").replace("3x3", "3\u00d73").replace("5x5", "5\u00d75")
        axes.text(bars - 0.05, y, name, ha="right", **font)
        length = _BARS * weight / largest
        axes.add_patch(
            Rectangle((bars, y - 0.05), length, 0.1, color=_OPERATION_COLORS[operation], zorder=6)
        )
        axes.text(bars + length + 0.04, y, f"{weight:.2f}", ha="left", **font)


def _draw_output(axes: Axes, layout: _Layout) -> None:
    x, middle, half = layout.concatenation, layout.middle, layout.half
    _box(axes, x, middle - half, 0.3, 2 * half, _NEUTRAL, INK, 1.1)
    axes.text(x + 0.15, middle, "concatenate", rotation=90, fontsize=9, color=INK, **_CENTERED)
    _arrow(axes, (x + 0.3, middle), (x + 0.62, middle), INK, 1.4)
    as_formula(axes.text(x + 0.8, middle, "$H^{\\,l}$", fontsize=11, color=INK, **_CENTERED))


_CENTERED: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 7}


def _box(
    axes: Axes,
    left: float,
    top: float,
    width: float,
    height: float,
    fill: str,
    edge: str,
    line_width: float,
) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (left, top),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.06",
            fc=fill,
            ec=edge,
            lw=line_width,
            zorder=5,
        )
    )


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], color: str, width: float
) -> None:
    arrow = {"arrowstyle": "-|>", "color": color, "lw": width, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=arrow, zorder=4)

"""An architecture as a figure, as the paper's figure 3: the path through the trellis, the cell."""

import os
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Curve
from matplotlib.text import Text

from auto_deeplab.search_space import (
    STEM,
    Arc,
    Genotype,
    Relaxation,
    TrellisGraph,
    branch_weights,
    path_arcs,
)
from auto_deeplab.visualization.architecture_text import shown_trellis
from auto_deeplab.visualization.figures import (
    FAINT,
    INK,
    MUTED,
    TextFigure,
    as_formula,
    save_drawing,
)

PARTS = ("network", "cell")

_NEUTRAL = "#eef1f4"
_PATH = "#1f5fa8"
_PATH_FILL = "#d6e6f7"
# The lines that leave a source, so that one can follow them: the inputs, then the blocks in turn.
_SOURCE_COLORS = ("#7b5ea7", "#2a8f84", "#b0486a", "#5b6f2f", "#4a5f9e", "#8c6239", "#56616b")

# Fill and edge of an operation's box: one hue a family, darker for the larger kernel.
_OPERATION_COLORS = {
    "none": ("#ffffff", "#9aa5b1"),
    "max_pool_3x3": ("#dff2e1", "#3f8f4a"),
    "avg_pool_3x3": ("#dff2e1", "#3f8f4a"),
    "skip": ("#eceff2", "#6b7785"),
    "sep_conv_3x3": ("#dbeafb", "#2f6db5"),
    "sep_conv_5x5": ("#b3d1f3", "#1f5594"),
    "atrous_conv_3x3": ("#fde7d0", "#c4742a"),
    "atrous_conv_5x5": ("#fbc994", "#a4570f"),
}
_INPUT_LABELS = {"prev_prev": "$H^{\\,l-2}$", "prev": "$H^{\\,l-1}$"}

# Sizes in units of the drawing; a unit is _INCH inches.
_INCH = 0.72
_LAYER_STEP = 1.08
_STRIDE_STEP = 0.8
_OPERATION_HEIGHT = 0.38
_OPERATION_WIDTH, _OPERATION_WIDTH_WITH_WEIGHT = 1.9, 2.5
_BLOCK_HEIGHT = 0.98
_BLOCK_STEP = 1.3
_COLUMN_GAP = 0.85


def draw_architecture(
    genotype: Genotype, relaxation: Relaxation | None = None, parts: Sequence[str] = PARTS
) -> Figure:
    """Draws the trellis with the chosen path, and the cell.

    Args:
        genotype: What to draw, of any number of layers, strides and blocks.
        relaxation: The alpha and beta that it was decoded from: every arc is then drawn as wide as
            it is likely, the strongest that leaves each node dashed, and every choice carries its
            weight.
        parts: Which of `PARTS` to draw, one below the other.

    Returns:
        A figure, which belongs to no window.

    Raises:
        UserError: `genotype` does not belong to the space of `relaxation`.
    """
    trellis = shown_trellis(genotype, relaxation)
    rows = len({STEM.stride, *trellis.strides})
    layout = _CellLayout(genotype, relaxation is not None)
    sizes = {
        "network": (_LAYER_STEP * (trellis.layers + 1) + 1.7, 1.45 + _STRIDE_STEP * (rows - 1)),
        "cell": (layout.width, layout.height),
    }
    width = max(sizes[part][0] for part in parts) + 0.2
    height = sum(sizes[part][1] for part in parts)
    figure = TextFigure(figsize=(_INCH * width, _INCH * height))
    top = height
    for part in parts:
        part_height = sizes[part][1]
        top -= part_height
        axes = figure.add_axes((0, top / height, 1, part_height / height))
        axes.set_xlim(0, width)
        axes.set_ylim(part_height, 0)
        axes.axis("off")
        if part == "network":
            _draw_trellis(axes, genotype, trellis, relaxation)
        else:
            _draw_cell(axes, genotype, layout, relaxation)
    return figure


def save_architecture(
    output: str | os.PathLike,
    genotype: Genotype,
    relaxation: Relaxation | None = None,
    overwrite: bool = False,
    parts: Sequence[str] = PARTS,
) -> None:
    """Writes `draw_architecture` to a .png, .svg or .pdf file, whole or not at all.

    Raises:
        UserError: The suffix is another, the file exists and `overwrite` is not set, it cannot be
            written, or `genotype` does not belong to the space of `relaxation`.
    """
    save_drawing(output, lambda: draw_architecture(genotype, relaxation, parts), overwrite)


def strongest_arcs(relaxation: Relaxation) -> list[Arc]:
    """Returns the strongest arc that leaves the stem and each node; of equals, the lower stride."""
    trellis = relaxation.trellis
    weights = dict(zip(trellis.arcs, relaxation.arc_weights(), strict=True))
    leaving = (trellis.outgoing(*node) for node in (STEM, *trellis.nodes))
    return [max(arcs, key=weights.__getitem__) for arcs in leaving if arcs]


def _draw_trellis(
    axes: Axes, genotype: Genotype, trellis: TrellisGraph, relaxation: Relaxation | None
) -> None:
    strides = sorted({STEM.stride, *trellis.strides})

    def place(layer: int, stride: int) -> tuple[float, float]:
        return 1.25 + _LAYER_STEP * layer, 0.95 + _STRIDE_STEP * strides.index(stride)

    weights = dict.fromkeys(trellis.arcs, 0.3)
    if relaxation is not None:
        weights = dict(zip(trellis.arcs, relaxation.arc_weights(), strict=True))
    chosen = path_arcs(genotype)
    strongest = strongest_arcs(relaxation) if relaxation is not None else []
    for arc in trellis.arcs:
        start, end = place(arc.layer - 1, arc.source), place(arc.layer, arc.target)
        style: dict[str, Any] = {"color": FAINT}
        if arc in strongest:
            style = {"color": MUTED, "dashes": (2.4, 1.4), "dash_capstyle": "butt"}
        axes.plot(*zip(start, end, strict=True), lw=0.3 + 3 * weights[arc], zorder=1, **style)
    if relaxation is not None:
        axes.text(
            1.25,
            place(0, strides[-1])[1] + 0.36,
            "dashed: the strongest arc out of a node",
            fontsize=8.5,
            color=MUTED,
            va="center",
        )
    for arc in chosen:
        start, end = place(arc.layer - 1, arc.source), place(arc.layer, arc.target)
        axes.plot(*zip(start, end, strict=True), color=_PATH, lw=2.6, zorder=2)
        if relaxation is not None:
            # In the middle of what is seen of it: the stem's box hides where the first one begins.
            share = 0.64 if arc.layer == 1 else 0.5
            x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
            axes.text(
                x,
                y,
                f"{weights[arc]:.2f}",
                **_centered(8.5, color=_PATH),
                bbox={"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none"},
                zorder=3,
            )
    path = set(enumerate(genotype.network, start=1))
    for node in trellis.nodes:
        on_path = tuple(node) in path
        axes.scatter(
            *place(*node),
            s=210 if on_path else 90,
            fc=_PATH_FILL if on_path else "white",
            ec=_PATH if on_path else FAINT,
            lw=1.8 if on_path else 1.2,
            zorder=4,
        )
    _box(axes, *place(*STEM), 0.8, 0.44, "Stem", _NEUTRAL, INK)
    end = place(trellis.layers, genotype.network[-1])
    head = (place(trellis.layers + 1, genotype.network[-1])[0] + 0.05, end[1])
    axes.plot(*zip(end, head, strict=True), color=_PATH, lw=2.6, zorder=2)
    _box(axes, *head, 0.86, 0.44, "ASPP", _NEUTRAL, INK)
    axes.text(0.1, 0.33, "Network", fontsize=13, weight="bold", color=INK, va="center")
    for layer in range(1, trellis.layers + 1):
        axes.text(place(layer, strides[0])[0], 0.38, str(layer), **_centered(10))
    axes.text(head[0], 0.38, "layer", **_centered(10))
    for stride in strides:
        axes.text(0.1, place(0, stride)[1], f"1/{stride}", fontsize=11, color=INK, va="center")


class _CellLayout:
    """Where a cell's parts go.

    Every input and block has a row of its own, in which its output runs to the right, so that no
    line passes through a box: lines change rows only in the gap before the column they lead to. A
    block is one column further than the last block that it reads.
    """

    def __init__(self, genotype: Genotype, with_weights: bool):
        self.operation_width = _OPERATION_WIDTH_WITH_WEIGHT if with_weights else _OPERATION_WIDTH
        self.block_width = self.operation_width + 0.5
        self.row = {"prev_prev": 0.95, "prev": 1.45}
        self.right = {"prev_prev": 1.15, "prev": 1.15}  # where a source's line starts
        self.left: list[float] = []
        columns = {"prev_prev": 0, "prev": 0}
        for block, branches in enumerate(genotype.cell, start=1):
            column = 1 + max(columns[branch.input] for branch in branches)
            columns[f"block{block}"] = column
            self.left.append(1.25 + _COLUMN_GAP + (column - 1) * (self.block_width + _COLUMN_GAP))
            self.right[f"block{block}"] = self.left[-1] + self.block_width
            self.row[f"block{block}"] = 2.35 + _BLOCK_STEP * (block - 1)
        self.color = {
            name: _SOURCE_COLORS[i % len(_SOURCE_COLORS)] for i, name in enumerate(columns)
        }
        # How far before a column a source's line turns: not two of them at the same place.
        self.turn = {
            name: _COLUMN_GAP - 0.08 - 0.3 * i / (len(columns) - 1)
            for i, name in enumerate(columns)
        }
        self.end = max(self.right.values()) + 0.5
        self.width = self.end + 1.3
        middle = (self.row["block1"] + self.row[f"block{len(genotype.cell)}"]) / 2
        half = max(middle - self.row["block1"] + _BLOCK_HEIGHT / 2, 0.85)
        self.top, self.bottom = middle - half, middle + half
        self.height = self.bottom + 0.2


def _draw_cell(
    axes: Axes, genotype: Genotype, layout: _CellLayout, relaxation: Relaxation | None
) -> None:
    weights = branch_weights(genotype, relaxation) if relaxation is not None else None
    axes.text(0.1, 0.33, "Cell", fontsize=13, weight="bold", color=INK, va="center")
    for name, label in _INPUT_LABELS.items():
        as_formula(
            _box(axes, 0.65, layout.row[name], 1.0, 0.42, label, _NEUTRAL, layout.color[name])
        )

    middle = (layout.top + layout.bottom) / 2
    _box(axes, layout.end + 0.2, middle, 0.4, layout.bottom - layout.top, "", _NEUTRAL, INK)
    axes.text(
        layout.end + 0.2,
        middle,
        "concatenate",
        rotation=90,
        zorder=6,
        ha="center",
        va="center",
        fontsize=11,
        color=INK,
    )
    _arrow(axes, layout.end + 0.8, middle, 0.4, INK)
    as_formula(axes.text(layout.end + 1.02, middle, "$H^{\\,l}$", **_centered(12)))

    for block, branches in enumerate(genotype.cell, start=1):
        name = f"block{block}"
        x, y, color = layout.left[block - 1], layout.row[name], layout.color[name]
        middle_x = x + layout.block_width / 2
        _box(axes, middle_x, y, layout.block_width, _BLOCK_HEIGHT, "", "white", color, zorder=3)
        axes.text(x + layout.block_width - 0.23, y, "+", zorder=5, **_centered(15))
        axes.text(x + 0.05, y - 0.64, f"block {block}", fontsize=9, color=color, va="center")
        axes.plot(
            (layout.right[name], layout.end), (y, y), color=color, lw=1.2, alpha=0.35, zorder=1
        )
        for i, branch in enumerate(branches):
            branch_y = y + (-0.22, 0.22)[i]
            label = (
                branch.op.replace("_", " ").replace("3x3", "3\u00d73").replace("5x5", "5\u00d75")
            )
            weight = weights[block - 1][i] if weights else None
            if weight is not None:
                label += f"  {weight:.2f}"
            fill, edge = _OPERATION_COLORS[branch.op]
            operation_x = x + 0.1 + layout.operation_width / 2
            _box(
                axes,
                operation_x,
                branch_y,
                layout.operation_width,
                _OPERATION_HEIGHT,
                label,
                fill,
                edge,
                zorder=4,
            )
            source = branch.input
            _draw_tap(
                axes,
                (layout.right[source], layout.row[source]),
                (x, branch_y),
                layout.turn[source],
                layout.color[source],
            )


def _draw_tap(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], turn: float, color: str
) -> None:
    """Draws a line from a source along its row; `turn` before `end` it leaves the row for it."""
    turn_x = end[0] - turn
    middle = (turn_x + end[0]) / 2
    curve = Curve(
        [start, (turn_x, start[1]), (middle, start[1]), (middle, end[1]), end],
        [Curve.MOVETO, Curve.LINETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4],
    )
    axes.add_patch(PathPatch(curve, fc="none", ec=color, lw=1.6, zorder=2))
    _arrow(axes, end[0] + 0.1, end[1], 0.12, color)


def _arrow(axes: Axes, x: float, y: float, length: float, color: str) -> None:
    """Draws an arrow to the right, with its tip at (x, y)."""
    axes.annotate(
        "",
        (x, y),
        (x - length, y),
        arrowprops={"arrowstyle": "-|>", "color": color, "lw": 1.4, "shrinkA": 0, "shrinkB": 0},
        zorder=5,
    )


def _box(
    axes: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    label: str,
    fill: str,
    edge: str,
    zorder: float = 5,
) -> Text:
    """Draws a rounded box around the centre (x, y); returns its label."""
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.08",
            fc=fill,
            ec=edge,
            lw=1.1,
            zorder=zorder,
        )
    )
    return axes.text(x, y, label, zorder=zorder + 0.5, **_centered(11))


def _centered(size: float, color: str = INK) -> dict:
    return {"ha": "center", "va": "center_baseline", "fontsize": size, "color": color}

"""What all figures share: colors, plain axes, and files that are the same each time."""

import os
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from auto_deeplab.atomic_file import replacing

INK = "#22303c"
MUTED = "#7d8a97"
FAINT = "#c9d1d8"
ABSENT = "#e9edf0"
"""Where a heat map has nothing to show."""

# One a series, in the order in which they are compared; told apart by color-blind people, too.
SERIES = ("#1f5fa8", "#c4742a", "#2a8f84", "#b0486a", "#7b5ea7", "#8c6239", "#5b6f2f", "#56616b")


def series_color(index: int) -> str:
    """Returns the color of series number `index`, from 0; after the last they start again."""
    return SERIES[index % len(SERIES)]


def plain_axes(size: tuple[float, float], x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """Returns a figure of (width, height) inches that has one axes with a light grid."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)
    axes.grid(color=FAINT, lw=0.5)
    axes.set_axisbelow(True)
    soften(axes)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def soften(axes: Axes) -> None:
    """Gives an axes a thin gray frame and dark gray ticks."""
    axes.spines[:].set_color(FAINT)
    axes.tick_params(color=FAINT, labelcolor=INK, labelsize=9)


def save_figure(figure: Figure, path: str | os.PathLike) -> None:
    """Writes a .png, .svg or .pdf file, whole or not at all.

    The same figure gives the same bytes: no dates, no random names inside an SVG.
    """
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(Path(path).suffix)
    with replacing(path) as temporary, matplotlib.rc_context({"svg.hashsalt": "auto-deeplab"}):
        figure.savefig(temporary, dpi=150, metadata=metadata)

"""What all figures share: colors, plain axes, text as it is, files that are the same each time."""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.legend import Legend
from matplotlib.text import Text

from auto_deeplab.foundations.atomic_file import replacing
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.visualization.fonts import fallback_families

SUFFIXES = (".pdf", ".png", ".svg")
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


class TextFigure(Figure):
    """A figure that shows names of classes, runs and files as they are.

    Matplotlib itself takes what is between two dollar signs for mathematics, and for what its font
    does not have it draws a box and warns each time.

    Attributes:
        formulas: The texts that are mathematics.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.formulas: set[Text] = set()

    def draw(self, renderer: RendererBase) -> None:
        """Draws the figure; every way to show or save it comes through here."""
        for text in self.findobj(Text):
            text.set_parse_math(text in self.formulas)
            if not text.get_text().isascii():
                families = text.get_fontfamily()
                first = findfont(text.get_fontproperties())
                fallback = fallback_families(text.get_text(), first)
                text.set_fontfamily([*families, *(f for f in fallback if f not in families)])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
            super().draw(renderer)


def as_formula(text: Text) -> Text:
    """Lets a text of a `TextFigure` be mathematics; returns it."""
    figure = text.get_figure()
    if not isinstance(figure, TextFigure):
        raise TypeError(f"text: received a text of {figure}; expected one of a TextFigure")
    figure.formulas.add(text)
    return text


def add_legend(
    place: Axes | Figure, handles: Sequence[Any], labels: Sequence[str], **options
) -> Legend:
    """Returns a legend with any labels; Matplotlib leaves out those that begin with "_".

    Args:
        place: Where it goes.
        handles: What it explains.
        labels: The text of each.
        options: See `Axes.legend` and `Figure.legend`.
    """
    legend = place.legend(handles, ["label"] * len(labels), **options)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)
    return legend


def plain_axes(size: tuple[float, float], x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """Returns a figure of (width, height) inches that has one axes with a light grid."""
    figure = TextFigure(figsize=size, layout="constrained")
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


def save_drawing(
    output: str | os.PathLike, draw: Callable[[], Figure], overwrite: bool = False
) -> None:
    """Writes what `draw` returns to a .png, .svg or .pdf file, whole or not at all.

    Raises:
        UserError: The suffix is another, the file exists and `overwrite` is not set, or it cannot
            be written. Nothing is drawn in the first two cases.
    """
    path = Path(output)
    if path.suffix not in SUFFIXES:
        raise UserError(
            f"{argument('output')}: received {str(path)!r}; expected a name that ends with "
            f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        )
    if path.exists() and not overwrite:
        raise UserError(
            f"{path}: exists already; expected a new name, or {argument('overwrite', True)}"
        )
    save_figure(draw(), path)

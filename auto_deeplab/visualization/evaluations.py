"""Evaluations as figures: IOU by class, and the confusion matrix."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from auto_deeplab.runs.run import Evaluation
from auto_deeplab.visualization.figures import (
    ABSENT,
    INK,
    MUTED,
    TextFigure,
    add_legend,
    plain_axes,
    series_color,
    soften,
)

# Matrices of more classes have no numbers in their cells, and smaller names.
_MOST_NUMBERED = 25


def draw_class_bars(evaluations: Sequence[Evaluation], labels: Sequence[str]) -> Figure:
    """Draws the IOU of each class as bars, those of several evaluations side by side.

    Args:
        evaluations: Of the same classes.
        labels: The name of each evaluation.
    """
    names = evaluations[0].class_names
    thickness = 0.8 / len(evaluations)
    inches = 0.16 * len(evaluations) + 0.14
    figure, axes = plain_axes((5.0, 1.1 + inches * len(names)), "intersection over union", "")
    rows = np.arange(len(names))
    handles, texts = [], []
    for index, (evaluation, label) in enumerate(zip(evaluations, labels, strict=True)):
        iou, mean = evaluation.matrix.class_iou, evaluation.matrix.mean_iou
        places = rows + (index - (len(evaluations) - 1) / 2) * thickness
        bars = axes.barh(places, np.nan_to_num(iou), thickness * 0.92, color=series_color(index))
        handles.append(bars)
        texts.append(label if np.isnan(mean) else f"{label}: mean {mean:.1%}")
        for place, value in zip(places, iou, strict=True):
            text = "absent" if np.isnan(value) else f"{100 * value:.1f}"
            axes.annotate(
                text,
                (0 if np.isnan(value) else value, place),
                xytext=(3, 0),
                textcoords="offset points",
                va="center_baseline",
                fontsize=7.5,
                color=MUTED if np.isnan(value) else INK,
            )
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.06)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(visible=False, axis="y")
    add_legend(
        figure,
        handles,
        texts,
        loc="outside upper left",
        ncols=1 if len(evaluations) > 2 else 2,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )
    return figure


def draw_confusion_matrix(evaluation: Evaluation) -> Figure:
    """Draws the share of each label's pixels that were predicted as each class.

    Rows are labels and sum to 1; the row of a class without labels is gray.
    """
    names = evaluation.class_names
    labeled = evaluation.matrix.label_pixels[:, None]
    shares = np.divide(
        evaluation.matrix.counts,
        labeled,
        out=np.full(evaluation.matrix.counts.shape, np.nan),
        where=labeled > 0,
    )
    numbered = len(names) <= _MOST_NUMBERED
    inches = max(0.29 * len(names), 2.0) if numbered else 0.13 * len(names)
    size = 8.5 if numbered else 6
    figure = TextFigure(figsize=(inches + 1.9, inches + 1.1), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor(ABSENT)
    image = axes.imshow(shares, "Blues", vmin=0, vmax=1)
    soften(axes)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(labelsize=size, length=0)
    axes.set_xlabel("predicted as", color=INK)
    axes.set_ylabel("labeled as", color=INK)
    if numbered:
        # What rounds to 1 percent or more.
        for row, column in zip(*np.nonzero(shares > 0.005), strict=True):
            share = shares[row, column]
            axes.text(
                column,
                row,
                f"{100 * share:.0f}",
                ha="center",
                va="center_baseline",
                fontsize=7.5,
                color="white" if share > 0.55 else INK,
            )
    bar = figure.colorbar(image, shrink=0.6, aspect=25, pad=0.02)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, color=MUTED, labelcolor=INK)
    bar.set_label("share of the label's pixels", color=INK)
    return figure

"""Curves over the steps of runs, and those of a search's trials (the paper's figure 4)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from auto_deeplab.runs.run import Run
from auto_deeplab.visualization.figures import INK, MUTED, add_legend, plain_axes, series_color

_SIZE = (5.0, 3.1)
_LINES = ("-", "--", ":")


def draw_curves(
    runs: Sequence[Run], metrics: dict[str, str], y_label: str, percent: bool = False
) -> Figure | None:
    """Draws metrics of runs over their steps: a color a run, a kind of line a metric.

    Args:
        runs: What to compare.
        metrics: The label of each metric, by its name in metrics.jsonl.
        y_label: What the vertical axis shows.
        percent: Whether the values are shares of 1.

    Returns:
        The figure; None where no run has any of the metrics.
    """
    figure, axes = plain_axes(_SIZE, "step", y_label)
    # Runs with the very same curves, such as a schedule that they share, are drawn as one.
    same: dict[str, list[Run]] = {}
    lines: list[Artist] = []
    for run in runs:
        curves = [run.series(name) for name in metrics]
        if any(steps for steps, _ in curves):
            same.setdefault(repr(curves), []).append(run)
    for index, group in enumerate(same.values()):
        names = ", ".join(run.name for run in group)
        for line, (name, label) in zip(_LINES, metrics.items(), strict=False):
            steps, values = group[0].series(name)
            if not steps:
                continue
            parts = [names] if len(same) > 1 else []
            parts += [label] if len(metrics) > 1 else []
            lines += axes.plot(
                steps,
                values,
                line,
                label=": ".join(parts),
                color=series_color(index if len(same) > 1 else _LINES.index(line)),
                # One value makes no line.
                marker="o" if len(steps) < 15 else None,
                ms=3.5,
                lw=1.6,
            )
    if not axes.lines:
        return None
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    _legend(figure, axes, lines)
    return figure


def draw_trials(groups: Sequence[Sequence[Run]], labels: Sequence[str]) -> Figure | None:
    """Draws the supernets' validation mean IOU over the epochs, as in the paper's figure 4.

    Of a group of trials it shows each one thin, their mean, and the range between the best and the
    worst; the mean and the range end where not all trials have a value. A line marks where
    alpha and beta begin to be searched.

    Args:
        groups: Searches; those of one group are trials of the same.
        labels: The name of each group.

    Returns:
        The figure; None where nothing was validated.
    """
    figure, axes = plain_axes(_SIZE, "epoch", "validation mean IOU")
    labeled: list[Artist] = []
    for index, (group, label) in enumerate(zip(groups, labels, strict=True)):
        color = series_color(index)
        curves = [
            {
                m["epoch"]: m["val_mean_iou"]
                for m in run.metrics
                if m.get("val_mean_iou") is not None
            }
            for run in group
        ]
        if not any(curves):
            continue
        alone = len(group) == 1
        for curve in curves:
            lines = axes.plot(
                list(curve),
                list(curve.values()),
                color=color,
                lw=1.8 if alone else 0.8,
                alpha=1 if alone else 0.55,
                label=label if alone else None,
            )
            labeled += lines if alone else []
        epochs = sorted(set.intersection(*map(set, curves)))
        if not alone and epochs:
            values = np.array([[curve[epoch] for epoch in epochs] for curve in curves])
            labeled += axes.plot(
                epochs, values.mean(axis=0), color=color, lw=2.2, label=f"mean of {label}"
            )
            band = axes.fill_between(
                epochs,
                values.min(axis=0),
                values.max(axis=0),
                color=color,
                alpha=0.15,
                lw=0,
                label="best to worst",
            )
            labeled.append(band)
    if not axes.lines:
        return None
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    warm_ups = {run.warm_up_epochs for group in groups for run in group}
    if len(warm_ups) == 1 and (warm_up := warm_ups.pop()):
        label = "\u03b1 and \u03b2 are searched from here on"
        labeled.append(axes.axvline(warm_up, color=MUTED, lw=1, ls=(0, (4, 3)), label=label))
    _legend(figure, axes, labeled)
    return figure


def _legend(figure: Figure, axes: Axes, artists: Sequence[Artist]) -> None:
    """Explains those of the artists that have a label."""
    handles = [artist for artist in artists if artist.get_label()]
    labels = [str(artist.get_label()) for artist in handles]
    if len(handles) > 8:
        # Beside the curves: they are many.
        figure.set_figwidth(_SIZE[0] * 1.4)
        options = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "fontsize": 8}
    else:
        options = {"fontsize": 8.5}
    if handles:
        add_legend(axes, handles, labels, frameon=False, labelcolor=INK, **options)

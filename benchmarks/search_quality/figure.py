"""The figure of a table: how its networks are distributed, and what they cost."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from auto_deeplab.visualization.figures import (
    FAINT,
    INK,
    MUTED,
    TextFigure,
    add_legend,
    series_color,
    soften,
)
from benchmarks.search_quality.comparison import percentile
from benchmarks.search_quality.table import Table

_SIZE = (8.2, 3.6)


def table_figure(table: Table, methods: Sequence[Table]) -> Figure:
    """Draws the random networks of a table, and where the methods' lie.

    To the left mIOU against multiply-adds; to the right, on the same axis of mIOU, which percentage
    of the random networks is worse.

    Args:
        table: The random networks.
        methods: What each method found.
    """
    figure = TextFigure(figsize=_SIZE, layout="constrained")
    costs, ranks = figure.subplots(1, 2, sharey=True)
    for axes in (costs, ranks):
        axes.grid(color=FAINT, lw=0.5)
        axes.set_axisbelow(True)
        soften(axes)
        axes.spines[["top", "right"]].set_visible(False)
    costs.set_ylabel("validation mean IOU", color=INK)
    costs.set_xlabel("multiply-adds (millions)", color=INK)
    ranks.set_xlabel("percentile among the random networks", color=INK)
    costs.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ranks.set_xlim(-2, 102)

    values = table.mean_ious
    shown = [costs.scatter(_millions(table), values, s=14, color=MUTED, lw=0, alpha=0.8)]
    labels = [f"random ({len(values)})"]
    order = np.sort(values)
    ranks.step(100 * (np.arange(len(order)) + 0.5) / len(order), order, color=MUTED, where="mid")
    for index, method in enumerate(methods):
        color = series_color(index)
        found = method.mean_ious
        shown.append(
            costs.scatter(_millions(method), found, s=34, color=color, ec="white", lw=0.8, zorder=3)
        )
        labels.append(f"{method.header.name} ({len(found)})")
        places = [percentile(value, values) for value in found]
        ranks.scatter(places, found, s=34, color=color, ec="white", lw=0.8, zorder=3)
    options = {"loc": "outside upper left", "ncols": len(labels), "frameon": False, "fontsize": 9}
    add_legend(figure, shown, labels, **options)
    return figure


def _millions(table: Table) -> list[float]:
    return [entry.multiply_adds / 1e6 for entry in table.entries]

"""The candidates of a selection: rung by rung, and what they reach for what they cost."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from auto_deeplab.foundations.amounts import amount_text
from auto_deeplab.runs.selection import ORIGINS, Candidate, Origin
from auto_deeplab.visualization.figures import FAINT, INK, add_legend, plain_axes, series_color

_SIZE = (5.0, 3.4)
_LABELS: dict[Origin, str] = {
    "given": "given",
    "shared_weights": "ranked by shared weights",
    "random": "random",
    "surrogate": "surrogate",
}


def draw_rungs(candidates: Sequence[Candidate]) -> Figure | None:
    """Draws the mean IOU of each candidate in each rung, and lines to those that went on.

    Returns:
        The figure; None where none was trained.
    """
    trained = [each for each in candidates if each.rungs]
    if not trained:
        return None
    steps = sorted({result.steps for each in trained for result in each.rungs})
    figure, axes = plain_axes(_SIZE, "steps of the training", "validation mean IOU")
    for each in trained:
        axes.plot(
            [steps.index(result.steps) for result in each.rungs],
            [result.mean_iou for result in each.rungs],
            color=FAINT,
            lw=1,
            zorder=1,
        )
    for origin in _origins(trained):
        results = [
            (steps.index(result.steps), result.mean_iou)
            for each in trained
            if each.origin == origin
            for result in each.rungs
        ]
        _points(axes, results, origin)
    axes.set_xticks(range(len(steps)), [f"{length:,}" for length in steps])
    axes.margins(x=0.15)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    _explain(axes)
    return figure


def draw_pareto_front(candidates: Sequence[Candidate]) -> Figure | None:
    """Draws mean IOU against multiply-adds, for those of the highest rung that any has reached.

    A line connects those of which no other one is as cheap and better.

    Returns:
        The figure; None where none was trained.
    """
    highest = of_highest_rung(candidates)
    if not highest:
        return None
    figure, axes = plain_axes(_SIZE, "multiply-adds", "validation mean IOU")
    front = pareto_front(highest)
    axes.step(
        [each.multiply_adds for each in front],
        [each.rungs[-1].mean_iou for each in front],
        where="post",
        color=INK,
        lw=1.2,
        zorder=1,
        label="Pareto front",
    )
    for origin in _origins(highest):
        results = [
            (each.multiply_adds, each.rungs[-1].mean_iou)
            for each in highest
            if each.origin == origin
        ]
        _points(axes, results, origin)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: amount_text(value)))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    _explain(axes)
    return figure


def of_highest_rung(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Returns those that reached the highest rung that any has reached, which can be compared."""
    reached = max((len(each.rungs) for each in candidates), default=0)
    return [each for each in candidates if reached and len(each.rungs) == reached]


def pareto_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Returns, cheapest first, those of which no other one is as cheap and at least as good."""
    cheapest_first = sorted(
        candidates, key=lambda each: (each.multiply_adds, -each.rungs[-1].mean_iou, each.number)
    )
    front: list[Candidate] = []
    for each in cheapest_first:
        if not front or each.rungs[-1].mean_iou > front[-1].rungs[-1].mean_iou:
            front.append(each)
    return front


def _origins(candidates: Sequence[Candidate]) -> list[Origin]:
    return [origin for origin in ORIGINS if any(each.origin == origin for each in candidates)]


def _points(axes: Axes, points: Sequence[tuple[float, float]], origin: Origin) -> None:
    axes.scatter(
        [x for x, _ in points],
        [y for _, y in points],
        s=22,
        color=series_color(ORIGINS.index(origin)),
        label=_LABELS[origin],
        zorder=2,
    )


def _explain(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    add_legend(axes, handles, labels, frameon=False, labelcolor=INK, fontsize=8.5)

"""The pilot: is the spread between architectures large beside that between seeds?

Each length is trained by itself, though one long training passes through all of them: the
polynomial schedule ends at 0, and a network in the middle of a longer schedule still has a large
learning rate, with which results differ more from seed to seed than those of a finished training.
What is validated on the way shows it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from benchmarks.measuring.results import show
from benchmarks.search_quality.comparison import spread_ratio_interval, spreads
from benchmarks.search_quality.setting import PlannedTraining
from benchmarks.search_quality.shared_folder import SharedFolder

PILOT_VALIDATIONS = 2


def show_spreads(folders: Mapping[int, SharedFolder], planned: Sequence[PlannedTraining]) -> None:
    """Prints the spreads of each length, and of the validations on the way to it.

    Args:
        folders: By steps, where the results of all that is planned are.
        planned: What was trained: each architecture from the same seeds.
    """
    rows = []
    for steps, folder in folders.items():
        results = {each: folder.result(each.key)["training"] for each in planned}
        points = len(next(iter(results.values()))["curve"])
        for point in range(points):
            groups: dict[str, list[float]] = {}
            for training, result in results.items():
                mean_iou = result["curve"][point]["mean_iou"]
                groups.setdefault(training.genotype.name, []).append(mean_iou)
            by_seed = np.array(list(groups.values())).T
            rows.append(
                {
                    "step": next(iter(results.values()))["curve"][point]["step"],
                    "steps": steps,
                    "mean_iou": float(by_seed.mean()),
                    "spreads": spreads(list(groups.values())),
                    "interval": spread_ratio_interval(list(groups.values())),
                    "tau": float(stats.kendalltau(by_seed[0], by_seed[1]).statistic),
                    "cpu_seconds": float(
                        np.median([result["cpu_seconds"] for result in results.values()])
                    ),
                }
            )
    print(
        "Standard deviations in points of mean IOU: between architectures, between seeds, and of "
        "what a\nseed does to all alike. Ratio of the first two with its 90% interval. Tau: of the "
        "orders that two\nseeds give."
    )
    show(
        rows,
        {
            "step": lambda row: (
                str(row["steps"])
                if row["step"] == row["steps"]
                else f"{row['step']} of {row['steps']}"
            )
        },
        {
            "mIOU": lambda row: f"{row['mean_iou']:.2%}",
            "arch.": lambda row: f"{100 * row['spreads'].architectures:.2f}",
            "seeds": lambda row: f"{100 * row['spreads'].seeds:.2f}",
            "all": lambda row: f"{100 * row['spreads'].shared:.2f}",
            "ratio": lambda row: "{:.2f} ({:.1f}-{:.1f})".format(
                row["spreads"].ratio, *row["interval"]
            ),
            "tau": lambda row: f"{row['tau']:.2f}",
            "CPU s": lambda row: f"{row['cpu_seconds']:.0f}" if row["step"] == row["steps"] else "",
        },
        as_json=False,
    )

"""The pilot: is the spread between architectures large beside that between seeds?

Each length is trained by itself, though one long training passes through all of them: the
polynomial schedule ends at 0, and a network in the middle of a longer schedule still has a large
learning rate, with which results differ more from seed to seed than those of a finished training.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from benchmarks.measuring.results import show
from benchmarks.search_quality.comparison import spread_ratio_interval, spreads
from benchmarks.search_quality.setting import PlannedTraining
from benchmarks.search_quality.shared_folder import SharedFolder


def show_spreads(folders: Mapping[int, SharedFolder], planned: Sequence[PlannedTraining]) -> None:
    """Prints the spreads of each length.

    Args:
        folders: By steps, where the results of all that is planned are.
        planned: What was trained: each architecture from the same seeds.
    """
    rows = []
    for steps, folder in folders.items():
        groups: dict[str, list[float]] = {}
        seconds = []
        for training in planned:
            measured = folder.result(training.key)["training"]
            groups.setdefault(training.genotype.name, []).append(measured["mean_iou"])
            seconds.append(measured["cpu_seconds"])
        values = list(groups.values())
        found = spreads(values)
        low, high = spread_ratio_interval(values)
        by_seed = np.array(values).T
        rows.append(
            {
                "steps": steps,
                "mean_iou": float(by_seed.mean()),
                "architectures": found.architectures,
                "seeds": found.seeds,
                "ratio": found.ratio,
                "interval": [low, high],
                "tau": float(stats.kendalltau(by_seed[0], by_seed[1]).statistic),
                "cpu_seconds": float(np.median(seconds)),
            }
        )
    show(
        rows,
        {"steps": lambda row: str(row["steps"])},
        {
            "mean IOU": lambda row: f"{row['mean_iou']:.2%}",
            "between architectures": lambda row: f"{100 * row['architectures']:.2f}",
            "between seeds": lambda row: f"{100 * row['seeds']:.2f}",
            "ratio": lambda row: f"{row['ratio']:.2f}",
            "90% interval": lambda row: "{:.2f} to {:.2f}".format(*row["interval"]),
            "tau of two seeds": lambda row: f"{row['tau']:.2f}",
            "processor s": lambda row: f"{row['cpu_seconds']:.0f}",
        },
        as_json=False,
        title="Standard deviations in points of mean IOU",
    )

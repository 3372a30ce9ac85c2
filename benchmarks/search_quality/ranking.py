"""How well a supernet ranks: its shared weights beside real trainings."""

import os
from collections.abc import Sequence

from auto_deeplab.data.pipeline import open_records
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.training.shared_weights import measure_with_shared_weights
from auto_deeplab.training.trained import load_trained
from benchmarks.measuring.results import show
from benchmarks.search_quality.comparison import Ranking, rank
from benchmarks.search_quality.table import Entry, Table


def ranking_sample(table: Table, count: int) -> list[Entry]:
    """Returns so many entries, the same for every supernet, evenly spaced in the table's order.

    The order is that of the draws, which has nothing to do with how good the networks are.
    """
    count = min(count, len(table.entries))
    return [table.entries[len(table.entries) * index // count] for index in range(count)]


def score(supernet: Supernet, entries: Sequence[Entry], dataset_dir: str) -> list[float]:
    """Returns the mIOU of each network with the supernet's weights, on the validation split.

    Raises:
        UserError: A network is not in the supernet's space.
    """
    records = open_records(dataset_dir, "val")
    matrices = measure_with_shared_weights(
        supernet, [entry.genotype for entry in entries], records, progress=True
    )
    return [matrix.mean_iou for matrix in matrices]


def show_ranking(
    table_file: str | os.PathLike[str], search: str | os.PathLike[str], count: int
) -> Ranking:
    """Prints Kendall's tau of a search's supernet, and each network's two figures.

    Args:
        table_file: The table.
        search: The search's model_dir.
        count: How many networks of the table.

    Raises:
        UserError: It is no search, or one on another dataset or in another space.
    """
    table = Table.load(table_file)
    trained = load_trained(search, predicts=False)
    if not isinstance(trained.model, Supernet):
        raise UserError(f"--search: {search} is a retraining; expected the model_dir of a search")
    of_table = table.header.setting["dataset"]["name"]
    if trained.description.name != of_table:
        raise UserError(
            f"--search: {search} is on {trained.description.name!r}; expected the dataset of the "
            f"table, {of_table!r}"
        )
    entries = ranking_sample(table, count)
    scores = score(trained.model, entries, trained.dataset_dir)
    found = rank(scores, [entry.mean_iou for entry in entries])
    rows = [
        {"name": entry.name, "shared": shared, "trained": entry.mean_iou}
        for entry, shared in zip(entries, scores, strict=True)
    ]
    show(
        sorted(rows, key=lambda row: row["trained"]),
        {"network": lambda row: row["name"]},
        {
            "shared weights": lambda row: f"{row['shared']:.2%}",
            "trained": lambda row: f"{row['trained']:.2%}",
        },
        as_json=False,
        title="Mean IOU",
    )
    print(
        f"Kendall's tau {found.tau:.2f} (90% interval {found.low:.2f} to {found.high:.2f}; of "
        f"orders that have nothing to do with each other {found.p_value:.1%} are as far from 0)"
    )
    return found

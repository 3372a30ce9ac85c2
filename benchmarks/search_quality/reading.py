"""Prints what a table says of methods."""

import os
from collections.abc import Sequence

import numpy as np

from auto_deeplab.foundations.errors import UserError
from benchmarks.search_quality.comparison import MethodComparison, compare, spreads, trainings_for
from benchmarks.search_quality.table import Table


def load_methods(table: Table, files: Sequence[str | os.PathLike[str]]) -> list[Table]:
    """Returns what methods found.

    Args:
        table: What it is to be compared with.
        files: Which `collect --method` wrote.

    Raises:
        UserError: A file is a table of random ones, or was trained in another way than the table.
    """
    methods = []
    for file in files:
        method = Table.load(file)
        if method.header.search_seconds is None:
            raise UserError(
                f"--methods: received {file}, which does not say what a search cost; expected what "
                "`collect --method` wrote"
            )
        for name in {**table.header.setting, **method.header.setting}:
            if table.header.setting.get(name) != method.header.setting.get(name):
                raise UserError(
                    f"--methods: {file}: setting.{name} is not that of the table; expected "
                    "networks that were trained alike"
                )
        methods.append(method)
    return methods


def compare_method(table: Table, method: Table) -> MethodComparison:
    """Returns how a method does beside a table."""
    k = trainings_for(method.header.search_seconds or 0.0, table.seconds_per_training)
    return compare(method.header.name, method.mean_ious.tolist(), table.mean_ious, k)


def show_comparison(
    table_file: str | os.PathLike[str], files: Sequence[str | os.PathLike[str]]
) -> None:
    """Prints a table's spread, and a line for each method."""
    table = Table.load(table_file)
    comparisons = [compare_method(table, method) for method in load_methods(table, files)]
    values = table.mean_ious
    print(
        f"{len(values)} random networks: mean IOU {values.mean():.2%} on average, "
        f"{values.min():.2%} to {values.max():.2%}"
    )
    groups = table.groups()
    if len(groups) > 1:
        fewest = min(map(len, groups))
        found = spreads([group[:fewest] for group in groups])
        print(
            f"standard deviation between architectures {100 * found.architectures:.2f} points, "
            f"between seeds {100 * found.seeds:.2f}: ratio {found.ratio:.2f}\n"
            f"what a seed does to all alike: {100 * found.shared:.2f} points"
        )
    for each in comparisons:
        low, high = each.random_interval
        print(
            f"\n{each.name}, {each.networks} searches\n"
            f"  mean IOU              {_mean_and_range(each.mean_iou, '.2%')}\n"
            f"  percentile            {_mean_and_range(each.percentiles, '.0f')}\n"
            f"  regret                {100 * np.mean(each.regrets):.2f} points\n"
            f"  best of {f'{each.k} random':<14}{each.random_mean_iou:.2%} "
            f"({low:.2%} to {high:.2%})\n"
            f"  beats it              {each.above_random:.0%}"
        )


def _mean_and_range(values: Sequence[float], form: str) -> str:
    low, mean, high = (format(f(values), form) for f in (min, np.mean, max))
    return f"{mean} ({low} to {high})"

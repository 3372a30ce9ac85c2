"""Measures inference side by side: seconds an image and peak memory of several networks.

Each network runs in a process of its own, from uint8 image to class map, as export serves it. The
processes of one image size and setting are started together and take turns, one image each, so
that what else the machine does hits all of them alike; figures are medians over the turns.

Models: S, M, L (the published architecture with 20, 32, 48 filters) and deeplabv3plus (ResNet-101).
Settings: plain (the network's layers as they were trained), folded (what auto_deeplab.export
writes) and xla (folded, compiled by XLA).

Example:
  python -m benchmarks.inference
  python -m benchmarks.inference --models=S,deeplabv3plus --sizes=513x513 --settings=folded --json
"""

import json
import statistics
from typing import Any

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import require_known
from benchmarks.measuring.taking_turns import measure_in_turns
from benchmarks.workers.inference import MODELS, SETTINGS

_MODELS = flags.DEFINE_list("models", list(MODELS), "Networks to compare; ratios are to the last.")
_SIZES = flags.DEFINE_list("sizes", ["513x513", "1025x2049"], "Image sizes, HEIGHTxWIDTH.")
_SETTINGS = flags.DEFINE_list("settings", list(SETTINGS), "How to run them.")
_REPEATS = flags.DEFINE_integer("repeats", 9, "Turns, each one image a network.", lower_bound=1)
_INTRA = flags.DEFINE_integer("intra_op_threads", 0, "Threads within an operation; 0: default.")
_INTER = flags.DEFINE_integer("inter_op_threads", 0, "Operations at a time; 0: default.")
_JSON = flags.DEFINE_bool("json", False, "Print JSON with each time instead of a table.")


def measure(
    models: list[str], size: tuple[int, int], setting: str, repeats: int
) -> list[dict[str, Any]]:
    """Returns a row for each model, measured in turns."""
    common = {
        "size": size,
        "setting": setting,
        "intra_op_threads": _INTRA.value,
        "inter_op_threads": _INTER.value,
    }
    rows = measure_in_turns(
        "benchmarks.workers.inference",
        [{"model": model, **common} for model in models],
        repeats,
        advice="Try smaller --sizes or fewer --models",
        title=f"{size[0]}x{size[1]} {setting}",
        unit="image",
    )
    for row in rows:
        row |= {
            "size": list(size),
            "setting": setting,
            "median_seconds": statistics.median(row["seconds"]),
            "fastest_seconds": min(row["seconds"]),
        }
    return rows


def main(argv: list[str]) -> None:
    del argv
    sizes = [command_line.parse_size(size, "sizes") for size in _SIZES.value]
    require_known("models", _MODELS.value, MODELS)
    require_known("settings", _SETTINGS.value, SETTINGS)
    rows = []
    for size in sizes:
        for setting in _SETTINGS.value:
            rows += measure(_MODELS.value, size, setting, _REPEATS.value)
    if _JSON.value:
        print(json.dumps(rows, indent=1))
    else:
        _print_table(rows, _MODELS.value[-1])


def _print_table(rows: list[dict[str, Any]], reference: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("size", "setting", "model"):
        table.add_column(heading)
    for heading in (
        "median s",
        f"{reference} / it",
        "peak MB",
        "first call s",
        "parameters",
        "G multiply-adds",
        "G multiply-adds/s",
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        work = row["multiply_adds"] / 1e9
        table.add_row(
            f"{row['size'][0]}x{row['size'][1]}",
            row["setting"],
            row["model"],
            f"{row['median_seconds']:.3f}",
            f"{row[f'times_faster_than_{reference}']:.2f}",
            f"{row['peak_megabytes']:.0f}",
            f"{row['first_call_seconds']:.1f}",
            f"{row['parameters']:,}",
            f"{work:.1f}",
            f"{work / row['median_seconds']:.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    command_line.run(main)

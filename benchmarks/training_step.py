"""Measures a training step of the final network beside DeepLabv3+: seconds and peak memory.

Images and labels are random, from a fixed seed; a step is a whole one: gradients, weight decay, SGD
with momentum. Each network has a process of its own; the processes take turns, one step each, so
that what else the machine does hits all of them alike.

Models: S, M, L (the published architecture with 20, 32, 48 filters) and deeplabv3plus (ResNet-101).

Example:
  python -m benchmarks.training_step
  python -m benchmarks.training_step --crop=321 --steps=5 --json
"""

import json
import statistics
from typing import Any

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import require_known
from benchmarks.measuring.taking_turns import measure_in_turns
from benchmarks.workers.inference import MODELS

_MODELS = flags.DEFINE_list(
    "models", ["S", "deeplabv3plus"], "Networks to compare; ratios are to the last."
)
_CROP = flags.DEFINE_integer("crop", 513, "Height and width of the images.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 2, "Images a step.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 3, "Turns, each one step a network.", lower_bound=1)
_JIT = flags.DEFINE_bool("jit_compile", False, "Compile the steps with XLA.")
_JSON = flags.DEFINE_bool("json", False, "Print JSON with each time instead of a table.")


def measure(models: list[str], steps: int, **setting) -> list[dict[str, Any]]:
    """Returns a row for each model, measured in turns; `setting` is the worker's."""
    rows = measure_in_turns(
        "benchmarks.workers.training_step",
        [{"model": model, **setting} for model in models],
        steps,
        advice="Try a smaller --crop or --batch",
        title="training",
        unit="step",
    )
    return [row | setting | {"step_seconds": statistics.median(row["seconds"])} for row in rows]


def main(argv: list[str]) -> None:
    del argv
    require_known("models", _MODELS.value, MODELS)
    rows = measure(
        _MODELS.value,
        _STEPS.value,
        crop=_CROP.value,
        batch=_BATCH.value,
        jit_compile=_JIT.value,
    )
    if _JSON.value:
        print(json.dumps(rows, indent=1))
    else:
        _print_table(rows, _MODELS.value[-1])


def _print_table(rows: list[dict[str, Any]], reference: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model")
    for heading in (
        "step s",
        f"{reference} / it",
        "peak MB",
        "first step s",
        "parameters",
        "G multiply-adds/s",
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["model"],
            f"{row['step_seconds']:.2f}",
            f"{row[f'times_faster_than_{reference}']:.2f}",
            f"{row['peak_megabytes']:.0f}",
            f"{row['first_step_seconds']:.1f}",
            f"{row['parameters']:,}",
            f"{row['multiply_adds'] / row['step_seconds'] / 1e9:.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    command_line.run(main)

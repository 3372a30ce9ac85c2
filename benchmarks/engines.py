"""Measures what runs exported networks side by side: seconds a batch, images a second, memory.

The published architecture with random weights is exported once. Then every engine has a process of
its own, from uint8 images to class maps, and the processes take turns, one batch each, so that what
else the machine does hits all of them alike; figures are medians over the turns.

Engines: plain (the SavedModel with batch norm as it was trained), folded (the SavedModel as export
writes it), xla (the folded network, compiled by XLA), tflite (float32), tflite_float16,
tflite_int8, onnx (ONNX Runtime) and openvino (the SavedModel in OpenVINO, in float32).

All processes of one size and batch exist at the same time: where memory is short, name fewer
--engines.

Example:
  python -m benchmarks.engines
  python -m benchmarks.engines --engines=onnx,folded --sizes=513x513 --batches=1,4 --json
"""

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.errors import UserError
from benchmarks.engines_worker import ENGINES, write_exports
from benchmarks.turns import measure_in_turns

_ENGINES = flags.DEFINE_list(
    "engines", list(ENGINES), "Engines to compare; ratios are to the last."
)
_SIZES = flags.DEFINE_list("sizes", ["513x513", "1025x2049"], "Image sizes, HEIGHTxWIDTH.")
_BATCHES = flags.DEFINE_list("batches", ["1", "4", "16"], "Images at once.")
_FILTERS = flags.DEFINE_integer("filters", 20, "F of the network: 20 is S.", lower_bound=4)
_REPEATS = flags.DEFINE_integer("repeats", 5, "Turns, each one batch an engine.", lower_bound=1)
_JSON = flags.DEFINE_bool("json", False, "Print JSON with each time instead of a table.")


def main(argv: list[str]) -> None:
    del argv
    sizes = [command_line.parse_size(size, "sizes") for size in _SIZES.value]
    command_line.require_known("engines", _ENGINES.value, ENGINES)
    batches = [_batch(text) for text in _BATCHES.value]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_exports(Path(folder), _ENGINES.value, _FILTERS.value)
        for size in sizes:
            for batch in batches:
                rows += _measure(folder, size, batch)
    if _JSON.value:
        print(json.dumps(rows, indent=1))
    else:
        _print_table(rows, _ENGINES.value[-1])


def _measure(folder: str, size: tuple[int, int], batch: int) -> list[dict[str, Any]]:
    """Returns a row for each engine, measured in turns."""
    rows = measure_in_turns(
        "benchmarks.engines_worker",
        [
            {
                "model": engine,
                "folder": folder,
                "size": size,
                "batch": batch,
                "filters": _FILTERS.value,
            }
            for engine in _ENGINES.value
        ],
        _REPEATS.value,
        advice="Try smaller --sizes or --batches, or fewer --engines",
        title=f"{size[0]}x{size[1]}, {batch} at once",
        unit="batch",
    )
    for row in rows:
        median = statistics.median(row["seconds"])
        row |= {
            "size": list(size),
            "batch": batch,
            "median_seconds": median,
            "images_per_second": batch / median,
        }
    return rows


def _batch(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--batches: received {text!r}; expected numbers of images, such as 1,4,16")
    return int(text)


def _print_table(rows: list[dict[str, Any]], reference: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in ("size", "batch", "engine"):
        table.add_column(heading)
    for heading in ("median s", "images/s", f"{reference} / it", "peak MB", "first batch s"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            f"{row['size'][0]}x{row['size'][1]}",
            str(row["batch"]),
            row["model"],
            f"{row['median_seconds']:.3f}",
            f"{row['images_per_second']:.2f}",
            f"{row[f'times_faster_than_{reference}']:.2f}",
            f"{row['peak_megabytes']:.0f}",
            f"{row['first_batch_seconds']:.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    command_line.run(main)

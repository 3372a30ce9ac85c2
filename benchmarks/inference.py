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
import subprocess
import sys
from typing import Any

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.errors import UserError
from benchmarks.inference_worker import MODELS, SETTINGS

_MODELS = flags.DEFINE_list("models", list(MODELS), "Networks to compare; ratios are to the last.")
_SIZES = flags.DEFINE_list("sizes", ["513x513", "1025x2049"], "Image sizes, HEIGHTxWIDTH.")
_SETTINGS = flags.DEFINE_list("settings", list(SETTINGS), "How to run them.")
_REPEATS = flags.DEFINE_integer("repeats", 9, "Turns, each one image a network.", lower_bound=1)
_INTRA = flags.DEFINE_integer("intra_op_threads", 0, "Threads within an operation; 0: default.")
_INTER = flags.DEFINE_integer("inter_op_threads", 0, "Operations at a time; 0: default.")
_JSON = flags.DEFINE_bool("json", False, "Print JSON with each time instead of a table.")


class Worker:
    """A process that holds one network and measures it when told to."""

    def __init__(self, model: str, size: tuple[int, int], setting: str):
        arguments = {
            "model": model,
            "size": size,
            "setting": setting,
            "intra_op_threads": _INTRA.value,
            "inter_op_threads": _INTER.value,
        }
        self.model = model
        self.seconds: list[float] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.inference_worker", json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.start = self._read()

    def run(self) -> None:
        """Predicts one image and keeps its time."""
        self.seconds.append(self._ask("run")["seconds"])

    def finish(self) -> dict[str, Any]:
        """Ends the process; returns what it knows of memory and of the network."""
        end = self._ask("end")
        self._process.wait()
        return self.start | end

    def kill(self) -> None:
        """Ends the process whatever it does."""
        self._process.kill()
        self._process.wait()

    def _ask(self, question: str) -> dict[str, Any]:
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            raise UserError(
                f"the process of {self.model} ended with status {self._process.wait()}; out of "
                "memory? Try smaller --sizes or fewer --models"
            )
        return json.loads(line)


def measure(
    models: list[str], size: tuple[int, int], setting: str, repeats: int
) -> list[dict[str, Any]]:
    """Returns a row for each model, measured in turns."""
    import numpy as np
    from tqdm import tqdm

    workers: list[Worker] = []
    try:
        title = f"{size[0]}x{size[1]} {setting}"
        with tqdm(total=len(models) * (repeats + 1), desc=title, unit="image") as bar:
            for model in models:
                workers.append(Worker(model, size, setting))
                bar.update()
            for _ in range(repeats):
                for worker in workers:
                    worker.run()
                    bar.update()
        rows = []
        for worker in workers:
            # Of each turn, so that slow moments of the machine drop out.
            ratios = np.divide(workers[-1].seconds, worker.seconds)
            rows.append(
                {
                    "model": worker.model,
                    "size": list(size),
                    "setting": setting,
                    "median_seconds": float(np.median(worker.seconds)),
                    "fastest_seconds": min(worker.seconds),
                    f"times_faster_than_{models[-1]}": float(np.median(ratios)),
                    "seconds": worker.seconds,
                    **worker.finish(),
                }
            )
        return rows
    finally:
        for worker in workers:
            worker.kill()


def main(argv: list[str]) -> None:
    del argv
    sizes = [command_line.parse_size(size, "sizes") for size in _SIZES.value]
    for flag, values, known in (
        ("models", _MODELS.value, MODELS),
        ("settings", _SETTINGS.value, SETTINGS),
    ):
        for value in values:
            if value not in known:
                raise UserError(
                    f"--{flag}: received {value!r}{command_line.near_matches(value, known)}"
                )
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

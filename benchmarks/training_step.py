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
import subprocess
import sys
from typing import Any

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.errors import UserError
from benchmarks.inference_worker import MODELS

_MODELS = flags.DEFINE_list(
    "models", ["S", "deeplabv3plus"], "Networks to compare; ratios are to the last."
)
_CROP = flags.DEFINE_integer("crop", 513, "Height and width of the images.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 2, "Images a step.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 3, "Turns, each one step a network.", lower_bound=1)
_JIT = flags.DEFINE_bool("jit_compile", False, "Compile the steps with XLA.")
_JSON = flags.DEFINE_bool("json", False, "Print JSON with each time instead of a table.")


class Worker:
    """A process that holds one network and runs a step when told to."""

    def __init__(self, **arguments):
        self.model = arguments["model"]
        self.seconds: list[float] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training_step_worker", json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.start = self._read()

    def run(self) -> None:
        """Runs one step and keeps its time."""
        self.seconds.append(self._ask("run")["seconds"])

    def finish(self) -> dict[str, Any]:
        """Ends the process; returns what it knows of memory and of the network."""
        return self.start | self._ask("end")

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
                "memory? Try a smaller --crop or --batch"
            )
        return json.loads(line)


def measure(models: list[str], steps: int, **setting) -> list[dict[str, Any]]:
    """Returns a row for each model, measured in turns; `setting` is the worker's."""
    import numpy as np
    from tqdm import tqdm

    workers: list[Worker] = []
    try:
        with tqdm(total=len(models) * (steps + 1), desc="training", unit="step") as bar:
            for model in models:
                workers.append(Worker(model=model, **setting))
                bar.update()
            for _ in range(steps):
                for worker in workers:
                    worker.run()
                    bar.update()
        return [
            {
                "model": worker.model,
                **setting,
                "step_seconds": float(np.median(worker.seconds)),
                # Of each turn, so that slow moments of the machine drop out.
                f"times_faster_than_{models[-1]}": float(
                    np.median(np.divide(workers[-1].seconds, worker.seconds))
                ),
                "seconds": worker.seconds,
                **worker.finish(),
            }
            for worker in workers
        ]
    finally:
        for worker in workers:
            worker.kill()


def main(argv: list[str]) -> None:
    del argv
    for model in _MODELS.value:
        if model not in MODELS:
            raise UserError(
                f"--models: received {model!r}{command_line.near_matches(model, MODELS)}"
            )
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

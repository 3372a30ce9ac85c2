"""Measures a training step of the final network beside DeepLabv3+: seconds and peak memory.

Images and labels are random, from a fixed seed; a step is a whole one: gradients, weight decay, SGD
with momentum. Each network has a process of its own; the processes take turns, one step each, so
that what else the machine does hits all of them alike.

Models: S, M, L (the published architecture with 20, 32, 48 filters) and deeplabv3plus (ResNet-101).

Example:
  python -m benchmarks.training_step
  python -m benchmarks.training_step --crop=321 --steps=5 --json
"""

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import require_known
from benchmarks.measuring.results import Row, show
from benchmarks.measuring.taking_turns import measure_in_turns
from benchmarks.workers.networks import MODELS

_MODELS = flags.DEFINE_list(
    "models", ["S", "deeplabv3plus"], "Networks to compare; ratios are to the last."
)
_CROP = flags.DEFINE_integer("crop", 513, "Height and width of the images.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 2, "Images a step.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 3, "Turns, each one step a network.", lower_bound=1)
_JIT = flags.DEFINE_bool("jit_compile", False, "Compile the steps with XLA.")
_JSON = flags.DEFINE_bool("json", False, "Print JSON with each time instead of a table.")


def measure(models: list[str], steps: int, **setting) -> list[Row]:
    """Returns a row for each model, measured in turns; `setting` is the worker's."""
    rows = measure_in_turns(
        "benchmarks.workers.training_step",
        [{"model": model, **setting} for model in models],
        steps,
        advice="Try a smaller --crop or --batch",
        title="training",
        unit="step",
    )
    return [row | setting for row in rows]


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
    reference = _MODELS.value[-1]
    show(
        rows,
        {"model": lambda row: row["model"]},
        {
            "step s": lambda row: f"{row['median_seconds']:.2f}",
            f"{reference} / it": lambda row: f"{row[f'times_faster_than_{reference}']:.2f}",
            "peak MB": lambda row: f"{row['peak_megabytes']:.0f}",
            "first step s": lambda row: f"{row['first_step_seconds']:.1f}",
            "parameters": lambda row: f"{row['parameters']:,}",
            "G multiply-adds/s": lambda row: (
                f"{row['multiply_adds'] / row['median_seconds'] / 1e9:.0f}"
            ),
        },
        as_json=_JSON.value,
    )


if __name__ == "__main__":
    command_line.run(main)

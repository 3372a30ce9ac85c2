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

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations.errors import require_known
from benchmarks.measuring.results import Row, show, size_of
from benchmarks.measuring.taking_turns import measure_in_turns
from benchmarks.workers.networks import MODELS

SETTINGS = ("plain", "folded", "xla")

_MODELS = flags.DEFINE_list("models", list(MODELS), "Networks to compare; ratios are to the last.")
_SIZES = flags.DEFINE_list("sizes", ["513x513", "1025x2049"], "Image sizes, HEIGHTxWIDTH.")
_SETTINGS = flags.DEFINE_list("settings", list(SETTINGS), "How to run them.")
_REPEATS = flags.DEFINE_integer("repeats", 9, "Turns, each one image a network.", lower_bound=1)
_INTRA = flags.DEFINE_integer("intra_op_threads", 0, "Threads within an operation; 0: default.")
_INTER = flags.DEFINE_integer("inter_op_threads", 0, "Operations at a time; 0: default.")
_JSON = flags.DEFINE_bool("json", False, "Print JSON with each time instead of a table.")


def measure(models: list[str], size: tuple[int, int], setting: str, repeats: int) -> list[Row]:
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
    about = {"size": list(size), "setting": setting}
    return [row | about | {"fastest_seconds": min(row["seconds"])} for row in rows]


def main(argv: list[str]) -> None:
    del argv
    sizes = [command_line.parse_size(size, "sizes") for size in _SIZES.value]
    require_known("models", _MODELS.value, MODELS)
    require_known("settings", _SETTINGS.value, SETTINGS)
    rows = []
    for size in sizes:
        for setting in _SETTINGS.value:
            rows += measure(_MODELS.value, size, setting, _REPEATS.value)
    reference = _MODELS.value[-1]
    show(
        rows,
        {
            "size": size_of,
            "setting": lambda row: row["setting"],
            "model": lambda row: row["model"],
        },
        {
            "median s": lambda row: f"{row['median_seconds']:.3f}",
            f"{reference} / it": lambda row: f"{row[f'times_faster_than_{reference}']:.2f}",
            "peak MB": lambda row: f"{row['peak_megabytes']:.0f}",
            "first call s": lambda row: f"{row['first_call_seconds']:.1f}",
            "parameters": lambda row: f"{row['parameters']:,}",
            "G multiply-adds": lambda row: f"{row['multiply_adds'] / 1e9:.1f}",
            "G multiply-adds/s": lambda row: (
                f"{row['multiply_adds'] / 1e9 / row['median_seconds']:.0f}"
            ),
        },
        as_json=_JSON.value,
    )


if __name__ == "__main__":
    command_line.run(main)

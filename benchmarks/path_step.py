"""Measures a step of a search by single paths beside one of the mixture: seconds and peak memory.

Images and labels are random, from a fixed seed; updates are whole ones, as the search makes them.
Each has a process of its own; the processes take turns, one mixture's step or ten single paths',
so that what else the machine does hits both alike. The defaults are gin_configs/search.gin's.

Example:
  python -m benchmarks.path_step
  python -m benchmarks.path_step --crop=321 --batch=2 --layers=12 --filters=8 --classes=19
"""

from absl import flags

from auto_deeplab import command_line
from benchmarks.measuring import supernet_flags
from benchmarks.measuring.results import Row, show
from benchmarks.measuring.taking_turns import measure_in_turns

_setting = supernet_flags.define_flags(crop=97, batch=8, layers=5, blocks=5, filters=4, classes=12)
_TURNS = flags.DEFINE_integer("turns", 5, "Turns that count.", lower_bound=1)
_JSON = flags.DEFINE_bool("json", False, "Print JSON with each time instead of a table.")


def measure(update: str, turns: int, **setting: int) -> list[Row]:
    """Returns a row for single paths and one for the mixture, measured in turns.

    Args:
        update: "weights" or "arch".
        turns: How many.
        setting: The worker's other arguments.
    """
    workers = [{"model": model, "update": update, **setting} for model in ("path", "mixture")]
    rows = measure_in_turns(
        "benchmarks.workers.path_step",
        workers,
        turns,
        advice="Try a smaller --crop or --batch",
        title=update,
        unit="turn",
    )
    return [
        row
        | {
            "update": update,
            "step_seconds": row["median_seconds"] / row["steps"],
            "times_faster": row["times_faster_than_mixture"] * row["steps"],
        }
        for row in rows
    ]


def main(argv: list[str]) -> None:
    del argv
    setting = _setting()
    rows = [
        row for update in ("weights", "arch") for row in measure(update, _TURNS.value, **setting)
    ]
    show(
        rows,
        {"update": lambda row: row["update"], "sampling": lambda row: row["model"]},
        {
            "step s": lambda row: f"{row['step_seconds']:.3f}",
            "mixture / it": lambda row: f"{row['times_faster']:.1f}",
            "processor s": lambda row: f"{row['processor_seconds']:.3f}",
            "first turn s": lambda row: f"{row['first_turn_seconds']:.1f}",
            "peak MB": lambda row: f"{row['peak_megabytes']:.0f}",
        },
        as_json=_JSON.value,
    )


if __name__ == "__main__":
    command_line.run(main)

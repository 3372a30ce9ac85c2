"""Measures what runs exported networks side by side: seconds a batch, images a second, memory.

An architecture with random weights, by default the published one, is exported once. Then every
engine has a process of its own, from uint8 images to class maps, and the processes take turns, one
batch each, so that what else the machine does hits all of them alike; figures are medians over the
turns.

Engines: plain (the SavedModel with batch norm as it was trained), folded (the SavedModel as export
writes it), xla (the folded network, compiled by XLA), tflite (float32), tflite_float16,
tflite_int8, onnx (ONNX Runtime) and openvino (the SavedModel in OpenVINO, in float32).

Settings run from the smallest to the largest, and what an engine took in smaller ones tells what it
will need. Engines that do not fit into the memory together run one after the other; one that does
not fit alone is skipped, and the table says so.

With --output an interrupted run goes on: what the file has is not measured again.

Example:
  python -m benchmarks.engines --output=engines.json
  python -m benchmarks.engines --engines=onnx,folded --sizes=513x513 --batches=1,4 --json
"""

import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError, require_known
from auto_deeplab.search_space import Genotype
from benchmarks.measuring.memory_needed import expected_megabytes, free_megabytes
from benchmarks.measuring.results import Row, show, size_of
from benchmarks.measuring.taking_turns import measure_in_turns, times_faster
from benchmarks.workers.engines import ENGINES, write_exports

_ENGINES = flags.DEFINE_list(
    "engines", list(ENGINES), "Engines to compare; ratios are to the last."
)
_SIZES = flags.DEFINE_list("sizes", ["513x513", "1025x2049"], "Image sizes, HEIGHTxWIDTH.")
_BATCHES = flags.DEFINE_list("batches", ["1", "4", "16"], "Images at once.")
_GENOTYPE = command_line.define_path("genotype", "published", "The architecture: a name or a file.")
_FILTERS = flags.DEFINE_integer("filters", 20, "F of the network: 20 is S.", lower_bound=4)
_REPEATS = flags.DEFINE_integer("repeats", 5, "Turns, each one batch an engine.", lower_bound=1)
_MEMORY = flags.DEFINE_integer(
    "memory",
    None,
    "Megabytes that the processes may take together; by default what is free but for 1000.",
    lower_bound=1,
)
_OUTPUT = command_line.define_path(
    "output", None, "A JSON file that keeps what was measured, for going on later."
)
_JSON = flags.DEFINE_bool("json", False, "Print JSON with each time instead of a table.")


def main(argv: list[str]) -> None:
    del argv
    sizes = [command_line.parse_size(size, "sizes") for size in _SIZES.value]
    require_known("engines", _ENGINES.value, ENGINES)
    batches = [_batch(text) for text in _BATCHES.value]
    # A wrong name is told before the processes start.
    Genotype.load(_GENOTYPE.value)
    settings = sorted(
        ((size, batch) for size in sizes for batch in batches),
        key=lambda setting: _pixels(*setting),
    )
    measured = _Measured(Path(_OUTPUT.value) if _OUTPUT.value else None)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size, batch in settings:
            rows += _with_ratios(_measure(folder, size, batch, measured))
    _show(rows)


class _Measured:
    """The rows that were measured, in a file if there is one.

    Raises:
        UserError: The file holds something else.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows: list[Row] = []
        if path and path.exists():
            try:
                self._rows = json_files.read(path)
                for row in self._rows:
                    self.find(**{name: row[name] for name in ("model", "size", "batch")})
            except (ValueError, TypeError, KeyError) as error:
                raise UserError(
                    f"--output={path}: received {error!r}; expected what this benchmark wrote"
                ) from error

    def find(self, model: str, size: tuple[int, int], batch: int) -> Row | None:
        """Returns an engine's row in a setting, or None."""
        wanted = {"model": model, "size": list(size), "batch": batch, **_network()}
        return next((row for row in self._rows if row.items() >= wanted.items()), None)

    def add(self, rows: list[Row]) -> None:
        """Adds rows and saves all."""
        self._rows += rows
        if self._path:
            json_files.write(self._path, self._rows)

    def expected_megabytes(self, model: str, size: tuple[int, int], batch: int) -> float:
        """Returns the memory that an engine will need in a setting."""
        return expected_megabytes(
            _pixels(size, batch),
            [
                (_pixels(row["size"], row["batch"]), row["peak_megabytes"])
                for row in self._rows
                if row.items() >= {"model": model, **_network()}.items()
            ],
        )


def _measure(folder: str, size: tuple[int, int], batch: int, measured: _Measured) -> list[Row]:
    """Returns a row for each engine."""
    expected = {
        engine: measured.expected_megabytes(engine, size, batch)
        for engine in _ENGINES.value
        if not measured.find(engine, size, batch)
    }
    skipped: dict[str, str] = {}
    # All together; one by one where they do not fit together.
    groups = [list(expected)] if expected else []
    while groups:
        group = groups.pop(0)
        needed, free = sum(expected[engine] for engine in group), _MEMORY.value or free_megabytes()
        problem = f"needs about {needed:.0f} MB of memory, has {free:.0f}" if needed > free else ""
        if not problem:
            try:
                measured.add(_in_turns(folder, group, size, batch))
                continue
            except UserError as error:
                problem = str(error)
        if len(group) == 1:
            skipped[group[0]] = problem
        else:
            groups += [[engine] for engine in group]
    setting = {"size": list(size), "batch": batch}
    return [
        measured.find(engine, size, batch)
        or {"model": engine, **setting, "skipped": skipped[engine]}
        for engine in _ENGINES.value
    ]


# Not how many times faster an engine is than the last of its group, which may not be the last.
_KEPT = ("seconds", "median_seconds", "first_batch_seconds", "megabytes_before", "peak_megabytes")


def _in_turns(folder: str, engines: list[str], size: tuple[int, int], batch: int) -> list[Row]:
    _export(Path(folder), engines)
    setting = {"size": size, "batch": batch, **_network()}
    rows = measure_in_turns(
        "benchmarks.workers.engines",
        [{"model": engine, "folder": folder, **setting} for engine in engines],
        _REPEATS.value,
        advice="Try smaller --sizes or --batches",
        title=f"{size[0]}x{size[1]}, {batch} at once",
        unit="batch",
    )
    return [
        {
            "model": row["model"],
            **setting,
            "size": list(size),
            "in_turns_with": engines,
            "images_per_second": batch / row["median_seconds"],
            **{name: row[name] for name in _KEPT},
        }
        for row in rows
    ]


def _export(folder: Path, engines: list[str]) -> None:
    # In a process of its own, which gives back what converters take.
    process = multiprocessing.get_context("spawn").Process(
        target=write_exports, args=(folder, engines), kwargs=_network()
    )
    process.start()
    process.join()
    if process.exitcode:
        raise UserError(f"exporting for {', '.join(engines)} ended with status {process.exitcode}")


def _with_ratios(rows: list[Row]) -> list[Row]:
    """Adds how many times faster than the last engine each is."""
    reference = rows[-1]
    if "skipped" in reference:
        return rows
    name = f"times_faster_than_{reference['model']}"
    return [
        row
        if "skipped" in row
        else row | {name: times_faster(row["seconds"], reference["seconds"])}
        for row in rows
    ]


def _network() -> dict[str, Any]:
    return {"genotype": _GENOTYPE.value, "filters": _FILTERS.value}


def _pixels(size: tuple[int, int], batch: int) -> int:
    return size[0] * size[1] * batch


def _batch(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--batches: received {text!r}; expected numbers of images, such as 1,4,16")
    return int(text)


def _show(rows: list[Row]) -> None:
    reference = _ENGINES.value[-1]

    def figure(name: str, form: str) -> Callable[[Row], str]:
        # An engine has no ratio where the reference was skipped.
        return lambda row: format(row[name], form) if name in row else ""

    show(
        rows,
        {
            "size": size_of,
            "batch": lambda row: str(row["batch"]),
            "engine": lambda row: row["model"],
        },
        {
            "median s": lambda row: (
                "skipped" if "skipped" in row else f"{row['median_seconds']:.3f}"
            ),
            "images/s": figure("images_per_second", ".2f"),
            f"{reference} / it": figure(f"times_faster_than_{reference}", ".2f"),
            "peak MB": figure("peak_megabytes", ".0f"),
            "first batch s": figure("first_batch_seconds", ".1f"),
        },
        as_json=_JSON.value,
    )
    if not _JSON.value:
        for row in rows:
            if "skipped" in row:
                about = f"{size_of(row)}, {row['batch']} at once, {row['model']}"
                print(f"skipped: {about}: {row['skipped']}")


if __name__ == "__main__":
    command_line.run(main)

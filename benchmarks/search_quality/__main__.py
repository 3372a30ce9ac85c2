r"""How good are the networks that a search finds? Measured beside random ones, trained alike.

  python -m benchmarks.search_quality STEP --folder=runs/search_quality

The steps, in the order in which they are needed (docs/search_quality.md explains what they show):

  pilot     Trains a few random architectures from several seeds at each of --lengths, and shows the
            spread between architectures beside that between seeds.
  table     Trains the random architectures that --gin_file describes and --table does not have yet.
            Any number of processes, on hosts that see the folder, share them: run the same command
            several times, once for each core. The same command again goes on; what a killed process
            began is taken up.
  collect   Adds what `table` has finished so far to --table. With --method: writes what `train` has
            finished as --output.
  train     Trains the networks of --method, one file of --genotypes for each of its searches, as
            those of the table. Processes share them, too.
  select    Runs --repetitions of `python -m auto_deeplab.select`, each for --trainings, with random
            draws that --table has as far as it goes: those are not trained again. The result of
            each is a genotype for `train --method=select`. Processes share them, too.
  simulate  Runs --repetitions of selections for --trainings whose trainings are drawn, to compare
            settings of `Selection` in minutes.
  compare   Compares --methods (files that `collect` wrote) with --table: percentiles, regrets, and
            the best of k random networks, where k trainings cost what a search cost.
  rank      Kendall's tau between the trained networks of --table and what --search, the model_dir
            of a search in the same space, makes of them with its shared weights.
  figure    Draws --table and --methods into --output: .png, .svg or .pdf.
  planted   Generates datasets of which it is known beforehand what must win, checks that by
            training, and tells whether --search_gin_file's search finds it.

  python -m benchmarks.search_quality train --method=darts --folder=runs/darts_quality \
      --genotypes=runs/a/genotype.json,runs/b/genotype.json
  python -m benchmarks.search_quality collect --method=darts --folder=runs/darts_quality \
      --genotypes=runs/a/genotype.json,runs/b/genotype.json --search_seconds=240 \
      --output=darts.jsonl
  python -m benchmarks.search_quality compare --table=table.jsonl --methods=darts.jsonl
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from auto_deeplab import command_line
from auto_deeplab.command_line import gin_flags
from auto_deeplab.foundations.errors import UserError, near_matches

if TYPE_CHECKING:
    from benchmarks.search_quality.setting import PlannedTraining, TabularBenchmark
    from benchmarks.search_quality.shared_folder import SharedFolder
    from benchmarks.search_quality.table import Table

_GIN_FILE = command_line.define_path(
    "gin_file",
    "benchmarks/search_quality/camvid_quarter.gin",
    "How networks are drawn and trained; street_scenes.gin beside it needs no dataset.",
)
_gin_parameters = gin_flags.define_flags()
_FOLDER = command_line.define_path(
    "folder", "runs/search_quality", "Results of trainings, and claims of those that are under way."
)
_OUTPUT = command_line.define_path(
    "output", None, "The file that `collect --method` or `figure` writes."
)
_TABLE = command_line.define_path(
    "table",
    None,
    "The table to add to, to compare with or to draw; by default table_NAME.jsonl beside a "
    "--gin_file of NAME.gin.",
)
_METHODS = command_line.define_paths("methods", None, "What `collect --method` wrote, to compare.")
_METHOD = flags.DEFINE_string("method", None, "The name of what found --genotypes.")
_GENOTYPES = command_line.define_paths(
    "genotypes", None, "What a method found: a file for each of its searches."
)
_SEARCH_SECONDS = flags.DEFINE_float(
    "search_seconds",
    None,
    "Processor seconds (user and system) that one search of --method took on the table's machine.",
    lower_bound=0,
)
_LENGTHS = flags.DEFINE_list("lengths", ["300", "600"], "Steps of the pilot's trainings.")
_PILOT_ARCHITECTURES = flags.DEFINE_integer(
    "pilot_architectures", 8, "How many the pilot trains.", lower_bound=2
)
_PILOT_SEEDS = flags.DEFINE_integer("pilot_seeds", 2, "From how many seeds each.", lower_bound=2)
_SEARCH = command_line.define_path("search", None, "The model_dir of the search to `rank`.")
_COUNT = flags.DEFINE_integer(
    "count", 30, "How many networks of the table to `rank`.", lower_bound=3
)
_REPETITIONS = flags.DEFINE_integer(
    "repetitions", 5, "How many selections `select` or `simulate` runs.", lower_bound=1
)
_TRAININGS = flags.DEFINE_float(
    "trainings", 15, "The budget of each selection, in whole trainings.", lower_bound=1
)
_TASKS = flags.DEFINE_list("tasks", [], "Of `planted`; all by default.")
_SEARCH_GIN_FILE = command_line.define_path(
    "search_gin_file",
    "benchmarks/search_quality/planted_search.gin",
    "The search that `planted` tries; empty to check the plants alone.",
)
_SEEDS = flags.DEFINE_integer(
    "search_seeds", 1, "How many searches `planted` runs for each task.", lower_bound=1
)


def main(argv: list[str]) -> None:
    steps: dict[str, Callable[[], None]] = {
        "pilot": _pilot,
        "table": _table,
        "collect": _collect,
        "train": _train,
        "select": _select,
        "simulate": _simulate,
        "compare": _compare,
        "rank": _rank,
        "figure": _figure,
        "planted": _planted,
    }
    if argv[1] not in steps:
        raise UserError(f"STEP: received {argv[1]!r}{near_matches(argv[1], steps)}")
    steps[argv[1]]()


def _configure() -> "TabularBenchmark":
    """Makes --gin_file the configuration; returns the benchmark that it describes."""
    from auto_deeplab.foundations import gin_files

    path = gin_files.find(_GIN_FILE.value)
    from auto_deeplab.training.runtime import configure_runtime
    from benchmarks.search_quality.setting import TabularBenchmark

    gin_files.load(path, _gin_parameters())
    configure_runtime()
    with gin_files.explaining_calls():
        return TabularBenchmark()


def _work(
    folder: Path, planned: Sequence["PlannedTraining"], validations: int = 1, **values: Any
) -> None:
    """Trains what is planned, together with other processes; `values` replace `Retrain`'s."""
    from auto_deeplab.foundations import gin_files
    from benchmarks.search_quality.shared_folder import SharedFolder
    from benchmarks.search_quality.training import configured_dataset, train
    from benchmarks.search_quality.work import shared_setting, work

    with gin_files.explaining_calls():
        work(
            SharedFolder(folder),
            planned,
            train=lambda training: train(training, validations, **values),
            setting=lambda: shared_setting(configured_dataset()),
        )


def _pilot() -> None:
    from benchmarks.search_quality.pilot import PILOT_VALIDATIONS, show_spreads
    from benchmarks.search_quality.setting import plan
    from benchmarks.search_quality.shared_folder import SharedFolder

    benchmark = _configure()
    genotypes = [benchmark.genotype(number + 1) for number in range(_PILOT_ARCHITECTURES.value)]
    planned = plan(genotypes, _PILOT_SEEDS.value)
    folders = {}
    for text in _LENGTHS.value:
        if not text.isdecimal() or not int(text):
            raise UserError(f"--lengths: received {text!r}; expected numbers of steps, such as 150")
        folders[int(text)] = Path(_FOLDER.value) / "pilot" / f"steps_{int(text)}"
    for steps, folder in folders.items():
        _work(folder, planned, PILOT_VALIDATIONS, steps=steps)
    show_spreads({steps: SharedFolder(folder) for steps, folder in folders.items()}, planned)


def _table() -> None:
    from benchmarks.search_quality.shared_folder import SharedFolder

    planned = _configure().trainings()
    folder = Path(_FOLDER.value)
    table = _earlier_table(SharedFolder(folder))
    if table is not None:
        left = [training for training in planned if not table.has(training)]
        known = len(planned) - len(left)
        print(f"{_table_path()} has {known} of {len(planned)} trainings", flush=True)
        planned = left
    _work(folder, planned)
    print(f"done: results are in {folder}; `collect` adds them to {_table_path()}")


def _train() -> None:
    _configure()
    _work(Path(_FOLDER.value), _found())
    print(f"done: results are in {_FOLDER.value}; `collect` writes them as one file")


def _collect() -> None:
    from benchmarks.search_quality.shared_folder import SharedFolder
    from benchmarks.search_quality.table import collect

    folder = SharedFolder(Path(_FOLDER.value))
    benchmark = _configure()
    if _METHOD.value is None:
        output, earlier = _table_path(), _earlier_table(folder)
        table = collect(folder, benchmark.trainings(), "table", dataclasses.asdict(benchmark))
        table = earlier.joined(table) if earlier else table
    else:
        output = _needed("output", _OUTPUT.value)
        seconds = _needed("search_seconds", _SEARCH_SECONDS.value)
        table = collect(folder, _found(), _METHOD.value, search_seconds=seconds)
    table.save(output)
    trainings = sum(len(entry.trainings) for entry in table.entries)
    print(f"{len(table.entries)} networks with {trainings} trainings written to {output}")


def _table_path() -> Path:
    """Returns --table, or what stands for it."""
    if _TABLE.value:
        return Path(_TABLE.value)
    gin_file = Path(_GIN_FILE.value)
    return gin_file.with_name(f"table_{gin_file.stem}.jsonl")


def _earlier_table(folder: "SharedFolder") -> "Table | None":
    """Returns the table to add to, if there is one.

    Raises:
        UserError: The table, or the folder, has results of another setting.
    """
    from benchmarks.search_quality.table import Table
    from benchmarks.search_quality.work import configured_values

    if not _table_path().exists():
        return None
    table = Table.load(_table_path())
    table.require_values(configured_values(), _GIN_FILE.value)
    folder.agree_on(table.header.setting)
    return table


def _found() -> list["PlannedTraining"]:
    """Returns a training of each of --genotypes, named after --method.

    Raises:
        UserError: One of both flags is missing.
    """
    from auto_deeplab.search_space import Genotype
    from benchmarks.search_quality.setting import plan

    method = _needed("method", _METHOD.value)
    files = _needed("genotypes", _GENOTYPES.value)
    if not method.replace("_", "").replace("-", "").isalnum():
        raise UserError(
            f"--method: received {method!r}; expected letters, digits, _ and -: it is part of file "
            "names"
        )
    return plan(
        [
            dataclasses.replace(Genotype.load(file), name=f"{method}_{number}", provenance=None)
            for number, file in enumerate(files)
        ],
        seeds=1,
    )


def _select() -> None:
    from auto_deeplab.foundations import gin_files
    from benchmarks.search_quality.selecting import select
    from benchmarks.search_quality.table import Table

    select(
        gin_files.find(_GIN_FILE.value),
        _gin_parameters(),
        Path(_FOLDER.value),
        Table.load(_table_path()),
        _REPETITIONS.value,
        _TRAININGS.value,
    )


def _simulate() -> None:
    from auto_deeplab.foundations import gin_files
    from auto_deeplab.selection.settings import Selection
    from benchmarks.search_quality.simulation import show_percentiles

    gin_files.load(gin_files.find(_GIN_FILE.value), _gin_parameters())
    with gin_files.explaining_calls():
        settings = Selection()
    show_percentiles(settings, _TRAININGS.value, _REPETITIONS.value)


def _compare() -> None:
    from benchmarks.search_quality.reading import show_comparison

    show_comparison(_table_path(), _needed("methods", _METHODS.value))


def _rank() -> None:
    from benchmarks.search_quality.ranking import show_ranking

    show_ranking(_table_path(), _needed("search", _SEARCH.value), _COUNT.value)


def _figure() -> None:
    from auto_deeplab.visualization.figures import save_figure
    from benchmarks.search_quality.figure import table_figure
    from benchmarks.search_quality.reading import load_methods
    from benchmarks.search_quality.table import Table

    output = _needed("output", _OUTPUT.value)
    table = Table.load(_table_path())
    save_figure(table_figure(table, load_methods(table, _METHODS.value or [])), output)
    print(f"written to {output}")


def _planted() -> None:
    from benchmarks.search_quality.planted.verdicts import show_verdicts, verdicts

    folder = Path(_FOLDER.value) / "planted"
    show_verdicts(verdicts(folder, _TASKS.value, _SEARCH_GIN_FILE.value or None, _SEEDS.value))


def _needed(flag: str, value: Any) -> Any:
    """Returns the value of a flag that the step needs.

    Raises:
        UserError: It has none.
    """
    if value in (None, [], ""):
        raise UserError(f"--{flag}: received nothing; expected a value, see --help")
    return value


if __name__ == "__main__":
    command_line.run(main, ["STEP"])

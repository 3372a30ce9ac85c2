"""Whether a plant holds, and whether a search finds what was planted.

Both are told by training networks for real, by their pixel accuracy, of which a coin has 50%: a
plant holds where its right network beats its wrong one clearly; a search passes where the
network that it found comes most of the way from the wrong one's accuracy to the right one's,
whatever it looks like. How much of it is `skip` is shown beside.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from auto_deeplab.foundations import gin_files
from auto_deeplab.foundations.errors import UserError, require_known
from auto_deeplab.search_space import Genotype
from benchmarks.measuring.results import Row, show
from benchmarks.search_quality.planted.tasks import TASKS, PlantedTask
from benchmarks.search_quality.setting import PlannedTraining
from benchmarks.search_quality.shared_folder import SharedFolder
from benchmarks.search_quality.training import configured_dataset, train
from benchmarks.search_quality.work import shared_setting, work

GIN_FILE = "benchmarks/search_quality/planted.gin"
# Shares of pixels: what "clearly" is, and how much of the way is most of it.
CLEARLY = 0.15
MOST_OF_THE_WAY = 0.75


def plant_holds(right: float, wrong: float) -> bool:
    """Whether the right network's pixel accuracy is clearly above the wrong one's."""
    return right - wrong >= CLEARLY


def search_passes(found: float, right: float, wrong: float) -> bool:
    """Whether a found network's pixel accuracy is most of the way from the wrong to the right."""
    return found >= wrong + MOST_OF_THE_WAY * (right - wrong)


def configure(task: PlantedTask, dataset: Path, parameters: Sequence[str] = ()) -> None:
    """Makes gin's configuration that of the task's trainings.

    Args:
        task: Which one.
        dataset: Its folder.
        parameters: Further gin parameters.
    """
    gin_files.load(GIN_FILE, [*dataset_parameters("Retrain", task, dataset), *parameters])


def dataset_parameters(job: str, task: PlantedTask, dataset: Path) -> list[str]:
    """Returns the gin parameters that bring a task's dataset to "Search" or "Retrain"."""
    return [f"{job}.dataset = {str(dataset)!r}", f"training_batches.crop_size = {task.size}"]


def train_networks(
    folder: Path, planned: Sequence[PlannedTraining], train_one=train
) -> dict[str, float]:
    """Trains networks, but for those that the folder has; returns their pixel accuracies by name.

    Args:
        folder: Of the results.
        planned: The networks.
        train_one: Trains one.
    """
    shared = SharedFolder(folder)
    work(
        shared,
        planned,
        train=train_one,
        setting=lambda: shared_setting(configured_dataset()),
    )
    return {
        each.genotype.name: shared.result(each.key)["training"]["pixel_accuracy"]
        for each in planned
    }


def verdicts(
    folder: Path, tasks: Sequence[str], search_gin_file: str | None, seeds: int
) -> list[Row]:
    """Returns for each task whether it holds, and for each search whether it finds its answer.

    Args:
        folder: Of the datasets, the searches and the results; what it has is not made again.
        tasks: Names; all by default.
        search_gin_file: The search; None for none.
        seeds: From how many seeds to search.

    Returns:
        A row for each search, or for each task where there is none: "task", "right" and "wrong"
        (pixel accuracies), "holds"; of a search also "genotype", "found" (its pixel accuracy) and
        "passes".

    Raises:
        UserError: There is no such task, or a search fails.
    """
    require_known("tasks", tasks, TASKS)
    rows: list[Row] = []
    for name in tasks or TASKS:
        task = TASKS[name]
        dataset = task.write(folder / name / "dataset")
        configure(task, dataset)
        planned = [PlannedTraining(genotype, 0) for genotype in (task.right, task.wrong)]
        found = []
        if search_gin_file:
            for seed in range(seeds):
                genotype = _search(search_gin_file, task, dataset, folder / name, seed)
                found.append(genotype)
                planned.append(PlannedTraining(genotype, 0))
        accuracies = train_networks(folder / name / "trainings", planned)
        right, wrong = (accuracies[each.name] for each in (task.right, task.wrong))
        holds = plant_holds(right, wrong)
        plain = {"task": name, "right": right, "wrong": wrong, "holds": holds}
        rows += [
            plain
            | {
                "found": accuracies[genotype.name],
                "genotype": genotype,
                "passes": holds and search_passes(accuracies[genotype.name], right, wrong),
            }
            for genotype in found
        ] or [plain]
    return rows


def show_verdicts(rows: Sequence[Row]) -> None:
    """Prints what `verdicts` returns."""
    show(
        rows,
        {
            "task": lambda row: row["task"],
            "plant": lambda row: "holds" if row["holds"] else "fails",
            "search": lambda row: (
                "-" if "found" not in row else "passes" if row["passes"] else "fails"
            ),
            "found": lambda row: _shape(row["genotype"]) if "genotype" in row else "",
        },
        {
            "right": lambda row: f"{row['right']:.1%}",
            "wrong": lambda row: f"{row['wrong']:.1%}",
            "of the search": lambda row: f"{row['found']:.1%}" if "found" in row else "",
        },
        as_json=False,
        title="Pixel accuracy; a coin has 50%",
    )


def _search(gin_file: str, task: PlantedTask, dataset: Path, folder: Path, seed: int) -> Genotype:
    """Returns what a search finds in a task's dataset, as users run it."""
    model_dir = folder / f"search_seed_{seed}"
    parameters = [*dataset_parameters("Search", task, dataset), f"Search.seed = {seed}"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "auto_deeplab.train"),
            *(f"--gin_file={gin_file}", f"--model_dir={model_dir}"),
            *(f"--gin_param={parameter}" for parameter in parameters),
        ],
        check=False,
    )
    if done.returncode:
        raise UserError(
            f"--search_gin_file: the search of {task.name} from seed {seed} ended with status "
            f"{done.returncode}: its message is above"
        )
    genotype = Genotype.load(model_dir / "genotype.json")
    return Genotype(f"found_{seed}", genotype.network, genotype.cell)


def _shape(genotype: Genotype) -> str:
    """Returns the path and the operations, for people."""
    operations = [branch.op for block in genotype.cell for branch in block]
    counts = {name: operations.count(name) for name in dict.fromkeys(operations)}
    path = "-".join(map(str, genotype.network))
    return f"{path}; " + ", ".join(f"{count} {name}" for name, count in counts.items())

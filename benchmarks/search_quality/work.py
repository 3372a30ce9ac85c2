"""What a worker does: it trains whatever nobody has trained or claimed, until all is done."""

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import gin

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.runs.setting import comparable_values
from auto_deeplab.runs.versions import machine_name, package_versions
from benchmarks.search_quality.setting import PlannedTraining
from benchmarks.search_quality.shared_folder import SharedFolder
from benchmarks.search_quality.training import TrainedNetwork

# What differs between workers, or between the trainings of one table.
_OWN = {
    "Retrain.dataset",
    "Retrain.genotype",
    "Retrain.seed",
    "street_scenes.directory",
    "street_scenes.workers",
    "configure_runtime",
    "TabularBenchmark",
}
_POLL_SECONDS = 5.0

TrainOne = Callable[[PlannedTraining], TrainedNetwork]


def configured_values() -> dict[str, str]:
    """Returns what the loaded gin files set of that which all trainings of a folder share."""
    return comparable_values(gin.config_str(), _OWN)


def shared_setting(dataset_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns what all trainings of a folder have in common, as JSON values.

    Call it when everything is configured: the values in effect are known only then.

    Args:
        dataset_dir: The dataset that they train on.
    """
    values = comparable_values(gin.operative_config_str(), _OWN)
    description = dataclasses.asdict(DatasetDescription.load(dataset_dir))
    # The same images may have been converted from different folders.
    del description["source"]
    return {"values": values, "dataset": description}


def work(
    folder: SharedFolder,
    planned: Sequence[PlannedTraining],
    train: TrainOne,
    setting: Callable[[], dict[str, Any]],
    poll_seconds: float = _POLL_SECONDS,
    tell: Callable[[str], None] = lambda line: print(line, flush=True),
) -> None:
    """Trains all that is planned, together with whoever works on the same folder.

    It returns when all results are there. What others have claimed is waited for, and trained here
    where they do not finish it.

    Args:
        folder: Where results and claims are.
        planned: What to train, in this order.
        train: Trains one network.
        setting: Returns what all results have in common; called after a training.
        poll_seconds: How often to look what others have finished, when nothing else is left.
        tell: Is given a line after each training.

    Raises:
        UserError: The folder has results of another setting, or a training is refused.
    """
    machine = machine_name()
    own_seconds: list[float] = []
    while left := [each for each in planned if each.key not in folder.finished()]:
        trained = False
        for training in left:
            with folder.claim(training.key) as is_ours:
                if not is_ours:
                    continue
                started = time.monotonic()
                network = train(training)
                folder.agree_on(setting())
                folder.write_result(
                    training.key,
                    {
                        "name": training.genotype.name,
                        "genotype": genotype_json(training),
                        **dataclasses.asdict(network),
                        "machine": machine,
                        "versions": package_versions(),
                    },
                )
            own_seconds.append(time.monotonic() - started)
            trained = True
            workers = len({*folder.claimed(), "this one"})
            tell(_progress(folder, planned, training, network, own_seconds, workers))
        if not trained and left:
            time.sleep(poll_seconds)


def genotype_json(training: PlannedTraining) -> dict[str, Any]:
    """Returns a genotype's path and cell as JSON values."""
    genotype = training.genotype
    return {
        "network": list(genotype.network),
        "cell": [[list(branch) for branch in block] for block in genotype.cell],
    }


def _progress(
    folder: SharedFolder,
    planned: Sequence[PlannedTraining],
    training: PlannedTraining,
    network: TrainedNetwork,
    own_seconds: Sequence[float],
    workers: int,
) -> str:
    finished = len(folder.finished() & {each.key for each in planned})
    left = (len(planned) - finished) * statistics.fmean(own_seconds[-10:]) / workers
    hours, minutes = divmod(round(left / 60), 60)
    measured = network.training
    return (
        f"{finished}/{len(planned)}  {training.genotype.name} seed {training.seed}: "
        f"mIOU {measured.mean_iou:.2%}, pixel accuracy {measured.pixel_accuracy:.2%}, "
        f"{measured.seconds:.0f} s; about {hours} h {minutes:02} min left with {workers} "
        f"worker{'s' if workers > 1 else ''}"
    )

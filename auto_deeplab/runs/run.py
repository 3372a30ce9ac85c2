"""What runs left in their folders, for the report to show."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field

from auto_deeplab.evaluation.metrics import ConfusionMatrix
from auto_deeplab.evaluation.result import read_document
from auto_deeplab.foundations import gin_files, json_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.runs.model_dir import EpochMetrics, Figure, ModelDir
from auto_deeplab.runs.selection import Candidate, SelectionDir
from auto_deeplab.search_space import Genotype, HistoryEntry, Relaxation, searched_relaxation

_TRIAL_SEED = "Search.seed"


class _TimedEpoch(EpochMetrics):
    """A line of metrics.jsonl with what it took."""

    seconds_per_step: Annotated[Figure, Field(ge=0)]
    validation_seconds: Annotated[Figure, Field(ge=0)]


class _Provenance(BaseModel):
    """What the report shows of a genotype's provenance."""

    packages: dict[str, str] = {}


@dataclass(frozen=True)
class Evaluation:
    """An evaluation_*.json.

    Attributes:
        name: What tells it from the run's other ones, such as "val".
        split: The split that was evaluated.
        dataset: The dataset's name.
        images: How many images.
        step: The training step of the weights; None for an exported network.
        checkpoint: How they were chosen, "latest" or "best"; None for an exported network.
        class_names: The name of each class.
        matrix: The confusion matrix.
        figures: Every single number between 0 and 1 of the file, by name.
        views: How images were predicted, for people.
    """

    name: str
    split: str
    dataset: str
    images: int
    step: int | None
    checkpoint: str | None
    class_names: tuple[str, ...]
    matrix: ConfusionMatrix
    figures: dict[str, float]
    views: str


@dataclass(frozen=True)
class Run:
    """A folder that `train` wrote, and perhaps `evaluate`; or one that `select` wrote.

    Attributes:
        name: Short, and different from that of every other run of the report.
        path: The folder.
        config_text: The operative configuration.
        values: Its values by parameter, see `gin_files.Binding`.
        metrics: One dictionary an epoch; empty before the first ended.
        history: Alpha and beta after each epoch; empty for what is no search.
        genotype: Found or retrained; None where there is none (yet).
        evaluations: In the order of their files' names.
        sessions: When the training was started or continued, and with what.
        candidates: Of a selection; empty for what is none.
    """

    name: str
    path: Path
    config_text: str
    values: dict[str, Any]
    metrics: list[dict[str, Any]]
    history: list[HistoryEntry]
    genotype: Genotype | None
    evaluations: list[Evaluation]
    sessions: list[dict[str, Any]]
    candidates: list[Candidate]

    @property
    def config(self) -> dict[str, str]:
        """The configuration's values as text, by parameter."""
        return {name: repr(value) for name, value in self.values.items()}

    @property
    def is_search(self) -> bool:
        """Whether it looks for an architecture; else it trains one network."""
        return self.values.get("configured_job.job") == gin_files.Reference("Search", True)

    @property
    def kind(self) -> str:
        """What it is, for people."""
        if self.candidates:
            return "selection"
        return "search" if self.is_search else "training"

    @property
    def seed(self) -> str | None:
        """The seed that it was configured with."""
        return self.config.get(_TRIAL_SEED if self.is_search else "Retrain.seed")

    @property
    def warm_up_epochs(self) -> int | None:
        """After how many epochs a search began with alpha and beta, if its configuration tells."""
        epochs = self.values.get("Search.warm_up_epochs")
        return epochs if type(epochs) is int and 0 <= epochs < 10**9 else None

    @property
    def relaxation(self) -> Relaxation | None:
        """The alpha and beta that the genotype was decoded from, if it tells."""
        if self.genotype is None:
            return None
        return searched_relaxation(self.genotype, ModelDir(self.path).genotype)

    @property
    def packages(self) -> dict[str, str]:
        """The versions that it last ran with; empty where they were not noted."""
        if self.sessions:
            return self.sessions[-1]["packages"]
        # A training's genotype tells with what it was searched.
        if self.is_search and self.genotype and self.genotype.provenance:
            return self.genotype.provenance.get("packages", {})
        return {}

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """Returns the steps and the values of one of the metrics, where it has one."""
        lines = [line for line in self.metrics if line.get(name) is not None]
        return [line["step"] for line in lines], [line[name] for line in lines]

    @property
    def training_seconds(self) -> float:
        """What its steps took together, pauses between sessions left out."""
        steps = np.diff([0, *(line["step"] for line in self.metrics)])
        return float(
            sum(n * m["seconds_per_step"] for n, m in zip(steps, self.metrics, strict=True))
        )

    @property
    def validation_seconds(self) -> float:
        """What its validations took together."""
        return float(sum(line["validation_seconds"] for line in self.metrics))


def find_runs(folders: Sequence[str | os.PathLike]) -> list[Run]:
    """Reads runs: each folder is that of a run, or holds those of several.

    Raises:
        UserError: A folder is neither, or a file in it is wrong.
    """
    found: list[Path] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; expected one that train wrote")
        inside = (
            [folder] if _is_run(folder) else sorted(filter(_is_run, folder.iterdir()), key=_natural)
        )
        if not inside:
            raise UserError(
                f"{folder}: neither it nor a folder in it has a {ModelDir(folder).config.name}; "
                "expected a folder that train or trials wrote"
            )
        found += inside
    # Once each, however they are written.
    paths = list({path.resolve(): path for path in found}.values())
    return [read_run(path, name) for path, name in zip(paths, _names(paths), strict=True)]


def read_run(path: Path, name: str) -> Run:
    """Reads the folder of one run.

    Raises:
        UserError: A file is wrong; the message names it.
    """
    folder = ModelDir(path)
    config_text = json_files.read_text(folder.config)
    genotype = Genotype.load(folder.genotype) if folder.genotype.exists() else None
    if genotype is not None and genotype.provenance is not None:
        json_files.check(genotype.provenance, _Provenance, f"{folder.genotype}: provenance")
        searched_relaxation(genotype, folder.genotype)
    return Run(
        name=name,
        path=path,
        config_text=config_text,
        values=parse_config(config_text, str(folder.config)),
        metrics=folder.read_metrics(_TimedEpoch),
        history=folder.read_history(),
        genotype=genotype,
        evaluations=[read_evaluation(file) for file in sorted(path.glob("evaluation_*.json"))],
        sessions=folder.read_sessions(),
        candidates=SelectionDir(path).read_candidates(),
    )


def read_evaluation(path: Path) -> Evaluation:
    """Reads what `evaluate` wrote.

    Raises:
        UserError: The file is no such JSON.
    """
    document = read_document(path)
    matrix = ConfusionMatrix(len(document["classes"]))
    matrix.counts += np.array(document["confusion_matrix"], np.int64)
    return Evaluation(
        name=path.stem.removeprefix("evaluation_"),
        split=document["split"],
        dataset=document["dataset"],
        images=document["images"],
        step=document["step"],
        checkpoint=document.get("checkpoint", "latest"),
        class_names=tuple(entry["name"] for entry in document["classes"]),
        matrix=matrix,
        figures={
            key: value
            for key, value in document.items()
            if isinstance(value, float) and 0 <= value <= 1
        },
        views=_views(**{key: document.get(key) for key in ("scales", "flip", "window")}),
    )


def _views(scales: list[float] | None, flip: bool | None, window: list[int] | None) -> str:
    parts = ["x".join(map(str, window)) + " windows" if window else "whole images"]
    if scales and scales != [1]:
        parts.append("scales " + ", ".join(f"{scale:g}" for scale in scales))
    if flip:
        parts.append("mirrored, too")
    return "; ".join(parts)


def parse_config(text: str, source: str = "config.gin") -> dict[str, Any]:
    """Returns the values of an operative gin configuration, by parameter.

    Raises:
        UserError: The text is none.
    """
    return {binding.name: binding.value for binding in gin_files.read_bindings(text, source)}


def group_trials(runs: Iterable[Run]) -> list[list[Run]]:
    """Returns the searches in groups: those of one group differ in their seed alone."""
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        if run.is_search:
            same = {name: value for name, value in run.config.items() if name != _TRIAL_SEED}
            groups.setdefault(tuple(sorted(same.items())), []).append(run)
    return list(groups.values())


def differing_values(runs: Sequence[Run]) -> dict[str, list[str | None]]:
    """Returns, by parameter, the value of each run, for those that are not the same in all.

    None stands for a parameter that a run does not have.
    """
    names = dict.fromkeys(name for run in runs for name in run.config)
    values = {name: [run.config.get(name) for run in runs] for name in sorted(names)}
    return {name: row for name, row in values.items() if len(set(row)) > 1}


def _is_run(folder: Path) -> bool:
    return ModelDir(folder).config.is_file()


def _names(paths: Sequence[Path]) -> list[str]:
    """Returns the folders' names, with as many of those above them as tell them apart."""
    parts = [path.resolve().parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]).lstrip("/") for part in parts]
        if len(set(names)) == len(names):
            break
    return names


def _natural(path: Path) -> list[int | str]:
    """A key that sorts seed_10 after seed_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]

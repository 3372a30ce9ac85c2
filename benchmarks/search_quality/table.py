"""The table as a versioned file: first what all trainings share, then one network a line.

A line holds a network with all its trainings, so that a further one changes a single line.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import Branch, Genotype
from benchmarks.search_quality.setting import PlannedTraining
from benchmarks.search_quality.shared_folder import SharedFolder

FORMAT: Literal[1] = 1


class TableTraining(BaseModel):
    """One training of an entry, as `training.Training` has it, and on which machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    steps: int
    mean_iou: float
    pixel_accuracy: float
    loss: float | None
    seconds: float
    cpu_seconds: float
    machine: str


class Entry(BaseModel):
    """A network of a table.

    Args:
        name: Of the genotype.
        network: The stride of each layer.
        cell: The branches of each block: input and operation.
        parameters: Trainable ones.
        multiply_adds: Of its convolutions, for one validation image.
        trainings: By seed, in order; the first counts wherever networks are compared: the mean of
            several has less noise than the single result of another network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    network: list[int]
    cell: list[list[list[str]]]
    parameters: int
    multiply_adds: int
    trainings: list[TableTraining]

    @property
    def genotype(self) -> Genotype:
        """The architecture."""
        cell = tuple((Branch(*left), Branch(*right)) for left, right in self.cell)
        return Genotype(self.name, tuple(self.network), cell)

    def is_of(self, genotype: Genotype) -> bool:
        """Whether a network that was drawn is this one.

        Raises:
            UserError: It has this one's name, and is another one.
        """
        if genotype.name == self.name and genotype != self.genotype:
            raise UserError(
                f"--table: {self.name} is another network there than among those to train; "
                "expected the table of the same draws, so of the same --gin_file, or a new file"
            )
        return genotype.name == self.name

    @property
    def mean_iou(self) -> float:
        """Of the first training."""
        return self.trainings[0].mean_iou


class Header(BaseModel):
    """What all entries share.

    Args:
        format: Of the file.
        name: "table", or a method's.
        setting: The configuration in effect and the dataset, see `work.shared_setting`.
        space: The space that random ones are drawn from, and how; None for a method.
        search_seconds: What one search of the method cost, with the machine of the table; None for
            the table.
        versions: Of the packages; several where the trainings had different ones.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1]
    name: str
    setting: dict[str, Any]
    space: dict[str, Any] | None = None
    search_seconds: float | None = None
    versions: list[dict[str, str]]


@dataclasses.dataclass(frozen=True)
class Table:
    """Networks that were trained alike.

    Args:
        header: What they share.
        entries: The networks.
    """

    header: Header
    entries: Sequence[Entry]

    @property
    def mean_ious(self) -> np.ndarray:
        """One for each entry, float64, 0 to 1."""
        return np.array([entry.mean_iou for entry in self.entries])

    @property
    def seconds_per_training(self) -> float:
        """The median of processor seconds, which other work on the machine hardly changes."""
        return float(
            np.median([each.cpu_seconds for entry in self.entries for each in entry.trainings])
        )

    def groups(self) -> list[list[float]]:
        """Returns the mIOU of each entry that was trained from several seeds."""
        return [
            [each.mean_iou for each in entry.trainings]
            for entry in self.entries
            if len(entry.trainings) > 1
        ]

    def has(self, training: PlannedTraining) -> bool:
        """Whether a training is here.

        Raises:
            UserError: The network of that name is another one here.
        """
        return any(
            each.seed == training.seed
            for entry in self.entries
            if entry.is_of(training.genotype)
            for each in entry.trainings
        )

    def require_values(self, values: Mapping[str, str], gin_file: str) -> None:
        """Looks whether a gin file trains as the table's networks were trained.

        Args:
            values: What the file sets, see `comparable_values`.
            gin_file: Its name, for the message.

        Raises:
            UserError: It does not.
        """
        of_table = self.header.setting["values"]
        for name, value in values.items():
            if of_table.get(name, value) != value:
                raise UserError(
                    f"--table: received trainings with {name} = {of_table[name]}; expected "
                    f"{value}, as in {gin_file}, or a new file"
                )

    def joined(self, later: "Table") -> "Table":
        """Returns a table with what is here, and what `later` has beyond it.

        Args:
            later: Of the same setting and the same draws. Where both have a training, the one here
                is kept.

        Raises:
            UserError: A network of `later` has the name of another one.
        """
        entries = {entry.name: entry for entry in self.entries}
        for new in later.entries:
            old = entries.get(new.name, new)
            old.is_of(new.genotype)
            trainings = {each.seed: each for each in (*new.trainings, *old.trainings)}
            in_order = [trainings[seed] for seed in sorted(trainings)]
            entries[new.name] = old.model_copy(update={"trainings": in_order})
        versions = [*self.header.versions]
        versions += [each for each in later.header.versions if each not in versions]
        header = later.header.model_copy(update={"versions": versions})
        return Table(header, list(entries.values()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the table, whole or not at all."""
        lines = [self.header.model_dump(), *(entry.model_dump() for entry in self.entries)]
        json_files.write_lines(path, lines)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Table":
        """Reads what `save` wrote.

        Raises:
            UserError: It is missing, or is no table.
        """
        lines = json_files.read_lines(path)
        source, first = next(lines, (str(path), None))
        header = json_files.check(first, Header, source)
        entries = [json_files.check(line, Entry, source) for source, line in lines]
        if not entries or not all(entry.trainings for entry in entries):
            raise UserError(f"{path}: received no trained networks; expected at least one")
        return cls(header, entries)


def collect(
    folder: SharedFolder,
    planned: Iterable[PlannedTraining],
    name: str,
    space: dict[str, Any] | None = None,
    search_seconds: float | None = None,
) -> Table:
    """Returns the results of a folder as a table.

    Args:
        folder: Where they are.
        planned: Which trainings, and in which order; those without a result are left out.
        name: See `Header`.
        space: See `Header`.
        search_seconds: See `Header`.

    Raises:
        UserError: There is no result yet.
    """
    setting = folder.setting()
    finished = folder.finished()
    entries: dict[str, dict[str, Any]] = {}
    versions: list[dict[str, str]] = []
    for training in planned:
        if training.key not in finished:
            continue
        result = folder.result(training.key)
        entry = entries.setdefault(
            training.genotype.name,
            {
                "name": result["name"],
                **result["genotype"],
                "parameters": result["parameters"],
                "multiply_adds": result["multiply_adds"],
                "trainings": [],
            },
        )
        measured = {**result["training"], "machine": result["machine"]}
        entry["trainings"].append({field: measured[field] for field in TableTraining.model_fields})
        if result["versions"] not in versions:
            versions.append(result["versions"])
    if not entries:
        raise UserError(f"--folder: {folder.path} has no results; expected those of a training")
    header = Header(
        format=FORMAT,
        name=name,
        setting=setting,
        space=space,
        search_seconds=search_seconds,
        versions=versions,
    )
    source = str(Path(folder.path, "results"))
    return Table(header, [json_files.check(each, Entry, source) for each in entries.values()])

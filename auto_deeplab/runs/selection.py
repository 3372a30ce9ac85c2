"""What a selection among architectures leaves in its folder: its candidates, one a line."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from auto_deeplab.foundations import json_files
from auto_deeplab.runs.model_dir import Count, Figure
from auto_deeplab.search_space import Branch, Genotype, GenotypeError

CANDIDATES_NAME = "candidates.jsonl"

Origin = Literal["given", "shared_weights", "random", "surrogate"]
"""Where a candidate comes from: a file, a random draw that a supernet's shared weights put first, a
random draw, or what a surrogate expects most of."""
ORIGINS: tuple[Origin, ...] = ("given", "shared_weights", "random", "surrogate")
Failure = Literal["", "diverged", "out of memory"]
State = Literal["waiting", "running", "eliminated", "finished"]
"""What a candidate is: not trained yet; trained, and perhaps once more; not among the survivors of
its last rung; or trained in all rungs."""


class RungResult(BaseModel):
    """One training of a candidate.

    Args:
        steps: How many.
        seed: Of initial values, order and augmentation.
        mean_iou: Of the validation split at the end, 0 to 1; 0 for a training that failed.
        pixel_accuracy: Likewise.
        seconds: What it took, the validation included.
        failure: Why it failed: a loss or a weight was NaN or infinite, or the memory of the device
            did not suffice; "" if it did not fail.
        machine: Where it was trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: Annotated[Count, Field(ge=1)]
    seed: Count
    mean_iou: Annotated[Figure, Field(ge=0, le=1)]
    pixel_accuracy: Annotated[Figure, Field(ge=0, le=1)]
    seconds: Annotated[Figure, Field(ge=0)]
    failure: Failure = ""
    machine: str = ""


class Candidate(BaseModel):
    """An architecture that takes part in a selection, and how its trainings went.

    Args:
        number: What tells it from the others; 0, 1, ... in the order of their making.
        name: For people.
        network: The stride of each layer.
        cell: The (input, operation) of each branch of each block.
        origin: Where it comes from.
        source: More of that: the file, the number of the draw, or of which candidate it is a
            mutation.
        bracket: In which one it competes; 0, 1, ...
        parameters: Trainable ones.
        multiply_adds: Of its convolutions, for one validation image.
        state: Whether it is still in the competition.
        rungs: Its trainings, shortest first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: Count
    name: Annotated[str, Field(min_length=1)]
    network: tuple[int, ...]
    cell: tuple[tuple[tuple[str, str], tuple[str, str]], ...]
    origin: Origin
    source: str = ""
    bracket: Count
    parameters: Count
    multiply_adds: Count
    state: State = "waiting"
    rungs: tuple[RungResult, ...] = ()

    @property
    def genotype(self) -> Genotype:
        """The architecture.

        Raises:
            GenotypeError: It is none.
        """
        cell = tuple((Branch(*left), Branch(*right)) for left, right in self.cell)
        return Genotype(self.name, self.network, cell)

    @property
    def mean_iou(self) -> float | None:
        """Of its longest training; None before the first."""
        return self.rungs[-1].mean_iou if self.rungs else None


def best_candidate(candidates: Sequence[Candidate]) -> Candidate | None:
    """Returns the best one of those in the highest rung that any has reached; None without any.

    Figures of different rungs are not compared: trainings of another length reach another mIOU.
    """
    ranked = ranking(candidates)
    return ranked[0] if ranked else None


def ranking(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Returns those that were trained, best first: by the rung that they reached, then by mIOU."""
    trained = [candidate for candidate in candidates if candidate.rungs]
    return sorted(
        trained, key=lambda each: (-len(each.rungs), -each.rungs[-1].mean_iou, each.number)
    )


@dataclasses.dataclass(frozen=True)
class SelectionDir:
    """Names the files of a selection's folder.

    Args:
        path: The folder; made when something is written to it.
    """

    path: Path

    @property
    def candidates(self) -> Path:
        """One JSON line a candidate, see `Candidate`."""
        return self.path / CANDIDATES_NAME

    @property
    def setting(self) -> Path:
        """What all trainings have in common."""
        return self.path / "setting.json"

    @property
    def study(self) -> Path:
        """Optuna's journal of the study, where it is not kept elsewhere."""
        return self.path / "study.journal"

    @property
    def claims(self) -> Path:
        """The folder of the claims of those trainings that are under way."""
        return self.path / "claims"

    @property
    def shared_weights(self) -> Path:
        """The random draws that were measured with a supernet's shared weights."""
        return self.path / "shared_weights.json"

    def training(self, candidate: Candidate, steps: int) -> Path:
        """Returns the model_dir of a training."""
        return self.path / "trainings" / f"candidate_{candidate.number}" / f"steps_{steps}"

    def write_candidates(self, candidates: Sequence[Candidate]) -> None:
        """Writes the candidates, whole or not at all."""
        lines: list[Any] = [candidate.model_dump() for candidate in candidates]
        json_files.write_lines(self.candidates, lines)

    def read_candidates(self) -> list[Candidate]:
        """Returns the candidates; none where there is no file.

        Raises:
            UserError: A line is none, or holds no architecture.
        """
        if not os.path.lexists(self.candidates):
            return []
        candidates: list[Candidate] = []
        for source, line in json_files.read_lines(self.candidates):
            candidate: Candidate = json_files.check(line, Candidate, source)
            try:
                _ = candidate.genotype
            except GenotypeError as error:
                raise error.at(source) from None
            candidates.append(candidate)
        return candidates

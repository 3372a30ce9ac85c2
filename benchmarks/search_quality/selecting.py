"""`python -m auto_deeplab.select` itself, without the trainings that the table has already.

Selections whose random draws are those of the table cost a third of what they would, so several of
them can be afforded.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from auto_deeplab.foundations import gin_files
from auto_deeplab.runs.model_dir import GENOTYPE_NAME
from auto_deeplab.runs.selection import Candidate, RungResult, SelectionDir, best_candidate
from auto_deeplab.selection.budget import TrainingsBudget
from auto_deeplab.selection.proposals import signature_of
from auto_deeplab.selection.retraining import Preparation, Retraining
from auto_deeplab.selection.session import run_session
from auto_deeplab.selection.settings import Selection
from benchmarks.search_quality.table import Table


@dataclasses.dataclass(frozen=True)
class TabulatedRetraining(Retraining):
    """Trainings that are looked up in a table where it has them.

    Args:
        table: Of trainings by the same gin file.
    """

    table: Table

    def prepare(self) -> Preparation:
        """Returns what is known before any training.

        Raises:
            UserError: See `Retraining.prepare`; or the table's trainings were others.
        """
        preparation = super().prepare()
        self.table.require_values(preparation.setting()["values"], self.gin_file)
        return preparation

    def train(self, candidate: Candidate, rung: int, rung_steps: Sequence[int]) -> RungResult:
        """Looks a training up, or trains."""
        seed = len(rung_steps) - 1 - rung
        for entry in self.table.entries:
            if signature_of(entry.genotype) != signature_of(candidate.genotype):
                continue
            for known in entry.trainings:
                if (known.steps, known.seed) == (rung_steps[rung], seed):
                    return RungResult(
                        steps=known.steps,
                        seed=known.seed,
                        mean_iou=known.mean_iou,
                        pixel_accuracy=known.pixel_accuracy,
                        seconds=known.seconds,
                        machine=known.machine,
                    )
        return super().train(candidate, rung, rung_steps)


def select(
    gin_file: str,
    gin_parameters: Sequence[str],
    folder: Path,
    table: Table,
    repetitions: int,
    trainings: float,
) -> None:
    """Runs selections, each with other random draws, and prints what each has found.

    Together with whoever runs the same selections in the same folder; it goes on where it stopped.

    Args:
        gin_file: Of the table, with values of `Selection`; the draws begin at its `first_draw`.
        gin_parameters: More of these.
        folder: Each selection gets a folder in it.
        table: The table.
        repetitions: How many selections.
        trainings: The budget of each, in whole trainings.

    Raises:
        UserError: See `TabulatedRetraining.prepare` and `run_session`.
    """
    gin_files.load(gin_file, gin_parameters)
    with gin_files.explaining_calls():
        first = Selection().first_draw
    for repetition in range(repetitions):
        own = SelectionDir(folder / f"selection_{repetition}")
        first_draw = first + repetition * round(trainings)
        parameters = [*gin_parameters, f"Selection.first_draw = {first_draw}"]
        retraining = TabulatedRetraining(gin_file, parameters, own, table)
        run_session(retraining, [], {}, [TrainingsBudget(trainings)], str(own.study))
        best = best_candidate(own.read_candidates())
        if best is not None:
            print(
                f"{own.path / GENOTYPE_NAME}: {best.name} with {best.rungs[-1].mean_iou:.2%}",
                flush=True,
            )

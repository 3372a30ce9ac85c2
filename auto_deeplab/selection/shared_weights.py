"""Random draws that a search's supernet ranks first with its shared weights.

A supernet measures hundreds of architectures in the time of one training, though it ranks them
roughly. The best of them take part beside random draws that it has not seen: if it misleads,
nothing is lost but their places.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tf_keras
from pydantic import BaseModel, ConfigDict, Field

from auto_deeplab.data.pipeline import open_records
from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.search_space import CellGraph, Genotype, TrellisGraph, numbered_draw
from auto_deeplab.selection.given import Given
from auto_deeplab.selection.retraining import Retraining
from auto_deeplab.selection.settings import Selection
from auto_deeplab.training.shared_weights import measure_with_shared_weights
from auto_deeplab.training.trained import load_trained


class _Score(BaseModel):
    """What a supernet says of a draw, and whether it takes part for that."""

    model_config = ConfigDict(extra="forbid")

    draw: Annotated[int, Field(ge=1)]
    mean_iou: Annotated[float, Field(ge=0, le=1)]
    taken: bool


@dataclasses.dataclass(frozen=True)
class SharedWeights:
    """The supernet of a search.

    Args:
        search: The search's model_dir.
        dataset: The name of the dataset that candidates are trained on.
        retraining: Whose configuration is to be in effect again afterwards.
    """

    search: str
    dataset: str
    retraining: Retraining

    def measure(self, genotypes: Sequence[Genotype], images: int | None) -> list[float]:
        """Returns the mean IOU of architectures with the supernet's weights, as they are.

        Args:
            genotypes: In the supernet's space.
            images: On how many validation images; None for all.

        Raises:
            UserError: It is no search, one on another dataset, or one in another space.
        """
        trained = load_trained(self.search, predicts=False)
        if not isinstance(trained.model, Supernet):
            raise UserError(
                f"{argument('search')}: received {self.search}, a retraining; expected the "
                "model_dir of a search"
            )
        if trained.description.name != self.dataset:
            raise UserError(
                f"{argument('search')}: received {self.search}, on {trained.description.name!r}; "
                f"expected a search on {self.dataset!r}"
            )
        records = open_records(trained.dataset_dir, "val")
        matrices = measure_with_shared_weights(
            trained.model, genotypes, records, limit=images, progress=True
        )
        tf_keras.backend.clear_session()
        self.retraining.configure(genotype="published")
        return [matrix.mean_iou for matrix in matrices]


def best_draws(
    settings: Selection,
    cell: CellGraph,
    trellis: TrellisGraph,
    path: Path,
    measure: Callable[[Sequence[Genotype], int | None], Sequence[float]],
    is_affordable: Callable[[Genotype], bool],
) -> list[Given]:
    """Returns the draws that a supernet puts first; how many, the settings say.

    They are the first draws of the selection: those that take part as random ones come after them.

    Args:
        settings: How many to draw and to take.
        cell: The cells of the space.
        trellis: The paths of the space.
        path: Where the scores are kept, which are computed once.
        measure: See `SharedWeights.measure`.
        is_affordable: Whether an architecture may be a candidate.

    Raises:
        UserError: See `SharedWeights.measure`; or the file of the scores is wrong.
    """
    numbers = range(settings.first_draw, settings.first_draw + settings.shared_weights_draws)
    draws = {
        number: numbered_draw(f"random_{number}", cell, trellis, settings.seed, number)
        for number in numbers
    }
    if not path.exists():
        measured = measure(list(draws.values()), settings.shared_weights_images)
        figures = dict(zip(numbers, measured, strict=True))
        best_first = sorted(numbers, key=lambda number: (-figures[number], number))
        affordable = (number for number in best_first if is_affordable(draws[number]))
        taken = set(itertools.islice(affordable, settings.shared_weights_taken))
        document: list[Any] = [
            _Score(draw=number, mean_iou=figures[number], taken=number in taken).model_dump()
            for number in best_first
        ]
        json_files.write(path, document)
    scores: list[_Score] = json_files.check(json_files.read(path), list[_Score], str(path))
    for score in scores:
        if score.draw not in draws:
            raise UserError(
                f"{path}: received a score of draw {score.draw}; expected draws {numbers.start} to "
                f"{numbers.stop - 1}"
            )
    return [
        Given(
            draws[score.draw],
            "shared_weights",
            f"draw {score.draw}, {score.mean_iou:.2%} with shared weights",
        )
        for score in scores
        if score.taken
    ]

"""The result of an evaluation, as a table for people and as JSON for programs."""

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, Field, FiniteFloat, ValidationInfo

from auto_deeplab.evaluation.comparison import Comparison
from auto_deeplab.evaluation.metrics import ConfusionMatrix
from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.text_table import TextTable

FORMAT = 1
# The figures of a whole evaluation, which the confusion matrix has by these names.
_FIGURES = {
    "mean_iou": "mean IOU",
    "pixel_accuracy": "pixel accuracy",
    "mean_of_iou_and_accuracy": "mean of both",
    "mean_class_accuracy": "mean class accuracy",
    "frequency_weighted_iou": "frequency-weighted IOU",
}


Count = Annotated[int, Field(ge=0, le=json_files.LARGEST_INTEGER)]
Size = Annotated[int, Field(ge=1, le=2**31 - 1)]


class _Class(BaseModel):
    name: str


def _check_matrix(rows: list[list[int]], info: ValidationInfo) -> list[list[int]]:
    # Where the classes are wrong, that is what is reported.
    classes = len(info.data.get("classes", rows))
    if len(rows) != classes or any(len(row) != classes for row in rows):
        raise ValueError(f"{classes} rows of {classes} numbers")
    if sum(map(sum, rows)) > json_files.LARGEST_INTEGER:
        raise ValueError("at most 2^63 - 1 pixels in all")
    return rows


class _Document(BaseModel):
    """What an evaluation's JSON has to have; there are more figures in it."""

    format: Literal[1] = 1
    dataset: str
    split: str
    images: Count
    step: Count | None
    checkpoint: str | None = None
    scales: list[FiniteFloat] | None = None
    flip: bool | None = None
    window: tuple[Size, Size] | None = None
    classes: Annotated[list[_Class], Field(min_length=1, max_length=255)]
    confusion_matrix: Annotated[list[list[Count]], AfterValidator(_check_matrix)]


def read_document(path: str | os.PathLike) -> dict[str, Any]:
    """Returns the JSON of an evaluation, as `EvaluationResult.to_json` writes it.

    Raises:
        UserError: The file is no such JSON.
    """
    document = json_files.read(path)
    json_files.check(document, _Document, str(path))
    return document


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """What was evaluated on what, and how well it did.

    Args:
        model: The model's folder or file.
        step: The training step of its weights; None where that is not known.
        dataset: The dataset's name.
        split: The split's name.
        images: The number of images.
        class_names: The name of each class.
        matrix: The confusion matrix.
        scales: Of the views whose predictions were averaged.
        flip: Whether each view was mirrored as well.
        window: (height, width) of sliding windows; None for whole images.
        checkpoint: How the weights were chosen: "latest", or "best" in validation; None for an
            exported network.
        comparison: Of an exported network with the one that it was made from; None for others.
    """

    model: str
    step: int | None
    dataset: str
    split: str
    images: int
    class_names: Sequence[str]
    matrix: ConfusionMatrix
    scales: Sequence[float] = (1.0,)
    flip: bool = False
    window: tuple[int, int] | None = None
    checkpoint: str | None = "latest"
    comparison: Comparison | None = None

    def to_json(self) -> str:
        """Returns the report as JSON text; figures that do not exist are null.

        `confusion_matrix` has a row for each label and a column for each prediction, in pixels.
        """
        document = {
            "format": FORMAT,
            "model": self.model,
            "checkpoint": self.checkpoint,
            "step": self.step,
            "dataset": self.dataset,
            "split": self.split,
            "images": self.images,
            "scales": list(self.scales),
            "flip": self.flip,
            "window": self.window,
            **{name: _number(getattr(self.matrix, name)) for name in _FIGURES},
            **self._comparison(),
            "classes": [
                {
                    "name": name,
                    "iou": _number(iou),
                    "accuracy": _number(accuracy),
                    "label_pixels": int(pixels),
                }
                for name, iou, accuracy, pixels in self._rows()
            ],
        }
        rows = ",\n  ".join(map(json_files.to_json, self.matrix.counts.tolist()))
        text = json_files.to_json(document, indent=1, name="evaluation")
        return text.removesuffix("\n}") + f',\n "confusion_matrix": [\n  {rows}\n ]\n}}\n'

    def save(self, path: str | os.PathLike) -> None:
        """Writes the JSON file, whole or not at all."""
        json_files.write_text(path, self.to_json())

    def table(self) -> TextTable:
        """Returns the table that the evaluate command prints."""
        table = TextTable(
            title=f"{self.dataset} {self.split}: {self.images} images, "
            + (self.model if self.step is None else f"step {self.step}"),
            title_justify="left",
            show_footer=True,
        )
        total = max(int(self.matrix.counts.sum()), 1)
        table.add_column("class", footer="\n".join(_FIGURES.values()))
        figures = (_percent(getattr(self.matrix, name)) for name in _FIGURES)
        table.add_column("IOU", justify="right", footer="\n".join(figures))
        table.add_column("accuracy", justify="right")
        table.add_column("share of pixels", justify="right")
        for name, iou, accuracy, pixels in self._rows():
            table.add_row(name, _percent(iou), _percent(accuracy), f"{pixels / total:.2%}")
        return table

    def _comparison(self) -> dict[str, dict]:
        if self.comparison is None:
            return {}
        values = self.comparison._asdict()
        return {
            "comparison": {
                name: _number(value) if isinstance(value, float) else value
                for name, value in values.items()
            }
        }

    def _rows(self) -> zip:
        matrix = self.matrix
        return zip(
            self.class_names,
            matrix.class_iou,
            matrix.class_accuracy,
            matrix.label_pixels,
            strict=True,
        )


def _number(value: float | np.floating) -> float | None:
    return None if math.isnan(value) else float(value)


def _percent(value: float | np.floating) -> str:
    return "absent" if math.isnan(value) else f"{value:.2%}"

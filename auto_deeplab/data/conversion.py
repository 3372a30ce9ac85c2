"""What a converter is asked to do: which files become which splits of which dataset."""

import dataclasses
from collections.abc import Mapping, Sequence

from auto_deeplab.data.description import Color, DatasetDescription
from auto_deeplab.data.image_files import LabelTable, Pair
from auto_deeplab.errors import UserError

_MOST_PROBLEMS_SHOWN = 50


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What to convert, and how.

    Args:
      name: the dataset's name.
      splits: the files of each split, in the order of the records.
      labels: maps the values of label files to train ids and the ignore label.
      classes: class names, in the order of the train ids.
      palette: a color for each class.
      ignore_label: the label in the records of pixels that do not count.
      source: where the data come from, for `dataset.json`.
      scale: the factor of height and width, 0 < scale <= 1.
      examples_per_shard: the most examples in a TFRecord file; a split's have equally many.
    """

    name: str
    splits: Mapping[str, Sequence[Pair]]
    labels: LabelTable
    classes: Sequence[str]
    palette: Sequence[Color]
    ignore_label: int = 255
    source: str = ""
    scale: float = 1.0
    examples_per_shard: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise UserError(f"scale: expected 0 < scale <= 1, received {self.scale}")
        if self.examples_per_shard < 1:
            raise UserError(
                f"examples_per_shard: expected at least 1, received {self.examples_per_shard}"
            )
        allowed = {*range(len(self.classes)), self.ignore_label}
        for value, train_id in self.labels.train_ids.items():
            if train_id not in allowed:
                raise UserError(
                    f"label table: {value} -> {train_id}: expected a class 0.."
                    f"{len(self.classes) - 1} or the ignore label {self.ignore_label}"
                )

    def describe(self) -> DatasetDescription:
        """Returns the description of the dataset that the conversion writes."""
        return DatasetDescription(
            name=self.name,
            splits={split: len(pairs) for split, pairs in self.splits.items()},
            classes=tuple(self.classes),
            palette=tuple(self.palette),
            ignore_label=self.ignore_label,
            source=self.source,
        )


def raise_problems(problems: Sequence[str], hint: str = "") -> None:
    """Raises a `UserError` that lists problems with input files, one a line, if there are any."""
    if not problems:
        return
    shown = "\n  ".join(problems[:_MOST_PROBLEMS_SHOWN])
    hidden = len(problems) - _MOST_PROBLEMS_SHOWN
    more = f"\n  and {hidden} more" if hidden > 0 else ""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise UserError(f"{count} with the input, nothing written:\n  {shown}{more}\n{hint}".rstrip())

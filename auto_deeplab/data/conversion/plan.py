"""What a converter is asked to do: which files become which splits of which dataset."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from auto_deeplab.data.conversion.label_table import LabelTable
from auto_deeplab.data.conversion.pairs import DecodedPair, Pair, read_pair
from auto_deeplab.data.description import Color, DatasetDescription
from auto_deeplab.data.image_files import MOST_PIXELS_IN_FILES
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.foundations.files import utf8_text

_MOST_PROBLEMS_SHOWN = 50


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What to convert, and how.

    Args:
        name: The dataset's name.
        splits: The files of each split, in the order of the records.
        labels: Maps the values of label files to train ids and the ignore label.
        classes: Class names, in the order of the train ids.
        palette: A color for each class.
        ignore_label: The label in the records of pixels that do not count.
        source: Where the data come from, for `dataset.json`.
        scale: The factor of height and width, 0 < scale <= 1.
        longer_side: The most pixels of the longer side, after `scale`; None for no limit.
        enlarge: Whether images with fewer pixels on the longer side are enlarged to `longer_side`.
            Pairs that keep their size do so whatever these three say.
        max_pixels: Images with more, in their files, are refused before they are decoded.
        examples_per_shard: The most examples in a TFRecord file; a split's have equally many.
        problems: What was wrong with the input when `splits` were put together, such as files
            without partner, which are not in `splits`.
        notes: What the user should know of the input although it is no problem, such as what was
            skipped in it.
        label_advice: What the user can do if labels mean something other than what `labels` says;
            "" where a data set's own rules fix their meaning.
    """

    name: str
    splits: Mapping[str, Sequence[Pair]]
    labels: LabelTable
    classes: Sequence[str]
    palette: Sequence[Color]
    ignore_label: int = 255
    source: str = ""
    scale: float = 1.0
    longer_side: int | None = None
    enlarge: bool = False
    max_pixels: int = MOST_PIXELS_IN_FILES
    examples_per_shard: int = 100
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()
    label_advice: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise UserError(f"scale: received {self.scale}; expected 0 < scale <= 1")
        if self.longer_side is not None and self.longer_side < 1:
            raise UserError(f"longer_side: received {self.longer_side}; expected at least 1")
        if self.examples_per_shard < 1:
            raise UserError(
                f"examples_per_shard: received {self.examples_per_shard}; expected at least 1"
            )
        allowed = {*range(len(self.classes)), self.ignore_label}
        for value, train_id in self.labels.train_ids.items():
            if train_id not in allowed:
                raise UserError(
                    f"labels: received {value} -> {train_id}; expected a class 0.."
                    f"{len(self.classes) - 1} or the ignore label {self.ignore_label}"
                )

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Returns the (height, width) of the example of an image of that size."""
        factor = self.scale
        if self.longer_side is not None:
            fitting = self.longer_side / max(height, width)
            factor = fitting if self.enlarge else min(factor, fitting)
        return max(1, round(height * factor)), max(1, round(width * factor))

    def read(self, pair: Pair) -> DecodedPair:
        """Reads, checks and resizes one pair; see `read_pair`."""
        target_size = _own_size if pair.keeps_size else self.target_size
        return read_pair(pair, self.labels, target_size, self.max_pixels)

    def describe(self, examples: Mapping[str, int]) -> DatasetDescription:
        """Returns the description of the dataset with so many examples in each split.

        Raises:
            UserError: Names, colors or counts are not usable.
        """
        return DatasetDescription(
            name=utf8_text(self.name),
            splits=examples,
            classes=tuple(self.classes),
            palette=tuple(self.palette),
            ignore_label=self.ignore_label,
            source=utf8_text(self.source),
        )

    def check(self) -> None:
        """Raises a `UserError` if `dataset.json` could not be written for this conversion."""
        self.describe({split: max(1, len(pairs)) for split, pairs in self.splits.items()})


def _own_size(height: int, width: int) -> tuple[int, int]:
    return height, width


def plan_splits(
    splits: Iterable[str], pairs_of: Callable[[str], tuple[Sequence[Pair], Sequence[str]]]
) -> dict[str, Any]:
    """Puts splits together.

    Args:
        splits: Their names.
        pairs_of: Finds the pairs of a split, and the problems with its files. A `UserError` of it
            is a problem too.

    Returns:
        The arguments `splits` and `problems` of `Conversion`.

    Raises:
        UserError: A split has no pair at all; the message lists the problems of every split.
    """
    pairs: dict[str, Sequence[Pair]] = {}
    problems: list[str] = []
    found: Sequence[str]
    for split in splits:
        try:
            pairs[split], found = pairs_of(split)
        except UserError as error:
            pairs[split], found = [], [str(error)]
        problems += found
    problems = list(dict.fromkeys(problems))
    if not all(pairs.values()):
        raise_problems(problems)
    return {"splits": pairs, "problems": problems}


def raise_problems(problems: Sequence[str], hint: str = "") -> None:
    """Raises a `UserError` that lists problems with input files, one a line, if there are any."""
    if problems:
        raise UserError(list_problems(problems, hint))


def list_problems(
    problems: Sequence[str],
    hint: str = "",
    consequence: str = "nothing written",
    most: int | None = _MOST_PROBLEMS_SHOWN,
) -> str:
    """Returns the text that lists problems with input files, one a line."""
    shown = problems[:most]
    hidden = len(problems) - len(shown)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{count} with the input, {consequence}:", *(f"  {problem}" for problem in shown)]
    if hidden:
        lines.append(f"  and {hidden} more; {argument('dry_run')} lists them all")
    return "\n".join(lines + [hint] * bool(hint))

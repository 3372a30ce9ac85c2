"""What a conversion would do, found by reading all of its inputs and writing nothing."""

import collections
import dataclasses
from collections.abc import Sequence

from auto_deeplab.data.conversion import Conversion
from auto_deeplab.data.label_table import count_values
from auto_deeplab.data.ordered_map import map_with_progress
from auto_deeplab.data.pairs import BadPair, Pair, size_text


@dataclasses.dataclass(frozen=True)
class SplitSurvey:
    """What was found in one split.

    Args:
      examples: the number of pairs that can be used.
      sizes: how many of the examples would have each size, as "WIDTHxHEIGHT".
      label_pixels: for each class's train id or the ignore label, the pixels of that label.
    """

    examples: int
    sizes: dict[str, int]
    label_pixels: dict[int, int]


@dataclasses.dataclass(frozen=True)
class Survey:
    """What was found in all splits, and the problems with pairs in their order."""

    splits: dict[str, SplitSurvey]
    problems: Sequence[str]


def survey(conversion: Conversion, workers: int | None = None, progress: bool = True) -> Survey:
    """Reads and checks every pair of a conversion.

    Args:
      conversion: what would be converted.
      workers: number of threads; by default one a core.
      progress: whether to show a progress bar.
    """

    def check(pair: Pair) -> tuple[str, dict[int, int]] | BadPair:
        try:
            decoded = conversion.read(pair)
        except BadPair as problem:
            return problem
        counts = count_values(decoded.label)
        return size_text(decoded.label), {int(i): int(counts[i]) for i in counts.nonzero()[0]}

    pairs = [(split, pair) for split, own in conversion.splits.items() for pair in own]
    sizes = {split: collections.Counter() for split in conversion.splits}
    label_pixels = {split: collections.Counter() for split in conversion.splits}
    problems: list[str] = []
    title = f"checking {conversion.name}"
    with map_with_progress(check, [pair for _, pair in pairs], workers, title, progress) as results:
        for (split, _), result in zip(pairs, results, strict=True):
            if isinstance(result, BadPair):
                problems += result.problems
            else:
                size, counts = result
                sizes[split][size] += 1
                label_pixels[split].update(counts)
    splits = {
        split: SplitSurvey(sizes[split].total(), dict(sizes[split]), dict(label_pixels[split]))
        for split in conversion.splits
    }
    return Survey(splits, problems)

"""What a conversion would do, found by reading all of its inputs and writing nothing."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from auto_deeplab.data.conversion.label_table import count_values
from auto_deeplab.data.conversion.pairs import BadPair, Pair, size_text
from auto_deeplab.data.conversion.plan import Conversion
from auto_deeplab.foundations.ordered_map import map_with_progress

# The share of a split's pixels above which ignoring them is likely to be a mistake.
_MUCH_IGNORED = 0.1


@dataclasses.dataclass(frozen=True)
class SplitSurvey:
    """What was found in one split.

    Args:
        examples: The number of pairs that can be used.
        sizes: How many of the examples would have each size, as "WIDTHxHEIGHT".
        label_pixels: For each class's train id or the ignore label, the pixels of that label.
    """

    examples: int
    sizes: dict[str, int]
    label_pixels: dict[int, int]


@dataclasses.dataclass(frozen=True)
class DryRun:
    """What was found in all splits, and the problems with pairs in their order."""

    splits: dict[str, SplitSurvey]
    problems: Sequence[str]


def dry_run(conversion: Conversion, workers: int | None = None, progress: bool = True) -> DryRun:
    """Reads and checks every pair of a conversion.

    Args:
        conversion: What would be converted.
        workers: Number of threads; by default one a core.
        progress: Whether to show a progress bar.
    """

    def check(pair: Pair) -> tuple[str, dict[int, int]] | BadPair:
        try:
            decoded = conversion.read(pair)
        except BadPair as problem:
            return problem
        counts = count_values(decoded.label)
        return size_text(decoded.label), {int(i): int(counts[i]) for i in counts.nonzero()[0]}

    pairs = [(split, pair) for split, own in conversion.splits.items() for pair in own]
    sizes: dict[str, collections.Counter[str]] = {
        split: collections.Counter() for split in conversion.splits
    }
    label_pixels: dict[str, collections.Counter[int]] = {
        split: collections.Counter() for split in conversion.splits
    }
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
    return DryRun(splits, problems)


def label_warnings(
    conversion: Conversion, label_pixels: Mapping[str, Mapping[int, int]]
) -> list[str]:
    """Returns what the labels of a conversion suggest to be a mistake of whoever declared them.

    That is a class without any pixel in a split, and, where the user told what is ignored, an
    ignored value that covers much of it.

    Args:
        conversion: What is converted.
        label_pixels: For each split, how many pixels have each train id or the ignore label.
    """
    warnings = []
    advice = f": {conversion.label_advice}" if conversion.label_advice else ""
    for split, pixels in label_pixels.items():
        total, ignored = sum(pixels.values()), pixels.get(conversion.ignore_label, 0)
        if not total or (ignored == total and not conversion.label_advice):
            continue  # A test split, whose labels are not public.
        absent = [name for label, name in enumerate(conversion.classes) if not pixels.get(label, 0)]
        if absent:
            shown = ", ".join(absent[:5]) + ", ..." * (len(absent) > 5)
            warnings.append(
                f"split {split}: {len(absent)} of {len(conversion.classes)} classes have no "
                f"pixel ({shown}){advice}"
            )
        if conversion.label_advice and ignored > _MUCH_IGNORED * total:
            values = [
                value
                for value, train_id in conversion.labels.train_ids.items()
                if train_id == conversion.ignore_label
            ]
            warnings.append(
                f"split {split}: {ignored / total:.1%} of the pixels have an ignored value "
                f"({', '.join(map(str, values))}) and will not count: if it is a class, "
                f"{conversion.label_advice}"
            )
    return warnings

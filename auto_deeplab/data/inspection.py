"""What a dataset holds, as tables for people and as JSON for programs."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

from rich.text import Text

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.record_index import CorruptRecord
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.data.survey import Survey, survey, unknown_labels
from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.foundations.text_table import TextTable, plain_text

FORMAT = 1
_SIZES_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Inspection:
    """The surveys of some splits of a dataset.

    Args:
        description: The dataset's.
        records: What was read of each split.
        surveys: What was found in it.
    """

    description: DatasetDescription
    records: Mapping[str, SegmentationRecords]
    surveys: Mapping[str, Survey]

    @property
    def corrupt(self) -> list[CorruptRecord]:
        """The corrupt records of all splits."""
        return [
            corrupt
            for split, found in self.surveys.items()
            for corrupt in (*self.records[split].corrupt, *found.corrupt.values())
        ]

    def readable(self, split: str) -> SegmentationRecords:
        """Returns the records of a split that are not corrupt; if there are none, a `UserError`."""
        return self.records[split].without(self.surveys[split].corrupt)

    def to_json(self) -> str:
        """Returns the inspection as JSON text; pixels are counted by label value."""
        ignored = self.description.ignore_label
        document = {
            "format": FORMAT,
            "name": self.description.name,
            "source": self.description.source,
            "ignore_label": ignored,
            "splits": {
                split: {
                    "examples": found.examples,
                    "examples_described": self.description.splits[split],
                    "sizes": [
                        {"height": height, "width": width, "examples": count}
                        for (height, width), count in _most_frequent(found)
                    ],
                    "image_formats": dict(sorted(found.formats.items())),
                    "pixels": int(found.pixels.sum()),
                    "ignored_pixels": int(found.pixels[ignored]),
                    "classes": [
                        {
                            "name": name,
                            "pixels": int(found.pixels[label]),
                            "examples": int(found.images[label]),
                        }
                        for label, name in enumerate(self.description.classes)
                    ],
                    "unknown_labels": {
                        str(label): int(found.pixels[label]) for label in self._unknown(found)
                    },
                    "corrupt": [
                        corrupt._asdict()
                        for corrupt in (*self.records[split].corrupt, *found.corrupt.values())
                    ],
                }
                for split, found in self.surveys.items()
            },
        }
        return json_files.to_json(document, indent=1) + "\n"

    def tables(self) -> list[TextTable]:
        """Returns a table of the splits and one of the classes."""
        splits = TextTable(title=self.description.name, title_justify="left")
        splits.add_column("split")
        for heading in ("examples", "corrupt", "height x width", "formats", "ignored pixels"):
            splits.add_column(heading, justify="right")
        for split, found in self.surveys.items():
            corrupt = len(self.records[split].corrupt) + len(found.corrupt)
            splits.add_row(
                split,
                f"{found.examples:,}",
                Text(str(corrupt), "red") if corrupt else "0",
                _sizes_text(found),
                "\n".join(f"{name}: {count:,}" for name, count in sorted(found.formats.items())),
                _share(found.pixels[self.description.ignore_label], found.pixels.sum()),
            )
        classes = TextTable(
            title="share of the pixels that count, and of the images", title_justify="left"
        )
        classes.add_column("label", justify="right")
        classes.add_column("class")
        for split in self.surveys:
            classes.add_column(f"{split}: pixels", justify="right")
            classes.add_column("images", justify="right")
        for label, name in enumerate(self.description.classes):
            classes.add_row(str(label), self._colored(label, name), *self._shares(label))
        unknown = sorted(
            {label for found in self.surveys.values() for label in self._unknown(found)}
        )
        for label in unknown:
            classes.add_row(str(label), Text("is no class", "red"), *self._shares(label))
        return [splits, classes]

    def _shares(self, label: int) -> list[str]:
        cells = []
        for found in self.surveys.values():
            counted = found.pixels.sum() - found.pixels[self.description.ignore_label]
            ignored = label == self.description.ignore_label
            cells.append("ignored" if ignored else _share(found.pixels[label], counted))
            cells.append(_share(found.images[label], found.examples))
        return cells

    def _colored(self, label: int, name: str) -> Text:
        red, green, blue = self.description.palette[label]
        swatch = Text("\u2588\u2588", f"rgb({red},{green},{blue})")
        return Text.assemble(swatch, " ", plain_text(name))

    def _unknown(self, found: Survey) -> list[int]:
        return unknown_labels(found.pixels, self.description)


def inspect_dataset(dataset_dir: str | os.PathLike, splits: Sequence[str]) -> Inspection:
    """Reads splits of a dataset from end to end; corrupt records are part of what is found.

    Raises:
        UserError: The folder, a split or a shard is missing.
    """
    records = {
        split: SegmentationRecords(dataset_dir, split, ignore_damage=True) for split in splits
    }
    if not records:
        raise UserError(f"splits: received none of {dataset_dir}; expected at least one split")
    return Inspection(
        next(iter(records.values())).description,
        records,
        {split: survey(part) for split, part in records.items()},
    )


def _most_frequent(found: Survey) -> list[tuple[tuple[int, int], int]]:
    return sorted(found.sizes.items(), key=lambda item: (-item[1], item[0]))


def _sizes_text(found: Survey) -> str:
    sizes = _most_frequent(found)
    lines = [f"{height} x {width}: {count:,}" for (height, width), count in sizes[:_SIZES_SHOWN]]
    if len(sizes) > _SIZES_SHOWN:
        heights, widths = zip(*found.sizes, strict=True)
        lines.append(f"{len(sizes) - _SIZES_SHOWN:,} other sizes")
        lines.append(
            f"from {min(heights)} to {max(heights)} high, {min(widths)} to {max(widths)} wide"
        )
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    if not part:
        return "-"
    return f"{part / whole:.2%}" if part / whole >= 1e-4 else "<0.01%"

"""`dataset.json`: what a folder of TFRecords holds, and the one place that knows its classes."""

import dataclasses
import os
import reprlib
from collections.abc import Mapping
from pathlib import Path

from auto_deeplab.foundations import json_files
from auto_deeplab.foundations.errors import UserError, argument, near_matches

FILE_NAME = "dataset.json"
FORMAT = 1
# Labels are stored in one byte, whose value 255 is kept for "ignore".
MOST_CLASSES = 255

Color = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class DatasetDescription:
    """The description of a dataset of images with one class label a pixel.

    Args:
        name: What the dataset is called in reports.
        splits: Number of examples of each split, such as `{"train": 2975, "val": 500}`.
        classes: Class names; a label's value is an index into them.
        palette: One (red, green, blue) color a class, each 0..255, for overlays and legends.
        ignore_label: The label value of pixels that neither training nor evaluation counts. It may
            be that of a class, which then never counts.
        source: Where the examples come from, for people.
        panoptic_label_divisor: For records of DeepLab2 with panoptic labels: a label's class is its
            value divided by this.

    Raises:
        UserError: A value is not usable; the message names the field.
    """

    name: str
    splits: Mapping[str, int]
    classes: tuple[str, ...]
    palette: tuple[Color, ...]
    ignore_label: int = 255
    source: str = ""
    panoptic_label_divisor: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", dict(self.splits))
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "palette", tuple(tuple(color) for color in self.palette))
        _check_text("name", self.name)
        if not isinstance(self.source, str) or not json_files.is_unicode(self.source):
            raise UserError(f"source: received {reprlib.repr(self.source)}; expected text")
        for split, examples in self.splits.items():
            _check_text("splits", split)
            if not _is_integer(examples) or not 1 <= examples <= json_files.LARGEST_INTEGER:
                raise UserError(
                    f"splits: received {reprlib.repr(examples)} examples of "
                    f"{reprlib.repr(split)}; expected a whole number >= 1"
                )
        if not self.splits:
            raise UserError("splits: received none; expected at least one split")
        if not 1 <= len(self.classes) <= MOST_CLASSES:
            raise UserError(
                f"classes: received {len(self.classes)} names; expected 1 to {MOST_CLASSES}"
            )
        for name in self.classes:
            _check_text("classes", name)
        repeated = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if repeated:
            raise UserError(
                f"classes: received {', '.join(repeated)} more than once; expected different names"
            )
        if len(self.palette) != len(self.classes):
            raise UserError(
                f"palette: received {len(self.palette)} colors; expected {len(self.classes)}, one "
                "a class"
            )
        for color in self.palette:
            if len(color) != 3 or not all(_is_integer(c) and 0 <= c <= 255 for c in color):
                raise UserError(
                    f"palette: received {reprlib.repr(color)}; expected (red, green, blue), each "
                    "0..255"
                )
        if not _is_integer(self.ignore_label) or not 0 <= self.ignore_label <= 255:
            raise UserError(
                f"ignore_label: received {reprlib.repr(self.ignore_label)}; expected a value from "
                "0 to 255"
            )
        divisor = self.panoptic_label_divisor
        if divisor is not None and not (_is_integer(divisor) and 1 <= divisor < 2**31):
            raise UserError(
                f"panoptic_label_divisor: received {reprlib.repr(divisor)}; expected a whole "
                "number >= 1"
            )

    def split_examples(self, split: str) -> int:
        """Returns the number of examples of `split`; an unknown split is a `UserError`."""
        if split not in self.splits:
            raise UserError(
                f"{argument('split')}: received {split!r}, which the dataset {self.name} has not"
                f"{near_matches(split, self.splits)}"
            )
        return self.splits[split]

    def to_json(self) -> str:
        """Returns the text of `dataset.json`; equal descriptions give equal text."""
        fields = dataclasses.asdict(self)
        if self.panoptic_label_divisor is None:
            del fields["panoptic_label_divisor"]
        return json_files.to_json({"format": FORMAT, **fields}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "<string>") -> "DatasetDescription":
        """Reads the text of a `dataset.json`.

        Args:
            text: The JSON text.
            source: The file's name, for messages.

        Raises:
            UserError: The text is not JSON, a field is missing, unknown or has a wrong value.
        """
        fields = json_files.parse(text, source)
        if not isinstance(fields, dict):
            raise UserError(f"{source}: received {type(fields).__name__}; expected a JSON object")
        received_format = fields.pop("format", None)
        if received_format != FORMAT or isinstance(received_format, bool):
            raise UserError(
                f"{source}: format: received {reprlib.repr(received_format)}; expected {FORMAT}"
            )
        known = {field.name for field in dataclasses.fields(cls)}
        for name in fields:
            if name not in known:
                raise UserError(
                    f"{source}: received the unknown field {reprlib.repr(name)}"
                    f"{near_matches(name, known)}"
                )
        missing = sorted(known - set(fields) - {"panoptic_label_divisor"})
        if missing:
            raise UserError(
                f"{source}: {', '.join(missing)}: received nothing; expected a value for each field"
            )
        for name, kind in (("splits", dict), ("classes", list), ("palette", list)):
            if not isinstance(fields[name], kind):
                raise UserError(
                    f"{source}: {name}: received {reprlib.repr(fields[name])}; expected a JSON "
                    f"{'object' if kind is dict else 'list'}"
                )
        if not all(isinstance(color, list) for color in fields["palette"]):
            raise UserError(
                f"{source}: palette: received {reprlib.repr(fields['palette'])}; expected a list "
                "of [red, green, blue] lists"
            )
        try:
            return cls(**fields)
        except UserError as error:
            raise UserError(f"{source}: {error}") from error

    def save(self, dataset_dir: str | os.PathLike) -> None:
        """Writes `dataset.json` into `dataset_dir`."""
        json_files.write_text(Path(dataset_dir) / FILE_NAME, self.to_json())

    @classmethod
    def load(cls, dataset_dir: str | os.PathLike) -> "DatasetDescription":
        """Reads the `dataset.json` of `dataset_dir`.

        Raises:
            UserError: There is none, or it is not valid.
        """
        path = Path(dataset_dir) / FILE_NAME
        try:
            text = json_files.read_text(path)
        except json_files.UnreadableError as error:
            if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                raise UserError(
                    f"{path}: does not exist; expected a dataset folder as tools/convert_*.py "
                    "write them"
                ) from error
            raise
        return cls.from_json(text, source=str(path))


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_text(field: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip() or not json_files.is_unicode(value):
        raise UserError(f"{field}: received {reprlib.repr(value)}; expected non-empty text")

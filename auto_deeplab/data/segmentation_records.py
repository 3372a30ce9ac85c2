"""The examples that a training or an evaluation reads: splits of datasets, halves and mixtures."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.record_index import CorruptRecord, index_records
from auto_deeplab.data.schema import (
    FILE_NAME,
    EncodedImage,
    parse_encoded,
    require,
    shard_paths,
)
from auto_deeplab.foundations.errors import UserError


class Part(NamedTuple):
    """Examples of one origin, and how often they are drawn.

    Attributes:
        numbers: int64 [examples], which records they are.
        weight: Of all draws, these examples get the share weight / sum of all weights.
    """

    numbers: np.ndarray
    weight: float


class SegmentationRecords:
    """The examples of one split of a dataset, a part of them, or a mixture of several splits.

    Args:
        dataset_dir: A folder with `dataset.json` and TFRecords.
        split: The name of a split.
        ignore_damage: Leave out what comes after damage to a file's frames, instead of raising.

    Attributes:
        dataset_dir: The folder (of the first, in a mixture).
        split: The split's name (of the first, in a mixture).
        description: The `DatasetDescription` (of the first, in a mixture).
        parts: The records by origin; a single one but for mixtures.
        corrupt: The records that are left out.

    Raises:
        UserError: The folder, the split or a shard is missing, a file is damaged, or the records
            are not as many as `dataset.json` says.
    """

    def __init__(
        self, dataset_dir: str | os.PathLike, split: str, ignore_damage: bool = False
    ) -> None:
        self.dataset_dir = os.fspath(dataset_dir)
        self.split = split
        self.description = DatasetDescription.load(dataset_dir)
        expected = self.description.split_examples(split)
        self._index = index_records(shard_paths(dataset_dir, split), ignore_damage)
        self._panoptic_label_divisor = self.description.panoptic_label_divisor
        self.corrupt = self._index.damage
        if len(self._index) != expected and not self.corrupt:
            raise UserError(
                f"{self.dataset_dir}: split {split!r}: received {len(self._index)} records; "
                f"expected {expected}, as dataset.json says"
            )
        self.parts = (Part(np.arange(len(self._index)), 1.0),)

    @property
    def numbers(self) -> np.ndarray:
        """The records of this view, int64 [examples]; those of a split are in file order."""
        return np.concatenate([part.numbers for part in self.parts])

    @property
    def examples(self) -> int:
        """The number of examples of this view."""
        return len(self.numbers)

    def half(self, which: str, seed: int) -> "SegmentationRecords":
        """Returns a view on one half of the examples (of each part, in a mixture).

        The halves "A" and "B" of one seed share no example and make up the whole; A is the larger
        one where the count is odd.
        """
        if which not in ("A", "B"):
            raise ValueError(f'which: received {which!r}; expected "A" or "B"')

        def chosen(numbers: np.ndarray) -> np.ndarray:
            if len(numbers) < 2:
                raise UserError(
                    f"{self.dataset_dir}: split {self.split!r} (or what is mixed with it): "
                    f"received {len(numbers)} example; expected at least 2 for two halves"
                )
            order = np.random.default_rng(seed).permutation(len(numbers))
            middle = (len(numbers) + 1) // 2
            return numbers[np.sort(order[:middle] if which == "A" else order[middle:])]

        return self._view(
            parts=tuple(part._replace(numbers=chosen(part.numbers)) for part in self.parts)
        )

    def only(self, numbers: Sequence[int]) -> "SegmentationRecords":
        """Returns a view on some records, given by their numbers."""
        return self._view(parts=(Part(np.asarray(numbers, np.int64), 1.0),))

    def without(self, corrupt: dict[int, CorruptRecord]) -> "SegmentationRecords":
        """Returns a view that leaves out some records, given by their numbers.

        Raises:
            UserError: None are left.
        """
        parts = tuple(
            part._replace(numbers=np.setdiff1d(part.numbers, list(corrupt))) for part in self.parts
        )
        if not all(len(part.numbers) for part in parts):
            raise UserError(
                f"{self.dataset_dir}: split {self.split!r}: received corrupt records alone, the "
                f"first is {next(iter((*self.corrupt, *corrupt.values())), '')}; expected some "
                "that can be read"
            )
        return self._view(parts=parts, corrupt=self.corrupt + tuple(corrupt.values()))

    def mixed(
        self, others: Sequence[tuple["SegmentationRecords", float]], weight: float = 1.0
    ) -> "SegmentationRecords":
        """Returns a mixture of these examples with others.

        Args:
            others: The others, each with its weight.
            weight: The weight of these.

        Raises:
            UserError: A weight is not positive, or classes or ignore labels are not the same.
        """
        index, parts, corrupt = self._index, [Part(self.numbers, weight)], self.corrupt
        divisors = {self._panoptic_label_divisor}
        for records, other_weight in others:
            for field in ("classes", "ignore_label"):
                ours, theirs = (getattr(r.description, field) for r in (self, records))
                if ours != theirs:
                    raise UserError(
                        f"{records.dataset_dir}: {field}: cannot be mixed with "
                        f"{self.dataset_dir}: received {theirs!r}; expected {ours!r}"
                    )
            divisors.add(records._panoptic_label_divisor)
            parts.append(Part(records.numbers + len(index), other_weight))
            index = index.followed_by(records._index)
            corrupt += records.corrupt
        known_divisors = {divisor for divisor in divisors if divisor is not None}
        if len(known_divisors) > 1:
            raise UserError(
                f"panoptic_label_divisor: received {sorted(known_divisors)} in a mixture; expected "
                "the same in every dataset"
            )
        for part in parts:
            if not isinstance(part.weight, int | float) or not part.weight > 0:
                raise UserError(f"weight: received {part.weight!r}; expected a positive number")
        return self._view(
            _index=index,
            _panoptic_label_divisor=next(iter(divisors), None),
            parts=tuple(parts),
            corrupt=corrupt,
        )

    def place(self, number: int) -> tuple[str, int]:
        """Returns the shard of a record and its place in it, counted from 0."""
        path, record = self._index.place(tf.constant(number, tf.int64))
        return os.fsdecode(path.numpy()), int(record)

    def load(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads and decodes record `number` (int64 scalar), in TensorFlow.

        Returns:
            The image, uint8 [height, width, 3], and its labels, uint8 [height, width].

        Raises:
            tf.errors.OpError: The record is corrupt, or has labels that are no class;
                `survey.naming_corrupt_records` tells which.
        """
        image, label = self.load_encoded(number)
        return image.pixels(), label

    def load_encoded(
        self, number: tf.Tensor, any_label: bool = False
    ) -> tuple[EncodedImage, tf.Tensor]:
        """Like `load`, but returns the image as it is stored.

        Args:
            number: See `load`.
            any_label: Whether labels that are no class are returned, too.
        """
        image, label = parse_encoded(self._index.read(number), self._panoptic_label_divisor)
        if any_label:
            return image, label
        # Here, where they are decoded: past this point a device may take them for anything.
        classes, ignored = len(self.description.classes), self.description.ignore_label
        known = require(
            tf.reduce_all((label < classes) | (label == ignored)), "labels that are no class"
        )
        with tf.control_dependencies([known]):
            return image, tf.identity(label)

    def check_files(self) -> None:
        """Raises a `UserError` if a file is not there any more, or not what it was."""
        self._index.check_files()

    def file_names(self) -> Iterator[str]:
        """Yields the name of each example's image file, in order."""
        feature = {FILE_NAME: tf.io.FixedLenFeature([], tf.string)}
        for number in self.numbers:
            record = self._index.read(tf.constant(number))
            name = tf.io.parse_single_example(record, feature)[FILE_NAME].numpy()
            # It is somebody's text, and need not be UTF-8.
            yield name.decode("utf-8", "backslashreplace")

    def _view(self, **changes: Any) -> "SegmentationRecords":
        view = object.__new__(SegmentationRecords)
        view.__dict__.update(self.__dict__ | changes)
        return view

"""Small datasets: TFRecords whose examples can be told apart, and files to convert."""

import cv2
import numpy as np
import pytest

from auto_deeplab.data.conversion.label_table import LabelTable
from auto_deeplab.data.conversion.pairs import pair_by_stem
from auto_deeplab.data.conversion.plan import Conversion
from tests.datasets import png_example, write_dataset


@pytest.fixture
def make_dataset(tmp_path):
    """Writes a split "train": all labels of example i have the value i."""

    def make(
        examples: int, height: int = 12, width: int = 20, shards: int = 3, grow: int = 0
    ) -> str:
        rng = np.random.default_rng(0)
        data = []
        for index in range(examples):
            size = height + grow * index, width + grow * index
            image = rng.integers(0, 256, (*size, 3), np.uint8)
            data.append(png_example(f"{index}.png", image, np.full(size, index, np.uint8)))
        folder = tmp_path / f"dataset_{examples}_{height}_{width}_{grow}"
        classes = [f"class {index}" for index in range(examples)]
        return str(write_dataset(folder, "numbers", {"train": data}, classes, shards=shards))

    return make


@pytest.fixture
def conversion(tmp_path) -> Conversion:
    """Seven training and two validation images, in shards of at most three."""
    rng = np.random.default_rng(0)
    splits = {}
    for split, count in (("train", 7), ("val", 2)):
        for part in ("images", "labels"):
            (tmp_path / split / part).mkdir(parents=True)
        for index in range(count):
            image = rng.integers(0, 256, (8, 10, 3), np.uint8)
            label = np.full((8, 10), 10 + index % 3, np.uint8)
            cv2.imwrite(str(tmp_path / split / "images" / f"{index}.png"), image)
            cv2.imwrite(str(tmp_path / split / "labels" / f"{index}.png"), label)
        splits[split], problems = pair_by_stem(
            tmp_path / split / "images", tmp_path / split / "labels", [".png"], [".png"]
        )
        assert not problems
    return Conversion(
        name="test",
        splits=splits,
        labels=LabelTable({10: 0, 11: 1, 12: 255}),
        classes=["a", "b"],
        palette=[(0, 0, 0), (9, 9, 9)],
        examples_per_shard=3,
    )

"""Images of a data set that stand for all that a network will see."""

import os

import numpy as np

from auto_deeplab.data.pipeline import open_records
from auto_deeplab.data.survey import read_example


def calibration_images(dataset_dir: str | os.PathLike, split: str, count: int) -> list[np.ndarray]:
    """Returns images of a split, evenly spread over its records.

    Args:
        dataset_dir: A folder with `dataset.json` and TFRecords.
        split: The name of a split.
        count: How many images; all where there are fewer.

    Returns:
        uint8 [height, width, 3] each, of their own sizes.
    """
    records = open_records(dataset_dir, split)
    chosen = np.linspace(0, records.examples - 1, min(count, records.examples)).astype(int)
    return [read_example(records, number)[0] for number in records.numbers[chosen].tolist()]

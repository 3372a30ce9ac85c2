"""Images of a data set that stand for all that a network will see."""

import os

import numpy as np
import tensorflow as tf

from auto_deeplab.data.pipeline import open_records


def representative_images(
    dataset_dir: str | os.PathLike, split: str, count: int
) -> list[np.ndarray]:
    """Returns images of a split, evenly spread over its records.

    Args:
      dataset_dir: a folder with `dataset.json` and TFRecords.
      split: the name of a split.
      count: how many images; all where there are fewer.

    Returns:
      uint8 [height, width, 3] each, of their own sizes.
    """
    records = open_records(dataset_dir, split)
    chosen = np.linspace(0, records.examples - 1, min(count, records.examples)).astype(int)
    return [
        records.load(tf.constant(number, tf.int64))[0].numpy() for number in records.numbers[chosen]
    ]

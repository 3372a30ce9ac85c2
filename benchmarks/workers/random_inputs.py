"""What networks are measured on: random values, the same each time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


def random_images(batch: int, size: Sequence[int]) -> np.ndarray:
    """Returns images as files have them, uint8 `[batch, height, width, 3]`."""
    return np.random.default_rng(0).integers(0, 256, [batch, *size, 3], np.uint8)


def random_batch(batch: int, crop: int, classes: int) -> tuple["tf.Tensor", "tf.Tensor"]:
    """Returns a batch as training has it.

    Returns:
        Images, float32 `[batch, crop, crop, 3]`, and labels, int32 `[batch, crop, crop]`.
    """
    import tensorflow as tf

    random = np.random.default_rng(0)
    shape = [batch, crop, crop]
    images = random.standard_normal([*shape, 3], np.float32)
    labels = random.integers(0, classes, shape, np.int32)
    return tf.constant(images), tf.constant(labels)

"""Prediction by overlapping windows, for images whose feature maps would not fit into memory."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from auto_deeplab.evaluation.inference import Predict


class SlidingWindows:
    """Predicts images window by window; where windows overlap their probabilities are averaged.

    All windows of an image have one size, so whatever the image's size the network needs the memory
    of one window. The probabilities of finished rows are dropped at once: what is kept is a band
    as high as a window.

    Args:
        probabilities: Maps batches of one window to probabilities `[1, height, width, classes]`; it
            is given a row of windows at a time.
        window: (height, width) of the windows; an image that is smaller in a direction is covered
            by one window of its own size there.
        overlap: The least share of a window that it has in common with the next one, 0 to below 1.
    """

    def __init__(
        self,
        probabilities: Predict,
        window: tuple[int, int],
        overlap: float = 1 / 3,
    ) -> None:
        if min(window) < 1:
            raise ValueError(f"window: received {window}; expected two positive numbers")
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap: received {overlap}; expected 0 to below 1")
        self.probabilities = probabilities
        self.window = window
        self.overlap = overlap

    def __call__(self, batches: Sequence[tf.Tensor]) -> list[np.ndarray]:
        """Maps batches, float32 `[batch, height, width, 3]`, to int32 class maps."""
        return [np.stack([self._class_map(image) for image in images]) for images in batches]

    def _class_map(self, image: tf.Tensor) -> np.ndarray:
        height, width = image.shape[:2]
        rows = window_origins(height, self.window[0], self.overlap)
        columns = window_origins(width, self.window[1], self.overlap)
        window_height, window_width = min(height, self.window[0]), min(width, self.window[1])
        class_map = np.empty((height, width), np.int32)
        band = None
        for row, next_row in zip(rows, [*rows[1:], height], strict=True):
            parts = self.probabilities(
                [
                    image[tf.newaxis, row : row + window_height, column : column + window_width]
                    for column in columns
                ]
            )
            if band is None:
                band = np.zeros((window_height, width, parts[0].shape[-1]), np.float32)
            for column, (part,) in zip(columns, parts, strict=True):
                # Every class of a pixel is summed as often: its mean has the same largest class.
                band[:, column : column + window_width] += part
            finished = next_row - row
            class_map[row:next_row] = band[:finished].argmax(axis=-1)
            band[:-finished] = band[finished:]
            band[-finished:] = 0
        return class_map


def window_origins(length: int, window: int, overlap: float) -> list[int]:
    """Returns where windows begin in a direction: at 0, and so that the last one ends at `length`.

    They are as few as the overlap allows, and evenly spread.

    Args:
        length: Of the image, in pixels.
        window: Of a window, in pixels.
        overlap: The least share of a window in common with the next one.
    """
    slack = length - window
    if slack <= 0:
        return [0]
    step = max(1, int(window * (1 - overlap)))
    steps = -(-slack // step)
    return [slack * index // steps for index in range(steps + 1)]

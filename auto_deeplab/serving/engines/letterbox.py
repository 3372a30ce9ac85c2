"""What `fitting` does inside a graph, outside of one: for engines that were made for one size.

It needs no TensorFlow, as the machines that have such engines may have none.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from auto_deeplab.serving.segmenter import Segmenter

# The mean pixel, which images are filled up with, as near as whole numbers come.
_FILL = 128


def class_maps_of_any_size(class_maps: Segmenter, shape: Sequence[int | str | None]) -> Segmenter:
    """Lets an engine that was made for one image of one size take any number of any size.

    Images are scaled to fit, keeping their proportions, and filled up at the bottom or the right.
    Class maps are scaled back by the nearest pixel.

    Args:
        class_maps: Runs the engine.
        shape: Of the images that the engine takes; what is no number above 0 stands for any.

    Returns:
        The function; `class_maps` itself if it takes any size.
    """
    fixed = [
        int(length)
        for length in shape[1:3]
        if length is not None and not isinstance(length, str) and length > 0
    ]
    if len(fixed) < 2:
        return class_maps
    size = (fixed[0], fixed[1])

    def class_map(image: np.ndarray) -> np.ndarray:
        height, width = content_size(image.shape[:2], size)
        fitted = np.full([*size, 3], _FILL, np.uint8)
        makes_smaller = height * width < image.shape[0] * image.shape[1]
        fitted[:height, :width] = cv2.resize(
            image,
            (width, height),
            interpolation=cv2.INTER_AREA if makes_smaller else cv2.INTER_LINEAR,
        )
        predicted = class_maps(fitted[np.newaxis])[0, :height, :width]
        return cv2.resize(predicted, image.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)

    return lambda images: np.stack([class_map(image) for image in images])


def content_size(source: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Returns the same as `fitting.content_size`, for sizes that are known."""
    scale = min(np.array(size) / source)
    height, width = np.clip(np.round(np.array(source) * scale).astype(int), 1, size)
    return int(height), int(width)

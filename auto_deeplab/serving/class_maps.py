"""What every network outside of training is to the rest: a function from images to class maps."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import NamedTuple

import numpy as np

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.errors import UserError

ClassMaps = Callable[[np.ndarray], np.ndarray]
"""Maps uint8 images [batch, height, width, 3] to int32 class maps [batch, height, width]."""


class ExportedNetwork(NamedTuple):
    """A network that was exported, loaded by an engine.

    Attributes:
      path: the file or the folder that it was loaded from.
      class_maps: runs it.
      description: its classes and colors, as the export carries them.
    """

    path: str
    class_maps: ClassMaps
    description: DatasetDescription


def check_size(
    path: str | PathLike, images: np.ndarray, expected: Sequence[int | str | None]
) -> None:
    """Checks that a file that was exported for one size is given images of that size.

    Args:
      path: the file.
      images: uint8 [batch, height, width, 3].
      expected: the shape that it takes; what is no number above 0 stands for any.

    Raises:
      UserError: it takes another size.
    """
    free = [isinstance(size, str) or size is None or size < 1 for size in expected]
    if not all(
        is_free or size == given
        for is_free, size, given in zip(free, expected, images.shape, strict=True)
    ):
        raise UserError(
            f"{path} was exported for one image of {expected[1]}x{expected[2]} at a time; received "
            f"{len(images)} of {images.shape[1]}x{images.shape[2]}"
        )

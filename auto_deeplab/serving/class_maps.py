"""What every network outside of training is to the rest: a function from images to class maps."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from auto_deeplab.data.description import DatasetDescription

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

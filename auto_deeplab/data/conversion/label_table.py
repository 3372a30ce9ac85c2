"""Maps the values of label files to train ids."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from auto_deeplab.data.image_files import BadInput
from auto_deeplab.foundations.errors import UserError


class LabelTable:
    """Maps the values of label files to train ids.

    Args:
        train_ids: The train id (0..255) of each value (0..255) that label files may hold.
    """

    def __init__(self, train_ids: Mapping[int, int]) -> None:
        self.train_ids = dict(sorted(train_ids.items()))
        for value, train_id in self.train_ids.items():
            if not (0 <= value <= 255 and 0 <= train_id <= 255):
                raise UserError(f"labels: received {value} -> {train_id}; expected values 0..255")
        self._known = np.zeros(256, bool)
        self._known[list(self.train_ids)] = True
        self._table = np.zeros(256, np.uint8)
        self._table[list(self.train_ids)] = list(self.train_ids.values())

    def apply(self, label: np.ndarray) -> np.ndarray:
        """Returns the train ids of `label`, both uint8 [height, width].

        Raises:
            BadInput: Values outside of the table; the message lists them.
        """
        counts = count_values(label)
        unknown = np.flatnonzero((counts > 0) & ~self._known)
        if unknown.size:
            found = ", ".join(f"{value} ({counts[value]} pixels)" for value in unknown[:8])
            more = f" and {unknown.size - 8} more" if unknown.size > 8 else ""
            raise BadInput(
                f"received label values outside of the table: {found}{more}; "
                f"expected {_ranges(list(self.train_ids))}"
            )
        return cv2.LUT(label, self._table)


def count_values(label: np.ndarray) -> np.ndarray:
    """Returns how many pixels of uint8 [height, width] have each value, int64 [256]."""
    # OpenCV counts in float32, which is exact up to 2^24.
    counts = np.zeros(256, np.int64)
    for part in np.array_split(label, -(-label.size // 2**24)):
        counts += cv2.calcHist([part], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    return counts


def _ranges(values: Sequence[int]) -> str:
    """Writes whole numbers briefly: "0-33, 255"."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)

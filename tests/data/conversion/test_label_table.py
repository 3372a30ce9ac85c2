import numpy as np
import pytest

from auto_deeplab.data.conversion.label_table import LabelTable, count_values
from auto_deeplab.data.image_files import BadInput
from auto_deeplab.foundations.errors import UserError


def test_label_table_counts_and_lists_unknown_values():
    label = np.array([[0, 5], [5, 7]], np.uint8)
    with pytest.raises(BadInput, match=r"5 \(2 pixels\), 7 \(1 pixels\); expected 0-2, 9"):
        LabelTable({0: 0, 1: 1, 2: 2, 9: 255}).apply(label)
    with pytest.raises(UserError, match="received 3 -> 256"):
        LabelTable({3: 256})


def test_counts_are_exact_beyond_the_integers_of_float32():
    label = np.full((4100, 4200), 3, np.uint8)
    label[0, 0] = 5
    counts = count_values(label)
    assert counts.dtype == np.int64
    assert {int(i): int(counts[i]) for i in counts.nonzero()[0]} == {3: 4100 * 4200 - 1, 5: 1}

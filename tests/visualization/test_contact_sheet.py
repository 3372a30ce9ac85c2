"""The palette of `colored_dataset` is what its images show, so colors tell what was drawn."""

import numpy as np

from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.visualization.contact_sheet import contact_sheet


def test_rows_show_examples_before_and_after_augmentation(colored_dataset):
    records = SegmentationRecords(colored_dataset, "val")
    sheets = [contact_sheet(records, examples=examples, crop_size=33) for examples in (1, 2, 3)]
    assert all(sheet.dtype == np.uint8 for sheet in sheets)
    row = sheets[1].shape[0] - sheets[0].shape[0]
    # There are no more than two examples; each row has its caption.
    assert sheets[2].shape == sheets[1].shape
    assert row > 220
    # The image and its labels, 44 to 36, then twice a square crop and its labels.
    assert sheets[0].shape[1] >= 2 * 220 * 44 // 36 + 4 * 220
    first = sheets[0][40:200, 20:240].astype(int)
    labeled = sheets[0][40:200, 300:500].astype(int)
    # Labels bring each pixel nearer to its class's color.
    palette = np.asarray(records.description.palette)
    assert _distance(labeled, palette) < 0.6 * _distance(first, palette)


def _distance(part: np.ndarray, palette: np.ndarray) -> float:
    """The median distance of a pixel to the nearest class's color."""
    distances = np.abs(part[:, :, None] - palette).sum(axis=-1)
    return float(np.median(distances.min(axis=-1)))


def test_the_seed_decides(colored_dataset):
    records = SegmentationRecords(colored_dataset, "train")
    first, again, other = (
        contact_sheet(records, examples=2, scales=(0.5, 1.0), seed=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert first.shape == other.shape
    assert (first != other).any()

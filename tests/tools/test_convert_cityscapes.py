import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from auto_deeplab.data.cityscapes import CLASSES, LABEL_IDS, image_path, label_path
from auto_deeplab.data.pipeline import SegmentationRecords

_REPOSITORY = Path(__file__).resolve().parents[2]
# CamVid's class numbers as Cityscapes labels; "unlabelled" at the end.
_AS_CITYSCAPES = [
    "sky", "building", "pole", "road", "sidewalk", "vegetation", "traffic sign", "fence", "car",
    "person", "rider", "unlabeled",
]  # fmt: skip


@pytest.fixture
def cityscapes_root(camvid, tmp_path):
    """A few CamVid images in the Cityscapes layout, as PNG files with labelIds."""
    label_ids = np.array([LABEL_IDS[name] for name in _AS_CITYSCAPES], np.uint8)
    root = tmp_path / "cityscapes"
    for split, count in (("train", 4), ("val", 2)):
        for index, path in enumerate(sorted((camvid / split / "images").iterdir())[:count]):
            city = ("cambridge", "ely")[index % 2]
            stem = f"{city}_{index:06d}_000019"
            for target in (
                image_path(root, split, city, stem),
                label_path(root, split, city, stem),
            ):
                target.parent.mkdir(parents=True, exist_ok=True)
            Image.open(path).save(image_path(root, split, city, stem))
            label = np.asarray(Image.open(camvid / split / "labels" / (path.stem + ".png")))
            Image.fromarray(label_ids[label]).save(label_path(root, split, city, stem))
    return root


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_converts_camvid_in_the_cityscapes_layout(cityscapes_root, tmp_path, scale):
    output = tmp_path / "records"
    result = subprocess.run(
        [
            sys.executable,
            "tools/convert_cityscapes.py",
            f"--cityscapes_root={cityscapes_root}",
            f"--output_dir={output}",
            f"--scale={scale}",
        ],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "4 train, 2 val examples of 19 classes" in result.stdout
    records = SegmentationRecords(output, "train")
    assert records.description.classes == CLASSES
    # The first record is the first image of the first city.
    image, label = (part.numpy() for part in records.load(tf.constant(0, tf.int64)))
    stem = "cambridge_000000_000019"
    source = np.asarray(Image.open(image_path(cityscapes_root, "train", "cambridge", stem)))
    label_ids = np.asarray(Image.open(label_path(cityscapes_root, "train", "cambridge", stem)))
    train_ids = np.full(256, 255)
    for index, name in enumerate(CLASSES):
        train_ids[LABEL_IDS[name]] = index
    expected = train_ids[label_ids]
    if scale == 1.0:
        np.testing.assert_array_equal(image, source)
        np.testing.assert_array_equal(label, expected)
    else:
        assert image.shape == (source.shape[0] // 2, source.shape[1] // 2, 3)
        blocks = source.reshape(image.shape[0], 2, image.shape[1], 2, 3).mean(axis=(1, 3))
        assert np.abs(image - blocks).max() <= 0.5
        nearest = cv2.resize(
            expected.astype(np.uint8), label.shape[::-1], interpolation=cv2.INTER_NEAREST
        )
        assert (label == nearest).mean() > 0.97

import numpy as np
import pytest

from auto_deeplab.data.datasets.cityscapes import CLASSES, LABEL_IDS, TRAIN_IDS
from auto_deeplab.data.street_scenes.composition import draw_scene
from tests.helpers import run_new_python


def test_scene_depends_on_seed_split_and_index_alone():
    image, label = draw_scene(3, "train", 5, 64, 128)
    assert (image.shape, image.dtype) == ((64, 128, 3), np.uint8)
    assert (label.shape, label.dtype) == ((64, 128), np.uint8)
    draw_scene(0, "val", 1, 64, 128)
    again = draw_scene(3, "train", 5, 64, 128)
    np.testing.assert_array_equal(again[0], image)
    np.testing.assert_array_equal(again[1], label)
    for other in ((4, "train", 5), (3, "val", 5), (3, "train", 6)):
        assert not np.array_equal(draw_scene(*other, 64, 128)[0], image)


@pytest.mark.parametrize("split", ["train", "val"])
def test_few_scenes_hold_all_classes_and_some_void(split):
    labels = [draw_scene(0, split, index, 128, 256)[1] for index in range(24)]
    found = set(np.unique(labels))
    assert found <= set(TRAIN_IDS)
    missing = {name for name in CLASSES if LABEL_IDS[name] not in found}
    assert not missing
    void = np.isin(labels, [value for value, train_id in TRAIN_IDS.items() if train_id == 255])
    assert 0 < void.mean() < 0.2
    assert any(LABEL_IDS["ego vehicle"] in label for label in labels)


def test_scenes_are_composed_like_streets():
    """Sky is above road, and both are in nearly every scene."""
    rows = np.arange(128)[:, np.newaxis]
    higher = 0
    for index in range(16):
        label = draw_scene(1, "train", index, 128, 256)[1]
        sky, road = (label == LABEL_IDS[name] for name in ("sky", "road"))
        assert road.mean() > 0.02
        if sky.any():
            higher += (rows * sky).sum() / sky.sum() < (rows * road).sum() / road.sum() - 30
    assert higher >= 14


def test_color_alone_does_not_tell_the_classes():
    """A rule from coarse color to the most frequent class stays far from a perfect labelling."""
    scenes = [draw_scene(2, "train", index, 128, 256) for index in range(16)]
    color = np.concatenate([(image // 32).reshape(-1, 3) for image, _ in scenes]).astype(int)
    color = color @ (64, 8, 1)
    label = np.concatenate([label.ravel() for _, label in scenes])
    counts = np.zeros((512, 34), int)
    np.add.at(counts, (color, label), 1)
    guess = counts.argmax(axis=1)[color]
    ious = [
        ((guess == value) & (label == value)).sum() / ((guess == value) | (label == value)).sum()
        for value in (LABEL_IDS[name] for name in CLASSES)
    ]
    assert np.mean(ious) < 0.3


def test_drawing_imports_no_tensorflow():
    """Worker processes start in a fraction of a second."""
    code = (
        "import sys, auto_deeplab.data.street_scenes.files; sys.exit('tensorflow' in sys.modules)"
    )
    assert run_new_python("-c", code).returncode == 0

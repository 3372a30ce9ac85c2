import itertools

import cv2
import numpy as np
import pytest

from auto_deeplab.data.folders import (
    folder_conversion,
    generated_palette,
    read_classes,
    read_palette,
)
from auto_deeplab.errors import UserError


@pytest.fixture
def folders(tmp_path):
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        cv2.imwrite(str(tmp_path / part / "a.png"), np.zeros((4, 4), np.uint8))
    return {"train": (str(tmp_path / "images"), str(tmp_path / "labels")), "val": (None, None)}


def test_ignored_value_becomes_255(folders):
    conversion = folder_conversion("n", folders, ["a", "b"], ignore_label=7)
    assert conversion.labels.train_ids == {0: 0, 1: 1, 7: 255}
    assert conversion.ignore_label == 255
    assert {split: len(pairs) for split, pairs in conversion.splits.items()} == {"train": 1}


def test_wrong_folders_and_labels_are_explained(folders):
    with pytest.raises(UserError, match=r"--train_images is given, --train_labels is not"):
        folder_conversion("n", {"train": ("images", None)}, ["a"])
    with pytest.raises(UserError, match="no folders to convert: give --train_images"):
        folder_conversion("n", {"train": (None, None)}, ["a"])
    with pytest.raises(UserError, match="--ignore_label=1: is the number of class 'b'"):
        folder_conversion("n", folders, ["a", "b"], ignore_label=1)
    with pytest.raises(UserError, match="nowhere: no such folder"):
        folder_conversion("n", {"train": ("nowhere", folders["train"][1])}, ["a"])


@pytest.mark.parametrize("classes", [1, 11, 19, 21])
def test_generated_colors_are_told_apart(classes):
    palette = generated_palette(classes)
    assert palette == generated_palette(classes)
    for one, other in itertools.combinations(np.array(palette, int), 2):
        assert np.abs(one - other).sum() > 30


def test_classes_from_list_or_file(tmp_path):
    assert read_classes("sky, road,car") == ("sky", "road", "car")
    path = tmp_path / "classes.txt"
    path.write_text("sky\ntraffic light\n\n")
    assert read_classes(str(path)) == ("sky", "traffic light")
    with pytest.raises(UserError, match="--classes: expected names"):
        read_classes("sky,,car")


def test_palette_file(tmp_path):
    path = tmp_path / "palette.txt"
    path.write_text("1 2 3\n4, 5, 255\n")
    assert read_palette(str(path)) == ((1, 2, 3), (4, 5, 255))
    path.write_text("1 2 3\n4 5 256\n")
    with pytest.raises(UserError, match=r"line 2: expected red green blue.*received '4 5 256'"):
        read_palette(str(path))
    with pytest.raises(UserError, match="cannot be read"):
        read_palette(str(tmp_path / "none.txt"))

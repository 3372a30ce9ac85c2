import json

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from auto_deeplab.data.coco import TRAIN_IDS, coco_conversion
from auto_deeplab.data.conversion_engine import convert
from auto_deeplab.data.voc2012 import CLASSES
from auto_deeplab.errors import UserError

# COCO's ids of the categories that are VOC classes, as in instances_val2017.json, and two others.
_CATEGORIES = {
    "person": 1, "bicycle": 2, "car": 3, "motorcycle": 4, "airplane": 5, "bus": 6, "train": 7,
    "boat": 9, "bird": 16, "cat": 17, "dog": 18, "horse": 19, "sheep": 20, "cow": 21, "bottle": 44,
    "chair": 62, "couch": 63, "potted plant": 64, "dining table": 67, "tv": 72,
    "truck": 8, "toothbrush": 90,
}  # fmt: skip
_SIZE = (480, 640)


def _box(left, top, right, bottom) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


def _polygon(number, category, *boxes, crowd=0) -> dict:
    areas = [(box[2] - box[0]) * (box[5] - box[1]) for box in boxes]
    return {
        "id": number,
        "category_id": _CATEGORIES[category],
        "iscrowd": crowd,
        "segmentation": [list(map(float, box)) for box in boxes],
        "area": float(sum(areas)),
    }


def _runs(number, category, mask, compressed: bool) -> dict:
    """An annotation by run lengths, as crowds have it."""
    outline = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    if compressed:
        outline["counts"] = outline["counts"].decode()
    else:
        columns = mask.T.ravel().astype(np.int8)
        changes = [*np.flatnonzero(np.diff(columns, prepend=0)).tolist(), columns.size]
        outline["counts"] = np.diff([0, *changes]).tolist()
    return {
        "id": number,
        "category_id": _CATEGORIES[category],
        "iscrowd": 1,
        "segmentation": outline,
        "area": float(mask.sum()),
    }


@pytest.fixture
def coco(tmp_path, save, photo):
    """Annotations as in the official files: polygons, crowds, images with too little of VOC."""
    root = tmp_path / "coco"
    crowd, other_crowd = np.zeros((2, *_SIZE), bool)
    crowd[300:400, 50:150] = True
    other_crowd[420:470, 0:640] = True
    annotations = {
        # A cat of two parts below a couch that overlaps it; crowds over the couch and beside it.
        9: [
            _polygon(1, "cat", _box(20, 20, 120, 120), _box(140, 20, 160, 120)),
            _polygon(2, "couch", _box(100, 60, 200, 160)),
            _polygon(3, "couch", _box(180, 100, 300, 340)),
            _polygon(4, "truck", _box(400, 10, 600, 200)),
            _runs(5, "person", crowd, compressed=True),
            _runs(6, "sheep", other_crowd, compressed=False),
        ],
        # 1000 pixels are not enough, 1020 are.
        25: [_polygon(7, "dog", _box(0, 0, 50, 20))],
        30: [_polygon(8, "dog", _box(0, 0, 51, 20))],
        # Other categories and crowds do not count.
        34: [
            _polygon(9, "toothbrush", _box(0, 0, 500, 300)),
            _runs(10, "person", crowd, compressed=True),
        ],
    }
    for split in ("train", "val"):
        dataset = {
            "info": {},
            "images": [
                {"id": i, "file_name": f"{i:012d}.jpg", "height": _SIZE[0], "width": _SIZE[1]}
                for i in (*annotations, 99)
            ],
            "categories": [{"id": i, "name": name} for name, i in _CATEGORIES.items()],
            "annotations": [
                {"image_id": image, **annotation}
                for image, own in annotations.items()
                for annotation in own
            ],
        }
        path = root / "annotations" / f"instances_{split}2017.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dataset))
        for number in (*annotations, 99):
            save(root / f"{split}2017" / f"{number:012d}.jpg", photo(*_SIZE, number))
    return root


def test_every_voc_class_has_a_category():
    assert set(TRAIN_IDS) <= set(_CATEGORIES)
    assert sorted(TRAIN_IDS.values()) == list(range(1, 21))
    assert CLASSES[TRAIN_IDS["couch"]] == "sofa"
    assert CLASSES[TRAIN_IDS["tv"]] == "tvmonitor"


def test_converts_images_with_enough_of_vocs_classes(run_tool, read_split, coco, tmp_path):
    output = tmp_path / "records"
    result = run_tool("convert_coco", f"--coco_root={coco}", f"--output_dir={output}")
    assert result.returncode == 0, result.stderr
    assert "2 train, 2 val examples of 21 classes" in result.stdout
    first, second = read_split(output, "train")
    assert [first.name, second.name] == ["000000000009.jpg", "000000000030.jpg"]
    assert first.encoded == (coco / "train2017" / "000000000009.jpg").read_bytes()
    cat, sofa, ignored = CLASSES.index("cat"), CLASSES.index("sofa"), 255
    expected = np.zeros(_SIZE, np.uint8)
    expected[300:400, 50:150] = ignored  # A crowd; the couch lies over it.
    expected[420:470] = ignored
    expected[60:160, 100:200] = sofa
    expected[100:340, 180:300] = sofa
    expected[20:120, 20:120] = cat
    expected[20:120, 140:160] = cat
    expected[60:120, 100:120] = ignored  # Two classes at once.
    expected[60:120, 140:160] = ignored
    np.testing.assert_array_equal(first.label, expected)
    assert (second.label == CLASSES.index("dog")).sum() == 51 * 20


def test_outlines_are_drawn_as_pycocotools_draws_them(read_split, coco, tmp_path):
    path = coco / "annotations" / "instances_val2017.json"
    dataset = json.loads(path.read_text())
    triangle = [100.5, 50.25, 400.0, 90.75, 220.0, 300.5]
    for annotation in dataset["annotations"]:
        if annotation["id"] == 8:
            annotation |= {"segmentation": [triangle], "area": 30000.0}
    path.write_text(json.dumps(dataset))
    convert(coco_conversion(coco, ["val"]), tmp_path / "records", progress=False)
    label = read_split(tmp_path / "records", "val")[1].label
    filled = np.zeros(_SIZE, np.uint8)
    cv2.fillPoly(filled, [np.round(np.reshape(triangle, (-1, 2))).astype(int)], 1)
    dog = label == CLASSES.index("dog")
    # OpenCV includes the outline itself, so they differ along it alone.
    inside = cv2.erode(filled, np.ones((5, 5), np.uint8)).astype(bool)
    around = cv2.dilate(filled, np.ones((5, 5), np.uint8)).astype(bool)
    assert dog[inside].all()
    assert not dog[~around].any()


def test_bad_annotations_and_images_are_gathered(coco, tmp_path):
    path = coco / "annotations" / "instances_train2017.json"
    dataset = json.loads(path.read_text())
    dataset["annotations"][0]["segmentation"] = {"size": [4, 4]}
    dataset["images"][2]["width"] = 512
    del dataset["annotations"][6]["area"]
    path.write_text(json.dumps(dataset))
    (coco / "train2017" / "000000000030.jpg").unlink()
    with pytest.raises(UserError) as error:
        convert(coco_conversion(coco, ["train", "val"]), tmp_path / "records", progress=False)
    message = str(error.value)
    assert "3 problems with the input, nothing written" in message
    assert f"{path}: image 25: no usable field 'area'" in message
    assert f"{path}: image 9: annotation 1: segmentation: 'counts'" in message
    assert "000000000030.jpg: cannot be read: No such file or directory" in message


def test_a_size_that_is_not_the_images_is_explained(coco, tmp_path):
    path = coco / "annotations" / "instances_train2017.json"
    dataset = json.loads(path.read_text())
    dataset["images"][2]["width"] = 512
    path.write_text(json.dumps(dataset))
    with pytest.raises(UserError, match="image 30 is 512x480 there, but its file is 640x480"):
        convert(coco_conversion(coco, ["train"]), tmp_path / "records", progress=False)


def test_missing_and_wrong_annotation_files_are_explained(coco):
    with pytest.raises(UserError, match=r"instances_test2017\.json does not exist"):
        coco_conversion(coco, ["test"])
    path = coco / "annotations" / "instances_train2017.json"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"instances_train2017\.json: not a file of COCO instances"):
        coco_conversion(coco, ["train"])
    path.write_text(whole.replace('"name": "couch"', '"name": "settee"'))
    with pytest.raises(UserError, match="categories: missing couch"):
        coco_conversion(coco, ["train"])
    with pytest.raises(UserError, match="no image has objects of the VOC classes"):
        coco_conversion(coco, ["val"], min_area=10**7)

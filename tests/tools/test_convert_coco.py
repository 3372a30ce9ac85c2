import json
import unicodedata

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from auto_deeplab.data.conversion.engine import convert
from auto_deeplab.data.conversion.pairs import BadPair
from auto_deeplab.data.datasets.coco import TRAIN_IDS, coco_conversion
from auto_deeplab.data.datasets.voc2012 import CLASSES
from auto_deeplab.foundations.errors import UserError

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
    assert not (tmp_path / "records").exists()
    assert "000000000030.jpg: cannot be read: No such file or directory" in message


def test_a_size_that_is_not_the_images_is_explained(coco, tmp_path):
    path = coco / "annotations" / "instances_train2017.json"
    dataset = json.loads(path.read_text())
    dataset["images"][2]["width"] = 512
    path.write_text(json.dumps(dataset))
    with pytest.raises(
        UserError, match=r"image 30: received 512x480; expected .* its file, 640x480"
    ):
        convert(coco_conversion(coco, ["train"]), tmp_path / "records", progress=False)


def test_missing_and_wrong_annotation_files_are_explained(coco):
    with pytest.raises(UserError, match=r"instances_test2017\.json: does not exist"):
        coco_conversion(coco, ["test"])
    path = coco / "annotations" / "instances_train2017.json"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"instances_train2017\.json: not a file of COCO instances"):
        coco_conversion(coco, ["train"])
    path.write_text(whole.replace('"name": "couch"', '"name": "settee"'))
    with pytest.raises(UserError, match="categories: received none called couch"):
        coco_conversion(coco, ["train"])
    with pytest.raises(UserError, match="no image has objects of the VOC classes"):
        coco_conversion(coco, ["val"], min_area=10**7)


_HEIGHT, _WIDTH = 10, 12
_PIXELS = _HEIGHT * _WIDTH


def _write(root, annotations, image_fields=None, encoding="utf-8", name="a.png") -> None:
    """Writes a split "val" of one image, 12x10, with these annotations."""
    for folder in ("annotations", "val2017"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (_WIDTH, _HEIGHT)).save(root / "val2017" / name)
    image = {"id": 5, "file_name": "a.png", "height": _HEIGHT, "width": _WIDTH}
    dataset = {
        "images": [image | (image_fields or {})],
        "categories": [{"id": i, "name": name} for name, i in _CATEGORIES.items()],
        "annotations": annotations,
    }
    (root / "annotations" / "instances_val2017.json").write_text(
        json.dumps(dataset), encoding=encoding
    )


def _cat(segmentation, **fields) -> dict:
    return {
        "id": 7,
        "image_id": 5,
        "category_id": _CATEGORIES["cat"],
        "iscrowd": 0,
        "area": 9.0,
        "segmentation": segmentation,
        **fields,
    }


def _read(root) -> np.ndarray:
    """Returns the label of the one image, or raises what lists problems."""
    conversion = coco_conversion(root, ["val"], min_area=0)
    if conversion.problems:
        raise UserError("\n".join(conversion.problems))
    (pair,) = conversion.splits["val"]
    return conversion.read(pair).label


_SQUARE = [2, 3, 6, 3, 6, 8, 2, 8]


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ({"size": [10, 12], "counts": [20, 30]}, "lengths of 50 pixels together; expected 120"),
        ({"size": [10, 12], "counts": [20, 101]}, "lengths of 121 pixels together; expected 120"),
        ({"size": [10, 12], "counts": [130, -10]}, "received -10; expected whole numbers from 0"),
        ({"size": [10, 12], "counts": [119.5, 0.5]}, "received 119.5; expected whole numbers"),
        ({"size": [10, 12], "counts": [0, 2**40]}, "expected 120"),
        ({"size": [10, 12], "counts": "d0n0"}, "expected 120"),
        ({"size": [10, 12], "counts": "P"}, "which ends within a number"),
        ({"size": [10, 12], "counts": "~"}, "expected compressed run lengths"),
        ({"size": [10, 12], "counts": "P" * 40 + "0"}, "expected compressed run lengths"),
        (
            {"size": [10**6, 10**6], "counts": [10**12]},
            r"'size': received \[1000000, 1000000\]; expected",
        ),
        ({"counts": [120]}, r"'size': received None; expected \[10, 12\]"),
        ([[*_SQUARE[:6], 2e8, 8]], "polygon 0: received x = 200000000.0; expected -12 to 24"),
        ([_SQUARE, [*_SQUARE[:7], -13]], "polygon 1: received y = -13; expected -12 to 22"),
        ([[*_SQUARE[:7], float("nan")]], "polygon 0: .*; expected numbers"),
        ([[*_SQUARE[:7], float("-inf")]], "polygon 0: .*; expected numbers"),
        ([[*_SQUARE[:7], 10**400]], "polygon 0: .*; expected numbers"),
        ([[*_SQUARE, 5]], "polygon 0: received 9 numbers; expected pairs of x, y"),
        ([], "received no polygon; expected at least one"),
        (_SQUARE, "polygon 0: received 2; expected numbers"),
        ("a square", "received 'a square'; expected polygons or run lengths"),
        (None, "received None; expected polygons or run lengths"),
    ],
)
def test_an_outline_that_cannot_be_drawn_names_image_and_annotation(tmp_path, segmentation, reason):
    _write(tmp_path, [_cat(segmentation)])
    with pytest.raises(
        BadPair, match=rf"instances_val2017\.json: image 5: annotation 7: .*{reason}"
    ):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("annotation", "image", "reason"),
    [
        ({"area": "9"}, {}, "image 5: no usable field 'area': received '9'; .* of annotation 7"),
        ({"area": float("nan")}, {}, "image 5: no usable field 'area': received nan"),
        ({"iscrowd": 2}, {}, "image 5: no usable field 'iscrowd': received 2; expected 0 or 1"),
        ({"category_id": [17]}, {}, r"image 5: no usable field 'category_id': received \[17\]"),
        ({}, {"height": 0}, "image 5: no usable field 'height': received 0"),
        ({}, {"width": float("inf")}, "image 5: no usable field 'width': received inf"),
        ({}, {"file_name": "../a.png"}, r"image 5: no usable field 'file_name': .* in the folder"),
        ({}, {"file_name": "/etc/a.png"}, "image 5: no usable field 'file_name'"),
        ({}, {"file_name": "a\0.png"}, "image 5: no usable field 'file_name'"),
        ({}, {"id": None}, "images: element 0: no usable field 'id': received None"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(tmp_path, annotation, image, reason):
    _write(tmp_path, [_cat([_SQUARE], **annotation)], image)
    with pytest.raises(UserError, match=rf"instances_val2017\.json: {reason}"):
        _read(tmp_path)


def test_what_the_official_tools_tolerate_is_no_problem(tmp_path):
    outlines = [_SQUARE, [1, 1, 9, 9], [4, 4]]  # The last two have no area.
    annotation = _cat(outlines)
    del annotation["iscrowd"]
    other_image = _cat("anything", image_id=77)
    _write(tmp_path, [annotation, other_image], encoding="utf-8-sig")
    expected = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    expected[3:8, 2:6] = CLASSES.index("cat")
    np.testing.assert_array_equal(_read(tmp_path), expected)
    (note,) = coco_conversion(tmp_path, ["val"], min_area=0).notes
    assert "2 polygons of fewer than 3 points, skipped: of annotation 7" in note


def test_a_size_without_an_image_takes_no_memory(tmp_path):
    _write(tmp_path, [_cat([_SQUARE])], {"height": 10**9, "width": 10**9})
    (tmp_path / "val2017" / "a.png").unlink()
    with pytest.raises(BadPair, match=r"a\.png: cannot be read"):
        _read(tmp_path)


def test_deep_and_odd_annotation_files_are_explained(tmp_path):
    _write(tmp_path, [])
    path = tmp_path / "annotations" / "instances_val2017.json"
    texts = (
        "[" * 100000,
        "[]",
        "null",
        '{"images": 1' + "0" * 5000 + "}",
        '{"images": []}',
        "\ufffe",
    )
    for text in (*texts, '{"images": [5], "annotations": [], "categories": []}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=rf"{path}: not a file of COCO instances"):
            coco_conversion(tmp_path, ["val"])
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(UserError, match=rf"{path}: not a file of COCO instances"):
        coco_conversion(tmp_path, ["val"])


def test_a_file_name_with_accents_is_found_however_it_is_written(tmp_path):
    composed, separate = (unicodedata.normalize(form, "été.png") for form in ("NFC", "NFD"))
    _write(tmp_path, [_cat([_SQUARE])], {"file_name": composed}, name=separate)
    assert _read(tmp_path).any()


def _oracle(annotations) -> np.ndarray:
    """The label by pycocotools alone, which draws what is sound."""
    label = np.zeros((_HEIGHT, _WIDTH), int)
    for annotation in sorted(annotations, key=lambda annotation: annotation["iscrowd"]):
        outline = annotation["segmentation"]
        if isinstance(outline, list):
            outline = coco_mask.merge(coco_mask.frPyObjects(outline, _HEIGHT, _WIDTH))
        elif isinstance(outline["counts"], list):
            outline = coco_mask.frPyObjects(outline, _HEIGHT, _WIDTH)
        mask = coco_mask.decode(outline).astype(bool)
        if annotation["iscrowd"]:
            label[mask & (label == 0)] = 255
            continue
        train_id = {17: CLASSES.index("cat"), 18: CLASSES.index("dog")}[annotation["category_id"]]
        label[mask] = np.where((label == 0) | (label == train_id), train_id, 255)[mask]
    return label


_POLYGONS = st.lists(
    st.lists(st.floats(-12, 22), min_size=6, max_size=10).filter(lambda p: len(p) % 2 == 0),
    min_size=1,
    max_size=2,
)


@st.composite
def _run_lengths(draw) -> dict:
    mask = np.random.default_rng(draw(st.integers(0, 99))).random((_HEIGHT, _WIDTH)) < 0.3
    return _runs(0, "cat", mask, compressed=draw(st.booleans()))["segmentation"]


_ANNOTATIONS = st.lists(
    st.builds(
        lambda segmentation, crowd, category: _cat(
            segmentation, iscrowd=crowd, category_id=category
        ),
        _POLYGONS | _run_lengths(),
        st.sampled_from([0, 0, 1]),
        st.sampled_from([17, 18]),
    ),
    min_size=1,
    max_size=3,
).filter(lambda annotations: not all(annotation["iscrowd"] for annotation in annotations))


@settings(max_examples=40, deadline=None)
@given(annotations=_ANNOTATIONS)
def test_sound_annotations_give_what_pycocotools_draws(tmp_path_factory, annotations):
    root = tmp_path_factory.mktemp("coco")
    _write(root, annotations)
    np.testing.assert_array_equal(_read(root), _oracle(annotations))


_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
_ANY_OUTLINE = st.one_of(
    _ANY_JSON,
    st.lists(st.lists(st.floats() | st.integers(), max_size=9), max_size=3),
    st.builds(
        lambda counts: {"size": [_HEIGHT, _WIDTH], "counts": counts},
        st.text("0123456789:;<=>?@PQRoO~", max_size=9)
        | st.lists(st.integers(-5, _PIXELS), max_size=5),
    ),
)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_annotation_gives_labels_or_a_problem_that_names_the_file(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("coco")
    annotation, image = _cat([_SQUARE]), {}
    field = data.draw(st.sampled_from(["segmentation"] * 4 + [*annotation, "image"]), "field")
    if field == "image":
        image[data.draw(st.sampled_from(["id", "file_name", "height", "width"]))] = data.draw(
            _ANY_JSON
        )
    else:
        annotation[field] = data.draw(_ANY_OUTLINE if field == "segmentation" else _ANY_JSON)
    _write(root, [annotation], image)
    problems = ()
    try:
        label = _read(root)
    except UserError as error:
        problems = (str(error),)
    except BadPair as error:
        problems = error.problems
    else:
        assert label.shape == (_HEIGHT, _WIDTH)
        drawn = set(np.unique(label)) - {0, 255, CLASSES.index("cat")}
        # A number may be the id of another class; true is no 1.
        assert not drawn or type(annotation["category_id"]) in (int, float)
    assert all(str(root) in problem for problem in problems)

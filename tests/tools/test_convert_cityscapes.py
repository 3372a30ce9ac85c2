import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import labels as official_labels
from PIL import Image

from auto_deeplab.data.conversion.engine import convert
from auto_deeplab.data.datasets.cityscapes import (
    CLASSES,
    COARSE,
    FINE,
    LABEL_IDS,
    SPLITS,
    cityscapes_conversion,
    image_path,
    label_path,
)

# CamVid's class numbers as Cityscapes labels; "unlabelled" at the end.
_AS_CITYSCAPES = [
    "sky", "building", "pole", "road", "sidewalk", "vegetation", "traffic sign", "fence", "car",
    "person", "rider", "unlabeled",
]  # fmt: skip
_TRAIN_IDS = np.full(256, 255)
for _label in official_labels:
    if _label.id >= 0:
        _TRAIN_IDS[_label.id] = _label.trainId


@pytest.fixture
def camvid_root(camvid, tmp_path, save):
    """A few CamVid images in the Cityscapes layout, as PNG files with labelIds."""
    label_ids = np.array([LABEL_IDS[name] for name in _AS_CITYSCAPES], np.uint8)
    root = tmp_path / "cityscapes"
    for split, count in (("train", 4), ("val", 2)):
        for index, path in enumerate(sorted((camvid / split / "images").iterdir())[:count]):
            city = ("cambridge", "ely")[index % 2]
            stem = f"{city}_{index:06d}_000019"
            save(image_path(root, split, city, stem), np.asarray(Image.open(path)))
            label = np.asarray(Image.open(camvid / split / "labels" / (path.stem + ".png")))
            save(label_path(root, split, city, stem), label_ids[label])
    return root


@pytest.fixture
def look_alike(tmp_path, save, photo, regions):
    """The whole layout at the real size, an image or two a split; all label ids occur."""
    root = tmp_path / "cityscapes"
    for number, (split, city, annotations) in enumerate(
        (
            ("train", "aachen", (FINE, COARSE)),
            ("val", "lindau", (FINE, COARSE)),
            ("test", "berlin", (FINE,)),
            ("train_extra", "troisdorf", (COARSE,)),
        )
    ):
        stem = f"{city}_000000_000019"
        save(image_path(root, split, city, stem), photo(1024, 2048, number))
        for annotation in annotations:
            # Of test images only what is in no class is public.
            values = range(4) if split == "test" else range(34)
            label = label_path(root, split, city, stem, annotation)
            save(label, regions(1024, 2048, values, number))
            # Also in the folder, and nothing of ours.
            (label.parent / f"{stem}_{annotation}_polygons.json").write_text("{}")
    return root


def _run(run_tool, root: Path, output: Path, *flags: str) -> str:
    result = run_tool(
        "convert_cityscapes", f"--cityscapes_root={root}", f"--output_dir={output}", *flags
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_camvid_at_half_size_has_averaged_images_and_picked_labels(
    run_tool, read_split, camvid_root, tmp_path
):
    output = tmp_path / "records"
    assert "4 train, 2 val examples of 19 classes" in _run(
        run_tool, camvid_root, output, "--scale=0.5"
    )
    record = read_split(output, "train")[0]
    stem = "cambridge_000000_000019"
    assert record.name == f"cambridge/{stem}_leftImg8bit.png"
    source = np.asarray(Image.open(image_path(camvid_root, "train", "cambridge", stem)))
    height, width = (side // 2 for side in source.shape[:2])
    blocks = source.reshape(height, 2, width, 2, 3)
    assert np.abs(record.image - blocks.mean(axis=(1, 3))).max() <= 0.5
    label_ids = np.asarray(Image.open(label_path(camvid_root, "train", "cambridge", stem)))
    candidates = _TRAIN_IDS[label_ids].reshape(height, 2, width, 2).transpose(0, 2, 1, 3)
    assert record.label.shape == (height, width)
    assert (record.label[..., None] == candidates.reshape(height, width, 4)).any(axis=-1).all()


def test_fine_annotations_at_full_size(run_tool, read_split, look_alike, tmp_path):
    output = tmp_path / "fine"
    stdout = _run(run_tool, look_alike, output, "--splits=train,val,test")
    assert "1 train, 1 val, 1 test examples of 19 classes" in stdout
    for split, city in (("train", "aachen"), ("val", "lindau"), ("test", "berlin")):
        (record,) = read_split(output, split)
        stem = f"{city}_000000_000019"
        # The file is kept as it is, and PNG gives back every pixel.
        assert record.encoded == image_path(look_alike, split, city, stem).read_bytes()
        assert record.image.shape == (1024, 2048, 3)
        label_ids = np.asarray(Image.open(label_path(look_alike, split, city, stem)))
        np.testing.assert_array_equal(record.label, _TRAIN_IDS[label_ids])
        assert set(np.unique(record.label)) == ({255} if split == "test" else {*range(19), 255})
    description = json.loads((output / "dataset.json").read_text())
    assert description["classes"] == list(CLASSES)
    assert description["splits"] == {"train": 1, "val": 1, "test": 1}


def test_coarse_annotations_look_and_result(run_tool, read_split, look_alike, tmp_path):
    output = tmp_path / "coarse"
    flags = ["--annotation=gtCoarse", "--scale=0.5"]
    plan = _run(run_tool, look_alike, output, *flags, "--dry_run")
    assert f"{output}: would hold cityscapes_coarse, 19 classes" in plan
    for split in ("train", "train_extra"):
        assert f"  {split}: 1 examples in 1 file: 1 of 1024x512\n" in plan
    assert "no problems" in plan
    assert not output.exists()
    conversion = cityscapes_conversion(look_alike, SPLITS[COARSE], COARSE)
    convert(dataclasses.replace(conversion, scale=0.5), output, progress=False)
    assert not list(output.glob("val*"))
    (record,) = read_split(output, "train_extra")
    assert record.name == "troisdorf/troisdorf_000000_000019_leftImg8bit.png"
    assert record.image.shape == (512, 1024, 3)
    assert set(np.unique(record.label)) == {*range(19), 255}
    assert "2 examples are what the inputs give" in _run(
        run_tool, look_alike, output, *flags, "--verify"
    )

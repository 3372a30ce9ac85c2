from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from auto_deeplab.data.conversion.engine import convert
from auto_deeplab.data.datasets.voc2012 import PALETTE, color_map, voc2012_conversion
from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.foundations.errors import UserError

# In VOC: two training, two validation images and a test image; in SBD one of each of VOC's and two
# of its own.
_LISTS = {
    "train": ["2007_000032", "2007_000039"],
    "val": ["2007_000033", "2007_000042"],
    "trainval": ["2007_000032", "2007_000033", "2007_000039", "2007_000042"],
    "test": ["2008_000006"],
}
_SBD_LISTS = {
    "train": ["2007_000032", "2008_000002"],
    "val": ["2007_000033", "2008_000003"],
}
_SIZE = (375, 500)


@pytest.fixture
def voc(tmp_path, save, photo, regions) -> Path:
    root = tmp_path / "VOCdevkit" / "VOC2012"
    for split, names in _LISTS.items():
        path = root / "ImageSets" / "Segmentation" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in names))
    for number, name in enumerate([*_LISTS["trainval"], "2008_000006", "2008_000002"]):
        save(root / "JPEGImages" / f"{name}.jpg", photo(*_SIZE, number), quality=90)
    for number, name in enumerate(_LISTS["trainval"]):
        label = regions(*_SIZE, [*range(21), 255], number)
        save(root / "SegmentationClass" / f"{name}.png", label, palette=color_map(256))
    return root


@pytest.fixture
def sbd(tmp_path, save, photo, regions) -> Path:
    root = tmp_path / "benchmark_RELEASE" / "dataset"
    for split, names in _SBD_LISTS.items():
        for number, name in enumerate(names):
            save(root / "img" / f"{name}.jpg", photo(*_SIZE, 9 + number))
            path = root / "cls" / f"{name}.mat"
            path.parent.mkdir(exist_ok=True)
            label = regions(*_SIZE, range(21), 9 + number)
            struct = {
                "Segmentation": label,
                "Boundaries": np.zeros((20, 1)),
                "CategoriesPresent": 1,
            }
            scipy.io.savemat(path, {"GTcls": struct}, do_compression=True)
        (root / f"{split}.txt").write_text("\n".join(names))
    return root


def test_the_colors_are_those_of_the_development_kit():
    # As the kit's documentation lists them.
    assert PALETTE[:8] == (
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0),
        (0, 0, 128), (128, 0, 128), (0, 128, 128), (128, 128, 128),
    )  # fmt: skip
    assert PALETTE[20] == (0, 64, 128)
    assert color_map(256)[255] == (224, 224, 192)


def test_converts_every_split(run_tool, read_split, voc, tmp_path):
    output = tmp_path / "records"
    result = run_tool(
        "convert_voc2012",
        f"--voc_root={voc.parent}",
        "--splits=train,val,trainval,test",
        f"--output_dir={output}",
    )
    assert result.returncode == 0, result.stderr
    assert "2 train, 2 val, 4 trainval, 1 test examples of 21 classes" in result.stdout
    for split, names in _LISTS.items():
        found = read_split(output, split)
        assert [record.name for record in found] == [f"{name}.jpg" for name in names]
        for name, record in zip(names, found, strict=True):
            assert record.image_format == "jpeg"
            assert record.encoded == (voc / "JPEGImages" / f"{name}.jpg").read_bytes()
            if split == "test":
                assert (record.label == 255).all()
                continue
            source = Image.open(voc / "SegmentationClass" / f"{name}.png")
            assert source.mode == "P"
            np.testing.assert_array_equal(record.label, np.asarray(source))
            assert set(np.unique(record.label)) == {*range(21), 255}


def test_train_aug_is_voc_train_and_sbd_without_voc_val(read_split, voc, sbd, tmp_path):
    output = tmp_path / "records"
    convert(voc2012_conversion(voc, sbd=sbd.parent.parent), output, progress=False)
    assert DatasetDescription.load(output).splits == {"train_aug": 4, "val": 2}
    found = {record.name: record for record in read_split(output, "train_aug")}
    assert list(found) == [
        "2007_000032.jpg", "2007_000039.jpg", "2008_000002.jpg", "2008_000003.jpg"
    ]  # fmt: skip
    # VOC's own labels come first; they alone have outlines.
    for name in ("2007_000032", "2007_000039"):
        source = Image.open(voc / "SegmentationClass" / f"{name}.png")
        np.testing.assert_array_equal(found[f"{name}.jpg"].label, np.asarray(source))
    for name in ("2008_000002", "2008_000003"):
        label = scipy.io.loadmat(sbd / "cls" / f"{name}.mat")["GTcls"][0][0]["Segmentation"]
        np.testing.assert_array_equal(found[f"{name}.jpg"].label, label)
    # An image that VOC's folder does not have comes from SBD's.
    assert found["2008_000003.jpg"].encoded == (sbd / "img" / "2008_000003.jpg").read_bytes()


def test_lists_are_checked(voc, sbd):
    lists = voc / "ImageSets" / "Segmentation"
    assert not voc2012_conversion(voc, sbd=sbd).problems
    (lists / "train_aug.txt").write_text("2007_000032\n2007_000039\n2008_000002\n2008_000003\n")
    assert not voc2012_conversion(voc, sbd=sbd).problems
    # In the form with paths, with a validation image and without one of SBD.
    (lists / "train_aug.txt").write_text(
        "".join(
            f"/JPEGImages/{name}.jpg /SegmentationClassAug/{name}.png\n"
            for name in ("2007_000032", "2007_000039", "2007_000033", "2008_000003")
        )
    )
    (lists / "trainval.txt").write_text("2007_000032\n2007_000032\n2007_000039\n2007_000042\n")
    (sbd / "val.txt").write_text("2007_000033\n2008_000003\n2008_000009\n")
    assert list(voc2012_conversion(voc, sbd=sbd).problems) == [
        f"{lists / 'train_aug.txt'}: 4 names, VOC and SBD give 4: "
        "1 only in the list (2007_000033); 1 not in it (2008_000002)",
        f"{lists / 'trainval.txt'}: 3 names, train and val 4: 1 not in it (2007_000033)",
        f"{sbd / 'train.txt and val.txt'}: 5 names, cls 4: 1 only in the list (2008_000009)",
    ]
    assert (
        f"{lists / 'trainval.txt'}: names 2007_000032 2 times"
        in voc2012_conversion(voc, splits=["trainval"]).problems
    )


def test_hidden_files_that_other_systems_leave_do_not_count(voc, sbd):
    expected = voc2012_conversion(voc, sbd=sbd)
    (voc / "SegmentationClass" / "._2007_000032.png").touch()
    (sbd / "cls" / "._2008_000002.mat").touch()
    found = voc2012_conversion(voc, sbd=sbd)
    assert (found.splits, found.problems) == (expected.splits, expected.problems)


def test_missing_files_are_gathered(voc, sbd, tmp_path):
    (voc / "JPEGImages" / "2007_000039.jpg").unlink()
    (voc / "SegmentationClass" / "2007_000033.png").unlink()
    (sbd / "img" / "2008_000003.jpg").unlink()
    (sbd / "cls" / "2008_000002.mat").write_bytes(b"no MATLAB file" * 20)
    with pytest.raises(UserError) as error:
        convert(voc2012_conversion(voc, sbd=sbd), tmp_path / "records", progress=False)
    message = str(error.value)
    assert "5 problems with the input, nothing written" in message
    image = voc / "JPEGImages" / "2007_000039.jpg"
    assert f"{image}: no such file, for 2007_000039.jpg" in message
    assert f"{voc / 'SegmentationClass' / '2007_000039.png'}: no image {image}" in message
    assert f"{voc / 'SegmentationClass' / '2007_000033.png'}: no such file" in message
    assert f"{voc / 'JPEGImages' / '2008_000003.jpg'}: no such file" in message
    assert f"{sbd / 'cls' / '2008_000002.mat'}: cannot be read as a MATLAB file" in message


def test_missing_splits_and_folders_are_explained(voc, tmp_path):
    with pytest.raises(
        UserError, match=r"tmp.*: has no folder JPEGImages; expected .*JPEGImages or .*VOC2012"
    ):
        voc2012_conversion(tmp_path / "VOCdevkit" / "nowhere")
    with pytest.raises(UserError, match=r"sbd: received nothing; .* the split 'train_aug' needs"):
        voc2012_conversion(voc, splits=["train_aug"])
    (voc / "ImageSets" / "Segmentation" / "val.txt").unlink()
    with pytest.raises(UserError) as error:
        voc2012_conversion(voc, splits=["trian", "val"])
    assert "splits: received 'trian'; did you mean train" in str(error.value)
    assert "val.txt: no such file; expected the list of the split 'val'" in str(error.value)


def test_a_matlab_file_of_something_else_is_explained(voc, sbd, tmp_path):
    scipy.io.savemat(sbd / "cls" / "2008_000002.mat", {"GTinst": 1})
    label = np.zeros(_SIZE)
    scipy.io.savemat(sbd / "cls" / "2008_000003.mat", {"GTcls": {"Segmentation": label}})
    with pytest.raises(UserError) as error:
        convert(voc2012_conversion(voc, sbd=sbd), tmp_path / "records", progress=False)
    message = str(error.value)
    assert "2008_000002.mat: received the variables none; expected a struct GTcls" in message
    assert "2008_000003.mat: GTcls.Segmentation: received float64 of the shape " in message


def test_a_byte_order_mark_is_no_part_of_a_list(voc):
    path = voc / "ImageSets" / "Segmentation" / "train.txt"
    path.write_text(path.read_text(), encoding="utf-8-sig")
    conversion = voc2012_conversion(voc, ["train"])
    assert [pair.image.stem for pair in conversion.splits["train"]] == _LISTS["train"]
    assert not conversion.problems

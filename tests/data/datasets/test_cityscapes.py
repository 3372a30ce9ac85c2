import pytest
from cityscapesscripts.helpers.labels import labels as official_labels

from auto_deeplab.data.datasets import cityscapes
from auto_deeplab.foundations.errors import UserError


def test_label_table_is_the_official_one():
    official = [label for label in official_labels if label.id >= 0]
    assert [(label.name, label.id, label.color) for label in official] == [
        (label.name, label.label_id, label.color) for label in cityscapes.LABELS
    ]
    assert {label.id: label.trainId for label in official} == cityscapes.TRAIN_IDS
    names = {label.trainId: label.name for label in official if not label.ignoreInEval}
    assert [names[index] for index in range(19)] == list(cityscapes.CLASSES)


def test_classes_and_palette_belong_together():
    assert len(cityscapes.CLASSES) == len(cityscapes.PALETTE) == 19
    assert dict(zip(cityscapes.CLASSES, cityscapes.PALETTE, strict=True))["sky"] == (70, 130, 180)
    assert cityscapes.LABEL_IDS["bicycle"] == 33


def _touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_pairs_follow_the_layout(tmp_path):
    for city, stem in (("ulm", "ulm_000001_000019"), ("aachen", "aachen_000000_000019")):
        _touch(cityscapes.image_path(tmp_path, "train", city, stem))
        _touch(cityscapes.label_path(tmp_path, "train", city, stem))
    _touch(tmp_path / "gtFine/train/ulm/ulm_000001_000019_gtFine_color.png")
    pairs, problems = cityscapes.split_pairs(tmp_path, "train")
    assert not problems
    assert [pair.name for pair in pairs] == [
        "aachen/aachen_000000_000019_leftImg8bit.png",
        "ulm/ulm_000001_000019_leftImg8bit.png",
    ]
    assert pairs[1].label.file == (
        tmp_path / "gtFine" / "train" / "ulm" / "ulm_000001_000019_gtFine_labelIds.png"
    )


def test_cities_may_be_links_and_hidden_copies_do_not_count(tmp_path):
    disk = tmp_path / "disk"
    for city in ("ulm", "aachen"):
        stem = f"{city}_000001_000019"
        root = disk if city == "ulm" else tmp_path
        for path in (
            cityscapes.image_path(root, "train", city, stem),
            cityscapes.label_path(root, "train", city, stem),
        ):
            _touch(path)
            _touch(path.parent / ".ipynb_checkpoints" / path.name)
    for part in ("leftImg8bit", "gtFine"):
        (tmp_path / part / "train/ulm").symlink_to(disk / part / "train/ulm")
    pairs, problems = cityscapes.split_pairs(tmp_path, "train")
    assert not problems
    assert [pair.name for pair in pairs] == [
        "aachen/aachen_000001_000019_leftImg8bit.png",
        "ulm/ulm_000001_000019_leftImg8bit.png",
    ]


def test_coarse_annotations_have_their_own_folder_and_suffix(tmp_path):
    for annotation in (cityscapes.FINE, cityscapes.COARSE):
        _touch(cityscapes.label_path(tmp_path, "train", "ulm", "ulm_000001_000019", annotation))
    _touch(cityscapes.image_path(tmp_path, "train", "ulm", "ulm_000001_000019"))
    (pair,), problems = cityscapes.split_pairs(tmp_path, "train", cityscapes.COARSE)
    assert not problems
    assert pair.label.file == (
        tmp_path / "gtCoarse" / "train" / "ulm" / "ulm_000001_000019_gtCoarse_labelIds.png"
    )


def test_files_without_partner_are_listed_together(tmp_path):
    image = _touch(cityscapes.image_path(tmp_path, "train", "ulm", "ulm_000001_000019"))
    label = _touch(cityscapes.label_path(tmp_path, "train", "ulm", "ulm_000002_000019"))
    with pytest.raises(UserError) as error:
        cityscapes.cityscapes_conversion(tmp_path, splits=["train"])
    assert f"{image}: no label" in str(error.value)
    assert f"{label}: no image" in str(error.value)
    for path in (cityscapes.image_path, cityscapes.label_path):
        _touch(path(tmp_path, "train", "ulm", "ulm_000003_000019"))
    conversion = cityscapes.cityscapes_conversion(tmp_path, splits=["train"])
    assert len(conversion.splits["train"]) == 1
    assert len(conversion.problems) == 2


def test_missing_layout_and_splits_are_explained(tmp_path):
    with pytest.raises(UserError, match=r"leftImg8bit: does not exist; expected the Cityscapes"):
        cityscapes.cityscapes_conversion(tmp_path)
    _touch(cityscapes.image_path(tmp_path, "train", "ulm", "a"))
    _touch(cityscapes.label_path(tmp_path, "train", "ulm", "a"))
    with pytest.raises(UserError) as error:
        cityscapes.cityscapes_conversion(tmp_path, splits=["trian", "train", "var"])
    assert "2 problems" in str(error.value)
    assert "splits: received 'trian', which " in str(error.value)
    assert "splits: received 'var', which " in str(error.value)

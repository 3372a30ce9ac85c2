import numpy as np
import pytest
from PIL import Image

from auto_deeplab.data.datasets.ade20k import CLASSES, PALETTE, ade20k_conversion
from auto_deeplab.foundations.errors import UserError


@pytest.fixture
def ade20k(tmp_path, save, photo, regions):
    """Images of the real set's kinds: small, large in both orientations, gray."""
    root = tmp_path / "ADEChallengeData2016"
    for split, stem, size, gray in (
        ("training", "ADE_train_00000001", (256, 341), False),
        ("training", "ADE_train_00000002", (1333, 2000), False),
        ("training", "ADE_train_00000003", (683, 512), True),
        ("validation", "ADE_val_00000001", (512, 683), False),
    ):
        image = photo(*size)
        image = image[..., 0] if gray else image
        save(root / "images" / split / f"{stem}.jpg", image, quality=95)
        save(root / "annotations" / split / f"{stem}.png", regions(*size, range(151)))
    return root


def test_classes_and_colors_are_the_official_ones():
    assert len(CLASSES) == len(PALETTE) == len(set(CLASSES)) == 150
    # From the first, middle and last lines of objectInfo150.txt and color150.mat.
    known = {"wall": (120, 120, 120), "building": (180, 120, 120), "flag": (92, 0, 255)}
    for name, color in known.items():
        assert PALETTE[CLASSES.index(name)] == color
    assert [CLASSES.index(name) for name in ("sky", "person", "car", "clock")] == [2, 12, 20, 148]


def test_converts_at_the_papers_size(run_tool, read_split, ade20k, tmp_path):
    output = tmp_path / "records"
    result = run_tool("convert_ade20k", f"--ade20k_root={ade20k.parent}", f"--output_dir={output}")
    assert result.returncode == 0, result.stderr
    assert "3 train, 1 val examples of 150 classes" in result.stdout
    small, large, gray = read_split(output, "train")
    (val,) = read_split(output, "val")
    assert [record.image.shape for record in (small, large, gray, val)] == [
        (385, 513, 3), (342, 513, 3), (513, 385, 3), (512, 683, 3)
    ]  # fmt: skip
    assert [record.image_format for record in (small, large, gray, val)] == [
        "png", "png", "png", "jpeg"
    ]  # fmt: skip
    source = ade20k / "images" / "validation" / "ADE_val_00000001.jpg"
    assert val.encoded == source.read_bytes()

    def annotation(part, stem):
        path = ade20k / "annotations" / part / f"{stem}.png"
        values = np.asarray(Image.open(path)).astype(int)
        return np.where(values == 0, 255, values - 1)

    np.testing.assert_array_equal(val.label, annotation("validation", "ADE_val_00000001"))
    assert set(np.unique(val.label)) == {*range(150), 255}
    # Bilinear, and the nearest label: Pillow rounds, and takes sides, in its own way.
    photograph = Image.open(ade20k / "images" / "training" / "ADE_train_00000001.jpg")
    enlarged = np.asarray(photograph.resize((513, 385), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(small.image - enlarged).max() <= 3
    original = annotation("training", "ADE_train_00000001")
    rows, columns = (
        ((np.arange(to) + 0.5) * size / to).astype(int)
        for size, to in zip(original.shape, small.label.shape, strict=True)
    )
    assert np.mean(small.label == original[np.ix_(rows, columns)]) > 0.99
    np.testing.assert_array_equal(gray.image[..., 0], gray.image[..., 2])
    # Averages of areas: no pixel of the large photograph is far from what Pillow makes of it.
    photograph = Image.open(ade20k / "images" / "training" / "ADE_train_00000002.jpg")
    reduced = np.asarray(photograph.resize((513, 342), Image.Resampling.BOX)).astype(int)
    assert np.abs(large.image - reduced).max() <= 3
    assert set(np.unique(large.label)) <= {*range(150), 255}


def test_every_image_can_keep_its_size(run_tool, read_split, ade20k, tmp_path):
    arguments = [f"--ade20k_root={ade20k}", f"--output_dir={tmp_path}/own", "--longer_side=0"]
    result = run_tool("convert_ade20k", *arguments)
    assert result.returncode == 0, result.stderr
    sizes = [record.image.shape[:2] for record in read_split(tmp_path / "own", "train")]
    assert sizes == [(256, 341), (1333, 2000), (683, 512)]


def test_names_of_the_data_set_are_compared(ade20k):
    lines = ["Idx\tRatio\tTrain\tVal\tName"]
    lines += [f"{i}\t0.1\t1\t1\t{name}, synonym" for i, name in enumerate(CLASSES, start=1)]
    path = ade20k / "objectInfo150.txt"
    path.write_text("\n".join(lines))
    assert not ade20k_conversion(ade20k).problems
    path.write_text("\n".join(lines).replace("\tsky,", "\theaven,"))
    assert ade20k_conversion(ade20k).problems == [
        f"{path}: class 3: received 'heaven'; expected 'sky'"
    ]
    path.write_text("\n".join(lines[:-1]))
    assert ade20k_conversion(ade20k).problems == [f"{path}: received 149 classes; expected 150"]


def test_missing_files_and_splits_are_explained(ade20k):
    (ade20k / "annotations" / "training" / "ADE_train_00000002.png").unlink()
    assert "ADE_train_00000002.jpg: no label" in ade20k_conversion(ade20k).problems[0]
    with pytest.raises(UserError, match="splits: received 'validation'; known: train, val"):
        ade20k_conversion(ade20k, ["train", "validation"])
    with pytest.raises(UserError, match=r"nowhere.images.training: does not exist"):
        ade20k_conversion(ade20k / "nowhere")

import functools
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from auto_deeplab.data.segmentation_records import SegmentationRecords
from tests.datasets import folder_flags, link_images
from tests.helpers import run_command

_CLASSES = "sky,building,pole,road,pavement,tree,sign,fence,car,pedestrian,bicyclist"


_run = functools.partial(run_command, "tools.convert_folder")


@pytest.fixture
def few_images(camvid, tmp_path):
    """Links to the first images of CamVid, as folders of its own layout."""
    return link_images(camvid, tmp_path / "camvid", train=5, val=2)


def test_converts_camvid(few_images, tmp_path):
    output = tmp_path / "records"
    result = _run(
        *folder_flags(few_images),
        f"--classes={_CLASSES}",
        "--ignore_label=11",
        f"--output_dir={output}",
    )
    assert result.returncode == 0, result.stderr
    assert "5 train, 2 val examples of 11 classes" in result.stdout
    records = SegmentationRecords(output, "train")
    assert records.description.classes == tuple(_CLASSES.split(","))
    assert records.description.name == "records"
    images = sorted((few_images / "train" / "images").iterdir())
    for number in (0, 4):
        image, label = records.load(tf.constant(number, tf.int64))
        source = few_images / "train" / "labels" / (images[number].stem + ".png")
        values = np.asarray(Image.open(source))
        np.testing.assert_array_equal(label, np.where(values == 11, 255, values))
        decoded = np.asarray(Image.open(images[number])).astype(int)
        assert np.abs(image.numpy() - decoded).mean() < 1


def test_problems_are_listed_together_without_a_traceback(few_images, tmp_path):
    labels = sorted((few_images / "train" / "labels").iterdir())
    labels[1].unlink()
    images = sorted((few_images / "val" / "images").iterdir())
    images[0].unlink()
    result = _run(
        *folder_flags(few_images),
        f"--classes={_CLASSES}",
        "--ignore_label=11",
        f"--output_dir={tmp_path / 'records'}",
    )
    assert result.returncode == 1
    assert "2 problems with the input, nothing written" in result.stderr
    assert labels[1].stem in result.stderr
    assert images[0].stem in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "records").exists()


def test_a_look_lists_every_problem_and_what_would_be_left_out(few_images, tmp_path):
    label = sorted((few_images / "train" / "labels").iterdir())[1]
    label.unlink()
    image = sorted((few_images / "val" / "images").iterdir())[0]
    image.unlink()
    image.write_bytes(b"")
    output = tmp_path / "records"
    flags = [*folder_flags(few_images), f"--classes={_CLASSES}", "--ignore_label=11"]
    result = _run(*flags, f"--output_dir={output}", "--dry_run")
    assert result.returncode == 1
    assert "train: 4 examples in 1 file: 4 of 480x360" in result.stdout
    assert "val: 1 examples in 1 file: 1 of 480x360" in result.stdout
    assert "2 problems with the input, nothing would be written" in result.stdout
    assert f"{label.stem}.jpg: no label" in result.stdout
    assert f"{image}: the file is empty" in result.stdout
    assert "error: repair these inputs, or leave them out with --skip_bad" in result.stderr
    assert not output.exists()

    result = _run(*flags, f"--output_dir={output}", "--skip_bad")
    assert result.returncode == 0, result.stderr
    assert "4 train, 1 val examples" in result.stdout
    assert "2 problems with the input, left out" in result.stderr


def _masks(folder: Path, labels: np.ndarray) -> list[str]:
    """Saves an image and its labels, and returns the flags of their folders."""
    for part, pixels in (("i", np.zeros((*labels.shape[:2], 3), np.uint8)), ("l", labels)):
        (folder / part).mkdir()
        Image.fromarray(pixels).save(folder / part / "a.png")
    return [f"--train_images={folder / 'i'}", f"--train_labels={folder / 'l'}"]


def test_a_mask_of_0_and_255_is_warned_of_and_converted_with_its_values(
    run_tool, read_split, tmp_path
):
    mask = np.zeros((10, 10), np.uint8)
    mask[:4] = 255
    output = tmp_path / "records"
    flags = [*_masks(tmp_path, mask), "--classes=background,object", f"--output_dir={output}"]
    result = run_tool("convert_folder", *flags, "--dry_run")
    assert result.returncode == 0, result.stderr
    assert "no problems" not in result.stdout
    assert "warning: split train: 1 of 2 classes have no pixel (object): give" in result.stderr
    assert "warning: split train: 40.0% of the pixels have an ignored value (255)" in result.stderr
    assert "--label_values=0,255" in result.stderr

    result = run_tool("convert_folder", *flags, "--label_values=0,255")
    assert result.returncode == 0, result.stderr
    assert "warning" not in result.stderr
    # The shares of both classes and of what is ignored.
    rows = [re.findall(r"[\w().-]+", line) for line in result.stdout.splitlines()]
    shares = {row[0]: row[2] for row in rows if len(row) == 3 and row[1] in ("0", "1", "255")}
    assert shares == {"background": "60.000", "object": "40.000", "(ignored)": "-"}
    (record,) = read_split(output, "train")
    np.testing.assert_array_equal(record.label, mask // 255)


def test_cvats_export_needs_its_labelmap_alone(run_tool, read_split, tmp_path):
    labelmap = tmp_path / "labelmap.txt"
    labelmap.write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nred fox:250,50,83::\n"
    )
    label = np.random.default_rng(0).integers(0, 2, (6, 9))
    colors = np.array([[0, 0, 0], [250, 50, 83]], np.uint8)
    output = tmp_path / "records"
    flags = _masks(tmp_path, colors[label])
    result = run_tool("convert_folder", *flags, f"--palette={labelmap}", f"--output_dir={output}")
    assert result.returncode == 0, result.stderr
    (record,) = read_split(output, "train")
    np.testing.assert_array_equal(record.label, label)
    description = SegmentationRecords(output, "train").description
    assert description.classes == ("background", "red fox")
    assert description.palette == ((0, 0, 0), (250, 50, 83))

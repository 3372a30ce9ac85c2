import concurrent.futures
import dataclasses
import hashlib
import json
import os
import shutil
import time

import cv2
import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data import schema
from auto_deeplab.data.conversion import engine
from auto_deeplab.data.conversion.engine import convert, locked_folder
from auto_deeplab.data.conversion.label_table import LabelTable
from auto_deeplab.data.conversion.pairs import pair_by_stem
from auto_deeplab.data.conversion.verification import verify
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.foundations.errors import UserError
from tests.helpers import contents, run_new_python


def _convert(conversion, output, **arguments):
    return convert(conversion, output, progress=False, **arguments)


def test_writes_shards_and_description(conversion, tmp_path):
    output = tmp_path / "output"
    description = _convert(conversion, output)
    assert sorted(contents(output)) == [
        "conversion.json",
        "dataset.json",
        "train-00000-of-00003.tfrecord",
        "train-00001-of-00003.tfrecord",
        "train-00002-of-00003.tfrecord",
        "val-00000-of-00001.tfrecord",
    ]
    assert not (tmp_path / "output.partial").exists()
    records = SegmentationRecords(output, "train")
    assert records.description == description
    assert records.examples == 7
    for number, pair in enumerate(conversion.splits["train"]):
        image, label = records.load(tf.constant(number, tf.int64))
        np.testing.assert_array_equal(image, cv2.imread(str(pair.image))[..., ::-1])
        assert set(np.unique(label)) == {(0, 1, 255)[number % 3]}


def test_the_manifest_tells_hashes_and_label_pixels(conversion, tmp_path):
    output = tmp_path / "output"
    _convert(conversion, output)
    manifest = json.loads((output / "conversion.json").read_text())
    assert manifest["left_out"] == []
    # Training labels take turns: 0, 1, ignored, 0, ...; shards hold images 0-1, 2-3 and 4-6.
    pixels = [shard["label_pixels"] for shard in manifest["shards"].values()]
    assert pixels == [
        {"0": 80, "1": 80},
        {"0": 80, "255": 80},
        {"0": 80, "1": 80, "255": 80},
        {"0": 80, "1": 80},
    ]
    for name, shard in manifest["shards"].items():
        assert hashlib.sha256((output / name).read_bytes()).hexdigest() == shard["sha256"]


def test_bytes_do_not_depend_on_the_number_of_workers(conversion, tmp_path):
    _convert(conversion, tmp_path / "one", workers=1)
    _convert(conversion, tmp_path / "five", workers=5)
    assert contents(tmp_path / "one") == contents(tmp_path / "five")


def test_non_empty_output_is_kept_unless_told(conversion, tmp_path):
    output = tmp_path / "output"
    output.mkdir()
    (output / "precious.txt").touch()
    with pytest.raises(UserError, match=r"is not empty; expected .*overwrite=True"):
        _convert(conversion, output)
    assert list(contents(output)) == ["precious.txt"]
    (tmp_path / "output.old").mkdir()
    (tmp_path / "output.old" / "backup.txt").touch()
    _convert(conversion, output, overwrite=True)
    assert "precious.txt" not in contents(output)
    assert SegmentationRecords(output, "val").examples == 2
    assert (tmp_path / "output.old" / "backup.txt").exists()
    assert not list(tmp_path.glob(".output*"))


def test_an_empty_folder_that_the_command_runs_in_is_filled(conversion, tmp_path, monkeypatch):
    """A shell that is in the folder stays in it: it must not be another of the same name."""
    output = tmp_path / "output"
    output.mkdir()
    before = os.stat(output).st_ino
    monkeypatch.chdir(output)
    _convert(conversion, ".")
    assert os.stat(output).st_ino == before
    assert SegmentationRecords(output, "val").examples == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["output", "train", "val"]


@pytest.mark.parametrize("name", [".", "..", "../../above"])
def test_a_full_folder_that_the_command_runs_in_is_not_replaced(
    conversion, tmp_path, monkeypatch, name
):
    (tmp_path / "above" / "inner").mkdir(parents=True)
    (tmp_path / "above" / "inner" / "precious.txt").touch()
    monkeypatch.chdir(tmp_path / "above" / "inner")
    with pytest.raises(UserError, match="the folder that this command runs in, which cannot be"):
        _convert(conversion, name, overwrite=True)
    assert (tmp_path / "above" / "inner" / "precious.txt").exists()


def test_files_of_others_where_unfinished_work_is_kept_are_not_removed(conversion, tmp_path):
    partial = tmp_path / "output.partial"
    partial.mkdir()
    (partial / "train-00000-of-00009.tfrecord").touch()
    (partial / "notes.txt").touch()
    with pytest.raises(UserError, match=r"notes\.txt: is no part of a conversion"):
        _convert(conversion, tmp_path / "output")
    assert len(contents(partial)) == 2
    (partial / "notes.txt").unlink()
    _convert(conversion, tmp_path / "output")
    assert not partial.exists()


def test_names_that_are_no_utf8_do_not_matter(conversion, tmp_path):
    pair = conversion.splits["train"][0]
    for file in (pair.image, pair.label.file):
        file.rename(file.with_name(os.fsdecode(b"caf\xe9.png")))
    problem = tmp_path / os.fsdecode(b"train/images/\xe9.png")
    shutil.copy(conversion.splits["train"][1].image, problem)
    folders = (tmp_path / "train" / part for part in ("images", "labels"))
    pairs, problems = pair_by_stem(*folders, [".png"], [".png"])
    conversion = dataclasses.replace(
        conversion, splits={"train": pairs}, problems=problems, source=str(problem)
    )
    output = tmp_path / os.fsdecode(b"records \xe9")
    _convert(conversion, output, skip_bad=True)
    names = list(SegmentationRecords(output, "train").file_names())
    assert names == [*(f"{i}.png" for i in range(1, 7)), r"caf\xe9.png"]
    assert verify(conversion, output, progress=False).problems == ()
    for name in ("conversion.json", "dataset.json"):
        text = (output / name).read_bytes().decode()
        assert r"train/images/\\xe9.png" in text
        assert "\\udc" not in text


def test_all_problems_are_reported_and_nothing_is_written(conversion, tmp_path):
    train, val = conversion.splits["train"], conversion.splits["val"]
    train[1].image.write_bytes(b"")
    train[2].label.file.unlink()
    val[0].image.write_text("no image")
    output = tmp_path / "output"
    with pytest.raises(UserError) as error:
        _convert(conversion, output)
    message = str(error.value)
    assert "3 problems with the input, nothing written" in message
    for path in (train[1].image, train[2].label.file, val[0].image):
        assert f"{path}: " in message
    assert not output.exists()


def test_problems_with_the_layout_are_reported_with_those_of_the_files(conversion, tmp_path):
    image = conversion.splits["val"][0].image
    image.write_bytes(b"")
    conversion = dataclasses.replace(conversion, problems=["train/images/9.png: no label"])
    with pytest.raises(UserError) as error:
        _convert(conversion, tmp_path / "output")
    assert "2 problems with the input, nothing written" in str(error.value)
    assert "train/images/9.png: no label" in str(error.value)
    assert f"{image}: the file is empty" in str(error.value)
    assert not list(tmp_path.glob("output*"))


def test_bad_inputs_are_left_out_and_listed_if_told(conversion, tmp_path, capsys):
    train = conversion.splits["train"]
    for number in (2, 3, 5):  # All of the second shard, some of the third.
        train[number].image.write_bytes(b"")
    conversion = dataclasses.replace(conversion, problems=["9.png: no label"])
    output = tmp_path / "output"
    description = _convert(conversion, output, skip_bad=True)
    assert description.splits == {"train": 4, "val": 2}
    names = []
    for path in schema.shard_paths(output, "train"):
        for serialized in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            features = tf.train.Example.FromString(serialized).features.feature
            names += features[schema.FILE_NAME].bytes_list.value
    assert names == [b"0.png", b"1.png", b"4.png", b"6.png"]
    assert SegmentationRecords(output, "train").examples == 4
    listed = capsys.readouterr().err
    assert "4 problems with the input, left out:\n  9.png: no label" in listed
    assert f"{train[5].image}: the file is empty" in listed
    left_out = json.loads((output / "conversion.json").read_text())["left_out"]
    assert [problem.partition(":")[0] for problem in left_out] == [
        "9.png",
        *(str(train[number].image) for number in (2, 3, 5)),
    ]


def test_a_split_of_bad_inputs_alone_is_an_error_even_if_told_to_skip(conversion, tmp_path):
    for pair in conversion.splits["val"]:
        pair.image.write_bytes(b"")
    with pytest.raises(UserError, match="split val: no example is left"):
        _convert(conversion, tmp_path / "output", skip_bad=True)
    assert not (tmp_path / "output").exists()


def test_shards_with_left_out_inputs_are_not_reused_without_being_told(conversion, tmp_path):
    conversion.splits["train"][0].image.write_bytes(b"")
    for pair in conversion.splits["val"]:
        pair.image.write_bytes(b"")
    output = tmp_path / "output"
    with pytest.raises(UserError):
        _convert(conversion, output, skip_bad=True)
    with pytest.raises(UserError, match="3 problems with the input, nothing written"):
        _convert(conversion, output)


def _count_conversions(monkeypatch) -> list[str]:
    converted = []

    def counting(conversion, pair):
        converted.append(pair.name)
        return original(conversion, pair)

    original = engine.convert_pair
    monkeypatch.setattr(engine, "convert_pair", counting)
    return converted


def test_interrupted_conversion_continues(conversion, tmp_path, monkeypatch):
    expected = tmp_path / "expected"
    _convert(conversion, expected)
    output = tmp_path / "output"
    original = engine.convert_pair

    def interrupted(conversion, pair):
        if pair.image.stem == "5":
            raise KeyboardInterrupt
        return original(conversion, pair)

    monkeypatch.setattr(engine, "convert_pair", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _convert(conversion, output, workers=1)
    assert not output.exists()
    finished = [p for p in (tmp_path / "output.partial").glob("train-*.tfrecord")]
    assert finished
    monkeypatch.undo()
    converted = _count_conversions(monkeypatch)
    _convert(conversion, output)
    assert 0 < len(converted) < 9
    assert contents(output) == contents(expected)


def _fail_in_val(conversion, output):
    """Leaves finished training shards in the folder of unfinished work."""
    image = conversion.splits["val"][0].image
    data = image.read_bytes()
    image.write_bytes(b"")
    with pytest.raises(UserError, match=r"What is finished is kept in .*output\.partial"):
        _convert(conversion, output)
    image.write_bytes(data)


def test_only_what_failed_is_converted_again(conversion, tmp_path, monkeypatch):
    output = tmp_path / "output"
    _fail_in_val(conversion, output)
    converted = _count_conversions(monkeypatch)
    _convert(conversion, output)
    assert sorted(converted) == ["0.png", "1.png"]


@pytest.mark.parametrize(
    "change", ["scale", "size", "enlarge", "kept", "labels", "input", "shards"]
)
def test_finished_shards_of_other_parameters_are_not_reused(
    conversion, tmp_path, monkeypatch, change
):
    output = tmp_path / "output"
    _fail_in_val(conversion, output)
    if change == "scale":
        conversion = dataclasses.replace(conversion, scale=0.5)
    elif change == "size":
        conversion = dataclasses.replace(conversion, longer_side=5)
    elif change == "enlarge":
        conversion = dataclasses.replace(conversion, enlarge=True)
    elif change == "kept":
        splits = {
            split: [dataclasses.replace(pair, keeps_size=True) for pair in pairs]
            for split, pairs in conversion.splits.items()
        }
        conversion = dataclasses.replace(conversion, splits=splits)
    elif change == "labels":
        conversion = dataclasses.replace(conversion, labels=LabelTable({10: 1, 11: 0, 12: 255}))
    elif change == "shards":
        conversion = dataclasses.replace(conversion, examples_per_shard=4)
    else:
        for pair in conversion.splits["train"]:
            os.utime(pair.image, ns=(1, 1))
    converted = _count_conversions(monkeypatch)
    _convert(conversion, output)
    assert len(converted) == 9
    monkeypatch.undo()
    _convert(conversion, tmp_path / "expected")
    assert contents(output) == contents(tmp_path / "expected")


def test_locked_folder_leaves_the_next_one_alone(tmp_path):
    folder = tmp_path / "work"
    with locked_folder(folder):
        os.replace(folder, tmp_path / "done")
        folder.mkdir()  # As another process does, which then waits or works.
    assert folder.is_dir()
    with locked_folder(folder):
        pass
    assert not folder.exists()


def test_locked_folder_lets_one_in_at_a_time(tmp_path):
    folder, inside, most = tmp_path / "work", [], []

    def work(number):
        with locked_folder(folder):
            inside.append(number)
            most.append(len(inside))
            (folder / "file").touch()
            time.sleep(0.01)
            inside.remove(number)
            os.replace(folder, tmp_path / f"done{number}")

    with concurrent.futures.ThreadPoolExecutor(8) as executor:
        list(executor.map(work, range(8)))
    assert set(most) == {1}
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"done{i}" for i in range(8)]


def test_locked_folder_passes_errors_on_and_leaves_nothing_empty(tmp_path):
    with pytest.raises(FileNotFoundError), locked_folder(tmp_path / "work"):
        raise FileNotFoundError
    assert not (tmp_path / "work").exists()


def test_impossible_parameters_are_explained(conversion):
    with pytest.raises(UserError, match=r"scale: received 1\.5; expected 0 < scale <= 1"):
        dataclasses.replace(conversion, scale=1.5)
    with pytest.raises(UserError, match="longer_side: received -3; expected at least 1"):
        dataclasses.replace(conversion, longer_side=-3)
    with pytest.raises(UserError, match="examples_per_shard"):
        dataclasses.replace(conversion, examples_per_shard=0)
    with pytest.raises(
        UserError, match=r"labels: received 3 -> 2; expected a class 0\.\.1 or the ignore label 255"
    ):
        dataclasses.replace(conversion, labels=LabelTable({3: 2}))


def test_output_that_cannot_be_written_is_explained(conversion, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file"):
        _convert(conversion, tmp_path / "file" / "output")
    with pytest.raises(UserError, match="received a file; expected a folder"):
        _convert(conversion, tmp_path / "file")


@pytest.mark.parametrize(
    ("scale", "longer_side", "size"),
    [
        (1.0, None, (300, 400)),
        (0.5, None, (150, 200)),
        (1.0, 513, (300, 400)),
        (1.0, 100, (75, 100)),
        (0.5, 100, (75, 100)),
        (0.1, 100, (30, 40)),
    ],
)
def test_images_only_shrink(conversion, scale, longer_side, size):
    conversion = dataclasses.replace(conversion, scale=scale, longer_side=longer_side)
    assert conversion.target_size(300, 400) == size
    assert conversion.target_size(400, 300) == size[::-1]


@pytest.mark.parametrize(
    ("scale", "longer_side", "size"),
    [
        (1.0, 800, (600, 800)),
        (1.0, 100, (75, 100)),
        (0.5, 800, (600, 800)),
        (0.5, None, (150, 200)),
    ],
)
def test_images_can_be_enlarged_to_the_longer_side(conversion, scale, longer_side, size):
    conversion = dataclasses.replace(conversion, scale=scale, longer_side=longer_side, enlarge=True)
    assert conversion.target_size(300, 400) == size
    assert conversion.target_size(400, 300) == size[::-1]


def test_a_pair_can_keep_its_size(conversion):
    conversion = dataclasses.replace(conversion, longer_side=5)
    pair = conversion.splits["train"][0]
    own = conversion.read(dataclasses.replace(pair, keeps_size=True))
    assert max(conversion.read(pair).label.shape) == 5 < max(own.label.shape)
    assert own.image.shape[:2] == own.label.shape


_FULL_DISK = """
import resource
import signal
import sys
from pathlib import Path

from auto_deeplab import command_line
from auto_deeplab.data.conversion.engine import convert
from auto_deeplab.data.datasets.folders import folder_conversion

def main(argv):
    root = Path(sys.orig_argv[-1].partition("=")[2])
    folders = {"val": (root / "val" / "images", root / "val" / "labels")}
    conversion = folder_conversion("full", folders, [str(i) for i in range(20)])
    # A limit to the size of files stands for the disk: writes fail in the same way.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
    convert(conversion, root / "output")

from absl import flags
flags.DEFINE_string("root", None, "")
command_line.run(main)
"""


def test_a_full_disk_is_explained_and_leaves_nothing_half_written(conversion, tmp_path):
    # Its output goes to pipes, which have no limit.
    result = run_new_python("-c", _FULL_DISK, f"--root={tmp_path}")
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"error: {tmp_path / 'output'}")
    assert "cannot be written" in last
    assert not list(tmp_path.glob("output*"))

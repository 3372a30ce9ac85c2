import concurrent.futures
import dataclasses
import os
import time

import cv2
import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data import conversion_engine
from auto_deeplab.data.conversion import Conversion
from auto_deeplab.data.conversion_engine import convert, locked_folder
from auto_deeplab.data.image_files import LabelTable, pair_by_stem
from auto_deeplab.data.pipeline import SegmentationRecords
from auto_deeplab.errors import UserError


@pytest.fixture
def conversion(tmp_path) -> Conversion:
    """Seven training and two validation images, in shards of at most three."""
    rng = np.random.default_rng(0)
    splits = {}
    for split, count in (("train", 7), ("val", 2)):
        for part in ("images", "labels"):
            (tmp_path / split / part).mkdir(parents=True)
        for index in range(count):
            image = rng.integers(0, 256, (8, 10, 3), np.uint8)
            label = np.full((8, 10), 10 + index % 3, np.uint8)
            cv2.imwrite(str(tmp_path / split / "images" / f"{index}.png"), image)
            cv2.imwrite(str(tmp_path / split / "labels" / f"{index}.png"), label)
        splits[split], problems = pair_by_stem(
            tmp_path / split / "images", tmp_path / split / "labels", [".png"], [".png"]
        )
        assert not problems
    return Conversion(
        name="test",
        splits=splits,
        labels=LabelTable({10: 0, 11: 1, 12: 255}),
        classes=["a", "b"],
        palette=[(0, 0, 0), (9, 9, 9)],
        examples_per_shard=3,
    )


def _convert(conversion, output, **arguments):
    return convert(conversion, output, progress=False, **arguments)


def _contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_writes_shards_and_description(conversion, tmp_path):
    output = tmp_path / "output"
    description = _convert(conversion, output)
    assert sorted(_contents(output)) == [
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


def test_bytes_do_not_depend_on_the_number_of_threads(conversion, tmp_path):
    _convert(conversion, tmp_path / "one", threads=1)
    _convert(conversion, tmp_path / "five", threads=5)
    assert _contents(tmp_path / "one") == _contents(tmp_path / "five")


def test_non_empty_output_is_kept_unless_told(conversion, tmp_path):
    output = tmp_path / "output"
    output.mkdir()
    (output / "precious.txt").touch()
    with pytest.raises(UserError, match=r"is not empty.*--overwrite"):
        _convert(conversion, output)
    assert list(_contents(output)) == ["precious.txt"]
    _convert(conversion, output, overwrite=True)
    assert "precious.txt" not in _contents(output)
    assert SegmentationRecords(output, "val").examples == 2
    assert not (tmp_path / "output.old").exists()


def test_all_problems_are_reported_and_nothing_is_written(conversion, tmp_path):
    train, val = conversion.splits["train"], conversion.splits["val"]
    train[1].image.write_bytes(b"")
    train[2].label.unlink()
    val[0].image.write_text("no image")
    output = tmp_path / "output"
    with pytest.raises(UserError) as error:
        _convert(conversion, output)
    message = str(error.value)
    assert "3 problems with the input, nothing written" in message
    for path in (train[1].image, train[2].label, val[0].image):
        assert f"{path}: " in message
    assert not output.exists()


def _count_conversions(monkeypatch) -> list[str]:
    converted = []

    def counting(pair, *arguments):
        converted.append(pair.name)
        return original(pair, *arguments)

    original = conversion_engine.convert_pair
    monkeypatch.setattr(conversion_engine, "convert_pair", counting)
    return converted


def test_interrupted_conversion_continues(conversion, tmp_path, monkeypatch):
    expected = tmp_path / "expected"
    _convert(conversion, expected)
    output = tmp_path / "output"
    original = conversion_engine.convert_pair

    def interrupted(pair, *arguments):
        if pair.image.stem == "5":
            raise KeyboardInterrupt
        return original(pair, *arguments)

    monkeypatch.setattr(conversion_engine, "convert_pair", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _convert(conversion, output, threads=1)
    assert not output.exists()
    finished = [p for p in (tmp_path / "output.partial").glob("train-*.tfrecord")]
    assert finished
    monkeypatch.undo()
    converted = _count_conversions(monkeypatch)
    _convert(conversion, output)
    assert 0 < len(converted) < 9
    assert _contents(output) == _contents(expected)


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


@pytest.mark.parametrize("change", ["scale", "labels", "input", "shards"])
def test_finished_shards_of_other_parameters_are_not_reused(
    conversion, tmp_path, monkeypatch, change
):
    output = tmp_path / "output"
    _fail_in_val(conversion, output)
    if change == "scale":
        conversion = dataclasses.replace(conversion, scale=0.5)
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
    assert _contents(output) == _contents(tmp_path / "expected")


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
    with pytest.raises(UserError, match=r"scale: expected 0 < scale <= 1, received 1\.5"):
        dataclasses.replace(conversion, scale=1.5)
    with pytest.raises(UserError, match="examples_per_shard"):
        dataclasses.replace(conversion, examples_per_shard=0)
    with pytest.raises(UserError, match=r"3 -> 2: expected a class 0\.\.1 or the ignore label 255"):
        dataclasses.replace(conversion, labels=LabelTable({3: 2}))


def test_output_that_cannot_be_written_is_explained(conversion, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file"):
        _convert(conversion, tmp_path / "file" / "output")
    with pytest.raises(UserError, match="expected a folder, found a file"):
        _convert(conversion, tmp_path / "file")

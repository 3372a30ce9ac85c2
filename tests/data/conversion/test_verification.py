import dataclasses
import json

import cv2
import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data.conversion.engine import convert
from auto_deeplab.data.conversion.label_table import LabelTable
from auto_deeplab.data.conversion.verification import verify
from auto_deeplab.foundations.errors import UserError
from tests.datasets import write_records

_SHARD = "train-00001-of-00003.tfrecord"


@pytest.fixture
def output(conversion, tmp_path):
    convert(conversion, tmp_path / "output", progress=False)
    return tmp_path / "output"


def _problems(conversion, output):
    return "\n".join(verify(conversion, output, workers=2, progress=False).problems)


def _rewrite(path, change):
    """Writes the records of a file anew, after `change(list of bytes)`."""
    payloads = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    change(payloads)
    write_records(path, payloads)


@pytest.mark.parametrize("parameters", [{}, {"scale": 0.5}, {"longer_side": 5}])
def test_a_good_result_has_no_problems(conversion, tmp_path, parameters):
    conversion = dataclasses.replace(conversion, **parameters)
    convert(conversion, tmp_path / "output", progress=False)
    result = verify(conversion, tmp_path / "output", progress=False)
    assert result.problems == ()
    assert result.examples == 9
    area = 80 if not parameters else 20
    counts = {int(i): int(result.label_pixels["train"][i]) for i in (0, 1, 255)}
    assert counts == {0: 3 * area, 1: 2 * area, 255: 2 * area}


def test_a_result_of_before_there_was_enlarging_has_no_problems(conversion, output):
    path = output / "conversion.json"
    manifest = json.loads(path.read_text())
    assert manifest.pop("enlarge") is False
    path.write_text(json.dumps(manifest))
    assert _problems(conversion, output) == ""
    assert "enlarge: converted with False, to be compared with True" in _problems(
        dataclasses.replace(conversion, enlarge=True), output
    )


def test_what_was_left_out_is_not_missed(conversion, tmp_path):
    conversion.splits["train"][3].image.write_bytes(b"")
    convert(conversion, tmp_path / "output", progress=False, skip_bad=True)
    result = verify(conversion, tmp_path / "output", progress=False)
    assert result.problems == ()
    assert result.examples == 8


def test_a_changed_byte_is_found(conversion, output):
    content = bytearray((output / _SHARD).read_bytes())
    content[len(content) // 2] ^= 1
    (output / _SHARD).write_bytes(content)
    problems = _problems(conversion, output)
    assert f"{output / _SHARD}: not the bytes that were written: its hash has changed" in problems
    assert "corrupted record" in problems


def test_a_lost_record_is_found(conversion, output):
    _rewrite(output / _SHARD, lambda payloads: payloads.pop())
    assert f"{output / _SHARD}: ends before 3.png: 1 records are missing" in _problems(
        conversion, output
    )


def test_a_strange_record_is_found(conversion, output):
    _rewrite(output / _SHARD, lambda payloads: payloads.append(payloads[0]))
    problems = _problems(conversion, output)
    assert f"{output / _SHARD}: record 2: these inputs give no such record" in problems
    assert "received 3 records with label pixels" in problems
    assert "; expected 2 with {'0': 80, '255': 80}" in problems


def test_changed_inputs_are_found(conversion, output):
    train = conversion.splits["train"]
    image = cv2.imread(str(train[2].image))
    image[3, 4, 1] ^= 1
    cv2.imwrite(str(train[2].image), image)
    label = np.full((8, 10), 10, np.uint8)
    label[7, 9] = 11
    cv2.imwrite(str(train[3].label.file), label)
    train[6].image.unlink()
    assert _problems(conversion, output).splitlines() == [
        f"{output / _SHARD}: record 0: 2.png: the image is not the one of the inputs",
        f"{output / _SHARD}: record 1: 3.png: the labels are not those of the inputs",
        f"{train[6].image}: cannot be read: No such file or directory",
    ]


def test_other_fields_of_a_record_are_compared(conversion, output):
    def change(payloads):
        example = tf.train.Example.FromString(payloads[1])
        example.features.feature["image/height"].int64_list.value[0] = 9
        payloads[1] = example.SerializeToString()

    _rewrite(output / _SHARD, change)
    assert "record 1: 3.png: the fields beside image and label" in _problems(conversion, output)


@pytest.mark.parametrize("key", ["image/encoded", "image/segmentation/class/encoded"])
def test_what_training_cannot_read_is_found(conversion, output, key):
    def change(payloads):
        example = tf.train.Example.FromString(payloads[1])
        value = example.features.feature[key].bytes_list.value
        # Without its last chunk, which other decoders do not miss.
        value[0] = value[0][:-12]
        payloads[1] = example.SerializeToString(deterministic=True)

    _rewrite(output / _SHARD, change)
    assert f"{output / _SHARD}: record 1: training cannot read it: " in _problems(
        conversion, output
    )


def test_missing_files_and_other_parameters_are_found(conversion, output):
    other = dataclasses.replace(conversion, scale=0.5)
    assert "scale: converted with 1.0, to be compared with 0.5" in _problems(other, output)
    other = dataclasses.replace(conversion, examples_per_shard=4)
    assert f"{output / _SHARD}: these inputs give no such file" in _problems(other, output)
    other = dataclasses.replace(conversion, labels=LabelTable({10: 1, 11: 0, 12: 255}))
    assert "the labels are not those of the inputs" in _problems(other, output)
    other = dataclasses.replace(conversion, classes=["a", "c"])
    assert f"{output / 'dataset.json'}: received DatasetDescription(" in _problems(other, output)
    (output / _SHARD).unlink()
    assert f"{output / _SHARD}: cannot be read: No such file" in _problems(conversion, output)


def test_a_folder_without_a_conversion_is_explained(conversion, tmp_path):
    with pytest.raises(UserError, match=r"nowhere.conversion\.json: does not exist"):
        verify(conversion, tmp_path / "nowhere", progress=False)
    (tmp_path / "conversion.json").write_text("[]")
    with pytest.raises(UserError, match=r"conversion\.json: received \[\]; expected"):
        verify(conversion, tmp_path, progress=False)

import numpy as np
import tensorflow as tf

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.schema import shard_name
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.data.survey import survey
from tests.datasets import write_records


def test_everything_is_counted(make_dataset):
    records = SegmentationRecords(make_dataset(4, grow=2), "train")
    found = survey(records, progress=False)
    sizes = [(12 + 2 * i, 20 + 2 * i) for i in range(4)]
    assert found.examples == 4
    assert found.sizes == {size: 1 for size in sizes}
    assert found.formats == {"png": 4}
    assert found.corrupt == {}
    # All pixels of example i have the label i.
    np.testing.assert_array_equal(found.pixels[:5], [h * w for h, w in sizes] + [0])
    assert found.pixels.sum() == sum(h * w for h, w in sizes)
    np.testing.assert_array_equal(found.images[:5], [1, 1, 1, 1, 0])


def _record(image: bytes, label: bytes, **features) -> bytes:
    features |= {"image/encoded": image, "image/segmentation/class/encoded": label}
    message = tf.train.Example()
    for key, value in features.items():
        message.features.feature[key].bytes_list.value.append(value)
    return message.SerializeToString()


def test_reasons(tmp_path):
    png = tf.io.encode_png(np.zeros([4, 5, 3], np.uint8)).numpy()
    label = tf.io.encode_png(np.zeros([4, 5, 1], np.uint8)).numpy()
    other_label = tf.io.encode_png(np.zeros([5, 4, 1], np.uint8)).numpy()
    without_label = tf.train.Example()
    without_label.features.feature["image/encoded"].bytes_list.value.append(png)
    payloads = [
        _record(png, label),
        _record(b"no image", label),
        _record(png, label[:40]),
        _record(png, other_label),
        without_label.SerializeToString(),
        b"no example",
        _record(png, b"", **{"image/segmentation/class/format": b"raw"}),
    ]
    shard = tmp_path / shard_name("train", 0, 1)
    write_records(shard, payloads)
    DatasetDescription("bad", {"train": len(payloads)}, ["a"], [(0, 0, 0)]).save(tmp_path)
    found = survey(SegmentationRecords(tmp_path, "train"), progress=False)
    assert found.examples == 1
    assert list(found.corrupt) == [1, 2, 3, 4, 5, 6]
    assert [(c.path, c.record) for c in found.corrupt.values()] == [
        (str(shard), record) for record in range(1, 7)
    ]
    words = [
        "Unknown image file format",
        "Invalid PNG",
        "height and width are",
        "image/segmentation/class/encoded",
        "Could not parse example",
        "dataset.json needs their panoptic_label_divisor",
    ]
    for corrupt, expected in zip(found.corrupt.values(), words, strict=True):
        assert expected in corrupt.reason, corrupt.reason
        assert "{{" not in corrupt.reason
        assert "[Op" not in corrupt.reason

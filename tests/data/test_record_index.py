import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.data.record_index import index_records
from auto_deeplab.errors import UserError


def _write(path, payloads):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for payload in payloads:
            writer.write(payload)
    return path


@settings(deadline=None, max_examples=20)
@given(st.lists(st.lists(st.binary(min_size=1, max_size=300), max_size=5), min_size=1, max_size=4))
def test_every_record_is_found_and_read(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("records")
    paths = [_write(folder / f"{i}.tfrecord", payloads) for i, payloads in enumerate(files)]
    expected = [payload for payloads in files for payload in payloads]
    index = index_records(paths)
    assert len(index) == len(expected)
    if expected:
        numbers = list(range(len(expected)))[::-1]
        read = tf.data.Dataset.from_tensor_slices(numbers).map(index.read, num_parallel_calls=2)
        assert list(read.as_numpy_iterator()) == expected[::-1]


def test_agrees_with_tensorflow_on_large_records(tmp_path):
    path = _write(tmp_path / "large.tfrecord", [bytes([i]) * (400_000 + i) for i in range(4)])
    expected = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    index = index_records([path])
    assert [index.read(tf.constant(i, tf.int64)).numpy() for i in range(4)] == expected


def test_file_cut_short_names_the_record(tmp_path):
    path = _write(tmp_path / "cut.tfrecord", [b"x" * 100, b"y" * 100])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"cut\.tfrecord: cut short in record 1"):
        index_records([path])
    path.write_bytes(path.read_bytes()[:120])
    with pytest.raises(UserError, match="cut short in record 1"):
        index_records([path])


def test_other_file_is_no_tfrecord(tmp_path):
    path = tmp_path / "text.tfrecord"
    path.write_text("this is no TFRecord file, but is long enough to look like one")
    with pytest.raises(UserError, match=r"text\.tfrecord: record 0 at byte 0 is corrupt"):
        index_records([path])

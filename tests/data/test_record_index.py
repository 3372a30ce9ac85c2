import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.data.record_index import index_records
from auto_deeplab.foundations.errors import UserError
from tests.datasets import write_records


@settings(deadline=None, max_examples=20)
@given(st.lists(st.lists(st.binary(min_size=1, max_size=300), max_size=5), min_size=1, max_size=4))
def test_every_record_is_found_and_read(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("records")
    paths = [write_records(folder / f"{i}.tfrecord", payloads) for i, payloads in enumerate(files)]
    expected = [payload for payloads in files for payload in payloads]
    index = index_records(paths)
    assert len(index) == len(expected)
    if expected:
        numbers = list(range(len(expected)))[::-1]
        read = tf.data.Dataset.from_tensor_slices(numbers).map(index.read, num_parallel_calls=2)
        assert list(read.as_numpy_iterator()) == expected[::-1]


def test_agrees_with_tensorflow_on_large_records(tmp_path):
    path = write_records(
        tmp_path / "large.tfrecord", [bytes([i]) * (400_000 + i) for i in range(4)]
    )
    expected = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    index = index_records([path])
    assert [index.read(tf.constant(i, tf.int64)).numpy() for i in range(4)] == expected


def test_file_cut_short_names_the_record(tmp_path):
    path = write_records(tmp_path / "cut.tfrecord", [b"x" * 100, b"y" * 100])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"cut\.tfrecord: record 1: cut short"):
        index_records([path])
    path.write_bytes(path.read_bytes()[:120])
    with pytest.raises(UserError, match="record 1: cut short"):
        index_records([path])


def test_other_file_is_no_tfrecord(tmp_path):
    path = tmp_path / "text.tfrecord"
    path.write_text("this is no TFRecord file, but is long enough to look like one")
    with pytest.raises(
        UserError, match=r"text\.tfrecord: record 0: no TFRecord frame begins at byte 0"
    ):
        index_records([path])


def test_damage_hides_the_rest_of_its_file_alone(tmp_path):
    paths = [
        write_records(tmp_path / f"{i}", [bytes([i, j]) * 50 for j in range(3)]) for i in range(3)
    ]
    frame = 12 + 100 + 4
    content = bytearray(paths[1].read_bytes())
    content[frame] ^= 1  # The length of the second record.
    paths[1].write_bytes(content)
    with pytest.raises(UserError, match=rf"1: record 1: no TFRecord frame begins at byte {frame}"):
        index_records(paths)
    index = index_records(paths, ignore_corrupt=True)
    assert [(damage.path, damage.record) for damage in index.damage] == [(str(paths[1]), 1)]
    read = [index.read(tf.constant(i, tf.int64)).numpy() for i in range(len(index))]
    readable = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1), (2, 2)]
    assert read == [bytes(pair) * 50 for pair in readable]
    places = [index.place(tf.constant(i, tf.int64)) for i in range(len(index))]
    assert [(path.numpy().decode(), int(record)) for path, record in places] == [
        (str(paths[i]), j) for i, j in readable
    ]


def test_changed_payload_is_noticed(tmp_path):
    path = write_records(tmp_path / "changed", [b"x" * 100, b"y" * 100])
    content = bytearray(path.read_bytes())
    content[12 + 50] ^= 1
    path.write_bytes(content)
    index = index_records([path])
    with pytest.raises(tf.errors.DataLossError):
        index.read(tf.constant(0, tf.int64))
    assert index.read(tf.constant(1, tf.int64)).numpy() == b"y" * 100


def test_indexes_are_joined(tmp_path):
    first = index_records(
        [write_records(tmp_path / "a", [b"a0", b"a1"]), write_records(tmp_path / "b", [])]
    )
    joined = first.followed_by(index_records([write_records(tmp_path / "c", [b"c0"])]))
    assert [joined.read(tf.constant(i, tf.int64)).numpy() for i in range(3)] == [
        b"a0",
        b"a1",
        b"c0",
    ]
    path, record = joined.place(tf.constant(2, tf.int64))
    assert (path.numpy().decode(), int(record)) == (str(tmp_path / "c"), 0)

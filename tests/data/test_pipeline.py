import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.data.pipeline import (
    evaluation_batches,
    open_records,
    steps_per_epoch,
    training_batches,
    training_records,
)
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.data.survey import naming_corrupt_records
from auto_deeplab.foundations.errors import UserError
from tests.datasets import png_example, write_dataset


def _take(batches, count):
    return [(image.numpy(), label.numpy()) for image, label in batches.take(count)]


def _numbers(batches) -> list[int]:
    """Which examples the batches hold, by the labels' values (padding aside)."""
    return [int(label[label != 255][0]) for _, labels in batches for label in labels]


def test_each_epoch_visits_every_example_once_in_a_new_order(make_dataset):
    records = SegmentationRecords(make_dataset(12), "train")
    assert records.examples == 12
    assert steps_per_epoch(records, 4) == 3
    numbers = _numbers(_take(training_batches(records, 4, 8, seed=5), 9))
    epochs = [numbers[:12], numbers[12:24], numbers[24:]]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    other_seed = _numbers(_take(training_batches(records, 4, 8, seed=6), 3))
    assert other_seed != epochs[0]


def test_tail_that_fills_no_batch_is_dropped(make_dataset):
    records = SegmentationRecords(make_dataset(11), "train")
    numbers = _numbers(_take(training_batches(records, 4, 8), 4))
    for epoch in (numbers[:8], numbers[8:]):
        assert len(set(epoch)) == 8


@pytest.mark.parametrize("first_step", [1, 2, 3, 4, 7])
def test_stream_from_a_step_is_the_tail_of_the_whole_stream(make_dataset, first_step):
    records = SegmentationRecords(make_dataset(11), "train")
    whole = _take(training_batches(records, 3, (9, 8), seed=1), 10)
    tail = _take(
        training_batches(records, 3, (9, 8), seed=1, first_step=first_step), 10 - first_step
    )
    for expected, received in zip(whole[first_step:], tail, strict=True):
        np.testing.assert_array_equal(received[0], expected[0])
        np.testing.assert_array_equal(received[1], expected[1])


def test_augmentation_changes_from_epoch_to_epoch(make_dataset):
    records = SegmentationRecords(make_dataset(2, shards=1), "train")
    batches = _take(training_batches(records, 1, 6, seed=0), 12)
    first = [image for image, label in batches if label[label != 255][0] == 0]
    assert len(first) == 6
    assert any(not np.array_equal(a, b) for a, b in itertools.pairwise(first))


def test_shapes_are_static(make_dataset):
    records = SegmentationRecords(make_dataset(6), "train")
    image, label = training_batches(records, 2, (9, 8)).element_spec
    assert (image.shape.as_list(), image.dtype) == ([2, 9, 8, 3], tf.float32)
    assert (label.shape.as_list(), label.dtype) == ([2, 9, 8], tf.int32)


def test_halves_are_disjoint_and_exhaustive(make_dataset):
    records = SegmentationRecords(make_dataset(11), "train")
    first, second = records.half("A", 3), records.half("B", 3)
    assert (first.examples, second.examples) == (6, 5)
    held = [
        set(_numbers(_take(training_batches(half, 1, 8), half.examples)))
        for half in (first, second)
    ]
    assert [len(numbers) for numbers in held] == [6, 5]
    assert held[0] | held[1] == set(range(11))
    again = SegmentationRecords(records.dataset_dir, "train").half("A", 3)
    np.testing.assert_array_equal(again.numbers, first.numbers)
    assert not np.array_equal(records.half("A", 4).numbers, first.numbers)
    assert records.examples == 11


def test_evaluation_keeps_order_sizes_and_tail(make_dataset):
    records = SegmentationRecords(make_dataset(5, grow=2), "train")
    batches = _take(evaluation_batches(records, batch_size=2), 10)
    assert _numbers(batches) == [0, 1, 2, 3, 4]
    assert [image.shape for image, _ in batches] == [
        (2, 14, 22, 3),
        (2, 18, 26, 3),
        (1, 20, 28, 3),
    ]
    image, label = batches[0]
    assert (label[0, 12:] == 255).all()
    assert (label[0, :, 20:] == 255).all()
    assert (label[0, :12, :20] == 0).all()
    assert (image[0, 12:] == 0).all()
    assert image[0, :12, :20].min() >= -1
    raw, _ = records.load(tf.constant(0, tf.int64))
    np.testing.assert_allclose(image[0, :12, :20], raw.numpy() / 127.5 - 1, atol=1e-6)
    assert _numbers(_take(evaluation_batches(records, limit=3), 10)) == [0, 1, 2]


def test_wrong_arguments_are_explained(make_dataset):
    records = SegmentationRecords(make_dataset(3), "train")
    with pytest.raises(UserError, match="batch_size: received 4; expected at most 3, the examples"):
        training_batches(records, 4, 8)
    with pytest.raises(UserError, match="crop_size"):
        training_batches(records, 1, (8, 0))
    with pytest.raises(UserError, match="scales"):
        training_batches(records, 1, 8, scales=())
    with pytest.raises(UserError, match="first_step"):
        training_batches(records, 1, 8, first_step=-1)
    with pytest.raises(UserError, match=r"split: received 'tain', .*; did you mean train"):
        SegmentationRecords(records.dataset_dir, "tain")


def test_record_count_must_match_the_description(make_dataset):
    folder = make_dataset(3)
    path = Path(folder) / "dataset.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "splits": {"train": 4}}))
    with pytest.raises(UserError, match=r"received 3 records; expected 4, as dataset\.json says"):
        SegmentationRecords(folder, "train")


def _contexts(pipelines: int, replicas: int) -> list[tf.distribute.InputContext]:
    return [tf.distribute.InputContext(pipelines, index, replicas) for index in range(pipelines)]


@pytest.mark.parametrize(("pipelines", "replicas"), [(2, 2), (2, 4), (1, 2)])
def test_the_replicas_batches_make_up_the_batch_of_one(make_dataset, pipelines, replicas):
    records = SegmentationRecords(make_dataset(11), "train")
    arguments = {"batch_size": 4, "crop_size": 6, "seed": 2, "first_step": 1}
    whole = _take(training_batches(records, **arguments), 4)
    of_a_step = replicas // pipelines
    parts = [
        _take(training_batches(records, **arguments, input_context=context), 4 * of_a_step)
        for context in _contexts(pipelines, replicas)
    ]
    for step, expected in enumerate(whole):
        here = slice(step * of_a_step, (step + 1) * of_a_step)
        for index in (0, 1):
            joined = np.concatenate([batch[index] for part in parts for batch in part[here]])
            np.testing.assert_array_equal(joined, expected[index])
    assert parts[0][0][0].shape == (4 // replicas, 6, 6, 3)


def test_evaluation_is_divided_among_pipelines(make_dataset):
    records = SegmentationRecords(make_dataset(5), "train")
    numbers = [
        _numbers(_take(evaluation_batches(records, input_context=context, limit=4), 9))
        for context in _contexts(2, 2)
    ]
    assert numbers == [[0, 2], [1, 3]]


def test_batch_that_replicas_cannot_share(make_dataset):
    records = SegmentationRecords(make_dataset(5), "train")
    (context,) = _contexts(1, 2)
    with pytest.raises(UserError, match="received 3; expected a multiple of the 2 replicas"):
        training_batches(records, 3, 8, input_context=context)


def test_an_iterator_in_a_checkpoint_goes_on_where_it_was(make_dataset, tmp_path):
    batches = training_batches(SegmentationRecords(make_dataset(5), "train"), 2, 6)
    iterator = iter(batches)
    for _ in range(3):
        next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "position"))
    expected = [next(iterator) for _ in range(3)]
    other = iter(batches)
    tf.train.Checkpoint(iterator=other).restore(path)
    for one, two in zip(expected, [next(other) for _ in range(3)], strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])


@pytest.fixture
def fine_and_coarse(make_dataset):
    """Two splits of the same classes: labels 0..5, and the fourth to eighth again."""
    fine = make_dataset(8)
    coarse = make_dataset(3, height=10, shards=1)
    path = Path(coarse) / "dataset.json"
    fields = json.loads((Path(fine) / "dataset.json").read_text())
    path.write_text(json.dumps({**fields, "splits": {"train": 3}}))
    return fine, coarse


def test_mixture_draws_by_weight(fine_and_coarse):
    fine, coarse = fine_and_coarse
    records = training_records(fine, "train", mixed_with=[(coarse, "train", 3.0)], weight=2.0)
    assert records.examples == 11
    assert steps_per_epoch(records, 5) == 2
    batches = training_batches(records, 5, (12, 6), seed=1, scales=(1.0,), flip=False)
    epochs = []
    for epoch in range(3):
        # Crops of the coarse images, which are lower, are padded.
        labels = [label for _, batch in _take(batches, 6)[2 * epoch :][:2] for label in batch]
        assert len(labels) == 10
        visits = {
            lower: [int(label[0, 0]) for label in labels if (label[-1, 0] == 255) == lower]
            for lower in (False, True)
        }
        # 10 visits, 2 : 3. The coarse set's 6 are two passes; the fine one's 4 are of 8.
        assert len(set(visits[False])) == len(visits[False]) == 4
        assert sorted(visits[True]) == [0, 0, 1, 1, 2, 2]
        epochs.append([int(label[0, 0]) for label in labels])
    assert epochs[0] != epochs[1] != epochs[2]


def test_mixture_resumes_and_halves(fine_and_coarse):
    fine, coarse = fine_and_coarse
    records = training_records(fine, "train", mixed_with=[(coarse, "train", 1.0)])
    whole = _take(training_batches(records, 3, 6, seed=1), 7)
    tail = _take(training_batches(records, 3, 6, seed=1, first_step=4), 3)
    for expected, received in zip(whole[4:], tail, strict=True):
        np.testing.assert_array_equal(received[0], expected[0])
    half_a, half_b = records.half("A", 3), records.half("B", 3)
    assert [len(part.numbers) for part in half_a.parts] == [4, 2]
    assert [len(part.numbers) for part in half_b.parts] == [4, 1]
    assert sorted([*half_a.numbers, *half_b.numbers]) == list(range(11))


def test_what_cannot_be_mixed(make_dataset, fine_and_coarse):
    fine, coarse = fine_and_coarse
    with pytest.raises(UserError, match="classes: cannot be mixed"):
        training_records(fine, "train", mixed_with=[(make_dataset(4), "train", 1.0)])
    with pytest.raises(UserError, match=r"mixed_with: received .*, 0\)\]; .* of weights above 0"):
        training_records(fine, "train", mixed_with=[(coarse, "train", 0)])
    with pytest.raises(UserError, match=r"expected a list of \(folder, split, weight\)"):
        training_records(fine, "train", mixed_with=[coarse])


def _damage(folder, shard: int, position: int) -> Path:
    """Changes a byte of a shard."""
    path = sorted(Path(folder).glob("train-*"))[shard]
    content = bytearray(path.read_bytes())
    content[position] ^= 255
    path.write_bytes(content)
    return path


def test_corrupt_record_is_named(make_dataset):
    folder = make_dataset(6)
    path = _damage(folder, 1, -10)  # The second of two records.
    records = SegmentationRecords(folder, "train")
    with (
        pytest.raises(UserError, match="1 corrupt record:") as error,
        naming_corrupt_records(records),
    ):
        _take(training_batches(records, 2, 6), 3)
    assert f"{path}: record 1: has another checksum" in str(error.value)
    assert "ignore_corrupt=True leaves" in str(error.value)
    with pytest.raises(UserError, match="record 1"), naming_corrupt_records(records):
        _take(evaluation_batches(records), 6)


def test_corrupt_record_is_named_in_a_training(make_dataset):
    folder = make_dataset(6)
    path = _damage(folder, 2, -10)
    records = SegmentationRecords(folder, "train")
    model = tf_keras.Sequential([tf_keras.layers.Conv2D(6, 1, input_shape=(6, 6, 3))])
    model.compile("sgd", tf_keras.losses.SparseCategoricalCrossentropy(ignore_class=255))
    with (
        pytest.raises(UserError, match=f"{path}: record 1: has another checksum"),
        naming_corrupt_records(records),
    ):
        model.fit(training_batches(records, 2, 6), steps_per_epoch=3, verbose=0)


def test_other_errors_pass_unchanged(make_dataset):
    records = SegmentationRecords(make_dataset(3), "train")
    failing = tf.data.Dataset.from_tensors(["ours"]).map(tf.strings.to_number)
    for action in (lambda: list(failing), lambda: tf.strings.to_number("ours")):
        with (
            pytest.raises(tf.errors.InvalidArgumentError, match="ours"),
            naming_corrupt_records(records),
        ):
            action()


def test_corrupt_records_are_left_out_and_listed(make_dataset, caplog):
    folder = make_dataset(7)  # 2, 2 and 3 records.
    changed = _damage(folder, 1, -10)
    cut = sorted(Path(folder).glob("train-*"))[2]
    cut.write_bytes(cut.read_bytes()[:-20])
    with pytest.raises(UserError, match="record 2: cut short"):
        open_records(folder, "train")
    with caplog.at_level("WARNING", "absl"):
        records = open_records(folder, "train", ignore_corrupt=True)
    assert "'train' goes on with 5 examples, without 2 corrupt records" in caplog.text
    assert [(c.path, c.record) for c in records.corrupt] == [(str(cut), 2), (str(changed), 1)]
    assert _numbers(_take(evaluation_batches(records), 9)) == [0, 1, 2, 4, 5]
    assert sorted(_numbers(_take(training_batches(records, 1, 30), 5))) == [0, 1, 2, 4, 5]


def test_a_split_without_a_good_record(make_dataset):
    folder = make_dataset(1, shards=1)
    _damage(folder, 0, -10)
    with pytest.raises(UserError, match="split 'train': received corrupt records alone"):
        open_records(folder, "train", ignore_corrupt=True)


def test_file_names_are_those_of_the_examples_in_order(tmp_path):
    image, label = np.zeros([2, 2, 3], np.uint8), np.zeros([2, 2], np.uint8)
    names = ["b/2.png", "a/1.png", "c/3.png"]
    examples = [png_example(name, image, label) for name in names]
    write_dataset(tmp_path, "some", {"val": examples}, ["a"], shards=3)
    assert list(SegmentationRecords(tmp_path, "val").file_names()) == names

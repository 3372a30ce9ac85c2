import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data.pipeline import (
    SegmentationRecords,
    evaluation_batches,
    steps_per_epoch,
    training_batches,
)
from auto_deeplab.errors import UserError


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
    with pytest.raises(UserError, match="batch_size: 4 is more than the 3 examples"):
        training_batches(records, 4, 8)
    with pytest.raises(UserError, match="crop_size"):
        training_batches(records, 1, (8, 0))
    with pytest.raises(UserError, match="scales"):
        training_batches(records, 1, 8, scales=())
    with pytest.raises(UserError, match="first_step"):
        training_batches(records, 1, 8, first_step=-1)
    with pytest.raises(UserError, match="no split 'tain'; did you mean train"):
        SegmentationRecords(records.dataset_dir, "tain")


def test_record_count_must_match_the_description(make_dataset):
    folder = make_dataset(3)
    path = Path(folder) / "dataset.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "splits": {"train": 4}}))
    with pytest.raises(UserError, match=r"holds 3 records, but dataset\.json says 4"):
        SegmentationRecords(folder, "train")

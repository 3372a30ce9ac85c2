"""Labels of every kind in a record: what they say is read, or the record is named."""

import io
import itertools
import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.inspection import inspect_dataset
from auto_deeplab.data.pipeline import evaluation_batches, open_records, training_batches
from auto_deeplab.data.schema import shard_name
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.data.survey import naming_corrupt_records, read_example, survey
from auto_deeplab.foundations.errors import UserError
from tests.datasets import write_records

CLASSES = 5
HEIGHT, WIDTH = 6, 9


def write(folder, labels, ignore_label=255, classes=CLASSES):
    """Writes a split "train" of one shard; the labels are files. Returns the shard."""
    shard = folder / shard_name("train", 0, 1)
    image = tf.io.encode_png(np.zeros([HEIGHT, WIDTH, 3], np.uint8)).numpy()
    examples = [tf.train.Example() for _ in labels]
    for example, label in zip(examples, labels, strict=True):
        features = example.features.feature
        features["image/encoded"].bytes_list.value.append(image)
        features["image/segmentation/class/encoded"].bytes_list.value.append(label)
    write_records(shard, (example.SerializeToString() for example in examples))
    DatasetDescription(
        "theirs",
        {"train": len(labels)},
        [f"class {index}" for index in range(classes)],
        [(index, 0, 0) for index in range(classes)],
        ignore_label,
    ).save(folder)
    return shard


def encoded(pixels, suffix="png", palette=False, **options):
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
    file = io.BytesIO()
    image.save(file, suffix, **options)
    return file.getvalue()


def label_map(values=CLASSES, seed=0):
    return np.random.default_rng(seed).integers(0, values, (HEIGHT, WIDTH), np.uint8)


def batch(records):
    """The labels of a training's first batch, which nothing was done to."""
    batches = training_batches(records, 1, (HEIGHT, WIDTH), scales=(1.0,), flip=False)
    with naming_corrupt_records(records):
        return next(iter(batches))[1][0].numpy()


def test_of_a_palette_the_indices_count(tmp_path):
    labels, files = [], []
    for bits, options in itertools.product(
        (1, 2, 4, 8), ({}, {"transparency": 1}, {"dpi": (72, 72)})
    ):
        labels.append(label_map(min(CLASSES, 2**bits), seed=len(labels)))
        files.append(encoded(labels[-1], palette=True, bits=bits, **options))
        assert files[-1][24:26] == bytes([bits, 3])
    write(tmp_path, files)
    records = SegmentationRecords(tmp_path, "train")
    batches = training_batches(
        records, len(files), (HEIGHT, WIDTH), scales=(1.0,), flip=False, steps=1
    )
    # In an order of its own.
    ((_, read),) = batches
    assert sorted(read.numpy().tolist()) == sorted(label.tolist() for label in labels)


def test_a_file_that_ends_in_its_header_is_named(tmp_path):
    whole = encoded(label_map(CLASSES), palette=True)
    # Signature, length and name of the header, its 13 bytes, their checksum.
    header = 8 + 4 + 4 + 13 + 4
    write(tmp_path, [whole[:length] for length in range(header + 1)])
    corrupt = survey(SegmentationRecords(tmp_path, "train"), progress=False).corrupt
    assert sorted(corrupt) == list(range(header + 1))
    reasons = [corrupt[length].reason for length in range(header + 1)]
    # From the color type on it is a palette image; what ends after the header is no image, either.
    assert all("expected a PNG file" in reason for reason in reasons[:header]), reasons
    assert all("ends in its header" in reason for reason in reasons[26:header]), reasons
    assert "PNG" in reasons[header]


def test_other_kinds_are_refused_by_shard_and_record(tmp_path):
    label = label_map()
    color = np.repeat(label[..., None], 3, axis=-1)
    kinds = {
        "16-bit gray": encoded(label.astype(np.uint16)),
        "8-bit RGB": encoded(color),
        "8-bit RGBA": encoded(np.concatenate([color, color[..., :1]], axis=-1)),
        "8-bit gray with alpha": encoded(color[..., :2].copy()),
        "1-bit gray": encoded(label > 2),
        "no PNG file": encoded(label, "jpeg", quality=100),
        "Invalid PNG data": encoded(label)[:60],
    }
    shard = write(tmp_path, [encoded(label), *kinds.values(), b""])
    corrupt = survey(SegmentationRecords(tmp_path, "train"), progress=False).corrupt
    assert list(corrupt) == list(range(1, len(kinds) + 2))
    for kind, record in zip([*kinds, "no PNG file"], corrupt.values(), strict=True):
        assert kind in record.reason
        if not kind.startswith("Invalid"):
            assert re.search(r"^labels: received .*; expected a PNG file of 8-bit", record.reason)
    records = SegmentationRecords(tmp_path, "train")
    with pytest.raises(UserError) as error, naming_corrupt_records(records):
        list(evaluation_batches(records))
    assert str(error.value).startswith(f"8 corrupt records: {shard}: record 1: labels: received")
    assert "\n" not in str(error.value)


def test_labels_that_are_no_class_are_named_with_their_range(tmp_path):
    good, bad = np.minimum(label_map(), 2), np.zeros([HEIGHT, WIDTH], np.uint8)
    bad[0, :4], bad[1, 1], bad[2] = 3, 4, 255
    shard = write(tmp_path, [encoded(good), encoded(bad), encoded(good)], classes=3)
    expected = (
        f"{shard}: record 1: labels: received 3, 4 in 5 of 54 pixels; expected 0 to 2, the classes "
        "of dataset.json, or 255, which is ignored"
    )
    records = SegmentationRecords(tmp_path, "train")
    for batches in (training_batches(records, 3, 8), evaluation_batches(records)):
        with pytest.raises(UserError) as error, naming_corrupt_records(records):
            list(batches.take(3))
        assert str(error.value).startswith(f"1 corrupt record: {expected}. ")
        assert "\n" not in str(error.value)
    with pytest.raises(UserError) as error:
        read_example(records, 1)
    assert str(error.value) == expected
    np.testing.assert_array_equal(read_example(records, 2)[1], good)
    # Looking at the data tells of them, too, and does not leave them out of what it counts.
    inspection = inspect_dataset(tmp_path, ["train"])
    assert [str(corrupt) for corrupt in inspection.corrupt] == [expected]
    assert inspection.surveys["train"].pixels[[3, 4]].tolist() == [4, 1]
    assert inspection.surveys["train"].examples == 3
    left = open_records(tmp_path, "train", ignore_corrupt=True)
    assert left.numbers.tolist() == [0, 2]


def test_the_ignored_value_may_be_a_class_or_between(tmp_path):
    for values, ignored, message in (
        (3, 1, None),
        (4, 3, None),
        (4, 1, "received 3 in .* pixels; expected 0 to 2, the classes of dataset.json. "),
    ):
        label = label_map(values)
        write(tmp_path, [encoded(label)], ignored, classes=3)
        records = SegmentationRecords(tmp_path, "train")
        if message is None:
            np.testing.assert_array_equal(batch(records), label)
        else:
            with pytest.raises(UserError, match=message):
                batch(records)


def test_a_file_that_goes_or_changes_while_it_is_read_is_named(tmp_path):
    contents = encoded(label_map())
    shard = write(tmp_path, [contents] * 3)
    records = SegmentationRecords(tmp_path, "train")
    kept = shard.read_bytes()
    shard.write_bytes(kept[:-20])
    with (
        pytest.raises(UserError, match=f"{shard}: received {len(kept) - 20} bytes; expected the"),
        naming_corrupt_records(records),
    ):
        list(evaluation_batches(records))
    shard.unlink()
    with pytest.raises(UserError, match=f"{shard}: cannot be read any more: No such file"):
        batch(records)
    with pytest.raises(UserError, match=f"{shard}: cannot be read any more: No such file"):
        read_example(records, 0)
    shard.write_bytes(kept)
    np.testing.assert_array_equal(batch(records), label_map())


@st.composite
def label_files(draw):
    """A file of labels, and what it says: None for what no label map can be."""
    label = label_map(draw(st.sampled_from([2, 4, CLASSES, 200])), draw(st.integers(0, 9)))
    label[draw(st.integers(0, HEIGHT)) :] = 255
    kind = draw(st.sampled_from(["gray", "palette", "16 bits", "RGB", "1 bit", "JPEG", "BMP"]))
    if kind == "palette":
        label &= 2 ** draw(st.sampled_from([1, 2, 4, 8])) - 1
        bits = next(bits for bits in (1, 2, 4, 8) if label.max() < 2**bits)
        contents = encoded(label, palette=True, bits=bits)
    elif kind == "gray":
        contents = encoded(label, compress_level=draw(st.sampled_from([0, 9])))
    else:
        pixels = {
            "16 bits": label.astype(np.uint16),
            "RGB": np.repeat(label[..., None], 3, axis=-1),
            "1 bit": label > 2,
        }.get(kind, label)
        contents = encoded(pixels, kind if kind in ("JPEG", "BMP") else "png")
        label = None
    damage = draw(st.sampled_from(["none", "cut", "bit", "byte left out"]))
    place = draw(st.integers(0, len(contents) - 1))
    if damage == "cut":
        contents = contents[:place]
    elif damage == "bit":
        changed = contents[place] ^ (1 << draw(st.integers(0, 7)))
        contents = contents[:place] + bytes([changed]) + contents[place + 1 :]
    elif damage == "byte left out":
        contents = contents[:place] + contents[place + 1 :]
    if label is not None and not ((label < CLASSES) | (label == 255)).all():
        label = None
    return contents, label, damage == "none"


@settings(
    deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(label_files(), min_size=40, max_size=40))
def test_any_label_file_is_read_right_or_named(tmp_path, files):
    shard = write(tmp_path, [contents for contents, _, _ in files])
    records = SegmentationRecords(tmp_path, "train")
    corrupt = survey(records, progress=False).corrupt
    for number, record in corrupt.items():
        assert (record.path, record.record) == (str(shard), number)
        _, label, is_whole = files[number]
        assert label is None or not is_whole, record
    good = np.setdiff1d(np.arange(len(files)), list(corrupt)).tolist()
    read = list(evaluation_batches(records.only(good)))
    for number, (_, labels) in zip(good, read, strict=True):
        np.testing.assert_array_equal(labels[0], files[number][1])
    assert not list(evaluation_batches(records.only(list(corrupt))).ignore_errors())

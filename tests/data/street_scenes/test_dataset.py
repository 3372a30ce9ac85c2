import concurrent.futures

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from auto_deeplab.data.datasets.cityscapes import CLASSES, TRAIN_IDS, image_path, label_path
from auto_deeplab.data.segmentation_records import SegmentationRecords
from auto_deeplab.data.street_scenes import dataset as module
from auto_deeplab.data.street_scenes.composition import draw_scene
from auto_deeplab.data.street_scenes.dataset import street_scenes
from auto_deeplab.foundations.errors import UserError

_SMALL = {"train_images": 9, "val_images": 3, "height": 64, "width": 128, "workers": 2}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    directory = tmp_path_factory.mktemp("street_scenes")
    return directory, street_scenes(directory, **_SMALL)


def test_records_hold_the_drawn_scenes(prepared):
    _, dataset_dir = prepared
    for split, count in (("train", 9), ("val", 3)):
        records = SegmentationRecords(dataset_dir, split)
        assert records.examples == count
        assert records.description.classes == CLASSES
        for number in (0, count - 1):
            image, label = draw_scene(0, split, number, 64, 128)
            read_image, read_label = records.load(tf.constant(number, tf.int64))
            np.testing.assert_array_equal(read_image, image)
            np.testing.assert_array_equal(read_label, np.vectorize(TRAIN_IDS.get)(label))


def test_images_lie_in_the_cityscapes_layout(prepared):
    directory, _ = prepared
    (root,) = directory.glob("images_*")
    stem = "drawn00_000002_000000"
    image, label = draw_scene(0, "val", 2, 64, 128)
    drawn = np.asarray(Image.open(image_path(root, "val", "drawn00", stem)))
    np.testing.assert_array_equal(drawn, image)
    drawn_label = np.asarray(Image.open(label_path(root, "val", "drawn00", stem)))
    np.testing.assert_array_equal(drawn_label, label)


def test_second_call_draws_nothing(prepared, monkeypatch):
    directory, dataset_dir = prepared
    monkeypatch.setattr(module, "_draw", None)
    monkeypatch.setattr("auto_deeplab.data.conversion.engine.convert", None)
    assert street_scenes(directory, **_SMALL) == dataset_dir


def test_other_scale_reuses_the_drawings(prepared, monkeypatch):
    directory, dataset_dir = prepared
    monkeypatch.setattr(module, "ordered_map", None)
    half = street_scenes(directory, scale=0.5, **_SMALL)
    assert half != dataset_dir
    image, _ = SegmentationRecords(half, "val").load(tf.constant(0, tf.int64))
    assert image.shape == (32, 64, 3)


def test_interrupted_drawing_continues(prepared, tmp_path):
    directory, _ = prepared
    (complete,) = directory.glob("images_*")
    partial = tmp_path / (complete.name + ".partial")
    for path in (image_path, label_path):
        kept = path(partial, "train", "drawn00", "drawn00_000000_000000")
        kept.parent.mkdir(parents=True)
        kept.write_bytes(path(complete, "train", "drawn00", "drawn00_000000_000000").read_bytes())
    before = kept.stat().st_mtime_ns
    street_scenes(tmp_path, **_SMALL)
    files = sorted(path.relative_to(complete) for path in complete.rglob("*.png"))
    drawn = tmp_path / complete.name
    assert sorted(path.relative_to(drawn) for path in drawn.rglob("*.*")) == files
    assert (drawn / kept.relative_to(partial)).stat().st_mtime_ns == before


def test_two_processes_may_prepare_the_same_dataset(tmp_path):
    """Threads stand for the processes: the lock holds between any two open files."""
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        prepared = [executor.submit(street_scenes, tmp_path, **_SMALL) for _ in range(2)]
    assert prepared[0].result() == prepared[1].result()
    assert len(list(tmp_path.iterdir())) == 2


def test_wrong_parameters_are_explained(tmp_path):
    with pytest.raises(UserError, match=r"street_scenes\.val_images: received 0; .* at least 1"):
        street_scenes(tmp_path, val_images=0)
    with pytest.raises(UserError, match=r"street_scenes\.height: received 8; .* from 32 to"):
        street_scenes(tmp_path, height=8)

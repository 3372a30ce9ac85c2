"""Predictions for many image files: results, resuming, files that cannot be read."""

import numpy as np
import pytest
from PIL import Image

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.serving.image_files import find_images
from auto_deeplab.serving.prediction import predict_images

DESCRIPTION = DatasetDescription("halves", {"val": 1}, ("dark", "light"), ((90, 0, 0), (0, 90, 0)))


class Threshold:
    """A network that calls a pixel light where it is, and counts the images it has seen."""

    def __init__(self):
        self.calls = 0

    def __call__(self, images):
        assert images.dtype == np.uint8
        assert images.shape[0] == 1
        self.calls += 1
        return (images.mean(axis=-1) > 127).astype(np.int32)


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name, size in [("a", (20, 30)), ("deep/b", (31, 17))]:
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, [*size, 3], np.uint8)).save(path)
    return tmp_path / "photos"


def test_results_and_resuming(photos, tmp_path):
    network, output = Threshold(), tmp_path / "out"
    images = find_images(str(photos))
    assert predict_images(network, DESCRIPTION, images, output) == (2, 0, [])
    assert sorted(path.relative_to(output).as_posix() for path in output.rglob("*.*")) == [
        "a_overlay.png",
        "deep/b_overlay.png",
    ]
    assert predict_images(network, DESCRIPTION, images, output) == (0, 2, [])
    assert network.calls == 2
    # Class maps are asked for now: what lacks them is done again.
    assert predict_images(network, DESCRIPTION, images, output, with_class_maps=True) == (2, 0, [])
    (output / "deep/b_classes.png").unlink()
    assert predict_images(network, DESCRIPTION, images, output, with_class_maps=True) == (1, 1, [])
    assert predict_images(network, DESCRIPTION, images, output, overwrite=True) == (2, 0, [])
    for image in images:
        pixels = np.asarray(Image.open(image.path))
        with Image.open(output / f"{image.name}_classes.png") as class_map:
            assert class_map.mode == "L"
            np.testing.assert_array_equal(class_map, pixels.mean(axis=-1) > 127)


def test_files_that_cannot_be_read_are_gathered(photos, tmp_path):
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (photos / "empty.png").write_bytes(b"")
    images = find_images(str(photos))
    summary = predict_images(Threshold(), DESCRIPTION, images, tmp_path / "out")
    assert (summary.written, summary.skipped) == (2, 0)
    assert summary.problems == [
        f"{photos / 'broken.jpg'}: not an image file",
        f"{photos / 'empty.png'}: not an image file",
    ]

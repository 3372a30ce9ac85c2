"""Fixtures that several test folders share."""

import gc
import os
from pathlib import Path

import gin
import pytest

# Before any test imports TensorFlow, as in the commands: it chooses Keras 2.
import auto_deeplab  # noqa: F401
from tests.helpers import REPOSITORY


def pytest_collection_finish():
    """Garbage collections do not look through TensorFlow: a training makes one an epoch."""
    gc.freeze()


@pytest.fixture(autouse=True)
def no_configuration():
    """No test sees another one's gin values."""
    gin.clear_config()
    yield
    gin.clear_config()


@pytest.fixture(scope="session")
def camvid() -> Path:
    """The folder with CamVid's `train` and `val`, each with `images` and `labels`."""
    folder = Path(
        os.environ.get("AUTO_DEEPLAB_TEST_DATA", REPOSITORY.parent / "shared" / "data" / "camvid")
    )
    if not (folder / "train" / "images").is_dir():
        pytest.skip(f"needs the CamVid images in {folder} (or in $AUTO_DEEPLAB_TEST_DATA)")
    return folder


@pytest.fixture
def shallow_resnet(monkeypatch) -> int:
    """The depth of a ResNet of six narrow blocks, for the baseline where only its parts matter.

    The last stage has as many blocks as the multigrid has rates.
    """
    from official.vision.modeling.backbones.resnet_deeplab import RESNET_SPECS

    depth = 20
    monkeypatch.setitem(RESNET_SPECS, depth, [("bottleneck", 8, count) for count in (1, 1, 1, 3)])
    return depth


@pytest.fixture(scope="session")
def colored_dataset(tmp_path_factory) -> Path:
    """A dataset of 9 training and 2 validation images, whose 3 classes differ in color."""
    import numpy as np

    from tests.datasets import png_example, write_dataset

    palette = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
    rng = np.random.default_rng(0)
    height, width = 36, 44

    def example(index):
        label = rng.integers(0, 3, [height // 4, width // 4]).repeat(4, 0).repeat(4, 1)
        image = palette[label] + rng.integers(-40, 40, [height, width, 3])
        label[rng.random(label.shape) < 0.05] = 255
        return png_example(f"{index}.png", image.astype(np.uint8), label.astype(np.uint8))

    return write_dataset(
        tmp_path_factory.mktemp("colored"),
        "colored",
        {split: [example(i) for i in range(count)] for split, count in (("train", 9), ("val", 2))},
        ("red", "green", "blue"),
        palette.tolist(),
    )

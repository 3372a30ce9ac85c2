"""Look-alikes of photographs and labels, and what the tests of the converters share."""

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from auto_deeplab.data import schema
from tests.helpers import run_command


class Record(NamedTuple):
    """What a record holds, decoded by Pillow."""

    name: str
    image_format: str
    encoded: bytes
    image: np.ndarray
    label: np.ndarray


@pytest.fixture
def run_tool() -> Callable[..., subprocess.CompletedProcess]:
    """Runs a converter by its name, with flags."""

    def run(name: str, *flags: object) -> subprocess.CompletedProcess:
        return run_command(f"tools.{name}", *flags)

    return run


@pytest.fixture
def read_split() -> Callable[[Path, str], list[Record]]:
    """Reads a split's records in order, with nothing of what writes them."""

    def read(folder: Path, split: str) -> list[Record]:
        found = []
        for path in sorted(folder.glob(f"{split}-*.tfrecord")):
            for serialized in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                features = tf.train.Example.FromString(serialized).features.feature
                image, label, image_format, name = (
                    features[key].bytes_list.value[0]
                    for key in (
                        schema.IMAGE, schema.LABEL, schema.IMAGE_FORMAT, schema.FILE_NAME
                    )
                )  # fmt: skip
                found.append(
                    Record(
                        name.decode(),
                        image_format.decode(),
                        image,
                        np.asarray(Image.open(io.BytesIO(image))),
                        np.asarray(Image.open(io.BytesIO(label))),
                    )
                )
        return found

    return read


@pytest.fixture
def photo() -> Callable[[int, int, int], np.ndarray]:
    """Makes uint8 [height, width, 3] that compresses about as photographs do."""

    def make(height: int, width: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        coarse = Image.fromarray(rng.integers(0, 256, (9, 16, 3), np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
        return np.clip(smooth + rng.integers(-3, 4, smooth.shape), 0, 255).astype(np.uint8)

    return make


@pytest.fixture
def regions() -> Callable[..., np.ndarray]:
    """Makes uint8 [height, width] of blocks with the given values, all of which occur."""

    def make(height: int, width: int, values, seed: int = 0) -> np.ndarray:
        rows = -(-len(values) // 8)
        blocks = np.resize(np.random.default_rng(seed).permutation(values), (rows, 8))
        y = np.arange(height) * rows // height
        x = np.arange(width) * 8 // width
        return blocks[y[:, None], x].astype(np.uint8)

    return make


@pytest.fixture
def save() -> Callable[..., Path]:
    """Saves pixels as an image file, with the folders on the way; `palette` makes a palette PNG."""

    def write(path: Path, pixels: np.ndarray, palette=None, **options) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels)
        if palette is not None:
            image = image.convert("P")
            image.putpalette([channel for color in palette for channel in color])
            # Converting may renumber the colors; the indices are what counts.
            image.frombytes(np.ascontiguousarray(pixels).tobytes())
        if path.suffix == ".png":
            options.setdefault("compress_level", 1)
        image.save(path, **options)
        return path

    return write

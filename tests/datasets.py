"""Datasets that tests write, and those parts of CamVid that tests convert."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.example import EncodedExample
from auto_deeplab.data.image_files import encode_png
from auto_deeplab.data.schema import serialize_example, shard_name


def write_records(path: Path, payloads: Iterable[bytes]) -> Path:
    """Writes a TFRecord file; returns its path."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for payload in payloads:
            writer.write(payload)
    return path


def png_example(name: str, image: np.ndarray, label: np.ndarray) -> EncodedExample:
    """Encodes an image, uint8 `[height, width, 3]`, and its label, uint8 `[height, width]`."""
    return EncodedExample(name, encode_png(image), "png", encode_png(label), *label.shape)


def write_dataset(
    folder: Path,
    name: str,
    splits: Mapping[str, Sequence[EncodedExample]],
    classes: Sequence[str],
    palette: Sequence[Sequence[int]] | None = None,
    shards: int = 1,
) -> Path:
    """Writes a dataset as the converters do; returns its folder.

    Args:
        folder: Made if it is not there.
        name: The dataset's.
        splits: The examples of each.
        classes: Their names.
        palette: Their colors; by default shades of gray.
        shards: Of each split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for split, examples in splits.items():
        bounds = [len(examples) * shard // shards for shard in range(shards + 1)]
        for shard, (begin, end) in enumerate(itertools.pairwise(bounds)):
            payloads = map(serialize_example, examples[begin:end])
            write_records(folder / shard_name(split, shard, shards), payloads)
    DatasetDescription(
        name,
        {split: len(examples) for split, examples in splits.items()},
        classes,
        palette or [(index, index, index) for index in range(len(classes))],
    ).save(folder)
    return folder


def link_images(camvid: Path, folder: Path, **counts: int) -> Path:
    """Links to the first images of CamVid, and their labels, in CamVid's own layout.

    Args:
        camvid: CamVid's folder.
        folder: The folder that is made.
        counts: How many of each split, such as `train=5`.
    """
    for split, count in counts.items():
        for part in ("images", "labels"):
            (folder / split / part).mkdir(parents=True)
            for path in sorted((camvid / split / part).iterdir())[:count]:
                (folder / split / part / path.name).symlink_to(path)
    return folder


def folder_flags(folder: Path) -> list[str]:
    """Returns the flags by which tools/convert_folder.py takes a folder of CamVid's layout."""
    return [
        f"--{split}_{part}={folder / split / part}"
        for split in ("train", "val")
        for part in ("images", "labels")
    ]

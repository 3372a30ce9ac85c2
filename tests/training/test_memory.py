"""What takes long must not take more and more memory."""

import ctypes
import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.evaluation.inference import class_map_function, evaluate
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.training.job import configured_job
from auto_deeplab.training.search_model import SearchModel

COPIES = 11


def resident_megabytes():
    """The memory that the process has in use now, as Linux counts it.

    What was freed is given back first: how much of it the allocator holds on to depends on the
    number of threads.
    """
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.fixture
def large_dataset(colored_dataset, tmp_path):
    """The colored dataset with each of its 9 training images 11 times."""
    folder = tmp_path / "large"
    shutil.copytree(colored_dataset, folder)
    (shard,) = folder.glob("train-*")
    shard.write_bytes(shard.read_bytes() * COPIES)
    description = DatasetDescription.load(folder)
    (folder / "dataset.json").unlink()
    DatasetDescription(
        description.name, {"train": 9 * COPIES, "val": 2}, description.classes, description.palette
    ).save(folder)
    return folder


@pytest.mark.slow
def test_a_search_of_300_steps_does_not_grow(
    configure_search, large_dataset, tmp_path, monkeypatch
):
    """6 epochs of 50 steps, each with its validation, its checkpoint and its lines in the logs."""
    configure_search(f"Search.dataset = '{large_dataset}'", "Search.epochs = 6")
    train_step, samples = SearchModel.train_step, []

    def sampled_step(self, data):
        samples.append(resident_megabytes())
        return train_step(self, data)

    monkeypatch.setattr(SearchModel, "train_step", sampled_step)
    configured_job().train(ModelDir(tmp_path / "run"), tf.distribute.get_strategy())
    assert len(samples) == 300
    # The first epoch is the warm-up; the second traces the update of alpha and beta.
    epochs = np.median(np.reshape(samples, [6, 50]), axis=1)
    assert epochs[5] - epochs[2] < 8


def evaluate_many_sizes():
    """Evaluates 640 images of different sizes.

    Returns:
        Megabytes in use after half of them and after all, and how often the network was traced.
    """
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    supernet = Supernet(
        3,
        layers=2,
        strides=(4, 8),
        blocks=1,
        filters=4,
        operations=("none", "skip", "sep_conv_3x3"),
    )
    class_maps = class_map_function(supernet)
    rng = np.random.default_rng(0)
    megabytes = []
    for perimeter in range(330, 314, -2):
        for height in range(40, 120):
            image = rng.normal(size=[1, height, perimeter // 2 - height, 3]).astype(np.float32)
            label = np.zeros(image.shape[:3], np.int32)
            evaluate(
                lambda batches: [class_maps(images) for images in batches],
                [(image, label)],
                classes=3,
                progress=False,
            )
        megabytes.append(resident_megabytes())
    # The kernel library keeps what it has prepared for the last 1024 shapes of a convolution: the
    # first half fills that.
    return megabytes[3], megabytes[7], class_maps.experimental_get_tracing_count()


def test_images_of_many_sizes_are_neither_traced_nor_kept():
    # In a process of its own: what other tests have freed would come and go.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        filled, other_sizes, traced = process.submit(evaluate_many_sizes).result()
    assert traced == 1
    assert other_sizes - filled < 12

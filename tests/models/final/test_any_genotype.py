"""Every architecture that a search can find builds, trains, is exported, is saved and loaded."""

import itertools
import random

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.data.augmentation import normalize_image
from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.models.final.network import build_network
from auto_deeplab.search_space import (
    CellGraph,
    Genotype,
    TrellisGraph,
    sample_cell,
    sample_genotype,
)
from auto_deeplab.serving.engines.saved_model import class_maps_of_saved_model
from auto_deeplab.serving.export.to_saved_model import export_saved_model

DESCRIPTION = DatasetDescription(
    "colors",
    {"train": 1},
    ("red", "green", "blue", "black"),
    [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)],
)
CLASSES = len(DESCRIPTION.classes)
# (height, width), to train at and to export for: odd, even, and both at once.
SIZES = [((33, 46), (40, 27)), ((40, 48), (33, 65)), ((35, 37), (42, 64))]
# What 50 draws might leave out.
CHOSEN_PATHS = [
    (8, 4, 8, 4, 8),
    (8, 16, 8, 16),
    (4, 8, 16, 32),
    (8, 16, 32, 16, 8, 4),
    (4, 4, 4),
    (8, 8, 16),
    (4, 4, 4, 8, 16, 8, 16, 16, 32, 32, 16, 8),
]
COUNT = 50


def walked_genotypes():
    """The chosen paths with random cells, then draws from spaces of several sizes."""
    generator = random.Random(3)
    genotypes = [
        Genotype(f"chosen {i}", path, sample_cell(CellGraph(1 + i % 3), generator))
        for i, path in enumerate(CHOSEN_PATHS)
    ]
    for i in range(COUNT - len(genotypes)):
        cell, trellis = CellGraph(1 + i % 2), TrellisGraph(3 + i // 2 % 2)
        genotypes.append(sample_genotype(f"drawn {i}", cell, trellis, generator))
    return genotypes


GENOTYPES = walked_genotypes()
# Enough for each change: every chosen path, and a draw of each size.
OFTEN = len(CHOSEN_PATHS) + 4


def name(value):
    if isinstance(value, Genotype):
        return "-".join(map(str, value.network))
    return "x".join(map(str, value[0]))


def goes_up_and_down_every_time(path):
    steps = [after / before for before, after in itertools.pairwise((4, *path))]
    return len(path) > 3 and all(a * b == 1 and a != 1 for a, b in itertools.pairwise(steps))


def test_the_walk_goes_everywhere():
    assert len(GENOTYPES) == COUNT
    assert {genotype.network[0] for genotype in GENOTYPES} == {4, 8}
    assert {genotype.network[-1] for genotype in GENOTYPES} == {4, 8, 16, 32}
    assert any(goes_up_and_down_every_time(genotype.network) for genotype in GENOTYPES)
    used = {branch for genotype in GENOTYPES for block in genotype.cell for branch in block}
    assert {branch.op for branch in used} == set(CellGraph().operations) - {"none"}
    assert {branch.input for branch in used} == set(CellGraph(3).inputs(3))


def small_network(genotype):
    # Moving statistics that follow at once: the network predicts as it has just been trained.
    return build_network(genotype, CLASSES, filters=4, final_keep_prob=0.8, batch_norm_momentum=0.1)


def random_images(size):
    return np.random.default_rng(0).integers(0, 256, [2, *size, 3], dtype=np.uint8)


def train_step(network, size):
    """Takes a step of gradient descent; fails if a weight has no finite gradient."""
    images = normalize_image(random_images(size))
    labels = tf.random.stateless_uniform([2, *size], [1, 2], 0, CLASSES, tf.int32)
    with tf.GradientTape() as tape:
        logits = network(images, training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
    assert logits.shape == [2, *size, CLASSES]
    assert logits.dtype == tf.float32
    gradients = tape.gradient(loss, network.trainable_weights)
    for weight, gradient in zip(network.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.name
        assert np.all(np.isfinite(gradient)), weight.name
    for weight, gradient in zip(network.trainable_weights, gradients, strict=True):
        weight.assign_sub(0.05 * gradient)


@pytest.mark.parametrize(
    ("genotype", "sizes"),
    [
        pytest.param(*case, marks=[pytest.mark.slow] if index >= OFTEN else [])
        for index, case in enumerate(zip(GENOTYPES, itertools.cycle(SIZES), strict=False))
    ],
    ids=name,
)
def test_it_trains_and_the_export_gives_the_same_output(genotype, sizes, tmp_path):
    tf_keras.backend.clear_session()
    network = small_network(genotype)
    assert network.output_shape == (None, None, None, CLASSES)
    size, exported_size = sizes
    train_step(network, size)

    version = export_saved_model(network, DESCRIPTION, genotype, tmp_path / "exported")
    images = random_images(exported_size)
    class_map = class_maps_of_saved_model(version)(images)
    logits = network(normalize_image(images), training=False).numpy()
    assert class_map.shape == (2, *exported_size)
    assert len(np.unique(class_map)) > 1
    # The exported graph rounds differently: its class is the network's, or as good.
    chosen = np.take_along_axis(logits, class_map[..., np.newaxis], axis=-1)[..., 0]
    np.testing.assert_allclose(chosen, logits.max(axis=-1), atol=1e-4)


def test_a_checkpoint_gives_the_same_output(tmp_path):
    tf_keras.backend.clear_session()
    genotype = GENOTYPES[1]
    network = small_network(genotype)
    train_step(network, (33, 46))
    path = tf.train.Checkpoint(model=network).write(str(tmp_path / "checkpoint"))
    again = small_network(genotype)
    tf.train.Checkpoint(model=again).read(path).assert_consumed()
    images = normalize_image(random_images((40, 27)))
    np.testing.assert_array_equal(again(images), network(images))
